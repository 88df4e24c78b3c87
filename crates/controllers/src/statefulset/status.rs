//! What one sync of a StatefulSet knows, and the status it reports.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;
use machinery::Timestamp;

use super::identity::{ordinals, revision_of};
use crate::pods;
use crate::replicaset::number;

/// One sync of a set.
pub struct Work<'a> {
    /// The set.
    pub set: &'a StatefulSet,
    /// The revision pods are updated from; the same as `update` once an update is complete.
    pub current: Arc<ControllerRevision>,
    /// The revision of the present template.
    pub update: Arc<ControllerRevision>,
    /// The time of the sync.
    pub now: Timestamp,
}

/// Whether pods of former revisions are replaced without being asked.
pub fn is_rolling(set: &StatefulSet) -> bool {
    let strategy = set.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
    strategy.unwrap_or("RollingUpdate") == "RollingUpdate"
}

/// Whether pods come, go and change without waiting for each other.
pub fn is_parallel(set: &StatefulSet) -> bool {
    set.spec.pod_management_policy.as_deref() == Some("Parallel")
}

/// The first ordinal that is updated: the partition, counted from the set's first.
pub fn first_updated(set: &StatefulSet) -> i32 {
    let rolling = set.spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    let partition = rolling.and_then(|rolling| rolling.partition).unwrap_or(0);
    ordinals(set).start.saturating_add(partition.max(0))
}

/// The status to report, before an update that is complete is noted.
pub fn status_of(round: &Work<'_>, all: &[Arc<Pod>], collisions: i32) -> StatefulSetStatus {
    let min_ready_seconds = round.set.spec.min_ready_seconds.unwrap_or(0);
    let count = |test: &dyn Fn(&Pod) -> bool| number(all.iter().filter(|pod| test(pod)).count());
    // A pod counts once the server has made it one: it has a phase, and is not going.
    let of = |revision: &ControllerRevision| {
        count(&|pod| {
            !pods::phase(pod).is_empty() && !pods::is_deleting(pod) && revision_of(pod) == pods::name(revision)
        })
    };
    let ready = |pod: &Pod| pods::phase(pod) == "Running" && pods::is_ready(pod);
    StatefulSetStatus {
        observed_generation: round.set.metadata.generation,
        replicas: count(&|pod| !pods::phase(pod).is_empty()),
        ready_replicas: Some(count(&ready)),
        available_replicas: Some(count(&|pod| ready(pod) && pods::is_available(pod, min_ready_seconds, round.now))),
        current_replicas: Some(of(&round.current)),
        updated_replicas: Some(of(&round.update)),
        current_revision: round.current.metadata.name.clone(),
        update_revision: round.update.metadata.name.clone(),
        collision_count: Some(collisions),
        conditions: round.set.status.as_ref().and_then(|status| status.conditions.clone()),
    }
}

/// Once all pods are of the newest revision and ready, it is the current one.
pub fn complete_update(set: &StatefulSet, status: &mut StatefulSetStatus) {
    let all = Some(status.replicas);
    let wanted = set.spec.replicas.unwrap_or(1) == status.replicas;
    if is_rolling(set) && wanted && status.updated_replicas == all && status.ready_replicas == all {
        status.current_replicas = status.updated_replicas;
        status.current_revision.clone_from(&status.update_revision);
    }
}
