//! The connection to the Docker Engine, and what a node needs of it before its first pod.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use futures::channel::mpsc;
use kubelet::runtime::{ErrorCode, Event, RuntimeError};

use super::DockerConfig;
use super::images;
use super::names;

/// How long Docker may take to answer; stopping and pulling wait for their own times.
const TIMEOUT: Duration = Duration::from_secs(120);
/// The pods' range of addresses, if Docker has it free.
const SUBNET: &str = "10.244.0.0/16";

/// Docker cannot be used: one line that says why and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(pub String);

/// One node's connection.
pub struct Engine {
    pub docker: Docker,
    pub config: DockerConfig,
    version: Mutex<String>,
    events: mpsc::UnboundedSender<Event>,
    up: AtomicBool,
}

impl Engine {
    pub async fn connect(config: DockerConfig, events: mpsc::UnboundedSender<Event>) -> Result<Self, ConnectError> {
        let docker = open(config.host.as_deref())?;
        let engine = Self { docker, config, version: Mutex::default(), events, up: AtomicBool::new(true) };
        engine.prepare().await.map_err(|error| ConnectError(explain(&error)))?;
        Ok(engine)
    }

    /// What must be there before the first pod; also after Docker was away.
    pub async fn prepare(&self) -> Result<(), Error> {
        let version = self.docker.version().await?;
        let version = version.version.unwrap_or_default();
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = version;
        images::ensure_sandbox_image(self).await?;
        self.ensure_network().await
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

    async fn ensure_network(&self) -> Result<(), Error> {
        let name = &self.config.network;
        match self.docker.inspect_network(name, None).await {
            Ok(_) => return Ok(()),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => return Err(error),
        }
        let request = |ipam| NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".into()),
            labels: Some(HashMap::from([(names::CLUSTER.to_string(), self.config.cluster.clone())])),
            ipam,
            ..NetworkCreateRequest::default()
        };
        let range = IpamConfig { subnet: Some(SUBNET.into()), ..IpamConfig::default() };
        let ipam = Ipam { config: Some(vec![range]), ..Ipam::default() };
        match self.docker.create_network(request(Some(ipam))).await {
            Ok(_) | Err(Error::DockerResponseServerError { status_code: 409, .. }) => Ok(()),
            // The range is taken by another network: Docker chooses one.
            Err(Error::DockerResponseServerError { .. }) => self.docker.create_network(request(None)).await.map(drop),
            Err(error) => Err(error),
        }
    }

    /// Filters for what belongs to this node.
    pub fn filters(&self, kind: &str) -> HashMap<String, Vec<String>> {
        let labels = vec![
            format!("{}={}", names::CLUSTER, self.config.cluster),
            format!("{}={}", names::NODE, self.config.node),
            format!("{}={}", names::DATA_DIR, self.config.data_dir.display()),
            format!("{}={kind}", names::TYPE),
        ];
        HashMap::from([("label".to_string(), labels)])
    }
}

/// Removes every container and the network of a cluster: Docker is as it was before.
///
/// # Errors
/// When Docker cannot be reached or refuses.
pub async fn cleanup(config: &DockerConfig) -> Result<(), ConnectError> {
    let docker = open(config.host.as_deref())?;
    let labels = vec![
        format!("{}={}", names::CLUSTER, config.cluster),
        format!("{}={}", names::DATA_DIR, config.data_dir.display()),
    ];
    let filters = HashMap::from([("label", labels)]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let fail = |error: Error| ConnectError(explain(&error));
    let containers = docker.list_containers(Some(options)).await.map_err(fail)?;
    for id in containers.into_iter().filter_map(|container| container.id) {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match docker.remove_container(&id, Some(options)).await {
            Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => {}
            Err(error) => return Err(fail(error)),
        }
    }
    match docker.remove_network(&config.network).await {
        // 403: another cluster's containers are still on it.
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 403 | 404, .. }) => Ok(()),
        Err(error) => Err(fail(error)),
    }
}

fn open(host: Option<&str>) -> Result<Docker, ConnectError> {
    let docker = match host {
        Some(host) => Docker::connect_with_host(host),
        None => Docker::connect_with_defaults(),
    };
    docker.map(|docker| docker.with_timeout(TIMEOUT)).map_err(|error| ConnectError(explain(&error)))
}

/// An error in the words of a message to the user.
pub fn explain(error: &Error) -> String {
    let text = match error {
        Error::DockerResponseServerError { message, .. } => return message.trim().to_string(),
        error => chain(error),
    };
    if text.contains("Permission denied") || text.contains("permission denied") {
        "permission denied at the Docker socket: add your user to the group `docker` (sudo usermod -aG docker $USER, then log in again), or use --runtime sim".into()
    } else if unreachable(&text) {
        "Docker does not answer: start it (sudo systemctl start docker, or Docker Desktop), or use --runtime sim".into()
    } else {
        text
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        out = format!("{out}: {inner}");
        source = inner.source();
    }
    out
}

fn unreachable(text: &str) -> bool {
    [
        "No such file",
        "onnection refused",
        "not found",
        "onnection reset",
        "reading a body",
        "client error",
        "onnection closed",
        "roken pipe",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

/// Docker's error as the kubelet's.
pub fn failed(error: Error) -> RuntimeError {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            let code = if status_code == 404 { ErrorCode::NotFound } else { ErrorCode::Unknown };
            RuntimeError::new(code, format!("Error response from daemon: {}", message.trim()))
        }
        Error::RequestTimeoutError => RuntimeError::new(ErrorCode::DeadlineExceeded, "Docker did not answer in time"),
        error => {
            let text = chain(&error);
            let code = if unreachable(&text) { ErrorCode::Unavailable } else { ErrorCode::Unknown };
            RuntimeError::new(code, explain(&error))
        }
    }
}
