//! The default plugins, a file each, with upstream's names, weights and reasons.

mod image_locality;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_balanced_allocation;
mod node_resources_fit;
mod node_unschedulable;
mod taint_toleration;

use crate::framework::{Filter, Score};

/// The filters in the order in which they are asked; the first that rejects a node decides.
pub fn filters() -> Vec<Box<dyn Filter>> {
    vec![
        Box::new(node_unschedulable::NodeUnschedulable),
        Box::new(node_name::NodeName),
        Box::new(taint_toleration::TaintToleration),
        Box::new(node_affinity::NodeAffinity),
        Box::new(node_ports::NodePorts),
        Box::new(node_resources_fit::Fit),
    ]
}

/// The scorers.
pub fn scorers() -> Vec<Box<dyn Score>> {
    vec![
        Box::new(taint_toleration::TaintToleration),
        Box::new(node_affinity::NodeAffinity),
        Box::new(node_resources_fit::Fit),
        Box::new(node_resources_balanced_allocation::BalancedAllocation),
        Box::new(image_locality::ImageLocality),
    ]
}
