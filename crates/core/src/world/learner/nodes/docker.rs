//! Docker's view of a node, as cri-dockerd named the containers.

use kubelet::runtime::{ContainerState, SandboxState, SandboxStatus};
use sim::SimRuntime;
use sim::process::Process;

use super::crictl::listed;
use crate::world::learner::docker::{ago, columns};

/// `docker` on a node: what its runtime holds.
pub(super) async fn run(process: Process, runtime: SimRuntime) -> i32 {
    let words: Vec<&str> = process.operands().iter().map(String::as_str).collect();
    let text = match words.first().copied().unwrap_or_default() {
        "ps" => ps(&process, &runtime, words.iter().any(|word| matches!(*word, "-a" | "--all"))),
        "images" | "image" => images(&runtime),
        word => return process.fail(1, format!("{word:?}: docker on a node knows ps and images")).await,
    };
    i32::from(!process.print(text).await)
}

/// The beginning of an id, as docker shows it: 12 digits.
fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

fn images(runtime: &SimRuntime) -> String {
    let mut rows = vec![["REPOSITORY", "TAG", "IMAGE ID", "SIZE"].map(str::to_owned).to_vec()];
    for image in runtime.images() {
        let id = short(image.id.trim_start_matches("sha256:"));
        let size = format!("{}MB", image.size_bytes / 1_000_000);
        rows.push(vec![image.reference.familiar(), image.reference.tag.clone(), id, size]);
    }
    columns(&rows)
}

fn ps(process: &Process, runtime: &SimRuntime, all: bool) -> String {
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
    let is_shown = |sandbox: &&SandboxStatus| all || sandbox.state == SandboxState::Ready;
    for sandbox in sandboxes.iter().filter(|sandbox| !sandbox.ips.is_empty()).filter(is_shown) {
        rows.push(vec![
            short(&sandbox.id),
            "registry.k8s.io/pause:3.10".into(),
            "\"/pause\"".into(),
            format!("{} ago", ago(now, sandbox.created_at)),
            match sandbox.state {
                SandboxState::Ready => format!("Up {}", ago(now, sandbox.created_at)),
                SandboxState::NotReady => "Exited (0)".to_owned(),
            },
            String::new(),
            format!("k8s_POD_{}_{}_{}_{}", sandbox.pod_name, sandbox.pod_namespace, sandbox.pod_uid, sandbox.attempt),
        ]);
    }
    columns(&rows)
}
