//! Event: one store under two groups. The core form is the stored one.

mod conversion;
mod printer;

pub use conversion::CONVERSION;
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use machinery::field::{Error, ErrorList, Path};

use crate::registry::strategy::{Field, Typed, parts};

/// Event's strategy, in both groups.
pub static STRATEGY: Typed<Event> = Typed {
    validate,
    validate_update: |new, _| validate(new),
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

/// What must hold for an Event that is created in the newer group: it has a time of its own, and nothing of
/// what only the older one's clients set (upstream's `ValidateEventCreate`).
pub(super) fn validate_new(event: &Event) -> ErrorList {
    let mut errors = ErrorList::new();
    if event.event_time.is_none() {
        errors.push(Error::required(&Path::new("eventTime"), ""));
    }
    let of_type = event.type_.as_deref().unwrap_or_default();
    if !matches!(of_type, "Normal" | "Warning") {
        errors.push(Error::invalid(&Path::new("type"), "", format!("has invalid value: {of_type}")));
    }
    let source = event
        .source
        .as_ref()
        .is_some_and(|source| [&source.component, &source.host].into_iter().flatten().any(|text| !text.is_empty()));
    for (field, is_set) in [
        ("firstTimestamp", event.first_timestamp.is_some()),
        ("lastTimestamp", event.last_timestamp.is_some()),
        ("count", event.count.unwrap_or_default() != 0),
        ("source", source),
    ] {
        if is_set {
            errors.push(Error::invalid(&Path::new(field), "", "needs to be unset"));
        }
    }
    errors
}

/// Events are in the namespace of what they are about; those about cluster-scoped objects in `default`.
/// The newer kind, which has a time of its own, must say who reports what.
fn validate(event: &Event) -> ErrorList {
    const REASON_LENGTH_MAX: usize = 128;
    const MESSAGE_LENGTH_MAX: usize = 1024;
    let mut errors = ErrorList::new();
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    let about = event.involved_object.namespace.as_deref().unwrap_or_default();
    let right = if about.is_empty() { matches!(namespace, "default" | "kube-system") } else { about == namespace };
    if !right {
        let path = Path::new("involvedObject.namespace");
        errors.push(Error::invalid(&path, about, "does not match event.namespace"));
    }
    if event.event_time.is_none() {
        return errors;
    }
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (reason, action) = (text(&event.reason), text(&event.action));
    for (field, value) in [
        ("reportingController", text(&event.reporting_component)),
        ("reportingInstance", text(&event.reporting_instance)),
        ("action", action.clone()),
        ("reason", reason.clone()),
    ] {
        if value.is_empty() {
            errors.push(Error::required(&Path::new(field), ""));
        }
    }
    for (field, value, length_max) in [
        ("reportingInstance", text(&event.reporting_instance), REASON_LENGTH_MAX),
        ("action", action, REASON_LENGTH_MAX),
        ("reason", reason, REASON_LENGTH_MAX),
        ("message", text(&event.message), MESSAGE_LENGTH_MAX),
    ] {
        if value.len() > length_max {
            let detail = format!("can have at most {length_max} characters");
            errors.push(Error::invalid(&Path::new(field), "", detail));
        }
    }
    errors
}
