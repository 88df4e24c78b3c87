//! CronJob.

use k8s_openapi::api::batch::v1::CronJob;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::max_length_message;
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
            if let Some(complaint) = schedule_complaint(schedule) {
                errors.push(Error::invalid(&path.child("schedule"), schedule, complaint));
            }
        }
    }
    nonnegative(
        &mut errors,
        &path.child("startingDeadlineSeconds"),
        spec.starting_deadline_seconds.unwrap_or_default(),
    );
    if spec.time_zone.as_deref() == Some("") {
        errors.push(Error::invalid(&path.child("timeZone"), "", "timeZone must be nil or non-empty string"));
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

/// Ranges of the five fields: minute, hour, day of month, month, day of week.
const FIELDS: [(u32, u32); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)];
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// What is wrong with a schedule, in the words of upstream's cron parser.
fn schedule_complaint(schedule: &str) -> Option<String> {
    if let Some(descriptor) = schedule.strip_prefix('@') {
        let known = ["yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly"];
        let right = known.contains(&descriptor) || descriptor.starts_with("every ");
        return (!right).then(|| format!("unrecognized descriptor: {schedule}"));
    }
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Some(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    let parts = fields.iter().zip(FIELDS).enumerate();
    parts.flat_map(|(index, (field, range))| field.split(',').map(move |part| (index, part, range))).find_map(
        |(index, part, range)| {
            let names: &[&str] = match index {
                3 => &MONTHS,
                4 => &DAYS,
                _ => &[],
            };
            part_complaint(part, names, range)
        },
    )
}

/// One range of a field: `*`, `5`, `1-5`, `*/15`, `mon-fri`.
fn part_complaint(part: &str, names: &[&str], (low, high): (u32, u32)) -> Option<String> {
    let value = |text: &str| -> Result<u32, String> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        match named.and_then(|index| u32::try_from(index).ok()) {
            Some(index) => Ok(index + low),
            None => text.parse().map_err(|_| {
                format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
            }),
        }
    };
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    if let Some(step) = step {
        match value(step) {
            Err(error) => return Some(error),
            Ok(0) => return Some(format!("step of range should be a positive number: {part}")),
            Ok(_) => {}
        }
    }
    if matches!(range, "*" | "?") {
        return None;
    }
    let (start, end) = range.split_once('-').unwrap_or((range, range));
    let (start, end) = match (value(start), value(end)) {
        (Ok(start), Ok(end)) => (start, end),
        (Err(error), _) | (_, Err(error)) => return Some(error),
    };
    if start < low {
        return Some(format!("beginning of range ({start}) below minimum ({low}): {part}"));
    }
    if end > high {
        return Some(format!("end of range ({end}) above maximum ({high}): {part}"));
    }
    (start > end).then(|| format!("beginning of range ({start}) beyond end of range ({end}): {part}"))
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
