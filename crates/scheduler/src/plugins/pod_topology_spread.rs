//! `topologySpreadConstraints`: alike pods spread over nodes, zones, ….
//!
//! A pod without constraints gets the system's: it would rather not be where many pods of its Services
//! and its controller are, by node and by zone (KEP-3022).

use k8s_openapi::api::core::v1::TopologySpreadConstraint;
use machinery::labels::Selector;
use machinery::random::fnv64a;

use crate::cache::Cache;
use crate::framework::{Cycle, Filter, MAX_NODE_SCORE, NodeInfo, PodInfo, Rejection, Score};
use crate::plugins::node_affinity::Required;
use crate::topology::{Answer, Domains, Eligibility, PodSet, Question, selector_with};

const MISMATCH: &str = "node(s) didn't match pod topology spread constraints";
const MISSING_LABEL: &str = "node(s) didn't match pod topology spread constraints (missing required label)";
const HOSTNAME: &str = "kubernetes.io/hostname";
/// The system's constraints: topology and how uneven.
const SYSTEM_DEFAULTS: [(&str, i64); 2] = [(HOSTNAME, 3), ("topology.kubernetes.io/zone", 5)];

/// See the module's documentation.
pub struct PodTopologySpread;

/// A pod's constraints with their answers.
#[derive(Debug, Default)]
pub struct State {
    hard: Vec<Constraint>,
    soft: Vec<Constraint>,
    /// Whether nodes that lack a label of the soft constraints are the worst.
    all_keys: bool,
}

#[derive(Debug)]
struct Constraint {
    answer: Answer,
    key: String,
    /// Of the key.
    hash: u64,
    max_skew: i64,
    min_domains: usize,
    weight: i64,
    /// Whether the pod itself is one of those that spread.
    counts_itself: bool,
}

/// What spreads pods that say nothing of spreading (`defaultingType`).
#[derive(Clone, Debug)]
pub enum Defaults {
    /// The system's constraints.
    System,
    /// The profile's.
    List(Vec<TopologySpreadConstraint>),
}

/// Asks what the pod's constraints need to know. `default` selects the pods it is spread among where it
/// has no constraints.
pub fn prepare(
    pod: &PodInfo,
    defaults: &Defaults,
    default: impl FnOnce() -> Option<Selector>,
    cache: &mut Cache,
) -> State {
    let constraints = pod.spec().and_then(|spec| spec.topology_spread_constraints.as_deref()).unwrap_or_default();
    let default = if constraints.is_empty() { default() } else { None };
    let listed = match (defaults, &default) {
        (Defaults::List(listed), Some(_)) => listed.as_slice(),
        _ => constraints,
    };
    if let (true, Some(selector)) = (listed.is_empty(), &default) {
        if matches!(defaults, Defaults::List(_)) {
            return State::default();
        }
        let soft = SYSTEM_DEFAULTS.map(|(key, max_skew)| {
            let nodes = Eligibility { affinity: Required::of(pod), ..Eligibility::default() };
            let answer = cache.ask(question(pod, selector.clone(), key, nodes));
            let weight = weight(cache, answer);
            Constraint {
                answer,
                key: key.into(),
                hash: fnv64a(key.as_bytes()),
                max_skew,
                min_domains: 1,
                weight,
                counts_itself: true,
            }
        });
        return State { hard: Vec::new(), soft: soft.into(), all_keys: false };
    }
    let default = default.as_ref();
    let (hard, soft): (Vec<_>, Vec<_>) = listed.iter().partition(|it| it.when_unsatisfiable == "DoNotSchedule");
    State {
        hard: hard.iter().map(|it| constraint(pod, (it, default), &hard, cache)).collect(),
        soft: soft.iter().map(|it| constraint(pod, (it, default), &soft, cache)).collect(),
        all_keys: true,
    }
}

fn constraint(
    pod: &PodInfo,
    (constraint, default): (&TopologySpreadConstraint, Option<&Selector>),
    siblings: &[&TopologySpreadConstraint],
    cache: &mut Cache,
) -> Constraint {
    let same = constraint.match_label_keys.as_deref().unwrap_or_default();
    let selector = match default {
        Some(selector) => selector.clone(),
        None => selector_with(constraint.label_selector.as_ref(), &pod.pod, same, &[]),
    };
    let spec = pod.spec();
    let nodes = Eligibility {
        keys: siblings.iter().map(|it| it.topology_key.clone()).collect(),
        affinity: Required::of(pod).filter(|_| constraint.node_affinity_policy.as_deref() != Some("Ignore")),
        tolerations: spec
            .map(|spec| spec.tolerations.clone().unwrap_or_default())
            .filter(|_| constraint.node_taints_policy.as_deref() == Some("Honor")),
    };
    let counts_itself = selector.matches(pod.labels());
    let answer = cache.ask(question(pod, selector, &constraint.topology_key, nodes));
    Constraint {
        answer,
        weight: weight(cache, answer),
        key: constraint.topology_key.clone(),
        hash: fnv64a(constraint.topology_key.as_bytes()),
        max_skew: i64::from(constraint.max_skew),
        min_domains: constraint.min_domains.and_then(|it| usize::try_from(it).ok()).unwrap_or(1),
        counts_itself,
    }
}

fn question(pod: &PodInfo, selector: Selector, key: &str, nodes: Eligibility) -> Question {
    let set = PodSet { namespaces: vec![pod.key.namespace.clone()], namespace_selector: None, selector };
    Question { sets: vec![set], key: key.into(), nodes, terminating: false }
}

impl Filter for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        cycle.prepared.spread.hard.is_empty()
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        for constraint in &cycle.prepared.spread.hard {
            let Some(value) = node.labels().get(&constraint.key) else {
                return Err(Rejection::unresolvable(MISSING_LABEL));
            };
            let Some(domains) = cycle.cache.topology().domains(constraint.answer) else { continue };
            let fewest = if domains.len() < constraint.min_domains { 0 } else { domains.fewest() };
            if domains.pods(value) + i64::from(constraint.counts_itself) - fewest > constraint.max_skew {
                return Err(Rejection::resolvable(MISMATCH));
            }
        }
        Ok(())
    }
}

/// What nodes without a wanted label get before scores are normalized.
const IGNORED: i64 = i64::MIN;

impl Score for PodTopologySpread {
    fn name(&self) -> &'static str {
        "PodTopologySpread"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        cycle.prepared.spread.soft.is_empty()
    }

    /// Thousandths of a natural logarithm times pods: the fewer the better.
    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        let state = &cycle.prepared.spread;
        let mut sum = 0_i64;
        for it in &state.soft {
            let Some(value) = node.label_hash(it.hash) else {
                if state.all_keys {
                    return IGNORED;
                }
                continue;
            };
            let Some(domains) = cycle.cache.topology().domains(it.answer) else { continue };
            let pods = domains.pods_by_hash(value);
            sum = sum.saturating_add(pods.saturating_mul(it.weight) + (it.max_skew - 1) * MICRO);
        }
        (sum + MICRO / 2) / MICRO
    }

    fn normalize(&self, _: &Cycle<'_>, _: &[&NodeInfo], scores: &mut [i64]) {
        let counted = || scores.iter().copied().filter(|score| *score != IGNORED);
        let (least, most) = (counted().min().unwrap_or(0), counted().max().unwrap_or(0));
        for score in scores {
            *score = match *score {
                IGNORED => 0,
                _ if most == 0 => MAX_NODE_SCORE,
                score => MAX_NODE_SCORE * (most + least - score) / most,
            };
        }
    }
}

const MICRO: i64 = 1_000_000;

/// The more domains, the more a pod less in one of them counts: ln(domains + 2), in millionths.
fn weight(cache: &Cache, answer: Answer) -> i64 {
    let domains = cache.topology().domains(answer).map_or(0, Domains::len);
    natural_logarithm(u64::try_from(domains).unwrap_or(u64::MAX).saturating_add(2))
}

/// ln(x) in millionths, from integers alone so that every machine has the same.
fn natural_logarithm(x: u64) -> i64 {
    const BITS: u32 = 24;
    const LN_2: u64 = 693_147;
    let whole = u64::from(x.max(1).ilog2());
    // x / 2^whole in 1.31 fixed point; squaring it tells one more bit of the logarithm each time.
    let mut mantissa = ((u128::from(x.max(1)) << 31) >> whole) as u64;
    let mut fraction = 0_u64;
    for _ in 0..BITS {
        mantissa = ((u128::from(mantissa) * u128::from(mantissa)) >> 31) as u64;
        fraction <<= 1;
        if mantissa >= 1 << 32 {
            mantissa >>= 1;
            fraction |= 1;
        }
    }
    i64::try_from((((whole << BITS) + fraction) * LN_2) >> BITS).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_right_to_the_millionth() {
        for x in [1_u64, 2, 3, 5, 10, 42, 100, 502, 5002, 1 << 40] {
            let exact = (x as f64).ln() * 1e6;
            assert!((natural_logarithm(x) as f64 - exact).abs() < 30.0, "{x}: {} {exact}", natural_logarithm(x));
        }
    }
}
