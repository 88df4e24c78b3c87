//! PodDisruptionBudget.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::intorstring::display;
use machinery::labels::validate_label_selector;
use serde_json::Value;

use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::shared::validate::{at_most_all, count_or_percent, optional_one_of, shown};
use crate::registry::strategy::{Typed, parts};

/// PodDisruptionBudget's strategy.
pub static STRATEGY: Typed<PodDisruptionBudget> = Typed {
    generation: true,
    validate,
    validate_update: |new, _| validate(new),
    columns: &[
        NAME,
        column("Min Available", "string", "How many pods must stay available."),
        column("Max Unavailable", "string", "How many pods may be unavailable."),
        column("Allowed Disruptions", "integer", "How many pods may be evicted now."),
        AGE,
    ],
    cells,
    unconditional_update: false,
    ..Typed::new(parts!(PodDisruptionBudget: spec; status))
};

fn validate(budget: &PodDisruptionBudget) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let spec = budget.spec.clone().unwrap_or_default();
    if spec.min_available.is_some() && spec.max_unavailable.is_some() {
        let detail = "minAvailable and maxUnavailable cannot be both set";
        errors.push(Error::invalid(&path, shown(&spec), detail));
    }
    for (field, value) in [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)] {
        if let Some(value) = value {
            count_or_percent(&mut errors, &path.child(field), value);
            at_most_all(&mut errors, &path.child(field), value);
        }
    }
    errors.extend(validate_label_selector(spec.selector.as_ref(), &path.child("selector")));
    let policy = spec.unhealthy_pod_eviction_policy.as_deref();
    let policies = ["AlwaysAllow", "IfHealthyBudget"];
    optional_one_of(&mut errors, &path.child("unhealthyPodEvictionPolicy"), policy, &policies);
    errors
}

fn cells(budget: &PodDisruptionBudget, now: Timestamp) -> Vec<Value> {
    let spec = budget.spec.clone().unwrap_or_default();
    let shown = |value: Option<IntOrString>| value.map_or_else(|| "N/A".into(), |value| display(&value));
    vec![
        name(&budget.metadata),
        shown(spec.min_available).into(),
        shown(spec.max_unavailable).into(),
        budget.status.as_ref().and_then(|status| status.disruptions_allowed).unwrap_or_default().into(),
        age(&budget.metadata, now),
    ]
}
