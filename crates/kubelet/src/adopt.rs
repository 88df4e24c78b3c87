//! Pods come, change and go; and what the runtime holds finds its workers again.

use std::collections::BTreeMap;
use std::sync::Arc;

use client::EventType;
use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::{ObjectKey, Timestamp};

use crate::admit;
use crate::kubelet::{Kubelet, Slot};
use crate::placement;
use crate::runtime::{ContainerStatus, SandboxStatus};
use crate::spec;
use crate::static_pods::mirrored;
use crate::text::str;
use crate::worker::Worker;

impl Kubelet {
    /// A pod of this node is there, or has changed.
    pub(crate) fn pod_seen(&mut self, now: Timestamp, pod: Arc<Pod>) {
        if mirrored(&pod).is_some() {
            return self.mirror_seen(pod);
        }
        let uid = str(&pod.metadata.uid).to_string();
        if let Some(slot) = self.workers.get_mut(&uid) {
            if revision(&pod) > revision(&slot.worker.pod) {
                slot.cause = revision(&pod);
                slot.worker.pod = pod;
                self.mark(&uid);
            }
            return;
        }
        let mut worker = Worker::new(pod.clone(), now);
        let fresh = pod.status.as_ref().is_none_or(|status| status.start_time.is_none());
        if fresh && pod.metadata.deletion_timestamp.is_none() {
            let others =
                self.workers.values().filter(|slot| !spec::is_terminal(&slot.worker.pod) && !slot.worker.removed);
            let others: Vec<&Pod> = others.map(|slot| &*slot.worker.pod).collect();
            let failure = self.pressure.refuse(&pod);
            let failure = failure.or_else(|| admit::refuse(&pod, others.iter().copied(), &self.config));
            // The node's labels of now: they may have changed just before the pod came.
            let place = || {
                let key = ObjectKey::new("", self.config.name.as_str());
                let node = placement::selects(&pod).then(|| self.client.get::<Node>(&key).ok()).flatten()?;
                placement::refuse_node(&pod, &node)
            };
            let failure = failure.or_else(place);
            worker.failure = failure.or_else(|| placement::refuse_ports(&pod, others.iter().copied()));
        }
        if let Some(failure) = &worker.failure
            && fresh
        {
            let kind = EventType::Warning;
            self.recorder.event(
                now,
                &*pod,
                kind,
                &failure.reason,
                failure.message.trim_start_matches("Pod was rejected: "),
            );
        }
        let cause = revision(&pod);
        let mut slot = Slot::new(worker);
        slot.cause = cause;
        self.workers.insert(uid.clone(), slot);
        self.mark(&uid);
    }

    /// A pod is gone from the API.
    pub(crate) fn pod_gone(&mut self, pod: &Pod) {
        if mirrored(pod).is_some() {
            return self.mirror_gone(pod);
        }
        let uid = str(&pod.metadata.uid);
        if let Some(slot) = self.workers.get_mut(uid) {
            slot.worker.removed = true;
            self.mark(uid);
        }
    }

    /// Gives what the runtime holds to the workers of its pods; what belongs to no pod is ended.
    pub(crate) fn adopt(&mut self, now: Timestamp) {
        if !self.pods.synced() {
            return;
        }
        let Some(listing) = self.found.take() else { return };
        let mut held: BTreeMap<String, (Vec<SandboxStatus>, Vec<ContainerStatus>)> = BTreeMap::new();
        for sandbox in listing.sandboxes {
            held.entry(sandbox.pod_uid.clone()).or_default().0.push(sandbox);
        }
        for container in listing.containers {
            held.entry(container.pod_uid.clone()).or_default().1.push(container);
        }
        if !self.adopted {
            self.adopted = true;
            for pod in self.pods.list() {
                self.pod_seen(now, pod);
            }
        }
        for (uid, (sandboxes, _)) in &held {
            if !self.workers.contains_key(uid) {
                let mut worker = Worker::new(Arc::new(orphan(uid, sandboxes.first())), now);
                worker.removed = true;
                self.workers.insert(uid.clone(), Slot::new(worker));
            }
        }
        for (uid, slot) in &mut self.workers {
            let (sandboxes, containers) = held.remove(uid).unwrap_or_default();
            slot.worker.adopt(sandboxes, containers, now);
            if slot.worker.removed {
                adopt_specs(&mut slot.worker);
            }
            self.dirty.insert(uid.clone());
        }
    }
}

fn revision(pod: &Pod) -> u64 {
    str(&pod.metadata.resource_version).parse().unwrap_or_default()
}

/// A pod known only by what the runtime holds of it: it was removed from the API while no kubelet ran.
fn orphan(uid: &str, sandbox: Option<&SandboxStatus>) -> Pod {
    Pod {
        metadata: ObjectMeta {
            name: sandbox.map(|sandbox| sandbox.pod_name.clone()),
            namespace: sandbox.map(|sandbox| sandbox.pod_namespace.clone()),
            uid: Some(uid.into()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec::default()),
        status: None,
    }
}

/// Gives a pod known only by its containers a spec that names them, so that they are ended.
fn adopt_specs(worker: &mut Worker) {
    let mut pod = (*worker.pod).clone();
    let Some(spec) = pod.spec.as_mut().filter(|spec| spec.containers.is_empty()) else { return };
    spec.containers = worker
        .containers
        .iter()
        .map(|(name, container)| Container {
            name: name.clone(),
            image: container.current.as_ref().map(|run| run.image.clone()),
            ..Container::default()
        })
        .collect();
    worker.pod = Arc::new(pod);
}
