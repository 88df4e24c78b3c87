//! A stand-in for scheduler and kubelets: binds pods in turn, makes them ready, lets them go.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use client::{Client, Component, Context, DeleteOptions, Event, Informer, ListOptions, Patch, key_of};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use machinery::{ObjectKey, Timestamp};
use serde_json::json;

/// What the nodes are told to do otherwise.
#[derive(Default)]
pub struct Behaviour {
    /// Nodes that are dead.
    pub dead: BTreeSet<String>,
    /// Images whose containers never become ready.
    pub broken_images: BTreeSet<String>,
    /// Images whose containers end, and how: true for success.
    pub ending_images: BTreeMap<String, bool>,
    /// Pods that hang in deletion.
    pub stuck: bool,
    /// How long after it is bound a pod is ready; 0 is at once.
    pub start: Duration,
    /// Whether they take pods that nobody has bound to them.
    pub binds: bool,
}

pub struct Nodes {
    client: Client,
    count: usize,
    pods: Informer<Pod>,
    behaviour: Rc<RefCell<Behaviour>>,
    bound: usize,
    starting: BTreeMap<ObjectKey, Timestamp>,
    renew: Timestamp,
    registered: bool,
    /// Nodes that were dead when leases were last renewed.
    away: BTreeSet<String>,
}

impl Nodes {
    pub fn new(client: Client, count: usize, behaviour: Rc<RefCell<Behaviour>>) -> Self {
        Self {
            pods: Informer::new(&client, "", ListOptions::default()),
            client,
            count,
            behaviour,
            bound: 0,
            starting: BTreeMap::new(),
            renew: Timestamp::MIN,
            registered: false,
            away: BTreeSet::new(),
        }
    }

    fn register(&mut self, now: Timestamp) {
        for index in 0..self.count {
            let node: Node = serde_json::from_value(json!({
                "metadata": {
                    "name": format!("node-{index}"),
                    "labels": { "topology.kubernetes.io/zone": format!("zone-{}", index % 2) },
                },
            }))
            .unwrap();
            let node = self.client.create(node).unwrap();
            self.report(&key_of(&*node).name, now);
            let lease: Lease = serde_json::from_value(json!({
                "metadata": { "name": format!("node-{index}"), "namespace": "kube-node-lease" },
                "spec": { "holderIdentity": format!("node-{index}"), "leaseDurationSeconds": 40 },
            }))
            .unwrap();
            self.client.create(lease).unwrap();
        }
        self.registered = true;
    }

    /// Tells that a node is ready.
    fn report(&self, name: &str, now: Timestamp) {
        let time = machinery::time::meta_time(now);
        let ready = json!({ "type": "Ready", "status": "True", "lastHeartbeatTime": time, "lastTransitionTime": time });
        let patch = Patch::Strategic(json!({ "status": {
            "conditions": [ready], "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" },
        } }));
        self.client.patch_status::<Node>(&ObjectKey::new("", name), &patch).unwrap();
    }

    fn renew(&mut self, now: Timestamp) {
        for index in 0..self.count {
            let name = format!("node-{index}");
            if self.behaviour.borrow().dead.contains(&name) {
                self.away.insert(name);
                continue;
            }
            if self.away.remove(&name) {
                self.report(&name, now);
                // What happened to its pods meanwhile happened unseen.
                for pod in self.pods.list() {
                    if pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(&name) {
                        self.observe(&pod, now);
                        if pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running") {
                            // The node's controller took them for not ready.
                            self.start(&key_of(&*pod), now);
                        }
                    }
                }
            }
            let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(now);
            let patch = Patch::Merge(json!({ "spec": { "renewTime": time } }));
            let _ = self.client.patch::<Lease>(&ObjectKey::new("kube-node-lease", name), &patch);
        }
    }

    fn observe(&mut self, pod: &Pod, now: Timestamp) {
        let key = key_of(pod);
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).unwrap_or_default();
        if node.is_empty() {
            if !self.behaviour.borrow().binds {
                return;
            }
            let alive = |index: &usize| !self.behaviour.borrow().dead.contains(&format!("node-{index}"));
            let nodes: Vec<usize> = (0..self.count).filter(alive).collect();
            if !nodes.is_empty() && pod.metadata.deletion_timestamp.is_none() {
                let any = format!("node-{}", nodes[self.bound % nodes.len()]);
                let node = playground_controllers::daemonset::nodes::target_node(pod).map_or(any, str::to_owned);
                self.bound += 1;
                let _ = self.client.bind(&key, pod.metadata.uid.as_deref().unwrap_or_default(), &node);
            }
            return;
        }
        if self.behaviour.borrow().dead.contains(&node) {
            return;
        }
        if pod.metadata.deletion_timestamp.is_some() {
            if !self.behaviour.borrow().stuck {
                let options = DeleteOptions { grace_period_seconds: Some(0), ..DeleteOptions::default() };
                let _ = self.client.delete::<Pod>(&key, &options);
            }
            return;
        }
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        if phase == "Pending" && !self.starting.contains_key(&key) {
            self.starting.insert(key, now + self.behaviour.borrow().start);
        }
    }

    fn start(&mut self, key: &ObjectKey, now: Timestamp) {
        let Some(pod) = self.pods.get(key).filter(|pod| pod.metadata.deletion_timestamp.is_none()) else { return };
        let image = pod.spec.as_ref().and_then(|spec| spec.containers.first()?.image.clone()).unwrap_or_default();
        let behaviour = self.behaviour.borrow();
        let (phase, ready) = match behaviour.ending_images.get(&image) {
            Some(true) => ("Succeeded", false),
            Some(false) => ("Failed", false),
            None => ("Running", !behaviour.broken_images.contains(&image)),
        };
        self.bound += 1;
        let patch = Patch::Strategic(json!({ "status": {
            "phase": phase,
            "podIP": format!("10.244.{}.{}", self.bound / 250 % 250, self.bound % 250),
            "podIPs": [{ "ip": format!("10.244.{}.{}", self.bound / 250 % 250, self.bound % 250) }],
            "startTime": machinery::time::meta_time(now),
            "conditions": [{
                "type": "Ready",
                "status": if ready { "True" } else { "False" },
                "lastTransitionTime": machinery::time::meta_time(now),
            }],
        } }));
        let _ = self.client.patch_status::<Pod>(key, &patch);
    }
}

impl Component for Nodes {
    fn name(&self) -> &str {
        "nodes"
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        if !self.registered {
            self.register(now);
        }
        if now >= self.renew {
            self.renew(now);
            self.renew = now + Duration::from_secs(10);
        }
        cx.wake_at(self.renew);
        for event in self.pods.poll(cx) {
            if let Event::Added(pod) | Event::Updated { new: pod, .. } = event {
                self.observe(&pod, now);
            }
        }
        let due: Vec<_> = self.starting.iter().filter(|(_, time)| **time <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.starting.remove(&key);
            self.start(&key, now);
        }
        if let Some(time) = self.starting.values().min() {
            cx.wake_at(*time);
        }
    }
}
