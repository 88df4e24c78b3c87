//! Telling the API what became of a pod.

use client::{DeleteOptions, key_of};
use k8s_openapi::api::core::v1::Pod;
use machinery::Timestamp;

use crate::kubelet::Kubelet;
use crate::status::pod_status;
use crate::text::str;

impl Kubelet {
    /// Writes a pod's status if it changed, and removes the pod from the API once it has ended. False
    /// if that must be tried again.
    pub(crate) fn publish(&mut self, now: Timestamp, uid: &str) -> bool {
        let Some(slot) = self.workers.get_mut(uid).filter(|slot| !slot.worker.removed) else { return true };
        let status = pod_status(&slot.worker, &self.config, &self.version.name, now);
        let pod = slot.worker.pod.clone();
        let key = key_of(&*pod);
        let as_written = slot.published.as_ref().is_some_and(|(published, revision)| {
            *published == status && Some(revision) == pod.metadata.resource_version.as_ref()
        });
        if pod.status.as_ref() != Some(&status) && !as_written {
            let changed = Pod { status: Some(status.clone()), ..(*pod).clone() };
            match self.client.update_status(changed) {
                Ok(written) => {
                    slot.published = Some((status, str(&written.metadata.resource_version).into()));
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
