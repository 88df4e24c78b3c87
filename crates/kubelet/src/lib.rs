//! Pod workers, probes, volumes, status; the ContainerRuntime trait is CRI's role.
