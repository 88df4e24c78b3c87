//! `minikube node`.

use super::{Minikube, Outcome, usage};
use crate::world::learner::clusters::LocalNode;
use crate::world::learner::flags::Flags;
use crate::world::learner::tools;

impl Minikube {
    pub(super) async fn node(&self, flags: &Flags, profile: &str) -> Outcome {
        match flags.word(1) {
            "list" => {
                let cluster = self.there(profile)?;
                let lines: String = cluster
                    .nodes
                    .borrow()
                    .iter()
                    .map(|node| format!("{}\t{}\n", node.options.name, node.options.address))
                    .collect();
                self.say(&lines).await
            }
            "add" => {
                let cluster = self.running(profile)?;
                let number = u16::try_from(cluster.nodes.borrow().len()).unwrap_or(u16::MAX).saturating_add(1);
                let mut node = self.new_node(profile, number);
                let last = cluster.nodes.borrow().iter().map(|node| u32::from(node.options.address)).max();
                node.options.address = last.map_or(node.options.address, |last| (last + 1).into());
                let name = node.options.name.clone();
                self.step(&format!("😄  Adding node m{number:02} to cluster {profile} as [worker]"), 200).await;
                self.step(&format!("👍  Starting \"{name}\" worker node in \"{profile}\" cluster"), 1500).await;
                self.clusters.add_node(&cluster, node);
                self.say(&format!("🏄  Successfully added m{number:02} to {profile}!\n")).await
            }
            "delete" => {
                let cluster = self.running(profile)?;
                let name = flags.word(2);
                let known =
                    |node: &LocalNode| node.options.name == name || node.options.name.ends_with(&format!("-{name}"));
                let found = cluster.nodes.borrow().iter().find(|node| known(node)).cloned();
                let node = found
                    .ok_or_else(|| (80, format!("GUEST_NODE_DELETE: deleting node: Could not find node {name}")))?;
                let full = node.options.name;
                self.step(&format!("🔥  Deleting node {name} from cluster {profile}"), 300).await;
                let command = [
                    "kubectl",
                    "--context",
                    &cluster.context,
                    "drain",
                    &full,
                    "--ignore-daemonsets",
                    "--force",
                    "--delete-emptydir-data",
                ];
                tools::run_quietly(&self.process, &command, "").await;
                self.clusters.set_stopped(&cluster, &full, true);
                let command = ["kubectl", "--context", &cluster.context, "delete", "node", &full];
                tools::run_quietly(&self.process, &command, "").await;
                cluster.nodes.borrow_mut().retain(|node| node.options.name != full);
                self.say(&format!("💀  Node {name} was successfully deleted.\n")).await
            }
            action @ ("start" | "stop") => {
                let cluster = self.running(profile)?;
                let name = flags.word(2);
                self.clusters.set_stopped(&cluster, name, action == "stop");
                let text = if action == "stop" {
                    format!("🛑  Successfully stopped node {name}\n")
                } else {
                    format!("🏄  Successfully started node {name}!\n")
                };
                self.say(&text).await
            }
            _ => Err(usage("Usage: minikube node [add|start|stop|delete|list]")),
        }
    }
}
