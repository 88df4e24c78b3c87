//! Netlink batches in other network namespaces.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use playground_agent::Program;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with, sockopt,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Threads that enter namespaces: a commit waits for the kernel more than it works.
const WORKERS: usize = 4;
/// How long the kernel may take to answer.
const ANSWER_SECONDS_MAX: u64 = 10;
/// How long a process may take to become what it was started for, and how often that is looked at.
const EXEC_PATIENCE: Duration = Duration::from_secs(3);
const EXEC_INTERVAL: Duration = Duration::from_millis(2);
/// Room for a batch, which must be sent at once.
const SEND_BYTES: usize = 8 * 1024 * 1024;
/// Length of a netlink message's header.
const HEADER_BYTES: usize = 16;
const NLMSG_ERROR: u16 = 2;

/// What to do for whom.
pub struct Job {
    pub id: u32,
    pub program: Program,
}

/// Starts the workers; `done` is told what came of each job.
pub fn start(done: impl Fn(u32, Result<(), String>) + Clone + Send + 'static) -> Sender<Job> {
    let (sender, receiver) = channel();
    let jobs: Arc<Mutex<Receiver<Job>>> = Arc::new(Mutex::new(receiver));
    for _ in 0..WORKERS {
        let (jobs, done) = (jobs.clone(), done.clone());
        thread::spawn(move || {
            loop {
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(Job { id, program }) = job else { return };
                done(id, apply(&program).map_err(|error| error.to_string()));
            }
        });
    }
    sender
}

fn apply(program: &Program) -> io::Result<()> {
    enter(program)?;
    let socket = open()?;
    let sent = send(&socket, &program.batch, SendFlags::empty())?;
    if sent != program.batch.len() {
        return Err(io::Error::other("the kernel took half of a batch"));
    }
    // Errors come first, in order, then the acknowledgement of the one message that wants it.
    let mut buffer = vec![0; 64 * 1024];
    let (length, _) = recv(&socket, buffer.as_mut_slice(), RecvFlags::empty())?;
    let code = first_error(buffer.get(..length).unwrap_or_default());
    match code.ok_or_else(|| io::Error::other("the kernel gave no answer"))? {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code.saturating_neg())),
    }
}

/// The code of an answer's first error; 0 is an acknowledgement.
fn first_error(answer: &[u8]) -> Option<i32> {
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes)?;
    let code = answer.get(HEADER_BYTES..HEADER_BYTES + 4).and_then(|bytes| bytes.try_into().ok());
    code.map(i32::from_le_bytes).filter(|_| kind == NLMSG_ERROR)
}

/// Moves this thread into the namespace of a process. One that Docker has just started may still be the runtime's own,
/// about to become what it was started for.
fn enter(program: &Program) -> io::Result<()> {
    let begun = Instant::now();
    loop {
        let namespace = File::open(format!("/proc/{}/ns/net", program.pid))?;
        // Looked at after the namespace was opened: a process that took the number over is another one, and
        // its namespace none of ours.
        let line = fs::read(format!("/proc/{}/cmdline", program.pid))?;
        if line.split(|byte| *byte == 0).any(|argument| argument == program.argument.as_bytes()) {
            return Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?);
        }
        if begun.elapsed() > EXEC_PATIENCE {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the process has ended"));
        }
        thread::sleep(EXEC_INTERVAL);
    }
}

fn open() -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(NETFILTER))?;
    // Beyond the system's limit where that is allowed.
    if sockopt::set_socket_send_buffer_size_force(&socket, SEND_BYTES).is_err() {
        sockopt::set_socket_send_buffer_size(&socket, SEND_BYTES)?;
    }
    let patience = Duration::from_secs(ANSWER_SECONDS_MAX);
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(patience))?;
    bind(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}
