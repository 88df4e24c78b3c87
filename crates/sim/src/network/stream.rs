//! Connections and those who wait for them.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::trace::Party;
use super::{Network, Wire};
use crate::errno::Errno;
use crate::io::{self, Device, Fd, PipeReader, PipeWriter};
use crate::x509::Certificate;

/// One end of a connection: bytes both ways. It closes when the last handle is dropped.
#[derive(Clone)]
pub struct TcpStream(Rc<End>);

struct End {
    reader: PipeReader,
    writer: Rc<PipeWriter>,
    /// The other end's writer: to reset both ways.
    peer_writer: Weak<PipeWriter>,
    info: StreamInfo,
}

/// Who is connected with whom.
#[derive(Clone)]
pub struct StreamInfo {
    /// The connection's number in its network.
    pub connection: u64,
    /// The address of this end.
    pub local: SocketAddr,
    /// The address of the other end.
    pub remote: SocketAddr,
    /// What its opener dialled: a Service's address, where it leads on to a pod's.
    pub dialled: SocketAddr,
    /// Who opened the connection.
    pub client: Party,
    /// Who accepted it.
    pub server: Party,
    /// Whether the server speaks TLS, and what it presents. What passes is not encrypted here; but who speaks and
    /// who does not do not understand each other.
    pub tls: Option<Presents>,
    /// The network.
    pub network: Network,
}

/// The certificate that a server presents to who asks for a host; none where it is the cluster's own.
pub type Presents = Rc<dyn Fn(&str) -> Option<Rc<Certificate>>>;

impl TcpStream {
    /// The two ends of a connection: the client's, and the server's, who may see another address than the client's own.
    pub(super) fn pair(client: StreamInfo, seen: Option<IpAddr>, latency: Duration) -> (Self, Self) {
        let executor = client.network.executor().clone();
        let (up_reader, up_writer) = io::channel(&executor, latency);
        let (down_reader, down_writer) = io::channel(&executor, latency);
        let (up_writer, down_writer) = (Rc::new(up_writer), Rc::new(down_writer));
        let seen = SocketAddr::new(seen.unwrap_or(client.local.ip()), client.local.port());
        let server = StreamInfo { local: client.remote, remote: seen, ..client.clone() };
        let ends = (
            End {
                reader: down_reader,
                writer: up_writer.clone(),
                peer_writer: Rc::downgrade(&down_writer),
                info: client,
            },
            End { reader: up_reader, peer_writer: Rc::downgrade(&up_writer), writer: down_writer, info: server },
        );
        (Self(Rc::new(ends.0)), Self(Rc::new(ends.1)))
    }

    /// Who is connected with whom.
    pub fn info(&self) -> &StreamInfo {
        &self.0.info
    }

    /// A descriptor of it.
    pub fn fd(&self) -> Fd {
        Fd::new(self.clone())
    }

    /// Reads at most `max` bytes; no bytes is the end.
    ///
    /// # Errors
    /// [`Errno::ConnectionReset`].
    pub async fn read(&self, max: usize) -> Result<Bytes, Errno> {
        poll_fn(|cx| self.0.reader.poll_read(cx, max)).await
    }

    /// Writes everything.
    ///
    /// # Errors
    /// [`Errno::ConnectionReset`], or [`Errno::BrokenPipe`] when the other end is closed.
    pub async fn write_all(&self, data: &[u8]) -> Result<(), Errno> {
        self.fd().write_all(data).await
    }

    /// No more will be written; the other end reads what was written, then the end.
    pub fn shutdown(&self) {
        self.0.writer.close();
    }

    /// Tears the connection down: both ends fail.
    pub fn reset(&self) {
        self.wire().cut();
    }

    pub(super) fn wire(&self) -> Wire {
        Wire(vec![Rc::downgrade(&self.0.writer), self.0.peer_writer.clone()])
    }
}

impl Device for TcpStream {
    fn poll_read(&self, cx: &mut Context<'_>, max: usize) -> Poll<Result<Bytes, Errno>> {
        self.0.reader.poll_read(cx, max)
    }

    fn poll_write(&self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Errno>> {
        self.0.writer.poll_write(cx, data)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.writer.close();
    }
}

/// A port that is listened on, until dropped.
pub struct TcpListener {
    pub(super) queue: Rc<Backlog>,
    pub(super) release: Box<dyn Fn()>,
}

/// Connections that wait to be accepted.
#[derive(Default)]
pub(super) struct Backlog {
    pub(super) party: RefCell<Option<Party>>,
    pub(super) tls: RefCell<Option<Presents>>,
    /// Whether only who comes by loopback is let in.
    pub(super) on_loopback: Cell<bool>,
    waiting: RefCell<VecDeque<TcpStream>>,
    wakers: RefCell<Vec<Waker>>,
}

impl Backlog {
    pub(super) fn push(&self, stream: TcpStream) {
        self.waiting.borrow_mut().push_back(stream);
        for waker in self.wakers.borrow_mut().drain(..) {
            waker.wake();
        }
    }
}

impl TcpListener {
    /// The same port, at which TLS is spoken.
    pub fn with_tls(self, presents: Presents) -> Self {
        *self.queue.tls.borrow_mut() = Some(presents);
        self
    }

    /// The same port, for those on the same machine.
    pub fn on_loopback(self) -> Self {
        self.queue.on_loopback.set(true);
        self
    }

    /// Waits for the next connection.
    pub async fn accept(&self) -> TcpStream {
        poll_fn(|cx| match self.queue.waiting.borrow_mut().pop_front() {
            Some(stream) => Poll::Ready(stream),
            None => {
                self.queue.wakers.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        (self.release)();
        for stream in self.queue.waiting.borrow_mut().drain(..) {
            stream.reset();
        }
    }
}
