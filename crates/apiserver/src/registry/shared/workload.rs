//! What the kinds that own pods by a template share.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use machinery::Timestamp;
use machinery::labels::{Selector, format_label_selector};
use serde_json::Value;

use super::printer::{AGE, CONTAINERS, IMAGES, NAME, SELECTOR, age, column, containers_and_images, name};
use crate::registry::info::Column;

/// The columns of kinds that keep a number of replicas and nothing more: ReplicaSet,
/// ReplicationController.
pub const REPLICAS_COLUMNS: &[Column] = &[
    NAME,
    column("Desired", "integer", "How many pods there should be."),
    column("Current", "integer", "How many pods there are."),
    column("Ready", "integer", "How many pods are ready."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

/// The cells under [`REPLICAS_COLUMNS`]; `replicas` are those desired, current and ready.
pub fn replicas_cells(
    metadata: &ObjectMeta,
    now: Timestamp,
    replicas: [i32; 3],
    template: Option<&PodTemplateSpec>,
    selector: Value,
) -> Vec<Value> {
    let [containers, images] = containers_and_images(template);
    let mut cells = vec![name(metadata)];
    cells.extend(replicas.map(Value::from));
    cells.extend([age(metadata, now), containers, images, selector]);
    cells
}

/// A selector as tables show it.
pub fn selector_cell(selector: &LabelSelector) -> Value {
    format_label_selector(Some(selector)).into()
}

/// A selector in its string form, as a Scale's status has it; empty if it cannot be read.
pub fn selector_text(selector: &LabelSelector) -> String {
    Selector::from_label_selector(Some(selector)).map(|selector| selector.to_string()).unwrap_or_default()
}
