//! The simulated network: addresses, connections, and the way they take through Services.
//!
//! Each pod, node and computer has an [`Interface`]: a network namespace with addresses and listeners.
//! A connection goes through the forwarding tables of the client's node ([`proxy::Tables`]), as on a
//! real node, then to the interface that owns the address. Names are answered by [`proxy::dns`].

mod bridge;
mod datagram;
mod error;
pub mod http;
mod interface;
mod route;
mod stream;
mod trace;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::LocalBoxFuture;
use machinery::ObjectKey;
use machinery::random::Rng;
use machinery::wire::Channels;
use proxy::{Affinity, Protocol, SharedPolicies, Via};

use crate::executor::Executor;
use crate::io::PipeWriter;
pub use bridge::bridge;
pub use datagram::{Datagram, UdpSocket};
pub use error::ConnectError;
use interface::Inner;
pub use interface::{CONNECT_TIMEOUT, Interface, InterfaceConfig};
pub use stream::{Presents, StreamInfo, TcpListener, TcpStream};
pub use trace::{Hop, HopEvent, Party};

/// How many hops a subscriber may be behind before it loses some.
const HOPS_QUEUED_MAX: usize = 4096;

/// Opens a connection to an address beyond this network; channel 0 carries the bytes. None if nobody answers there.
pub type Uplink = Rc<dyn Fn(SocketAddr) -> LocalBoxFuture<'static, Option<Channels>>>;

/// A network. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Network(Rc<Shared>);

struct Shared {
    executor: Executor,
    state: RefCell<State>,
}

struct State {
    rng: Rng,
    interfaces: BTreeMap<IpAddr, Weak<Inner>>,
    /// The nodes' addresses.
    nodes: BTreeMap<String, IpAddr>,
    /// Names of the world outside the cluster.
    world: BTreeMap<String, IpAddr>,
    /// Addresses of other networks, each with a namespace there from which it can be reached.
    neighbours: BTreeMap<IpAddr, Interface>,
    uplink: Option<Uplink>,
    affinity: BTreeMap<Option<String>, Affinity>,
    subscribers: Vec<mpsc::Sender<Hop>>,
    connections: u64,
    policies: Option<SharedPolicies>,
    /// Where connections to ports of nodes and computers go that nobody else takes.
    gateways: Vec<(u16, (IpAddr, u16))>,
    /// Troubles of nodes' links.
    links: Vec<(String, Link)>,
}

/// What is wrong with a node's link to everybody else.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// Added to the time that each packet takes.
    pub delay: Duration,
    /// Share of packets that are lost, 0 to 1.
    pub loss: f64,
}

/// Both directions of a connection, to tear it down.
pub(crate) struct Wire(pub(crate) Vec<Weak<PipeWriter>>);

impl Wire {
    fn cut(&self) {
        for writer in self.0.iter().filter_map(Weak::upgrade) {
            writer.reset();
        }
    }

    fn is_gone(&self) -> bool {
        self.0.iter().all(|writer| writer.strong_count() == 0)
    }
}

impl Network {
    /// A network without anybody in it.
    pub fn new(executor: &Executor, rng: Rng) -> Self {
        let state = State {
            rng,
            interfaces: BTreeMap::new(),
            nodes: BTreeMap::new(),
            world: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            uplink: None,
            affinity: BTreeMap::new(),
            subscribers: Vec::new(),
            connections: 0,
            policies: None,
            gateways: Vec::new(),
            links: Vec::new(),
        };
        Self(Rc::new(Shared { executor: executor.clone(), state: RefCell::new(state) }))
    }

    /// The event loop.
    pub fn executor(&self) -> &Executor {
        &self.0.executor
    }

    /// Joins the network.
    pub fn attach(&self, party: Party, config: InterfaceConfig) -> Interface {
        let addresses = config.addresses.clone();
        let node = config.node.clone().filter(|_| config.is_node).zip(addresses.first().copied());
        let inner = Rc::new(Inner::new(self, config));
        let mut state = self.0.state.borrow_mut();
        state.nodes.extend(node);
        for address in addresses {
            state.interfaces.insert(address, Rc::downgrade(&inner));
        }
        drop(state);
        Interface::new(inner, party)
    }

    /// Whether somebody here has that address.
    pub fn has(&self, address: IpAddr) -> bool {
        self.owner(address).is_some()
    }

    /// Gives a name of the outside world an address.
    pub fn add_name(&self, name: &str, address: IpAddr) {
        self.0.state.borrow_mut().world.insert(name.to_owned(), address);
    }

    /// Lets policies decide which connections are made.
    pub fn set_policies(&self, policies: SharedPolicies) {
        self.0.state.borrow_mut().policies = Some(policies);
    }

    /// Leads a port of all nodes and computers, where nobody else takes it, to an address.
    pub fn set_gateway(&self, port: u16, to: (IpAddr, u16)) {
        self.0.state.borrow_mut().gateways.push((port, to));
    }

    /// Leads connections of computers to addresses that nobody has here elsewhere.
    pub fn set_uplink(&self, uplink: Uplink) {
        self.0.state.borrow_mut().uplink = Some(uplink);
    }

    fn uplink(&self) -> Option<Uplink> {
        self.0.state.borrow().uplink.clone()
    }

    /// Makes a node's link slow or lossy; the default link is a sound one.
    pub fn set_link(&self, node: &str, link: Link) {
        let mut state = self.0.state.borrow_mut();
        state.links.retain(|(known, _)| known != node);
        if link != Link::default() {
            state.links.push((node.to_owned(), link));
        }
    }

    /// Links that are not sound.
    pub fn links(&self) -> Vec<(String, Link)> {
        self.0.state.borrow().links.clone()
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        self.0.state.borrow_mut().rng.next_u64()
    }

    fn gateway(&self, port: u16) -> Option<(Rc<Inner>, u16)> {
        let to = self.0.state.borrow().gateways.iter().find(|(known, _)| *known == port).map(|(_, to)| *to)?;
        Some((self.owner(to.0)?, to.1))
    }

    /// Whether policies let a connection pass. A pod's own node may always reach it.
    fn admits(&self, from: &Interface, to: &Inner, port: u16, protocol: Protocol) -> bool {
        let state = self.0.state.borrow();
        let Some(policies) = &state.policies else { return true };
        let policies = policies.borrow();
        let Some(target) = to.config.addresses.first().filter(|_| !policies.is_empty()) else { return true };
        let own_node = matches!(from.party(), Party::Node(_)) && from.inner.config.node == to.config.node;
        let same = from.inner.config.addresses.first() == Some(target);
        own_node || same || policies.allows(&policies.peer(from.address()), &policies.peer(*target), port, protocol)
    }

    /// How long the lost packets of an exchange between two places delay it: each is sent again after a
    /// second, then two, and so on. None if too many are lost.
    fn lost(&self, from: Option<&str>, to: Option<&str>) -> Option<Duration> {
        const TRIES: u32 = 6;
        let mut state = self.0.state.borrow_mut();
        let loss = state.trouble(from, to).loss;
        if loss <= 0.0 {
            return Some(Duration::ZERO);
        }
        let mut delay = Duration::ZERO;
        for attempt in 0..TRIES {
            let sample = (state.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
            if sample >= loss {
                return Some(delay);
            }
            delay += Duration::from_secs(1 << attempt);
        }
        None
    }

    /// Makes an address of another network reachable, by an interface of that network; `None` ends it.
    pub fn set_neighbour(&self, address: IpAddr, through: Option<Interface>) {
        let neighbours = &mut self.0.state.borrow_mut().neighbours;
        match through {
            Some(through) => _ = neighbours.insert(address, through),
            None => _ = neighbours.remove(&address),
        }
    }

    /// Where an address of another network is reached.
    fn linked(&self, address: IpAddr) -> Option<Interface> {
        self.0.state.borrow().neighbours.get(&address).cloned()
    }

    /// What passes from now on. A subscriber that does not keep up loses hops.
    pub fn subscribe(&self) -> mpsc::Receiver<Hop> {
        let (sender, receiver) = mpsc::channel(HOPS_QUEUED_MAX);
        self.0.state.borrow_mut().subscribers.push(sender);
        receiver
    }

    fn trace(&self, connection: u64, from: &Party, event: impl FnOnce() -> HopEvent) {
        let mut state = self.0.state.borrow_mut();
        state.subscribers.retain(|subscriber| !subscriber.is_closed());
        if state.subscribers.is_empty() {
            return;
        }
        let hop = Hop { time: self.0.executor.now(), connection, from: from.clone(), event: event() };
        for subscriber in &mut state.subscribers {
            let _ = subscriber.try_send(hop.clone());
        }
    }

    /// The address that a node puts in the place of a client's on the way to somebody: that of the interface by which
    /// it gets there. A balancer's clients come by the first node that is there.
    fn masquerade(&self, node: Option<&str>, to: &Inner) -> Option<IpAddr> {
        let state = self.0.state.borrow();
        let is_there = |address: &IpAddr| state.interfaces.get(address).is_some_and(|inner| inner.strong_count() > 0);
        let (name, own) = match node {
            Some(name) => state.nodes.get_key_value(name)?,
            None => state.nodes.iter().find(|(_, address)| is_there(address))?,
        };
        let near = to.config.node.as_ref() == Some(name) && !to.config.is_node;
        Some(if near { gateway_of(*to.config.addresses.first()?) } else { *own })
    }

    fn owner(&self, address: IpAddr) -> Option<Rc<Inner>> {
        self.0.state.borrow().interfaces.get(&address).and_then(Weak::upgrade)
    }

    /// The time a packet takes between two places, with some jitter.
    fn latency(&self, from: Option<&str>, to: Option<&str>) -> Duration {
        const SAME_NODE_US: u64 = 40;
        const OTHER_NODE_US: u64 = 250;
        let base = if from == to { SAME_NODE_US } else { OTHER_NODE_US };
        let mut state = self.0.state.borrow_mut();
        let trouble = state.trouble(from, to);
        Duration::from_micros(state.rng.jitter(base, 50)) + trouble.delay
    }
}

impl State {
    /// What is wrong between two places: the troubles of both nodes' links, unless they are one.
    fn trouble(&self, from: Option<&str>, to: Option<&str>) -> Link {
        if from == to {
            return Link::default();
        }
        let ends = self.links.iter().filter(|(node, _)| Some(node.as_str()) == from || Some(node.as_str()) == to);
        ends.fold(Link::default(), |sum, (_, link)| Link {
            delay: sum.delay + link.delay,
            loss: 1.0 - (1.0 - sum.loss) * (1.0 - link.loss),
        })
    }
}

/// The address that a node has in the range of its pods: the first.
fn gateway_of(pod: IpAddr) -> IpAddr {
    match pod {
        IpAddr::V4(pod) => {
            let [a, b, c, _] = pod.octets();
            IpAddr::from([a, b, c, 1])
        }
        IpAddr::V6(_) => pod,
    }
}

/// A Service and the door by which a connection entered it.
type Entrance = Option<(ObjectKey, Via)>;
