//! The lives of containers: `docker run`, `start`, `stop`, `kill`, `restart`, `rm`.

use std::time::Duration;

use kubelet::runtime::{ContainerConfig, ContainerState, Operation, PortMapping as HostPort};
use machinery::random::Rng;
use sim::image::Reference;

use super::super::flags::{Flags, Known};
use super::{Code, Container, Own, Run};

const STOP_GRACE: Duration = Duration::from_secs(10);

const RUN_FLAGS: &[Known] = &[
    ("detach", 'd', false),
    ("publish", 'p', true),
    ("name", ' ', true),
    ("env", 'e', true),
    ("rm", ' ', false),
    ("interactive", 'i', false),
    ("tty", 't', false),
    ("workdir", 'w', true),
    ("entrypoint", ' ', true),
    ("network", ' ', true),
    ("restart", ' ', true),
    ("label", 'l', true),
    ("user", 'u', true),
    ("hostname", 'h', true),
    ("memory", 'm', true),
    ("cpus", ' ', true),
    ("pull", ' ', true),
    ("volume", 'v', true),
    ("mount", ' ', true),
];

impl Run {
    pub(super) async fn start_new(&self, words: &[String]) -> Code {
        let flags = Flags::parse(words, RUN_FLAGS, 1)?;
        let Some((image_name, command)) = flags.words.split_first() else {
            return Err("docker: 'docker run' requires at least 1 argument\n\nUsage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]".into());
        };
        if self.docker.image(image_name).is_none() {
            let reference = Reference::parse(image_name)?;
            let familiar = format!("{}:{}", reference.familiar(), reference.tag);
            self.process.eprint(format!("Unable to find image '{familiar}' locally\n")).await;
            if let Err(error) = self.pull_image(image_name, Some(&self.process.stderr())).await {
                self.process.eprint(format!("docker: {error}\n\nRun 'docker run --help' for more information\n")).await;
                return Ok(125);
            }
        }
        let name = flags.value("name").map_or_else(|| self.random_name(), str::to_owned);
        if let Ok(taken) = self.docker.find(&name) {
            let id = match taken {
                Container::Own(own) => own.container_id,
                Container::Node(_, node) => node.id,
            };
            self.process.eprint(format!("docker: Error response from daemon: Conflict. The container name \"/{name}\" is already in use by container {id:?}. You have to remove (or rename) that container to be able to reuse that name.\n\nRun 'docker run --help' for more information\n")).await;
            return Ok(125);
        }
        let mut ports = Vec::new();
        for spec in flags.values("publish") {
            ports.push(host_port(spec).ok_or_else(|| format!("docker: invalid containerPort: {spec}"))?);
        }
        let entrypoint = flags.value("entrypoint");
        let pair = |text: &str| match text.split_once('=') {
            Some((name, value)) => (name.to_owned(), value.to_owned()),
            None => (text.to_owned(), self.process.var(text).to_owned()),
        };
        let image = self.docker.image(image_name);
        let mounts = match image.as_ref().map(|image| self.mounts(&flags, image)) {
            Some(Err(error)) => {
                self.process
                    .eprint(format!(
                        "docker: Error response from daemon: {error}\n\nRun 'docker run --help' for more information\n"
                    ))
                    .await;
                return Ok(125);
            }
            mounts => mounts.transpose()?.unwrap_or_default(),
        };
        let declared = image.as_ref().map(|image| image.ports.clone()).unwrap_or_default();
        let config = ContainerConfig {
            name: name.clone(),
            pod_name: name.clone(),
            image: image_name.clone(),
            image_id: image.map(|image| image.id.clone()).unwrap_or_default(),
            command: entrypoint.map(|program| vec![program.to_owned()]).unwrap_or_default(),
            args: command.to_vec(),
            working_dir: flags.value("workdir").unwrap_or_default().to_owned(),
            env: flags.values("env").map(pair).collect(),
            mounts,
            ports: ports.iter().map(|port| port.container_port).chain(declared).collect(),
            stdin: flags.is_on("interactive"),
            stdin_once: true,
            tty: flags.is_on("tty"),
            ..ContainerConfig::default()
        };
        let mut own = Own {
            name,
            sandbox_id: String::new(),
            container_id: String::new(),
            config,
            ports,
            created_at: self.now(),
            remove: flags.is_on("rm"),
        };
        if let Err(error) = self.docker.launch(&mut own).await {
            let port = error.message.split_once("cannot open hostport ").and_then(|(_, rest)| rest.split(' ').next());
            if let Some(port) = port {
                self.process
                    .eprint(format!(
                        "docker: Error response from daemon: failed to set up container networking: driver failed programming \
                         external connectivity on endpoint {} ({}): Bind for 0.0.0.0:{port} failed: port is already \
                         allocated\n\nRun 'docker run --help' for more information\n",
                        own.name,
                        self.docker.0.clusters.new_id()
                    ))
                    .await;
                return Ok(125);
            }
            self.process.eprint(format!("docker: Error response from daemon: {error}\n")).await;
            return Ok(127);
        }
        if flags.is_on("detach") {
            return self.print(format!("{}\n", own.container_id)).await;
        }
        let code = self.follow(&own, flags.is_on("interactive"), flags.is_on("tty")).await;
        if own.remove {
            self.forget(&own).await;
            self.docker.remove_anonymous(&own);
        }
        Ok(code)
    }

    pub(super) async fn change(&self, command: &str, words: &[String]) -> Code {
        let flags =
            Flags::parse(words, &[("time", 't', true), ("signal", 's', true), ("attach", 'a', false)], usize::MAX)?;
        for name in &flags.words {
            match self.docker.find(name)? {
                Container::Node(cluster, node) => {
                    let name = &node.options.name;
                    if matches!(command, "stop" | "kill" | "restart") {
                        self.docker.0.clusters.set_stopped(&cluster, name, true);
                    }
                    if matches!(command, "start" | "restart") {
                        self.docker.0.clusters.set_stopped(&cluster, name, false);
                    }
                }
                Container::Own(own) => {
                    if matches!(command, "stop" | "kill" | "restart") {
                        self.stop(&own, command == "kill").await;
                    }
                    if matches!(command, "start" | "restart") {
                        let mut own = (*own).clone();
                        let launched = self.docker.launch(&mut own).await;
                        launched.map_err(|error| format!("Error response from daemon: {error}"))?;
                    } else if own.remove {
                        self.forget(&own).await;
                        self.docker.remove_anonymous(&own);
                    }
                }
            }
            self.process.print(format!("{name}\n")).await;
        }
        Ok(0)
    }

    async fn stop(&self, own: &Own, at_once: bool) {
        let grace = if at_once { Duration::ZERO } else { STOP_GRACE };
        let operation = Operation::StopContainer { container_id: own.container_id.clone(), grace };
        // One that has ended already is stopped.
        let _ = self.docker.0.runtime.perform(operation).await;
    }

    pub(super) async fn forget(&self, own: &Own) {
        self.docker.remove_sandbox(own).await;
        self.docker.0.containers.borrow_mut().retain(|known| known.name != own.name);
    }

    pub(super) async fn remove(&self, words: &[String]) -> Code {
        let flags = Flags::parse(words, &[("force", 'f', false), ("volumes", 'v', false)], usize::MAX)?;
        for name in &flags.words {
            let own = match self.docker.find(name)? {
                Container::Own(own) => own,
                Container::Node(..) => {
                    return Err(format!(
                        "Error response from daemon: cannot remove container \"/{name}\": it is a node; `kind delete \
                         cluster` or `minikube delete` removes it with its cluster"
                    ));
                }
            };
            let status = self.docker.own().into_iter().find(|(known, _)| known.name == own.name);
            let runs = status.is_some_and(|(_, status)| status.state == ContainerState::Running);
            if runs && !flags.is_on("force") {
                return Err(format!(
                    "Error response from daemon: cannot remove container \"/{}\": container is running: stop the \
                     container before removing or force remove",
                    own.name
                ));
            }
            if runs {
                self.stop(&own, true).await;
            }
            self.forget(&own).await;
            if flags.is_on("volumes") {
                self.docker.remove_anonymous(&own);
            }
            self.process.print(format!("{name}\n")).await;
        }
        Ok(0)
    }

    pub(super) async fn prune(&self, words: &[String]) -> Code {
        let flags = Flags::parse(words, &[("force", 'f', false), ("filter", ' ', true)], usize::MAX)?;
        if !flags.is_on("force") && !self.is_sure("This will remove all stopped containers.").await {
            return Ok(1);
        }
        let told = self.prune_containers().await;
        self.print(format!("{told}Total reclaimed space: 0B\n")).await
    }

    /// Removes what does not run, and tells of it.
    pub(super) async fn prune_containers(&self) -> String {
        let stopped = self.docker.own().into_iter().filter(|(_, status)| status.state != ContainerState::Running);
        let mut ids = String::new();
        for (own, status) in stopped {
            self.forget(&own).await;
            ids.push_str(&format!("{}\n", status.id));
        }
        if ids.is_empty() { ids } else { format!("Deleted Containers:\n{ids}\n") }
    }

    pub(super) async fn rename(&self, words: &[String]) -> Code {
        let [old, new] = words else { return Err("docker: 'docker rename' requires 2 arguments".into()) };
        if self.docker.find(new).is_ok() {
            return Err(format!(
                "Error response from daemon: Conflict. The container name \"/{new}\" is already in use by a container."
            ));
        }
        let Container::Own(own) = self.docker.find(old)? else {
            return Err(format!("Error response from daemon: a node keeps its name: {old}"));
        };
        let mut containers = self.docker.0.containers.borrow_mut();
        containers.iter_mut().filter(|known| known.name == own.name).for_each(|known| known.name.clone_from(new));
        Ok(0)
    }

    fn random_name(&self) -> String {
        const LEFT: [&str; 12] = [
            "admiring", "brave", "clever", "dreamy", "eager", "festive", "gifted", "happy", "jolly", "keen", "lucid",
            "quirky",
        ];
        const RIGHT: [&str; 12] = [
            "babbage", "curie", "dijkstra", "euler", "franklin", "gauss", "hopper", "kepler", "lovelace", "noether",
            "shannon", "turing",
        ];
        let mut rng = self.docker.0.rng.borrow_mut();
        let pick = |rng: &mut Rng, words: &[&'static str]| rng.pick(words).copied().unwrap_or("container");
        let left = pick(&mut rng, &LEFT);
        format!("{left}_{}", pick(&mut rng, &RIGHT))
    }
}

/// Reads `8080:80`, `127.0.0.1:8080:80/tcp`.
fn host_port(spec: &str) -> Option<HostPort> {
    let (spec, protocol) = spec.split_once('/').unwrap_or((spec, "tcp"));
    let (host, container) = spec.rsplit_once(':')?;
    let (address, host) = host.rsplit_once(':').unwrap_or(("", host));
    Some(HostPort {
        protocol: protocol.to_uppercase(),
        container_port: container.parse().ok()?,
        host_port: host.parse().ok()?,
        host_ip: address.to_owned(),
    })
}
