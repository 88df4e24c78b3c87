//! Deployment.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::core::pod;
use crate::registry::info::Column;
use crate::registry::shared::defaults::{set, text};
use crate::registry::shared::printer::{
    AGE, CONTAINERS, IMAGES, NAME, SELECTOR, age, column, containers_and_images, name,
};
use crate::registry::shared::workload::{selector_cell, selector_text};
use crate::registry::strategy::{ScaleFns, ScaleView, Typed, parts};

/// Deployment's strategy.
pub static STRATEGY: Typed<Deployment> = Typed {
    generation: true,
    defaults,
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
