//! StatefulSets: pods with names and claims of their own, one after the other
//! (`pkg/controller/statefulset`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Context, DeleteOptions, Event, EventRecorder, EventType, Informer, key_of};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use machinery::ObjectKey;
use machinery::intorstring::{Round, scaled_value};
use machinery::labels::Selector;
use machinery::status::ApiError;

pub mod identity;
pub mod status;

use crate::Setup;
use crate::claim::claim;
use crate::controller::{Controller, Queue};
use crate::history::{self, History};
use crate::pods::{self, BY_CONTROLLER, ORPHANS};
use crate::replicaset::number;
use identity::{ordinal_of, ordinals, revision_of};
use status::{Work, complete_update, first_updated, is_parallel, is_rolling, status_of};

/// Status changes of pods are taken together for so long.
const STATUS_BATCH: Duration = Duration::from_millis(10);

/// Pods one step of a set with parallel management creates at most.
const BURST: usize = 500;

/// The controller of StatefulSets.
pub struct StatefulSetController {
    client: Client,
    recorder: EventRecorder,
    sets: Informer<StatefulSet>,
    revisions: Informer<ControllerRevision>,
    pods: Informer<Pod>,
    claims: Informer<PersistentVolumeClaim>,
}

impl StatefulSetController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "statefulset-controller", ""),
            sets: setup.informers.informer(),
            revisions: setup.dependents(),
            pods: setup.dependents(),
            claims: setup.informers.informer(),
        }
    }

    fn set_of(&self, pod: &Pod) -> Option<ObjectKey> {
        let owner = pods::controller_of(&pod.metadata).filter(|owner| owner.kind == "StatefulSet")?;
        let key = ObjectKey::new(pods::namespace(pod), owner.name.as_str());
        self.sets.get(&key).filter(|set| pods::uid(&**set) == owner.uid).map(|_| key)
    }

    /// Tells what was done to a pod.
    fn record(&mut self, round: &Work<'_>, verb: &str, pod: &str, result: &Result<(), ApiError>) {
        let did = format!("{verb} Pod {pod} in StatefulSet {}", pods::name(round.set));
        let message = match result {
            Ok(()) => format!("{did} successful"),
            Err(error) => format!("{did} failed error: {error}"),
        };
        self.tell(round, verb, result.is_ok(), &message);
    }

    /// Tells that a claim was made, or why not.
    fn record_claim(&mut self, round: &Work<'_>, claim: &str, pod: &str, result: &Result<(), ApiError>) {
        let set = pods::name(round.set);
        let message = match result {
            Ok(()) => format!("create Claim {claim} Pod {pod} in StatefulSet {set} success"),
            Err(error) => format!("create Claim {claim} for Pod {pod} in StatefulSet {set} failed error: {error}"),
        };
        self.tell(round, "create", result.is_ok(), &message);
    }

    fn tell(&mut self, round: &Work<'_>, verb: &str, succeeded: bool, message: &str) {
        let mut verb = verb.to_owned();
        verb.get_mut(..1).map(str::make_ascii_uppercase).unwrap_or_default();
        let (kind, how) = if succeeded { (EventType::Normal, "Successful") } else { (EventType::Warning, "Failed") };
        self.recorder.event(round.now, round.set, kind, &format!("{how}{verb}"), message);
    }

    /// Makes the claims of an ordinal that are missing, and gives those that are there their owners.
    fn sync_claims(&mut self, round: &Work<'_>, pod: Option<&Pod>, ordinal: i32) -> Result<(), ApiError> {
        for mut claim in identity::claims(round.set, ordinal) {
            let key = key_of(&claim);
            let owners = identity::claim_owners(round.set, pod, ordinal);
            match self.claims.get(&key) {
                None => {
                    claim.metadata.owner_references = Some(owners).filter(|owners| !owners.is_empty());
                    let result = match self.client.create(claim) {
                        Err(error) if error.is_already_exists() => continue,
                        other => other.map(drop),
                    };
                    let pod = identity::pod_name(round.set, ordinal);
                    self.record_claim(round, &key.name, &pod, &result);
                    result?;
                }
                Some(existing) => {
                    let mine = |uid: &str| uid == pods::uid(round.set) || pod.is_some_and(|pod| uid == pods::uid(pod));
                    let mut wanted: Vec<_> = existing.metadata.owner_references.clone().unwrap_or_default();
                    wanted.retain(|owner| !mine(&owner.uid));
                    wanted.extend(owners);
                    if existing.metadata.owner_references.iter().flatten().eq(wanted.iter()) {
                        continue;
                    }
                    let mut updated = (*existing).clone();
                    updated.metadata.owner_references = Some(wanted);
                    self.client.update(updated)?;
                }
            }
        }
        Ok(())
    }

    fn create_pod(&mut self, round: &Work<'_>, ordinal: i32, revision: &ControllerRevision) -> Result<(), ApiError> {
        self.sync_claims(round, None, ordinal)?;
        let result = self.client.create(identity::pod(round.set, revision, ordinal)).map(drop);
        match &result {
            Err(error) if error.is_already_exists() => return Err(error.clone()),
            Err(error) if error.has_cause("NamespaceTerminating") => return Ok(()),
            _ => {}
        }
        self.record(round, "create", &identity::pod_name(round.set, ordinal), &result);
        result
    }

    fn delete_pod(&mut self, round: &Work<'_>, pod: &Pod) -> Result<(), ApiError> {
        let result = match self.client.delete::<Pod>(&key_of(pod), &DeleteOptions::uid(pods::uid(pod))) {
            Err(error) if error.is_not_found() || error.is_conflict() => return Ok(()),
            other => other,
        };
        self.record(round, "delete", pods::name(pod), &result);
        result
    }

    /// The revision a missing pod is made of: those below the partition stay with the current one.
    fn revision_for<'a>(round: &'a Work<'_>, ordinal: i32) -> &'a ControllerRevision {
        let keeps = is_rolling(round.set) && ordinal < first_updated(round.set);
        if keeps { &round.current } else { &round.update }
    }

    /// Takes one step, or with parallel management all steps: makes missing pods from the lowest
    /// ordinal up, then lets those go that are too many from the highest down, then updates.
    fn step(&mut self, round: &Work<'_>, all: &[Arc<Pod>]) -> Result<(), ApiError> {
        let monotonic = !is_parallel(round.set);
        let min_ready_seconds = round.set.spec.min_ready_seconds.unwrap_or(0);
        let available = |pod: &Pod| pods::is_available(pod, min_ready_seconds, round.now);
        let healthy = |pod: &Pod| pods::phase(pod) == "Running" && pods::is_ready(pod) && !pods::is_deleting(pod);
        let mut by_ordinal: BTreeMap<i32, Arc<Pod>> =
            all.iter().filter_map(|pod| Some((ordinal_of(round.set, pod)?, pod.clone()))).collect();
        let mut replicas = BTreeMap::new();
        let mut created = 0;
        for ordinal in ordinals(round.set) {
            let Some(pod) = by_ordinal.remove(&ordinal) else {
                self.create_pod(round, ordinal, Self::revision_for(round, ordinal))?;
                created += 1;
                // The pods' own events bring the next step.
                if monotonic || created == BURST {
                    return Ok(());
                }
                continue;
            };
            if pods::is_terminated(&pod) {
                if !pods::is_deleting(&*pod) {
                    self.recreate(round, &pod)?;
                }
                if monotonic {
                    return Ok(());
                }
                continue;
            }
            // One after the other: nothing happens beyond a pod that is not settled.
            if monotonic && (!healthy(&pod) || !available(&pod)) {
                return Ok(());
            }
            self.restore_identity(round, &pod, ordinal)?;
            replicas.insert(ordinal, pod);
        }
        let unhealthy = by_ordinal.iter().find(|(_, pod)| !healthy(pod)).map(|(ordinal, _)| *ordinal);
        for (ordinal, pod) in by_ordinal.iter().rev() {
            self.sync_claims(round, Some(pod), *ordinal)?;
            if pods::is_deleting(&**pod) {
                if monotonic {
                    return Ok(());
                }
                continue;
            }
            if monotonic && !healthy(pod) && unhealthy != Some(*ordinal) {
                return Ok(());
            }
            self.delete_pod(round, pod)?;
            if monotonic {
                return Ok(());
            }
        }
        if is_rolling(round.set) { self.roll(round, &replicas) } else { Ok(()) }
    }

    fn recreate(&mut self, round: &Work<'_>, pod: &Pod) -> Result<(), ApiError> {
        let failed = pods::phase(pod) == "Failed";
        let (kind, reason, word) = if failed {
            (EventType::Warning, "RecreatingFailedPod", "failed")
        } else {
            (EventType::Normal, "RecreatingTerminatedPod", "terminated")
        };
        let key = key_of(round.set);
        let message = format!("StatefulSet {key} is recreating {word} Pod {}", pods::name(pod));
        self.recorder.event(round.now, round.set, kind, reason, &message);
        self.delete_pod(round, pod)
    }

    fn restore_identity(&mut self, round: &Work<'_>, pod: &Arc<Pod>, ordinal: i32) -> Result<(), ApiError> {
        self.sync_claims(round, Some(pod), ordinal)?;
        let mut restored = (**pod).clone();
        if !identity::give_identity(round.set, &mut restored, ordinal) || pods::is_deleting(&**pod) {
            return Ok(());
        }
        let result = self.client.update(restored).map(drop);
        self.record(round, "update", pods::name(&**pod), &result);
        result
    }

    /// Deletes pods of other revisions than the newest, the highest ordinal first, as many as may be missing at a
    /// time; with parallel management those first, and all of them, that are missing already. None below the partition.
    fn roll(&mut self, round: &Work<'_>, replicas: &BTreeMap<i32, Arc<Pod>>) -> Result<(), ApiError> {
        let spec = &round.set.spec;
        let rolling = spec.update_strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
        let wanted = spec.replicas.unwrap_or(1);
        let max = unavailable.and_then(|value| scaled_value(value, wanted, Round::Down).ok()).unwrap_or(1).max(1);
        let min_ready_seconds = spec.min_ready_seconds.unwrap_or(0);
        let available = |pod: &Pod| !pods::is_deleting(pod) && pods::is_available(pod, min_ready_seconds, round.now);
        let missing = wanted - number(replicas.values().filter(|pod| available(pod)).count());
        let mut budget = max - missing;
        let of_old = |pod: &&Arc<Pod>| revision_of(pod) != pods::name(&*round.update) && !pods::is_deleting(&***pod);
        let outdated: Vec<_> =
            replicas.range(first_updated(round.set)..).rev().map(|(_, pod)| pod).filter(of_old).collect();
        let in_order = !is_parallel(round.set);
        for pod in outdated.iter().filter(|pod| !in_order && !available(pod)) {
            self.delete_pod(round, pod)?;
        }
        for pod in outdated.into_iter().filter(|pod| in_order || available(pod)) {
            if budget <= 0 {
                break;
            }
            budget -= 1;
            self.delete_pod(round, pod)?;
        }
        Ok(())
    }

    fn write_status(&self, set: &StatefulSet, status: StatefulSetStatus) -> Result<(), ApiError> {
        let normal = |status: &StatefulSetStatus| StatefulSetStatus {
            available_replicas: Some(status.available_replicas.unwrap_or(0)),
            collision_count: Some(status.collision_count.unwrap_or(0)),
            current_replicas: Some(status.current_replicas.unwrap_or(0)),
            ready_replicas: Some(status.ready_replicas.unwrap_or(0)),
            updated_replicas: Some(status.updated_replicas.unwrap_or(0)),
            ..status.clone()
        };
        if set.status.as_ref().is_some_and(|old| normal(old) == normal(&status)) {
            return Ok(());
        }
        self.client.update_status(StatefulSet { status: Some(status), ..set.clone() }).map(drop)
    }

    fn revisions(
        &self,
        set: &StatefulSet,
        selector: &Selector,
        collisions: &mut i32,
    ) -> Result<(History, Arc<ControllerRevision>), ApiError> {
        let mut revisions = self.revisions.by_index(BY_CONTROLLER, pods::uid(set));
        revisions.extend(self.revisions.by_index(ORPHANS, pods::namespace(set)));
        let revisions = claim(&self.client, set, selector, revisions)?;
        let history =
            history::sync(&self.client, set, history::CONTROLLER_HASH, &set.spec.template, revisions, collisions)?;
        let name = set.status.as_ref().and_then(|status| status.current_revision.clone()).unwrap_or_default();
        let current = history.old.iter().find(|revision| pods::name(&***revision) == name);
        let current = current.unwrap_or(&history.current).clone();
        Ok((history, current))
    }
}

impl Controller for StatefulSetController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.sets.poll(cx) {
            if !matches!(&event, Event::Updated { old, new } if pods::same_revision(&**old, &**new)) {
                queue.add_for(key_of(&**event.object()), &**event.object());
            }
        }
        self.revisions.poll(cx);
        self.claims.poll(cx);
        for event in self.pods.poll(cx) {
            let pod = event.object();
            let Some(set) = self.set_of(pod) else {
                let orphan = pods::controller_of(&pod.metadata).is_none() && !matches!(event, Event::Deleted(_));
                for set in self.sets.in_namespace(pods::namespace(&**pod)).into_iter().filter(|_| orphan) {
                    if ordinal_of(&set, pod).is_some() {
                        queue.add_for(key_of(&*set), &**pod);
                    }
                }
                continue;
            };
            match &event {
                Event::Updated { old, new } if pods::same_revision(&**old, &**new) => {}
                Event::Updated { .. } => queue.add_for_after(set, &**pod, STATUS_BATCH),
                _ => queue.add_for(set, &**pod),
            }
        }
    }

    fn synced(&self) -> bool {
        self.sets.synced() && self.revisions.synced() && self.claims.synced() && self.pods.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let now = queue.now();
        let Some(set) = self.sets.get(key) else { return Ok(()) };
        let Ok(selector) = Selector::from_label_selector(Some(&set.spec.selector)) else { return Ok(()) };
        let mut collisions = set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
        let (history, current) = self.revisions(&set, &selector, &mut collisions)?;
        let mut candidates = self.pods.by_index(BY_CONTROLLER, pods::uid(&*set));
        candidates.extend(self.pods.by_index(ORPHANS, &key.namespace));
        // A pod with labels alone is not one of the set: it must have a name of the set, too.
        candidates.retain(|pod| ordinal_of(&set, pod).is_some());
        let all = claim(&self.client, &*set, &selector, candidates)?;

        let round = Work { set: &set, current, update: history.current.clone(), now };
        let mut status = status_of(&round, &all, collisions);
        let stepped = if pods::is_deleting(&*set) { Ok(()) } else { self.step(&round, &all) };
        complete_update(&set, &mut status);
        self.write_status(&set, status.clone())?;
        stepped?;
        let in_use = |revision: &ControllerRevision| {
            let name = pods::name(revision);
            status.current_revision.as_deref() == Some(name) || all.iter().any(|pod| revision_of(pod) == name)
        };
        history::clean_up(&self.client, &history.old, set.spec.revision_history_limit, in_use)?;
        let min_ready_seconds = set.spec.min_ready_seconds.unwrap_or(0);
        let next =
            all.iter().filter_map(|pod| pods::available_at(pod, min_ready_seconds)).filter(|time| *time > now).min();
        if let Some(time) = next {
            queue.add_at(key.clone(), time);
        }
        Ok(())
    }
}
