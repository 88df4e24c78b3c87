//! Inside a cluster's nodes: `minikube ssh`, `cp`, `logs`.

use std::rc::Rc;

use sim::SimRuntime;
use sim::fs::{self, Fs};

use super::{Minikube, Outcome, usage};
use crate::world::learner::clusters::{LocalCluster, LocalNode};
use crate::world::learner::docker::copy;
use crate::world::learner::flags::Flags;
use crate::world::learner::nodes;

/// So many of a log's last lines are shown.
const LOG_LINES: usize = 60;

impl Minikube {
    /// The node that `--node` names, or the first one.
    pub(super) fn node_of(&self, flags: &Flags, profile: &str) -> Result<(Rc<LocalCluster>, LocalNode), (i32, String)> {
        let cluster = self.running(profile)?;
        let wanted = flags.value("node").unwrap_or_default();
        let node = named(&cluster, wanted).filter(|_| cluster.is_running());
        let node =
            node.ok_or_else(|| (80, format!("GUEST_NODE_RETRIEVE: retrieving node: Could not find node {wanted}")))?;
        Ok((cluster, node))
    }

    pub(super) async fn ssh(&self, flags: &Flags, profile: &str) -> Outcome {
        let (cluster, node) = self.node_of(flags, profile)?;
        let Some(inner) = cluster.inner().clone() else { return Ok(1) };
        let command = match flags.words.get(1..).unwrap_or_default() {
            [] => Vec::new(),
            words => vec!["sh".to_owned(), "-c".to_owned(), words.join(" ")],
        };
        Ok(nodes::run(&inner, &node.options.name, &self.process, &command).await)
    }

    /// A file of this computer or of a node, to one of the other.
    pub(super) fn copy(&self, flags: &Flags, profile: &str) -> Outcome {
        let [_, source, target] = flags.words.as_slice() else {
            return Err(usage(
                "Please specify the path to copy: \n\tminikube cp <source file path> <target file absolute path> (example: \"minikube cp a/b.txt /copied.txt\")",
            ));
        };
        let cluster = self.running(profile)?;
        let place = |word: &str, is_target: bool| match word.split_once(':') {
            Some((node, path)) => self.disk(&cluster, node).map(|fs| (fs, path.to_owned())),
            // A target without a node is the first one's.
            None if is_target && !source.contains(':') => self.disk(&cluster, "").map(|fs| (fs, word.to_owned())),
            None => Ok((self.process.fs().clone(), self.process.path(word))),
        };
        let ((from, source), (to, target)) = (place(source, false)?, place(target, true)?);
        if !target.starts_with('/') {
            return Err(usage(format!(
                "Target <remote file path> must be an absolute Path. Relative Path is not allowed (example: \"minikube:/home/docker/copied.txt\"): {target}"
            )));
        }
        let missing = || (80, format!("GUEST_CP: stat {source}: no such file or directory"));
        let source = from.follow(&source).ok().filter(|path| from.exists(path)).ok_or_else(missing)?;
        let written = to
            .create_dir_all(fs::parent(&target), self.process.machine.now())
            .and_then(|()| copy(&from, &source, &to, &target));
        written.map(|_| 0).map_err(|error| (80, format!("GUEST_CP: Fail to copy file: {error}")))
    }

    /// The files of a node.
    fn disk(&self, cluster: &LocalCluster, node: &str) -> Result<Fs, (i32, String)> {
        let runtime = named(cluster, node).and_then(|node| runtime(cluster, &node));
        let runtime = runtime.ok_or_else(|| (80, format!("GUEST_NODE_RETRIEVE: Could not find node {node}")))?;
        Ok(Fs::new(runtime.host_tree(), false))
    }

    /// What the control plane's containers and the kubelet say.
    pub(super) async fn logs(&self, flags: &Flags, profile: &str) -> Outcome {
        let (cluster, node) = self.node_of(flags, profile)?;
        let (Some(inner), Some(runtime)) = (cluster.inner().clone(), runtime(&cluster, &node)) else { return Ok(1) };
        let lines = match flags.value("length").or(flags.value("nodes")) {
            None => LOG_LINES,
            Some(text) => {
                text.parse().map_err(|_| usage(format!("invalid argument {text:?} for \"-n, --length\" flag")))?
            }
        };
        let line = async |command: String| {
            let words = command.split(' ').map(str::to_owned).collect::<Vec<_>>();
            nodes::run(&inner, &node.options.name, &self.process, &words).await
        };
        self.process.print("==> container status <==\n").await;
        line("crictl ps -a".into()).await;
        for container in runtime.containers() {
            if container.labels.get("io.kubernetes.pod.namespace").is_none_or(|namespace| namespace != "kube-system") {
                continue;
            }
            let log = runtime.log_text(&container.id);
            let log = String::from_utf8_lossy(&log);
            let all: Vec<&str> = log.lines().collect();
            let last = all.get(all.len().saturating_sub(lines)..).unwrap_or_default();
            let id: String = container.id.chars().take(12).collect();
            let text: String = last.iter().map(|line| format!("{line}\n")).collect();
            self.process.print(format!("\n==> {} [{id}] <==\n{text}", container.name)).await;
        }
        self.process.print("\n==> kubelet <==\n").await;
        Ok(line(format!("journalctl -u kubelet --no-pager -n {lines}")).await)
    }
}

/// A node by its name, or by what stands after its cluster's; the first one if there is none.
fn named(cluster: &LocalCluster, name: &str) -> Option<LocalNode> {
    let nodes = cluster.nodes.borrow();
    let is = |node: &&LocalNode| {
        let full = &node.options.name;
        name.is_empty() || full == name || full.strip_prefix(&cluster.name) == Some(&format!("-{name}"))
    };
    nodes.iter().find(is).cloned()
}

fn runtime(cluster: &LocalCluster, node: &LocalNode) -> Option<SimRuntime> {
    let inner = cluster.inner().clone()?;
    inner.world.runtimes().into_iter().find(|runtime| runtime.node_name() == node.options.name)
}
