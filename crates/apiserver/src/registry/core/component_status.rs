//! ComponentStatus: computed, never stored.

use k8s_openapi::api::core::v1::ComponentStatus;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::shared::printer::{NAME, column, name};
use crate::registry::strategy::{Typed, parts};

/// ComponentStatus' strategy.
pub static STRATEGY: Typed<ComponentStatus> = Typed {
    columns: &[
        NAME,
        column("Status", "string", "Healthy, Unhealthy or Unknown."),
        column("Message", "string", "What the component said."),
        column("Error", "string", "Why it could not be asked."),
    ],
    cells,
    ..Typed::new(parts!(ComponentStatus: conditions))
};

fn cells(component: &ComponentStatus, _now: Timestamp) -> Vec<Value> {
    let healthy = component.conditions.iter().flatten().find(|condition| condition.type_ == "Healthy");
    let status = match healthy {
        Some(condition) if condition.status == "True" => "Healthy",
        Some(_) => "Unhealthy",
        None => "Unknown",
    };
    let message = healthy.and_then(|condition| condition.message.clone()).unwrap_or_default();
    let error = healthy.and_then(|condition| condition.error.clone()).unwrap_or_default();
    vec![name(&component.metadata), status.into(), message.into(), error.into()]
}
