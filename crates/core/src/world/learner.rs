//! The computer at which the learner sits: a shell with kubectl, kind, minikube and docker, on a small file
//! system of its own.

mod build;
mod clusters;
mod docker;
mod flags;
mod kind;
mod kubeconfig;
mod minikube;
pub(crate) mod nodes;
mod page_editor;
mod stored;
mod tools;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use futures::channel::{mpsc, oneshot};
use futures::future::{Either, poll_fn, select};
use futures::{FutureExt, StreamExt};
use machinery::random::Rng;
use machinery::wire::{Channels, Frame};
use sim::Errno;
use sim::fs::{Fs, Kind, SharedTree, Tree};
use sim::image::Base;
use sim::io::{Fd, Gate};
use sim::process::{Child, Environment, ExecError, Machine, MachineConfig, Spawn};
use sim::saved::Saved;
use sim::tty::Tty;

use crate::cluster::Inner;
use crate::control::{ClusterStatus, EDITOR};
use crate::kubectl_program;
use crate::public_api::PublicApi;
pub(crate) use clusters::Clusters;
use clusters::OWN_CONTEXT;
use docker::Docker;
use page_editor::PageEditor;

/// Where the learner is at home.
const HOME: &str = "/home/learner";
/// Where shells keep their lines.
const HISTORY: &str = "/home/learner/.bash_history";
const USER_ID: u32 = 1000;
/// What the shell asks with in the learner's home.
const PROMPT: &str = "~ $ ";
/// Before the terminal says how large it is.
const TERMINAL_SIZE: (u16, u16) = (80, 24);

/// Channels of a terminal, as those of `exec`.
const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const RESIZE: u8 = 4;

/// The learner's computer. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Learner {
    machine: Machine,
    disk: SharedTree,
    docker: Docker,
    clusters: Clusters,
    /// The server of the kubeconfig's current context, and how often files had changed when it was read.
    current: Rc<RefCell<Option<(u64, String)>>>,
}

/// What a command line printed, and its exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code.
    pub code: i32,
}

impl Learner {
    /// A computer beside a cluster: with files in the learner's home, or with what it had on its disk.
    pub(crate) fn new(own: &Rc<Inner>, rng: &mut Rng, files: &[(String, String)], mut saved: Saved) -> Self {
        let interface = own.world.computer().clone();
        let executor = interface.network().executor().foreground();
        let now = executor.now();
        let disk = Tree::over(Base::Workstation.layer(now)).share();
        let begun = Self::restore_files(&disk, &mut saved);
        let fs = Fs::new(disk.clone(), false);
        let machine = Machine::new(MachineConfig {
            executor,
            fs,
            interface,
            hostname: "playground".into(),
            first_pid: 100,
            memory_bytes_max: None,
            cpu_nano_cores_max: None,
            groups: Some(Vec::new()),
            rng: rng.fork(),
        });
        let nodes = u16::try_from(own.world.runtimes().len()).unwrap_or(u16::MAX);
        let clusters = Clusters::new(own, rng.fork(), nodes);
        // Where the kubeconfig says, as Docker maps it for kind.
        if let Ok(address) = own.api.address().parse::<SocketAddr>() {
            own.world.computer().map_port(clusters::OWN_PORT, (address.ip(), address.port()));
        }
        let docker = Docker::new(clusters.clone(), disk.clone(), rng.fork());
        // The first document's image was built before it begins.
        let _ = docker.fetch("hellokube:1.0.0");
        for name in ["kind", "minikube", "docker"] {
            machine.install(name, tools::program(name, clusters.clone(), docker.clone()));
        }
        machine.install("ssh", nodes::ssh(Rc::downgrade(own), clusters.clone()));
        machine.install("open", tools::open());
        machine.install("sudo", tools::sudo());
        for name in ["kubectl", "k"] {
            machine.install(name, kubectl_program::program(clusters.clone()));
            machine.set_completer(name, kubectl_program::completer(environment()));
        }
        let config = (".kube/config".to_owned(), kubeconfig());
        for (name, text) in files.iter().chain([&config]).filter(|_| !begun) {
            let path = format!("{HOME}/{name}");
            let folder = sim::fs::parent(&path).to_owned();
            // A fresh file system takes all of them.
            let _ = machine.fs().create_dir_all(&folder, now);
            let _ = machine.fs().write(&path, text.clone(), now);
        }
        let _ = machine.fs().create_dir_all(HOME, now);
        give_home(machine.fs());
        let learner = Self { machine, disk, docker, clusters, current: Rc::default() };
        learner.restore(saved);
        learner
    }

    /// The machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Puts a file into the learner's home, in place of what had its name.
    ///
    /// # Errors
    /// What the file system says.
    pub(crate) fn put_file(&self, name: &str, text: bytes::Bytes, now: machinery::Timestamp) -> Result<(), Errno> {
        self.machine.fs_of(USER_ID, USER_ID).write(&format!("{HOME}/{name}"), text, now)
    }

    /// The clusters of this computer, and whether kubectl speaks with each: the one that the kubeconfig's current
    /// context names. Without such a context it is the computer's own.
    pub(crate) fn contexts(&self) -> Vec<ClusterStatus> {
        let server = self.current_server();
        let made = self.clusters.all().into_iter().filter(|cluster| cluster.is_running());
        let mut all: Vec<ClusterStatus> = made
            .map(|cluster| ClusterStatus { context: cluster.context.clone(), current: cluster.server == server })
            .collect();
        let current = !all.iter().any(|cluster| cluster.current);
        all.insert(0, ClusterStatus { context: OWN_CONTEXT.into(), current });
        all
    }

    /// The server of the kubeconfig's current context. Pages ask every second: it is read when files have changed.
    fn current_server(&self) -> String {
        let changes = self.disk.borrow().changes();
        if let Some((of, server)) = &*self.current.borrow()
            && *of == changes
        {
            return server.clone();
        }
        let text = self.machine.fs().read_text(&format!("{HOME}/.kube/config")).unwrap_or_default();
        let config = machinery::yaml::from_str(&text).unwrap_or_default();
        let named = |section: &str, name: &serde_json::Value| {
            let list = config[section].as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter().find(|entry| entry["name"] == *name).cloned().unwrap_or_default()
        };
        let context = named("contexts", &config["current-context"]);
        let cluster = named("clusters", &context["context"]["cluster"]);
        let server = cluster["cluster"]["server"].as_str().unwrap_or(clusters::OWN_SERVER).to_owned();
        self.current.replace(Some((changes, server.clone())));
        server
    }

    /// The API of the cluster of a context, while it runs.
    pub(crate) fn api_of(&self, context: &str) -> Option<PublicApi> {
        self.clusters.api(&self.clusters.server_of(context)?)
    }

    /// The text files of the learner's home, by relative path. What the computer writes for itself is not among
    /// them.
    pub(crate) fn files(&self) -> Vec<(String, String)> {
        let (fs, mut folders, mut files) = (self.machine.fs(), vec![HOME.to_owned()], Vec::new());
        while let Some(folder) = folders.pop() {
            for (name, entry) in fs.list(&folder).unwrap_or_default() {
                let path = format!("{folder}/{name}");
                match entry.kind {
                    Kind::Directory if name != ".kube" => folders.push(path),
                    Kind::File(_) if path == HISTORY => {}
                    Kind::File(data) => {
                        if let Ok(text) = std::str::from_utf8(&data) {
                            files.push((path[HOME.len() + 1..].to_owned(), text.to_owned()));
                        }
                    }
                    _ => {}
                }
            }
        }
        files
    }

    /// Runs a line in a shell of its own, to its end.
    pub async fn run(&self, line: &str) -> Output {
        let (stdout, out) = Fd::buffer();
        let (stderr, err) = Fd::buffer();
        let fds = BTreeMap::from([(0, Fd::null()), (1, stdout), (2, stderr)]);
        let code = match self.start(&["sh", "-c", line], fds) {
            Ok(child) => child.wait().await,
            Err(_) => return Output { stdout: String::new(), stderr: "sh: not found\n".into(), code: 127 },
        };
        let text = |buffer: Rc<RefCell<Vec<u8>>>| String::from_utf8_lossy(&buffer.borrow()).into_owned();
        Output { stdout: text(out), stderr: text(err), code }
    }

    /// Opens a terminal with an interactive shell: channels 0, 1 and 4 as in `exec`, and that of the page's editor.
    /// It ends with the shell, or when its other end is dropped.
    ///
    /// The terminal shows the shell's first prompt by itself and starts the shell when something is typed:
    /// who only looks in does not fetch the shell's code.
    pub fn open_terminal(&self) -> Channels {
        let (ours, theirs) = Channels::pair();
        let learner = self.clone();
        self.machine.executor().spawn(async move { learner.run_terminal(ours).await });
        theirs
    }

    async fn run_terminal(&self, channels: Channels) {
        let Channels { sender, mut receiver } = channels;
        let (output, written) = mpsc::unbounded::<Frame>();
        let editor = PageEditor::new(output.clone());
        let gate = Gate::default();
        let sent = gate.clone();
        let tty = Tty::gated(&self.machine, TERMINAL_SIZE, &gate, move |data| {
            sent.sent(data.len());
            // A terminal that is gone shows nothing.
            let _ = output.unbounded_send(Frame { channel: OUTPUT, data: Some(bytes::Bytes::copy_from_slice(data)) });
        });
        // As the shell's line editor would, which goes on with what is typed until it is there.
        tty.set_raw(true);
        tty.write(PROMPT.as_bytes());
        tty.prompted();
        let (begin, typed) = oneshot::channel();
        let keyboard = async {
            let mut begin = Some(begin);
            while let Some(Frame { channel, data: Some(data) }) = receiver.next().await {
                match channel {
                    INPUT => {
                        tty.feed(&data);
                        if let Some(begin) = begin.take() {
                            let _ = begin.send(());
                        }
                    }
                    RESIZE => {
                        if let Some((columns, rows)) = size(&data) {
                            tty.resize(columns, rows);
                        }
                    }
                    EDITOR => editor.hear(&data, &tty),
                    _ => {}
                }
            }
            drop(begin);
            editor.hang_up();
            tty.hang_up();
            // The shell ends by itself now.
            std::future::pending::<()>().await;
        };
        let shell = async {
            if typed.await.is_err() {
                return;
            }
            // Beside the shell's code, not after the first line.
            self.machine.executor().spawn(kubectl_program::load());
            let fds = (0..3).map(|number| (number, tty.fd())).collect();
            if let Ok(shell) = self.start(&["sh", "-i"], fds) {
                tty.set_foreground(shell.pid);
                _ = shell.wait().await;
            }
        };
        // A part has arrived when the next one is asked for.
        let on_way = std::cell::Cell::new(0);
        let screen = written.map(|frame| {
            let shown = frame.data.as_ref().filter(|_| frame.channel == OUTPUT).map_or(0, bytes::Bytes::len);
            gate.arrived(on_way.replace(shown));
            Ok(frame)
        });
        let screen = screen.forward(sender);
        let (keyboard, screen, shell) = (std::pin::pin!(keyboard), std::pin::pin!(screen), std::pin::pin!(shell));
        if let Either::Left((_, mut rest)) = select(shell, select(keyboard, screen)).await {
            // What was written last is still to be shown.
            poll_fn(|cx| Poll::Ready(_ = rest.poll_unpin(cx))).await;
        }
    }

    fn start(&self, words: &[&str], fds: BTreeMap<u32, Fd>) -> Result<Child, ExecError> {
        let args: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let env = environment();
        let found = self.machine.find(&args, &env, HOME)?;
        Ok(self.machine.spawn(Spawn {
            program: found.program,
            args: found.args,
            env,
            cwd: HOME.into(),
            uid: USER_ID,
            gid: USER_ID,
            fds,
            parent: 0,
            group: None,
        }))
    }
}

/// Loads what the first line of a terminal needs, the shell and kubectl, for a line that comes at once.
pub async fn load_terminal() {
    futures::join!(sim::programs::load_shell(), kubectl_program::load());
}

/// Makes what is in the learner's home the learner's: what the computer has put there, and what it was started with.
fn give_home(fs: &Fs) {
    let mut waiting = vec![HOME.to_owned()];
    while let Some(path) = waiting.pop() {
        // A link leads who knows where.
        let Ok(entry) = fs.symlink_metadata(&path) else { continue };
        if matches!(entry.kind, Kind::Directory | Kind::File(_)) {
            // It is there.
            let _ = fs.update(&path, |entry| (entry.uid, entry.gid) = (USER_ID, USER_ID));
        }
        if entry.kind == Kind::Directory {
            waiting.extend(fs.list(&path).unwrap_or_default().into_iter().map(|(name, _)| format!("{path}/{name}")));
        }
    }
}

/// The environment of the learner's processes.
fn environment() -> Environment {
    [
        ("HOME", HOME),
        ("USER", "learner"),
        ("SHELL", "/bin/bash"),
        ("TERM", "xterm-256color"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("PWD", HOME),
        ("LANG", "C.UTF-8"),
        ("HISTFILE", HISTORY),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

/// A resize message of exec's protocol: `{"Width":80,"Height":24}`.
fn size(data: &[u8]) -> Option<(u16, u16)> {
    let size: serde_json::Value = serde_json::from_slice(data).ok()?;
    let side =
        |name: &str| size.get(name).and_then(serde_json::Value::as_u64).and_then(|side| u16::try_from(side).ok());
    Some((side("Width")?, side("Height")?))
}

/// kubectl's configuration: one cluster, which needs no credentials.
fn kubeconfig() -> String {
    machinery::yaml::emit(&serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": OWN_CONTEXT, "cluster": {"server": clusters::OWN_SERVER}}],
        "users": [{"name": OWN_CONTEXT, "user": {}}],
        "contexts": [{"name": OWN_CONTEXT, "context": {"cluster": OWN_CONTEXT, "user": OWN_CONTEXT}}],
        "current-context": OWN_CONTEXT,
        "preferences": {},
    }))
}
