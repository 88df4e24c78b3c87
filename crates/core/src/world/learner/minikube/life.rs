//! What becomes of a cluster: `minikube status`, `stop`, `delete`, `pause`, `unpause`.

use std::rc::Rc;

use serde_json::json;

use super::{Minikube, Outcome};
use crate::world::learner::clusters::{LocalCluster, Tool};
use crate::world::learner::flags::Flags;
use crate::world::learner::kubeconfig;

impl Minikube {
    pub(super) async fn status(&self, flags: &Flags, profile: &str) -> Outcome {
        let cluster = match self.find(profile) {
            Some(cluster) => cluster,
            None => {
                let text = format!(
                    "🤷  Profile {profile:?} not found. Run \"minikube profile list\" to view all profiles.\n👉  To start a cluster, run: \"minikube start\"\n"
                );
                self.process.print(text).await;
                return Ok(85);
            }
        };
        let up = cluster.is_running();
        let state = if up { "Running" } else { "Stopped" };
        let paused = up && cluster.is_paused();
        let (kubelet, server) = if paused { ("Stopped", "Paused") } else { (state, state) };
        let config = if up { "Configured" } else { "Stopped" };
        let mut text = String::new();
        let nodes = cluster.nodes.borrow().clone();
        if flags.value("output") == Some("json") {
            let status = json!({"Name": profile, "Host": state, "Kubelet": kubelet, "APIServer": server, "Kubeconfig": config, "Worker": false});
            text = format!("{status}\n");
        } else {
            for node in &nodes {
                let name = &node.options.name;
                text.push_str(&match node.control_plane {
                    true => format!("{name}\ntype: Control Plane\nhost: {state}\nkubelet: {kubelet}\napiserver: {server}\nkubeconfig: {config}\n\n"),
                    false => format!("{name}\ntype: Worker\nhost: {state}\nkubelet: {kubelet}\n\n"),
                });
            }
        }
        self.process.print(text).await;
        Ok(match (up, paused) {
            (true, false) => 0,
            (true, true) => 2,
            _ => 7,
        })
    }

    pub(super) async fn stop(&self, profile: &str) -> Outcome {
        let cluster = self.there(profile)?;
        let nodes = cluster.nodes.borrow().clone();
        for node in nodes.iter().rev() {
            let name = &node.options.name;
            self.step(&format!("✋  Stopping node {name:?}  ..."), 300).await;
            self.step(&format!("🛑  Powering off {name:?} via SSH ..."), 500).await;
        }
        self.clusters.stop(&cluster);
        let count = nodes.len();
        self.say(&format!("🛑  {count} node{} stopped.\n", if count == 1 { "" } else { "s" })).await
    }

    pub(super) async fn delete(&self, flags: &Flags, profile: &str) -> Outcome {
        if flags.is_on("all") {
            for cluster in self.clusters.of(Tool::Minikube) {
                self.remove(&cluster).await;
            }
            return self.say("🔥  Successfully deleted all profiles\n").await;
        }
        let Some(cluster) = self.find(profile) else {
            return self
                .say(&format!("🙄  {profile:?} profile does not exist, trying anyways.\n💀  Removed all traces of the {profile:?} cluster.\n"))
                .await;
        };
        self.remove(&cluster).await;
        Ok(0)
    }

    pub(super) async fn remove(&self, cluster: &Rc<LocalCluster>) {
        let name = &cluster.name;
        self.step(&format!("🔥  Deleting {name:?} in docker ..."), 700).await;
        let nodes = cluster.nodes.borrow().clone();
        for node in nodes {
            self.step(&format!("🔥  Deleting container {:?} ...", node.options.name), 200).await;
        }
        self.clusters.delete(cluster);
        if self.setting(&Flags::default(), "profile").as_ref() == Some(name) {
            self.set("profile", None);
        }
        kubeconfig::remove(&self.process, None, &cluster.context);
        self.step(&format!("🔥  Removing {}/.minikube/machines/{name} ...", self.process.var("HOME")), 100).await;
        self.step(&format!("💀  Removed all traces of the {name:?} cluster."), 0).await;
    }

    /// Lets what is the cluster's own stand still, or go on; what people run goes on all the while.
    pub(super) async fn pause(&self, profile: &str, paused: bool) -> Outcome {
        let cluster = self.running(profile)?;
        let nodes = cluster.nodes.borrow().clone();
        for node in nodes {
            let (sign, what) = if paused { ("⏸️ ", "Pausing") } else { ("⏸️ ", "Unpausing") };
            self.step(&format!("{sign} {what} node {} ... ", node.options.name), 500).await;
        }
        let count = cluster.set_paused(paused);
        self.say(&match paused {
            true => format!("⏯️  Paused {count} containers in: kube-system, kubernetes-dashboard, istio-operator\n"),
            false => format!("⏸️  Unpaused {count} containers in: kube-system, kubernetes-dashboard, istio-operator\n"),
        })
        .await
    }
}
