//! The node's own object: registration, conditions, heartbeats, and its Lease.

use std::collections::BTreeMap;
use std::time::Duration;

use client::{Client, EventRecorder, EventType};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{
    ContainerImage, DaemonEndpoint, Node, NodeCondition, NodeDaemonEndpoints, NodeSpec, NodeStatus, ObjectReference,
};
use k8s_openapi::api::storage::v1::{CSINode, CSINodeSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use machinery::time::{after, meta_time};
use machinery::{ApiError, ObjectKey, Rng, Timestamp};

use crate::NodeConfig;
use crate::eviction::Shortage;
use crate::runtime::{ImageInfo, RuntimeVersion};
use crate::text::str;

/// How often the Lease is renewed.
const LEASE_INTERVAL: Duration = Duration::from_secs(10);
/// How long the Lease lasts.
const LEASE_SECONDS: i32 = 40;
/// How often a status that did not change is reported.
const STATUS_INTERVAL: Duration = Duration::from_secs(300);
/// How long to wait after a failed write.
const RETRY: Duration = Duration::from_secs(2);
/// Most images a node's status lists.
const IMAGES_MAX: usize = 50;
/// In-tree volume plugins that CSI drivers stand in for, as a kubelet tells of itself.
const MIGRATED_PLUGINS: &str = "kubernetes.io/aws-ebs,kubernetes.io/azure-disk,kubernetes.io/azure-file,\
     kubernetes.io/cinder,kubernetes.io/gce-pd,kubernetes.io/portworx-volume,kubernetes.io/vsphere-volume";
/// Until the node's pods have a range of addresses.
const NETWORK_NOT_READY: &str = "container runtime network not ready: NetworkReady=false \
     reason:NetworkPluginNotReady message:Network plugin returns error: no pod CIDR assigned";

/// Reports the node.
pub struct NodeReporter {
    /// Whether the node was registered since this kubelet started.
    registered: bool,
    status_at: Timestamp,
    lease_at: Timestamp,
    lease: Option<Lease>,
    node: Option<Node>,
    /// Why the runtime cannot be used.
    runtime_down: Option<String>,
    images: Vec<ImageInfo>,
    /// Of memory, and of disk.
    pressure: [bool; 2],
    starting: bool,
}

/// Whether somebody has advertised a resource that pods cannot have yet. Upstream looks at its node as often.
fn has_news(config: &NodeConfig, client: &Client) -> bool {
    let Ok(node) = client.get::<Node>(&ObjectKey::new("", config.name.as_str())) else { return false };
    let Some(status) = &node.status else { return false };
    let (capacity, allocatable) = (status.capacity.as_ref(), status.allocatable.as_ref());
    let mut others = capacity.into_iter().flatten().filter(|(name, _)| !config.capacity.contains_key(*name));
    others.any(|(name, amount)| allocatable.and_then(|all| all.get(name)) != Some(amount))
}

impl NodeReporter {
    /// A reporter that registers the node at its first turn.
    pub fn new() -> Self {
        Self {
            registered: false,
            status_at: Timestamp::MIN,
            lease_at: Timestamp::MIN,
            lease: None,
            node: None,
            runtime_down: None,
            images: Vec::new(),
            pressure: [false; 2],
            starting: true,
        }
    }

    /// The runtime can be used, or not; told at the next turn.
    pub fn set_runtime_down(&mut self, message: Option<String>) {
        if self.runtime_down.is_some() != message.is_some() {
            self.status_at = Timestamp::MIN;
        }
        self.runtime_down = message;
    }

    /// The images the node has: those that were not there, or are no more, are told at the next turn.
    pub fn set_images(&mut self, images: Vec<ImageInfo>) {
        if self.images != images {
            self.images = images;
            self.report_soon();
        }
    }

    /// Whether an image is among those that the node has told of.
    pub fn knows_image(&self, id: &str) -> bool {
        self.images.iter().any(|image| image.id == id)
    }

    /// The node lacks something, or no longer; told at the next turn.
    pub fn set_pressure(&mut self, shortage: Shortage, lacks: bool) {
        self.pressure[shortage as usize] = lacks;
        self.report_soon();
    }

    /// Says that pods are about to be evicted for want of a resource.
    pub fn threshold_met(&self, now: Timestamp, config: &NodeConfig, recorder: &mut EventRecorder, resource: &str) {
        let message = format!("Attempting to reclaim {resource}");
        recorder.event_for(now, reference(config), EventType::Warning, "EvictionThresholdMet", &message);
    }

    /// Something changed that the next report tells: it is due now.
    pub fn report_soon(&mut self) {
        self.status_at = Timestamp::MIN;
    }

    /// Reports what is due. Gives the time of the next turn.
    pub fn turn(
        &mut self,
        now: Timestamp,
        config: &NodeConfig,
        runtime: &RuntimeVersion,
        client: &Client,
        recorder: &mut EventRecorder,
        rng: &mut Rng,
    ) -> Timestamp {
        if now >= self.lease_at {
            let jitter = Duration::from_millis(rng.below(400));
            self.lease_at = match self.renew_lease(now, config, client) {
                Ok(()) => {
                    if self.registered && has_news(config, client) {
                        self.status_at = now;
                    }
                    after(now, LEASE_INTERVAL + jitter)
                }
                Err(_) => {
                    // Who could not be heard may be thought gone: the status is told as soon as that works.
                    self.status_at = self.status_at.min(now);
                    after(now, RETRY + jitter)
                }
            };
        }
        if now >= self.status_at {
            let jitter = Duration::from_millis(rng.below(10_000));
            self.status_at = match self.report(now, config, runtime, client, recorder) {
                Ok(()) => after(now, STATUS_INTERVAL + jitter),
                Err(_) => after(now, RETRY),
            };
        }
        self.status_at.min(self.lease_at)
    }

    fn report(
        &mut self,
        now: Timestamp,
        config: &NodeConfig,
        runtime: &RuntimeVersion,
        client: &Client,
        recorder: &mut EventRecorder,
    ) -> Result<(), ApiError> {
        let key = ObjectKey::new("", config.name.as_str());
        if !self.registered {
            let wanted = self.initial(now, config, runtime);
            match client.create(wanted) {
                Ok(node) => self.node = Some((*node).clone()),
                Err(error) if error.is_already_exists() => {
                    let mut node = (*client.get::<Node>(&key)?).clone();
                    let labels = node.metadata.labels.get_or_insert_default();
                    let wanted = node_labels(config);
                    if wanted.iter().any(|(key, value)| labels.get(key) != Some(value)) {
                        labels.extend(wanted);
                        node = (*client.update(node)?).clone();
                    }
                    self.node = Some(node);
                }
                Err(error) => return Err(error),
            }
            self.tell_drivers(config, client)?;
            self.registered = true;
            self.starting_event(now, config, recorder);
        }
        // Others write the node as well (taints, the pods' address range): read before writing.
        let mut node = match client.get::<Node>(&key) {
            Ok(node) => (*node).clone(),
            Err(error) => {
                // Deleted by an administrator: registered again at the next turn.
                self.registered = !error.is_not_found();
                return Err(error);
            }
        };
        let status = self.status(now, config, runtime, node.status.as_ref());
        let of = |status: Option<&NodeStatus>, kind: &str| {
            let mut conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default().iter();
            let found = conditions.find(|condition| condition.type_ == kind)?;
            Some((found.status.clone(), found.reason.clone().unwrap_or_default()))
        };
        let changes: Vec<String> = ["MemoryPressure", "DiskPressure", "Ready"]
            .into_iter()
            .filter_map(|kind| {
                let (was, is) = (of(node.status.as_ref(), kind), of(Some(&status), kind));
                let ((was, _), (is, reason)) = (was.unwrap_or_default(), is?);
                (was != is && !(kind != "Ready" && was.is_empty())).then(|| match (kind, is.as_str()) {
                    ("Ready", "True") => "NodeReady".to_owned(),
                    ("Ready", _) => "NodeNotReady".to_owned(),
                    _ => reason.replace("Kubelet", "Node"),
                })
            })
            .collect();
        node.status = Some(status);
        self.node = Some((*client.update_status(node)?).clone());
        for reason in changes {
            let message = format!("Node {} status is now: {reason}", config.name);
            recorder.event_for(now, reference(config), EventType::Normal, &reason, &message);
        }
        Ok(())
    }

    fn starting_event(&mut self, now: Timestamp, config: &NodeConfig, recorder: &mut EventRecorder) {
        if std::mem::take(&mut self.starting) {
            recorder.event_for(now, reference(config), EventType::Normal, "Starting", "Starting kubelet.");
            for reason in ["NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID"] {
                let message = format!("Node {} status is now: {reason}", config.name);
                recorder.event_for(now, reference(config), EventType::Normal, reason, &message);
            }
            let message = "Updated Node Allocatable limit across pods";
            recorder.event_for(now, reference(config), EventType::Normal, "NodeAllocatableEnforced", message);
        }
    }

    fn initial(&self, now: Timestamp, config: &NodeConfig, runtime: &RuntimeVersion) -> Node {
        Node {
            metadata: ObjectMeta {
                name: Some(config.name.clone()),
                labels: Some(node_labels(config)),
                annotations: Some(
                    [
                        ("node.alpha.kubernetes.io/ttl", "0"),
                        ("volumes.kubernetes.io/controller-managed-attach-detach", "true"),
                    ]
                    .map(|(key, value)| (key.to_string(), value.to_string()))
                    .into(),
                ),
                ..ObjectMeta::default()
            },
            spec: Some(NodeSpec {
                pod_cidr: config.pod_cidr.clone(),
                pod_cidrs: config.pod_cidr.clone().map(|cidr| vec![cidr]),
                taints: (!config.taints.is_empty()).then(|| config.taints.clone()),
                ..NodeSpec::default()
            }),
            status: Some(self.status(now, config, runtime, None)),
        }
    }

    fn status(
        &self,
        now: Timestamp,
        config: &NodeConfig,
        runtime: &RuntimeVersion,
        old: Option<&NodeStatus>,
    ) -> NodeStatus {
        let mut system = config.system.clone();
        system.container_runtime_version = format!("{}://{}", runtime.name, runtime.version);
        if system.machine_id.is_empty() {
            system.machine_id = machine_id(&config.name);
            system.system_uuid = dashed(&machine_id(&format!("system {}", config.name)));
            system.boot_id = dashed(&machine_id(&format!("boot {}", config.name)));
        }
        let old_conditions = old.and_then(|old| old.conditions.as_deref()).unwrap_or_default();
        let ready = match &self.runtime_down {
            Some(message) => ("Ready", "False", "KubeletNotReady", format!("container runtime is down: {message}")),
            None if config.pod_cidr.is_none() => ("Ready", "False", "KubeletNotReady", NETWORK_NOT_READY.to_string()),
            None => ("Ready", "True", "KubeletReady", "kubelet is posting ready status".to_string()),
        };
        let calm = |kind, reason, message: &str| (kind, "False", reason, message.to_string());
        let verdicts = [
            match self.pressure[Shortage::Memory as usize] {
                false => {
                    calm("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available")
                }
                true => {
                    let message = "kubelet has insufficient memory available".to_string();
                    ("MemoryPressure", "True", "KubeletHasInsufficientMemory", message)
                }
            },
            match self.pressure[Shortage::Disk as usize] {
                false => calm("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
                true => ("DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure".to_string()),
            },
            calm("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ready,
        ];
        let owned = verdicts.map(|(kind, status, reason, message)| {
            let same = old_conditions.iter().find(|old| old.type_ == kind && old.status == status);
            NodeCondition {
                type_: kind.into(),
                status: status.into(),
                reason: Some(reason.into()),
                message: Some(message),
                last_heartbeat_time: Some(meta_time(now)),
                last_transition_time: same
                    .and_then(|same| same.last_transition_time.clone())
                    .or_else(|| Some(meta_time(now))),
            }
        });
        let foreign = old_conditions.iter().filter(|old| !owned.iter().any(|own| own.type_ == old.type_)).cloned();
        let images = self.images.iter().take(IMAGES_MAX).map(|image| ContainerImage {
            names: Some(image.repo_digests.iter().chain(&image.repo_tags).cloned().collect()),
            size_bytes: i64::try_from(image.size_bytes).ok(),
        });
        // What others have advertised, such as extended resources, stays, and pods may have all of it.
        let mut capacity = old.and_then(|old| old.capacity.clone()).unwrap_or_default();
        capacity.extend(config.capacity.clone());
        let mut allocatable = capacity.clone();
        allocatable.extend(config.allocatable().clone());
        NodeStatus {
            addresses: Some(config.addresses.clone()),
            allocatable: Some(allocatable),
            capacity: Some(capacity),
            conditions: Some(foreign.chain(owned.clone()).collect()),
            daemon_endpoints: Some(NodeDaemonEndpoints { kubelet_endpoint: Some(DaemonEndpoint { port: 10250 }) }),
            images: (!self.images.is_empty()).then(|| images.collect()),
            node_info: Some(system),
            ..old.cloned().unwrap_or_default()
        }
    }

    /// The node as the owner of what belongs to it.
    fn owner(&self) -> Option<OwnerReference> {
        self.node.as_ref().map(|node| OwnerReference {
            api_version: "v1".into(),
            kind: "Node".into(),
            name: str(&node.metadata.name).into(),
            uid: str(&node.metadata.uid).into(),
            ..OwnerReference::default()
        })
    }

    /// Makes the node's CSINode, without drivers: none are installed.
    fn tell_drivers(&self, config: &NodeConfig, client: &Client) -> Result<(), ApiError> {
        let owners = self.owner().map(|owner| vec![owner]);
        let migrated = ("storage.alpha.kubernetes.io/migrated-plugins".to_owned(), MIGRATED_PLUGINS.to_owned());
        let metadata = ObjectMeta {
            name: Some(config.name.clone()),
            annotations: Some([migrated].into()),
            owner_references: owners.clone(),
            ..ObjectMeta::default()
        };
        match client.create(CSINode { metadata, spec: CSINodeSpec { drivers: Vec::new() }, ..CSINode::default() }) {
            Err(error) if error.is_already_exists() => {
                let found = client.get::<CSINode>(&ObjectKey::new("", config.name.as_str()))?;
                if found.metadata.owner_references == owners {
                    return Ok(());
                }
                let mut node = (*found).clone();
                node.metadata.owner_references = owners;
                client.update(node).map(drop)
            }
            made => made.map(drop),
        }
    }

    fn renew_lease(&mut self, now: Timestamp, config: &NodeConfig, client: &Client) -> Result<(), ApiError> {
        let key = ObjectKey::new("kube-node-lease", config.name.as_str());
        let lease = match self.lease.take() {
            Some(lease) => Some(lease),
            None => match client.get::<Lease>(&key) {
                Ok(lease) => Some((*lease).clone()),
                Err(error) if error.is_not_found() => None,
                Err(error) => return Err(error),
            },
        };
        let spec = LeaseSpec {
            holder_identity: Some(config.name.clone()),
            lease_duration_seconds: Some(LEASE_SECONDS),
            renew_time: Some(MicroTime(now)),
            ..LeaseSpec::default()
        };
        let owner = self.owner();
        let written = match lease {
            Some(mut lease) => {
                lease.spec = Some(LeaseSpec { renew_time: Some(MicroTime(now)), ..spec });
                if lease.metadata.owner_references.is_none() {
                    lease.metadata.owner_references = owner.map(|owner| vec![owner]);
                }
                client.update(lease)?
            }
            None => client.create(Lease {
                metadata: ObjectMeta {
                    name: Some(key.name),
                    namespace: Some(key.namespace),
                    owner_references: owner.map(|owner| vec![owner]),
                    ..ObjectMeta::default()
                },
                spec: Some(spec),
            })?,
        };
        self.lease = Some((*written).clone());
        Ok(())
    }
}

/// `/etc/machine-id` of a node that has no other: always the same for a name.
pub fn machine_id(name: &str) -> String {
    let half = |salt: &str| machinery::random::fnv64a(format!("{salt}{name}").as_bytes());
    format!("{:016x}{:016x}", half("machine"), half("id"))
}

/// 32 digits as a UUID.
fn dashed(digits: &str) -> String {
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

/// Labels every node has, under those it was given.
fn node_labels(config: &NodeConfig) -> BTreeMap<String, String> {
    let mut labels: BTreeMap<String, String> = [
        ("kubernetes.io/hostname", config.name.as_str()),
        ("kubernetes.io/os", config.system.operating_system.as_str()),
        ("kubernetes.io/arch", config.system.architecture.as_str()),
        ("beta.kubernetes.io/os", config.system.operating_system.as_str()),
        ("beta.kubernetes.io/arch", config.system.architecture.as_str()),
    ]
    .map(|(key, value)| (key.to_string(), value.to_string()))
    .into();
    labels.extend(config.labels.clone());
    labels
}

/// The node as its events name it: upstream puts the name where the uid would be.
fn reference(config: &NodeConfig) -> ObjectReference {
    ObjectReference {
        kind: Some("Node".into()),
        name: Some(config.name.clone()),
        uid: Some(config.name.clone()),
        ..ObjectReference::default()
    }
}
