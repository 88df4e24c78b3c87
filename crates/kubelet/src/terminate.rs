//! Ending: one container, or the whole pod.

use std::time::Duration;

use k8s_openapi::api::core::v1::Container as Spec;
use machinery::Timestamp;
use machinery::time::{after, since};

use crate::container::{Kill, KillStage, Step};
use crate::runtime::{ErrorCode, Operation, Outcome, RuntimeError, SandboxState};
use crate::spec::{self, Role};
use crate::text::str;
use crate::tickets::Purpose;
use crate::worker::{Cleanup, Node, Sandbox, Termination, VolumeState, Worker};

/// What is left to a container whose preStop hook used up the grace time.
const GRACE_MIN: Duration = Duration::from_secs(2);
/// How long to wait after a failure to stop something.
const RETRY: Duration = Duration::from_secs(2);

impl Worker {
    /// Decides whether the pod ends, and until when; a later request may shorten the time.
    pub(crate) fn decide_termination(&mut self, node: &mut Node<'_>) {
        let asked = spec::deletion_requested(&self.pod);
        let ends = self.removed || asked.is_some() || self.failure.is_some() || self.outcome().is_some();
        // A pod that had ended before this kubelet started stays so, even if its containers are gone.
        if !ends && !spec::is_terminal(&self.pod) {
            return;
        }
        let given = self.failure.as_ref().and_then(|failure| failure.grace);
        let grace = given.unwrap_or_else(|| spec::grace(&self.pod));
        let deadline = after(asked.map_or(node.now, |asked| asked.max(self.start_time)), grace);
        match &mut self.termination {
            Some(termination) if asked.is_some() => termination.deadline = termination.deadline.min(deadline),
            Some(_) => {}
            None => self.termination = Some(Termination { deadline }),
        }
    }

    /// Brings a pod that ends one step further.
    pub(crate) fn sync_terminating(&mut self, node: &mut Node<'_>) {
        let Some(Termination { deadline }) = self.termination else { return };
        let pod = self.pod.clone();
        let mut busy = false;
        // Regular containers and init containers end together; sidecars after them, last first.
        let mut others_running = false;
        for spec in spec::ephemeral_containers(&pod) {
            others_running |= self.end_container(node, &spec, deadline);
        }
        for (spec, role) in spec::all(&pod).collect::<Vec<_>>().into_iter().rev() {
            if role == Role::Sidecar {
                continue;
            }
            others_running |= self.end_container(node, spec, deadline);
            busy |= self.containers.get(&spec.name).is_some_and(|container| container.is_busy());
        }
        for spec in spec::init_containers(&pod).iter().rev().filter(|spec| spec::init_role(spec) == Role::Sidecar) {
            busy |= self.containers.get(&spec.name).is_some_and(|container| container.is_busy());
            if !others_running || node.now >= deadline {
                others_running |= self.end_container(node, spec, deadline);
            } else if self.containers.get(&spec.name).is_some_and(|container| container.is_running()) {
                node.wake_at(deadline);
            }
        }
        if others_running || busy {
            return;
        }
        match &self.sandbox {
            Sandbox::Exists(status) => {
                let status = status.clone();
                let operation = Operation::StopPodSandbox { sandbox_id: status.id.clone() };
                self.sandbox = Sandbox::Stopping(status);
                self.submit(node, Purpose::StopSandbox, operation);
            }
            Sandbox::Starting(_) | Sandbox::Stopping(_) => {}
            Sandbox::None | Sandbox::Stopped(_) => self.sync_cleanup(node),
        }
    }

    /// Whether everything of a pod that ends has stopped.
    pub fn is_stopped(&self) -> bool {
        self.termination.is_some()
            && matches!(self.sandbox, Sandbox::None | Sandbox::Stopped(_))
            && !self.containers.values().any(|container| container.is_running() || container.is_busy())
            && self.volumes != VolumeState::Pending
    }

    /// Once the pod is gone from the API, removes what is left of it.
    fn sync_cleanup(&mut self, node: &mut Node<'_>) {
        if !self.removed || !self.is_stopped() {
            return;
        }
        match self.cleanup {
            Cleanup::None => {}
            Cleanup::Failed(retry_at) if node.now >= retry_at => {}
            Cleanup::Failed(retry_at) => return node.wake_at(retry_at),
            Cleanup::Pending(..) | Cleanup::Done => return,
        }
        let mut sandboxes = self.old_sandboxes.clone();
        sandboxes.extend(self.sandbox_status().map(|status| status.id.clone()));
        sandboxes.dedup();
        // Runs whose sandbox was taken away from under them go one by one.
        let runs = self.containers.values().flat_map(|container| container.current.iter().chain(&container.previous));
        let stray: Vec<String> =
            runs.filter(|run| !sandboxes.contains(&run.sandbox_id)).map(|run| run.id.clone()).collect();
        self.cleanup = Cleanup::Pending(sandboxes.len() + stray.len() + 1, false);
        for sandbox_id in sandboxes {
            self.submit(node, Purpose::RemoveSandbox, Operation::RemovePodSandbox { sandbox_id });
        }
        for container_id in stray {
            self.submit(node, Purpose::RemoveSandbox, Operation::RemoveContainer { container_id });
        }
        let pod_uid = self.uid().to_string();
        self.submit(node, Purpose::TearDownVolumes, Operation::TearDownVolumes { pod_uid });
    }

    /// One of the clean-up's operations has ended. What could not be removed is tried again, all of it:
    /// removing what is gone does nothing. A runtime that is away lists what it holds when it returns.
    pub(crate) fn cleaned_up(&mut self, node: &mut Node<'_>, result: Result<Outcome, RuntimeError>) {
        let Cleanup::Pending(left, failed) = self.cleanup else { return };
        let failed =
            failed || result.is_err_and(|error| !matches!(error.code, ErrorCode::NotFound | ErrorCode::Unavailable));
        self.cleanup = match (left, failed) {
            (2.., failed) => Cleanup::Pending(left - 1, failed),
            (_, true) => Cleanup::Failed(after(node.now, RETRY)),
            (_, false) => Cleanup::Done,
        };
    }

    /// Ends a container of a pod that ends. True while it runs.
    fn end_container(&mut self, node: &mut Node<'_>, spec: &Spec, deadline: Timestamp) -> bool {
        let Some(container) = self.containers.get(&spec.name) else { return false };
        if !container.is_running() {
            return false;
        }
        if container.kill.is_none() {
            let message = format!("Stopping container {}", spec.name);
            self.kill(node, spec, deadline, message);
        } else {
            self.continue_kill(node, spec, deadline);
        }
        true
    }

    /// Reasons to end a container of a pod that goes on: a probe, or a new image.
    pub(crate) fn check_running(&mut self, node: &mut Node<'_>, spec: &Spec) {
        let container = self.container(&spec.name);
        if let Some(kill) = &container.kill {
            let deadline = kill.deadline;
            self.continue_kill(node, spec, deadline);
            return;
        }
        if container.step == Step::PostStart {
            self.check_sleep(node, spec);
            return;
        }
        let other_image = container.current.as_ref().is_some_and(|run| run.image != str(&spec.image));
        if let Some(kind) = container.probes.fatal() {
            let message =
                format!("Container {} failed {} probe, will be restarted", spec.name, kind.title().to_lowercase());
            let own = kind.of(spec).and_then(|probe| probe.termination_grace_period_seconds);
            let own = own.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
            let deadline = after(node.now, own.unwrap_or_else(|| spec::grace(&self.pod)));
            self.kill(node, spec, deadline, message);
        } else if other_image {
            let message = format!("Container {} definition changed, will be restarted", spec.name);
            let deadline = after(node.now, spec::grace(&self.pod));
            self.kill(node, spec, deadline, message);
        }
    }

    /// Begins to end a container: its preStop hook first.
    pub(crate) fn kill(&mut self, node: &mut Node<'_>, spec: &Spec, deadline: Timestamp, message: String) {
        self.container_event(node, &spec.name, false, "Killing", message);
        let container = self.container(&spec.name);
        let Some(container_id) = container.current.as_ref().map(|run| run.id.clone()) else { return };
        let hook = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        container.kill =
            Some(Kill { deadline, stage: if hook.is_some() { KillStage::PreStop } else { KillStage::Ready } });
        if let Some(hook) = hook {
            node.wake_at(deadline);
            let timeout = since(node.now, deadline);
            self.run_hook(node, spec, &container_id, hook, timeout);
        }
        self.continue_kill(node, spec, deadline);
    }

    /// Brings the end of a container one step further; an earlier deadline is passed on.
    pub(crate) fn continue_kill(&mut self, node: &mut Node<'_>, spec: &Spec, deadline: Timestamp) {
        let now = node.now;
        let sleep = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref());
        let sleeps = sleep.is_some_and(|hook| hook.sleep.is_some());
        let container = self.container(&spec.name);
        let slept = container.retry_at.is_none_or(|until| now >= until);
        let Some(container_id) = container.current.as_ref().map(|run| run.id.clone()) else { return };
        let Some(kill) = container.kill.as_mut() else { return };
        let sooner = deadline < kill.deadline;
        kill.deadline = kill.deadline.min(deadline);
        if kill.stage == KillStage::PreStop {
            if now < kill.deadline && !(sleeps && slept) {
                let deadline = kill.deadline;
                node.wake_at(deadline);
                return;
            }
            kill.stage = KillStage::Ready;
        }
        if kill.stage == KillStage::Ready || sooner {
            kill.stage = KillStage::Stopping;
            let grace = since(now, kill.deadline).max(GRACE_MIN);
            let purpose = Purpose::Stop { name: spec.name.clone() };
            self.submit(node, purpose, Operation::StopContainer { container_id, grace });
        }
    }

    /// The runtime has stopped a container, or could not.
    pub(crate) fn stop_done(&mut self, node: &mut Node<'_>, name: &str, result: Result<Outcome, RuntimeError>) {
        match result {
            Ok(Outcome::Container(status)) => {
                self.container(name).apply(*status);
            }
            Ok(_) => {}
            Err(error) => {
                let id = self.container(name).current.as_ref().map(|run| run.id.clone());
                if error.code == ErrorCode::NotFound
                    && let Some(id) = id
                {
                    self.container_removed(&id, node.now);
                } else if let Some(kill) = self.container(name).kill.as_mut() {
                    kill.stage = KillStage::Ready;
                    node.wake_at(after(node.now, RETRY));
                    self.container_event(
                        node,
                        name,
                        true,
                        "FailedKillPod",
                        format!("error killing pod: {}", error.message),
                    );
                }
            }
        }
    }

    /// A lifecycle hook has ended: postStart while starting, preStop while ending.
    pub(crate) fn hook_done(
        &mut self,
        node: &mut Node<'_>,
        name: &str,
        container_id: &str,
        result: Result<Outcome, RuntimeError>,
    ) {
        let pod = self.pod.clone();
        let Some((spec, _)) = spec::find(&pod, name) else { return };
        let spec = &*spec;
        let container = self.container(name);
        if container.current.as_ref().is_none_or(|run| run.id != container_id) {
            return;
        }
        let failure = match result {
            Ok(Outcome::Exec(end)) if end.exit_code != 0 => Some(format!(
                "error: command exited with {}: {}",
                end.exit_code,
                String::from_utf8_lossy(&end.output).trim_end()
            )),
            Ok(Outcome::Http(answer)) if !(200..400).contains(&answer.status) => {
                Some(format!("HTTP hook failed with status {}", answer.status))
            }
            Ok(_) => None,
            Err(error) => Some(error.message),
        };
        if container.step == Step::PostStart {
            container.step = Step::Idle;
            if failure.is_some() {
                self.container_event(node, name, true, "FailedPostStartHook", "PostStartHook failed");
                let deadline = after(node.now, spec::grace(&self.pod));
                self.kill(node, spec, deadline, "FailedPostStartHook".into());
            }
        } else if let Some(kill) = container.kill.as_mut().filter(|kill| kill.stage == KillStage::PreStop) {
            kill.stage = KillStage::Ready;
            let deadline = kill.deadline;
            if failure.is_some() {
                self.container_event(node, name, true, "FailedPreStopHook", "PreStopHook failed");
            }
            self.continue_kill(node, spec, deadline);
        }
    }

    /// Ends a postStart hook that only sleeps.
    fn check_sleep(&mut self, node: &mut Node<'_>, spec: &Spec) {
        let hook = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
        if hook.is_none_or(|hook| hook.sleep.is_none()) {
            return;
        }
        let container = self.container(&spec.name);
        match container.retry_at.filter(|until| node.now < *until) {
            Some(until) => node.wake_at(until),
            None => {
                container.step = Step::Idle;
                container.retry_at = None;
            }
        }
    }

    /// Whether anything of the pod may still run, for the phase it reports.
    pub fn may_run(&self) -> bool {
        let sandbox = matches!(&self.sandbox, Sandbox::Exists(status) if status.state == SandboxState::Ready);
        sandbox && self.containers.values().any(|container| container.is_running())
    }
}
