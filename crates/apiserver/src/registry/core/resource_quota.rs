//! ResourceQuota.

use k8s_openapi::api::core::v1::ResourceQuota;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::is_qualified_name;
use machinery::object::to_value;
use serde_json::Value;

use crate::registry::shared::defaults::canonical;
use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::shared::resources::{self, quantity};
use crate::registry::shared::validate::complain;
use crate::registry::strategy::{Typed, parts};

/// ResourceQuota's strategy.
pub static STRATEGY: Typed<ResourceQuota> = Typed {
    defaults: |quota| canonical(quota.spec.get_or_insert_default().hard.as_mut()),
    validate,
    validate_update: |new, _| validate(new),
    columns: &[
        NAME,
        column("Request", "string", "What is used and may be used, of what is requested or counted."),
        column("Limit", "string", "What is used and may be used, of what is limited."),
        AGE,
    ],
    cells,
    ..Typed::new(parts!(ResourceQuota: spec; status))
};

fn cells(quota: &ResourceQuota, now: Timestamp) -> Vec<Value> {
    let status = quota.status.clone().unwrap_or_default();
    let used = status.used.unwrap_or_default();
    let (mut requests, mut limits) = (Vec::new(), Vec::new());
    for (resource, hard) in status.hard.unwrap_or_default() {
        let used = used.get(&resource).map_or("0", |quantity| quantity.0.as_str());
        let cell = format!("{resource}: {used}/{}", hard.0);
        if resource.starts_with("limits") { limits.push(cell) } else { requests.push(cell) }
    }
    vec![name(&quota.metadata), requests.join(", ").into(), limits.join(", ").into(), age(&quota.metadata, now)]
}

fn validate(quota: &ResourceQuota) -> ErrorList {
    let path = Path::new("spec.hard");
    let mut errors = ErrorList::new();
    for (resource, amount) in quota.spec.iter().filter_map(|spec| spec.hard.as_ref()).flatten() {
        let at = path.key(resource);
        complain(&mut errors, &at, resource, is_qualified_name(resource));
        self::quantity(&mut errors, &at, resource, amount);
    }
    validate_scopes(&mut errors, quota);
    errors
}

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];
/// What a pod is counted and charged by.
const OF_PODS: [&str; 7] = ["pods", "cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];

fn applies(scope: &str, resource: &str) -> bool {
    match scope {
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => OF_PODS.contains(&resource),
    }
}

/// Upstream's `validateResourceQuotaScopes` and `validateScopedResourceSelectorRequirement`.
fn validate_scopes(errors: &mut ErrorList, quota: &ResourceQuota) {
    let Some(spec) = &quota.spec else { return };
    let hard =
        || spec.hard.iter().flatten().map(|(name, _)| name.as_str()).filter(|name| resources::OF_QUOTAS.contains(name));
    let root = Path::new("spec");
    let scopes = spec.scopes.as_deref().unwrap_or_default();
    let path = root.child("scopes");
    let refuse = |errors: &mut ErrorList, detail: &str| errors.push(Error::invalid(&path, scopes.to_vec(), detail));
    for scope in scopes {
        if !SCOPES.contains(&scope.as_str()) {
            refuse(errors, "unsupported scope");
        }
        hard()
            .filter(|resource| !applies(scope, resource))
            .for_each(|_| refuse(errors, "unsupported scope applied to resource"));
    }
    if conflict(scopes.iter().map(String::as_str)) {
        refuse(errors, "conflicting scopes");
    }
    let Some(selector) = &spec.scope_selector else { return };
    let requirements = selector.match_expressions.as_deref().unwrap_or_default();
    let selector_path = root.child("scopeSelector");
    let path = selector_path.child("matchExpressions");
    for one in requirements {
        let (scope, operator) = (one.scope_name.as_str(), one.operator.as_str());
        let values = one.values.as_deref().unwrap_or_default();
        if !SCOPES.contains(&scope) {
            errors.push(Error::invalid(&path.child("scopeName"), scope, "unsupported scope"));
        }
        for _ in hard().filter(|resource| !applies(scope, resource)) {
            let value = to_value(&requirements);
            errors.push(Error::invalid(&path, value, "unsupported scope applied to resource"));
        }
        if !matches!(scope, "PriorityClass" | "VolumeAttributesClass") && operator != "Exists" {
            let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.push(Error::invalid(&path.child("operator"), operator, detail));
        }
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.push(Error::required(&path.child("values"), detail));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.push(Error::invalid(&path.child("values"), values.to_vec(), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.push(Error::invalid(&path.child("operator"), other, "not a valid selector operator")),
        }
    }
    if conflict(requirements.iter().map(|one| one.scope_name.as_str())) {
        errors.push(Error::invalid(&path, to_value(&requirements), "conflicting scopes"));
    }
}

/// Whether scopes exclude each other.
fn conflict<'a>(scopes: impl Iterator<Item = &'a str> + Clone) -> bool {
    let pairs = [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")];
    let has = |name: &str| scopes.clone().any(|scope| scope == name);
    pairs.iter().any(|(one, other)| has(one) && has(other))
}
