//! On which nodes a daemon's pods belong, and how a pod is made for a node.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec, PodTemplateSpec, Taint, Toleration,
};
use machinery::labels::{Operator, Requirement};

use crate::claim::controller_reference;
use crate::history::REVISION_HASH;
use crate::pod_control::pod_from_template;
use crate::pods;
use crate::taint_eviction::tolerates;

/// The one field of nodes that affinity can name.
const NAME_FIELD: &str = "metadata.name";
/// Taints daemons tolerate without being asked, with their effect.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// Whether a node is to have a daemon's pod, and whether one that is there may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// A pod is to run there.
    pub should_run: bool,
    /// A pod that runs there may go on.
    pub may_continue: bool,
}

/// Where the daemon's pods belong, as its template's node name, selector, affinity and tolerations say.
pub fn placement(set: &DaemonSet, node: &Node) -> Placement {
    const NOWHERE: Placement = Placement { should_run: false, may_continue: false };
    let Some(spec) = &set.spec.template.spec else { return NOWHERE };
    let named = spec.node_name.as_deref().is_none_or(|name| name.is_empty() || name == pods::name(node));
    if !named || !selected(spec, node) {
        return NOWHERE;
    }
    let tolerations = tolerations(spec);
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let untolerated = |effects: &[&str]| {
        let tolerated = |taint: &Taint| tolerations.iter().any(|toleration| tolerates(toleration, taint));
        taints.iter().any(|taint| effects.contains(&taint.effect.as_str()) && !tolerated(taint))
    };
    Placement { should_run: !untolerated(&["NoSchedule", "NoExecute"]), may_continue: !untolerated(&["NoExecute"]) }
}

fn selected(spec: &PodSpec, node: &Node) -> bool {
    let empty = BTreeMap::new();
    let labels = node.metadata.labels.as_ref().unwrap_or(&empty);
    let selector = spec.node_selector.iter().flatten();
    let required = spec
        .affinity
        .as_ref()
        .and_then(|affinity| affinity.node_affinity.as_ref())
        .and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let fields = BTreeMap::from([(NAME_FIELD.to_owned(), pods::name(node).to_owned())]);
    selector.into_iter().all(|(name, value)| labels.get(name) == Some(value))
        && required.is_none_or(|required| {
            required.node_selector_terms.iter().any(|term| {
                let expressions = term.match_expressions.as_deref().unwrap_or_default();
                let on_fields = term.match_fields.as_deref().unwrap_or_default();
                // A term without requirements matches nothing.
                !(expressions.is_empty() && on_fields.is_empty())
                    && expressions.iter().all(|requirement| meets(requirement, labels))
                    && on_fields.iter().all(|requirement| meets(requirement, &fields))
            })
        })
}

fn meets(requirement: &NodeSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let operator = match requirement.operator.as_str() {
        "In" => Operator::In,
        "NotIn" => Operator::NotIn,
        "Exists" => Operator::Exists,
        "DoesNotExist" => Operator::DoesNotExist,
        "Gt" => Operator::GreaterThan,
        "Lt" => Operator::LessThan,
        _ => return false,
    };
    let values = requirement.values.clone().unwrap_or_default();
    Requirement { key: requirement.key.clone(), operator, values }.matches(labels)
}

fn tolerations(spec: &PodSpec) -> Vec<Toleration> {
    let mut tolerations = spec.tolerations.clone().unwrap_or_default();
    let network = ("node.kubernetes.io/network-unavailable", "NoSchedule");
    let own = TOLERATED.into_iter().chain((spec.host_network == Some(true)).then_some(network));
    for (key, effect) in own {
        let toleration = Toleration {
            key: Some(key.into()),
            operator: Some("Exists".into()),
            effect: Some(effect.into()),
            ..Toleration::default()
        };
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
    tolerations
}

/// A pod of the daemon for one node: the scheduler binds it there and nowhere else.
pub fn pod_for(set: &DaemonSet, node: &str, hash: &str) -> Pod {
    let mut template: PodTemplateSpec = set.spec.template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(REVISION_HASH.into(), hash.into());
    if let Some(spec) = &mut template.spec {
        spec.tolerations = Some(tolerations(spec));
        let affinity = spec.affinity.get_or_insert_default().node_affinity.get_or_insert_default();
        let on_node =
            NodeSelectorRequirement { key: NAME_FIELD.into(), operator: "In".into(), values: Some(vec![node.into()]) };
        let required = affinity
            .required_during_scheduling_ignored_during_execution
            .get_or_insert_with(|| NodeSelector { node_selector_terms: vec![NodeSelectorTerm::default()] });
        // The node's other requirements have been met already: it was chosen by them.
        required.node_selector_terms =
            vec![NodeSelectorTerm { match_fields: Some(vec![on_node]), match_expressions: None }];
    }
    pod_from_template(&template, set, controller_reference(set))
}

/// The node a daemon's pod is for, whether or not it is bound yet.
pub fn target_node(pod: &Pod) -> Option<&str> {
    let spec = pod.spec.as_ref()?;
    if let Some(node) = spec.node_name.as_deref().filter(|name| !name.is_empty()) {
        return Some(node);
    }
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required.node_selector_terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    fields
        .into_iter()
        .find(|field| field.key == NAME_FIELD && field.operator == "In")?
        .values
        .as_ref()?
        .first()
        .map(String::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(spec: Value) -> DaemonSet {
        let template = json!({ "metadata": {}, "spec": spec });
        serde_json::from_value(json!({ "metadata": { "name": "d" }, "spec": { "selector": {}, "template": template } }))
            .unwrap()
    }

    fn node(labels: Value, taints: Value) -> Node {
        serde_json::from_value(json!({ "metadata": { "name": "n", "labels": labels }, "spec": { "taints": taints } }))
            .unwrap()
    }

    #[test]
    fn daemons_belong_where_they_are_let() {
        let gpu = json!({ "containers": [], "nodeSelector": { "gpu": "yes" } });
        let plain = json!({ "containers": [] });
        let expression = json!({ "containers": [], "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [{
                "matchExpressions": [{ "key": "gpu", "operator": "Exists" }],
            }] },
        } } });
        let cases = [
            (&plain, json!({}), json!([]), (true, true)),
            (&gpu, json!({}), json!([]), (false, false)),
            (&gpu, json!({ "gpu": "yes" }), json!([]), (true, true)),
            (&expression, json!({}), json!([]), (false, false)),
            (&expression, json!({ "gpu": "no" }), json!([]), (true, true)),
            (&plain, json!({}), json!([{ "key": "a", "effect": "NoSchedule" }]), (false, true)),
            (&plain, json!({}), json!([{ "key": "a", "effect": "NoExecute" }]), (false, false)),
            (
                &plain,
                json!({}),
                json!([{ "key": "node.kubernetes.io/unreachable", "effect": "NoExecute" }]),
                (true, true),
            ),
        ];
        for (spec, labels, taints, (should_run, may_continue)) in cases {
            let found = placement(&set(spec.clone()), &node(labels.clone(), taints.clone()));
            assert_eq!(found, Placement { should_run, may_continue }, "{spec} {labels} {taints}");
        }
    }

    #[test]
    fn a_pod_is_for_one_node() {
        let pod = pod_for(&set(json!({ "containers": [] })), "n", "hash");
        assert_eq!(target_node(&pod), Some("n"));
    }
}
