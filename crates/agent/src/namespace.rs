//! What is to be in force in other network namespaces.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use playground_agent::Program;
use rustix::net::netlink::NETFILTER;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::link::{self, Uplink};
use crate::netlink::Socket;

/// Threads that enter namespaces: a commit waits for the kernel more than it works.
const WORKERS: usize = 4;
/// How long a process may take to become what it was started for, and how often that is looked at.
const EXEC_PATIENCE: Duration = Duration::from_secs(3);
const EXEC_INTERVAL: Duration = Duration::from_millis(2);

/// What to do for whom.
pub struct Job {
    pub id: u32,
    pub program: Program,
}

/// Starts the workers; `done` is told what came of each job.
///
/// # Errors
/// When this program's own namespace cannot be looked at.
pub fn start(done: impl Fn(u32, Result<(), String>) + Clone + Send + 'static) -> io::Result<Sender<Job>> {
    let uplink = Arc::new(Uplink::open()?);
    let home = Arc::new(File::open("/proc/self/ns/net")?);
    let (sender, receiver) = channel();
    let jobs: Arc<Mutex<Receiver<Job>>> = Arc::new(Mutex::new(receiver));
    for _ in 0..WORKERS {
        let (jobs, done, uplink, home) = (jobs.clone(), done.clone(), uplink.clone(), home.clone());
        thread::spawn(move || {
            loop {
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(Job { id, program }) = job else { return };
                let outcome = apply(&program, &uplink);
                // A namespace lives, with its link and its address, as long as somebody is in it.
                let back = move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network));
                done(id, outcome.and(back.map_err(io::Error::from)).map_err(|error| error.to_string()));
            }
        });
    }
    Ok(sender)
}

fn apply(program: &Program, uplink: &Uplink) -> io::Result<()> {
    let namespace = enter(program)?;
    if program.link.is_some() || program.held.is_some() {
        let inside = Socket::open(None)?;
        if let Some(link) = &program.link {
            link::make(uplink, &inside, &namespace, link)?;
        }
        if let Some(held) = &program.held {
            link::hold(&inside, held)?;
        }
    }
    // Errors come first, in order, then the acknowledgement of the one message that wants it.
    Socket::open(Some(NETFILTER))?.send(&program.batch)
}

/// Moves this thread into the namespace of a process, which is given back. One that Docker has just started may still be
/// the runtime's own, about to become what it was started for.
fn enter(program: &Program) -> io::Result<File> {
    let begun = Instant::now();
    loop {
        let namespace = File::open(format!("/proc/{}/ns/net", program.pid))?;
        // Looked at after the namespace was opened: a process that took the number over is another one, and
        // its namespace none of ours.
        let line = fs::read(format!("/proc/{}/cmdline", program.pid))?;
        if line.split(|byte| *byte == 0).any(|argument| argument == program.argument.as_bytes()) {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            return Ok(namespace);
        }
        if begun.elapsed() > EXEC_PATIENCE {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the process has ended"));
        }
        thread::sleep(EXEC_INTERVAL);
    }
}
