//! The simulated world around the cluster: the network, the nodes' runtimes, and the computer at which
//! the learner sits.

mod hops;
pub(crate) mod learner;

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use futures::FutureExt;
use http::StatusCode;
use machinery::ObjectKey;
use machinery::random::Rng;
use machinery::status::ApiError;
use machinery::wire::{Body, Channels, Request, Response};
use proxy::{Affinity, Forward, Protocol, SharedTables, Source};
use sim::image::Registry;
use sim::ingress::{self, SharedIngresses};
use sim::network::{Interface, InterfaceConfig, Network, Party, bridge};
use sim::runtime::SimRuntime;
use sim::{Executor, NodeConfig};

use crate::options::{HostNetwork, NodeOptions};
use crate::service_range::ServiceRange;
use crate::trace::Trace;
pub(crate) use learner::Clusters;
pub use learner::{Learner, Output, load_terminal};

/// Where the documentation's examples are fetched from.
const DOCUMENTATION: [&str; 3] = ["k8s.io", "kubernetes.io", "raw.githubusercontent.com"];
const DOCUMENTATION_AT: Ipv4Addr = Ipv4Addr::new(34, 107, 204, 206);
/// The learner's computer, in the nodes' network.
const COMPUTER: Ipv4Addr = Ipv4Addr::new(172, 18, 0, 1);
/// The Ingress controller's address, beside the pods'.
const INGRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 255, 250);
/// What pulls get: 50 MB a second.
const PULL_BYTES_PER_SECOND: u64 = 50_000_000;
/// The channel of a plain connection.
const DATA: u8 = 0;

/// The simulated world.
pub struct World {
    network: Network,
    tables: SharedTables,
    registry: Registry,
    computer: Interface,
    runtimes: RefCell<Vec<SimRuntime>>,
    nodes_made: Cell<u16>,
    /// Where pods are if they are real.
    host_network: Option<Arc<dyn HostNetwork>>,
    services: ServiceRange,
    rng: RefCell<Rng>,
    /// Of connections from the host's own network.
    affinity: RefCell<Affinity>,
}

impl World {
    /// A world with a computer in it, and no nodes yet.
    pub(crate) fn new(
        executor: &Executor,
        rng: &mut Rng,
        trace: &Trace,
        host_network: Option<Arc<dyn HostNetwork>>,
        registry: Registry,
        services: ServiceRange,
    ) -> Self {
        let network = Network::new(executor, rng.fork());
        let tables = SharedTables::default();
        let computer = network.attach(
            Party::Host("computer".into()),
            InterfaceConfig {
                addresses: vec![IpAddr::V4(COMPUTER)],
                node: None,
                tables: Some(tables.clone()),
                ..InterfaceConfig::default()
            },
        );
        executor.spawn(hops::report(network.subscribe(), trace.clone()));
        sim::outside::join(&network);
        let file = |host: &str, path: &str| crate::lesson_files::fetch(format!("https://{host}{path}")).boxed_local();
        sim::outside::host(&network, &DOCUMENTATION, DOCUMENTATION_AT, Rc::new(file));
        if let Some(real) = host_network.clone() {
            network.set_uplink(Rc::new(move |address| real.connect(address)));
        }
        Self {
            network,
            tables,
            registry,
            computer,
            runtimes: RefCell::default(),
            nodes_made: Cell::new(0),
            host_network,
            services,
            rng: RefCell::new(rng.fork()),
            affinity: RefCell::default(),
        }
    }

    /// Answers the pods' questions for names at the name server's address, where no pod does.
    pub(crate) fn serve_names(&self) {
        sim::name_server::run(&self.network, self.services.name_server().into(), &self.tables, self.fork_rng());
    }

    /// The range of Services' addresses.
    pub(crate) fn services(&self) -> ServiceRange {
        self.services
    }

    /// The forwarding tables, which kube-proxy writes.
    pub(crate) fn tables(&self) -> SharedTables {
        self.tables.clone()
    }

    /// The network in which pods are if they are real.
    pub(crate) fn host_network(&self) -> Option<Arc<dyn HostNetwork>> {
        self.host_network.clone()
    }

    /// The registries that images come from.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The runtimes of the simulated nodes.
    pub fn runtimes(&self) -> Vec<SimRuntime> {
        self.runtimes.borrow().clone()
    }

    /// The computer's place in the network.
    pub(crate) fn computer(&self) -> &Interface {
        &self.computer
    }

    /// The way into this world for connections that come from another one.
    pub(crate) fn entrance(&self) -> Interface {
        self.computer.clone()
    }

    /// Ends all containers.
    pub(crate) fn shut_down(&self) {
        for runtime in self.runtimes.borrow_mut().drain(..) {
            for container in runtime.containers() {
                if let Some(machine) = runtime.machine(&container.id) {
                    machine.kill_all();
                }
            }
        }
    }

    /// A simulated node's runtime.
    pub(crate) fn add_node(&self, options: &NodeOptions) -> SimRuntime {
        let interface = self.network.attach(
            Party::Node(options.name.clone()),
            InterfaceConfig {
                addresses: vec![IpAddr::V4(options.address)],
                node: Some(options.name.clone()),
                tables: Some(self.tables.clone()),
                is_node: true,
                ..InterfaceConfig::default()
            },
        );
        let runtime = SimRuntime::new(NodeConfig {
            name: options.name.clone(),
            network: self.network.clone(),
            interface,
            tables: self.tables.clone(),
            registry: self.registry.clone(),
            pod_cidr: String::new(),
            pull_bytes_per_second: PULL_BYTES_PER_SECOND,
            rng: self.rng.borrow_mut().fork(),
        });
        self.runtimes.borrow_mut().push(runtime.clone());
        self.nodes_made.set((self.nodes_made.get() + 1).max(options.index().saturating_add(1)));
        runtime
    }

    /// Forgets a node that is gone.
    pub(crate) fn remove_node(&self, name: &str) {
        self.runtimes.borrow_mut().retain(|runtime| runtime.node_name() != name);
    }

    /// The number of the next node, by which it gets its address.
    pub(crate) fn next_node_index(&self) -> u16 {
        self.nodes_made.get()
    }

    /// Randomness for a part that is made later.
    pub(crate) fn fork_rng(&self) -> Rng {
        self.rng.borrow_mut().fork()
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Starts the Ingress controller's server, on ports 80 and 443 of nodes and of the learner's `localhost`.
    pub(crate) fn serve_ingress(&self) -> SharedIngresses {
        let ingresses = SharedIngresses::default();
        let interface = self.network.attach(
            Party::Pod(ObjectKey::new("ingress-nginx", "ingress-nginx-controller")),
            InterfaceConfig {
                addresses: vec![IpAddr::V4(INGRESS)],
                node: None,
                tables: Some(self.tables.clone()),
                ..InterfaceConfig::default()
            },
        );
        for secure in [false, true] {
            // Nobody else can have the ports of a new interface.
            let Ok((port, mut listener)) = interface.listen(if secure { 443 } else { 80 }) else { continue };
            if secure {
                listener = listener.with_tls(ingress::presents(ingresses.clone()));
            }
            self.network.set_gateway(port, (IpAddr::V4(INGRESS), port));
            let serve = ingress::serve(listener, interface.clone(), self.tables.clone(), ingresses.clone());
            self.network.executor().spawn(serve);
        }
        ingresses
    }

    /// A connection to a port of the computer's `localhost`, where Services have their node ports and load balancers,
    /// and Ingresses port 80. Answers with an upgrade, whose channel 0 carries the bytes.
    pub(crate) async fn connect(&self, port: u16) -> Response {
        if let Some(network) = &self.host_network {
            let channels = match self.endpoint_of(port) {
                Some(endpoint) if self.network.has(endpoint.ip()) => return self.dial_simulated(endpoint).await,
                Some(endpoint) => network.connect(endpoint).await,
                None => None,
            };
            return channels.map_or_else(|| refused("connection refused"), upgraded);
        }
        self.dial_simulated((Ipv4Addr::LOCALHOST, port).into()).await
    }

    /// A connection from the computer to an address of the simulated network, as [`World::connect`] answers.
    pub(crate) async fn dial_simulated(&self, address: SocketAddr) -> Response {
        match self.computer.dial(address.ip(), address.port()).await {
            Ok(stream) => {
                let (ours, theirs) = Channels::pair();
                self.network.executor().spawn(bridge(stream, ours, DATA));
                upgraded(theirs)
            }
            Err(error) => refused(&error.to_string()),
        }
    }

    /// The pod behind a port of `localhost`, one of several by chance.
    fn endpoint_of(&self, port: u16) -> Option<SocketAddr> {
        let tables = self.tables.borrow();
        let source = || Source {
            address: IpAddr::V4(COMPUTER),
            node: None,
            internal: false,
            now: self.network.executor().now(),
            random: self.rng.borrow_mut().next_u64(),
        };
        let mut affinity = self.affinity.borrow_mut();
        let found = match tables.forward_host("localhost", port, Protocol::Tcp, source(), &mut affinity) {
            Forward::Direct => tables.forward_node_port(port, Protocol::Tcp, source(), &mut affinity),
            found => found,
        };
        match found {
            Forward::To { endpoint, .. } => Some(SocketAddr::new(endpoint.address, endpoint.port)),
            _ => None,
        }
    }

    /// An HTTP request to an address of the pod or node network, as the API server's proxy makes it.
    pub(crate) async fn dial(&self, address: &str, request: Request) -> Response {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
        // Simulated nodes may be beside real ones.
        let simulated = || host.parse().is_ok_and(|host| self.network.has(host));
        if let Some(network) = self.host_network.as_ref().filter(|_| !simulated()) {
            return network.request(address, request).await;
        }
        let refused = |reason: String| {
            let message = format!("error trying to reach service: dial tcp {address}: {reason}");
            ApiError::service_unavailable(message).into_response()
        };
        let Ok(port) = port.parse() else { return refused("unknown port".into()) };
        let stream = match self.computer.connect(host, port).await {
            Ok(stream) => stream,
            Err(error) => return refused(error.to_string().to_lowercase()),
        };
        let (parts, body) = request.into_parts();
        let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let mut outgoing = sim::network::http::Request::new(parts.method.as_str(), target, address);
        for (name, value) in &parts.headers {
            if name != http::header::HOST {
                outgoing.headers.push((name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
            }
        }
        outgoing.body = body.collect().await;
        match sim::network::http::fetch(&stream, &outgoing).await {
            Ok(answer) => from_wire(answer),
            Err(_) => refused("EOF".into()),
        }
    }
}

pub(crate) fn upgraded(channels: Channels) -> Response {
    let mut response = Response::new(Body::Upgrade(channels));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response
}

fn refused(reason: &str) -> Response {
    ApiError::service_unavailable(reason).into_response()
}

fn from_wire(answer: sim::network::http::Response) -> Response {
    let mut response = http::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    let malformed = || ApiError::service_unavailable("error trying to reach service: malformed HTTP response");
    response.body(Body::Bytes(answer.body)).unwrap_or_else(|_| malformed().into_response())
}
