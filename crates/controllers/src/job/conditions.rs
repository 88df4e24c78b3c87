//! A Job's conditions: what was decided, and how it ended.

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus};
use machinery::Timestamp;
use machinery::time::meta_time;

/// Whether the Job has come to its end, and how does not matter.
pub fn is_finished(job: &Job) -> bool {
    finished_at(job).is_some()
}

/// When the Job came to its end.
pub fn finished_at(job: &Job) -> Option<Timestamp> {
    let conditions = job.status.as_ref()?.conditions.as_deref().unwrap_or_default();
    let last = conditions
        .iter()
        .find(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True")?;
    Some(last.last_transition_time.as_ref().map_or(Timestamp::MIN, |time| time.0))
}

/// Condition, reason and message of the Job's end: what an earlier sync has decided stands; else what
/// `decide` says.
pub fn verdict(
    status: &JobStatus,
    decide: impl FnOnce() -> Option<(&'static str, &'static str, String)>,
) -> Option<(&'static str, String, String)> {
    for kind in ["FailureTarget", "SuccessCriteriaMet"] {
        let decided = status.conditions.iter().flatten().find(|condition| condition.type_ == kind);
        if let Some(decided) = decided.filter(|condition| condition.status == "True") {
            return Some((
                kind,
                decided.reason.clone().unwrap_or_default(),
                decided.message.clone().unwrap_or_default(),
            ));
        }
    }
    decide().map(|(kind, reason, message)| (kind, reason.to_owned(), message))
}

/// Sets a condition, unless it has this status already.
pub fn set_condition(status: &mut JobStatus, kind: &str, is: bool, reason: &str, message: &str, now: Timestamp) {
    let conditions = status.conditions.get_or_insert_default();
    let value = if is { "True" } else { "False" };
    if conditions.iter().any(|condition| condition.type_ == kind && condition.status == value) {
        return;
    }
    conditions.retain(|condition| condition.type_ != kind);
    conditions.push(JobCondition {
        type_: kind.into(),
        status: value.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_probe_time: Some(meta_time(now)),
        last_transition_time: Some(meta_time(now)),
    });
}
