//! A pod that should run: which container is to be started now.

use std::time::Duration;

use machinery::Timestamp;

use crate::container::{Container, Step};
use crate::spec::{self, Role};
use crate::worker::{Node, Worker};

/// How long a run's end is shown before `CrashLoopBackOff`: upstream says so at its next look.
const END_SHOWN: Duration = Duration::from_secs(3);

/// How the containers of a pod ended, once no more of them will be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All regular containers with exit code 0.
    Succeeded,
    /// One of them, or an init container, without.
    Failed,
}

impl Worker {
    /// How the pod ended, if no container of it will be started any more.
    pub fn outcome(&self) -> Option<Ended> {
        if self.restarting_all {
            return None;
        }
        for (spec, role) in spec::all(&self.pod).filter(|(_, role)| *role == Role::Init) {
            if let Some(container) = self.containers.get(&spec.name)
                && let Some(end) = container.ended()
                && end.exit_code != 0
                && !self.initialized()
                && !spec::restarts(&self.pod, spec, role, end.exit_code)
            {
                return Some(Ended::Failed);
            }
        }
        let mut failed = false;
        for spec in spec::containers(&self.pod) {
            let container = self.containers.get(&spec.name)?;
            let end = container.ended().filter(|_| !container.is_busy())?;
            if spec::restarts(&self.pod, spec, Role::Regular, end.exit_code) {
                return None;
            }
            failed |= end.exit_code != 0;
        }
        Some(if failed { Ended::Failed } else { Ended::Succeeded })
    }

    /// Whether a regular container has been started in the current sandbox: init containers then do not
    /// run again.
    pub fn initialized(&self) -> bool {
        let names = spec::containers(&self.pod).iter().map(|spec| &spec.name);
        names.filter_map(|name| self.containers.get(name)).any(|container| self.in_sandbox(container))
    }

    /// Whether the container's newest run belongs to the current sandbox and was started.
    pub(crate) fn in_sandbox(&self, container: &Container) -> bool {
        let sandbox = self.sandbox_status().map(|sandbox| sandbox.id.as_str());
        container
            .current
            .as_ref()
            .is_some_and(|run| Some(run.sandbox_id.as_str()) == sandbox && run.started_at.is_some())
    }

    /// Brings a pod that should run one step further.
    pub(crate) fn sync_running(&mut self, node: &mut Node<'_>) {
        if !self.sync_volumes(node) || !(self.sync_sandbox(node) || self.place().is_some()) {
            return;
        }
        if self.restarting_all && !self.end_all(node) {
            return;
        }
        let pod = self.pod.clone();
        for spec in spec::ephemeral_containers(&pod) {
            self.sync_container(node, &spec, Role::Ephemeral);
        }
        self.sync_resize(node);
        let initialized = self.initialized();
        for spec in spec::init_containers(&pod) {
            let role = spec::init_role(spec);
            match self.containers.get(&spec.name) {
                Some(container) if role == Role::Sidecar => {
                    let started = container.has_started(spec) && container.kill.is_none();
                    self.sync_container(node, spec, role);
                    if !initialized && !started {
                        return;
                    }
                }
                // Init containers are not looked at again once they have all succeeded.
                _ if initialized && role == Role::Init => {}
                Some(container)
                    if self.in_sandbox(container) && container.ended().is_some_and(|run| run.exit_code == 0) => {}
                _ => {
                    self.sync_container(node, spec, role);
                    if !initialized {
                        return;
                    }
                }
            }
        }
        for spec in spec::containers(&pod) {
            self.sync_container(node, spec, Role::Regular);
        }
    }

    /// Brings one container one step further towards running.
    fn sync_container(&mut self, node: &mut Node<'_>, spec: &k8s_openapi::api::core::v1::Container, role: Role) {
        let pod = self.pod.clone();
        let container = self.containers.entry(spec.name.clone()).or_default();
        if container.is_running() {
            self.check_running(node, spec);
            return;
        }
        if container.step != Step::Idle {
            return;
        }
        if let Some(retry_at) = container.retry_at.filter(|retry_at| node.now < *retry_at) {
            node.wake_at(retry_at);
            return;
        }
        if let Some(end) = container.ended() {
            let (id, exit_code, finished) = (end.id.clone(), end.exit_code, end.finished_at.unwrap_or(node.now));
            let again = spec::restarts(&pod, spec, role, exit_code)
                || (matches!(role, Role::Init) && !self.in_sandbox_by_name(&spec.name));
            if !again {
                return;
            }
            if !self.crash_backoff_over(node, &spec.name, &id, finished) {
                return;
            }
        }
        self.begin_start(node, spec);
    }

    fn in_sandbox_by_name(&self, name: &str) -> bool {
        self.containers.get(name).is_some_and(|container| self.in_sandbox(container))
    }

    /// Whether the delay after a run's end is over; if not, the container waits with `CrashLoopBackOff`.
    fn crash_backoff_over(&mut self, node: &mut Node<'_>, name: &str, run_id: &str, finished: Timestamp) -> bool {
        let pod = crate::text::pod_name(&self.pod);
        let Some(container) = self.containers.get_mut(name) else { return false };
        // The delay that this end must wait for was set by the end before it.
        if container.counted.as_deref() != Some(run_id) {
            if let Some(until) = container.crash_backoff.until(finished, node.now) {
                if container.shown.as_deref() != Some(run_id) {
                    container.shown = Some(run_id.into());
                    container.waiting = None;
                    let shown_until = until.min(machinery::time::after(node.now, END_SHOWN));
                    container.retry_at = Some(shown_until);
                    node.wake_at(shown_until);
                    let message = format!("Back-off restarting failed container {name} in pod {pod}");
                    self.container_event(node, name, true, "BackOff", message);
                    return false;
                }
                let delay = machinery::time::format_duration(container.crash_backoff.delay());
                let message = format!("back-off {delay} restarting failed container={name} pod={pod}");
                container.wait("CrashLoopBackOff", message, until);
                node.wake_at(until);
                return false;
            }
            container.crash_backoff.next(finished, node.now);
            container.counted = Some(run_id.into());
        }
        true
    }
}
