//! The kinds of `batch`.

use k8s_openapi::api::batch::v1::{CronJob, Job};

use super::info::{ResourceInfo, STATUS};
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("batch", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo {
        short_names: &["cj"],
        categories: &["all"],
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "cronjobs", "CronJob", "/registry/cronjobs", &CRON_JOB)
    },
    ResourceInfo {
        categories: &["all"],
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "jobs", "Job", "/registry/jobs", &JOB)
    },
];

static CRON_JOB: Typed<CronJob> = Typed { generation: true, ..Typed::new(parts!(CronJob: spec; status)) };
static JOB: Typed<Job> = Typed { generation: true, ..Typed::new(parts!(Job: spec; status)) };
