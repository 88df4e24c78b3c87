//! ReplicaSets: as many pods of a template as asked for (`pkg/controller/replicaset`).
//!
//! ReplicationControllers are the same with another selector ([`Replicated`]), as upstream.

use std::sync::Arc;
use std::time::Duration;

use client::{Client, Context, Event, EventRecorder, Expectations, Informer, key_of};
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::{Pod, PodTemplateSpec};
use machinery::labels::Selector;
use machinery::status::ApiError;
use machinery::time::meta_time;
use machinery::{Kind, ObjectKey, Timestamp};

use crate::claim::{claim, controller_reference};
use crate::controller::{Controller, Queue};
use crate::pods::{self, BY_CONTROLLER, ORPHANS};
use crate::ranking::rank_for_deletion;
use crate::{Setup, pod_control};

/// A sync creates or deletes at most so many pods.
const BURST_REPLICAS: usize = 500;
/// Status changes of pods are taken together for so long, and the longer the more pods the set wants: each
/// sync looks at all of them, and a pod is to cost the same however many there are.
const STATUS_BATCH: Duration = Duration::from_millis(10);
/// The time above is for so many pods.
const STATUS_BATCH_PODS: u32 = 1000;

/// A kind that keeps a number of pods. Its status is spoken of in the words of ReplicaSets.
pub trait Replicated: Kind {
    /// Under which events about it are made.
    const SOURCE: &'static str;
    /// Which pods are its; none where its selector cannot be read.
    fn selector(&self) -> Option<Selector>;
    /// Pods it wants.
    fn replicas(&self) -> i32;
    /// What pods are made from.
    fn template(&self) -> Option<&PodTemplateSpec>;
    /// How long a pod is ready before it is available.
    fn min_ready_seconds(&self) -> i32;
    /// Its status.
    fn status(&self) -> Option<ReplicaSetStatus>;
    /// The same object with another status.
    fn with_status(&self, status: ReplicaSetStatus) -> Self;
}

impl Replicated for ReplicaSet {
    const SOURCE: &'static str = "replicaset-controller";

    fn selector(&self) -> Option<Selector> {
        Selector::from_label_selector(Some(&self.spec.selector)).ok()
    }

    fn replicas(&self) -> i32 {
        self.spec.replicas.unwrap_or(1)
    }

    fn template(&self) -> Option<&PodTemplateSpec> {
        self.spec.template.as_ref()
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec.min_ready_seconds.unwrap_or(0)
    }

    fn status(&self) -> Option<ReplicaSetStatus> {
        self.status.clone()
    }

    fn with_status(&self, status: ReplicaSetStatus) -> Self {
        Self { status: Some(status), ..self.clone() }
    }
}

/// The controller of ReplicaSets, or of ReplicationControllers.
pub struct ReplicaSetController<S: Replicated = ReplicaSet> {
    client: Client,
    recorder: EventRecorder,
    sets: Informer<S>,
    pods: Informer<Pod>,
    expectations: Expectations,
}

impl<S: Replicated> ReplicaSetController<S> {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), S::SOURCE, ""),
            sets: setup.informers.informer().indexed(BY_CONTROLLER, pods::controller_uid),
            pods: setup.dependents().counted(pods::STATES, pods::state_of),
            expectations: Expectations::default(),
        }
    }

    fn observe_pod(&mut self, event: &Event<Pod>, queue: &mut Queue) {
        match event {
            Event::Added(pod) if pods::is_deleting(&**pod) => self.pod_deleted(pod, queue),
            Event::Added(pod) => match self.set_of(pod) {
                Some(set) => {
                    self.expectations.creation_observed(&set);
                    queue.add_for(set, &**pod);
                }
                None => self.offer_orphan(pod, queue),
            },
            Event::Updated { old, new } => self.pod_updated(old, new, queue),
            Event::Deleted(pod) => self.pod_deleted(pod, queue),
        }
    }

    fn pod_updated(&mut self, old: &Arc<Pod>, new: &Arc<Pod>, queue: &mut Queue) {
        if pods::same_revision(&**old, &**new) {
            return;
        }
        if pods::is_deleting(&**new) {
            return self.pod_deleted(new, queue);
        }
        let (before, after) = (self.set_of(old), self.set_of(new));
        if let Some(set) = before.filter(|set| Some(set) != after.as_ref()) {
            queue.add_for(set, &**new);
        }
        let labels_changed = old.metadata.labels != new.metadata.labels;
        match after {
            Some(set) if labels_changed || pods::is_active(old) != pods::is_active(new) => queue.add_for(set, &**new),
            Some(set) => {
                let pods = self.sets.get(&set).map_or(0, |set| set.replicas());
                let times = u32::try_from(pods).unwrap_or(0) / STATUS_BATCH_PODS;
                queue.add_for_after(set, &**new, STATUS_BATCH * (1 + times));
            }
            None if labels_changed || pods::controller_of(&old.metadata).is_some() => self.offer_orphan(new, queue),
            None => {}
        }
    }

    fn pod_deleted(&mut self, pod: &Pod, queue: &mut Queue) {
        if let Some(set) = self.set_of(pod) {
            self.expectations.deletion_observed(&set, pods::name(pod));
            queue.add_for(set, pod);
        }
    }

    /// The set that controls the pod, if it is the one with that uid.
    fn set_of(&self, pod: &Pod) -> Option<ObjectKey> {
        let owner = pods::controller_of(&pod.metadata).filter(|owner| owner.kind == S::KIND)?;
        let key = ObjectKey::new(pods::namespace(pod), owner.name.as_str());
        self.sets.get(&key).filter(|set| pods::uid(&**set) == owner.uid).map(|_| key)
    }

    fn offer_orphan(&self, pod: &Pod, queue: &mut Queue) {
        if pods::controller_of(&pod.metadata).is_some() {
            return;
        }
        for set in self.sets.in_namespace(pods::namespace(pod)) {
            let selector = set.selector();
            if selector
                .is_some_and(|selector| !selector.is_everything() && selector.matches(pod.metadata.labels.as_ref()))
            {
                queue.add_for(key_of(&*set), pod);
            }
        }
    }

    /// The set's pods as they are counted along the way: a sync of a set of very many costs no more than one of
    /// few. `None` where each has to be looked at: to adopt or release some, or because of their times.
    fn counted(&self, set: &S, selector: &Selector) -> Option<Counts> {
        if set.min_ready_seconds() > 0 || self.pods.count_by_index(ORPHANS, pods::namespace(set)) > 0 {
            return None;
        }
        let template = template_selector(set);
        let mut counts = Counts::default();
        for (value, count) in self.pods.counts(pods::STATES, &format!("{} ", pods::uid(set))) {
            let (state, labels) = pods::read_state(&value);
            if !selector.matches(Some(&labels)) {
                return None;
            }
            if state == pods::TERMINATING {
                counts.terminating += count;
                continue;
            }
            counts.active += count;
            counts.labeled += if template.matches(Some(&labels)) { count } else { 0 };
            counts.ready += if state == pods::READY { count } else { 0 };
        }
        counts.available = counts.ready;
        Some(counts)
    }

    /// Creates or deletes pods so that there are as many as the set wants; `active` are at hand where there are
    /// too many.
    fn manage(
        &mut self,
        set: &S,
        key: &ObjectKey,
        count: usize,
        active: &[Arc<Pod>],
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let wanted = wanted(set);
        if count < wanted {
            self.create(set, key, (wanted - count).min(BURST_REPLICAS), now)
        } else if count > wanted {
            self.delete(set, key, active, (count - wanted).min(BURST_REPLICAS), now)
        } else {
            Ok(())
        }
    }

    fn create(&mut self, set: &S, key: &ObjectKey, count: usize, now: Timestamp) -> Result<(), ApiError> {
        let Some(template) = set.template() else { return Ok(()) };
        self.expectations.expect_creations(key, i64::try_from(count).unwrap_or(i64::MAX), now);
        let (client, recorder) = (&self.client, &mut self.recorder);
        let (created, result) = pod_control::slow_start(count, || {
            let pod = pod_control::pod_from_template(template, set, controller_reference(set));
            pod_control::create(client, recorder, now, set, pod).map(drop)
        });
        for _ in created..count {
            self.expectations.creation_observed(key);
        }
        match result {
            Err(error) if error.has_cause("NamespaceTerminating") => Ok(()),
            other => other,
        }
    }

    fn delete(
        &mut self,
        set: &S,
        key: &ObjectKey,
        active: &[Arc<Pod>],
        count: usize,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let mut candidates = active.to_vec();
        if count < candidates.len() {
            rank_for_deletion(&mut candidates, &self.related_pods(set), now);
        }
        candidates.truncate(count);
        let names = candidates.iter().map(|pod| pods::name(&**pod).to_owned());
        self.expectations.expect_deletions(key, names, now);
        let mut result = Ok(());
        for pod in candidates {
            if let Err(error) = pod_control::delete(&self.client, &mut self.recorder, now, set, &pod) {
                self.expectations.deletion_observed(key, pods::name(&*pod));
                if !error.is_not_found() {
                    result = result.and(Err(error));
                }
            }
        }
        result
    }

    /// The pods of all sets with this set's controller: a node that runs several of them gives one first.
    fn related_pods(&self, set: &S) -> Vec<Arc<Pod>> {
        let sets = match pods::controller_of(set.metadata()) {
            Some(owner) => self.sets.by_index(BY_CONTROLLER, &owner.uid),
            None => vec![Arc::new(set.clone())],
        };
        sets.iter().flat_map(|set| self.pods.by_index(BY_CONTROLLER, pods::uid(&**set))).collect()
    }

    fn write_status(&self, set: &S, status: ReplicaSetStatus) -> Result<(), ApiError> {
        let same = set.status().is_some_and(|old| {
            // Unset counts are zeros.
            let counts = |status: &ReplicaSetStatus| {
                [
                    status.fully_labeled_replicas,
                    status.ready_replicas,
                    status.available_replicas,
                    status.terminating_replicas,
                ]
                .map(|count| count.unwrap_or(0))
            };
            old.replicas == status.replicas
                && counts(&old) == counts(&status)
                && old.observed_generation == status.observed_generation
                && old.conditions.as_deref().unwrap_or_default() == status.conditions.as_deref().unwrap_or_default()
        });
        if same {
            return Ok(());
        }
        self.client.update_status(set.with_status(status)).map(drop)
    }
}

impl<S: Replicated> Controller for ReplicaSetController<S> {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.sets.poll(cx) {
            let set = event.object();
            match &event {
                Event::Deleted(_) => self.expectations.forget(&key_of(&**set)),
                Event::Updated { old, new } if pods::same_revision(&**old, &**new) => continue,
                _ => {}
            }
            queue.add_for(key_of(&**set), &**set);
        }
        for event in self.pods.poll(cx) {
            self.observe_pod(&event, queue);
        }
    }

    fn synced(&self) -> bool {
        self.sets.synced() && self.pods.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let now = queue.now();
        let Some(set) = self.sets.get(key) else {
            self.expectations.forget(key);
            return Ok(());
        };
        // Validation keeps selectors well-formed; a set with another controls nothing.
        let Some(selector) = set.selector() else { return Ok(()) };
        let may_manage = self.expectations.satisfied(key, now);

        let manages = may_manage && !pods::is_deleting(&*set);

        let counted = self.counted(&set, &selector);
        let (counts, active) = match counted.filter(|counts| !manages || counts.active <= wanted(&*set)) {
            Some(counts) => (counts, Vec::new()),
            None => {
                let mut candidates = self.pods.by_index(BY_CONTROLLER, pods::uid(&*set));
                candidates.extend(self.pods.by_index(ORPHANS, &key.namespace));
                candidates.retain(|pod| !pods::is_terminated(pod));
                let claimed = claim(&self.client, &*set, &selector, candidates)?;
                let (terminating, active): (Vec<_>, Vec<_>) =
                    claimed.into_iter().partition(|pod| pods::is_deleting(&**pod));
                (Counts { terminating: terminating.len(), ..Counts::of(&*set, &active, now) }, active)
            }
        };

        let managed = if manages {
            self.manage(&set, key, counts.active, &active, now)
        } else {
            if let Some(deadline) = self.expectations.deadline(key).filter(|_| !may_manage) {
                queue.add_at(key.clone(), deadline);
            }
            Ok(())
        };
        self.write_status(&set, status_of(&*set, &counts, managed.as_ref().err(), now))?;
        managed?;

        let min_ready_seconds = set.min_ready_seconds();
        let coming = active.iter().filter(|_| min_ready_seconds > 0);
        let coming = coming.filter_map(|pod| pods::available_at(pod, min_ready_seconds)).filter(|at| *at > now);
        if let Some(time) = coming.min() {
            queue.add_at(key.clone(), time);
        }
        Ok(())
    }
}

/// What a set's pods add up to.
#[derive(Default)]
struct Counts {
    active: usize,
    /// Of the active ones, those with all labels of the template.
    labeled: usize,
    ready: usize,
    available: usize,
    terminating: usize,
}

impl Counts {
    /// Of active pods, looked at one by one.
    fn of<S: Replicated>(set: &S, active: &[Arc<Pod>], now: Timestamp) -> Self {
        let (template, min_ready_seconds) = (template_selector(set), set.min_ready_seconds());
        let mut counts = Self { active: active.len(), ..Self::default() };
        for pod in active {
            counts.labeled += usize::from(template.matches(pod.metadata.labels.as_ref()));
            counts.ready += usize::from(pods::is_ready(pod));
            counts.available += usize::from(pods::is_available(pod, min_ready_seconds, now));
        }
        counts
    }
}

/// Pods that a set wants.
fn wanted<S: Replicated>(set: &S) -> usize {
    usize::try_from(set.replicas()).unwrap_or(0)
}

/// What the labels of a set's template select.
fn template_selector<S: Replicated>(set: &S) -> Selector {
    let labels = set.template().and_then(|template| template.metadata.as_ref()?.labels.clone());
    Selector::from_set(&labels.unwrap_or_default())
}

fn status_of<S: Replicated>(set: &S, counts: &Counts, failure: Option<&ApiError>, now: Timestamp) -> ReplicaSetStatus {
    let mut conditions = set.status().and_then(|status| status.conditions).unwrap_or_default();
    let failing = conditions.iter().any(|condition| condition.type_.as_deref() == Some("ReplicaFailure"));
    match failure {
        Some(error) if !failing => {
            let wanted = set.replicas();
            conditions.push(ReplicaSetCondition {
                type_: Some("ReplicaFailure".into()),
                status: Some("True".into()),
                reason: Some(if number(counts.active) < wanted { "FailedCreate" } else { "FailedDelete" }.into()),
                message: Some(error.to_string()),
                last_transition_time: Some(meta_time(now)),
            });
        }
        None => conditions.retain(|condition| condition.type_.as_deref() != Some("ReplicaFailure")),
        Some(_) => {}
    }
    ReplicaSetStatus {
        replicas: number(counts.active),
        fully_labeled_replicas: Some(number(counts.labeled)),
        ready_replicas: Some(number(counts.ready)),
        available_replicas: Some(number(counts.available)),
        terminating_replicas: Some(number(counts.terminating)),
        observed_generation: set.metadata().generation,
        conditions: Some(conditions).filter(|conditions| !conditions.is_empty()),
    }
}

/// A count as the API has it.
pub(crate) fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
