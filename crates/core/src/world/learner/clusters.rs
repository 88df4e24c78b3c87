//! The clusters that can be reached from the learner's computer: the one it belongs to, and those that
//! kind and minikube make on it, each a [`crate::Cluster`]'s inside in the same event loop.

use std::cell::{Cell, Ref, RefCell};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use machinery::Timestamp;
use machinery::random::Rng;
use machinery::sort::Order;
use serde_json::{Value, json};
use sim::Executor;
use sim::errno::Errno;
use sim::fs::{self, Fs};
use sim::image::{Image, Registry};
use sim::network::Interface;
use sim::saved::{Saved, Saver};
use store::{Contents, Store};

use crate::cluster::Inner;
use crate::control::Fault;
use crate::kind_config::PortMapping;
use crate::options::{HostTime, NodeOptions, Options};
use crate::pace::Pace;
use crate::public_api::PublicApi;
use crate::saved::{self, NODES_FOLDER};

/// Ports of `localhost` at which API servers answer, from this one on: as good as Docker's choice.
const API_PORT_MIN: u64 = 32768;
const API_PORTS: u64 = 28000;

/// What makes clusters on this computer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// <https://kind.sigs.k8s.io>
    Kind,
    /// <https://minikube.sigs.k8s.io>
    Minikube,
}

/// A node of a cluster: a container of this computer.
#[derive(Clone, Debug)]
pub struct LocalNode {
    /// As the cluster knows it.
    pub options: NodeOptions,
    /// Whether it has the control plane.
    pub control_plane: bool,
    /// The container's id.
    pub id: String,
    /// The container's image.
    pub image: String,
    /// Ports that are published.
    pub ports: Vec<PortMapping>,
    /// Since when it has been there.
    pub created_at: Timestamp,
    /// Whether its container was stopped by itself.
    pub stopped: bool,
}

impl LocalNode {
    fn to_json(&self) -> Value {
        let options = &self.options;
        json!({
            "name": options.name,
            "address": options.address.to_string(),
            "podRange": options.pod_range,
            "labels": options.labels,
            "taints": options.taints,
            "controlPlane": self.control_plane,
            "id": self.id,
            "image": self.image,
            "ports": self.ports.iter().map(|port| {
                json!({"host": port.host, "node": port.node, "address": port.address, "protocol": port.protocol})
            }).collect::<Vec<_>>(),
            "created": self.created_at.as_microsecond(),
            "stopped": self.stopped,
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let number = |value: &Value| value.as_u64().and_then(|port| port.try_into().ok()).unwrap_or(0);
        let port = |value: &Value| PortMapping {
            host: number(&value["host"]),
            node: number(&value["node"]),
            address: text(value, "address"),
            protocol: text(value, "protocol"),
        };
        let labels = value["labels"].as_object().into_iter().flatten();
        Some(Self {
            options: NodeOptions {
                address: text(value, "address").parse().ok()?,
                pod_range: value["podRange"].as_str().map(str::to_owned),
                labels: labels.map(|(name, label)| (name.clone(), label.as_str().unwrap_or_default().into())).collect(),
                taints: machinery::object::from_value(value["taints"].clone()).ok()?,
                ..NodeOptions::worker(text(value, "name"), 0)
            },
            control_plane: value["controlPlane"] == true,
            id: text(value, "id"),
            image: text(value, "image"),
            ports: value["ports"].as_array().into_iter().flatten().map(port).collect(),
            created_at: Timestamp::from_microsecond(value["created"].as_i64()?).ok()?,
            stopped: value["stopped"] == true,
        })
    }
}

/// A cluster made on this computer.
pub struct LocalCluster {
    /// Its name.
    pub name: String,
    /// What made it.
    pub tool: Tool,
    /// Its context in the kubeconfig.
    pub context: String,
    /// Where its API server answers: `https://127.0.0.1:43101`.
    pub server: String,
    /// Its nodes.
    pub nodes: RefCell<Vec<LocalNode>>,
    /// Addons of minikube's that were switched on.
    pub addons: RefCell<Vec<String>>,
    store: Store,
    running: RefCell<Option<Rc<Inner>>>,
    /// Whether its own containers stand still, and its API server with them.
    paused: Cell<bool>,
    /// Images that were loaded into its nodes.
    loaded: RefCell<Vec<Rc<Image>>>,
    /// What is on its nodes' disks while it does not run.
    disks: RefCell<Saved>,
}

/// The clusters. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Clusters(Rc<Shared>);

struct Shared {
    own: PublicApi,
    executor: Executor,
    pace: Pace,
    host_time: Option<HostTime>,
    registry: Registry,
    computer: Interface,
    rng: RefCell<Rng>,
    list: RefCell<Vec<Rc<LocalCluster>>>,
    /// Those that could not be read, by tool and name: what was saved of them is kept as it is.
    unread: RefCell<Vec<(Tool, String, Saved)>>,
    /// Nodes that have had an address so far.
    nodes: Cell<u16>,
}

/// The server of the computer's own cluster, in the kubeconfig that is there from the start.
pub const OWN_SERVER: &str = "https://127.0.0.1:6443";

/// Its port.
pub const OWN_PORT: u16 = 6443;

/// Its context.
pub const OWN_CONTEXT: &str = "playground";

impl Clusters {
    /// No cluster but the computer's own.
    pub fn new(own: &Inner, rng: Rng, nodes: u16) -> Self {
        Self(Rc::new(Shared {
            own: own.public_api().clone(),
            executor: own.executor.clone(),
            pace: own.pace.clone(),
            host_time: own.host_time.clone(),
            registry: own.world.registry().clone(),
            computer: own.world.computer().clone(),
            rng: RefCell::new(rng),
            list: RefCell::default(),
            unread: RefCell::default(),
            nodes: Cell::new(nodes),
        }))
    }

    /// The API of the server that a kubeconfig names; none where nobody listens.
    pub fn api(&self, server: &str) -> Option<PublicApi> {
        if server == OWN_SERVER {
            return Some(self.0.own.clone());
        }
        let list = self.0.list.borrow();
        let cluster = list.iter().find(|cluster| cluster.server == server && !cluster.paused.get())?;
        let running = cluster.running.borrow();
        running.as_ref().map(|inner| inner.public_api().clone())
    }

    /// The server of a context that a tool has made here, or of the computer's own cluster.
    pub fn server_of(&self, context: &str) -> Option<String> {
        let list = self.0.list.borrow();
        let found = list.iter().find(|cluster| cluster.context == context).map(|cluster| cluster.server.clone());
        found.or_else(|| (context == OWN_CONTEXT).then(|| OWN_SERVER.to_owned()))
    }

    /// Clusters that a tool has made, by name.
    pub fn of(&self, tool: Tool) -> Vec<Rc<LocalCluster>> {
        let mut found: Vec<_> = self.0.list.borrow().iter().filter(|cluster| cluster.tool == tool).cloned().collect();
        found.order_by(|one, other| one.name.cmp(&other.name));
        found
    }

    /// A tool's cluster by its name.
    pub fn find(&self, tool: Tool, name: &str) -> Option<Rc<LocalCluster>> {
        self.of(tool).into_iter().find(|cluster| cluster.name == name)
    }

    /// All clusters made on this computer, the newest first.
    pub fn all(&self) -> Vec<Rc<LocalCluster>> {
        self.0.list.borrow().iter().rev().cloned().collect()
    }

    /// The computer's network.
    pub fn computer(&self) -> &Interface {
        &self.0.computer
    }

    /// Where images come from.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The next free address for a node, of kind's network.
    pub fn next_index(&self) -> u16 {
        let index = self.0.nodes.get();
        self.0.nodes.set(index.saturating_add(1));
        index
    }

    /// A container's id: 64 hexadecimal digits.
    pub fn new_id(&self) -> String {
        let mut rng = self.0.rng.borrow_mut();
        (0..4).map(|_| format!("{:016x}", rng.next_u64())).collect()
    }

    /// A port of `localhost` for an API server.
    pub fn new_port(&self) -> u16 {
        let port = API_PORT_MIN + self.0.rng.borrow_mut().below(API_PORTS);
        u16::try_from(port).unwrap_or(u16::MAX)
    }

    /// Adds a cluster and lets it run.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn create(
        &self,
        tool: Tool,
        name: &str,
        context: &str,
        server: &str,
        nodes: Vec<LocalNode>,
    ) -> Result<Rc<LocalCluster>, String> {
        let cluster = Rc::new(LocalCluster {
            name: name.to_owned(),
            tool,
            context: context.to_owned(),
            server: server.to_owned(),
            nodes: RefCell::new(nodes),
            addons: RefCell::default(),
            store: Store::new(&store::Options::default()),
            running: RefCell::default(),
            paused: Cell::default(),
            loaded: RefCell::default(),
            disks: RefCell::default(),
        });
        self.start(&cluster)?;
        self.0.list.borrow_mut().push(cluster.clone());
        Ok(cluster)
    }

    /// Lets a cluster run, with all that its store holds.
    ///
    /// # Errors
    /// When it cannot be set up, or a port of the computer is taken.
    pub fn start(&self, cluster: &LocalCluster) -> Result<(), String> {
        if cluster.is_paused() {
            cluster.set_paused(false);
        }
        if cluster.is_running() {
            return Ok(());
        }
        let shared = &self.0;
        let nodes = cluster.nodes.borrow();
        let advertise = (
            nodes.first().map_or(Ipv4Addr::LOCALHOST, |node| node.options.address),
            if cluster.tool == Tool::Minikube { 8443 } else { 6443 },
        );
        let seed = shared.rng.borrow_mut().next_u64();
        let options = Options {
            nodes: nodes.iter().map(|node| node.options.clone()).collect(),
            host_time: shared.host_time.clone(),
            advertise,
            addons: true,
            // minikube has no cloud: `minikube tunnel` gives load balancers their address.
            load_balancer: (cluster.tool != Tool::Minikube).then(|| "localhost".into()),
            saved: cluster.disks.borrow().clone(),
            ..Options::new(cluster.store.clone(), shared.executor.now(), seed)
        };
        let (inner, _) = Inner::start(shared.executor.clone(), shared.pace.clone(), shared.registry.clone(), options)?;
        let network = shared.computer.network();
        let ports = || nodes.iter().flat_map(|node| node.ports.iter().map(move |port| (node.options.address, port)));
        let taken =
            ports().find(|(address, port)| !shared.computer.map_port(port.host, (IpAddr::V4(*address), port.node)));
        if let Some((_, port)) = taken {
            ports().take_while(|(_, earlier)| !std::ptr::eq(*earlier, port)).for_each(|(_, earlier)| {
                shared.computer.unmap_port(earlier.host);
            });
            inner.shut_down();
            return Err(format!("Bind for {}:{} failed: port is already allocated", port.address, port.host));
        }
        for node in nodes.iter() {
            network.set_neighbour(node.options.address.into(), Some(inner.world.entrance()));
        }
        drop(nodes);
        // Theirs now: one that does not start keeps them.
        cluster.disks.take();
        *cluster.running.borrow_mut() = Some(inner);
        for image in cluster.loaded.borrow().iter() {
            cluster.put_image(image);
        }
        Ok(())
    }

    /// Adds a node to a cluster that runs.
    pub fn add_node(&self, cluster: &LocalCluster, node: LocalNode) {
        if let Some(inner) = cluster.running.borrow().as_ref() {
            inner.join_simulated(&node.options, &mut self.0.rng.borrow_mut().fork());
            self.0.computer.network().set_neighbour(node.options.address.into(), Some(inner.world.entrance()));
        }
        cluster.nodes.borrow_mut().push(node);
        cluster.loaded.borrow().iter().for_each(|image| cluster.put_image(image));
    }

    /// Stops a cluster; what it holds stays.
    pub fn stop(&self, cluster: &LocalCluster) {
        cluster.paused.set(false);
        if let Some(inner) = cluster.running.borrow_mut().take() {
            let mut saver = Saver::all();
            inner.save_disks(&mut saver);
            let parts = saver.finish().1.into_iter().map(|(name, bytes)| (name, bytes.into()));
            *cluster.disks.borrow_mut() = Saved::new(parts.collect()).take_folder(NODES_FOLDER);
            inner.shut_down();
        }
        for node in cluster.nodes.borrow().iter() {
            self.0.computer.network().set_neighbour(node.options.address.into(), None);
            node.ports.iter().for_each(|port| self.0.computer.unmap_port(port.host));
        }
    }

    /// Stops a cluster and forgets it.
    pub fn delete(&self, cluster: &Rc<LocalCluster>) {
        self.stop(cluster);
        self.0.list.borrow_mut().retain(|known| !Rc::ptr_eq(known, cluster));
    }

    /// Visits all of them.
    pub fn save(&self, saver: &mut Saver<'_>) {
        for cluster in self.0.list.borrow().iter() {
            saver.within(cluster.tool.name(), &mut |saver| {
                saver.within(&cluster.name, &mut |saver| cluster.save(saver));
            });
        }
        for (tool, name, saved) in self.0.unread.borrow().iter() {
            // A new one has taken its name.
            if self.0.list.borrow().iter().all(|cluster| (cluster.tool, &cluster.name) != (*tool, name)) {
                saver.within(tool.name(), &mut |saver| saver.within(name, &mut |saver| saved.save(saver)));
            }
        }
    }

    /// Puts them back; those that ran go on. What cannot be read is left out, and kept.
    pub fn restore(&self, mut saved: Saved) {
        for tool in [Tool::Kind, Tool::Minikube] {
            let mut clusters = saved.take_folder(tool.name());
            for name in clusters.names() {
                let parts = clusters.take_folder(&name);
                // Bytes are shared, not copied.
                let restored = LocalCluster::restore(tool, &name, parts.clone(), self.0.executor.now());
                let Some((cluster, ran)) = restored else {
                    self.0.unread.borrow_mut().push((tool, name, parts));
                    continue;
                };
                let cluster = Rc::new(cluster);
                let last = cluster.nodes.borrow().iter().map(|node| node.options.index().saturating_add(1)).max();
                self.0.nodes.set(self.0.nodes.get().max(last.unwrap_or_default()));
                // One whose ports are taken is there, and does not run.
                if ran && self.start(&cluster).is_ok() {
                    let stopped: Vec<String> = cluster
                        .nodes
                        .borrow()
                        .iter()
                        .filter(|node| node.stopped)
                        .map(|node| node.options.name.clone())
                        .collect();
                    stopped.iter().for_each(|node| self.set_stopped(&cluster, node, true));
                }
                self.0.list.borrow_mut().push(cluster);
            }
        }
    }

    /// Stops a node's container or starts it again: the cluster sees a node that does not answer.
    pub fn set_stopped(&self, cluster: &LocalCluster, node: &str, stopped: bool) {
        for known in cluster.nodes.borrow_mut().iter_mut().filter(|known| known.options.name == node) {
            known.stopped = stopped;
        }
        if let Some(inner) = cluster.running.borrow().as_ref() {
            inner.cut_node_off(node, stopped);
        }
    }
}

impl Tool {
    /// Its command.
    fn name(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Minikube => "minikube",
        }
    }
}

const ABOUT: &str = "about";
const STORE: &str = "store";
const IMAGES: &str = "images";

impl LocalCluster {
    fn save(&self, saver: &mut Saver<'_>) {
        let about = json!({
            "context": self.context,
            "server": self.server,
            "running": self.is_running(),
            "addons": &*self.addons.borrow(),
            "nodes": self.nodes.borrow().iter().map(LocalNode::to_json).collect::<Vec<_>>(),
        });
        saver.small(ABOUT, about.to_string().into_bytes());
        saver.part(STORE, u64::try_from(self.store.revision()).unwrap_or_default(), &|| {
            // The newest revision is always there.
            self.store.contents(0).map(|contents| contents.to_bytes()).unwrap_or_default()
        });
        saver.within(IMAGES, &mut |saver| self.loaded.borrow().iter().for_each(|image| image.save(saver)));
        match self.running.borrow().as_ref() {
            Some(inner) => inner.save_disks(saver),
            None => saver.within(NODES_FOLDER, &mut |saver| self.disks.borrow().save(saver)),
        }
    }

    /// A cluster as it was, and whether it ran.
    fn restore(tool: Tool, name: &str, mut parts: Saved, now: Timestamp) -> Option<(Self, bool)> {
        let about: Value = serde_json::from_slice(&parts.take(ABOUT)?).ok()?;
        let contents = Contents::from_bytes(&parts.take(STORE)?, saved::LEASE_SECONDS)?;
        let text = |name: &str| about[name].as_str().unwrap_or_default().to_owned();
        let list = |name: &str| about[name].as_array().cloned().unwrap_or_default();
        let loaded = Image::restore_all(parts.take_folder(IMAGES)).into_iter().map(Rc::new).collect();
        let cluster = Self {
            name: name.to_owned(),
            tool,
            context: text("context"),
            server: text("server"),
            nodes: RefCell::new(list("nodes").iter().filter_map(LocalNode::from_json).collect()),
            addons: RefCell::new(list("addons").iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()),
            store: Store::restore(&store::Options::default(), contents, now),
            running: RefCell::default(),
            paused: Cell::default(),
            loaded: RefCell::new(loaded),
            disks: RefCell::new(parts.take_folder(NODES_FOLDER)),
        };
        Some((cluster, about["running"] == true))
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.running.borrow().is_some()
    }

    /// Whether its own containers stand still.
    pub fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// Lets its kubelets and its own containers stand still, or go on; how many containers they are.
    pub fn set_paused(&self, paused: bool) -> usize {
        const NAMESPACES: [&str; 3] = ["kube-system", "kubernetes-dashboard", "istio-operator"];
        let Some(inner) = self.running.borrow().clone() else { return 0 };
        self.paused.set(paused);
        let mut count = 0;
        for runtime in inner.world.runtimes() {
            // One that ran would start anew what does not answer its probes.
            let kubelet = Fault::ComponentDown { component: format!("kubelet/{}", runtime.node_name()) };
            // What is so already stays so.
            let _ = if paused { inner.begin(kubelet) } else { inner.heal(&kubelet) };
            for container in runtime.containers() {
                let namespace = container.labels.get("io.kubernetes.pod.namespace").map(String::as_str);
                let machine =
                    runtime.machine(&container.id).filter(|_| namespace.is_some_and(|of| NAMESPACES.contains(&of)));
                if let Some(machine) = machine {
                    machine.set_frozen(paused);
                    count += 1;
                }
            }
        }
        count
    }

    /// Its inside, while it runs.
    pub fn inner(&self) -> Ref<'_, Option<Rc<Inner>>> {
        self.running.borrow()
    }

    /// Puts an image onto all its nodes, now and whenever it starts.
    pub fn load_image(&self, image: &Rc<Image>) {
        self.loaded.borrow_mut().push(image.clone());
        self.put_image(image);
    }

    /// Whether an image was put onto its nodes.
    pub fn has_image(&self, id: &str) -> bool {
        self.loaded.borrow().iter().any(|image| image.id == id)
    }

    /// Copies files of the computer to a node. What is written on either side afterwards is not seen on the other.
    pub fn put_files(&self, node: &str, from: &Fs, path: &str, target: &str, now: Timestamp) {
        let Some(inner) = self.running.borrow().clone() else { return };
        let runtimes = inner.world.runtimes();
        if let Some(runtime) = runtimes.iter().find(|runtime| runtime.node_name() == node) {
            // A new node's disk has room.
            let _ = copy(from, path, &Fs::new(runtime.host_tree(), false), target, now);
        }
    }

    fn put_image(&self, image: &Rc<Image>) {
        if let Some(inner) = self.running.borrow().as_ref() {
            inner.world.runtimes().iter().for_each(|runtime| runtime.put_image(image.clone()));
        }
    }
}

/// Copies a file, or a folder with all that is in it; what is not there is made as a folder, as Docker does it.
fn copy(from: &Fs, path: &str, to: &Fs, target: &str, now: Timestamp) -> Result<(), Errno> {
    if let Ok(data) = from.read(path) {
        to.create_dir_all(fs::parent(target), now)?;
        return to.write(target, data, now);
    }
    to.create_dir_all(target, now)?;
    for (name, _) in from.list(path).unwrap_or_default() {
        copy(from, &format!("{path}/{name}"), to, &format!("{target}/{name}"), now)?;
    }
    Ok(())
}
