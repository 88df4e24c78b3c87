//! What a daemon is on its nodes now, and how far an update may go.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::Pod;
use machinery::Timestamp;
use machinery::intorstring::{Round, scaled_value};

use super::nodes::Placement;
use crate::history::REVISION_HASH;
use crate::pods;
use crate::replicaset::number;

/// A node and the daemon's pods for it, oldest first.
pub struct OnNode {
    /// The node's name.
    pub name: String,
    /// Whether the daemon belongs there.
    pub placement: Placement,
    /// Its pods there, those on their way out included.
    pub pods: Vec<Arc<Pod>>,
}

/// Whether pods of former templates are replaced without being asked.
pub fn is_rolling(set: &DaemonSet) -> bool {
    let strategy = set.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
    strategy.unwrap_or("RollingUpdate") == "RollingUpdate"
}

/// How many pods may be there twice, and how many may be missing; one of both is never 0.
pub fn bounds(set: &DaemonSet, desired: usize) -> (usize, usize) {
    let rolling = set.spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    let scaled = |value: Option<_>| {
        let value = value.and_then(|value| scaled_value(value, number(desired), Round::Up).ok());
        value.and_then(|value| usize::try_from(value).ok())
    };
    let surge = scaled(rolling.and_then(|rolling| rolling.max_surge.as_ref())).filter(|_| is_rolling(set)).unwrap_or(0);
    let unavailable = scaled(rolling.and_then(|rolling| rolling.max_unavailable.as_ref())).unwrap_or(1);
    (surge, if surge == 0 { unavailable.max(1) } else { unavailable })
}

/// The hash of the template the pod is of.
pub fn hash_of(pod: &Pod) -> &str {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_HASH)).map_or("", String::as_str)
}

/// The status to report.
pub fn status_of(set: &DaemonSet, on_nodes: &[OnNode], hash: &str, now: Timestamp) -> DaemonSetStatus {
    let min_ready_seconds = set.spec.min_ready_seconds.unwrap_or(0);
    let mut status = DaemonSetStatus { observed_generation: set.metadata.generation, ..DaemonSetStatus::default() };
    let (mut available, mut updated) = (0, 0);
    for node in on_nodes {
        let oldest = node.pods.iter().find(|pod| !pods::is_terminated(pod) && !pods::is_deleting(&***pod));
        if !node.placement.should_run {
            status.number_misscheduled += i32::from(!node.pods.is_empty());
            continue;
        }
        status.desired_number_scheduled += 1;
        status.current_number_scheduled += i32::from(!node.pods.is_empty());
        if let Some(pod) = oldest {
            status.number_ready += i32::from(pods::is_ready(pod));
            available += i32::from(pods::is_available(pod, min_ready_seconds, now));
            updated += i32::from(hash_of(pod) == hash);
        }
    }
    status.number_available = Some(available);
    status.number_unavailable = Some(status.desired_number_scheduled - available);
    status.updated_number_scheduled = Some(updated);
    status
}
