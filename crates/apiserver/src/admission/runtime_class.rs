//! RuntimeClass: what running a pod in its class costs, and where it can run
//! (`plugin/pkg/admission/runtimeclass`).

use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::api::node::v1::{RuntimeClass, Scheduling};
use machinery::{Object, go};

use super::{Operation, refused};
use crate::call::{Call, Result};
use crate::storage;

/// Completes a new pod.
pub(super) fn admit(call: &Call, operation: Operation, object: &mut dyn Object, _: Option<&dyn Object>) -> Result<()> {
    let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() else { return Ok(()) };
    if operation != Operation::Create {
        return Ok(());
    }
    let spec = pod.spec.get_or_insert_default();
    let name = spec.runtime_class_name.clone().unwrap_or_default();
    let class = if name.is_empty() {
        None
    } else {
        let class = storage::find::<RuntimeClass>(call, ("node.k8s.io", "runtimeclasses"), "", &name);
        if class.is_none() {
            return refused(call, pod, format!("pod rejected: RuntimeClass {} not found", go::quote(&name)));
        }
        class
    };
    let overhead = class.as_ref().and_then(|class| class.overhead.as_ref()?.pod_fixed.clone());
    let given = spec.overhead.as_ref().filter(|overhead| !overhead.is_empty());
    let refusal = match (&overhead, given) {
        (None, Some(_)) => Some("pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"),
        (Some(overhead), Some(given)) if overhead != given => {
            Some("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
        }
        _ => None,
    };
    if let Some(refusal) = refusal {
        return refused(call, pod, refusal);
    }
    if overhead.is_some() {
        spec.overhead = overhead;
    }
    let scheduling = class.as_ref().and_then(|class| class.scheduling.as_ref());
    match scheduling.map(|scheduling| place(spec, scheduling)) {
        Some(Err(conflict)) => refused(call, pod, conflict),
        _ => Ok(()),
    }
}

/// Adds the class's node selector and tolerations to the pod's.
fn place(spec: &mut PodSpec, scheduling: &Scheduling) -> std::result::Result<(), String> {
    for (key, value) in scheduling.node_selector.iter().flatten() {
        let selector = spec.node_selector.get_or_insert_default();
        if let Some(given) = selector.get(key).filter(|given| *given != value) {
            return Err(format!(
                "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {given}"
            ));
        }
        selector.insert(key.clone(), value.clone());
    }
    for toleration in scheduling.tolerations.iter().flatten() {
        let tolerations = spec.tolerations.get_or_insert_default();
        if !tolerations.contains(toleration) {
            tolerations.push(toleration.clone());
        }
    }
    Ok(())
}
