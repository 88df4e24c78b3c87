//! What may change of a pod that exists.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, Toleration};
use machinery::field::{Error, ErrorList, Path};
use machinery::names::{is_dns1123_subdomain, range_message};
use machinery::sort::Order;
use serde_json::Value;

use super::spec::{pod_spec, tolerations};
use crate::registry::core::pod::qos_class;
use crate::registry::shared::meta::IMMUTABLE;
use crate::registry::shared::validate::{optional, same, shown};

const UPDATABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),\
`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

fn spec(pod: &Pod) -> PodSpec {
    pod.spec.clone().unwrap_or_default()
}

/// What is wrong with an update of a pod: images, deadline, more tolerations and fewer gates may
/// change, nothing else.
pub fn pod_update(new: &Pod, old: &Pod) -> ErrorList {
    let path = Path::new("spec");
    let (new, old) = (spec(new), spec(old));
    let mut errors = ErrorList::new();
    for (field, new, old) in [
        ("containers", Some(&new.containers), Some(&old.containers)),
        ("initContainers", new.init_containers.as_ref(), old.init_containers.as_ref()),
    ] {
        let (new, old) = (new.map_or(&[][..], Vec::as_slice), old.map_or(&[][..], Vec::as_slice));
        images(&mut errors, &path.child(field), new, old);
        if new.len() != old.len() {
            return errors;
        }
    }
    active_deadline(&mut errors, &path.child("activeDeadlineSeconds"), &new, &old);
    added_tolerations(&mut errors, &path.child("tolerations"), &new, &old);
    removed_gates(&mut errors, &path.child("schedulingGates"), &new, &old);
    let mut allowed = new.clone();
    allow(&mut allowed, &old);
    if old.scheduling_gates.iter().flatten().next().is_some() {
        allow_gated(&mut allowed, &new, &old);
    }
    if !same(&allowed, &old) {
        errors.push(Error::forbidden(&path, format!("{UPDATABLE}\n{}", difference(&allowed, &old))));
    }
    errors
}

fn images(errors: &mut ErrorList, path: &Path<'_>, new: &[Container], old: &[Container]) {
    if new.len() != old.len() {
        errors.push(Error::forbidden(path, "pod updates may not add or remove containers"));
        return;
    }
    for (index, container) in new.iter().enumerate() {
        let at = path.index(index);
        let image = container.image.as_deref().unwrap_or_default();
        if image.is_empty() {
            errors.push(Error::required(&at.child("image"), ""));
        } else if image.trim() != image {
            let detail = "must not have leading or trailing whitespace";
            errors.push(Error::invalid(&at.child("image"), image, detail));
        }
    }
}

fn active_deadline(errors: &mut ErrorList, path: &Path<'_>, new: &PodSpec, old: &PodSpec) {
    let max = i64::from(i32::MAX);
    match (new.active_deadline_seconds, old.active_deadline_seconds) {
        (Some(new), _) if !(0..=max).contains(&new) => errors.push(Error::invalid(path, new, range_message(0, max))),
        (Some(new), Some(old)) if old < new => {
            errors.push(Error::invalid(path, new, "must be less than or equal to previous value"));
        }
        (None, Some(_)) => {
            errors.push(Error::invalid(path, Value::Null, "must not update from a positive integer to nil value"));
        }
        _ => {}
    }
}

fn added_tolerations(errors: &mut ErrorList, path: &Path<'_>, new: &PodSpec, old: &PodSpec) {
    let (new, old) = (new.tolerations.as_deref().unwrap_or_default(), old.tolerations.as_deref().unwrap_or_default());
    // How long a taint is borne may change.
    let alike = |a: &Toleration, b: &Toleration| {
        (&a.key, &a.operator, &a.value, &a.effect) == (&b.key, &b.operator, &b.value, &b.effect)
    };
    if !old.iter().all(|old| new.iter().any(|new| alike(new, old))) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(Error::forbidden(path, detail));
        return;
    }
    tolerations(errors, path, Some(new));
}

/// Gates may go, never come.
fn removed_gates(errors: &mut ErrorList, path: &Path<'_>, new: &PodSpec, old: &PodSpec) {
    for (index, gate) in new.scheduling_gates.iter().flatten().enumerate() {
        if !old.scheduling_gates.iter().flatten().any(|had| had.name == gate.name) {
            let at = path.index(index);
            let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", gate.name);
            errors.push(Error::forbidden(&at.child("name"), detail));
        }
    }
}

/// Takes back what may change.
fn allow(spec: &mut PodSpec, old: &PodSpec) {
    for (new, old) in spec.containers.iter_mut().zip(&old.containers) {
        new.image.clone_from(&old.image);
    }
    for (new, old) in spec.init_containers.iter_mut().flatten().zip(old.init_containers.iter().flatten()) {
        new.image.clone_from(&old.image);
    }
    spec.active_deadline_seconds = old.active_deadline_seconds;
    spec.tolerations.clone_from(&old.tolerations);
    // What is wrong with gates has been said.
    spec.scheduling_gates.clone_from(&old.scheduling_gates);
    let was_negative = old.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0);
    if was_negative && spec.termination_grace_period_seconds == Some(1) {
        spec.termination_grace_period_seconds = old.termination_grace_period_seconds;
    }
}

/// While a pod is gated, where it may run may be narrowed.
fn allow_gated(spec: &mut PodSpec, new: &PodSpec, old: &PodSpec) {
    let kept =
        |(key, value): (&String, &String)| new.node_selector.as_ref().is_some_and(|it| it.get(key) == Some(value));
    if old.node_selector.iter().flatten().all(kept) {
        spec.node_selector.clone_from(&old.node_selector);
    }
}

/// Which fields of the spec differ: their old and new values, a line each.
fn difference(new: &PodSpec, old: &PodSpec) -> String {
    let (Value::Object(new), Value::Object(old)) = (shown(new), shown(old)) else { return String::new() };
    let mut fields: Vec<&String> = new.keys().chain(old.keys()).collect();
    fields.order();
    fields.dedup();
    let lines = fields.into_iter().filter(|field| new.get(*field) != old.get(*field)).map(|field| {
        let line = |sign: &str, value: Option<&Value>| {
            value.map(|value| format!("{sign} {field}: {value}\n")).unwrap_or_default()
        };
        format!("{}{}", line("-", old.get(field)), line("+", new.get(field)))
    });
    lines.collect()
}

/// What is wrong with an update of `…/status`.
pub fn pod_status_update(new: &Pod, old: &Pod) -> ErrorList {
    let path = Path::new("status");
    let mut errors = ErrorList::new();
    let (new, old) = (new.status.clone().unwrap_or_default(), old.status.clone().unwrap_or_default());
    let nominated = new.nominated_node_name.as_deref();
    optional(&mut errors, &path.child("nominatedNodeName"), nominated, is_dns1123_subdomain);
    if old.qos_class.is_some() && new.qos_class != old.qos_class {
        errors.push(Error::invalid(&path.child("qosClass"), shown(&new.qos_class), IMMUTABLE));
    }
    errors
}

/// What is wrong with an update of `…/ephemeralcontainers`: containers are added, never changed.
pub fn ephemeral_containers_update(new: &Pod, old: &Pod) -> ErrorList {
    let path = Path::new("spec");
    let (new, old) = (spec(new), spec(old));
    let mut errors = pod_spec(&path, &new);
    let at = path.child("ephemeralContainers");
    for container in old.ephemeral_containers.iter().flatten() {
        match new.ephemeral_containers.iter().flatten().find(|candidate| candidate.name == container.name) {
            None => {
                let detail = format!("existing ephemeral containers {:?} may not be removed\n", container.name);
                errors.push(Error::forbidden(&at, detail));
            }
            Some(changed) if changed != container => {
                let detail = format!("existing ephemeral containers {:?} may not be changed\n", container.name);
                errors.push(Error::forbidden(&at, detail));
            }
            Some(_) => {}
        }
    }
    errors
}

/// What is wrong with an update of `…/resize`: only cpu and memory of containers change.
pub fn resize_update(new: &Pod, old: &Pod) -> ErrorList {
    let path = Path::new("spec");
    let class = old.status.as_ref().and_then(|status| status.qos_class.clone()).unwrap_or_default();
    let (new, old) = (spec(new), spec(old));
    let mut errors = pod_spec(&path, &new);
    if qos_class(Some(&new)) != class {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(Error::invalid(&path, shown(&class), detail));
    }
    let mut allowed = new;
    for (new, old) in allowed.containers.iter_mut().zip(&old.containers) {
        new.resources.clone_from(&old.resources);
        new.resize_policy.clone_from(&old.resize_policy);
    }
    for (new, old) in allowed.init_containers.iter_mut().flatten().zip(old.init_containers.iter().flatten()) {
        new.resources.clone_from(&old.resources);
    }
    allowed.resources.clone_from(&old.resources);
    if !same(&allowed, &old) {
        let detail = "only cpu and memory resources are mutable";
        errors.push(Error::forbidden(&path, format!("{detail}\n{}", difference(&allowed, &old))));
    }
    errors
}
