//! Processes: programs running on a [`Machine`].

pub mod capabilities;
mod endless;
mod environment;
mod machine;
mod namespace;
mod proc;
mod signal;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::future::LocalBoxFuture;

use crate::errno::Errno;
use crate::fs::{self, Fs};
use crate::io::Fd;
pub use environment::Environment;
pub use machine::{Completer, ExecError, Executable, Machine, MachineConfig, Programs, Restrictions, Spawn};
pub use namespace::{ProcessInfo, Processes};
pub use signal::{SIGNALS, Signal, Signals};

/// A process' number.
pub type Pid = u32;

/// Something that can be run: a future made from a process, whose output is the exit code.
///
/// A program holds nothing beyond its process: when the process is killed, the future is dropped where
/// it stands.
pub trait Program {
    /// Starts the program.
    fn run(&self, process: Process) -> LocalBoxFuture<'static, i32>;
}

impl<F, T> Program for F
where
    F: Fn(Process) -> T,
    T: Future<Output = i32> + 'static,
{
    fn run(&self, process: Process) -> LocalBoxFuture<'static, i32> {
        Box::pin(self(process))
    }
}

/// A running program's own view: arguments, environment, descriptors, and the machine it runs on.
pub struct Process {
    /// The machine.
    pub machine: Machine,
    /// The machine's files, as its user sees them.
    pub fs: Fs,
    /// Its number.
    pub pid: Pid,
    /// Arguments; the first is the program's name.
    pub args: Vec<String>,
    /// Environment.
    pub env: Environment,
    /// Working directory, absolute.
    pub cwd: String,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Descriptors: 0, 1, 2 and whatever else its parent gave.
    pub fds: BTreeMap<u32, Fd>,
    /// Its signals.
    pub signals: Signals,
}

impl Process {
    /// The program's name as it was called, without folders.
    pub fn name(&self) -> &str {
        self.args.first().map_or("", |path| fs::file_name(path))
    }

    /// The arguments after the program's name.
    pub fn operands(&self) -> &[String] {
        self.args.get(1..).unwrap_or_default()
    }

    /// Starts a command as a child, with this process' environment, folder and user; in a group of its own unless
    /// one is given.
    ///
    /// # Errors
    /// When there is no such program, or it cannot be run.
    pub fn spawn(&self, command: &[String], fds: BTreeMap<u32, Fd>, group: Option<Pid>) -> Result<Child, ExecError> {
        let found = self.machine.find(command, &self.env, &self.cwd)?;
        Ok(self.machine.spawn(Spawn {
            program: found.program,
            args: found.args,
            env: self.env.clone(),
            cwd: self.cwd.clone(),
            uid: self.uid,
            gid: self.gid,
            fds,
            parent: self.pid,
            group,
        }))
    }

    /// A descriptor; one that is closed behaves as such.
    pub fn fd(&self, number: u32) -> Fd {
        self.fds.get(&number).cloned().unwrap_or_else(|| Fd::new(Closed))
    }

    /// Standard input.
    pub fn stdin(&self) -> Fd {
        self.fd(0)
    }

    /// Standard output.
    pub fn stdout(&self) -> Fd {
        self.fd(1)
    }

    /// Standard error.
    pub fn stderr(&self) -> Fd {
        self.fd(2)
    }

    /// Writes to standard output. False when nobody reads it any more: the program should end.
    pub async fn print(&self, text: impl AsRef<[u8]>) -> bool {
        let written = self.stdout().write_all(text.as_ref()).await;
        if written == Err(Errno::NoSpace) {
            self.eprint(format!("{}: write error: {}\n", self.name(), Errno::NoSpace)).await;
        }
        written.is_ok()
    }

    /// Writes to standard error; that this may fail is nobody's concern.
    pub async fn eprint(&self, text: impl AsRef<[u8]>) {
        let _ = self.stderr().write_all(text.as_ref()).await;
    }

    /// Writes `<name>: <message>` to standard error and gives the exit code back.
    pub async fn fail(&self, code: i32, message: impl fmt::Display) -> i32 {
        self.eprint(format!("{}: {message}\n", self.name())).await;
        code
    }

    /// The machine's file system, as its user sees it.
    pub fn fs(&self) -> &Fs {
        &self.fs
    }

    /// A path as an absolute one.
    pub fn path(&self, path: &str) -> String {
        fs::absolute(&self.cwd, path)
    }

    /// An environment variable; empty if unset.
    pub fn var(&self, name: &str) -> &str {
        self.env.get(name).map_or("", String::as_str)
    }

    /// Waits.
    pub async fn sleep(&self, duration: Duration) {
        self.machine.executor().sleep(duration).await;
    }

    /// Opens a file for reading; `-` is standard input.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn open(&self, path: &str) -> Result<Fd, Errno> {
        match path {
            "-" | "/dev/stdin" => Ok(self.stdin()),
            _ => {
                if let Some(number) = path.strip_prefix("/dev/fd/").and_then(|number| number.parse().ok()) {
                    return Ok(self.fd(number));
                }
                if self.fs().is_dir(&self.path(path)) {
                    return Err(Errno::IsADirectory);
                }
                self.machine.open(&self.fs, &self.path(path), fs::Mode::Read)
            }
        }
    }
}

struct Closed;

impl crate::io::Device for Closed {}

/// A process somebody waits for.
#[derive(Clone)]
pub struct Child {
    /// Its number.
    pub pid: Pid,
    exit: Rc<Exit>,
    signals: Signals,
}

#[derive(Default)]
struct Exit {
    code: Cell<Option<i32>>,
    wakers: RefCell<Vec<Waker>>,
}

impl Child {
    /// Waits for the end; the exit code, 128 + signal for a process that was killed.
    pub async fn wait(&self) -> i32 {
        poll_fn(|cx| match self.exit.code.get() {
            Some(code) => Poll::Ready(code),
            None => {
                signal::register(&mut self.exit.wakers.borrow_mut(), cx.waker());
                Poll::Pending
            }
        })
        .await
    }

    /// Waits for the end, or until it stands still: then there is no exit code.
    pub async fn wait_or_stop(&self) -> Option<i32> {
        poll_fn(|cx| {
            if let Some(code) = self.exit.code.get() {
                return Poll::Ready(Some(code));
            }
            signal::register(&mut self.exit.wakers.borrow_mut(), cx.waker());
            if self.signals.poll_stopped(cx) { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }

    /// Whether it stands still.
    pub fn is_stopped(&self) -> bool {
        self.exit_code().is_none() && self.signals.is_stopped()
    }

    /// The signal that ended it, if one did.
    pub fn killed_by(&self) -> Option<Signal> {
        self.signals.killed_by()
    }

    /// The exit code, if it has ended.
    pub fn exit_code(&self) -> Option<i32> {
        self.exit.code.get()
    }
}

impl Exit {
    fn set(&self, code: i32) {
        self.code.set(Some(code));
        for waker in self.wakers.borrow_mut().drain(..) {
            waker.wake();
        }
    }
}
