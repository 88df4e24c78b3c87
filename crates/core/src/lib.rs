//! The composition root: store, API server, controllers, scheduler and nodes in one event loop.
//!
//! A host makes a [`Cluster`] and drives it: [`Cluster::run`] with the host's time, or
//! [`Cluster::run_until`] in virtual time. Its API ([`Cluster::api`]) may be called from any thread.
//! What Kubernetes has no API for is the control API ([`control`]). The simulated nodes, their network
//! and the learner's computer are the [`World`].
//!
//! Start reading at [`cluster`].

pub mod cluster;
mod control_api;
mod elected;
mod faults;
mod gateway;
mod hints;
mod inlet;
pub mod kind_config;
mod kube_system;
pub mod kubeconfig;
mod kubectl_program;
mod lesson_files;
mod line;
mod metrics_server;
mod open_ports;
mod options;
mod own_scheduler;
mod pace;
mod public_api;
mod runtime_hops;
mod saved;
pub mod service_range;
mod trace;
mod world;

pub use cluster::{Cluster, Wait};
pub use inlet::Inlet;
pub use lesson_files::lesson_files;
pub use options::{HostNetwork, HostTime, MakeRuntime, NodeOptions, Options, PortsChanged};
pub use pace::Pace;
pub use playground_control as control;
pub use public_api::PublicApi;
pub use service_range::ServiceRange;
pub use sim::ingress;
pub use sim::saved::{Saved, Versions};
pub use world::{Learner, Output, World, load_terminal};
