//! One node on Docker: the connection, and what the node needs before its first pod.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveImageOptionsBuilder};
use futures::channel::mpsc;
use kubelet::runtime::Event;

use super::connection::{self, ConnectError, explain, force_remove};
use super::network::{Member, PodNetwork};
use super::own::{self, OwnConfig};
use super::{DockerConfig, images, names};

/// One node's connection.
pub struct Engine {
    pub docker: Docker,
    pub config: DockerConfig,
    pub network: Arc<PodNetwork>,
    version: Mutex<String>,
    /// The container whose network is the node's own.
    node_container: Mutex<String>,
    events: mpsc::UnboundedSender<Event>,
    up: AtomicBool,
}

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
            up: AtomicBool::new(true),
        };
        engine.prepare().await.map_err(|error| ConnectError(explain(&error)))?;
        Ok(engine)
    }

    /// What must be there before the first pod; also after Docker was away.
    pub async fn prepare(&self) -> Result<(), Error> {
        let version = self.docker.version().await?.version.unwrap_or_default();
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = version;
        self.network.prepare().await?;
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

    /// Docker answers again.
    pub fn found(&self) {
        if !self.up.swap(true, Ordering::SeqCst) {
            self.tell(Event::Up);
        }
    }

    /// The node itself: a container that holds the network which its host-network pods and ports have.
    async fn ensure_node(&self) -> Result<(), Error> {
        let own = self.own();
        let name = format!("{}{}", self.config.node, own.suffix);
        let mut labels = own::labels(own, own::NODE);
        labels.insert(names::NODE.into(), self.config.node.clone());
        let body = ContainerCreateBody {
            image: Some(images::AGENT.into()),
            cmd: Some(vec!["pause".into(), name.clone()]),
            hostname: Some(self.config.node.clone()),
            labels: Some(labels),
            networking_config: Some(self.network.at(self.address())),
            host_config: Some(HostConfig {
                network_mode: Some(self.network.name()),
                ipc_mode: Some("shareable".into()),
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
fn of_cluster(own: &OwnConfig) -> HashMap<String, Vec<String>> {
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
    let containers = docker.list_containers(Some(options)).await?;
    for id in containers.into_iter().filter_map(|container| container.id) {
        force_remove(docker, &id).await?;
    }
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
