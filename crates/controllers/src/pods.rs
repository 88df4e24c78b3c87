//! What controllers ask of pods and of metadata, in upstream's sense (`pkg/api/v1/pod`).

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use machinery::{Kind, Timestamp};

/// The index that files an object under the uid of its controller.
pub const BY_CONTROLLER: &str = "controller";
/// The index that files an object without controller under its namespace.
pub const ORPHANS: &str = "orphans";
/// The index that files a pod under its node.
pub const BY_NODE: &str = "node";

/// [`BY_CONTROLLER`]'s values.
pub fn controller_uid<K: Kind>(object: &K) -> Vec<String> {
    controller_of(object.metadata()).map(|owner| owner.uid.clone()).into_iter().collect()
}

/// [`ORPHANS`]' values.
pub fn orphan_namespace<K: Kind>(object: &K) -> Vec<String> {
    match controller_of(object.metadata()) {
        Some(_) => Vec::new(),
        None => object.metadata().namespace.clone().into_iter().collect(),
    }
}

/// [`BY_NODE`]'s values.
pub fn node_of(pod: &Pod) -> Vec<String> {
    Some(node_name(pod).to_owned()).filter(|name| !name.is_empty()).into_iter().collect()
}

/// The count of pods that have not ended by their controller, how far they are, and their labels.
pub const STATES: &str = "states";

/// [`STATES`]' values: the controller's uid, the state's letter and the labels, with spaces between them. No object
/// has a uid with one in it.
pub fn state_of(pod: &Pod) -> Option<String> {
    let owner = controller_of(&pod.metadata).filter(|owner| !owner.uid.contains(' ') && !is_terminated(pod))?;
    let state = match (is_deleting(pod), is_ready(pod)) {
        (true, _) => TERMINATING,
        (false, true) => READY,
        (false, false) => COMING,
    };
    let mut value = format!("{} {state}", owner.uid);
    for (name, label) in pod.metadata.labels.iter().flatten() {
        value.extend([" ", name, "=", label]);
    }
    Some(value)
}

/// On its way out.
pub const TERMINATING: &str = "t";
/// Active and ready.
pub const READY: &str = "r";
/// Active and not ready.
pub const COMING: &str = "c";

/// State and labels of one of [`STATES`]' values.
pub fn read_state(value: &str) -> (&str, BTreeMap<String, String>) {
    let mut words = value.split(' ').skip(1);
    let state = words.next().unwrap_or_default();
    (state, words.filter_map(|word| word.split_once('=')).map(|(name, label)| (name.into(), label.into())).collect())
}

/// The owner that controls the object.
pub fn controller_of(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// The node a pod is bound to; empty for none.
pub fn node_name(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default()
}

/// The pod's phase; empty before it has one.
pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Whether all the pod's containers have ended for good.
pub fn is_terminated(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

/// Whether the pod counts for the one who controls it: neither ended nor going.
pub fn is_active(pod: &Pod) -> bool {
    !is_terminated(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// A condition of the pod.
pub fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// Whether the pod has `Ready` true.
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

/// Since when the pod's `Ready` condition is what it is.
pub fn ready_since(pod: &Pod) -> Option<Timestamp> {
    condition(pod, "Ready")?.last_transition_time.as_ref().map(|time| time.0)
}

/// Whether the pod has been ready for at least `min_ready_seconds`.
pub fn is_available(pod: &Pod, min_ready_seconds: i32, now: Timestamp) -> bool {
    is_ready(pod) && available_at(pod, min_ready_seconds).is_some_and(|time| time <= now)
}

/// When a ready pod becomes, or became, available.
pub fn available_at(pod: &Pod, min_ready_seconds: i32) -> Option<Timestamp> {
    let seconds = u64::try_from(min_ready_seconds).unwrap_or(0);
    if !is_ready(pod) {
        None
    } else if seconds == 0 {
        Some(Timestamp::MIN)
    } else {
        ready_since(pod)?.checked_add(Duration::from_secs(seconds)).ok()
    }
}

/// Whether an object is on its way out.
pub fn is_deleting<K: Kind>(object: &K) -> bool {
    object.metadata().deletion_timestamp.is_some()
}

/// An object's uid; empty before the server has given it one.
pub fn uid<K: Kind>(object: &K) -> &str {
    object.metadata().uid.as_deref().unwrap_or_default()
}

/// An object's name; empty before it has one.
pub fn name<K: Kind>(object: &K) -> &str {
    object.metadata().name.as_deref().unwrap_or_default()
}

/// An object's namespace; empty for cluster-scoped kinds.
pub fn namespace<K: Kind>(object: &K) -> &str {
    object.metadata().namespace.as_deref().unwrap_or_default()
}

/// An object's annotation.
pub fn annotation<'a, K: Kind>(object: &'a K, name: &str) -> Option<&'a str> {
    object.metadata().annotations.as_ref()?.get(name).map(String::as_str)
}

/// The uid, resourceVersion and so on of two revisions of an object agree: the informer listed anew.
pub fn same_revision<K: Kind>(old: &K, new: &K) -> bool {
    old.metadata().resource_version == new.metadata().resource_version
}
