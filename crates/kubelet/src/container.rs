//! What the kubelet knows of one container of one pod.

use k8s_openapi::api::core::v1::{Container as Spec, ResourceRequirements};
use machinery::Timestamp;

use crate::backoff::Backoff;
use crate::probes::Probes;
use crate::runtime::{ContainerState, ContainerStatus, ImageInfo, Operation};

/// One container of a pod: its runs, and what is being done about it.
#[derive(Debug, Default)]
pub struct Container {
    /// The newest run.
    pub current: Option<ContainerStatus>,
    /// The run before, kept for its log and `lastState`.
    pub previous: Option<ContainerStatus>,
    /// What is under way.
    pub step: Step,
    /// Why it does not run, as `state.waiting`.
    pub waiting: Option<Waiting>,
    /// Not to be tried before this time.
    pub retry_at: Option<Timestamp>,
    /// Delay between restarts.
    pub crash_backoff: Backoff,
    /// Delay between attempts to fetch the image.
    pub image_backoff: Backoff,
    /// The run whose end the crash back-off has counted.
    pub counted: Option<String>,
    /// The run whose end has been shown before `CrashLoopBackOff` is.
    pub shown: Option<String>,
    /// Probes of the current run.
    pub probes: Probes,
    /// Probe operations under way, for their messages.
    pub asked: Vec<(crate::probes::ProbeKind, Operation)>,
    /// The end that has been decided for the current run.
    pub kill: Option<Kill>,
    /// The image of the next run.
    pub image: Option<ImageInfo>,
    /// The resources its newest run was given, and those it has in force.
    pub resources: Option<Allocation>,
}

/// Resources of a run: in-place resize changes the first, then the second follows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allocation {
    /// What the kubelet has granted.
    pub granted: ResourceRequirements,
    /// What the runtime has in force.
    pub actual: ResourceRequirements,
}

/// What is under way for a container.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Step {
    /// Nothing.
    #[default]
    Idle,
    /// The node is asked for the image.
    Inspecting,
    /// The image is being fetched since this time.
    Pulling(Timestamp),
    /// The container is being made.
    Creating,
    /// The container is being started.
    Starting,
    /// The postStart hook runs; the container counts as not yet running.
    PostStart,
}

/// `state.waiting`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Reason, such as `CrashLoopBackOff`.
    pub reason: &'static str,
    /// Message.
    pub message: String,
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Kill {
    /// When SIGKILL is due.
    pub deadline: Timestamp,
    /// How far it is.
    pub stage: KillStage,
}

/// How far the end of a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KillStage {
    /// The preStop hook runs.
    PreStop,
    /// The hook is over, or there is none.
    Ready,
    /// The runtime is stopping it.
    Stopping,
}

impl Container {
    /// The state of the newest run.
    pub fn state(&self) -> Option<ContainerState> {
        self.current.as_ref().map(|run| run.state)
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        self.state() == Some(ContainerState::Running)
    }

    /// Whether it has been started and its postStart hook, if any, is over.
    pub fn is_up(&self) -> bool {
        self.is_running() && self.step == Step::Idle
    }

    /// Whether it runs and its startup probe, if any, has succeeded.
    pub fn has_started(&self, spec: &Spec) -> bool {
        self.is_up() && self.probes.started(spec)
    }

    /// The newest run, if it has ended.
    pub fn ended(&self) -> Option<&ContainerStatus> {
        self.current.as_ref().filter(|run| matches!(run.state, ContainerState::Exited | ContainerState::Unknown))
    }

    /// The run that ended with all others, as long as there is no new one.
    pub fn removed(&self) -> Option<&ContainerStatus> {
        self.previous.as_ref().filter(|run| self.current.is_none() && run.reason == crate::restart_all::REASON)
    }

    /// The number of the next run.
    pub fn next_attempt(&self) -> u32 {
        self.current.as_ref().or(self.previous.as_ref()).map_or(0, |run| run.attempt + 1)
    }

    /// Whether a run is just being made.
    pub fn is_busy(&self) -> bool {
        self.step != Step::Idle
    }

    /// Takes a newer status of a run. True if anything changed.
    pub fn apply(&mut self, status: ContainerStatus) -> bool {
        // What is told late of a run that was removed.
        if self.removed().is_some_and(|run| run.id == status.id) {
            return false;
        }
        match &mut self.current {
            Some(run) if run.id == status.id => {
                if *run == status {
                    return false;
                }
                // A run that has ended stays so: the answer to an older question may come late.
                if run.state == ContainerState::Exited && status.state != ContainerState::Exited {
                    return false;
                }
                *run = status;
            }
            Some(run) if run.attempt > status.attempt => {
                match &mut self.previous {
                    Some(previous) if previous.id == status.id => *previous = status,
                    _ => return false,
                };
            }
            _ => {
                if let Some(before) = self.current.replace(status) {
                    self.previous = Some(before);
                }
                self.kill = None;
                self.probes = Probes::default();
            }
        }
        if self.ended().is_some() {
            self.kill = None;
            self.asked.clear();
            // Nobody waits for a hook whose container is gone.
            if self.step == Step::PostStart {
                self.step = Step::Idle;
            }
        }
        true
    }

    /// Waits with a reason until a time.
    pub fn wait(&mut self, reason: &'static str, message: impl Into<String>, retry_at: Timestamp) {
        self.step = Step::Idle;
        self.waiting = Some(Waiting { reason, message: message.into() });
        self.retry_at = Some(retry_at);
    }
}
