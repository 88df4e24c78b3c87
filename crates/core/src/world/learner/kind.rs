//! `kind`: clusters whose nodes are containers of this computer (upstream sigs.k8s.io/kind, pkg/cmd).

mod help;

use std::time::Duration;

use sim::process::Process;

use super::clusters::{Clusters, LocalNode, Tool};
use super::docker::{self, Docker};
use super::flags::{Flags, Known};
use super::kubeconfig;
use crate::kind_config::{self, KindConfig, PortMapping};

/// The version that we are like.
const VERSION: &str = "v0.31.0";

const FLAGS: &[Known] = &[
    ("config", ' ', true),
    ("help", 'h', false),
    ("image", ' ', true),
    ("internal", ' ', false),
    ("kubeconfig", ' ', true),
    ("loglevel", ' ', true),
    ("name", 'n', true),
    ("all-clusters", 'A', false),
    ("all", ' ', false),
    ("version", ' ', false),
    ("nodes", ' ', true),
    ("quiet", 'q', false),
    ("retain", ' ', false),
    ("verbosity", 'v', true),
    ("wait", ' ', true),
];

const HELP: &str = "\
kind creates and manages local Kubernetes clusters using Docker container 'nodes'

Usage:
  kind [command]

Available Commands:
  build       Build one of [node-image]
  completion  Output shell completion code for the specified shell (bash, zsh or fish)
  create      Creates one of [cluster]
  delete      Deletes one of [cluster]
  export      Exports one of [kubeconfig, logs]
  get         Gets one of [clusters, nodes, kubeconfig]
  help        Help about any command
  load        Loads images into nodes
  version     Prints the kind CLI version

Flags:
  -h, --help              help for kind
  -q, --quiet             silence all stderr output
  -v, --verbosity int32   info log verbosity, higher value produces more output
      --version           version for kind

Use \"kind [command] --help\" for more information about a command.
";

/// The program.
pub async fn main(process: Process, clusters: Clusters, docker: Docker) -> i32 {
    let kind = Kind { clusters, docker, process };
    match kind.run().await {
        Ok(()) => 0,
        Err(message) => {
            kind.process.eprint(format!("ERROR: {message}\n")).await;
            1
        }
    }
}

struct Kind {
    clusters: Clusters,
    docker: Docker,
    process: Process,
}

impl Kind {
    async fn run(&self) -> Result<(), String> {
        let flags = Flags::parse(self.process.operands(), FLAGS, usize::MAX)?;
        let name = flags.value("name").or(self.process.env.get("KIND_CLUSTER_NAME").map(String::as_str));
        let named = name.unwrap_or("kind").to_owned();
        if flags.is_on("version") && flags.words.is_empty() {
            self.process.print(format!("kind version {}\n", VERSION.trim_start_matches('v'))).await;
            return Ok(());
        }
        if flags.is_on("help") || flags.words.is_empty() || flags.word(0) == "help" {
            let words = flags.words.get(usize::from(flags.word(0) == "help")..).unwrap_or_default();
            let words = words.get(..words.len().min(2)).unwrap_or_default().join(" ");
            self.process.print(help::page(&words).unwrap_or_else(|| HELP.to_owned())).await;
            return Ok(());
        }
        match (flags.word(0), flags.word(1)) {
            ("version", _) => {
                self.process.print(format!("kind {VERSION} go1.24.6 linux/amd64\n")).await;
                Ok(())
            }
            ("create", "cluster") => self.create(&flags, name).await,
            ("delete", "cluster") => self.delete(&flags, &[named]).await,
            ("delete", "clusters") => {
                let names = match flags.is_on("all-clusters") || flags.is_on("all") {
                    true => self.clusters.of(Tool::Kind).iter().map(|cluster| cluster.name.clone()).collect(),
                    false => flags.words.get(2..).unwrap_or_default().to_vec(),
                };
                self.delete(&flags, &names).await
            }
            ("get", "clusters") => self.get_clusters().await,
            ("get", "nodes") => self.get_nodes(&flags, &named).await,
            ("get", "kubeconfig") => {
                let config = kubeconfig::of(&context(&named), &self.cluster(&named)?);
                self.process.print(machinery::yaml::emit(&config)).await;
                Ok(())
            }
            ("export", "kubeconfig") => {
                let server = self.cluster(&named)?;
                kubeconfig::add(&self.process, flags.value("kubeconfig"), &context(&named), &server);
                self.say(&flags, &format!("Set kubectl context to \"{}\"\n", context(&named))).await;
                Ok(())
            }
            ("export", "logs") => self.export_logs(&flags, &named).await,
            ("load", "docker-image") => self.load(&flags, &named).await,
            ("load", "image-archive") => self.load_archives(&flags, &named),
            ("build", "node-image") => {
                Err("error building node image: there is no source tree of Kubernetes on this machine".into())
            }
            (command @ ("build" | "create" | "delete" | "get" | "export" | "load"), "") => {
                self.process.print(help::page(command).unwrap_or_default()).await;
                Err("Subcommand is required".into())
            }
            (command, word) => {
                let (word, of) = match command {
                    "build" | "create" | "delete" | "get" | "export" | "load" => (word, format!("kind {command}")),
                    _ => (command, "kind".to_owned()),
                };
                Err(format!("unknown command {word:?} for {of:?}"))
            }
        }
    }

    /// Tells of progress, which goes to standard error.
    async fn say(&self, flags: &Flags, text: &str) {
        if !flags.is_on("quiet") {
            self.process.eprint(text).await;
        }
    }

    /// The server of a cluster.
    fn cluster(&self, name: &str) -> Result<String, String> {
        let cluster = self.clusters.find(Tool::Kind, name);
        let missing = || {
            format!(
                "could not locate any control plane nodes for cluster named '{name}'. Use the --name option to select a different cluster"
            )
        };
        cluster.map(|cluster| cluster.server.clone()).ok_or_else(missing)
    }

    async fn create(&self, flags: &Flags, name: Option<&str>) -> Result<(), String> {
        let mut config = match flags.value("config") {
            None => KindConfig::default(),
            Some(path) => {
                let text =
                    match path {
                        "-" => self
                            .process
                            .stdin()
                            .read_to_end()
                            .await
                            .map_err(|error| error.to_string())
                            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
                        _ => self.process.fs().read_text(&self.process.path(path)).map_err(|error| {
                            format!("error reading file: open {path}: {}", error.as_str().to_lowercase())
                        }),
                    };
                KindConfig::parse(&text?)?
            }
        };
        let name = name.map(str::to_owned).or(config.name.take()).unwrap_or_else(|| "kind".to_owned());
        kind_config::check_name(&name)?;
        if self.clusters.find(Tool::Kind, &name).is_some() {
            return Err(format!(
                "failed to create cluster: node(s) already exist for a cluster with the name {name:?}"
            ));
        }
        config.complete()?;
        let image = flags.value("image").map_or_else(|| format!("kindest/node:{}", kubelet::VERSION), str::to_owned);
        let workers = config.nodes.iter().filter(|node| !node.control_plane).count();
        let port = config.api_server_port.filter(|port| *port > 0).unwrap_or_else(|| self.clusters.new_port());
        let boxes = "📦 ".repeat(config.nodes.len());
        self.say(flags, &format!("Creating cluster {name:?} ...\n")).await;
        let first = config.nodes.first().and_then(|node| node.image.clone()).unwrap_or_else(|| image.clone());
        self.step(flags, &format!("Ensuring node image ({}) 🖼", first.split('@').next().unwrap_or_default()), 800)
            .await;
        let address = config.api_server_address.clone();
        let mounts: Vec<_> = config.nodes.iter().map(|node| node.mounts.clone()).collect();
        let nodes = self.nodes(&name, config, &image, port);
        self.step(flags, &format!("Preparing nodes {boxes}"), 1500).await;
        self.step(flags, "Writing configuration 📜", 300).await;
        let address = if matches!(address.as_str(), "" | "0.0.0.0") { "127.0.0.1" } else { &address };
        let server = format!("https://{address}:{port}");
        let cluster = self.clusters.create(Tool::Kind, &name, &context(&name), &server, nodes);
        let cluster = cluster.map_err(|reason| format!("failed to create cluster: {reason}"))?;
        let now = self.process.machine.now();
        for (node, mounts) in cluster.nodes.borrow().iter().zip(mounts) {
            for mount in mounts {
                let path = self.process.path(&mount.host);
                cluster.put_files(&node.options.name, self.process.fs(), &path, &mount.node, now);
            }
        }
        self.step(flags, "Starting control-plane 🕹️", 2500).await;
        self.step(flags, "Installing CNI 🔌", 600).await;
        self.step(flags, "Installing StorageClass 💾", 400).await;
        if workers > 0 {
            self.step(flags, "Joining worker nodes 🚜", 1800).await;
        }
        kubeconfig::add(&self.process, flags.value("kubeconfig"), &context(&name), &server);
        self.say(
            flags,
            &format!(
                "Set kubectl context to \"kind-{name}\"\nYou can now use your cluster with:\n\nkubectl cluster-info \
                 --context kind-{name}\n\nHave a nice day! 👋\n"
            ),
        )
        .await;
        Ok(())
    }

    /// One step of the creation: on a terminal its line is written anew when it is done.
    async fn step(&self, flags: &Flags, what: &str, milliseconds: u64) {
        let on_terminal = self.process.stderr().tty().is_some();
        let what = what.trim_end();
        self.say(flags, &format!(" • {what}  ...{}", if on_terminal { "" } else { "\n" })).await;
        self.process.sleep(Duration::from_millis(milliseconds)).await;
        self.say(flags, &format!("{} ✓ {what}\n", if on_terminal { "\r\x1b[2K" } else { "" })).await;
    }

    fn nodes(&self, name: &str, config: KindConfig, image: &str, port: u16) -> Vec<LocalNode> {
        let now = self.process.machine.now();
        let options = config.node_options(name, || self.clusters.next_index());
        let address = if config.api_server_address.is_empty() { "127.0.0.1" } else { &config.api_server_address };
        let mut first = true;
        let mut nodes = Vec::new();
        for (node, options) in config.nodes.iter().zip(options) {
            let mut ports = node.ports.clone();
            if node.control_plane && std::mem::take(&mut first) {
                let address = address.to_owned();
                ports.insert(0, PortMapping { host: port, node: 6443, address, protocol: "tcp".into() });
            }
            nodes.push(LocalNode {
                options,
                control_plane: node.control_plane,
                id: self.clusters.new_id(),
                image: node.image.clone().unwrap_or_else(|| image.to_owned()),
                ports,
                created_at: now,
                stopped: false,
            });
        }
        nodes
    }

    async fn delete(&self, flags: &Flags, names: &[String]) -> Result<(), String> {
        let many = flags.word(1) == "clusters";
        for name in names {
            if !many {
                self.say(flags, &format!("Deleting cluster {name:?} ...\n")).await;
            }
            let Some(cluster) = self.clusters.find(Tool::Kind, name) else { continue };
            self.clusters.delete(&cluster);
            kubeconfig::remove(&self.process, flags.value("kubeconfig"), &cluster.context);
            self.process.sleep(Duration::from_millis(500)).await;
            let nodes: Vec<String> =
                cluster.nodes.borrow().iter().map(|node| format!("{:?}", node.options.name)).collect();
            if !many {
                self.say(flags, &format!("Deleted nodes: [{}]\n", nodes.join(" "))).await;
            }
        }
        if many {
            let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            self.say(flags, &format!("Deleted clusters: [{}]\n", quoted.join(" "))).await;
        }
        Ok(())
    }

    async fn get_clusters(&self) -> Result<(), String> {
        let clusters = self.clusters.of(Tool::Kind);
        if clusters.is_empty() {
            self.process.eprint("No kind clusters found.\n").await;
        }
        for cluster in clusters {
            self.process.print(format!("{}\n", cluster.name)).await;
        }
        Ok(())
    }

    async fn get_nodes(&self, flags: &Flags, name: &str) -> Result<(), String> {
        let all = flags.is_on("all-clusters");
        let clusters = self.clusters.of(Tool::Kind);
        let mut names: Vec<String> = Vec::new();
        for cluster in clusters.iter().filter(|cluster| all || cluster.name == name) {
            names.extend(cluster.nodes.borrow().iter().map(|node| node.options.name.clone()));
        }
        if names.is_empty() {
            let text = match all {
                true => "No kind nodes for any cluster.\n".to_owned(),
                false => format!("No kind nodes found for cluster {name:?}.\n"),
            };
            self.process.eprint(text).await;
        }
        for name in names {
            self.process.print(format!("{name}\n")).await;
        }
        Ok(())
    }

    async fn load(&self, flags: &Flags, name: &str) -> Result<(), String> {
        let images = flags.words.get(2..).unwrap_or_default();
        if images.is_empty() {
            return Err("a list of image names is required".into());
        }
        let cluster =
            self.clusters.find(Tool::Kind, name).ok_or_else(|| format!("no nodes found for cluster {name:?}"))?;
        for image in images {
            let found = self.docker.image(image).ok_or_else(|| format!("image: {image:?} not present locally"))?;
            if cluster.has_image(&found.id) {
                self.say(
                    flags,
                    &format!("Image: {image:?} with ID {:?} found to be already present on all nodes.\n", found.id),
                )
                .await;
                continue;
            }
            let nodes = cluster.nodes.borrow().clone();
            for node in nodes {
                let node = node.options.name;
                self.say(
                    flags,
                    &format!("Image: {image:?} with ID {:?} not yet present on node {node:?}, loading...\n", found.id),
                )
                .await;
                self.process.sleep(Duration::from_millis(400)).await;
            }
            cluster.load_image(&found);
        }
        Ok(())
    }

    /// Puts the images of archives, as `docker save` makes them, onto the nodes.
    fn load_archives(&self, flags: &Flags, name: &str) -> Result<(), String> {
        let archives = flags.words.get(2..).unwrap_or_default();
        if archives.is_empty() {
            return Err("name of image archive is required".into());
        }
        let cluster =
            self.clusters.find(Tool::Kind, name).ok_or_else(|| format!("no nodes found for cluster {name:?}"))?;
        for archive in archives {
            let data = self.process.fs().read(&self.process.path(archive));
            let data = data.map_err(|_| format!("stat {archive}: no such file or directory"))?;
            let images = docker::images_of(&data).map_err(|error| format!("failed to load image: {error}"))?;
            images.iter().for_each(|image| cluster.load_image(image));
        }
        Ok(())
    }

    /// Writes each node's containers' logs below a folder.
    async fn export_logs(&self, flags: &Flags, name: &str) -> Result<(), String> {
        let cluster = self.clusters.find(Tool::Kind, name).ok_or_else(|| format!("unknown cluster {name:?}"))?;
        let folder = match flags.word(2) {
            "" => "/tmp/kind-logs".to_owned(),
            path => self.process.path(path),
        };
        self.say(flags, &format!("Exporting logs for cluster {name:?} to:\n")).await;
        let runtimes = cluster.inner().as_ref().map(|inner| inner.world.runtimes()).unwrap_or_default();
        let now = self.process.machine.now();
        for runtime in runtimes {
            for container in runtime.containers() {
                let log = runtime.log_text(&container.id);
                let path =
                    format!("{folder}/{}/containers/{}-{}.log", runtime.node_name(), container.name, container.id);
                let made = self.process.fs().create_dir_all(sim::fs::parent(&path), now);
                let written = made.and_then(|()| self.process.fs().write(&path, log, now));
                written.map_err(|error| format!("{path}: {}", error.as_str().to_lowercase()))?;
            }
        }
        self.process.print(format!("{folder}\n")).await;
        Ok(())
    }
}

fn context(name: &str) -> String {
    format!("kind-{name}")
}
