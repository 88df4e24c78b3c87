//! CronJob.

use k8s_openapi::api::batch::v1::CronJob;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::max_length_message;
use machinery::schedule::Schedule;
use serde_json::Value;

use super::job;
use crate::registry::info::Column;
use crate::registry::shared::defaults::{set, text};
use crate::registry::shared::names;
use crate::registry::shared::printer::{
    AGE, CONTAINERS, IMAGES, NAME, SELECTOR, age, column, containers_and_images, name, or_none, since,
};
use crate::registry::shared::validate::{nonnegative, one_of};
use crate::registry::strategy::{Typed, parts};

/// A cron job's jobs have eleven characters more in their names.
const NAME_LENGTH_MAX: usize = 52;

/// CronJob's strategy.
pub static STRATEGY: Typed<CronJob> = Typed {
    generation: true,
    name: |name, prefix| {
        let mut complaints = names::subdomain(name, prefix);
        if complaints.is_empty() && name.len() > NAME_LENGTH_MAX {
            complaints.push(max_length_message(NAME_LENGTH_MAX));
        }
        complaints
    },
    defaults,
    validate,
    validate_update: |new, _| validate(new),
    columns: COLUMNS,
    cells,
    ..Typed::new(parts!(CronJob: spec; status))
};

fn defaults(cron_job: &mut CronJob) {
    let spec = &mut cron_job.spec;
    text(&mut spec.concurrency_policy, "Allow");
    set(&mut spec.suspend, false);
    set(&mut spec.successful_jobs_history_limit, 3);
    set(&mut spec.failed_jobs_history_limit, 1);
    spec.job_template.metadata.get_or_insert_default();
    job::template(spec.job_template.spec.get_or_insert_default());
}

fn validate(cron_job: &CronJob) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let spec = &cron_job.spec;
    match spec.schedule.as_str() {
        "" => errors.push(Error::required(&path.child("schedule"), "")),
        schedule => {
            let complaint = if schedule.contains("TZ") {
                Some("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_owned())
            } else {
                Schedule::parse(schedule).err()
            };
            errors.extend(complaint.map(|complaint| Error::invalid(&path.child("schedule"), schedule, complaint)));
        }
    }
    nonnegative(
        &mut errors,
        &path.child("startingDeadlineSeconds"),
        spec.starting_deadline_seconds.unwrap_or_default(),
    );
    if let Some(zone) = spec.time_zone.as_deref()
        && let Some(complaint) = zone_complaint(zone)
    {
        errors.push(Error::invalid(&path.child("timeZone"), zone, complaint));
    }
    let policies = ["Allow", "Forbid", "Replace"];
    one_of(&mut errors, &path.child("concurrencyPolicy"), spec.concurrency_policy.as_deref(), &policies);
    let template = path.child("jobTemplate");
    let job = spec.job_template.spec.clone().unwrap_or_default();
    if job.manual_selector == Some(true) {
        let at = template.child("spec.manualSelector");
        errors.push(Error::not_supported(&at, true, &["nil", "false"]));
    }
    job::validate_spec(&mut errors, &template.child("spec"), &job);
    for (field, limit) in [
        ("successfulJobsHistoryLimit", spec.successful_jobs_history_limit),
        ("failedJobsHistoryLimit", spec.failed_jobs_history_limit),
    ] {
        nonnegative(&mut errors, &path.child(field), limit.unwrap_or_default());
    }
    errors
}

/// What is wrong with a time zone (`validateTimeZone` in `pkg/apis/batch/validation`).
fn zone_complaint(zone: &str) -> Option<String> {
    match zone {
        "" => Some("timeZone must be nil or non-empty string".to_owned()),
        zone if zone.eq_ignore_ascii_case("local") => {
            Some("timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones".to_owned())
        }
        zone => machinery::zone::load(zone).is_none().then(|| format!("unknown time zone {zone}")),
    }
}

const COLUMNS: &[Column] = &[
    NAME,
    column("Schedule", "string", "When jobs are created."),
    column("Timezone", "string", "The time zone of the schedule."),
    column("Suspend", "boolean", "Whether no jobs are created for now."),
    column("Active", "integer", "Jobs that run."),
    column("Last Schedule", "string", "Time since a job was created."),
    AGE,
    CONTAINERS,
    IMAGES,
    SELECTOR,
];

fn cells(cron_job: &CronJob, now: Timestamp) -> Vec<Value> {
    let spec = &cron_job.spec;
    let status = cron_job.status.clone().unwrap_or_default();
    let job = spec.job_template.spec.as_ref();
    let [containers, images] = containers_and_images(job.map(|job| &job.template));
    let last = status.last_schedule_time.as_ref().map(|time| since(Some(time), now));
    vec![
        name(&cron_job.metadata),
        spec.schedule.clone().into(),
        or_none(spec.time_zone.as_deref()),
        if spec.suspend == Some(true) { "True" } else { "False" }.into(),
        status.active.map_or(0, |active| active.len()).into(),
        or_none(last.as_deref()),
        age(&cron_job.metadata, now),
        containers,
        images,
        job::selector_cell(job.and_then(|job| job.selector.as_ref())),
    ]
}
