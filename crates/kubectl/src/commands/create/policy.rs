//! Generators of quotas, disruption budgets and priority classes.

use serde_json::{Map, Value, json};

use super::{Generated, generated, name};
use crate::error::Error;
use crate::session::Session;

pub(super) fn quota(session: &Session<'_>) -> Result<Generated, Error> {
    let name = name(session)?;
    let mut spec = json!({});
    let hard = session.args.string("hard");
    if !hard.is_empty() {
        let mut limits = Map::new();
        for part in hard.split(',') {
            let (resource, amount) = part.split_once('=').ok_or_else(|| {
                Error::message(format!("Invalid argument syntax {part}, expected <resource>=<value>"))
            })?;
            let amount = machinery::Quantity::parse(amount).map_err(|error| Error::message(error.to_string()))?;
            limits.insert(resource.to_owned(), amount.to_string().into());
        }
        spec["hard"] = Value::Object(limits);
    }
    let scopes = session.args.string("scopes");
    if !scopes.is_empty() {
        spec["scopes"] = scopes.split(',').map(Value::from).collect();
    }
    Ok(generated("v1", "ResourceQuota", "resourcequotas", true, name, json!({ "spec": spec, "status": {} })))
}

pub(super) fn disruption_budget(session: &Session<'_>) -> Result<Generated, Error> {
    let args = &session.args;
    let name = name(session)?;
    let selector = args.string("selector");
    if selector.is_empty() {
        return Err(Error::message("a selector must be specified"));
    }
    let (min, max) = (args.string("min-available"), args.string("max-unavailable"));
    let amount = |text: &str| text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number));
    let mut spec = json!({ "selector": { "matchLabels": super::parse_labels(selector)? } });
    match (min.is_empty(), max.is_empty()) {
        (true, true) => {
            return Err(Error::message("one of min-available or max-unavailable must be specified"));
        }
        (false, false) => {
            return Err(Error::message("min-available and max-unavailable cannot be both specified"));
        }
        (false, true) => spec["minAvailable"] = amount(min),
        (true, false) => spec["maxUnavailable"] = amount(max),
    }
    let status = json!({ "currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0 });
    let fields = json!({ "spec": spec, "status": status });
    Ok(generated("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", true, name, fields))
}

pub(super) fn priority_class(session: &Session<'_>) -> Result<Generated, Error> {
    let args = &session.args;
    let name = name(session)?;
    let mut fields = json!({ "value": args.int("value"), "preemptionPolicy": args.string("preemption-policy") });
    if args.bool("global-default") {
        fields["globalDefault"] = true.into();
    }
    if !args.string("description").is_empty() {
        fields["description"] = args.string("description").into();
    }
    Ok(generated("scheduling.k8s.io/v1", "PriorityClass", "priorityclasses", false, name, fields))
}
