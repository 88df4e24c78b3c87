//! The action `RestartAllContainers` of a restart rule: all containers end without their preStop hooks, then the pod
//! begins anew with its init containers, in the sandbox and with the volumes that it has (upstream's KEP-5532).

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::container::{Kill, KillStage};
use crate::runtime::{ContainerState, ContainerStatus as Run, Operation};
use crate::spec::{self, Role};
use crate::tickets::Purpose;
use crate::worker::{Node, Worker};

/// The condition that tells of it.
pub const CONDITION: &str = "AllContainersRestarting";
/// Why a container waits whose run ended with all others, and why that run ended.
pub const REASON: &str = "RestartingAllContainers";
/// The same in more words.
pub const MESSAGE: &str = "The container is removed because RestartAllContainers in place";

/// Whether the containers of a pod were just being ended, as its status says.
pub fn is_under_way(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == CONDITION && condition.status == "True")
}

/// A run that ended with all others, as `lastState` shows it.
fn removed(run: Run) -> Run {
    Run { state: ContainerState::Exited, exit_code: 137, reason: REASON.into(), message: MESSAGE.into(), ..run }
}

/// The status of a container as the API has it.
fn recorded<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStatus> {
    statuses(pod).find(|status| status.name == name)
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let lists = status.map(|status| [&status.init_container_statuses, &status.container_statuses]);
    lists.into_iter().flatten().flatten().flatten()
}

/// The newest run that the API knows of.
fn as_run(status: &ContainerStatus) -> Option<Run> {
    let id = status.container_id.as_deref()?;
    let end = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    Some(Run {
        id: id.split_once("://").map_or(id, |(_, id)| id).into(),
        name: status.name.clone(),
        attempt: u32::try_from(status.restart_count).unwrap_or_default(),
        started_at: end.and_then(|end| end.started_at.as_ref()).map(|time| time.0),
        finished_at: end.and_then(|end| end.finished_at.as_ref()).map(|time| time.0),
        ..Run::default()
    })
}

/// The runs that ended with all others and that the runtime does not know any more, by a pod's status.
pub fn removed_runs(pod: &Pod) -> impl Iterator<Item = Run> {
    statuses(pod).filter_map(|status| {
        let end =
            status.last_state.as_ref()?.terminated.as_ref().filter(|end| end.reason.as_deref() == Some(REASON))?;
        let before = ContainerStatus {
            container_id: end.container_id.clone(),
            restart_count: status.restart_count.saturating_sub(1),
            state: status.last_state.clone(),
            ..status.clone()
        };
        as_run(&before).map(removed)
    })
}

impl Worker {
    /// Looks for the end of a container that asks for it.
    pub(crate) fn check_restart_all(&mut self, node: &mut Node<'_>) {
        if self.termination.is_some() || self.failure.is_some() || self.restarting_all {
            return;
        }
        let pod = self.pod.clone();
        if spec::is_terminal(&pod) || spec::deletion_requested(&pod).is_some() || !spec::could_restart_all(&pod) {
            return;
        }
        self.restarting_all = spec::all(&pod).any(|(spec, _)| {
            let container = self.containers.get(&spec.name);
            let end = container.filter(|container| self.in_sandbox(container)).and_then(|found| found.ended());
            end.is_some_and(|end| spec::restarts_all(spec, end.exit_code))
        });
        if self.restarting_all {
            node.wake_at(node.now);
        }
    }

    /// Ends all containers. True once none runs: then the runtime has none of them any more, so that a kubelet which
    /// restarts cannot take these ends for new ones.
    pub(crate) fn end_all(&mut self, node: &mut Node<'_>) -> bool {
        let pod = self.pod.clone();
        let mut busy = false;
        let ephemeral = spec::ephemeral_containers(&pod);
        let all = spec::all(&pod).map(|(spec, _)| spec).chain(&ephemeral);
        for spec in all {
            let Some(container) = self.containers.get_mut(&spec.name) else { continue };
            busy |= container.is_running() || container.is_busy();
            if !container.is_running() {
                continue;
            }
            if container.kill.is_none() {
                container.kill = Some(Kill { deadline: node.now, stage: KillStage::Ready });
                let message = format!("Stopping container {}", spec.name);
                self.container_event(node, &spec.name, false, "Killing", message);
            }
            self.continue_kill(node, spec, node.now);
        }
        if busy {
            return false;
        }
        for (spec, _) in spec::all(&pod).filter(|(_, role)| *role != Role::Ephemeral) {
            let container = self.containers.entry(spec.name.clone()).or_default();
            container.waiting = None;
            container.retry_at = None;
            let runs = [container.previous.take_if(|run| run.reason != REASON), container.current.take()];
            if let Some(run) = runs.last().and_then(Option::as_ref) {
                // Whom it began with has failed; the others were ended with it.
                if spec::restarts_all(spec, run.exit_code) {
                    let finished = run.finished_at.unwrap_or(node.now);
                    if let Some(until) = container.crash_backoff.until(finished, node.now) {
                        let delay = machinery::time::format_duration(container.crash_backoff.delay());
                        let text = crate::text::pod_name(&pod);
                        let message = format!("back-off {delay} restarting failed container={} pod={text}", spec.name);
                        container.wait("CrashLoopBackOff", message, until);
                        node.wake_at(until);
                    }
                    container.crash_backoff.next(finished, node.now);
                }
                container.previous = Some(removed(run.clone()));
            } else if container.previous.is_none() {
                // This kubelet has not seen it: it was removed before a restart of the kubelet's own.
                container.previous = recorded(&pod, &spec.name).and_then(as_run).map(removed);
            }
            for container_id in runs.into_iter().flatten().map(|run| run.id) {
                self.submit(node, Purpose::Forget, Operation::RemoveContainer { container_id });
            }
        }
        self.restarting_all = false;
        true
    }
}
