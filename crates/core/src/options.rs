//! What a cluster is made with.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use apiserver::Authenticator;
use controllers::certificates::Authority;
use futures::future::BoxFuture;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Taint;
use kubelet::ContainerRuntime;
use machinery::wire::{Channels, Request, Response};
use proxy::{Policies, Tables};
use sim::ingress::InForce;
use sim::saved::Saved;
use store::Store;

use crate::control::Fault;
use crate::kind_config::{KindConfig, NodePlan};
use crate::service_range::ServiceRange;

/// The authority of clusters whose host brings none: a certificate to be shown and trusted, with a key that nobody
/// has. Where it stands for the API server's, nothing is encrypted.
const ROOT_CA: &str = include_str!("ca.crt");

/// The host's own time: what has gone by since some moment. Readable from any thread.
pub type HostTime = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Gives a node its container runtime; none for a simulated node.
pub type MakeRuntime = Box<dyn Fn(&NodeOptions) -> Option<Box<dyn ContainerRuntime>>>;

/// Told of the ports of `localhost` that lead into the cluster: node ports and load balancers' ports, and port 80 while
/// simulated nodes have Ingresses.
pub type PortsChanged = Arc<dyn Fn(BTreeSet<u16>)>;

/// A network that is not simulated, in which the containers of real nodes are.
pub trait HostNetwork: Send + Sync {
    /// A connection to an address; channel 0 carries the bytes. None if nobody answers there.
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, Option<Channels>>;

    /// An HTTP request to an address, such as `10.0.0.7:8080`; a failure is answered with a Status.
    fn request(&self, address: &str, request: Request) -> BoxFuture<'static, Response>;

    /// Where Services' addresses lead to has changed.
    fn set_tables(&self, tables: &Tables);

    /// Which connections pods may make and take has changed.
    fn set_policies(&self, policies: &Policies);

    /// The Ingresses in force, or their certificates, have changed.
    fn set_ingresses(&self, ingresses: &InForce);
}

/// What a cluster is made with.
pub struct Options {
    /// Where objects are kept. What is in it already is taken over.
    pub store: Store,
    /// The cluster's time at its start.
    pub start: Timestamp,
    /// Of all randomness: the same seed and inputs give the same history.
    pub seed: u64,
    /// Its nodes.
    pub nodes: Vec<NodeOptions>,
    /// The host's time, where the cluster's is to go by with it; without, time moves only when it is
    /// moved.
    pub host_time: Option<HostTime>,
    /// Makes the nodes' container runtimes; the simulated world without.
    pub runtime: Option<MakeRuntime>,
    /// The network of nodes that are not simulated; goes with `runtime`.
    pub network: Option<Arc<dyn HostNetwork>>,
    /// Called with the ports of `localhost` that Services have, whenever they change.
    pub ports_changed: Option<PortsChanged>,
    /// The key that signs ServiceAccounts' tokens; of the seed without.
    pub service_account_key: Option<[u8; 32]>,
    /// Reads bearer tokens of requests from outside, other than ServiceAccounts'.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// Whether a request without any identity is anonymous, and not the administrator's.
    pub anonymous: bool,
    /// The address and port at which clients reach the API server.
    pub advertise: (Ipv4Addr, u16),
    /// The PEM of the certificate authority that clients inside the cluster trust.
    pub root_ca: String,
    /// What signs certificates, where there is something.
    pub authority: Option<Rc<dyn Authority>>,
    /// How the scheduler is set up, where not as upstream's default.
    pub scheduler: Option<scheduler::Configuration>,
    /// Gives field documentation for `explain`.
    pub descriptions: Option<fn() -> Result<bytes::Bytes, machinery::split::NotLoaded>>,
    /// Whether simulated nodes are those of a kubeadm cluster: with CoreDNS, kube-proxy and the control plane's parts
    /// as pods of `kube-system`. Without, the cluster is bare, and names are answered by no pod.
    pub addons: bool,
    /// The range of Services' addresses.
    pub services: ServiceRange,
    /// The ingress of LoadBalancer Services; without, they are pending until somebody else gives them one.
    pub load_balancer: Option<String>,
    /// The range (of 24 bits) from which LoadBalancer Services get addresses, beside `localhost`; none have one without.
    pub load_balancers: Option<Ipv4Addr>,
    /// Files in the learner's home, by relative path.
    pub files: Vec<(String, String)>,
    /// What is wrong from the start.
    pub faults: Vec<Fault>,
    /// What is on the disks of the simulated world.
    pub saved: Saved,
}

impl Options {
    /// A simulated, bare cluster with no nodes, driven by hand.
    pub fn new(store: Store, start: Timestamp, seed: u64) -> Self {
        Self {
            store,
            start,
            seed,
            nodes: Vec::new(),
            host_time: None,
            runtime: None,
            network: None,
            ports_changed: None,
            service_account_key: None,
            authenticator: None,
            anonymous: false,
            advertise: (Ipv4Addr::new(172, 18, 0, 2), 6443),
            root_ca: ROOT_CA.into(),
            authority: None,
            scheduler: None,
            descriptions: None,
            addons: false,
            services: ServiceRange::default(),
            load_balancer: Some("localhost".into()),
            load_balancers: None,
            files: Vec::new(),
            faults: Vec::new(),
            saved: Saved::default(),
        }
    }
}

/// One node of a cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeOptions {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The range of its pods' addresses, if the host chooses it; else the cluster does.
    pub pod_range: Option<String>,
    /// Labels beside those that every node has.
    pub labels: BTreeMap<String, String>,
    /// Taints.
    pub taints: Vec<Taint>,
}

/// The label of nodes that hold the control plane, and the taint that keeps workload off them.
pub(crate) const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";

/// The first node's address.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([172, 18, 0, 2]);

impl NodeOptions {
    /// Nodes as kind makes and names them: `NAME-control-plane`, `NAME-worker`, `NAME-worker2`, …
    /// A single node takes all workload; with more, the control plane's takes none.
    pub fn cluster(name: &str, count: u16) -> Vec<Self> {
        let plan = |index| NodePlan { control_plane: index == 0, ..NodePlan::default() };
        let config = KindConfig { nodes: (0..count).map(plan).collect(), ..KindConfig::default() };
        let mut indices = 0..count;
        config.node_options(name, || indices.next().unwrap_or_default())
    }

    /// A node for workload; `index` gives it an address of its own, from 172.18.0.2 on.
    pub fn worker(name: impl Into<String>, index: u16) -> Self {
        let address = Ipv4Addr::from(FIRST_ADDRESS + u32::from(index));
        Self { name: name.into(), address, pod_range: None, labels: BTreeMap::new(), taints: Vec::new() }
    }

    /// The number that its address has; 0 where it has none of [`NodeOptions::worker`]'s.
    pub(crate) fn index(&self) -> u16 {
        u32::from(self.address).checked_sub(FIRST_ADDRESS).and_then(|index| index.try_into().ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_named_as_kind_names_them() {
        let nodes = NodeOptions::cluster("hello", 3);
        let names: Vec<_> = nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["hello-control-plane", "hello-worker", "hello-worker2"]);
        assert_eq!(nodes.iter().map(|node| node.taints.len()).collect::<Vec<_>>(), [1, 0, 0]);
        assert!(NodeOptions::cluster("one", 1)[0].taints.is_empty());
        assert_eq!(nodes[2].address, Ipv4Addr::new(172, 18, 0, 4));
    }
}
