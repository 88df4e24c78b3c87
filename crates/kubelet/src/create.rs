//! A container's configuration, from its spec.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container as Spec, SecurityContext};

use crate::env;
use crate::expand::expand;
use crate::fieldref::Facts;
use crate::qos;
use crate::runtime::{ContainerConfig, ImageInfo, LinuxSecurity, NamespaceMode};
use crate::sandbox;
use crate::spec;
use crate::text::{pod_name, str};
use crate::volumes;
use crate::worker::{Node, Worker};

/// The configuration of a container's next run.
///
/// # Errors
/// The message of a `CreateContainerConfigError`.
pub fn config(
    worker: &Worker,
    node: &Node<'_>,
    spec: &Spec,
    image: &ImageInfo,
    attempt: u32,
) -> Result<ContainerConfig, String> {
    let pod = &*worker.pod;
    let ips = worker.ips_in(worker.place(), node.config);
    let host_ips = node.config.internal_ips();
    let facts = Facts { pod, pod_ips: &ips, host_ips: &host_ips, allocatable: node.config.allocatable() };
    let env = env::environment(&facts, spec, node.objects)?;
    let lookup = |name: &str| env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let expand_all = |list: &Option<Vec<String>>| list.iter().flatten().map(|text| expand(text, lookup)).collect();
    let pod_spec = spec::of(pod);
    let flag = |value: Option<bool>| value.unwrap_or_default();
    let message_path = spec.termination_message_path.as_deref().filter(|path| !path.is_empty());
    let message_from_log = spec.termination_message_policy.as_deref() == Some("FallbackToLogsOnError");
    let target = pod_spec
        .and_then(|pod| pod.ephemeral_containers.as_ref()?.iter().find(|container| container.name == spec.name))
        .and_then(|container| container.target_container_name.as_ref());
    let pid_target = target.and_then(|name| worker.containers.get(name)?.current.as_ref()).map(|run| run.id.clone());
    let labels = [
        ("io.kubernetes.pod.name", str(&pod.metadata.name)),
        ("io.kubernetes.pod.namespace", str(&pod.metadata.namespace)),
        ("io.kubernetes.pod.uid", str(&pod.metadata.uid)),
        ("io.kubernetes.container.name", spec.name.as_str()),
    ];
    let annotations = [
        ("io.kubernetes.container.restartCount", attempt.to_string()),
        ("io.kubernetes.container.terminationMessagePath", message_path.unwrap_or("/dev/termination-log").into()),
        ("io.kubernetes.container.terminationMessagePolicy", str(&spec.termination_message_policy).into()),
        ("io.kubernetes.pod.terminationGracePeriod", spec::grace(pod).as_secs().to_string()),
    ];
    Ok(ContainerConfig {
        name: spec.name.clone(),
        attempt,
        pod_name: str(&pod.metadata.name).into(),
        pod_namespace: str(&pod.metadata.namespace).into(),
        pod_uid: str(&pod.metadata.uid).into(),
        image: str(&spec.image).into(),
        image_id: image.id.clone(),
        command: expand_all(&spec.command),
        args: expand_all(&spec.args),
        working_dir: str(&spec.working_dir).into(),
        mounts: volumes::mounts(pod, spec, &env),
        labels: Arc::new(labels.map(|(key, value)| (key.to_string(), value.to_string())).into()),
        annotations: Arc::new(annotations.map(|(key, value)| (key.to_string(), value)).into()),
        ports: spec.ports.iter().flatten().filter_map(|port| u16::try_from(port.container_port).ok()).collect(),
        stdin: flag(spec.stdin),
        stdin_once: flag(spec.stdin_once),
        tty: flag(spec.tty),
        termination_message_path: message_path.unwrap_or("/dev/termination-log").into(),
        termination_message_from_log: message_from_log,
        etc_hosts: sandbox::etc_hosts(pod, node.config, &ips),
        pid: if flag(pod_spec.and_then(|spec| spec.host_pid)) {
            NamespaceMode::Node
        } else if flag(pod_spec.and_then(|spec| spec.share_process_namespace)) {
            NamespaceMode::Pod
        } else {
            NamespaceMode::Container
        },
        pid_target,
        resources: qos::linux(pod, spec, node.config.memory_bytes()),
        security: security(worker, spec, image)?,
        env_files: env::files(spec),
        env,
    })
}

/// The container's security context over the pod's.
fn security(worker: &Worker, spec: &Spec, image: &ImageInfo) -> Result<LinuxSecurity, String> {
    let pod = &*worker.pod;
    let none = SecurityContext::default();
    let of_container = spec.security_context.as_ref().unwrap_or(&none);
    let of_pod = spec::of(pod).and_then(|spec| spec.security_context.as_ref());
    let run_as_user = of_container.run_as_user.or_else(|| of_pod.and_then(|context| context.run_as_user));
    let non_root = of_container.run_as_non_root.or_else(|| of_pod.and_then(|context| context.run_as_non_root));
    if non_root == Some(true) {
        let place = format!("(pod: {:?}, container: {})", pod_name(pod), spec.name);
        let image_user = image.user.split(':').next().unwrap_or_default();
        match (run_as_user, image_user) {
            (Some(0), _) => return Err(format!("container's runAsUser breaks non-root policy {place}")),
            (Some(_), _) => {}
            (None, "" | "0" | "root") => {
                return Err(format!("container has runAsNonRoot and image will run as root {place}"));
            }
            (None, user) if user.parse::<i64>().is_err() => {
                return Err(format!(
                    "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root {place}"
                ));
            }
            (None, _) => {}
        }
    }
    let mut groups: Vec<i64> = of_pod.and_then(|context| context.supplemental_groups.clone()).unwrap_or_default();
    groups.extend(of_pod.and_then(|context| context.fs_group));
    let capabilities = of_container.capabilities.as_ref();
    let profile =
        of_container.seccomp_profile.as_ref().or_else(|| of_pod.and_then(|context| context.seccomp_profile.as_ref()));
    let confined =
        of_container.app_armor_profile.as_ref().or_else(|| of_pod.and_then(|it| it.app_armor_profile.as_ref()));
    // A profile of the node's own is told by its place there.
    let named = |kind: &str, place: &Option<String>| match kind {
        "Localhost" => format!("Localhost/{}", str(place)),
        other => other.to_owned(),
    };
    Ok(LinuxSecurity {
        run_as_user,
        run_as_group: of_container.run_as_group.or_else(|| of_pod.and_then(|context| context.run_as_group)),
        supplemental_groups: groups,
        strict_groups: of_pod.and_then(|context| context.supplemental_groups_policy.as_deref()) == Some("Strict"),
        fs_group: of_pod.and_then(|context| context.fs_group),
        privileged: of_container.privileged.unwrap_or_default(),
        read_only_root: of_container.read_only_root_filesystem.unwrap_or_default(),
        capabilities_add: capabilities.and_then(|set| set.add.clone()).unwrap_or_default(),
        capabilities_drop: capabilities.and_then(|set| set.drop.clone()).unwrap_or_default(),
        no_new_privileges: of_container.allow_privilege_escalation == Some(false),
        own_users: spec::of(pod).and_then(|spec| spec.host_users) == Some(false),
        seccomp_profile: profile.map_or_else(String::new, |it| named(&it.type_, &it.localhost_profile)),
        apparmor_profile: confined.map_or_else(String::new, |it| named(&it.type_, &it.localhost_profile)),
    })
}
