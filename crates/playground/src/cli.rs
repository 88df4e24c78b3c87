//! The command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

const EXAMPLES: &str = "\
Examples:
  # A cluster in the background, and kubectl's context on it; Docker's containers where Docker runs
  playground create cluster
  kubectl get nodes

  # Another one beside it, with a control plane and two workers, as kind's file describes it
  playground create cluster --name ci --config kind.yaml

  # A thousand simulated nodes beside the real one, for testing an operator at scale
  playground create cluster --name scale --sim-nodes 1000

  # What there is; a node that fails; the end
  playground status
  playground node stop worker2 --name ci
  playground delete cluster --name ci

  # In the foreground, without Docker: nodes are simulated, images are built-in programs
  playground serve --runtime sim";

const CREATE: &str = "\
The cluster runs in the background until it is deleted or stopped; its data is kept, and `playground start
cluster` serves it again after a reboot. kubectl's context is set to it, in $KUBECONFIG or ~/.kube/config.

--config takes kind's configuration (kind.x-k8s.io/v1alpha4): its name, its nodes with their roles, labels and
extraPortMappings, and networking's apiServerAddress, apiServerPort and podSubnet (a /16). What it says
beyond that (images of nodes, kubeadm's and containerd's patches, …) has no meaning here, and is told so.

Simulated nodes (--sim-nodes) run nothing: their pods are programs of a simulated world, which say that they
are ready. Beside Docker's nodes they have KWOK's label and taint, so that nothing lands on them by mistake:
give pods the node selector type=kwok and a toleration of kwok.x-k8s.io/node.";

const LOAD: &str = "\
A cluster's nodes on Docker share this machine's images: whatever `docker build` has made is on all nodes
already, and pods find it with any pull policy. This command therefore copies nothing. It checks that the
images are there, so that scripts written for kind say early what is missing.";

const STATUS: &str = "\
A cluster is Running when its server answers, Starting before that, and Stopped when nobody serves it: its
containers go on then, and are taken over by `playground start cluster`.";

/// Kubernetes in one binary: the real API, with real Docker containers or simulated nodes.
#[derive(Parser)]
#[command(name = "playground", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Serve a cluster: the Kubernetes API for kubectl and other clients, and the page for a browser
    Serve(Box<ServeOptions>),
    /// Make a cluster that runs in the background
    Create {
        #[command(subcommand)]
        what: Create,
    },
    /// Delete clusters: their data, their containers, all that they left in Docker
    Delete {
        #[command(subcommand)]
        what: Delete,
    },
    /// Start a cluster that was stopped, in the background
    Start {
        #[command(subcommand)]
        what: OneCluster,
    },
    /// Stop a cluster's server; its data and its containers stay
    Stop {
        #[command(subcommand)]
        what: OneCluster,
    },
    /// List clusters, nodes; print a kubeconfig
    Get {
        #[command(subcommand)]
        what: Get,
    },
    /// Say which clusters there are, where they answer, and how they are
    #[command(after_help = STATUS)]
    Status(Which),
    /// Load images into nodes
    Load {
        #[command(subcommand)]
        what: Load,
    },
    /// Export a kubeconfig or logs
    Export {
        #[command(subcommand)]
        what: Export,
    },
    /// Stop and start nodes of a served cluster on Docker, as power does it
    Node {
        #[command(subcommand)]
        action: NodeAction,
    },
    /// Print a shell's completions, to be sourced: `source <(playground completion bash)`
    Completion {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// kubectl, for this cluster or any other: `playground kubectl get pods`
    #[command(disable_help_flag = true)]
    Kubectl {
        /// kubectl's own arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// Which cluster.
#[derive(Args, Clone, Debug, Default)]
pub struct Which {
    /// The cluster's name; `playground` without this
    #[arg(long, short, value_name = "NAME")]
    pub name: Option<String>,
    /// Where the cluster's data is, if not in the usual place
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// A command about one cluster.
#[derive(Subcommand)]
pub enum OneCluster {
    /// The cluster
    Cluster(Which),
}

/// What is made.
#[derive(Subcommand)]
pub enum Create {
    /// A cluster that runs in the background
    #[command(after_help = CREATE)]
    Cluster(Box<CreateOptions>),
}

/// The options of `playground create cluster`.
#[derive(Args)]
pub struct CreateOptions {
    /// Which
    #[command(flatten)]
    pub which: Which,
    /// How it is made up
    #[command(flatten)]
    pub shape: Shape,
    /// The kubeconfig file to add it to; $KUBECONFIG or ~/.kube/config without this
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// How long to wait until all nodes are ready; 0s does not wait
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    pub wait: Duration,
    /// Keep what there is of a cluster that does not come up, to look into it
    #[arg(long)]
    pub retain: bool,
    /// Taken for kind's sake: nodes need no image
    #[arg(long, hide = true)]
    pub image: Option<String>,
}

/// How a cluster is made up.
#[derive(Args, Clone, Debug)]
pub struct Shape {
    /// What runs the containers; without this, Docker if it can be reached, else the simulated world
    #[arg(long, value_enum)]
    pub runtime: Option<Runtime>,
    /// How many nodes; with more than one, the first is the control plane's and takes no workload
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=5000))]
    pub nodes: Option<u16>,
    /// Simulated nodes beside Docker's, with KWOK's label and taint
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=5000))]
    pub sim_nodes: Option<u16>,
    /// kind's configuration of the cluster (v1alpha4); `-` reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with = "nodes")]
    pub config: Option<PathBuf>,
}

/// What is deleted.
#[derive(Subcommand)]
pub enum Delete {
    /// The cluster: its data directory, its containers, network and image on Docker, its context
    Cluster {
        /// Which
        #[command(flatten)]
        which: Which,
        /// The kubeconfig file to take it out of; $KUBECONFIG or ~/.kube/config without this
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
    },
    /// Several clusters
    Clusters {
        /// Their names
        names: Vec<String>,
        /// All there are
        #[arg(long, short = 'A', conflicts_with = "names", required_unless_present = "names")]
        all: bool,
        /// The kubeconfig file to take them out of; $KUBECONFIG or ~/.kube/config without this
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
    },
}

/// What is listed.
#[derive(Subcommand)]
pub enum Get {
    /// The clusters' names
    Clusters,
    /// The names of a cluster's nodes
    Nodes {
        /// Which
        #[command(flatten)]
        which: Which,
        /// Of all clusters
        #[arg(long, short = 'A')]
        all_clusters: bool,
    },
    /// A cluster's kubeconfig
    Kubeconfig {
        /// Which
        #[command(flatten)]
        which: Which,
        /// With the address inside the cluster's Docker network, for containers in it
        #[arg(long)]
        internal: bool,
    },
}

/// What is loaded.
#[derive(Subcommand)]
pub enum Load {
    /// Images of this machine's Docker
    #[command(after_help = LOAD)]
    DockerImage {
        /// Which
        #[command(flatten)]
        which: Which,
        /// The images' names
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<String>,
        /// Taken for kind's sake: nodes share their images
        #[arg(long, hide = true)]
        nodes: Option<String>,
    },
    /// An archive that `docker save` has written, into this machine's Docker
    ImageArchive {
        /// Which
        #[command(flatten)]
        which: Which,
        /// The archive
        #[arg(value_name = "FILE")]
        archive: PathBuf,
        /// Taken for kind's sake: nodes share their images
        #[arg(long, hide = true)]
        nodes: Option<String>,
    },
}

/// What is exported.
#[derive(Subcommand)]
pub enum Export {
    /// Add the cluster to a kubeconfig file, and set kubectl's context to it
    Kubeconfig {
        /// Which
        #[command(flatten)]
        which: Which,
        /// The file; $KUBECONFIG or ~/.kube/config without this
        #[arg(long, value_name = "FILE")]
        kubeconfig: Option<PathBuf>,
        /// With the address inside the cluster's Docker network, for containers in it
        #[arg(long)]
        internal: bool,
    },
    /// Write objects, events, the server's and all containers' logs into a folder
    Logs {
        /// Which
        #[command(flatten)]
        which: Which,
        /// The folder; a new one among the temporary files without this
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
}

/// What happens to a node.
#[derive(Subcommand)]
pub enum NodeAction {
    /// The node loses its power: its pods end, and after 40 seconds the cluster knows that it is gone
    Stop(NodeName),
    /// The node has power again
    Start(NodeName),
}

/// Which node.
#[derive(Args)]
pub struct NodeName {
    /// Its name, with or without the cluster's: `playground-worker2` or `worker2`
    #[arg(value_name = "NODE")]
    pub node: String,
    /// Of which cluster
    #[command(flatten)]
    pub which: Which,
}

/// The options of `playground serve`.
#[derive(Args)]
pub struct ServeOptions {
    /// Which cluster; what was said of it before holds where nothing else is said
    #[command(flatten)]
    pub which: Which,

    /// How it is made up
    #[command(flatten)]
    pub shape: Shape,

    /// Address and port to listen on; port 0 takes a free one; 127.0.0.1:6443 without this
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listen_address)]
    pub listen: Option<SocketAddr>,

    /// Where the first node's kubelet is to be reached, for clients that ask it directly; elsewhere it is
    /// port 10250 of the node
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = listen_address)]
    pub kubelet_listen: Option<SocketAddr>,

    /// Where to write the kubeconfig file; `kubeconfig` in the data directory without this
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// In the background: in a session of its own
    #[arg(long, hide = true)]
    pub detached: bool,
}

/// What runs the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// Simulated nodes: images are programs of the simulated world
    Sim,
    /// Real containers through the Docker Engine API
    Docker,
}

/// `ADDRESS:PORT`; a port alone, or one of `localhost`, is on this machine only.
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost:").unwrap_or(text).parse::<u16>();
    port.map(|port| (Ipv4Addr::LOCALHOST, port).into()).or_else(|_| {
        text.parse().map_err(|_| "not an address and a port, such as 127.0.0.1:6443 or 0.0.0.0:6443".to_owned())
    })
}

fn duration(text: &str) -> Result<Duration, String> {
    machinery::time::parse_duration(text)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Cli, listen_address};

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_port_alone_is_this_machines() {
        for text in ["7000", "localhost:7000", "127.0.0.1:7000"] {
            assert_eq!(listen_address(text).unwrap(), "127.0.0.1:7000".parse().unwrap());
        }
        assert_eq!(listen_address("[::1]:0").unwrap(), "[::1]:0".parse().unwrap());
        assert!(listen_address("example.com:80").is_err());
        assert!(listen_address("70000").is_err());
    }
}
