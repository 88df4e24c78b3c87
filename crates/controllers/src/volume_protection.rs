//! Claims that pods use, and volumes that claims have, stay until they are free
//! (`pkg/controller/volume/pvcprotection`, `pvprotection`).

use client::{Client, Context, Informer, Patch, key_of};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use machinery::Kind;
use machinery::ObjectKey;
use machinery::status::ApiError;
use serde_json::json;

use crate::controller::{Controller, Queue};
use crate::{Setup, pods};

/// The index of pods, and of volumes, by the claims they use.
pub const CLAIM: &str = "claim";

const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

/// [`CLAIM`]'s values of a pod: `namespace/name` of each claim it uses, those made for it alone too.
pub fn claims_of(pod: &Pod) -> Vec<String> {
    let (namespace, name) = (pods::namespace(pod), pods::name(pod));
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let claims = volumes.filter_map(|volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
        (Some(claim), _) => Some(format!("{namespace}/{}", claim.claim_name)),
        (None, Some(_)) => Some(format!("{namespace}/{name}-{}", volume.name)),
        (None, None) => None,
    });
    claims.collect()
}

/// The controller of claims' protection.
pub struct ClaimProtection {
    client: Client,
    claims: Informer<PersistentVolumeClaim>,
    pods: Informer<Pod>,
}

impl ClaimProtection {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            claims: setup.informers.informer(),
            pods: setup.informers.informer().indexed(CLAIM, claims_of),
        }
    }
}

impl Controller for ClaimProtection {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.claims.poll(cx) {
            queue.add_for(key_of(&**event.object()), &**event.object());
        }
        for event in self.pods.poll(cx) {
            let pod = event.object();
            for claim in claims_of(pod) {
                if let Some((namespace, name)) = claim.split_once('/') {
                    queue.add_for(ObjectKey::new(namespace, name), &**pod);
                }
            }
        }
    }

    fn synced(&self) -> bool {
        self.claims.synced() && self.pods.synced()
    }

    fn sync(&mut self, key: &ObjectKey, _: &mut Queue) -> Result<(), ApiError> {
        let Some(claim) = self.claims.get(key) else { return Ok(()) };
        let users = self.pods.by_index(CLAIM, &key.to_string());
        // A pod that has ended keeps its claims as well, as long as it is there.
        let used = users.iter().any(|pod| !pods::node_name(pod).is_empty());
        protect(&self.client, &*claim, CLAIM_FINALIZER, used)
    }
}

/// The controller of volumes' protection.
pub struct VolumeProtection {
    client: Client,
    volumes: Informer<PersistentVolume>,
}

impl VolumeProtection {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self { client: client.clone(), volumes: setup.informers.informer() }
    }
}

impl Controller for VolumeProtection {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.volumes.poll(cx) {
            queue.add_for(key_of(&**event.object()), &**event.object());
        }
    }

    fn synced(&self) -> bool {
        self.volumes.synced()
    }

    fn sync(&mut self, key: &ObjectKey, _: &mut Queue) -> Result<(), ApiError> {
        let Some(volume) = self.volumes.get(key) else { return Ok(()) };
        let used = volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
        protect(&self.client, &*volume, VOLUME_FINALIZER, used)
    }
}

/// Gives an object the finalizer while it stays, and takes it away once it is to go and nobody uses it.
fn protect<K: Kind>(client: &Client, object: &K, finalizer: &str, used: bool) -> Result<(), ApiError> {
    let mut finalizers = object.metadata().finalizers.clone().unwrap_or_default();
    let held = finalizers.iter().any(|name| name == finalizer);
    match (pods::is_deleting(object), held, used) {
        (false, false, _) => finalizers.push(finalizer.into()),
        (true, true, false) => finalizers.retain(|name| name != finalizer),
        _ => return Ok(()),
    }
    let version = &object.metadata().resource_version;
    let patch = Patch::Merge(json!({ "metadata": { "finalizers": finalizers, "resourceVersion": version } }));
    match client.patch::<K>(&key_of(object), &patch) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}
