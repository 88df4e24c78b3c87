//! Empties namespaces that are being deleted, then lets them go (`pkg/controller/namespace`).

use std::collections::BTreeMap;
use std::time::Duration;

use client::{ApiResource, Client, Context, DeleteOptions, Event, Informer, Propagation, key_of};
use k8s_openapi::api::core::v1::{Namespace, NamespaceCondition};
use machinery::status::ApiError;
use machinery::time::meta_time;
use machinery::{Encoded, ObjectKey, Timestamp};

use crate::Setup;
use crate::controller::{Controller, Queue};
use crate::metadata::metadata_of;
use crate::pods;

/// The finalizer in a namespace's spec that stands for its content.
const FINALIZER: &str = "kubernetes";
/// What is still there, because it takes its time or has finalizers, is looked at again so soon.
const RETRY: Duration = Duration::from_secs(1);

/// The controller of namespaces that are being deleted.
pub struct NamespaceController {
    client: Client,
    namespaces: Informer<Namespace>,
}

/// What is left in a namespace after everything was told to go.
#[derive(Default)]
struct Remaining {
    /// Objects by resource.
    resources: BTreeMap<String, usize>,
    /// Objects by the finalizer that holds them.
    finalizers: BTreeMap<String, usize>,
    /// What could not be deleted.
    errors: Vec<String>,
}

impl NamespaceController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self { client: client.clone(), namespaces: setup.informers.informer() }
    }

    /// Deletes all there is, pods first: what they use stays until they are gone.
    fn delete_content(&self, namespace: &str) -> Result<Remaining, ApiError> {
        let mut resources = self.client.preferred_resources()?;
        resources.retain(|resource| resource.namespaced && resource.offers(&["delete", "list"]));
        let mut remaining = Remaining::default();
        let (pods, others): (Vec<_>, Vec<_>) = resources.into_iter().partition(|resource| resource.kind == "Pod");
        for resources in [pods, others] {
            for resource in &resources {
                if let Err(error) = self.delete_all(resource, namespace, &mut remaining) {
                    remaining.errors.push(error.to_string());
                }
            }
            if !remaining.is_empty() {
                break;
            }
        }
        Ok(remaining)
    }

    fn delete_all(&self, resource: &ApiResource, namespace: &str, remaining: &mut Remaining) -> Result<(), ApiError> {
        let path = resource.path(namespace, "", "");
        let present = self.client.list_path(&path)?.items;
        if present.is_empty() {
            return Ok(());
        }
        let options = DeleteOptions { propagation: Some(Propagation::Background), ..DeleteOptions::default() };
        if resource.offers(&["deletecollection"]) {
            self.client.delete_path(&path, &options)?;
        } else {
            for object in &present {
                match self.client.delete_path(&resource.path(namespace, &name_of(object), ""), &options) {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => {}
                }
            }
        }
        for object in self.client.list_path(&path)?.items {
            let group = &resource.resource;
            let name = [group.resource.as_str(), group.group.as_str()].join(".");
            *remaining.resources.entry(name).or_default() += 1;
            for finalizer in finalizers_of(&object) {
                *remaining.finalizers.entry(finalizer).or_default() += 1;
            }
        }
        Ok(())
    }

    fn write_conditions(
        &self,
        namespace: &Namespace,
        remaining: &Remaining,
        now: Timestamp,
    ) -> Result<Namespace, ApiError> {
        let mut updated = namespace.clone();
        let status = updated.status.get_or_insert_default();
        status.phase = Some("Terminating".into());
        let conditions = status.conditions.get_or_insert_default();
        for (kind, is, reason, message) in remaining.conditions() {
            let status = if is { "True" } else { "False" };
            let position = conditions.iter().position(|condition| condition.type_ == kind);
            let current = position.and_then(|position| conditions.get_mut(position));
            let condition = NamespaceCondition {
                type_: kind.into(),
                status: status.into(),
                reason: Some(reason.into()),
                message: Some(message),
                last_transition_time: Some(meta_time(now)),
            };
            match current {
                Some(current) if current.status == condition.status && current.message == condition.message => {}
                Some(current) => *current = condition,
                None => conditions.push(condition),
            }
        }
        if updated.status == namespace.status {
            return Ok(updated);
        }
        self.client.update_status(updated).map(|namespace| (*namespace).clone())
    }

    fn finalize(&self, mut namespace: Namespace) -> Result<(), ApiError> {
        if let Some(finalizers) = namespace.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
        }
        match self.client.replace(namespace, "finalize") {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Controller for NamespaceController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.namespaces.poll(cx) {
            let namespace = event.object();
            if pods::is_deleting(&**namespace) && !matches!(event, Event::Deleted(_)) {
                queue.add_for(key_of(&**namespace), &**namespace);
            }
        }
    }

    fn synced(&self) -> bool {
        self.namespaces.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let Some(namespace) = self.namespaces.get(key).filter(|namespace| pods::is_deleting(&**namespace)) else {
            return Ok(());
        };
        let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_deref()).unwrap_or_default();
        if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        let remaining = self.delete_content(&key.name)?;
        let updated = self.write_conditions(&namespace, &remaining, queue.now())?;
        if let Some(error) = remaining.errors.first() {
            return Err(ApiError::internal(error));
        }
        if remaining.is_empty() {
            return self.finalize(updated);
        }
        queue.add_after(key.clone(), RETRY);
        Ok(())
    }
}

impl Remaining {
    fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.errors.is_empty()
    }

    /// Type, status, reason and message of each condition.
    fn conditions(&self) -> [(&'static str, bool, &'static str, String); 5] {
        let list = |counts: &BTreeMap<String, usize>, what: &str| {
            let parts: Vec<_> =
                counts.iter().map(|(name, count)| format!("{name} {what} {count} resource instances")).collect();
            parts.join(", ")
        };
        let content = match self.errors.as_slice() {
            [] => (false, "ContentDeleted", "All content successfully deleted, may be waiting on finalization".into()),
            errors => (
                true,
                "ContentDeletionFailed",
                format!("Failed to delete all resource types, {} remaining: {}", errors.len(), errors.join(", ")),
            ),
        };
        let resources = if self.resources.is_empty() {
            (false, "ContentRemoved", "All content successfully removed".into())
        } else {
            (true, "SomeResourcesRemain", format!("Some resources are remaining: {}", list(&self.resources, "has")))
        };
        let finalizers = if self.finalizers.is_empty() {
            (false, "ContentHasNoFinalizers", "All content-preserving finalizers finished".into())
        } else {
            let list = list(&self.finalizers, "in");
            (true, "SomeFinalizersRemain", format!("Some content in the namespace has finalizers remaining: {list}"))
        };
        let of = |kind, (is, reason, message)| (kind, is, reason, message);
        [
            of(
                "NamespaceDeletionDiscoveryFailure",
                (false, "ResourcesDiscovered", "All resources successfully discovered".to_owned()),
            ),
            of(
                "NamespaceDeletionGroupVersionParsingFailure",
                (false, "ParsedGroupVersions", "All legacy kube types successfully parsed".to_owned()),
            ),
            of("NamespaceDeletionContentFailure", content),
            of("NamespaceContentRemaining", resources),
            of("NamespaceFinalizersRemaining", finalizers),
        ]
    }
}

fn name_of(object: &Encoded) -> String {
    metadata_of(object).and_then(|metadata| metadata.name.clone()).unwrap_or_default()
}

fn finalizers_of(object: &Encoded) -> Vec<String> {
    metadata_of(object).and_then(|metadata| metadata.finalizers.clone()).unwrap_or_default()
}
