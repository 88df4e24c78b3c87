//! The port to a container runtime: CRI's role (RuntimeService and ImageService) and the node's
//! network as far as the kubelet dials it.
//!
//! A runtime is driven by [`ContainerRuntime::submit`] and polled by [`ContainerRuntime::poll_event`].
//! It never blocks: an operation is submitted under a [`Ticket`] and answered later by one
//! [`Event::Completed`] with that ticket. What happens without being asked for (a process ends, the
//! daemon goes away) comes as the other events: upstream's pod lifecycle event generator.

mod config;
mod status;
mod stream;

use std::time::Duration;

pub use client::Context;
pub use config::{
    ContainerConfig, Content, DnsConfig, EnvFile, LinuxResources, LinuxSecurity, Medium, Mount, MountSource,
    NamespaceMode, PodSandboxConfig, PortMapping, PullPolicy, Volume, VolumeFile, VolumeKind, set_up_failed,
};
pub use status::{
    ContainerState, ContainerStats, ContainerStatus, ExecResult, Health, HttpResult, ImageInfo, Listing, NodeUse,
    SandboxState, SandboxStatus, StorageUse,
};
pub use stream::{AttachRequest, ExecRequest, LogLine, LogRequest, LogStream, exit_status};

use bytes::Bytes;
use futures::channel::mpsc;
use machinery::wire::Channels;

/// Names one submitted operation; chosen by the kubelet and never used twice by one kubelet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What a runtime is asked to do. The comment names the [`Outcome`] of each; all may fail with a
/// [`RuntimeError`].
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// What exists on this node, for a kubelet that has just started: [`Outcome::Listing`].
    List,
    /// Makes the pod's volumes, or brings the files of those that exist up to date; idempotent:
    /// [`Outcome::Done`]. Fails if a host path has not the type it is declared to have.
    SetUpVolumes {
        /// The pod.
        pod_uid: String,
        /// All volumes whose content is to be written now.
        volumes: Vec<Volume>,
    },
    /// Removes everything [`Operation::SetUpVolumes`] made for the pod; idempotent: [`Outcome::Done`].
    TearDownVolumes {
        /// The pod.
        pod_uid: String,
    },
    /// Makes and starts a pod's sandbox, which holds its network: [`Outcome::Sandbox`].
    RunPodSandbox(Box<PodSandboxConfig>),
    /// Stops the sandbox and whatever still runs in it; idempotent: [`Outcome::Done`].
    StopPodSandbox {
        /// The sandbox.
        sandbox_id: String,
    },
    /// Removes the sandbox and its containers, by force; idempotent: [`Outcome::Done`].
    RemovePodSandbox {
        /// The sandbox.
        sandbox_id: String,
    },
    /// Whether the node has an image: [`Outcome::Image`].
    ImageStatus {
        /// A reference, as in a pod's spec.
        image: String,
    },
    /// Fetches an image: [`Outcome::Image`] with the image.
    PullImage {
        /// A reference, as in a pod's spec.
        image: String,
        /// `auths` of a Docker configuration file (JSON), one text for each pull secret.
        pull_secrets: Vec<String>,
    },
    /// All images of the node: [`Outcome::Images`].
    ListImages,
    /// Makes a container in a sandbox without starting it: [`Outcome::Container`].
    CreateContainer {
        /// The sandbox.
        sandbox_id: String,
        /// The container.
        config: Box<ContainerConfig>,
    },
    /// Starts a created container: [`Outcome::Container`]. Its end comes as
    /// [`Event::ContainerChanged`].
    StartContainer {
        /// The container.
        container_id: String,
    },
    /// Stops a container: its stop signal first, SIGKILL when the grace time is over; idempotent:
    /// [`Outcome::Container`].
    StopContainer {
        /// The container.
        container_id: String,
        /// Time from the stop signal to SIGKILL.
        grace: Duration,
    },
    /// Removes a container that does not run, with its log; idempotent: [`Outcome::Done`].
    RemoveContainer {
        /// The container.
        container_id: String,
    },
    /// Runs a command in a container and waits for its end: [`Outcome::Exec`]. A command that
    /// exceeds the timeout is killed, with [`ErrorCode::DeadlineExceeded`].
    ExecSync {
        /// The container.
        container_id: String,
        /// Arguments, without a shell.
        command: Vec<String>,
        /// How long it may take.
        timeout: Duration,
    },
    /// One HTTP request from the node, following no redirect to another host: [`Outcome::Http`].
    /// Failure has the message of Go's HTTP client, without the leading `Get "url": `, such as
    /// `dial tcp 10.0.0.7:80: connect: connection refused`.
    HttpGet {
        /// Whether to speak TLS (without checking the certificate).
        https: bool,
        /// Address or name.
        host: String,
        /// Port.
        port: u16,
        /// Path with query, beginning with `/`.
        path: String,
        /// Headers besides Host.
        headers: Vec<(String, String)>,
        /// How long it may take; [`ErrorCode::DeadlineExceeded`] after that.
        timeout: Duration,
    },
    /// Opens and closes a TCP connection from the node: [`Outcome::Done`]. Messages as for
    /// [`Operation::HttpGet`].
    TcpDial {
        /// Address or name.
        host: String,
        /// Port.
        port: u16,
        /// How long it may take; [`ErrorCode::DeadlineExceeded`] after that.
        timeout: Duration,
    },
    /// Asks a gRPC server for its health (`grpc.health.v1.Health/Check`): [`Outcome::Health`].
    /// [`ErrorCode::DeadlineExceeded`] if nothing answers in time; else messages as grpc-health-probe has
    /// them.
    GrpcCheck {
        /// Address or name.
        host: String,
        /// Port.
        port: u16,
        /// The service; empty for the server as a whole.
        service: String,
        /// How long it may take.
        timeout: Duration,
    },
    /// Changes the limits of a running container: [`Outcome::Done`].
    UpdateContainer {
        /// The container.
        container_id: String,
        /// The new limits.
        resources: LinuxResources,
    },
    /// Resource use of all running containers: [`Outcome::Stats`].
    ListStats,
    /// Use of what the pods of the node share: [`Outcome::NodeUse`]. Asked every ten seconds, and only
    /// of runtimes that [say](ContainerRuntime::tells_node_use) they can tell.
    NodeUse,
}

/// The result of an operation that succeeded.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Done; there is nothing to say.
    Done,
    /// Everything on this node.
    Listing(Listing),
    /// The sandbox as it is now.
    Sandbox(SandboxStatus),
    /// The container as it is now.
    Container(Box<ContainerStatus>),
    /// The image; `None` if the node does not have it.
    Image(Option<ImageInfo>),
    /// All images.
    Images(Vec<ImageInfo>),
    /// A command's end.
    Exec(ExecResult),
    /// An HTTP answer, whatever its status.
    Http(HttpResult),
    /// Resource use by container.
    Stats(Vec<ContainerStats>),
    /// Resource use of the node.
    NodeUse(NodeUse),
    /// A gRPC server's health.
    Health(Health),
}

/// What kind of failure an operation met, as CRI's gRPC codes and named errors have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The sandbox, container or image does not exist.
    NotFound,
    /// The operation took longer than it was given.
    DeadlineExceeded,
    /// The runtime cannot be reached; the operation may be tried again.
    Unavailable,
    /// The image's reference is malformed (`InvalidImageName`).
    InvalidImageName,
    /// The image's registry cannot be reached (`RegistryUnavailable`).
    RegistryUnavailable,
    /// Anything else: the message says it.
    Unknown,
}

/// A failed operation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuntimeError {
    /// The kind of failure.
    pub code: ErrorCode,
    /// What happened, in the runtime's words; it is shown to the user in statuses and events.
    pub message: String,
}

impl RuntimeError {
    /// An error of a kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

/// What a runtime tells the kubelet.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An operation ended.
    Completed {
        /// The operation's ticket.
        ticket: Ticket,
        /// What came of it.
        result: Result<Outcome, RuntimeError>,
    },
    /// How far a pull has come.
    Pulling {
        /// The operation's ticket.
        ticket: Ticket,
        /// In words: `12.5 MB of 50.0 MB (25%)`.
        progress: String,
    },
    /// A sandbox is made and about to start: containers can be made in it, and are started when
    /// [`Operation::RunPodSandbox`] has ended. Runtimes need not tell.
    SandboxMade {
        /// The operation's ticket.
        ticket: Ticket,
        /// The sandbox, with its addresses.
        status: SandboxStatus,
    },
    /// A container started, ended or was paused: as it is now. Every exit is told, whoever caused it.
    ContainerChanged(Box<ContainerStatus>),
    /// A container is gone, by whatever hand.
    ContainerRemoved {
        /// The container.
        container_id: String,
    },
    /// A sandbox ended or was removed behind the kubelet's back.
    SandboxChanged(SandboxStatus),
    /// The runtime cannot be reached. Until [`Event::Up`], operations fail with
    /// [`ErrorCode::Unavailable`].
    Down {
        /// One line that says what is wrong and what to do.
        message: String,
    },
    /// The runtime can be reached (again): the kubelet lists what exists.
    Up,
}

/// Who the runtime is, for the node's status and container ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeVersion {
    /// Its name, the scheme of container ids: `docker` gives `docker://<id>`.
    pub name: String,
    /// Its version, such as `20.10.24`.
    pub version: String,
}

/// A container runtime on one node.
pub trait ContainerRuntime {
    /// The runtime's name and version.
    fn version(&self) -> RuntimeVersion;

    /// Whether [`Operation::NodeUse`] is cheap enough to be asked all the time: what evicts pods.
    fn tells_node_use(&self) -> bool {
        false
    }

    /// The files in the node's folder of static pods (`/etc/kubernetes/manifests`), by name; `None` if
    /// there can be none.
    fn manifests(&self) -> Option<Vec<(String, Bytes)>> {
        None
    }

    /// Accepts an operation. It is answered by exactly one [`Event::Completed`], never before this
    /// call returns; operations may complete in any order.
    fn submit(&mut self, ticket: Ticket, operation: Operation);

    /// The next event, or `None` when there is none now; then the runtime wakes the context's waker
    /// (or asks to be polled at a time) when there is one.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Option<Event>;

    /// Sends a container's log, oldest line first, and closes the channel at its end (with `follow`:
    /// the container's end). An error is the last item.
    fn logs(&mut self, request: LogRequest, lines: mpsc::Sender<Result<LogLine, RuntimeError>>);

    /// Runs a command in a container over the channels of Kubernetes' exec protocol: 0 stdin, 1
    /// stdout, 2 stderr (not with a terminal), 4 resize (`{"Width":80,"Height":24}`), and at the end
    /// [`exit_status`] on channel 3.
    fn exec(&mut self, request: ExecRequest, channels: Channels);

    /// Joins a container's main process, with the channels of [`ContainerRuntime::exec`].
    fn attach(&mut self, request: AttachRequest, channels: Channels);

    /// Connects channels `2i` (data) and `2i + 1` (error text) to port `ports[i]` inside the sandbox's
    /// network.
    fn port_forward(&mut self, sandbox_id: &str, ports: &[u16], channels: Channels);
}
