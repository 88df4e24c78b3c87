//! The simulated network: addresses, connections, and the way they take through Services.
//!
//! Each pod, node and computer has an [`Interface`]: a network namespace with addresses and listeners.
//! A connection goes through the forwarding tables of the client's node ([`proxy::Tables`]), as on a
//! real node, then to the interface that owns the address. Names are answered by [`proxy::dns`].

mod bridge;
mod error;
pub mod http;
mod interface;
mod route;
mod stream;
mod trace;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures::channel::mpsc;
use machinery::ObjectKey;
use machinery::random::Rng;
use proxy::{Affinity, Via};

use crate::executor::Executor;
use crate::io::PipeWriter;
pub use bridge::bridge;
pub use error::ConnectError;
use interface::Inner;
pub use interface::{CONNECT_TIMEOUT, Interface, InterfaceConfig};
pub use stream::{StreamInfo, TcpListener, TcpStream};
pub use trace::{Hop, HopEvent, Party};

/// How many hops a subscriber may be behind before it loses some.
const HOPS_QUEUED_MAX: usize = 4096;

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
    /// Names of the world outside the cluster.
    world: BTreeMap<String, IpAddr>,
    affinity: BTreeMap<Option<String>, Affinity>,
    subscribers: Vec<mpsc::Sender<Hop>>,
    connections: u64,
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
            world: BTreeMap::new(),
            affinity: BTreeMap::new(),
            subscribers: Vec::new(),
            connections: 0,
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
        let inner = Rc::new(Inner::new(self, config));
        let mut state = self.0.state.borrow_mut();
        for address in addresses {
            state.interfaces.insert(address, Rc::downgrade(&inner));
        }
        drop(state);
        Interface::new(inner, party)
    }

    /// Gives a name of the outside world an address.
    pub fn add_name(&self, name: &str, address: IpAddr) {
        self.0.state.borrow_mut().world.insert(name.to_owned(), address);
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

    fn owner(&self, address: IpAddr) -> Option<Rc<Inner>> {
        self.0.state.borrow().interfaces.get(&address).and_then(Weak::upgrade)
    }

    /// The time a packet takes between two places, with some jitter.
    fn latency(&self, from: Option<&str>, to: Option<&str>) -> Duration {
        const SAME_NODE_US: u64 = 40;
        const OTHER_NODE_US: u64 = 250;
        let base = if from == to { SAME_NODE_US } else { OTHER_NODE_US };
        Duration::from_micros(self.0.state.borrow_mut().rng.jitter(base, 50))
    }
}

/// A Service and the door by which a connection entered it.
type Entrance = Option<(ObjectKey, Via)>;
