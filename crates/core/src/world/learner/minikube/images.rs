//! `minikube image` and `minikube docker-env`: images on a cluster's nodes.

use machinery::sort::Order;

use super::{Minikube, Outcome, usage};
use crate::world::learner::clusters::LocalCluster;
use crate::world::learner::flags::Flags;

impl Minikube {
    pub(super) async fn image(&self, flags: &Flags, profile: &str) -> Outcome {
        let cluster = self.running(profile)?;
        let names = flags.words.get(2..).unwrap_or_default();
        match (flags.word(1), names) {
            ("ls" | "list", _) => {
                let mut names: Vec<String> = runtimes(&cluster)
                    .iter()
                    .flat_map(|runtime| runtime.images())
                    .map(|image| format!("{}\n", image.reference))
                    .collect();
                names.order();
                names.dedup();
                names.reverse();
                self.say(&names.concat()).await
            }
            ("load" | "pull", names @ [_, ..]) => {
                for name in names {
                    self.take(&cluster, name)?;
                }
                Ok(0)
            }
            ("rm" | "remove" | "unload", names @ [_, ..]) => {
                for name in names {
                    let image = self.docker.image(name);
                    let reference = image.map_or_else(|| name.clone(), |image| image.reference.to_string());
                    for runtime in runtimes(&cluster) {
                        runtime.remove_image(&reference);
                    }
                }
                Ok(0)
            }
            ("tag", [source, target]) => {
                let code = super::super::tools::run(&self.process, line(&["tag", source, target])).await;
                if code == 0 {
                    self.take(&cluster, target)?;
                }
                Ok(code)
            }
            ("build", [folder, ..]) => {
                let tag = flags.value("tag").unwrap_or_default();
                let file = flags.value("file").map_or_else(Vec::new, |file| vec!["-f", file]);
                let words = [vec!["build", "-t", tag], file, vec![folder]].concat();
                let code = super::super::tools::run(&self.process, line(&words)).await;
                if code == 0 {
                    self.take(&cluster, tag)?;
                }
                Ok(code)
            }
            _ => Err(usage("Usage: minikube image [build|load|ls|pull|rm|tag] IMAGE")),
        }
    }

    /// Puts an image of this computer, or of a registry, onto a cluster's nodes.
    fn take(&self, cluster: &LocalCluster, name: &str) -> Result<(), (i32, String)> {
        let image = self.docker.fetch(name);
        let image = image.map_err(|error| (80, format!("GUEST_IMAGE_LOAD: Failed to load image: {error}")))?;
        cluster.load_image(&image);
        Ok(())
    }

    /// Variables that point `docker` to the daemon of a cluster's node.
    pub(super) async fn docker_env(&self, flags: &Flags, profile: &str) -> Outcome {
        const NAMES: [&str; 4] = ["DOCKER_TLS_VERIFY", "DOCKER_HOST", "DOCKER_CERT_PATH", "MINIKUBE_ACTIVE_DOCKERD"];
        if flags.is_on("unset") {
            let lines = NAMES.map(|name| format!("unset {name};\n"));
            return self.say(&lines.concat()).await;
        }
        let cluster = self.running(profile)?;
        let address = cluster.nodes.borrow().first().map(|node| node.options.address.to_string()).unwrap_or_default();
        let certificates = format!("{}/.minikube/certs", self.process.var("HOME"));
        let values = ["1", &format!("tcp://{address}:2376"), &certificates, profile].map(str::to_owned);
        let lines = NAMES.iter().zip(values).map(|(name, value)| format!("export {name}={value:?}\n"));
        self.say(&format!(
            "{}\n# To point your shell to minikube's docker-daemon, run:\n# eval $(minikube -p {profile} docker-env)\n",
            lines.collect::<String>()
        ))
        .await
    }
}

fn line(words: &[&str]) -> Vec<String> {
    ["docker"].iter().chain(words).map(|word| (*word).to_owned()).collect()
}

/// The nodes' runtimes, while they run.
fn runtimes(cluster: &LocalCluster) -> Vec<sim::SimRuntime> {
    cluster.inner().as_ref().map(|inner| inner.world.runtimes()).unwrap_or_default()
}
