//! The scheduling framework: what plugins see, and what they may say (KEP-624).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod, PodSpec};
use machinery::ObjectKey;
use machinery::labels::Labels;
use machinery::random::fnv64a;

use crate::cache::Cache;
use crate::plugins::{image_locality, inter_pod_affinity, node_volume_limits, pod_topology_spread, volume_binding};
use crate::resources::{self, HostPort, Resources};
use crate::topology::Terms;

/// The highest score a plugin gives.
pub const MAX_NODE_SCORE: i64 = 100;

/// A pod with what is asked about it again and again.
#[derive(Clone, Debug)]
pub struct PodInfo {
    /// Namespace and name.
    pub key: ObjectKey,
    /// The pod.
    pub pod: Arc<Pod>,
    /// What it requests.
    pub requests: Resources,
    /// The same, with defaults for what requests nothing; for scores.
    pub nonzero_requests: Resources,
    /// Ports of the node it takes.
    pub host_ports: Vec<HostPort>,
    /// Its affinity and anti-affinity to other pods, if it has any.
    pub terms: Option<Box<Terms>>,
    /// The claims it uses: `namespace/name`.
    pub claims: Vec<String>,
}

impl PodInfo {
    /// Looks at a pod once.
    pub fn new(pod: Arc<Pod>) -> Self {
        let key = ObjectKey::new(
            pod.metadata.namespace.clone().unwrap_or_default(),
            pod.metadata.name.clone().unwrap_or_default(),
        );
        Self {
            requests: resources::pod_requests(&pod),
            nonzero_requests: resources::pod_nonzero_requests(&pod),
            host_ports: resources::host_ports(&pod).collect(),
            terms: Terms::of(&pod).map(Box::new),
            claims: volume_binding::claim_names(&pod).map(|name| format!("{}/{name}", key.namespace)).collect(),
            key,
            pod,
        }
    }

    /// The pod's spec, if it has one: validation sees to that.
    pub fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }

    /// The pod's priority; 0 without one.
    pub fn priority(&self) -> i32 {
        self.spec().and_then(|spec| spec.priority).unwrap_or(0)
    }

    /// The pod's labels.
    pub fn labels(&self) -> &Labels {
        static NONE: Labels = Labels::new();
        self.pod.metadata.labels.as_ref().unwrap_or(&NONE)
    }

    /// Whether the pod is on its way out.
    pub fn is_terminating(&self) -> bool {
        self.pod.metadata.deletion_timestamp.is_some()
    }

    /// The node that pods of lower priority were evicted from to make room for this one.
    pub fn nominated_node(&self) -> Option<&str> {
        let name = self.pod.status.as_ref()?.nominated_node_name.as_deref();
        name.filter(|name| !name.is_empty())
    }
}

/// A node with the pods that are bound to it, or about to be.
#[derive(Clone, Debug, Default)]
pub struct NodeInfo {
    /// The node; absent while only pods are known to be on it.
    pub node: Option<Arc<Node>>,
    /// The node's name.
    pub name: Arc<str>,
    /// What it has to give.
    pub allocatable: Resources,
    /// What its pods request.
    pub requested: Resources,
    /// The same, with defaults for what requests nothing.
    pub nonzero_requested: Resources,
    /// Its pods.
    pub pods: BTreeMap<ObjectKey, Arc<PodInfo>>,
    /// How many of its pods take ports of the node.
    pub with_host_ports: usize,
    /// Whether it is cordoned.
    pub unschedulable: bool,
    /// Whether it has taints.
    pub tainted: bool,
    /// Whether it has images.
    pub has_images: bool,
    /// The hashes of its labels' names and values: what every pod asks every node is not to compare texts.
    label_hashes: Vec<(u64, u64)>,
}

impl NodeInfo {
    /// The node's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The node's labels.
    pub fn labels(&self) -> &Labels {
        static NONE: Labels = Labels::new();
        self.node.as_ref().and_then(|node| node.metadata.labels.as_ref()).unwrap_or(&NONE)
    }

    /// The hash (FNV-1a) of the value of the label whose name has this hash.
    pub fn label_hash(&self, name: u64) -> Option<u64> {
        self.label_hashes.iter().find(|(hash, _)| *hash == name).map(|(_, value)| *value)
    }

    /// Takes in a new state of the node.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let allocatable = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
        self.allocatable = allocatable.map(Resources::from_list).unwrap_or_default();
        self.name = node.metadata.name.as_deref().unwrap_or_default().into();
        let spec = node.spec.as_ref();
        self.unschedulable = spec.and_then(|spec| spec.unschedulable) == Some(true);
        self.tainted = spec.and_then(|spec| spec.taints.as_ref()).is_some_and(|taints| !taints.is_empty());
        let images = node.status.as_ref().and_then(|status| status.images.as_ref());
        self.has_images = images.is_some_and(|images| !images.is_empty());
        self.node = Some(node);
        let hashes = self.labels().iter().map(|(name, value)| (fnv64a(name.as_bytes()), fnv64a(value.as_bytes())));
        self.label_hashes = hashes.collect();
    }

    /// Takes in a pod, or a new state of one.
    pub fn add_pod(&mut self, pod: Arc<PodInfo>) {
        self.remove_pod(&pod.key);
        self.requested.add(&pod.requests);
        self.nonzero_requested.add(&pod.nonzero_requests);
        self.with_host_ports += usize::from(!pod.host_ports.is_empty());
        self.pods.insert(pod.key.clone(), pod);
    }

    /// Forgets a pod.
    pub fn remove_pod(&mut self, key: &ObjectKey) -> Option<Arc<PodInfo>> {
        let pod = self.pods.remove(key)?;
        self.requested.subtract(&pod.requests);
        self.nonzero_requested.subtract(&pod.nonzero_requests);
        self.with_host_ports -= usize::from(!pod.host_ports.is_empty());
        Some(pod)
    }
}

/// What is found out once about a pod, before nodes are looked at: upstream's PreFilter and PreScore.
#[derive(Debug, Default)]
pub struct Prepared {
    /// Of InterPodAffinity.
    pub affinity: inter_pod_affinity::State,
    /// Of PodTopologySpread.
    pub spread: pod_topology_spread::State,
    /// Of the volume plugins.
    pub volumes: volume_binding::State,
    /// Of NodeVolumeLimits.
    pub limits: node_volume_limits::State,
    /// Of ImageLocality.
    pub images: Vec<image_locality::Wanted>,
}

/// One pod's scheduling cycle, as plugins see it.
#[derive(Clone, Copy)]
pub struct Cycle<'a> {
    /// The pod that needs a node.
    pub pod: &'a PodInfo,
    /// All nodes and what runs on them.
    pub cache: &'a Cache,
    /// What plugins found out about the pod beforehand.
    pub prepared: &'a Prepared,
}

/// Why a node was filtered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason as the FailedScheduling event counts it, such as `Insufficient cpu`.
    pub reason: Cow<'static, str>,
    /// Further reasons.
    pub others: Vec<String>,
    /// Whether evicting pods of lower priority could help.
    pub resolvable: bool,
}

impl Rejection {
    /// A reason that removing pods from the node may take away.
    pub fn resolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into(), others: Vec::new(), resolvable: true }
    }

    /// A reason that stays whatever runs on the node.
    pub fn unresolvable(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into(), others: Vec::new(), resolvable: false }
    }

    /// All reasons.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&*self.reason).chain(self.others.iter().map(String::as_str))
    }
}

/// A plugin at the Filter extension point: may this pod run on this node?
pub trait Filter {
    /// The plugin's name, as in KubeSchedulerConfiguration.
    fn name(&self) -> &'static str;
    /// Whether the plugin takes every node for this pod: upstream's PreFilter that says Skip.
    fn skips(&self, _cycle: &Cycle<'_>) -> bool {
        false
    }
    /// # Errors
    /// Why not.
    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection>;
}

/// A plugin at the Score extension point: how well does this pod fit here?
pub trait Score {
    /// The plugin's name, as in KubeSchedulerConfiguration.
    fn name(&self) -> &'static str;
    /// How much the plugin's score counts, where the configuration does not say otherwise.
    fn weight(&self) -> i64;
    /// Whether the plugin has nothing to say about this pod: all nodes get 0.
    fn skips(&self, _cycle: &Cycle<'_>) -> bool {
        false
    }
    /// Any number; [`Score::normalize`] brings it between 0 and [`MAX_NODE_SCORE`].
    fn score(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> i64;
    /// Brings the scores of all nodes between 0 and [`MAX_NODE_SCORE`].
    fn normalize(&self, _cycle: &Cycle<'_>, _nodes: &[&NodeInfo], _scores: &mut [i64]) {}
}

/// Scales scores so that the highest becomes [`MAX_NODE_SCORE`]; `reverse` makes the least the best
/// (upstream helper.DefaultNormalizeScore).
pub fn normalize(scores: &mut [i64], reverse: bool) {
    let highest = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let scaled = if highest == 0 { 0 } else { *score * MAX_NODE_SCORE / highest };
        *score = if reverse { MAX_NODE_SCORE - scaled } else { scaled };
    }
}
