//! Removes pods nobody else will: those of nodes that are gone, those that ended long ago, those
//! deleted before they had a node (`pkg/controller/podgc`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Context, DeleteOptions, Event, Informer, Patch, key_of};
use k8s_openapi::api::core::v1::{Node, Pod};
use machinery::sort::Order;
use machinery::status::ApiError;
use machinery::time::meta_time;
use machinery::{ObjectKey, Timestamp};
use serde_json::{Value, json};

use crate::Setup;
use crate::controller::{Controller, Queue};
use crate::pods::{self, BY_NODE};

/// How often there is a look.
const CHECK_PERIOD: Duration = Duration::from_secs(20);
/// So long a node may be missing before its pods are orphans: it may just be registering.
const QUARANTINE: Duration = Duration::from_secs(40);
/// So many ended pods may lie around.
const TERMINATED_MAX: usize = 12_500;
/// The index of pods this controller may have to remove, by why.
const CANDIDATES: &str = "podgc";
/// Value of [`CANDIDATES`]: all containers ended.
const TERMINATED: &str = "terminated";
/// Value of [`CANDIDATES`]: deleted, and on no node that would see to it.
const UNSCHEDULED: &str = "unscheduled";
/// Put on a node that is down for good: its pods may be taken for gone.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// The pod garbage collector; its one key is "".
pub struct PodGcController {
    client: Client,
    pods: Informer<Pod>,
    nodes: Informer<Node>,
    /// Since when nodes that pods name are missing.
    missing: BTreeMap<String, Timestamp>,
    started: bool,
}

impl PodGcController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            pods: setup.informers.informer().indexed(BY_NODE, pods::node_of).indexed(CANDIDATES, candidate),
            nodes: setup.informers.informer(),
            missing: BTreeMap::new(),
            started: false,
        }
    }

    fn collect_orphans(&mut self, now: Timestamp) -> Result<(), ApiError> {
        let nodes = self.pods.index_values(BY_NODE);
        let absent: Vec<String> = nodes.into_iter().filter(|node| self.nodes.get_named(node).is_none()).collect();
        self.missing.retain(|node, _| absent.contains(node));
        for node in absent {
            let since = *self.missing.entry(node.clone()).or_insert(now);
            if now.duration_since(since).unsigned_abs() < QUARANTINE {
                continue;
            }
            match self.client.get::<Node>(&ObjectKey::new("", node.as_str())) {
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
                Ok(_) => continue,
            }
            for pod in self.pods.by_index(BY_NODE, &node) {
                let condition = json!({
                    "type": "DisruptionTarget",
                    "status": "True",
                    "reason": "DeletionByPodGC",
                    "message": "PodGC: node no longer exists",
                    "observedGeneration": pod.metadata.generation,
                    "lastTransitionTime": meta_time(now),
                });
                self.fail_and_delete(&pod, &[condition])?;
            }
        }
        Ok(())
    }

    /// Marks the pod as failed, because nobody else will, and removes it.
    fn fail_and_delete(&self, pod: &Pod, conditions: &[Value]) -> Result<(), ApiError> {
        if !pods::is_terminated(pod) {
            let patch = Patch::Strategic(json!({ "status": { "phase": "Failed", "conditions": conditions } }));
            match self.client.patch_status::<Pod>(&key_of(pod), &patch) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        self.delete(pod)
    }

    fn delete(&self, pod: &Pod) -> Result<(), ApiError> {
        let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::uid(pods::uid(pod)) };
        match self.client.delete::<Pod>(&key_of(pod), &options) {
            Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }

    fn collect_terminated(&self) -> Result<(), ApiError> {
        if self.pods.count_by_index(CANDIDATES, TERMINATED) <= TERMINATED_MAX {
            return Ok(());
        }
        let mut ended = self.pods.by_index(CANDIDATES, TERMINATED);
        ended.order_by_key(|pod| (client::creation_time(&**pod), key_of(&**pod)));
        let surplus = ended.len() - TERMINATED_MAX;
        ended.iter().take(surplus).try_for_each(|pod| self.delete(pod))
    }

    fn collect_of_nodes_out_of_service(&self) -> Result<(), ApiError> {
        let out = |node: &Arc<Node>| {
            let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
            taints.iter().any(|taint| taint.key == OUT_OF_SERVICE) && !crate::nodelifecycle::is_ready(node)
        };
        for node in self.nodes.list().iter().filter(|node| out(node)) {
            for pod in self.pods.by_index(BY_NODE, pods::name(&**node)) {
                if pods::is_deleting(&*pod) {
                    self.fail_and_delete(&pod, &[])?;
                }
            }
        }
        Ok(())
    }
}

impl Controller for PodGcController {
    type Key = String;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue<String>) {
        // Pods and nodes are looked up when the time comes.
        self.pods.poll(cx);
        let nodes_went = self.nodes.poll(cx).iter().any(|event| matches!(event, Event::Deleted(_)));
        if nodes_went || !std::mem::replace(&mut self.started, true) {
            queue.add(String::new());
        }
    }

    fn synced(&self) -> bool {
        self.pods.synced() && self.nodes.synced()
    }

    fn sync(&mut self, key: &String, queue: &mut Queue<String>) -> Result<(), ApiError> {
        queue.add_after(key.clone(), CHECK_PERIOD);
        let now = queue.now();
        self.collect_terminated()?;
        self.collect_of_nodes_out_of_service()?;
        self.collect_orphans(now)?;
        self.pods.by_index(CANDIDATES, UNSCHEDULED).iter().try_for_each(|pod| self.fail_and_delete(pod, &[]))
    }
}

fn candidate(pod: &Pod) -> Vec<String> {
    let unscheduled = pods::is_deleting(pod) && pods::node_name(pod).is_empty();
    let reasons = [(pods::is_terminated(pod), TERMINATED), (unscheduled, UNSCHEDULED)];
    reasons.into_iter().filter(|(is, _)| *is).map(|(_, reason)| reason.to_owned()).collect()
}
