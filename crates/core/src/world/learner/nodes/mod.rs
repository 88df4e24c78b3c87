//! The inside of a node, as `docker exec`, `ssh` and `minikube ssh` show it: a shell on the node's own
//! files and among its processes, with the tools that look after it.

mod apparmor;
mod crictl;
mod docker;
mod journalctl;
mod systemd;

pub(crate) use systemd::starts_with_node;

use std::rc::{Rc, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use machinery::random::Rng;
use machinery::split;
use sim::SimRuntime;
use sim::fs::Fs;
use sim::process::{Machine, MachineConfig, Process, Program, Spawn};

use super::clusters::{Clusters, Tool};
use crate::cluster::Inner;

/// Runs a command in a node of a cluster, with a process' own input, output and errors; its exit code.
pub async fn run(inner: &Rc<Inner>, node: &str, process: &Process, command: &[String]) -> i32 {
    let Some(runtime) = inner.world.runtimes().into_iter().find(|runtime| runtime.node_name() == node) else {
        process.eprint(format!("{node}: this node is no simulated one: there is no inside to show\n")).await;
        return 1;
    };
    let machine = machine(Rc::downgrade(inner), &runtime);
    let mut env = process.env.clone();
    env.extend([("HOME".to_owned(), "/root".to_owned()), ("USER".to_owned(), "root".to_owned())]);
    let command = if command.is_empty() { vec!["bash".to_owned()] } else { command.to_vec() };
    let found = match machine.find(&command, &env, "/") {
        Ok(found) => found,
        Err(error) => {
            let name = command.first().map_or("", String::as_str);
            process
                .eprint(format!(
                    "OCI runtime exec failed: exec failed: unable to start container process: exec: {name:?}: {error}\n"
                ))
                .await;
            return 127;
        }
    };
    let child = machine.spawn(Spawn {
        program: found.program,
        args: found.args,
        env,
        cwd: "/".into(),
        uid: 0,
        gid: 0,
        fds: process.fds.clone(),
        parent: 0,
        group: None,
    });
    let terminal = process.stdin().tty().cloned();
    let before = terminal.as_ref().map(|terminal| terminal.set_foreground(child.pid));
    let code = child.wait().await;
    if let (Some(terminal), Some(before)) = (terminal, before) {
        terminal.set_foreground(before);
    }
    code
}

/// A node's own shell, as a machine.
pub fn machine(inner: Weak<Inner>, runtime: &SimRuntime) -> Machine {
    let interface = runtime.interface().clone();
    let config = MachineConfig {
        executor: interface.network().executor().clone(),
        fs: Fs::new(runtime.host_tree(), false),
        interface,
        hostname: runtime.node_name().to_owned(),
        first_pid: 1000,
        memory_bytes_max: None,
        cpu_nano_cores_max: None,
        groups: None,
        rng: Rng::new(machinery::random::fnv64a(runtime.node_name().as_bytes())),
    };
    let machine = Machine::among(config, runtime.processes());
    for name in TOOLS {
        machine.install(name, program(name, inner.clone(), runtime));
    }
    machine.install("sudo", super::tools::sudo());
    machine
}

/// The tools by which a node looks at what it runs; whoever comes by `chroot` finds them too.
const TOOLS: [&str; 6] = ["crictl", "docker", "systemctl", "journalctl", "apparmor_parser", "aa-status"];

/// Gives a node its tools.
pub fn provide(inner: Weak<Inner>, runtime: &SimRuntime) {
    let now = runtime.interface().network().executor().now();
    for name in TOOLS {
        // kind's nodes have containerd, minikube's have both.
        let folder = if name == "crictl" { "/usr/local/bin" } else { "/usr/bin" };
        if name != "docker" {
            let tool = sim::fs::Entry::program(name, now);
            runtime.host_tree().borrow_mut().insert(&format!("{folder}/{name}"), tool);
        }
        runtime.provide(name, program(name, inner.clone(), runtime));
    }
}

/// A tool's main function.
type Main = fn(Process, Rc<Inner>, SimRuntime) -> LocalBoxFuture<'static, i32>;

split! {
    tools,
    /// What a node's tool does.
    fn node_tool(name: &'static str) -> Main {
        match name {
            "docker" => |process, _, runtime| docker::run(process, runtime).boxed_local(),
            "systemctl" => |process, inner, runtime| systemd::systemctl(process, inner, runtime).boxed_local(),
            "journalctl" => |process, inner, runtime| journalctl::run(process, inner, runtime).boxed_local(),
            "apparmor_parser" => |process, _, _| apparmor::parser(process).boxed_local(),
            "aa-status" => |process, _, _| apparmor::status(process).boxed_local(),
            _ => |process, _, runtime| crictl::run(process, runtime).boxed_local(),
        }
    }
}

/// One of the tools.
fn program(name: &'static str, inner: Weak<Inner>, runtime: &SimRuntime) -> Rc<dyn Program> {
    let weak = runtime.downgrade();
    Rc::new(move |process: Process| {
        let (inner, runtime) = (inner.upgrade(), weak());
        async move {
            let (Some(inner), Some(runtime)) = (inner, runtime) else { return 1 };
            match node_tool(name).await {
                Ok(main) => main(process, inner, runtime).await,
                Err(not_loaded) => process.fail(126, not_loaded.to_string()).await,
            }
        }
    })
}

/// `ssh NODE [COMMAND]`: to a node of any cluster of this computer.
pub fn ssh(own: Weak<Inner>, clusters: Clusters) -> Rc<dyn Program> {
    Rc::new(move |process: Process| {
        let (own, clusters) = (own.clone(), clusters.clone());
        async move {
            let words: Vec<String> =
                process.operands().iter().skip_while(|word| word.starts_with('-')).cloned().collect();
            let Some((host, command)) = words.split_first() else {
                process.eprint("usage: ssh destination [command [argument ...]]\n").await;
                return 255;
            };
            let host = host.rsplit('@').next().unwrap_or_default();
            process.sleep(Duration::from_millis(120)).await;
            let Some((inner, node)) = find(&own, &clusters, host) else {
                return process
                    .fail(255, format!("Could not resolve hostname {host}: Name or service not known"))
                    .await;
            };
            // A remote shell reads the words again.
            let command = match command {
                [] => Vec::new(),
                words => vec!["sh".to_owned(), "-c".to_owned(), words.join(" ")],
            };
            run(&inner, &node, &process, &command).await
        }
    })
}

/// The cluster of a node, by the node's name or address.
fn find(own: &Weak<Inner>, clusters: &Clusters, host: &str) -> Option<(Rc<Inner>, String)> {
    let of = |inner: Rc<Inner>| {
        let runtimes = inner.world.runtimes();
        let is =
            |runtime: &&SimRuntime| runtime.node_name() == host || runtime.interface().address().to_string() == host;
        let node = runtimes.iter().find(is)?.node_name().to_owned();
        Some((inner, node))
    };
    let made = [Tool::Kind, Tool::Minikube].into_iter().flat_map(|tool| clusters.of(tool));
    let mut inners = own.upgrade().into_iter().chain(made.filter_map(|cluster| cluster.inner().clone()));
    inners.find_map(of)
}
