//! Node.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, NodeStatus};
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::{is_label_value, is_qualified_name};
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::defaults::canonical;
use crate::registry::shared::printer::{AGE, NAME, age, column, joined, name, or_none, wide};
use crate::registry::shared::resources::quantity;
use crate::registry::shared::validate::{complain, one_of, optional, required, shown};
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
    let path = Path::new("spec");
    let taints = path.child("taints");
    let mut seen = BTreeSet::new();
    for (index, taint) in node.spec.iter().filter_map(|spec| spec.taints.as_ref()).flatten().enumerate() {
        let at = taints.index(index);
        required(&mut errors, &at.child("key"), &taint.key, is_qualified_name);
        let value = taint.value.as_deref().unwrap_or_default();
        complain(&mut errors, &at.child("value"), value, is_label_value(value));
        let effects = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
        one_of(&mut errors, &at.child("effect"), Some(&taint.effect), &effects);
        if !seen.insert((&taint.key, &taint.effect)) {
            let mut error = Error::duplicate(&at, shown(taint));
            error.detail = "taints must be unique by key and effect pair".into();
            errors.push(error);
        }
    }
    let cidrs = path.child("podCIDRs");
    for (index, cidr) in node.spec.iter().filter_map(|spec| spec.pod_cidrs.as_ref()).flatten().enumerate() {
        optional(&mut errors, &cidrs.index(index), Some(cidr), is_cidr);
    }
    let status = node.status.clone().unwrap_or_default();
    for (field, resources) in [("capacity", status.capacity), ("allocatable", status.allocatable)] {
        let path = Path::new("status");
        let at = path.child(field);
        for (resource, amount) in resources.iter().flatten() {
            quantity(&mut errors, &at.key(resource), resource, amount);
        }
    }
    errors
}

/// A network: `10.0.0.0/24`.
fn is_cidr(text: &str) -> Vec<String> {
    let parsed = text.split_once('/').and_then(|(address, length)| {
        let address = address.parse::<std::net::IpAddr>().ok()?;
        let length = length.parse::<u8>().ok()?;
        (length <= if address.is_ipv4() { 32 } else { 128 }).then_some(())
    });
    match parsed {
        Some(()) => Vec::new(),
        None => vec!["must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)".into()],
    }
}

/// What a node was given once it keeps: its networks and its provider's name for it.
fn validate_update(new: &Node, old: &Node) -> ErrorList {
    const DETAIL: &str = "node updates may not change podCIDR except from \"\" to valid";
    let mut errors = validate(new);
    let (new, old) = (new.spec.clone().unwrap_or_default(), old.spec.clone().unwrap_or_default());
    let path = Path::new("spec");
    if old.pod_cidrs.iter().flatten().next().is_some() && new.pod_cidrs != old.pod_cidrs {
        errors.push(Error::forbidden(&path.child("podCIDRs"), DETAIL));
    }
    if old.provider_id.as_deref().is_some_and(|id| !id.is_empty()) && new.provider_id != old.provider_id {
        let detail = "node updates may not change providerID except from \"\" to valid";
        errors.push(Error::forbidden(&path.child("providerID"), detail));
    }
    errors
}
