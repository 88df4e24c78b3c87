//! The pods' network: a Docker network, in which every pod and every node has an address, and rules in
//! the network namespace of each.
//!
//! ```text
//! 10.244.<node>.0/24   a node's pods
//! 10.244.253.1…        load balancers
//! 10.244.254.0/24      whatever else is put into the network
//! 10.244.255.10…       nodes
//! 10.244.255.254       the agent: name server, and the way to the API server
//! ```
//!
//! A connection to a Service's address is sent on where it begins, by nf_tables in the pod's own
//! namespace: at the kernel's speed, with the pod's address as its source, without anything on this
//! machine outside of Docker's containers, and without any rule that would outlive its pod. The rules are
//! made here and put in force by the agent, the one container with privileges.

mod addresses;
mod agent;
mod dns;
mod nft;
mod rules;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect, NetworkingConfig,
};
use k8s_openapi::api::core::v1::Pod;
use kubelet::runtime::{ErrorCode, PortMapping, RuntimeError};
use playground_core::ServiceRange;
use proxy::{Policies, Tables, Via};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, oneshot};

use super::connection::{self, ConnectError};
use super::images;
use super::own::{self, OwnConfig};
use addresses::Addresses;
pub use agent::ended;
use agent::{Conversation, Dial, Greeting};
use rules::{Cluster, Place};

/// The nodes' part of the network's range.
const NODES: u8 = 255;
/// The part from which Docker gives addresses to containers that are not ours.
const STRANGERS: u8 = 254;
/// The load balancers' part; those of the nodes' pods are below.
const BALANCERS: u8 = 253;
/// The first node's address there.
const FIRST_NODE: u8 = 10;
/// How many bits of an address are the network's.
const BITS: u8 = 16;
/// Docker nodes that one cluster may have.
pub const NODES_MAX: u16 = 200;
/// Second bytes of ranges to try, for clusters beside each other on one Docker.
const RANGES: std::ops::RangeInclusive<u8> = 244..=251;
/// How long a pod waits for its rules.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long this machine's own way to pods' addresses may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);
/// How long to wait before the agent is tried again.
const RETRY: Duration = Duration::from_millis(300);
/// How the system says that something is not there (ENOENT).
const NOT_FOUND: &str = "(os error 2)";

/// The network of a cluster's pods on Docker.
pub struct PodNetwork {
    docker: Docker,
    config: OwnConfig,
    /// Where the API server listens.
    api: SocketAddr,
    /// The first two bytes of all addresses, where they were asked for.
    wanted: Option<[u8; 2]>,
    services: ServiceRange,
    /// What they are.
    range: OnceLock<[u8; 2]>,
    state: Mutex<State>,
    changed: Notify,
    addresses: Addresses,
    /// Connections that the agent is to open.
    dials: mpsc::UnboundedSender<Dial>,
    /// Whether this machine has no way of its own to the pods' addresses: then the agent opens connections. Without
    /// the network's bridge it has none; whether that leads there is tried when the agent is there.
    apart: AtomicBool,
}

/// A connection to a pod or a node.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

#[derive(Default)]
struct State {
    tables: Arc<Tables>,
    policies: Arc<Policies>,
    /// By the container that holds it.
    namespaces: BTreeMap<String, Namespace>,
    nodes: BTreeMap<String, Ipv4Addr>,
    next_id: u32,
    /// Counts changes that concern every namespace.
    changes: u64,
    /// What is wrong with the agent, while it is.
    trouble: String,
}

#[derive(Default)]
struct Namespace {
    pid: u32,
    argument: String,
    place: Place,
    host_ports: Vec<PortMapping>,
    /// How many changes its rules have followed.
    seen: Option<u64>,
    /// The batch in force, and the one being put in force.
    in_force: Option<u64>,
    in_flight: Option<(u32, u64)>,
    /// Whether the agent makes its link.
    linked: bool,
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
}

/// A namespace that joins the network.
pub struct Member {
    /// The container that holds it.
    pub id: String,
    /// Its process.
    pub pid: u32,
    /// An argument of the process that no other has.
    pub argument: String,
    /// Its address.
    pub address: Option<Ipv4Addr>,
    /// Whether the agent makes its link.
    pub linked: bool,
    /// Its node's name.
    pub node: String,
    /// Whether it is the node's own.
    pub is_node: bool,
    /// Ports of the node that lead to it.
    pub host_ports: Vec<PortMapping>,
}

impl PodNetwork {
    /// Connects to Docker and makes the network if it is missing, with the first two bytes of its addresses
    /// if they are given. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// One line that says what is wrong and what to do.
    pub async fn connect(
        host: Option<&str>,
        config: OwnConfig,
        api: SocketAddr,
        wanted: Option<[u8; 2]>,
        services: ServiceRange,
    ) -> Result<Arc<Self>, ConnectError> {
        let (dials, dialling) = mpsc::unbounded_channel();
        let network = Arc::new(Self {
            docker: connection::open(host)?,
            config,
            api,
            wanted,
            services,
            range: OnceLock::new(),
            state: Mutex::default(),
            changed: Notify::new(),
            addresses: Addresses::default(),
            dials,
            apart: AtomicBool::new(false),
        });
        network.prepare().await.map_err(|error| ConnectError(connection::explain(&error)))?;
        tokio::spawn(run(Arc::downgrade(&network), dialling));
        Ok(network)
    }

    /// What must be there before the first container; also after Docker was away.
    pub async fn prepare(&self) -> Result<(), Error> {
        let image = images::ensure_agent(&self.docker);
        let ((), found) = futures::future::try_join(image, self.ensure_network()).await?;
        let range = range_of(&found).ok_or_else(|| Error::DockerResponseServerError {
            status_code: 409,
            message: format!(
                "the Docker network {:?} is not of this version: remove it (docker network rm {})",
                self.name(),
                self.name()
            ),
        })?;
        // Another one would be of a network that was made anew, which takes the same as long as it can.
        if self.range.set(range).is_ok() {
            self.set_apart(!has_bridge(&found));
            if !keeps_strangers_apart(&found) {
                tracing::warn!(
                    "the Docker network {:?} was made by an earlier version: containers of others in it may get pods' \
                     addresses until the cluster is made anew",
                    self.name()
                );
            }
        }
        for endpoint in found.containers.unwrap_or_default().into_values() {
            let address = endpoint.ipv4_address.unwrap_or_default();
            if let Some(address) = address.split('/').next().and_then(|address| address.parse().ok()) {
                self.addresses.take(address);
            }
        }
        Ok(())
    }

    /// The connection to Docker.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Whose containers and network these are.
    pub fn config(&self) -> &OwnConfig {
        &self.config
    }

    /// The Docker network's name.
    pub fn name(&self) -> String {
        format!("{}{}", self.config.cluster, self.config.suffix)
    }

    /// This machine's own end of the network.
    fn gateway(&self) -> Ipv4Addr {
        self.address(0, 1)
    }

    /// A node's address, by the node's number.
    pub fn node_address(&self, index: u16) -> Ipv4Addr {
        self.address(NODES, FIRST_NODE.saturating_add(u8::try_from(index).unwrap_or(u8::MAX)))
    }

    /// The range of addresses of a node's pods.
    pub fn pod_range(&self, index: u16) -> String {
        format!("{}/24", self.address(u8::try_from(index).unwrap_or(u8::MAX), 0))
    }

    /// Where pods reach the API server.
    pub fn api_address(&self) -> (Ipv4Addr, u16) {
        (self.agent_address(), playground_agent::API_PORT)
    }

    /// The name server of pods that use their node's.
    pub fn name_server(&self) -> Ipv4Addr {
        self.agent_address()
    }

    fn address(&self, third: u8, fourth: u8) -> Ipv4Addr {
        let [first, second] = self.range.get().copied().unwrap_or([10, 244]);
        Ipv4Addr::new(first, second, third, fourth)
    }

    /// The range (of 24 bits) from which load balancers have addresses, where this machine has a way to them.
    pub fn load_balancers(&self) -> Option<Ipv4Addr> {
        (!self.apart.load(Ordering::Relaxed)).then(|| self.address(BALANCERS, 0))
    }

    /// A place in the network, for a container that is made.
    pub fn at(&self, address: Ipv4Addr) -> NetworkingConfig {
        let ipam_config = Some(EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..Default::default() });
        let settings = EndpointSettings { ipam_config, ..EndpointSettings::default() };
        NetworkingConfig { endpoints_config: Some(HashMap::from([(self.name(), settings)])) }
    }

    /// An address for a pod in its node's range.
    ///
    /// # Errors
    /// When all are taken.
    pub fn take_address(&self, range: Option<&str>) -> Result<Ipv4Addr, RuntimeError> {
        let range = range.unwrap_or_default();
        self.addresses.next(range).ok_or_else(|| {
            let message = format!("failed to allocate for range 0: no IP addresses available in range set: {range}");
            RuntimeError::new(ErrorCode::Unknown, message)
        })
    }

    /// Notes an address that a container has.
    pub fn keep_address(&self, address: Ipv4Addr) {
        self.addresses.take(address);
    }

    /// Gives an address back that no container has any more.
    pub fn release_address(&self, address: Ipv4Addr) {
        self.addresses.release(address);
    }

    /// A connection to a pod or a node: straight from this machine, or where it has no way there (rootless
    /// Docker, Docker in a virtual machine), by the agent.
    ///
    /// # Errors
    /// In the words of Go's dialer.
    pub async fn dial(&self, address: SocketAddr) -> Result<Box<dyn Connection>, String> {
        let to = match address {
            SocketAddr::V4(to) if self.apart.load(Ordering::Relaxed) => to,
            _ => {
                let stream = TcpStream::connect(address).await.map_err(|error| playground_agent::why(&error))?;
                let _ = stream.set_nodelay(true);
                return Ok(Box::new(stream));
            }
        };
        let (reply, opened) = oneshot::channel();
        let gone = || "the agent has ended".to_owned();
        self.dials.send(Dial { to, reply }).map_err(|_| gone())?;
        let stream = opened.await.map_err(|_| gone())??;
        Ok(Box::new(stream))
    }

    /// Finds out whether this machine has a way to the pods' addresses, by the agent's, where a name server
    /// listens.
    async fn look_around(&self, greeting: &Greeting) {
        let agent = SocketAddr::new(self.agent_address().into(), playground_agent::DNS_PORT);
        let said = tokio::time::timeout(LOOK_TIMEOUT, greeting.say(agent)).await;
        self.set_apart(!said.is_ok_and(|said| said.is_ok()));
    }

    fn set_apart(&self, apart: bool) {
        if apart && !self.apart.swap(apart, Ordering::Relaxed) {
            tracing::info!("this machine has no way to pods' addresses: the agent opens connections to them");
        }
        self.apart.store(apart, Ordering::Relaxed);
    }

    /// The forwarding tables have changed.
    pub fn set_tables(&self, tables: &Tables) {
        let mut state = self.state();
        state.tables = Arc::new(tables.clone());
        state.changes += 1;
        drop(state);
        self.changed.notify_one();
    }

    /// The forwarding tables.
    pub fn tables(&self) -> Arc<Tables> {
        self.state().tables.clone()
    }

    /// The policies, or whom they speak of, have changed.
    pub fn set_policies(&self, policies: &Policies) {
        let mut policies = policies.clone();
        // Rules that speak of the cluster's name server mean this one.
        policies.insert(self.name_server().into(), Arc::new(name_server_pod()));
        let mut state = self.state();
        state.policies = Arc::new(policies);
        state.changes += 1;
        drop(state);
        self.changed.notify_one();
    }

    /// Takes a namespace in. Its rules are on their way; the receiver is told when they are in force.
    pub fn join(&self, member: Member) -> oneshot::Receiver<Result<(), String>> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.state();
        if member.is_node
            && let Some(address) = member.address
        {
            state.nodes.insert(member.node.clone(), address);
        }
        if member.is_node || !member.host_ports.is_empty() {
            state.changes += 1;
        }
        let place = Place { address: member.address, node: member.node, is_node: member.is_node, ..Place::default() };
        if let Some(address) = member.address {
            self.addresses.take(address);
        }
        let namespace = state.namespaces.entry(member.id).or_default();
        if namespace.pid != member.pid {
            (namespace.in_force, namespace.in_flight) = (None, None);
        }
        namespace.seen = None;
        namespace.pid = member.pid;
        namespace.argument = member.argument;
        namespace.place = Place { affinity: std::mem::take(&mut namespace.place.affinity), ..place };
        namespace.host_ports = member.host_ports;
        namespace.linked = member.linked;
        namespace.waiting.push(sender);
        drop(state);
        self.changed.notify_one();
        receiver
    }

    /// Waits until a namespace that has joined has its rules.
    ///
    /// # Errors
    /// When they cannot be put in force.
    pub async fn settled(&self, receiver: oneshot::Receiver<Result<(), String>>) -> Result<(), RuntimeError> {
        let failed = |reason: String| {
            RuntimeError::new(ErrorCode::Unknown, format!("failed to set up the pod's network: {reason}"))
        };
        match tokio::time::timeout(PATIENCE, receiver).await {
            Ok(Ok(outcome)) => outcome.map_err(failed),
            Ok(Err(_)) => Err(failed("the pod has ended".into())),
            Err(_) => Err(failed(match self.state().trouble.as_str() {
                "" => "the agent does not answer".into(),
                trouble => trouble.into(),
            })),
        }
    }

    /// Lets a namespace go that has ended.
    pub fn leave(&self, id: &str) {
        let mut state = self.state();
        let gone = state.namespaces.remove(id);
        if gone.is_some_and(|gone| gone.place.is_node || !gone.host_ports.is_empty()) {
            state.changes += 1;
            drop(state);
            self.changed.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ensure_network(&self) -> Result<NetworkInspect, Error> {
        let name = self.name();
        let inspect = || self.docker.inspect_network(&name, None);
        match inspect().await {
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            found => return found,
        }
        let mut refused = None;
        let ranges = match self.wanted {
            Some(wanted) => vec![wanted],
            None => RANGES.map(|second| [10, second]).collect(),
        };
        for [first, second] in ranges {
            let range = IpamConfig {
                subnet: Some(format!("{first}.{second}.0.0/{BITS}")),
                ip_range: Some(format!("{first}.{second}.{STRANGERS}.0/24")),
                gateway: Some(format!("{first}.{second}.0.1")),
                ..IpamConfig::default()
            };
            let request = NetworkCreateRequest {
                name: name.clone(),
                driver: Some("bridge".into()),
                labels: Some(own::labels(&self.config, own::NETWORK)),
                ipam: Some(Ipam { config: Some(vec![range]), ..Ipam::default() }),
                ..NetworkCreateRequest::default()
            };
            match self.docker.create_network(request).await {
                Ok(_) | Err(Error::DockerResponseServerError { status_code: 409, .. }) => return inspect().await,
                // The range is taken by another network.
                Err(error @ Error::DockerResponseServerError { .. }) => refused = Some(error),
                Err(error) => return Err(error),
            }
        }
        match refused {
            Some(error) => Err(error),
            None => inspect().await,
        }
    }

    /// What is to be put in force now: id, process, argument and batch.
    fn due(&self) -> Vec<(u32, playground_agent::Program)> {
        let mut state = self.state();
        let changes = state.changes;
        let behind = |namespace: &Namespace| namespace.in_flight.is_none() && namespace.seen != Some(changes);
        // What follows looks at all pods and Services, and this is asked after every word of the agent's.
        if !state.namespaces.values().any(behind) {
            return Vec::new();
        }
        let cluster = Cluster {
            tables: state.tables.clone(),
            policies: state.policies.clone(),
            nodes: state.nodes.values().copied().collect(),
            neighbours: [self.gateway(), self.agent_address()],
            name_server: (self.services.name_server(), self.name_server()),
            services: self.services.base(),
        };
        let mut host_ports = BTreeMap::<String, Vec<(PortMapping, Ipv4Addr)>>::new();
        for namespace in state.namespaces.values() {
            let Some(address) = namespace.place.address else { continue };
            for mapping in &namespace.host_ports {
                host_ports.entry(namespace.place.node.clone()).or_default().push((mapping.clone(), address));
            }
        }
        let mut held = self.held(&state);
        let state = &mut *state;
        let mut due = Vec::new();
        for namespace in state.namespaces.values_mut().filter(|namespace| behind(namespace)) {
            namespace.seen = Some(changes);
            if namespace.place.is_node {
                namespace.place.host_ports = host_ports.remove(&namespace.place.node).unwrap_or_default();
            }
            let batch = rules::compile(&cluster, &mut namespace.place);
            let held = namespace.place.is_node.then(|| held.remove(&namespace.place.node).unwrap_or_default());
            let mut hasher = DefaultHasher::new();
            (&batch, &held).hash(&mut hasher);
            let hash = hasher.finish();
            if namespace.in_force == Some(hash) {
                namespace.waiting.drain(..).for_each(|waiting| _ = waiting.send(Ok(())));
                continue;
            }
            state.next_id = state.next_id.wrapping_add(1);
            namespace.in_flight = Some((state.next_id, hash));
            // Once: what somebody in the pod does to it later is his business.
            let unlinked = namespace.linked && namespace.in_force.is_none();
            let own = namespace.place.address.filter(|_| unlinked);
            let link = own.map(|address| playground_agent::Link { address, bits: BITS, gateway: self.gateway() });
            let (pid, argument) = (namespace.pid, namespace.argument.clone());
            let program = playground_agent::Program { pid, argument, link, held, batch };
            due.push((state.next_id, program));
        }
        due
    }

    /// Which node takes what comes from outside for which load balancers' addresses: as MetalLB does it, one for each,
    /// with an endpoint of its own where the policy wants that.
    fn held(&self, state: &State) -> BTreeMap<String, Vec<Ipv4Addr>> {
        let nodes: BTreeSet<&str> = state
            .namespaces
            .values()
            .filter(|namespace| namespace.place.is_node)
            .map(|namespace| namespace.place.node.as_str())
            .collect();
        let mut held = BTreeMap::<String, Vec<Ipv4Addr>>::new();
        let mut given = BTreeSet::new();
        for (address, _, via, rule) in state.tables.doors() {
            let IpAddr::V4(address) = address else { continue };
            let ours = self.address(BALANCERS, address.octets()[3]) == address;
            if via != Via::LoadBalancer || !ours || given.contains(&address) {
                continue;
            }
            let takes = |node: &&&str| !state.tables.eligible(rule, rule.external_policy, Some(node)).is_empty();
            if let Some(node) = nodes.iter().find(takes).or(nodes.first()) {
                held.entry((*node).to_owned()).or_default().push(address);
                given.insert(address);
            }
        }
        held
    }

    fn done(&self, id: u32, error: &str) {
        let mut state = self.state();
        let found = state.namespaces.iter_mut().find_map(|(_, namespace)| {
            namespace.in_flight.filter(|(flying, _)| *flying == id).map(|(_, hash)| (namespace, hash))
        });
        let Some((namespace, hash)) = found else { return };
        namespace.in_flight = None;
        // What failed is not tried again until something changes.
        namespace.in_force = Some(hash);
        let outcome = if error.is_empty() { Ok(()) } else { Err(error.to_owned()) };
        // The namespace of a pod that ends meanwhile is gone, and so is what its rules were for.
        let is_gone = error.ends_with(NOT_FOUND);
        if namespace.waiting.is_empty() && outcome.is_err() && !is_gone {
            tracing::warn!("the rules of a pod's network on {} are not in force: {error}", namespace.place.node);
        }
        namespace.waiting.drain(..).for_each(|waiting| _ = waiting.send(outcome.clone()));
    }

    /// Nothing is known to be in force: the agent is another one.
    fn forget(&self) {
        for namespace in self.state().namespaces.values_mut() {
            (namespace.in_force, namespace.in_flight, namespace.seen) = (None, None, None);
        }
    }
}

/// Keeps the agent running and the rules in force until the network is dropped.
async fn run(network: std::sync::Weak<PodNetwork>, mut dials: mpsc::UnboundedReceiver<Dial>) {
    while let Some(network) = network.upgrade() {
        let outcome = match agent::ensure(&network).await {
            Ok(container) => converse(&network, &container, &mut dials).await,
            Err(error) => Err(connection::explain(&error)),
        };
        if let Err(trouble) = outcome {
            let mut state = network.state();
            if state.trouble != trouble {
                tracing::info!("the pods' network: {trouble}");
                state.trouble = trouble;
            }
        }
        drop(network);
        tokio::time::sleep(RETRY).await;
    }
}

async fn converse(
    network: &Arc<PodNetwork>,
    container: &str,
    dials: &mut mpsc::UnboundedReceiver<Dial>,
) -> Result<(), String> {
    let mut agent = Conversation::start(&network.docker, container).await?;
    let greeting = Arc::new(Greeting::new());
    let (looking, word) = (network.clone(), greeting.clone());
    tokio::spawn(async move { looking.look_around(&word).await });
    network.state().trouble.clear();
    network.forget();
    // The program is in this machine's process namespace: it would outlive its container, but not have
    // its network.
    let mut ended = std::pin::pin!(agent::ended(&network.docker, container));
    loop {
        for (id, program) in network.due() {
            let frame = playground_agent::Frame::new(playground_agent::Kind::Program, id, program.encode());
            // The agent's end is noticed below.
            let _ = agent.say.send(frame);
        }
        let tables = || network.state().tables.clone();
        tokio::select! {
            () = network.changed.notified() => {}
            Some(dial) = dials.recv() => agent.dial(dial),
            () = &mut ended => return Err("the agent's container has ended".into()),
            outcome = agent.next_outcome(tables, network.api, &greeting) => match outcome {
                Some((id, error)) => network.done(id, &error),
                None => return Err(agent.complaint()),
            },
        }
    }
}

/// The first two bytes of a network's range, if it is one of ours.
fn range_of(found: &NetworkInspect) -> Option<[u8; 2]> {
    let configs = found.ipam.as_ref()?.config.as_ref()?;
    let subnet = configs.iter().find_map(|config| config.subnet.as_ref())?;
    let (base, bits) = subnet.split_once('/')?;
    let [first, second, ..] = base.parse::<Ipv4Addr>().ok()?.octets();
    (bits == "16").then_some([first, second])
}

/// Whether this machine is the one that has the network's bridge, by the name that Docker gives it. Rootless engines
/// and those in virtual machines have theirs elsewhere.
fn has_bridge(found: &NetworkInspect) -> bool {
    const ID_LETTERS: usize = 12;
    let id = found.id.as_deref().and_then(|id| id.get(..ID_LETTERS));
    id.is_some_and(|id| std::path::Path::new(&format!("/sys/class/net/br-{id}")).exists())
}

/// Whether Docker gives containers that are not the cluster's addresses of their own part of the range.
fn keeps_strangers_apart(found: &NetworkInspect) -> bool {
    let configs = found.ipam.as_ref().and_then(|ipam| ipam.config.as_ref());
    configs.into_iter().flatten().any(|config| config.ip_range.as_ref().is_some_and(|range| !range.is_empty()))
}

/// The name server, as policies know it: it is no pod, but has the labels that it has elsewhere.
fn name_server_pod() -> Pod {
    let mut pod = Pod::default();
    pod.metadata.name = Some("coredns".into());
    pod.metadata.namespace = Some("kube-system".into());
    pod.metadata.labels = Some(BTreeMap::from([("k8s-app".into(), "kube-dns".into())]));
    pod
}

/// A container's address, as Docker tells it.
pub fn parse(address: &str) -> Option<Ipv4Addr> {
    match address.parse() {
        Ok(IpAddr::V4(address)) => Some(address),
        _ => None,
    }
}
