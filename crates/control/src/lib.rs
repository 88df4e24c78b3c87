//! The control API, `/playground/v1/…`: what Kubernetes has no API for. Its JSON shapes, shared with
//! the page.
//!
//! | method and path | body | answer |
//! | --- | --- | --- |
//! | `GET /playground/v1/clock` | | [`ClockStatus`] |
//! | `PATCH /playground/v1/clock` | [`ClockPatch`] | [`ClockStatus`] |
//! | `POST /playground/v1/clock/step` | | [`ClockStatus`], after virtual time went to the next event |
//! | `GET /playground/v1/components` | | [`ComponentStatus`]es: control plane, `kubelet/NODE`s |
//! | `PATCH /playground/v1/components/NAME` | [`ComponentPatch`] | [`ComponentStatus`] |
//! | `PUT /playground/v1/files/NAME` | text | the file is in the learner's home |
//! | `GET /playground/v1/faults` | | the [`Fault`]s in force |
//! | `POST /playground/v1/faults` | [`Fault`] | the faults in force: this one has begun |
//! | `DELETE /playground/v1/faults` | [`Fault`] or nothing | the faults in force: this one, or all, have been healed |
//! | `POST /playground/v1/nodes` | [`NodeRequest`] | [`NodeRequest`] with the name of the new node |
//! | `DELETE /playground/v1/nodes/NAME` | | the node, its machine and its object, are gone |
//! | `GET /playground/v1/saved` | | the cluster as bytes; `?revision=N&time=T` as it was then, `&slim=true` without what every cluster makes for itself |
//! | `GET /playground/v1/trace` | | a [`Hop`] a line, as they happen |
//! | `GET /playground/v1/terminal` | | upgrade: the learner's shell on exec's channels (0, 1, 4), and [`EDITOR`] |

#[cfg(feature = "tab")]
pub mod tab;

use serde::{Deserialize, Serialize};

/// Where local-path-provisioner lives, in clusters of kind's shape.
const LOCAL_PATH_STORAGE: &str = "local-path-storage";

/// Whether a namespace is the cluster's own: what is in it is nobody's work. Names that begin with `kube-` are
/// Kubernetes' (its documentation, "Namespaces").
pub fn is_clusters_own(namespace: &str) -> bool {
    namespace.starts_with("kube-") || namespace == LOCAL_PATH_STORAGE
}

/// What the cluster's clock does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockStatus {
    /// The cluster's time, as RFC 3339 has it.
    pub now: String,
    /// Cluster seconds for each second of the host.
    pub speed: f64,
    /// Time stands still until resumed or stepped.
    pub paused: bool,
    /// Whether speed, pause and step can be set: not where containers are real.
    pub adjustable: bool,
}

/// A change to the clock; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClockPatch {
    /// Cluster seconds for each second of the host, more than 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// Whether time stands still.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// A cluster that the learner's computer reaches: its own, or one of kind's or minikube's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Its context in the kubeconfig. Requests to `/playground/v1/clusters/CONTEXT/…` go to it.
    pub context: String,
    /// Whether kubectl speaks with it.
    pub current: bool,
}

/// A part of the control plane, or a node's kubelet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Its name: `kube-scheduler`, `deployment-controller`, `kubelet/hello-worker`.
    pub name: String,
    /// Whether it is cut off from the API server.
    pub cut: bool,
}

/// A change to a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComponentPatch {
    /// Whether it is to be cut off from the API server.
    pub cut: bool,
}

/// Something that goes wrong until it is healed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Fault {
    /// A node loses power.
    NodeDown {
        /// Its name.
        node: String,
    },
    /// A component does not run: a controller, `kube-scheduler`, `kubelet/NODE`.
    ComponentDown {
        /// Its name.
        component: String,
    },
    /// A component does not reach the API server.
    ComponentCut {
        /// Its name.
        component: String,
    },
    /// Nobody reaches the API server.
    ApiServerDown,
    /// A container's process is killed. Nothing to heal: the kubelet restarts it or not.
    ContainerCrash {
        /// `namespace/name`.
        pod: String,
        /// The container's name.
        container: String,
    },
    /// A container's processes stand still.
    ContainerHang {
        /// `namespace/name`.
        pod: String,
        /// The container's name.
        container: String,
    },
    /// A node's network is slow or loses packets.
    Link {
        /// The node's name.
        node: String,
        /// Added to the way of each packet, in milliseconds.
        #[serde(default)]
        delay_ms: u64,
        /// Share of packets that are lost, 0 to 1.
        #[serde(default)]
        loss: f64,
    },
    /// Something that is no pod takes memory and disk of a node.
    Pressure {
        /// The node's name.
        node: String,
        /// Bytes of memory.
        #[serde(default)]
        memory_bytes: u64,
        /// Bytes of disk.
        #[serde(default)]
        disk_bytes: u64,
    },
    /// A registry does not answer.
    RegistryDown {
        /// Its host name, such as `docker.io`.
        registry: String,
    },
}

impl Fault {
    /// What it is about: there is one fault of a kind for each subject.
    pub fn subject(&self) -> (u8, String) {
        match self {
            Self::NodeDown { node } => (0, node.clone()),
            Self::ComponentDown { component } => (1, component.clone()),
            Self::ComponentCut { component } => (2, component.clone()),
            Self::ApiServerDown => (3, String::new()),
            Self::ContainerCrash { pod, container } => (4, format!("{pod}/{container}")),
            Self::ContainerHang { pod, container } => (5, format!("{pod}/{container}")),
            Self::Link { node, .. } => (6, node.clone()),
            Self::Pressure { node, .. } => (7, node.clone()),
            Self::RegistryDown { registry } => (8, registry.clone()),
        }
    }

    /// The node it is about.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::NodeDown { node } | Self::Link { node, .. } | Self::Pressure { node, .. } => Some(node),
            _ => None,
        }
    }
}

/// The channel of a terminal on which files go to the page's editor: an [`EditorFile`] to the page, which says an
/// [`EditorWord`].
pub const EDITOR: u8 = 5;

/// A file that is to be edited beside the terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EditorFile {
    /// The answer has it too.
    pub id: u32,
    /// The file's path.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What the page's editor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum EditorWord {
    /// There is one: files may come.
    Ready,
    /// A file is to have this text.
    Saved {
        /// Which.
        id: u32,
        /// Its text.
        text: String,
    },
    /// A file is to stay as it is.
    Cancelled {
        /// Which.
        id: u32,
    },
    /// A file could not be shown.
    Unavailable {
        /// Which.
        id: u32,
    },
}

/// A node to be added.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRequest {
    /// Its name; chosen if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What passes between two parts of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HopKind {
    /// A call to the API server.
    #[default]
    Request,
    /// The API server stores a revision.
    Write,
    /// The API server tells a watcher of a change.
    Watch,
    /// A kubelet asks its container runtime.
    Runtime,
    /// A connection or request in the cluster's network.
    Network,
}

/// One step of something on its way through the cluster.
///
/// `from` and `to` name parts: `kubectl`, `page` or another client, `kube-apiserver`, `etcd`, `kube-scheduler`, a
/// controller by the name it writes under (`deployment-controller`), or a kind and a name for what
/// there are many of: `kubelet/worker`, `runtime/worker`, `node/worker`, `service/default/web`,
/// `pod/default/web-x`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hop {
    /// Grows by at least one with every hop; orders hops of one instant.
    pub sequence: u64,
    /// When it left, in the cluster's time, as RFC 3339 has it.
    pub time: String,
    /// What passes.
    pub kind: HopKind,
    /// The part it leaves.
    pub from: String,
    /// The part it goes to.
    pub to: String,
    /// The verb: `create`, `update`, `patch`, `delete`, `ADDED`, `start`, `GET /`, …
    pub verb: String,
    /// The object it is about, as `resource/namespace/name` or `resource/name`; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// The store's revision, where one is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The hop that caused this one, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<u64>,
    /// The revision whose change made the sender act, where it said so: what a controller had heard of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<u64>,
    /// The command line by which a person asked, where the client tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Why it failed, where it did: an HTTP status, `refused`, `timeout`, `reset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
