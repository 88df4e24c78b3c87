//! One sync of a Deployment: finds or makes its ReplicaSets, and scales them towards what it wants.

use std::sync::Arc;

use client::{Client, DeleteOptions, EventRecorder, EventType, key_of};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::sort::Order;
use machinery::status::ApiError;
use machinery::{ObjectKey, Timestamp};

use super::arithmetic::{self, available, is_rolling, max_replicas, size, sum, wanted};
use super::revisions::{self, REVISION, TEMPLATE_HASH, age, revision};
use super::status::{self, PROGRESSING};
use crate::claim::controller_reference;
use crate::pods;

/// What one sync works with. Sets and Deployment are kept as the server last answered them.
pub struct Rollout<'a> {
    /// The controller's client.
    pub client: &'a Client,
    /// The controller's recorder.
    pub recorder: &'a mut EventRecorder,
    /// The time of the sync.
    pub now: Timestamp,
    /// The Deployment.
    pub deployment: Deployment,
    /// The set of its present template, once there is one.
    pub new: Option<Arc<ReplicaSet>>,
    /// The sets of former templates, oldest first.
    pub old: Vec<Arc<ReplicaSet>>,
}

impl<'a> Rollout<'a> {
    /// A sync of `deployment` over the ReplicaSets it controls.
    pub fn new(
        client: &'a Client,
        recorder: &'a mut EventRecorder,
        now: Timestamp,
        deployment: Deployment,
        mut sets: Vec<Arc<ReplicaSet>>,
    ) -> Self {
        sets.order_by(|a, b| age(a).cmp(&age(b)));
        let new = revisions::find_new(&deployment, &sets);
        if let Some(new) = &new {
            sets.retain(|set| pods::uid(&**set) != pods::uid(&**new));
        }
        Self { client, recorder, now, deployment, new, old: sets }
    }

    /// All sets, old ones first.
    pub fn all(&self) -> Vec<Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new).cloned().collect()
    }

    fn total(&self) -> i32 {
        sum(self.all().iter().map(|set| size(set)))
    }

    /// Gives the new set its revision and annotations, and the Deployment its revision; makes the new
    /// set where there is none and `create` says so.
    ///
    /// # Errors
    /// What the server answered.
    pub fn sync_revision(&mut self, create: bool) -> Result<(), ApiError> {
        let next = self.old.iter().map(|set| revision(&**set)).max().unwrap_or(0).saturating_add(1);
        match self.new.clone() {
            Some(set) => self.sync_existing(&set, next),
            None if create => self.create_set(next),
            None => Ok(()),
        }
    }

    fn sync_existing(&mut self, set: &ReplicaSet, next: i64) -> Result<(), ApiError> {
        let mut changed = set.clone();
        let annotated = revisions::note_revision(&mut changed, &self.deployment, next);
        let min_ready_seconds = self.deployment.spec.min_ready_seconds;
        let settled = set.spec.min_ready_seconds.unwrap_or(0) == min_ready_seconds.unwrap_or(0);
        if annotated || !settled {
            changed.spec.min_ready_seconds = min_ready_seconds;
            let updated = self.client.update(changed)?;
            self.new = Some(updated);
        }
        let message = format!("Found new replica set {:?}", pods::name(set));
        let unknown = status::find(self.deployment.status.as_ref(), PROGRESSING).is_none();
        let revision = self.new.as_ref().map_or(0, |set| revision(&**set));
        self.note_progress(revision, unknown.then_some(("FoundNewReplicaSet", message)))
    }

    fn create_set(&mut self, next: i64) -> Result<(), ApiError> {
        let collisions = self.deployment.status.as_ref().and_then(|status| status.collision_count);
        let hash = revisions::template_hash(&self.deployment.spec.template, collisions);
        let mut set = self.set_of_template(&hash);
        let count = arithmetic::new_set_size(&self.deployment, 0, self.total());
        set.spec.replicas = Some(count);
        revisions::note_revision(&mut set, &self.deployment, next);
        revisions::note_replicas(&mut set, &self.deployment);
        let name = pods::name(&set).to_owned();
        let progress = match self.client.create(set) {
            Ok(created) => {
                if count > 0 {
                    self.scaling_event(&format!("Scaled up replica set {name} from 0 to {count}"));
                }
                self.new = Some(created);
                Some(("NewReplicaSetCreated", format!("Created new replica set {name:?}")))
            }
            Err(error) if error.is_already_exists() => {
                self.take_over(&name, error)?;
                None
            }
            Err(error) if error.has_cause("NamespaceTerminating") => return Err(error),
            Err(error) => return Err(self.creation_failed(&name, error)),
        };
        self.note_progress(next, progress)
    }

    /// A set of this name exists: ours, not yet in the cache, or another's, whose hash collides.
    fn take_over(&mut self, name: &str, error: ApiError) -> Result<(), ApiError> {
        let key = ObjectKey::new(pods::namespace(&self.deployment), name);
        let set = self.client.get::<ReplicaSet>(&key)?;
        let ours = pods::controller_of(&set.metadata).is_some_and(|owner| owner.uid == pods::uid(&self.deployment));
        let template = set.spec.template.as_ref();
        if ours && template.is_some_and(|template| revisions::same_template(template, &self.deployment.spec.template)) {
            self.new = Some(set);
            return Ok(());
        }
        let mut status = self.deployment.status.clone().unwrap_or_default();
        status.collision_count = Some(status.collision_count.unwrap_or(0).saturating_add(1));
        self.write_status(status)?;
        Err(error)
    }

    fn creation_failed(&mut self, name: &str, error: ApiError) -> ApiError {
        const REASON: &str = "ReplicaSetCreateError";
        let message = format!("Failed to create new replica set {name:?}: {error}");
        if status::deadline(&self.deployment).is_some() {
            let mut failed = self.deployment.status.clone().unwrap_or_default();
            status::set(&mut failed, status::condition(PROGRESSING, "False", REASON, message.clone(), self.now));
            // The sync fails with the first error in any case.
            let _ = self.write_status(failed);
        }
        self.recorder.event(self.now, &self.deployment, EventType::Warning, REASON, &message);
        error
    }

    fn set_of_template(&self, hash: &str) -> ReplicaSet {
        let deployment = &self.deployment;
        let mut template = deployment.spec.template.clone();
        let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
        labels.insert(TEMPLATE_HASH.into(), hash.into());
        let labels = labels.clone();
        let mut selector = deployment.spec.selector.clone();
        selector.match_labels.get_or_insert_default().insert(TEMPLATE_HASH.into(), hash.into());
        ReplicaSet {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", pods::name(deployment))),
                namespace: deployment.metadata.namespace.clone(),
                labels: Some(labels),
                owner_references: Some(vec![controller_reference(deployment)]),
                ..ObjectMeta::default()
            },
            spec: ReplicaSetSpec {
                replicas: Some(0),
                min_ready_seconds: deployment.spec.min_ready_seconds,
                selector,
                template: Some(template),
            },
            status: None,
        }
    }

    /// Writes the revision on the Deployment and a condition of progress, where they are new.
    fn note_progress(&mut self, revision: i64, progress: Option<(&str, String)>) -> Result<(), ApiError> {
        let text = revision.to_string();
        if pods::annotation(&self.deployment, REVISION) != Some(text.as_str()) {
            let mut deployment = self.deployment.clone();
            deployment.metadata.annotations.get_or_insert_default().insert(REVISION.into(), text);
            self.deployment = (*self.client.update(deployment)?).clone();
        }
        if let Some((reason, message)) = progress.filter(|_| status::deadline(&self.deployment).is_some()) {
            let mut status = self.deployment.status.clone().unwrap_or_default();
            status::set(&mut status, status::condition(PROGRESSING, "True", reason, message, self.now));
            self.write_status(status)?;
        }
        Ok(())
    }

    /// Writes the status, where it says something new.
    ///
    /// # Errors
    /// What the server answered.
    pub fn write_status(&mut self, status: DeploymentStatus) -> Result<(), ApiError> {
        if status::same(self.deployment.status.as_ref(), &status) {
            return Ok(());
        }
        let deployment = Deployment { status: Some(status), ..self.deployment.clone() };
        self.deployment = (*self.client.update_status(deployment)?).clone();
        Ok(())
    }

    fn scaling_event(&mut self, message: &str) {
        self.recorder.event(self.now, &self.deployment, EventType::Normal, "ScalingReplicaSet", message);
    }

    /// Tells a set its size and what the Deployment wants; whether its size changed.
    fn scale_set(&mut self, set: &Arc<ReplicaSet>, replicas: i32) -> Result<bool, ApiError> {
        let resized = size(set) != replicas;
        let mut scaled = (**set).clone();
        if !revisions::note_replicas(&mut scaled, &self.deployment) && !resized {
            return Ok(false);
        }
        scaled.spec.replicas = Some(replicas);
        let updated = self.client.update(scaled)?;
        if resized {
            let direction = if replicas > size(set) { "up" } else { "down" };
            let (name, from) = (pods::name(&**set), size(set));
            self.scaling_event(&format!("Scaled {direction} replica set {name} from {from} to {replicas}"));
        }
        for place in self.old.iter_mut().chain(&mut self.new) {
            if pods::uid(&**place) == pods::uid(&*updated) {
                place.clone_from(&updated);
            }
        }
        Ok(resized)
    }

    /// [`Rollout::scale_set`], for a size that differs.
    fn resize(&mut self, set: &Arc<ReplicaSet>, replicas: i32) -> Result<bool, ApiError> {
        if size(set) == replicas { Ok(false) } else { self.scale_set(set, replicas) }
    }

    fn active(sets: &[Arc<ReplicaSet>]) -> Vec<Arc<ReplicaSet>> {
        sets.iter().filter(|set| size(set) > 0).cloned().collect()
    }

    /// Whether the Deployment was scaled since its sets were.
    pub fn was_scaled(&self) -> bool {
        let active = Self::active(&self.all());
        active
            .iter()
            .any(|set| revisions::desired_when_scaled(set).is_some_and(|desired| desired != wanted(&self.deployment)))
    }

    /// Scales the sets to what the Deployment wants, without moving the rollout on: the only active
    /// one; or those of a rollout that is done; or all in proportion.
    ///
    /// # Errors
    /// What the server answered.
    pub fn scale(&mut self) -> Result<(), ApiError> {
        let wanted = wanted(&self.deployment);
        let active = Self::active(&self.all());
        match active.as_slice() {
            [] => match self.new.clone().or_else(|| self.old.last().cloned()) {
                Some(latest) => self.resize(&latest, wanted).map(drop),
                None => Ok(()),
            },
            [only] => self.resize(only, wanted).map(drop),
            _ if self.is_saturated() => {
                for set in Self::active(&self.old) {
                    self.resize(&set, 0)?;
                }
                Ok(())
            }
            _ if is_rolling(&self.deployment) => self.scale_proportionally(active),
            _ => Ok(()),
        }
    }

    fn is_saturated(&self) -> bool {
        let wanted = wanted(&self.deployment);
        self.new.as_ref().is_some_and(|set| {
            revisions::desired_when_scaled(set) == Some(wanted) && size(set) == wanted && available(set) == wanted
        })
    }

    fn scale_proportionally(&mut self, mut sets: Vec<Arc<ReplicaSet>>) -> Result<(), ApiError> {
        let wanted = wanted(&self.deployment);
        let allowed = if wanted > 0 { max_replicas(&self.deployment) } else { 0 };
        let to_add = allowed - sum(sets.iter().map(|set| size(set)));
        // The largest first; of equals, the newest grows and the oldest shrinks first.
        sets.order_by(|a, b| {
            let by_age = if to_add > 0 { age(b).cmp(&age(a)) } else { age(a).cmp(&age(b)) };
            size(b).cmp(&size(a)).then(by_age)
        });
        let present = self.deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or(0);
        let before = |set: &Arc<ReplicaSet>| revisions::max_when_scaled(set).filter(|max| *max > 0).unwrap_or(present);
        let sizes: Vec<i32> = sets.iter().map(|set| size(set)).collect();
        let before: Vec<i32> = sets.iter().map(before).collect();
        let sizes = arithmetic::proportional_sizes(&self.deployment, &sizes, &before, to_add);
        for (set, size) in sets.iter().zip(sizes) {
            self.scale_set(set, size)?;
        }
        Ok(())
    }

    /// One step of a rolling update: the new set up, or else old sets down.
    ///
    /// # Errors
    /// What the server answered.
    pub fn rolling(&mut self) -> Result<(), ApiError> {
        self.sync_revision(true)?;
        let Some(new) = self.new.clone() else { return Ok(()) };
        let wanted = wanted(&self.deployment);
        let target = if size(&new) > wanted {
            wanted
        } else {
            arithmetic::new_set_size(&self.deployment, size(&new), self.total())
        };
        if self.resize(&new, target)? {
            return Ok(());
        }
        self.shrink_old(&new)
    }

    fn shrink_old(&mut self, new: &ReplicaSet) -> Result<(), ApiError> {
        if Self::active(&self.old).is_empty() {
            return Ok(());
        }
        let max = arithmetic::max_scaled_down(&self.deployment, self.total(), size(new), available(new));
        if max <= 0 {
            return Ok(());
        }
        // Pods that are not available go first: they keep the rollout from moving on and serve nobody.
        let mut left = max;
        for set in Self::active(&self.old) {
            let unhealthy = (size(&set) - available(&set)).min(left);
            if unhealthy > 0 {
                self.resize(&set, size(&set) - unhealthy)?;
                left -= unhealthy;
            }
        }
        let min_available = wanted(&self.deployment) - arithmetic::max_unavailable(&self.deployment);
        // A set that was scaled down just now may still count pods that go: not more than `max` in all.
        let mut left = left.min(sum(self.all().iter().map(|set| available(set))) - min_available);
        for set in Self::active(&self.old) {
            let count = size(&set).min(left);
            if count > 0 {
                self.resize(&set, size(&set) - count)?;
                left -= count;
            }
        }
        Ok(())
    }

    /// One step of a recreation: all old pods go before the first new one comes. `old_pods_run` tells
    /// whether pods of other sets than the given one are left.
    ///
    /// # Errors
    /// What the server answered.
    pub fn recreate(&mut self, old_pods_run: impl Fn(Option<&ReplicaSet>) -> bool) -> Result<(), ApiError> {
        self.sync_revision(false)?;
        let old = Self::active(&self.old);
        for set in &old {
            self.resize(set, 0)?;
        }
        let reported = self.old.iter().filter_map(|set| set.status.as_ref()).any(|status| status.replicas > 0);
        if !old.is_empty() || reported || old_pods_run(self.new.as_deref()) {
            return Ok(());
        }
        if self.new.is_none() {
            self.sync_revision(true)?;
        }
        match self.new.clone() {
            Some(new) => self.resize(&new, wanted(&self.deployment)).map(drop),
            None => Ok(()),
        }
    }

    /// Deletes the oldest of the old sets that are more than the history may hold.
    ///
    /// # Errors
    /// What the server answered.
    pub fn clean_up(&mut self) -> Result<(), ApiError> {
        let limit = match self.deployment.spec.revision_history_limit {
            Some(limit) if limit != i32::MAX => usize::try_from(limit).unwrap_or(0),
            _ => return Ok(()),
        };
        let mut sets: Vec<_> = self.old.iter().filter(|set| !pods::is_deleting(&***set)).cloned().collect();
        let surplus = sets.len().saturating_sub(limit);
        sets.order_by_key(|set| revision(&**set));
        for set in sets.iter().take(surplus) {
            let status = set.status.as_ref();
            let observed = status.and_then(|status| status.observed_generation) >= set.metadata.generation;
            if status.is_some_and(|status| status.replicas != 0) || size(set) != 0 || !observed {
                continue;
            }
            match self.client.delete::<ReplicaSet>(&key_of(&**set), &DeleteOptions::default()) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
