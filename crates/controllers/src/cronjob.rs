//! CronJobs: makes a Job whenever the schedule says so (`pkg/controller/cronjob`).

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{
    Client, Context, DeleteOptions, Event, EventRecorder, EventType, Informer, Propagation, creation_time, key_of,
    reference_to,
};
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::{CronJob, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::schedule::Schedule;
use machinery::sort::Order;
use machinery::status::ApiError;
use machinery::time::{format_seconds, meta_time};
use machinery::{ObjectKey, Timestamp, zone};

use crate::Setup;
use crate::claim::controller_reference;
use crate::controller::{Controller, Queue};
use crate::job::conditions::is_finished;
use crate::pods::{self, BY_CONTROLLER};

/// The time a Job was due.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// More starts missed than this are a clock gone wrong, or a schedule too tight.
const MISSED_MAX: usize = 100;

/// The controller of CronJobs.
pub struct CronJobController {
    client: Client,
    recorder: EventRecorder,
    cron_jobs: Informer<CronJob>,
    jobs: Informer<Job>,
}

impl CronJobController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "cronjob-controller", ""),
            cron_jobs: setup.informers.informer(),
            jobs: setup.informers.informer().indexed(BY_CONTROLLER, pods::controller_uid),
        }
    }

    fn delete(&mut self, cron_job: &CronJob, job: &Job, now: Timestamp) -> Result<(), ApiError> {
        let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        let name = pods::name(job);
        match self.client.delete::<Job>(&key_of(job), &options) {
            Err(error) if !error.is_not_found() => {
                let message = format!("Deleted job: {error}");
                self.recorder.event(now, cron_job, EventType::Warning, "FailedDelete", &message);
                Err(error)
            }
            _ => {
                self.recorder.event(
                    now,
                    cron_job,
                    EventType::Normal,
                    "SuccessfulDelete",
                    &format!("Deleted job {name}"),
                );
                Ok(())
            }
        }
    }

    /// Deletes a Job that the status lists as active, also one that the cache has not yet.
    fn delete_active(
        &mut self,
        cron_job: &CronJob,
        reference: &ObjectReference,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let key = ObjectKey::new(pods::namespace(cron_job), reference.name.as_deref().unwrap_or_default());
        let is_listed = |job: &Arc<Job>| job.metadata.uid == reference.uid;
        let job = match self.jobs.get(&key).filter(is_listed).map_or_else(|| self.client.get(&key), Ok) {
            Ok(job) => job,
            Err(error) => {
                let message = format!("Get job: {error}");
                self.recorder.event(now, cron_job, EventType::Warning, "FailedGet", &message);
                return Err(error);
            }
        };
        // Another Job of the name is not the one that was started.
        if is_listed(&job) { self.delete(cron_job, &job, now) } else { Ok(()) }
    }

    /// Deletes the oldest finished Jobs beyond the history's limits.
    fn clean_up(&mut self, cron_job: &CronJob, jobs: &[Arc<Job>], now: Timestamp) -> Result<(), ApiError> {
        let spec = &cron_job.spec;
        let limits = [
            (true, spec.successful_jobs_history_limit.unwrap_or(3)),
            (false, spec.failed_jobs_history_limit.unwrap_or(1)),
        ];
        for (succeeded, limit) in limits {
            let mut finished: Vec<_> =
                jobs.iter().filter(|job| is_finished(job) && has_succeeded(job) == succeeded).collect();
            finished.order_by_key(|job| (creation_time(&***job), key_of(&***job)));
            let surplus = finished.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
            for job in finished.iter().take(surplus) {
                self.delete(cron_job, job, now)?;
            }
        }
        Ok(())
    }

    /// Notes which Jobs have finished, and tells of those that it did not start. Where the cache seems to be behind,
    /// CronJob and status become the newest.
    ///
    /// # Errors
    /// What kept it from asking for the newest state.
    fn update_active(
        &mut self,
        cron_job: &mut Arc<CronJob>,
        jobs: &[Arc<Job>],
        status: &mut CronJobStatus,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let lists = |status: &CronJobStatus, job: &Job| {
            status.active.iter().flatten().any(|reference| reference.uid == job.metadata.uid)
        };
        // The cache may be behind what this controller wrote.
        if jobs.iter().any(|job| !is_finished(job) && !lists(status, job)) {
            let fresh = self.client.get::<CronJob>(&key_of(&**cron_job))?;
            if fresh.metadata.uid == cron_job.metadata.uid {
                *status = fresh.status.clone().unwrap_or_default();
                *cron_job = fresh;
            }
        }
        let cron_job = &**cron_job;
        for job in jobs {
            let (listed, name) = (lists(status, job), pods::name(&**job));
            if !is_finished(job) && !listed {
                let message = format!("Saw a job that the controller did not create or forgot: {name}");
                self.recorder.event(now, cron_job, EventType::Warning, "UnexpectedJob", &message);
            } else if is_finished(job) {
                if let Some(active) = status.active.as_mut().filter(|_| listed) {
                    active.retain(|reference| reference.uid != job.metadata.uid);
                    let how = if has_succeeded(job) { "Complete" } else { "Failed" };
                    let message = format!("Saw completed job: {name}, condition: {how}");
                    self.recorder.event(now, cron_job, EventType::Normal, "SawCompletedJob", &message);
                }
                let completed = job.status.as_ref().and_then(|status| status.completion_time.clone());
                if let Some(completed) = completed.filter(|_| has_succeeded(job)) {
                    let last = status.last_successful_time.get_or_insert_with(|| completed.clone());
                    *last = completed.max(last.clone());
                }
            }
        }
        let missing = |reference: &ObjectReference| !jobs.iter().any(|job| job.metadata.uid == reference.uid);
        let missing: Vec<_> = status.active.iter().flatten().filter(|it| missing(it)).cloned().collect();
        for reference in missing {
            let name = reference.name.as_deref().unwrap_or_default();
            match self.client.get::<Job>(&ObjectKey::new(pods::namespace(cron_job), name)) {
                // It is there; the watch will bring it.
                Ok(_) => continue,
                Err(error) if !error.is_not_found() => return Err(error),
                Err(_) => {}
            }
            let message = format!("Active job went missing: {name}");
            self.recorder.event(now, cron_job, EventType::Normal, "MissingJob", &message);
            if let Some(active) = &mut status.active {
                active.retain(|known| known.uid != reference.uid);
            }
        }
        Ok(())
    }

    /// Starts the Job that is due, if one is, as the concurrency policy has it.
    fn start_due(
        &mut self,
        cron_job: &CronJob,
        status: &mut CronJobStatus,
        (schedule, zone): (&Schedule, &TimeZone),
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let spec = &cron_job.spec;
        let Some((due, missed)) = most_recent(cron_job, status, (schedule, zone), now) else { return Ok(()) };
        if missed > MISSED_MAX {
            let message =
                "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
            self.recorder.event(now, cron_job, EventType::Warning, "TooManyMissedTimes", message);
        }
        let late = |deadline: i64| now.duration_since(due).as_secs() > deadline;
        if spec.starting_deadline_seconds.is_some_and(late) {
            let due = due.strftime("%a, %d %b %Y %H:%M:%S +0000");
            let message = format!("Missed scheduled time to start a job: {due}");
            self.recorder.event(now, cron_job, EventType::Warning, "MissSchedule", &message);
            return Ok(());
        }
        let active = status.active.get_or_insert_default();
        let name = job_name(cron_job, due);
        let started = active.iter().any(|reference| reference.name.as_ref() == Some(&name));
        if started || status.last_schedule_time.as_ref().is_some_and(|last| last.0 == due) {
            return Ok(());
        }
        match spec.concurrency_policy.as_deref() {
            Some("Forbid") if !active.is_empty() => {
                let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
                self.recorder.event(now, cron_job, EventType::Normal, "JobAlreadyActive", message);
                return Ok(());
            }
            // Those that it started; one that somebody else made runs on.
            Some("Replace") => {
                while let Some(reference) = active.first() {
                    self.delete_active(cron_job, reference, now)?;
                    active.remove(0);
                }
            }
            _ => {}
        }
        let created = match self.client.create(job_for(cron_job, due, zone)) {
            Ok(job) => {
                let message = format!("Created job {}", pods::name(&*job));
                self.recorder.event(now, cron_job, EventType::Normal, "SuccessfulCreate", &message);
                job
            }
            // Made before this controller was stopped, and not noted; or another's.
            Err(error) if error.is_already_exists() => {
                let job = self.client.get::<Job>(&ObjectKey::new(pods::namespace(cron_job), name.as_str()))?;
                let own = pods::controller_of(&job.metadata).is_some_and(|owner| owner.uid == pods::uid(cron_job));
                if !own {
                    return Ok(());
                }
                job
            }
            Err(error) if error.has_cause("NamespaceTerminating") => return Ok(()),
            Err(error) => {
                self.recorder.event(
                    now,
                    cron_job,
                    EventType::Warning,
                    "FailedCreate",
                    &format!("Error creating job: {error}"),
                );
                return Err(error);
            }
        };
        // Also one that has finished meanwhile, which is told of like any other.
        status.active.get_or_insert_default().push(reference_to(&*created));
        status.last_schedule_time = Some(meta_time(due));
        Ok(())
    }
}

impl Controller for CronJobController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.cron_jobs.poll(cx) {
            if !matches!(&event, Event::Updated { old, new } if pods::same_revision(&**old, &**new)) {
                queue.add_for(key_of(&**event.object()), &**event.object());
            }
        }
        for event in self.jobs.poll(cx) {
            let job = event.object();
            if let Some(owner) = pods::controller_of(&job.metadata).filter(|owner| owner.kind == "CronJob") {
                queue.add_for(ObjectKey::new(pods::namespace(&**job), owner.name.as_str()), &**job);
            }
        }
    }

    fn synced(&self) -> bool {
        self.cron_jobs.synced() && self.jobs.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let now = queue.now();
        let Some(mut cron_job) = self.cron_jobs.get(key) else { return Ok(()) };
        let jobs = self.jobs.by_index(BY_CONTROLLER, pods::uid(&*cron_job));
        let mut status = cron_job.status.clone().unwrap_or_default();
        self.update_active(&mut cron_job, &jobs, &mut status, now)?;
        self.clean_up(&cron_job, &jobs, now)?;

        let zone_name = cron_job.spec.time_zone.as_deref().unwrap_or("UTC");
        let found = zone::load(zone_name);
        let zone = found.clone().unwrap_or(TimeZone::UTC);
        let schedule = match Schedule::parse(&cron_job.spec.schedule) {
            Ok(schedule) if found.is_some() => Some(schedule),
            Ok(_) => {
                let message = format!("invalid timeZone: {zone_name:?}: unknown time zone {zone_name}");
                self.recorder.event(now, &*cron_job, EventType::Warning, "UnknownTimeZone", &message);
                None
            }
            Err(problem) => {
                let message = format!("unparseable schedule: {} : {problem}", cron_job.spec.schedule);
                self.recorder.event(now, &*cron_job, EventType::Warning, "UnparseableSchedule", &message);
                None
            }
        };
        let mut result = Ok(());
        if let Some(schedule) =
            schedule.filter(|_| cron_job.spec.suspend != Some(true) && !pods::is_deleting(&*cron_job))
        {
            result = self.start_due(&cron_job, &mut status, (&schedule, &zone), now);
            let base = most_recent_base(&cron_job, &status, now);
            let next = match schedule {
                // Counted from the last start; otherwise by the clock alone.
                Schedule::Every(_) => {
                    schedule.next(base, &zone).filter(|next| *next > now).or_else(|| schedule.next(now, &zone))
                }
                Schedule::Fields(_) => schedule.next(now, &zone),
            };
            if let Some(next) = next {
                queue.add_at(key.clone(), next);
            }
        }
        status.active = status.active.filter(|active| !active.is_empty());
        if cron_job.status.clone().unwrap_or_default() != status {
            self.client.update_status(CronJob { status: Some(status), ..(*cron_job).clone() })?;
        }
        result
    }
}

fn has_succeeded(job: &Job) -> bool {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Complete" && condition.status == "True")
}

/// From when on starts may have been missed.
fn most_recent_base(cron_job: &CronJob, status: &CronJobStatus, now: Timestamp) -> Timestamp {
    let last = status.last_schedule_time.as_ref().map(|time| time.0);
    last.or_else(|| creation_time(cron_job)).unwrap_or(now)
}

/// The latest time that has come since the last start, and how many there were.
fn most_recent(
    cron_job: &CronJob,
    status: &CronJobStatus,
    (schedule, zone): (&Schedule, &TimeZone),
    now: Timestamp,
) -> Option<(Timestamp, usize)> {
    let mut time = most_recent_base(cron_job, status, now);
    if let Some(deadline) = cron_job.spec.starting_deadline_seconds {
        time = time.max(now.checked_sub(jiff::SignedDuration::from_secs(deadline)).unwrap_or(time));
    }
    let (mut latest, mut count) = (None, 0);
    while let Some(next) = schedule.next(time, zone).filter(|next| *next <= now) {
        (latest, count, time) = (Some(next), count + 1, next);
        if count > MISSED_MAX {
            // Too many to walk through: what is due is found from shortly before now.
            let near = now.checked_sub(jiff::SignedDuration::from_hours(24)).unwrap_or(time);
            time = time.max(near);
        }
    }
    latest.map(|latest| (latest, count))
}

/// The name of the Job for one time. It holds the time in minutes, so that the Job is made once.
fn job_name(cron_job: &CronJob, due: Timestamp) -> String {
    format!("{}-{}", pods::name(cron_job), due.as_second() / 60)
}

/// The Job for one time, which it says in the schedule's time zone.
fn job_for(cron_job: &CronJob, due: Timestamp, zone: &TimeZone) -> Job {
    let template = &cron_job.spec.job_template;
    let metadata = template.metadata.as_ref();
    let mut annotations: BTreeMap<_, _> =
        metadata.and_then(|metadata| metadata.annotations.clone()).unwrap_or_default();
    annotations.insert(SCHEDULED.into(), scheduled(due, zone));
    Job {
        metadata: ObjectMeta {
            name: Some(job_name(cron_job, due)),
            namespace: cron_job.metadata.namespace.clone(),
            labels: metadata.and_then(|metadata| metadata.labels.clone()),
            annotations: Some(annotations),
            owner_references: Some(vec![controller_reference(cron_job)]),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// A time in a zone as RFC 3339 has it; UTC is written `Z`.
fn scheduled(due: Timestamp, zone: &TimeZone) -> String {
    let there = due.to_zoned(zone.clone());
    if there.offset().is_zero() { format_seconds(due) } else { there.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string() }
}
