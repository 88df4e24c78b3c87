//! A Deployment's status and conditions (`deployment/progress.go`, `sync.go`).

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet};
use machinery::Timestamp;
use machinery::time::{after, meta_time};

use super::arithmetic::{self, available, max_unavailable, size, wanted};
use crate::pods;

/// Condition: the rollout moves on, or is done.
pub const PROGRESSING: &str = "Progressing";
/// Condition: enough replicas are available.
const AVAILABLE: &str = "Available";
/// Condition: a ReplicaSet could not create or delete pods.
const REPLICA_FAILURE: &str = "ReplicaFailure";
/// Reason of [`PROGRESSING`]: the rollout is done.
const NEW_SET_AVAILABLE: &str = "NewReplicaSetAvailable";
/// Reason of [`PROGRESSING`]: nothing has moved for longer than the deadline.
const TIMED_OUT: &str = "ProgressDeadlineExceeded";

/// A condition as of now.
pub fn condition(kind: &str, status: &str, reason: &str, message: String, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        type_: Some(kind.into()),
        status: Some(status.into()),
        reason: Some(reason.into()),
        message: Some(message),
        last_update_time: Some(meta_time(now)),
        last_transition_time: Some(meta_time(now)),
    }
}

/// The condition of this type.
pub fn find<'a>(status: Option<&'a DeploymentStatus>, kind: &str) -> Option<&'a DeploymentCondition> {
    status?.conditions.as_ref()?.iter().find(|condition| condition.type_.as_deref() == Some(kind))
}

/// Sets a condition, unless it says the same already; the time of transition is that of its status.
pub fn set(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(current) = find(Some(status), condition.type_.as_deref().unwrap_or_default()) {
        if current.status == condition.status && current.reason == condition.reason {
            return;
        }
        if current.status == condition.status {
            condition.last_transition_time.clone_from(&current.last_transition_time);
        }
    }
    remove(status, condition.type_.as_deref().unwrap_or_default());
    status.conditions.get_or_insert_default().push(condition);
}

fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_.as_deref() != Some(kind));
    }
}

/// Whether the Deployment is to make progress within a time.
pub fn deadline(deployment: &Deployment) -> Option<Duration> {
    let seconds = deployment.spec.progress_deadline_seconds.filter(|seconds| *seconds != i32::MAX)?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// Counts, and whether enough is available.
pub fn calculate(
    deployment: &Deployment,
    all: &[Arc<ReplicaSet>],
    new: Option<&Arc<ReplicaSet>>,
    now: Timestamp,
) -> DeploymentStatus {
    let sum = |count: &dyn Fn(&ReplicaSet) -> i32| arithmetic::sum(all.iter().map(|set| count(set)));
    let of = |set: &ReplicaSet, count: fn(&k8s_openapi::api::apps::v1::ReplicaSetStatus) -> Option<i32>| {
        set.status.as_ref().and_then(count).unwrap_or(0)
    };
    let available = sum(&available);
    // Counts of none are left out, as upstream's encoder does.
    let some = |count: i32| (count != 0).then_some(count);
    let old = deployment.status.as_ref();
    let mut status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(sum(&|set| of(set, |status| Some(status.replicas)))),
        updated_replicas: some(new.map_or(0, |set| of(set, |status| Some(status.replicas)))),
        ready_replicas: some(sum(&|set| of(set, |status| status.ready_replicas))),
        available_replicas: some(available),
        unavailable_replicas: some((sum(&size) - available).max(0)),
        terminating_replicas: Some(sum(&|set| of(set, |status| status.terminating_replicas))),
        collision_count: old.and_then(|status| status.collision_count),
        conditions: old.and_then(|status| status.conditions.clone()),
    };
    let enough = available >= wanted(deployment) - max_unavailable(deployment);
    let (is, reason, message) = if enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set(&mut status, condition(AVAILABLE, is, reason, message.into(), now));
    status
}

/// Whether all replicas are of the new template and available, and none else is left.
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let all = Some(wanted(deployment));
    status.updated_replicas == all
        && status.replicas == all
        && status.available_replicas == all
        && status.observed_generation >= deployment.metadata.generation
}

fn progresses(old: Option<&DeploymentStatus>, new: &DeploymentStatus) -> bool {
    let counts = |status: Option<&DeploymentStatus>| {
        let count = |count: Option<i32>| count.unwrap_or(0);
        status.map_or((0, 0, 0, 0), |status| {
            let updated = count(status.updated_replicas);
            let old = count(status.replicas) - updated;
            (updated, old, count(status.ready_replicas), count(status.available_replicas))
        })
    };
    let (old, new) = (counts(old), counts(Some(new)));
    new.0 > old.0 || new.1 < old.1 || new.2 > old.2 || new.3 > old.3
}

fn timed_out(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> bool {
    let Some(current) = find(Some(status), PROGRESSING) else { return false };
    match current.reason.as_deref() {
        Some(NEW_SET_AVAILABLE) => false,
        Some(TIMED_OUT) => true,
        _ => overdue_at(deployment, current).is_some_and(|time| time < now),
    }
}

fn overdue_at(deployment: &Deployment, progressing: &DeploymentCondition) -> Option<Timestamp> {
    Some(after(progressing.last_update_time.as_ref()?.0, deadline(deployment)?))
}

/// [`calculate`], and how the rollout comes along.
pub fn of_rollout(
    deployment: &Deployment,
    all: &[Arc<ReplicaSet>],
    new: Option<&Arc<ReplicaSet>>,
    now: Timestamp,
) -> DeploymentStatus {
    let mut status = calculate(deployment, all, new, now);
    let current = find(Some(&status), PROGRESSING).cloned();
    let done = status.replicas == status.updated_replicas
        && current.as_ref().is_some_and(|current| current.reason.as_deref() == Some(NEW_SET_AVAILABLE));
    if deadline(deployment).is_none() {
        remove(&mut status, PROGRESSING);
    } else if !done {
        let what = match new {
            Some(set) => format!("ReplicaSet {:?}", pods::name(&**set)),
            None => format!("Deployment {:?}", pods::name(deployment)),
        };
        if is_complete(deployment, &status) {
            let message = format!("{what} has successfully progressed.");
            set(&mut status, condition(PROGRESSING, "True", NEW_SET_AVAILABLE, message, now));
        } else if progresses(deployment.status.as_ref(), &status) {
            let message = format!("{what} is progressing.");
            let mut moving = condition(PROGRESSING, "True", "ReplicaSetUpdated", message, now);
            // Said anew even if it was said before: its time of update tells when something last moved.
            if let Some(current) = current.filter(|current| current.status.as_deref() == Some("True")) {
                moving.last_transition_time = current.last_transition_time;
            }
            remove(&mut status, PROGRESSING);
            set(&mut status, moving);
        } else if timed_out(deployment, &status, now) {
            let message = format!("{what} has timed out progressing.");
            set(&mut status, condition(PROGRESSING, "False", TIMED_OUT, message, now));
        }
    }
    match failure_of(all, new) {
        Some(failure) => set(&mut status, failure),
        None => remove(&mut status, REPLICA_FAILURE),
    }
    status
}

/// Why a ReplicaSet cannot have the pods it wants, the new one's reason first.
fn failure_of(all: &[Arc<ReplicaSet>], new: Option<&Arc<ReplicaSet>>) -> Option<DeploymentCondition> {
    let failure = new.into_iter().chain(all).find_map(|set| {
        let conditions = set.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|condition| condition.type_.as_deref() == Some(REPLICA_FAILURE))
    })?;
    Some(DeploymentCondition {
        type_: failure.type_.clone(),
        status: failure.status.clone(),
        reason: failure.reason.clone(),
        message: failure.message.clone(),
        last_transition_time: failure.last_transition_time.clone(),
        last_update_time: failure.last_transition_time.clone(),
    })
}

/// The Progressing condition that pausing or resuming calls for, if it is not there yet.
pub fn pause_condition(deployment: &Deployment, now: Timestamp) -> Option<DeploymentCondition> {
    deadline(deployment)?;
    let reason = find(deployment.status.as_ref(), PROGRESSING).and_then(|current| current.reason.as_deref());
    let noted = reason == Some("DeploymentPaused");
    let paused = deployment.spec.paused == Some(true);
    if reason == Some(TIMED_OUT) || paused == noted {
        return None;
    }
    let (reason, message) = if paused {
        ("DeploymentPaused", "Deployment is paused")
    } else {
        ("DeploymentResumed", "Deployment is resumed")
    };
    Some(condition(PROGRESSING, "Unknown", reason, message.into(), now))
}

/// When the deadline should be looked at again, for a rollout that neither is done nor has timed out.
pub fn next_check(deployment: &Deployment, status: &DeploymentStatus) -> Option<Timestamp> {
    let current = find(Some(status), PROGRESSING)?;
    if is_complete(deployment, status) || current.reason.as_deref() == Some(TIMED_OUT) {
        return None;
    }
    // A second later than the deadline: times have whole seconds.
    overdue_at(deployment, current).map(|time| after(time, Duration::from_secs(1)))
}

/// Whether two statuses say the same; an unset count is 0.
pub fn same(old: Option<&DeploymentStatus>, new: &DeploymentStatus) -> bool {
    let counts = |status: &DeploymentStatus| {
        [
            status.replicas,
            status.updated_replicas,
            status.ready_replicas,
            status.available_replicas,
            status.unavailable_replicas,
            status.terminating_replicas,
            status.collision_count,
        ]
        .map(|count| count.unwrap_or(0))
    };
    old.is_some_and(|old| {
        counts(old) == counts(new)
            && old.observed_generation == new.observed_generation
            && old.conditions.iter().flatten().eq(new.conditions.iter().flatten())
    })
}
