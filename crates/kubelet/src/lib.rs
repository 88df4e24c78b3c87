//! The kubelet: pod workers, probes, volumes, status. It never knows whether a container is simulated:
//! [`runtime::ContainerRuntime`] is CRI's role.
//!
//! Start reading at [`runtime`] (the port).

pub mod backoff;
mod env;
mod expand;
mod fieldref;
mod objects;
mod qos;
pub mod runtime;
mod services_env;
mod spec;
mod text;
mod volumes;

pub use runtime::ContainerRuntime;
