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
    for (flag, text) in [("min-available", min), ("max-unavailable", max)] {
        let number = text.strip_suffix('%').unwrap_or(text);
        if !text.is_empty() && (number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(Error::message(format!("invalid format specified for {flag}")));
        }
    }
    let mut spec = json!({ "selector": label_selector(selector)? });
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

/// A selector in its form as an object: equalities as labels, the rest as expressions.
fn label_selector(text: &str) -> Result<Value, Error> {
    use machinery::labels::Operator;
    let selector = machinery::labels::Selector::parse(text)
        .map_err(|error| Error::message(format!("couldn't parse the selector string {text:?}: {error}")))?;
    let (mut labels, mut expressions) = (Map::new(), Vec::new());
    for requirement in selector.requirements().unwrap_or_default() {
        let operator = match requirement.operator {
            Operator::Equals | Operator::DoubleEquals => {
                labels.insert(requirement.key.clone(), requirement.values.first().cloned().into());
                continue;
            }
            Operator::In => "In",
            Operator::NotIn | Operator::NotEquals => "NotIn",
            Operator::Exists => "Exists",
            Operator::DoesNotExist => "DoesNotExist",
            Operator::GreaterThan | Operator::LessThan => {
                return Err(Error::message(format!("couldn't parse the selector string {text:?}")));
            }
        };
        let mut expression = json!({ "key": requirement.key, "operator": operator });
        if !requirement.values.is_empty() {
            expression["values"] = json!(requirement.values);
        }
        expressions.push(expression);
    }
    let mut out = json!({});
    if !labels.is_empty() {
        out["matchLabels"] = Value::Object(labels);
    }
    if !expressions.is_empty() {
        out["matchExpressions"] = Value::Array(expressions);
    }
    Ok(out)
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
