//! Binds claims and volumes to each other, and has volumes made for claims
//! (`pkg/controller/volume/persistentvolume`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Context, DeleteOptions, Event, EventRecorder, EventType, Informer, Patch, key_of};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use machinery::ObjectKey;
use machinery::labels::Selector;
use machinery::quantity::Quantity;
use machinery::sort::Order;
use machinery::status::ApiError;
use serde_json::{Value, json};

use crate::controller::{Controller, Queue};
use crate::volume_protection::{CLAIM, claims_of};
use crate::{Setup, pods};

/// Says that a claim has its volume for good.
const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
/// Says that the binding was this controller's choice.
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// Who is to make the claim's volume.
const PROVISIONER: [&str; 2] =
    ["volume.beta.kubernetes.io/storage-provisioner", "volume.kubernetes.io/storage-provisioner"];
/// Who made the volume.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// The node of the claim's first consumer.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Marks the class that claims get that name none.
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// The provisioner of classes that have none.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// A claim that waits is looked at so often, and what it waits for told again (`--pvclaimbinder-sync-period`).
const RESYNC: Duration = Duration::from_secs(15);
/// How the names of pods begin that empty volumes; the volumes' names follow.
const RECYCLER: &str = "recycler-for-";
/// The index of claims without volume by their class, empty where they name none.
const UNBOUND: &str = "unbound";

/// The controller of claims and volumes. Keys with a namespace are claims, those without are volumes.
pub struct PersistentVolumeController {
    client: Client,
    recorder: EventRecorder,
    claims: Informer<PersistentVolumeClaim>,
    volumes: Informer<PersistentVolume>,
    classes: Informer<StorageClass>,
    pods: Informer<Pod>,
    /// The pods that empty volumes, each by its uid under its volume's.
    recycling: BTreeMap<String, String>,
}

impl PersistentVolumeController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "persistentvolume-controller", ""),
            claims: setup.informers.informer().indexed(UNBOUND, |claim: &PersistentVolumeClaim| {
                if is_bound(claim) { Vec::new() } else { vec![class_of(claim).to_owned()] }
            }),
            volumes: setup.informers.informer().indexed(CLAIM, |volume: &PersistentVolume| {
                let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
                let text = |text: &Option<String>| text.clone().unwrap_or_default();
                reference.map(|it| format!("{}/{}", text(&it.namespace), text(&it.name))).into_iter().collect()
            }),
            classes: setup.informers.informer(),
            pods: setup.informers.informer().indexed(CLAIM, claims_of),
            recycling: BTreeMap::new(),
        }
    }

    fn sync_claim(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let Some(claim) = self.claims.get(key) else { return Ok(()) };
        let spec = claim.spec.clone().unwrap_or_default();
        let volume_name = spec.volume_name.clone().unwrap_or_default();
        if volume_name.is_empty() {
            return self.sync_unbound(&claim, queue);
        }
        let volume = self.volumes.get_named(&volume_name);
        match volume {
            Some(volume) if is_for(&volume, &claim) => self.bind(&claim, &volume),
            Some(volume) if volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_none()) => {
                let mismatch = if is_bound(&claim) { None } else { mismatch(&volume, &claim) };
                let Some(mismatch) = mismatch else { return self.bind(&claim, &volume) };
                let message = format!("Cannot bind to requested volume {volume_name:?}: {mismatch}");
                self.recorder.event(queue.now(), &*claim, EventType::Warning, "VolumeMismatch", &message);
                self.set_claim_phase(&claim, "Pending")
            }
            // Another claim's, or not there yet: the volume's next event tells.
            _ if !is_bound(&claim) => self.set_claim_phase(&claim, "Pending"),
            found => {
                let reason = if found.is_some() { "ClaimMisbound" } else { "ClaimLost" };
                let message = match found {
                    Some(_) => "Two claims are bound to the same volume, this one is bound incorrectly",
                    None => "Bound claim has lost its PersistentVolume. Data on the volume is lost!",
                };
                if phase_of(&claim) != "Lost" {
                    self.recorder.event(queue.now(), &*claim, EventType::Warning, reason, message);
                }
                self.set_claim_phase(&claim, "Lost")
            }
        }
    }

    fn sync_unbound(&mut self, claim: &Arc<PersistentVolumeClaim>, queue: &mut Queue) -> Result<(), ApiError> {
        if pods::is_deleting(&**claim) {
            return Ok(());
        }
        let spec = claim.spec.clone().unwrap_or_default();
        // A claim that names no class gets the default one, also one that was made before there was one.
        if spec.storage_class_name.is_none()
            && let Some(class) = self.default_class()
        {
            let patch = Patch::Merge(json!({ "spec": { "storageClassName": pods::name(&*class) } }));
            return self.client.patch::<PersistentVolumeClaim>(&key_of(&**claim), &patch).map(drop);
        }
        let class_name = spec.storage_class_name.clone().unwrap_or_default();
        let class = self.classes.get_named(&class_name);
        let waits = class.as_ref().is_some_and(|it| it.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"));
        let waits = waits && pods::annotation(&**claim, SELECTED_NODE).is_none();
        if let Some(volume) = self.volume_for(claim, waits) {
            return self.bind(claim, &volume);
        }
        self.set_claim_phase(claim, "Pending")?;
        queue.add_after(key_of(&**claim), RESYNC);
        let (kind, reason, message) = if waits {
            let users = self.pods.by_index(CLAIM, &key_of(&**claim).to_string());
            let unscheduled = users.iter().find(|pod| pods::node_name(pod).is_empty());
            match unscheduled {
                Some(pod) => (
                    EventType::Normal,
                    "WaitForPodScheduled",
                    format!("waiting for pod {} to be scheduled", pods::name(&**pod)),
                ),
                None => (
                    EventType::Normal,
                    "WaitForFirstConsumer",
                    "waiting for first consumer to be created before binding".to_owned(),
                ),
            }
        } else if class_name.is_empty() {
            let message = "no persistent volumes available for this claim and no storage class is set";
            (EventType::Normal, "FailedBinding", message.to_owned())
        } else if let Some(class) = class {
            return self.ask_provisioner(claim, &class, queue);
        } else {
            let message = format!("storageclass.storage.k8s.io {class_name:?} not found");
            (EventType::Warning, "ProvisioningFailed", message)
        };
        self.recorder.event(queue.now(), &**claim, kind, reason, &message);
        Ok(())
    }

    /// Leaves the claim to its class's provisioner.
    fn ask_provisioner(
        &mut self,
        claim: &PersistentVolumeClaim,
        class: &StorageClass,
        queue: &mut Queue,
    ) -> Result<(), ApiError> {
        let provisioner = class.provisioner.as_str();
        if provisioner == NO_PROVISIONER {
            let message = "no volume plugin matched name: kubernetes.io/no-provisioner";
            self.recorder.event(queue.now(), claim, EventType::Warning, "ProvisioningFailed", message);
            return Ok(());
        }
        if PROVISIONER.iter().any(|name| pods::annotation(claim, name) != Some(provisioner)) {
            let annotations: serde_json::Map<_, _> =
                PROVISIONER.iter().map(|name| ((*name).to_owned(), json!(provisioner))).collect();
            let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
            self.client.patch::<PersistentVolumeClaim>(&key_of(claim), &patch)?;
        }
        let message = format!(
            "Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the \
             system administrator. If volume creation is delayed, please verify that the provisioner is running and \
             correctly registered."
        );
        self.recorder.event(queue.now(), claim, EventType::Normal, "ExternalProvisioning", &message);
        Ok(())
    }

    fn default_class(&self) -> Option<Arc<StorageClass>> {
        let mut classes = self.classes.list();
        classes.retain(|class| pods::annotation(&**class, DEFAULT_CLASS) == Some("true"));
        // The newest of several.
        classes.order_by_key(|class| {
            (std::cmp::Reverse(client::creation_time(&**class)), pods::name(&**class).to_owned())
        });
        classes.into_iter().next()
    }

    /// The volume that is meant for the claim, or the smallest that would do.
    fn volume_for(&self, claim: &PersistentVolumeClaim, only_meant: bool) -> Option<Arc<PersistentVolume>> {
        let meant = self.volumes.by_index(CLAIM, &key_of(claim).to_string());
        let serves = |volume: &Arc<PersistentVolume>| is_for(volume, claim) && serves(volume, claim);
        if let Some(volume) = meant.into_iter().find(serves) {
            return Some(volume);
        }
        // Which volume one with a consumer gets is for the scheduler to say.
        if only_meant || pods::annotation(claim, SELECTED_NODE).is_some() {
            return None;
        }
        let mut volumes = self.volumes.list();
        volumes.retain(|volume| fits(volume, claim));
        volumes.into_iter().min_by_key(|volume| (capacity(volume), pods::name(&**volume).to_owned()))
    }

    /// Brings both sides to say that they belong together. Each step is one write, in upstream's order:
    /// whoever stops in between goes on where it was.
    fn bind(&mut self, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Result<(), ApiError> {
        let (claim_key, volume_key) = (key_of(claim), key_of(volume));
        let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
        if reference.and_then(|it| it.uid.as_deref()) != claim.metadata.uid.as_deref() {
            let mut annotations = serde_json::Map::new();
            if reference.is_none() {
                annotations.insert(BOUND_BY_CONTROLLER.into(), json!("yes"));
            }
            let patch = json!({
                "metadata": { "annotations": annotations, "resourceVersion": volume.metadata.resource_version },
                "spec": { "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim_key.namespace,
                    "name": claim_key.name, "uid": claim.metadata.uid,
                    "resourceVersion": claim.metadata.resource_version,
                } },
            });
            self.client.patch::<PersistentVolume>(&volume_key, &Patch::Merge(patch))?;
        }
        self.set_volume_phase(volume, "Bound")?;
        if !is_bound(claim) {
            let mut annotations = serde_json::Map::from_iter([(BIND_COMPLETED.to_owned(), json!("yes"))]);
            if claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).is_none_or(str::is_empty) {
                annotations.insert(BOUND_BY_CONTROLLER.into(), json!("yes"));
            }
            let patch = json!({
                "metadata": { "annotations": annotations },
                "spec": { "volumeName": volume_key.name },
            });
            self.client.patch::<PersistentVolumeClaim>(&claim_key, &Patch::Merge(patch))?;
        }
        let spec = volume.spec.clone().unwrap_or_default();
        let status = claim.status.clone().unwrap_or_default();
        if status.phase.as_deref() == Some("Bound")
            && status.capacity == spec.capacity
            && status.access_modes == spec.access_modes
        {
            return Ok(());
        }
        let patch =
            json!({ "status": { "phase": "Bound", "accessModes": spec.access_modes, "capacity": spec.capacity } });
        self.client.patch_status::<PersistentVolumeClaim>(&claim_key, &Patch::Merge(patch)).map(drop)
    }

    fn sync_volume(&mut self, name: &str, queue: &mut Queue) -> Result<(), ApiError> {
        let Some(volume) = self.volumes.get_named(name) else { return Ok(()) };
        let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone()) else {
            return self.set_volume_phase(&volume, "Available");
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let key = ObjectKey::new(text(&reference.namespace), text(&reference.name));
        let uid = text(&reference.uid);
        if uid.is_empty() {
            // Kept for a claim that may come.
            queue.add(key);
            return self.set_volume_phase(&volume, "Available");
        }
        // What the cache does not have may be too new for it.
        let claim = match self.claims.get(&key).filter(|claim| pods::uid(&**claim) == uid) {
            Some(claim) => Some(claim),
            None => match self.client.get::<PersistentVolumeClaim>(&key) {
                Ok(claim) => Some(claim).filter(|claim| pods::uid(&**claim) == uid),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error),
            },
        };
        let elsewhere = |claim: &PersistentVolumeClaim| {
            let bound = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref());
            bound.is_some_and(|bound| !bound.is_empty() && bound != name)
        };
        match claim {
            Some(claim) if elsewhere(&claim) => self.give_up(&volume),
            Some(_) => {
                queue.add(key);
                Ok(())
            }
            None => self.reclaim(&volume, queue),
        }
    }

    /// A volume that its claim left. One that is to be deleted and that no provisioner has made goes where its plugin
    /// can delete it, as that of paths of a node can in `/tmp`.
    fn reclaim(&mut self, volume: &PersistentVolume, queue: &mut Queue) -> Result<(), ApiError> {
        let spec = volume.spec.clone().unwrap_or_default();
        let failed = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Failed");
        if !failed {
            self.set_volume_phase(volume, "Released")?;
        }
        let made = pods::annotation(volume, PROVISIONED_BY).is_some_and(|provisioner| !provisioner.is_empty());
        match spec.persistent_volume_reclaim_policy.as_deref() {
            Some("Recycle") if !failed => return self.recycle(volume, queue),
            Some("Delete") if !failed && !made => {}
            _ => return Ok(()),
        }
        let problem = match spec.host_path.map(|source| source.path) {
            Some(path) if path.split_once("/tmp/").is_some_and(|(_, name)| !name.is_empty()) => {
                let options = DeleteOptions::uid(pods::uid(volume));
                return absent_is_fine(self.client.delete::<PersistentVolume>(&key_of(volume), &options));
            }
            Some(path) => format!("host_path deleter only supports /tmp/.+ but received provided {path}"),
            None => {
                let name = pods::name(volume);
                format!("error getting deleter volume plugin for volume {name:?}: no deletable volume plugin matched")
            }
        };
        self.fail(volume, "VolumeFailedDelete", &problem, queue)
    }

    /// A volume that cannot be reclaimed.
    fn fail(&mut self, volume: &PersistentVolume, reason: &str, why: &str, queue: &Queue) -> Result<(), ApiError> {
        let patch = Patch::Merge(json!({ "status": { "phase": "Failed", "message": why } }));
        absent_is_fine(self.client.patch_status::<PersistentVolume>(&key_of(volume), &patch))?;
        self.recorder.event(queue.now(), volume, EventType::Warning, reason, why);
        Ok(())
    }

    /// Has a pod empty the volume, and makes it available again (`recycleVolumeOperation`). A pod of the recycler's name
    /// that was made for anything else than this is none: it goes first.
    fn recycle(&mut self, volume: &PersistentVolume, queue: &mut Queue) -> Result<(), ApiError> {
        let reason = "VolumeFailedRecycle";
        let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone()).unwrap_or_default();
        let claim = ObjectKey::new(reference.namespace.unwrap_or_default(), reference.name.unwrap_or_default());
        let mut users = self.pods.by_index(CLAIM, &claim.to_string());
        users.retain(|pod| !pods::is_terminated(pod));
        if !users.is_empty() && self.claims.get(&claim).is_none() {
            let users: Vec<_> = users.iter().map(|pod| key_of(&**pod).to_string()).collect();
            let message = format!("Volume is used by pods: {}", users.join(","));
            self.recorder.event(queue.now(), volume, EventType::Normal, reason, &message);
            queue.add_after(key_of(volume), RESYNC);
            return Ok(());
        }
        let Some(recycler) = recycler(volume) else {
            return self.fail(volume, reason, "No recycler plugin found for the volume!", queue);
        };
        let key = key_of(&recycler);
        let Some(pod) = self.pods.get(&key) else {
            return match self.client.create(recycler) {
                Ok(pod) => {
                    self.recycling.insert(pods::uid(volume).to_owned(), pods::uid(&*pod).to_owned());
                    Ok(())
                }
                Err(error) if error.is_already_exists() => Ok(()),
                Err(error) => {
                    let why = format!("Recycle failed: unexpected error creating recycler pod:  {error}\n");
                    self.fail(volume, reason, &why, queue)
                }
            };
        };
        let own = self.recycling.get(pods::uid(volume)).is_some_and(|uid| uid == pods::uid(&*pod));
        if own && !pods::is_terminated(&pod) || !own && pods::is_deleting(&*pod) {
            return Ok(());
        }
        absent_is_fine(self.client.delete::<Pod>(&key, &DeleteOptions::uid(pods::uid(&*pod))))?;
        if !own {
            let message = "Recycle failed: old recycler pod found, will retry later";
            self.recorder.event(queue.now(), volume, EventType::Warning, reason, message);
            return Ok(());
        }
        self.recycling.remove(pods::uid(volume));
        if pods::phase(&pod) == "Succeeded" {
            self.recorder.event(queue.now(), volume, EventType::Normal, "VolumeRecycled", "Volume recycled");
            return self.unbind(volume);
        }
        let message = pod.status.as_ref().and_then(|status| status.message.as_deref());
        let why = message.unwrap_or("pod failed, pod.Status.Message unknown");
        self.fail(volume, reason, &format!("Recycle failed: {why}"), queue)
    }

    /// A volume whose claim got another one: what was made for the claim goes, others are free again.
    fn give_up(&self, volume: &PersistentVolume) -> Result<(), ApiError> {
        let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        if pods::annotation(volume, PROVISIONED_BY).is_some() && policy == Some("Delete") {
            return self.set_volume_phase(volume, "Released");
        }
        self.unbind(volume)
    }

    fn unbind(&self, volume: &PersistentVolume) -> Result<(), ApiError> {
        // What somebody wrote stays: only what was added when it was bound is taken back.
        let patch = match pods::annotation(volume, BOUND_BY_CONTROLLER) {
            Some(_) => json!({
                "metadata": {
                    "annotations": { BOUND_BY_CONTROLLER: null }, "resourceVersion": volume.metadata.resource_version,
                },
                "spec": { "claimRef": null },
            }),
            None => json!({
                "metadata": { "resourceVersion": volume.metadata.resource_version },
                "spec": { "claimRef": { "uid": null, "resourceVersion": null } },
            }),
        };
        absent_is_fine(self.client.patch::<PersistentVolume>(&key_of(volume), &Patch::Merge(patch)))
    }

    fn set_volume_phase(&self, volume: &PersistentVolume, phase: &str) -> Result<(), ApiError> {
        if volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase) {
            return Ok(());
        }
        let patch = Patch::Merge(json!({ "status": { "phase": phase } }));
        absent_is_fine(self.client.patch_status::<PersistentVolume>(&key_of(volume), &patch))
    }

    fn set_claim_phase(&self, claim: &PersistentVolumeClaim, phase: &str) -> Result<(), ApiError> {
        if phase_of(claim) == phase {
            return Ok(());
        }
        let patch = Patch::Merge(json!({ "status": { "phase": phase } }));
        absent_is_fine(self.client.patch_status::<PersistentVolumeClaim>(&key_of(claim), &patch))
    }
}

impl Controller for PersistentVolumeController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        // Classes in which there may be something new for claims.
        let mut offers: Vec<String> = Vec::new();
        let mut offer = |class: &str| {
            if !offers.iter().any(|it| it == class) {
                offers.push(class.to_owned());
            }
        };
        for event in self.volumes.poll(cx) {
            let volume = event.object();
            if matches!(event, Event::Deleted(_)) {
                self.recycling.remove(pods::uid(&**volume));
            }
            queue.add_for(key_of(&**volume), &**volume);
            let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
            let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
            if !matches!(event, Event::Deleted(_)) && reference.is_none() && phase == Some("Available") {
                offer(volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default());
            }
            if let Some((namespace, name)) = reference.and_then(|it| it.namespace.clone().zip(it.name.clone())) {
                queue.add_for(ObjectKey::new(namespace, name), &**volume);
            }
        }
        for event in self.classes.poll(cx) {
            if !matches!(event, Event::Deleted(_)) {
                // It may be the default.
                offer(pods::name(&**event.object()));
                offer("");
            }
        }
        for event in self.claims.poll(cx) {
            let claim = event.object();
            queue.add_for(key_of(&**claim), &**claim);
            if let (Event::Deleted(_), Some(volume)) =
                (&event, claim.spec.as_ref().and_then(|it| it.volume_name.clone()))
            {
                queue.add_for(ObjectKey::new("", volume), &**claim);
            }
        }
        for event in self.pods.poll(cx) {
            let pod = key_of(&**event.object());
            if let Some(volume) = pod.name.strip_prefix(RECYCLER).filter(|_| pod.namespace == "default") {
                queue.add_for(ObjectKey::new("", volume), &**event.object());
            }
        }
        for claim in offers.iter().flat_map(|class| self.claims.by_index(UNBOUND, class)) {
            queue.add(key_of(&*claim));
        }
    }

    /// A volume that one claim got is no other's.
    fn keys_per_poll(&self) -> usize {
        1
    }

    fn synced(&self) -> bool {
        self.claims.synced() && self.volumes.synced() && self.classes.synced() && self.pods.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        if key.namespace.is_empty() { self.sync_volume(&key.name, queue) } else { self.sync_claim(key, queue) }
    }
}

/// The pod that empties a volume whose plugin can be recycled, none for others
/// (`NewPersistentVolumeRecyclerPodTemplate`). It has longer for a larger volume.
fn recycler(volume: &PersistentVolume) -> Option<Pod> {
    const GIB: i64 = 1 << 30;
    let spec = volume.spec.as_ref()?;
    let (source, least) = match (&spec.host_path, &spec.nfs) {
        (Some(path), _) => (json!({ "name": "vol", "hostPath": path }), 60),
        (None, Some(nfs)) => (json!({ "name": "vol", "nfs": nfs }), 300),
        (None, None) => return None,
    };
    let seconds = capacity(volume).map_or(0, |size| size.value() / GIB * 30).max(least);
    let script = "test -e /scrub && rm -rf /scrub/..?* /scrub/.[!.]* /scrub/* && test -z \"$(ls -A /scrub)\" || exit 1";
    let pod = json!({
        "metadata": { "name": format!("{RECYCLER}{}", pods::name(volume)), "namespace": "default" },
        "spec": {
            "activeDeadlineSeconds": seconds,
            "restartPolicy": "Never",
            "volumes": [source],
            "containers": [{
                "name": "pv-recycler",
                "image": "busybox",
                "command": ["/bin/sh"],
                "args": ["-c", script],
                "volumeMounts": [{ "name": "vol", "mountPath": "/scrub" }],
            }],
        },
    });
    machinery::object::from_value(pod).ok()
}

/// The provisioner whose volumes are directories of a node.
pub const LOCAL_PATH: &str = "rancher.io/local-path";
/// Where these are.
const LOCAL_PATH_ROOT: &str = "/var/local-path-provisioner";

/// The provisioner of [`LOCAL_PATH`]: a directory of the node for each claim, as kind has it
/// (`rancher/local-path-provisioner` and `sig-storage-lib-external-provisioner`).
pub struct LocalPathProvisioner {
    client: Client,
    recorder: EventRecorder,
    claims: Informer<PersistentVolumeClaim>,
    volumes: Informer<PersistentVolume>,
    classes: Informer<StorageClass>,
}

impl LocalPathProvisioner {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        let source = "rancher.io/local-path_local-path-provisioner";
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), source, ""),
            claims: setup.informers.informer(),
            volumes: setup.informers.informer(),
            classes: setup.informers.informer(),
        }
    }

    fn provision(&mut self, claim: &PersistentVolumeClaim, queue: &mut Queue) -> Result<(), ApiError> {
        let spec = claim.spec.clone().unwrap_or_default();
        let asked = PROVISIONER.iter().any(|name| pods::annotation(claim, name) == Some(LOCAL_PATH));
        let class = spec.storage_class_name.as_deref().and_then(|name| self.classes.get_named(name));
        let (true, Some(class)) = (asked && !pods::is_deleting(claim), class) else { return Ok(()) };
        let key = key_of(claim);
        let name = format!("pvc-{}", pods::uid(claim));
        if spec.volume_name.is_some_and(|name| !name.is_empty()) || self.volumes.get_named(&name).is_some() {
            return Ok(());
        }
        let node = pods::annotation(claim, SELECTED_NODE);
        let message = format!("External provisioner is provisioning volume for claim \"{key}\"");
        self.recorder.event(queue.now(), claim, EventType::Normal, "Provisioning", &message);
        let Some(node) = node else {
            let message = format!(
                "failed to provision volume with StorageClass {:?}: configuration error, no node was specified",
                pods::name(&*class)
            );
            self.recorder.event(queue.now(), claim, EventType::Warning, "ProvisioningFailed", &message);
            return Err(ApiError::internal(message));
        };
        let volume: PersistentVolume = machinery::object::from_value(json!({
            "metadata": {
                "name": name,
                "annotations": {
                    PROVISIONED_BY: LOCAL_PATH,
                    "local.path.provisioner/selected-node": node,
                },
                "finalizers": ["kubernetes.io/pv-protection"],
            },
            "spec": {
                "accessModes": spec.access_modes,
                "capacity": { "storage": spec.resources.as_ref().and_then(|it| it.requests.as_ref()?.get("storage")) },
                "claimRef": {
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": key.namespace, "name": key.name,
                    "uid": claim.metadata.uid, "resourceVersion": claim.metadata.resource_version,
                },
                "hostPath": {
                    "path": format!("{LOCAL_PATH_ROOT}/{name}_{}_{}", key.namespace, key.name),
                    "type": "DirectoryOrCreate",
                },
                "mountOptions": class.mount_options,
                "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                    { "key": "kubernetes.io/hostname", "operator": "In", "values": [node] },
                ] }] } },
                "persistentVolumeReclaimPolicy": class.reclaim_policy.as_deref().unwrap_or("Delete"),
                "storageClassName": pods::name(&*class),
                "volumeMode": spec.volume_mode.as_deref().unwrap_or("Filesystem"),
            },
        }))
        .map_err(|error| ApiError::internal(error.to_string()))?;
        match self.client.create(volume) {
            Err(error) if error.is_already_exists() => return Ok(()),
            other => other?,
        };
        let message = format!("Successfully provisioned volume {name}");
        self.recorder.event(queue.now(), claim, EventType::Normal, "ProvisioningSucceeded", &message);
        Ok(())
    }

    /// A bound claim that asks for more than it has: the volume grows, as a driver's does that can do it online.
    fn expand(&mut self, claim: &PersistentVolumeClaim, queue: &mut Queue) -> Result<(), ApiError> {
        let wanted = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref()?.get("storage"));
        let has = claim.status.as_ref().and_then(|status| status.capacity.as_ref()?.get("storage"));
        let (Some(wanted), true) = (wanted, is_bound(claim) && phase_of(claim) == "Bound") else { return Ok(()) };
        let volume = claim.spec.as_ref().and_then(|spec| self.volumes.get_named(spec.volume_name.as_deref()?));
        let own = |volume: &Arc<PersistentVolume>| pods::annotation(&**volume, PROVISIONED_BY) == Some(LOCAL_PATH);
        let Some(volume) = volume.filter(own) else { return Ok(()) };
        if pods::is_deleting(claim) || has.is_none() || Quantity::of(Some(wanted)) <= Quantity::of(has) {
            return Ok(());
        }
        let name = pods::name(&*volume).to_owned();
        if capacity(&volume).is_none_or(|capacity| capacity < Quantity::of(Some(wanted))) {
            let message = format!("External resizer is resizing volume {name}");
            self.recorder.event(queue.now(), claim, EventType::Normal, "Resizing", &message);
            let patch = Patch::Merge(json!({ "spec": { "capacity": { "storage": wanted } } }));
            self.client.patch::<PersistentVolume>(&key_of(&*volume), &patch)?;
        }
        let patch = Patch::Merge(json!({ "status": { "capacity": { "storage": wanted }, "conditions": null } }));
        self.client.patch_status::<PersistentVolumeClaim>(&key_of(claim), &patch)?;
        let message = "Resize volume succeeded";
        self.recorder.event(queue.now(), claim, EventType::Normal, "VolumeResizeSuccessful", message);
        Ok(())
    }

    /// A volume that its claim left, and that nobody wants to keep.
    fn delete(&mut self, volume: &PersistentVolume) -> Result<(), ApiError> {
        let spec = volume.spec.as_ref();
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        let discarded = spec.and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref()) == Some("Delete");
        let own = pods::annotation(volume, PROVISIONED_BY) == Some(LOCAL_PATH);
        if !own || !discarded || phase != Some("Released") || pods::is_deleting(volume) {
            return Ok(());
        }
        absent_is_fine(self.client.delete::<PersistentVolume>(&key_of(volume), &DeleteOptions::uid(pods::uid(volume))))
    }
}

impl Controller for LocalPathProvisioner {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.claims.poll(cx) {
            queue.add_for(key_of(&**event.object()), &**event.object());
        }
        for event in self.volumes.poll(cx) {
            queue.add_for(key_of(&**event.object()), &**event.object());
        }
        self.classes.poll(cx);
    }

    fn synced(&self) -> bool {
        self.claims.synced() && self.volumes.synced() && self.classes.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        if key.namespace.is_empty() {
            return self.volumes.get(key).map_or(Ok(()), |volume| self.delete(&volume));
        }
        let Some(claim) = self.claims.get(key) else { return Ok(()) };
        self.provision(&claim, queue)?;
        self.expand(&claim, queue)
    }
}

/// The class that claims get that name none, as kind has it.
pub fn default_storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": { "name": "standard", "annotations": { DEFAULT_CLASS: "true" } },
        "provisioner": LOCAL_PATH,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

fn absent_is_fine<T>(result: Result<T, ApiError>) -> Result<(), ApiError> {
    match result {
        Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
        other => other.map(drop),
    }
}

fn phase_of(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// The claim's class, empty where it names none.
fn class_of(claim: &PersistentVolumeClaim) -> &str {
    claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default()
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    pods::annotation(claim, BIND_COMPLETED).is_some()
}

fn capacity(volume: &PersistentVolume) -> Option<Quantity> {
    Quantity::try_from(volume.spec.as_ref()?.capacity.as_ref()?.get("storage")?).ok()
}

/// Whether the volume is kept for the claim.
fn is_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    reference.is_some_and(|it| {
        it.name == claim.metadata.name
            && it.namespace == claim.metadata.namespace
            && it.uid.as_ref().is_none_or(|uid| uid.is_empty() || Some(uid) == claim.metadata.uid.as_ref())
    })
}

/// Whether a free volume would do for the claim (upstream volume.FindMatchingVolume).
fn fits(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let (Some(offer), Some(wish)) = (volume.spec.as_ref(), claim.spec.as_ref()) else { return false };
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let selector = wish.selector.as_ref().map(|it| Selector::from_label_selector(Some(it)));
    offer.claim_ref.is_none()
        && !pods::is_deleting(volume)
        && phase == Some("Available")
        && mismatch(volume, claim).is_none()
        && selector.is_none_or(|it| it.is_ok_and(|it| it.matches(volume.metadata.labels.as_ref())))
}

/// Whether a volume that is kept for the claim can be used by it. Of what class it is does not matter.
fn serves(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    mismatch(volume, claim).is_none_or(|it| it == CLASS_MISMATCH)
}

const CLASS_MISMATCH: &str = "storageClassName does not match";

/// Why a volume is none for the claim (upstream checkVolumeSatisfyClaim).
fn mismatch(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> Option<&'static str> {
    let (Some(offer), Some(wish)) = (volume.spec.as_ref(), claim.spec.as_ref()) else { return Some("no spec") };
    let wanted = wish.resources.as_ref().and_then(|it| it.requests.as_ref()?.get("storage"));
    let wanted = wanted.and_then(|it| Quantity::try_from(it).ok());
    let modes = offer.access_modes.as_deref().unwrap_or_default();
    let mode = |mode: &Option<String>| mode.clone().unwrap_or_else(|| "Filesystem".into());
    if capacity(volume) < wanted {
        Some("requested PV is too small")
    } else if mode(&offer.volume_mode) != mode(&wish.volume_mode) {
        Some("incompatible volumeMode")
    } else if wish.access_modes.iter().flatten().any(|mode| !modes.contains(mode)) {
        Some("incompatible accessMode")
    } else if offer.storage_class_name.as_deref().unwrap_or_default() != class_of(claim) {
        Some(CLASS_MISMATCH)
    } else {
        None
    }
}
