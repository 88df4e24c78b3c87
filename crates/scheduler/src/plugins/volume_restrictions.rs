//! A claim for one pod only (ReadWriteOncePod) is used by one pod only.

use crate::framework::{Cycle, Filter, NodeInfo, Rejection};
use crate::plugins::volume_binding::claim_names;

const REASON: &str = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";

/// See the module's documentation.
pub struct VolumeRestrictions;

impl Filter for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        let exclusive = cycle.prepared.volumes.exclusive();
        if exclusive.is_empty() {
            return Ok(());
        }
        let namespace = &cycle.pod.key.namespace;
        let mut others = node.pods.values().filter(|other| other.key.namespace == *namespace);
        if others.any(|other| claim_names(&other.pod).any(|name| exclusive.contains(&name))) {
            return Err(Rejection::resolvable(REASON));
        }
        Ok(())
    }
}
