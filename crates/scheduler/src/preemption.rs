//! Room for a pod by evicting others of lower priority (upstream framework/preemption and
//! plugins/defaultpreemption).

use std::cmp::Reverse;
use std::sync::Arc;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use machinery::Timestamp;
use machinery::labels::Selector;
use machinery::random::Rng;
use machinery::sort::Order;

use crate::cache::Cache;
use crate::config::Profile;
use crate::decision::{Decision, preemption_message};
use crate::framework::{Cycle, PodInfo, Prepared};
use crate::scheduler::first_rejection;

const NO_VICTIMS: &str = "No preemption victims found for incoming pod";

/// A node, and the pods that must leave it.
pub struct Candidate {
    /// The node.
    pub node: Arc<str>,
    /// The most important first.
    pub victims: Vec<Arc<PodInfo>>,
    /// How many of them a disruption budget wants to keep.
    violations: usize,
}

/// Finds the node that a pod would best be given, and the pods that must go for it.
///
/// # Errors
/// The end of the FailedScheduling event's text: why evicting does not help.
pub fn preempt(
    cache: &mut Cache,
    profile: &Profile,
    (pod, prepared): (&PodInfo, &Prepared),
    decision: &Decision,
    budgets: &[Arc<PodDisruptionBudget>],
    rng: &mut Rng,
) -> Result<Candidate, String> {
    if pod.spec().and_then(|spec| spec.preemption_policy.as_deref()) == Some("Never") {
        return Err("not eligible due to preemptionPolicy=Never.".into());
    }
    let lost = |name: &str| decision.filtered.iter().any(|(node, _, it)| **node == *name && !it.resolvable);
    let nominated = pod.nominated_node().filter(|name| !lost(name)).and_then(|name| cache.node(name));
    let leaving = |other: &Arc<PodInfo>| leaves_by_preemption(other) && other.priority() < pod.priority();
    if nominated.is_some_and(|node| node.pods.values().any(leaving)) {
        return Err("not eligible due to a terminating pod on the nominated node.".into());
    }
    let hopeful = decision.filtered.iter().filter(|(_, _, rejection)| rejection.resolvable);
    let mut nodes: Vec<Arc<str>> = hopeful.map(|(node, _, _)| node.clone()).collect();
    let (percentage, least) = profile.candidates;
    let enough = (decision.nodes * percentage / 100).max(least);
    if !nodes.is_empty() {
        let start = rng.below(nodes.len() as u64) as usize;
        nodes.rotate_left(start);
    }
    let (mut candidates, mut reasons): (Vec<Candidate>, Vec<String>) = (Vec::new(), Vec::new());
    let mut hopeless = decision.nodes;
    for node in nodes {
        if candidates.len() == enough {
            break;
        }
        hopeless = hopeless.saturating_sub(1);
        match select_victims(cache, profile, (pod, prepared), &node, budgets) {
            Ok(candidate) => candidates.push(candidate),
            Err(reason) => reasons.extend(reason),
        }
    }
    best(candidates).ok_or_else(|| preemption_message(decision.nodes, hopeless, &reasons))
}

/// Whether the pod goes to make room for a more important one.
fn leaves_by_preemption(pod: &PodInfo) -> bool {
    let conditions = pod.pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    pod.is_terminating()
        && conditions.into_iter().flatten().any(|it| {
            it.type_ == "DisruptionTarget"
                && it.status == "True"
                && it.reason.as_deref() == Some("PreemptionByScheduler")
        })
}

/// The fewest and least important pods that must leave a node.
fn select_victims(
    cache: &mut Cache,
    profile: &Profile,
    (pod, prepared): (&PodInfo, &Prepared),
    name: &Arc<str>,
    budgets: &[Arc<PodDisruptionBudget>],
) -> Result<Candidate, Vec<String>> {
    let no_victims = || vec![NO_VICTIMS.to_owned()];
    let pods = cache.node(name).map(|node| &node.pods).ok_or_else(no_victims)?;
    let mut lower: Vec<_> = pods.values().filter(|other| other.priority() < pod.priority()).cloned().collect();
    if lower.is_empty() {
        return Err(no_victims());
    }
    // Room that was made for others is theirs, but they may not come after all.
    let mut expected = cache.expected(pod);
    expected.retain(|(_, node)| **node == **name);
    let rejection = |cache: &mut Cache| {
        let first = |cache: &Cache| {
            let cycle = Cycle { pod, cache, prepared };
            cache.node(name).and_then(|node| first_rejection(profile, &cycle, node))
        };
        if expected.is_empty() {
            return first(cache);
        }
        for (other, node) in &expected {
            cache.set_pod(other.clone(), node);
        }
        let with = first(cache);
        for (other, _) in &expected {
            cache.remove_pod(&other.key);
        }
        with.or_else(|| first(cache))
    };
    for other in &lower {
        cache.remove_pod(&other.key);
    }
    if let Some((_, rejection)) = rejection(cache) {
        for other in lower {
            cache.set_pod(other, name);
        }
        return Err(rejection.reasons().map(str::to_owned).collect());
    }
    lower.order_by_key(|other| (Reverse(other.priority()), started(other), other.key.clone()));
    let (violating, peaceful) = split_by_budgets(lower, budgets);
    let mut victims = Vec::new();
    let mut violations = 0;
    for (others, violates) in [(violating, 1), (peaceful, 0)] {
        for other in others {
            cache.set_pod(other.clone(), name);
            if rejection(cache).is_some() {
                cache.remove_pod(&other.key);
                victims.push(other);
                violations += violates;
            }
        }
    }
    for victim in &victims {
        cache.set_pod(victim.clone(), name);
    }
    victims.order_by_key(|other| (Reverse(other.priority()), started(other), other.key.clone()));
    Ok(Candidate { node: name.clone(), victims, violations })
}

/// Pods whose eviction a budget does not allow, and the others.
fn split_by_budgets(
    pods: Vec<Arc<PodInfo>>,
    budgets: &[Arc<PodDisruptionBudget>],
) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
    let mut left: Vec<i32> = budgets
        .iter()
        .map(|it| it.status.as_ref().and_then(|status| status.disruptions_allowed).unwrap_or(0))
        .collect();
    pods.into_iter().partition(|pod| {
        let mut violates = false;
        for (budget, left) in budgets.iter().zip(&mut left) {
            let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            let selector = Selector::from_label_selector(selector).unwrap_or_else(|_| Selector::nothing());
            let disrupted = budget.status.as_ref().and_then(|status| status.disrupted_pods.as_ref());
            if budget.metadata.namespace.as_deref() != Some(&*pod.key.namespace)
                || selector.is_everything()
                || !selector.matches(pod.labels())
                || disrupted.is_some_and(|pods| pods.contains_key(&pod.key.name))
            {
                continue;
            }
            *left -= 1;
            violates |= *left < 0;
        }
        violates
    })
}

/// The candidate that does the least harm: fewest budgets violated, then the least important victims,
/// the fewest, and those that ran the shortest.
fn best(candidates: Vec<Candidate>) -> Option<Candidate> {
    let harm = |candidate: &Candidate| {
        let highest = candidate.victims.first().map_or(i32::MIN, |victim| victim.priority());
        let sum: i64 = candidate.victims.iter().map(|it| i64::from(it.priority()) + i64::from(i32::MAX) + 1).sum();
        let important = candidate.victims.iter().filter(|victim| victim.priority() == highest);
        let earliest = important.map(|victim| started(victim)).min();
        (candidate.violations, highest, sum, candidate.victims.len(), Reverse(earliest))
    };
    candidates.into_iter().min_by_key(harm)
}

/// When a pod was started; one that was not yet counts as the latest.
fn started(pod: &PodInfo) -> Timestamp {
    let time = pod.pod.status.as_ref().and_then(|status| status.start_time.as_ref());
    time.map_or(Timestamp::MAX, |time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Configuration;
    use crate::framework::Rejection;
    use machinery::ObjectKey;
    use machinery::object::from_value;

    fn pod(name: &str, priority: i32, milli_cpu: i64, extra: Value) -> Arc<PodInfo> {
        let mut pod = json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": { "priority": priority, "containers": [{
                "name": "c", "resources": { "requests": { "cpu": format!("{milli_cpu}m") } },
            }] },
        });
        for (key, value) in extra.as_object().into_iter().flatten() {
            let part = pod[key].as_object().cloned().unwrap_or_default();
            pod[key] = part.into_iter().chain(value.as_object().cloned().unwrap_or_default()).collect();
        }
        Arc::new(PodInfo::new(Arc::new(from_value(pod).unwrap())))
    }

    fn cache() -> Cache {
        let mut cache = Cache::default();
        let node = json!({
            "metadata": { "name": "node" }, "status": { "allocatable": { "cpu": "2", "pods": "10", "memory": "1Gi" } },
        });
        cache.set_node(Arc::new(from_value(node).unwrap()));
        cache
    }

    /// Whom the pod would evict from the only node.
    fn victims(cache: &mut Cache, pod: &PodInfo) -> Result<Vec<String>, String> {
        let profile = Configuration::default().profiles().remove(0);
        let decision = Decision {
            pod: pod.key.clone(),
            time: Timestamp::UNIX_EPOCH,
            node: None,
            nominated: None,
            reason: None,
            filtered: vec![("node".into(), "NodeResourcesFit", Rejection::resolvable("Insufficient cpu"))],
            feasible: Vec::new(),
            scorers: std::rc::Rc::new([]),
            scores: Vec::new(),
            nodes: 1,
            narrowed_by: None,
        };
        let prepared = Prepared::default();
        let found = preempt(cache, &profile, (pod, &prepared), &decision, &[], &mut Rng::new(1))?;
        Ok(found.victims.iter().map(|victim| victim.key.name.clone()).collect())
    }

    #[test]
    fn room_made_for_another_is_not_taken() {
        let mut cache = cache();
        cache.set_pod(pod("small", 0, 500, json!({})), "node");
        let claimant = pod("claimant", 5, 1500, json!({}));
        cache.set_pod(pod("large", 0, 1500, json!({})), "node");
        assert_eq!(victims(&mut cache, &claimant), Ok(vec!["large".to_owned()]));
        cache.nominate(&pod("earlier", 10, 1000, json!({})), Some("node"));
        let refused = "0/1 nodes are available: 1 Insufficient cpu.";
        assert_eq!(victims(&mut cache, &claimant), Err(refused.to_owned()));
        assert_eq!(victims(&mut cache, &pod("other", 5, 1000, json!({}))), Ok(vec!["large".into(), "small".into()]));
        assert_eq!(victims(&mut cache, &pod("greater", 11, 1500, json!({}))), Ok(vec!["large".to_owned()]));
        assert!(cache.pod(&ObjectKey::new("default", "earlier")).is_none());
    }

    #[test]
    fn only_victims_are_waited_for() {
        let going = |reason: &str| {
            let conditions = json!([{ "type": "DisruptionTarget", "status": "True", "reason": reason }]);
            let metadata = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z" });
            pod("going", 0, 1500, json!({ "metadata": metadata, "status": { "conditions": conditions } }))
        };
        let claimant = pod("claimant", 5, 1500, json!({ "status": { "nominatedNodeName": "node" } }));
        let mut cache = cache();
        cache.set_pod(going("PreemptionByScheduler"), "node");
        let waits = "not eligible due to a terminating pod on the nominated node.";
        assert_eq!(victims(&mut cache, &claimant), Err(waits.to_owned()));
        cache.set_pod(going("EvictionByEvictionAPI"), "node");
        assert_eq!(victims(&mut cache, &claimant), Ok(vec!["going".to_owned()]));
    }
}
