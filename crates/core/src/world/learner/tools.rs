//! What the tools of this computer have in common: how they are loaded, running one another, and ports
//! that are open for as long as something holds them.

use std::net::IpAddr;
use std::rc::Rc;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use machinery::split;
use sim::io::Fd;
use sim::network::Interface;
use sim::process::{Process, Program, Spawn};

use super::clusters::Clusters;
use super::docker::{self, Docker};
use super::{kind, minikube};

/// A tool's main function.
type Main = fn(Process, Clusters, Docker) -> LocalBoxFuture<'static, i32>;

split! {
    tools,
    /// kind, minikube or docker.
    fn tool(name: &'static str) -> Main {
        match name {
            "kind" => |process, clusters, docker| kind::main(process, clusters, docker).boxed_local(),
            "minikube" => |process, clusters, docker| minikube::main(process, clusters, docker).boxed_local(),
            _ => |process, _, docker| docker::main(process, docker).boxed_local(),
        }
    }
}

/// One of the tools, for [`sim::process::Machine::install`].
pub fn program(name: &'static str, clusters: Clusters, docker: Docker) -> Rc<dyn Program> {
    Rc::new(move |process: Process| {
        let (clusters, docker) = (clusters.clone(), docker.clone());
        async move {
            match tool(name).await {
                Ok(main) => main(process, clusters, docker).await,
                Err(not_loaded) => process.fail(126, format_args!("{name}: {not_loaded}")).await,
            }
        }
    })
}

/// Runs a command in a process' place; its exit code.
pub async fn run(process: &Process, command: Vec<String>) -> i32 {
    match process.spawn(&command, process.fds.clone(), None) {
        Ok(child) => child.wait().await,
        Err(_) => 127,
    }
}

/// Runs a command with some input, its output unseen.
pub async fn run_quietly(process: &Process, command: &[&str], input: &str) {
    let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    let fds = [(0, Fd::from_bytes(input.to_owned())), (1, Fd::null()), (2, Fd::null())];
    if let Ok(child) = process.spawn(&command, fds.into(), None) {
        child.wait().await;
    }
}

/// Starts a `kubectl proxy` and gives its port, once it serves.
pub async fn start_proxy(process: &Process, command: &[&str]) -> Option<u16> {
    let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    let (reader, writer) = sim::io::pipe(process.machine.executor());
    process.spawn(&command, [(0, Fd::null()), (1, writer), (2, Fd::null())].into(), None).ok()?;
    let line = reader.read(sim::io::PIPE_BYTES_MAX).await.ok()?;
    String::from_utf8_lossy(&line).trim().rsplit(':').next()?.parse().ok()
}

/// A port of the computer that leads elsewhere until this is dropped.
pub struct Mapped {
    computer: Interface,
    port: u16,
}

impl Mapped {
    /// Maps a port; none if it is taken.
    pub fn new(computer: &Interface, port: u16, to: (IpAddr, u16)) -> Option<Self> {
        computer.map_port(port, to).then(|| Self { computer: computer.clone(), port })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.computer.unmap_port(self.port);
    }
}

/// `open URL`, as on a desktop: the page is fetched, and a terminal is told its address (the sequence of
/// iTerm2's `OpenURL`), which a host may show in a browser's frame.
pub fn open() -> Rc<dyn Program> {
    Rc::new(|process: Process| async move {
        let Some(url) = process.operands().last().cloned() else {
            process.eprint("Usage: open URL\n").await;
            return 1;
        };
        let command =
            ["curl", "--silent", "--show-error", "--fail", "--location", "--insecure", "--output", "/dev/null", &url];
        let code = run(&process, command.map(str::to_owned).to_vec()).await;
        if code != 0 {
            return process.fail(1, format!("cannot open {url}")).await;
        }
        if process.stdout().tty().is_some() {
            process.print(format!("\x1b]1337;OpenURL={url}\x07")).await;
        }
        0
    })
}

/// `sudo`: the learner may do anything here anyway.
pub fn sudo() -> Rc<dyn Program> {
    Rc::new(|process: Process| async move {
        let command: Vec<String> =
            process.operands().iter().skip_while(|word| word.starts_with('-')).cloned().collect();
        let Some(name) = command.first().cloned() else {
            process.eprint("usage: sudo command [arg ...]\n").await;
            return 1;
        };
        let Ok(found) = process.machine.find(&command, &process.env, &process.cwd) else {
            return process.fail(1, format_args!("{name}: command not found")).await;
        };
        let child = process.machine.spawn(Spawn {
            program: found.program,
            args: found.args,
            env: process.env.clone(),
            cwd: process.cwd.clone(),
            uid: 0,
            gid: 0,
            fds: process.fds.clone(),
            parent: process.pid,
            group: None,
        });
        child.wait().await
    })
}
