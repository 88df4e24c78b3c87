//! Job.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::labels::{Selector, format_label_selector, validate_label_selector};
use machinery::time::human_duration;
use serde_json::Value;

use crate::registry::core::pod;
use crate::registry::info::Column;
use crate::registry::shared::defaults::{set, text};
use crate::registry::shared::meta::immutable;
use crate::registry::shared::printer::{
    AGE, CONTAINERS, IMAGES, NAME, SELECTOR, age, column, containers_and_images, name,
};
use crate::registry::shared::validate::{nonnegative, optional_one_of, shown};
use crate::registry::strategy::{Field, Propagation, Typed, parts};

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";

/// Job's strategy.
pub static STRATEGY: Typed<Job> = Typed {
    generation: true,
    defaults,
    prepare_for_create,
    validate,
    validate_update,
    fields: &[Field {
        name: "status.successful",
        get: |job| job.status.as_ref().and_then(|status| status.succeeded).unwrap_or_default().to_string(),
    }],
    columns: COLUMNS,
    cells,
    propagation: Propagation::Orphan,
    ..Typed::new(parts!(Job: spec; status))
};

fn defaults(job: &mut Job) {
    let spec = job.spec.get_or_insert_default();
    if spec.completions.is_none() && spec.parallelism.is_none() {
        spec.completions = Some(1);
    }
    set(&mut spec.parallelism, 1);
    let limit = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { 6 };
    set(&mut spec.backoff_limit, limit);
    set(&mut spec.completion_mode, "NonIndexed".into());
    set(&mut spec.suspend, false);
    set(&mut spec.manual_selector, false);
    let replacement = if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
    set(&mut spec.pod_replacement_policy, replacement.into());
    self::template(spec);
    let labels = spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
    if job.metadata.labels.as_ref().is_none_or(BTreeMap::is_empty) {
        job.metadata.labels = labels.filter(|labels| !labels.is_empty());
    }
}

/// Sets the defaults of what is inside a job; those of a CronJob have no others.
pub fn template(spec: &mut JobSpec) {
    pod::defaults::pod_template(&mut spec.template);
    for rule in spec.pod_failure_policy.iter_mut().flat_map(|policy| policy.rules.iter_mut()) {
        for condition in rule.on_pod_conditions.iter_mut().flatten() {
            text(&mut condition.status, "True");
        }
    }
}

/// Unless its author does so, a job's pods are told by the job's uid.
fn prepare_for_create(job: &mut Job) {
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let name = job.metadata.name.clone().unwrap_or_default();
    let spec = job.spec.get_or_insert_default();
    if spec.manual_selector == Some(true) {
        return;
    }
    let labels = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
    for (key, value) in
        [("controller-uid", &uid), (CONTROLLER_UID, &uid), ("job-name", &name), ("batch.kubernetes.io/job-name", &name)]
    {
        labels.entry(key.into()).or_insert_with(|| value.clone());
    }
    let selector = spec.selector.get_or_insert_default().match_labels.get_or_insert_default();
    selector.entry(CONTROLLER_UID.into()).or_insert(uid);
}

fn validate(job: &Job) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = job.spec.clone().unwrap_or_default();
    validate_spec(&mut errors, &path, &spec);
    let at = path.child("selector");
    match &spec.selector {
        None => errors.push(Error::required(&at, "")),
        Some(selector) => {
            errors.extend(validate_label_selector(Some(selector), &at));
            let labels = spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
            let matches = Selector::from_label_selector(Some(selector)).is_ok_and(|it| it.matches(labels));
            if !matches {
                let detail = "`selector` does not match template `labels`";
                errors.push(Error::invalid(&path.child("template.metadata.labels"), shown(&labels), detail));
            }
        }
    }
    errors
}

/// What is wrong with the spec of a job, or of the jobs of a CronJob.
pub fn validate_spec(errors: &mut ErrorList, path: &Path<'_>, spec: &JobSpec) {
    for (field, value) in [
        ("parallelism", spec.parallelism.map(i64::from)),
        ("completions", spec.completions.map(i64::from)),
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("backoffLimit", spec.backoff_limit.map(i64::from)),
        ("ttlSecondsAfterFinished", spec.ttl_seconds_after_finished.map(i64::from)),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.map(i64::from)),
        ("maxFailedIndexes", spec.max_failed_indexes.map(i64::from)),
    ] {
        nonnegative(errors, &path.child(field), value.unwrap_or_default());
    }
    let mode = spec.completion_mode.as_deref();
    optional_one_of(errors, &path.child("completionMode"), mode, &["NonIndexed", "Indexed"]);
    if mode == Some("Indexed") && spec.completions.is_none() {
        errors.push(Error::required(&path.child("completions"), "when completion mode is Indexed"));
    }
    let template = path.child("template");
    errors.extend(pod::validation::template(&template, &spec.template));
    let policy = spec.template.spec.as_ref().and_then(|pod| pod.restart_policy.as_deref()).unwrap_or_default();
    let at = template.child("spec.restartPolicy");
    match policy {
        "" | "Always" => errors.push(Error::required(&at, "valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" | "Never" => {}
        other => errors.push(Error::not_supported(&at, other, &["OnFailure", "Never"])),
    }
}

/// A job that runs keeps what it runs.
fn validate_update(new: &Job, old: &Job) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = validate(new);
    let (new, old) = (new.spec.clone().unwrap_or_default(), old.spec.clone().unwrap_or_default());
    let indexed = old.completion_mode.as_deref() == Some("Indexed");
    if !(indexed && new.completions == new.parallelism) {
        errors.extend(immutable(&new.completions, &old.completions, &path.child("completions")));
    }
    errors.extend(immutable(&new.selector, &old.selector, &path.child("selector")));
    if old.suspend != Some(true) {
        errors.extend(immutable(&new.template, &old.template, &path.child("template")));
    }
    errors.extend(immutable(&new.completion_mode, &old.completion_mode, &path.child("completionMode")));
    errors.extend(immutable(&new.pod_failure_policy, &old.pod_failure_policy, &path.child("podFailurePolicy")));
    errors.extend(immutable(
        &new.backoff_limit_per_index,
        &old.backoff_limit_per_index,
        &path.child("backoffLimitPerIndex"),
    ));
    errors.extend(immutable(&new.managed_by, &old.managed_by, &path.child("managedBy")));
    errors.extend(immutable(&new.success_policy, &old.success_policy, &path.child("successPolicy")));
    errors
}

const COLUMNS: &[Column] = &[
    NAME,
    column("Status", "string", "What the job is doing, summed up."),
    column("Completions", "string", "Pods that succeeded, of those wanted."),
    column("Duration", "string", "How long the job ran."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

fn cells(job: &Job, now: Timestamp) -> Vec<Value> {
    let spec = job.spec.clone().unwrap_or_default();
    let status = job.status.clone().unwrap_or_default();
    let succeeded = status.succeeded.unwrap_or_default();
    let completions = match (spec.completions, spec.parallelism.unwrap_or_default()) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism @ 2..) => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    };
    let duration = status.start_time.as_ref().map(|start| {
        let end = status.completion_time.as_ref().map_or(now, |end| end.0);
        human_duration(end.duration_since(start.0).as_secs())
    });
    let [containers, images] = containers_and_images(Some(&spec.template));
    vec![
        name(&job.metadata),
        summary(job).into(),
        completions.into(),
        duration.unwrap_or_default().into(),
        age(&job.metadata, now),
        containers,
        images,
        selector_cell(spec.selector.as_ref()),
    ]
}

/// A selector that may be absent.
pub fn selector_cell(selector: Option<&LabelSelector>) -> Value {
    format_label_selector(selector).into()
}

fn summary(job: &Job) -> &'static str {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let is = |kind: &str| conditions.iter().any(|condition| condition.type_ == kind && condition.status == "True");
    match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if job.metadata.deletion_timestamp.is_some() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}
