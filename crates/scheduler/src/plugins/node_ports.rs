//! Two pods cannot have one port of a node.

use crate::framework::{Cycle, Filter, NodeInfo, Rejection};

const REASON: &str = "node(s) didn't have free ports for the requested pod ports";

/// See the module's documentation.
pub struct NodePorts;

impl Filter for NodePorts {
    fn name(&self) -> &'static str {
        "NodePorts"
    }

    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        cycle.pod.host_ports.is_empty()
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        let pod = cycle.pod;
        if pod.host_ports.is_empty() || node.with_host_ports == 0 {
            return Ok(());
        }
        let mut taken = node.pods.values().flat_map(|other| &other.host_ports);
        if taken.any(|other| pod.host_ports.iter().any(|wanted| wanted.conflicts_with(other))) {
            return Err(Rejection::resolvable(REASON));
        }
        Ok(())
    }
}
