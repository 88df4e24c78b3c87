//! What the kubelet asks a runtime to make.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

pub use crate::images::PullPolicy;

/// CRI's `PodSandboxConfig`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodSandboxConfig {
    /// Pod name.
    pub name: String,
    /// Pod namespace.
    pub namespace: String,
    /// Pod uid.
    pub uid: String,
    /// How often the sandbox was made anew; 0 for the first.
    pub attempt: u32,
    /// Host name inside the pod.
    pub hostname: String,
    /// Labels, among them the pod's own.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Annotations of the pod.
    pub annotations: Arc<BTreeMap<String, String>>,
    /// `resolv.conf`.
    pub dns: DnsConfig,
    /// Ports to open on the node (hostPort).
    pub port_mappings: Vec<PortMapping>,
    /// Whose network the pod has.
    pub network: NamespaceMode,
    /// Whose processes the pod's containers see: `Pod` with shareProcessNamespace, `Container` by
    /// default, `Node` with hostPID.
    pub pid: NamespaceMode,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// The pod's range of addresses, such as `10.244.1.0/24`, where the node has one.
    pub pod_cidr: Option<String>,
}

/// A Linux namespace's extent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamespaceMode {
    /// Shared by the containers of the pod.
    #[default]
    Pod,
    /// Each container its own.
    Container,
    /// The node's.
    Node,
}

/// What becomes a pod's `/etc/resolv.conf`. Empty lists leave the runtime's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsConfig {
    /// `nameserver` lines.
    pub servers: Vec<String>,
    /// The `search` line.
    pub searches: Vec<String>,
    /// The `options` line.
    pub options: Vec<String>,
}

/// A hostPort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortMapping {
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Port of the pod.
    pub container_port: u16,
    /// Port of the node.
    pub host_port: u16,
    /// Address of the node to listen on; empty for all.
    pub host_ip: String,
}

/// CRI's `ContainerConfig`, with what it takes to find its pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerConfig {
    /// Container name in the pod's spec.
    pub name: String,
    /// Restart count: 0 for the first run.
    pub attempt: u32,
    /// Pod name.
    pub pod_name: String,
    /// Pod namespace.
    pub pod_namespace: String,
    /// Pod uid.
    pub pod_uid: String,
    /// The image's reference in the pod's spec.
    pub image: String,
    /// The image's id, as [`super::ImageInfo::id`] gave it.
    pub image_id: String,
    /// Replaces the image's entrypoint, if not empty.
    pub command: Vec<String>,
    /// Replaces the image's arguments, if not empty.
    pub args: Vec<String>,
    /// Replaces the image's working directory, if not empty.
    pub working_dir: String,
    /// Environment in order; a later entry of the same name wins.
    pub env: Vec<(String, String)>,
    /// Variables whose values the runtime reads when the container is made.
    pub env_files: Vec<EnvFile>,
    /// File systems.
    pub mounts: Vec<Mount>,
    /// To be given back by [`super::ContainerStatus::labels`].
    pub labels: Arc<BTreeMap<String, String>>,
    /// To be given back by [`super::ContainerStatus::annotations`].
    pub annotations: Arc<BTreeMap<String, String>>,
    /// Ports the spec declares: for simulated servers; real ones do not need them.
    pub ports: Vec<u16>,
    /// Whether standard input is kept open.
    pub stdin: bool,
    /// Whether standard input closes after the first attach ends.
    pub stdin_once: bool,
    /// Whether it has a terminal.
    pub tty: bool,
    /// Where the container leaves its last words; the runtime reports them in
    /// [`super::ContainerStatus::message`].
    pub termination_message_path: String,
    /// Whether the end of its log stands for its last words, if it failed and left none (at most 80
    /// lines and 2048 bytes).
    pub termination_message_from_log: bool,
    /// Content of `/etc/hosts`; empty for the runtime's own.
    pub etc_hosts: String,
    /// Whose processes it sees.
    pub pid: NamespaceMode,
    /// The container whose processes it sees instead: CRI's `TARGET`, for ephemeral containers.
    pub pid_target: Option<String>,
    /// cgroup limits.
    pub resources: LinuxResources,
    /// Users and privileges.
    pub security: LinuxSecurity,
}

/// A file system inside a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Absolute path inside the container.
    pub container_path: String,
    /// Whether writes fail.
    pub read_only: bool,
    /// Where it comes from.
    pub source: MountSource,
}

/// Where a mount comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountSource {
    /// A volume of the pod, or a path inside it.
    Volume {
        /// The volume's name.
        name: String,
        /// Relative path; empty for the whole volume.
        sub_path: String,
    },
    /// A path of the node.
    HostPath(String),
}

/// A volume of a pod, for [`super::Operation::SetUpVolumes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Name, unique in the pod.
    pub name: String,
    /// What it is.
    pub kind: VolumeKind,
}

/// What is told of a volume that cannot be set up.
pub fn set_up_failed(volume: &str, reason: &str) -> String {
    format!("MountVolume.SetUp failed for volume {volume:?} : {reason}")
}

/// A variable whose value is in a file of a volume (`fileKeyRef`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvFile {
    /// The variable's name.
    pub name: String,
    /// The volume, an emptyDir of the pod.
    pub volume: String,
    /// The file's path in it.
    pub path: String,
    /// The name in the file.
    pub key: String,
    /// Whether it may be missing.
    pub optional: bool,
}

impl EnvFile {
    /// The value, by what the file says: lines `NAME=VALUE`, values in quotes or without.
    ///
    /// # Errors
    /// When there is none and there has to be.
    pub fn value(&self, text: &str) -> Result<Option<String>, String> {
        let found = text.lines().map(str::trim).filter(|line| !line.starts_with('#')).find_map(|line| {
            let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
            let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
            (name.trim() == self.key).then(|| quoted('\'').or_else(|| quoted('"')).unwrap_or(value).to_owned())
        });
        match found {
            None if !self.optional => {
                Err(format!("environment variable key {:?} not found in file {:?}", self.key, self.path))
            }
            found => Ok(found),
        }
    }
}

/// What an emptyDir is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Medium {
    /// The node's disk.
    #[default]
    Disk,
    /// Memory (`Memory`).
    Memory,
    /// Huge pages (`HugePages`, `HugePages-2Mi`, …).
    HugePages,
}

/// Kinds of volumes a runtime must provide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeKind {
    /// An empty directory that lives as long as the pod.
    EmptyDir {
        /// What it is made of.
        medium: Medium,
        /// Most bytes it may hold.
        size_limit: Option<u64>,
    },
    /// Exactly these files by relative path (configMap, secret, downwardAPI, projected); replaced as
    /// one when set up again.
    Files(BTreeMap<String, VolumeFile>),
    /// What an image holds, read-only.
    Image {
        /// The image's reference.
        reference: String,
        /// When it is fetched; once for a pod, whatever the policy.
        pull_policy: PullPolicy,
        /// As of [`Operation::PullImage`](super::Operation::PullImage).
        pull_secrets: Vec<String>,
    },
    /// A path of the node.
    HostPath {
        /// Absolute path.
        path: String,
        /// `hostPath.type`: empty, `DirectoryOrCreate`, `Directory`, `FileOrCreate`, `File`, `Socket`,
        /// `CharDevice` or `BlockDevice`.
        path_type: String,
    },
}

/// A file of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeFile {
    /// Content.
    pub data: Content,
    /// Permission bits.
    pub mode: u32,
}

/// What is in a file: bytes, or what makes them when somebody reads it.
#[derive(Clone)]
pub enum Content {
    /// The bytes.
    Bytes(Bytes),
    /// Makes the bytes, the same each time.
    Later(Arc<dyn Fn() -> Bytes + Send + Sync>),
}

impl Content {
    /// The bytes.
    pub fn read(&self) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Later(make) => make(),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Content {
    fn from(bytes: T) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Bytes(Bytes::new())
    }
}

impl PartialEq for Content {
    /// Whether it is known to be the same: what is made later is not compared.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Bytes(one), Self::Bytes(other)) => one == other,
            (Self::Later(one), Self::Later(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Eq for Content {}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Later(_) => f.write_str("later"),
        }
    }
}

/// CRI's `LinuxContainerResources`. `None` and 0 set no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinuxResources {
    /// Relative weight: 1024 for one CPU requested.
    pub cpu_shares: u64,
    /// CPU time allowed in each 100 ms, in microseconds.
    pub cpu_quota_us: Option<u64>,
    /// Most memory, in bytes.
    pub memory_limit_bytes: Option<u64>,
    /// How early the kernel's OOM killer picks it, -1000 to 1000.
    pub oom_score_adj: i32,
}

/// CRI's `LinuxContainerSecurityContext`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinuxSecurity {
    /// uid; `None` for the image's.
    pub run_as_user: Option<i64>,
    /// gid; `None` for the image's.
    pub run_as_group: Option<i64>,
    /// More gids, fsGroup among them.
    pub supplemental_groups: Vec<i64>,
    /// Whether groups that the image gives the user do not count (`supplementalGroupsPolicy: Strict`).
    pub strict_groups: bool,
    /// The group that the pod's own volumes are given to.
    pub fs_group: Option<i64>,
    /// All capabilities, all devices.
    pub privileged: bool,
    /// Whether the image's files cannot be written.
    pub read_only_root: bool,
    /// Capabilities beyond the runtime's default.
    pub capabilities_add: Vec<String>,
    /// Capabilities taken away.
    pub capabilities_drop: Vec<String>,
    /// Whether execve may not gain privileges.
    pub no_new_privileges: bool,
    /// Whether its users are its own (`hostUsers: false`).
    pub own_users: bool,
    /// `Unconfined`, `RuntimeDefault` or `Localhost/<path>`.
    pub seccomp_profile: String,
    /// `Unconfined`, `RuntimeDefault` or `Localhost/<name>`.
    pub apparmor_profile: String,
}
