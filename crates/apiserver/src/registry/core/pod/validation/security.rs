//! What is wrong with security contexts.

use k8s_openapi::api::core::v1::{PodSpec, SeccompProfile, SecurityContext};
use machinery::field::{Error, ErrorList, Path};
use machinery::names::range_message;

use crate::registry::shared::validate::{descending_path, optional_one_of, shown};

const ID_MAX: i64 = i32::MAX as i64;
const SECCOMP_TYPES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

fn id(errors: &mut ErrorList, path: &Path<'_>, id: Option<i64>) {
    if let Some(id) = id.filter(|id| !(0..=ID_MAX).contains(id)) {
        errors.push(Error::invalid(path, id, range_message(0, ID_MAX)));
    }
}

/// What is wrong with a pod's security context, and with sharing what is the node's.
pub fn pod_security_context(errors: &mut ErrorList, path: &Path<'_>, spec: &PodSpec) {
    let at = path.child("securityContext");
    host_network(errors, path, spec);
    own_users(errors, path, spec);
    if spec.share_process_namespace == Some(true) && spec.host_pid == Some(true) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(Error::invalid(&path.child("shareProcessNamespace"), true, detail));
    }
    let Some(context) = &spec.security_context else { return };
    id(errors, &at.child("fsGroup"), context.fs_group);
    id(errors, &at.child("runAsUser"), context.run_as_user);
    id(errors, &at.child("runAsGroup"), context.run_as_group);
    let groups = at.child("supplementalGroups");
    for (index, group) in context.supplemental_groups.iter().flatten().enumerate() {
        id(errors, &groups.index(index), Some(*group));
    }
    let change = context.fs_group_change_policy.as_deref();
    optional_one_of(errors, &at.child("fsGroupChangePolicy"), change, &["Always", "OnRootMismatch"]);
    seccomp(errors, &at.child("seccompProfile"), context.seccomp_profile.as_ref());
}

/// A pod with users of its own has no other namespace of its node's (upstream validateHostUsers).
fn own_users(errors: &mut ErrorList, path: &Path<'_>, spec: &PodSpec) {
    if spec.host_users != Some(false) {
        return;
    }
    let shared = [("hostNetwork", spec.host_network), ("hostPID", spec.host_pid), ("hostIPC", spec.host_ipc)];
    for (name, _) in shared.into_iter().filter(|(_, shared)| *shared == Some(true)) {
        errors.push(Error::forbidden(&path.child(name), "when `hostUsers` is false"));
    }
}

/// On the node's network, a port of the container is a port of the node.
fn host_network(errors: &mut ErrorList, path: &Path<'_>, spec: &PodSpec) {
    if spec.host_network != Some(true) {
        return;
    }
    for (field, containers) in
        [("containers", Some(&spec.containers)), ("initContainers", spec.init_containers.as_ref())]
    {
        let list = path.child(field);
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let at = list.index(index);
            let ports = at.child("ports");
            for (index, port) in container.ports.iter().flatten().enumerate() {
                if port.host_port.unwrap_or_default() != port.container_port && port.host_port.unwrap_or_default() != 0
                {
                    let at = ports.index(index);
                    let detail = "must match `hostPort` when `hostNetwork` is true";
                    errors.push(Error::invalid(&at.child("containerPort"), port.container_port, detail));
                }
            }
        }
    }
}

fn seccomp(errors: &mut ErrorList, path: &Path<'_>, profile: Option<&SeccompProfile>) {
    let Some(profile) = profile else { return };
    let localhost = profile.localhost_profile.as_deref();
    match profile.type_.as_str() {
        "" => errors.push(Error::required(&path.child("type"), "type is required when seccompProfile is set")),
        "Localhost" => match localhost {
            None => errors
                .push(Error::required(&path.child("localhostProfile"), "must be set when seccomp type is Localhost")),
            Some(file) => descending_path(errors, &path.child("localhostProfile"), file),
        },
        kind => {
            if localhost.is_some() {
                let detail = "can only be set when seccomp type is Localhost";
                errors.push(Error::invalid(&path.child("localhostProfile"), shown(&profile), detail));
            }
            if !SECCOMP_TYPES.contains(&kind) {
                errors.push(Error::not_supported(&path.child("type"), kind, &SECCOMP_TYPES));
            }
        }
    }
}

/// What is wrong with a container's security context.
pub fn security_context(errors: &mut ErrorList, path: &Path<'_>, context: &SecurityContext) {
    id(errors, &path.child("runAsUser"), context.run_as_user);
    id(errors, &path.child("runAsGroup"), context.run_as_group);
    seccomp(errors, &path.child("seccompProfile"), context.seccomp_profile.as_ref());
    let mounts = context.proc_mount.as_deref();
    optional_one_of(errors, &path.child("procMount"), mounts, &["Default", "Unmasked"]);
    if context.allow_privilege_escalation != Some(false) {
        return;
    }
    if context.privileged == Some(true) {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        errors.push(Error::invalid(path, shown(context), detail));
    }
    let added = context.capabilities.as_ref().and_then(|it| it.add.as_deref()).unwrap_or_default();
    if added.iter().any(|capability| capability == "CAP_SYS_ADMIN") {
        let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
        errors.push(Error::invalid(path, shown(context), detail));
    }
}
