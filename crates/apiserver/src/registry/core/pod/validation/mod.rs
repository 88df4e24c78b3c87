//! What is wrong with pods and pod templates (upstream's `pkg/apis/core/validation/validation.go`).

mod affinity;
mod container;
mod env;
mod mount;
mod probe;
mod security;
mod spec;
mod update;
mod volume;

use k8s_openapi::api::core::v1::{Pod, PodSpec, PodTemplateSpec};
use machinery::field::{Error, ErrorList, Path};
use machinery::labels::{Selector, validate_labels};

pub use self::spec::taint_effect;
pub use self::update::{ephemeral_containers_update, pod_status_update, pod_update, resize_update};
use crate::registry::shared::meta::validate_annotations;
use crate::registry::shared::validate::shown;

/// What is wrong with a new pod.
pub fn pod(pod: &Pod) -> ErrorList {
    let none = PodSpec::default();
    let path = Path::new("spec");
    let spec = pod.spec.as_ref().unwrap_or(&none);
    let mut errors = spec::pod_spec(&path, spec);
    for (field, containers) in
        [("containers", Some(&spec.containers)), ("initContainers", spec.init_containers.as_ref())]
    {
        let list = path.child(field);
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let image = container.image.as_deref().unwrap_or_default();
            if image.trim() != image {
                let at = list.index(index);
                let detail = "must not have leading or trailing whitespace";
                errors.push(Error::invalid(&at.child("image"), image, detail));
            }
        }
    }
    if spec.ephemeral_containers.iter().flatten().next().is_some() {
        errors.push(Error::forbidden(&path.child("ephemeralContainers"), "cannot be set on create"));
    }
    let bound = spec.node_name.as_deref().is_some_and(|name| !name.is_empty());
    if bound && spec.scheduling_gates.iter().flatten().next().is_some() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.push(Error::forbidden(&path.child("nodeName"), detail));
    }
    errors
}

/// What is wrong with a template of pods.
pub fn template(path: &Path<'_>, template: &PodTemplateSpec) -> ErrorList {
    let mut errors = template_metadata(path, template);
    let none = PodSpec::default();
    let spec = template.spec.as_ref().unwrap_or(&none);
    errors.extend(spec::pod_spec(&path.child("spec"), spec));
    if spec.ephemeral_containers.iter().flatten().next().is_some() {
        let detail = "ephemeral containers not allowed in pod template";
        errors.push(Error::forbidden(&path.child("spec.ephemeralContainers"), detail));
    }
    errors
}

/// What is wrong with the template of a kind that keeps pods running: its labels are not what the kind
/// selects, or its pods would end. `kind` is named in messages.
///
/// The claims of a StatefulSet are volumes of its pods that its template does not have, so upstream
/// leaves what is inside the pods to the pods themselves.
pub fn template_for_replicas(
    path: &Path<'_>,
    template: &PodTemplateSpec,
    selector: &Selector,
    kind: &str,
) -> ErrorList {
    let mut errors = template_matches(path, template, selector);
    if kind == "StatefulSet" {
        errors.extend(template_metadata(path, template));
    } else {
        errors.extend(self::template(path, template));
    }
    let spec = path.child("spec");
    let pod = template.spec.as_ref();
    let policy = pod.and_then(|pod| pod.restart_policy.as_deref()).unwrap_or_default();
    if policy != "Always" {
        errors.push(Error::not_supported(&spec.child("restartPolicy"), policy, &["Always"]));
    }
    if pod.is_some_and(|pod| pod.active_deadline_seconds.is_some()) {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        errors.push(Error::forbidden(&spec.child("activeDeadlineSeconds"), detail));
    }
    errors
}

fn template_metadata(path: &Path<'_>, template: &PodTemplateSpec) -> ErrorList {
    let metadata = template.metadata.as_ref();
    let mut errors = validate_labels(metadata.and_then(|metadata| metadata.labels.as_ref()), &path.child("labels"));
    let annotations = metadata.and_then(|metadata| metadata.annotations.as_ref());
    errors.extend(validate_annotations(annotations, &path.child("annotations")));
    errors
}

/// A selector that selects something must select the template's pods.
fn template_matches(path: &Path<'_>, template: &PodTemplateSpec, selector: &Selector) -> ErrorList {
    let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
    if selector.is_everything() || selector.matches(labels) {
        return ErrorList::new();
    }
    let detail = "`selector` does not match template `labels`";
    vec![Error::invalid(&path.child("metadata.labels"), shown(&labels), detail)]
}
