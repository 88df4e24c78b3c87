//! Node.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, NodeStatus};
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::printer::{AGE, NAME, age, column, joined, name, or_none, wide};
use crate::registry::strategy::{Field, Typed, parts};

/// Node's strategy. A kubelet may register its node with a status.
pub static STRATEGY: Typed<Node> = Typed {
    status_on_create: true,
    defaults,
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
