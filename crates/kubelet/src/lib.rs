//! The kubelet: pod workers, probes, volumes, status. It never knows whether a container is simulated:
//! [`runtime::ContainerRuntime`] is CRI's role.
//!
//! A [`Kubelet`] is a `client::Component`: it hears of its node's pods from the API and of containers
//! from its runtime, keeps a worker for each pod, and writes what came of it into pods' statuses, the
//! node's status and the node's lease. It may be stopped and made anew at any time: the new one takes
//! over what the runtime holds. [`KubeletServer`] is its HTTP server as a function.
//!
//! Start reading at [`runtime`] (the port), then `worker.rs` (a pod), `running.rs`, `start.rs` and
//! `terminate.rs` (its life), `status.rs` (what is said about it), `kubelet.rs` (the loop). It may use
//! machinery and client only.

mod admit;
mod adopt;
mod api;
mod backoff;
mod config;
mod container;
mod create;
mod env;
mod eviction;
mod expand;
mod fieldref;
mod images;
mod kubelet;
mod logs;
mod node;
mod objects;
mod placement;
mod probes;
mod probing;
mod publish;
mod qos;
mod resize;
mod restart_all;
mod running;
pub mod runtime;
mod sandbox;
mod server;
mod services_env;
mod spec;
mod start;
mod static_pods;
mod stats;
mod status;
mod terminate;
mod text;
mod tickets;
mod volumes;
mod worker;

pub use config::NodeConfig;
pub use kubelet::{Kubelet, Observer};
pub use node::machine_id;
pub use runtime::ContainerRuntime;
pub use server::KubeletServer;

/// The version of Kubernetes a kubelet reports.
pub const VERSION: &str = "v1.37.0";
