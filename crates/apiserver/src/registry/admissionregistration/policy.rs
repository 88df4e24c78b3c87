//! The kinds of admission policy and their bindings.

use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, ParamKind, ParamRef,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::defaults::text;
use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::shared::validate::{optional_one_of, required};
use crate::registry::strategy::{Typed, parts};
use machinery::names::is_dns1123_subdomain;

const PARAM_KIND: Column = column("ParamKind", "string", "The kind of the policy's parameters.");
const BINDING_COLUMNS: &[Column] = &[
    NAME,
    column("PolicyName", "string", "The policy that is bound."),
    column("ParamRef", "string", "Where the policy's parameters are."),
    AGE,
];

/// ValidatingAdmissionPolicy's strategy.
pub static VALIDATING: Typed<ValidatingAdmissionPolicy> = Typed {
    generation: true,
    defaults: |policy| {
        let spec = policy.spec.get_or_insert_default();
        text(&mut spec.failure_policy, "Fail");
        spec.match_constraints.iter_mut().for_each(match_defaults);
    },
    validate: validate_validating,
    validate_update: |new, _| validate_validating(new),
    columns: &[NAME, column("Validations", "integer", "Number of validations."), PARAM_KIND, AGE],
    cells: |policy, now| {
        let spec = policy.spec.as_ref();
        let count = spec.and_then(|spec| spec.validations.as_ref()).map_or(0, |all| all.len());
        policy_cells(&policy.metadata, count, spec.and_then(|spec| spec.param_kind.as_ref()), now)
    },
    unconditional_update: false,
    ..Typed::new(parts!(ValidatingAdmissionPolicy: spec; status))
};

/// MutatingAdmissionPolicy's strategy.
pub static MUTATING: Typed<MutatingAdmissionPolicy> = Typed {
    generation: true,
    defaults: |policy| {
        let spec = policy.spec.get_or_insert_default();
        text(&mut spec.failure_policy, "Fail");
        spec.match_constraints.iter_mut().for_each(match_defaults);
    },
    columns: &[NAME, column("Mutations", "integer", "Number of mutations."), PARAM_KIND, AGE],
    cells: |policy, now| {
        let spec = policy.spec.as_ref();
        let count = spec.and_then(|spec| spec.mutations.as_ref()).map_or(0, |all| all.len());
        policy_cells(&policy.metadata, count, spec.and_then(|spec| spec.param_kind.as_ref()), now)
    },
    unconditional_update: false,
    ..Typed::new(parts!(MutatingAdmissionPolicy: spec))
};

/// ValidatingAdmissionPolicyBinding's strategy.
pub static VALIDATING_BINDING: Typed<ValidatingAdmissionPolicyBinding> = Typed {
    generation: true,
    defaults: |binding| binding.spec.match_resources.iter_mut().for_each(match_defaults),
    validate: validate_binding,
    validate_update: |new, _| validate_binding(new),
    columns: BINDING_COLUMNS,
    cells: |binding, now| {
        let spec = &binding.spec;
        binding_cells(&binding.metadata, &spec.policy_name, spec.param_ref.as_ref(), now)
    },
    unconditional_update: false,
    ..Typed::new(parts!(ValidatingAdmissionPolicyBinding: spec))
};

/// MutatingAdmissionPolicyBinding's strategy.
pub static MUTATING_BINDING: Typed<MutatingAdmissionPolicyBinding> = Typed {
    generation: true,
    defaults: |binding| {
        let spec = binding.spec.get_or_insert_default();
        spec.match_resources.iter_mut().for_each(match_defaults);
    },
    columns: BINDING_COLUMNS,
    cells: |binding, now| {
        let spec = binding.spec.clone().unwrap_or_default();
        binding_cells(&binding.metadata, &spec.policy_name.unwrap_or_default(), spec.param_ref.as_ref(), now)
    },
    unconditional_update: false,
    ..Typed::new(parts!(MutatingAdmissionPolicyBinding: spec))
};

fn match_defaults(resources: &mut MatchResources) {
    text(&mut resources.match_policy, "Equivalent");
    resources.namespace_selector.get_or_insert_default();
    resources.object_selector.get_or_insert_default();
    let rules = resources.resource_rules.iter_mut().flatten();
    for rule in rules.chain(resources.exclude_resource_rules.iter_mut().flatten()) {
        text(&mut rule.scope, "*");
    }
}

fn validate_validating(policy: &ValidatingAdmissionPolicy) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let spec = policy.spec.clone().unwrap_or_default();
    optional_one_of(&mut errors, &path.child("failurePolicy"), spec.failure_policy.as_deref(), &["Fail", "Ignore"]);
    let some = |len: Option<usize>| len.is_some_and(|len| len > 0);
    if !some(spec.validations.as_ref().map(Vec::len)) && !some(spec.audit_annotations.as_ref().map(Vec::len)) {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.push(Error::required(&path.child("validations"), detail));
        errors.push(Error::required(&path.child("auditAnnotations"), detail));
    }
    if spec.match_constraints.is_none() {
        errors.push(Error::required(&path.child("matchConstraints"), ""));
    }
    errors
}

fn validate_binding(binding: &ValidatingAdmissionPolicyBinding) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let spec = &binding.spec;
    required(&mut errors, &path.child("policyName"), &spec.policy_name, is_dns1123_subdomain);
    let actions = path.child("validationActions");
    if spec.validation_actions.is_empty() {
        errors.push(Error::required(&actions, "at least one validation action is required"));
    }
    for action in &spec.validation_actions {
        optional_one_of(&mut errors, &actions, Some(action), &["Audit", "Deny", "Warn"]);
    }
    errors
}

fn policy_cells(metadata: &ObjectMeta, count: usize, kind: Option<&ParamKind>, now: Timestamp) -> Vec<Value> {
    let kind = kind.map(|kind| {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        format!("{}/{}", text(&kind.api_version), text(&kind.kind))
    });
    vec![name(metadata), count.into(), kind.unwrap_or_else(|| "<unset>".into()).into(), age(metadata, now)]
}

fn binding_cells(metadata: &ObjectMeta, policy: &str, reference: Option<&ParamRef>, now: Timestamp) -> Vec<Value> {
    let reference = reference.map(|reference| match (&reference.namespace, &reference.name) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        (Some(namespace), None) => format!("{namespace}/*"),
        (None, Some(name)) => name.clone(),
        (None, None) => "*".into(),
    });
    vec![name(metadata), policy.into(), reference.unwrap_or_else(|| "<unset>".into()).into(), age(metadata, now)]
}
