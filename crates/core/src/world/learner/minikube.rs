//! `minikube`: a cluster whose one or more nodes are containers of this computer (upstream
//! kubernetes/minikube, cmd/minikube/cmd).

mod addons;
mod config;
mod images;
mod inside;
mod life;
mod node;
mod profile;
mod services;
mod start;

use std::rc::Rc;
use std::time::Duration;

use apiserver::UserInfo;
use machinery::wire::Body;
use serde_json::Value;
use sim::process::Process;

use super::clusters::{Clusters, LocalCluster, Tool};
use super::docker::Docker;
use super::flags::{Flags, Known};
use super::kubeconfig;

/// The version that we are like.
const VERSION: &str = "v1.37.0";
const COMMIT: &str = "65318f4cfff9c12cc87ec9eb8f4cdd57b25047f3";

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
    ("length", ' ', true),
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
  pause            pause Kubernetes
  unpause          unpause Kubernetes
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
  cp               Copy the specified file into minikube

Troubleshooting Commands:
  logs             Returns logs to debug a local Kubernetes cluster
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
                let address = self.node_of(&flags, &profile)?.1.options.address;
                self.say(&format!("{address}\n")).await
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
            "ssh" => self.ssh(&flags, &profile).await,
            "cp" => self.copy(&flags, &profile),
            "logs" => self.logs(&flags, &profile).await,
            "pause" => self.pause(&profile, true).await,
            "unpause" => self.pause(&profile, false).await,
            "mount" | "update-check" | "cache" => {
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
