//! Starting a container: image, create, start, postStart.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Container as Spec, LifecycleHandler};
use machinery::time::{after, format_duration, since};

use crate::container::{Allocation, Container, Step};
use crate::images;
use crate::probes;
use crate::runtime::{ContainerState, ContainerStatus, ErrorCode, ImageInfo, Operation, Outcome, RuntimeError};
use crate::spec;
use crate::text::str;
use crate::tickets::Purpose;
use crate::worker::{Node, Worker};

/// How long to wait after a failure that is not the container's own.
const RETRY: Duration = Duration::from_secs(10);
/// How long `ErrImagePull` is shown before `ImagePullBackOff`.
const PULL_ERROR_SHOWN: Duration = Duration::from_secs(3);
/// How long to wait while the runtime cannot be reached.
const RETRY_UNAVAILABLE: Duration = Duration::from_secs(1);
/// How long an HTTP hook may take, when nothing else limits it.
const HOOK_TIMEOUT: Duration = Duration::from_secs(30);

impl Worker {
    /// First step: is the image there?
    pub(crate) fn begin_start(&mut self, node: &mut Node<'_>, spec: &Spec) {
        let image = str(&spec.image);
        if let Err(message) = images::validate(image) {
            let seen = self.waiting_for(&spec.name, "InvalidImageName");
            self.fail_start(node, &spec.name, "InvalidImageName", message.clone());
            if !seen {
                self.container_event(node, &spec.name, true, "InspectFailed", message);
                self.container_event(node, &spec.name, true, "Failed", "Error: InvalidImageName");
            }
            return;
        }
        let place = self.place().map(|sandbox| sandbox.id.clone());
        let runs = self.ready_sandbox().is_some();
        let container = self.container(&spec.name);
        // Made before the sandbox ran, or before a restart of the kubelet.
        if let Some(run) = container.current.as_ref().filter(|run| run.state == ContainerState::Created)
            && Some(&run.sandbox_id) == place.as_ref()
        {
            if !runs {
                return;
            }
            let container_id = run.id.clone();
            container.step = Step::Starting;
            self.submit_start(node, &spec.name, Operation::StartContainer { container_id });
            return;
        }
        container.step = Step::Inspecting;
        self.submit_start(node, &spec.name, Operation::ImageStatus { image: image.into() });
    }

    pub(crate) fn container(&mut self, name: &str) -> &mut Container {
        self.containers.entry(name.into()).or_default()
    }

    fn waiting_for(&self, name: &str, reason: &str) -> bool {
        let waiting = self.containers.get(name).and_then(|container| container.waiting.as_ref());
        waiting.is_some_and(|waiting| waiting.reason == reason)
    }

    fn submit_start(&self, node: &mut Node<'_>, name: &str, operation: Operation) {
        self.submit(node, Purpose::Start { name: name.into() }, operation);
    }

    /// Waits with a reason, to try again later.
    fn fail_start(&mut self, node: &mut Node<'_>, name: &str, reason: &'static str, message: String) {
        let retry_at = after(node.now, RETRY);
        node.wake_at(retry_at);
        self.container(name).wait(reason, message, retry_at);
    }

    /// A step of a container's start has ended.
    pub(crate) fn start_step_done(&mut self, node: &mut Node<'_>, name: &str, result: Result<Outcome, RuntimeError>) {
        let pod = self.pod.clone();
        let Some((spec, _)) = spec::find(&pod, name) else { return };
        let spec = &*spec;
        let step = self.container(name).step;
        if let Err(error) = &result
            && error.code == ErrorCode::Unavailable
        {
            let retry_at = after(node.now, RETRY_UNAVAILABLE);
            let container = self.container(name);
            container.step = Step::Idle;
            container.retry_at = Some(retry_at);
            node.wake_at(retry_at);
            return;
        }
        if self.termination.is_some() && !matches!(step, Step::Creating | Step::Starting) {
            self.container(name).step = Step::Idle;
            return;
        }
        match (step, result) {
            (Step::Inspecting, Ok(Outcome::Image(image))) => self.image_inspected(node, spec, image),
            (Step::Inspecting, Err(error)) => {
                let message = format!("Failed to inspect image {:?}: {}", str(&spec.image), error.message);
                self.container_event(node, name, true, "InspectFailed", message.clone());
                self.container_event(node, name, true, "Failed", "Error: ImageInspectError");
                self.fail_start(node, name, "ImageInspectError", message);
            }
            (Step::Pulling(since), result) => self.image_pulled(node, spec, since, result),
            (Step::Creating, Ok(Outcome::Container(status))) => self.created(node, spec, *status),
            // Its sandbox did not start: that is what is told.
            (Step::Creating, Err(_)) if self.place().is_none() => self.container(name).step = Step::Idle,
            (Step::Creating, Err(error)) => {
                self.container_event(node, name, true, "Failed", format!("Error: {}", error.message));
                self.fail_start(node, name, "CreateContainerError", error.message);
            }
            (Step::Starting, Ok(Outcome::Container(status))) => self.started(node, spec, *status),
            (Step::Starting, Err(error)) => self.start_failed(node, name, error),
            _ => self.container(name).step = Step::Idle,
        }
    }

    fn image_inspected(&mut self, node: &mut Node<'_>, spec: &Spec, image: Option<ImageInfo>) {
        let (name, reference) = (spec.name.as_str(), str(&spec.image));
        let policy = images::pull_policy(reference, spec.image_pull_policy.as_deref());
        match (policy.pulls(reference, image.is_some()), image) {
            (Ok(false), Some(image)) => {
                let message =
                    format!("Container image {reference:?} already present on machine and can be accessed by the pod");
                self.container_event(node, name, false, "Pulled", message);
                self.create(node, spec, image);
            }
            (Ok(_), _) => self.pull(node, spec),
            (Err(message), _) => {
                self.container_event(node, name, true, "ErrImageNeverPull", message.clone());
                self.container_event(node, name, true, "Failed", "Error: ErrImageNeverPull");
                self.fail_start(node, name, "ErrImageNeverPull", message);
            }
        }
    }

    fn pull(&mut self, node: &mut Node<'_>, spec: &Spec) {
        let (name, reference) = (spec.name.as_str(), str(&spec.image));
        let container = self.container(name);
        if let Some(until) = container.image_backoff.until_since_update(node.now) {
            let back_off = format!("Back-off pulling image {reference:?}");
            let message = match &container.waiting {
                Some(waiting) if waiting.reason == "ErrImagePull" => {
                    format!("{back_off}: ErrImagePull: {}", waiting.message)
                }
                Some(waiting) => waiting.message.clone(),
                None => back_off.clone(),
            };
            container.wait("ImagePullBackOff", message, until);
            node.wake_at(until);
            self.container_event(node, name, false, "BackOff", back_off);
            self.container_event(node, name, true, "Failed", "Error: ImagePullBackOff");
            return;
        }
        container.step = Step::Pulling(node.now);
        self.container_event(node, name, false, "Pulling", format!("Pulling image {reference:?}"));
        let pull_secrets = images::pull_secrets(&self.pod, node.objects);
        self.submit_start(node, name, Operation::PullImage { image: reference.into(), pull_secrets });
    }

    /// Says how far a pull has come.
    pub(crate) fn pull_goes_on(&self, node: &mut Node<'_>, name: &str, progress: &str) {
        if let Some((spec, _)) = spec::find(&self.pod, name) {
            let message = format!("Pulling image {:?}: {progress}", str(&spec.image));
            self.container_event(node, name, false, "Pulling", message);
        }
    }

    fn image_pulled(
        &mut self,
        node: &mut Node<'_>,
        spec: &Spec,
        started: machinery::Timestamp,
        result: Result<Outcome, RuntimeError>,
    ) {
        let (name, reference) = (spec.name.as_str(), str(&spec.image));
        let error = match result {
            Ok(Outcome::Image(Some(image))) => {
                let took = format_duration(since(started, node.now));
                let message = format!(
                    "Successfully pulled image {reference:?} in {took} ({took} including waiting). Image size: {} bytes.",
                    image.size_bytes
                );
                self.container_event(node, name, false, "Pulled", message);
                self.create(node, spec, image);
                return;
            }
            Ok(_) => RuntimeError::new(ErrorCode::NotFound, format!("image {reference:?} not found after pull")),
            Err(error) => error,
        };
        self.container_event(
            node,
            name,
            true,
            "Failed",
            format!("Failed to pull image {reference:?}: {}", error.message),
        );
        let (reason, message) = match error.code {
            ErrorCode::RegistryUnavailable => (
                "RegistryUnavailable",
                format!("image pull failed for {reference} because the registry is unavailable: {}", error.message),
            ),
            ErrorCode::InvalidImageName => ("InvalidImageName", error.message),
            _ => ("ErrImagePull", error.message),
        };
        self.container_event(node, name, true, "Failed", format!("Error: {reason}"));
        let retry_at = after(node.now, PULL_ERROR_SHOWN);
        node.wake_at(retry_at);
        let now = node.now;
        let container = self.container(name);
        container.image_backoff.next(now, now);
        container.wait(reason, message, retry_at);
    }

    fn create(&mut self, node: &mut Node<'_>, spec: &Spec, image: ImageInfo) {
        let name = spec.name.as_str();
        let Some(sandbox_id) = self.place().map(|sandbox| sandbox.id.clone()) else {
            self.container(name).step = Step::Idle;
            return;
        };
        let attempt = self.container(name).next_attempt();
        match crate::create::config(self, node, spec, &image, attempt) {
            Ok(config) => {
                let container = self.container(name);
                container.step = Step::Creating;
                container.image = Some(image);
                let granted = spec.resources.clone().unwrap_or_default();
                container.resources = Some(Allocation { actual: granted.clone(), granted });
                self.submit_start(node, name, Operation::CreateContainer { sandbox_id, config: Box::new(config) });
            }
            Err(message) => {
                self.container_event(node, name, true, "Failed", format!("Error: {message}"));
                self.fail_start(node, name, "CreateContainerConfigError", message);
            }
        }
    }

    fn created(&mut self, node: &mut Node<'_>, spec: &Spec, status: ContainerStatus) {
        let name = spec.name.as_str();
        let container_id = status.id.clone();
        if self.place().is_none_or(|sandbox| sandbox.id != status.sandbox_id) {
            self.container(name).step = Step::Idle;
            self.submit(node, Purpose::Forget, Operation::RemoveContainer { container_id });
            return;
        }
        self.container_event(node, name, false, "Created", "Container created");
        let container = self.container(name);
        let oldest = if container.current.is_some() { container.previous.take() } else { None };
        let oldest = oldest.map(|run| run.id);
        container.apply(status);
        container.step = Step::Starting;
        if let Some(container_id) = oldest {
            self.submit(node, Purpose::Forget, Operation::RemoveContainer { container_id });
        }
        if self.termination.is_some() || self.ready_sandbox().is_none() {
            self.container(name).step = Step::Idle;
            return;
        }
        self.submit_start(node, name, Operation::StartContainer { container_id });
    }

    fn started(&mut self, node: &mut Node<'_>, spec: &Spec, status: ContainerStatus) {
        let name = spec.name.as_str();
        let container_id = status.id.clone();
        let container = self.container(name);
        container.apply(status);
        container.step = Step::Idle;
        container.waiting = None;
        container.retry_at = None;
        let running = container.is_running();
        self.container_event(node, name, false, "Started", "Container started");
        self.check_resized(node);
        let hook = spec.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref());
        if let Some(hook) = hook.filter(|_| running) {
            self.container(name).step = Step::PostStart;
            self.run_hook(node, spec, &container_id, hook, HOOK_TIMEOUT * 120);
        }
    }

    /// The process could not be run: that counts as a run that ended.
    fn start_failed(&mut self, node: &mut Node<'_>, name: &str, error: RuntimeError) {
        self.container_event(node, name, true, "Failed", format!("Error: {}", error.message));
        let now = node.now;
        let container = self.container(name);
        container.wait("RunContainerError", error.message.clone(), now);
        if let Some(run) = container.current.as_mut().filter(|run| run.state != ContainerState::Exited) {
            run.state = ContainerState::Exited;
            run.exit_code = 128;
            run.reason = "StartError".into();
            run.message = error.message;
            run.started_at = run.started_at.or(Some(now));
            run.finished_at = Some(now);
        }
        node.wake_at(now);
    }

    /// Runs a lifecycle hook; its end comes to [`Worker::hook_done`].
    pub(crate) fn run_hook(
        &mut self,
        node: &mut Node<'_>,
        spec: &Spec,
        container_id: &str,
        hook: &LifecycleHandler,
        timeout: Duration,
    ) {
        let purpose = Purpose::Hook { name: spec.name.clone(), container_id: container_id.into() };
        let ips = self.ips(node.config);
        let pod_ip = ips.first().map(String::as_str).unwrap_or_default();
        let operation = if let Some(action) = &hook.exec {
            Ok(probes::exec(action, container_id, timeout))
        } else if let Some(action) = &hook.http_get {
            probes::http_get(action, spec, pod_ip, timeout.min(HOOK_TIMEOUT), "kube-lifecycle/1.37")
        } else if let Some(action) = &hook.sleep {
            let until = after(node.now, Duration::from_secs(u64::try_from(action.seconds).unwrap_or_default()));
            self.container(&spec.name).retry_at = Some(until);
            node.wake_at(until);
            return;
        } else {
            Err("invalid handler: nothing to run".into())
        };
        match operation {
            Ok(operation) => self.submit(node, purpose, operation),
            Err(message) => {
                let error = RuntimeError::new(ErrorCode::Unknown, message);
                self.hook_done(node, &spec.name, container_id, Err(error));
            }
        }
    }
}
