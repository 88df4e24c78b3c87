//! Whether a pod that was bound to this node may be on it: its node selector, and its ports of the node (upstream
//! pkg/kubelet/lifecycle/predicate.go). Who schedules has looked at both; who names a node has not.

use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, Pod};

use crate::spec;
use crate::text::str;
use crate::worker::Failure;

fn failed(predicate: &str, why: &str) -> Failure {
    let message = format!("Pod was rejected: Predicate {predicate} failed: {why}");
    Failure { reason: predicate.into(), grace: None, message }
}

/// Whether a pod says anything of the nodes it may be on.
pub fn selects(pod: &Pod) -> bool {
    spec::of(pod).is_some_and(|spec| {
        let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
        spec.node_selector.as_ref().is_some_and(|selector| !selector.is_empty())
            || affinity.is_some_and(|it| it.required_during_scheduling_ignored_during_execution.is_some())
    })
}

/// Why a pod may not be on a node with these labels.
pub fn refuse_node(pod: &Pod, node: &Node) -> Option<Failure> {
    let spec = spec::of(pod)?;
    let label = |name: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    let selected = spec.node_selector.iter().flatten().all(|(name, value)| label(name) == Some(value.as_str()));
    let field = |name: &str| (name == "metadata.name").then(|| str(&node.metadata.name));
    let holds = |term: &NodeSelectorTerm| {
        let (labels, fields) = (term.match_expressions.as_deref(), term.match_fields.as_deref());
        let (labels, fields) = (labels.unwrap_or_default(), fields.unwrap_or_default());
        // A term without requirements matches nothing.
        !(labels.is_empty() && fields.is_empty())
            && labels.iter().all(|it| matches(it, label(&it.key)))
            && fields.iter().all(|it| matches(it, field(&it.key)))
    };
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = affinity.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
    let fits = selected && required.is_none_or(|selector| selector.node_selector_terms.iter().any(holds));
    (!fits).then(|| failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector"))
}

fn matches(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let among = |value: &str| values.iter().any(|known| known == value);
    let number = |text: &str| text.parse::<i64>().ok();
    let against = values.first().and_then(|value| number(value));
    match (requirement.operator.as_str(), value) {
        ("In", Some(value)) => among(value),
        ("NotIn", value) => !value.is_some_and(among),
        ("Exists", value) => value.is_some(),
        ("DoesNotExist", value) => value.is_none(),
        ("Gt", Some(value)) => number(value).zip(against).is_some_and(|(own, limit)| own > limit),
        ("Lt", Some(value)) => number(value).zip(against).is_some_and(|(own, limit)| own < limit),
        _ => false,
    }
}

/// The ports of the node that a pod takes: address, protocol, number.
fn host_ports(pod: &Pod) -> Vec<(&str, &str, i32)> {
    let Some(spec) = spec::of(pod) else { return Vec::new() };
    let sidecars = spec.init_containers.iter().flatten().filter(|it| it.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let taken = ports.filter_map(|port| {
        let address = match str(&port.host_ip) {
            "" => "0.0.0.0",
            address => address,
        };
        let protocol = port.protocol.as_deref().unwrap_or("TCP");
        port.host_port.filter(|port| *port > 0).map(|port| (address, protocol, port))
    });
    taken.collect()
}

/// Why a pod may not be beside others: they have its ports of the node.
pub fn refuse_ports<'a>(pod: &Pod, others: impl Iterator<Item = &'a Pod>) -> Option<Failure> {
    let own = host_ports(pod);
    if own.is_empty() {
        return None;
    }
    let everywhere = |address: &str| address == "0.0.0.0";
    let clash = |(address, protocol, port): &(&str, &str, i32), taken: &(&str, &str, i32)| {
        (*protocol, *port) == (taken.1, taken.2) && (*address == taken.0 || everywhere(address) || everywhere(taken.0))
    };
    let mut taken = others.flat_map(host_ports);
    let clashes = taken.any(|taken| own.iter().any(|own| clash(own, &taken)));
    clashes.then(|| failed("NodePorts", "node(s) didn't have free ports for the requested pod ports"))
}
