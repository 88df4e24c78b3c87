//! `docker`: the containers of this computer. Nodes of kind and minikube are such containers; others run
//! on a runtime of the computer's own.

mod archives;
mod containers;
mod copy;
mod images;
mod list;
mod networks;
mod registries;
mod terminal;
mod text;
mod usage;
mod volumes;

use std::cell::RefCell;
use std::rc::Rc;

use kubelet::runtime::{
    ContainerConfig, ContainerState, ContainerStatus, NamespaceMode, Operation, Outcome, PodSandboxConfig,
    PortMapping as HostPort, RuntimeError,
};
use machinery::Timestamp;
use machinery::random::Rng;
use proxy::SharedTables;
use sim::fs::SharedTree;
use sim::image::Image;
use sim::process::Process;
use sim::{NodeConfig, SimRuntime};

use super::build;
use super::clusters::{Clusters, LocalCluster, LocalNode, Tool};
pub use archives::images_of;
pub use copy::copy;
use images::pull_error;
pub use text::{ago, columns};

/// The version that we are like.
const VERSION: &str = "28.5.1";
const PULL_BYTES_PER_SECOND: u64 = 50_000_000;

const HELP: &str = "\
Usage:  docker [OPTIONS] COMMAND

A self-sufficient runtime for containers

Common Commands:
  run         Create and run a new container from an image
  exec        Execute a command in a running container
  ps          List containers
  build       Build an image from a Dockerfile
  pull        Download an image from a registry
  push        Upload an image to a registry
  images      List images
  login       Authenticate to a registry
  logout      Log out from a registry
  search      Search Docker Hub for images
  version     Show the Docker version information
  info        Display system-wide information

Management Commands:
  container   Manage containers
  image       Manage images
  network     Manage networks
  system      Manage Docker
  volume      Manage volumes

Commands:
  cp          Copy files/folders between a container and the local filesystem
  history     Show the history of an image
  inspect     Return low-level information on Docker objects
  kill        Kill one or more running containers
  load        Load an image from a tar archive or STDIN
  logs        Fetch the logs of a container
  port        List port mappings or a specific mapping for the container
  rename      Rename a container
  restart     Restart one or more containers
  rm          Remove one or more containers
  rmi         Remove one or more images
  save        Save one or more images to a tar archive (streamed to STDOUT by default)
  start       Start one or more stopped containers
  stats       Display a live stream of container(s) resource usage statistics
  stop        Stop one or more running containers
  tag         Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
  top         Display the running processes of a container
";

/// A container that `docker run` has made.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) name: String,
    pub(super) sandbox_id: String,
    /// Of its present run.
    pub(super) container_id: String,
    pub(super) config: ContainerConfig,
    pub(super) ports: Vec<HostPort>,
    pub(super) created_at: Timestamp,
    pub(super) remove: bool,
}

/// The daemon. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Docker(pub(super) Rc<Daemon>);

pub(super) struct Daemon {
    pub(super) runtime: SimRuntime,
    pub(super) clusters: Clusters,
    pub(super) containers: RefCell<Vec<Own>>,
    rng: RefCell<Rng>,
}

/// What a name of a container means.
enum Container {
    Own(Box<Own>),
    Node(Rc<LocalCluster>, Box<LocalNode>),
}

impl Docker {
    /// A daemon without containers, on a computer with a disk.
    pub fn new(clusters: Clusters, disk: SharedTree, mut rng: Rng) -> Self {
        let config = NodeConfig {
            name: "docker".into(),
            network: clusters.computer().network().clone(),
            interface: clusters.computer().clone(),
            tables: SharedTables::default(),
            registry: clusters.registry().clone(),
            pod_cidr: "172.17.0.0/16".into(),
            pull_bytes_per_second: PULL_BYTES_PER_SECOND,
            rng: rng.fork(),
        };
        let runtime = SimRuntime::on(config, disk);
        Self(Rc::new(Daemon { runtime, clusters, containers: RefCell::default(), rng: RefCell::new(rng) }))
    }

    /// An image of this computer.
    pub fn image(&self, reference: &str) -> Option<Rc<Image>> {
        let short =
            |image: &Rc<Image>| reference.len() >= 12 && image.id.trim_start_matches("sha256:").starts_with(reference);
        self.0.runtime.image(reference).or_else(|| self.0.runtime.images().into_iter().find(short))
    }

    /// The built-in image of a name, if there is one.
    pub fn built_in(&self, name: &str) -> Option<Rc<Image>> {
        let image = self.0.clusters.registry().pull(name).ok()?;
        (!image.env.iter().any(|(name, _)| name == "GENERIC_IMAGE")).then_some(image)
    }

    /// Adds an image.
    pub fn put_image(&self, image: Rc<Image>) {
        self.0.runtime.put_image(image);
    }

    /// Fetches an image that is not there yet.
    ///
    /// # Errors
    /// Docker's words for why it cannot be had.
    pub fn fetch(&self, reference: &str) -> Result<Rc<Image>, String> {
        if let Some(image) = self.image(reference) {
            return Ok(image);
        }
        let image = self.0.clusters.registry().pull(reference).map_err(|error| pull_error(reference, &error))?;
        self.0.runtime.put_image(image.clone());
        Ok(image)
    }

    fn own(&self) -> Vec<(Own, ContainerStatus)> {
        let statuses = self.0.runtime.containers();
        let status = |own: &Own| statuses.iter().find(|status| status.id == own.container_id).cloned();
        self.0.containers.borrow().iter().filter_map(|own| Some((own.clone(), status(own)?))).collect()
    }

    pub(super) fn keep(&self, own: &Own) {
        let mut containers = self.0.containers.borrow_mut();
        containers.retain(|known| known.name != own.name);
        containers.push(own.clone());
    }

    /// Makes a container's sandbox and process, and keeps it among the containers. It goes on from what its last run
    /// has written.
    pub(super) async fn launch(&self, own: &mut Own) -> Result<(), RuntimeError> {
        let runtime = &self.0.runtime;
        let layer = runtime.layer(&own.container_id);
        self.remove_sandbox(own).await;
        let hostname = own.name.clone();
        let sandbox = PodSandboxConfig {
            name: own.name.clone(),
            hostname,
            port_mappings: own.ports.clone(),
            network: NamespaceMode::Pod,
            ..PodSandboxConfig::default()
        };
        if let Outcome::Sandbox(status) = runtime.perform(Operation::RunPodSandbox(Box::new(sandbox))).await? {
            own.sandbox_id = status.id;
        }
        let create =
            Operation::CreateContainer { sandbox_id: own.sandbox_id.clone(), config: Box::new(own.config.clone()) };
        if let Outcome::Container(status) = runtime.perform(create).await? {
            own.container_id = status.id;
        }
        if let Some(layer) = layer {
            runtime.set_layer(&own.container_id, layer);
        }
        self.keep(own);
        runtime.perform(Operation::StartContainer { container_id: own.container_id.clone() }).await?;
        Ok(())
    }

    pub(super) async fn remove_sandbox(&self, own: &Own) {
        if !own.sandbox_id.is_empty() {
            let operation = Operation::RemovePodSandbox { sandbox_id: own.sandbox_id.clone() };
            // One that is gone already is removed.
            let _ = self.0.runtime.perform(operation).await;
        }
    }

    fn find(&self, name: &str) -> Result<Container, String> {
        let called = |known: &str, id: &str| known == name || (name.len() >= 2 && id.starts_with(name));
        if let Some((own, _)) = self.own().into_iter().find(|(own, status)| called(&own.name, &status.id)) {
            return Ok(Container::Own(Box::new(own)));
        }
        for cluster in self.0.clusters.all() {
            let node = cluster.nodes.borrow().iter().find(|node| called(&node.options.name, &node.id)).cloned();
            if let Some(node) = node {
                return Ok(Container::Node(cluster, Box::new(node)));
            }
        }
        Err(format!("Error response from daemon: No such container: {name}"))
    }
}

/// The program.
pub async fn main(process: Process, docker: Docker) -> i32 {
    let run = Run { docker, process: Rc::new(process) };
    match run.run().await {
        Ok(code) => code,
        Err(message) => {
            run.process.eprint(format!("{message}\n")).await;
            1
        }
    }
}
/// One command line.
struct Run {
    docker: Docker,
    process: Rc<Process>,
}

type Code = Result<i32, String>;

impl Run {
    async fn run(&self) -> Code {
        let words = self.process.operands();
        let (first, rest) = words.split_first().map_or(("", &[][..]), |(first, rest)| (first.as_str(), rest));
        // `docker container ls` and the like are older commands under another name.
        let (command, rest) = match (first, rest.split_first()) {
            ("container", Some((second, rest))) => (second.as_str(), rest),
            ("image", Some((second, rest))) => match second.as_str() {
                "ls" | "list" => ("images", rest),
                "rm" => ("rmi", rest),
                "prune" => return self.prune_unused_images(rest).await,
                other => (other, rest),
            },
            ("buildx", Some((second, rest))) => (second.as_str(), rest),
            _ => (first, rest),
        };
        if let Some(cluster) = self.pointed_at() {
            return self.at_node(&cluster, command, rest).await;
        }
        self.perform(command, rest).await
    }

    /// The cluster whose node's daemon `minikube docker-env` has pointed to.
    fn pointed_at(&self) -> Option<Rc<LocalCluster>> {
        let profile = self.process.env.get("MINIKUBE_ACTIVE_DOCKERD").filter(|profile| !profile.is_empty())?;
        self.docker.0.clusters.find(Tool::Minikube, profile).filter(|cluster| cluster.is_running())
    }

    /// What the node's daemon does: what it holds is the node's, and what is built or fetched is there.
    async fn at_node(&self, cluster: &LocalCluster, command: &str, rest: &[String]) -> Code {
        let node = cluster.nodes.borrow().first().map(|node| node.options.name.clone()).unwrap_or_default();
        if matches!(command, "ps" | "ls" | "list" | "images") {
            let Some(inner) = cluster.inner().clone() else { return Ok(1) };
            let command = if command == "images" { command } else { "ps" };
            let words: Vec<String> = ["docker", command].iter().map(|word| (*word).to_owned()).collect();
            return Ok(super::nodes::run(&inner, &node, &self.process, &[words, rest.to_vec()].concat()).await);
        }
        let code = self.perform(command, rest).await?;
        let made: &[String] = match command {
            "build" => {
                let at = rest.iter().position(|word| matches!(word.as_str(), "-t" | "--tag")).map(|at| at + 1);
                at.and_then(|at| rest.get(at..=at)).unwrap_or_default()
            }
            "pull" | "tag" => rest.last().map(std::slice::from_ref).unwrap_or_default(),
            _ => &[],
        };
        if code == 0
            && let Some(image) = made.first().and_then(|name| self.docker.image(name))
        {
            cluster.load_image(&image);
        }
        Ok(code)
    }

    async fn perform(&self, command: &str, rest: &[String]) -> Code {
        match command {
            "" | "help" | "--help" | "-h" => self.print(HELP).await,
            "ps" | "ls" | "list" => self.ps(rest).await,
            "images" => self.images(rest).await,
            "version" | "--version" | "-v" => self.version(command).await,
            "info" => self.info().await,
            "pull" => self.pull(rest).await,
            "push" => self.push(rest).await,
            "tag" => self.tag(rest).await,
            "rmi" => self.remove_images(rest).await,
            "build" => build::run(&self.docker, &self.process, rest).await,
            "run" => self.start_new(rest).await,
            "exec" => self.exec(rest).await,
            "logs" => self.logs(rest).await,
            "stop" | "kill" | "start" | "restart" => self.change(command, rest).await,
            "rm" => self.remove(rest).await,
            "port" => self.ports(rest).await,
            "inspect" => self.inspect(rest).await,
            "network" => self.network(rest).await,
            "rename" => self.rename(rest).await,
            "prune" => self.prune(rest).await,
            "cp" => self.copy(rest).await,
            "volume" => self.volume(rest).await,
            "top" => self.top(rest).await,
            "stats" => self.stats(rest).await,
            "system" => self.system(rest).await,
            "save" => self.save(rest).await,
            "load" => self.load(rest).await,
            "history" => self.history(rest).await,
            "login" => self.login(rest).await,
            "logout" => self.logout(rest).await,
            "search" => self.search(rest).await,
            other => {
                Err(format!("docker: unknown command: docker {other}\n\nRun 'docker --help' for more information"))
            }
        }
    }

    async fn print(&self, text: impl AsRef<[u8]>) -> Code {
        self.process.print(text).await;
        Ok(0)
    }

    /// A daemon's clock shows at the process' machine.
    fn now(&self) -> Timestamp {
        self.process.machine.now()
    }

    async fn version(&self, command: &str) -> Code {
        if command != "version" {
            return self.print(format!("Docker version {VERSION}, build e180ab8\n")).await;
        }
        self.print(format!(
            "Client: Docker Engine - Community\n Version:           {VERSION}\n API version:       1.51\n OS/Arch:           \
             linux/amd64\n Context:           default\n\nServer: Docker Engine - Community\n Engine:\n  Version:          \
             {VERSION}\n  API version:      1.51 (minimum version 1.24)\n  OS/Arch:          linux/amd64\n containerd:\n  \
             Version:          1.7.28\n"
        ))
        .await
    }

    async fn info(&self) -> Code {
        let own = self.docker.own();
        let running = own.iter().filter(|(_, status)| status.state == ContainerState::Running).count();
        let (mut nodes, mut nodes_up) = (0, 0);
        for cluster in self.docker.0.clusters.all() {
            let known = cluster.nodes.borrow();
            nodes += known.len();
            nodes_up += known.iter().filter(|node| cluster.is_running() && !node.stopped).count();
        }
        let (all, up) = (own.len() + nodes, running + nodes_up);
        self.print(format!(
            "Client: Docker Engine - Community\n Version:    {VERSION}\n Context:    default\n\nServer:\n Containers: \
             {all}\n  Running: {up}\n  Paused: 0\n  Stopped: {}\n Images: {}\n Server Version: {VERSION}\n Storage Driver: \
             overlay2\n Cgroup Driver: systemd\n Cgroup Version: 2\n Operating System: Debian GNU/Linux 12 (bookworm)\n \
             OSType: linux\n Architecture: x86_64\n CPUs: 8\n Total Memory: 16GiB\n Name: {}\n",
            all - up,
            self.docker.0.runtime.images().len(),
            self.process.machine.hostname()
        ))
        .await
    }
}
