//! Notices nodes that are no longer heard of, and says so by conditions and taints
//! (`pkg/controller/nodelifecycle`).

use std::collections::BTreeMap;
use std::time::Duration;

use client::{Client, Context, Event, EventRecorder, EventType, Informer, Patch, key_of};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, NodeCondition, Pod, Taint};
use machinery::status::ApiError;
use machinery::time::{after, meta_time};
use machinery::{ObjectKey, Timestamp};
use serde_json::json;

mod zones;

use crate::Setup;
use crate::controller::{Controller, Queue};
use crate::pods::{self, BY_NODE};
use zones::{Eviction, Zones, is_cut_off};

/// A node that is not heard of for so long is unknown.
const GRACE: Duration = Duration::from_secs(50);
/// A new node has so long until it is first heard of.
const STARTUP_GRACE: Duration = Duration::from_secs(60);
/// Between a node's loss and the eviction of its pods: others that are lost with it are noticed first
/// (`scheduler.NodeEvictionPeriod`).
const EVICTION_PERIOD: Duration = Duration::from_millis(100);
/// Where nodes keep their leases.
const LEASES: &str = "kube-node-lease";
/// Taint of a node that says it is not ready.
const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// Taint of a node that is not heard of.
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
/// Taints that keep new pods away from a node, by the condition and its status they follow.
const BY_CONDITION: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];
/// Taint of a node that is cordoned.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";
/// The conditions a node reports, which are unknown once it does not.
const REPORTED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The controller of nodes' health.
pub struct NodeLifecycleController {
    client: Client,
    recorder: EventRecorder,
    nodes: Informer<Node>,
    leases: Informer<Lease>,
    pods: Informer<Pod>,
    health: BTreeMap<ObjectKey, Health>,
    zones: Zones,
}

struct Health {
    heard: Timestamp,
    ready: bool,
    /// Since when this controller knows that it is not.
    lost: Option<Timestamp>,
}

impl NodeLifecycleController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "node-controller", ""),
            nodes: setup.informers.informer(),
            leases: setup.informers.informer(),
            pods: setup.informers.informer().indexed(BY_NODE, pods::node_of),
            health: BTreeMap::new(),
            zones: Zones::default(),
        }
    }

    fn observe_node(&mut self, event: &Event<Node>, queue: &mut Queue) {
        let node = event.object();
        let key = key_of(&**node);
        let now = queue.now();
        match event {
            Event::Added(node) => {
                self.zones.count(node, true);
                // Whatever the clock of the node says: it has been heard of now.
                self.health.insert(key.clone(), Health { heard: now, ready: is_ready(node), lost: None });
                let message = format!("Node {0} event: Registered Node {0} in Controller", key.name);
                self.recorder.event(now, &**node, EventType::Normal, "RegisteredNode", &message);
            }
            Event::Updated { old, new } => {
                if is_ready(old) != is_ready(new) || old.metadata.labels != new.metadata.labels {
                    self.zones.count(old, false);
                    self.zones.count(new, true);
                }
                if let Some(health) = self.health.get_mut(&key).filter(|_| heartbeat(old) != heartbeat(new)) {
                    health.heard = now;
                }
                if pods::same_revision(&**old, &**new) {
                    return;
                }
            }
            Event::Deleted(node) => {
                self.zones.count(node, false);
                self.health.remove(&key);
                let message = format!("Node {0} event: Removing Node {0} from Controller", key.name);
                self.recorder.event(now, &**node, EventType::Normal, "RemovingNode", &message);
            }
        }
        queue.add_for(key, &**node);
    }

    /// Every condition the node would report is unknown from now on.
    fn mark_unknown(&self, node: &Node, now: Timestamp) -> Result<(), ApiError> {
        let conditions = REPORTED.map(|kind| {
            let (reason, message) = match condition(node, kind) {
                Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
                None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
            };
            json!({
                "type": kind,
                "status": "Unknown",
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": condition(node, kind)
                    .and_then(|condition| condition.last_heartbeat_time.clone())
                    .or_else(|| node.metadata.creation_timestamp.clone()),
                "lastTransitionTime": meta_time(now),
            })
        });
        let patch = Patch::Strategic(json!({ "status": { "conditions": conditions } }));
        self.client.patch_status::<Node>(&key_of(node), &patch).map(drop)
    }

    /// The node's pods are no longer known to be ready.
    fn mark_pods_not_ready(&mut self, node: &Node, now: Timestamp) -> Result<(), ApiError> {
        for pod in self.pods.by_index(BY_NODE, pods::name(node)) {
            if !pods::is_ready(&pod) {
                continue;
            }
            let condition = json!({ "type": "Ready", "status": "False", "lastTransitionTime": meta_time(now) });
            let patch = Patch::Strategic(json!({ "status": { "conditions": [condition] } }));
            match self.client.patch_status::<Pod>(&key_of(&*pod), &patch) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
            self.recorder.event(now, &*pod, EventType::Warning, "NodeNotReady", "Node is not ready");
        }
        Ok(())
    }

    /// Whether the pods of a node that is not ready are to be evicted; later, where others of its zone are before it.
    fn is_to_be_evicted(&self, node: &Node, has_begun: bool, queue: &mut Queue) -> bool {
        let health = self.health.get(&key_of(node));
        let noticed = health.and_then(|health| health.lost).map(|lost| after(lost, EVICTION_PERIOD));
        match self.zones.eviction(node, noticed, queue.now()) {
            Eviction::Now => true,
            // What has begun goes on, unless it was this controller that was cut off.
            Eviction::At(_) | Eviction::Never if has_begun => !is_cut_off(&self.zones.states()),
            Eviction::At(time) => {
                queue.add_at(key_of(node), time);
                false
            }
            Eviction::Never => false,
        }
    }

    /// Puts the node's taints as its conditions say; others' taints stay. One whose pods are to be evicted waits until
    /// it is its zone's turn.
    fn sync_taints(&mut self, node: &Node, queue: &mut Queue) -> Result<(), ApiError> {
        let now = queue.now();
        let present = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
        let evicts =
            |taint: &Taint| taint.effect == "NoExecute" && [NOT_READY, UNREACHABLE].contains(&taint.key.as_str());
        let is_evicted = present.iter().any(evicts);
        let evict = !is_ready(node) && self.is_to_be_evicted(node, is_evicted, queue);
        let wanted = wanted_taints(node, evict);
        let mine = |taint: &Taint| {
            let by_condition = BY_CONDITION.iter().any(|(_, _, key)| *key == taint.key) || taint.key == UNSCHEDULABLE;
            (taint.effect == "NoSchedule" && by_condition) || evicts(taint)
        };
        let is_wanted = |taint: &Taint| wanted.iter().any(|(key, effect)| *key == taint.key && *effect == taint.effect);
        let mut taints: Vec<Taint> = present.iter().filter(|taint| !mine(taint) || is_wanted(taint)).cloned().collect();
        for (key, effect) in wanted {
            if !taints.iter().any(|taint| taint.key == key && taint.effect == effect) {
                taints.push(Taint {
                    key: key.into(),
                    effect: effect.into(),
                    time_added: Some(meta_time(now)),
                    value: None,
                });
            }
        }
        if taints == present {
            return Ok(());
        }
        let begins = !is_evicted && taints.iter().any(evicts);
        let mut updated = node.clone();
        updated.spec.get_or_insert_default().taints = Some(taints).filter(|taints| !taints.is_empty());
        self.client.update(updated)?;
        if begins {
            self.zones.evicted(node, now);
        }
        Ok(())
    }
}

impl Controller for NodeLifecycleController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        let before = self.zones.states();
        for event in self.nodes.poll(cx) {
            self.observe_node(&event, queue);
        }
        for event in self.leases.poll(cx) {
            let lease = event.object();
            if matches!(event, Event::Deleted(_)) || pods::namespace(&**lease) != LEASES {
                continue;
            }
            let key = ObjectKey::new("", pods::name(&**lease));
            if let Some(health) = self.health.get_mut(&key) {
                health.heard = queue.now();
            }
        }
        self.pods.poll(cx);
        let states = self.zones.states();
        if before != states {
            let is_back = is_cut_off(&before) && !is_cut_off(&states);
            for (key, health) in &mut self.health {
                // Nodes that could not be heard get their time anew.
                if is_back {
                    health.heard = queue.now();
                }
                queue.add(key.clone());
            }
        }
    }

    fn synced(&self) -> bool {
        self.nodes.synced() && self.leases.synced() && self.pods.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let (Some(node), Some(health)) = (self.nodes.get(key), self.health.get(key)) else { return Ok(()) };
        let now = queue.now();
        let reported = condition(&node, "Ready");
        let grace = if reported.is_some() { GRACE } else { STARTUP_GRACE };
        let overdue = after(health.heard, grace);
        let unknown = reported.is_some_and(|ready| ready.status == "Unknown");
        if overdue <= now && !unknown {
            // The conditions come back by the informer, and with them the taints.
            return self.mark_unknown(&node, now);
        }
        if overdue > now {
            queue.add_at(key.clone(), overdue);
        }
        let (was_ready, ready) = (health.ready, is_ready(&node));
        if was_ready && !ready {
            let message = format!("Node {} status is now: NodeNotReady", key.name);
            self.recorder.event(now, &*node, EventType::Normal, "NodeNotReady", &message);
            self.mark_pods_not_ready(&node, now)?;
        }
        if let Some(health) = self.health.get_mut(key) {
            health.ready = ready;
            health.lost = if ready { None } else { health.lost.or(Some(now)) };
        }
        self.sync_taints(&node, queue)
    }
}

/// Keys and effects of the taints the node should have.
fn wanted_taints(node: &Node, evict: bool) -> Vec<(&'static str, &'static str)> {
    let follows =
        |(kind, status, _): &&(&str, &str, &str)| condition(node, kind).is_some_and(|found| found.status == *status);
    let mut wanted: Vec<_> = BY_CONDITION.iter().filter(follows).map(|(_, _, key)| (*key, "NoSchedule")).collect();
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        wanted.push((UNSCHEDULABLE, "NoSchedule"));
    }
    if evict {
        let health = BY_CONDITION.iter().filter(|(kind, _, _)| *kind == "Ready").filter(follows);
        wanted.extend(health.map(|(_, _, key)| (*key, "NoExecute")));
    }
    wanted
}

/// A condition of the node.
pub fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// Whether the node says it is ready, and is heard of.
pub fn is_ready(node: &Node) -> bool {
    condition(node, "Ready").is_some_and(|ready| ready.status == "True")
}

/// What changes when a node reports its status; what this controller writes into it does not count.
fn heartbeat(node: &Node) -> Option<&machinery::Timestamp> {
    condition(node, "Ready")?.last_heartbeat_time.as_ref().map(|time| &time.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(ready: &str, unschedulable: bool) -> Node {
        serde_json::from_value(json!({
            "metadata": { "name": "a" },
            "spec": { "unschedulable": unschedulable },
            "status": { "conditions": [{ "type": "Ready", "status": ready }, { "type": "DiskPressure", "status": "True" }] },
        }))
        .unwrap()
    }

    #[test]
    fn taints_follow_conditions() {
        let disk = ("node.kubernetes.io/disk-pressure", "NoSchedule");
        assert_eq!(wanted_taints(&node("True", false), true), [disk]);
        assert_eq!(
            wanted_taints(&node("False", true), true),
            [(NOT_READY, "NoSchedule"), disk, (UNSCHEDULABLE, "NoSchedule"), (NOT_READY, "NoExecute"),]
        );
        assert_eq!(wanted_taints(&node("Unknown", false), false), [(UNREACHABLE, "NoSchedule"), disk]);
    }
}
