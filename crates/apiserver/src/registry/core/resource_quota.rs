//! ResourceQuota.

use k8s_openapi::api::core::v1::ResourceQuota;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::strategy::{Typed, parts};

/// ResourceQuota's strategy.
pub static STRATEGY: Typed<ResourceQuota> = Typed {
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
