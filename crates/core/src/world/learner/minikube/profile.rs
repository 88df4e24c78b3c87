//! `minikube profile`.

use super::{Minikube, Outcome, boxed};
use crate::world::learner::clusters::Tool;
use crate::world::learner::flags::Flags;
use crate::world::learner::kubeconfig;

impl Minikube {
    pub(super) async fn profile(&self, flags: &Flags, profile: &str) -> Outcome {
        match flags.word(1) {
            "" => self.say(&format!("{profile}\n")).await,
            "list" => {
                let mark = |is: bool| if is { "*" } else { "" };
                let clusters = self.clusters.of(Tool::Minikube);
                if clusters.is_empty() {
                    return Err((14, "MK_USAGE_NO_PROFILE: No minikube profile was found.\n\n💡  Suggestion: You can create one using 'minikube start'.".into()));
                }
                let current = kubeconfig::current(&self.process);
                let rows: Vec<[String; 10]> = clusters
                    .iter()
                    .map(|cluster| {
                        let nodes = cluster.nodes.borrow();
                        let address = nodes.first().map(|node| node.options.address.to_string()).unwrap_or_default();
                        let state = if cluster.is_running() { "OK" } else { "Stopped" };
                        [
                            &cluster.name,
                            "docker",
                            "docker",
                            &address,
                            "8443",
                            kubelet::VERSION,
                            state,
                            &nodes.len().to_string(),
                            mark(profile == cluster.name),
                            mark(current == cluster.context),
                        ]
                        .map(str::to_owned)
                    })
                    .collect();
                let head = [
                    "PROFILE",
                    "DRIVER",
                    "RUNTIME",
                    "IP",
                    "PORT",
                    "VERSION",
                    "STATUS",
                    "NODES",
                    "ACTIVE PROFILE",
                    "ACTIVE KUBECONTEXT",
                ];
                self.say(&boxed(&head, &rows)).await
            }
            name => {
                let cluster = self.there(name)?;
                kubeconfig::use_context(&self.process, &cluster.context);
                self.set("profile", Some(name));
                self.say(&format!("✅  minikube profile was successfully set to {name}\n")).await
            }
        }
    }
}
