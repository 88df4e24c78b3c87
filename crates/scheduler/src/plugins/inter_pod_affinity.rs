//! `affinity.podAffinity` and `affinity.podAntiAffinity`, of the pod and of those that run.

use crate::cache::Cache;
use crate::framework::{Cycle, Filter, MAX_NODE_SCORE, NodeInfo, PodInfo, Rejection, Score};
use crate::plugins::Arguments;
use crate::topology::{Answer, Domains, Eligibility, PodSet, Question, Stance, Term};

const AFFINITY: &str = "node(s) didn't match pod affinity rules";
const ANTI_AFFINITY: &str = "node(s) didn't match pod anti-affinity rules";
const EXISTING_ANTI_AFFINITY: &str = "node(s) didn't satisfy existing pods anti-affinity rules";

/// See the module's documentation.
pub struct InterPodAffinity {
    hard_weight: i64,
    /// Whether pods that prefer nothing are not told of what others prefer.
    ignores_others: bool,
}

impl InterPodAffinity {
    /// With the profile's arguments.
    pub fn new(arguments: &Arguments) -> Self {
        Self { hard_weight: arguments.hard_pod_affinity_weight, ignores_others: arguments.ignore_preferred_terms }
    }

    /// What it adds to a pod's score to be near those that say so.
    fn weight(&self, state: &State, stance: Stance) -> Option<i64> {
        match stance {
            Stance::Forbid => None,
            _ if self.ignores_others && state.preferred.is_empty() => None,
            Stance::Require => Some(self.hard_weight).filter(|weight| *weight > 0),
            Stance::Prefer(weight) => Some(weight),
        }
    }
}

/// The answers to a pod's terms, each with the term's topology key.
#[derive(Debug, Default)]
pub struct State {
    required: Vec<(Answer, String)>,
    /// The pod belongs to those it wants to be near: the first of a group may go anywhere.
    is_own_company: bool,
    anti: Vec<(Answer, String)>,
    preferred: Vec<(Answer, String, i64)>,
    /// Places among what running pods say ([`crate::topology::Topology::carried`]) that mean this pod.
    carried: Vec<usize>,
}

/// Asks what the pod's terms need to know.
pub fn prepare(pod: &PodInfo, cache: &mut Cache) -> State {
    let mut state = State::default();
    if let Some(terms) = &pod.terms {
        let all: Vec<PodSet> = terms.required.iter().map(|term| term.set.clone()).collect();
        for term in &terms.required {
            state.required.push((cache.ask(question(all.clone(), term)), term.key.clone()));
        }
        state.is_own_company = all.iter().all(|set| set.contains(pod, cache.topology().namespaces()));
        for term in &terms.anti {
            state.anti.push((cache.ask(question(vec![term.set.clone()], term)), term.key.clone()));
        }
        for (weight, term) in &terms.preferred {
            state.preferred.push((cache.ask(question(vec![term.set.clone()], term)), term.key.clone(), *weight));
        }
    }
    cache.topology_mut().sweep();
    let topology = cache.topology();
    let meaning_pod = |(index, carried): (usize, &crate::topology::Carried)| {
        carried.term.set.contains(pod, topology.namespaces()).then_some(index)
    };
    state.carried = topology.carried().iter().enumerate().filter_map(meaning_pod).collect();
    state
}

fn question(sets: Vec<PodSet>, term: &Term) -> Question {
    Question { sets, key: term.key.clone(), nodes: Eligibility::default(), terminating: true }
}

fn pods_near(cycle: &Cycle<'_>, node: &NodeInfo, answer: Answer, key: &str) -> Option<i64> {
    let value = node.labels().get(key)?;
    Some(cycle.cache.topology().domains(answer).map_or(0, |domains| domains.pods(value)))
}

impl Filter for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        let (state, carried) = (&cycle.prepared.affinity, cycle.cache.topology().carried());
        let forbids = |index: &usize| carried.get(*index).is_some_and(|it| it.stance == Stance::Forbid);
        state.required.is_empty() && state.anti.is_empty() && !state.carried.iter().any(forbids)
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        let (state, topology) = (&cycle.prepared.affinity, cycle.cache.topology());
        let near = |(answer, key): &(Answer, String)| pods_near(cycle, node, *answer, key);
        let company = state.required.iter().all(|term| near(term).is_some_and(|pods| pods > 0));
        if !company {
            let nobody = state.required.iter().all(|(it, _)| topology.domains(*it).map_or(0, Domains::total) == 0);
            let may_begin = nobody && state.is_own_company && state.required.iter().all(|term| near(term).is_some());
            if !may_begin {
                return Err(Rejection::unresolvable(AFFINITY));
            }
        }
        if state.anti.iter().any(|term| near(term).is_some_and(|pods| pods > 0)) {
            return Err(Rejection::resolvable(ANTI_AFFINITY));
        }
        let mut carried = state.carried.iter().filter_map(|index| topology.carried().get(*index));
        let forbidden = carried.any(|it| {
            let value = node.labels().get(&it.term.key).filter(|_| it.stance == Stance::Forbid);
            value.is_some_and(|value| it.domains.pods(value) > 0)
        });
        if forbidden { Err(Rejection::resolvable(EXISTING_ANTI_AFFINITY)) } else { Ok(()) }
    }
}

impl Score for InterPodAffinity {
    fn name(&self) -> &'static str {
        "InterPodAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        let (state, carried) = (&cycle.prepared.affinity, cycle.cache.topology().carried());
        let weighs = |index: &usize| carried.get(*index).is_some_and(|it| self.weight(state, it.stance).is_some());
        state.preferred.is_empty() && !state.carried.iter().any(weighs)
    }

    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        let (state, carried) = (&cycle.prepared.affinity, cycle.cache.topology().carried());
        let own = state
            .preferred
            .iter()
            .map(|(answer, key, weight)| weight.saturating_mul(pods_near(cycle, node, *answer, key).unwrap_or(0)));
        let others = state.carried.iter().filter_map(|index| {
            let it = carried.get(*index)?;
            Some(self.weight(state, it.stance)?.saturating_mul(it.domains.pods(node.labels().get(&it.term.key)?)))
        });
        own.chain(others).fold(0, i64::saturating_add)
    }

    fn normalize(&self, _: &Cycle<'_>, _: &[&NodeInfo], scores: &mut [i64]) {
        let (least, most) = (scores.iter().min().copied().unwrap_or(0), scores.iter().max().copied().unwrap_or(0));
        let range = most.saturating_sub(least);
        for score in scores {
            *score = if range == 0 { 0 } else { score.saturating_sub(least).saturating_mul(MAX_NODE_SCORE) / range };
        }
    }
}
