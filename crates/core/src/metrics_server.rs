//! metrics-server: asks every kubelet for its resource use and serves `metrics.k8s.io/v1beta1`, from
//! which `kubectl top` and the HorizontalPodAutoscaler read.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{self, Poll};
use std::time::Duration;

use apiserver::{AggregatedApi, AggregatedResource, NodeConnector, RequestInfo};
use client::{Client, Component, Context, Informer, ListOptions};
use futures::future::BoxFuture;
use http::StatusCode;
use k8s_openapi::api::core::v1::{Node, Pod};
use machinery::labels::Selector;
use machinery::sort::Order;
use machinery::time::{after, format_duration, format_seconds, since};
use machinery::wire::{Body, Response};
use machinery::{ApiError, GroupResource, ObjectKey, Timestamp, fields};
use serde_json::{Value, json};

use crate::gateway::Gateway;

/// The name under which it asks.
pub(crate) const NAME: &str = "metrics-server";
const GROUP: &str = "metrics.k8s.io";
const VERSION: &str = "v1beta1";
/// metrics-server's `--metric-resolution`.
const RESOLUTION: Duration = Duration::from_secs(15);

type Labels = BTreeMap<String, String>;

/// The newest resource use of all nodes and pods, for any thread.
#[derive(Clone, Default)]
pub(crate) struct Metrics(Arc<Mutex<Vec<NodeUse>>>);

/// What one kubelet last said, with what it had said before.
struct NodeUse {
    name: String,
    labels: Labels,
    /// None where the kubelet could not tell.
    usage: Option<Usage>,
    pods: Vec<PodUse>,
}

struct PodUse {
    key: ObjectKey,
    labels: Labels,
    containers: Vec<(String, Usage)>,
}

/// Cumulative CPU time at a moment, and what was used in the window before it.
#[derive(Clone, Copy, Default)]
struct Usage {
    time: Timestamp,
    cpu_total_ns: u64,
    memory_bytes: u64,
    /// Billionths of a CPU over the window; none before the second sample.
    rate: Option<(u64, Duration)>,
}

impl Usage {
    /// Reads a kubelet's `cpu` and `memory`.
    fn read(stats: &Value, time: Timestamp) -> Self {
        let number = |pointer: &str| stats.pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
        Self {
            time,
            cpu_total_ns: number("/cpu/usageCoreNanoSeconds"),
            memory_bytes: number("/memory/workingSetBytes"),
            rate: None,
        }
    }

    /// The rate since an earlier sample; a counter that went back began anew.
    fn since(mut self, earlier: Option<Self>) -> Self {
        let Some(earlier) = earlier else { return self };
        let window = since(earlier.time, self.time);
        if let Some(used) = self.cpu_total_ns.checked_sub(earlier.cpu_total_ns)
            && !window.is_zero()
        {
            let rate = u128::from(used) * 1_000_000_000 / window.as_nanos();
            self.rate = Some((u64::try_from(rate).unwrap_or(u64::MAX), window));
        }
        self
    }

    fn quantities(&self) -> Value {
        let (cpu, _) = self.rate.unwrap_or_default();
        let cpu = if cpu == 0 { "0".to_owned() } else { format!("{cpu}n") };
        json!({"cpu": cpu, "memory": format!("{}Ki", self.memory_bytes / 1024)})
    }
}

impl Metrics {
    fn lock(&self) -> MutexGuard<'_, Vec<NodeUse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a kubelet's summary.
    fn record(
        &self,
        name: &str,
        labels: Labels,
        summary: &Value,
        labels_of: &dyn Fn(&ObjectKey) -> Labels,
        now: Timestamp,
    ) {
        let mut nodes = self.lock();
        let at = nodes.iter().position(|node| node.name == name);
        let before = at.map(|at| nodes.swap_remove(at));
        let list = |value: &Value, field: &str| value[field].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pods = list(summary, "pods").into_iter().map(|pod| {
            let key = ObjectKey::new(text(&pod["podRef"]["namespace"]), text(&pod["podRef"]["name"]));
            let old = before.iter().flat_map(|node| &node.pods).find(|old| old.key == key);
            let containers = list(&pod, "containers").into_iter().map(|container| {
                let name = text(&container["name"]);
                let usage = Usage::read(&container, now);
                // A container that is younger than the last look has used all of it since its start.
                let started = container["startTime"].as_str().and_then(|time| time.parse().ok());
                let born = started.map(|time| Usage { time, ..Usage::default() });
                let old = old.and_then(|old| old.containers.iter().find(|(known, _)| *known == name));
                let old = old.map(|(_, usage)| *usage).filter(|old| born.is_none_or(|born| born.time <= old.time));
                (name, usage.since(old.or(born.filter(|born| since(born.time, now) >= Duration::from_secs(10)))))
            });
            PodUse { containers: containers.collect(), labels: labels_of(&key), key }
        });
        let pods = pods.collect();
        let told = &summary["node"];
        let before = before.and_then(|node| node.usage);
        let usage = told.get("cpu").map(|_| Usage::read(told, now).since(before));
        nodes.push(NodeUse { name: name.to_owned(), labels, usage, pods });
        nodes.order_by(|a, b| a.name.cmp(&b.name));
    }

    /// Forgets nodes that are gone.
    fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.lock().retain(|node| keep(&node.name));
    }
}

impl NodeUse {
    fn object(&self) -> Option<Value> {
        let usage = self.usage?;
        let (_, window) = usage.rate?;
        Some(json!({
            "kind": "NodeMetrics",
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "metadata": {"name": self.name, "creationTimestamp": format_seconds(usage.time), "labels": self.labels},
            "timestamp": format_seconds(usage.time),
            "window": format_duration(window),
            "usage": usage.quantities(),
        }))
    }
}

impl PodUse {
    /// As an object, once every container has been seen long enough.
    fn object(&self) -> Option<Value> {
        let (_, first) = self.containers.first()?;
        let mut window = Duration::ZERO;
        for (_, usage) in &self.containers {
            window = window.max(usage.rate?.1);
        }
        let containers = self.containers.iter().map(|(name, usage)| json!({"name": name, "usage": usage.quantities()}));
        Some(json!({
            "kind": "PodMetrics",
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "metadata": {
                "name": self.key.name,
                "namespace": self.key.namespace,
                "creationTimestamp": format_seconds(first.time),
                "labels": self.labels,
            },
            "timestamp": format_seconds(first.time),
            "window": format_duration(window),
            "containers": containers.collect::<Vec<_>>(),
        }))
    }
}

impl AggregatedApi for Metrics {
    fn group(&self) -> &'static str {
        GROUP
    }

    fn version(&self) -> &'static str {
        VERSION
    }

    fn service(&self) -> &'static str {
        NAME
    }

    fn resources(&self) -> &'static [AggregatedResource] {
        &[
            AggregatedResource { name: "nodes", singular: "", kind: "NodeMetrics", namespaced: false },
            AggregatedResource { name: "pods", singular: "", kind: "PodMetrics", namespaced: true },
        ]
    }

    fn read(&self, request: &RequestInfo) -> Result<Value, ApiError> {
        let nodes = self.lock();
        let of_pods = request.resource == "pods";
        let kind = if of_pods { "PodMetrics" } else { "NodeMetrics" };
        let labels = Selector::parse(request.query.get("labelSelector"))
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let fields = fields::Selector::parse(request.query.get("fieldSelector"))
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        let wanted = |namespace: &str, name: &str, own: &Labels| {
            let field = |field: &str| match field {
                "metadata.name" => Some(name),
                "metadata.namespace" => Some(namespace),
                _ => None,
            };
            (request.namespace.is_empty() || request.namespace == namespace)
                && (request.name.is_empty() || request.name == name)
                && labels.matches(own)
                && fields.matches(field)
        };
        let mut items: Vec<Value> = if of_pods {
            let pods = nodes.iter().flat_map(|node| &node.pods);
            let pods = pods.filter(|pod| wanted(&pod.key.namespace, &pod.key.name, &pod.labels));
            let mut pods: Vec<&PodUse> = pods.collect();
            pods.order_by(|a, b| a.key.cmp(&b.key));
            pods.into_iter().filter_map(PodUse::object).collect()
        } else {
            nodes.iter().filter(|node| wanted("", &node.name, &node.labels)).filter_map(NodeUse::object).collect()
        };
        if request.verb == "get" {
            let known = match of_pods {
                true => nodes
                    .iter()
                    .flat_map(|node| &node.pods)
                    .any(|pod| (&pod.key.namespace, &pod.key.name) == (&request.namespace, &request.name)),
                false => nodes.iter().any(|node| node.name == request.name),
            };
            // What is not measured yet is not found as such; what is not there as what it would be.
            let (group, resource) = match (known, of_pods) {
                (true, _) => (GROUP, kind.to_lowercase()),
                (false, true) => ("", "pods".to_owned()),
                (false, false) => ("", "node".to_owned()),
            };
            let name = match request.namespace.as_str() {
                "" => request.name.clone(),
                namespace => format!("{namespace}/{}", request.name),
            };
            let resource = GroupResource { group: group.into(), resource };
            return items.pop().ok_or_else(|| ApiError::not_found(&resource, &name));
        }
        Ok(json!({
            "kind": format!("{kind}List"),
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "metadata": {},
            "items": items,
        }))
    }
}

/// The component that fills [`Metrics`].
pub(crate) struct MetricsServer {
    metrics: Metrics,
    kubelets: Gateway,
    nodes: Informer<Node>,
    pods: Informer<Pod>,
    /// Kubelets that have been asked and have not answered.
    asked: Vec<(String, BoxFuture<'static, Response>)>,
    next: Timestamp,
}

impl MetricsServer {
    pub(crate) fn new(client: &Client, kubelets: Gateway, metrics: Metrics) -> Self {
        Self {
            metrics,
            kubelets,
            nodes: Informer::new(client, "", ListOptions::default()),
            pods: Informer::new(client, "", ListOptions::default()),
            asked: Vec::new(),
            next: Timestamp::MIN,
        }
    }

    fn labels_of(&self, key: &ObjectKey) -> Labels {
        self.pods.get(key).and_then(|pod| pod.metadata.labels.clone()).unwrap_or_default()
    }
}

impl Component for MetricsServer {
    fn name(&self) -> &str {
        NAME
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        self.nodes.poll(cx);
        self.pods.poll(cx);
        let now = cx.now();
        if now >= self.next && self.nodes.synced() && self.pods.synced() {
            self.next = after(now, RESOLUTION);
            self.metrics.retain(|name| self.nodes.get(&ObjectKey::new("", name)).is_some());
            // Who has not answered by now is asked again.
            self.asked.clear();
            for node in self.nodes.list() {
                let name = node.metadata.name.clone().unwrap_or_default();
                if let Ok(request) = http::Request::get("/stats/summary").body(Body::empty()) {
                    let answer = self.kubelets.connect(&name, request);
                    self.asked.push((name, answer));
                }
            }
        }
        cx.wake_at(self.next);
        let mut task = task::Context::from_waker(cx.waker());
        let mut answered = Vec::new();
        self.asked.retain_mut(|(name, answer)| match Pin::new(answer).poll(&mut task) {
            Poll::Ready(response) => {
                answered.push((name.clone(), response));
                false
            }
            Poll::Pending => true,
        });
        for (name, response) in answered {
            let Body::Bytes(bytes) = response.body() else { continue };
            if response.status() != StatusCode::OK {
                continue;
            }
            let Ok(summary) = serde_json::from_slice::<Value>(bytes) else { continue };
            let node = self.nodes.get(&ObjectKey::new("", name.as_str()));
            let labels = node.and_then(|node| node.metadata.labels.clone()).unwrap_or_default();
            self.metrics.record(&name, labels, &summary, &|key| self.labels_of(key), now);
        }
    }
}
