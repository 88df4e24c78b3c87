//! Frames in and out, and the sockets behind them.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use playground_agent::{
    API_PORT, DATA_BYTES_MAX, DIALLED, DNS_PORT, Frame, Kind, Program, WINDOW_BYTES, read_place, why,
};

use crate::namespace::{self, Job};

/// Datagrams whose answers are waited for; the oldest is given up for a new one.
const QUERIES_MAX: usize = 4096;
/// Connections at a time; further ones are closed at once.
const CONNECTIONS_MAX: usize = 512;
/// How long a connection that is dialled may take to be made.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Larger than any datagram.
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;

/// A connection's other half: what goes into its socket, and how much may come out of it.
struct Connection {
    socket: TcpStream,
    outgoing: Sender<Option<Vec<u8>>>,
    room: Mutex<usize>,
    more_room: Condvar,
    /// Directions that are still open.
    open: AtomicU32,
}

#[derive(Default)]
struct Shared {
    /// Held while a frame is written.
    out: Mutex<()>,
    queries: Mutex<VecDeque<(u32, SocketAddr)>>,
    connections: Mutex<BTreeMap<u32, Arc<Connection>>>,
    next: AtomicU32,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Writes a frame. When nobody reads any more, there is nothing left to do here.
    fn tell(&self, frame: &Frame) {
        let _one_at_a_time = locked(&self.out);
        let mut out = io::stdout().lock();
        if out.write_all(&frame.encode()).and_then(|()| out.flush()).is_err() {
            std::process::exit(0);
        }
    }

    fn next_id(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed) & !DIALLED
    }

    /// One direction of a connection has ended.
    fn ended(&self, id: u32, connection: &Connection) {
        if connection.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            locked(&self.connections).remove(&id);
        }
    }
}

/// Serves until standard input ends.
pub fn run() -> io::Result<()> {
    let open = |port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
    let listeners = [(DNS_PORT, open(DNS_PORT)?), (API_PORT, open(API_PORT)?)];
    let datagrams = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, DNS_PORT))?;
    let shared = Arc::<Shared>::default();
    shared.tell(&Frame::new(Kind::Ready, 0, []));
    let told = shared.clone();
    let jobs = namespace::start(move |id, outcome: Result<(), String>| {
        told.tell(&Frame::new(Kind::Programmed, id, outcome.err().unwrap_or_default()));
    })?;
    for (port, listener) in listeners {
        let shared = shared.clone();
        thread::spawn(move || accept(&shared, port, &listener));
    }
    let (asking, socket) = (shared.clone(), datagrams.try_clone()?);
    thread::spawn(move || questions(&asking, &socket));

    let mut input = io::stdin().lock();
    while let Some(frame) = Frame::read(&mut input)? {
        let connection = || locked(&shared.connections).get(&frame.id).cloned();
        match frame.kind {
            Kind::Program => match Program::decode(&frame.payload) {
                Some(program) => _ = jobs.send(Job { id: frame.id, program }),
                None => shared.tell(&Frame::new(Kind::Programmed, frame.id, "malformed")),
            },
            Kind::Answer => {
                let mut queries = locked(&shared.queries);
                if let Some(index) = queries.iter().position(|(id, _)| *id == frame.id)
                    && let Some((_, peer)) = queries.remove(index)
                {
                    // Who asked may be gone.
                    let _ = datagrams.send_to(&frame.payload, peer);
                }
            }
            Kind::Data => {
                if let Some(connection) = connection() {
                    let _ = connection.outgoing.send(Some(frame.payload));
                }
            }
            Kind::Shut => {
                if let Some(connection) = connection() {
                    let _ = connection.outgoing.send(None);
                }
            }
            Kind::Room => {
                if let Some(connection) = connection() {
                    *locked(&connection.room) += frame.bytes();
                    connection.more_room.notify_all();
                }
            }
            Kind::Dial => {
                let shared = shared.clone();
                thread::spawn(move || dial(&shared, &frame));
            }
            Kind::Ready | Kind::Programmed | Kind::Query | Kind::Open | Kind::Dialled => {}
        }
    }
    Ok(())
}

fn questions(shared: &Shared, socket: &UdpSocket) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        // An answer to somebody who was gone comes back as an error.
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else { continue };
        let id = shared.next_id();
        let mut queries = locked(&shared.queries);
        if queries.len() == QUERIES_MAX {
            queries.pop_front();
        }
        queries.push_back((id, peer));
        drop(queries);
        shared.tell(&Frame::new(Kind::Query, id, buffer.get(..length).unwrap_or_default()));
    }
}

fn accept(shared: &Arc<Shared>, port: u16, listener: &TcpListener) {
    for socket in listener.incoming() {
        let Ok(socket) = socket else { continue };
        let full = locked(&shared.connections).len() >= CONNECTIONS_MAX;
        if !full && let Err(error) = carry(shared, port, socket) {
            eprintln!("a connection to port {port}: {error}");
        }
    }
}

/// Opens a connection, and says what came of it.
fn dial(shared: &Arc<Shared>, frame: &Frame) {
    let connect = || -> io::Result<TcpStream> {
        let address = read_place(&frame.payload).ok_or(io::ErrorKind::InvalidInput)?;
        if locked(&shared.connections).len() >= CONNECTIONS_MAX {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        TcpStream::connect_timeout(&address.into(), DIAL_TIMEOUT)
    };
    let adopted = connect().and_then(|socket| adopt(shared, frame.id, socket, Kind::Dialled, &[]));
    if let Err(error) = adopted {
        shared.tell(&Frame::new(Kind::Dialled, frame.id, why(&error)));
    }
}

fn carry(shared: &Arc<Shared>, port: u16, socket: TcpStream) -> io::Result<()> {
    adopt(shared, shared.next_id(), socket, Kind::Open, &port.to_le_bytes())
}

/// Takes a connection in, says so, and carries its bytes both ways.
fn adopt(shared: &Arc<Shared>, id: u32, socket: TcpStream, kind: Kind, payload: &[u8]) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (from, to) = (socket.try_clone()?, socket.try_clone()?);
    let (outgoing, parts) = channel();
    let (room, more_room, open) = (Mutex::new(WINDOW_BYTES), Condvar::new(), AtomicU32::new(2));
    let connection = Arc::new(Connection { socket, outgoing, room, more_room, open });
    locked(&shared.connections).insert(id, connection.clone());
    shared.tell(&Frame::new(kind, id, payload));
    let (reading, read) = (shared.clone(), connection.clone());
    thread::spawn(move || {
        from_socket(&reading, id, &read, from);
        reading.ended(id, &read);
    });
    let writing = shared.clone();
    thread::spawn(move || {
        to_socket(&writing, id, &connection, &parts, to);
        writing.ended(id, &connection);
    });
    Ok(())
}

fn from_socket(shared: &Shared, id: u32, connection: &Connection, mut socket: TcpStream) {
    let mut buffer = vec![0; DATA_BYTES_MAX];
    loop {
        let mut room = locked(&connection.room);
        while *room == 0 {
            room = connection.more_room.wait(room).unwrap_or_else(PoisonError::into_inner);
        }
        let most = (*room).min(DATA_BYTES_MAX);
        drop(room);
        let length = socket.read(buffer.get_mut(..most).unwrap_or_default()).unwrap_or(0);
        let Some(data) = buffer.get(..length).filter(|data| !data.is_empty()) else { break };
        *locked(&connection.room) -= length;
        shared.tell(&Frame::new(Kind::Data, id, data));
    }
    shared.tell(&Frame::new(Kind::Shut, id, []));
}

fn to_socket(
    shared: &Shared,
    id: u32,
    connection: &Connection,
    parts: &Receiver<Option<Vec<u8>>>,
    mut socket: TcpStream,
) {
    let mut fails = false;
    while let Ok(Some(data)) = parts.recv() {
        // What cannot be written is thrown away, so that the other end learns of the failure only once.
        fails = fails || socket.write_all(&data).is_err();
        if fails {
            let _ = connection.socket.shutdown(Shutdown::Both);
        }
        shared.tell(&Frame::room(id, data.len()));
    }
    let _ = socket.shutdown(Shutdown::Write);
}
