//! The scheduler's control loop: watch pods and nodes, take the next pod, find it a node, bind it.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Client, Component, Context, Event, EventRecorder, EventType, Informer, ListOptions};
use k8s_openapi::api::core::v1::{Node, Pod};
use machinery::random::Rng;
use machinery::{ObjectKey, Timestamp};
use serde_json::json;

use crate::cache::Cache;
use crate::decision::{Decision, Decisions, Verdict};
use crate::framework::{Filter, NodeInfo, PodInfo, Score};
use crate::plugins;
use crate::queue::Queue;

/// The profile's name: pods ask for it by `spec.schedulerName`.
pub const DEFAULT_SCHEDULER_NAME: &str = "default-scheduler";

/// Below this many nodes all are looked at; above, a share of them (upstream numFeasibleNodesToFind).
const FEASIBLE_NODES_MIN: usize = 100;
const FEASIBLE_PERCENTAGE_MIN: usize = 5;

/// kube-scheduler with its default profile.
pub struct Scheduler {
    client: Client,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    recorder: EventRecorder,
    rng: Rng,
    queue: Queue,
    cache: Cache,
    filters: Vec<Box<dyn Filter>>,
    scorers: Vec<Box<dyn Score>>,
    decisions: Decisions,
    /// The node looked at last: the next pod's search begins after it, so that all nodes get their turn.
    last_node: String,
}

impl Scheduler {
    /// A scheduler that knows nothing yet. `rng` breaks ties between nodes of equal score.
    pub fn new(client: Client, rng: Rng) -> Self {
        let client = client.named(DEFAULT_SCHEDULER_NAME);
        let alive = ListOptions::fields("status.phase!=Succeeded,status.phase!=Failed");
        Self {
            pods: Informer::new(&client, "", alive),
            nodes: Informer::new(&client, "", ListOptions::default()),
            recorder: EventRecorder::new(client.clone(), DEFAULT_SCHEDULER_NAME, ""),
            client,
            rng,
            queue: Queue::default(),
            cache: Cache::default(),
            filters: plugins::filters(),
            scorers: plugins::scorers(),
            decisions: Decisions::default(),
            last_node: String::new(),
        }
    }

    /// The last decisions, to be read by others.
    pub fn decisions(&self) -> Decisions {
        self.decisions.clone()
    }

    fn observe(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        let mut changed = false;
        for event in self.nodes.poll(cx) {
            match event {
                Event::Added(node) => {
                    self.cache.set_node(node);
                    changed = true;
                }
                Event::Updated { old, new } => {
                    changed |= schedulable_traits(&old) != schedulable_traits(&new);
                    self.cache.set_node(new);
                }
                Event::Deleted(node) => self.cache.remove_node(node.metadata.name.as_deref().unwrap_or_default()),
            }
        }
        for event in self.pods.poll(cx) {
            if let Event::Updated { old, new } = &event
                && schedulable_needs(old) == schedulable_needs(new)
            {
                continue;
            }
            let gone = matches!(event, Event::Deleted(_));
            changed |= self.observe_pod(event.object(), gone, now);
        }
        if changed {
            self.queue.move_all(now);
        }
    }

    /// Whether the change may make room for pods that fit nowhere.
    fn observe_pod(&mut self, pod: &Arc<Pod>, gone: bool, now: Timestamp) -> bool {
        let info = PodInfo::new(pod.clone());
        if gone {
            self.queue.remove(&info.key);
            return self.cache.remove_pod(&info.key);
        }
        let Some(spec) = info.spec() else { return false };
        match spec.node_name.clone().filter(|node| !node.is_empty()) {
            Some(node) => {
                self.queue.remove(&info.key);
                self.cache.set_pod(info, &node);
            }
            // An own decision that the informer has not seen yet.
            None if self.cache.place_of(&info.key).is_some() => {}
            None if spec.scheduler_name.as_deref().unwrap_or(DEFAULT_SCHEDULER_NAME) != DEFAULT_SCHEDULER_NAME => {}
            None if pod.metadata.deletion_timestamp.is_some() => self.queue.remove(&info.key),
            None => {
                let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
                self.queue.add(&info.key, info.priority(), gated, now);
            }
        }
        false
    }

    fn schedule(&mut self, key: &ObjectKey, now: Timestamp) {
        let Some(pod) = self.pods.get(key) else { return self.queue.remove(key) };
        let info = PodInfo::new(pod.clone());
        let decision = self.decide(&info, now);
        match &decision.node {
            Some(node) => self.bind(info, node, now),
            None => {
                let message = decision.failure_message(self.cache.nodes().count());
                self.queue.unschedulable(key, now);
                self.report_failure(&pod, &message, now);
            }
        }
        self.decisions.record(decision);
    }

    /// Filters and scores nodes. Pure but for the tie-breaking dice and the place to begin next time.
    fn decide(&mut self, pod: &PodInfo, now: Timestamp) -> Decision {
        let enough = feasible_nodes_to_find(self.cache.nodes().count());
        let mut verdicts = BTreeMap::new();
        let mut feasible: Vec<&NodeInfo> = Vec::new();
        let mut last = None;
        for node in self.cache.nodes_after(&self.last_node) {
            if feasible.len() == enough {
                break;
            }
            last = Some(node.name().to_owned());
            match self.filters.iter().find_map(|it| it.filter(pod, node).err().map(|rejection| (it.name(), rejection)))
            {
                None => feasible.push(node),
                Some((plugin, rejection)) => {
                    let verdict =
                        Verdict::Filtered { plugin, reasons: rejection.reasons, resolvable: rejection.resolvable };
                    verdicts.insert(node.name().to_owned(), verdict);
                }
            }
        }
        let scores = score(&self.scorers, pod, &feasible);
        let total = |scores: &BTreeMap<&'static str, i64>| scores.values().sum::<i64>();
        let best = scores.iter().map(total).max();
        let winners: Vec<&str> = feasible
            .iter()
            .zip(&scores)
            .filter(|(_, it)| Some(total(it)) == best)
            .map(|(node, _)| node.name())
            .collect();
        let dice = if winners.len() > 1 { self.rng.below(winners.len() as u64) as usize } else { 0 };
        let node = winners.get(dice).map(|name| (*name).to_owned());
        for (node, scores) in feasible.iter().zip(scores) {
            verdicts.insert(node.name().to_owned(), Verdict::Feasible { total: total(&scores), scores });
        }
        if let Some(last) = last {
            self.last_node = last;
        }
        Decision { namespace: pod.key.namespace.clone(), name: pod.key.name.clone(), time: now, node, verdicts }
    }

    fn bind(&mut self, pod: PodInfo, node: &str, now: Timestamp) {
        let key = pod.key.clone();
        let object = pod.pod.clone();
        let uid = object.metadata.uid.clone().unwrap_or_default();
        match self.client.bind(&key, &uid, node) {
            Ok(()) => {
                self.queue.remove(&key);
                self.cache.set_pod(pod, node);
                let message = format!("Successfully assigned {key} to {node}");
                self.recorder.event(now, &*object, EventType::Normal, "Scheduled", &message);
            }
            Err(error) if error.is_not_found() => self.queue.remove(&key),
            Err(_) => self.queue.retry(&key, now),
        }
    }

    fn report_failure(&mut self, pod: &Pod, message: &str, now: Timestamp) {
        self.recorder.event(now, pod, EventType::Warning, "FailedScheduling", message);
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        let current = conditions.into_iter().flatten().find(|condition| condition.type_ == "PodScheduled");
        if current.is_some_and(|it| it.status == "False" && it.message.as_deref() == Some(message)) {
            return;
        }
        let since = current.filter(|it| it.status == "False").and_then(|it| it.last_transition_time.clone());
        let since = since.map_or(now, |time| time.0);
        let patch = json!({"status": {"conditions": [{
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": message,
            "observedGeneration": pod.metadata.generation,
            "lastProbeTime": null,
            "lastTransitionTime": machinery::time::format_seconds(since),
        }]}});
        // A failed report is made again with the next attempt.
        let _ = self.client.patch_status::<Pod>(&client::key_of(pod), &client::Patch::Strategic(patch));
    }
}

impl Component for Scheduler {
    fn name(&self) -> &str {
        "kube-scheduler"
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        self.observe(cx);
        if !self.nodes.synced() || !self.pods.synced() {
            return;
        }
        if let Some(key) = self.queue.pop(cx.now()) {
            self.schedule(&key, cx.now());
        }
        if self.queue.is_ready() {
            cx.wake_now();
        } else if let Some(deadline) = self.queue.next_deadline() {
            cx.wake_at(deadline);
        }
    }
}

/// Weighted, normalized scores of each node, by plugin.
fn score(scorers: &[Box<dyn Score>], pod: &PodInfo, nodes: &[&NodeInfo]) -> Vec<BTreeMap<&'static str, i64>> {
    let mut all = vec![BTreeMap::new(); nodes.len()];
    // With one node there is nothing to compare.
    if nodes.len() < 2 {
        return all;
    }
    for plugin in scorers {
        let mut scores: Vec<i64> = nodes.iter().map(|node| plugin.score(pod, node)).collect();
        plugin.normalize(&mut scores);
        for (of_node, score) in all.iter_mut().zip(scores) {
            of_node.insert(plugin.name(), score * plugin.weight());
        }
    }
    all
}

fn feasible_nodes_to_find(nodes: usize) -> usize {
    if nodes < FEASIBLE_NODES_MIN {
        return nodes;
    }
    let percentage = 50usize.saturating_sub(nodes / 125).max(FEASIBLE_PERCENTAGE_MIN);
    (nodes * percentage / 100).max(FEASIBLE_NODES_MIN)
}

/// What of a pod decides where it fits, and whether it still has to go somewhere: not its status, which
/// this scheduler writes itself.
fn schedulable_needs(pod: &Pod) -> impl PartialEq + '_ {
    (&pod.spec, &pod.metadata.labels, &pod.metadata.deletion_timestamp)
}

/// What of a node decides whether pods fit: not its heartbeats.
fn schedulable_traits(node: &Node) -> impl PartialEq + '_ {
    let spec = node.spec.as_ref();
    (
        &node.metadata.labels,
        spec.and_then(|spec| spec.taints.as_ref()),
        spec.and_then(|spec| spec.unschedulable),
        node.status.as_ref().and_then(|status| status.allocatable.as_ref()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_clusters_are_searched_whole_and_large_ones_in_part() {
        for (nodes, expected) in [(3, 3), (99, 99), (100, 100), (1000, 420), (5000, 500), (15000, 750)] {
            assert_eq!(feasible_nodes_to_find(nodes), expected, "{nodes} nodes");
        }
    }
}
