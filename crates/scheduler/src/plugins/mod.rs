//! The default plugins, a file each, with upstream's names, weights and reasons.

pub mod image_locality;
pub mod inter_pod_affinity;
pub mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_balanced_allocation;
mod node_resources_fit;
mod node_unschedulable;
pub mod node_volume_limits;
pub mod pod_topology_spread;
pub mod taint_toleration;
pub mod volume_binding;
mod volume_restrictions;
mod volume_zone;

use crate::framework::{Filter, Score};

/// The filters in the order in which they are asked; the first that rejects a node decides.
pub fn filters() -> Vec<Box<dyn Filter>> {
    vec![
        Box::new(node_unschedulable::NodeUnschedulable),
        Box::new(node_name::NodeName),
        Box::new(taint_toleration::TaintToleration),
        Box::new(node_affinity::NodeAffinity),
        Box::new(node_ports::NodePorts),
        Box::new(node_resources_fit::Fit { most_allocated: false }),
        Box::new(volume_restrictions::VolumeRestrictions),
        Box::new(node_volume_limits::NodeVolumeLimits),
        Box::new(volume_binding::VolumeBinding),
        Box::new(volume_zone::VolumeZone),
        Box::new(pod_topology_spread::PodTopologySpread),
        Box::new(inter_pod_affinity::InterPodAffinity),
    ]
}

/// The scorers. With `most_allocated`, fuller nodes are the better ones.
pub fn scorers(most_allocated: bool) -> Vec<Box<dyn Score>> {
    vec![
        Box::new(taint_toleration::TaintToleration),
        Box::new(node_affinity::NodeAffinity),
        Box::new(pod_topology_spread::PodTopologySpread),
        Box::new(inter_pod_affinity::InterPodAffinity),
        Box::new(node_resources_fit::Fit { most_allocated }),
        Box::new(node_resources_balanced_allocation::BalancedAllocation),
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
