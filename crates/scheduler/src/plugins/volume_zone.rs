//! Volumes with a zone in their labels can be used there only.

use crate::framework::{Cycle, Filter, NodeInfo, Rejection};

const REASON: &str = "node(s) had no available volume zone";
const TOPOLOGY_LABELS: [&str; 4] = [
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
];

/// See the module's documentation.
pub struct VolumeZone;

impl Filter for VolumeZone {
    fn name(&self) -> &'static str {
        "VolumeZone"
    }

    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        cycle.prepared.volumes.bound().is_empty()
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        for volume in cycle.prepared.volumes.bound() {
            let labels = volume.metadata.labels.iter().flatten();
            for (key, zones) in labels.filter(|(key, _)| TOPOLOGY_LABELS.contains(&key.as_str())) {
                // Several zones are written with this between them.
                let here = node.labels().get(key).is_some_and(|zone| zones.split("__").any(|it| it == zone));
                if !here {
                    return Err(Rejection::unresolvable(REASON));
                }
            }
        }
        Ok(())
    }
}
