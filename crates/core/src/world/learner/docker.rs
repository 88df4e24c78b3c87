//! `docker`: the containers of this computer. Nodes of kind and minikube are such containers; others run
//! on a runtime of the computer's own.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use kubelet::ContainerRuntime;
use kubelet::runtime::{
    AttachRequest, ContainerConfig, ContainerState, ContainerStatus, ExecRequest, LogRequest, NamespaceMode, Operation,
    Outcome, PodSandboxConfig, PortMapping as HostPort, RuntimeError,
};
use machinery::Timestamp;
use machinery::random::Rng;
use machinery::sort::Order;
use machinery::wire::{Channels, Frame};
use proxy::SharedTables;
use sim::image::{Image, Reference};
use sim::io::{Fd, PIPE_BYTES_MAX};
use sim::process::Process;
use sim::{NodeConfig, SimRuntime};

use super::clusters::{Clusters, LocalCluster, LocalNode};
use super::flags::{Flags, Known};
use super::{build, nodes};

/// The version that we are like.
const VERSION: &str = "28.5.1";
const PULL_BYTES_PER_SECOND: u64 = 50_000_000;
const STOP_GRACE: Duration = Duration::from_secs(10);

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
  version     Show the Docker version information
  info        Display system-wide information

Commands:
  inspect     Return low-level information on Docker objects
  logs        Fetch the logs of a container
  port        List port mappings or a specific mapping for the container
  restart     Restart one or more containers
  rm          Remove one or more containers
  rmi         Remove one or more images
  start       Start one or more stopped containers
  stop        Stop one or more running containers
  tag         Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
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
    /// A daemon without containers.
    pub fn new(clusters: Clusters, mut rng: Rng) -> Self {
        let runtime = SimRuntime::new(NodeConfig {
            name: "docker".into(),
            network: clusters.computer().network().clone(),
            interface: clusters.computer().clone(),
            tables: SharedTables::default(),
            registry: clusters.registry().clone(),
            pod_cidr: "172.17.0.0/16".into(),
            pull_bytes_per_second: PULL_BYTES_PER_SECOND,
            rng: rng.fork(),
        });
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
];

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
                other => (other, rest),
            },
            ("buildx", Some((second, rest))) => (second.as_str(), rest),
            ("system", Some((second, rest))) => (second.as_str(), rest),
            _ => (first, rest),
        };
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

    async fn ps(&self, words: &[String]) -> Code {
        const KNOWN: &[Known] = &[
            ("all", 'a', false),
            ("quiet", 'q', false),
            ("no-trunc", ' ', false),
            ("filter", 'f', true),
            ("format", ' ', true),
            ("latest", 'l', false),
            ("last", 'n', true),
            ("size", 's', false),
        ];
        let flags = Flags::parse(words, KNOWN, usize::MAX)?;
        let mut rows = Vec::new();
        for cluster in self.docker.0.clusters.all() {
            for node in cluster.nodes.borrow().iter().rev() {
                let up = cluster.is_running() && !node.stopped;
                rows.push(Row {
                    id: node.id.clone(),
                    image: node.image.clone(),
                    command: "/usr/local/bin/entrypoint /sbin/init".into(),
                    created_at: node.created_at,
                    status: if up { format!("Up {}", self.ago(node.created_at)) } else { "Exited (137)".into() },
                    up,
                    ports: if up { node_ports(node) } else { String::new() },
                    name: node.options.name.clone(),
                });
            }
        }
        for (own, status) in self.docker.own() {
            let up = status.state == ContainerState::Running;
            let since = status.finished_at.or(status.started_at).unwrap_or(own.created_at);
            rows.push(Row {
                id: status.id.clone(),
                image: own.config.image.clone(),
                command: self.command_of(&own),
                created_at: own.created_at,
                status: match status.state {
                    ContainerState::Running => format!("Up {}", self.ago(since)),
                    ContainerState::Created => "Created".into(),
                    _ => format!("Exited ({}) {} ago", status.exit_code, self.ago(since)),
                },
                up,
                ports: if up { own_ports(&own) } else { String::new() },
                name: own.name.clone(),
            });
        }
        rows.order_by_key(|row| std::cmp::Reverse(row.created_at));
        rows.retain(|row| flags.is_on("all") || row.up);
        for filter in flags.values("filter") {
            match filter.split_once('=') {
                Some(("name", name)) => rows.retain(|row| row.name.contains(name)),
                Some(("ancestor", image)) => rows.retain(|row| row.image.starts_with(image)),
                Some(("status", status)) => rows.retain(|row| (status == "running") == row.up),
                _ => return Err(format!("invalid filter '{filter}'")),
            }
        }
        let length = if flags.is_on("no-trunc") { usize::MAX } else { 12 };
        let short = |id: &str| id.chars().take(length).collect::<String>();
        if flags.is_on("quiet") {
            let ids: String = rows.iter().map(|row| format!("{}\n", short(&row.id))).collect();
            return self.print(ids).await;
        }
        if let Some(format) = flags.value("format").filter(|format| !format.starts_with("table")) {
            let lines: String = rows.iter().map(|row| format!("{}\n", row.fill(format, &short(&row.id)))).collect();
            return self.print(lines).await;
        }
        let mut table = vec![
            ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"].map(str::to_owned).to_vec(),
        ];
        table.extend(rows.into_iter().map(|row| {
            let created = format!("{} ago", self.ago(row.created_at));
            vec![short(&row.id), row.image, quoted(&row.command, length), created, row.status, row.ports, row.name]
        }));
        self.print(columns(&table)).await
    }

    /// What a container runs, as words.
    fn command_of(&self, own: &Own) -> String {
        let image = self.docker.image(&own.config.image);
        let entrypoint = match (&own.config.command, &image) {
            (given, _) if !given.is_empty() => given.clone(),
            (_, Some(image)) => image.entrypoint.clone(),
            _ => Vec::new(),
        };
        let arguments = match (&own.config.args, &image) {
            (given, _) if !given.is_empty() => given.clone(),
            (_, Some(image)) if own.config.command.is_empty() => image.cmd.clone(),
            _ => Vec::new(),
        };
        [entrypoint, arguments].concat().join(" ")
    }

    fn ago(&self, then: Timestamp) -> String {
        ago(self.now(), then)
    }

    async fn images(&self, words: &[String]) -> Code {
        let flags =
            Flags::parse(words, &[("quiet", 'q', false), ("all", 'a', false), ("digests", ' ', false)], usize::MAX)?;
        let mut table = vec![["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"].map(str::to_owned).to_vec()];
        for image in self.docker.0.runtime.images() {
            let name = image.reference.familiar();
            let wanted = flags.word(0);
            if !wanted.is_empty() && wanted != name && wanted != format!("{name}:{}", image.reference.tag) {
                continue;
            }
            let id: String = image.id.trim_start_matches("sha256:").chars().take(12).collect();
            table.push(vec![name, image.reference.tag.clone(), id, "2 weeks ago".into(), size(image.size_bytes)]);
        }
        if flags.is_on("quiet") {
            let ids: String = table.iter().skip(1).filter_map(|row| row.get(2)).map(|id| format!("{id}\n")).collect();
            return self.print(ids).await;
        }
        self.print(columns(&table)).await
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

    async fn pull(&self, words: &[String]) -> Code {
        let flags = Flags::parse(
            words,
            &[("quiet", 'q', false), ("platform", ' ', true), ("all-tags", 'a', false)],
            usize::MAX,
        )?;
        let name = flags.word(0);
        if name.is_empty() {
            return Err(
                "docker: 'docker pull' requires 1 argument\n\nUsage:  docker pull [OPTIONS] NAME[:TAG|@DIGEST]".into(),
            );
        }
        let told = Some(self.process.stdout()).filter(|_| !flags.is_on("quiet"));
        if let Some(told) = &told
            && !name.contains(':')
        {
            let _ = told.write_all(b"Using default tag: latest\n").await;
        }
        let image = self.pull_image(name, told.as_ref()).await?;
        self.print(format!("{}\n", image.reference)).await
    }

    /// Fetches an image anew, and tells of it to somebody.
    async fn pull_image(&self, name: &str, told: Option<&Fd>) -> Result<Rc<Image>, String> {
        let say = async |text: String| {
            if let Some(told) = told {
                // Nobody reads it any more: the pull goes on.
                let _ = told.write_all(text.as_bytes()).await;
            }
        };
        let reference = Reference::parse(name)?;
        let known = self.docker.image(name).is_some();
        let image = self.docker.0.clusters.registry().pull(name).map_err(|error| pull_error(name, &error))?;
        say(format!("{}: Pulling from {}\n", reference.tag, reference.repository)).await;
        if !known {
            self.process.sleep(Duration::from_millis(image.size_bytes * 1000 / PULL_BYTES_PER_SECOND)).await;
            let layer: String = image.digest.trim_start_matches("sha256:").chars().take(12).collect();
            say(format!("{layer}: Pull complete\n")).await;
        }
        self.docker.put_image(image.clone());
        let status = if known { "Image is up to date for" } else { "Downloaded newer image for" };
        let familiar = format!("{}:{}", reference.familiar(), reference.tag);
        say(format!("Digest: {}\nStatus: {status} {familiar}\n", image.digest)).await;
        Ok(image)
    }

    async fn push(&self, words: &[String]) -> Code {
        let name = words.first().ok_or("docker: 'docker push' requires 1 argument")?;
        let reference = Reference::parse(name)?;
        let image = self
            .docker
            .image(name)
            .ok_or_else(|| format!("An image does not exist locally with the tag: {}", reference.familiar()))?;
        self.docker.0.clusters.registry().push((*image).clone());
        self.print(format!(
            "The push refers to repository [{}]\n{}: digest: {} size: 1570\n",
            reference.name(),
            reference.tag,
            image.digest
        ))
        .await
    }

    async fn tag(&self, words: &[String]) -> Code {
        let [source, target] = words else { return Err("docker: 'docker tag' requires 2 arguments".into()) };
        let image = self.docker.image(source);
        let image = image.ok_or_else(|| format!("Error response from daemon: No such image: {source}"))?;
        let reference = Reference::parse(target)
            .map_err(|error| format!("Error parsing reference: {target:?} is not a valid repository/tag: {error}"))?;
        self.docker.put_image(Rc::new(Image { reference, ..(*image).clone() }));
        Ok(0)
    }

    async fn remove_images(&self, words: &[String]) -> Code {
        let flags = Flags::parse(words, &[("force", 'f', false)], usize::MAX)?;
        for name in &flags.words {
            let image = self.docker.image(name);
            let image = image.ok_or_else(|| format!("Error response from daemon: No such image: {name}"))?;
            self.docker.0.runtime.remove_image(&image.reference.to_string());
            let familiar = format!("{}:{}", image.reference.familiar(), image.reference.tag);
            self.process.print(format!("Untagged: {familiar}\nDeleted: {}\n", image.id)).await;
        }
        Ok(0)
    }

    async fn start_new(&self, words: &[String]) -> Code {
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
        }
        Ok(code)
    }

    /// Shows what a container writes until it ends; its exit code.
    async fn follow(&self, own: &Own, stdin: bool, tty: bool) -> i32 {
        let (ours, theirs) = Channels::pair();
        let request = AttachRequest { container_id: own.container_id.clone(), stdin, stdout: true, stderr: !tty, tty };
        let mut runtime = self.docker.0.runtime.clone();
        if !stdin {
            self.copy_log(&own.container_id, true, None).await;
        } else {
            runtime.attach(request, theirs);
            self.converse(ours, stdin, tty).await;
        }
        let ended = |status: &ContainerStatus| status.id == own.container_id;
        runtime.containers().into_iter().find(ended).map_or(0, |status| status.exit_code)
    }

    /// Carries a terminal's two ways over channels, until the other side ends; the exit code it tells.
    async fn converse(&self, channels: Channels, stdin: bool, tty: bool) -> i32 {
        converse(&self.process, channels, stdin, tty).await
    }

    async fn copy_log(&self, id: &str, follow: bool, tail: Option<u64>) {
        let (sender, mut lines) = mpsc::channel(16);
        let request = LogRequest { container_id: id.to_owned(), follow, since: None, tail };
        self.docker.0.runtime.clone().logs(request, sender);
        while let Some(Ok(line)) = lines.next().await {
            let fd = match line.stream {
                kubelet::runtime::LogStream::Stdout => self.process.stdout(),
                kubelet::runtime::LogStream::Stderr => self.process.stderr(),
            };
            if fd.write_all(&line.content).await.is_err() {
                return;
            }
        }
    }

    async fn exec(&self, words: &[String]) -> Code {
        const KNOWN: &[Known] = &[
            ("interactive", 'i', false),
            ("tty", 't', false),
            ("env", 'e', true),
            ("workdir", 'w', true),
            ("user", 'u', true),
            ("detach", 'd', false),
        ];
        let flags = Flags::parse(words, KNOWN, 1)?;
        let Some((name, command)) = flags.words.split_first().filter(|(_, command)| !command.is_empty()) else {
            return Err("docker: 'docker exec' requires at least 2 arguments\n\nUsage:  docker exec [OPTIONS] CONTAINER COMMAND [ARG...]".into());
        };
        let (stdin, tty) = (flags.is_on("interactive"), flags.is_on("tty"));
        match self.docker.find(name)? {
            Container::Node(cluster, node) => {
                if node.stopped || !cluster.is_running() {
                    return Err(format!("Error response from daemon: container {} is not running", node.id));
                }
                let inner = cluster.inner().clone();
                let inner =
                    inner.ok_or_else(|| format!("Error response from daemon: container {} is not running", node.id))?;
                Ok(nodes::run(&inner, &node.options.name, &self.process, command).await)
            }
            Container::Own(own) => {
                let (ours, theirs) = Channels::pair();
                let request = ExecRequest {
                    container_id: own.container_id.clone(),
                    command: command.to_vec(),
                    stdin,
                    stdout: true,
                    stderr: !tty,
                    tty,
                };
                self.docker.0.runtime.clone().exec(request, theirs);
                Ok(self.converse(ours, stdin, tty).await)
            }
        }
    }

    async fn logs(&self, words: &[String]) -> Code {
        let flags = Flags::parse(
            words,
            &[("follow", 'f', false), ("tail", 'n', true), ("timestamps", 't', false)],
            usize::MAX,
        )?;
        match self.docker.find(flags.word(0))? {
            Container::Own(own) => {
                let tail = flags.value("tail").and_then(|tail| tail.parse().ok());
                self.copy_log(&own.container_id, flags.is_on("follow"), tail).await;
                Ok(0)
            }
            Container::Node(_, node) => {
                self.print(format!(
                    "INFO: ensuring we can execute mount/umount even with userns-remap\nINFO: setting iptables to detected \
                     mode: nft\nINFO: starting init\nsystemd running in system mode\nWelcome to Debian GNU/Linux 12 \
                     (bookworm)!\nHostname set to <{}>.\n",
                    node.options.name
                ))
                .await
            }
        }
    }

    async fn change(&self, command: &str, words: &[String]) -> Code {
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

    async fn forget(&self, own: &Own) {
        self.docker.remove_sandbox(own).await;
        self.docker.0.containers.borrow_mut().retain(|known| known.name != own.name);
    }

    async fn remove(&self, words: &[String]) -> Code {
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
            self.process.print(format!("{name}\n")).await;
        }
        Ok(0)
    }

    async fn ports(&self, words: &[String]) -> Code {
        let name = words.first().ok_or("docker: 'docker port' requires at least 1 argument")?;
        let lines: String = match self.docker.find(name)? {
            Container::Own(own) => own
                .ports
                .iter()
                .map(|port| format!("{}/tcp -> 0.0.0.0:{}\n", port.container_port, port.host_port))
                .collect(),
            Container::Node(_, node) => {
                node.ports.iter().map(|port| format!("{}/tcp -> {}:{}\n", port.node, port.address, port.host)).collect()
            }
        };
        self.print(lines).await
    }

    async fn inspect(&self, words: &[String]) -> Code {
        let flags = Flags::parse(words, &[("format", 'f', true)], usize::MAX)?;
        let mut all = Vec::new();
        for name in &flags.words {
            all.push(match self.docker.find(name) {
                Ok(Container::Own(own)) => {
                    let sandboxes = self.docker.0.runtime.sandboxes();
                    let address = sandboxes.into_iter().find(|sandbox| sandbox.id == own.sandbox_id);
                    let address = address.and_then(|sandbox| sandbox.ips.into_iter().next()).unwrap_or_default();
                    described(&own.container_id, &own.name, &own.config.image, own.created_at, &address)
                }
                Ok(Container::Node(_, node)) => {
                    let address = node.options.address.to_string();
                    described(&node.id, &node.options.name, &node.image, node.created_at, &address)
                }
                Err(_) => match self.docker.image(name) {
                    Some(image) => serde_json::json!({
                        "Id": image.id,
                        "RepoTags": [format!("{}:{}", image.reference.familiar(), image.reference.tag)],
                        "Config": {"Entrypoint": image.entrypoint, "Cmd": image.cmd, "WorkingDir": image.working_dir},
                        "Architecture": "amd64",
                        "Os": "linux",
                        "Size": image.size_bytes,
                    }),
                    None => return Err(format!("[]\nerror: no such object: {name}")),
                },
            });
        }
        if let Some(format) = flags.value("format") {
            let wanted = format.trim_start_matches("{{").trim_end_matches("}}").trim();
            for object in &all {
                let pointer = wanted.replace('.', "/");
                let found = match object.pointer(&pointer) {
                    Some(serde_json::Value::String(text)) => text.clone(),
                    Some(value) => value.to_string(),
                    None if wanted.contains("IPAddress") => {
                        object["NetworkSettings"]["IPAddress"].as_str().unwrap_or_default().to_owned()
                    }
                    None => return Err(format!("template parsing error: {format} is more than this docker can do")),
                };
                self.process.print(format!("{found}\n")).await;
            }
            return Ok(0);
        }
        let text = serde_json::to_string_pretty(&all).unwrap_or_default();
        self.print(format!("{text}\n")).await
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

/// A line of `docker ps`.
struct Row {
    id: String,
    image: String,
    command: String,
    created_at: Timestamp,
    status: String,
    up: bool,
    ports: String,
    name: String,
}

impl Row {
    /// Fills a format's fields in.
    fn fill(&self, format: &str, id: &str) -> String {
        let mut text = format.replace("\\t", "\t");
        for (field, value) in [
            ("ID", id),
            ("Names", &self.name),
            ("Image", &self.image),
            ("Status", &self.status),
            ("Ports", &self.ports),
            ("Command", &self.command),
        ] {
            text = text.replace(&format!("{{{{.{field}}}}}"), value);
        }
        text
    }
}

/// Carries a terminal's two ways over channels, until the other side ends; the exit code it tells.
pub async fn converse(process: &Rc<Process>, channels: Channels, stdin: bool, tty: bool) -> i32 {
    let Channels { mut sender, mut receiver } = channels;
    let terminal = process.stdin().tty().cloned().filter(|_| tty);
    if let Some(terminal) = &terminal {
        terminal.set_raw(true);
        let (columns, rows) = terminal.size();
        let size = format!("{{\"Width\":{columns},\"Height\":{rows}}}");
        let _ = sender.send(Frame { channel: 4, data: Some(size.into()) }).await;
    }
    let input = async {
        let mut open = stdin;
        while open {
            let data = process.stdin().read(PIPE_BYTES_MAX).await.unwrap_or_default();
            let ended = data.is_empty();
            let data = (!ended).then_some(data);
            open = sender.send(Frame { channel: 0, data }).await.is_ok() && !ended;
        }
        std::future::pending::<i32>().await
    };
    let output = async {
        while let Some(Frame { channel, data }) = receiver.next().await {
            let Some(data) = data else { continue };
            match channel {
                1 => _ = process.stdout().write_all(&data).await,
                2 => _ = process.stderr().write_all(&data).await,
                3 => return exit_code(process, &data).await,
                _ => {}
            }
        }
        0
    };
    let (input, output) = (std::pin::pin!(input), std::pin::pin!(output));
    let code = futures::future::select(input, output).await.factor_first().0;
    if let Some(terminal) = terminal {
        terminal.set_raw(false);
    }
    code
}

/// What the Status at the end of an exec says.
async fn exit_code(process: &Process, status: &[u8]) -> i32 {
    let status: serde_json::Value = serde_json::from_slice(status).unwrap_or_default();
    if status["status"] == "Success" {
        return 0;
    }
    let code = status["details"]["causes"][0]["message"].as_str().and_then(|code| code.parse().ok());
    if code.is_none() {
        let message = status["message"].as_str().unwrap_or_default();
        let reason = message.split_once("OCI runtime").map_or(message, |(_, reason)| reason);
        process.eprint(format!("OCI runtime{reason}\n")).await;
    }
    code.unwrap_or(126)
}

fn described(id: &str, name: &str, image: &str, created_at: Timestamp, address: &str) -> serde_json::Value {
    serde_json::json!({
        "Id": id,
        "Created": created_at.to_string(),
        "Name": format!("/{name}"),
        "Config": {"Image": image, "Hostname": name},
        "NetworkSettings": {"IPAddress": address},
    })
}

fn pull_error(name: &str, error: &RuntimeError) -> String {
    let reference = Reference::parse(name).map(|reference| (reference.familiar(), reference.tag));
    let (familiar, tag) = reference.unwrap_or_default();
    if error.message.contains("insufficient_scope") {
        return format!(
            "Error response from daemon: pull access denied for {familiar}, repository does not exist or may require \
             'docker login'"
        );
    }
    if error.message.ends_with("not found") {
        return format!(
            "Error response from daemon: manifest for {familiar}:{tag} not found: manifest unknown: manifest unknown"
        );
    }
    format!("Error response from daemon: {}", error.message.rsplit("desc = ").next().unwrap_or_default())
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

fn own_ports(own: &Own) -> String {
    let ports = own.ports.iter().map(|port| format!("0.0.0.0:{}->{}/tcp", port.host_port, port.container_port));
    ports.collect::<Vec<_>>().join(", ")
}

fn node_ports(node: &LocalNode) -> String {
    let port = |port: &crate::kind_config::PortMapping| {
        format!("{}:{}->{}/{}", port.address, port.host, port.node, port.protocol)
    };
    node.ports.iter().map(port).collect::<Vec<_>>().join(", ")
}

fn quoted(command: &str, length: usize) -> String {
    const SHOWN: usize = 20;
    let shown: String = match command.chars().count() > SHOWN && length != usize::MAX {
        true => command.chars().take(SHOWN - 1).chain(['…']).collect(),
        false => command.to_owned(),
    };
    format!("\"{shown}\"")
}

/// Docker's rough durations.
pub fn ago(now: Timestamp, then: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    let plural = |count: i64, unit: &str| format!("{count} {unit}");
    match seconds {
        0 => "Less than a second".into(),
        1 => "1 second".into(),
        2..60 => plural(seconds, "seconds"),
        60..120 => "About a minute".into(),
        120..3600 => plural(seconds / 60, "minutes"),
        3600..7200 => "About an hour".into(),
        7200..172_800 => plural(seconds / 3600, "hours"),
        _ => plural(seconds / 86_400, "days"),
    }
}

fn size(bytes: u64) -> String {
    let megabytes = bytes / 1_000_000;
    if megabytes >= 1000 {
        format!("{}.{}GB", megabytes / 1000, megabytes % 1000 / 100)
    } else {
        format!("{megabytes}MB")
    }
}

/// A table with three spaces between its columns, as docker prints it.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < count {
                let padding = widths.get(column).copied().unwrap_or(0) + 3 - cell.chars().count();
                text.push_str(&" ".repeat(padding));
            }
        }
        text.push('\n');
    }
    text
}
