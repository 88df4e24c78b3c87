//! Real containers: the kubelet's [`ContainerRuntime`] on the Docker Engine.
//!
//! Operations run as tasks on tokio; what comes of them, and what Docker reports by itself, reaches
//! the kubelet through one channel that wakes it. Everything that belongs to a node is found by its
//! labels, so that a restarted `serve` takes over what runs. A pod is a sandbox container, which holds
//! its network and does nothing, and its containers, which share that network. A node is a container too,
//! whose network is the host network of its pods.

mod confinement;
mod connection;
mod containers;
mod dial;
mod engine;
mod events;
mod exec;
mod held;
mod host;
mod images;
mod logs;
mod names;
mod network;
mod own;
mod sandbox;
mod volumes;

use std::pin::Pin;
use std::sync::Arc;
use std::task;

use futures::Stream;
use futures::channel::mpsc;
use kubelet::runtime::{
    AttachRequest, ContainerRuntime, Context, ErrorCode, Event, ExecRequest, Listing, LogLine, LogRequest, Operation,
    Outcome, RuntimeError, RuntimeVersion, Ticket,
};
use machinery::wire::Channels;
use playground_core::kind_config::{ExtraMount, PortMapping};

pub use connection::ConnectError;
use engine::Engine;
pub use engine::{cleanup, set_power};
pub use host::{describe, image_id, load_archive};
pub use network::{Connection, NODES_MAX, PodNetwork};
pub use own::OwnConfig;

/// How a node uses Docker.
#[derive(Clone, Debug)]
pub struct DockerConfig {
    /// The node's name.
    pub node: String,
    /// Its number, by which it has its address and its pods have theirs.
    pub index: u16,
    /// Whether ports of the node's pods are opened on this machine too.
    pub publish: bool,
    /// Ports of this machine that lead to the node.
    pub ports: Vec<PortMapping>,
    /// Paths of this machine that the node has elsewhere.
    pub mounts: Vec<ExtraMount>,
    /// Told when the node's container stops (false) and starts (true): the node's power.
    pub power: tokio::sync::mpsc::UnboundedSender<(String, bool)>,
}

/// One node's containers on Docker.
pub struct DockerRuntime {
    engine: Arc<Engine>,
    events: mpsc::UnboundedReceiver<Event>,
    tokio: tokio::runtime::Handle,
    watcher: tokio::task::JoinHandle<()>,
}

impl DockerRuntime {
    /// Makes the node in a cluster's network and begins to listen for events. Must be called on a tokio runtime, which
    /// then carries all operations.
    ///
    /// # Errors
    /// One line that says what is wrong and what to do: no Docker, no permission, no network.
    pub async fn connect(config: DockerConfig, network: Arc<PodNetwork>) -> Result<Self, ConnectError> {
        let (sender, events) = mpsc::unbounded();
        let engine = Arc::new(Engine::connect(config, network, sender).await?);
        let watcher = tokio::spawn(events::watch(engine.clone()));
        Ok(Self { engine, events, tokio: tokio::runtime::Handle::current(), watcher })
    }
}

impl Drop for DockerRuntime {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl ContainerRuntime for DockerRuntime {
    fn version(&self) -> RuntimeVersion {
        RuntimeVersion { name: "docker".into(), version: self.engine.version() }
    }

    fn submit(&mut self, ticket: Ticket, operation: Operation) {
        let engine = self.engine.clone();
        self.tokio.spawn(async move {
            let result = perform(&engine, ticket, operation).await;
            if let Err(error) = &result
                && error.code == ErrorCode::Unavailable
                && error.message != engine::OFF
            {
                engine.lost(&error.message);
            }
            engine.tell(Event::Completed { ticket, result });
        });
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        let mut task_cx = task::Context::from_waker(cx.waker());
        match Pin::new(&mut self.events).poll_next(&mut task_cx) {
            task::Poll::Ready(event) => event,
            task::Poll::Pending => None,
        }
    }

    fn logs(&mut self, request: LogRequest, lines: mpsc::Sender<Result<LogLine, RuntimeError>>) {
        self.tokio.spawn(logs::follow(self.engine.clone(), request, lines));
    }

    fn exec(&mut self, request: ExecRequest, channels: Channels) {
        self.tokio.spawn(exec::exec(self.engine.clone(), request, channels));
    }

    fn attach(&mut self, request: AttachRequest, channels: Channels) {
        self.tokio.spawn(exec::attach(self.engine.clone(), request, channels));
    }

    fn port_forward(&mut self, sandbox_id: &str, ports: &[u16], channels: Channels) {
        self.tokio.spawn(dial::port_forward(self.engine.clone(), sandbox_id.into(), ports.to_vec(), channels));
    }
}

async fn perform(engine: &Engine, ticket: Ticket, operation: Operation) -> Result<Outcome, RuntimeError> {
    if engine.is_off() && !(engine.is_booting() && operation == Operation::List) {
        return Err(RuntimeError::new(ErrorCode::Unavailable, engine::OFF));
    }
    Ok(match operation {
        Operation::List => {
            let listing =
                Listing { sandboxes: sandbox::list(engine).await?, containers: containers::list(engine).await? };
            engine.listed();
            Outcome::Listing(listing)
        }
        Operation::SetUpVolumes { pod_uid, volumes } => {
            volumes::set_up(engine, ticket, &pod_uid, &volumes).await?;
            Outcome::Done
        }
        Operation::TearDownVolumes { pod_uid } => {
            volumes::tear_down(engine, &pod_uid)?;
            Outcome::Done
        }
        Operation::RunPodSandbox(config) => Outcome::Sandbox(sandbox::run(engine, ticket, *config).await?),
        Operation::StopPodSandbox { sandbox_id } => {
            sandbox::stop(engine, &sandbox_id).await?;
            Outcome::Done
        }
        Operation::RemovePodSandbox { sandbox_id } => {
            sandbox::remove(engine, &sandbox_id).await?;
            Outcome::Done
        }
        Operation::ImageStatus { image } => Outcome::Image(images::status(engine, &image).await?),
        Operation::PullImage { image, pull_secrets } => {
            Outcome::Image(Some(images::pull(engine, ticket, &image, &pull_secrets).await?))
        }
        Operation::ListImages => Outcome::Images(images::list(engine).await?),
        Operation::CreateContainer { sandbox_id, config } => {
            Outcome::Container(Box::new(containers::create(engine, &sandbox_id, *config).await?))
        }
        Operation::StartContainer { container_id } => {
            Outcome::Container(Box::new(containers::start(engine, container_id).await?))
        }
        Operation::StopContainer { container_id, grace } => {
            Outcome::Container(Box::new(containers::stop(engine, &container_id, grace).await?))
        }
        Operation::RemoveContainer { container_id } => {
            containers::remove(engine, &container_id).await?;
            Outcome::Done
        }
        Operation::ExecSync { container_id, command, timeout } => {
            Outcome::Exec(exec::exec_sync(engine, &container_id, command, timeout).await?)
        }
        Operation::HttpGet { https, host, port, path, headers, timeout } => {
            Outcome::Http(dial::http_get(engine, https, &host, port, &path, &headers, timeout).await?)
        }
        Operation::TcpDial { host, port, timeout } => {
            dial::tcp(engine, &host, port, timeout).await?;
            Outcome::Done
        }
        Operation::GrpcCheck { host, port, service, timeout } => {
            Outcome::Health(dial::grpc_check(engine, &host, port, &service, timeout).await?)
        }
        Operation::UpdateContainer { container_id, resources } => {
            containers::update(engine, &container_id, &resources).await?;
            Outcome::Done
        }
        // Never asked: this runtime does not say that it can tell.
        Operation::NodeUse => Outcome::NodeUse(kubelet::runtime::NodeUse::default()),
        Operation::ListStats => Outcome::Stats(containers::stats(engine).await?),
    })
}
