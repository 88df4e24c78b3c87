//! `autoscaling/v1` to the second version and back: the first knows one metric, the share of cpu, and
//! keeps what else there is in annotations.

use machinery::field::ErrorList;
use serde_json::{Map, Value, json};

use crate::registry::info::Conversion;

/// Between `autoscaling/v1` and the stored form.
pub const CONVERSION: Conversion = Conversion { to_stored, from_stored, fields: &[], validate: |_| ErrorList::new() };

const SPEC_PERCENT: &str = "targetCPUUtilizationPercentage";
const STATUS_PERCENT: &str = "currentCPUUtilizationPercentage";
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

/// What is kept in annotations: part of the object, field, annotation.
const ANNOTATED: [(&str, &str, &str); 4] = [
    ("spec", "metrics", METRICS),
    ("spec", "behavior", BEHAVIOR),
    ("status", "currentMetrics", CURRENT_METRICS),
    ("status", "conditions", CONDITIONS),
];

fn to_stored(mut object: Value) -> Value {
    set_version(&mut object, "autoscaling/v2");
    for (part, field, annotation) in ANNOTATED {
        let text = annotations(&mut object).and_then(|all| all.remove(annotation));
        let value = text.and_then(|text| serde_json::from_str::<Value>(text.as_str()?).ok());
        if let Some(value) = value
            && let Some(fields) = fields(&mut object, part)
        {
            fields.insert(field.into(), value);
        }
    }
    if let Some(percent) = fields(&mut object, "spec").and_then(|fields| fields.remove(SPEC_PERCENT)) {
        let metric = json!({"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent},
        }});
        insert_first(&mut object, "spec", "metrics", metric);
    }
    if let Some(percent) = fields(&mut object, "status").and_then(|fields| fields.remove(STATUS_PERCENT)) {
        let metric =
            json!({"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": percent}}});
        insert_first(&mut object, "status", "currentMetrics", metric);
    }
    object
}

fn from_stored(mut object: Value) -> Value {
    set_version(&mut object, "autoscaling/v1");
    take_percent(&mut object, "spec", "metrics", "target", SPEC_PERCENT);
    take_percent(&mut object, "status", "currentMetrics", "current", STATUS_PERCENT);
    for (part, field, annotation) in ANNOTATED {
        let value = fields(&mut object, part).and_then(|fields| fields.remove(field));
        let empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        if let Some(value) = value.filter(|value| !empty(value))
            && let Some(metadata) = fields(&mut object, "metadata")
            && let Some(all) = metadata.entry("annotations").or_insert_with(|| json!({})).as_object_mut()
        {
            all.insert(annotation.into(), value.to_string().into());
        }
    }
    object
}

fn set_version(object: &mut Value, api_version: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".into(), api_version.into());
    }
}

fn fields<'a>(object: &'a mut Value, part: &str) -> Option<&'a mut Map<String, Value>> {
    object.get_mut(part)?.as_object_mut()
}

fn annotations(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object.get_mut("metadata")?.get_mut("annotations")?.as_object_mut()
}

fn insert_first(object: &mut Value, part: &str, field: &str, metric: Value) {
    let Some(fields) = fields(object, part) else { return };
    if let Some(list) = fields.entry(field).or_insert_with(|| json!([])).as_array_mut() {
        list.insert(0, metric);
    }
}

/// Takes the share of cpu out of a list of metrics.
fn take_percent(object: &mut Value, part: &str, list: &str, source: &str, field: &str) {
    let Some(fields) = fields(object, part) else { return };
    let Some(metrics) = fields.get_mut(list).and_then(Value::as_array_mut) else { return };
    let percent = |metric: &Value| {
        let resource = metric.get("resource")?;
        let is_cpu = resource.get("name")? == "cpu";
        resource.get(source)?.get("averageUtilization").filter(|_| is_cpu).cloned()
    };
    let found = metrics.iter().position(|metric| percent(metric).is_some());
    if let Some(value) = found.map(|index| metrics.remove(index)).as_ref().and_then(percent) {
        fields.insert(field.into(), value);
    }
}
