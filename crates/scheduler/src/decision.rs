//! What was decided about a pod, and why: for the FailedScheduling event, and for whoever asks later.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use machinery::{ObjectKey, Timestamp};
use serde::Serialize;

/// How many decisions are remembered.
const DECISIONS_MAX: usize = 1000;

/// One attempt to find a node for a pod.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// When it was decided.
    pub time: Timestamp,
    /// The node that was chosen; none if the pod fits nowhere.
    pub node: Option<String>,
    /// What was found out about each node that was looked at.
    pub verdicts: BTreeMap<String, Verdict>,
}

/// What was found out about a node.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "verdict")]
pub enum Verdict {
    /// A plugin says that the pod cannot run there.
    #[serde(rename_all = "camelCase")]
    Filtered {
        /// The plugin.
        plugin: &'static str,
        /// Its reasons.
        reasons: Vec<String>,
        /// Whether evicting pods could help.
        resolvable: bool,
    },
    /// The pod can run there.
    #[serde(rename_all = "camelCase")]
    Feasible {
        /// Each plugin's normalized score times its weight.
        scores: BTreeMap<&'static str, i64>,
        /// Their sum.
        total: i64,
    },
}

impl Decision {
    /// The FailedScheduling event's text: `0/3 nodes are available: 2 Insufficient cpu, 1 …`.
    pub fn failure_message(&self, nodes: usize) -> String {
        if nodes == 0 {
            return "no nodes available to schedule pods".into();
        }
        let mut counts = BTreeMap::<&str, usize>::new();
        let (mut hopeless, mut without_victims) = (0, 0);
        for verdict in self.verdicts.values() {
            if let Verdict::Filtered { reasons, resolvable, .. } = verdict {
                for reason in reasons {
                    *counts.entry(reason).or_default() += 1;
                }
                *(if *resolvable { &mut without_victims } else { &mut hopeless }) += 1;
            }
        }
        let filtered = histogram(&counts);
        let preemption = histogram(&BTreeMap::from([
            ("No preemption victims found for incoming pod", without_victims),
            ("Preemption is not helpful for scheduling", hopeless),
        ]));
        format!("0/{nodes} nodes are available: {filtered}. preemption: 0/{nodes} nodes are available: {preemption}.")
    }
}

/// `2 reason, 1 other reason`, sorted as text, as upstream's FitError has it.
fn histogram(counts: &BTreeMap<&str, usize>) -> String {
    let mut parts: Vec<_> =
        counts.iter().filter(|(_, count)| **count > 0).map(|(reason, count)| format!("{count} {reason}")).collect();
    parts.sort();
    parts.join(", ")
}

/// The last decisions, shared with the control API.
#[derive(Clone, Default)]
pub struct Decisions(Rc<RefCell<VecDeque<Decision>>>);

impl Decisions {
    /// Remembers one, and forgets the oldest where there are too many.
    pub fn record(&self, decision: Decision) {
        let mut decisions = self.0.borrow_mut();
        if decisions.len() == DECISIONS_MAX {
            decisions.pop_front();
        }
        decisions.push_back(decision);
    }

    /// The last decision about a pod.
    pub fn of(&self, key: &ObjectKey) -> Option<Decision> {
        let decisions = self.0.borrow();
        decisions.iter().rev().find(|it| it.namespace == key.namespace && it.name == key.name).cloned()
    }

    /// All that are remembered, oldest first.
    pub fn all(&self) -> Vec<Decision> {
        self.0.borrow().iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failure_reads_as_upstreams() {
        let filtered =
            |reason: &str, resolvable| Verdict::Filtered { plugin: "P", reasons: vec![reason.into()], resolvable };
        let decision = Decision {
            namespace: "default".into(),
            name: "web".into(),
            time: Timestamp::UNIX_EPOCH,
            node: None,
            verdicts: BTreeMap::from([
                ("a".into(), filtered("Insufficient cpu", true)),
                ("b".into(), filtered("Insufficient cpu", true)),
                (
                    "c".into(),
                    filtered("node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }", false),
                ),
            ]),
        };
        assert_eq!(
            decision.failure_message(3),
            "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, \
             2 Insufficient cpu. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, \
             2 No preemption victims found for incoming pod."
        );
        assert_eq!(decision.failure_message(0), "no nodes available to schedule pods");
    }
}
