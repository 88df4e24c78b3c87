//! `minikube`: a cluster whose one or more nodes are containers of this computer (upstream
//! kubernetes/minikube, cmd/minikube/cmd).

mod config;
mod images;

use std::rc::Rc;
use std::time::Duration;

use apiserver::UserInfo;
use machinery::wire::Body;
use serde_json::{Value, json};
use sim::process::Process;

use super::clusters::{Clusters, LocalCluster, LocalNode, Tool};
use super::docker::Docker;
use super::flags::{Flags, Known};
use super::{kubeconfig, nodes};
use crate::options::NodeOptions;

/// The version that we are like.
const VERSION: &str = "v1.37.0";
const COMMIT: &str = "65318f4cfff9c12cc87ec9eb8f4cdd57b25047f3";
const BASE_IMAGE: &str = "gcr.io/k8s-minikube/kicbase:v0.0.48";
/// The first node's address in the network of minikube's docker driver.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([192, 168, 49, 2]);
const API_PORT: u16 = 8443;
/// How many seconds the dashboard has to come up.
const DASHBOARD_LOOKS: usize = 120;

/// Addons: name, maintainer, and whether a new cluster has it.
const ADDONS: &[(&str, &str, bool)] = &[
    ("dashboard", "Kubernetes", false),
    ("default-storageclass", "Kubernetes", true),
    ("ingress", "Kubernetes", false),
    ("ingress-dns", "minikube", false),
    ("metrics-server", "Kubernetes", false),
    ("registry", "minikube", false),
    ("storage-provisioner", "minikube", true),
];

const FLAGS: &[Known] = &[
    ("profile", 'p', true),
    ("nodes", 'n', true),
    ("driver", ' ', true),
    ("vm-driver", ' ', true),
    ("kubernetes-version", ' ', true),
    ("container-runtime", ' ', true),
    ("memory", ' ', true),
    ("cpus", ' ', true),
    ("disk-size", ' ', true),
    ("addons", ' ', true),
    ("cni", ' ', true),
    ("wait", ' ', true),
    ("url", ' ', false),
    ("namespace", ' ', true),
    ("all", ' ', false),
    ("purge", ' ', false),
    ("node", ' ', true),
    ("output", 'o', true),
    ("short", ' ', false),
    ("worker", ' ', false),
    ("control-plane", ' ', false),
    ("interactive", ' ', true),
    ("force", ' ', false),
    ("https", ' ', false),
    ("format", 'f', true),
    ("help", 'h', false),
    ("alsologtostderr", ' ', false),
    ("cleanup", 'c', false),
    ("unset", 'u', false),
    ("tag", 't', true),
    ("file", ' ', true),
    ("shell", ' ', true),
];

const HELP: &str = "\
minikube provisions and manages local Kubernetes clusters optimized for development workflows.

Basic Commands:
  start            Starts a local Kubernetes cluster
  status           Gets the status of a local Kubernetes cluster
  stop             Stops a running local Kubernetes cluster
  delete           Deletes a local Kubernetes cluster
  dashboard        Access the Kubernetes dashboard running within the minikube cluster

Images Commands:
  docker-env       Provides instructions to point your terminal's docker-cli to the Docker Engine inside minikube
  image            Manage images

Configuration and Management Commands:
  addons           Enable or disable a minikube addon
  config           Modify persistent configuration values
  profile          Get or list the current profiles (clusters)
  update-context   Update kubeconfig in case of an IP or port change

Networking and Connectivity Commands:
  service          Returns a URL to connect to a service
  tunnel           Connect to LoadBalancer services

Advanced Commands:
  ssh              Log into the minikube environment (for debugging)
  kubectl          Run a kubectl binary matching the cluster version
  node             Add, remove, or list additional nodes

Troubleshooting Commands:
  ip               Retrieves the IP address of the specified node
  version          Print the version of minikube

Use \"minikube <command> --help\" for more information about a given command.
";

/// The program.
pub async fn main(process: Process, clusters: Clusters, docker: Docker) -> i32 {
    let minikube = Minikube { clusters, docker, process };
    match minikube.run().await {
        Ok(code) => code,
        Err((code, message)) => {
            minikube.process.eprint(format!("\n❌  Exiting due to {message}\n")).await;
            code
        }
    }
}

struct Minikube {
    clusters: Clusters,
    docker: Docker,
    process: Process,
}

/// The exit code, or it and what minikube exits due to.
type Outcome = Result<i32, (i32, String)>;

fn usage(message: impl Into<String>) -> (i32, String) {
    (64, format!("MK_USAGE: {}", message.into()))
}

impl Minikube {
    async fn run(&self) -> Outcome {
        let operands = self.process.operands();
        // What is kubectl's is not for minikube's flags.
        if let Some(at) = operands.iter().position(|word| word == "kubectl") {
            let (own, rest) = operands.split_at(at);
            let flags = Flags::parse(own, FLAGS, usize::MAX).map_err(usage)?;
            if flags.words.is_empty() {
                let mut rest: Vec<String> = rest.iter().skip(1).cloned().collect();
                if let Some(dashes) = rest.iter().position(|word| word == "--") {
                    rest.remove(dashes);
                }
                let command = ["kubectl".to_owned(), "--context".into(), self.profile_of(&flags)];
                return Ok(super::tools::run(&self.process, command.into_iter().chain(rest).collect()).await);
            }
        }
        let flags = Flags::parse(operands, FLAGS, usize::MAX).map_err(|error| (64, format!("MK_USAGE: {error}")))?;
        let profile = self.profile_of(&flags);
        if flags.is_on("help") {
            return self.say(HELP).await;
        }
        match flags.word(0) {
            "" | "help" => self.say(HELP).await,
            "version" if flags.is_on("short") => self.say(&format!("{VERSION}\n")).await,
            "version" => self.say(&format!("minikube version: {VERSION}\ncommit: {COMMIT}\n")).await,
            "start" => self.start(&flags, &profile).await,
            "status" => self.status(&flags, &profile).await,
            "stop" => self.stop(&profile).await,
            "delete" => self.delete(&flags, &profile).await,
            "ip" => {
                let cluster = self.running(&profile)?;
                let wanted = flags.value("node").unwrap_or_default();
                let nodes = cluster.nodes.borrow().clone();
                let node = nodes.iter().find(|node| wanted.is_empty() || node.options.name == wanted);
                let node = node.ok_or_else(|| {
                    (80, format!("GUEST_NODE_RETRIEVE: retrieving node: Could not find node {wanted}"))
                })?;
                self.say(&format!("{}\n", node.options.address)).await
            }
            "service" => self.service(&flags, &profile).await,
            "dashboard" => self.dashboard(&flags, &profile).await,
            "addons" => self.addons(&flags, &profile).await,
            "node" => self.node(&flags, &profile).await,
            "profile" => self.profile(&flags, &profile).await,
            "tunnel" => self.tunnel(&profile).await,
            "config" => self.config(&flags).await,
            "image" => self.image(&flags, &profile).await,
            "docker-env" => self.docker_env(&flags, &profile).await,
            "update-context" => {
                let cluster = self.running(&profile)?;
                kubeconfig::add(&self.process, None, &cluster.context, &cluster.server);
                let server = cluster.server.trim_start_matches("https://");
                self.say(&format!(
                    "🎉  {profile:?} context has been updated to point to {server}\n💗  Current context is {profile:?}\n"
                ))
                .await
            }
            "ssh" => {
                let cluster = self.running(&profile)?;
                let nodes = cluster.nodes.borrow().clone();
                let wanted = flags.value("node").unwrap_or_default();
                let found = nodes.into_iter().find(|node| wanted.is_empty() || node.options.name == wanted);
                let (Some(inner), Some(node)) = (cluster.inner().clone(), found) else {
                    return Err((80, format!("GUEST_NODE_RETRIEVE: retrieving node: Could not find node {wanted}")));
                };
                let command = flags.words.get(1..).unwrap_or_default();
                let command = match command {
                    [] => Vec::new(),
                    words => vec!["sh".to_owned(), "-c".to_owned(), words.join(" ")],
                };
                Ok(nodes::run(&inner, &node.options.name, &self.process, &command).await)
            }
            "logs" | "mount" | "pause" | "unpause" | "update-check" | "cache" | "cp" => {
                Err(usage(format!("`minikube {}` is not part of this playground", flags.word(0))))
            }
            other => {
                self.process
                    .eprint(format!(
                        "Error: unknown command {other:?} for \"minikube\"\nRun 'minikube --help' for usage.\n"
                    ))
                    .await;
                Ok(1)
            }
        }
    }

    async fn say(&self, text: &str) -> Outcome {
        self.process.print(text).await;
        Ok(0)
    }

    async fn step(&self, text: &str, milliseconds: u64) {
        self.process.print(format!("{text}\n")).await;
        self.process.sleep(Duration::from_millis(milliseconds)).await;
    }

    fn find(&self, profile: &str) -> Option<Rc<LocalCluster>> {
        self.clusters.find(Tool::Minikube, profile)
    }

    fn there(&self, profile: &str) -> Result<Rc<LocalCluster>, (i32, String)> {
        self.find(profile).ok_or_else(|| {
            let option = if profile == "minikube" { String::new() } else { format!(" -p {profile}") };
            (85, format!("GUEST_MISSING: 🤷  Profile {profile:?} not found. Run \"minikube profile list\" to view all profiles.\n👉  To start a cluster, run: \"minikube start{option}\""))
        })
    }

    fn running(&self, profile: &str) -> Result<Rc<LocalCluster>, (i32, String)> {
        let cluster = self.there(profile)?;
        if cluster.is_running() {
            return Ok(cluster);
        }
        Err((
            83,
            format!(
                "GUEST_NOT_RUNNING: 🤷  The control-plane node {profile} host is not running: state=Stopped\n👉  To start a cluster, run: \"minikube start\""
            ),
        ))
    }

    fn new_node(&self, profile: &str, number: u16) -> LocalNode {
        let name = if number == 1 { profile.to_owned() } else { format!("{profile}-m{number:02}") };
        let mut options = NodeOptions::worker(name, 0);
        // Profiles share a network: their nodes come one after the other.
        let taken = self.clusters.of(Tool::Minikube).iter().map(|cluster| cluster.nodes.borrow().len()).sum::<usize>();
        let index = u32::try_from(taken).unwrap_or(0) + u32::from(number) - 1;
        options.address = (FIRST_ADDRESS + index).into();
        if number == 1 {
            options.labels.insert("node-role.kubernetes.io/control-plane".into(), String::new());
            options.labels.insert("minikube.k8s.io/primary".into(), "true".into());
            options.labels.insert("minikube.k8s.io/name".into(), profile.to_owned());
            options.labels.insert("minikube.k8s.io/version".into(), VERSION.into());
        }
        LocalNode {
            options,
            control_plane: number == 1,
            id: self.clusters.new_id(),
            image: BASE_IMAGE.into(),
            ports: Vec::new(),
            created_at: self.process.machine.now(),
            stopped: false,
        }
    }

    async fn start(&self, flags: &Flags, profile: &str) -> Outcome {
        let driver = self.setting(flags, "driver").or_else(|| self.setting(flags, "vm-driver"));
        let driver = driver.as_deref();
        if let Some(driver) = driver.filter(|driver| {
            !matches!(*driver, "docker" | "none" | "podman" | "kvm2" | "virtualbox" | "hyperkit" | "qemu" | "qemu2")
        }) {
            return Err((64, format!("DRV_UNSUPPORTED_OS: The driver '{driver}' is not supported on linux/amd64")));
        }
        let count: u16 = match flags.value("nodes").unwrap_or("1").parse() {
            Ok(count @ 1..=20) => count,
            _ => return Err(usage("invalid number of nodes")),
        };
        let title = if profile == "minikube" { String::new() } else { format!("[{profile}] ") };
        self.step(&format!("😄  {title}minikube {VERSION} on Debian 12.0 (amd64)"), 200).await;
        if let Some(cluster) = self.find(profile) {
            self.step("✨  Using the docker driver based on existing profile", 200).await;
            self.step(&format!("👍  Starting \"{profile}\" primary control-plane node in \"{profile}\" cluster"), 200)
                .await;
            let was = cluster.is_running();
            let what = if was {
                "🏃  Updating the running docker"
            } else {
                "🔄  Restarting existing docker container for"
            };
            self.step(&format!("{what} \"{profile}\" {}...", if was { "container " } else { "" }), 2500).await;
            self.clusters.start(&cluster).map_err(|error| (80, format!("GUEST_START: {error}")))?;
            return self.finish(&cluster).await;
        }
        let how = if driver.is_some() {
            "Using the docker driver based on user configuration"
        } else {
            "Automatically selected the docker driver"
        };
        self.step(&format!("✨  {how}"), 100).await;
        if let Some(driver) = driver.filter(|driver| *driver != "docker") {
            self.step(&format!("❗  This playground has containers only: the docker driver stands in for {driver}"), 0)
                .await;
        }
        let version = self.setting(flags, "kubernetes-version").unwrap_or_default();
        let version = version.trim_start_matches('v');
        if !matches!(version, "" | "stable" | "latest") && version != kubelet::VERSION.trim_start_matches('v') {
            self.step(
                &format!("❗  This playground has Kubernetes {} only: it stands in for v{version}", kubelet::VERSION),
                0,
            )
            .await;
        }
        self.step("📌  Using Docker driver with root privileges", 0).await;
        self.step(&format!("👍  Starting \"{profile}\" primary control-plane node in \"{profile}\" cluster"), 300)
            .await;
        self.step("🚜  Pulling base image v0.0.48 ...", 900).await;
        let memory = self.setting(flags, "memory").unwrap_or_else(|| "3900".to_owned());
        let memory = memory.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let cpus = self.setting(flags, "cpus").unwrap_or_else(|| "2".to_owned());
        self.step(&format!("🔥  Creating docker container (CPUs={cpus}, Memory={memory}MB) ..."), 1500).await;
        self.step(&format!("🐳  Preparing Kubernetes {} on Docker 28.4.0 ...", kubelet::VERSION), 0).await;
        let nodes: Vec<LocalNode> = (1..=count).map(|number| self.new_node(profile, number)).collect();
        let server =
            nodes.first().map(|node| format!("https://{}:{API_PORT}", node.options.address)).unwrap_or_default();
        let created = self.clusters.create(Tool::Minikube, profile, profile, &server, nodes);
        let cluster = created.map_err(|error| (80, format!("GUEST_START: {error}")))?;
        self.process.sleep(Duration::from_millis(2500)).await;
        let cni = if count > 1 { "CNI" } else { "bridge CNI" };
        self.step(&format!("🔗  Configuring {cni} (Container Networking Interface) ..."), 400).await;
        let asked = flags.values("addons").flat_map(|names| names.split(','));
        let wanted: Vec<&str> =
            ADDONS.iter().filter(|(.., default)| *default).map(|(name, ..)| *name).chain(asked).collect();
        for name in &wanted {
            self.switch(&cluster, name, true).await?;
        }
        for number in 2..=count {
            self.step("", 0).await;
            self.step(&format!("👍  Starting \"{profile}-m{number:02}\" worker node in \"{profile}\" cluster"), 1500)
                .await;
        }
        self.finish(&cluster).await
    }

    async fn finish(&self, cluster: &LocalCluster) -> Outcome {
        self.step("🔎  Verifying Kubernetes components...", 800).await;
        self.step("    ▪ Using image gcr.io/k8s-minikube/storage-provisioner:v5", 0).await;
        let addons = cluster.addons.borrow().join(", ");
        self.step(&format!("🌟  Enabled addons: {addons}"), 0).await;
        kubeconfig::add(&self.process, None, &cluster.context, &cluster.server);
        self.say(&format!(
            "🏄  Done! kubectl is now configured to use \"{}\" cluster and \"default\" namespace by default\n",
            cluster.name
        ))
        .await
    }

    async fn status(&self, flags: &Flags, profile: &str) -> Outcome {
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
        let config = if up { "Configured" } else { "Stopped" };
        let mut text = String::new();
        let nodes = cluster.nodes.borrow().clone();
        if flags.value("output") == Some("json") {
            let status = json!({"Name": profile, "Host": state, "Kubelet": state, "APIServer": state, "Kubeconfig": config, "Worker": false});
            text = format!("{status}\n");
        } else {
            for node in &nodes {
                let name = &node.options.name;
                text.push_str(&match node.control_plane {
                    true => format!("{name}\ntype: Control Plane\nhost: {state}\nkubelet: {state}\napiserver: {state}\nkubeconfig: {config}\n\n"),
                    false => format!("{name}\ntype: Worker\nhost: {state}\nkubelet: {state}\n\n"),
                });
            }
        }
        self.process.print(text).await;
        Ok(if up { 0 } else { 7 })
    }

    async fn stop(&self, profile: &str) -> Outcome {
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

    async fn delete(&self, flags: &Flags, profile: &str) -> Outcome {
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

    async fn remove(&self, cluster: &Rc<LocalCluster>) {
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

    /// One GET of the cluster's API.
    async fn get(&self, cluster: &LocalCluster, path: &str) -> Value {
        let api = cluster.inner().as_ref().map(|inner| inner.public_api().clone());
        let (Some(api), Ok(mut request)) = (api, http::Request::get(path).body(Body::empty())) else {
            return Value::Null;
        };
        request.extensions_mut().insert(UserInfo::admin());
        let body = api.handle(request).await.into_body().collect().await;
        serde_json::from_slice(&body).unwrap_or_default()
    }

    async fn apply(&self, cluster: &LocalCluster, manifest: &str) {
        let command = ["kubectl", "--context", &cluster.context, "apply", "-f", "-"];
        super::tools::run_quietly(&self.process, &command, manifest).await;
    }

    async fn service(&self, flags: &Flags, profile: &str) -> Outcome {
        let cluster = self.running(profile)?;
        let list = flags.word(1) == "list";
        let namespace = flags.value("namespace").unwrap_or("default");
        let path =
            if list { "/api/v1/services".to_owned() } else { format!("/api/v1/namespaces/{namespace}/services") };
        let answer = self.get(&cluster, &path).await;
        let address = cluster.nodes.borrow().first().map(|node| node.options.address.to_string()).unwrap_or_default();
        let name = flags.word(1);
        if name.is_empty() {
            return Err(usage("You must specify a service name"));
        }
        let mut rows = Vec::new();
        for service in answer["items"].as_array().into_iter().flatten() {
            let text = |pointer: &str| service.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            if !list && text("/metadata/name") != name {
                continue;
            }
            let ports: Vec<&Value> = service["spec"]["ports"].as_array().into_iter().flatten().collect();
            let node_ports: Vec<u64> = ports.iter().filter_map(|port| port["nodePort"].as_u64()).collect();
            let target = |port: &&Value| match port["name"].as_str() {
                Some(name) => format!("{name}/{}", port["port"]),
                None => port["port"].to_string(),
            };
            let (targets, urls) = match node_ports.is_empty() {
                true => ("No node port".to_owned(), String::new()),
                false => (
                    ports.iter().map(target).collect::<Vec<_>>().join(" "),
                    node_ports.iter().map(|port| format!("http://{address}:{port}")).collect::<Vec<_>>().join(" "),
                ),
            };
            rows.push([text("/metadata/namespace"), text("/metadata/name"), targets, urls]);
        }
        if list {
            return self.say(&boxed(&["NAMESPACE", "NAME", "TARGET PORT", "URL"], &rows)).await;
        }
        let Some(row) = rows.first() else {
            return Err((
                115,
                format!(
                    "SVC_NOT_FOUND: Service '{name}' was not found in '{namespace}' namespace.\nYou may select another namespace by using 'minikube service {name} -n <namespace>'. Or list out all the services using 'minikube service list'"
                ),
            ));
        };
        let urls: Vec<&str> = row[3].split_whitespace().collect();
        if flags.is_on("url") {
            if urls.is_empty() {
                self.process.eprint(format!("😿  service {namespace}/{name} has no node port\n")).await;
            }
            let lines: String = urls.iter().map(|url| format!("{url}\n")).collect();
            return self.say(&lines).await;
        }
        self.process.print(boxed(&["NAMESPACE", "NAME", "TARGET PORT", "URL"], &rows)).await;
        if urls.is_empty() {
            return self.say(&format!("😿  service {namespace}/{name} has no node port\n")).await;
        }
        self.step(&format!("🎉  Opening service {namespace}/{name} in default browser..."), 0).await;
        let mut code = 0;
        for url in urls {
            code = super::tools::run(&self.process, vec!["open".into(), url.to_owned()]).await;
        }
        Ok(code)
    }

    async fn dashboard(&self, flags: &Flags, profile: &str) -> Outcome {
        let cluster = self.running(profile)?;
        if !cluster.addons.borrow().iter().any(|addon| addon == "dashboard") {
            self.step("🔌  Enabling dashboard ...", 300).await;
            self.switch(&cluster, "dashboard", true).await?;
        }
        self.step("🤔  Verifying dashboard health ...", 500).await;
        let deployment = "/apis/apps/v1/namespaces/kubernetes-dashboard/deployments/kubernetes-dashboard";
        let mut looks = 0;
        while self.get(&cluster, deployment).await["status"]["availableReplicas"].as_u64().unwrap_or(0) == 0 {
            looks += 1;
            if looks > DASHBOARD_LOOKS {
                return Err((
                    115,
                    "SVC_URL_TIMEOUT: http://127.0.0.1 is not accessible: the Deployment kubernetes-dashboard of the \
                     namespace kubernetes-dashboard has no Pod that is ready; see 'kubectl get pods -n \
                     kubernetes-dashboard'"
                        .into(),
                ));
            }
            self.process.sleep(Duration::from_secs(1)).await;
        }
        self.step("🚀  Launching proxy ...", 0).await;
        let proxy = ["kubectl", "--context", &cluster.context, "proxy", "--port=0"];
        let port = super::tools::start_proxy(&self.process, &proxy).await;
        let port = port.ok_or_else(|| (80, "GUEST_DASHBOARD: kubectl proxy did not start".to_owned()))?;
        let path = "api/v1/namespaces/kubernetes-dashboard/services/http:kubernetes-dashboard:/proxy/";
        let url = format!("http://127.0.0.1:{port}/{path}");
        self.step("🤔  Verifying proxy health ...", 500).await;
        if flags.is_on("url") {
            self.process.print(format!("{url}\n")).await;
        } else {
            self.step(&format!("🎉  Opening {url} in your default browser..."), 0).await;
            super::tools::run(&self.process, vec!["open".into(), url]).await;
        }
        // The proxy lives as long as the command does.
        std::future::pending::<Outcome>().await
    }

    async fn addons(&self, flags: &Flags, profile: &str) -> Outcome {
        match flags.word(1) {
            "list" => {
                let cluster = self.find(profile);
                let on = |name: &str| {
                    cluster.as_ref().is_some_and(|cluster| cluster.addons.borrow().iter().any(|addon| addon == name))
                };
                let rows: Vec<[String; 4]> = ADDONS
                    .iter()
                    .map(|(name, maintainer, _)| {
                        let status = if on(name) { "enabled ✅" } else { "disabled" };
                        [(*name).to_owned(), profile.to_owned(), status.to_owned(), (*maintainer).to_owned()]
                    })
                    .collect();
                self.say(&boxed(&["ADDON NAME", "PROFILE", "STATUS", "MAINTAINER"], &rows)).await
            }
            action @ ("enable" | "disable") => {
                let cluster = self.running(profile)?;
                let name = flags.word(2);
                if name.is_empty() {
                    return Err(usage(format!("usage: minikube addons {action} ADDON_NAME")));
                }
                let Some((name, maintainer, _)) = ADDONS.iter().find(|(known, ..)| *known == name) else {
                    return Err((
                        10,
                        format!("MK_ADDON_{}: {action}: '{name}' is not a valid minikube addon", action.to_uppercase()),
                    ));
                };
                if action == "disable" {
                    self.switch(&cluster, name, false).await?;
                    return self.say(&format!("🌑  \"The '{name}' addon is disabled\n")).await;
                }
                self.step(
                    &format!(
                        "💡  {name} is an addon maintained by {maintainer}. For any concerns contact minikube on \
                         GitHub.\nYou can view the list of minikube maintainers at: \
                         https://github.com/kubernetes/minikube/blob/master/OWNERS"
                    ),
                    300,
                )
                .await;
                if *name == "ingress" {
                    self.step("🔎  Verifying ingress addon...", 500).await;
                }
                self.switch(&cluster, name, true).await?;
                self.say(&format!("🌟  The '{name}' addon is enabled\n")).await
            }
            other => Err(usage(format!("unknown addons command {other:?}: list, enable and disable are known"))),
        }
    }

    /// Switches an addon: what it consists of is applied or deleted.
    async fn switch(&self, cluster: &LocalCluster, name: &str, on: bool) -> Result<(), (i32, String)> {
        if !ADDONS.iter().any(|(known, ..)| *known == name) {
            return Err((10, format!("MK_ADDON_ENABLE: '{name}' is not a valid minikube addon")));
        }
        cluster.addons.borrow_mut().retain(|addon| addon != name);
        if on {
            cluster.addons.borrow_mut().push(name.to_owned());
        }
        let manifest = match name {
            "dashboard" => include_str!("addons/dashboard.yaml"),
            "ingress" => include_str!("addons/ingress.yaml"),
            _ => return Ok(()),
        };
        // The kubeconfig has no entry yet while the cluster is being made.
        if on {
            kubeconfig::add(&self.process, None, &cluster.context, &cluster.server);
            self.apply(cluster, manifest).await;
        } else {
            let command = ["kubectl", "--context", &cluster.context, "delete", "--ignore-not-found", "-f", "-"];
            super::tools::run_quietly(&self.process, &command, manifest).await;
        }
        Ok(())
    }

    async fn node(&self, flags: &Flags, profile: &str) -> Outcome {
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
                super::tools::run_quietly(&self.process, &command, "").await;
                self.clusters.set_stopped(&cluster, &full, true);
                let command = ["kubectl", "--context", &cluster.context, "delete", "node", &full];
                super::tools::run_quietly(&self.process, &command, "").await;
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

    async fn profile(&self, flags: &Flags, profile: &str) -> Outcome {
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

    /// Load balancers answer at `localhost` for as long as this runs.
    async fn tunnel(&self, profile: &str) -> Outcome {
        let cluster = self.running(profile)?;
        self.process.print("✅  Tunnel successfully started\n\n📌  NOTE: Please do not close this terminal as this process must stay alive for the tunnel to be accessible ...\n\n").await;
        let mut open: Vec<(u16, super::tools::Mapped)> = Vec::new();
        let address = cluster.nodes.borrow().first().map(|node| node.options.address);
        let Some(address) = address else { return Ok(0) };
        while cluster.is_running() {
            let services = self.get(&cluster, "/api/v1/services").await;
            for service in services["items"].as_array().into_iter().flatten() {
                if service["spec"]["type"] != "LoadBalancer" {
                    continue;
                }
                for port in service["spec"]["ports"].as_array().into_iter().flatten() {
                    let number = |key: &str| port[key].as_u64().and_then(|port| u16::try_from(port).ok());
                    let (Some(outer), Some(node_port)) = (number("port"), number("nodePort")) else { continue };
                    if open.iter().any(|(known, _)| *known == outer) {
                        continue;
                    }
                    if let Some(mapped) =
                        super::tools::Mapped::new(self.clusters.computer(), outer, (address.into(), node_port))
                    {
                        let name = service["metadata"]["name"].as_str().unwrap_or_default();
                        self.process.print(format!("🏃  Starting tunnel for service {name}.\n")).await;
                        open.push((outer, mapped));
                    }
                }
            }
            self.process.sleep(Duration::from_secs(1)).await;
        }
        Ok(0)
    }
}

/// A table in minikube's frame: the last heading tells how many columns there are.
fn boxed<const N: usize>(head: &[&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(head.get(column).map(|title| title.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let rule: String =
        widths.iter().map(|width| format!("|{}", "-".repeat(width + 2))).chain(["|\n".to_owned()]).collect();
    let line = |cells: Vec<&str>| -> String {
        let cells = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("| {cell}{} ", " ".repeat(width - cell.chars().count())));
        cells.chain(["|\n".to_owned()]).collect()
    };
    let body: String = rows.iter().map(|row| line(row.iter().map(String::as_str).collect())).collect();
    format!("{rule}{}{rule}{body}{rule}", line(head.to_vec()))
}
