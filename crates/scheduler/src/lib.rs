//! kube-scheduler: finds a node for each pod that has none.
//!
//! [`Scheduler`] is a component: it watches pods and nodes, takes the next pod from its `queue`,
//! asks the `plugins` of the [`framework`] which nodes can run it and which does best, and binds it.
//! Each [`decision`] is remembered with every plugin's verdict. Like the original it knows only the
//! API. Start reading at [`Scheduler`].

mod cache;
pub mod config;
pub mod decision;
pub mod framework;
mod plugins;
mod preemption;
mod queue;
mod resources;
mod scheduler;
mod selectors;
mod topology;

pub use config::Configuration;
pub use scheduler::{DEFAULT_SCHEDULER_NAME, Scheduler};
