//! ReplicationController.

use k8s_openapi::api::core::v1::{ReplicationController, ReplicationControllerSpec};
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::labels::{Selector, validate_labels};
use serde_json::Value;

use super::pod;
use crate::registry::shared::defaults::set;
use crate::registry::shared::printer::format_labels;
use crate::registry::shared::validate::nonnegative;
use crate::registry::shared::workload::{REPLICAS_COLUMNS, replicas_cells};
use crate::registry::strategy::{Field, Propagation, ScaleFns, ScaleView, Typed, parts};

/// ReplicationController's strategy.
pub static STRATEGY: Typed<ReplicationController> = Typed {
    generation: true,
    defaults,
    validate,
    validate_update: |new, _| validate(new),
    fields: &[Field { name: "status.replicas", get: |controller| current(controller).to_string() }],
    columns: REPLICAS_COLUMNS,
    cells,
    scale: Some(ScaleFns { view: scale, set: |controller, replicas| spec(controller).replicas = Some(replicas) }),
    propagation: Propagation::Orphan,
    ..Typed::new(parts!(ReplicationController: spec; status))
};

fn spec(controller: &mut ReplicationController) -> &mut ReplicationControllerSpec {
    controller.spec.get_or_insert_default()
}

fn current(controller: &ReplicationController) -> i32 {
    controller.status.as_ref().map(|status| status.replicas).unwrap_or_default()
}

/// Selector and labels are the template's labels where absent.
fn defaults(controller: &mut ReplicationController) {
    let spec = controller.spec.get_or_insert_default();
    let labels = spec.template.as_ref().and_then(|template| template.metadata.as_ref()?.labels.clone());
    if let Some(labels) = labels.filter(|labels| !labels.is_empty()) {
        if spec.selector.as_ref().is_none_or(|selector| selector.is_empty()) {
            spec.selector = Some(labels.clone());
        }
        if controller.metadata.labels.as_ref().is_none_or(|own| own.is_empty()) {
            controller.metadata.labels = Some(labels);
        }
    }
    set(&mut spec.replicas, 1);
    pod::defaults::pod_template(spec.template.get_or_insert_default());
}

fn scale(controller: &ReplicationController) -> ScaleView {
    let spec = controller.spec.as_ref();
    let selector = spec.and_then(|spec| spec.selector.as_ref()).map(Selector::from_set);
    ScaleView {
        spec_replicas: spec.and_then(|spec| spec.replicas).unwrap_or_default(),
        status_replicas: current(controller),
        selector: selector.map(|selector| selector.to_string()).unwrap_or_default(),
    }
}

fn cells(controller: &ReplicationController, now: Timestamp) -> Vec<Value> {
    let spec = controller.spec.clone().unwrap_or_default();
    let status = controller.status.clone().unwrap_or_default();
    let replicas = [spec.replicas.unwrap_or_default(), status.replicas, status.ready_replicas.unwrap_or_default()];
    let selector = format_labels(spec.selector.as_ref());
    replicas_cells(&controller.metadata, now, replicas, spec.template.as_ref(), selector)
}

fn validate(controller: &ReplicationController) -> ErrorList {
    let path = Path::new("spec");
    let spec = controller.spec.clone().unwrap_or_default();
    let mut errors = ErrorList::new();
    nonnegative(&mut errors, &path.child("minReadySeconds"), spec.min_ready_seconds.unwrap_or_default());
    let selector = spec.selector.unwrap_or_default();
    errors.extend(validate_labels(Some(&selector), &path.child("selector")));
    if selector.is_empty() {
        errors.push(Error::required(&path.child("selector"), ""));
    }
    nonnegative(&mut errors, &path.child("replicas"), spec.replicas.unwrap_or_default());
    let at = path.child("template");
    match &spec.template {
        None => errors.push(Error::required(&at, "")),
        Some(template) => {
            let selector = Selector::from_set(&selector);
            errors.extend(pod::validation::template_for_replicas(&at, template, &selector, "ReplicationController"));
        }
    }
    errors
}
