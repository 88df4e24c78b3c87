//! Node.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, NodeStatus};
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::{is_label_value, is_qualified_name};
use serde_json::Value;

use super::pod::validation::taint_effect;
use crate::registry::info::Column;
use crate::registry::shared::defaults::canonical;
use crate::registry::shared::printer::{AGE, NAME, age, column, joined, name, or_none, wide};
use crate::registry::shared::resources::quantity;
use crate::registry::shared::validate::{complain, shown};
use crate::registry::strategy::{Field, Typed, parts};

/// Node's strategy. A kubelet may register its node with a status.
pub static STRATEGY: Typed<Node> = Typed {
    status_on_create: true,
    defaults,
    validate,
    validate_update,
    fields: &[Field { name: "spec.unschedulable", get: |node| is_unschedulable(node).to_string() }],
    columns: COLUMNS,
    cells,
    ..Typed::new(parts!(Node: spec; status))
};

fn is_unschedulable(node: &Node) -> bool {
    node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true))
}

/// What is allocatable is the capacity, unless the kubelet says otherwise.
fn defaults(node: &mut Node) {
    node.spec.get_or_insert_default();
    if let Some(status) = &mut node.status {
        canonical(status.capacity.as_mut());
        canonical(status.allocatable.as_mut());
    }
    if let Some(status) = &mut node.status
        && status.allocatable.is_none()
        && let Some(capacity) = status.capacity.as_ref().filter(|capacity| !capacity.is_empty())
    {
        status.allocatable = Some(capacity.clone());
    }
}

const COLUMNS: &[Column] = &[
    NAME,
    column("Status", "string", "Whether the node is ready and takes new pods."),
    column("Roles", "string", "Roles, from the node's labels."),
    AGE,
    column("Version", "string", "The kubelet's version."),
    wide("Internal-IP", "string", "Address inside the cluster."),
    wide("External-IP", "string", "Address from outside."),
    wide("OS-Image", "string", "The operating system."),
    wide("Kernel-Version", "string", "The kernel."),
    wide("Container-Runtime", "string", "What runs the containers."),
];

fn cells(node: &Node, now: Timestamp) -> Vec<Value> {
    let status = node.status.clone().unwrap_or_default();
    let info = status.node_info.clone().unwrap_or_default();
    let known = |text: &str| Value::from(if text.is_empty() { "<unknown>" } else { text });
    vec![
        name(&node.metadata),
        readiness(node, &status).into(),
        or_none(Some(&roles(node))),
        age(&node.metadata, now),
        info.kubelet_version.into(),
        or_none(address(&status, "InternalIP")),
        or_none(address(&status, "ExternalIP")),
        known(&info.os_image),
        known(&info.kernel_version),
        known(&info.container_runtime_version),
    ]
}

/// `Ready`, `NotReady,SchedulingDisabled`, `Unknown`.
fn readiness(node: &Node, status: &NodeStatus) -> String {
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
    let ready = match ready {
        Some(condition) if condition.status == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    if is_unschedulable(node) { format!("{ready},SchedulingDisabled") } else { ready.into() }
}

fn roles(node: &Node) -> String {
    let role = |(key, value): (&'_ String, &'_ String)| {
        let role = match key.strip_prefix("node-role.kubernetes.io/") {
            Some(role) => role.to_owned(),
            None if key == "kubernetes.io/role" => value.clone(),
            None => String::new(),
        };
        Some(role).filter(|role| !role.is_empty())
    };
    let roles: BTreeSet<String> = node.metadata.labels.iter().flatten().filter_map(role).collect();
    joined(roles.iter().map(String::as_str))
}

fn address<'a>(status: &'a NodeStatus, kind: &str) -> Option<&'a str> {
    status.addresses.iter().flatten().find(|address| address.type_ == kind).map(|address| address.address.as_str())
}

fn validate(node: &Node) -> ErrorList {
    let mut errors = ErrorList::new();
    // Upstream says so, though taints are in the spec.
    taints(&mut errors, &Path::new("metadata.taints"), node);
    resources(&mut errors, node);
    let path = Path::new("spec.podCIDRs");
    let cidrs = node.spec.as_ref().and_then(|spec| spec.pod_cidrs.as_deref()).unwrap_or_default();
    for (index, cidr) in cidrs.iter().enumerate() {
        if !is_cidr(cidr) {
            errors.push(Error::invalid(&path.index(index), shown(&cidrs), "must be valid CIDR"));
        }
    }
    errors
}

fn taints(errors: &mut ErrorList, path: &Path<'_>, node: &Node) {
    let mut seen = BTreeSet::new();
    for (index, taint) in node.spec.iter().filter_map(|spec| spec.taints.as_ref()).flatten().enumerate() {
        let at = path.index(index);
        complain(errors, &at.child("key"), &taint.key, is_qualified_name(&taint.key));
        let value = taint.value.as_deref().unwrap_or_default();
        let complaints = is_label_value(value);
        if !complaints.is_empty() {
            errors.push(Error::invalid(&at.child("value"), value, complaints.join(";")));
        }
        taint_effect(errors, &at.child("effect"), &taint.effect);
        if !seen.insert((&taint.key, &taint.effect)) {
            let mut error = Error::duplicate(&at, shown(taint));
            error.detail = "taints must be unique by key and effect pair".into();
            errors.push(error);
        }
    }
}

fn resources(errors: &mut ErrorList, node: &Node) {
    let status = node.status.clone().unwrap_or_default();
    for (path, resources) in
        [(Path::new("status.capacity"), status.capacity), (Path::new("status.allocatable"), status.allocatable)]
    {
        for (resource, amount) in resources.iter().flatten() {
            quantity(errors, &path.child(resource), resource, amount);
        }
    }
}

/// Whether it is a network: `10.0.0.0/24`.
fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let (Ok(address), Ok(length)) = (address.parse::<std::net::IpAddr>(), length.parse::<u8>()) else { return false };
    length <= if address.is_ipv4() { 32 } else { 128 }
}

/// What a node was given once it keeps: its networks and its provider's name for it.
fn validate_update(new: &Node, old: &Node) -> ErrorList {
    let mut errors = ErrorList::new();
    resources(&mut errors, new);
    let addresses = Path::new("status.addresses");
    let mut seen = BTreeSet::new();
    for (index, address) in new.status.iter().filter_map(|status| status.addresses.as_ref()).flatten().enumerate() {
        if !seen.insert((&address.type_, &address.address)) {
            errors.push(Error::duplicate(&addresses.index(index), shown(address)));
        }
    }
    let (new_spec, old_spec) = (new.spec.clone().unwrap_or_default(), old.spec.clone().unwrap_or_default());
    let path = Path::new("spec");
    let cidrs = path.child("podCIDRs");
    let (now, before) = (new_spec.pod_cidrs.unwrap_or_default(), old_spec.pod_cidrs.unwrap_or_default());
    if now.is_empty() && !before.is_empty() {
        errors.push(Error::invalid(&cidrs, Value::Null, "field cannot be cleared once set"));
    } else if !before.is_empty() && now != before {
        let detail = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(Error::forbidden(&cidrs, detail));
    }
    if old_spec.provider_id.as_deref().is_some_and(|id| !id.is_empty()) && new_spec.provider_id != old_spec.provider_id
    {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(Error::forbidden(&path.child("providerID"), detail));
    }
    taints(&mut errors, &Path::new("metadata.taints"), new);
    errors
}
