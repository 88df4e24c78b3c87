//! Jobs: runs pods until enough have succeeded (`pkg/controller/job`).
//!
//! A pod is counted exactly once, whatever is restarted when: it keeps a finalizer until its uid has
//! been written into the Job's `uncountedTerminatedPods`, and its uid leaves that list for the counters
//! once the finalizer is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Context, Event, EventRecorder, EventType, Expectations, Informer, Patch, WorkQueue, key_of};
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use machinery::labels::Selector;
use machinery::status::ApiError;
use machinery::time::{after, meta_time};
use machinery::{ObjectKey, Timestamp};
use serde_json::json;

pub mod conditions;
pub mod indexes;
pub mod pod;
pub mod policy;

use crate::claim::claim;
use crate::controller::{Controller, Queue};
use crate::pods::{self, BY_CONTROLLER, ORPHANS};
use crate::ranking::rank_for_deletion;
use crate::replicaset::number;
use crate::{Setup, pod_control};
use conditions::{is_finished, set_condition, verdict};
use pod::{CONTROLLER_UID, FINALIZER, Sorted, failures, finished_at, has_finalizer, index_of, pod_for, sort};

/// A sync creates or deletes at most so many pods.
const BURST: usize = 500;
/// Changes of pods are taken together for so long.
const POD_BATCH: Duration = Duration::from_millis(10);
/// First and longest wait after a pod failed.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));
/// After a sync that failed, a quota being full say (upstream `DefaultJobApiBackOff`, `MaxJobApiBackOff`).
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// The controller of Jobs.
pub struct JobController {
    client: Client,
    recorder: EventRecorder,
    jobs: Informer<Job>,
    pods: Informer<Pod>,
    expectations: Expectations,
    /// Failures since the last success, and when the last was.
    failures: BTreeMap<ObjectKey, (u32, Timestamp)>,
}

impl JobController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "job-controller", ""),
            jobs: setup.informers.informer(),
            pods: setup.dependents(),
            expectations: Expectations::default(),
            failures: BTreeMap::new(),
        }
    }

    fn job_of(&self, pod: &Pod) -> Option<ObjectKey> {
        let owner = pods::controller_of(&pod.metadata).filter(|owner| owner.kind == "Job")?;
        let key = ObjectKey::new(pods::namespace(pod), owner.name.as_str());
        self.jobs.get(&key).filter(|job| pods::uid(&**job) == owner.uid).map(|_| key)
    }

    /// A pod whose Job is gone is not waited for by anybody.
    fn release_orphan(&self, pod: &Pod) {
        let of_job = pods::controller_of(&pod.metadata).is_some_and(|owner| owner.kind == "Job");
        if of_job && has_finalizer(pod) && pods::is_deleting(pod) {
            // Tried again with the pod's next event.
            let _ = self.remove_finalizer(pod);
        }
    }

    fn remove_finalizer(&self, pod: &Pod) -> Result<(), ApiError> {
        let left: Vec<_> = pod.metadata.finalizers.iter().flatten().filter(|name| *name != FINALIZER).collect();
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": left, "uid": pods::uid(pod) } }));
        match self.client.patch::<Pod>(&key_of(pod), &patch) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    fn create_pods(
        &mut self,
        job: &Job,
        key: &ObjectKey,
        indexes: &[Option<i32>],
        replaced: &BTreeMap<i32, Arc<Pod>>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let by_index = job.spec.as_ref().filter(|spec| spec.backoff_limit_per_index.is_some());
        self.expectations.expect_creations(key, i64::try_from(indexes.len()).unwrap_or(i64::MAX), now);
        let (client, recorder) = (&self.client, &mut self.recorder);
        let mut next = indexes.iter();
        let (created, result) = pod_control::slow_start(indexes.len(), || match next.next() {
            Some(index) => {
                let failed = by_index.zip(*index).map(|(spec, index)| {
                    replaced.get(&index).map(|pod| policy::counts_after(spec, pod)).unwrap_or_default()
                });
                pod_control::create(client, recorder, now, job, pod_for(job, *index, failed)).map(drop)
            }
            None => Ok(()),
        });
        for _ in created..indexes.len() {
            self.expectations.creation_observed(key);
        }
        match result {
            Err(error) if error.has_cause("NamespaceTerminating") => Ok(()),
            other => other,
        }
    }

    /// Deletes pods; with `uncounted`, as if they had never been.
    fn delete_pods(&mut self, job: &Job, pods: &[Arc<Pod>], uncounted: bool, now: Timestamp) -> Result<(), ApiError> {
        for pod in pods {
            if uncounted && has_finalizer(pod) {
                self.remove_finalizer(pod)?;
            }
            match pod_control::delete(&self.client, &mut self.recorder, now, job, pod) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Creates or deletes pods so that as many are active as the Job can use now.
    fn manage(
        &mut self,
        job: &Job,
        spec: &JobSpec,
        sorted: &Sorted,
        (succeeded, done): (i32, &BTreeSet<i32>),
        (failed_indexes, replaced): (&BTreeSet<i32>, &BTreeMap<i32, Arc<Pod>>),
        queue: &mut Queue,
    ) -> Result<(), ApiError> {
        let (key, now) = (key_of(job), queue.now());
        let parallelism = spec.parallelism.unwrap_or(1);
        let wanted = match spec.completions {
            Some(completions) => parallelism.min(completions - succeeded - number(failed_indexes.len())),
            None if succeeded > 0 => number(sorted.active.len()),
            None => parallelism,
        };
        let wanted = usize::try_from(wanted).unwrap_or(0);
        let mut surplus = surplus(spec, &sorted.active, wanted, now);
        if !surplus.is_empty() {
            surplus.truncate(BURST);
            return self.delete_pods(job, &surplus, true, now);
        }
        let replaces_failed_only = spec.pod_replacement_policy.as_deref() == Some("Failed");
        let going = if replaces_failed_only { sorted.terminating.len() } else { 0 };
        let missing = wanted.saturating_sub(sorted.active.len() + going).min(BURST);
        if missing == 0 {
            return Ok(());
        }
        let by_index = spec.backoff_limit_per_index.is_some();
        if let Some((count, last)) = self.failures.get(&key).filter(|(count, _)| !by_index && *count > 0) {
            let due = after(*last, backoff(*count));
            if due > now {
                queue.add_at(key, due);
                return Ok(());
            }
        }
        let indexes: Vec<Option<i32>> = if is_indexed(spec) {
            let running = sorted.active.iter().chain(sorted.terminating.iter().filter(|_| replaces_failed_only));
            let taken: BTreeSet<i32> = running.filter_map(|pod| index_of(pod)).collect();
            let free = (0..spec.completions.unwrap_or(0))
                .filter(|index| !taken.contains(index) && !done.contains(index) && !failed_indexes.contains(index));
            // Each index waits for its own backoff.
            let mut due = Vec::new();
            for index in free {
                let resting = replaced
                    .get(&index)
                    .map(|pod| after(finished_at(pod), backoff(failures(pod).saturating_add(1).unsigned_abs())));
                match resting.filter(|time| *time > now) {
                    Some(time) => queue.add_at(key.clone(), time),
                    None => due.push(Some(index)),
                }
                if due.len() == missing {
                    break;
                }
            }
            due
        } else {
            vec![None; missing]
        };
        self.create_pods(job, &key, &indexes, replaced, now)
    }

    /// Counts what failed since the last success, and notes when to go slow after failures.
    fn note_failures(&mut self, key: &ObjectKey, sorted: &Sorted, known: &UncountedTerminatedPods) {
        let succeeded = sorted.succeeded.iter().filter(|pod| !lists(&known.succeeded, pod));
        let success = succeeded.map(|pod| finished_at(pod)).max();
        if success.is_some() {
            self.failures.remove(key);
        }
        let failed = sorted.failed.iter().filter(|pod| !lists(&known.failed, pod)).map(|pod| finished_at(pod));
        for time in failed.filter(|time| success.is_none_or(|success| *time > success)) {
            let (count, last) = self.failures.entry(key.clone()).or_insert((0, time));
            *count = count.saturating_add(1);
            *last = time.max(*last);
        }
    }

    fn write_status(&self, job: &Job, status: JobStatus) -> Result<(), ApiError> {
        if job.status.as_ref() == Some(&status) {
            return Ok(());
        }
        self.client.update_status(Job { status: Some(status), ..job.clone() }).map(drop)
    }

    fn sync_job(&mut self, job: &Job, spec: &JobSpec, pods: Vec<Arc<Pod>>, queue: &mut Queue) -> Result<(), ApiError> {
        let (key, now) = (key_of(job), queue.now());
        let mut status = job.status.clone().unwrap_or_default();
        let known = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let sorted = sort(spec, &pods);
        self.note_failures(&key, &sorted, &known);

        // Those whose finalizer is gone are counted for good; those that ended since are listed.
        let settled = |uids: &Option<Vec<String>>| -> usize {
            let waits = |uid: &String| pods.iter().any(|pod| pods::uid(&**pod) == uid && has_finalizer(pod));
            uids.iter().flatten().filter(|uid| !waits(uid)).count()
        };
        let counted = (
            status.succeeded.unwrap_or(0) + number(settled(&known.succeeded)),
            status.failed.unwrap_or(0) + number(settled(&known.failed)),
        );
        let completions = spec.completions.unwrap_or(0);
        let mut done = indexes::parse(status.completed_indexes.as_deref().unwrap_or_default(), completions);
        done.extend(sorted.succeeded.iter().filter_map(|pod| index_of(pod)).filter(|index| *index < completions));
        let succeeded = if is_indexed(spec) { number(done.len()) } else { counted.0 + number(sorted.succeeded.len()) };
        let mut counting: Vec<_> = sorted
            .failed
            .iter()
            .filter(|pod| policy::of_failed_pod(spec, pod) != policy::Failure::Ignored)
            .cloned()
            .collect();
        let failed = counted.1 + number(counting.len());

        let mut failed_indexes = BTreeSet::new();
        let mut awaiting = BTreeMap::new();
        if spec.backoff_limit_per_index.is_some() {
            failed_indexes = indexes::parse(status.failed_indexes.as_deref().unwrap_or_default(), completions);
            let failing = sorted.failed.iter().filter(|pod| policy::fails_index(spec, pod));
            failed_indexes.extend(failing.filter_map(|pod| index_of(pod)).filter(|index| *index < completions));
            failed_indexes.retain(|index| !done.contains(index));
            status.failed_indexes = Some(indexes::format(&failed_indexes));
            let settled = |index| index >= completions || done.contains(&index) || failed_indexes.contains(&index);
            awaiting = sorted.awaiting(settled);
        }

        let suspended = spec.suspend == Some(true);
        if status.start_time.is_none() && !suspended {
            status.start_time = Some(meta_time(now));
        }
        let deadline = status
            .start_time
            .as_ref()
            .zip(spec.active_deadline_seconds)
            .map(|(start, seconds)| after(start.0, Duration::from_secs(u64::try_from(seconds).unwrap_or(0))));
        let overdue = deadline.is_some_and(|deadline| deadline <= now) && !suspended;
        let failed_pods: Vec<&Pod> = sorted.failed.iter().map(|pod| &**pod).collect();
        let verdict = verdict(&status, || {
            policy::job_failure(spec, failed, &failed_pods, &sorted.active, overdue)
                .or_else(|| policy::indexes_failure(spec, failed_indexes.len(), done.len()))
                .map(|(reason, message)| ("FailureTarget", reason, message))
                .or_else(|| {
                    policy::job_success(spec, succeeded, &done, sorted.active.len())
                        .map(|(reason, message)| ("SuccessCriteriaMet", reason, message))
                })
        });

        let mut result = Ok(());
        if let Some((kind, reason, message)) = &verdict {
            set_condition(&mut status, kind, true, reason, message, now);
            // Those that a success leaves over have not failed.
            self.delete_pods(job, &sorted.active, *kind == "SuccessCriteriaMet", now)?;
            awaiting.clear();
        } else if suspended {
            self.delete_pods(job, &sorted.active, true, now)?;
            self.note_suspension(job, &mut status, true, now);
        } else {
            self.note_suspension(job, &mut status, false, now);
            if self.expectations.satisfied(&key, now) && !pods::is_deleting(job) {
                result = self.manage(job, spec, &sorted, (succeeded, &done), (&failed_indexes, &awaiting), queue);
            }
            if let Some(deadline) = deadline.filter(|deadline| *deadline > now) {
                queue.add_at(key.clone(), deadline);
            }
        }

        let held = |pod: &&Arc<Pod>| {
            let last = index_of(pod).and_then(|index| awaiting.get(&index));
            last.is_some_and(|it| Arc::ptr_eq(it, pod)) && !pods::is_deleting(job)
        };
        counting.retain(|pod| !held(&pod));
        let listed = |pods: &[Arc<Pod>]| {
            let uids: Vec<_> = pods.iter().map(|pod| pods::uid(&**pod).to_owned()).collect();
            Some(uids).filter(|uids| !uids.is_empty())
        };
        let uncounted = UncountedTerminatedPods { succeeded: listed(&sorted.succeeded), failed: listed(&counting) };
        let nothing_left = sorted.succeeded.is_empty() && sorted.failed.is_empty();
        status.uncounted_terminated_pods = Some(uncounted);
        status.active = Some(number(sorted.active.len())).filter(|_| verdict.is_none());
        status.ready = Some(number(sorted.active.iter().filter(|pod| pods::is_ready(pod)).count()));
        status.terminating = Some(number(sorted.terminating.len()));
        status.succeeded = Some(if is_indexed(spec) { succeeded } else { counted.0 }).filter(|count| *count > 0);
        status.failed = Some(counted.1).filter(|count| *count > 0);
        if is_indexed(spec) {
            status.completed_indexes = Some(indexes::format(&done));
        }
        if let Some((kind, reason, message)) = verdict {
            // The last word is said when no pod is left that could still change anything.
            if nothing_left && sorted.active.is_empty() && sorted.terminating.is_empty() {
                self.finish(job, &mut status, kind, &reason, &message, now);
            }
        }
        self.write_status(job, status)?;
        // Only now that they are listed may they go.
        for pod in sorted.succeeded.iter().chain(sorted.failed.iter().filter(|pod| !held(pod))) {
            self.remove_finalizer(pod)?;
        }
        result
    }

    fn finish(&mut self, job: &Job, status: &mut JobStatus, target: &str, reason: &str, message: &str, now: Timestamp) {
        status.active = None;
        status.ready = Some(0);
        if target == "FailureTarget" {
            set_condition(status, "Failed", true, reason, message, now);
            self.recorder.event(now, job, EventType::Warning, reason, message);
        } else {
            set_condition(status, "Complete", true, reason, message, now);
            status.completion_time = Some(meta_time(now));
            let completions = job.spec.as_ref().and_then(|spec| spec.completions);
            if completions.is_some_and(|completions| status.succeeded > Some(completions)) {
                let message = "Too many succeeded pods running after completion count reached";
                self.recorder.event(now, job, EventType::Warning, "TooManySucceededPods", message);
            }
            self.recorder.event(now, job, EventType::Normal, "Completed", "Job completed");
        }
    }

    fn note_suspension(&mut self, job: &Job, status: &mut JobStatus, suspended: bool, now: Timestamp) {
        let noted = status.conditions.iter().flatten().find(|condition| condition.type_ == "Suspended");
        let was = noted.is_some_and(|condition| condition.status == "True");
        if suspended == was {
            return;
        }
        let (reason, event, message) = if suspended {
            status.start_time = None;
            ("JobSuspended", "Suspended", "Job suspended")
        } else {
            status.start_time = Some(meta_time(now));
            ("JobResumed", "Resumed", "Job resumed")
        };
        set_condition(status, "Suspended", suspended, reason, message, now);
        self.recorder.event(now, job, EventType::Normal, event, message);
    }
}

impl Controller for JobController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.jobs.poll(cx) {
            let key = key_of(&**event.object());
            match &event {
                Event::Updated { old, new } if pods::same_revision(&**old, &**new) => continue,
                Event::Deleted(_) => {
                    self.expectations.forget(&key);
                    self.failures.remove(&key);
                }
                _ => {}
            }
            queue.add_for(key, &**event.object());
        }
        for event in self.pods.poll(cx) {
            let pod = event.object();
            let Some(job) = self.job_of(pod) else {
                self.release_orphan(pod);
                continue;
            };
            if matches!(event, Event::Added(_)) {
                self.expectations.creation_observed(&job);
            }
            queue.add_for_after(job, &**pod, POD_BATCH);
        }
    }

    fn synced(&self) -> bool {
        self.jobs.synced() && self.pods.synced()
    }

    fn queue(&self) -> WorkQueue<ObjectKey> {
        WorkQueue::with_backoff(RETRY.0, RETRY.1)
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let Some(job) = self.jobs.get(key) else { return Ok(()) };
        let Some(spec) = &job.spec else { return Ok(()) };
        let managed_elsewhere = spec.managed_by.as_deref().is_some_and(|by| by != "kubernetes.io/job-controller");
        let own = self.pods.by_index(BY_CONTROLLER, pods::uid(&*job));
        if managed_elsewhere || is_finished(&job) {
            return own
                .iter()
                .filter(|pod| has_finalizer(pod) && !managed_elsewhere)
                .try_for_each(|pod| self.remove_finalizer(pod));
        }
        let by_uid = Selector::from_set(&BTreeMap::from([(CONTROLLER_UID[0].to_owned(), pods::uid(&*job).to_owned())]));
        let selector = match &spec.selector {
            Some(selector) => Selector::from_label_selector(Some(selector)).unwrap_or(by_uid),
            None => by_uid,
        };
        let mut candidates = own;
        candidates.extend(self.pods.by_index(ORPHANS, &key.namespace));
        let pods = claim(&self.client, &*job, &selector, candidates)?;
        self.sync_job(&job, spec, pods, queue)
    }
}

/// How long a Job, or an index of one, waits after so many failures, of which there is one at least.
fn backoff(failures: u32) -> Duration {
    BACKOFF.0.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(BACKOFF.1)
}

/// The active pods that are to go so that `wanted` are left: of an indexed Job those first that have no index of it,
/// or another's (upstream's `activePodsForRemoval`).
fn surplus(spec: &JobSpec, active: &[Arc<Pod>], wanted: usize, now: Timestamp) -> Vec<Arc<Pod>> {
    let has_place = |taken: &mut BTreeSet<i32>, pod: &Pod| {
        let index = index_of(pod).filter(|index| Some(*index) < spec.completions);
        !is_indexed(spec) || index.is_some_and(|index| taken.insert(index))
    };
    let mut taken = BTreeSet::new();
    if active.len() <= wanted && active.iter().all(|pod| has_place(&mut taken, pod)) {
        return Vec::new();
    }
    taken.clear();
    let mut ranked = active.to_vec();
    rank_for_deletion(&mut ranked, &[], now);
    let (placed, mut surplus): (Vec<_>, Vec<_>) = ranked.into_iter().rev().partition(|pod| has_place(&mut taken, pod));
    let more = active.len().saturating_sub(wanted + surplus.len());
    surplus.extend(placed.into_iter().rev().take(more));
    surplus
}

fn lists(uids: &Option<Vec<String>>, pod: &Pod) -> bool {
    uids.iter().flatten().any(|uid| uid == pods::uid(pod))
}

fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}
