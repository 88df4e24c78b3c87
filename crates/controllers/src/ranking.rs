//! Which pods go first when there are too many, as upstream's `ActivePodsWithRanks`.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use machinery::Timestamp;
use machinery::sort::Order;

use crate::pods;

/// Lets a user say which pods to keep; a number, 0 by default, the lowest goes first.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// Brings pods into the order in which they are to go. `related` are the pods they share nodes with.
pub fn rank_for_deletion(candidates: &mut [Arc<Pod>], related: &[Arc<Pod>], now: Timestamp) {
    let mut on_node: BTreeMap<&str, usize> = BTreeMap::new();
    for pod in related.iter().filter(|pod| pods::is_active(pod)) {
        *on_node.entry(pods::node_name(pod)).or_default() += 1;
    }
    candidates.order_by(|a, b| {
        let colocated = |pod: &Pod| on_node.get(pods::node_name(pod)).copied().unwrap_or(0);
        let fixed = |pod: &Pod| {
            (
                !pods::node_name(pod).is_empty(),
                phase_rank(pod),
                pods::is_ready(pod),
                deletion_cost(pod),
                Reverse(colocated(pod)),
            )
        };
        fixed(a).cmp(&fixed(b)).then_with(|| younger_first(ready_time(a), ready_time(b), a, b, now)).then_with(|| {
            restarts(b)
                .cmp(&restarts(a))
                .then_with(|| younger_first(client::creation_time(&**a), client::creation_time(&**b), a, b, now))
        })
    });
}

fn phase_rank(pod: &Pod) -> u8 {
    match pods::phase(pod) {
        "Pending" => 0,
        "Running" => 2,
        _ => 1,
    }
}

fn deletion_cost(pod: &Pod) -> i32 {
    pods::annotation(pod, DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0)
}

fn ready_time(pod: &Pod) -> Option<Timestamp> {
    if pods::is_ready(pod) { pods::ready_since(pod) } else { None }
}

/// Ages count by their order of magnitude only, so that not always the same zone's pods go; of pods
/// equally old in that sense, the uid decides.
fn younger_first(a: Option<Timestamp>, b: Option<Timestamp>, pod_a: &Pod, pod_b: &Pod, now: Timestamp) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let rank = |time: Option<Timestamp>| match time {
        Some(time) => now.duration_since(time).as_secs().max(0).checked_ilog2().map_or(0, |rank| rank + 1),
        // No time at all is younger than any.
        None => 0,
    };
    rank(a).cmp(&rank(b)).then_with(|| pods::uid(pod_a).cmp(pods::uid(pod_b)))
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    statuses.iter().map(|status| status.restart_count).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, node: &str, phase: &str, ready: bool, annotations: Value) -> Arc<Pod> {
        Arc::new(
            serde_json::from_value(json!({
                "metadata": { "name": name, "uid": name, "annotations": annotations },
                "spec": { "containers": [], "nodeName": node },
                "status": {
                    "phase": phase,
                    "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
                },
            }))
            .unwrap(),
        )
    }

    #[test]
    fn what_is_missed_least_goes_first() {
        let mut candidates = vec![
            pod("ready", "a", "Running", true, json!({})),
            pod("doubled", "b", "Running", true, json!({})),
            pod("cheap", "c", "Running", true, json!({ DELETION_COST: "-1" })),
            pod("not-ready", "c", "Running", false, json!({})),
            pod("pending", "c", "Pending", false, json!({})),
            pod("unassigned", "", "Pending", false, json!({})),
        ];
        let mut related = candidates.clone();
        related.push(pod("other", "b", "Running", true, json!({})));
        rank_for_deletion(&mut candidates, &related, Timestamp::UNIX_EPOCH);
        let names: Vec<_> = candidates.iter().map(|pod| pods::name(&**pod)).collect();
        assert_eq!(names, ["unassigned", "pending", "not-ready", "cheap", "doubled", "ready"]);
    }
}
