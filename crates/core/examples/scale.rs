//! How the control plane fares as clusters grow; `cargo xtask bench scale` runs it, a process for each
//! measurement so that each has its memory for itself.
//!
//! `scale pods NODES PODS` brings up one Deployment through the real scheduler, controllers and
//! simulated kubelets; `scale decisions NODES KIND` asks the scheduler alone; `scale idle NODES` lets a
//! cluster rest. Each prints one line of JSON. Compiled to WebAssembly it is a module whose function `measure`
//! takes such a line.
#![allow(clippy::expect_used, reason = "a measurement that fails has nothing better to do")]
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it measures the host's time")]

use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use apiserver::ApiServer;
use client::{Client, Component, Context, Transport};
use futures::FutureExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use machinery::random::Rng;
use machinery::wire::{Request, Response};
use machinery::{ApiError, Clock, ObjectKey, Timestamp};
use playground_core::{Cluster, NodeOptions, Options};
use scheduler::{Configuration, Scheduler};
use serde_json::{Value, json};
use store::Store;

/// As in the native binary.
#[cfg(not(target_arch = "wasm32"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("{}", measure(&arguments));
}

/// In a browser the page calls [`page::measure_line`].
#[cfg(target_arch = "wasm32")]
fn main() {}

fn measure(arguments: &[String]) -> Value {
    let number = |index: usize| arguments.get(index).and_then(|text| text.parse::<usize>().ok()).unwrap_or(10);
    match arguments.first().map(String::as_str) {
        Some("decisions") => decisions(number(1), arguments.get(2).map_or("plain", String::as_str)),
        Some("idle") => idle(number(1)),
        _ => pods(number(1), number(2)),
    }
}

/// What the machine tells of this process.
#[cfg(not(target_arch = "wasm32"))]
mod host {
    use std::sync::LazyLock;
    use std::time::Instant;

    /// Seconds since some time.
    pub fn seconds() -> f64 {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGAN.elapsed().as_secs_f64()
    }

    /// Pages of memory that are in use, in bytes.
    pub fn memory() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
    }

    /// Processor time of this process, in seconds: what others do on the machine is not in it.
    pub fn processor_seconds() -> f64 {
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let behind_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks = |index: usize| behind_name.split_whitespace().nth(index).and_then(|it| it.parse::<f64>().ok());
        (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / TICKS_PER_SECOND
    }
}

/// What a browser tells: it knows no processor time.
#[cfg(target_arch = "wasm32")]
mod host {
    use wasm_bindgen::prelude::wasm_bindgen;

    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_namespace = performance, js_name = now)]
        fn milliseconds() -> f64;
    }

    pub fn seconds() -> f64 {
        milliseconds() / 1e3
    }

    pub fn processor_seconds() -> f64 {
        seconds()
    }

    /// The memory that the module has, which never shrinks.
    pub fn memory() -> usize {
        const PAGE: usize = 65_536;
        core::arch::wasm32::memory_size::<0>() * PAGE
    }
}

#[cfg(target_arch = "wasm32")]
mod page {
    use wasm_bindgen::prelude::wasm_bindgen;

    /// Measures as a command line says; JSON.
    #[wasm_bindgen(js_name = measure)]
    pub fn measure_line(line: &str) -> String {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        super::measure(&arguments).to_string()
    }
}

/// The API server as a function call.
struct Direct(ApiServer);

impl Transport for Direct {
    fn send(&self, request: Request) -> Response {
        let answer = self.0.handle(request).now_or_never();
        answer.unwrap_or_else(|| ApiError::internal("a plain verb waited").into_response())
    }
}

fn cluster(nodes: usize) -> Cluster {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let nodes = (0..nodes).map(|index| {
        let mut node = NodeOptions::worker(format!("node-{index:04}"), u16::try_from(index).unwrap_or(u16::MAX));
        node.labels.insert("topology.kubernetes.io/zone".into(), format!("zone-{}", index % 3));
        node
    });
    let store = Store::new(&store::Options::default());
    Cluster::new(Options { nodes: nodes.collect(), ..Options::new(store, start, 1) }).expect("a cluster")
}

fn client(cluster: &Cluster) -> Client {
    Client::new(Rc::new(Direct(cluster.api().clone())), "bench")
}

/// Runs until all nodes are ready.
fn ready(cluster: &Cluster, nodes: usize) {
    let client = client(cluster);
    let is_ready = |node: &Node| {
        let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    for _ in 0..120 {
        cluster.run_for(Duration::from_secs(1));
        let list = client.list::<Node>("", &client::ListOptions::default()).expect("nodes").items;
        let schedulable = |node: &&std::sync::Arc<Node>| {
            is_ready(node) && node.spec.as_ref().is_some_and(|spec| spec.taints.as_ref().is_none_or(Vec::is_empty))
        };
        if list.iter().filter(schedulable).count() == nodes {
            return;
        }
    }
    panic!("the nodes do not become ready");
}

fn deployment(replicas: usize, spec: &Value) -> Deployment {
    machinery::object::from_value(json!({
        "metadata": { "name": "web", "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "progressDeadlineSeconds": 36000,
            "selector": { "matchLabels": { "app": "web" } },
            "template": { "metadata": { "labels": { "app": "web" } }, "spec": spec },
        },
    }))
    .expect("a Deployment")
}

/// From one Deployment's creation to all of its pods ready.
fn pods(nodes: usize, pods: usize) -> Value {
    let began = host::seconds();
    let empty = host::memory();
    let cluster = cluster(nodes);
    ready(&cluster, nodes);
    let (set_up, with_nodes) = (host::seconds() - began, host::memory());
    let client = client(&cluster);
    let spec = json!({ "containers": [{ "name": "web", "image": "nginx:1.27" }] });
    let (began, busy_before, cluster_time) = (host::seconds(), host::processor_seconds(), cluster.now());
    client.create(deployment(pods, &spec)).expect("created");
    let key = ObjectKey::new("default", "web");
    loop {
        cluster.run_for(Duration::from_secs(1));
        let web = client.get::<Deployment>(&key).expect("it is there");
        let ready = web.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
        if usize::try_from(ready).unwrap_or(0) == pods {
            break;
        }
        if std::env::var_os("VERBOSE").is_some() {
            eprintln!("{:.3} s {ready} ready, {} MB", host::seconds() - began, host::memory() / 1_000_000);
        }
        assert!(machinery::time::since(cluster_time, cluster.now()) < Duration::from_secs(3600), "{ready} ready");
    }
    if std::env::var_os("VERBOSE").is_some() {
        tell_writes(&cluster);
    }
    let (seconds, busy) = (host::seconds() - began, host::processor_seconds() - busy_before);
    json!({
        "nodes": nodes, "pods": pods, "seconds": seconds, "podsPerSecond": pods as f64 / seconds,
        "processorSeconds": busy, "microsPerPod": busy * 1e6 / pods as f64,
        "clusterSeconds": machinery::time::since(cluster_time, cluster.now()).as_secs(),
        "setUpSeconds": set_up,
        "bytesPerNode": with_nodes.saturating_sub(empty) / nodes,
        "bytesPerPod": host::memory().saturating_sub(with_nodes) / pods,
        "revisions": cluster.api().store().revision(),
    })
}

/// How often each component wrote which kind of object, as far as history reaches, and all writes of one pod.
fn tell_writes(cluster: &Cluster) {
    let commits = cluster.api().store().commits(0, usize::MAX).expect("history");
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    let mut last_pod = None;
    for change in commits.iter().flat_map(|commit| commit.changes.iter().map(move |change| (commit, change))) {
        let (commit, change) = change;
        let writer = commit.origin.writer.split('/').next().unwrap_or_default();
        let kind = change.key.split('/').nth(2).unwrap_or_default();
        let first = if change.previous.is_none() { "creates" } else { "changes" };
        *counts.entry(format!("{writer} {first} {kind}")).or_default() += 1;
        if kind == "pods" {
            last_pod = Some(change.key.clone());
        }
    }
    counts.iter().for_each(|(what, count)| eprintln!("{count:>8} {what}"));
    let name = last_pod.as_deref().and_then(|key| key.rsplit('/').next()).unwrap_or_default().to_owned();
    for commit in &commits {
        for change in commit.changes.iter().filter(|change| change.key.contains(&name)) {
            let value = change.current.as_ref().map(|kv| String::from_utf8_lossy(&kv.value.bytes()).into_owned());
            eprintln!("{} {} {}", commit.origin.writer, change.key, value.unwrap_or_default());
        }
    }
}

/// What a cluster at rest does: revisions and turns of the event loop in a second of its time.
fn idle(nodes: usize) -> Value {
    const SECONDS: u64 = 120;
    let cluster = cluster(nodes);
    ready(&cluster, nodes);
    cluster.run_for(Duration::from_secs(60));
    let revision = cluster.api().store().revision();
    let (began, end) = (host::seconds(), machinery::time::after(cluster.now(), Duration::from_secs(SECONDS)));
    let mut turns = 0_u64;
    loop {
        while cluster.executor().step(end) {
            turns += 1;
        }
        match cluster.executor().next_timer() {
            Some(next) if next <= end => cluster.executor().advance_to(next),
            _ => break,
        }
    }
    json!({
        "nodes": nodes,
        "turnsPerClusterSecond": turns as f64 / SECONDS as f64,
        "revisionsPerClusterSecond": (cluster.api().store().revision() - revision) as f64 / SECONDS as f64,
        "microsPerClusterSecond": (host::seconds() - began) * 1e6 / SECONDS as f64,
    })
}

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// Pods that one scheduler finds nodes for, in a second.
fn decisions(nodes: usize, kind: &str) -> Value {
    const PODS: usize = 1000;
    let store = Store::new(&store::Options::default());
    let api = ApiServer::new(apiserver::Options::new(store, std::sync::Arc::new(Fixed), 1)).expect("an API server");
    api.bootstrap().expect("namespaces");
    let client = Client::new(Rc::new(Direct(api)), "bench");
    for index in 0..nodes {
        let name = format!("node-{index:04}");
        let node: Node = machinery::object::from_value(json!({
            "metadata": { "name": name, "labels": {
                "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": format!("zone-{}", index % 3),
            } },
            "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "pods": "110" } },
        }))
        .expect("a Node");
        client.create(node.clone()).expect("created");
        client.update_status(node).expect("its status");
    }
    let alike = json!({ "matchLabels": { "app": "web" } });
    let mut spec = json!({ "containers": [
        { "name": "web", "image": "nginx:1.27", "resources": { "requests": { "cpu": "10m", "memory": "10Mi" } } },
    ] });
    match kind {
        "spread" => {
            spec["topologySpreadConstraints"] = json!([{
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": alike,
            }]);
        }
        "anti-affinity" => {
            spec["affinity"] = json!({ "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": [
                { "topologyKey": "kubernetes.io/hostname", "labelSelector": alike },
            ] } });
        }
        _ => {}
    }
    let pods = PODS.min(nodes);
    for index in 0..pods {
        let pod: Pod = machinery::object::from_value(json!({
            "metadata": { "name": format!("web-{index:04}"), "namespace": "default", "labels": { "app": "web" } },
            "spec": spec,
        }))
        .expect("a Pod");
        client.create(pod).expect("created");
    }
    let mut scheduler = Scheduler::new(client.named("kube-scheduler"), Rng::new(1), &Configuration::default());
    let bound = |client: &Client| {
        let list = client.list::<Pod>("", &client::ListOptions::fields("spec.nodeName!=")).expect("pods");
        list.items.len()
    };
    let began = host::seconds();
    let mut polls = 0;
    while polls < pods + 10 {
        scheduler.poll(&mut Context::new(Timestamp::UNIX_EPOCH, Waker::noop()));
        polls += 1;
    }
    let seconds = host::seconds() - began;
    assert_eq!(bound(&client), pods, "{} of {pods} pods are bound", bound(&client));
    json!({ "nodes": nodes, "kind": kind, "pods": pods, "decisionsPerSecond": pods as f64 / seconds })
}
