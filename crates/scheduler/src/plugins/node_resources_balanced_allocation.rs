//! A node whose resources are used in equal shares is the better one: processor time and memory, unless the profile
//! says otherwise.

use crate::framework::{Cycle, MAX_NODE_SCORE, NodeInfo, Score};
use crate::resources::Resource;

/// See the module's documentation.
pub struct BalancedAllocation {
    /// The resources whose shares are compared.
    pub scored: Vec<Resource>,
}

/// Shares are in parts of this, so that every machine computes the same.
const WHOLE: i128 = 1_000_000;

impl Score for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn weight(&self) -> i64 {
        1
    }

    /// Pods that request none of the resources balance nothing.
    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        self.scored.iter().all(|resource| resource.of(&cycle.pod.requests) == 0)
    }

    /// 100 less the standard deviation of the shares, in per cent.
    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        let (pod, mut sum, mut squares, mut count) = (cycle.pod, 0, 0, 0);
        for resource in &self.scored {
            let (wanted, all) = (resource.of(&pod.requests), resource.of(&node.allocatable));
            // An extended resource that the pod does not ask for does not count.
            if all <= 0 || matches!(resource, Resource::Scalar(_)) && wanted == 0 {
                continue;
            }
            let requested = i128::from(wanted) + i128::from(resource.of(&node.requested));
            let share = (requested * WHOLE / i128::from(all)).min(WHOLE);
            (sum, squares, count) = (sum + share, squares + share * share, count + 1);
        }
        // Of two shares it is half their difference.
        let deviation = if count < 2 { 0 } else { (count * squares - sum * sum).max(0).isqrt() / count };
        i64::try_from((WHOLE - deviation) * i128::from(MAX_NODE_SCORE) / WHOLE).unwrap_or(0)
    }
}
