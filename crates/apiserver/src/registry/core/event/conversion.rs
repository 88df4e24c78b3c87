//! `events.k8s.io/v1` to the core form and back (upstream's `pkg/apis/events/v1/conversion.go`).

use machinery::field::ErrorList;
use serde_json::Value;

use super::validate_new;
use crate::registry::info::Conversion;

/// Between `events.k8s.io/v1` and the stored form.
pub const CONVERSION: Conversion = Conversion {
    validate: |event| event.as_any().downcast_ref().map_or_else(ErrorList::new, validate_new),
    to_stored: |event| rename(event, "v1", |(wire, stored)| (wire, stored)),
    from_stored: |event| rename(event, "events.k8s.io/v1", |(wire, stored)| (stored, wire)),
    fields: &[
        ("reason", "reason"),
        ("regarding.kind", "involvedObject.kind"),
        ("regarding.namespace", "involvedObject.namespace"),
        ("regarding.name", "involvedObject.name"),
        ("regarding.uid", "involvedObject.uid"),
        ("regarding.apiVersion", "involvedObject.apiVersion"),
        ("regarding.resourceVersion", "involvedObject.resourceVersion"),
        ("regarding.fieldPath", "involvedObject.fieldPath"),
        ("reportingController", "reportingComponent"),
        ("type", "type"),
    ],
};

/// Fields that have two names: in `events.k8s.io/v1`, and in the core group.
const NAMES: [(&str, &str); 7] = [
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

fn rename(
    mut event: Value,
    api_version: &str,
    order: fn((&'static str, &'static str)) -> (&'static str, &'static str),
) -> Value {
    if let Value::Object(fields) = &mut event {
        fields.insert("apiVersion".into(), api_version.into());
        for (from, to) in NAMES.map(order) {
            if let Some(value) = fields.remove(from) {
                fields.insert(to.into(), value);
            }
        }
    }
    event
}
