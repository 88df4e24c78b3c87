//! What is wrong with affinity to nodes and pods.

use k8s_openapi::api::core::v1::{
    Affinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, WeightedPodAffinityTerm,
};
use machinery::field::{Error, ErrorList, Path};
use machinery::labels::validate_label_selector;
use machinery::names::{is_dns1123_label, is_label_value, is_qualified_name};

use crate::registry::shared::validate::{complain, required};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Everything that is wrong with affinities.
pub fn affinity(errors: &mut ErrorList, path: &Path<'_>, affinity: &Affinity) {
    if let Some(nodes) = &affinity.node_affinity {
        let at = path.child("nodeAffinity");
        if let Some(selector) = &nodes.required_during_scheduling_ignored_during_execution {
            node_selector(errors, &at.child(REQUIRED), selector);
        }
        let preferred = at.child(PREFERRED);
        for (index, term) in nodes.preferred_during_scheduling_ignored_during_execution.iter().flatten().enumerate() {
            let at = preferred.index(index);
            weight(errors, &at, term.weight);
            self::term(errors, &at.child("preference"), &term.preference);
        }
    }
    if let Some(pods) = &affinity.pod_affinity {
        let required = pods.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pods.preferred_during_scheduling_ignored_during_execution.as_deref();
        pod_affinity(errors, &path.child("podAffinity"), required, preferred);
    }
    if let Some(pods) = &affinity.pod_anti_affinity {
        let required = pods.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pods.preferred_during_scheduling_ignored_during_execution.as_deref();
        pod_affinity(errors, &path.child("podAntiAffinity"), required, preferred);
    }
}

fn weight(errors: &mut ErrorList, path: &Path<'_>, weight: i32) {
    if !(1..=100).contains(&weight) {
        errors.push(Error::invalid(&path.child("weight"), weight, "must be in the range 1-100"));
    }
}

/// What is wrong with a selector of nodes.
pub fn node_selector(errors: &mut ErrorList, path: &Path<'_>, selector: &NodeSelector) {
    let terms = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        errors.push(Error::required(&terms, "must have at least one node selector term"));
    }
    for (index, term) in selector.node_selector_terms.iter().enumerate() {
        self::term(errors, &terms.index(index), term);
    }
}

fn term(errors: &mut ErrorList, path: &Path<'_>, term: &NodeSelectorTerm) {
    let expressions = path.child("matchExpressions");
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        let at = expressions.index(index);
        values(errors, &at, requirement);
        complain(errors, &at.child("key"), &requirement.key, is_qualified_name(&requirement.key));
    }
    let fields = path.child("matchFields");
    for (index, requirement) in term.match_fields.iter().flatten().enumerate() {
        field(errors, &fields.index(index), requirement);
    }
}

fn values(errors: &mut ErrorList, path: &Path<'_>, requirement: &NodeSelectorRequirement) {
    let at = path.child("values");
    let values = requirement.values.as_deref().unwrap_or_default();
    match (requirement.operator.as_str(), values.len()) {
        ("In" | "NotIn", 0) => {
            errors.push(Error::required(&at, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        ("Exists" | "DoesNotExist", 1..) => {
            errors.push(Error::forbidden(&at, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        ("Gt" | "Lt", 0 | 2..) => {
            errors.push(Error::required(&at, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
        }
        ("In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt", _) => {}
        (operator, _) => {
            errors.push(Error::invalid(&path.child("operator"), operator, "not a valid selector operator"));
        }
    }
    for (index, value) in values.iter().enumerate() {
        complain(errors, &at.index(index), value, is_label_value(value));
    }
}

/// The only field that nodes can be selected by is their name.
fn field(errors: &mut ErrorList, path: &Path<'_>, requirement: &NodeSelectorRequirement) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() != 1 => errors.push(Error::required(
            &path.child("values"),
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        )),
        "In" | "NotIn" => {}
        operator => errors.push(Error::invalid(&path.child("operator"), operator, "not a valid selector operator")),
    }
    if requirement.key != "metadata.name" {
        let detail = "not a valid field selector key";
        errors.push(Error::invalid(&path.child("key"), requirement.key.as_str(), detail));
    }
}

fn pod_affinity(
    errors: &mut ErrorList,
    path: &Path<'_>,
    required: Option<&[PodAffinityTerm]>,
    preferred: Option<&[WeightedPodAffinityTerm]>,
) {
    let at = path.child(REQUIRED);
    for (index, term) in required.into_iter().flatten().enumerate() {
        pod_term(errors, &at.index(index), term);
    }
    let at = path.child(PREFERRED);
    for (index, term) in preferred.into_iter().flatten().enumerate() {
        let at = at.index(index);
        weight(errors, &at, term.weight);
        pod_term(errors, &at.child("podAffinityTerm"), &term.pod_affinity_term);
    }
}

fn pod_term(errors: &mut ErrorList, path: &Path<'_>, term: &PodAffinityTerm) {
    errors.extend(validate_label_selector(term.label_selector.as_ref(), &path.child("labelSelector")));
    errors.extend(validate_label_selector(term.namespace_selector.as_ref(), &path.child("namespaceSelector")));
    for name in term.namespaces.iter().flatten() {
        required(errors, &path.child("namespace"), name, is_dns1123_label);
    }
    match term.topology_key.as_str() {
        "" => errors.push(Error::required(&path.child("topologyKey"), "can not be empty")),
        key => complain(errors, &path.child("topologyKey"), key, is_qualified_name(key)),
    }
}
