//! A machine: a container's inside, a node, or the learner's own computer.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::future::{Either, LocalBoxFuture, select};
use machinery::Timestamp;
use machinery::random::Rng;
use machinery::sort::Order;

use super::capabilities::{self, Capabilities};
use super::endless::Endless;
use super::environment::Environment;
use super::namespace::{ProcessInfo, Processes, Row, Usage};
use super::proc::ProcOf;
use super::signal::{Signal, Signals};
use super::{Child, Exit, Pid, Process, Program};
use crate::errno::Errno;
use crate::executor::Executor;
use crate::fs::{self, Entry, Fs, Kind};
use crate::io::Fd;
use crate::network::{ConnectError, Interface, TcpStream};
use crate::programs;

/// What starting a process costs: fork, exec and dynamic linking.
const EXEC_TIME: Duration = Duration::from_millis(1);
/// What `PATH` is where the environment has none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How many interpreters a script may lead through: Linux' limit.
const INTERPRETERS_MAX: usize = 4;

/// How a machine is made.
pub struct MachineConfig {
    /// The event loop.
    pub executor: Executor,
    /// Its files.
    pub fs: Fs,
    /// Its network.
    pub interface: Interface,
    /// Its host name.
    pub hostname: String,
    /// The first process' number: 1 makes it the init of a PID namespace, whose end ends all others.
    pub first_pid: Pid,
    /// Most memory its processes may hold together, in bytes.
    pub memory_bytes_max: Option<u64>,
    /// Most CPU its processes get together, in billionths of a CPU.
    pub cpu_nano_cores_max: Option<u64>,
    /// Groups of its processes beside their own; none where files' permissions do not matter.
    pub groups: Option<Vec<u32>>,
    /// Seed of what is random on it.
    pub rng: Rng,
}

/// Proposes how a command line may go on: the machine and the words up to the cursor, the last of them unfinished (and
/// perhaps empty), to what may stand in its place.
pub type Completer = Rc<dyn Fn(&Machine, Vec<String>) -> LocalBoxFuture<'static, Vec<String>>>;

/// Programs of the host's own, by the names that executables carry: shared by the machines that have the same.
pub type Programs = Rc<BTreeMap<String, Rc<dyn Program>>>;

/// What the processes of a machine are kept from, as `/proc` shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restrictions {
    /// Whether a program may not gain privileges (`no_new_privs`).
    pub no_new_privileges: bool,
    /// Whether system calls are filtered.
    pub seccomp: bool,
    /// The first of the 65536 users of the node that its own are; none where they are the node's.
    pub first_user: Option<u32>,
}

/// A machine. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Machine(pub(super) Rc<Shared>);

pub(super) struct Shared {
    pub(super) config: MachineConfig,
    programs: RefCell<Programs>,
    completers: RefCell<BTreeMap<String, Completer>>,
    processes: Processes,
    /// The first process, whose end ends all others, on a machine that has one.
    init: Cell<Option<Pid>>,
    rng: RefCell<Rng>,
    oom_killed: Cell<bool>,
    /// While frozen, nothing on it goes on; and who waits for the thaw.
    frozen: Cell<bool>,
    thaw: RefCell<Vec<Waker>>,
    limits: Cell<(Option<u64>, Option<u64>)>,
    /// CPU time used up to a moment.
    cpu: Cell<(u64, Timestamp)>,
    booted_at: Timestamp,
    capabilities: Cell<Capabilities>,
    pub(super) restrictions: Cell<Restrictions>,
    /// Kernel parameters that are not as usual.
    pub(super) sysctls: RefCell<Rc<BTreeMap<String, String>>>,
    /// Its AppArmor profile as `/proc/<pid>/attr/current` has it, and whether it forbids to write.
    pub(super) confinement: RefCell<(Rc<str>, bool)>,
}

/// A process to be.
pub struct Spawn {
    /// What runs.
    pub program: Rc<dyn Program>,
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
    /// Descriptors.
    pub fds: BTreeMap<u32, Fd>,
    /// The parent; 0 for none.
    pub parent: Pid,
    /// The process group; `None` makes it the leader of its own.
    pub group: Option<Pid>,
}

/// A program found by name.
pub struct Executable {
    /// What runs.
    pub program: Rc<dyn Program>,
    /// Its arguments: a script's begin with its interpreter.
    pub args: Vec<String>,
}

/// Why a command cannot be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecError {
    /// Not in `PATH`.
    NotInPath,
    /// A path that cannot be run.
    Path(Errno),
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInPath => f.write_str("executable file not found in $PATH"),
            Self::Path(errno) => f.write_str(&errno.as_str().to_lowercase()),
        }
    }
}

impl Machine {
    /// A machine without processes.
    pub fn new(config: MachineConfig) -> Self {
        let processes = Processes::from(config.first_pid);
        Self::among(config, processes)
    }

    /// A machine whose processes are among others.
    pub fn among(config: MachineConfig, processes: Processes) -> Self {
        let machine = Self(Rc::new(Shared {
            programs: RefCell::default(),
            completers: RefCell::default(),
            processes,
            init: Cell::new(None),
            rng: RefCell::new(config.rng.clone()),
            oom_killed: Cell::new(false),
            frozen: Cell::new(false),
            thaw: RefCell::default(),
            limits: Cell::new((config.memory_bytes_max, config.cpu_nano_cores_max)),
            cpu: Cell::new((0, config.executor.now())),
            booted_at: config.executor.now(),
            capabilities: Cell::new(capabilities::ALL),
            restrictions: Cell::default(),
            sysctls: RefCell::default(),
            confinement: RefCell::new(("unconfined".into(), false)),
            config,
        }));
        machine.fs().set_proc(Rc::new(ProcOf(Rc::downgrade(&machine.0))));
        machine
    }

    /// The same machine seen from a folder on: its programs are started by paths from there.
    ///
    /// # Errors
    /// As [`Fs::rooted`].
    pub fn chrooted(&self, path: &str) -> Result<Self, Errno> {
        let config = &self.0.config;
        let inner = Self::among(
            MachineConfig {
                executor: config.executor.clone(),
                fs: config.fs.rooted(path)?,
                interface: config.interface.clone(),
                hostname: config.hostname.clone(),
                first_pid: 0,
                memory_bytes_max: None,
                cpu_nano_cores_max: None,
                groups: config.groups.clone(),
                rng: self.0.rng.borrow_mut().fork(),
            },
            self.namespace(),
        );
        inner.set_capabilities(self.capabilities());
        inner.set_restrictions(self.restrictions());
        inner.0.confinement.replace(self.0.confinement.borrow().clone());
        inner.0.programs.borrow_mut().clone_from(&self.0.programs.borrow());
        Ok(inner)
    }

    /// What root may do on it.
    pub fn capabilities(&self) -> Capabilities {
        self.0.capabilities.get()
    }

    /// Says what root may do on it: everything, if nothing is said.
    pub fn set_capabilities(&self, capabilities: Capabilities) {
        self.0.capabilities.set(capabilities);
    }

    /// What else its processes are kept from.
    pub fn restrictions(&self) -> Restrictions {
        self.0.restrictions.get()
    }

    /// Says what else its processes are kept from: nothing, if nothing is said.
    pub fn set_restrictions(&self, restrictions: Restrictions) {
        self.0.restrictions.set(restrictions);
    }

    /// Sets kernel parameters, by their names with dots.
    pub fn set_sysctls(&self, sysctls: Rc<BTreeMap<String, String>>) {
        self.0.sysctls.replace(sysctls);
    }

    /// Whether it is a container's inside.
    pub(super) fn is_container(&self) -> bool {
        self.0.config.first_pid == 1
    }

    /// Puts its processes under an AppArmor profile, which may forbid them to write.
    pub fn set_confinement(&self, profile: &str, denies_writes: bool) {
        self.0.confinement.replace((profile.into(), denies_writes));
    }

    /// The processes that its own see.
    pub fn namespace(&self) -> Processes {
        self.0.processes.clone()
    }

    pub(super) fn rows(&self) -> RefMut<'_, BTreeMap<Pid, Box<Row>>> {
        self.0.processes.0.rows.borrow_mut()
    }

    fn owns(&self, row: &Row) -> bool {
        std::ptr::eq(row.owner.as_ptr(), Rc::as_ptr(&self.0))
    }

    /// The event loop.
    pub fn executor(&self) -> &Executor {
        &self.0.config.executor
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.executor().now()
    }

    /// Its files.
    pub fn fs(&self) -> &Fs {
        &self.0.config.fs
    }

    /// Its files as somebody on it sees them.
    pub fn fs_of(&self, uid: u32, gid: u32) -> Fs {
        match &self.0.config.groups {
            Some(groups) => {
                let reads_only = self.0.confinement.borrow().1;
                self.fs().as_user(Rc::new(fs::Who { uid, gid, groups: groups.clone(), reads_only }))
            }
            None => self.fs().clone(),
        }
    }

    /// Groups of its processes beside their own.
    pub fn groups(&self) -> &[u32] {
        self.0.config.groups.as_deref().unwrap_or_default()
    }

    /// Its network.
    pub fn interface(&self) -> &Interface {
        &self.0.config.interface
    }

    /// The addresses of a name: of `/etc/hosts`, else by the name servers.
    ///
    /// # Errors
    /// [`ConnectError::NameNotFound`].
    pub async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, ConnectError> {
        let hosts = self.fs().read_text("/etc/hosts").unwrap_or_default();
        let of_line = |line: &str| {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let address: IpAddr = words.next()?.parse().ok()?;
            words.any(|known| known.eq_ignore_ascii_case(name)).then_some(address)
        };
        let known: Vec<IpAddr> = hosts.lines().filter_map(of_line).filter(IpAddr::is_ipv4).collect();
        if known.is_empty() { self.interface().resolve(name).await } else { Ok(known) }
    }

    /// Opens a connection to an address or a name.
    ///
    /// # Errors
    /// As [`Interface::connect`].
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, ConnectError> {
        let addresses = self.resolve(host).await?;
        self.interface().dial_any(host, &addresses, port).await
    }

    /// Its host name.
    pub fn hostname(&self) -> &str {
        &self.0.config.hostname
    }

    /// When it was made.
    pub fn booted_at(&self) -> Timestamp {
        self.0.booted_at
    }

    /// Opens a file by its absolute path, as somebody sees it.
    ///
    /// # Errors
    /// When it cannot be opened so.
    pub fn open(&self, fs: &Fs, path: &str, mode: fs::Mode) -> Result<Fd, Errno> {
        if let Some(output) = self.output(path) {
            return Ok(output);
        }
        let file = fs.open(path, mode, self.now())?;
        Ok(match file.device() {
            Some(name @ ("zero" | "full" | "random" | "urandom")) if mode == fs::Mode::Read => {
                Fd::new(Endless::new(self.clone(), name.ends_with("random")))
            }
            _ => Fd::new(file),
        })
    }

    /// `/proc/<pid>/fd/1` and `2` of a container's first process.
    fn output(&self, path: &str) -> Option<Fd> {
        let (pid, number) = path.strip_prefix("/proc/")?.split_once("/fd/")?;
        let (out, errors) = self.rows().get(&pid.parse().ok()?)?.outputs.clone()?;
        match number {
            "1" => Some(out),
            "2" => Some(errors),
            _ => None,
        }
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        self.0.rng.borrow_mut().next_u64()
    }

    /// Whether a process was killed for want of memory.
    pub fn oom_killed(&self) -> bool {
        self.0.oom_killed.get()
    }

    /// Adds a program of the host's own, for executables that carry its name.
    pub fn provide(&self, name: &str, program: Rc<dyn Program>) {
        Rc::make_mut(&mut self.0.programs.borrow_mut()).insert(name.to_owned(), program);
    }

    /// Gives it the programs that others have too, in place of its own.
    pub fn set_programs(&self, programs: Programs) {
        self.0.programs.replace(programs);
    }

    /// A program of the host's own by its name.
    pub fn provided(&self, name: &str) -> Option<Rc<dyn Program>> {
        self.0.programs.borrow().get(name).cloned()
    }

    /// Adds a program of the host's own, such as `kubectl`, as `/usr/local/bin/<name>`.
    pub fn install(&self, name: &str, program: Rc<dyn Program>) {
        self.provide(name, program);
        let now = self.now();
        let path = format!("/usr/local/bin/{name}");
        let made = self.fs().create_dir_all("/usr/local/bin", now);
        if made.is_ok() && !self.fs().exists(&path) && self.fs().write(&path, "", now).is_ok() {
            let _ = self.fs().update(&path, |entry| *entry = Entry::program(name, now));
        }
    }

    /// Lets a command of its own complete its arguments in the shell.
    pub fn set_completer(&self, command: &str, completer: Completer) {
        self.0.completers.borrow_mut().insert(command.to_owned(), completer);
    }

    /// How a command completes its arguments, if it was told.
    pub fn completer(&self, command: &str) -> Option<Completer> {
        self.0.completers.borrow().get(command).cloned()
    }

    /// Finds what a command line runs: a path, or a name in `PATH`.
    ///
    /// # Errors
    /// When there is no such program, or it may not be run.
    pub fn find(&self, args: &[String], env: &BTreeMap<String, String>, cwd: &str) -> Result<Executable, ExecError> {
        let name = args.first().map_or("", String::as_str);
        if name.contains('/') {
            return self.load(&fs::absolute(cwd, name), args.to_vec()).map_err(ExecError::Path);
        }
        let path = env.get("PATH").map_or(DEFAULT_PATH, String::as_str);
        let mut denied = None;
        for folder in path.split(':') {
            let candidate = fs::absolute(cwd, &format!("{folder}/{name}"));
            match self.load(&candidate, args.to_vec()) {
                Ok(found) if !name.is_empty() => return Ok(found),
                Err(Errno::PermissionDenied) => denied = Some(ExecError::Path(Errno::PermissionDenied)),
                _ => {}
            }
        }
        Err(denied.unwrap_or(ExecError::NotInPath))
    }

    /// All names that can be run without a path, sorted: for completion.
    pub fn commands(&self, path: Option<&str>) -> Vec<String> {
        let folders = path.unwrap_or(DEFAULT_PATH).split(':');
        let mut names: Vec<String> = folders
            .filter_map(|folder| self.fs().list(folder).ok())
            .flatten()
            .filter(|(_, entry)| matches!(entry.kind, Kind::Program(_) | Kind::Symlink(_)) || entry.mode & 0o111 != 0)
            .map(|(name, _)| name)
            .collect();
        names.order();
        names.dedup();
        names
    }

    fn load(&self, path: &str, args: Vec<String>) -> Result<Executable, Errno> {
        let mut path = path.to_owned();
        let mut args = args;
        for _ in 0..INTERPRETERS_MAX {
            let entry = self.fs().metadata(&path)?;
            if entry.kind == Kind::Directory || entry.mode & 0o111 == 0 {
                return Err(Errno::PermissionDenied);
            }
            if let Kind::Program(name) = &entry.kind {
                let own = self.0.programs.borrow().get(name).cloned();
                let program = own.or_else(|| programs::find(name)).ok_or(Errno::NotFound)?;
                return Ok(Executable { program, args });
            }
            let text = self.fs().read_text(&path)?;
            let line = text.lines().next().and_then(|line| line.strip_prefix("#!")).unwrap_or("/bin/sh");
            let interpreter: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let tail = args.get(1..).unwrap_or_default().to_vec();
            args = interpreter.iter().cloned().chain([path]).chain(tail).collect();
            path = interpreter.into_iter().next().ok_or(Errno::Invalid)?;
        }
        Err(Errno::TooManyLinks)
    }

    /// Starts a process; it first runs when the event loop next does.
    pub fn spawn(&self, spawn: Spawn) -> Child {
        if self.0.processes.is_full() {
            return self.refuse(spawn);
        }
        let pid = self.0.processes.next_pid();
        // A container's machine counts from 1; others have no first process.
        if self.0.config.first_pid == 1 && self.0.init.get().is_none() {
            self.0.init.set(Some(pid));
        }
        let signals = Signals::new(pid == 1);
        let info = ProcessInfo {
            pid,
            parent: spawn.parent,
            group: spawn.group.unwrap_or(pid),
            uid: spawn.uid,
            gid: spawn.gid,
            args: spawn.args.clone(),
            started_at: self.now(),
            terminal: spawn.fds.values().any(|fd| fd.tty().is_some()),
        };
        let outputs =
            (self.0.init.get() == Some(pid)).then(|| (spawn.fds.get(&1).cloned(), spawn.fds.get(&2).cloned()));
        let outputs = outputs.and_then(|(out, errors)| Some((out?, errors?)));
        let owner = Rc::downgrade(&self.0);
        let signals_of = signals.clone();
        self.0.processes.insert(Row {
            info,
            signals: signals_of,
            usage: Rc::new(Usage::default()),
            owner,
            outputs,
            environ: spawn.env.clone(),
            outside: 0,
        });
        let process = Process {
            machine: self.clone(),
            fs: self.fs_of(spawn.uid, spawn.gid).of_process(pid),
            pid,
            args: spawn.args,
            env: spawn.env,
            cwd: spawn.cwd,
            uid: spawn.uid,
            gid: spawn.gid,
            fds: spawn.fds,
            signals: signals.clone(),
        };
        let exit = Rc::new(Exit::default());
        let child = Child { pid, exit: exit.clone(), signals: signals.clone() };
        let machine = self.clone();
        self.executor().spawn(async move {
            let executor = machine.executor().clone();
            let mut body = Box::pin(async move {
                executor.sleep(EXEC_TIME).await;
                spawn.program.run(process).await
            });
            let (gate, own) = (machine.clone(), signals.clone());
            let body = std::future::poll_fn(move |cx| {
                if own.is_stopped() && own.poll_stopped(cx) {
                    return Poll::Pending;
                }
                if gate.0.frozen.get() {
                    super::signal::register(&mut gate.0.thaw.borrow_mut(), cx.waker());
                    return Poll::Pending;
                }
                body.as_mut().poll(cx)
            });
            let body = Box::pin(body);
            let code = match select(body, std::pin::pin!(signals.fatal())).await {
                // A process may have killed itself in the very step that ended it.
                Either::Left((code, _)) => signals.killed_by().map_or(code & 0xff, Signal::exit_code),
                Either::Right((signal, body)) => {
                    drop(body);
                    signal.exit_code()
                }
            };
            machine.ended(pid);
            exit.set(code);
        });
        child
    }

    /// There are too many processes: the new one ends before it begins.
    fn refuse(&self, spawn: Spawn) -> Child {
        let exit = Rc::new(Exit::default());
        let child = Child { pid: 0, exit: exit.clone(), signals: Signals::new(false) };
        let executor = self.executor().clone();
        self.executor().spawn(async move {
            executor.sleep(EXEC_TIME).await;
            let name = spawn.args.first().map_or("sh", String::as_str);
            if let Some(stderr) = spawn.fds.get(&2) {
                // Whoever asked may have gone.
                let _ = stderr
                    .write_all(format!("{name}: can't fork: Resource temporarily unavailable\n").as_bytes())
                    .await;
            }
            drop(spawn);
            exit.set(2);
        });
        child
    }

    fn ended(&self, pid: Pid) {
        self.settle_cpu();
        self.use_cpu(pid, EXEC_TIME);
        self.0.processes.remove(pid);
        if self.0.init.get() == Some(pid) {
            self.kill_all();
        }
    }

    /// Kills every process of its own, as the end of a PID namespace or a cgroup does.
    pub fn kill_all(&self) {
        let all: Vec<Signals> =
            self.rows().values().filter(|row| self.owns(row)).map(|row| row.signals.clone()).collect();
        for signals in all {
            signals.deliver(Signal::Kill);
        }
    }

    /// Sends a signal to a process.
    ///
    /// # Errors
    /// [`Errno::NoSuchProcess`].
    pub fn kill(&self, pid: Pid, signal: Signal) -> Result<(), Errno> {
        let signals = self.rows().get(&pid).map(|entry| entry.signals.clone());
        signals.ok_or(Errno::NoSuchProcess)?.deliver(signal);
        Ok(())
    }

    /// Lets all its processes stand still, or go on.
    pub fn set_frozen(&self, frozen: bool) {
        self.0.frozen.set(frozen);
        for waker in self.0.thaw.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    /// Sends a signal to all processes of a group; false if there is none.
    pub fn kill_group(&self, group: Pid, signal: Signal) -> bool {
        let members: Vec<Signals> =
            self.rows().values().filter(|entry| entry.info.group == group).map(|entry| entry.signals.clone()).collect();
        for signals in &members {
            signals.deliver(signal);
        }
        !members.is_empty()
    }

    /// The process table, by number.
    pub fn processes(&self) -> Vec<ProcessInfo> {
        self.rows().values().map(|entry| entry.info.clone()).collect()
    }

    /// Changes what a process' arguments are shown as: it has become another program.
    pub fn set_args(&self, pid: Pid, args: &[String]) {
        self.0.processes.set_args(pid, args);
    }

    /// Memory its processes hold, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.rows()
            .values()
            .filter(|row| self.owns(row))
            .fold(0, |sum, row| sum.saturating_add(row.usage.memory_bytes.get()))
    }

    /// Sets how much memory a process holds. Beyond the machine's limit the process is killed, as the
    /// kernel's OOM killer does.
    pub fn set_memory(&self, pid: Pid, bytes: u64) {
        if let Some(entry) = self.rows().get(&pid) {
            entry.usage.memory_bytes.set(bytes);
        }
        if self.0.limits.get().0.is_some_and(|max| self.memory_bytes() > max) {
            // One cgroup, one fate: Kubernetes sets `memory.oom.group`.
            self.0.oom_killed.set(true);
            self.kill_all();
        }
    }

    /// Changes the limits of memory (bytes) and CPU (billionths of one).
    pub fn set_limits(&self, memory_bytes_max: Option<u64>, cpu_nano_cores_max: Option<u64>) {
        self.settle_cpu();
        self.0.limits.set((memory_bytes_max, cpu_nano_cores_max));
    }

    /// Sets how much CPU a process uses from now on, in billionths of a CPU.
    pub fn set_cpu(&self, pid: Pid, nano_cores: u64) {
        self.settle_cpu();
        if let Some(entry) = self.rows().get(&pid) {
            entry.usage.cpu_nano_cores.set(nano_cores);
        }
    }

    /// Counts CPU time that a process has used beside what it uses steadily.
    pub fn use_cpu(&self, pid: Pid, time: Duration) {
        let (used, at) = self.0.cpu.get();
        let more = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(row) = self.rows().get(&pid) {
            row.usage.count(more);
        }
        self.0.cpu.set((used.saturating_add(more), at));
    }

    /// How long a piece of work of so much CPU time takes under the machine's limit.
    pub fn stretch(&self, work: Duration) -> Duration {
        match self.0.limits.get().1 {
            Some(max) if max < 1_000_000_000 => work.mul_f64(1e9 / (max.max(1_000_000) as f64)),
            _ => work,
        }
    }

    /// CPU time its processes have used, in nanoseconds.
    pub fn cpu_usage_ns(&self) -> u64 {
        self.settle_cpu();
        self.0.cpu.get().0
    }

    /// Counts what processes have used steadily since it was last counted.
    fn settle_cpu(&self) {
        let now = self.now();
        let (used, at) = self.0.cpu.get();
        let elapsed = now.duration_since(at).as_nanos().max(0).unsigned_abs();
        let spent = |rate: u64| u64::try_from(elapsed * u128::from(rate) / 1_000_000_000).unwrap_or(u64::MAX);
        let rows = self.rows();
        let own = || rows.values().filter(|row| self.owns(row) && row.usage.cpu_nano_cores.get() > 0);
        let steady = own().fold(0, |sum: u64, row| sum.saturating_add(row.usage.cpu_nano_cores.get()));
        let rate = steady.min(self.0.limits.get().1.unwrap_or(u64::MAX));
        for row in own() {
            // Under a limit all get as much less.
            let share = u128::from(row.usage.cpu_nano_cores.get()) * u128::from(rate) / u128::from(steady);
            row.usage.count(spent(u64::try_from(share).unwrap_or(u64::MAX)));
        }
        self.0.cpu.set((used.saturating_add(spent(rate)), now));
    }

    /// What a process has used of CPUs and holds of memory, in bytes; nothing, of one that there is not.
    pub fn usage(&self, pid: Pid) -> (Duration, u64) {
        let owner = self.rows().get(&pid).and_then(|row| row.owner.upgrade());
        if let Some(owner) = owner {
            Self(owner).settle_cpu();
        }
        let rows = self.rows();
        let Some(row) = rows.get(&pid) else { return (Duration::ZERO, 0) };
        (Duration::from_nanos(row.usage.cpu_ns.get()), row.usage.memory_bytes.get())
    }
}
