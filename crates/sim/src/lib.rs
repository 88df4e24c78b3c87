//! The simulated world: an event loop with virtual time, and what runs on it.
//!
//! [`executor`] is the loop. A [`process::Machine`] (a container, a node, the learner's computer) has
//! files ([`fs`]), a [`network`] interface, processes that run [`programs`], and terminals ([`tty`]).

pub mod errno;
pub mod executor;
pub mod fs;
pub mod image;
pub mod ingress;
pub mod io;
pub mod name_server;
pub mod network;
pub mod outside;
pub mod process;
pub mod programs;
pub mod readline;
pub mod runtime;
pub mod saved;
pub mod shell;
pub mod tty;
pub mod x509;

pub use errno::Errno;
pub use executor::Executor;
pub use runtime::{NodeConfig, SimRuntime};
