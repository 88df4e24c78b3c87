//! DaemonSet.

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use serde_json::Value;

use crate::registry::core::pod;
use crate::registry::info::Column;
use crate::registry::shared::defaults::{set, text};
use crate::registry::shared::meta::immutable;
use crate::registry::shared::printer::{
    AGE, CONTAINERS, IMAGES, NAME, SELECTOR, age, column, containers_and_images, format_labels, name,
};
use crate::registry::shared::validate::{at_most_all, count_or_percent, nonnegative, percent, shown};
use crate::registry::shared::workload::{selector_cell, validate_counts, validate_selector_and_template};
use crate::registry::strategy::{Typed, parts};

/// DaemonSet's strategy.
pub static STRATEGY: Typed<DaemonSet> = Typed {
    generation: true,
    defaults,
    validate,
    validate_update,
    validate_status,
    warnings: |new, old| pod::warnings::template(&new.spec.template, old.map(|old| &old.spec.template)),
    columns: COLUMNS,
    cells,
    ..Typed::new(parts!(DaemonSet: spec; status))
};

fn defaults(daemon_set: &mut DaemonSet) {
    let spec = &mut daemon_set.spec;
    let strategy = spec.update_strategy.get_or_insert_default();
    text(&mut strategy.type_, "RollingUpdate");
    if strategy.type_.as_deref() == Some("RollingUpdate") {
        let rolling = strategy.rolling_update.get_or_insert_default();
        set(&mut rolling.max_unavailable, IntOrString::Int(1));
        set(&mut rolling.max_surge, IntOrString::Int(0));
    }
    set(&mut spec.revision_history_limit, 10);
    pod::defaults::pod_template(&mut spec.template);
}

const COLUMNS: &[Column] = &[
    NAME,
    column("Desired", "integer", "Nodes that should run the pod."),
    column("Current", "integer", "Nodes that should run the pod and do."),
    column("Ready", "integer", "Nodes where the pod is ready."),
    column("Up-to-date", "integer", "Nodes where the pod has the current template."),
    column("Available", "integer", "Nodes where the pod has been ready for minReadySeconds."),
    column("Node Selector", "string", "Which nodes should run the pod."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

fn cells(set: &DaemonSet, now: Timestamp) -> Vec<Value> {
    let status = set.status.clone().unwrap_or_default();
    let spec = &set.spec;
    let node_selector = spec.template.spec.as_ref().and_then(|spec| spec.node_selector.as_ref());
    let [containers, images] = containers_and_images(Some(&spec.template));
    vec![
        name(&set.metadata),
        status.desired_number_scheduled.into(),
        status.current_number_scheduled.into(),
        status.number_ready.into(),
        status.updated_number_scheduled.unwrap_or_default().into(),
        status.number_available.unwrap_or_default().into(),
        format_labels(node_selector),
        age(&set.metadata, now),
        containers,
        images,
        selector_cell(&spec.selector),
    ]
}

fn validate(set: &DaemonSet) -> ErrorList {
    let path = Path::new("spec");
    let spec = &set.spec;
    let mut errors = ErrorList::new();
    validate_selector_and_template(&mut errors, &path, &spec.selector, &spec.template, "DaemonSet");
    nonnegative(&mut errors, &path.child("minReadySeconds"), spec.min_ready_seconds.unwrap_or_default());
    update_strategy(&mut errors, &path.child("updateStrategy"), spec);
    nonnegative(&mut errors, &path.child("revisionHistoryLimit"), spec.revision_history_limit.unwrap_or_default());
    errors
}

fn update_strategy(errors: &mut ErrorList, path: &Path<'_>, spec: &DaemonSetSpec) {
    let strategy = spec.update_strategy.clone().unwrap_or_default();
    let at = path.child("rollingUpdate");
    match (strategy.type_.as_deref().unwrap_or_default(), &strategy.rolling_update) {
        ("OnDelete", _) => {}
        ("RollingUpdate", None) => errors.push(Error::required(&at, "")),
        ("RollingUpdate", Some(rolling)) => {
            let zero = IntOrString::Int(0);
            let unavailable = rolling.max_unavailable.as_ref().unwrap_or(&zero);
            let surge = rolling.max_surge.as_ref().unwrap_or(&zero);
            let is_zero = |value: &IntOrString| *value == zero || percent(value) == Some(0);
            count_or_percent(errors, &at.child("maxUnavailable"), unavailable);
            at_most_all(errors, &at.child("maxUnavailable"), unavailable);
            count_or_percent(errors, &at.child("maxSurge"), surge);
            at_most_all(errors, &at.child("maxSurge"), surge);
            match (is_zero(unavailable), is_zero(surge)) {
                (false, false) => {
                    let detail = "may not be set when maxUnavailable is non-zero";
                    errors.push(Error::invalid(&at.child("maxSurge"), shown(surge), detail));
                }
                (true, true) => {
                    errors.push(Error::required(&at.child("maxUnavailable"), "cannot be 0 when maxSurge is 0"));
                }
                _ => {}
            }
        }
        (other, _) => {
            errors.push(Error::not_supported(&path.child("type"), other, &["RollingUpdate", "OnDelete"]));
        }
    }
}

fn validate_update(new: &DaemonSet, old: &DaemonSet) -> ErrorList {
    let mut errors = validate(new);
    errors.extend(immutable(&new.spec.selector, &old.spec.selector, &Path::new("spec.selector")));
    errors
}

fn validate_status(new: &DaemonSet, _old: &DaemonSet) -> ErrorList {
    let mut errors = ErrorList::new();
    let status = new.status.clone().unwrap_or_default();
    let counts = [
        ("currentNumberScheduled", status.current_number_scheduled),
        ("numberMisscheduled", status.number_misscheduled),
        ("desiredNumberScheduled", status.desired_number_scheduled),
        ("numberReady", status.number_ready),
        ("updatedNumberScheduled", status.updated_number_scheduled.unwrap_or_default()),
        ("numberAvailable", status.number_available.unwrap_or_default()),
        ("numberUnavailable", status.number_unavailable.unwrap_or_default()),
    ];
    validate_counts(&mut errors, &Path::new("status"), &counts);
    errors
}
