//! Cordoned nodes (`spec.unschedulable`) take only pods that tolerate it.

use crate::framework::{Cycle, Filter, NodeInfo, Rejection};
use crate::plugins::taint_toleration::tolerates;
use k8s_openapi::api::core::v1::Taint;

const REASON: &str = "node(s) were unschedulable";

/// See the module's documentation.
pub struct NodeUnschedulable;

impl Filter for NodeUnschedulable {
    fn name(&self) -> &'static str {
        "NodeUnschedulable"
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        let pod = cycle.pod;
        if !node.unschedulable {
            return Ok(());
        }
        let cordon =
            Taint { key: "node.kubernetes.io/unschedulable".into(), effect: "NoSchedule".into(), ..Taint::default() };
        let tolerations = pod.spec().and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
        if tolerates(tolerations, &cordon) { Ok(()) } else { Err(Rejection::unresolvable(REASON)) }
    }
}
