//! PodDisruptionBudgets: how many pods may be evicted now (`pkg/controller/disruption`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use client::{ApiResource, Client, Context, Event, EventRecorder, EventType, Informer, Patch, key_of};
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, ReplicationController};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, OwnerReference, Time};
use machinery::intorstring::{Round, scaled_value};
use machinery::labels::Selector;
use machinery::status::ApiError;
use machinery::time::{after, meta_time};
use machinery::{GroupVersionKind, GroupVersionResource, ObjectKey, Timestamp};
use serde_json::json;

use crate::Setup;
use crate::controller::{Controller, Queue};
use crate::metadata::go_selector;
use crate::pods;
use crate::replicaset::number;

/// A pod that was evicted counts as gone for so long, until its deletion is seen.
const DELETION_TIMEOUT: Duration = Duration::from_secs(2 * 60);
/// A pod that is to be disrupted, and is not, is no longer (`stalePodDisruptionTimeout`).
const STALE: Duration = Duration::from_secs(2 * 60);
/// The condition of a pod that is about to be disrupted.
const DISRUPTION_TARGET: &str = "DisruptionTarget";
/// Changes of pods are taken together for so long.
const POD_BATCH: Duration = Duration::from_millis(10);

/// The controller of disruption budgets.
pub struct DisruptionController {
    client: Client,
    recorder: EventRecorder,
    budgets: Informer<PodDisruptionBudget>,
    pods: Informer<Pod>,
    deployments: Informer<Deployment>,
    sets: Informer<ReplicaSet>,
    stateful_sets: Informer<StatefulSet>,
    controllers: Informer<ReplicationController>,
}

impl DisruptionController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "controllermanager", ""),
            budgets: setup.informers.informer(),
            pods: setup.informers.informer(),
            deployments: setup.informers.informer(),
            sets: setup.informers.informer(),
            stateful_sets: setup.informers.informer(),
            controllers: setup.informers.informer(),
        }
    }

    /// The uid of what scales the pods of an owner in the end, and the number of pods it wants.
    fn scale_of(&self, owner: &OwnerReference, pod: &Pod) -> Result<(String, i32), String> {
        let key = ObjectKey::new(pods::namespace(pod), owner.name.as_str());
        let found = match self.known_scale(owner, &key) {
            None => self.custom_scale(owner, &key)?,
            found => found,
        };
        found.ok_or_else(|| format!("found no controllers for pod {:?}", pods::name(pod)))
    }

    /// The scale of an owner of a kind that is watched; none where it is of another or is not there.
    fn known_scale(&self, owner: &OwnerReference, key: &ObjectKey) -> Option<(String, i32)> {
        let scale = |metadata: &ObjectMeta, owner: &OwnerReference, replicas: Option<i32>| {
            (metadata.uid.as_ref() == Some(&owner.uid)).then(|| (owner.uid.clone(), replicas.unwrap_or(1)))
        };
        match group_kind(owner) {
            ("", "ReplicationController") => {
                let found = self.controllers.get(key)?;
                scale(&found.metadata, owner, found.spec.as_ref().and_then(|spec| spec.replicas))
            }
            ("apps", "ReplicaSet") => {
                let set = self.sets.get(key).filter(|set| set.metadata.uid.as_ref() == Some(&owner.uid))?;
                let is_deployment = |above: &&OwnerReference| group_kind(above) == ("apps", "Deployment");
                let Some(above) = pods::controller_of(&set.metadata).filter(is_deployment) else {
                    return scale(&set.metadata, owner, set.spec.replicas);
                };
                let deployment = self.deployments.get(&ObjectKey::new(&*key.namespace, above.name.as_str()))?;
                scale(&deployment.metadata, above, deployment.spec.replicas)
            }
            ("apps", "StatefulSet") => {
                let set = self.stateful_sets.get(key)?;
                scale(&set.metadata, owner, set.spec.replicas)
            }
            _ => None,
        }
    }

    /// The uid of an owner of any kind with a scale, and the number of pods it wants; none where it is gone.
    fn custom_scale(&self, owner: &OwnerReference, key: &ObjectKey) -> Result<Option<(String, i32)>, String> {
        let wanted = GroupVersionKind::from_api_version(&owner.api_version, &owner.kind);
        let resources = match self.client.resources(&wanted.group, &wanted.version) {
            Err(error) if !error.is_not_found() => return Err(error.to_string()),
            resources => resources.unwrap_or_default(),
        };
        let is_wanted = |it: &&ApiResource| it.kind == wanted.kind && !it.resource.resource.contains('/');
        let Some(resource) = resources.iter().find(is_wanted) else {
            return Err(format!("no matches for kind {:?} in version {:?}", owner.kind, owner.api_version));
        };
        let GroupVersionResource { group, resource: name, .. } = &resource.resource;
        let scale = format!("{name}/scale");
        if !resources.iter().any(|it| it.resource.resource == scale) {
            let dot = if group.is_empty() { "" } else { "." };
            return Err(format!("{name}{dot}{group} does not implement the scale subresource"));
        }
        match self.client.get_path(&resource.path(&key.namespace, &key.name, "scale")) {
            Ok(scale) if scale["metadata"]["uid"] != *owner.uid => Ok(None),
            Ok(scale) => {
                let replicas = scale["spec"]["replicas"].as_i64().and_then(|count| i32::try_from(count).ok());
                Ok(Some((owner.uid.clone(), replicas.unwrap_or(0))))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// How many pods there should be, and how many of them must be healthy; and whether that leaves out pods that
    /// nothing controls.
    fn expected(&self, budget: &PodDisruptionBudget, selected: &[Arc<Pod>]) -> Result<(i32, i32, bool), String> {
        let spec = budget.spec.clone().unwrap_or_default();
        if let Some(max_unavailable) = &spec.max_unavailable {
            let (expected, unmanaged) = self.expected_scale(selected)?;
            let unavailable = scaled_value(max_unavailable, expected, Round::Up)?;
            return Ok((expected, (expected - unavailable).max(0), unmanaged));
        }
        let Some(min_available) = &spec.min_available else { return Ok((number(selected.len()), 0, false)) };
        if matches!(min_available, k8s_openapi::apimachinery::pkg::util::intstr::IntOrString::Int(_)) {
            return Ok((number(selected.len()), scaled_value(min_available, 0, Round::Up)?, false));
        }
        let (expected, unmanaged) = self.expected_scale(selected)?;
        Ok((expected, scaled_value(min_available, expected, Round::Up)?, unmanaged))
    }

    fn expected_scale(&self, selected: &[Arc<Pod>]) -> Result<(i32, bool), String> {
        let (mut scales, mut unmanaged) = (BTreeMap::new(), false);
        let mut known: Vec<&str> = Vec::new();
        for pod in selected {
            match pods::controller_of(&pod.metadata) {
                None => unmanaged = true,
                Some(owner) if known.contains(&owner.uid.as_str()) => {}
                Some(owner) => {
                    known.push(&owner.uid);
                    scales.extend([self.scale_of(owner, pod)?]);
                }
            }
        }
        Ok((scales.values().sum(), unmanaged))
    }

    /// A pod that was to be disrupted long ago is not to be any more.
    fn sync_pod(&self, key: &ObjectKey, queue: &mut Queue<Work>) -> Result<(), ApiError> {
        let Some(pod) = self.pods.get(key) else { return Ok(()) };
        match stale_at(&pod) {
            Some(time) if time > queue.now() => queue.add_at(Work::Pod(key.clone()), time),
            None => {}
            Some(_) => {
                let condition = json!({
                    "type": DISRUPTION_TARGET,
                    "status": "False",
                    "lastTransitionTime": meta_time(queue.now()),
                    "observedGeneration": pod.metadata.generation,
                    "reason": null,
                    "message": null,
                });
                let metadata = json!({ "uid": pod.metadata.uid, "resourceVersion": pod.metadata.resource_version });
                let patch = json!({ "metadata": metadata, "status": { "conditions": [condition] } });
                match self.client.patch_status::<Pod>(key, &Patch::Strategic(patch)) {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn write_status(&self, budget: &PodDisruptionBudget, status: PodDisruptionBudgetStatus) -> Result<(), ApiError> {
        if budget.status.as_ref() == Some(&status) {
            return Ok(());
        }
        self.client.update_status(PodDisruptionBudget { status: Some(status), ..budget.clone() }).map(drop)
    }
}

/// What is to be looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// A budget.
    Budget(ObjectKey),
    /// A pod with the condition DisruptionTarget.
    Pod(ObjectKey),
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Budget(key) | Self::Pod(key)) = self;
        key.fmt(f)
    }
}

impl Controller for DisruptionController {
    type Key = Work;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue<Work>) {
        for event in self.budgets.poll(cx) {
            if !matches!(&event, Event::Updated { old, new } if pods::same_revision(&**old, &**new)) {
                queue.add_for(Work::Budget(key_of(&**event.object())), &**event.object());
            }
        }
        let mut scaled = Vec::new();
        scaled.extend(self.deployments.poll(cx).iter().map(|event| pods::namespace(&**event.object()).to_owned()));
        scaled.extend(self.stateful_sets.poll(cx).iter().map(|event| pods::namespace(&**event.object()).to_owned()));
        scaled.extend(self.controllers.poll(cx).iter().map(|event| pods::namespace(&**event.object()).to_owned()));
        self.sets.poll(cx);
        scaled.dedup();
        for budget in scaled.iter().flat_map(|namespace| self.budgets.in_namespace(namespace)) {
            queue.add_after(Work::Budget(key_of(&*budget)), POD_BATCH);
        }
        for event in self.pods.poll(cx) {
            let pod = event.object();
            if let Some(time) = stale_at(pod) {
                queue.add_at(Work::Pod(key_of(&**pod)), time);
            }
            for budget in self.budgets.in_namespace(pods::namespace(&**pod)) {
                let selects = |pod: &Pod| selector(&budget).is_some_and(|s| s.matches(pod.metadata.labels.as_ref()));
                if selects(pod) || matches!(&event, Event::Updated { old, .. } if selects(old)) {
                    queue.add_for_after(Work::Budget(key_of(&*budget)), &**pod, POD_BATCH);
                }
            }
        }
    }

    fn synced(&self) -> bool {
        self.budgets.synced()
            && self.pods.synced()
            && self.deployments.synced()
            && self.sets.synced()
            && self.stateful_sets.synced()
            && self.controllers.synced()
    }

    fn sync(&mut self, work: &Work, queue: &mut Queue<Work>) -> Result<(), ApiError> {
        let now = queue.now();
        let key = match work {
            Work::Budget(key) => key,
            Work::Pod(key) => return self.sync_pod(key, queue),
        };
        let Some(budget) = self.budgets.get(key) else { return Ok(()) };
        let mut selected = self.pods.in_namespace(&key.namespace);
        let selector = selector(&budget);
        selected.retain(|pod| selector.as_ref().is_some_and(|s| s.matches(pod.metadata.labels.as_ref())));
        if selected.is_empty() {
            let message = "No matching pods found";
            self.recorder.event(now, &*budget, EventType::Normal, "NoPods", message);
        }
        let old = budget.status.clone().unwrap_or_default();
        let (expected, desired, unmanaged) = match self.expected(&budget, &selected) {
            Ok(found) => found,
            Err(problem) => {
                let message = format!("Failed to calculate the number of expected pods: {problem}");
                self.recorder.event(now, &*budget, EventType::Warning, "CalculateExpectedPodCountFailed", &message);
                let status = PodDisruptionBudgetStatus {
                    disruptions_allowed: Some(0),
                    conditions: Some(conditions(&old, false, "SyncFailed", &problem, &budget, now)),
                    ..old
                };
                return self.write_status(&budget, status);
            }
        };
        if unmanaged {
            let selector = go_selector(budget.spec.as_ref().and_then(|spec| spec.selector.as_ref()));
            let message = format!(
                "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a \
                 result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior. \
                 To account for these pods please set \".spec.minAvailable\" field of the PDB to an integer value."
            );
            self.recorder.event(now, &*budget, EventType::Warning, "UnmanagedPods", &message);
        }
        let disrupted = still_disrupted(&old, &selected, now);
        let expected_to_go = |pod: &&Arc<Pod>| {
            let listed = |pods: &BTreeMap<String, Time>| pods.contains_key(pods::name(&***pod));
            !pods::is_deleting(&***pod) && old.disrupted_pods.as_ref().is_some_and(listed) && !listed(&disrupted)
        };
        for pod in selected.iter().filter(expected_to_go) {
            // The namespace twice, as upstream.
            let message = format!("Pod was expected by PDB {0}/{0} to be deleted but it wasn't", key.namespace);
            self.recorder.event(now, &**pod, EventType::Warning, "NotDeleted", &message);
        }
        let healthy = selected
            .iter()
            .filter(|pod| !pods::is_deleting(&***pod) && !disrupted.contains_key(pods::name(&***pod)))
            .filter(|pod| pods::is_ready(pod))
            .count();
        let allowed = if expected > 0 { (number(healthy) - desired).max(0) } else { 0 };
        if let Some(time) = disrupted.values().map(|time| after(time.0, DELETION_TIMEOUT)).min() {
            queue.add_at(work.clone(), after(time, Duration::from_secs(1)));
        }
        let reason = if allowed > 0 { "SufficientPods" } else { "InsufficientPods" };
        let status = PodDisruptionBudgetStatus {
            current_healthy: Some(number(healthy)),
            desired_healthy: Some(desired),
            expected_pods: Some(expected),
            disruptions_allowed: Some(allowed),
            conditions: Some(conditions(&old, allowed > 0, reason, "", &budget, now)),
            disrupted_pods: Some(disrupted).filter(|pods| !pods.is_empty()),
            observed_generation: budget.metadata.generation,
        };
        self.write_status(&budget, status)
    }
}

/// When a pod that is to be disrupted is taken not to be; none where it is not to be, or is going. What its node says of
/// it stands.
pub fn stale_at(pod: &Pod) -> Option<Timestamp> {
    let condition = pods::condition(pod, DISRUPTION_TARGET).filter(|condition| condition.status == "True")?;
    let goes = pods::is_deleting(pod) || pods::is_terminated(pod);
    let stands = goes || condition.reason.as_deref() == Some("TerminationByKubelet");
    let since = condition.last_transition_time.as_ref().filter(|_| !stands)?;
    Some(after(since.0, STALE))
}

fn group_kind(owner: &OwnerReference) -> (&str, &str) {
    (owner.api_version.split_once('/').map_or("", |(group, _)| group), &owner.kind)
}

/// Which pods the budget is for. An empty selector selects all, none at all selects nothing.
fn selector(budget: &PodDisruptionBudget) -> Option<Selector> {
    let selector = budget.spec.as_ref()?.selector.as_ref()?;
    Selector::from_label_selector(Some(selector)).ok()
}

/// Evicted pods that are neither gone nor given up on.
fn still_disrupted(old: &PodDisruptionBudgetStatus, selected: &[Arc<Pod>], now: Timestamp) -> BTreeMap<String, Time> {
    let mut disrupted = old.disrupted_pods.clone().unwrap_or_default();
    disrupted.retain(|name, since| {
        let there = selected.iter().any(|pod| pods::name(&**pod) == name && !pods::is_deleting(&**pod));
        there && after(since.0, DELETION_TIMEOUT) > now
    });
    disrupted
}

fn conditions(
    old: &PodDisruptionBudgetStatus,
    allowed: bool,
    reason: &str,
    message: &str,
    budget: &PodDisruptionBudget,
    now: Timestamp,
) -> Vec<Condition> {
    const KIND: &str = "DisruptionAllowed";
    let status = if allowed { "True" } else { "False" };
    let mut conditions = old.conditions.clone().unwrap_or_default();
    let before = conditions.iter().find(|condition| condition.type_ == KIND && condition.status == status);
    let since = before.map_or_else(|| meta_time(now), |condition| condition.last_transition_time.clone());
    conditions.retain(|condition| condition.type_ != KIND);
    conditions.push(Condition {
        type_: KIND.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        last_transition_time: since,
        observed_generation: budget.metadata.generation,
    });
    conditions
}
