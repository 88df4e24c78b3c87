//! DaemonSets: a pod on every node that is to have one (`pkg/controller/daemon`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Context, Event, EventRecorder, EventType, Expectations, Informer, key_of};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use machinery::labels::Selector;
use machinery::sort::Order;
use machinery::status::ApiError;
use machinery::time::after;
use machinery::{ObjectKey, Timestamp};

pub mod nodes;
pub mod status;

use crate::claim::claim;
use crate::controller::{Controller, Queue};
use crate::history;
use crate::pods::{self, BY_CONTROLLER, ORPHANS};
use crate::{Setup, pod_control};
use nodes::{placement, pod_for, target_node};
use status::{OnNode, bounds, hash_of, is_rolling, status_of};

/// A sync creates or deletes at most so many pods.
const BURST: usize = 250;
/// Status changes of pods are taken together for so long.
const STATUS_BATCH: Duration = Duration::from_millis(10);
/// First and longest time for which a node's failed pod is let be once one was replaced.
const FAILED_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15 * 60));

/// The controller of DaemonSets.
pub struct DaemonSetController {
    client: Client,
    recorder: EventRecorder,
    sets: Informer<DaemonSet>,
    revisions: Informer<ControllerRevision>,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    expectations: Expectations,
    /// By the set's uid and generation and the node: how long a failed pod stays before it is deleted, since when.
    failed: BTreeMap<(String, i64, String), (Duration, Timestamp)>,
}

/// What a sync is to do.
#[derive(Default)]
struct Plan {
    create: Vec<String>,
    delete: Vec<Arc<Pod>>,
    /// When a failed pod that stays for now is to be looked at again.
    again: Option<Timestamp>,
}

impl DaemonSetController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "daemonset-controller", ""),
            sets: setup.informers.informer(),
            revisions: setup.dependents(),
            pods: setup.dependents(),
            nodes: setup.informers.informer(),
            expectations: Expectations::default(),
            failed: BTreeMap::new(),
        }
    }

    /// Whether a failed pod may be deleted now; otherwise, when. A node that refuses the daemon is not to be asked
    /// again and again.
    fn backed_off(&mut self, set: &DaemonSet, node: &str, now: Timestamp) -> Option<Timestamp> {
        self.failed.retain(|_, (_, last)| after(*last, FAILED_BACKOFF.1 * 2) >= now);
        let key = (pods::uid(set).to_owned(), set.metadata.generation.unwrap_or(0), node.to_owned());
        let backoff = match self.failed.get(&key) {
            Some((backoff, last)) if after(*last, *backoff) > now => return Some(after(*last, *backoff)),
            Some((backoff, _)) => (*backoff * 2).min(FAILED_BACKOFF.1),
            None => FAILED_BACKOFF.0,
        };
        self.failed.insert(key, (backoff, now));
        None
    }

    fn set_of(&self, pod: &Pod) -> Option<ObjectKey> {
        let owner = pods::controller_of(&pod.metadata).filter(|owner| owner.kind == "DaemonSet")?;
        let key = ObjectKey::new(pods::namespace(pod), owner.name.as_str());
        self.sets.get(&key).filter(|set| pods::uid(&**set) == owner.uid).map(|_| key)
    }

    fn observe_pod(&mut self, event: &Event<Pod>, queue: &mut Queue) {
        let pod = event.object();
        let Some(set) = self.set_of(pod) else { return };
        match event {
            Event::Added(_) => {
                self.expectations.creation_observed(&set);
                queue.add_for(set, &**pod);
            }
            Event::Updated { old, new } if pods::same_revision(&**old, &**new) => {}
            Event::Updated { .. } if !pods::is_deleting(&**pod) => queue.add_for_after(set, &**pod, STATUS_BATCH),
            Event::Updated { .. } | Event::Deleted(_) => {
                self.expectations.deletion_observed(&set, pods::name(&**pod));
                queue.add_for(set, &**pod);
            }
        }
    }

    fn observe_node(&self, event: &Event<Node>, queue: &mut Queue) {
        let node = event.object();
        for set in self.sets.list() {
            let changed = match event {
                Event::Updated { old, new } => placement(&set, old) != placement(&set, new),
                Event::Added(_) | Event::Deleted(_) => true,
            };
            if changed {
                queue.add_for(key_of(&*set), &**node);
            }
        }
    }

    /// Every node there is with the daemon's pods for it, those that are bound and the oldest first, and the pods for
    /// nodes that are gone.
    fn survey(&self, set: &DaemonSet, claimed: Vec<Arc<Pod>>) -> (Vec<OnNode>, Vec<Arc<Pod>>) {
        let mut by_node: BTreeMap<String, Vec<Arc<Pod>>> = BTreeMap::new();
        let mut stray = Vec::new();
        // One that has ended and goes is as good as gone.
        for pod in claimed.into_iter().filter(|pod| !pods::is_terminated(pod) || !pods::is_deleting(&**pod)) {
            match target_node(&pod) {
                Some(node) => by_node.entry(node.to_owned()).or_default().push(pod),
                None => stray.push(pod),
            }
        }
        let on_nodes = self.nodes.list().into_iter().map(|node| {
            let name = pods::name(&*node).to_owned();
            let mut pods = by_node.remove(&name).unwrap_or_default();
            pods.order_by_key(|pod| (pods::node_name(pod).is_empty(), client::creation_time(&**pod), key_of(&**pod)));
            OnNode { name, placement: placement(set, &node), pods }
        });
        let on_nodes: Vec<_> = on_nodes.collect();
        // Those that are bound are the pod collector's; the others nobody else will see to.
        stray.extend(by_node.into_values().flatten().filter(|pod| pods::node_name(pod).is_empty()));
        (on_nodes, stray)
    }

    /// Creates what is missing and deletes what is too many, whatever its template.
    fn manage(&mut self, set: &DaemonSet, on_nodes: &[OnNode], surge: bool, now: Timestamp) -> Plan {
        let mut plan = Plan::default();
        for node in on_nodes {
            let alive: Vec<_> = node.pods.iter().filter(|pod| !pods::is_deleting(&***pod)).collect();
            if !node.placement.may_continue {
                plan.delete.extend(alive.into_iter().cloned());
                continue;
            }
            let (ended, running): (Vec<_>, Vec<_>) = alive.into_iter().partition(|pod| pods::is_terminated(pod));
            for pod in &ended {
                let is_failed = pods::phase(pod) == "Failed";
                if let Some(time) = is_failed.then(|| self.backed_off(set, &node.name, now)).flatten() {
                    plan.again = Some(plan.again.map_or(time, |again| again.min(time)));
                    continue;
                }
                let (kind, reason, word) = match pods::phase(pod) {
                    "Failed" => (EventType::Warning, "FailedDaemonPod", "failed"),
                    _ => (EventType::Normal, "SucceededDaemonPod", "succeeded"),
                };
                let (namespace, name) = (pods::namespace(&***pod), pods::name(&***pod));
                let verb = if word == "failed" { "kill" } else { "delete" };
                let message =
                    format!("Found {word} daemon pod {namespace}/{name} on node {}, will try to {verb} it", node.name);
                self.recorder.event(now, set, kind, reason, &message);
                plan.delete.push(Arc::clone(pod));
            }
            if !node.placement.should_run {
                continue;
            }
            if node.pods.is_empty() {
                plan.create.push(node.name.clone());
            } else if !surge {
                // The oldest stays.
                plan.delete.extend(running.into_iter().skip(1).cloned());
            }
        }
        plan
    }

    /// Replaces pods of former templates: without surge by deleting a few, with surge by creating a
    /// few beside them.
    fn roll(
        &self,
        set: &DaemonSet,
        on_nodes: &[OnNode],
        hash: &str,
        (surge, unavailable): (usize, usize),
        now: Timestamp,
    ) -> Plan {
        let min_ready_seconds = set.spec.min_ready_seconds.unwrap_or(0);
        let available = |pod: &Arc<Pod>| pods::is_available(pod, min_ready_seconds, now) && !pods::is_deleting(&**pod);
        let mut plan = Plan::default();
        let (mut missing, mut extra) = (0, 0);
        let (mut at_once, mut candidates) = (Vec::new(), Vec::new());
        for node in on_nodes.iter().filter(|node| node.placement.should_run) {
            let alive: Vec<_> = node.pods.iter().filter(|pod| !pods::is_terminated(pod)).collect();
            let new = alive.iter().rev().find(|pod| hash_of(pod) == hash);
            let old = alive.iter().find(|pod| hash_of(pod) != hash);
            match (new, old) {
                (None, Some(old)) if surge > 0 => {
                    if available(old) {
                        candidates.push((node, Arc::clone(old)));
                    } else {
                        at_once.push((node, Arc::clone(old)));
                    }
                }
                (Some(new), Some(old)) if surge > 0 => {
                    if available(new) && !pods::is_deleting(&***old) {
                        plan.delete.push(Arc::clone(old));
                    } else {
                        extra += 1;
                    }
                }
                (None, Some(old)) if available(old) => candidates.push((node, Arc::clone(old))),
                (None, Some(old)) => {
                    missing += 1;
                    if !pods::is_deleting(&***old) {
                        at_once.push((node, Arc::clone(old)));
                    }
                }
                (Some(new), None) if available(new) => {}
                _ => missing += 1,
            }
        }
        if surge > 0 {
            let room = surge.saturating_sub(extra);
            let chosen = at_once.into_iter().chain(candidates.into_iter().take(room));
            plan.create.extend(chosen.map(|(node, _)| node.name.clone()));
        } else {
            let room = unavailable.saturating_sub(missing);
            let chosen = at_once.into_iter().chain(candidates.into_iter().take(room));
            plan.delete.extend(chosen.map(|(_, pod)| pod));
        }
        plan
    }

    fn carry_out(
        &mut self,
        set: &DaemonSet,
        key: &ObjectKey,
        mut plan: Plan,
        hash: &str,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        plan.create.truncate(BURST);
        plan.delete.truncate(BURST);
        let count = plan.create.len();
        let names: Vec<_> = plan.delete.iter().map(|pod| pods::name(&**pod).to_owned()).collect();
        self.expectations.expect_deletions(key, names, now);
        self.expectations.add_creations(key, i64::try_from(count).unwrap_or(i64::MAX), now);
        let (client, recorder) = (&self.client, &mut self.recorder);
        let mut nodes = plan.create.iter();
        let (created, result) = pod_control::slow_start(count, || match nodes.next() {
            Some(node) => pod_control::create(client, recorder, now, set, pod_for(set, node, hash)).map(drop),
            None => Ok(()),
        });
        for _ in created..count {
            self.expectations.creation_observed(key);
        }
        let mut result = match result {
            Err(error) if error.has_cause("NamespaceTerminating") => Ok(()),
            other => other,
        };
        for pod in &plan.delete {
            if let Err(error) = pod_control::delete(&self.client, &mut self.recorder, now, set, pod) {
                self.expectations.deletion_observed(key, pods::name(&**pod));
                if !error.is_not_found() {
                    result = result.and(Err(error));
                }
            }
        }
        result
    }

    fn write_status(&self, set: &DaemonSet, status: DaemonSetStatus) -> Result<(), ApiError> {
        let old = set.status.clone().unwrap_or_default();
        let counts = |status: &DaemonSetStatus| {
            let count = |count: Option<i32>| count.unwrap_or(0);
            [
                status.current_number_scheduled,
                status.desired_number_scheduled,
                status.number_misscheduled,
                status.number_ready,
                count(status.number_available),
                count(status.number_unavailable),
                count(status.updated_number_scheduled),
                count(status.collision_count),
            ]
        };
        if counts(&old) == counts(&status) && old.observed_generation == status.observed_generation {
            return Ok(());
        }
        self.client.update_status(DaemonSet { status: Some(status), ..set.clone() }).map(drop)
    }
}

impl Controller for DaemonSetController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.sets.poll(cx) {
            if let Event::Deleted(set) = &event {
                self.expectations.forget(&key_of(&**set));
            }
            if !matches!(&event, Event::Updated { old, new } if pods::same_revision(&**old, &**new)) {
                queue.add_for(key_of(&**event.object()), &**event.object());
            }
        }
        self.revisions.poll(cx);
        for event in self.nodes.poll(cx) {
            self.observe_node(&event, queue);
        }
        for event in self.pods.poll(cx) {
            self.observe_pod(&event, queue);
        }
    }

    fn synced(&self) -> bool {
        self.sets.synced() && self.revisions.synced() && self.nodes.synced() && self.pods.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let now = queue.now();
        let Some(set) = self.sets.get(key).filter(|set| !pods::is_deleting(&**set)) else { return Ok(()) };
        let Ok(selector) = Selector::from_label_selector(Some(&set.spec.selector)) else { return Ok(()) };
        if selector.is_everything() {
            let message = "This daemon set is selecting all pods. A non-empty selector is required.";
            self.recorder.event(now, &*set, EventType::Warning, "SelectingAll", message);
            return Ok(());
        }
        let candidates = |uid: &str| {
            let mut revisions = self.revisions.by_index(BY_CONTROLLER, uid);
            revisions.extend(self.revisions.by_index(ORPHANS, &key.namespace));
            let mut pods = self.pods.by_index(BY_CONTROLLER, uid);
            pods.extend(self.pods.by_index(ORPHANS, &key.namespace));
            (revisions, pods)
        };
        let (revisions, candidates) = candidates(pods::uid(&*set));
        let revisions = claim(&self.client, &*set, &selector, revisions)?;
        let mut collisions = set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
        let history =
            history::sync(&self.client, &*set, history::REVISION_HASH, &set.spec.template, revisions, &mut collisions)?;
        let hash = history::hash_label(&history.current).to_owned();
        let claimed = claim(&self.client, &*set, &selector, candidates)?;
        let (on_nodes, stray) = self.survey(&set, claimed);

        let desired = on_nodes.iter().filter(|node| node.placement.should_run).count();
        let bounds = bounds(&set, desired);
        let mut result = Ok(());
        if self.expectations.satisfied(key, now) {
            let mut plan = self.manage(&set, &on_nodes, bounds.0 > 0, now);
            plan.delete.extend(stray);
            let again = plan.again;
            if plan.create.is_empty() && plan.delete.is_empty() && is_rolling(&set) {
                plan = self.roll(&set, &on_nodes, &hash, bounds, now);
            }
            result = self.carry_out(&set, key, plan, &hash, now);
            if let Some(time) = again {
                queue.add_at(key.clone(), time);
            }
            let in_use = |revision: &ControllerRevision| {
                let label = history::hash_label(revision);
                on_nodes.iter().flat_map(|node| &node.pods).any(|pod| hash_of(pod) == label)
            };
            history::clean_up(&self.client, &history.old, set.spec.revision_history_limit, in_use)?;
        } else if let Some(deadline) = self.expectations.deadline(key) {
            queue.add_at(key.clone(), deadline);
        }
        let mut status = status_of(&set, &on_nodes, &hash, now);
        status.collision_count = Some(collisions).filter(|count| *count > 0);
        self.write_status(&set, status)?;
        let min_ready_seconds = set.spec.min_ready_seconds.unwrap_or(0);
        let all = on_nodes.iter().flat_map(|node| &node.pods);
        let next = all.filter_map(|pod| pods::available_at(pod, min_ready_seconds)).filter(|time| *time > now).min();
        if let Some(time) = next {
            queue.add_at(key.clone(), time);
        }
        result
    }
}
