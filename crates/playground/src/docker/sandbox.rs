//! Sandboxes: the container that holds a pod's network.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig, PortBinding};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use kubelet::runtime::{NamespaceMode, PodSandboxConfig, RuntimeError, SandboxState, SandboxStatus};

use super::containers::time;
use super::engine::{Engine, failed};
use super::names;
use super::pause;

/// Makes and starts a sandbox. One that is left of an interrupted start under the same name is
/// replaced.
pub async fn run(engine: &Engine, config: PodSandboxConfig) -> Result<SandboxStatus, RuntimeError> {
    let name = names::sandbox(&config);
    let body = body(engine, &config);
    let options = || Some(CreateContainerOptionsBuilder::new().name(&name).build());
    let id = match engine.docker.create_container(options(), body.clone()).await {
        Ok(made) => made.id,
        Err(Error::DockerResponseServerError { status_code: 409, .. }) => {
            force_remove(engine, &name).await?;
            engine.docker.create_container(options(), body).await.map_err(failed)?.id
        }
        Err(error) => return Err(failed(error)),
    };
    if let Err(error) = engine.docker.start_container(&id, None).await {
        force_remove(engine, &id).await?;
        return Err(failed(error));
    }
    status(engine, &id).await
}

fn body(engine: &Engine, config: &PodSandboxConfig) -> ContainerCreateBody {
    let on_node = config.network == NamespaceMode::Node;
    let some = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for mapping in &config.port_mappings {
        let port = format!("{}/{}", mapping.container_port, mapping.protocol.to_lowercase());
        let binding = PortBinding {
            host_ip: (!mapping.host_ip.is_empty()).then(|| mapping.host_ip.clone()),
            host_port: Some(mapping.host_port.to_string()),
        };
        bindings.entry(port).or_default().get_or_insert_default().push(binding);
    }
    ContainerCreateBody {
        image: Some(pause::IMAGE.into()),
        hostname: (!on_node).then(|| config.hostname.clone()),
        labels: Some(names::sandbox_labels(&engine.config, config)),
        exposed_ports: Some(bindings.keys().cloned().collect()),
        host_config: Some(HostConfig {
            network_mode: Some(if on_node { "host".into() } else { engine.config.network.clone() }),
            ipc_mode: Some("shareable".into()),
            pid_mode: (config.pid == NamespaceMode::Node).then(|| "host".into()),
            dns: (!on_node).then(|| some(&config.dns.servers)).flatten(),
            dns_search: (!on_node).then(|| some(&config.dns.searches)).flatten(),
            dns_options: (!on_node).then(|| some(&config.dns.options)).flatten(),
            port_bindings: (!bindings.is_empty()).then_some(bindings),
            sysctls: (!config.sysctls.is_empty()).then(|| config.sysctls.clone().into_iter().collect()),
            cpu_shares: Some(2),
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
    let all = found.config.and_then(|config| config.labels).unwrap_or_default();
    let label = |key: &str| all.get(key).cloned().unwrap_or_default();
    let (labels, annotations) = names::split(&all);
    let running = found.state.and_then(|state| state.running).unwrap_or_default();
    let networks = found.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    let endpoint = networks.get(&engine.config.network);
    let ip = endpoint.and_then(|endpoint| endpoint.ip_address.clone()).filter(|ip| !ip.is_empty());
    SandboxStatus {
        id: found.id.unwrap_or_default(),
        pod_name: label(names::POD_NAME),
        pod_namespace: label(names::POD_NAMESPACE),
        pod_uid: label(names::POD_UID),
        attempt: label(names::ATTEMPT).parse().unwrap_or_default(),
        state: if running { SandboxState::Ready } else { SandboxState::NotReady },
        created_at: found.created.as_deref().and_then(time).unwrap_or_default(),
        ips: ip.into_iter().collect(),
        labels,
        annotations,
    }
}

/// All sandboxes of the node.
pub async fn list(engine: &Engine) -> Result<Vec<SandboxStatus>, RuntimeError> {
    let options = ListContainersOptionsBuilder::new().all(true).filters(&engine.filters(names::SANDBOX)).build();
    let found = engine.docker.list_containers(Some(options)).await.map_err(failed)?;
    let mut out = Vec::new();
    for id in found.into_iter().filter_map(|container| container.id) {
        match engine.docker.inspect_container(&id, None).await {
            Ok(found) => out.push(convert(engine, found)),
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
    stop_now(engine, id).await
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
    force_remove(engine, id).await
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
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match engine.docker.remove_container(id, Some(options)).await {
        // 409: it is being removed already.
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}
