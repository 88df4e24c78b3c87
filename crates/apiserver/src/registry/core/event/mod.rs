//! Event: one store under two groups. The core form is the stored one.

mod conversion;
mod printer;

pub use conversion::CONVERSION;
use k8s_openapi::api::core::v1::{Event, ObjectReference};

use crate::registry::strategy::{Field, Typed, parts};

/// Event's strategy, in both groups.
pub static STRATEGY: Typed<Event> = Typed {
    fields: FIELDS,
    columns: printer::COLUMNS,
    cells: printer::cells,
    create_on_update: true,
    ..Typed::new(parts!(Event:
        action, count, event_time, first_timestamp, involved_object, last_timestamp, message, reason, related,
        reporting_component, reporting_instance, series, source, type_))
};

const FIELDS: &[Field<Event>] = &[
    Field { name: "involvedObject.kind", get: |event| of(event, |object| &object.kind) },
    Field { name: "involvedObject.namespace", get: |event| of(event, |object| &object.namespace) },
    Field { name: "involvedObject.name", get: |event| of(event, |object| &object.name) },
    Field { name: "involvedObject.uid", get: |event| of(event, |object| &object.uid) },
    Field { name: "involvedObject.apiVersion", get: |event| of(event, |object| &object.api_version) },
    Field { name: "involvedObject.resourceVersion", get: |event| of(event, |object| &object.resource_version) },
    Field { name: "involvedObject.fieldPath", get: |event| of(event, |object| &object.field_path) },
    Field { name: "reason", get: |event| event.reason.clone().unwrap_or_default() },
    Field { name: "reportingComponent", get: |event| event.reporting_component.clone().unwrap_or_default() },
    Field { name: "source", get: source },
    Field { name: "type", get: |event| event.type_.clone().unwrap_or_default() },
];

fn of(event: &Event, get: fn(&ObjectReference) -> &Option<String>) -> String {
    get(&event.involved_object).clone().unwrap_or_default()
}

fn source(event: &Event) -> String {
    let component = event.source.as_ref().and_then(|source| source.component.clone()).filter(|name| !name.is_empty());
    component.or_else(|| event.reporting_component.clone()).unwrap_or_default()
}
