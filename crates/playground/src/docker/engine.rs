//! One node on Docker: the connection, and what the node needs before its first pod.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerSummary, HostConfig, PortBinding};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveImageOptionsBuilder};
use futures::channel::mpsc;
use kubelet::runtime::{ContainerStatus, Event};
use playground_core::kind_config::PortMapping;

use super::connection::{self, ConnectError, explain, force_remove};
use super::network::{Member, PodNetwork};
use super::own::{self, OwnConfig};
use super::{DockerConfig, held, images, names};

/// One node's connection.
pub struct Engine {
    pub docker: Docker,
    pub config: DockerConfig,
    pub network: Arc<PodNetwork>,
    version: Mutex<String>,
    /// The container whose network is the node's own.
    node_container: Mutex<String>,
    events: mpsc::UnboundedSender<Event>,
    /// Containers made here that have not been started: Docker is slow to describe one that has just started.
    made: Mutex<HashMap<String, Made>>,
    /// Containers started here whose start Docker has not told yet.
    started: Mutex<HashSet<String>>,
    up: AtomicBool,
    power: Mutex<Power>,
}

/// A node's power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    On,
    /// It has come back, and the kubelet has not heard yet what is left: whatever it wants until then, it wants of
    /// what it remembers.
    Booting,
    Off,
}

/// A container that was made here.
pub struct Made {
    /// As it was made.
    pub status: ContainerStatus,
    /// Its share of CPUs where they are wanted by more than there are.
    pub cpu_shares: u64,
}

/// Why nothing is done on a node that was stopped.
pub const OFF: &str = "the node is stopped";

impl Engine {
    pub async fn connect(
        config: DockerConfig,
        network: Arc<PodNetwork>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Result<Self, ConnectError> {
        let engine = Self {
            docker: network.docker().clone(),
            config,
            network,
            version: Mutex::default(),
            node_container: Mutex::default(),
            events,
            made: Mutex::default(),
            started: Mutex::default(),
            up: AtomicBool::new(true),
            power: Mutex::new(Power::On),
        };
        engine.prepare().await.map_err(|error| ConnectError(explain(&error)))?;
        Ok(engine)
    }

    /// What must be there before the first pod; also after Docker was away.
    pub async fn prepare(&self) -> Result<(), Error> {
        let version = self.docker.version().await?.version.unwrap_or_default();
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = version;
        self.network.prepare().await?;
        held::forget(self).await?;
        self.ensure_node().await
    }

    /// Whose containers these are.
    pub fn own(&self) -> &OwnConfig {
        self.network.config()
    }

    /// The node's address.
    pub fn address(&self) -> Ipv4Addr {
        self.network.node_address(self.config.index)
    }

    /// The container whose network is the node's own.
    pub fn node_container(&self) -> String {
        self.node_container.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The engine's version.
    pub fn version(&self) -> String {
        self.version.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps the description of a container until it is started.
    pub fn keep(&self, made: Made) {
        self.made().insert(made.status.id.clone(), made);
    }

    /// The description of a container that is to be started, if it was made here.
    pub fn take(&self, id: &str) -> Option<Made> {
        self.made().remove(id)
    }

    fn made(&self) -> MutexGuard<'_, HashMap<String, Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Containers started here whose start Docker has not told yet.
    pub fn started(&self) -> MutexGuard<'_, HashSet<String>> {
        self.started.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the kubelet; one that is gone need not know.
    pub fn tell(&self, event: Event) {
        let _ = self.events.unbounded_send(event);
    }

    /// Docker does not answer any more: told once.
    pub fn lost(&self, message: &str) {
        if self.up.swap(false, Ordering::SeqCst) {
            self.tell(Event::Down { message: message.into() });
        }
    }

    /// Docker itself has ended, and with it perhaps the node's container: the node has not lost its power, and
    /// can say what is missing. Its container is started when Docker is back.
    pub fn docker_is_gone(&self, message: &str) {
        if self.switch(Power::On) != Power::On {
            let _ = self.config.power.send((self.config.node.clone(), true));
            self.up.store(true, Ordering::SeqCst);
        }
        self.lost(message);
    }

    /// Docker answers again.
    pub fn found(&self) {
        if !self.up.swap(true, Ordering::SeqCst) {
            self.tell(Event::Up);
        }
    }

    /// Whether the node is stopped, or has not begun anew.
    pub fn is_off(&self) -> bool {
        self.power() != Power::On
    }

    /// Whether the node is about to begin anew, with a listing of what is left.
    pub fn is_booting(&self) -> bool {
        self.power() == Power::Booting
    }

    /// What is left has been listed.
    pub fn listed(&self) {
        let mut power = self.power.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have gone off again meanwhile.
        if *power == Power::Booting {
            *power = Power::On;
        }
    }

    fn power(&self) -> Power {
        *self.power.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the power; what it was.
    fn switch(&self, to: Power) -> Power {
        std::mem::replace(&mut *self.power.lock().unwrap_or_else(PoisonError::into_inner), to)
    }

    /// The node's container has ended: its pods end with it, at once.
    pub async fn power_off(&self) {
        if self.switch(Power::Off) == Power::Off {
            return;
        }
        let _ = self.config.power.send((self.config.node.clone(), false));
        // Who has no power says nothing, the kubelet neither: it is only told when there is power again.
        self.up.store(false, Ordering::SeqCst);
        self.network.leave(&self.node_container());
        let running = |kind| {
            let options = ListContainersOptionsBuilder::new().filters(&self.filters(kind)).build();
            async move { self.docker.list_containers(Some(options)).await.unwrap_or_default() }
        };
        for kind in [names::CONTAINER, names::SANDBOX] {
            let ids = running(kind).await.into_iter().filter_map(|container| container.id);
            let kill = ids.map(|id| async move {
                // One that has ended meanwhile is what is wanted.
                let _ = self.docker.kill_container(&id, None).await;
            });
            futures::future::join_all(kill).await;
        }
    }

    /// The node's container runs again.
    pub async fn power_on(&self) {
        if self.power() != Power::Off {
            return;
        }
        if let Err(error) = self.prepare().await {
            tracing::warn!("the node {} is not back: {}", self.config.node, explain(&error));
            return;
        }
        self.switch(Power::Booting);
        let _ = self.config.power.send((self.config.node.clone(), true));
        self.found();
    }

    /// The node itself: a container that holds the network which its host-network pods and ports have.
    async fn ensure_node(&self) -> Result<(), Error> {
        let own = self.own();
        let name = format!("{}{}", self.config.node, own.suffix);
        let mut labels = own::labels(own, own::NODE);
        labels.insert(names::NODE.into(), self.config.node.clone());
        let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
        for PortMapping { host, node, address, protocol } in &self.config.ports {
            let binding = PortBinding { host_ip: Some(address.clone()), host_port: Some(host.to_string()) };
            bindings.entry(format!("{node}/{protocol}")).or_default().get_or_insert_default().push(binding);
        }
        let body = ContainerCreateBody {
            image: Some(images::AGENT.into()),
            cmd: Some(vec!["pause".into(), name.clone()]),
            hostname: Some(self.config.node.clone()),
            labels: Some(labels),
            exposed_ports: (!bindings.is_empty()).then(|| bindings.keys().cloned().collect()),
            networking_config: Some(self.network.at(self.address())),
            host_config: Some(HostConfig {
                network_mode: Some(self.network.name()),
                ipc_mode: Some("shareable".into()),
                port_bindings: (!bindings.is_empty()).then_some(bindings),
                // What comes to the node's ports is sent on to pods.
                sysctls: Some(HashMap::from([("net.ipv4.ip_forward".to_string(), "1".to_string())])),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let running = own::ensure_running(&self.docker, &name, body).await?;
        *self.node_container.lock().unwrap_or_else(PoisonError::into_inner) = running.id.clone();
        // Nobody waits for it: its rules are those of pods that come later.
        drop(self.network.join(Member {
            id: running.id,
            pid: running.pid,
            argument: name,
            address: Some(self.address()),
            linked: false,
            node: self.config.node.clone(),
            is_node: true,
            host_ports: Vec::new(),
        }));
        Ok(())
    }

    /// Filters for what belongs to this node.
    pub fn filters(&self, kind: &str) -> HashMap<String, Vec<String>> {
        let mut filters = of_cluster(self.own());
        let labels = filters.entry("label".into()).or_default();
        labels.push(format!("{}={}", names::NODE, self.config.node));
        labels.push(format!("{}={kind}", names::TYPE));
        filters
    }
}

/// Filters for what belongs to a cluster.
pub fn of_cluster(own: &OwnConfig) -> HashMap<String, Vec<String>> {
    let labels =
        vec![format!("{}={}", names::CLUSTER, own.cluster), format!("{}={}", names::DATA_DIR, own.data_dir.display())];
    HashMap::from([("label".to_string(), labels)])
}

/// Removes every container, the network and the image of a cluster: Docker is as it was before.
///
/// # Errors
/// When Docker cannot be reached or refuses.
pub async fn cleanup(host: Option<&str>, own: &OwnConfig) -> Result<(), ConnectError> {
    let docker = connection::open(host)?;
    remove_all(&docker, own).await.map_err(|error| ConnectError(explain(&error)))
}

async fn remove_all(docker: &Docker, own: &OwnConfig) -> Result<(), Error> {
    let options = ListContainersOptionsBuilder::new().all(true).filters(&of_cluster(own)).build();
    let mut containers = docker.list_containers(Some(options)).await?;
    // Sandboxes after what is in them: their volumes go with them once nobody else has them.
    let is_inside = |container: &ContainerSummary| {
        let kind = container.labels.as_ref().and_then(|labels| labels.get(names::TYPE));
        kind.is_some_and(|kind| kind == names::CONTAINER)
    };
    containers.sort_by_key(|container| !is_inside(container));
    for id in containers.into_iter().filter_map(|container| container.id) {
        force_remove(docker, &id).await?;
    }
    held::remove_all(docker, own).await?;
    match docker.remove_network(&format!("{}{}", own.cluster, own.suffix)).await {
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
        Err(error) => return Err(error),
    }
    let options = RemoveImageOptionsBuilder::new().force(false).build();
    match docker.remove_image(images::AGENT, Some(options), None).await {
        // 409: another cluster uses it.
        Ok(_) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Stops or starts a node of a cluster, given by its name with or without the cluster's; its full name.
///
/// # Errors
/// When there is no such node, or Docker cannot be reached.
pub async fn set_power(own: &OwnConfig, node: &str, on: bool) -> Result<String, ConnectError> {
    let fail = |error: Error| ConnectError(explain(&error));
    let docker = connection::open(None)?;
    let mut filters = of_cluster(own);
    filters.entry("label".into()).or_default().push(format!("{}={}", names::TYPE, own::NODE));
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let containers = docker.list_containers(Some(options)).await.map_err(fail)?;
    let mut known = Vec::new();
    for container in containers {
        let name = container.labels.unwrap_or_default().remove(names::NODE).unwrap_or_default();
        if name != node && name != format!("{}-{node}", own.cluster) {
            known.push(name);
            continue;
        }
        let id = container.id.unwrap_or_default();
        let done = match on {
            true => docker.start_container(&id, None).await,
            false => docker.kill_container(&id, None).await,
        };
        return match done {
            // 304 and 409: it is so already.
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 304 | 409, .. }) => Ok(name),
            Err(error) => Err(fail(error)),
        };
    }
    known.sort();
    let known = if known.is_empty() { "it has none on Docker".into() } else { format!("it has {}", known.join(", ")) };
    Err(ConnectError(format!("the cluster has no node {node:?}: {known}")))
}
