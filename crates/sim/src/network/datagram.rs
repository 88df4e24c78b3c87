//! Datagrams: UDP sockets, and what a node's connection tracking does for them.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use machinery::{Timestamp, time};
use proxy::Protocol;

use super::interface::Inner;
use super::route::Route;
use super::{ConnectError, Interface};
use crate::errno::Errno;

/// How long a node remembers an exchange: `nf_conntrack_udp_timeout`.
const TRACKED: Duration = Duration::from_secs(30);
/// How many exchanges a socket has before old ones are forgotten.
const TRACKED_MAX: usize = 128;
/// How many datagrams wait for a reader; further ones are lost, as those that a socket's buffer does not hold.
const WAITING_MAX: usize = 1024;

/// A datagram that has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Who sent it: of an answer, whoever was asked, though a Service's endpoint answered.
    pub from: SocketAddr,
    /// What it holds.
    pub data: Bytes,
}

/// A UDP port that somebody has, until dropped.
pub struct UdpSocket {
    interface: Interface,
    port: u16,
    mailbox: Rc<Mailbox>,
}

/// What has arrived at a port.
#[derive(Default)]
pub(super) struct Mailbox {
    waiting: RefCell<VecDeque<Datagram>>,
    reader: RefCell<Option<Waker>>,
    flows: RefCell<Vec<Flow>>,
}

/// Somebody with whom datagrams were exchanged.
#[derive(Clone, Copy)]
struct Flow {
    /// Where they are.
    peer: SocketAddr,
    /// The address by which this side knows them: a Service's, say.
    known: SocketAddr,
    seen: Timestamp,
}

impl Mailbox {
    fn push(&self, from: SocketAddr, data: Bytes, now: Timestamp) {
        let known = {
            let flows = self.flows.borrow();
            flows.iter().find(|flow| flow.peer == from).map_or(from, |flow| flow.known)
        };
        self.note(from, known, now);
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() < WAITING_MAX {
            waiting.push_back(Datagram { from: known, data });
        }
        if let Some(reader) = self.reader.borrow_mut().take() {
            reader.wake();
        }
    }

    fn note(&self, peer: SocketAddr, known: SocketAddr, now: Timestamp) {
        let mut flows = self.flows.borrow_mut();
        flows.retain(|flow| flow.peer != peer && flow.known != known);
        if flows.len() >= TRACKED_MAX {
            flows.retain(|flow| time::since(flow.seen, now) < TRACKED);
        }
        flows.push(Flow { peer, known, seen: now });
    }

    /// Where somebody is with whom something was exchanged lately.
    fn tracked(&self, known: SocketAddr, now: Timestamp) -> Option<SocketAddr> {
        let flows = self.flows.borrow();
        let flow = flows.iter().find(|flow| flow.known == known)?;
        (time::since(flow.seen, now) < TRACKED).then_some(flow.peer)
    }
}

impl Interface {
    /// Takes a UDP port of all its addresses; 0 finds a free one.
    ///
    /// # Errors
    /// [`Errno::AddressInUse`].
    pub fn bind(&self, port: u16) -> Result<UdpSocket, Errno> {
        let port = if port == 0 { self.ephemeral_port() } else { port };
        let mut sockets = self.inner.sockets.borrow_mut();
        if sockets.iter().any(|(taken, _)| *taken == port) {
            return Err(Errno::AddressInUse);
        }
        let mailbox = Rc::new(Mailbox::default());
        sockets.push((port, mailbox.clone()));
        Ok(UdpSocket { interface: self.clone(), port, mailbox })
    }
}

impl UdpSocket {
    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits for the next datagram.
    pub async fn receive(&self) -> Datagram {
        poll_fn(|cx| match self.mailbox.waiting.borrow_mut().pop_front() {
            Some(datagram) => Poll::Ready(datagram),
            None => {
                *self.mailbox.reader.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// Sends a datagram. That it was sent does not mean that it arrives.
    ///
    /// # Errors
    /// [`ConnectError::Refused`] where nobody has the port, which the other side says in its own time, or a Service
    /// has no endpoint; [`ConnectError::Unreachable`] without a network.
    pub async fn send(&self, to: SocketAddr, data: Bytes) -> Result<(), ConnectError> {
        let (interface, network) = (&self.interface, self.interface.network().clone());
        let now = network.executor().now();
        let tracked = self.mailbox.tracked(to, now);
        let (target, port) = match tracked.and_then(|peer| Some((network.owner(peer.ip())?, peer.port()))) {
            Some(found) => found,
            None => match Route::find(interface, to.ip(), to.port(), Protocol::Udp).target {
                Ok((target, port)) if network.admits(interface, &target, port, Protocol::Udp) => (target, port),
                Ok(_) | Err(ConnectError::TimedOut) => return Ok(()),
                Err(error) => return Err(error),
            },
        };
        let address = target.config.addresses.first().copied().unwrap_or(to.ip());
        self.mailbox.note(SocketAddr::new(address, port), to, now);
        let (from, to) = (interface.inner.config.node.as_deref(), target.config.node.as_deref());
        let latency = network.latency(from, to);
        if network.lost(from, to) != Some(Duration::ZERO) {
            return Ok(());
        }
        let Some(mailbox) = mailbox_of(&target, port) else {
            network.executor().sleep(latency * 2).await;
            return Err(ConnectError::Refused);
        };
        let source = SocketAddr::new(interface.address(), self.port);
        let executor = network.executor().clone();
        network.executor().spawn(async move {
            executor.sleep(latency).await;
            mailbox.push(source, data, executor.now());
        });
        Ok(())
    }
}

fn mailbox_of(inner: &Inner, port: u16) -> Option<Rc<Mailbox>> {
    inner.sockets.borrow().iter().find(|(taken, _)| *taken == port).map(|(_, mailbox)| mailbox.clone())
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        self.interface.inner.sockets.borrow_mut().retain(|(_, mailbox)| !Rc::ptr_eq(mailbox, &self.mailbox));
    }
}
