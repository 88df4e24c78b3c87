//! A node whose processor time and memory are used in equal shares is the better one.

use crate::framework::{Cycle, MAX_NODE_SCORE, NodeInfo, Score};

/// See the module's documentation.
pub struct BalancedAllocation;

impl Score for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn weight(&self) -> i64 {
        1
    }

    /// Pods that request neither processor time nor memory balance nothing.
    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        cycle.pod.requests.milli_cpu == 0 && cycle.pod.requests.memory == 0
    }

    /// 100 less the standard deviation of the two shares, which is half their difference. Integers, in
    /// parts of a million, so that every machine computes the same.
    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        let pod = cycle.pod;
        const WHOLE: i128 = 1_000_000;
        let share = |wanted: i64, used: i64, all: i64| {
            let requested = i128::from(wanted) + i128::from(used);
            if all <= 0 { 0 } else { (requested * WHOLE / i128::from(all)).min(WHOLE) }
        };
        let (wanted, used, all) = (&pod.requests, &node.requested, &node.allocatable);
        let cpu = share(wanted.milli_cpu, used.milli_cpu, all.milli_cpu);
        let memory = share(wanted.memory, used.memory, all.memory);
        let deviation = (cpu - memory).abs() / 2;
        i64::try_from((WHOLE - deviation) * i128::from(MAX_NODE_SCORE) / WHOLE).unwrap_or(0)
    }
}
