//! The kubelet: pod workers, probes, volumes, status. It never knows whether a container is simulated:
//! [`runtime::ContainerRuntime`] is CRI's role.
//!
//! Start reading at [`runtime`] (the port).

pub mod runtime;

pub use runtime::ContainerRuntime;
