//! Reading a pod's spec: which containers it has, in which order, and what each is.

use std::borrow::Cow;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, ContainerRestartRule, EphemeralContainer, Pod, PodSpec};
use machinery::Timestamp;

/// How long a pod is given to end when nothing says otherwise.
const GRACE_DEFAULT_SECONDS: i64 = 30;

/// What a container is within its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next starts.
    Init,
    /// An init container with `restartPolicy: Always`: starts in order, and keeps running.
    Sidecar,
    /// A regular container.
    Regular,
    /// Added to a running pod for debugging; never started twice.
    Ephemeral,
}

/// When a container that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RestartPolicy {
    /// Whatever its exit code.
    Always,
    /// Unless its exit code is 0.
    OnFailure,
    /// Not at all.
    Never,
}

impl RestartPolicy {
    fn parse(text: &str) -> Self {
        match text {
            "Never" => Self::Never,
            "OnFailure" => Self::OnFailure,
            _ => Self::Always,
        }
    }

    /// Whether a container that ended with this code starts again.
    fn restarts(self, exit_code: i32) -> bool {
        match self {
            Self::Always => true,
            Self::OnFailure => exit_code != 0,
            Self::Never => false,
        }
    }
}

/// The pod's spec; a pod always has one when it comes from an API server.
pub fn of(pod: &Pod) -> Option<&PodSpec> {
    pod.spec.as_ref()
}

/// Init containers, sidecars among them, in their order.
pub fn init_containers(pod: &Pod) -> &[Container] {
    of(pod).and_then(|spec| spec.init_containers.as_deref()).unwrap_or_default()
}

/// Regular containers.
pub fn containers(pod: &Pod) -> &[Container] {
    of(pod).map(|spec| spec.containers.as_slice()).unwrap_or_default()
}

/// All containers with their roles: init containers first.
pub fn all(pod: &Pod) -> impl Iterator<Item = (&Container, Role)> {
    let init = init_containers(pod).iter().map(|container| (container, init_role(container)));
    init.chain(containers(pod).iter().map(|container| (container, Role::Regular)))
}

/// A container by its name, also an ephemeral one.
pub fn find<'a>(pod: &'a Pod, name: &str) -> Option<(Cow<'a, Container>, Role)> {
    let found = all(pod).find(|(container, _)| container.name == name);
    let found = found.map(|(container, role)| (Cow::Borrowed(container), role));
    found.or_else(|| {
        let ephemeral = ephemeral_specs(pod).iter().find(|container| container.name == name)?;
        Some((Cow::Owned(as_container(ephemeral)), Role::Ephemeral))
    })
}

fn ephemeral_specs(pod: &Pod) -> &[EphemeralContainer] {
    of(pod).and_then(|spec| spec.ephemeral_containers.as_deref()).unwrap_or_default()
}

/// Ephemeral containers, as containers.
pub fn ephemeral_containers(pod: &Pod) -> Vec<Container> {
    ephemeral_specs(pod).iter().map(as_container).collect()
}

/// An ephemeral container as the container it is run as: it has no ports, probes, hooks or resources.
fn as_container(ephemeral: &EphemeralContainer) -> Container {
    let ephemeral = ephemeral.clone();
    Container {
        name: ephemeral.name,
        image: ephemeral.image,
        image_pull_policy: ephemeral.image_pull_policy,
        command: ephemeral.command,
        args: ephemeral.args,
        env: ephemeral.env,
        env_from: ephemeral.env_from,
        working_dir: ephemeral.working_dir,
        volume_mounts: ephemeral.volume_mounts,
        security_context: ephemeral.security_context,
        stdin: ephemeral.stdin,
        stdin_once: ephemeral.stdin_once,
        tty: ephemeral.tty,
        termination_message_path: ephemeral.termination_message_path,
        termination_message_policy: ephemeral.termination_message_policy,
        ..Container::default()
    }
}

/// Whether an init container is a sidecar.
pub fn init_role(container: &Container) -> Role {
    match container.restart_policy.as_deref() {
        Some("Always") => Role::Sidecar,
        _ => Role::Init,
    }
}

/// When the container is started again: its own policy, else the pod's. An init container runs until
/// it succeeds, unless the pod never restarts.
fn restart_policy(pod: &Pod, container: &Container, role: Role) -> RestartPolicy {
    let of_pod = of(pod).and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
    let policy = RestartPolicy::parse(container.restart_policy.as_deref().unwrap_or(of_pod));
    match (role, policy) {
        (Role::Ephemeral, _) => RestartPolicy::Never,
        (Role::Init, RestartPolicy::Always) => RestartPolicy::OnFailure,
        _ => policy,
    }
}

/// The first rule of a container's own that its exit code matches.
fn restart_rule(container: &Container, exit_code: i32) -> Option<&ContainerRestartRule> {
    container.restart_policy_rules.iter().flatten().find(|rule| {
        rule.exit_codes.as_ref().is_some_and(|codes| {
            let listed = codes.values.iter().flatten().any(|value| *value == exit_code);
            match codes.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                _ => false,
            }
        })
    })
}

/// Whether a container that ended with this code is started again: because a rule of its says so, else by its policy
/// (upstream's `podutil.ContainerShouldRestart`).
pub fn restarts(pod: &Pod, container: &Container, role: Role, exit_code: i32) -> bool {
    let rule = restart_rule(container, exit_code).filter(|_| role != Role::Ephemeral);
    rule.is_some() || restart_policy(pod, container, role).restarts(exit_code)
}

/// The action that starts all containers of the pod anew.
pub const RESTART_ALL: &str = "RestartAllContainers";

/// Whether the end of a container with this code starts all containers of the pod anew.
pub fn restarts_all(container: &Container, exit_code: i32) -> bool {
    restart_rule(container, exit_code).is_some_and(|rule| rule.action == RESTART_ALL)
}

/// Whether some end of some container starts all of them anew.
pub fn could_restart_all(pod: &Pod) -> bool {
    let mut rules = all(pod).flat_map(|(container, _)| container.restart_policy_rules.iter().flatten());
    rules.any(|rule| rule.action == RESTART_ALL)
}

/// How long the pod is given to end: what the deletion asks for, else the spec; at least a second.
pub fn grace(pod: &Pod) -> Duration {
    let seconds = pod
        .metadata
        .deletion_grace_period_seconds
        .or_else(|| of(pod).and_then(|spec| spec.termination_grace_period_seconds))
        .unwrap_or(GRACE_DEFAULT_SECONDS);
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default().max(1))
}

/// When deletion was asked for: the deletionTimestamp less the grace time it contains.
pub fn deletion_requested(pod: &Pod) -> Option<Timestamp> {
    let end = pod.metadata.deletion_timestamp.as_ref()?.0;
    let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or_default();
    end.checked_sub(jiff::SignedDuration::from_secs(grace)).ok()
}

/// Whether the pod has come to its end.
pub fn is_terminal(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether the pod uses the node's network.
pub fn is_host_network(pod: &Pod) -> bool {
    of(pod).and_then(|spec| spec.host_network).unwrap_or_default()
}
