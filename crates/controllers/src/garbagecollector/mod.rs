//! Deletes what nobody owns any more, holds back owners that wait for their dependents, and sets
//! dependents free (`pkg/controller/garbagecollector`).
//!
//! The [`graph`] follows the metadata of every resource that can be listed, watched and deleted; the
//! collector asks the server before it acts, so what is not yet in the graph is never taken for gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use client::{
    ApiResource, Client, Context, DeleteOptions, Delta, EventRecorder, EventType, ListOptions, Patch, Propagation,
    Reflector,
};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use machinery::sort::Order;
use machinery::status::ApiError;
use machinery::{Encoded, GroupVersionKind, Timestamp};
use serde_json::{Value, json};

pub mod graph;

use crate::controller::{Controller, Queue};
use crate::metadata::metadata_of;
use graph::{FOREGROUND, Graph, ORPHAN, Uid, Work};

/// How often the server is asked for resources that are new or gone.
const DISCOVERY_PERIOD: Duration = Duration::from_secs(30);
/// Kinds that nobody owns and that come in masses.
const IGNORED: &str = "Event";
/// What a resource must offer for its objects to be collected.
const VERBS: [&str; 3] = ["delete", "list", "watch"];

/// The garbage collector.
pub struct GarbageCollector {
    client: Client,
    recorder: EventRecorder,
    monitors: Vec<Monitor>,
    graph: Graph,
    next_discovery: Timestamp,
}

/// One resource that is followed.
struct Monitor {
    resource: ApiResource,
    /// Absent once the server no longer has the resource; its place in the table stays.
    reflector: Option<Reflector>,
    woken: Arc<Woken>,
    synced: bool,
}

/// Tells which of many watches has something, so that not all are asked each time.
struct Woken {
    flag: AtomicBool,
    waker: std::sync::Mutex<Option<Waker>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.flag.store(true, Ordering::Release);
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            waker.wake_by_ref();
        }
    }
}

/// What an owner reference refers to.
enum Owner {
    /// There, and staying.
    Solid,
    /// Gone, or another object under its name.
    Dangling,
    /// There, and waiting for its dependents to go.
    Waiting,
}

impl GarbageCollector {
    /// A collector that reads for itself: it follows everything, but only metadata.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "garbage-collector-controller", ""),
            monitors: Vec::new(),
            graph: Graph::default(),
            next_discovery: Timestamp::MIN,
        }
    }

    fn discover(&mut self, now: Timestamp) {
        // Cut off: what is followed already goes on being followed.
        let Ok(mut resources) = self.client.preferred_resources() else {
            self.next_discovery = machinery::time::after(now, Duration::from_secs(1));
            return;
        };
        self.next_discovery = machinery::time::after(now, DISCOVERY_PERIOD);
        resources.retain(|resource| resource.offers(&VERBS) && resource.kind != IGNORED);
        for monitor in &mut self.monitors {
            if !resources.contains(&monitor.resource) {
                monitor.reflector = None;
            }
        }
        for resource in resources {
            let reflector = Reflector::new(self.client.clone(), resource.path("", "", ""), ListOptions::default());
            match self.monitors.iter_mut().find(|monitor| monitor.resource == resource) {
                Some(monitor) if monitor.reflector.is_some() => {}
                Some(monitor) => {
                    monitor.reflector = Some(reflector);
                    monitor.woken.flag.store(true, Ordering::Release);
                }
                None => self.monitors.push(Monitor {
                    resource,
                    reflector: Some(reflector),
                    woken: Arc::new(Woken { flag: AtomicBool::new(true), waker: std::sync::Mutex::default() }),
                    synced: false,
                }),
            }
        }
    }

    /// Takes what one resource's watch has; what that asks to be looked at, each with its cause.
    fn follow(&mut self, index: usize, cx: &mut Context<'_>) -> Vec<(Work, u64)> {
        let Some(monitor) = self.monitors.get_mut(index) else { return Vec::new() };
        let Some(reflector) = &mut monitor.reflector else { return Vec::new() };
        let due = reflector.next_wake().is_some_and(|time| time <= cx.now());
        if !monitor.woken.flag.swap(false, Ordering::AcqRel) && !due {
            cx_wake(cx, reflector);
            return Vec::new();
        }
        *monitor.woken.waker.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(cx.waker().clone());
        let deltas = reflector.poll(cx.now(), &Waker::from(monitor.woken.clone()));
        cx_wake(cx, reflector);
        let mut work = Vec::new();
        for delta in deltas {
            match delta {
                Delta::Changed(object) => {
                    self.changed(index, &object, &mut work);
                }
                Delta::Deleted(object) => {
                    if let Some(metadata) = metadata_of(&object) {
                        let cause = revision(&metadata);
                        let removed = self.graph.removed(Uid::new(metadata.uid.as_deref().unwrap_or_default()));
                        work.extend(removed.into_iter().map(|item| (item, cause)));
                    }
                }
                Delta::Replaced(objects) => {
                    let mut gone = self.graph.of_resource(index);
                    let mut there: Vec<Uid> =
                        objects.iter().filter_map(|object| self.changed(index, object, &mut work)).collect();
                    there.order();
                    gone.retain(|uid| there.binary_search(uid).is_err());
                    for uid in gone {
                        work.extend(self.graph.removed(uid).into_iter().map(|item| (item, 0)));
                    }
                    if let Some(monitor) = self.monitors.get_mut(index) {
                        monitor.synced = true;
                    }
                }
            }
        }
        work
    }

    fn changed(&mut self, index: usize, object: &Encoded, work: &mut Vec<(Work, u64)>) -> Option<Uid> {
        let metadata = metadata_of(object)?;
        let monitors = &self.monitors;
        let items = self.graph.observe(index, &metadata, |owner| resource_of(monitors, owner));
        work.extend(items.into_iter().map(|item| (item, revision(&metadata))));
        metadata.uid.as_deref().map(Uid::new)
    }

    fn resource(&self, index: usize) -> Option<&ApiResource> {
        self.monitors.get(index).map(|monitor| &monitor.resource)
    }

    fn path(&self, uid: Uid) -> Option<String> {
        let node = self.graph.get(uid)?;
        let resource = self.resource(node.resource)?;
        Some(resource.path(&node.key.namespace, &node.key.name, ""))
    }

    /// The object's metadata as the server has it now, if the object still is the one with that uid.
    fn live(&self, path: &str, uid: Uid) -> Result<Option<ObjectMeta>, ApiError> {
        match self.client.get_metadata(path) {
            Ok(metadata) => Ok(Some(metadata).filter(|found| found.uid.as_deref().map(Uid::new) == Some(uid))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn attempt_to_delete(&mut self, uid: Uid, queue: &mut Queue<Work>) -> Result<(), ApiError> {
        let (Some(node), Some(path)) = (self.graph.get(uid), self.path(uid)) else { return Ok(()) };
        if node.is_deleting && !node.deletes_dependents {
            return Ok(());
        }
        let (is_virtual, waits) = (node.is_virtual, node.deletes_dependents);
        let Some(live) = self.live(&path, uid)? else {
            // Gone, and the watch has not said so, or it never was: its dependents have no owner.
            for work in self.graph.removed(uid) {
                queue.add(work);
            }
            return Ok(());
        };
        if is_virtual {
            // It is there; the watch will bring it.
            return Ok(());
        }
        if waits {
            return self.finish_foreground(uid, &path, &live, queue);
        }
        self.delete_if_unowned(uid, &path, &live)
    }

    /// An owner waits until nothing that blocks its deletion is left.
    fn finish_foreground(
        &self,
        uid: Uid,
        path: &str,
        live: &ObjectMeta,
        queue: &mut Queue<Work>,
    ) -> Result<(), ApiError> {
        let blocking: Vec<Uid> = self
            .graph
            .dependents(uid)
            .into_iter()
            .filter(|dependent| {
                let owners = self.graph.get(*dependent).map(|node| node.owners.as_slice()).unwrap_or_default();
                owners.contains(&(uid, true))
            })
            .collect();
        if blocking.is_empty() {
            return self.remove_finalizer(path, live, FOREGROUND);
        }
        for dependent in blocking {
            if self.graph.get(dependent).is_some_and(|node| !node.deletes_dependents && !node.is_deleting) {
                queue.add(Work::Delete(dependent));
            }
        }
        Ok(())
    }

    fn delete_if_unowned(&mut self, uid: Uid, path: &str, live: &ObjectMeta) -> Result<(), ApiError> {
        let references = live.owner_references.as_deref().unwrap_or_default();
        let namespace = live.namespace.as_deref().unwrap_or_default();
        let (mut solid, mut dangling, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for reference in references {
            match self.classify(namespace, reference)? {
                Owner::Solid => solid.push(reference),
                Owner::Dangling => dangling.push(reference),
                Owner::Waiting => waiting.push(reference),
            }
        }
        if references.is_empty() {
            return Ok(());
        }
        if !solid.is_empty() {
            let lost: Vec<_> = dangling.iter().chain(&waiting).map(|reference| reference.uid.as_str()).collect();
            return if lost.is_empty() { Ok(()) } else { self.remove_owners(path, live, &lost) };
        }
        let dependents = self.graph.dependents(uid);
        let propagation = if !waiting.is_empty() && !dependents.is_empty() {
            if dependents.iter().any(|uid| self.graph.get(*uid).is_some_and(|node| node.deletes_dependents)) {
                // A circle of owners that wait for each other: this one lets go.
                self.unblock_owners(path, live)?;
            }
            Propagation::Foreground
        } else if has_finalizer(live, ORPHAN) {
            Propagation::Orphan
        } else if has_finalizer(live, FOREGROUND) {
            Propagation::Foreground
        } else {
            Propagation::Background
        };
        let options = DeleteOptions {
            propagation: Some(propagation),
            ..DeleteOptions::uid(live.uid.clone().unwrap_or_default())
        };
        absent_is_fine(self.client.delete_path(path, &options))
    }

    fn classify(&self, namespace: &str, reference: &OwnerReference) -> Result<Owner, ApiError> {
        let uid = Uid::new(&reference.uid);
        let resource = resource_of(&self.monitors, reference).and_then(|index| self.resource(index));
        let Some(resource) = resource else {
            return Err(ApiError::internal(format!(
                "no resource of kind {}, {}",
                reference.api_version, reference.kind
            )));
        };
        // No object of a namespace can be the owner of one without: the reference cannot be resolved.
        if resource.namespaced && namespace.is_empty() {
            return Ok(Owner::Solid);
        }
        let Some(owner) = self.live(&resource.path(namespace, &reference.name, ""), uid)? else {
            return Ok(Owner::Dangling);
        };
        let waits = owner.deletion_timestamp.is_some() && has_finalizer(&owner, FOREGROUND);
        Ok(if waits { Owner::Waiting } else { Owner::Solid })
    }

    /// Tells that an object's owner is not in its namespace, where it is looked for.
    fn tell_misplaced(&mut self, dependent: Uid, owner: Uid, now: Timestamp) -> Result<(), ApiError> {
        let Some(path) = self.path(dependent) else { return Ok(()) };
        let Some(live) = self.live(&path, dependent)? else { return Ok(()) };
        let mut references = live.owner_references.iter().flatten();
        let reference = references.find(|reference| Uid::new(&reference.uid) == owner);
        let resource = self.graph.get(dependent).and_then(|node| self.resource(node.resource));
        let (Some(OwnerReference { api_version, kind, name, uid, .. }), Some(resource)) = (reference, resource) else {
            return Ok(());
        };
        let namespace = live.namespace.as_deref().unwrap_or_default();
        let message = format!(
            "ownerRef [{api_version}/{kind}, namespace: {namespace}, name: {name}, uid: {uid}] does not exist in \
             namespace {namespace:?}"
        );
        let (group, version) = (&resource.resource.group, &resource.resource.version);
        let object = ObjectReference {
            api_version: Some(if group.is_empty() { version.clone() } else { format!("{group}/{version}") }),
            kind: Some(resource.kind.clone()),
            name: live.name.clone(),
            namespace: live.namespace.clone(),
            uid: live.uid.clone(),
            ..ObjectReference::default()
        };
        self.recorder.event_for(now, object, EventType::Warning, "OwnerRefInvalidNamespace", &message);
        Ok(())
    }

    fn attempt_to_orphan(&self, uid: Uid) -> Result<(), ApiError> {
        let Some(path) = self.path(uid) else { return Ok(()) };
        for dependent in self.graph.dependents(uid) {
            let Some(path) = self.path(dependent) else { continue };
            if let Some(live) = self.live(&path, dependent)? {
                let owners = live.owner_references.iter().flatten();
                let lost: Vec<_> =
                    owners.filter(|owner| Uid::new(&owner.uid) == uid).map(|owner| owner.uid.as_str()).collect();
                if !lost.is_empty() {
                    self.remove_owners(&path, &live, &lost)?;
                }
            }
        }
        match self.live(&path, uid)? {
            Some(live) => self.remove_finalizer(&path, &live, ORPHAN),
            None => Ok(()),
        }
    }

    fn remove_finalizer(&self, path: &str, live: &ObjectMeta, finalizer: &str) -> Result<(), ApiError> {
        let left: Vec<_> = live.finalizers.iter().flatten().filter(|name| *name != finalizer).collect();
        self.patch_metadata(path, live, json!({ "finalizers": left }))
    }

    fn remove_owners(&self, path: &str, live: &ObjectMeta, lost: &[&str]) -> Result<(), ApiError> {
        let owners = live.owner_references.iter().flatten();
        let left: Vec<_> = owners.filter(|owner| !lost.contains(&owner.uid.as_str())).collect();
        self.patch_metadata(path, live, json!({ "ownerReferences": left }))
    }

    fn unblock_owners(&self, path: &str, live: &ObjectMeta) -> Result<(), ApiError> {
        let mut owners = live.owner_references.clone().unwrap_or_default();
        for owner in &mut owners {
            owner.block_owner_deletion = Some(false);
        }
        self.patch_metadata(path, live, json!({ "ownerReferences": owners }))
    }

    /// A merge patch, which all resources take, on exactly the revision that was looked at.
    fn patch_metadata(&self, path: &str, live: &ObjectMeta, mut metadata: Value) -> Result<(), ApiError> {
        metadata["resourceVersion"] = live.resource_version.clone().into();
        metadata["uid"] = live.uid.clone().into();
        absent_is_fine(self.client.patch_path(path, &Patch::Merge(json!({ "metadata": metadata }))).map(drop))
    }
}

impl Controller for GarbageCollector {
    type Key = Work;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue<Work>) {
        if cx.now() >= self.next_discovery {
            self.discover(cx.now());
        }
        cx.wake_at(self.next_discovery);
        for index in 0..self.monitors.len() {
            for (work, cause) in self.follow(index, cx) {
                queue.add_caused(work, cause);
            }
        }
    }

    fn synced(&self) -> bool {
        !self.monitors.is_empty() && self.monitors.iter().all(|monitor| monitor.synced || monitor.reflector.is_none())
    }

    fn sync(&mut self, work: &Work, queue: &mut Queue<Work>) -> Result<(), ApiError> {
        match *work {
            Work::Delete(uid) => self.attempt_to_delete(uid, queue),
            Work::Orphan(uid) => self.attempt_to_orphan(uid),
            Work::Misplaced(uid, owner) => self.tell_misplaced(uid, owner, queue.now()),
        }
    }
}

/// The place of the resource a reference names. Any version of a group will do.
fn resource_of(monitors: &[Monitor], owner: &OwnerReference) -> Option<usize> {
    let wanted = GroupVersionKind::from_api_version(&owner.api_version, &owner.kind);
    monitors
        .iter()
        .position(|monitor| monitor.resource.kind == wanted.kind && monitor.resource.resource.group == wanted.group)
}

fn has_finalizer(metadata: &ObjectMeta, finalizer: &str) -> bool {
    metadata.finalizers.iter().flatten().any(|name| name == finalizer)
}

fn revision(metadata: &ObjectMeta) -> u64 {
    metadata.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or_default()
}

fn absent_is_fine(result: Result<(), ApiError>) -> Result<(), ApiError> {
    match result {
        Err(error) if error.is_not_found() => Ok(()),
        other => other,
    }
}

fn cx_wake(cx: &mut Context<'_>, reflector: &Reflector) {
    if let Some(time) = reflector.next_wake() {
        cx.wake_at(time);
    }
}
