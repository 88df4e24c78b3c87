//! LimitRange.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use machinery::Quantity;
use machinery::field::{Error, ErrorList, Path};

use crate::registry::shared::printer::{NAME_AND_CREATED, name_and_created};
use crate::registry::shared::resources::quantity;
use crate::registry::strategy::{Typed, parts};

/// LimitRange's strategy.
pub static STRATEGY: Typed<LimitRange> = Typed {
    defaults,
    validate,
    validate_update: |new, _| validate(new),
    columns: NAME_AND_CREATED,
    cells: |range, _| name_and_created(&range.metadata),
    create_on_update: true,
    ..Typed::new(parts!(LimitRange: spec))
};

/// Containers: the default limit is the maximum, the default request the default limit or the minimum.
fn defaults(range: &mut LimitRange) {
    let fill = |into: &mut Option<BTreeMap<String, Text>>, from: &Option<BTreeMap<String, Text>>| {
        for (resource, quantity) in from.iter().flatten() {
            into.get_or_insert_default().entry(resource.clone()).or_insert_with(|| quantity.clone());
        }
    };
    for item in range.spec.iter_mut().flat_map(|spec| spec.limits.iter_mut()) {
        if item.type_ == "Container" {
            fill(&mut item.default, &item.max);
            fill(&mut item.default_request, &item.default);
            fill(&mut item.default_request, &item.min);
        }
    }
}

fn validate(range: &LimitRange) -> ErrorList {
    let path = Path::new("spec.limits");
    let mut errors = ErrorList::new();
    let mut seen = std::collections::BTreeSet::new();
    for (index, item) in range.spec.iter().flat_map(|spec| &spec.limits).enumerate() {
        let at = path.index(index);
        if !seen.insert(&item.type_) {
            errors.push(Error::duplicate(&at.child("type"), item.type_.as_str()));
        }
        self::item(&mut errors, &at, item);
    }
    errors
}

/// min <= defaultRequest <= default <= max, for each resource.
fn item(errors: &mut ErrorList, path: &Path<'_>, item: &LimitRangeItem) {
    let bounds =
        [("min", &item.min), ("defaultRequest", &item.default_request), ("default", &item.default), ("max", &item.max)];
    for (field, amounts) in bounds {
        let at = path.child(field);
        for (resource, amount) in amounts.iter().flatten() {
            quantity(errors, &at.key(resource), resource, amount);
        }
    }
    for (position, (low_name, low)) in bounds.into_iter().enumerate() {
        for (high_name, high) in bounds.into_iter().skip(position + 1) {
            for (resource, low) in low.iter().flatten() {
                let Some(high) = high.as_ref().and_then(|high| high.get(resource)) else { continue };
                if Quantity::of(Some(low)) > Quantity::of(Some(high)) {
                    let words = |name: &str| match name {
                        "defaultRequest" => "default request".to_owned(),
                        name => name.to_owned(),
                    };
                    let detail = format!(
                        "{} value {} is greater than {} value {}",
                        words(low_name),
                        low.0,
                        words(high_name),
                        high.0
                    );
                    let at = path.child(low_name);
                    errors.push(Error::invalid(&at.key(resource), low.0.as_str(), detail));
                }
            }
        }
    }
}
