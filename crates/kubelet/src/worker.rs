//! A pod worker: what the kubelet knows of one pod, and how what happens changes it.
//!
//! [`Worker::sync`] compares the pod as it should be with the pod as it is, submits whatever can be
//! done now, and says when to look again. It may be called at any time, any number of times.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use machinery::Timestamp;
use machinery::sort::Order;

use crate::NodeConfig;
use crate::backoff::Backoff;
use crate::container::{Container, Step};
use crate::kubelet::Observer;
use crate::objects::Objects;
use crate::resize::Resize;
use crate::restart_all;
use crate::runtime::{
    ContainerRuntime, ContainerState, ContainerStatus, Operation, Outcome, RuntimeError, SandboxState, SandboxStatus,
};
use crate::spec;
use crate::text::str;
use crate::tickets::{Owner, Purpose, Tickets};

/// What a worker works with during one call.
pub struct Node<'a> {
    /// The time.
    pub now: Timestamp,
    /// The node.
    pub config: &'a NodeConfig,
    /// The runtime.
    pub runtime: &'a mut dyn ContainerRuntime,
    /// Operations under way.
    pub tickets: &'a mut Tickets,
    /// What the pod refers to.
    pub objects: &'a dyn Objects,
    /// CPU (thousandths) and memory (bytes) that the node's other pods ask for; for resizes.
    pub used: [i64; 2],
    /// Told of what is asked of the runtime.
    pub observer: &'a Observer,
    /// Events to be recorded.
    pub events: &'a mut Vec<PodEvent>,
    /// When the worker wants to be called again.
    pub wake_at: Option<Timestamp>,
}

impl Node<'_> {
    /// Asks to be called again at a time.
    pub fn wake_at(&mut self, time: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(time, |earlier| earlier.min(time)));
    }
}

/// An event about a pod or one of its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEvent {
    /// Field path of the container it is about; empty for the pod.
    pub field_path: String,
    /// `Warning` rather than `Normal`.
    pub warning: bool,
    /// Reason.
    pub reason: &'static str,
    /// Message.
    pub message: String,
}

/// A pod's sandbox.
#[derive(Debug, Default)]
pub enum Sandbox {
    /// There is none.
    #[default]
    None,
    /// It is being started: as it was made, once containers can be made in it.
    Starting(Option<SandboxStatus>),
    /// It exists; whether it runs is in its status.
    Exists(SandboxStatus),
    /// It is being stopped.
    Stopping(SandboxStatus),
    /// It was stopped because the pod has ended.
    Stopped(SandboxStatus),
}

/// A pod's volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum VolumeState {
    /// Not made yet.
    #[default]
    None,
    /// Being made for the first time.
    Pending,
    /// Made, to be looked at again at this time if they can change.
    Ready(Option<Timestamp>),
}

/// The end of a pod.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Termination {
    /// When SIGKILL is due for what still runs.
    pub deadline: Timestamp,
}

/// How the pod ended, where that does not follow from its containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// `status.reason`.
    pub reason: String,
    /// `status.message`.
    pub message: String,
    /// How long its containers are given, where that is not the pod's own grace time.
    pub grace: Option<Duration>,
}

/// One pod.
pub struct Worker {
    /// As it should be; after its removal as it was last.
    pub pod: Arc<Pod>,
    /// Whether it is gone from the API.
    pub removed: bool,
    /// When the kubelet first saw it.
    pub start_time: Timestamp,
    /// Whether it was refused or ended by the kubelet.
    pub failure: Option<Failure>,
    /// Its sandbox.
    pub sandbox: Sandbox,
    /// Sandboxes that ended before, removed with the pod.
    pub old_sandboxes: Vec<String>,
    /// How often a sandbox was made.
    pub sandbox_attempt: u32,
    /// When the sandbox may be tried again.
    pub sandbox_retry_at: Option<Timestamp>,
    /// Its volumes.
    pub volumes: VolumeState,
    /// When the volumes may be tried again.
    pub volumes_retry_at: Option<Timestamp>,
    /// How often in a row volumes could not be made.
    pub volumes_failures: u32,
    /// Its containers by name. Boxed: a map has room for eleven in each node, most pods have one.
    pub containers: BTreeMap<String, Box<Container>>,
    /// Set once it is ending.
    pub termination: Option<Termination>,
    /// How far the clean-up after its end is.
    pub cleanup: Cleanup,
    /// Whether its containers are being ended because all of them start anew.
    pub restarting_all: bool,
    /// A change of resources that waits or is under way.
    pub resize: Option<Resize>,
}

/// Clean-up of a pod that is gone from the API and does not run any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cleanup {
    /// Not begun.
    #[default]
    None,
    /// This many operations are under way; whether one of them has failed.
    Pending(usize, bool),
    /// Something could not be removed; it is tried again at this time.
    Failed(Timestamp),
    /// Nothing is left.
    Done,
}

impl Worker {
    /// A worker for a pod first seen now.
    pub fn new(pod: Arc<Pod>, now: Timestamp) -> Self {
        let status = pod.status.as_ref();
        let restarting_all = restart_all::is_under_way(&pod);
        let start_time = status.and_then(|status| status.start_time.as_ref()).map_or(now, |time| time.0);
        // A pod that the kubelet had ended before a restart of its own stays ended.
        let failure = status.filter(|status| status.phase.as_deref() == Some("Failed") && status.reason.is_some());
        let failure = failure.map(|status| Failure {
            reason: str(&status.reason).into(),
            message: str(&status.message).into(),
            grace: None,
        });
        let mut containers = BTreeMap::<String, Box<Container>>::new();
        // An ended pod's status is what the API has.
        for run in restart_all::removed_runs(&pod).filter(|_| !spec::is_terminal(&pod)) {
            let container = containers.entry(run.name.clone()).or_default();
            container.previous = Some(run);
        }
        Self {
            pod,
            removed: false,
            start_time,
            failure,
            sandbox: Sandbox::None,
            old_sandboxes: Vec::new(),
            sandbox_attempt: 0,
            sandbox_retry_at: None,
            volumes: VolumeState::None,
            volumes_retry_at: None,
            volumes_failures: 0,
            containers,
            termination: None,
            cleanup: Cleanup::None,
            restarting_all,
            resize: None,
        }
    }

    /// The pod's uid.
    pub fn uid(&self) -> &str {
        str(&self.pod.metadata.uid)
    }

    /// The sandbox's status, if there is a sandbox.
    pub fn sandbox_status(&self) -> Option<&SandboxStatus> {
        match &self.sandbox {
            Sandbox::Exists(status) | Sandbox::Stopping(status) | Sandbox::Stopped(status) => Some(status),
            Sandbox::None | Sandbox::Starting(_) => None,
        }
    }

    /// The sandbox, if it runs.
    pub fn ready_sandbox(&self) -> Option<&SandboxStatus> {
        match &self.sandbox {
            Sandbox::Exists(status) if status.state == SandboxState::Ready => Some(status),
            _ => None,
        }
    }

    /// The sandbox, if containers can be made in it; they start when it runs.
    pub fn place(&self) -> Option<&SandboxStatus> {
        match &self.sandbox {
            Sandbox::Starting(made) => made.as_ref(),
            _ => self.ready_sandbox(),
        }
    }

    /// The pod's addresses: the sandbox's, or the node's for a pod on the node's network.
    pub fn ips(&self, config: &NodeConfig) -> Vec<String> {
        self.ips_in(self.sandbox_status(), config)
    }

    /// The pod's addresses in a sandbox.
    pub fn ips_in(&self, sandbox: Option<&SandboxStatus>, config: &NodeConfig) -> Vec<String> {
        match sandbox {
            Some(_) if spec::is_host_network(&self.pod) => config.internal_ips(),
            Some(status) => status.ips.clone(),
            None => Vec::new(),
        }
    }

    /// Submits an operation for this pod.
    pub fn submit(&self, node: &mut Node<'_>, purpose: Purpose, operation: Operation) {
        (node.observer)(&self.pod, &operation);
        let owner = Owner::Pod { uid: self.uid().into(), purpose };
        node.tickets.submit(node.runtime, owner, operation);
    }

    /// Records an event about the pod.
    pub fn event(&self, node: &mut Node<'_>, warning: bool, reason: &'static str, message: impl Into<String>) {
        node.events.push(PodEvent { field_path: String::new(), warning, reason, message: message.into() });
    }

    /// Records an event about a container.
    pub fn container_event(
        &self,
        node: &mut Node<'_>,
        name: &str,
        warning: bool,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let list = match spec::find(&self.pod, name) {
            Some((_, spec::Role::Regular)) => "containers",
            Some((_, spec::Role::Ephemeral)) => "ephemeralContainers",
            _ => "initContainers",
        };
        let field_path = format!("spec.{list}{{{name}}}");
        node.events.push(PodEvent { field_path, warning, reason, message: message.into() });
    }

    /// Takes over what the runtime holds of this pod, after a restart of the kubelet or the runtime.
    pub fn adopt(&mut self, mut sandboxes: Vec<SandboxStatus>, mut containers: Vec<ContainerStatus>, now: Timestamp) {
        sandboxes.order_by_key(|sandbox| sandbox.attempt);
        let newest = sandboxes.pop();
        self.old_sandboxes = sandboxes.into_iter().map(|sandbox| sandbox.id).collect();
        let stopped = matches!(self.sandbox, Sandbox::Stopped(_));
        // The containers have ended with their node or the runtime, not by themselves: they need not wait.
        let powerless = newest.as_ref().is_none_or(|status| status.state == SandboxState::NotReady);
        self.sandbox = match newest {
            Some(status) => {
                self.sandbox_attempt = status.attempt + 1;
                if stopped { Sandbox::Stopped(status) } else { Sandbox::Exists(status) }
            }
            None => Sandbox::None,
        };
        for (name, container) in &mut self.containers {
            container.step = Step::Idle;
            container.asked.clear();
            if powerless {
                container.crash_backoff = Backoff::default();
            }
            for kind in crate::probes::ProbeKind::ALL {
                container.probes.get_mut(kind).in_flight = false;
            }
            let gone =
                |run: &ContainerStatus| !containers.iter().any(|found| found.id == run.id && found.name == *name);
            if container.current.as_ref().is_some_and(gone) {
                lost(container, now);
            }
        }
        containers.order_by_key(|container| container.attempt);
        for status in containers {
            self.containers.entry(status.name.clone()).or_default().apply(status);
        }
    }

    /// Takes a container's new status. True if anything changed.
    pub fn container_changed(&mut self, status: ContainerStatus) -> bool {
        self.containers.entry(status.name.clone()).or_default().apply(status)
    }

    /// Notes that a container is gone. True if it was the newest run and had not ended.
    pub fn container_removed(&mut self, container_id: &str, now: Timestamp) -> bool {
        let mut changed = false;
        for container in self.containers.values_mut() {
            if container.current.as_ref().is_some_and(|run| run.id == container_id) {
                changed = lost(container, now);
            }
            container.previous.take_if(|run| run.id == container_id && run.reason != restart_all::REASON);
        }
        changed
    }

    /// Takes the sandbox's new status. True if anything changed.
    pub fn sandbox_changed(&mut self, status: SandboxStatus) -> bool {
        match &mut self.sandbox {
            Sandbox::Exists(old) if old.id == status.id && *old != status => {
                *old = status;
                true
            }
            _ => false,
        }
    }

    /// Takes the result of an operation.
    pub fn complete(&mut self, node: &mut Node<'_>, purpose: Purpose, result: Result<Outcome, RuntimeError>) {
        match purpose {
            Purpose::SetUpVolumes => self.volumes_done(node, result),
            Purpose::RunSandbox => self.sandbox_started(node, result),
            Purpose::StopSandbox => self.sandbox_stopped(node, result),
            Purpose::TearDownVolumes | Purpose::RemoveSandbox => self.cleaned_up(node, result),
            Purpose::Start { name } => self.start_step_done(node, &name, result),
            Purpose::Stop { name } => self.stop_done(node, &name, result),
            Purpose::Hook { name, container_id } => self.hook_done(node, &name, &container_id, result),
            Purpose::Probe { name, kind, container_id } => self.probe_done(node, &name, kind, &container_id, result),
            Purpose::Resize { name } => self.resized(node, &name, result),
            Purpose::Forget => {}
        }
    }

    /// Does what can be done now.
    pub fn sync(&mut self, node: &mut Node<'_>) {
        self.check_deadline(node);
        self.check_restart_all(node);
        self.decide_termination(node);
        if self.termination.is_some() {
            self.sync_terminating(node);
        } else {
            self.sync_running(node);
        }
        self.sync_probes(node);
    }

    /// `activeDeadlineSeconds`.
    fn check_deadline(&mut self, node: &mut Node<'_>) {
        let Some(seconds) = spec::of(&self.pod).and_then(|spec| spec.active_deadline_seconds) else { return };
        if self.failure.is_some() || self.outcome().is_some() {
            return;
        }
        let deadline =
            self.start_time.saturating_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
        if node.now < deadline {
            node.wake_at(deadline);
            return;
        }
        let message = "Pod was active on the node longer than the specified deadline";
        self.failure = Some(Failure { reason: "DeadlineExceeded".into(), message: message.into(), grace: None });
        self.event(node, false, "DeadlineExceeded", message);
    }
}

/// Marks the newest run as ended in a way nobody saw.
fn lost(container: &mut Container, now: Timestamp) -> bool {
    let Some(run) = container.current.as_mut().filter(|run| run.state != ContainerState::Exited) else {
        return false;
    };
    run.state = ContainerState::Exited;
    run.exit_code = 137;
    run.reason = "ContainerStatusUnknown".into();
    run.message = "The container could not be located when the pod was terminated".into();
    run.finished_at = Some(now);
    container.kill = None;
    container.asked.clear();
    true
}
