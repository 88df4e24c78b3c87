//! How `kubectl get pods` sums a pod up (upstream's `printPod`).

use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::printer::{AGE, NAME, age, column, name, or_none, since, wide};

/// The columns of the table of pods.
pub const COLUMNS: &[Column] = &[
    NAME,
    column("Ready", "string", "Containers that are ready, of all."),
    column("Status", "string", "What the pod is doing, summed up."),
    column("Restarts", "string", "How often containers were restarted, and when last."),
    AGE,
    wide("IP", "string", "The pod's address."),
    wide("Node", "string", "The node the pod is bound to."),
    wide("Nominated Node", "string", "The node where pods are being preempted for this one."),
    wide("Readiness Gates", "string", "Conditions that are true, of those the pod's readiness waits for."),
];

/// The cells under [`COLUMNS`].
pub fn cells(pod: &Pod, now: Timestamp) -> Vec<Value> {
    let (no_spec, no_status) = (PodSpec::default(), PodStatus::default());
    let spec = pod.spec.as_ref().unwrap_or(&no_spec);
    let status = pod.status.as_ref().unwrap_or(&no_status);
    let summary = summarize(pod, spec, status);
    let pod_ip = status.pod_ips.iter().flatten().next().map(|ip| ip.ip.as_str()).or(status.pod_ip.as_deref());
    vec![
        name(&pod.metadata),
        format!("{}/{}", summary.ready, summary.total).into(),
        summary.reason.into(),
        restarts(summary.restarts, summary.last_restart.as_ref(), now).into(),
        age(&pod.metadata, now),
        or_none(pod_ip),
        or_none(spec.node_name.as_deref()),
        or_none(status.nominated_node_name.as_deref()),
        readiness_gates(spec, status),
    ]
}

/// `4`, or `4 (3d ago)`.
fn restarts(count: i32, last: Option<&Time>, now: Timestamp) -> String {
    match last {
        Some(last) if count != 0 => format!("{count} ({} ago)", since(Some(last), now)),
        _ => count.to_string(),
    }
}

fn readiness_gates(spec: &PodSpec, status: &PodStatus) -> Value {
    let gates = spec.readiness_gates.as_deref().unwrap_or_default();
    if gates.is_empty() {
        return "<none>".into();
    }
    let is_true = |kind: &str| {
        status
            .conditions
            .iter()
            .flatten()
            .find(|condition| condition.type_ == kind)
            .is_some_and(|it| it.status == "True")
    };
    let met = gates.iter().filter(|gate| is_true(&gate.condition_type)).count();
    format!("{met}/{}", gates.len()).into()
}

/// What the first columns say.
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: i32,
    last_restart: Option<Time>,
}

impl Summary {
    fn count_restarts(&mut self, status: &ContainerStatus) {
        self.restarts = self.restarts.saturating_add(status.restart_count);
        let finished = status.last_state.as_ref().and_then(|state| state.terminated.as_ref()?.finished_at.clone());
        if finished.as_ref().map(|time| time.0) > self.last_restart.as_ref().map(|time| time.0) {
            self.last_restart = finished;
        }
    }
}

/// Whether an init container keeps running beside the pod's containers.
fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn is_condition_true(status: &PodStatus, kind: &str) -> bool {
    status.conditions.iter().flatten().any(|condition| condition.type_ == kind && condition.status == "True")
}

fn summarize(pod: &Pod, spec: &PodSpec, status: &PodStatus) -> Summary {
    let phase = status.phase.clone().unwrap_or_default();
    let mut summary = Summary {
        ready: 0,
        total: spec.containers.len(),
        reason: status.reason.clone().filter(|reason| !reason.is_empty()).unwrap_or_else(|| phase.clone()),
        restarts: 0,
        last_restart: None,
    };
    let gated = |condition: &&k8s_openapi::api::core::v1::PodCondition| {
        condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("SchedulingGated")
    };
    if status.conditions.iter().flatten().any(|condition| gated(&condition)) {
        summary.reason = "SchedulingGated".into();
    }
    let init_containers = spec.init_containers.as_deref().unwrap_or_default();
    let sidecar = |name: &str| init_containers.iter().any(|container| container.name == name && is_sidecar(container));
    summary.total += init_containers.iter().filter(|container| is_sidecar(container)).count();

    let initializing = initializing(&mut summary, status, init_containers.len(), &sidecar);
    if !initializing || is_condition_true(status, "Initialized") {
        running(&mut summary, status, &sidecar);
    }
    if pod.metadata.deletion_timestamp.is_some() {
        if status.reason.as_deref() == Some("NodeLost") {
            summary.reason = "Unknown".into();
        } else if !matches!(phase.as_str(), "Succeeded" | "Failed") {
            summary.reason = "Terminating".into();
        }
    }
    summary
}

/// Counts init containers; says whether the pod is still at them, and why.
fn initializing(summary: &mut Summary, status: &PodStatus, total: usize, sidecar: &dyn Fn(&str) -> bool) -> bool {
    for (index, container) in status.init_container_statuses.iter().flatten().enumerate() {
        summary.count_restarts(container);
        let state = container.state.clone().unwrap_or_default();
        if let Some(terminated) = &state.terminated {
            if terminated.exit_code == 0 {
                continue;
            }
            summary.reason = format!("Init:{}", termination(terminated));
            return true;
        }
        if sidecar(&container.name) && container.started == Some(true) {
            if container.ready {
                summary.ready += 1;
            }
            continue;
        }
        let waiting = state.waiting.and_then(|waiting| waiting.reason).unwrap_or_default();
        summary.reason = match waiting.as_str() {
            "" | "PodInitializing" => format!("Init:{index}/{total}"),
            reason => format!("Init:{reason}"),
        };
        return true;
    }
    false
}

/// Why a container ended: its reason, or `Signal:9`, `ExitCode:1`.
fn termination(terminated: &ContainerStateTerminated) -> String {
    match (terminated.reason.as_deref().unwrap_or_default(), terminated.signal.unwrap_or_default()) {
        ("", 0) => format!("ExitCode:{}", terminated.exit_code),
        ("", signal) => format!("Signal:{signal}"),
        (reason, _) => reason.into(),
    }
}

/// Counts the pod's containers, once its init containers are done: from here on only their restarts
/// count, and those of sidecars.
fn running(summary: &mut Summary, status: &PodStatus, sidecar: &dyn Fn(&str) -> bool) {
    (summary.restarts, summary.last_restart) = (0, None);
    for container in status.init_container_statuses.iter().flatten().filter(|it| sidecar(&it.name)) {
        summary.count_restarts(container);
    }
    let mut has_running = false;
    for container in status.container_statuses.iter().flatten().rev() {
        summary.count_restarts(container);
        let state = container.state.clone().unwrap_or_default();
        let waiting = state.waiting.and_then(|waiting| waiting.reason).filter(|reason| !reason.is_empty());
        if let Some(reason) = waiting {
            summary.reason = reason;
        } else if let Some(terminated) = &state.terminated {
            summary.reason = termination(terminated);
        } else if container.ready && state.running.is_some() {
            has_running = true;
            summary.ready += 1;
        }
    }
    if summary.reason == "Completed" && has_running {
        summary.reason = if is_condition_true(status, "Ready") { "Running" } else { "NotReady" }.into();
    }
}
