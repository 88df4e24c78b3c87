//! `nodeSelector` and `affinity.nodeAffinity`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeAffinity as Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm};
use machinery::sort::Order;

use crate::framework::{self, Cycle, Filter, NodeInfo, PodInfo, Rejection, Score};
use crate::plugins::Arguments;

const REASON: &str = "node(s) didn't match Pod's node affinity/selector";

const ADDED_REASON: &str = "node(s) didn't match scheduler-enforced node affinity";

/// See the module's documentation.
pub struct NodeAffinity {
    /// What the profile asks of nodes besides.
    added: Option<Affinity>,
}

impl NodeAffinity {
    /// With the profile's arguments.
    pub fn new(arguments: &Arguments) -> Self {
        Self { added: arguments.added_affinity.clone() }
    }
}

/// Which nodes a pod may run on by its node selector and required node affinity.
#[derive(Clone, Debug, PartialEq)]
pub struct Required {
    labels: Option<BTreeMap<String, String>>,
    selector: Option<NodeSelector>,
}

impl Required {
    /// The pod's, if it says anything.
    pub fn of(pod: &PodInfo) -> Option<Self> {
        let labels = pod.spec()?.node_selector.clone().filter(|labels| !labels.is_empty());
        let selector = affinity(pod).and_then(|it| it.required_during_scheduling_ignored_during_execution.clone());
        (labels.is_some() || selector.is_some()).then_some(Self { labels, selector })
    }

    /// Whether a node is one of them.
    pub fn matches(&self, node: &NodeInfo) -> bool {
        has_labels(self.labels.as_ref(), node) && self.selector.as_ref().is_none_or(|it| selects(it, node))
    }
}

/// Whether any of a selector's terms matches the node.
pub fn selects(selector: &NodeSelector, node: &NodeInfo) -> bool {
    selector.node_selector_terms.iter().any(|term| matches(term, node))
}

fn has_labels(wanted: Option<&BTreeMap<String, String>>, node: &NodeInfo) -> bool {
    let labels = node.labels();
    wanted.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value))
}

/// The only nodes that can match, where every term of the required affinity names its node, as those of
/// DaemonSets' pods do.
pub fn named_nodes(pod: &PodInfo) -> Option<Vec<String>> {
    let required = affinity(pod)?.required_during_scheduling_ignored_during_execution.as_ref()?;
    let mut names = Vec::new();
    for term in &required.node_selector_terms {
        let fields = term.match_fields.as_deref().unwrap_or_default();
        let field = fields.iter().find(|it| it.key == "metadata.name" && it.operator == "In")?;
        names.extend(field.values.iter().flatten().cloned());
    }
    names.order();
    names.dedup();
    Some(names)
}

impl Filter for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        self.added.is_none() && Required::of(cycle.pod).is_none()
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        let pod = cycle.pod;
        let added = self.added.as_ref().and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
        if added.is_some_and(|it| !selects(it, node)) {
            return Err(Rejection::unresolvable(ADDED_REASON));
        }
        let selected = has_labels(pod.spec().and_then(|spec| spec.node_selector.as_ref()), node);
        let required = affinity(pod).and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
        let accepted = required.is_none_or(|it| selects(it, node));
        if selected && accepted { Ok(()) } else { Err(Rejection::unresolvable(REASON)) }
    }
}

impl Score for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn weight(&self) -> i64 {
        2
    }

    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        let both = [affinity(cycle.pod), self.added.as_ref()];
        both.into_iter().flatten().all(|it| it.preferred_during_scheduling_ignored_during_execution.is_none())
    }

    /// The sum of the weights of the preferred terms that match.
    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        let both = [affinity(cycle.pod), self.added.as_ref()].into_iter().flatten();
        let preferred = both.flat_map(|it| it.preferred_during_scheduling_ignored_during_execution.iter().flatten());
        let matching = preferred.filter(|term| matches(&term.preference, node));
        matching.map(|term| i64::from(term.weight)).sum()
    }

    fn normalize(&self, _: &Cycle<'_>, _: &[&NodeInfo], scores: &mut [i64]) {
        framework::normalize(scores, false);
    }
}

fn affinity(pod: &PodInfo) -> Option<&Affinity> {
    pod.spec()?.affinity.as_ref()?.node_affinity.as_ref()
}

/// A term without any requirement matches nothing.
fn matches(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(|it| holds(it, node.labels().get(&it.key).map(String::as_str)))
        && fields.iter().all(|it| holds(it, (it.key == "metadata.name").then(|| node.name())))
}

fn holds(requirement: &NodeSelectorRequirement, actual: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = actual.is_some_and(|actual| values.iter().any(|value| value == actual));
    let number = |text: &str| text.parse::<i64>().ok();
    let bound = values.first().and_then(|value| number(value));
    let compared = |with: fn(&i64, &i64) -> bool| {
        actual.and_then(number).zip(bound).is_some_and(|(actual, bound)| with(&actual, &bound))
    };
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => actual.is_some(),
        "DoesNotExist" => actual.is_none(),
        "Gt" => compared(i64::gt),
        "Lt" => compared(i64::lt),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_hold_by_operator() {
        for (operator, values, actual, expected) in [
            ("In", vec!["a", "b"], Some("a"), true),
            ("In", vec!["a"], None, false),
            ("NotIn", vec!["a"], Some("b"), true),
            ("NotIn", vec!["a"], None, true),
            ("Exists", vec![], Some(""), true),
            ("DoesNotExist", vec![], None, true),
            ("Gt", vec!["4"], Some("5"), true),
            ("Gt", vec!["4"], Some("x"), false),
            ("Lt", vec!["4"], Some("3"), true),
            ("Near", vec!["4"], Some("4"), false),
        ] {
            let requirement = NodeSelectorRequirement {
                key: "k".into(),
                operator: operator.into(),
                values: Some(values.iter().map(ToString::to_string).collect()),
            };
            assert_eq!(holds(&requirement, actual), expected, "{requirement:?} {actual:?}");
        }
    }
}
