//! How many pods of which kind there are in each domain of a topology, kept up to date as pods come and
//! go: what inter-pod affinity and topology spread ask for, at a cost that does not grow with the
//! cluster.
//!
//! A pod that is to be scheduled asks a [`Question`] for each of its own terms; the answer is counted
//! once over all pods and then kept. Terms that running pods carry ([`Carried`]) are grouped by what
//! they say, so that the pods of one Deployment make one entry.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hasher};

use k8s_openapi::api::core::v1::{Pod, PodAffinityTerm, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use machinery::labels::{Labels, Operator, Requirement, Selector};
use machinery::random::{fnv64a, fnv64a_on};

use crate::framework::{NodeInfo, PodInfo};
use crate::plugins::node_affinity::Required;
use crate::plugins::taint_toleration;

/// So many questions are kept counted.
const QUESTIONS_MAX: usize = 256;

/// Pods of some namespaces with some labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSet {
    /// The namespaces by name.
    pub namespaces: Vec<String>,
    /// Namespaces with such labels too.
    pub namespace_selector: Option<Selector>,
    /// The pods' labels.
    pub selector: Selector,
}

impl PodSet {
    /// Whether a pod belongs to it.
    pub fn contains(&self, pod: &PodInfo, namespaces: &BTreeMap<String, Labels>) -> bool {
        let namespace = &pod.key.namespace;
        (self.namespaces.contains(namespace)
            || self.namespace_selector.as_ref().is_some_and(|it| it.matches(namespaces.get(namespace))))
            && self.selector.matches(pod.labels())
    }
}

/// Being in one domain of a topology with pods of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The pods.
    pub set: PodSet,
    /// The label of nodes whose values are the domains.
    pub key: String,
}

/// What a pod says about being near other pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// It must be near these.
    pub required: Vec<Term>,
    /// It must not be near these.
    pub anti: Vec<Term>,
    /// It is the better near these, or the worse where the weight is negative.
    pub preferred: Vec<(i64, Term)>,
}

impl Terms {
    /// The pod's terms, if it has any.
    pub fn of(pod: &Pod) -> Option<Self> {
        let affinity = pod.spec.as_ref()?.affinity.as_ref()?;
        let (near, far) = (affinity.pod_affinity.as_ref(), affinity.pod_anti_affinity.as_ref());
        let term = |it: &PodAffinityTerm| term_of(pod, it);
        let required = near.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
        let anti = far.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
        let near = near.and_then(|it| it.preferred_during_scheduling_ignored_during_execution.as_ref());
        let far = far.and_then(|it| it.preferred_during_scheduling_ignored_during_execution.as_ref());
        let near = near.into_iter().flatten().map(|it| (i64::from(it.weight), term(&it.pod_affinity_term)));
        let far = far.into_iter().flatten().map(|it| (-i64::from(it.weight), term(&it.pod_affinity_term)));
        let terms = Self {
            required: required.into_iter().flatten().map(term).collect(),
            anti: anti.into_iter().flatten().map(term).collect(),
            preferred: near.chain(far).collect(),
        };
        (terms != Self::default()).then_some(terms)
    }
}

fn term_of(pod: &Pod, term: &PodAffinityTerm) -> Term {
    let mut namespaces = term.namespaces.clone().unwrap_or_default();
    if namespaces.is_empty() && term.namespace_selector.is_none() {
        namespaces.extend(pod.metadata.namespace.clone());
    }
    let namespace_selector =
        term.namespace_selector.as_ref().and_then(|it| Selector::from_label_selector(Some(it)).ok());
    let same = term.match_label_keys.as_deref().unwrap_or_default();
    let other = term.mismatch_label_keys.as_deref().unwrap_or_default();
    Term {
        set: PodSet {
            namespaces,
            namespace_selector,
            selector: selector_with(term.label_selector.as_ref(), pod, same, other),
        },
        key: term.topology_key.clone(),
    }
}

/// A selector that also asks for the pod's own values of some labels, or for other values than those.
pub fn selector_with(selector: Option<&LabelSelector>, pod: &Pod, same: &[String], other: &[String]) -> Selector {
    let selector = Selector::from_label_selector(selector).unwrap_or_else(|_| Selector::nothing());
    let Some(requirements) = selector.requirements() else { return selector };
    let mut requirements = requirements.to_vec();
    let labels = pod.metadata.labels.as_ref();
    for (keys, operator) in [(same, Operator::In), (other, Operator::NotIn)] {
        requirements.extend(keys.iter().filter_map(|key| {
            let value = labels?.get(key)?;
            Some(Requirement { key: key.clone(), operator, values: vec![value.clone()] })
        }));
    }
    Selector::from_requirements(requirements)
}

/// Which nodes count.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Eligibility {
    /// Nodes with all these labels.
    pub keys: Vec<String>,
    /// Nodes that the pod's node selector and affinity allow.
    pub affinity: Option<Required>,
    /// Nodes whose taints these tolerate.
    pub tolerations: Option<Vec<Toleration>>,
}

impl Eligibility {
    fn admits(&self, node: &NodeInfo) -> bool {
        let labels = node.labels();
        self.keys.iter().all(|key| labels.contains_key(key))
            && self.affinity.as_ref().is_none_or(|it| it.matches(node))
            && self.tolerations.as_ref().is_none_or(|it| taint_toleration::untolerated(it, node).is_none())
    }
}

/// How many pods are there in each domain?
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// Pods that are in all of these sets.
    pub sets: Vec<PodSet>,
    /// The label of nodes whose values are the domains.
    pub key: String,
    /// The nodes that count.
    pub nodes: Eligibility,
    /// Whether pods on their way out count.
    pub terminating: bool,
}

impl Question {
    fn counts(&self, pod: &PodInfo, namespaces: &BTreeMap<String, Labels>) -> bool {
        (self.terminating || !pod.is_terminating()) && self.sets.iter().all(|set| set.contains(pod, namespaces))
    }
}

/// By the hashes of names alone, of which two are the same once in 2⁶⁴. Nobody goes through it, so it has no order.
#[allow(clippy::disallowed_types, reason = "its hasher is the same in every run, and nobody iterates it")]
type ByHash<T> = std::collections::HashMap<u64, T, BuildHasherDefault<Itself>>;

/// The hash of a number that is a hash already.
#[derive(Clone, Debug, Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = fnv64a_on(self.0, bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Pods by domain.
#[derive(Clone, Debug, Default)]
pub struct Domains {
    /// There may be as many as nodes, and each of them is looked up for each pod.
    domains: ByHash<Domain>,
    /// How many domains have how many pods.
    histogram: BTreeMap<i64, usize>,
    total: i64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Domain {
    nodes: i64,
    pods: i64,
}

impl Domains {
    /// The pods in a domain.
    pub fn pods(&self, value: &str) -> i64 {
        self.pods_by_hash(fnv64a(value.as_bytes()))
    }

    /// The pods in the domain whose name has this hash ([`NodeInfo::label_hash`]).
    pub fn pods_by_hash(&self, hash: u64) -> i64 {
        self.domains.get(&hash).map_or(0, |domain| domain.pods)
    }

    /// The pods in all domains.
    pub fn total(&self) -> i64 {
        self.total
    }

    /// How many domains there are.
    pub fn len(&self) -> usize {
        self.domains.len()
    }

    /// The pods in the domain that has the fewest; 0 where there is none.
    pub fn fewest(&self) -> i64 {
        self.histogram.keys().next().copied().unwrap_or(0)
    }

    fn change(&mut self, value: &str, nodes: i64, pods: i64) {
        if nodes == 0 && pods == 0 {
            return;
        }
        let hash = fnv64a(value.as_bytes());
        let domain = self.domains.entry(hash).or_default();
        let before = *domain;
        *domain = Domain { nodes: before.nodes + nodes, pods: before.pods + pods };
        let after = *domain;
        self.total += pods;
        if before != Domain::default()
            && let Some(count) = self.histogram.get_mut(&before.pods)
        {
            *count -= 1;
            if *count == 0 {
                self.histogram.remove(&before.pods);
            }
        }
        if after == Domain::default() {
            self.domains.remove(&hash);
        } else {
            *self.histogram.entry(after.pods).or_default() += 1;
        }
    }
}

/// How running pods take it that a pod comes near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// It must not.
    Forbid,
    /// They had to be near such pods themselves.
    Require,
    /// They like it so much, or dislike it where that is negative.
    Prefer(i64),
}

/// What running pods say about a pod that comes near.
#[derive(Clone, Debug)]
pub struct Carried {
    /// What they think of it.
    pub stance: Stance,
    /// The pods that are meant, and the topology.
    pub term: Term,
    /// The pods that say so.
    pub domains: Domains,
}

#[derive(Debug)]
struct Asked {
    question: Question,
    domains: Domains,
    used: u64,
}

/// Names an answered [`Question`] until the next pod is scheduled.
pub type Answer = usize;

/// All that is counted.
#[derive(Debug, Default)]
pub struct Topology {
    asked: Vec<Asked>,
    carried: Vec<Carried>,
    namespaces: BTreeMap<String, Labels>,
    tick: u64,
}

impl Topology {
    /// The labels of namespaces.
    pub fn namespaces(&self) -> &BTreeMap<String, Labels> {
        &self.namespaces
    }

    /// Takes in a namespace's labels, none for one that is gone. What was counted by them is counted
    /// anew when it is asked for.
    pub fn set_namespace(&mut self, name: &str, labels: Option<Labels>) {
        if self.namespaces.get(name) == labels.as_ref() {
            return;
        }
        match labels {
            Some(labels) => _ = self.namespaces.insert(name.to_owned(), labels),
            None => _ = self.namespaces.remove(name),
        }
        self.asked.retain(|asked| asked.question.sets.iter().all(|set| set.namespace_selector.is_none()));
    }

    /// Forgets what no running pod says any more. Places in [`Topology::carried`] hold until then.
    pub fn sweep(&mut self) {
        self.carried.retain(|carried| carried.domains.total != 0);
    }

    /// What running pods say.
    pub fn carried(&self) -> &[Carried] {
        &self.carried
    }

    /// An answer.
    pub fn domains(&self, answer: Answer) -> Option<&Domains> {
        self.asked.get(answer).map(|asked| &asked.domains)
    }

    /// A question's answer, counted over all nodes if it is new.
    pub fn ask<'a>(&mut self, question: Question, nodes: impl Iterator<Item = &'a NodeInfo>) -> Answer {
        self.tick += 1;
        if let Some(index) = self.asked.iter().position(|asked| asked.question == question) {
            if let Some(asked) = self.asked.get_mut(index) {
                asked.used = self.tick;
            }
            return index;
        }
        let mut asked = Asked { question, domains: Domains::default(), used: self.tick };
        for node in nodes {
            asked.visit_node(node, &self.namespaces, 1);
        }
        if self.asked.len() < QUESTIONS_MAX {
            self.asked.push(asked);
            return self.asked.len() - 1;
        }
        let oldest = self.asked.iter().enumerate().min_by_key(|(_, asked)| asked.used).map_or(0, |(index, _)| index);
        if let Some(place) = self.asked.get_mut(oldest) {
            *place = asked;
        }
        oldest
    }

    /// A pod came to a node (1) or left it (-1).
    pub fn visit_pod(&mut self, node: &NodeInfo, pod: &PodInfo, change: i64) {
        if node.node.is_none() {
            return;
        }
        for asked in &mut self.asked {
            asked.visit_pod(node, pod, &self.namespaces, change);
        }
        self.carry(node, pod, change);
    }

    /// A node with its pods came (1) or went (-1).
    pub fn visit_node(&mut self, node: &NodeInfo, change: i64) {
        if node.node.is_none() {
            return;
        }
        for asked in &mut self.asked {
            asked.visit_node(node, &self.namespaces, change);
        }
        for pod in node.pods.values() {
            self.carry(node, pod, change);
        }
    }

    fn carry(&mut self, node: &NodeInfo, pod: &PodInfo, change: i64) {
        let Some(terms) = &pod.terms else { return };
        let required = terms.required.iter().map(|term| (Stance::Require, term));
        let anti = terms.anti.iter().map(|term| (Stance::Forbid, term));
        let preferred = terms.preferred.iter().map(|(weight, term)| (Stance::Prefer(*weight), term));
        for (stance, term) in required.chain(anti).chain(preferred) {
            let Some(value) = node.labels().get(&term.key) else { continue };
            let index = match self.carried.iter().position(|it| it.stance == stance && it.term == *term) {
                Some(index) => index,
                None => {
                    self.carried.push(Carried { stance, term: term.clone(), domains: Domains::default() });
                    self.carried.len() - 1
                }
            };
            let Some(carried) = self.carried.get_mut(index) else { continue };
            carried.domains.change(value, 0, change);
        }
    }
}

impl Asked {
    fn visit_pod(&mut self, node: &NodeInfo, pod: &PodInfo, namespaces: &BTreeMap<String, Labels>, change: i64) {
        if let Some(value) = node.labels().get(&self.question.key)
            && self.question.counts(pod, namespaces)
            && self.question.nodes.admits(node)
        {
            self.domains.change(value, 0, change);
        }
    }

    fn visit_node(&mut self, node: &NodeInfo, namespaces: &BTreeMap<String, Labels>, change: i64) {
        if let Some(value) = node.labels().get(&self.question.key)
            && self.question.nodes.admits(node)
        {
            let pods = node.pods.values().filter(|pod| self.question.counts(pod, namespaces)).count();
            self.domains.change(value, change, change * i64::try_from(pods).unwrap_or(i64::MAX));
        }
    }
}
