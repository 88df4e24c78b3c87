//! A pod that names its node runs nowhere else.

use crate::framework::{Cycle, Filter, NodeInfo, Rejection};

const REASON: &str = "node(s) didn't match the requested node name";

/// See the module's documentation.
pub struct NodeName;

impl Filter for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        let wanted = cycle.pod.spec().and_then(|spec| spec.node_name.as_deref());
        wanted.is_none_or(str::is_empty)
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        let pod = cycle.pod;
        let wanted = pod.spec().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        if wanted.is_empty() || wanted == node.name() { Ok(()) } else { Err(Rejection::unresolvable(REASON)) }
    }
}
