//! ResourceQuota.

use k8s_openapi::api::core::v1::ResourceQuota;
use machinery::Timestamp;
use machinery::field::{ErrorList, Path};
use machinery::names::is_qualified_name;
use serde_json::Value;

use crate::registry::shared::defaults::canonical;
use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::shared::resources::quantity;
use crate::registry::shared::validate::complain;
use crate::registry::strategy::{Typed, parts};

/// ResourceQuota's strategy.
pub static STRATEGY: Typed<ResourceQuota> = Typed {
    defaults: |quota| canonical(quota.spec.get_or_insert_default().hard.as_mut()),
    validate,
    validate_update: |new, _| validate(new),
    columns: &[
        NAME,
        column("Request", "string", "What is used and may be used, of what is requested or counted."),
        column("Limit", "string", "What is used and may be used, of what is limited."),
        AGE,
    ],
    cells,
    ..Typed::new(parts!(ResourceQuota: spec; status))
};

fn cells(quota: &ResourceQuota, now: Timestamp) -> Vec<Value> {
    let status = quota.status.clone().unwrap_or_default();
    let used = status.used.unwrap_or_default();
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in status.hard.unwrap_or_default() {
        let used = used.get(&resource).map_or("0", |quantity| quantity.0.as_str());
        let cell = format!("{resource}: {used}/{}", hard.0);
        if resource.starts_with("limits") { limits.push(cell) } else { requests.push(cell) }
    }
    vec![name(&quota.metadata), requests.join(", ").into(), limits.join(", ").into(), age(&quota.metadata, now)]
}

fn validate(quota: &ResourceQuota) -> ErrorList {
    let path = Path::new("spec.hard");
    let mut errors = ErrorList::new();
    for (resource, amount) in quota.spec.iter().filter_map(|spec| spec.hard.as_ref()).flatten() {
        let at = path.key(resource);
        complain(&mut errors, &at, resource, is_qualified_name(resource));
        self::quantity(&mut errors, &at, resource, amount);
    }
    errors
}
