//! The way of a connection: through forwarding tables to the namespace that owns the address.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use proxy::{Forward, Protocol, Source};

use super::{ConnectError, Entrance, Inner, Interface};

/// Where a connection goes.
pub(super) struct Route {
    /// The Service that took it.
    pub(super) service: Entrance,
    /// The node whose tables decided, where a Service took it.
    pub(super) node: Option<String>,
    /// The namespace and port it ends at.
    pub(super) target: Result<(Rc<Inner>, u16), ConnectError>,
    /// Where it leads, if nobody in this network is there.
    pub(super) outside: Option<SocketAddr>,
    /// The address in the place of the client's, where a node has put one there.
    pub(super) source: Option<IpAddr>,
}

/// Where kube-proxy tells of its health, and of Services' endpoints at their `healthCheckNodePort`.
const HEALTH: u16 = 10256;

/// A door to look for in the tables.
enum Door<'a> {
    Address(IpAddr),
    Host(&'a str),
    NodePort,
}

impl Route {
    /// The way from an interface to an address.
    pub(super) fn find(from: &Interface, address: IpAddr, port: u16, protocol: Protocol) -> Self {
        let inner = &from.inner;
        // What is mapped and what gateways lead to is TCP.
        let tcp = protocol == Protocol::Tcp;
        let own = address.is_loopback() || inner.config.addresses.contains(&address);
        if own && inner.listens(port, protocol) {
            return Self::direct(Ok((inner.clone(), port)));
        }
        let node = inner.config.node.as_deref();
        if address.is_loopback() {
            // Of a computer outside the cluster, localhost has the doors a desktop cluster opens there;
            // on a node, its node ports.
            let doors = if node.is_none() { &[Door::Host("localhost"), Door::NodePort][..] } else { &[Door::NodePort] };
            let found = doors.iter().find_map(|door| Self::forward(from, node, door, port, protocol));
            let mapped = || inner.mapped(port).or_else(|| from.network().gateway(port)).filter(|_| tcp);
            let other = || mapped().ok_or(ConnectError::Refused);
            let told = || Self::health_check(from, inner, port, protocol);
            return found.or_else(told).unwrap_or_else(|| Self::direct(other()));
        }
        if let Some(route) = Self::forward(from, node, &Door::Address(address), port, protocol) {
            return route;
        }
        let Some(owner) = from.network().owner(address) else {
            let error =
                if inner.config.addresses.is_empty() { ConnectError::Unreachable } else { ConnectError::TimedOut };
            return Self { outside: Some(SocketAddr::new(address, port)), ..Self::direct(Err(error)) };
        };
        if owner.listens(port, protocol) {
            return Self::direct(Ok((owner, port)));
        }
        if let Some(target) = owner.mapped(port).filter(|_| tcp) {
            return Self::direct(Ok(target));
        }
        // A node's address: its node ports, by its own tables.
        let is_node = owner.config.is_node;
        let by_node = is_node
            .then(|| Self::forward(from, owner.config.node.as_deref(), &Door::NodePort, port, protocol))
            .flatten();
        let gateway = || if is_node && tcp { from.network().gateway(port) } else { None };
        let told = || Self::health_check(from, &owner, port, protocol);
        by_node.or_else(told).unwrap_or_else(|| Self::direct(Ok(gateway().unwrap_or((owner.clone(), port)))))
    }

    fn direct(target: Result<(Rc<Inner>, u16), ConnectError>) -> Self {
        Self { service: None, node: None, target, outside: None, source: None }
    }

    /// To the kube-proxy of a node, at a port where it tells of a Service's endpoints.
    fn health_check(from: &Interface, node: &Rc<Inner>, port: u16, protocol: Protocol) -> Option<Self> {
        let tables = from.inner.config.tables.as_ref()?.borrow();
        let told = node.config.is_node && protocol == Protocol::Tcp && tables.health_check(port).is_some();
        told.then(|| Self::direct(Ok((node.clone(), HEALTH))))
    }

    fn forward(from: &Interface, node: Option<&str>, door: &Door<'_>, port: u16, protocol: Protocol) -> Option<Self> {
        let tables = from.inner.config.tables.as_ref()?.borrow();
        let network = from.network();
        let mut state = network.0.state.borrow_mut();
        let source = Source {
            address: from.address(),
            node,
            internal: from.inner.config.node.is_some(),
            now: network.executor().now(),
            random: state.rng.next_u64(),
        };
        let affinity = state.affinity.entry(node.map(str::to_owned)).or_default();
        let forward = match door {
            Door::Address(address) => tables.forward(*address, port, protocol, source, affinity),
            Door::Host(host) => tables.forward_host(host, port, protocol, source, affinity),
            Door::NodePort => tables.forward_node_port(port, protocol, source, affinity),
        };
        drop(state);
        let (mut outside, mut seen) = (None, None);
        let (service, target) = match forward {
            Forward::Direct => return None,
            Forward::To { rule, via, endpoint, masqueraded } => {
                let owner = network.owner(endpoint.address);
                seen = owner.as_ref().filter(|_| masqueraded).and_then(|owner| network.masquerade(node, owner));
                outside = owner.is_none().then(|| SocketAddr::new(endpoint.address, endpoint.port));
                let target = owner.map(|inner| (inner, endpoint.port)).ok_or(ConnectError::TimedOut);
                (Some((rule.service.clone(), via)), target)
            }
            Forward::Reject { service, via } => (Some((service.clone(), via)), Err(ConnectError::Refused)),
            Forward::Drop { .. } => (None, Err(ConnectError::TimedOut)),
        };
        Some(Self { service, node: node.map(str::to_owned), target, outside, source: seen })
    }
}

impl Inner {
    /// Whether somebody has a port.
    fn listens(&self, port: u16, protocol: Protocol) -> bool {
        match protocol {
            Protocol::Udp => self.sockets.borrow().iter().any(|(taken, _)| *taken == port),
            _ => self.listeners.borrow().contains_key(&port),
        }
    }

    /// The end of a port that is mapped elsewhere.
    fn mapped(&self, port: u16) -> Option<(Rc<Inner>, u16)> {
        let (address, port) = self.mappings.borrow().get(&port).copied()?;
        Some((self.network.owner(address)?, port))
    }
}
