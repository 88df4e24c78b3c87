//! `nodeSelector` and `affinity.nodeAffinity`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{NodeAffinity as Affinity, NodeSelectorRequirement, NodeSelectorTerm};

use crate::framework::{self, Filter, NodeInfo, PodInfo, Rejection, Score};

const REASON: &str = "node(s) didn't match Pod's node affinity/selector";

/// See the module's documentation.
pub struct NodeAffinity;

impl Filter for NodeAffinity {
    fn name(&self) -> &'static str {
        "NodeAffinity"
    }

    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let labels = labels(node);
        let wanted = pod.spec().and_then(|spec| spec.node_selector.as_ref());
        let selected = wanted.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
        let required = affinity(pod).and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref());
        let accepted = required.is_none_or(|it| it.node_selector_terms.iter().any(|term| matches(term, node)));
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

    /// The sum of the weights of the preferred terms that match.
    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let preferred = affinity(pod).and_then(|it| it.preferred_during_scheduling_ignored_during_execution.as_ref());
        let matching = preferred.into_iter().flatten().filter(|term| matches(&term.preference, node));
        matching.map(|term| i64::from(term.weight)).sum()
    }

    fn normalize(&self, scores: &mut [i64]) {
        framework::normalize(scores, false);
    }
}

fn affinity(pod: &PodInfo) -> Option<&Affinity> {
    pod.spec()?.affinity.as_ref()?.node_affinity.as_ref()
}

fn labels(node: &NodeInfo) -> &BTreeMap<String, String> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    node.node.as_ref().and_then(|node| node.metadata.labels.as_ref()).unwrap_or(&NONE)
}

/// A term without any requirement matches nothing.
fn matches(term: &NodeSelectorTerm, node: &NodeInfo) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    (!expressions.is_empty() || !fields.is_empty())
        && expressions.iter().all(|it| holds(it, labels(node).get(&it.key).map(String::as_str)))
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
