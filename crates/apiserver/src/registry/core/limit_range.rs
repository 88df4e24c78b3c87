//! LimitRange.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::LimitRange;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::registry::shared::printer::{NAME_AND_CREATED, name_and_created};
use crate::registry::strategy::{Typed, parts};

/// LimitRange's strategy.
pub static STRATEGY: Typed<LimitRange> = Typed {
    defaults,
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
