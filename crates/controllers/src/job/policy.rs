//! When a Job is done, one way or the other (`pod_failure_policy.go`, `success_policy.go`).

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::batch::v1::{JobSpec, PodFailurePolicyRule};
use k8s_openapi::api::core::v1::Pod;

use super::indexes;
use super::pod::failure_counts;
use crate::pods;

/// How often a Job may fail that does not say.
const BACKOFF_LIMIT: i32 = 6;

/// What a pod's failure means for its Job.
#[derive(Debug, PartialEq)]
pub enum Failure {
    /// It counts towards the backoff limit.
    Counts,
    /// It does not count.
    Ignored,
    /// It fails the pod's index.
    FailsIndex,
    /// It fails the Job, for this reason.
    FailsJob(String),
}

/// What the Job's pod failure policy says of a failed pod; the first rule that matches decides.
pub fn of_failed_pod(spec: &JobSpec, pod: &Pod) -> Failure {
    let rules = spec.pod_failure_policy.as_ref().map(|policy| policy.rules.as_slice()).unwrap_or_default();
    for (index, rule) in rules.iter().enumerate() {
        let Some(why) = by_exit_code(rule, pod).or_else(|| by_condition(rule, pod)) else { continue };
        return match rule.action.as_str() {
            "Ignore" => Failure::Ignored,
            "FailIndex" if spec.backoff_limit_per_index.is_some() => Failure::FailsIndex,
            "FailJob" => Failure::FailsJob(format!("{why} matching FailJob rule at index {index}")),
            _ => Failure::Counts,
        };
    }
    Failure::Counts
}

fn by_exit_code(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    let wanted = rule.on_exit_codes.as_ref()?;
    let status = pod.status.as_ref()?;
    let statuses = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    for container in statuses {
        if wanted.container_name.as_ref().is_some_and(|name| *name != container.name) {
            continue;
        }
        let Some(code) = container.state.as_ref().and_then(|state| Some(state.terminated.as_ref()?.exit_code)) else {
            continue;
        };
        let listed = wanted.values.contains(&code);
        if code != 0 && listed == (wanted.operator == "In") {
            let (namespace, name) = (pods::namespace(pod), pods::name(pod));
            return Some(format!(
                "Container {} for pod {namespace}/{name} failed with exit code {code}",
                container.name
            ));
        }
    }
    None
}

fn by_condition(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    let patterns = rule.on_pod_conditions.as_ref()?;
    let found = patterns.iter().find(|pattern| {
        pods::condition(pod, &pattern.type_)
            .is_some_and(|condition| condition.status == pattern.status.as_deref().unwrap_or("True"))
    })?;
    Some(format!("Pod {}/{} has condition {}", pods::namespace(pod), pods::name(pod), found.type_))
}

/// How often an index has failed once this failed pod of it counts, and how often without that it counted.
pub fn counts_after(spec: &JobSpec, pod: &Pod) -> [i32; 2] {
    let [counted, ignored] = failure_counts(pod);
    match of_failed_pod(spec, pod) {
        Failure::Ignored => [counted, ignored.saturating_add(1)],
        _ => [counted.saturating_add(1), ignored],
    }
}

/// Whether a failed pod's index has failed for good (upstream's `isIndexFailed`).
pub fn fails_index(spec: &JobSpec, pod: &Pod) -> bool {
    let limit = spec.backoff_limit_per_index.unwrap_or(i32::MAX);
    match of_failed_pod(spec, pod) {
        Failure::FailsIndex => true,
        Failure::Ignored => false,
        _ => failure_counts(pod)[0] >= limit,
    }
}

/// Why a Job that counts failures by index has failed, given how many indexes have, and are done.
pub fn indexes_failure(spec: &JobSpec, failed: usize, done: usize) -> Option<(&'static str, String)> {
    let limit = spec.max_failed_indexes.and_then(|limit| usize::try_from(limit).ok());
    if limit.is_some_and(|limit| failed > limit) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(("MaxFailedIndexesExceeded", message.into()));
    }
    let all = usize::try_from(spec.completions.unwrap_or(0)).unwrap_or(0);
    (failed > 0 && failed + done >= all).then(|| ("FailedIndexes", "Job has failed indexes".into()))
}

/// Whether containers of pods that go on (`restartPolicy: OnFailure`) were restarted as often as the Job may fail:
/// upstream's `pastBackoffLimitOnFailure`.
fn restarted_too_often(spec: &JobSpec, active: &[Arc<Pod>]) -> bool {
    let policy = spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref());
    if policy != Some("OnFailure") {
        return false;
    }
    let statuses = active.iter().filter_map(|pod| pod.status.as_ref());
    let containers = statuses.flat_map(|status| [&status.init_container_statuses, &status.container_statuses]);
    let counts = containers.flatten().flatten().map(|container| container.restart_count);
    let restarts = counts.fold(0, i32::saturating_add);
    restarts >= spec.backoff_limit.unwrap_or(BACKOFF_LIMIT).max(1)
}

/// Why the Job has failed, as reason and message, given its failed pods, those that go on, and when its time is up.
pub fn job_failure(
    spec: &JobSpec,
    failed: i32,
    failed_pods: &[&Pod],
    active: &[Arc<Pod>],
    overdue: bool,
) -> Option<(&'static str, String)> {
    for pod in failed_pods {
        if let Failure::FailsJob(message) = of_failed_pod(spec, pod) {
            return Some(("PodFailurePolicy", message));
        }
    }
    if failed > spec.backoff_limit.unwrap_or(BACKOFF_LIMIT) || restarted_too_often(spec, active) {
        return Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit".into()));
    }
    overdue.then(|| ("DeadlineExceeded", "Job was active longer than specified deadline".into()))
}

/// Why the Job has succeeded, as reason and message.
pub fn job_success(
    spec: &JobSpec,
    succeeded: i32,
    indexes_done: &BTreeSet<i32>,
    active: usize,
) -> Option<(&'static str, String)> {
    let rules = spec.success_policy.as_ref().map(|policy| policy.rules.as_slice()).unwrap_or_default();
    for (index, rule) in rules.iter().enumerate() {
        let completions = spec.completions.unwrap_or(0);
        let wanted = rule.succeeded_indexes.as_ref().map(|text| indexes::parse(text, completions));
        let done = match &wanted {
            Some(wanted) => wanted.intersection(indexes_done).count(),
            None => indexes_done.len(),
        };
        let enough = rule.succeeded_count.and_then(|count| usize::try_from(count).ok());
        if done >= enough.or(wanted.map(|wanted| wanted.len())).unwrap_or(usize::MAX) {
            return Some(("SuccessPolicy", format!("Matched rules at index {index}")));
        }
    }
    let complete = match spec.completions {
        Some(completions) => succeeded >= completions,
        None => succeeded > 0 && active == 0,
    };
    complete.then(|| ("CompletionsReached", "Reached expected number of succeeded pods".into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_rule_that_matches_decides() {
        let spec: JobSpec = serde_json::from_value(json!({
            "template": {},
            "podFailurePolicy": { "rules": [
                { "action": "Ignore", "onPodConditions": [{ "type": "DisruptionTarget" }] },
                { "action": "FailJob", "onExitCodes": { "operator": "In", "values": [42] } },
            ] },
        }))
        .unwrap();
        let pod = |code: i32, disrupted: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": { "name": "p", "namespace": "n" },
                "status": {
                    "conditions": [{ "type": "DisruptionTarget", "status": disrupted }],
                    "containerStatuses": [{
                        "name": "c", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                        "state": { "terminated": { "exitCode": code } },
                    }],
                },
            }))
            .unwrap()
        };
        assert_eq!(of_failed_pod(&spec, &pod(1, "False")), Failure::Counts);
        assert_eq!(of_failed_pod(&spec, &pod(42, "True")), Failure::Ignored);
        let message = "Container c for pod n/p failed with exit code 42 matching FailJob rule at index 1";
        assert_eq!(of_failed_pod(&spec, &pod(42, "False")), Failure::FailsJob(message.into()));
    }
}
