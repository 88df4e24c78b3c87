//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Kubernetes in one binary: the real API, with real Docker containers or simulated nodes.
#[derive(Parser)]
#[command(name = "playground", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Serve a cluster: the Kubernetes API for kubectl and other clients, and the page for a browser
    Serve(ServeOptions),
    /// Delete a cluster that is not served: its data, its containers, all that it left in Docker
    Delete {
        #[command(subcommand)]
        what: Delete,
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

/// What is deleted.
#[derive(Subcommand)]
pub enum Delete {
    /// The cluster: its data directory, and its containers, network and image on Docker
    Cluster {
        /// Where the cluster's data is, if not in the usual place
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
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
    pub name: String,
    /// Where the cluster's data is, if not in the usual place
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// The options of `playground serve`.
#[derive(Args)]
pub struct ServeOptions {
    /// What runs the containers; without this, Docker if it can be reached, else the simulated world
    #[arg(long, value_enum)]
    pub runtime: Option<Runtime>,

    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:6443")]
    pub listen: SocketAddr,

    /// Where the cluster's state and certificates are kept; a folder in the user's data directory
    /// without this
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Where to write the kubeconfig file; `kubeconfig` in the data directory without this
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// How many nodes; with more than one, the first is the control plane's and takes no workload
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=5000))]
    pub nodes: Option<u16>,
}

/// What runs the containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Runtime {
    /// Simulated nodes: images are programs of the simulated world
    Sim,
    /// Real containers through the Docker Engine API
    Docker,
}
