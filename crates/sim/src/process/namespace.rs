//! PID namespaces: which processes see one another, and by which numbers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use machinery::Timestamp;

use super::Pid;
use super::environment::Environment;
use super::machine::Shared;
use super::signal::Signals;
use crate::fs;
use crate::io::Fd;

/// How many processes a pod has at most, or a person's own computer: the kubelet's `podPidsLimit` in the order of its
/// usual size, and systemd's `TasksMax`.
const PIDS_MAX: usize = 4096;
/// How many a node has, with those of its pods: the kernel's `pid_max` where it is not raised.
const NODE_PIDS_MAX: usize = 32768;

/// A PID namespace: the processes that see one another. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Processes(pub(super) Rc<Table>);

pub(super) struct Table {
    /// Boxed: a map has room for eleven, most containers have one or two.
    pub(super) rows: RefCell<BTreeMap<Pid, Box<Row>>>,
    next_pid: Cell<Pid>,
    /// How many processes there are at most.
    max: usize,
    /// The namespace around it, where its processes have other numbers.
    outside: Option<Processes>,
}

impl Drop for Table {
    fn drop(&mut self) {
        if let Some(outside) = &self.outside {
            let mut rows = outside.0.rows.borrow_mut();
            for row in self.rows.get_mut().values() {
                rows.remove(&row.outside);
            }
        }
    }
}

impl Processes {
    /// A namespace without processes, whose first has a number.
    pub(super) fn from(first_pid: Pid) -> Self {
        Self::made(first_pid, PIDS_MAX, None)
    }

    fn made(first_pid: Pid, max: usize, outside: Option<Self>) -> Self {
        Self(Rc::new(Table { rows: RefCell::default(), next_pid: Cell::new(first_pid), max, outside }))
    }

    /// A container's own namespace, whose processes are seen here too.
    pub fn inside(&self) -> Self {
        Self::made(1, PIDS_MAX, Some(self.clone()))
    }

    /// The namespace of a pod whose containers share it: its first process is the sandbox's. They are seen here too.
    pub fn of_pod(&self, now: Timestamp) -> Self {
        // What made the pod had the numbers between.
        let processes = Self::made(8, PIDS_MAX, Some(self.clone()));
        let args = vec!["/pause".to_owned()];
        let (id, terminal) = (65535, false);
        let info = ProcessInfo { pid: 1, parent: 0, group: 1, uid: id, gid: id, args, started_at: now, terminal };
        processes.insert(Row::idle(info));
        processes
    }

    /// Whether there is no room for another process: in the pod, or on its node.
    pub(super) fn is_full(&self) -> bool {
        self.0.rows.borrow().len() >= self.0.max || self.0.outside.as_ref().is_some_and(Self::is_full)
    }

    /// Takes a process in, also outside.
    pub(super) fn insert(&self, mut row: Row) {
        if let Some(outside) = &self.0.outside {
            let rows = self.0.rows.borrow();
            let number = |pid: Pid| rows.get(&pid).map_or(1, |row| row.outside);
            let pid = outside.next_pid();
            let info = &row.info;
            let group = if info.group == info.pid { pid } else { number(info.group) };
            let info = ProcessInfo { pid, parent: number(info.parent), group, ..info.clone() };
            drop(rows);
            row.outside = pid;
            let (signals, owner) = (row.signals.clone(), row.owner.clone());
            let (environ, outputs, usage) = (row.environ.clone(), row.outputs.clone(), row.usage.clone());
            outside.insert(Row { info, signals, owner, environ, outputs, usage, outside: 0 });
        }
        self.0.rows.borrow_mut().insert(row.info.pid, Box::new(row));
    }

    pub(super) fn remove(&self, pid: Pid) {
        let row = self.0.rows.borrow_mut().remove(&pid);
        if let (Some(outside), Some(row)) = (&self.0.outside, row) {
            outside.remove(row.outside);
        }
    }

    pub(super) fn set_args(&self, pid: Pid, args: &[String]) {
        let mut rows = self.0.rows.borrow_mut();
        let Some(row) = rows.get_mut(&pid) else { return };
        row.info.args = args.to_vec();
        if let Some(outside) = &self.0.outside {
            outside.set_args(row.outside, args);
        }
    }

    pub(super) fn next_pid(&self) -> Pid {
        self.0.next_pid.replace(self.0.next_pid.get() + 1)
    }

    /// A node's own namespace: what runs on it beside containers.
    pub fn of_node(now: Timestamp) -> Self {
        const SYSTEM: [(Pid, &str); 4] = [
            (1, "/sbin/init"),
            (96, "/lib/systemd/systemd-journald"),
            (109, "/usr/local/bin/containerd"),
            (
                230,
                "/usr/bin/kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
                 --kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml \
                 --container-runtime-endpoint=unix:///run/containerd/containerd.sock",
            ),
        ];
        let processes = Self::made(1000, NODE_PIDS_MAX, None);
        for (pid, line) in SYSTEM {
            let args = line.split_whitespace().map(str::to_owned).collect();
            let (parent, terminal) = (u32::from(pid != 1), false);
            let info = ProcessInfo { pid, parent, group: pid, uid: 0, gid: 0, args, started_at: now, terminal };
            processes.0.rows.borrow_mut().insert(pid, Box::new(Row::idle(info)));
        }
        processes
    }
}

/// A row of the process table.
pub(super) struct Row {
    pub(super) info: ProcessInfo,
    pub(super) signals: Signals,
    /// One account in all namespaces that see it.
    pub(super) usage: Rc<Usage>,
    /// The machine it is of, where several share a table.
    pub(super) owner: Weak<Shared>,
    /// Standard output and errors, of a container's first process.
    pub(super) outputs: Option<(Fd, Fd)>,
    /// The environment it was started with, as `/proc/<pid>/environ` has it.
    pub(super) environ: Environment,
    /// Its number in the namespace around its own.
    pub(super) outside: Pid,
}

impl Row {
    /// A process of which nothing is seen but that it is there.
    fn idle(info: ProcessInfo) -> Self {
        let signals = Signals::new(true);
        let (owner, environ, usage) = (Weak::new(), Environment::default(), Rc::default());
        Self { info, signals, usage, owner, outputs: None, environ, outside: 0 }
    }
}

/// What a process uses.
#[derive(Default)]
pub(super) struct Usage {
    pub(super) memory_bytes: Cell<u64>,
    /// What it uses while it runs, in billionths of a CPU.
    pub(super) cpu_nano_cores: Cell<u64>,
    /// CPU time it has used, in nanoseconds.
    pub(super) cpu_ns: Cell<u64>,
}

impl Usage {
    /// Counts CPU time, in nanoseconds.
    pub(super) fn count(&self, ns: u64) {
        self.cpu_ns.set(self.cpu_ns.get().saturating_add(ns));
    }
}

/// What `ps` shows of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its number.
    pub pid: Pid,
    /// Its parent's.
    pub parent: Pid,
    /// Its process group.
    pub group: Pid,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Arguments.
    pub args: Vec<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// Whether it has a terminal.
    pub terminal: bool,
}

impl ProcessInfo {
    /// The program's name, also where its arguments say what it does: `nginx` of `nginx: worker process`.
    pub fn name(&self) -> &str {
        let name = self.args.first().map_or("", |path| fs::file_name(path));
        name.split([' ', ':']).next().unwrap_or_default()
    }
}
