//! Network namespaces: listening, connecting, looking names up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, LocalBoxFuture, select};
use machinery::wire::Channels;
use proxy::dns::{Answer, Record, RecordData, RecordType};
use proxy::{Protocol, ResolvConf, SharedTables, message};

use super::datagram::Mailbox;
use super::route::Route;
use super::stream::{Backlog, StreamInfo, TcpListener, TcpStream};
use super::trace::{HopEvent, Party};
use super::{ConnectError, Entrance, Network, Wire, bridge};
use crate::errno::Errno;

/// How long a connection attempt without an answer lasts: Linux' default of six retries.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(127);
/// The first ephemeral port.
const EPHEMERAL_PORT_MIN: u16 = 32768;

/// How an interface is made.
#[derive(Clone, Default)]
pub struct InterfaceConfig {
    /// Addresses; the first is the one connections come from. None means no network but loopback.
    pub addresses: Vec<IpAddr>,
    /// The node it is on; `None` outside the cluster.
    pub node: Option<String>,
    /// The forwarding tables connections go through.
    pub tables: Option<SharedTables>,
    /// Whose names are resolved how.
    pub resolv_conf: ResolvConf,
    /// Whether it is a node's own, and not a pod's.
    pub is_node: bool,
}

/// A network namespace as one party sees it. Cheap to clone; the namespace goes when the last clone does.
#[derive(Clone)]
pub struct Interface {
    pub(super) inner: Rc<Inner>,
    party: Party,
}

pub(super) struct Inner {
    pub(super) network: Network,
    pub(super) config: InterfaceConfig,
    pub(super) listeners: RefCell<BTreeMap<u16, Rc<Backlog>>>,
    /// UDP ports that somebody has.
    pub(super) sockets: RefCell<Vec<(u16, Rc<Mailbox>)>>,
    /// Ports of a node that lead to a port of a pod (hostPort).
    pub(super) mappings: RefCell<BTreeMap<u16, (IpAddr, u16)>>,
    pub(super) wires: RefCell<Vec<Wire>>,
    next_port: RefCell<u16>,
}

impl Inner {
    pub(super) fn new(network: &Network, config: InterfaceConfig) -> Self {
        Self {
            network: network.clone(),
            config,
            listeners: RefCell::default(),
            sockets: RefCell::default(),
            mappings: RefCell::default(),
            wires: RefCell::default(),
            next_port: RefCell::new(EPHEMERAL_PORT_MIN),
        }
    }
}

impl Interface {
    pub(super) fn new(inner: Rc<Inner>, party: Party) -> Self {
        Self { inner, party }
    }

    /// The same namespace in another party's name: a pod on its node's network.
    pub fn for_party(&self, party: Party) -> Self {
        Self { party, ..self.clone() }
    }

    /// Whose it is.
    pub fn party(&self) -> &Party {
        &self.party
    }

    /// The address connections come from.
    pub fn address(&self) -> IpAddr {
        self.inner.config.addresses.first().copied().unwrap_or(Ipv4Addr::LOCALHOST.into())
    }

    /// The network it is in.
    pub fn network(&self) -> &Network {
        &self.inner.network
    }

    /// Takes it off the network, or puts it back: a machine that loses power, or has it again.
    pub fn set_connected(&self, connected: bool) {
        if !connected {
            return self.close();
        }
        let mut state = self.inner.network.0.state.borrow_mut();
        for address in &self.inner.config.addresses {
            state.interfaces.insert(*address, Rc::downgrade(&self.inner));
        }
    }

    /// How names are resolved.
    pub fn resolv_conf(&self) -> &ResolvConf {
        &self.inner.config.resolv_conf
    }

    /// Listens on a port of all its addresses; 0 finds a free one.
    ///
    /// # Errors
    /// [`Errno::AddressInUse`].
    pub fn listen(&self, port: u16) -> Result<(u16, TcpListener), Errno> {
        let port = if port == 0 { self.ephemeral_port() } else { port };
        let mut listeners = self.inner.listeners.borrow_mut();
        if listeners.contains_key(&port) {
            return Err(Errno::AddressInUse);
        }
        let queue = Rc::new(Backlog::default());
        *queue.party.borrow_mut() = Some(self.party.clone());
        listeners.insert(port, queue.clone());
        let inner = Rc::downgrade(&self.inner);
        let release = Box::new(move || {
            if let Some(inner) = inner.upgrade() {
                inner.listeners.borrow_mut().remove(&port);
            }
        });
        Ok((port, TcpListener { queue, release }))
    }

    /// Leads a port of this namespace to another address (hostPort). False if the port is taken.
    pub fn map_port(&self, port: u16, to: (IpAddr, u16)) -> bool {
        let mut mappings = self.inner.mappings.borrow_mut();
        let free = !mappings.contains_key(&port) && !self.inner.listeners.borrow().contains_key(&port);
        if free {
            mappings.insert(port, to);
        }
        free
    }

    /// Takes all mappings to an address back.
    pub fn unmap_ports(&self, to: IpAddr) {
        self.inner.mappings.borrow_mut().retain(|_, (address, _)| *address != to);
    }

    /// Takes the mapping of one port back.
    pub fn unmap_port(&self, port: u16) {
        self.inner.mappings.borrow_mut().remove(&port);
    }

    /// Ports that are listened on, in order.
    pub fn listening_ports(&self) -> Vec<u16> {
        self.inner.listeners.borrow().keys().copied().collect()
    }

    /// Leaves the network: all connections are reset.
    pub fn close(&self) {
        for wire in self.inner.wires.borrow_mut().drain(..) {
            wire.cut();
        }
        let mut state = self.inner.network.0.state.borrow_mut();
        for address in &self.inner.config.addresses {
            let own = state
                .interfaces
                .get(address)
                .is_some_and(|known| std::ptr::eq(known.as_ptr(), Rc::as_ptr(&self.inner)));
            if own {
                state.interfaces.remove(address);
            }
        }
    }

    /// Opens a connection to an address or a name, whose addresses are tried in turn while they refuse.
    ///
    /// # Errors
    /// When the name does not exist, nobody listens, or no answer came within [`CONNECT_TIMEOUT`].
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let addresses = self.resolve(host).await?;
        self.dial_any(host, &addresses, port).await
    }

    /// Opens a connection to one of a name's addresses.
    pub(crate) async fn dial_any(
        &self,
        host: &str,
        addresses: &[IpAddr],
        port: u16,
    ) -> Result<TcpStream, ConnectError> {
        let mut result = Err(ConnectError::NameNotFound(host.to_owned()));
        for address in addresses {
            result = self.dial(*address, port).await;
            if !matches!(result, Err(ConnectError::Refused | ConnectError::Unreachable)) {
                break;
            }
        }
        result
    }

    /// Opens a connection to an address.
    ///
    /// # Errors
    /// As [`Interface::connect`].
    pub async fn dial(&self, address: IpAddr, port: u16) -> Result<TcpStream, ConnectError> {
        if let Some((through, address, port)) = self.beyond(address, port) {
            return Box::pin(through.dial(address, port)).await;
        }
        let network = self.network().clone();
        let connection = {
            let mut state = network.0.state.borrow_mut();
            state.connections += 1;
            state.connections
        };
        let mut route = Route::find(self, address, port, Protocol::Tcp);
        if let Some(to) = route.outside.filter(|_| self.inner.config.node.is_none())
            && let Some(uplink) = network.uplink()
        {
            return self.dial_outside(connection, (address, port), to, route.service, uplink(to)).await;
        }
        if let Ok((inner, port)) = &route.target
            && !network.admits(self, inner, *port, Protocol::Tcp)
        {
            route.target = Err(ConnectError::TimedOut);
        }
        let to_node = route.target.as_ref().ok().and_then(|(inner, _)| inner.config.node.clone());
        let latency = network.latency(self.inner.config.node.as_deref(), to_node.as_deref());
        let lost = network.lost(self.inner.config.node.as_deref(), to_node.as_deref());
        if lost.is_none() {
            route.target = Err(ConnectError::TimedOut);
        }
        let wait = match &route.target {
            Err(ConnectError::TimedOut) => CONNECT_TIMEOUT,
            _ => latency * 2 + lost.unwrap_or_default(),
        };
        network.executor().sleep(wait).await;
        let listener = route.target.and_then(|(inner, port)| {
            let backlog = inner.listeners.borrow().get(&port).cloned();
            let backlog = backlog.filter(|backlog| address.is_loopback() || !backlog.on_loopback.get());
            backlog.map(|backlog| (inner, port, backlog)).ok_or(ConnectError::Refused)
        });
        let (target, target_port, backlog) = match listener {
            Ok(found) => found,
            Err(error) => {
                let failed = error.clone();
                network.trace(connection, &self.party, || HopEvent::Failed {
                    destination: (address, port),
                    service: route.service,
                    error: failed,
                });
                return Err(error);
            }
        };
        let server = backlog.party.borrow().clone().unwrap_or_else(|| self.party.clone());
        let target_address = target.config.addresses.first().copied().unwrap_or(address);
        let info = StreamInfo {
            connection,
            local: SocketAddr::new(self.address(), self.ephemeral_port()),
            remote: SocketAddr::new(target_address, target_port),
            dialled: SocketAddr::new(address, port),
            client: self.party.clone(),
            server: server.clone(),
            tls: backlog.tls.borrow().clone(),
            network: network.clone(),
        };
        let (client_end, server_end) = TcpStream::pair(info, route.source, latency);
        for inner in [&self.inner, &target] {
            let mut wires = inner.wires.borrow_mut();
            wires.retain(|wire| !wire.is_gone());
            wires.push(client_end.wire());
        }
        network.trace(connection, &self.party, || HopEvent::Connected {
            destination: (address, port),
            service: route.service,
            node: route.node,
            to: server,
        });
        backlog.push(server_end);
        Ok(client_end)
    }

    /// A connection to somebody in the network beyond the uplink.
    async fn dial_outside(
        &self,
        connection: u64,
        destination: (IpAddr, u16),
        to: SocketAddr,
        service: Entrance,
        dialled: LocalBoxFuture<'static, Option<Channels>>,
    ) -> Result<TcpStream, ConnectError> {
        let network = self.network().clone();
        let executor = network.executor().clone();
        let channels = match select(dialled, executor.sleep(CONNECT_TIMEOUT)).await {
            Either::Left((Some(channels), _)) => Ok(channels),
            Either::Left((None, _)) => Err(ConnectError::Refused),
            Either::Right(_) => Err(ConnectError::TimedOut),
        };
        let channels = channels.inspect_err(|error| {
            let error = error.clone();
            network.trace(connection, &self.party, || HopEvent::Failed {
                destination,
                service: service.clone(),
                error,
            });
        })?;
        let server = Party::Host(to.ip().to_string());
        let info = StreamInfo {
            connection,
            local: SocketAddr::new(self.address(), self.ephemeral_port()),
            remote: to,
            dialled: destination.into(),
            client: self.party.clone(),
            server: server.clone(),
            tls: None,
            network: network.clone(),
        };
        let (client_end, server_end) = TcpStream::pair(info, None, Duration::ZERO);
        network.trace(connection, &self.party, || HopEvent::Connected { destination, service, node: None, to: server });
        executor.spawn(bridge(server_end, channels, 0));
        Ok(client_end)
    }

    /// Sends an echo request to an address and waits for its answer: the time it took, and how many routers are in
    /// between. None without an answer in time, as from Services' addresses, which nobody has.
    pub async fn ping(&self, address: IpAddr, limit: Duration) -> Option<(Duration, u32)> {
        let network = self.network().clone();
        let own = address.is_loopback() || self.inner.config.addresses.contains(&address);
        let target = if own { Some(self.inner.clone()) } else { network.owner(address) };
        // No policy names port 0: those that name ports do not let ICMP pass.
        let target = target.filter(|target| own || network.admits(self, target, 0, Protocol::Tcp));
        let to = target.as_ref().and_then(|target| target.config.node.clone());
        let from = self.inner.config.node.clone();
        let lost = network.lost(from.as_deref(), to.as_deref()) != Some(Duration::ZERO);
        if target.is_none() || lost {
            network.executor().sleep(limit).await;
            return None;
        }
        let time = network.latency(from.as_deref(), to.as_deref()) * 2;
        network.executor().sleep(time.min(limit)).await;
        let hops = if own {
            0
        } else if from == to {
            1
        } else {
            2
        };
        (time <= limit).then_some((time, hops))
    }

    /// Where a connection leaves this network: at an address of another one, or at a port that leads
    /// there.
    fn beyond(&self, address: IpAddr, port: u16) -> Option<(Self, IpAddr, u16)> {
        let network = self.network();
        if let Some(through) = network.linked(address) {
            return Some((through, address, port));
        }
        let own = address.is_loopback() || self.inner.config.addresses.contains(&address);
        // Who listens here himself comes first.
        if !own || self.inner.listeners.borrow().contains_key(&port) {
            return None;
        }
        let (address, port) = self.inner.mappings.borrow().get(&port).copied()?;
        Some((network.linked(address)?, address, port))
    }

    /// The addresses of a name by the name servers and the search path.
    ///
    /// # Errors
    /// [`ConnectError::NameNotFound`].
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ConnectError> {
        if let Ok(address) = name.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(vec![address]);
        }
        if name == "localhost" {
            return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
        }
        let mut addresses = Vec::new();
        for candidate in self.resolv_conf().candidates(name) {
            let answer = self.query(&candidate, RecordType::A).await;
            let silent = answer == Answer::NoAnswer;
            addresses = self.chase(answer).await;
            if !addresses.is_empty() || silent {
                break;
            }
        }
        let found = addresses.clone();
        self.network().trace(0, &self.party, || HopEvent::Resolved { name: name.to_owned(), addresses: found });
        if addresses.is_empty() { Err(ConnectError::NameNotFound(name.to_owned())) } else { Ok(addresses) }
    }

    /// Asks the name servers for an absolute name, each twice at most: resolv.conf's defaults.
    pub async fn query(&self, name: &str, kind: RecordType) -> Answer {
        const ATTEMPTS: u32 = 2;
        let servers = &self.resolv_conf().nameservers;
        if servers.is_empty() {
            return self.query_outside(name, kind).await;
        }
        for _ in 0..ATTEMPTS {
            for server in servers {
                match self.ask(*server, name, kind).await {
                    Answer::NoAnswer => {}
                    answer => return answer,
                }
            }
        }
        Answer::NoAnswer
    }

    /// Asks one name server for an absolute name, and waits for as long as resolv.conf's default says.
    pub async fn ask(&self, server: IpAddr, name: &str, kind: RecordType) -> Answer {
        const WAIT: Duration = Duration::from_secs(5);
        const PORT: u16 = 53;
        if self.is_outside(server) {
            return self.query_outside(name, kind).await;
        }
        let executor = self.network().executor().clone();
        let Ok(socket) = self.bind(0) else { return Answer::NoAnswer };
        let id = u16::try_from(self.network().random() % 65_536).unwrap_or_default();
        let to = SocketAddr::new(server, PORT);
        let exchange = async {
            socket.send(to, Bytes::from(message::ask(id, name, kind))).await.ok()?;
            loop {
                let datagram = socket.receive().await;
                if let Some(reply) = message::read(&datagram.data, id).filter(|_| datagram.from == to) {
                    return Some(reply);
                }
            }
        };
        match select(Box::pin(exchange), executor.sleep(WAIT)).await {
            Either::Left((Some(reply), _)) => reply.answer,
            _ => Answer::NoAnswer,
        }
    }

    /// Whether an address is in the world outside: not private, and nobody's here.
    fn is_outside(&self, address: IpAddr) -> bool {
        let private = match address {
            IpAddr::V4(address) => address.is_private() || address.is_loopback() || address.is_link_local(),
            IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
        };
        !private && self.network().owner(address).is_none()
    }

    /// What name servers of the world outside say: of names that they know.
    pub(crate) async fn query_outside(&self, name: &str, kind: RecordType) -> Answer {
        let latency = self.network().latency(self.inner.config.node.as_deref(), None);
        self.network().executor().sleep(latency * 2).await;
        let world = self.network().0.state.borrow();
        let name = name.trim_end_matches('.');
        match world.world.get(name) {
            Some(address) if kind == RecordType::A => {
                Answer::Records(vec![Record { name: name.to_owned(), data: RecordData::Address(*address) }])
            }
            Some(_) => Answer::Records(Vec::new()),
            None => Answer::NxDomain,
        }
    }

    /// The forwarding tables that it goes by.
    pub(crate) fn tables(&self) -> Option<&SharedTables> {
        self.inner.config.tables.as_ref()
    }

    /// The addresses in an answer, through one alias.
    async fn chase(&self, answer: Answer) -> Vec<IpAddr> {
        let addresses = answer.addresses();
        let Answer::Records(records) = answer else { return addresses };
        if !addresses.is_empty() {
            return addresses;
        }
        match records.into_iter().next().map(|record| record.data) {
            Some(RecordData::Cname(target)) => self.query(&target, RecordType::A).await.addresses(),
            _ => addresses,
        }
    }

    pub(super) fn ephemeral_port(&self) -> u16 {
        let mut next = self.inner.next_port.borrow_mut();
        let (listeners, sockets) = (self.inner.listeners.borrow(), self.inner.sockets.borrow());
        loop {
            let port = *next;
            *next = port.checked_add(1).unwrap_or(EPHEMERAL_PORT_MIN);
            if !listeners.contains_key(&port) && !sockets.iter().any(|(taken, _)| *taken == port) {
                return port;
            }
        }
    }
}
