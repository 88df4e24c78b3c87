//! A node must have what the pod requests, and the emptier node is the better one, or as the profile's scoring
//! strategy has it.

use crate::framework::{Cycle, Filter, MAX_NODE_SCORE, NodeInfo, PodInfo, Rejection, Score};
use crate::resources::{Resource, Resources};

/// See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct Fit {
    /// Which node is the better one.
    pub strategy: Strategy,
    /// The resources that are scored, with their weights.
    pub scored: Vec<(Resource, i64)>,
    /// Extended resources that nodes need not have, by name.
    pub ignored: Vec<String>,
    /// The same by what stands before the slash in their names.
    pub ignored_groups: Vec<String>,
}

/// How a node's use makes its score (`scoringStrategy.type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The emptier the better.
    #[default]
    LeastAllocated,
    /// The fuller the better.
    MostAllocated,
    /// By straight lines between points of use, in per cent, and score, out of [`MAX_NODE_SCORE`].
    RequestedToCapacityRatio(Vec<(i64, i64)>),
}

impl Strategy {
    /// The score of one resource of which so much is requested of all there is, which is more than none.
    fn score(&self, requested: i64, all: i64) -> i64 {
        let used = || share(requested.min(all), all);
        match self {
            Self::LeastAllocated if requested > all => 0,
            Self::LeastAllocated => share(all - requested, all),
            Self::MostAllocated => used(),
            Self::RequestedToCapacityRatio(shape) => {
                let used = used();
                let next = shape.iter().position(|(utilization, _)| used <= *utilization);
                match next.map(|next| (next.checked_sub(1).and_then(|last| shape.get(last)), shape.get(next))) {
                    Some((Some((from, low)), Some((to, high)))) => low + (high - low) * (used - from) / (to - from),
                    Some((_, Some((_, score)))) => *score,
                    _ => shape.last().map_or(0, |(_, score)| *score),
                }
            }
        }
    }
}

/// A part of a whole in per cent, rounded down.
fn share(part: i64, whole: i64) -> i64 {
    if let Some(hundredfold) = part.checked_mul(MAX_NODE_SCORE) {
        return hundredfold / whole;
    }
    // Wider, since a node may claim as many bytes as it likes.
    let share = i128::from(part) * i128::from(MAX_NODE_SCORE) / i128::from(whole);
    i64::try_from(share).unwrap_or(MAX_NODE_SCORE)
}

impl Fit {
    fn ignores(&self, name: &str) -> bool {
        self.ignored.iter().any(|ignored| ignored == name)
            || name.split_once('/').is_some_and(|(group, _)| self.ignored_groups.iter().any(|it| it == group))
    }
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
        let mut fit = |name: &str, wanted: i64, used: i64, all: i64| {
            if wanted > 0 && wanted > all.saturating_sub(used) {
                reasons.push(format!("Insufficient {name}"));
                resolvable &= wanted <= all;
            }
        };
        fit("cpu", wanted.milli_cpu, used.milli_cpu, all.milli_cpu);
        fit("memory", wanted.memory, used.memory, all.memory);
        fit("ephemeral-storage", wanted.ephemeral_storage, used.ephemeral_storage, all.ephemeral_storage);
        for (name, wanted) in wanted.scalar.iter().filter(|(name, _)| !self.ignores(name)) {
            fit(name, *wanted, used.scalar(name), all.scalar(name));
        }
        let mut reasons = reasons.into_iter();
        match reasons.next() {
            None => Ok(()),
            Some(reason) => Err(Rejection { reason: reason.into(), others: reasons.collect(), resolvable }),
        }
    }
}

/// Whether a node has more of what a pod requests than before, or room for more pods
/// (`haveAnyRequestedResourcesIncreased`).
pub fn has_grown(pod: &PodInfo, before: &NodeInfo, after: &NodeInfo) -> bool {
    let (wanted, before, after) = (&pod.requests, &before.allocatable, &after.allocatable);
    let scalar = wanted.scalar.keys().cloned().map(Resource::Scalar);
    let mut resources = [Resource::Cpu, Resource::Memory, Resource::EphemeralStorage].into_iter().chain(scalar);
    after.pods > before.pods || resources.any(|it| it.of(wanted) > 0 && it.of(after) > it.of(before))
}

impl Score for Fit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn weight(&self) -> i64 {
        1
    }

    /// The weighted mean over the scored resources that the node has.
    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        let (mut sum, mut weights) = (0, 0);
        for (resource, weight) in &self.scored {
            let (requested, all) = requested_and_all(resource, cycle, node);
            if all <= 0 {
                continue;
            }
            let score = self.strategy.score(requested, all);
            if score > 0 || !matches!(self.strategy, Strategy::RequestedToCapacityRatio(_)) {
                sum += score * weight;
                weights += weight;
            }
        }
        match self.strategy {
            _ if weights <= 0 => 0,
            // To the nearest, as upstream.
            Strategy::RequestedToCapacityRatio(_) => (sum + weights / 2) / weights,
            _ => sum / weights,
        }
    }
}

/// What would be requested of a resource with the pod on the node, and all that the node has; nothing of an extended
/// resource that the pod does not ask for.
fn requested_and_all(resource: &Resource, cycle: &Cycle<'_>, node: &NodeInfo) -> (i64, i64) {
    let of = |wanted: &Resources, used: &Resources| resource.of(wanted).saturating_add(resource.of(used));
    let pod = cycle.pod;
    match resource {
        Resource::Cpu | Resource::Memory => {
            (of(&pod.nonzero_requests, &node.nonzero_requested), resource.of(&node.allocatable))
        }
        Resource::Scalar(_) if resource.of(&pod.requests) == 0 => (0, 0),
        _ => (of(&pod.requests, &node.requested), resource.of(&node.allocatable)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nodes_use_makes_its_score() {
        let shape = Strategy::RequestedToCapacityRatio(vec![(20, 0), (60, 100), (100, 40)]);
        for (strategy, requested, all, score) in [
            (&Strategy::LeastAllocated, 3, 10, 70),
            (&Strategy::LeastAllocated, 11, 10, 0),
            (&Strategy::MostAllocated, 3, 10, 30),
            (&Strategy::MostAllocated, 11, 10, 100),
            (&Strategy::MostAllocated, i64::MAX - 1, i64::MAX, 99),
            (&shape, 1, 10, 0),
            (&shape, 4, 10, 50),
            (&shape, 6, 10, 100),
            (&shape, 8, 10, 70),
            (&shape, 11, 10, 40),
        ] {
            assert_eq!(strategy.score(requested, all), score, "{strategy:?} {requested} of {all}");
        }
    }
}
