//! ReplicaSet.

use k8s_openapi::api::apps::v1::ReplicaSet;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use serde_json::Value;

use crate::registry::core::pod;
use crate::registry::shared::defaults::set;
use crate::registry::shared::meta::immutable;
use crate::registry::shared::validate::nonnegative;
use crate::registry::shared::workload::{
    REPLICAS_COLUMNS, replicas_cells, selector_cell, selector_text, validate_counts, validate_not_more,
    validate_selector_and_template,
};
use crate::registry::strategy::{Field, ScaleFns, ScaleView, Typed, parts};

/// ReplicaSet's strategy.
pub static STRATEGY: Typed<ReplicaSet> = Typed {
    generation: true,
    defaults,
    validate,
    validate_update,
    validate_status,
    fields: &[Field {
        name: "status.replicas",
        get: |set| set.status.as_ref().map(|status| status.replicas).unwrap_or_default().to_string(),
    }],
    columns: REPLICAS_COLUMNS,
    cells,
    scale: Some(ScaleFns { view: scale, set: |set, replicas| set.spec.replicas = Some(replicas) }),
    ..Typed::new(parts!(ReplicaSet: spec; status))
};

fn defaults(replica_set: &mut ReplicaSet) {
    let spec = &mut replica_set.spec;
    set(&mut spec.replicas, 1);
    pod::defaults::pod_template(spec.template.get_or_insert_default());
}

fn scale(set: &ReplicaSet) -> ScaleView {
    ScaleView {
        spec_replicas: set.spec.replicas.unwrap_or_default(),
        status_replicas: set.status.as_ref().map(|status| status.replicas).unwrap_or_default(),
        selector: selector_text(&set.spec.selector),
    }
}

fn cells(set: &ReplicaSet, now: Timestamp) -> Vec<Value> {
    let spec = &set.spec;
    let status = set.status.clone().unwrap_or_default();
    let replicas = [spec.replicas.unwrap_or_default(), status.replicas, status.ready_replicas.unwrap_or_default()];
    replicas_cells(&set.metadata, now, replicas, spec.template.as_ref(), selector_cell(&spec.selector))
}

fn validate(set: &ReplicaSet) -> ErrorList {
    let path = Path::new("spec");
    let spec = &set.spec;
    let mut errors = ErrorList::new();
    nonnegative(&mut errors, &path.child("replicas"), spec.replicas.unwrap_or_default());
    nonnegative(&mut errors, &path.child("minReadySeconds"), spec.min_ready_seconds.unwrap_or_default());
    let template = spec.template.clone().unwrap_or_default();
    validate_selector_and_template(&mut errors, &path, &spec.selector, &template, "ReplicaSet");
    errors
}

fn validate_update(new: &ReplicaSet, old: &ReplicaSet) -> ErrorList {
    let mut errors = validate(new);
    errors.extend(immutable(&new.spec.selector, &old.spec.selector, &Path::new("spec.selector")));
    errors
}

fn validate_status(new: &ReplicaSet, _old: &ReplicaSet) -> ErrorList {
    let path = Path::new("status");
    let mut errors = ErrorList::new();
    let status = new.status.clone().unwrap_or_default();
    let (ready, available) = (status.ready_replicas.unwrap_or_default(), status.available_replicas.unwrap_or_default());
    let counts = [
        ("fullyLabeledReplicas", status.fully_labeled_replicas.unwrap_or_default()),
        ("readyReplicas", ready),
        ("availableReplicas", available),
    ];
    nonnegative(&mut errors, &path.child("replicas"), status.replicas);
    validate_counts(&mut errors, &path, &counts);
    nonnegative(&mut errors, &path.child("observedGeneration"), status.observed_generation.unwrap_or_default());
    validate_not_more(&mut errors, &path, &counts, status.replicas);
    if available > ready {
        errors.push(Error::invalid(
            &path.child("availableReplicas"),
            available,
            "cannot be greater than readyReplicas",
        ));
    }
    errors
}
