//! Static pods: the node's own manifests, and the mirror pods by which the API shows them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Context, DeleteOptions, key_of};
use k8s_openapi::api::core::v1::{Node, Pod, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use machinery::time::{after, format_seconds};
use machinery::{ObjectKey, Timestamp};

use crate::kubelet::Kubelet;
use crate::text::str;

/// How often the manifests are read: upstream's `fileCheckFrequency`.
const INTERVAL: Duration = Duration::from_secs(20);
const SOURCE: &str = "kubernetes.io/config.source";
const HASH: &str = "kubernetes.io/config.hash";
const SEEN: &str = "kubernetes.io/config.seen";
/// What marks a mirror pod: the hash of the static pod that it shows.
const MIRROR: &str = "kubernetes.io/config.mirror";

fn annotation<'a>(pod: &'a Pod, name: &str) -> Option<&'a str> {
    pod.metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

/// Whether a pod comes from a manifest of the node.
pub fn is_static(pod: &Pod) -> bool {
    annotation(pod, SOURCE) == Some("file")
}

/// The static pod that a mirror pod shows.
pub fn mirrored(pod: &Pod) -> Option<&str> {
    annotation(pod, MIRROR)
}

impl Kubelet {
    /// Reads the manifests when that is due: new pods start, those whose manifest is gone end.
    pub(crate) fn watch_manifests(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        if now >= self.manifests_at {
            self.manifests_at = after(now, INTERVAL);
            let Some(manifests) = self.runtime.manifests() else {
                self.manifests_at = Timestamp::MAX;
                return;
            };
            let wanted: Vec<Pod> = manifests
                .iter()
                .filter_map(|(name, text)| self.static_pod(name, &String::from_utf8_lossy(text), now))
                .collect();
            let is_wanted = |uid: &str| wanted.iter().any(|pod| str(&pod.metadata.uid) == uid);
            let gone: Vec<String> = self
                .workers
                .iter()
                .filter(|(uid, slot)| is_static(&slot.worker.pod) && !slot.worker.removed && !is_wanted(uid))
                .map(|(uid, _)| uid.clone())
                .collect();
            for uid in gone {
                if let Some(slot) = self.workers.get_mut(&uid) {
                    slot.worker.removed = true;
                }
                self.mark(&uid);
            }
            for pod in wanted {
                if !self.workers.contains_key(str(&pod.metadata.uid)) {
                    self.pod_seen(now, Arc::new(pod));
                }
            }
        }
        if self.manifests_at < Timestamp::MAX {
            cx.wake_at(self.manifests_at);
        }
    }

    /// The pod of a manifest; none of a text that is no pod, as upstream's kubelet only logs that.
    fn static_pod(&self, file: &str, text: &str, now: Timestamp) -> Option<Pod> {
        if file.starts_with('.') {
            return None;
        }
        let value = machinery::yaml::from_str(text).ok()?;
        let mut pod: Pod = machinery::object::from_value(value).ok()?;
        let seed = machinery::random::fnv64a(format!("{}/{file}/{text}", self.config.name).as_bytes());
        let hash = format!("{seed:016x}{:016x}", seed.rotate_left(29) ^ 0x9e37_79b9_7f4a_7c15);
        let meta = &mut pod.metadata;
        let name = meta.name.take().filter(|name| !name.is_empty())?;
        meta.name = Some(format!("{name}-{}", self.config.name));
        meta.namespace = Some(meta.namespace.take().unwrap_or_else(|| "default".into()));
        meta.uid = Some(hash.clone());
        let annotations = meta.annotations.get_or_insert_with(BTreeMap::new);
        for (key, value) in [(SOURCE, "file".to_owned()), (HASH, hash), (SEEN, format_seconds(now))] {
            annotations.insert(key.into(), value);
        }
        let spec = pod.spec.as_mut().filter(|spec| !spec.containers.is_empty())?;
        spec.node_name = Some(self.config.name.clone());
        spec.tolerations.get_or_insert_default().push(Toleration {
            operator: Some("Exists".into()),
            effect: Some("NoExecute".into()),
            ..Toleration::default()
        });
        Some(pod)
    }

    /// A mirror pod is there, or has changed. One that shows nothing, or is to go, goes.
    pub(crate) fn mirror_seen(&mut self, pod: Arc<Pod>) {
        let uid = mirrored(&pod).unwrap_or_default().to_owned();
        match self.workers.get_mut(&uid).filter(|slot| !slot.worker.removed) {
            Some(slot) if pod.metadata.deletion_timestamp.is_none() => {
                slot.mirror = Some(pod);
                self.mark(&uid);
            }
            _ => self.remove_mirror(&pod),
        }
    }

    /// A mirror pod is gone: it is made again while its static pod is there.
    pub(crate) fn mirror_gone(&mut self, pod: &Pod) {
        let uid = mirrored(pod).unwrap_or_default().to_owned();
        if let Some(slot) = self.workers.get_mut(&uid) {
            slot.mirror = None;
            self.mark(&uid);
        }
    }

    /// Takes a mirror pod out of the API; that it is gone already does not matter.
    pub(crate) fn remove_mirror(&self, pod: &Pod) {
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::uid(str(&pod.metadata.uid)) };
        let _ = self.client.delete::<Pod>(&key_of(pod), &options);
    }

    /// The mirror pod of a static pod, made if there is none.
    pub(crate) fn mirror_of(&self, pod: &Pod) -> Option<Arc<Pod>> {
        let node = self.client.get::<Node>(&ObjectKey::new("", self.config.name.as_str())).ok()?;
        let mut mirror = Pod { status: None, ..pod.clone() };
        let hash = mirror.metadata.uid.take().unwrap_or_default();
        mirror.metadata.annotations.get_or_insert_with(BTreeMap::new).insert(MIRROR.into(), hash.clone());
        mirror.metadata.owner_references = Some(vec![OwnerReference {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: self.config.name.clone(),
            uid: node.metadata.uid.clone().unwrap_or_default(),
            controller: Some(true),
            block_owner_deletion: None,
        }]);
        match self.client.create(mirror) {
            Ok(made) => Some(made),
            Err(error) if error.is_already_exists() => {
                let there = self.client.get::<Pod>(&key_of(pod)).ok()?;
                if mirrored(&there) == Some(hash.as_str()) && there.metadata.deletion_timestamp.is_none() {
                    return Some(there);
                }
                // Of an older manifest.
                if mirrored(&there).is_some() {
                    self.remove_mirror(&there);
                }
                None
            }
            Err(_) => None,
        }
    }
}
