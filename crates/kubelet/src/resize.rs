//! In-place resize: CPU and memory of running containers change (KEP-1287).

use k8s_openapi::api::core::v1::{Container as Spec, Pod, ResourceRequirements};
use machinery::time::after;

use crate::admit;
use crate::container::Step;
use crate::qos;
use crate::runtime::{Operation, Outcome, RuntimeError};
use crate::spec;
use crate::tickets::Purpose;
use crate::worker::{Node, Worker};

/// How long to wait before a resize that did not fit is tried again.
const RETRY: std::time::Duration = std::time::Duration::from_secs(10);
const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// A resize that is not done: a condition of the pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resize {
    /// `PodResizePending`: the node has no room, now (`Deferred`) or ever (`Infeasible`).
    Pending {
        /// Reason.
        reason: &'static str,
        /// Message.
        message: String,
    },
    /// `PodResizeInProgress`.
    InProgress,
}

impl Worker {
    /// Whether the pod asks for other resources than its containers were granted.
    pub fn wants_resize(&self) -> bool {
        self.resize.is_some() || self.unlike().next().is_some()
    }

    /// Running containers whose spec asks for what they were not granted.
    fn unlike(&self) -> impl Iterator<Item = &Spec> {
        let running = |spec: &&Spec| {
            let container = self.containers.get(&spec.name).filter(|container| container.is_running());
            let granted = container.and_then(|container| container.resources.as_ref());
            granted.is_some_and(|resources| differs(&resources.granted, spec))
        };
        spec::containers(&self.pod).iter().filter(running)
    }

    /// Grants what fits, and has the runtime bring it in force.
    pub(crate) fn sync_resize(&mut self, node: &mut Node<'_>) {
        let changed: Vec<Spec> = self.unlike().cloned().collect();
        if changed.is_empty() {
            if matches!(self.resize, Some(Resize::Pending { .. })) {
                self.resize = None;
            }
            return;
        }
        if let Some((reason, message)) = self.no_room(node) {
            let pending = Resize::Pending { reason, message: message.clone() };
            if self.resize.as_ref() != Some(&pending) {
                self.event(
                    node,
                    true,
                    if reason == "Deferred" { "ResizeDeferred" } else { "ResizeInfeasible" },
                    message,
                );
                self.resize = Some(pending);
            }
            return node.wake_at(after(node.now, RETRY));
        }
        self.resize = Some(Resize::InProgress);
        self.event(node, false, "ResizeStarted", format!("Pod resize started: {}", summary(&self.pod)));
        for spec in changed {
            let granted = spec.resources.clone().unwrap_or_default();
            let restart = needs_restart(
                &spec,
                self.containers.get(&spec.name).and_then(|c| c.resources.as_ref()).map(|r| &r.granted),
            );
            let Some(container) = self.containers.get_mut(&spec.name) else { continue };
            if let Some(resources) = &mut container.resources {
                resources.granted = granted;
            }
            let Some(container_id) = container.current.as_ref().map(|run| run.id.clone()) else { continue };
            if restart && container.step == Step::Idle && container.kill.is_none() {
                let deadline = after(node.now, spec::grace(&self.pod));
                let message = format!("Container {} resize requires restart", spec.name);
                self.kill(node, &spec, deadline, message);
            } else {
                let resources = qos::linux(&self.pod, &spec, node.config.memory_bytes());
                let purpose = Purpose::Resize { name: spec.name.clone() };
                self.submit(node, purpose, Operation::UpdateContainer { container_id, resources });
            }
        }
    }

    /// Why the pod's requests do not fit on the node.
    fn no_room(&self, node: &Node<'_>) -> Option<(&'static str, String)> {
        for (resource, used) in RESOURCES.into_iter().zip(node.used) {
            let requested = admit::request(&self.pod, resource);
            let capacity =
                node.config.allocatable().get(resource).map_or(0, |quantity| qos::amount(quantity, resource));
            if requested > capacity {
                let message = format!(
                    "Node didn't have enough capacity: {resource}, requested: {requested}, capacity: {capacity}"
                );
                return Some(("Infeasible", message));
            }
            if requested + used > capacity {
                let message = format!(
                    "Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
                );
                return Some(("Deferred", message));
            }
        }
        None
    }

    /// The runtime has changed a container's limits, or could not.
    pub(crate) fn resized(&mut self, node: &mut Node<'_>, name: &str, result: Result<Outcome, RuntimeError>) {
        let Some(resources) = self.containers.get_mut(name).and_then(|container| container.resources.as_mut()) else {
            return;
        };
        match result {
            Ok(_) => resources.actual = resources.granted.clone(),
            Err(error) => {
                // Granted again at the next look.
                resources.granted = resources.actual.clone();
                self.event(node, true, "ResizeError", error.message);
                return node.wake_at(after(node.now, RETRY));
            }
        }
        self.check_resized(node);
    }

    /// Notes the end of a resize once every container has what it was granted.
    pub(crate) fn check_resized(&mut self, node: &mut Node<'_>) {
        let mut all = self.containers.values().filter_map(|container| container.resources.as_ref());
        if self.resize == Some(Resize::InProgress) && all.all(|resources| resources.granted == resources.actual) {
            self.resize = None;
            self.event(node, false, "ResizeCompleted", format!("Pod resize completed: {}", summary(&self.pod)));
        }
    }
}

fn differs(granted: &ResourceRequirements, spec: &Spec) -> bool {
    changed(granted, spec).next().is_some()
}

/// The resources of a container that its spec has otherwise than it was granted.
fn changed(granted: &ResourceRequirements, spec: &Spec) -> impl Iterator<Item = &'static str> {
    let as_granted = Spec { resources: Some(granted.clone()), ..Spec::default() };
    let of = |spec: &Spec, resource| (qos::request(spec, resource), qos::limit(spec, resource));
    let differing: Vec<&str> =
        RESOURCES.into_iter().filter(|resource| of(&as_granted, resource) != of(spec, resource)).collect();
    differing.into_iter()
}

/// Whether a changed resource has the policy `RestartContainer`.
fn needs_restart(spec: &Spec, granted: Option<&ResourceRequirements>) -> bool {
    let Some(granted) = granted else { return false };
    let policies = spec.resize_policy.as_deref().unwrap_or_default();
    changed(granted, spec).any(|resource| {
        policies.iter().any(|policy| policy.resource_name == resource && policy.restart_policy == "RestartContainer")
    })
}

/// What was asked for, as the events tell it.
fn summary(pod: &Pod) -> String {
    let containers = spec::containers(pod).iter();
    let containers: Vec<_> =
        containers.map(|spec| serde_json::json!({"name": spec.name, "resources": spec.resources})).collect();
    serde_json::json!({"containers": containers, "generation": pod.metadata.generation}).to_string()
}
