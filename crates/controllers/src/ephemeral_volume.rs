//! Makes the claims of pods' generic ephemeral volumes (`pkg/controller/volume/ephemeral`).

use client::{Client, Context, EventRecorder, EventType, Informer, key_of};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use machinery::ObjectKey;
use machinery::status::ApiError;

use crate::claim::controller_reference;
use crate::controller::{Controller, Queue};
use crate::{Setup, pods};

/// The controller of ephemeral volumes' claims.
pub struct EphemeralVolumeController {
    client: Client,
    recorder: EventRecorder,
    claims: Informer<PersistentVolumeClaim>,
    pods: Informer<Pod>,
}

/// Whether a pod has an ephemeral volume that is a claim.
pub fn has_ephemeral(pod: &Pod) -> bool {
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).any(|volume| volume.ephemeral.is_some())
}

impl EphemeralVolumeController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "ephemeral_volume", ""),
            claims: setup.informers.informer(),
            pods: setup.informers.informer(),
        }
    }

    /// Tells why a volume has no claim.
    fn fail(&mut self, pod: &Pod, volume: &str, why: &str, queue: &Queue) -> ApiError {
        let message = format!("ephemeral volume {volume}: {why}");
        self.recorder.event(queue.now(), pod, EventType::Warning, "FailedBinding", &message);
        ApiError::internal(message)
    }
}

impl Controller for EphemeralVolumeController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        self.claims.poll(cx);
        for event in self.pods.poll(cx) {
            let pod = event.object();
            if has_ephemeral(pod) {
                queue.add_for(key_of(&**pod), &**pod);
            }
        }
    }

    fn synced(&self) -> bool {
        self.claims.synced() && self.pods.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let Some(pod) = self.pods.get(key).filter(|pod| !pods::is_deleting(&**pod)) else { return Ok(()) };
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let template = volume.ephemeral.as_ref().and_then(|source| source.volume_claim_template.as_ref());
            let Some(template) = template else { continue };
            let name = format!("{}-{}", key.name, volume.name);
            if let Some(claim) = self.claims.get(&ObjectKey::new(&key.namespace, &name)) {
                let owner = pods::controller_of(&claim.metadata);
                if owner.is_none_or(|owner| owner.uid != pods::uid(&*pod)) {
                    let why = format!("PVC {}/{name} was not created for pod {key} (pod is not owner)", key.namespace);
                    return Err(self.fail(&pod, &volume.name, &why, queue));
                }
                continue;
            }
            let mut metadata = template.metadata.clone().unwrap_or_default();
            metadata.name = Some(name);
            metadata.namespace = Some(key.namespace.clone());
            metadata.owner_references = Some(vec![controller_reference(&*pod)]);
            let claim = PersistentVolumeClaim { metadata, spec: Some(template.spec.clone()), ..Default::default() };
            match self.client.create(claim) {
                Err(error) if error.is_already_exists() => {}
                Err(error) => {
                    let why = format!("create PVC {}-{}: {error}", key.name, volume.name);
                    return Err(self.fail(&pod, &volume.name, &why, queue));
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }
}
