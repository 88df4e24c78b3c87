//! Containers: an image's process in a machine of its own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{Either, select};
use kubelet::runtime::LogStream;
use kubelet::runtime::{
    ContainerConfig, ContainerState, ContainerStats, ContainerStatus, ErrorCode, Event, LinuxResources, Medium,
    MountSource, NamespaceMode, Outcome, RuntimeError,
};

use machinery::Timestamp;

use super::log::Log;
use super::{Completion, Node};
use crate::errno::Errno;
use crate::fs::{self, Fs, SharedTree, Tree};
use crate::image::Image;
use crate::io::{self, Fd};
use crate::process::capabilities;
use crate::process::{Child, Environment, ExecError, Executable, Machine, MachineConfig, Restrictions, Signal, Spawn};
use crate::tty::Tty;

/// Where a node's seccomp profiles are.
const SECCOMP: &str = "/var/lib/kubelet/seccomp";
/// Most bytes of a termination message: upstream's `MaxContainerTerminationMessageLength`.
const MESSAGE_BYTES_MAX: usize = 4096;
/// The exit code of a container whose command cannot be run: containerd's.
const START_ERROR: i32 = 128;

/// A container.
pub(super) struct Container {
    pub(super) config: ContainerConfig,
    pub(super) image: Rc<Image>,
    /// What it has written over its image.
    pub(super) layer: RefCell<SharedTree>,
    pub(super) log: Log,
    pub(super) status: RefCell<ContainerStatus>,
    pub(super) running: RefCell<Option<Running>>,
    /// When resource use was last asked for, the CPU time then, and the rate before.
    pub(super) sample: Cell<(Timestamp, u64, u64)>,
}

/// What a container has while it runs.
pub(super) struct Running {
    machine: Machine,
    child: Child,
    /// Where attached clients write, with `stdin: true`.
    stdin: Option<Fd>,
    tty: Option<Tty>,
    finished: Rc<Cell<bool>>,
}

impl Container {
    pub(super) fn status(&self) -> ContainerStatus {
        self.status.borrow().clone()
    }

    /// What it does, without the rest.
    pub(super) fn state(&self) -> ContainerState {
        self.status.borrow().state
    }

    /// What it has written over its image.
    pub(super) fn layer(&self) -> SharedTree {
        self.layer.borrow().clone()
    }

    /// Goes on from what another container has written.
    pub(super) fn set_layer(&self, layer: SharedTree) {
        *self.layer.borrow_mut() = layer;
    }

    pub(super) fn config(&self) -> &ContainerConfig {
        &self.config
    }

    pub(super) fn log(&self) -> Log {
        self.log.clone()
    }

    /// Its inside, while it runs.
    pub(super) fn machine(&self) -> Option<Machine> {
        self.running.borrow().as_ref().map(|running| running.machine.clone())
    }

    /// Its resource use, while it runs; the rate is that of the last second or more.
    pub(super) fn stats(&self, now: Timestamp) -> Option<ContainerStats> {
        /// Rates over less say little.
        const WINDOW_MIN: Duration = Duration::from_secs(1);
        let machine = self.machine()?;
        let total = machine.cpu_usage_ns();
        let (at, before, mut rate) = self.sample.get();
        let window = machinery::time::since(at, now);
        if window >= WINDOW_MIN {
            let share = u128::from(total.saturating_sub(before)) * 1_000_000_000 / window.as_nanos();
            rate = u64::try_from(share).unwrap_or(u64::MAX);
            self.sample.set((now, total, rate));
        }
        Some(ContainerStats {
            container_id: self.status.borrow().id.clone(),
            cpu_usage_ns: total,
            cpu_nano_cores: rate,
            memory_working_set_bytes: machine.memory_bytes(),
        })
    }

    /// Its terminal, while it runs with one.
    pub(super) fn tty(&self) -> Option<Tty> {
        self.running.borrow().as_ref().and_then(|running| running.tty.clone())
    }

    /// The writing end of its standard input, while it runs with one.
    pub(super) fn stdin(&self) -> Option<Fd> {
        self.running.borrow().as_ref().and_then(|running| running.stdin.clone())
    }

    /// No more will be written to its standard input.
    pub(super) fn close_stdin(&self) {
        if let Some(running) = self.running.borrow_mut().as_mut() {
            running.stdin = None;
        }
    }

    /// Bytes it keeps on disk: its writable layer and its log.
    pub(super) fn disk_bytes(&self) -> u64 {
        let layer = self.layer.borrow().borrow().own_bytes();
        u64::try_from(layer + self.log.bytes()).unwrap_or(u64::MAX)
    }

    /// Brings new limits in force.
    pub(super) fn update(&self, resources: &LinuxResources) {
        if let Some(machine) = self.machine() {
            machine.set_limits(memory_max(resources), cpu_max(resources));
        }
    }

    /// Waits until its first process has ended.
    pub(super) async fn wait(&self) {
        let child = self.running.borrow().as_ref().map(|running| running.child.clone());
        if let Some(child) = child {
            child.wait().await;
        }
    }

    /// The environment its processes begin with.
    pub(super) fn env(&self, machine: &Machine) -> Environment {
        let mut env = BTreeMap::from([
            ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("HOSTNAME".to_owned(), machine.hostname().to_owned()),
        ]);
        env.extend(self.image.env.iter().cloned());
        env.extend(self.config.env.iter().cloned());
        if env.contains_key("GENERIC_IMAGE") {
            let ports: Vec<String> = self.config.ports.iter().map(u16::to_string).collect();
            env.insert("PLAYGROUND_PORTS".into(), ports.join(","));
        }
        let home = if self.ids(machine.fs()).0 == 0 { "/root" } else { "/" };
        env.entry("HOME".into()).or_insert_with(|| home.to_owned());
        if self.config.tty {
            env.entry("TERM".into()).or_insert_with(|| "xterm".to_owned());
        }
        env.into()
    }

    /// Its working directory.
    pub(super) fn cwd(&self) -> String {
        let given = if self.config.working_dir.is_empty() { &self.image.working_dir } else { &self.config.working_dir };
        fs::absolute("/", given)
    }

    /// What a command line runs: with an image that is not built in, a stand-in for what is not there.
    fn executable(
        &self,
        machine: &Machine,
        args: &[String],
        env: &BTreeMap<String, String>,
    ) -> Result<Executable, ExecError> {
        machine.find(args, env, &self.cwd()).or_else(|error| match (&error, self.image.stand_in(args)) {
            (ExecError::NotInPath | ExecError::Path(Errno::NotFound), Some(other)) => {
                // Somebody's own build of a program that is known here, such as kube-scheduler, is that program.
                let name = args.first().map_or("", |path| fs::file_name(path));
                match machine.provided(name).filter(|_| name.starts_with("kube-")) {
                    Some(program) => Ok(Executable { program, args: args.to_vec() }),
                    None => machine.find(&other, env, &self.cwd()),
                }
            }
            _ => Err(error),
        })
    }

    /// Starts a program as the container's user, in its folder and a group of its own.
    pub(super) fn spawn(
        &self,
        machine: &Machine,
        executable: Executable,
        env: Environment,
        fds: BTreeMap<u32, Fd>,
    ) -> Child {
        let (uid, gid) = self.ids(machine.fs());
        machine.spawn(Spawn {
            program: executable.program,
            args: executable.args,
            env,
            cwd: self.cwd(),
            uid,
            gid,
            fds,
            parent: 0,
            group: None,
        })
    }

    /// Its user and group, by the pod's security context or the image's user.
    fn ids(&self, fs: &Fs) -> (u32, u32) {
        let (user, group) = self.image.user.split_once(':').unwrap_or((&self.image.user, ""));
        // An image without a user needs no look at who there is.
        let passwd = if user.is_empty() { String::new() } else { fs.read_text("/etc/passwd").unwrap_or_default() };
        let row = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|row| row.first() == Some(&user));
        let field = |index: usize| row.as_ref().and_then(|row| row.get(index)?.parse().ok());
        // What images without files of their own call whoever is not root.
        let nonroot = || (user == "nonroot").then_some(65532);
        let uid = user.parse().ok().or_else(|| field(2)).or_else(nonroot).unwrap_or(0);
        let gid = group.parse().ok().or_else(|| field(3)).unwrap_or(0);
        let given = |id: Option<i64>| id.and_then(|id| u32::try_from(id).ok());
        let security = &self.config.security;
        (given(security.run_as_user).unwrap_or(uid), given(security.run_as_group).unwrap_or(gid))
    }

    /// Groups beside its own: the pod's, and unless they are strict those that the image gives the user.
    fn groups(&self, fs: &Fs) -> Vec<u32> {
        let security = &self.config.security;
        let given = security.supplemental_groups.iter().filter_map(|id| u32::try_from(*id).ok());
        let mut groups: Vec<u32> = given.collect();
        if security.strict_groups {
            return groups;
        }
        let uid = self.ids(fs).0.to_string();
        let passwd = fs.read_text("/etc/passwd").unwrap_or_default();
        let name = passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)? == uid).then_some(name)
        });
        if let Some(name) = name.filter(|name| *name != "root") {
            let table = fs.read_text("/etc/group").unwrap_or_default();
            groups.extend(table.lines().filter_map(|line| {
                let mut fields = line.split(':').skip(2);
                let (id, members) = (fields.next()?.parse::<u32>().ok()?, fields.next()?);
                members.split(',').any(|member| member == name).then_some(id)
            }));
        }
        groups
    }

    /// The command line: Kubernetes' command and args over the image's entrypoint and cmd.
    fn command_line(&self) -> Vec<String> {
        let (config, image) = (&self.config, &*self.image);
        match (config.command.is_empty(), config.args.is_empty()) {
            (false, _) => [config.command.as_slice(), &config.args].concat(),
            (true, false) => [image.entrypoint.as_slice(), &config.args].concat(),
            (true, true) => [image.entrypoint.as_slice(), &image.cmd].concat(),
        }
    }
}

/// The first of the users that a pod has to itself.
fn first_user(pod_uid: &str) -> u32 {
    const RANGES: u64 = 32_000;
    let place = machinery::random::fnv64a(pod_uid.as_bytes()) % RANGES;
    u32::try_from(place).unwrap_or_default().saturating_add(1) << 16
}

/// A limit of memory, in bytes.
fn memory_max(resources: &LinuxResources) -> Option<u64> {
    resources.memory_limit_bytes.filter(|bytes| *bytes > 0)
}

/// A limit of CPU, in billionths of one.
fn cpu_max(resources: &LinuxResources) -> Option<u64> {
    resources.cpu_quota_us.map(|quota| quota.saturating_mul(10_000))
}

impl Node {
    pub(super) fn create_container(self: &Rc<Self>, sandbox_id: &str, mut config: ContainerConfig) -> Completion {
        self.check_ready(sandbox_id)?;
        let image = self.image(&config.image).or_else(|| self.image(&config.image_id)).ok_or_else(|| {
            let message = format!(
                "rpc error: code = NotFound desc = failed to create containerd container: image {:?}: not found",
                config.image
            );
            RuntimeError::new(ErrorCode::NotFound, message)
        })?;
        self.check_profile(&config.security.seccomp_profile)?;
        self.check_apparmor(&config.security.apparmor_profile)?;
        for variable in std::mem::take(&mut config.env_files) {
            let found = self.volumes.get(&config.pod_uid, &variable.volume, "", self.executor.now());
            let text = found.and_then(|(tree, root)| {
                Fs::new(tree, false).read_text(&fs::absolute(&fs::absolute("/", &root), &variable.path)).ok()
            });
            let value = variable.value(&text.unwrap_or_default());
            let value = value.map_err(|message| RuntimeError::new(ErrorCode::Unknown, message))?;
            config.env.extend(value.map(|value| (variable.name, value)));
        }
        let suspended = self.take_suspended(&config);
        let (id, started_at, log) = match suspended {
            Some(before) => (before.id, before.started_at, before.log),
            None => (self.new_id(), None, Log::default()),
        };
        let status = ContainerStatus {
            id,
            sandbox_id: sandbox_id.to_owned(),
            pod_uid: config.pod_uid.clone(),
            name: config.name.clone(),
            attempt: config.attempt,
            state: ContainerState::Created,
            created_at: started_at.unwrap_or_else(|| self.executor.now()),
            started_at,
            image: config.image.clone(),
            image_ref: format!("{}@{}", image.reference.name(), image.digest),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            ..ContainerStatus::default()
        };
        let container = Container {
            config,
            layer: RefCell::new(Tree::over(image.layer.clone()).share()),
            image,
            log,
            status: RefCell::new(status.clone()),
            running: RefCell::default(),
            sample: Cell::default(),
        };
        self.containers.borrow_mut().insert(status.id.clone(), Rc::new(container));
        Ok(Outcome::Container(Box::new(status)))
    }

    pub(super) async fn start_container(self: &Rc<Self>, id: &str) -> Completion {
        let container = self.container(id)?;
        if container.status().state != ContainerState::Created {
            let message = format!("rpc error: code = Unknown desc = container {id:?} is not in created state");
            return Err(RuntimeError::new(ErrorCode::Unknown, message));
        }
        self.check_ready(&container.status().sandbox_id)?;
        let machine = self.machine_for(&container)?;
        let args = container.command_line();
        let env = container.env(&machine);
        // Where the image has no such folder and it can be made, it is, as runc does it.
        let _ = machine.fs().create_dir_all(&container.cwd(), self.executor.now());
        if let Some(name) = args.first().filter(|_| self.forbids_exec(&container.config.security.seccomp_profile)) {
            return Err(self.not_started(&container, &format!("exec {name}: operation not permitted")));
        }
        let executable = match container.executable(&machine, &args, &env) {
            Ok(executable) => executable,
            Err(error) => return Err(self.cannot_run(&container, &args, error)),
        };
        let (fds, stdin, tty) = self.descriptors(&container, &machine);
        let child = container.spawn(&machine, executable, env, fds);
        if let Some(tty) = &tty {
            tty.set_foreground(child.pid);
        }
        let finished = Rc::new(Cell::new(false));
        let running =
            Running { machine: machine.clone(), child: child.clone(), stdin, tty, finished: finished.clone() };
        *container.running.borrow_mut() = Some(running);
        {
            let mut status = container.status.borrow_mut();
            status.state = ContainerState::Running;
            status.started_at.get_or_insert_with(|| self.executor.now());
        }
        machine.set_memory(child.pid, container.image.memory_bytes);
        machine.set_cpu(child.pid, container.image.cpu_nano_cores);
        container.sample.set((self.executor.now(), 0, container.image.cpu_nano_cores));
        let node = self.clone();
        let watched = container.clone();
        self.executor.spawn(async move {
            let code = child.wait().await;
            node.ended(&watched, &machine, code);
        });
        self.tell(Event::ContainerChanged(Box::new(container.status())));
        Ok(Outcome::Container(Box::new(container.status())))
    }

    pub(super) async fn stop_container(self: &Rc<Self>, id: &str, grace: Duration) -> Completion {
        let container = self.container(id)?;
        let running =
            container.running.borrow().as_ref().map(|running| (running.machine.clone(), running.child.clone()));
        if let Some((machine, child)) = running {
            if !grace.is_zero() {
                let _ = machine.kill(child.pid, container.image.stop_signal);
            }
            let ended = Box::pin(child.wait());
            if let Either::Right(_) = select(ended, self.executor.sleep(grace)).await {
                machine.kill_all();
                child.wait().await;
            }
            // The watcher of the child, woken in the same instant, writes the end into the status.
            while container.machine().is_some() {
                self.executor.sleep(Duration::from_micros(1)).await;
            }
        }
        Ok(Outcome::Container(Box::new(container.status())))
    }

    /// The container's first process has ended.
    fn ended(&self, container: &Rc<Container>, machine: &Machine, code: i32) {
        let now = self.executor.now();
        container.log.close(now);
        if let Some(running) = container.running.borrow_mut().take() {
            running.finished.set(true);
        }
        let message = machine.fs().read(&container.config.termination_message_path).unwrap_or_default();
        let kept = message.len().min(MESSAGE_BYTES_MAX);
        let mut words = String::from_utf8_lossy(message.get(..kept).unwrap_or_default()).into_owned();
        if words.is_empty() && code != 0 && container.config.termination_message_from_log {
            words = container.log.last_words();
        }
        {
            let mut status = container.status.borrow_mut();
            status.state = ContainerState::Exited;
            status.finished_at = Some(now);
            status.exit_code = code;
            status.message = words;
            if machine.oom_killed() && code == Signal::Kill.exit_code() {
                status.reason = "OOMKilled".into();
            }
        }
        self.tell(Event::ContainerChanged(Box::new(container.status())));
    }

    /// The container's command cannot be run: it ends before it began.
    fn cannot_run(&self, container: &Rc<Container>, args: &[String], error: ExecError) -> RuntimeError {
        let Some(name) = args.first() else {
            return self.start_failed(container, "failed to create containerd task: no command specified".to_owned());
        };
        let stat = if name.contains('/') { format!("stat {name}: {error}") } else { error.to_string() };
        self.not_started(container, &format!("exec: {name:?}: {stat}"))
    }

    /// runc could not become the container's first process.
    fn not_started(&self, container: &Rc<Container>, why: &str) -> RuntimeError {
        let message = format!(
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create \
             failed: unable to start container process: error during container init: {why}"
        );
        self.start_failed(container, message)
    }

    /// The container has ended before it began.
    fn start_failed(&self, container: &Rc<Container>, message: String) -> RuntimeError {
        let now = self.executor.now();
        container.log.close(now);
        {
            let mut status = container.status.borrow_mut();
            status.state = ContainerState::Exited;
            status.started_at = Some(machinery::Timestamp::UNIX_EPOCH);
            status.finished_at = Some(now);
            status.exit_code = START_ERROR;
            status.reason = "StartError".into();
            status.message = message.clone();
        }
        self.tell(Event::ContainerChanged(Box::new(container.status())));
        RuntimeError::new(ErrorCode::Unknown, message)
    }

    /// A profile that the node has not keeps a container from being made.
    fn check_profile(&self, profile: &str) -> Result<(), RuntimeError> {
        let Some(name) = profile.strip_prefix("Localhost/") else { return Ok(()) };
        let path = fs::absolute(SECCOMP, name);
        if Fs::new(self.host.clone(), false).exists(&path) {
            return Ok(());
        }
        let message = format!(
            "failed to create containerd container: cannot load seccomp profile {path:?}: open {path}: no such file or directory"
        );
        Err(RuntimeError::new(ErrorCode::Unknown, message))
    }

    /// Whether a profile of the node's forbids `execve`, by which a process becomes the container's program.
    fn forbids_exec(&self, profile: &str) -> bool {
        const PASSING: [&str; 4] = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_NOTIFY"];
        let Some(name) = profile.strip_prefix("Localhost/") else { return false };
        let text = Fs::new(self.host.clone(), false).read_text(&fs::absolute(SECCOMP, name)).unwrap_or_default();
        let Ok(profile) = serde_json::from_str::<serde_json::Value>(&text) else { return false };
        let names = |rule: &&serde_json::Value| {
            rule["names"].as_array().into_iter().flatten().any(|name| name.as_str() == Some("execve"))
        };
        let rule = profile["syscalls"].as_array().into_iter().flatten().find(names);
        let action = rule.map_or(&profile["defaultAction"], |rule| &rule["action"]);
        action.as_str().is_some_and(|action| !PASSING.contains(&action))
    }

    fn machine_for(&self, container: &Container) -> Result<Machine, RuntimeError> {
        let config = &container.config;
        let sandboxes = self.sandboxes.borrow();
        let sandbox = sandboxes.get(&container.status.borrow().sandbox_id).ok_or_else(|| {
            RuntimeError::new(ErrorCode::NotFound, "rpc error: code = NotFound desc = sandbox container is not running")
        })?;
        let now = self.executor.now();
        let root = container.layer.borrow().clone();
        let fs = Fs::new(root.clone(), false);
        let hosts = match config.etc_hosts.as_str() {
            "" => format!("127.0.0.1\tlocalhost\n{}\t{}\n", sandbox.interface.address(), sandbox.hostname),
            text => text.to_owned(),
        };
        let files = [
            ("/etc/hostname", format!("{}\n", sandbox.hostname)),
            ("/etc/hosts", hosts),
            ("/etc/resolv.conf", sandbox.resolv_conf.clone()),
        ];
        let message_folder = fs::parent(&config.termination_message_path).to_owned();
        for (path, text) in files {
            let _ = fs.write(path, text, now);
        }
        // The kubelet mounts the file of last words, so that it exists whatever the image has.
        let message_file = fs::absolute("/", &config.termination_message_path);
        let messages = Tree::new(now).share();
        messages.borrow_mut().insert("/message", fs::Entry { mode: 0o666, ..fs::Entry::file("", now) });
        let _ = fs.create_dir_all(&message_folder, now);
        // A runtime makes the way to what it mounts, and mounts where links lead.
        for mount in &config.mounts {
            let _ = fs.create_dir_all(fs::parent(&mount.container_path), now);
        }
        let fs = if config.security.read_only_root { Fs::new(root.clone(), true) } else { fs };
        if message_file != "/" {
            fs.mount_from(fs::DISK, &message_file, messages, "/message", false);
        }
        for mount in &config.mounts {
            let (tree, sub_path, device) = match &mount.source {
                MountSource::Volume { name, sub_path } => {
                    let group = config.security.fs_group.and_then(|group| u32::try_from(group).ok());
                    group.into_iter().for_each(|group| self.volumes.give(&config.pod_uid, name, group));
                    let (tree, inner) = self.volumes.get(&config.pod_uid, name, sub_path, now).ok_or_else(|| {
                        RuntimeError::new(ErrorCode::Unknown, format!("volume {name:?} is not mounted"))
                    })?;
                    let device = match self.volumes.medium(&config.pod_uid, name) {
                        Medium::Disk => fs::DISK,
                        Medium::Memory => fs::TMPFS,
                        Medium::HugePages => fs::HUGE_PAGES,
                    };
                    (tree, inner, device)
                }
                MountSource::HostPath(path) => (self.host.clone(), path.clone(), fs::DISK),
            };
            let inner = fs::absolute("/", &sub_path);
            if tree.borrow().get(&inner).is_none() {
                tree.borrow_mut().insert(&inner, fs::Entry::directory(now));
            }
            // A runtime makes the way to its mount points.
            let way = fs::absolute("/", &mount.container_path);
            let _ = Fs::new(root.clone(), false).create_dir_all(fs::parent(&way), now);
            let point = fs.follow(&way).unwrap_or(way);
            fs.mount_from(device, &point, tree, &inner, mount.read_only);
        }
        let target = config.pid_target.as_ref().and_then(|id| self.containers.borrow().get(id)?.machine());
        let own = || match config.pid {
            NamespaceMode::Node => Some(self.processes.clone()),
            _ => sandbox.processes.clone(),
        };
        let processes = target.map(|target| target.namespace()).or_else(own);
        let groups = container.groups(&fs);
        let mut rng = self.rng.borrow_mut();
        let machine_config = MachineConfig {
            executor: self.executor.clone(),
            fs,
            interface: sandbox.interface.clone(),
            hostname: sandbox.hostname.clone(),
            first_pid: 1,
            memory_bytes_max: memory_max(&config.resources),
            cpu_nano_cores_max: cpu_max(&config.resources),
            groups: Some(groups),
            rng: rng.fork(),
        };
        let machine = Machine::among(machine_config, processes.unwrap_or_else(|| self.processes.inside()));
        let security = &config.security;
        let (add, drop) = (&security.capabilities_add, &security.capabilities_drop);
        machine.set_capabilities(capabilities::of_container(security.privileged, add, drop));
        machine.set_sysctls(sandbox.sysctls.clone());
        machine.set_restrictions(Restrictions {
            no_new_privileges: security.no_new_privileges,
            // Kubernetes' default is no filter, and privileged containers have none.
            seccomp: !security.privileged && !matches!(security.seccomp_profile.as_str(), "" | "Unconfined"),
            first_user: security.own_users.then(|| first_user(&config.pod_uid)),
        });
        self.confine(&machine, &security.apparmor_profile, security.privileged);
        machine.set_programs(self.programs.borrow().clone());
        Ok(machine)
    }

    /// Descriptors of the first process, and the ends that attached clients use.
    fn descriptors(&self, container: &Container, machine: &Machine) -> (BTreeMap<u32, Fd>, Option<Fd>, Option<Tty>) {
        let (log, executor) = (container.log.clone(), self.executor.clone());
        let output = move |stream: LogStream| {
            let (log, executor) = (log.clone(), executor.clone());
            move |data: &[u8]| log.write(stream, data, executor.now())
        };
        if container.config.tty {
            let tty = Tty::new(machine, (80, 24), output(LogStream::Stdout));
            let fds = (0..3).map(|number| (number, tty.fd())).collect();
            return (fds, None, Some(tty));
        }
        let (reader, writer) = match container.config.stdin {
            true => {
                let (reader, writer) = io::pipe(&self.executor);
                (reader, Some(writer))
            }
            false => (Fd::null(), None),
        };
        let fds = BTreeMap::from([
            (0, reader),
            (1, Fd::sink(output(LogStream::Stdout))),
            (2, Fd::sink(output(LogStream::Stderr))),
        ]);
        (fds, writer, None)
    }
}
