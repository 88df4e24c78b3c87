//! What an API server is made with, and its ports to the outside.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use machinery::Clock;
use machinery::split::NotLoaded;
use machinery::wire::{Request, Response};
use store::Store;

use crate::aggregated::AggregatedApi;
use crate::auth::{Authenticator, Authorizer, UserInfo};

/// The way to a node's kubelet: the kubelet's own function from request to response, with the paths
/// of its HTTP server (`/containerLogs/…`, `/exec/…`, `/portForward/…`), and the way into the pod
/// network for the proxy subresources.
pub trait NodeConnector: Send + Sync {
    /// Sends a request to a node's kubelet, by the node's name.
    fn connect(&self, node: &str, request: Request) -> BoxFuture<'static, Response>;

    /// Sends an HTTP request to an address of the pod or node network, such as `10.244.1.3:8080`.
    fn dial(&self, address: &str, request: Request) -> BoxFuture<'static, Response>;
}

/// Answers the paths under `/playground/v1/`: what Kubernetes has not.
pub trait ControlApi: Send + Sync {
    /// Answers one request, whose path is complete. The caller has been authenticated: its
    /// [`UserInfo`] is among the extensions.
    fn handle(&self, request: Request) -> BoxFuture<'static, Response>;
}

/// How an API server is set up.
#[derive(Clone)]
pub struct Options {
    /// Where objects are kept.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Of names, uids and allocations: the same seed and requests give the same bytes.
    pub seed: u64,
    /// Service addresses, an IPv4 block such as `10.96.0.0/16`.
    pub service_cidr: String,
    /// First and last node port, `30000` and `32767` upstream.
    pub node_ports: (u16, u16),
    /// The address at which clients reach this API server: endpoint of the Service `kubernetes`.
    pub advertise_address: std::net::Ipv4Addr,
    /// Its port.
    pub advertise_port: u16,
    /// Who a request comes from that carries no identity. In the page and in the process itself an
    /// administrator; anonymous behind a socket.
    pub default_user: UserInfo,
    /// The private key that signs ServiceAccounts' tokens, a number of the curve P-256; of the seed
    /// without. A host that lets clusters live on keeps it with them.
    pub service_account_key: Option<[u8; 32]>,
    /// Reads bearer tokens other than ServiceAccounts'.
    pub authenticator: Option<Arc<dyn Authenticator>>,
    /// Decides who may do what, in the place of RBAC.
    pub authorizer: Option<Arc<dyn Authorizer>>,
    /// Whether `managedFields` are kept for the components of this process too. Where hundreds of
    /// thousands of pods are simulated they cost more than all else.
    pub track_components: bool,
    /// The way to nodes; without, what needs a node fails as if it were not reachable.
    pub nodes: Option<Arc<dyn NodeConnector>>,
    /// What answers under `/playground/v1/`.
    pub control: Option<Arc<dyn ControlApi>>,
    /// API groups that others answer for.
    pub aggregated: Vec<Arc<dyn AggregatedApi>>,
    /// Gives field documentation for `explain`, in the form `machinery` defines, when it is asked for; left out of OpenAPI
    /// without.
    pub descriptions: Option<fn() -> Result<Bytes, NotLoaded>>,
}

impl Options {
    /// Upstream's defaults on a store, for an administrator in the same process.
    pub fn new(store: Store, clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self {
            store,
            clock,
            seed,
            service_cidr: "10.96.0.0/16".into(),
            node_ports: (30000, 32767),
            advertise_address: std::net::Ipv4Addr::new(172, 18, 0, 2),
            advertise_port: 6443,
            default_user: UserInfo::admin(),
            service_account_key: None,
            authenticator: None,
            authorizer: None,
            track_components: true,
            nodes: None,
            control: None,
            aggregated: Vec::new(),
            descriptions: None,
        }
    }
}
