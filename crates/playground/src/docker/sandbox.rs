//! Sandboxes: the container that holds a pod's network.
//!
//! Docker is told of no network, and starts the container in an empty namespace, which takes it a third of the time: the
//! agent makes the pod's link, with the rules. Ports that Docker is to publish on this machine need a network of Docker's.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig, PortBinding};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, StopContainerOptionsBuilder,
};
use kubelet::runtime::{
    ErrorCode, Event, NamespaceMode, PodSandboxConfig, PortMapping, RuntimeError, SandboxState, SandboxStatus, Ticket,
};

use super::connection::failed;
use super::containers::time;
use super::engine::Engine;
use super::network::{self, Member};
use super::{connection, held, images, names, own, volumes};

/// Makes and starts a sandbox, and waits until its network is in force. One that is left of an
/// interrupted start under the same name is replaced.
pub async fn run(engine: &Engine, ticket: Ticket, config: PodSandboxConfig) -> Result<SandboxStatus, RuntimeError> {
    volumes::write_names(engine, &config)?;
    let name = names::sandbox(&config);
    loop {
        let address = match config.network {
            NamespaceMode::Node => None,
            _ => Some(engine.network.take_address(config.pod_cidr.as_deref())?),
        };
        match start(engine, ticket, &config, &name, address).await {
            // By something that is not ours: it stays taken.
            Err(error) if error.message.contains("Address already in use") => force_remove(engine, &name).await?,
            Err(error) => {
                force_remove(engine, &name).await?;
                if let Some(address) = address {
                    engine.network.release_address(address);
                }
                return Err(error);
            }
            started => return started,
        }
    }
}

async fn start(
    engine: &Engine,
    ticket: Ticket,
    config: &PodSandboxConfig,
    name: &str,
    address: Option<Ipv4Addr>,
) -> Result<SandboxStatus, RuntimeError> {
    let body = body(engine, config, address);
    let options = || Some(CreateContainerOptionsBuilder::new().name(name).build());
    let id = match engine.docker.create_container(options(), body.clone()).await {
        Ok(made) => made.id,
        Err(Error::DockerResponseServerError { status_code: 409, .. }) => {
            force_remove(engine, name).await?;
            engine.docker.create_container(options(), body).await.map_err(failed)?.id
        }
        Err(error) => return Err(failed(error)),
    };
    held::fill(engine, &volumes::pod_dir(engine, &config.uid), &id).await?;
    engine.tell(Event::SandboxMade { ticket, status: made(engine, config, &id, address) });
    engine.docker.start_container(&id, None).await.map_err(failed)?;
    let found = engine.docker.inspect_container(&id, None).await.map_err(failed)?;
    match join(engine, &found) {
        Some(joined) => engine.network.settled(joined).await?,
        None if address.is_none() => {}
        None => return Err(RuntimeError::new(ErrorCode::Unknown, "the sandbox ended as soon as it was started")),
    }
    Ok(convert(engine, found))
}

/// A sandbox that is made, before it runs.
fn made(engine: &Engine, config: &PodSandboxConfig, id: &str, address: Option<Ipv4Addr>) -> SandboxStatus {
    SandboxStatus {
        id: id.into(),
        pod_name: config.name.clone(),
        pod_namespace: config.namespace.clone(),
        pod_uid: config.uid.clone(),
        attempt: config.attempt,
        state: SandboxState::NotReady,
        ips: vec![address.unwrap_or(engine.address()).to_string()],
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        ..SandboxStatus::default()
    }
}

/// Takes a running sandbox into the pods' network; one on the node's network is not in it.
fn join(
    engine: &Engine,
    found: &ContainerInspectResponse,
) -> Option<tokio::sync::oneshot::Receiver<Result<(), String>>> {
    let running = own::running(found)?;
    let address = address(engine, found)?;
    let labels = found.config.as_ref()?.labels.as_ref()?;
    let ports = labels.get(names::HOST_PORTS).map(|ports| names::read_ports(ports)).unwrap_or_default();
    Some(engine.network.join(Member {
        id: running.id,
        pid: running.pid,
        argument: labels.get(names::POD_UID)?.clone(),
        address: Some(address),
        linked: labels.contains_key(names::ADDRESS),
        node: engine.config.node.clone(),
        is_node: false,
        host_ports: ports,
    }))
}

/// A sandbox's own address.
fn address(engine: &Engine, found: &ContainerInspectResponse) -> Option<Ipv4Addr> {
    if let Some(address) = labelled(found) {
        return Some(address);
    }
    let networks = found.network_settings.as_ref()?.networks.as_ref()?;
    network::parse(networks.get(&engine.network.name())?.ip_address.as_deref()?)
}

/// The address that the agent gives to a sandbox, running or not.
fn labelled(found: &ContainerInspectResponse) -> Option<Ipv4Addr> {
    found.config.as_ref()?.labels.as_ref()?.get(names::ADDRESS).and_then(|address| network::parse(address))
}

fn body(engine: &Engine, config: &PodSandboxConfig, address: Option<Ipv4Addr>) -> ContainerCreateBody {
    let on_node = config.network == NamespaceMode::Node;
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    // A node that is the only one stands for this machine.
    for mapping in config.port_mappings.iter().filter(|_| engine.config.publish) {
        let PortMapping { protocol, container_port, host_port, host_ip } = mapping;
        let binding = PortBinding {
            host_ip: (!host_ip.is_empty()).then(|| host_ip.clone()),
            host_port: Some(host_port.to_string()),
        };
        let port = format!("{container_port}/{}", protocol.to_lowercase());
        bindings.entry(port).or_default().get_or_insert_default().push(binding);
    }
    let linked = address.filter(|_| bindings.is_empty());
    let by_docker = address.filter(|_| linked.is_none());
    ContainerCreateBody {
        image: Some(images::AGENT.into()),
        cmd: Some(vec!["pause".into(), config.uid.clone()]),
        hostname: (!on_node).then(|| config.hostname.clone()),
        labels: Some(names::sandbox_labels(engine.own(), &engine.config.node, config, linked)),
        exposed_ports: (!bindings.is_empty()).then(|| bindings.keys().cloned().collect()),
        network_disabled: linked.is_some().then_some(true),
        networking_config: by_docker.map(|address| engine.network.at(address)),
        host_config: Some(HostConfig {
            network_mode: Some(match (on_node, linked) {
                (true, _) => format!("container:{}", engine.node_container()),
                (false, Some(_)) => "none".into(),
                (false, None) => engine.network.name(),
            }),
            ipc_mode: Some("shareable".into()),
            mounts: Some(held::of_sandbox(engine.own(), &volumes::pod_dir(engine, &config.uid))),
            pid_mode: (config.pid == NamespaceMode::Node).then(|| "host".into()),
            port_bindings: (!bindings.is_empty()).then_some(bindings),
            sysctls: (!config.sysctls.is_empty()).then(|| config.sysctls.clone().into_iter().collect()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// The sandbox as it is now.
pub async fn status(engine: &Engine, id: &str) -> Result<SandboxStatus, RuntimeError> {
    let found = engine.docker.inspect_container(id, None).await.map_err(failed)?;
    Ok(convert(engine, found))
}

/// A sandbox as Docker describes it.
pub fn convert(engine: &Engine, found: ContainerInspectResponse) -> SandboxStatus {
    let own_address = address(engine, &found);
    let all = found.config.and_then(|config| config.labels).unwrap_or_default();
    let label = |key: &str| all.get(key).cloned().unwrap_or_default();
    let (labels, annotations) = names::split(&all);
    let running = found.state.and_then(|state| state.running).unwrap_or_default();
    let on_node =
        found.host_config.and_then(|config| config.network_mode).is_some_and(|mode| mode.starts_with("container:"));
    let ip = if on_node { Some(engine.address()) } else { own_address };
    SandboxStatus {
        id: found.id.unwrap_or_default(),
        pod_name: label(names::POD_NAME),
        pod_namespace: label(names::POD_NAMESPACE),
        pod_uid: label(names::POD_UID),
        attempt: label(names::ATTEMPT).parse().unwrap_or_default(),
        state: if running { SandboxState::Ready } else { SandboxState::NotReady },
        created_at: found.created.as_deref().and_then(time).unwrap_or_default(),
        ips: ip.iter().map(ToString::to_string).collect(),
        labels: labels.into(),
        annotations: annotations.into(),
    }
}

/// All sandboxes of the node.
pub async fn list(engine: &Engine) -> Result<Vec<SandboxStatus>, RuntimeError> {
    let options = ListContainersOptionsBuilder::new().all(true).filters(&engine.filters(names::SANDBOX)).build();
    let found = engine.docker.list_containers(Some(options)).await.map_err(failed)?;
    let mut out = Vec::new();
    for id in found.into_iter().filter_map(|container| container.id) {
        match engine.docker.inspect_container(&id, None).await {
            Ok(found) => {
                // One that has ended keeps its address until it is removed.
                if let Some(address) = labelled(&found) {
                    engine.network.keep_address(address);
                }
                // Taken over from a runtime that is gone: its rules are in force.
                drop(join(engine, &found));
                out.push(convert(engine, found));
            }
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(out)
}

/// Stops a sandbox, and first whatever still runs in it.
pub async fn stop(engine: &Engine, id: &str) -> Result<(), RuntimeError> {
    for inside in inside(engine, id).await? {
        stop_now(engine, &inside).await?;
    }
    stop_now(engine, id).await?;
    engine.network.leave(id);
    Ok(())
}

async fn stop_now(engine: &Engine, id: &str) -> Result<(), RuntimeError> {
    let options = StopContainerOptionsBuilder::new().t(1).build();
    match engine.docker.stop_container(id, Some(options)).await {
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 304 | 404, .. }) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Removes a sandbox with its containers.
pub async fn remove(engine: &Engine, id: &str) -> Result<(), RuntimeError> {
    for inside in inside(engine, id).await? {
        force_remove(engine, &inside).await?;
    }
    let address = engine.docker.inspect_container(id, None).await.ok().and_then(|found| reserved(&found));
    force_remove(engine, id).await?;
    engine.network.leave(id);
    if let Some(address) = address {
        engine.network.release_address(address);
    }
    Ok(())
}

/// The address that was given to a sandbox, running or not.
fn reserved(found: &ContainerInspectResponse) -> Option<Ipv4Addr> {
    if let Some(address) = labelled(found) {
        return Some(address);
    }
    let networks = found.network_settings.as_ref()?.networks.as_ref()?;
    let ipam = networks.values().find_map(|endpoint| endpoint.ipam_config.as_ref())?;
    network::parse(ipam.ipv4_address.as_deref()?)
}

/// Ids of a sandbox's containers.
async fn inside(engine: &Engine, sandbox_id: &str) -> Result<Vec<String>, RuntimeError> {
    let mut filters = engine.filters(names::CONTAINER);
    filters.entry("label".into()).or_default().push(format!("{}={sandbox_id}", names::SANDBOX_ID));
    let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
    let found = engine.docker.list_containers(Some(options)).await.map_err(failed)?;
    Ok(found.into_iter().filter_map(|container| container.id).collect())
}

/// Removes a container, running or not; one that is gone is fine.
pub async fn force_remove(engine: &Engine, id: &str) -> Result<(), RuntimeError> {
    connection::force_remove(&engine.docker, id).await.map_err(failed)
}
