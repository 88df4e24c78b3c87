//! Containers of the cluster that are not pods': the agent, and one for each node.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, ContainerInspectResponse};
use bollard::query_parameters::CreateContainerOptionsBuilder;
use machinery::random::fnv64a;

use super::names;

/// Values of [`names::TYPE`].
pub const AGENT: &str = "agent";
pub const NODE: &str = "node";
pub const NETWORK: &str = "network";
pub const HELD: &str = "held";

/// Whose something on Docker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnConfig {
    /// The cluster's name.
    pub cluster: String,
    /// Added to names, so that clusters of one name do not meddle with each other.
    pub suffix: String,
    /// Where volumes are kept; an absolute path that Docker sees under the same name. It marks what is
    /// the cluster's.
    pub data_dir: PathBuf,
}

/// A container that runs.
pub struct Running {
    /// Its id.
    pub id: String,
    /// Its process.
    pub pid: u32,
}

/// Labels of what is the cluster's.
pub fn labels(config: &OwnConfig, kind: &str) -> HashMap<String, String> {
    let own = [
        (names::TYPE, kind),
        (names::CLUSTER, &config.cluster),
        (names::DATA_DIR, config.data_dir.to_str().unwrap_or_default()),
    ];
    own.map(|(key, value)| (key.to_string(), value.to_string())).into()
}

/// What of a container's description one that was made before must have too, beside its image and labels.
fn shape(body: &ContainerCreateBody) -> String {
    let Some(host) = &body.host_config else { return String::new() };
    let bindings = host.port_bindings.iter().flatten();
    let ports: BTreeSet<String> = bindings.map(|(port, bindings)| format!("{port} {bindings:?}")).collect();
    let told = (&body.cmd, &host.binds, &host.cap_add, &host.security_opt, &host.pid_mode, &host.network_mode, ports);
    format!("{:016x}", fnv64a(format!("{told:?}").as_bytes()))
}

/// Makes sure that a container runs, as it is described.
pub async fn ensure_running(docker: &Docker, name: &str, mut body: ContainerCreateBody) -> Result<Running, Error> {
    let shape = shape(&body);
    body.labels.get_or_insert_default().insert(names::SHAPE.into(), shape);
    let options = CreateContainerOptionsBuilder::new().name(name).build();
    let found = match docker.inspect_container(name, None).await {
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => None,
        found => Some(found?),
    };
    // One of another version, or another place, makes way.
    let fits = |found: &ContainerInspectResponse| {
        let config = found.config.as_ref();
        config.and_then(|config| config.image.as_ref()) == body.image.as_ref()
            && config.and_then(|config| config.labels.as_ref()) == body.labels.as_ref()
    };
    match found {
        Some(found) if fits(&found) => {
            if let Some(running) = running(&found) {
                return Ok(running);
            }
        }
        Some(_) => {
            super::connection::force_remove(docker, name).await?;
            docker.create_container(Some(options), body).await?;
        }
        None => _ = docker.create_container(Some(options), body).await?,
    }
    docker.start_container(name, None).await?;
    let found = docker.inspect_container(name, None).await?;
    running(&found).ok_or_else(|| Error::DockerResponseServerError {
        status_code: 409,
        message: format!("the container {name} ended as soon as it was started"),
    })
}

/// A container's process, if it runs.
pub fn running(found: &ContainerInspectResponse) -> Option<Running> {
    let state = found.state.as_ref().filter(|state| state.running == Some(true))?;
    let pid = state.pid.and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0)?;
    Some(Running { id: found.id.clone()?, pid })
}
