//! A kubelet over a scripted API and a scripted runtime, in virtual time.

mod api;
mod runtime;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use client::{Client, Component, Context};
use k8s_openapi::api::core::v1::Pod;
use machinery::Timestamp;
use playground_kubelet::{Kubelet, NodeConfig};
use serde_json::Value;

pub use api::FakeApi;
pub use runtime::{FakeRuntime, Plan, World};

/// Everything a test needs.
pub struct Bed {
    pub api: Rc<FakeApi>,
    pub world: World,
    pub kubelet: Kubelet,
    pub now: Timestamp,
    woken: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Bed {
    pub fn new() -> Self {
        let api = Rc::new(FakeApi::default());
        let world = World::default();
        let kubelet = make(&api, &world);
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        Self { api, world, kubelet, now, woken: Arc::new(Flag(AtomicBool::new(false))) }
    }

    /// Replaces the kubelet by a new one: a restart.
    pub fn restart(&mut self) {
        self.world.forget_operations();
        self.kubelet = make(&self.api, &self.world);
    }

    /// Lets time pass.
    pub fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        let waker = Waker::from(self.woken.clone());
        for _ in 0..1_000_000 {
            let mut cx = Context::new(self.now, &waker);
            self.kubelet.poll(&mut cx);
            if self.woken.0.swap(false, Ordering::Relaxed) {
                continue;
            }
            match cx.next_wake() {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("the kubelet never comes to rest");
    }

    /// How often the kubelet is polled in so many seconds.
    pub fn polls(&mut self, seconds: u64) -> usize {
        let end = self.now + Duration::from_secs(seconds);
        let waker = Waker::from(self.woken.clone());
        for count in 0.. {
            let mut cx = Context::new(self.now, &waker);
            self.kubelet.poll(&mut cx);
            if self.woken.0.swap(false, Ordering::Relaxed) {
                continue;
            }
            match cx.next_wake() {
                Some(next) if next <= end => self.now = next.max(self.now),
                _ => return count,
            }
        }
        0
    }

    /// Creates a pod of this node from the JSON of its spec.
    pub fn create(&self, name: &str, spec: Value) -> String {
        let mut spec = spec;
        spec["nodeName"] = "node-1".into();
        let pod = serde_json::json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}")},
            "spec": spec, "status": {"phase": "Pending"},
        });
        self.api.put("/api/v1/namespaces/default/pods", name, pod);
        format!("uid-{name}")
    }

    pub fn pod(&self, name: &str) -> Option<Pod> {
        let value = self.api.find("/api/v1/namespaces/default/pods", name)?;
        serde_json::from_value(value).ok()
    }

    /// One line: phase, then each container as `name:state ready restarts`.
    pub fn summary(&self, name: &str) -> String {
        let Some(pod) = self.pod(name) else { return "gone".into() };
        let status = pod.status.unwrap_or_default();
        let mut out = status.phase.unwrap_or_default();
        let containers = status.init_container_statuses.into_iter().flatten();
        for container in containers.chain(status.container_statuses.into_iter().flatten()) {
            let state = container.state.unwrap_or_default();
            let state = if state.running.is_some() {
                "running".to_string()
            } else if let Some(end) = state.terminated {
                format!("{}({})", end.reason.unwrap_or_default(), end.exit_code)
            } else {
                state.waiting.and_then(|waiting| waiting.reason).unwrap_or_default()
            };
            let ready = if container.ready { "ready" } else { "unready" };
            out += &format!(", {}: {state} {ready} {}", container.name, container.restart_count);
        }
        out
    }

    /// Reasons and messages of the pods' events so far, each once, in order.
    pub fn events(&self) -> Vec<String> {
        self.told().map(|(_, text)| text).collect()
    }

    /// The same by pod.
    pub fn events_by_pod(&self) -> BTreeMap<String, Vec<String>> {
        let mut all = BTreeMap::<String, Vec<String>>::new();
        for (pod, text) in self.told() {
            all.entry(pod).or_default().push(text);
        }
        all
    }

    fn told(&self) -> impl Iterator<Item = (String, String)> {
        let mut events = self.api.list("/api/v1/namespaces/default/events");
        events.sort_by_key(|event| {
            event["metadata"]["resourceVersion"].as_str().and_then(|revision| revision.parse::<u64>().ok())
        });
        events.into_iter().filter(|event| event["involvedObject"]["kind"] == "Pod").map(|event| {
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_string();
            let pod = event["involvedObject"]["name"].as_str().unwrap_or_default().to_string();
            (pod, format!("{} {}", text("reason"), text("message")))
        })
    }
}

fn make(api: &Rc<FakeApi>, world: &World) -> Kubelet {
    let client = Client::new(api.clone(), "kubelet");
    Kubelet::new(NodeConfig::new("node-1", "192.168.0.1"), client, Box::new(FakeRuntime::new(world.clone())), 1)
}
