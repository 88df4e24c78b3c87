//! What kubeadm puts into a new cluster: CoreDNS and kube-proxy as objects of the API, the control plane as static pods of
//! its nodes, and what it tells to whoever joins (upstream cmd/kubeadm/app/phases); and into one of kind's shape what
//! kind adds: its network and its storage (upstream images/kindnetd, images/local-path-provisioner).
//!
//! CoreDNS is a program of the simulated world that answers the pods' questions. The other parts are components of the
//! core, so that one process holds a cluster; the programs in their containers ([`program`]) are what starts and stops
//! them.

mod program;

use std::rc::Rc;

use client::Transport;
use http::Method;
use machinery::wire::Body;
use serde_json::{Value, json};
use sim::SimRuntime;
use sim::fs::{Entry, Fs, Tree};
use sim::image::{Image, Reference, Registry};
use sim::process::Signal;
use sim::programs::servers::coredns::COREFILE;

use crate::cluster::Inner;
use crate::options::{CONTROL_PLANE, NodeOptions};
use crate::service_range::ServiceRange;
use program::{PARTS, Part};

const ADDONS: &str = include_str!("addons.yaml");
const KIND: &str = include_str!("kind.yaml");
const KUBELET_CONFIG: &str = include_str!("kubelet-config.yaml");
const COREDNS: &str = "registry.k8s.io/coredns/coredns:v1.14.2";
const PAUSE: &str = "registry.k8s.io/pause:3.10.1";
/// Where a node has the manifests of its static pods.
const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// What tells that a cluster has its add-ons: whoever deletes one of them later means it.
const INSTALLED: &str = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config";

/// Where a kind's objects are: its resource, and whether they are in a namespace.
fn resource(kind: &str) -> Option<(&'static str, bool)> {
    Some(match kind {
        "ClusterRole" => ("clusterroles", false),
        "ClusterRoleBinding" => ("clusterrolebindings", false),
        "ConfigMap" => ("configmaps", true),
        "DaemonSet" => ("daemonsets", true),
        "Deployment" => ("deployments", true),
        "Namespace" => ("namespaces", false),
        "Role" => ("roles", true),
        "RoleBinding" => ("rolebindings", true),
        "Service" => ("services", true),
        "ServiceAccount" => ("serviceaccounts", true),
        _ => return None,
    })
}

/// Puts the parts' images into the registries.
pub(crate) fn publish(registry: &Registry, now: jiff::Timestamp) {
    for part in PARTS {
        let Ok(reference) = Reference::parse(&part.image()) else { continue };
        let mut layer = Tree::new(now);
        layer.insert(&format!("/usr/local/bin/{}", part.name), Entry::program(part.name, now));
        let seed = machinery::random::fnv64a(part.image().as_bytes());
        let digest = |salt: u64| {
            let mut rng = machinery::random::Rng::new(seed ^ salt);
            format!("sha256:{}", (0..4).map(|_| format!("{:016x}", rng.next_u64())).collect::<String>())
        };
        registry.publish(Image {
            reference,
            id: digest(0),
            digest: digest(1),
            entrypoint: Vec::new(),
            cmd: vec![part.name.to_owned()],
            env: Vec::new(),
            working_dir: "/".into(),
            user: String::new(),
            ports: Vec::new(),
            layer: Rc::new(layer),
            size_bytes: part.size_mb * 1_000_000,
            memory_bytes: part.memory_mib << 20,
            cpu_nano_cores: part.cpu_nano_cores,
            stop_signal: Signal::Term,
        });
    }
}

/// What the add-ons' objects say of their cluster.
pub(crate) struct Addons<'a> {
    /// Where the API server answers: `host:port`.
    pub(crate) endpoint: &'a str,
    /// The range of Services.
    pub(crate) services: ServiceRange,
    /// The PEM of the cluster's authority.
    pub(crate) root_ca: &'a str,
    /// Its nodes.
    pub(crate) nodes: &'a [NodeOptions],
}

/// The components that containers of a cluster run which was there before: they start with their containers, and are
/// down for as long as somebody has seen to it that there are none.
pub(crate) fn waiting(line: &dyn Transport, nodes: &[NodeOptions]) -> Vec<&'static str> {
    let control_plane = nodes.iter().any(|node| node.labels.contains_key(CONTROL_PLANE));
    let is_there = |part: &&Part| {
        let request = http::Request::get(part.mark()).body(Body::empty());
        request.is_ok_and(|request| line.send(request).status().is_success())
    };
    let parts = PARTS.iter().filter(|part| control_plane || part.static_pod.is_none()).filter(is_there);
    parts.flat_map(Part::components).collect()
}

/// Makes the add-ons' objects in a cluster that has none of them yet.
///
/// # Errors
/// When the API server refuses one.
pub(crate) fn install(line: &dyn Transport, addons: &Addons<'_>) -> Result<(), String> {
    let request = |method: Method, path: &str, body: Body| http::Request::builder().method(method).uri(path).body(body);
    let send = |method: Method, path: &str, body: Body| match request(method, path, body) {
        Ok(request) => Ok(line.send(request)),
        Err(error) => Err(error.to_string()),
    };
    if send(Method::GET, INSTALLED, Body::empty())?.status().is_success() {
        return Ok(());
    }
    let services = addons.services;
    let mut text = ADDONS.to_owned();
    if is_kinds(addons.nodes) {
        text = text + "\n---\n" + KIND;
    }
    for part in PARTS {
        text = text.replace(&format!("{{image {}}}", part.name), &part.image());
    }
    let text = text
        .replace("{version}", kubelet::VERSION)
        .replace("{endpoint}", addons.endpoint)
        .replace("{services}", &services.to_string())
        .replace("{dns}", &services.name_server().to_string())
        .replace("{authority}", &base64(addons.root_ca))
        .replace("{coredns}", COREDNS);
    for mut object in machinery::yaml::parse(&text).map_err(|error| error.to_string())? {
        let word = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (version, kind) = (word("/apiVersion"), word("/kind"));
        let Some((resource, namespaced)) = resource(&kind) else { continue };
        let root = if version.contains('/') { "apis" } else { "api" };
        let place = if namespaced { format!("namespaces/{}/", word("/metadata/namespace")) } else { String::new() };
        let path = format!("/{root}/{version}/{place}{resource}");
        if let Some(corefile) = object.pointer_mut("/data/Corefile") {
            *corefile = COREFILE.into();
        }
        if let Some(authority) = object.pointer_mut("/data/client-ca-file") {
            *authority = addons.root_ca.into();
        }
        if let Some(config) = object.pointer_mut("/data/kubelet") {
            *config = kubelet_config(services).into();
        }
        let response = send(Method::POST, &path, Body::Bytes(object.to_string().into()))?;
        if !response.status().is_success() && response.status() != http::StatusCode::CONFLICT {
            return Err(format!("{path}: {}", response.status()));
        }
    }
    Ok(())
}

/// A text as kubeconfigs have it.
pub(crate) fn base64(text: &str) -> String {
    let bytes = k8s_openapi::ByteString(text.as_bytes().to_vec());
    serde_json::to_value(bytes).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Whether nodes are named as kind names them.
fn is_kinds(nodes: &[NodeOptions]) -> bool {
    nodes.iter().any(|node| node.name.ends_with("-control-plane"))
}

/// The kubelets' configuration, as each node has it too.
fn kubelet_config(services: ServiceRange) -> String {
    KUBELET_CONFIG.replace("{dns}", &services.name_server().to_string())
}

/// Makes a simulated node one of a kubeadm cluster: the images that it comes with, and the control plane's manifests.
pub(crate) fn prepare(inner: &Rc<Inner>, node: &NodeOptions, runtime: &SimRuntime, port: u16) {
    let control_plane = node.labels.contains_key(CONTROL_PLANE);
    let images = PARTS.iter().filter(|part| control_plane || part.static_pod.is_none());
    let kinds = node.name.ends_with("-control-plane") || !control_plane;
    let images = images.filter(|part| kinds || !part.is_kinds()).map(Part::image);
    for image in images.chain([COREDNS, PAUSE].map(str::to_owned)) {
        // An outage of a registry does not take away what the node's own image holds.
        let _ = runtime.load_image(&image);
    }
    for part in PARTS {
        runtime.provide(part.name, program::program(Rc::downgrade(inner), part));
    }
    crate::world::learner::nodes::provide(Rc::downgrade(inner), runtime);
    let fs = Fs::new(runtime.host_tree(), false);
    let config = "/var/lib/kubelet/config.yaml";
    if !fs.exists(config) {
        // A fresh node's disk takes it.
        let _ = fs.write(config, kubelet_config(inner.world.services()), inner.executor.now());
    }
    if !control_plane {
        return;
    }
    // What was done to a node's manifests stays done.
    if fs.exists(MANIFESTS) {
        return;
    }
    let now = inner.executor.now();
    // A fresh node's disk takes them.
    let _ = fs.create_dir_all(MANIFESTS, now);
    for part in PARTS {
        let Some(manifest) = manifest(part, node, port, inner.world.services()) else { continue };
        let _ = fs.write(&format!("{MANIFESTS}/{}.yaml", part.name), machinery::yaml::emit(&manifest), now);
    }
}

/// The manifest of a part's static pod.
fn manifest(part: &Part, node: &NodeOptions, port: u16, services: ServiceRange) -> Option<Value> {
    let pod = part.static_pod.as_ref()?;
    let (address, node) = (&*node.address.to_string(), &*node.name);
    let fill = |text: &str| {
        let text = text.replace("{address}", address).replace("{node}", node).replace("{port}", &port.to_string());
        text.replace("{services}", &services.to_string())
    };
    let command: Vec<String> = [part.name].into_iter().chain(pod.flags.lines().map(str::trim)).map(fill).collect();
    let volumes: Vec<Value> = pod
        .folders
        .iter()
        .map(|(name, path, kind)| json!({"hostPath": {"path": path, "type": kind}, "name": name}))
        .collect();
    let mounts: Vec<Value> = pod
        .folders
        .iter()
        .map(|(name, path, _)| match *name {
            "etcd-data" => json!({"mountPath": path, "name": name}),
            _ => json!({"mountPath": path, "name": name, "readOnly": true}),
        })
        .collect();
    let (health_port, host) = match part.name {
        "kube-apiserver" => (port, address),
        _ => (part.port, "127.0.0.1"),
    };
    let annotations = match pod.annotation {
        Some((key, value)) => json!({ key: fill(value) }),
        None => json!({}),
    };
    Some(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "annotations": annotations,
            "labels": {"component": part.name, "tier": "control-plane"},
            "name": part.name,
            "namespace": "kube-system",
        },
        "spec": {
            "containers": [{
                "command": command,
                "image": part.image(),
                "imagePullPolicy": "IfNotPresent",
                "livenessProbe": {
                    "failureThreshold": 8,
                    "httpGet": {
                        "host": host,
                        "path": part.health,
                        "port": health_port,
                        "scheme": if part.secure { "HTTPS" } else { "HTTP" },
                    },
                    "initialDelaySeconds": 10,
                    "periodSeconds": 10,
                    "timeoutSeconds": 15,
                },
                "name": part.name,
                "resources": {"requests": pod.requests.iter().map(|(name, amount)| (*name, *amount)).collect::<std::collections::BTreeMap<_, _>>()},
                "volumeMounts": mounts,
            }],
            "hostNetwork": true,
            "priority": 2_000_001_000,
            "priorityClassName": "system-node-critical",
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": volumes,
        },
    }))
}
