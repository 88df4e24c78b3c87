//! One port of one Service: who answers on it, and how an endpoint is chosen.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use machinery::ObjectKey;
use machinery::sort::Order;

use crate::tables::Via;

/// Transport protocol of a port, as `Service.spec.ports[].protocol` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, the default.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// From the API's `TCP`, `UDP` or `SCTP`; absent or unknown is TCP, as the API server defaults it.
    pub fn from_api(name: Option<&str>) -> Self {
        match name {
            Some("UDP") => Self::Udp,
            Some("SCTP") => Self::Sctp,
            _ => Self::Tcp,
        }
    }

    /// `tcp`, `udp` or `sctp`, as in SRV names.
    pub fn as_label(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
        })
    }
}

/// Which endpoints may answer traffic that arrives on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrafficPolicy {
    /// Any endpoint of the cluster.
    #[default]
    Cluster,
    /// Only endpoints on the node itself; without one, the traffic is dropped.
    Local,
}

impl TrafficPolicy {
    fn from_api(name: Option<&str>) -> Self {
        if name == Some("Local") { Self::Local } else { Self::Cluster }
    }
}

/// One address that answers for a Service port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Address of the pod.
    pub address: IpAddr,
    /// Port on it.
    pub port: u16,
    /// Ready for new connections.
    pub ready: bool,
    /// Able to answer, though perhaps on its way out.
    pub serving: bool,
    /// On its way out.
    pub terminating: bool,
    /// The node it runs on.
    pub node: Option<String>,
    /// The pod's host name, for DNS.
    pub hostname: Option<String>,
    /// The pod, where the endpoint is one.
    pub pod: Option<ObjectKey>,
    /// Nodes whose traffic it should get, and zones: the EndpointSlice's hints.
    pub for_nodes: Vec<String>,
    /// Zones whose traffic it should get.
    pub for_zones: Vec<String>,
}

/// One port of one Service, with the endpoints that answer it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The Service.
    pub service: ObjectKey,
    /// The port's name; empty where the Service has only one.
    pub port_name: String,
    /// The port on the Service's addresses.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The port on every node, if the Service has one.
    pub node_port: Option<u16>,
    /// Endpoints, ordered by address.
    pub endpoints: Vec<Endpoint>,
    /// `sessionAffinity: ClientIP`: how long a client keeps its endpoint.
    pub affinity: Option<Duration>,
    /// For traffic to the cluster address.
    pub internal_policy: TrafficPolicy,
    /// For traffic from outside: node ports, load balancers, external addresses.
    pub external_policy: TrafficPolicy,
    /// Whose traffic the load balancer takes (`loadBalancerSourceRanges`): base and bits; empty for everybody's.
    pub sources: Vec<(IpAddr, u8)>,
}

impl Rule {
    /// The rule for one port of a Service over its EndpointSlices.
    pub(crate) fn new<'a>(
        key: &ObjectKey,
        service: &Service,
        port: &ServicePort,
        slices: impl Iterator<Item = &'a EndpointSlice>,
    ) -> Self {
        let spec = service.spec.clone().unwrap_or_default();
        let name = port.name.clone().unwrap_or_default();
        let protocol = Protocol::from_api(port.protocol.as_deref());
        let mut endpoints: Vec<Endpoint> = slices.flat_map(|slice| endpoints_of(slice, &name, protocol)).collect();
        endpoints.order();
        endpoints.dedup_by(|a, b| (a.address, a.port) == (b.address, b.port));
        Self {
            service: key.clone(),
            port_name: name,
            port: to_port(port.port),
            protocol,
            node_port: port.node_port.map(to_port).filter(|port| *port != 0),
            endpoints,
            affinity: (spec.session_affinity.as_deref() == Some("ClientIP")).then(|| {
                const CLIENT_IP_TIMEOUT_SECONDS: i32 = 10800;
                let seconds = spec
                    .session_affinity_config
                    .and_then(|config| config.client_ip)
                    .and_then(|client_ip| client_ip.timeout_seconds)
                    .unwrap_or(CLIENT_IP_TIMEOUT_SECONDS);
                Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
            }),
            sources: spec
                .load_balancer_source_ranges
                .iter()
                .flatten()
                .filter_map(|range| crate::policy::range_of(range.trim()))
                .collect(),
            internal_policy: TrafficPolicy::from_api(spec.internal_traffic_policy.as_deref()),
            external_policy: TrafficPolicy::from_api(spec.external_traffic_policy.as_deref()),
        }
    }

    /// Whether traffic from an address is taken at a door: a load balancer may have ranges for its clients.
    pub fn admits(&self, via: Via, source: IpAddr) -> bool {
        via != Via::LoadBalancer
            || self.sources.is_empty()
            || self.sources.iter().any(|range| crate::policy::holds(*range, source))
    }

    /// The endpoints that may answer under a policy, on the given node: the ready ones; where none is
    /// ready, those that still serve while they terminate, as kube-proxy falls back.
    pub fn eligible(&self, policy: TrafficPolicy, node: Option<&str>) -> Vec<&Endpoint> {
        let here = |endpoint: &&Endpoint| match policy {
            TrafficPolicy::Cluster => true,
            TrafficPolicy::Local => node.is_some() && endpoint.node.as_deref() == node,
        };
        let ready: Vec<_> = self.endpoints.iter().filter(here).filter(|endpoint| endpoint.ready).collect();
        if !ready.is_empty() {
            return ready;
        }
        self.endpoints.iter().filter(here).filter(|endpoint| endpoint.serving && endpoint.terminating).collect()
    }
}

/// The endpoints that are meant for traffic of a node in a zone, if the hints of all of them say which and some are:
/// upstream's `CategorizeEndpoints`.
pub(crate) fn preferred<'a>(endpoints: Vec<&'a Endpoint>, node: &str, zone: Option<&str>) -> Vec<&'a Endpoint> {
    type Names = fn(&Endpoint) -> &[String];
    let ways: [(Names, Option<&str>); 2] =
        [(|endpoint| &endpoint.for_nodes, Some(node)), (|endpoint| &endpoint.for_zones, zone)];
    for (names, own) in ways {
        let Some(own) = own else { continue };
        let hinted = endpoints.iter().all(|endpoint| !names(endpoint).is_empty());
        let near: Vec<&Endpoint> =
            endpoints.iter().copied().filter(|endpoint| names(endpoint).iter().any(|name| name == own)).collect();
        if hinted && !near.is_empty() {
            return near;
        }
    }
    endpoints
}

fn endpoints_of(slice: &EndpointSlice, port_name: &str, protocol: Protocol) -> Vec<Endpoint> {
    let port = slice.ports.iter().flatten().find(|port| {
        port.name.as_deref().unwrap_or("") == port_name && Protocol::from_api(port.protocol.as_deref()) == protocol
    });
    let Some(port) = port.and_then(|port| port.port) else { return Vec::new() };
    let mut endpoints = Vec::new();
    for endpoint in slice.endpoints.iter().flatten() {
        let conditions = endpoint.conditions.as_ref();
        let terminating = conditions.and_then(|c| c.terminating).unwrap_or(false);
        // Absent means true for ready, and as ready for serving: EndpointConditions' documentation.
        let ready = conditions.and_then(|c| c.ready).unwrap_or(true);
        let serving = conditions.and_then(|c| c.serving).unwrap_or(ready);
        let pod = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
        let hints = endpoint.hints.as_ref();
        let for_nodes: Vec<String> = hints
            .and_then(|hints| hints.for_nodes.as_ref())
            .into_iter()
            .flatten()
            .map(|node| node.name.clone())
            .collect();
        let for_zones: Vec<String> = hints
            .and_then(|hints| hints.for_zones.as_ref())
            .into_iter()
            .flatten()
            .map(|zone| zone.name.clone())
            .collect();
        for address in endpoint.addresses.iter().filter_map(|address| address.parse().ok()) {
            endpoints.push(Endpoint {
                address,
                port: to_port(port),
                ready,
                serving,
                terminating,
                node: endpoint.node_name.clone(),
                hostname: endpoint.hostname.clone(),
                for_nodes: for_nodes.clone(),
                for_zones: for_zones.clone(),
                pod: pod.map(|target| {
                    ObjectKey::new(
                        target.namespace.clone().unwrap_or_default(),
                        target.name.clone().unwrap_or_default(),
                    )
                }),
            });
        }
    }
    endpoints
}

pub(crate) fn to_port(port: i32) -> u16 {
    u16::try_from(port).unwrap_or(0)
}
