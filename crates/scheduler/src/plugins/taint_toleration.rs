//! Taints keep pods away from a node unless they tolerate them.

use k8s_openapi::api::core::v1::{Taint, Toleration};

use crate::framework::{self, Cycle, Filter, NodeInfo, PodInfo, Rejection, Score};

/// See the module's documentation.
pub struct TaintToleration;

impl Filter for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        match untolerated(tolerations(cycle.pod), node) {
            None => Ok(()),
            Some(taint) => Err(Rejection::unresolvable(format!(
                "node(s) had untolerated taint {{{}: {}}}",
                taint.key,
                taint.value.as_deref().unwrap_or_default()
            ))),
        }
    }
}

/// The first of the node's taints that keeps a pod with these tolerations away.
pub fn untolerated<'a>(tolerations: &[Toleration], node: &'a NodeInfo) -> Option<&'a Taint> {
    let binding = |taint: &&Taint| taint.effect == "NoSchedule" || taint.effect == "NoExecute";
    taints(node).iter().filter(binding).find(|taint| !tolerates(tolerations, taint))
}

impl Score for TaintToleration {
    fn name(&self) -> &'static str {
        "TaintToleration"
    }

    fn weight(&self) -> i64 {
        3
    }

    /// How many taints would rather not have the pod.
    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
        let pod = cycle.pod;
        let soft = taints(node).iter().filter(|taint| taint.effect == "PreferNoSchedule");
        let intolerable = soft.filter(|taint| !tolerates(tolerations(pod), taint)).count();
        i64::try_from(intolerable).unwrap_or(i64::MAX)
    }

    fn normalize(&self, _: &Cycle<'_>, _: &[&NodeInfo], scores: &mut [i64]) {
        framework::normalize(scores, true);
    }
}

/// Whether one of the tolerations fits the taint (v1 Toleration.ToleratesTaint).
pub fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| {
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let key = toleration.key.as_deref().unwrap_or_default();
        let value = toleration.value.as_deref().unwrap_or_default();
        let taint_value = taint.value.as_deref().unwrap_or_default();
        (effect.is_empty() || effect == taint.effect)
            && (key.is_empty() || key == taint.key)
            && match toleration.operator.as_deref().unwrap_or_default() {
                "" | "Equal" => value == taint_value,
                "Exists" => true,
                "Lt" => compares(taint_value, value, |taint, toleration| taint < toleration),
                "Gt" => compares(taint_value, value, |taint, toleration| taint > toleration),
                _ => false,
            }
    })
}

/// KEP-5471: numeric values, both canonical integers.
fn compares(taint: &str, toleration: &str, with: impl Fn(i64, i64) -> bool) -> bool {
    taint.parse().is_ok_and(|taint| toleration.parse().is_ok_and(|toleration| with(taint, toleration)))
}

fn taints(node: &NodeInfo) -> &[Taint] {
    if !node.tainted {
        return &[];
    }
    let spec = node.node.as_ref().and_then(|node| node.spec.as_ref());
    spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

fn tolerations(pod: &PodInfo) -> &[Toleration] {
    pod.spec().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn toleration(key: &str, operator: &str, value: &str, effect: &str) -> Toleration {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Toleration {
            key: some(key),
            operator: some(operator),
            value: some(value),
            effect: some(effect),
            toleration_seconds: None,
        }
    }

    #[test]
    fn tolerations_fit_by_key_operator_value_and_effect() {
        let taint = Taint { key: "gpu".into(), value: Some("4".into()), effect: "NoSchedule".into(), time_added: None };
        for (toleration, fits) in [
            (toleration("gpu", "Equal", "4", "NoSchedule"), true),
            (toleration("gpu", "", "4", ""), true),
            (toleration("gpu", "Exists", "", ""), true),
            (toleration("", "Exists", "", ""), true),
            (toleration("gpu", "Gt", "3", ""), true),
            (toleration("gpu", "Lt", "3", ""), false),
            (toleration("gpu", "Equal", "5", ""), false),
            (toleration("gpu", "Exists", "", "NoExecute"), false),
            (toleration("cpu", "Exists", "", ""), false),
        ] {
            assert_eq!(tolerates(std::slice::from_ref(&toleration), &taint), fits, "{toleration:?}");
        }
    }
}
