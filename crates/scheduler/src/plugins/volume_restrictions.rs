//! A claim for one pod only (ReadWriteOncePod) is used by one pod only, wherever that runs (upstream
//! plugins/volumerestrictions).

use crate::framework::{Cycle, Filter, NodeInfo, Rejection};

const REASON: &str = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";

/// See the module's documentation.
pub struct VolumeRestrictions;

impl Filter for VolumeRestrictions {
    fn name(&self) -> &'static str {
        "VolumeRestrictions"
    }

    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        cycle.prepared.volumes.exclusive().is_empty()
    }

    fn filter(&self, cycle: &Cycle<'_>, _: &NodeInfo) -> Result<(), Rejection> {
        if cycle.prepared.volumes.exclusive().iter().any(|claim| cycle.cache.uses_claim(claim)) {
            return Err(Rejection::resolvable(REASON));
        }
        Ok(())
    }
}
