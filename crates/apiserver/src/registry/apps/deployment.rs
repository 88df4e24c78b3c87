//! Deployment.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use serde_json::Value;

use crate::registry::core::pod;
use crate::registry::info::Column;
use crate::registry::shared::defaults::{set, text};
use crate::registry::shared::meta::immutable;
use crate::registry::shared::printer::{
    AGE, CONTAINERS, IMAGES, NAME, SELECTOR, age, column, containers_and_images, name,
};
use crate::registry::shared::validate::{at_most_all, count_or_percent, nonnegative, percent, shown};
use crate::registry::shared::workload::{
    selector_cell, selector_text, validate_counts, validate_not_more, validate_selector_and_template,
};
use crate::registry::strategy::{ScaleFns, ScaleView, Typed, parts};

/// Deployment's strategy.
pub static STRATEGY: Typed<Deployment> = Typed {
    generation: true,
    defaults,
    validate,
    validate_update,
    prepare_status_update: |new, old| new.metadata.labels.clone_from(&old.metadata.labels),
    validate_status,
    warnings: |new, old| pod::warnings::template(&new.spec.template, old.map(|old| &old.spec.template)),
    columns: COLUMNS,
    cells,
    scale: Some(ScaleFns { view: scale, set: |deployment, replicas| deployment.spec.replicas = Some(replicas) }),
    ..Typed::new(parts!(Deployment: spec; status))
};

fn defaults(deployment: &mut Deployment) {
    let spec = &mut deployment.spec;
    set(&mut spec.replicas, 1);
    set(&mut spec.revision_history_limit, 10);
    set(&mut spec.progress_deadline_seconds, 600);
    let strategy = spec.strategy.get_or_insert_default();
    text(&mut strategy.type_, "RollingUpdate");
    if strategy.type_.as_deref() == Some("RollingUpdate") {
        let rolling = strategy.rolling_update.get_or_insert_default();
        set(&mut rolling.max_unavailable, IntOrString::String("25%".into()));
        set(&mut rolling.max_surge, IntOrString::String("25%".into()));
    }
    pod::defaults::pod_template(&mut spec.template);
}

fn scale(deployment: &Deployment) -> ScaleView {
    let status = deployment.status.as_ref();
    ScaleView {
        spec_replicas: deployment.spec.replicas.unwrap_or_default(),
        status_replicas: status.and_then(|status| status.replicas).unwrap_or_default(),
        selector: selector_text(&deployment.spec.selector),
    }
}

const COLUMNS: &[Column] = &[
    NAME,
    column("Ready", "string", "Pods that are ready, of those desired."),
    column("Up-to-date", "string", "Pods that have the current template."),
    column("Available", "string", "Pods that have been ready for minReadySeconds."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

fn cells(deployment: &Deployment, now: Timestamp) -> Vec<Value> {
    let status = deployment.status.clone().unwrap_or_default();
    let spec = &deployment.spec;
    let desired = spec.replicas.unwrap_or_default();
    let [containers, images] = containers_and_images(Some(&spec.template));
    vec![
        name(&deployment.metadata),
        format!("{}/{desired}", status.ready_replicas.unwrap_or_default()).into(),
        status.updated_replicas.unwrap_or_default().into(),
        status.available_replicas.unwrap_or_default().into(),
        age(&deployment.metadata, now),
        containers,
        images,
        selector_cell(&spec.selector),
    ]
}

fn validate(deployment: &Deployment) -> ErrorList {
    let path = Path::new("spec");
    let spec = &deployment.spec;
    let mut errors = ErrorList::new();
    nonnegative(&mut errors, &path.child("replicas"), spec.replicas.unwrap_or_default());
    validate_selector_and_template(&mut errors, &path, &spec.selector, &spec.template, "Deployment");
    strategy(&mut errors, &path.child("strategy"), spec);
    let min_ready = spec.min_ready_seconds.unwrap_or_default();
    nonnegative(&mut errors, &path.child("minReadySeconds"), min_ready);
    nonnegative(&mut errors, &path.child("revisionHistoryLimit"), spec.revision_history_limit.unwrap_or_default());
    if let Some(seconds) = spec.progress_deadline_seconds {
        let at = path.child("progressDeadlineSeconds");
        nonnegative(&mut errors, &at, seconds);
        if seconds <= min_ready {
            errors.push(Error::invalid(&at, seconds, "must be greater than minReadySeconds"));
        }
    }
    errors
}

fn strategy(errors: &mut ErrorList, path: &Path<'_>, spec: &DeploymentSpec) {
    let strategy = spec.strategy.clone().unwrap_or_default();
    let at = path.child("rollingUpdate");
    match (strategy.type_.as_deref().unwrap_or_default(), &strategy.rolling_update) {
        ("Recreate", Some(_)) => {
            errors.push(Error::forbidden(&at, "may not be specified when strategy `type` is 'Recreate'"));
        }
        ("Recreate", None) => {}
        ("RollingUpdate", None) => errors.push(Error::required(&at, "this should be defaulted and never be nil")),
        ("RollingUpdate", Some(rolling)) => {
            let zero = IntOrString::Int(0);
            let unavailable = rolling.max_unavailable.as_ref().unwrap_or(&zero);
            let surge = rolling.max_surge.as_ref().unwrap_or(&zero);
            count_or_percent(errors, &at.child("maxUnavailable"), unavailable);
            count_or_percent(errors, &at.child("maxSurge"), surge);
            if is_zero(unavailable) && is_zero(surge) {
                let detail = "may not be 0 when `maxSurge` is 0";
                errors.push(Error::invalid(&at.child("maxUnavailable"), shown(unavailable), detail));
            }
            at_most_all(errors, &at.child("maxUnavailable"), unavailable);
        }
        (other, _) => {
            errors.push(Error::not_supported(&path.child("type"), other, &["Recreate", "RollingUpdate"]));
        }
    }
}

fn is_zero(value: &IntOrString) -> bool {
    *value == IntOrString::Int(0) || percent(value) == Some(0)
}

fn validate_update(new: &Deployment, old: &Deployment) -> ErrorList {
    let mut errors = validate(new);
    errors.extend(immutable(&new.spec.selector, &old.spec.selector, &Path::new("spec.selector")));
    errors
}

fn validate_status(new: &Deployment, old: &Deployment) -> ErrorList {
    let path = Path::new("status");
    let mut errors = ErrorList::new();
    let (new, old) = (new.status.clone().unwrap_or_default(), old.status.clone().unwrap_or_default());
    let (replicas, ready) = (new.replicas.unwrap_or_default(), new.ready_replicas.unwrap_or_default());
    let available = new.available_replicas.unwrap_or_default();
    let counts = [
        ("updatedReplicas", new.updated_replicas.unwrap_or_default()),
        ("readyReplicas", ready),
        ("availableReplicas", available),
    ];
    nonnegative(&mut errors, &path.child("observedGeneration"), new.observed_generation.unwrap_or_default());
    nonnegative(&mut errors, &path.child("replicas"), replicas);
    validate_counts(&mut errors, &path, &counts);
    nonnegative(&mut errors, &path.child("unavailableReplicas"), new.unavailable_replicas.unwrap_or_default());
    validate_not_more(&mut errors, &path, &counts, replicas);
    if available > ready {
        errors.push(Error::invalid(
            &path.child("availableReplicas"),
            available,
            "cannot be greater than readyReplicas",
        ));
    }
    if let Some(old) = old.collision_count {
        let collisions = new.collision_count.unwrap_or_default();
        if collisions < old {
            errors.push(Error::invalid(&path.child("collisionCount"), collisions, "cannot be decremented"));
        }
    }
    errors
}
