//! What there is to draw, read from the cluster's objects.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::Value;

use crate::text::*;
use crate::world::{Object, Shown, Snapshot, at, text};

/// What a pod is doing, as far as the map tells states apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodState {
    /// No node yet.
    Unscheduled,
    /// On a node; containers are being made.
    Creating,
    /// Running, not ready.
    NotReady,
    /// Running and ready.
    Ready,
    /// Finished well.
    Succeeded,
    /// Failed, or crashing again and again.
    Failing,
    /// Deletion has begun.
    Terminating,
}

impl PodState {
    /// The state in words.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unscheduled => t(POD_UNSCHEDULED),
            Self::Creating => t(POD_CREATING),
            Self::NotReady => t(POD_NOT_READY),
            Self::Ready => t(POD_READY),
            Self::Succeeded => t(POD_SUCCEEDED),
            Self::Failing => t(POD_FAILING),
            Self::Terminating => t(POD_TERMINATING),
        }
    }
}

/// A container in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Not started, or between two starts.
    Waiting,
    /// Runs.
    Running,
    /// Has ended.
    Terminated,
}

/// A container as it is seen from near.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainerItem {
    /// Name.
    pub name: String,
    /// Its image, as the pod names it.
    pub image: String,
    /// State.
    pub state: ContainerState,
    /// How often it was started anew.
    pub restarts: i64,
}

/// A pod on the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodItem {
    /// `namespace/name`.
    pub key: String,
    /// Name.
    pub name: String,
    /// The workload it belongs to, or its own name.
    pub owner: String,
    /// State.
    pub state: PodState,
    /// State of each container, in the spec's order.
    pub containers: Vec<ContainerState>,
    /// Restarts of all containers.
    pub restarts: i64,
}

impl PodItem {
    /// Its namespace.
    fn namespace(&self) -> &str {
        self.key.split_once('/').map_or("", |(namespace, _)| namespace)
    }
}

/// A node and its pods.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeItem {
    /// Name.
    pub name: String,
    /// Whether its kubelet says so and is heard.
    pub ready: bool,
    /// Whether it has power: not what Kubernetes knows, which notices later.
    pub powered: bool,
    /// Whether new pods may come.
    pub cordoned: bool,
    /// Its pods, those of one owner together.
    pub pods: Vec<Rc<PodItem>>,
}

/// A Service and the pods it leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceItem {
    /// `namespace/name`.
    pub key: String,
    /// Name.
    pub name: String,
    /// Its type and ports, such as `NodePort 8080:30950`.
    pub detail: String,
    /// Keys of the pods behind it that are ready.
    pub endpoints: Vec<String>,
    /// The nodes that they are on.
    pub nodes: BTreeSet<String>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// Nodes by name.
    pub nodes: Vec<NodeItem>,
    /// Pods without a node.
    pub unscheduled: Vec<Rc<PodItem>>,
    /// Services by namespace and name.
    pub services: Vec<ServiceItem>,
    /// The namespaces of which it is.
    pub namespaces: Shown,
}

/// Reads scenes, and of pods only what has changed since the last: between two frames there may be a thousand.
#[derive(Default)]
pub struct Reader {
    /// By the address of the object, which is kept so that it stays where it is.
    pods: BTreeMap<*const Object, Known>,
}

/// What was read of a pod.
struct Known {
    object: Rc<Object>,
    item: Rc<PodItem>,
    /// The ReplicaSet that controls it, as `namespace/name`; empty if another kind does, or nothing.
    replica_set: String,
    node: Rc<str>,
}

impl Known {
    fn read(snapshot: &Snapshot, object: &Rc<Object>) -> Self {
        let replica_set = match object.controller() {
            Some(("ReplicaSet", name)) => format!("{}/{name}", object.namespace()),
            _ => String::new(),
        };
        let (item, node) = (pod_item(snapshot, object).into(), object.text("/spec/nodeName").into());
        Self { object: object.clone(), item, replica_set, node }
    }
}

impl Reader {
    /// Reads the scene of the namespaces that are shown.
    pub fn read(&mut self, snapshot: &Snapshot, namespaces: &Shown) -> Scene {
        let shown = |object: &Object| namespaces.has(object.namespace());
        let mut before = std::mem::take(&mut self.pods);
        // A ReplicaSet may be heard of after its pods: whose it is, is looked up once for all of them.
        let mut above: BTreeMap<String, String> = BTreeMap::new();
        let mut by_node: BTreeMap<Rc<str>, Vec<Rc<PodItem>>> = BTreeMap::new();
        for pod in snapshot.list("pods") {
            let mut known = before.remove(&Rc::as_ptr(pod)).unwrap_or_else(|| Known::read(snapshot, pod));
            if !known.replica_set.is_empty() {
                if !above.contains_key(&known.replica_set) {
                    above.insert(known.replica_set.clone(), workload(snapshot, pod));
                }
                let owner = above.get(&known.replica_set).filter(|owner| **owner != known.item.owner);
                if let Some(owner) = owner {
                    Rc::make_mut(&mut known.item).owner.clone_from(owner);
                }
            }
            if namespaces.has(known.item.namespace()) {
                by_node.entry(known.node.clone()).or_default().push(known.item.clone());
            }
            self.pods.insert(Rc::as_ptr(&known.object), known);
        }
        // They came by their keys.
        for pods in by_node.values_mut() {
            pods.sort_by(|a, b| a.owner.cmp(&b.owner));
        }
        let unscheduled = by_node.remove("").unwrap_or_default();
        let mut nodes: Vec<NodeItem> = snapshot
            .list("nodes")
            .map(|node| NodeItem {
                name: node.name().into(),
                ready: node.condition("Ready") == "True",
                powered: !snapshot.is_powerless(node.name()),
                cordoned: node.0.pointer("/spec/unschedulable").and_then(Value::as_bool).unwrap_or(false),
                pods: by_node.remove(node.name()).unwrap_or_default(),
            })
            .collect();
        // Pods outlive the object of a node that was deleted, for a while.
        nodes.extend(by_node.into_iter().map(|(name, pods)| NodeItem {
            name: name.as_ref().into(),
            ready: false,
            powered: true,
            cordoned: false,
            pods,
        }));
        let endpoints = endpoints(snapshot);
        let services = snapshot
            .list("services")
            .filter(|service| shown(service))
            .map(|service| {
                let (endpoints, nodes) = endpoints.get(&service.key()).cloned().unwrap_or_default();
                let (key, name, detail) = (service.key(), service.name().into(), service_detail(service));
                ServiceItem { key, name, detail, endpoints, nodes }
            })
            .collect();
        Scene { nodes, unscheduled, services, namespaces: namespaces.clone() }
    }
}

impl Scene {
    /// All pods, on nodes and not.
    pub fn pods(&self) -> impl Iterator<Item = &Rc<PodItem>> {
        self.nodes.iter().flat_map(|node| &node.pods).chain(&self.unscheduled)
    }
}

/// The state of a pod.
pub fn pod_state(pod: &Object) -> PodState {
    let phase = pod.text("/status/phase");
    let statuses = pod.items("/status/containerStatuses");
    let failing = statuses.iter().any(|status| {
        let reason = text(status, "/state/waiting/reason");
        reason.ends_with("BackOff") || reason.starts_with("Err") || reason.ends_with("Error")
    });
    if pod.terminating() {
        PodState::Terminating
    } else if failing || phase == "Failed" {
        PodState::Failing
    } else if phase == "Succeeded" {
        PodState::Succeeded
    } else if pod.text("/spec/nodeName").is_empty() {
        PodState::Unscheduled
    } else if phase != "Running" {
        PodState::Creating
    } else if pod.condition("Ready") == "True" {
        PodState::Ready
    } else {
        PodState::NotReady
    }
}

/// A pod's containers, in the spec's order.
pub fn containers(pod: &Object) -> Vec<ContainerItem> {
    let statuses = pod.items("/status/containerStatuses");
    let restarts = |name: &str| {
        let status = statuses.iter().find(|status| text(status, "/name") == name);
        status.and_then(|status| status.get("restartCount")?.as_i64()).unwrap_or_default()
    };
    let item = |container: &Value| {
        let (name, image) = (text(container, "/name"), text(container, "/image"));
        let state = container_state(pod, name);
        ContainerItem { name: name.into(), image: image.into(), state, restarts: restarts(name) }
    };
    pod.items("/spec/containers").iter().map(item).collect()
}

fn container_state(pod: &Object, name: &str) -> ContainerState {
    let status = pod.items("/status/containerStatuses").iter().find(|status| text(status, "/name") == name);
    match status.and_then(|status| status.get("state")) {
        Some(state) if state.get("running").is_some() => ContainerState::Running,
        Some(state) if state.get("terminated").is_some() => ContainerState::Terminated,
        _ => ContainerState::Waiting,
    }
}

fn pod_item(snapshot: &Snapshot, pod: &Object) -> PodItem {
    let statuses = pod.items("/status/containerStatuses");
    let containers =
        pod.items("/spec/containers").iter().map(|container| container_state(pod, text(container, "/name")));
    PodItem {
        key: pod.key(),
        name: pod.name().into(),
        owner: workload(snapshot, pod),
        state: pod_state(pod),
        containers: containers.collect(),
        restarts: statuses.iter().filter_map(|status| status.get("restartCount")?.as_i64()).sum(),
    }
}

/// The workload a pod belongs to: its controller's controller, its controller, or itself.
fn workload(snapshot: &Snapshot, pod: &Object) -> String {
    let Some((kind, name)) = pod.controller() else { return pod.name().into() };
    let above = (kind == "ReplicaSet")
        .then(|| snapshot.get("replicasets", &format!("{}/{name}", pod.namespace())))
        .flatten()
        .and_then(|replica_set| replica_set.controller());
    above.map_or(name, |(_, name)| name).into()
}

/// Keys of the ready pods behind a Service, and their nodes.
type Behind = (Vec<String>, BTreeSet<String>);

/// What is behind each Service, by the Service's key.
fn endpoints(snapshot: &Snapshot) -> BTreeMap<String, Behind> {
    let mut services: BTreeMap<String, Behind> = BTreeMap::new();
    for slice in snapshot.list("endpointslices") {
        let Some(service) = slice.label("kubernetes.io/service-name") else { continue };
        let (pods, nodes) = services.entry(format!("{}/{service}", slice.namespace())).or_default();
        for endpoint in slice.items("/endpoints") {
            let ready = at(endpoint, "/conditions/ready").and_then(Value::as_bool) != Some(false);
            if ready && text(endpoint, "/targetRef/kind") == "Pod" {
                pods.push(format!("{}/{}", slice.namespace(), text(endpoint, "/targetRef/name")));
                nodes.insert(text(endpoint, "/nodeName").to_owned());
            }
        }
    }
    services
}

fn service_detail(service: &Object) -> String {
    let ports = service.items("/spec/ports").iter().map(|port| {
        let number = |field: &str| port.get(field).and_then(Value::as_i64).unwrap_or(0);
        match number("nodePort") {
            0 => number("port").to_string(),
            node_port => format!("{}:{node_port}", number("port")),
        }
    });
    format!("{} {}", service.text("/spec/type"), ports.collect::<Vec<_>>().join(", ")).trim().into()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    /// A cluster with this many pods on each of this many nodes.
    pub fn scene(nodes: usize, pods_each: usize) -> Scene {
        let pod = |node: usize, pod: usize| PodItem {
            key: format!("default/p-{node}-{pod}"),
            name: format!("p-{node}-{pod}"),
            owner: "p".into(),
            state: PodState::Ready,
            containers: vec![ContainerState::Running],
            restarts: 0,
        };
        let node = |index: usize| NodeItem {
            name: format!("node-{index}"),
            ready: true,
            powered: true,
            cordoned: false,
            pods: (0..pods_each).map(|each| pod(index, each).into()).collect(),
        };
        Scene { nodes: (0..nodes).map(node).collect(), ..Scene::default() }
    }

    #[wasm_bindgen_test]
    fn pods_lie_on_their_nodes_and_services_lead_to_ready_ones() {
        let mut snapshot = Snapshot::default();
        let objects = [
            (
                "nodes",
                json!({"metadata": {"name": "n1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
            ),
            (
                "replicasets",
                json!({"metadata": {"namespace": "default", "name": "web-1", "ownerReferences": [
                {"kind": "Deployment", "name": "web", "controller": true}]}}),
            ),
            (
                "pods",
                json!({"metadata": {"namespace": "default", "name": "web-1-a", "ownerReferences": [
                {"kind": "ReplicaSet", "name": "web-1", "controller": true}]},
                "spec": {"nodeName": "n1", "containers": [{"name": "c"}]},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "c", "restartCount": 2, "state": {"running": {}}}]}}),
            ),
            ("pods", json!({"metadata": {"namespace": "default", "name": "waiting"}, "status": {"phase": "Pending"}})),
            (
                "services",
                json!({"metadata": {"namespace": "default", "name": "web"},
                "spec": {"type": "NodePort", "ports": [{"port": 8080, "nodePort": 30950}]}}),
            ),
            (
                "endpointslices",
                json!({"metadata": {"namespace": "default", "name": "web-x",
                "labels": {"kubernetes.io/service-name": "web"}}, "endpoints": [
                {"conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "web-1-a"}},
                {"conditions": {"ready": false}, "targetRef": {"kind": "Pod", "name": "waiting"}}]}),
            ),
        ];
        for (resource, object) in objects {
            snapshot.put(resource, Object(object));
        }
        let mut reader = Reader::default();
        let scene = reader.read(&snapshot, &Shown::Workloads);
        let pod = &scene.nodes[0].pods[0];
        assert_eq!((pod.owner.as_str(), pod.state, pod.restarts), ("web", PodState::Ready, 2));
        assert_eq!(pod.containers, [ContainerState::Running]);
        let near = snapshot.get("pods", &pod.key).map(|pod| containers(pod)).unwrap_or_default();
        assert_eq!((near[0].name.as_str(), near[0].state, near[0].restarts), ("c", ContainerState::Running, 2));
        assert_eq!(scene.unscheduled[0].state, PodState::Unscheduled);
        assert_eq!(scene.services[0].detail, "NodePort 8080:30950");
        assert_eq!(scene.services[0].endpoints, ["default/web-1-a"]);
        assert!(reader.read(&snapshot, &Shown::Only("other".into())).services.is_empty());
        // What is known of pods follows what is heard later: of their ReplicaSets, and of themselves.
        let replica_set = |owner: &str| {
            Object(json!({"metadata": {"namespace": "default", "name": "web-1", "ownerReferences": [
                {"kind": "Deployment", "name": owner, "controller": true}]}}))
        };
        snapshot.put("replicasets", replica_set("shop"));
        assert_eq!(reader.read(&snapshot, &Shown::Workloads).nodes[0].pods[0].owner, "shop");
        snapshot.put("pods", Object(json!({"metadata": {"namespace": "default", "name": "web-1-a"}})));
        let scene = reader.read(&snapshot, &Shown::Workloads);
        assert!(scene.nodes[0].pods.is_empty() && scene.unscheduled.len() == 2);
        snapshot.remove("pods", "default/web-1-a");
        assert_eq!(reader.read(&snapshot, &Shown::Workloads).pods().count(), 1);
    }
}
