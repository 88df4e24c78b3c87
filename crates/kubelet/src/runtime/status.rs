//! What a runtime says about what it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use machinery::Timestamp;

/// Everything a runtime holds for this node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// Sandboxes, running or not.
    pub sandboxes: Vec<SandboxStatus>,
    /// Containers, running or not.
    pub containers: Vec<ContainerStatus>,
}

/// CRI's `PodSandboxState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxState {
    /// It runs and has its network.
    #[default]
    Ready,
    /// It has ended, or is gone.
    NotReady,
}

/// CRI's `PodSandboxStatus`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SandboxStatus {
    /// Its id.
    pub id: String,
    /// Pod name.
    pub pod_name: String,
    /// Pod namespace.
    pub pod_namespace: String,
    /// Pod uid.
    pub pod_uid: String,
    /// [`super::PodSandboxConfig::attempt`].
    pub attempt: u32,
    /// Whether it runs.
    pub state: SandboxState,
    /// When it was made.
    pub created_at: Timestamp,
    /// The pod's addresses; the first is the pod's `podIP`. Empty on the node's network.
    pub ips: Vec<String>,
    /// As configured.
    pub labels: Arc<BTreeMap<String, String>>,
    /// As configured.
    pub annotations: Arc<BTreeMap<String, String>>,
}

/// CRI's `ContainerState`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started.
    #[default]
    Created,
    /// Running.
    Running,
    /// Ended.
    Exited,
    /// The runtime cannot tell.
    Unknown,
}

/// CRI's `ContainerStatus`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerStatus {
    /// Its id, without the runtime's name.
    pub id: String,
    /// Its sandbox.
    pub sandbox_id: String,
    /// Pod uid.
    pub pod_uid: String,
    /// Container name in the pod's spec.
    pub name: String,
    /// [`super::ContainerConfig::attempt`].
    pub attempt: u32,
    /// What it does.
    pub state: ContainerState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its process started.
    pub started_at: Option<Timestamp>,
    /// When its process ended.
    pub finished_at: Option<Timestamp>,
    /// Exit code; 128 + signal for a process that was killed. 0 while it runs.
    pub exit_code: i32,
    /// `OOMKilled`, `ContainerCannotRun`, or empty: the kubelet says `Completed` or `Error` then.
    pub reason: String,
    /// What it left at its termination message path, or why it could not run.
    pub message: String,
    /// Image reference as the container was made with it.
    pub image: String,
    /// The image's digest (`name@sha256:…`) or, for local images, its id.
    pub image_ref: String,
    /// As configured.
    pub labels: Arc<BTreeMap<String, String>>,
    /// As configured.
    pub annotations: Arc<BTreeMap<String, String>>,
}

/// CRI's `Image`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageInfo {
    /// The runtime's id, such as `sha256:…`.
    pub id: String,
    /// `name:tag` of all its tags.
    pub repo_tags: Vec<String>,
    /// `name@sha256:…` of its registries.
    pub repo_digests: Vec<String>,
    /// Size on disk.
    pub size_bytes: u64,
    /// The image's user, as it names it: a uid, a name, or empty for root.
    pub user: String,
}

/// The end of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecResult {
    /// Exit code.
    pub exit_code: i32,
    /// Standard output, then standard error, possibly cut off after 16 KiB.
    pub output: Bytes,
}

/// An HTTP answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResult {
    /// Status code.
    pub status: u16,
    /// Body, possibly cut off after 10 KiB.
    pub body: Bytes,
}

/// CRI's `ContainerStats`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerStats {
    /// The container.
    pub container_id: String,
    /// CPU time used since it started, in nanoseconds.
    pub cpu_usage_ns: u64,
    /// CPU use now, in billionths of a CPU.
    pub cpu_nano_cores: u64,
    /// Memory that cannot be reclaimed, in bytes.
    pub memory_working_set_bytes: u64,
}

/// Use of what the pods of a node share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeUse {
    /// Memory that cannot be reclaimed, of pods and all else, in bytes.
    pub memory_bytes: u64,
    /// Disk space of pods, images and all else, in bytes.
    pub disk_bytes: u64,
    /// Resource use of the running containers.
    pub containers: Vec<ContainerStats>,
    /// Disk space by container id: its writable layer and its log.
    pub layers: Vec<StorageUse>,
    /// Disk space of emptyDir volumes, as `<pod uid>/<volume>`.
    pub volumes: Vec<StorageUse>,
}

/// Disk space of something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageUse {
    /// What uses it.
    pub owner: String,
    /// Bytes.
    pub bytes: u64,
}

/// `grpc.health.v1.HealthCheckResponse.ServingStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// `UNKNOWN`.
    Unknown,
    /// `SERVING`.
    Serving,
    /// `NOT_SERVING`.
    NotServing,
    /// `SERVICE_UNKNOWN`.
    ServiceUnknown,
}

impl Health {
    /// As the protocol names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
        }
    }
}
