//! A pod's status, from what its worker knows: phase, conditions, container statuses.

use k8s_openapi::api::core::v1::{
    Container as Spec, ContainerState as State, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, PodCondition, PodIP, PodStatus, ResourceRequirements,
};
use machinery::Timestamp;
use machinery::sort::Order;
use machinery::time::meta_time;

use crate::NodeConfig;
use crate::container::{Allocation, Container};
use crate::qos;
use crate::resize::Resize;
use crate::restart_all::{self, CONDITION as RESTARTING};
use crate::running::Ended;
use crate::runtime::{ContainerState, ContainerStatus as Run};
use crate::spec::{self, Role};
use crate::text::{names, str};
use crate::worker::Worker;

/// Conditions the kubelet owns, in the order it lists them.
const OWNED: [&str; 4] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];
/// Conditions of a resize.
const RESIZE: [&str; 2] = ["PodResizePending", "PodResizeInProgress"];

/// The pod's status now. What others wrote (PodScheduled, readiness gates, …) is kept from the pod.
/// `runtime` is the scheme of container ids.
pub fn pod_status(worker: &Worker, node: &NodeConfig, runtime: &str, now: Timestamp) -> PodStatus {
    let pod = &*worker.pod;
    let old = pod.status.clone().unwrap_or_default();
    let initialized = worker.initialized();
    let statuses = |role_wanted: fn(Role) -> bool| -> Vec<ContainerStatus> {
        spec::all(pod)
            .filter(|(_, role)| role_wanted(*role))
            .map(|(spec, role)| container_status(worker, spec, role, initialized, runtime))
            .collect()
    };
    let init = statuses(|role| role != Role::Regular);
    let debuggers = spec::ephemeral_containers(pod);
    let debuggers =
        debuggers.iter().map(|spec| container_status(worker, spec, Role::Ephemeral, initialized, runtime)).collect();
    let mut regular = statuses(|role| role == Role::Regular);
    regular.order_by(|a, b| a.name.cmp(&b.name));
    let phase = phase(worker, &init, &regular, initialized, &old);
    let mut ips = worker.ips(node);
    if ips.is_empty() && worker.termination.is_some() {
        // A sandbox that has ended has no address; the pod keeps the one it had.
        ips = old.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect();
    }
    let host_ips = node.internal_ips();
    let conditions = conditions(worker, &init, &regular, phase, initialized, &old, now);
    // A pod that was refused has no containers to speak of.
    let refused = worker.failure.is_some() && worker.containers.is_empty() && worker.sandbox_status().is_none();
    let some = |list: Vec<ContainerStatus>| (!list.is_empty() && !refused).then_some(list);
    PodStatus {
        conditions: Some(conditions),
        container_statuses: some(regular),
        init_container_statuses: some(init),
        ephemeral_container_statuses: some(debuggers),
        host_ip: host_ips.first().cloned(),
        host_ips: (!host_ips.is_empty()).then(|| host_ips.into_iter().map(|ip| HostIP { ip }).collect()),
        pod_ip: ips.first().cloned(),
        pod_ips: (!ips.is_empty()).then(|| ips.into_iter().map(|ip| PodIP { ip }).collect()),
        phase: Some(phase.into()),
        message: worker.failure.as_ref().map(|failure| failure.message.clone()),
        reason: worker.failure.as_ref().map(|failure| failure.reason.clone()),
        qos_class: Some(qos::class(pod).into()),
        start_time: Some(old.start_time.clone().unwrap_or_else(|| meta_time(worker.start_time))),
        observed_generation: pod.metadata.generation,
        ..old
    }
}

fn container_status(worker: &Worker, spec: &Spec, role: Role, initialized: bool, runtime: &str) -> ContainerStatus {
    let mut status = ContainerStatus {
        name: spec.name.clone(),
        image: str(&spec.image).into(),
        started: (role != Role::Ephemeral).then_some(false),
        ..ContainerStatus::default()
    };
    if !worker.containers.contains_key(&spec.name)
        && spec::is_terminal(&worker.pod)
        && let Some(last_known) = recorded(worker, &spec.name)
    {
        return last_known;
    }
    let none = Container::default();
    let container = worker.containers.get(&spec.name).map_or(&none, |container| &**container);
    let current = container.current.as_ref();
    if let Some(run) = current {
        status.container_id = Some(format!("{runtime}://{}", run.id));
        status.restart_count = i32::try_from(run.attempt).unwrap_or(i32::MAX);
        status.image.clone_from(&run.image);
        status.image_id.clone_from(&run.image_ref);
    }
    let removed = container.removed();
    if let Some(run) = removed {
        status.restart_count = i32::try_from(run.attempt + 1).unwrap_or(i32::MAX);
    }
    let ended = container.ended();
    let mut last = container.previous.as_ref().filter(|run| run.state == ContainerState::Exited);
    status.state = Some(match current {
        Some(run) if run.state == ContainerState::Running && container.is_up() => State {
            running: Some(ContainerStateRunning { started_at: run.started_at.map(meta_time) }),
            ..State::default()
        },
        _ => match (&container.waiting, ended) {
            (Some(waiting), _) if worker.termination.is_none() => {
                last = ended.or(last);
                State {
                    waiting: Some(ContainerStateWaiting {
                        reason: Some(waiting.reason.into()),
                        message: Some(waiting.message.clone()),
                    }),
                    ..State::default()
                }
            }
            (_, Some(run)) => State { terminated: Some(terminated(run, runtime)), ..State::default() },
            _ if removed.is_some() => State {
                waiting: Some(ContainerStateWaiting {
                    reason: Some(restart_all::REASON.into()),
                    message: Some(restart_all::MESSAGE.into()),
                }),
                ..State::default()
            },
            _ => {
                let waits_for_init =
                    role == Role::Regular && !initialized && !spec::init_containers(&worker.pod).is_empty();
                let waits_for_others = matches!(role, Role::Init | Role::Sidecar)
                    && !initialized
                    && spec::init_containers(&worker.pod).first().is_some_and(|first| first.name != spec.name);
                let reason = if waits_for_init || waits_for_others { "PodInitializing" } else { "ContainerCreating" };
                State {
                    waiting: Some(ContainerStateWaiting { reason: Some(reason.into()), message: None }),
                    ..State::default()
                }
            }
        },
    });
    if let Some(run) = last {
        status.last_state = Some(State { terminated: Some(terminated(run, runtime)), ..State::default() });
    }
    if role == Role::Ephemeral {
        return status;
    }
    if role == Role::Init {
        status.ready = ended.is_some_and(|run| run.exit_code == 0);
    } else if container.is_up() {
        status.started = Some(container.has_started(spec));
        status.ready = container.probes.ready(spec) && worker.failure.is_none();
    }
    let resources = container.resources.clone();
    let resources = resources.or_else(|| {
        let granted = spec.resources.clone()?;
        Some(Allocation { actual: granted.clone(), granted })
    });
    if let Some(Allocation { granted, actual }) =
        resources.filter(|resources| resources.granted != ResourceRequirements::default())
    {
        status.allocated_resources = granted.requests;
        status.resources = Some(actual);
    }
    status
}

/// The container's status as the API has it.
fn recorded(worker: &Worker, name: &str) -> Option<ContainerStatus> {
    let status = worker.pod.status.as_ref()?;
    let lists = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
    let mut all = lists.into_iter().flatten().flatten();
    all.find(|status| status.name == name).cloned()
}

fn terminated(run: &Run, runtime: &str) -> ContainerStateTerminated {
    let reason = match (run.reason.as_str(), run.exit_code) {
        ("", 0) => "Completed",
        ("", _) => "Error",
        (reason, _) => reason,
    };
    ContainerStateTerminated {
        container_id: Some(format!("{runtime}://{}", run.id)),
        exit_code: run.exit_code,
        finished_at: run.finished_at.map(meta_time),
        started_at: run.started_at.map(meta_time),
        message: (!run.message.is_empty()).then(|| run.message.clone()),
        reason: Some(reason.into()),
        signal: None,
    }
}

/// The phase (upstream's getPhase): a pod that has ended stays as it is, and one whose containers still
/// run has not ended.
fn phase(
    worker: &Worker,
    init: &[ContainerStatus],
    regular: &[ContainerStatus],
    initialized: bool,
    old: &PodStatus,
) -> &'static str {
    match old.phase.as_deref() {
        Some("Succeeded") => return "Succeeded",
        Some("Failed") => return "Failed",
        _ => {}
    }
    let computed = match (&worker.failure, worker.outcome()) {
        (Some(_), _) | (None, Some(Ended::Failed)) => "Failed",
        (None, Some(Ended::Succeeded)) => "Succeeded",
        // A pod that was ended on request ends as its containers did.
        (None, None) if worker.is_stopped() && !worker.removed => {
            let exited_well = |status: &ContainerStatus| {
                let state = status.state.as_ref().and_then(|state| state.terminated.as_ref());
                state.is_some_and(|end| end.exit_code == 0)
            };
            if regular.iter().all(exited_well) { "Succeeded" } else { "Failed" }
        }
        (None, None) => {
            let init_pending = !initialized && init.iter().any(|status| !status.ready && status.started != Some(true));
            let never_ran = |status: &ContainerStatus| {
                let state = status.state.as_ref();
                state.is_some_and(|state| state.waiting.is_some()) && status.last_state.is_none()
            };
            if init_pending || regular.iter().any(never_ran) { "Pending" } else { "Running" }
        }
    };
    let ended = matches!(computed, "Succeeded" | "Failed");
    match old.phase.as_deref() {
        Some("Running") if ended && worker.may_run() => "Running",
        _ if ended && worker.may_run() => "Pending",
        _ => computed,
    }
}

fn conditions(
    worker: &Worker,
    init: &[ContainerStatus],
    regular: &[ContainerStatus],
    phase: &str,
    initialized: bool,
    old: &PodStatus,
    now: Timestamp,
) -> Vec<PodCondition> {
    let pod = &*worker.pod;
    let old_conditions = old.conditions.as_deref().unwrap_or_default();
    let terminal = match phase {
        "Failed" => Some("PodFailed"),
        "Succeeded" => Some("PodCompleted"),
        _ => None,
    };
    let sidecars = spec::init_containers(pod).iter().filter(|spec| spec::init_role(spec) == Role::Sidecar);
    let counted: Vec<&str> = sidecars.chain(spec::containers(pod)).map(|container| container.name.as_str()).collect();
    let ready = |name: &&str| init.iter().chain(regular).any(|status| status.name == **name && status.ready);
    let unready: Vec<&str> = counted.into_iter().filter(|name| !ready(name)).collect();
    let containers_ready = match terminal {
        Some(reason) => Verdict::fail(reason, String::new()),
        None if !unready.is_empty() => {
            Verdict::fail("ContainersNotReady", format!("containers with unready status: {}", names(unready)))
        }
        None => Verdict::pass(),
    };
    let gates = spec::of(pod).and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
    let gate_messages: Vec<String> = gates
        .iter()
        .filter_map(|gate| {
            let kind = &gate.condition_type;
            match old_conditions.iter().find(|condition| condition.type_ == *kind) {
                None => Some(format!("corresponding condition of pod readiness gate {kind:?} does not exist.")),
                Some(condition) if condition.status != "True" => {
                    Some(format!("the status of pod readiness gate {kind:?} is not \"True\", but {}", condition.status))
                }
                Some(_) => None,
            }
        })
        .collect();
    let pod_ready = if containers_ready.passed && !gate_messages.is_empty() {
        Verdict::fail("ReadinessGatesNotReady", gate_messages.join(", "))
    } else {
        containers_ready.clone()
    };
    let incomplete: Vec<&str> = init
        .iter()
        .filter(|status| {
            let sidecar = spec::find(pod, &status.name).is_some_and(|(_, role)| role == Role::Sidecar);
            if sidecar { status.started != Some(true) } else { !status.ready }
        })
        .map(|status| status.name.as_str())
        .collect();
    let initialized = if phase == "Succeeded" {
        Verdict { passed: true, reason: "PodCompleted", message: String::new() }
    } else if initialized || incomplete.is_empty() {
        Verdict::pass()
    } else {
        let message = format!("containers with incomplete status: {}", names(incomplete));
        Verdict::fail("ContainersNotInitialized", message)
    };
    let sandbox = Verdict { passed: worker.ready_sandbox().is_some(), reason: "", message: String::new() };
    let verdicts = [sandbox, initialized, pod_ready, containers_ready];
    let owned = OWNED.into_iter().zip(verdicts).map(|(kind, verdict)| {
        let status = if verdict.passed { "True" } else { "False" };
        let before = old_conditions.iter().find(|condition| condition.type_ == kind && condition.status == status);
        PodCondition {
            type_: kind.into(),
            status: status.into(),
            reason: (!verdict.reason.is_empty()).then(|| verdict.reason.into()),
            message: (!verdict.message.is_empty()).then(|| verdict.message.clone()),
            observed_generation: pod.metadata.generation,
            last_transition_time: before
                .and_then(|condition| condition.last_transition_time.clone())
                .or_else(|| Some(meta_time(now))),
            last_probe_time: None,
        }
    });
    let special = special_conditions(worker).map(|(kind, reason, message)| {
        let before = old_conditions.iter().find(|condition| condition.type_ == kind);
        let since = before.and_then(|condition| condition.last_transition_time.clone());
        PodCondition {
            type_: kind.into(),
            status: "True".into(),
            reason: (!reason.is_empty()).then(|| reason.into()),
            message: (!message.is_empty()).then_some(message),
            observed_generation: pod.metadata.generation,
            last_transition_time: since.or_else(|| Some(meta_time(now))),
            last_probe_time: None,
        }
    });
    let restarting = spec::could_restart_all(pod).then(|| {
        let status = if worker.restarting_all { "True" } else { "False" };
        let before =
            old_conditions.iter().find(|condition| condition.type_ == RESTARTING && condition.status == status);
        PodCondition {
            type_: RESTARTING.into(),
            status: status.into(),
            reason: terminal.map(Into::into),
            observed_generation: pod.metadata.generation,
            last_transition_time: before
                .and_then(|condition| condition.last_transition_time.clone())
                .or_else(|| Some(meta_time(now))),
            ..PodCondition::default()
        }
    });
    let special: Vec<PodCondition> = restarting.into_iter().chain(special).collect();
    let foreign = |condition: &&PodCondition| {
        let kind = condition.type_.as_str();
        !OWNED.contains(&kind) && !RESIZE.contains(&kind) && special.iter().all(|own| own.type_ != kind)
    };
    let others = old_conditions.iter().filter(foreign).cloned();
    owned.chain(others).chain(special.iter().cloned()).collect()
}

/// Conditions that are there only while they hold: type, reason, message.
fn special_conditions(worker: &Worker) -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let resize = worker.resize.as_ref().map(|resize| match resize {
        Resize::Pending { reason, message } => (RESIZE[0], *reason, message.clone()),
        Resize::InProgress => (RESIZE[1], "", String::new()),
    });
    let evicted = worker.failure.as_ref().filter(|failure| failure.reason == "Evicted" && failure.grace.is_some());
    let evicted = evicted.map(|failure| ("DisruptionTarget", "TerminationByKubelet", failure.message.clone()));
    resize.into_iter().chain(evicted)
}

/// A condition's status, reason and message.
#[derive(Clone)]
struct Verdict {
    passed: bool,
    reason: &'static str,
    message: String,
}

impl Verdict {
    fn pass() -> Self {
        Self { passed: true, reason: "", message: String::new() }
    }

    fn fail(reason: &'static str, message: String) -> Self {
        Self { passed: false, reason, message }
    }
}
