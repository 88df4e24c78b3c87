//! The default plugins, a file each, with upstream's names, weights and reasons.

pub mod image_locality;
pub mod inter_pod_affinity;
pub mod node_affinity;
mod node_name;
mod node_ports;
pub mod node_resources_balanced_allocation;
pub mod node_resources_fit;
mod node_unschedulable;
pub mod node_volume_limits;
pub mod pod_topology_spread;
pub mod taint_toleration;
pub mod volume_binding;
mod volume_restrictions;
mod volume_zone;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::NodeAffinity as AddedAffinity;
use machinery::labels::Labels;

use crate::cache::Cache;
use crate::framework::{Cycle, Filter, NodeInfo, PodInfo, Prepared, Score};
use crate::resources::Resource;
use crate::topology::Term;

/// Arguments of plugins (`pluginConfig`).
#[derive(Clone, Debug)]
pub struct Arguments {
    /// Of NodeResourcesFit.
    pub fit: node_resources_fit::Fit,
    /// Of NodeResourcesBalancedAllocation.
    pub balanced: Vec<Resource>,
    /// Of NodeAffinity: what is asked of the nodes of all pods.
    pub added_affinity: Option<AddedAffinity>,
    /// Of InterPodAffinity: what a required affinity of a running pod adds to the score of a pod it matches.
    pub hard_pod_affinity_weight: i64,
    /// Of InterPodAffinity: whether what running pods prefer matters to pods that prefer nothing themselves.
    pub ignore_preferred_terms: bool,
}

/// The filters in the order in which they are asked; the first that rejects a node decides.
pub fn filters(arguments: &Arguments) -> Vec<Box<dyn Filter>> {
    vec![
        Box::new(node_unschedulable::NodeUnschedulable),
        Box::new(node_name::NodeName),
        Box::new(taint_toleration::TaintToleration),
        Box::new(node_affinity::NodeAffinity::new(arguments)),
        Box::new(node_ports::NodePorts),
        Box::new(arguments.fit.clone()),
        Box::new(volume_restrictions::VolumeRestrictions),
        Box::new(node_volume_limits::NodeVolumeLimits),
        Box::new(volume_binding::VolumeBinding),
        Box::new(volume_zone::VolumeZone),
        Box::new(pod_topology_spread::PodTopologySpread),
        Box::new(inter_pod_affinity::InterPodAffinity::new(arguments)),
    ]
}

/// The scorers.
pub fn scorers(arguments: &Arguments) -> Vec<Box<dyn Score>> {
    vec![
        Box::new(taint_toleration::TaintToleration),
        Box::new(node_affinity::NodeAffinity::new(arguments)),
        Box::new(pod_topology_spread::PodTopologySpread),
        Box::new(inter_pod_affinity::InterPodAffinity::new(arguments)),
        Box::new(arguments.fit.clone()),
        Box::new(node_resources_balanced_allocation::BalancedAllocation { scored: arguments.balanced.clone() }),
        Box::new(image_locality::ImageLocality),
    ]
}

/// What happened in the cluster, as far as it may make room for pods that fit nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A pod came to a node, or its labels changed.
    PodPlaced,
    /// A pod left a node, or asks for less of it.
    PodGone,
    /// A node is new.
    NodeAdded,
    /// A node is gone, and the pods on it do not count any more.
    NodeGone,
    /// A node has more to give, or other labels, or fewer taints.
    NodeChanged,
    /// A claim, a volume or a storage class is new or changed.
    Storage,
    /// A namespace's labels changed.
    Namespace,
}

/// Plugins that ask nothing but the pod and the node: what such a one says of a changed node is its queueing hint.
const OF_NODE: [&str; 5] = ["NodeUnschedulable", "NodeName", "TaintToleration", "NodeAffinity", "NodeResourcesFit"];

/// Whether a node's change, or the node where it is new, may help a pod that a plugin rejected: upstream's
/// `isSchedulableAfterNodeChange`.
pub fn node_helps(
    filters: &[Box<dyn Filter>],
    pod: &PodInfo,
    plugin: &str,
    before: Option<&NodeInfo>,
    after: &NodeInfo,
) -> bool {
    let Some(filter) = filters.iter().find(|it| it.name() == plugin).filter(|_| OF_NODE.contains(&plugin)) else {
        let seen = |node: &NodeInfo| {
            let taints = node.node.as_ref().and_then(|node| node.spec.as_ref()?.taints.clone());
            (node.labels().clone(), taints, node.unschedulable)
        };
        return match before {
            None => helps(Change::NodeAdded, plugin),
            Some(before) => helps(Change::NodeChanged, plugin) && seen(before) != seen(after),
        };
    };
    let (cache, prepared) = (&Cache::default(), &Prepared::default());
    let accepts = |node| filter.filter(&Cycle { pod, cache, prepared }, node).is_ok();
    accepts(after)
        && before.is_none_or(|before| match plugin {
            // The decision may have counted pods for which room was made and that are not there.
            "NodeResourcesFit" => node_resources_fit::has_grown(pod, before, after),
            _ => !accepts(before),
        })
}

/// Whether another pod, which has come to a node or left it, may help a pod that a plugin rejected: upstream's
/// `isSchedulableAfterPodChange`.
pub fn pod_helps(
    change: Change,
    other: &PodInfo,
    plugin: &str,
    pod: &PodInfo,
    namespaces: &BTreeMap<String, Labels>,
) -> bool {
    let has = |term: &Term, pod: &PodInfo| term.set.contains(pod, namespaces);
    let forbids = |from: &PodInfo, pod: &PodInfo| from.terms.iter().flat_map(|it| &it.anti).any(|term| has(term, pod));
    helps(change, plugin)
        && match plugin {
            "NodePorts" => other.host_ports.iter().any(|it| pod.host_ports.iter().any(|own| own.conflicts_with(it))),
            "VolumeRestrictions" => other.claims.iter().any(|claim| pod.claims.contains(claim)),
            "NodeVolumeLimits" => !other.claims.is_empty(),
            "InterPodAffinity" => {
                // Company comes, or was the last of it, and the pod may begin a group.
                let required = pod.terms.as_ref().map(|it| &it.required).filter(|it| !it.is_empty());
                required.is_some_and(|it| it.iter().all(|term| has(term, other)))
                    || change == Change::PodGone && (forbids(pod, other) || forbids(other, pod))
            }
            "PodTopologySpread" => other.key.namespace == pod.key.namespace,
            _ => true,
        }
}

/// Whether a change may help a pod that this plugin rejected: upstream's queueing hints, by event.
pub fn helps(change: Change, plugin: &str) -> bool {
    match change {
        Change::PodPlaced => matches!(plugin, "InterPodAffinity" | "PodTopologySpread"),
        Change::PodGone => matches!(
            plugin,
            "NodeResourcesFit"
                | "NodePorts"
                | "InterPodAffinity"
                | "PodTopologySpread"
                | "VolumeRestrictions"
                | "NodeVolumeLimits"
        ),
        Change::NodeAdded => true,
        Change::NodeGone => plugin == "PodTopologySpread",
        Change::NodeChanged => !matches!(plugin, "VolumeRestrictions"),
        Change::Storage => plugin.starts_with("Volume") || plugin == "NodeVolumeLimits",
        Change::Namespace => plugin == "InterPodAffinity",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use k8s_openapi::api::core::v1::{Node, Pod};
    use serde_json::{Value, json};

    use super::*;

    fn pod(manifest: Value) -> PodInfo {
        PodInfo::new(Arc::new(machinery::object::from_value::<Pod>(manifest).unwrap()))
    }

    #[test]
    fn the_last_of_a_pods_company_goes_and_it_may_begin_a_group() {
        let near = json!([{ "topologyKey": "zone", "labelSelector": { "matchLabels": { "app": "a" } } }]);
        let rule = json!({ "requiredDuringSchedulingIgnoredDuringExecution": near });
        let labelled = |app: &str| json!({ "name": "it", "namespace": "default", "labels": { "app": app } });
        let spec = |kind: &str| json!({ "containers": [], "affinity": { kind: rule } });
        for (kind, change, app, helps) in [
            ("podAffinity", Change::PodPlaced, "a", true),
            ("podAffinity", Change::PodPlaced, "b", false),
            ("podAffinity", Change::PodGone, "a", true),
            ("podAffinity", Change::PodGone, "b", false),
            ("podAntiAffinity", Change::PodPlaced, "a", false),
            ("podAntiAffinity", Change::PodGone, "a", true),
            ("podAntiAffinity", Change::PodGone, "b", false),
        ] {
            let waiting = pod(json!({ "metadata": labelled("a"), "spec": spec(kind) }));
            let other = pod(json!({ "metadata": labelled(app) }));
            let helped = pod_helps(change, &other, "InterPodAffinity", &waiting, &BTreeMap::new());
            assert_eq!(helped, helps, "{kind} {change:?} {app}");
        }
    }

    #[test]
    fn a_node_helps_when_it_has_more_of_what_is_requested() {
        let node = |cpu: &str, memory: &str, pods: &str| {
            let allocatable = json!({ "cpu": cpu, "memory": memory, "pods": pods });
            let node: Node =
                machinery::object::from_value(json!({ "status": { "allocatable": allocatable } })).unwrap();
            let mut info = NodeInfo::default();
            info.set_node(Arc::new(node));
            info
        };
        let requests = json!([{ "name": "a", "resources": { "requests": { "cpu": "1" } } }]);
        let waiting = pod(json!({ "spec": { "containers": requests } }));
        let filters: Vec<Box<dyn Filter>> = vec![Box::new(node_resources_fit::Fit::default())];
        // It has room by what is on it: the decision may have counted what is to come.
        let before = node("2", "1Gi", "10");
        for (after, helps) in [
            (node("3", "1Gi", "10"), true),
            (node("2", "1Gi", "11"), true),
            (node("2", "2Gi", "10"), false),
            (node("500m", "1Gi", "11"), false),
        ] {
            let helped = node_helps(&filters, &waiting, "NodeResourcesFit", Some(&before), &after);
            assert_eq!(helped, helps, "{:?}", after.allocatable);
        }
        assert!(node_helps(&filters, &waiting, "NodeResourcesFit", None, &before));
    }
}
