//! The kinds of `batch`.

mod cron_job;
mod job;

use super::info::{ResourceInfo, STATUS};

/// The group and version of these rows.
const V: (&str, &str) = ("batch", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo {
        short_names: &["cj"],
        categories: &["all"],
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "cronjobs", "CronJob", "/registry/cronjobs", &cron_job::STRATEGY)
    },
    ResourceInfo {
        categories: &["all"],
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "jobs", "Job", "/registry/jobs", &job::STRATEGY)
    },
];
