//! The kinds of `batch`.

pub(super) mod cron_job;
pub(super) mod job;

use super::info::{ResourceInfo, STATUS};
use super::rare::Rare;

/// The group and version of these rows.
const V: (&str, &str) = ("batch", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo {
        short_names: &["cj"],
        categories: &["all"],
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "cronjobs", "CronJob", "/registry/cronjobs", &Rare::CronJob)
    },
    ResourceInfo {
        categories: &["all"],
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "jobs", "Job", "/registry/jobs", &Rare::Job)
    },
];
