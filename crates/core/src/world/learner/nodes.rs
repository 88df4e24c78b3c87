//! The inside of a node, as `docker exec`, `ssh` and `minikube ssh` show it: a shell on the node's own
//! files, with what shows its containers.

use std::rc::Rc;
use std::time::Duration;

use kubelet::runtime::{ContainerState, ContainerStatus};
use machinery::random::Rng;
use machinery::sort::Order;
use sim::SimRuntime;
use sim::fs::Fs;
use sim::process::{Machine, MachineConfig, Process, Program, Spawn};

use super::clusters::{Clusters, Tool};
use super::docker::{ago, columns};
use crate::cluster::Inner;

/// Runs a command in a node of a cluster, with a process' own input, output and errors; its exit code.
pub async fn run(inner: &Rc<Inner>, node: &str, process: &Process, command: &[String]) -> i32 {
    let Some(runtime) = inner.world.runtimes().into_iter().find(|runtime| runtime.node_name() == node) else {
        process.eprint(format!("{node}: this node is no simulated one: there is no inside to show\n")).await;
        return 1;
    };
    let machine = machine(&runtime);
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
fn machine(runtime: &SimRuntime) -> Machine {
    let interface = runtime.interface().clone();
    let machine = Machine::new(MachineConfig {
        executor: interface.network().executor().clone(),
        fs: Fs::new(runtime.host_tree(), false),
        interface,
        hostname: runtime.node_name().to_owned(),
        first_pid: 1000,
        memory_bytes_max: None,
        cpu_nano_cores_max: None,
        groups: None,
        rng: Rng::new(machinery::random::fnv64a(runtime.node_name().as_bytes())),
    });
    for name in ["crictl", "docker"] {
        machine.install(name, lister(runtime.clone()));
    }
    machine
}

/// `crictl` and `docker` on a node: what its runtime holds.
fn lister(runtime: SimRuntime) -> Rc<dyn Program> {
    Rc::new(move |process: Process| {
        let runtime = runtime.clone();
        async move {
            let words: Vec<&str> = process.operands().iter().map(String::as_str).collect();
            let all = words.iter().any(|word| matches!(*word, "-a" | "--all"));
            let text = match (process.name(), words.first().copied().unwrap_or_default()) {
                ("docker", "ps") => docker_ps(&process, &runtime, all),
                ("crictl", "ps") => crictl_ps(&process, &runtime, all),
                ("crictl", "pods") => crictl_pods(&process, &runtime),
                (_, "images" | "img" | "image") => images(&runtime, process.name() == "docker"),
                ("crictl", "logs") => {
                    let id = words.last().copied().unwrap_or_default();
                    let found = runtime.containers().into_iter().find(|container| container.id.starts_with(id));
                    let Some(found) = found else {
                        return process.fail(1, format!("container {id:?} not found")).await;
                    };
                    String::from_utf8_lossy(&runtime.log_text(&found.id)).into_owned()
                }
                (name, word) => {
                    return process
                        .fail(1, format!("{word:?}: {name} on a node knows ps, pods, images and logs"))
                        .await;
                }
            };
            i32::from(!process.print(text).await)
        }
    })
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

fn listed(runtime: &SimRuntime, all: bool) -> Vec<ContainerStatus> {
    let mut found = runtime.containers();
    found.retain(|container| all || container.state == ContainerState::Running);
    found.order_by_key(|container| std::cmp::Reverse(container.created_at));
    found
}

/// Docker's view, as cri-dockerd named the containers.
fn docker_ps(process: &Process, runtime: &SimRuntime, all: bool) -> String {
    let head = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let now = process.machine.now();
    let sandboxes = runtime.sandboxes();
    for container in listed(runtime, all) {
        let sandbox = sandboxes.iter().find(|sandbox| sandbox.id == container.sandbox_id);
        let (pod, namespace) = sandbox.map_or(("", ""), |sandbox| (&sandbox.pod_name, &sandbox.pod_namespace));
        let command =
            runtime.image(&container.image).map(|image| [image.entrypoint.clone(), image.cmd.clone()].concat());
        let command = command.unwrap_or_default().join(" ");
        let shown: String = command.chars().take(20).collect();
        rows.push(vec![
            short(&container.id),
            container.image.clone(),
            format!("{shown:?}"),
            format!("{} ago", ago(now, container.created_at)),
            match container.state {
                ContainerState::Running => format!("Up {}", ago(now, container.started_at.unwrap_or(now))),
                _ => format!("Exited ({})", container.exit_code),
            },
            String::new(),
            format!("k8s_{}_{pod}_{namespace}_{}_{}", container.name, container.pod_uid, container.attempt),
        ]);
    }
    for sandbox in sandboxes.iter().filter(|sandbox| !sandbox.ips.is_empty()) {
        rows.push(vec![
            short(&sandbox.id),
            "registry.k8s.io/pause:3.10".into(),
            "\"/pause\"".into(),
            format!("{} ago", ago(now, sandbox.created_at)),
            format!("Up {}", ago(now, sandbox.created_at)),
            String::new(),
            format!("k8s_POD_{}_{}_{}_{}", sandbox.pod_name, sandbox.pod_namespace, sandbox.pod_uid, sandbox.attempt),
        ]);
    }
    columns(&rows)
}

fn crictl_ps(process: &Process, runtime: &SimRuntime, all: bool) -> String {
    let head = ["CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD ID", "POD", "NAMESPACE"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let sandboxes = runtime.sandboxes();
    for container in listed(runtime, all) {
        let sandbox = sandboxes.iter().find(|sandbox| sandbox.id == container.sandbox_id);
        let (pod, namespace) =
            sandbox.map_or_else(Default::default, |sandbox| (sandbox.pod_name.clone(), sandbox.pod_namespace.clone()));
        rows.push(vec![
            short(&container.id),
            container.image.clone(),
            format!("{} ago", ago(process.machine.now(), container.created_at)),
            format!("{:?}", container.state),
            container.name.clone(),
            container.attempt.to_string(),
            short(&container.sandbox_id),
            pod,
            namespace,
        ]);
    }
    columns(&rows)
}

fn crictl_pods(process: &Process, runtime: &SimRuntime) -> String {
    let head = ["POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT", "RUNTIME"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for sandbox in runtime.sandboxes() {
        rows.push(vec![
            short(&sandbox.id),
            format!("{} ago", ago(process.machine.now(), sandbox.created_at)),
            format!("{:?}", sandbox.state),
            sandbox.pod_name.clone(),
            sandbox.pod_namespace.clone(),
            sandbox.attempt.to_string(),
            "(default)".into(),
        ]);
    }
    columns(&rows)
}

fn images(runtime: &SimRuntime, docker: bool) -> String {
    let head = if docker { ["REPOSITORY", "TAG", "IMAGE ID", "SIZE"] } else { ["IMAGE", "TAG", "IMAGE ID", "SIZE"] };
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for image in runtime.images() {
        let name = if docker { image.reference.familiar() } else { image.reference.name() };
        let id = short(image.id.trim_start_matches("sha256:"));
        rows.push(vec![name, image.reference.tag.clone(), id, format!("{}MB", image.size_bytes / 1_000_000)]);
    }
    columns(&rows)
}

/// `ssh NODE [COMMAND]`: to a node of any cluster of this computer.
pub fn ssh(own: std::rc::Weak<Inner>, clusters: Clusters) -> Rc<dyn Program> {
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
fn find(own: &std::rc::Weak<Inner>, clusters: &Clusters, host: &str) -> Option<(Rc<Inner>, String)> {
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
