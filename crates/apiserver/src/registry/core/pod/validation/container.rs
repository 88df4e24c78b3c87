//! What is wrong with containers: regular, init and ephemeral ones.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, ContainerPort, PodSpec};
use machinery::field::{Error, ErrorList, Path};
use machinery::names::{is_dns1123_label, is_port_name};

use super::volume::Volumes;
use super::{env, mount, probe, security};
use crate::registry::core::pod::ephemeral;
use crate::registry::shared::resources;
use crate::registry::shared::validate::{one_of, port_number, required};

/// Everything that is wrong with the containers of a pod spec.
pub fn containers(errors: &mut ErrorList, path: &Path<'_>, spec: &PodSpec, volumes: &Volumes<'_>) {
    let grace = spec.termination_grace_period_seconds.unwrap_or_default();
    let list = path.child("containers");
    if spec.containers.is_empty() {
        errors.push(Error::required(&list, ""));
    }
    let mut names = BTreeSet::new();
    for (index, container) in spec.containers.iter().enumerate() {
        let at = list.index(index);
        common(errors, &at, container, volumes);
        if !names.insert(container.name.clone()) {
            errors.push(Error::duplicate(&at.child("name"), container.name.as_str()));
        }
        probe::lifecycle(errors, &at.child("lifecycle"), container.lifecycle.as_ref(), grace);
        probe::probes(errors, &at, container);
        restart_policy(errors, &at, container);
    }
    host_port_conflicts(errors, &list, &spec.containers);
    init_containers(errors, &path.child("initContainers"), spec, volumes, &mut names, grace);
    ephemeral_containers(errors, &path.child("ephemeralContainers"), spec, volumes, &mut names);
}

fn init_containers(
    errors: &mut ErrorList,
    list: &Path<'_>,
    spec: &PodSpec,
    volumes: &Volumes<'_>,
    names: &mut BTreeSet<String>,
    grace: i64,
) {
    for (index, container) in spec.init_containers.iter().flatten().enumerate() {
        let at = list.index(index);
        common(errors, &at, container, volumes);
        if !container.name.is_empty() && !names.insert(container.name.clone()) {
            errors.push(Error::duplicate(&at.child("name"), container.name.as_str()));
        }
        if container.restart_policy.as_deref() == Some("Always") {
            probe::lifecycle(errors, &at.child("lifecycle"), container.lifecycle.as_ref(), grace);
            probe::probes(errors, &at, container);
        } else {
            let detail = "may not be set for init containers without restartPolicy=Always";
            for (field, set) in [
                ("lifecycle", container.lifecycle.is_some()),
                ("livenessProbe", container.liveness_probe.is_some()),
                ("readinessProbe", container.readiness_probe.is_some()),
                ("startupProbe", container.startup_probe.is_some()),
            ] {
                if set {
                    errors.push(Error::forbidden(&at.child(field), detail));
                }
            }
        }
        restart_policy(errors, &at, container);
    }
}

fn ephemeral_containers(
    errors: &mut ErrorList,
    list: &Path<'_>,
    spec: &PodSpec,
    volumes: &Volumes<'_>,
    names: &mut BTreeSet<String>,
) {
    for (index, one) in spec.ephemeral_containers.iter().flatten().enumerate() {
        let at = list.index(index);
        let container = ephemeral::to_container(one.clone());
        common(errors, &at, &container, volumes);
        if !container.name.is_empty() && !names.insert(container.name.clone()) {
            errors.push(Error::duplicate(&at.child("name"), container.name.as_str()));
        }
        if let Some(target) = one.target_container_name.as_deref().filter(|target| !target.is_empty()) {
            let regular = spec.containers.iter().any(|container| container.name == target);
            if !regular && !spec.init_containers.iter().flatten().any(|container| container.name == target) {
                errors.push(Error::not_found(&at.child("targetContainerName"), target));
            }
        }
        let detail = "cannot be set for an Ephemeral Container";
        let limited = container.resources.as_ref().is_some_and(|it| it.limits.is_some() || it.requests.is_some());
        for (field, set) in [
            ("ports", container.ports.iter().flatten().next().is_some()),
            ("livenessProbe", container.liveness_probe.is_some()),
            ("readinessProbe", container.readiness_probe.is_some()),
            ("startupProbe", container.startup_probe.is_some()),
            ("lifecycle", container.lifecycle.is_some()),
            ("resources", limited),
        ] {
            if set {
                errors.push(Error::forbidden(&at.child(field), detail));
            }
        }
    }
}

/// What is said of every container.
fn common(errors: &mut ErrorList, path: &Path<'_>, container: &Container, volumes: &Volumes<'_>) {
    required(errors, &path.child("name"), &container.name, is_dns1123_label);
    if container.image.as_deref().unwrap_or_default().trim().is_empty() {
        errors.push(Error::required(&path.child("image"), ""));
    }
    let policies = ["File", "FallbackToLogsOnError"];
    let policy = container.termination_message_policy.as_deref();
    one_of(errors, &path.child("terminationMessagePolicy"), policy, &policies);
    ports(errors, &path.child("ports"), container.ports.as_deref());
    env::env(errors, &path.child("env"), container.env.as_deref());
    env::env_from(errors, &path.child("envFrom"), container.env_from.as_deref());
    mount::mounts(errors, &path.child("volumeMounts"), container, volumes);
    mount::devices(errors, &path.child("volumeDevices"), container, volumes);
    let pull_policy = container.image_pull_policy.as_deref();
    one_of(errors, &path.child("imagePullPolicy"), pull_policy, &["Always", "IfNotPresent", "Never"]);
    if let Some(resources) = &container.resources {
        resources::of_container(errors, &path.child("resources"), resources);
    }
    resize_policy(errors, &path.child("resizePolicy"), container);
    if let Some(context) = &container.security_context {
        security::security_context(errors, &path.child("securityContext"), context);
    }
}

fn ports(errors: &mut ErrorList, path: &Path<'_>, ports: Option<&[ContainerPort]>) {
    let mut names = BTreeSet::new();
    for (index, port) in ports.into_iter().flatten().enumerate() {
        let at = path.index(index);
        if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty()) {
            let complaints = is_port_name(name);
            let right = complaints.is_empty();
            errors.extend(complaints.into_iter().map(|text| Error::invalid(&at.child("name"), name, text)));
            if right && !names.insert(name) {
                errors.push(Error::duplicate(&at.child("name"), name));
            }
        }
        match port.container_port {
            0 => errors.push(Error::required(&at.child("containerPort"), "")),
            number => port_number(errors, &at.child("containerPort"), number),
        }
        if let Some(number) = port.host_port.filter(|number| *number != 0) {
            port_number(errors, &at.child("hostPort"), number);
        }
        one_of(errors, &at.child("protocol"), port.protocol.as_deref(), &["SCTP", "TCP", "UDP"]);
    }
}

/// No two containers can have the same port of the node.
fn host_port_conflicts(errors: &mut ErrorList, path: &Path<'_>, containers: &[Container]) {
    let mut taken = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let at = path.index(index);
        let ports = at.child("ports");
        for (index, port) in container.ports.iter().flatten().enumerate() {
            let Some(host_port) = port.host_port.filter(|port| *port != 0) else { continue };
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let key = format!("{}/{}/{host_port}", text(&port.protocol), text(&port.host_ip));
            let at = ports.index(index);
            if !taken.insert(key.clone()) {
                errors.push(Error::duplicate(&at.child("hostPort"), key));
            }
        }
    }
}

fn resize_policy(errors: &mut ErrorList, path: &Path<'_>, container: &Container) {
    let mut seen = BTreeSet::new();
    for (index, policy) in container.resize_policy.iter().flatten().enumerate() {
        let at = path.index(index);
        one_of(errors, &at.child("resourceName"), Some(&policy.resource_name), &["cpu", "memory"]);
        let policies = ["NotRequired", "RestartContainer"];
        one_of(errors, &at.child("restartPolicy"), Some(&policy.restart_policy), &policies);
        if !seen.insert(&policy.resource_name) {
            errors.push(Error::duplicate(path, policy.resource_name.as_str()));
        }
    }
}

/// Containers may have a restart policy of their own.
fn restart_policy(errors: &mut ErrorList, path: &Path<'_>, container: &Container) {
    let Some(policy) = container.restart_policy.as_deref() else {
        if container.restart_policy_rules.iter().flatten().next().is_some() {
            let detail = "must specify restartPolicy when restart rules are used";
            errors.push(Error::required(&path.child("restartPolicy"), detail));
        }
        return;
    };
    let supported = ["Always", "Never", "OnFailure"];
    if !supported.contains(&policy) {
        errors.push(Error::not_supported(&path.child("restartPolicy"), policy, &supported));
    }
    let rules = path.child("restartPolicyRules");
    for (index, rule) in container.restart_policy_rules.iter().flatten().enumerate() {
        let at = rules.index(index);
        one_of(errors, &at.child("action"), Some(&rule.action), &["Restart", "RestartAllContainers"]);
        match &rule.exit_codes {
            None => errors.push(Error::required(&at.child("exitCodes"), "must be specified")),
            Some(codes) => {
                one_of(errors, &at.child("exitCodes.operator"), Some(&codes.operator), &["In", "NotIn"]);
            }
        }
    }
}
