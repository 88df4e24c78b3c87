//! A node must have what the pod requests, and the emptier node is the better one.

use crate::framework::{Cycle, Filter, MAX_NODE_SCORE, NodeInfo, Rejection, Score};

/// See the module's documentation.
pub struct Fit {
    /// Whether the fuller node is the better one.
    pub most_allocated: bool,
}

impl Filter for Fit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        let pod = cycle.pod;
        let (wanted, used, all) = (&pod.requests, &node.requested, &node.allocatable);
        let mut reasons = Vec::new();
        // More than the whole node has: no eviction helps.
        let mut resolvable = true;
        let pods = i64::try_from(node.pods.len()).unwrap_or(i64::MAX);
        if pods.saturating_add(1) > all.pods {
            reasons.push("Too many pods".to_owned());
        }
        let named = [
            ("cpu", wanted.milli_cpu, used.milli_cpu, all.milli_cpu),
            ("memory", wanted.memory, used.memory, all.memory),
            ("ephemeral-storage", wanted.ephemeral_storage, used.ephemeral_storage, all.ephemeral_storage),
        ];
        let amount = |of: &std::collections::BTreeMap<String, i64>, name: &str| of.get(name).copied().unwrap_or(0);
        let scalar = wanted
            .scalar
            .iter()
            .map(|(name, wanted)| (name.as_str(), *wanted, amount(&used.scalar, name), amount(&all.scalar, name)));
        for (name, wanted, used, all) in named.into_iter().chain(scalar) {
            if wanted > 0 && wanted > all.saturating_sub(used) {
                reasons.push(format!("Insufficient {name}"));
                resolvable &= wanted <= all;
            }
        }
        let mut reasons = reasons.into_iter();
        match reasons.next() {
            None => Ok(()),
            Some(reason) => Err(Rejection { reason: reason.into(), others: reasons.collect(), resolvable }),
        }
    }
}

impl Score for Fit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn weight(&self) -> i64 {
        1
    }

    /// LeastAllocated or MostAllocated over processor time and memory, equally weighted.
    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        let pod = cycle.pod;
        let (wanted, used, all) = (&pod.nonzero_requests, &node.nonzero_requested, &node.allocatable);
        let free = |wanted: i64, used: i64, all: i64| {
            let requested = wanted.saturating_add(used);
            if all <= 0 || requested > all {
                return 0;
            }
            let counted = if self.most_allocated { requested } else { all - requested };
            if let Some(hundredfold) = counted.checked_mul(MAX_NODE_SCORE) {
                return hundredfold / all;
            }
            // Wider, since a node may claim as many bytes as it likes.
            let share = i128::from(counted) * i128::from(MAX_NODE_SCORE) / i128::from(all);
            i64::try_from(share).unwrap_or(MAX_NODE_SCORE)
        };
        (free(wanted.milli_cpu, used.milli_cpu, all.milli_cpu) + free(wanted.memory, used.memory, all.memory)) / 2
    }
}
