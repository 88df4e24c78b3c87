//! What the kinds that own pods by a template share.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::labels::{Selector, format_label_selector, validate_label_selector};
use serde_json::Value;

use super::printer::{AGE, CONTAINERS, IMAGES, NAME, SELECTOR, age, column, containers_and_images, name};
use super::validate::{nonnegative, shown};
use crate::registry::core::pod::validation::template_for_replicas;
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

/// What is wrong with the selector and the template of a kind that keeps pods running; `kind` is how
/// messages name it.
pub fn validate_selector_and_template(
    errors: &mut ErrorList,
    path: &Path<'_>,
    selector: &LabelSelector,
    template: &PodTemplateSpec,
    kind: &str,
) {
    let at = path.child("selector");
    let empty = *selector == LabelSelector::default();
    if empty {
        errors.push(Error::required(&at, ""));
    } else {
        errors.extend(validate_label_selector(Some(selector), &at));
        let no_labels = selector.match_labels.as_ref().is_none_or(|labels| labels.is_empty());
        if no_labels && selector.match_expressions.as_ref().is_none_or(|list| list.is_empty()) {
            // A ReplicaSet's message names Deployments, upstream too.
            let named = if kind == "ReplicaSet" { "deployment".into() } else { kind.to_lowercase() };
            let detail = format!("empty selector is invalid for {named}");
            errors.push(Error::invalid(&at, shown(selector), detail));
        }
    }
    let read = if empty { Ok(Selector::nothing()) } else { Selector::from_label_selector(Some(selector)) };
    match read {
        Ok(selector) => {
            errors.extend(template_for_replicas(&path.child("template"), template, &selector, kept_by(kind)))
        }
        Err(_) => errors.push(Error::invalid(&at, shown(selector), "invalid label selector")),
    }
}

/// A Deployment's pods are its ReplicaSets', and messages say so.
fn kept_by(kind: &str) -> &str {
    if kind == "Deployment" { "ReplicaSet" } else { kind }
}

/// What is wrong with counts in a status: name and value.
pub fn validate_counts(errors: &mut ErrorList, path: &Path<'_>, counts: &[(&str, i32)]) {
    for (field, count) in counts {
        nonnegative(errors, &path.child(field), *count);
    }
}

/// No count in a status can be more than there are replicas.
pub fn validate_not_more(errors: &mut ErrorList, path: &Path<'_>, counts: &[(&str, i32)], replicas: i32) {
    for (field, count) in counts {
        if *count > replicas {
            errors.push(Error::invalid(&path.child(field), *count, "cannot be greater than status.replicas"));
        }
    }
}
