//! No more volumes of a CSI driver are attached to a node than the driver says it can have (upstream
//! plugins/nodevolumelimits).

use std::collections::BTreeMap;

use k8s_openapi::api::storage::v1::CSINode;

use crate::framework::{Cycle, Filter, NodeInfo, Rejection};

const REASON: &str = "node(s) exceed max volume count";

/// See the module's documentation.
pub struct NodeVolumeLimits;

/// A volume by its driver and the driver's own name for it.
pub type Attached = (String, String);

/// What is known of a pod whose volumes some node limits; nothing of others.
#[derive(Debug, Default)]
pub struct State {
    /// The pod's own volumes.
    pub wanted: Vec<Attached>,
    /// The volume of each claim, `namespace/name`.
    pub volumes: BTreeMap<String, Attached>,
    /// How many volumes of a driver a node can have.
    pub limits: BTreeMap<String, Vec<(String, usize)>>,
}

/// What a node's drivers say that it can have.
pub fn limits_of(node: &CSINode) -> Vec<(String, usize)> {
    let limit = |driver: &k8s_openapi::api::storage::v1::CSINodeDriver| {
        let count = driver.allocatable.as_ref()?.count?;
        Some((driver.name.clone(), usize::try_from(count).unwrap_or(0)))
    };
    node.spec.drivers.iter().filter_map(limit).collect()
}

impl Filter for NodeVolumeLimits {
    fn name(&self) -> &'static str {
        "NodeVolumeLimits"
    }

    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        cycle.prepared.limits.wanted.is_empty()
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        let state = &cycle.prepared.limits;
        let Some(limits) = state.limits.get(node.name()).filter(|_| !state.wanted.is_empty()) else { return Ok(()) };
        let mut attached: Vec<&Attached> =
            node.pods.values().flat_map(|pod| &pod.claims).filter_map(|claim| state.volumes.get(claim)).collect();
        attached.sort_unstable();
        attached.dedup();
        for (driver, limit) in limits {
            let new = state.wanted.iter().filter(|it| it.0 == *driver && !attached.contains(it)).count();
            let there = attached.iter().filter(|it| it.0 == *driver).count();
            if new > 0 && there + new > *limit {
                return Err(Rejection::resolvable(REASON));
            }
        }
        Ok(())
    }
}
