//! LimitRange.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use machinery::Quantity;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::is_qualified_name;
use machinery::quantity::Format;

use crate::registry::shared::defaults::canonical;
use crate::registry::shared::printer::{NAME_AND_CREATED, name_and_created};
use crate::registry::shared::resources::quantity;
use crate::registry::shared::validate::complain;
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

/// Amounts are written in one way. Of containers, the default limit is the maximum, the default request the default limit
/// or the minimum.
fn defaults(range: &mut LimitRange) {
    let fill = |into: &mut Option<BTreeMap<String, Text>>, from: &Option<BTreeMap<String, Text>>| {
        for (resource, quantity) in from.iter().flatten() {
            into.get_or_insert_default().entry(resource.clone()).or_insert_with(|| quantity.clone());
        }
    };
    for item in range.spec.iter_mut().flat_map(|spec| spec.limits.iter_mut()) {
        for amounts in [
            &mut item.default,
            &mut item.default_request,
            &mut item.max,
            &mut item.max_limit_request_ratio,
            &mut item.min,
        ] {
            canonical(amounts.as_mut());
        }
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
        kind(&mut errors, &at.child("type"), &item.type_);
        if !seen.insert(&item.type_) {
            errors.push(Error::duplicate(&at.child("type"), item.type_.as_str()));
        }
        self::item(&mut errors, &at, item);
    }
    errors
}

fn kind(errors: &mut ErrorList, path: &Path<'_>, kind: &str) {
    complain(errors, path, kind, is_qualified_name(kind));
    if !kind.contains('/') && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim") {
        errors.push(Error::invalid(path, kind, "must be a standard limit type or fully qualified"));
    }
}

/// A bound: its field, what errors call it, and its amounts.
type Bound<'a> = (&'a str, &'a str, &'a Option<BTreeMap<String, Text>>);

/// min <= defaultRequest <= default <= max, for each resource.
fn item(errors: &mut ErrorList, path: &Path<'_>, item: &LimitRangeItem) {
    let min: Bound<'_> = ("min", "min", &item.min);
    let request: Bound<'_> = ("defaultRequest", "default request", &item.default_request);
    let default: Bound<'_> = ("default", "default", &item.default);
    let max: Bound<'_> = ("max", "max", &item.max);
    let ratio: Bound<'_> = ("maxLimitRequestRatio", "ratio", &item.max_limit_request_ratio);
    let of_pods = item.type_ == "Pod";
    for (field, _, amounts) in [max, min, default, request, ratio] {
        let at = path.child(field);
        if of_pods && field.starts_with("default") {
            if amounts.as_ref().is_some_and(|amounts| !amounts.is_empty()) {
                errors.push(Error::forbidden(&at, "may not be specified when `type` is 'Pod'"));
            }
            continue;
        }
        for (resource, amount) in amounts.iter().flatten() {
            quantity(errors, &at.key(resource), resource, amount);
        }
    }
    let has_storage = |(_, _, amounts): Bound<'_>| amounts.iter().flatten().any(|(name, _)| name == "storage");
    if item.type_ == "PersistentVolumeClaim" && !has_storage(min) && !has_storage(max) {
        let detail = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(Error::required(&path.child("limits"), detail));
    }
    // What must not be greater than what; whose field the error is at, and whose amount it shows.
    for (low, high, at, shown) in [
        (min, max, min, min),
        (min, request, request, request),
        (request, max, request, request),
        (request, ("default", "default limit", default.2), request, request),
        (min, default, default, min),
        (default, max, default, max),
    ] {
        if of_pods && (low.0.starts_with("default") || high.0.starts_with("default")) {
            continue;
        }
        for (resource, amount) in low.2.iter().flatten() {
            let Some(limit) = high.2.as_ref().and_then(|high| high.get(resource)) else { continue };
            if Quantity::of(Some(amount)) > Quantity::of(Some(limit)) {
                let detail = format!("{} value {} is greater than {} value {}", low.1, amount.0, high.1, limit.0);
                let shown = if shown.0 == low.0 { amount } else { limit };
                errors.push(Error::invalid(&path.child(at.0).key(resource), shown.0.as_str(), detail));
            }
        }
    }
    let ratio_path = path.child(ratio.0);
    for (resource, amount) in ratio.2.iter().flatten() {
        let (at, value) = (ratio_path.key(resource), Quantity::of(Some(amount)));
        if value < Quantity::new(1, Format::DecimalSi) {
            errors.push(Error::invalid(&at, amount.0.as_str(), format!("ratio {} is less than 1", amount.0)));
        }
        let bound = |(_, _, amounts): Bound<'_>| Some(Quantity::of(Some(amounts.as_ref()?.get(resource)?)).as_f64());
        if let (Some(min), Some(max)) = (bound(min), bound(max))
            && value.as_f64() > max / min
        {
            let detail = format!("ratio {} is greater than max/min = {:.6}", amount.0, max / min);
            errors.push(Error::invalid(&at, amount.0.as_str(), detail));
        }
    }
}
