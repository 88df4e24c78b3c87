//! Deployments: replaces the pods of one template by those of the next, a few at a time
//! (`pkg/controller/deployment`).
//!
//! [`arithmetic`] says how many, [`rollout`] does it, [`revisions`] keeps the history, [`status`]
//! reports.

use std::sync::Arc;

use client::{Client, Context, Event, EventRecorder, EventType, Informer, key_of};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::api::core::v1::Pod;
use machinery::labels::Selector;
use machinery::status::ApiError;
use machinery::{ObjectKey, Timestamp};

pub mod arithmetic;
pub mod revisions;
pub mod rollout;
pub mod status;

use crate::Setup;
use crate::claim::claim;
use crate::controller::{Controller, Queue};
use crate::pods::{self, BY_CONTROLLER, ORPHANS};
use rollout::Rollout;

/// The controller of Deployments.
pub struct DeploymentController {
    client: Client,
    recorder: EventRecorder,
    deployments: Informer<Deployment>,
    sets: Informer<ReplicaSet>,
    pods: Informer<Pod>,
}

impl DeploymentController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "deployment-controller", ""),
            deployments: setup.informers.informer(),
            sets: setup.dependents(),
            pods: setup.informers.informer().indexed(BY_CONTROLLER, pods::controller_uid),
        }
    }

    fn observe_set(&self, event: &Event<ReplicaSet>, queue: &mut Queue) {
        let set = event.object();
        if let Event::Updated { old, new } = event {
            if pods::same_revision(&**old, &**new) {
                return;
            }
            let before = self.deployment_of(old);
            if before != self.deployment_of(new)
                && let Some(key) = before
            {
                queue.add_for(key, &**new);
            }
        }
        if let Some(key) = self.deployment_of(set) {
            return queue.add_for(key, &**set);
        }
        if pods::controller_of(&set.metadata).is_some() || matches!(event, Event::Deleted(_)) {
            return;
        }
        for deployment in self.deployments.in_namespace(pods::namespace(&**set)) {
            let selector = Selector::from_label_selector(Some(&deployment.spec.selector));
            let matches =
                |selector: Selector| !selector.is_everything() && selector.matches(set.metadata.labels.as_ref());
            if selector.is_ok_and(matches) {
                queue.add_for(key_of(&*deployment), &**set);
            }
        }
    }

    /// The Deployment that controls the set, if it is the one with that uid.
    fn deployment_of(&self, set: &ReplicaSet) -> Option<ObjectKey> {
        let owner = pods::controller_of(&set.metadata).filter(|owner| owner.kind == "Deployment")?;
        let key = ObjectKey::new(pods::namespace(set), owner.name.as_str());
        self.deployments.get(&key).filter(|deployment| pods::uid(&**deployment) == owner.uid).map(|_| key)
    }

    /// A Deployment that recreates its pods waits for the last one to go.
    fn observe_pod(&self, event: &Event<Pod>, queue: &mut Queue) {
        let Event::Deleted(pod) = event else { return };
        let Some(owner) = pods::controller_of(&pod.metadata).filter(|owner| owner.kind == "ReplicaSet") else { return };
        let set = self.sets.get(&ObjectKey::new(pods::namespace(&**pod), owner.name.as_str()));
        let Some(key) = set.and_then(|set| self.deployment_of(&set)) else { return };
        if self.deployments.get(&key).is_some_and(|deployment| !arithmetic::is_rolling(&deployment)) {
            queue.add_for(key, &**pod);
        }
    }

    fn sync_deployment(
        &mut self,
        deployment: &Arc<Deployment>,
        sets: Vec<Arc<ReplicaSet>>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, ApiError> {
        let all = sets.clone();
        let mut rollout = Rollout::new(&self.client, &mut self.recorder, now, (**deployment).clone(), sets);
        if pods::is_deleting(&**deployment) {
            rollout.sync_revision(false)?;
            let status = status::calculate(&rollout.deployment, &rollout.all(), rollout.new.as_ref(), now);
            return rollout.write_status(status).map(|()| None);
        }
        if let Some(condition) = status::pause_condition(&rollout.deployment, now) {
            let mut status = rollout.deployment.status.clone().unwrap_or_default();
            status::set(&mut status, condition);
            rollout.write_status(status)?;
        }
        let paused = deployment.spec.paused == Some(true);
        if paused || rollout.was_scaled() {
            rollout.sync_revision(false)?;
            rollout.scale()?;
            if paused {
                rollout.clean_up()?;
            }
            let status = status::calculate(&rollout.deployment, &rollout.all(), rollout.new.as_ref(), now);
            return rollout.write_status(status).map(|()| None);
        }
        if arithmetic::is_rolling(deployment) {
            rollout.rolling()?;
        } else {
            let pods = &self.pods;
            rollout.recreate(|new| {
                let others = all.iter().filter(|set| new.is_none_or(|new| pods::uid(new) != pods::uid(&***set)));
                let mut left = others.flat_map(|set| pods.by_index(BY_CONTROLLER, pods::uid(&**set)));
                left.any(|pod| !pods::is_terminated(&pod))
            })?;
        }
        let status = status::of_rollout(&rollout.deployment, &rollout.all(), rollout.new.as_ref(), now);
        if status::is_complete(&rollout.deployment, &status) {
            rollout.clean_up()?;
        }
        let next = status::next_check(&rollout.deployment, &status);
        rollout.write_status(status).map(|()| next)
    }
}

impl Controller for DeploymentController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.deployments.poll(cx) {
            if !matches!(&event, Event::Updated { old, new } if pods::same_revision(&**old, &**new)) {
                queue.add_for(key_of(&**event.object()), &**event.object());
            }
        }
        for event in self.sets.poll(cx) {
            self.observe_set(&event, queue);
        }
        for event in self.pods.poll(cx) {
            self.observe_pod(&event, queue);
        }
    }

    fn synced(&self) -> bool {
        self.deployments.synced() && self.sets.synced() && self.pods.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let now = queue.now();
        let Some(deployment) = self.deployments.get(key) else { return Ok(()) };
        // Validation keeps selectors well-formed; a Deployment with another controls nothing.
        let Ok(selector) = Selector::from_label_selector(Some(&deployment.spec.selector)) else { return Ok(()) };
        if selector.is_everything() {
            let message = "This deployment is selecting all pods. A non-empty selector is required.";
            self.recorder.event(now, &*deployment, EventType::Warning, "SelectingAll", message);
            let old = deployment.status.clone().unwrap_or_default();
            if old.observed_generation < deployment.metadata.generation {
                let status = DeploymentStatus { observed_generation: deployment.metadata.generation, ..old };
                self.client.update_status(Deployment { status: Some(status), ..(*deployment).clone() })?;
            }
            return Ok(());
        }
        let mut candidates = self.sets.by_index(BY_CONTROLLER, pods::uid(&*deployment));
        candidates.extend(self.sets.by_index(ORPHANS, &key.namespace));
        let sets = claim(&self.client, &*deployment, &selector, candidates)?;
        if let Some(time) = self.sync_deployment(&deployment, sets, now)?.filter(|time| *time > now) {
            queue.add_at(key.clone(), time);
        }
        Ok(())
    }
}
