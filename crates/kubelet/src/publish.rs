//! Telling the API what became of a pod.

use std::sync::Arc;

use client::{Client, DeleteOptions, key_of};
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use machinery::Timestamp;

use crate::NodeConfig;
use crate::container::Step;
use crate::kubelet::{Kubelet, Slot};
use crate::static_pods::is_static;
use crate::status::pod_status;
use crate::text::str;

impl Kubelet {
    /// Writes a pod's status if it changed, and removes the pod from the API once it has ended. False
    /// if that must be tried again.
    pub(crate) fn publish(&mut self, now: Timestamp, uid: &str) -> bool {
        let made = match self.workers.get(uid) {
            Some(slot) if is_static(&slot.worker.pod) && slot.mirror.is_none() && !slot.worker.removed => {
                match self.mirror_of(&slot.worker.pod) {
                    Some(mirror) => Some(mirror),
                    None => return false,
                }
            }
            _ => None,
        };
        let Some(slot) = self.workers.get_mut(uid).filter(|slot| !slot.worker.removed) else { return true };
        // As upstream, which fetches the images of a pod's first containers, makes and starts them in one go: how
        // far that is, events tell.
        let containers = || slot.worker.containers.values();
        let are_first = containers().all(|container| container.current.is_none());
        let is_starting = containers().any(|container| match container.step {
            Step::Starting => true,
            Step::Inspecting | Step::Pulling(_) | Step::Creating => are_first,
            Step::Idle | Step::PostStart => false,
        });
        if is_starting && slot.worker.termination.is_none() {
            return true;
        }
        slot.mirror = made.or(slot.mirror.take());
        if let Some(mirror) = slot.mirror.clone() {
            return publish_mirror(slot, &mirror, &self.client, &self.config, &self.version.name, now);
        }
        let status = pod_status(&slot.worker, &self.config, &self.version.name, now);
        let pod = slot.worker.pod.clone();
        let key = key_of(&*pod);
        let as_written = slot.published.as_ref().is_some_and(|(published, revision)| {
            *published == status && Some(revision) == pod.metadata.resource_version.as_ref()
        });
        if pod.status.as_ref() != Some(&status) && !as_written {
            match self.client.update_status(with_status(&pod, status.clone())) {
                Ok(written) => {
                    // What the server made something else of is not written again.
                    let revision = || str(&written.metadata.resource_version).to_owned();
                    slot.published = (written.status.as_ref() != Some(&status)).then(|| (status, revision()));
                    slot.worker.pod = written;
                }
                // The informer will say that it is gone.
                Err(error) if error.is_not_found() => return true,
                Err(error) if error.is_conflict() => {
                    // What others wrote is on its way; without it, nothing can be written.
                    if let Ok(newer) = self.client.get::<Pod>(&key)
                        && newer.metadata.uid == pod.metadata.uid
                    {
                        slot.worker.pod = newer;
                    }
                    return false;
                }
                Err(_) => return false,
            }
        }
        if slot.worker.pod.metadata.deletion_timestamp.is_some() && slot.worker.is_stopped() && !slot.delete_sent {
            let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::uid(uid) };
            match self.client.delete::<Pod>(&key, &options) {
                Ok(()) => slot.delete_sent = true,
                Err(error) if error.is_not_found() || error.is_conflict() => slot.delete_sent = true,
                Err(_) => return false,
            }
        }
        true
    }
}

/// A pod as its status is updated by: without the spec, which stays as it is.
fn with_status(pod: &Pod, status: PodStatus) -> Pod {
    Pod { metadata: pod.metadata.clone(), spec: None, status: Some(status) }
}

/// Writes a static pod's status into its mirror.
fn publish_mirror(
    slot: &mut Slot,
    mirror: &Arc<Pod>,
    client: &Client,
    config: &NodeConfig,
    runtime: &str,
    now: Timestamp,
) -> bool {
    // What others wrote into the mirror is kept.
    if slot.worker.pod.status != mirror.status {
        slot.worker.pod = Arc::new(Pod { status: mirror.status.clone(), ..(*slot.worker.pod).clone() });
    }
    let status = pod_status(&slot.worker, config, runtime, now);
    if mirror.status.as_ref() == Some(&status) {
        return true;
    }
    match client.update_status(with_status(mirror, status)) {
        Ok(written) => {
            slot.mirror = Some(written);
            true
        }
        Err(error) if error.is_not_found() => {
            slot.mirror = None;
            true
        }
        Err(error) if error.is_conflict() => {
            slot.mirror = client.get::<Pod>(&key_of(&**mirror)).ok();
            false
        }
        Err(_) => false,
    }
}
