//! What was decided about a pod, and why: for the FailedScheduling event, and for whoever asks later.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use machinery::sort::Order;
use machinery::{ObjectKey, Timestamp};
use serde_json::{Value, json};

use crate::framework::Rejection;

/// How many decisions are remembered.
const DECISIONS_MAX: usize = 1000;
/// How many verdicts on nodes they have together, lest they outgrow the cluster.
const VERDICTS_MAX: usize = 50_000;

/// One attempt to find a node for a pod.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The pod.
    pub pod: ObjectKey,
    /// When it was decided.
    pub time: Timestamp,
    /// The node that was chosen; none if the pod fits nowhere.
    pub node: Option<Arc<str>>,
    /// The node that pods of lower priority leave for this one.
    pub nominated: Option<Arc<str>>,
    /// Why no node was looked at.
    pub reason: Option<(&'static str, String)>,
    /// Nodes that were filtered: the plugin and what it said.
    pub filtered: Vec<(Arc<str>, &'static str, Rejection)>,
    /// Nodes on which the pod can run.
    pub feasible: Vec<Arc<str>>,
    /// The plugins that scored these.
    pub scorers: Rc<[&'static str]>,
    /// For each feasible node in turn, the normalized and weighted score of each scorer; empty where
    /// there was nothing to compare.
    pub scores: Vec<i64>,
    /// How many nodes there were.
    pub nodes: usize,
    /// The plugin that narrowed the nodes to a few by name.
    pub narrowed_by: Option<&'static str>,
}

impl Decision {
    /// The FailedScheduling event's text, as far as it concerns the pod as things are:
    /// `0/3 nodes are available: 2 Insufficient cpu, 1 ….`.
    pub fn failure_message(&self) -> String {
        if self.nodes == 0 {
            return "no nodes available to schedule pods".into();
        }
        let mut counts = BTreeMap::<&str, usize>::new();
        for reason in self.filtered.iter().flat_map(|(_, _, rejection)| rejection.reasons()) {
            *counts.entry(reason).or_default() += 1;
        }
        let elsewhere = self.narrowed_by.map(|plugin| format!("node(s) didn't satisfy plugin(s) [{plugin}]"));
        if let Some(reason) = &elsewhere {
            counts.insert(reason, self.nodes - self.filtered.len().min(self.nodes));
        }
        let nodes = self.nodes;
        match &self.reason {
            Some((_, reason)) => format!("0/{nodes} nodes are available: {reason}."),
            None => format!("0/{nodes} nodes are available: {}.", histogram(&counts)),
        }
    }

    /// The plugins because of which the pod has no node.
    pub fn rejectors(&self) -> Vec<&'static str> {
        let mut plugins: Vec<_> = self.filtered.iter().map(|(_, plugin, _)| *plugin).collect();
        plugins.extend(self.reason.as_ref().map(|(plugin, _)| *plugin));
        plugins.extend(self.narrowed_by);
        plugins.order();
        plugins.dedup();
        plugins
    }

    /// As the control API answers it.
    pub fn to_value(&self) -> Value {
        let mut verdicts = serde_json::Map::new();
        for (node, plugin, rejection) in &self.filtered {
            let verdict = json!({
                "verdict": "Filtered", "plugin": plugin,
                "reasons": rejection.reasons().collect::<Vec<_>>(), "resolvable": rejection.resolvable,
            });
            verdicts.insert(node.to_string(), verdict);
        }
        for (index, node) in self.feasible.iter().enumerate() {
            let row = self.scores.chunks(self.scorers.len().max(1)).nth(index).unwrap_or_default();
            let scores = self.scorers.iter().zip(row).map(|(plugin, score)| ((*plugin).to_owned(), json!(score)));
            let scores: serde_json::Map<_, _> = scores.collect();
            let total: i64 = row.iter().sum();
            verdicts.insert(node.to_string(), json!({ "verdict": "Feasible", "scores": scores, "total": total }));
        }
        json!({
            "namespace": self.pod.namespace, "name": self.pod.name, "time": self.time, "node": self.node.as_deref(),
            "nominatedNode": self.nominated.as_deref(), "nodes": self.nodes, "verdicts": verdicts,
            "reason": self.reason.as_ref().map(|(_, reason)| reason),
            "message": if self.node.is_none() { json!(self.failure_message()) } else { Value::Null },
        })
    }

    fn verdicts(&self) -> usize {
        self.filtered.len() + self.feasible.len()
    }
}

/// The end of a FailedScheduling event's text: why evicting others does not help; how many
/// nodes there are, on how many nothing would help, and the reasons of the others.
pub fn preemption_message(nodes: usize, hopeless: usize, reasons: &[String]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    *counts.entry("Preemption is not helpful for scheduling").or_default() += hopeless;
    format!("0/{nodes} nodes are available: {}.", histogram(&counts))
}

/// `2 reason, 1 other reason`, sorted as text, as upstream's FitError has it.
fn histogram(counts: &BTreeMap<&str, usize>) -> String {
    let mut parts: Vec<_> =
        counts.iter().filter(|(_, count)| **count > 0).map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.order();
    parts.join(", ")
}

/// The last decisions, shared with the control API.
#[derive(Clone, Default)]
pub struct Decisions(Rc<RefCell<Remembered>>);

#[derive(Default)]
struct Remembered {
    decisions: VecDeque<Decision>,
    verdicts: usize,
}

impl Decisions {
    /// Remembers one, and forgets the oldest where there are too many.
    pub fn record(&self, decision: Decision) {
        let mut remembered = self.0.borrow_mut();
        remembered.verdicts += decision.verdicts();
        remembered.decisions.push_back(decision);
        while remembered.decisions.len() > DECISIONS_MAX
            || remembered.decisions.len() > 1 && remembered.verdicts > VERDICTS_MAX
        {
            let forgotten = remembered.decisions.pop_front();
            remembered.verdicts -= forgotten.as_ref().map_or(0, Decision::verdicts);
        }
    }

    /// The last decision about a pod.
    pub fn of(&self, key: &ObjectKey) -> Option<Decision> {
        self.0.borrow().decisions.iter().rev().find(|it| it.pod == *key).cloned()
    }

    /// All that are remembered, oldest first.
    pub fn all(&self) -> Vec<Value> {
        self.0.borrow().decisions.iter().map(Decision::to_value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failure_reads_as_upstreams() {
        let mut decision = Decision {
            pod: ObjectKey::new("default", "web"),
            time: Timestamp::UNIX_EPOCH,
            node: None,
            nominated: None,
            reason: None,
            filtered: vec![
                ("a".into(), "P", Rejection::resolvable("Insufficient cpu")),
                ("b".into(), "P", Rejection::resolvable("Insufficient cpu")),
                ("c".into(), "Q", Rejection::unresolvable("node(s) had untolerated taint {example.com/a: }")),
            ],
            feasible: Vec::new(),
            scorers: Rc::new([]),
            scores: Vec::new(),
            nodes: 3,
            narrowed_by: None,
        };
        assert_eq!(
            decision.failure_message(),
            "0/3 nodes are available: 1 node(s) had untolerated taint {example.com/a: }, 2 Insufficient cpu."
        );
        assert_eq!(
            preemption_message(3, 2, &["No preemption victims found for incoming pod".into()]),
            "0/3 nodes are available: 1 No preemption victims found for incoming pod, \
             2 Preemption is not helpful for scheduling."
        );
        decision.filtered.truncate(1);
        decision.narrowed_by = Some("NodeAffinity");
        assert_eq!(
            decision.failure_message(),
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
        );
        decision.nodes = 0;
        assert_eq!(decision.failure_message(), "no nodes available to schedule pods");
    }
}
