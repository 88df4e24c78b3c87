//! The table of events.

use k8s_openapi::api::core::v1::Event;
use machinery::Timestamp;
use machinery::time::human_age;
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::printer::{column, name, wide};

/// The columns of the table of events.
pub const COLUMNS: &[Column] = &[
    column("Last Seen", "string", "Time since it happened last."),
    column("Type", "string", "Normal or Warning."),
    column("Reason", "string", "Why, in one word."),
    column("Object", "string", "What it happened to."),
    wide("Subobject", "string", "The part of the object it happened to."),
    wide("Source", "string", "Who says so."),
    column("Message", "string", "What happened."),
    wide("First Seen", "string", "Time since it happened first."),
    wide("Count", "string", "How often it happened."),
    Column { name: "Name", type_: "string", format: "name", priority: 1, description: "Name of the event." },
];

/// The cells under [`COLUMNS`].
pub fn cells(event: &Event, now: Timestamp) -> Vec<Value> {
    let happened = event.event_time.as_ref().map(|time| time.0);
    let first = event.first_timestamp.as_ref().map(|time| time.0).or(happened);
    let last = event.last_timestamp.as_ref().map(|time| time.0).or(first);
    let (last, count) = match &event.series {
        Some(series) => (series.last_observed_time.as_ref().map(|time| time.0), series.count.unwrap_or_default()),
        None => (last, event.count.filter(|count| *count != 0).unwrap_or(1)),
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let kind = text(&event.involved_object.kind).to_lowercase();
    let object = match event.involved_object.name.as_deref().unwrap_or_default() {
        "" => kind,
        name => format!("{kind}/{name}"),
    };
    vec![
        human_age(last, now).into(),
        text(&event.type_).into(),
        text(&event.reason).into(),
        object.into(),
        text(&event.involved_object.field_path).into(),
        source(event).into(),
        text(&event.message).trim().into(),
        human_age(first, now).into(),
        count.into(),
        name(&event.metadata),
    ]
}

/// `kubelet, node-1`.
fn source(event: &Event) -> String {
    let own = event.source.clone().unwrap_or_default();
    let or = |first: Option<String>, second: &Option<String>| {
        first.filter(|text| !text.is_empty()).or_else(|| second.clone()).filter(|text| !text.is_empty())
    };
    let component = or(own.component, &event.reporting_component);
    let host = or(own.host, &event.reporting_instance);
    component.into_iter().chain(host).collect::<Vec<_>>().join(", ")
}
