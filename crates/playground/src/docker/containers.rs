//! Containers: made, started, stopped, described.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, HostConfig, HostConfigLogConfig,
    Mount as DockerMount, MountType, MountVolumeOptions,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, LogsOptionsBuilder, StopContainerOptionsBuilder,
};
use futures::StreamExt;
use kubelet::runtime::{
    ContainerConfig, ContainerState, ContainerStats, ContainerStatus, ErrorCode, LinuxResources, LinuxSecurity,
    NamespaceMode, RuntimeError,
};
use machinery::Timestamp;

use super::connection::failed;
use super::engine::{Engine, Made};
use super::exec::exec_sync;
use super::names;
use super::sandbox::force_remove;
use super::{confinement, held, volumes};

/// The kubelet's `containerLogMaxSize` and `containerLogMaxFiles`: a log has an end.
const LOG_OPTIONS: [(&str, &str); 2] = [("max-size", "10m"), ("max-file", "5")];
/// The share of CPUs that Docker gives where nothing is said.
const CPU_SHARES: u64 = 1024;
/// What a message that stands for a container's last words may hold.
const MESSAGE_LINES: &str = "80";
const MESSAGE_BYTES_MAX: usize = 2048;
/// Last words left in the file may be longer.
const MESSAGE_FILE_BYTES_MAX: usize = 4096;
/// How long the agent may take to tell what containers use; it looks for a second.
const STATS_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes a container. One that is left of an interrupted start under the same name is replaced.
pub async fn create(
    engine: &Engine,
    sandbox_id: &str,
    config: ContainerConfig,
) -> Result<ContainerStatus, RuntimeError> {
    let name = names::container(&config);
    let body = body(engine, sandbox_id, &config).await?;
    let options = || Some(CreateContainerOptionsBuilder::new().name(&name).build());
    let id = match engine.docker.create_container(options(), body.clone()).await {
        Ok(made) => made.id,
        Err(Error::DockerResponseServerError { status_code: 409, .. }) => {
            force_remove(engine, &name).await?;
            engine.docker.create_container(options(), body).await.map_err(failed)?.id
        }
        Err(error) => return Err(failed(error)),
    };
    let status = status(engine, &id).await?;
    engine.keep(Made { status: status.clone(), cpu_shares: config.resources.cpu_shares });
    Ok(status)
}

async fn body(
    engine: &Engine,
    sandbox_id: &str,
    config: &ContainerConfig,
) -> Result<ContainerCreateBody, RuntimeError> {
    let image = super::images::status(engine, &config.image_id).await?;
    let image_ref = image.and_then(|image| image.repo_digests.first().cloned()).unwrap_or(config.image_id.clone());
    let list = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    let security = &config.security;
    let held = match volumes::has_held(engine, config) {
        true => held::by(engine, sandbox_id).await?,
        false => BTreeMap::new(),
    };
    let of_sandbox = format!("container:{sandbox_id}");
    let from_files =
        volumes::env_files(engine, config, &held).map_err(|message| RuntimeError::new(ErrorCode::Unknown, message))?;
    let mounts = volumes::binds(engine, config, &held)?.into_iter().map(|bind| DockerMount {
        target: Some(bind.target),
        source: Some(bind.source),
        volume_options: (bind.kind == MountType::VOLUME)
            .then(|| MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        typ: Some(bind.kind),
        read_only: Some(bind.read_only),
        ..DockerMount::default()
    });
    let resources = &config.resources;
    Ok(ContainerCreateBody {
        image: Some(config.image_id.clone()),
        entrypoint: list(&config.command),
        cmd: list(&config.args),
        working_dir: (!config.working_dir.is_empty()).then(|| config.working_dir.clone()),
        env: Some(config.env.iter().map(|(name, value)| format!("{name}={value}")).chain(from_files).collect()),
        user: user(security),
        tty: Some(config.tty),
        open_stdin: Some(config.stdin),
        stdin_once: Some(config.stdin_once),
        labels: Some(names::container_labels(engine.own(), &engine.config.node, config, sandbox_id, &image_ref)),
        host_config: Some(HostConfig {
            network_mode: Some(of_sandbox.clone()),
            ipc_mode: Some(of_sandbox.clone()),
            pid_mode: match (&config.pid_target, config.pid) {
                (Some(id), _) => Some(format!("container:{id}")),
                (None, NamespaceMode::Pod) => Some(of_sandbox),
                (None, NamespaceMode::Node) => Some("host".into()),
                (None, NamespaceMode::Container) => None,
            },
            mounts: Some(mounts.collect()),
            log_config: Some(HostConfigLogConfig {
                typ: Some("json-file".into()),
                config: Some(LOG_OPTIONS.map(|(key, value)| (key.to_string(), value.to_string())).into()),
            }),
            // Fewer are given once it runs: the runtime's own work in its cgroup would be slow too.
            cpu_shares: Some(signed(resources.cpu_shares.max(CPU_SHARES))),
            cpu_period: resources.cpu_quota_us.map(|_| 100_000),
            cpu_quota: limited(resources.cpu_quota_us),
            memory: limited(resources.memory_limit_bytes),
            memory_swap: limited(resources.memory_limit_bytes),
            // Rootless and nested engines may not go below their own, which is 0 as a rule.
            oom_score_adj: Some(i64::from(resources.oom_score_adj.max(0))),
            privileged: Some(security.privileged),
            readonly_rootfs: Some(security.read_only_root),
            cap_add: list(&security.capabilities_add),
            cap_drop: list(&security.capabilities_drop),
            group_add: Some(security.supplemental_groups.iter().map(ToString::to_string).collect()),
            security_opt: Some(confinement::options(engine, &config.name, security).await?),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    })
}

fn user(security: &LinuxSecurity) -> Option<String> {
    match (security.run_as_user, security.run_as_group) {
        (Some(user), Some(group)) => Some(format!("{user}:{group}")),
        (Some(user), None) => Some(user.to_string()),
        (None, Some(group)) => Some(format!("0:{group}")),
        (None, None) => None,
    }
}

/// Starts a container.
pub async fn start(engine: &Engine, id: String) -> Result<ContainerStatus, RuntimeError> {
    let made = engine.take(&id);
    if made.is_some() {
        engine.started().insert(id.clone());
    }
    let outcome = engine.docker.start_container(&id, None).await;
    if outcome.is_err() {
        engine.started().remove(&id);
    }
    match (outcome, made) {
        // An end that comes at once is told by itself.
        (Ok(()), Some(Made { status, cpu_shares })) => {
            if cpu_shares < CPU_SHARES {
                let docker = engine.docker.clone();
                tokio::spawn(async move {
                    let cpu_shares = Some(signed(cpu_shares));
                    let shares = bollard::models::ContainerUpdateBody { cpu_shares, ..Default::default() };
                    // One that has ended needs none.
                    let _ = docker.update_container(&id, shares).await;
                });
            }
            Ok(ContainerStatus { state: ContainerState::Running, started_at: Some(Timestamp::now()), ..status })
        }
        (Ok(()) | Err(Error::DockerResponseServerError { status_code: 304, .. }), _) => status(engine, &id).await,
        (Err(Error::DockerResponseServerError { status_code, message }), _) if status_code != 404 => {
            let message = format!("failed to start container {id:?}: Error response from daemon: {}", message.trim());
            Err(RuntimeError::new(ErrorCode::Unknown, message))
        }
        (Err(error), _) => Err(failed(error)),
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn limited(value: Option<u64>) -> Option<i64> {
    value.map(signed)
}

/// Changes the limits of a running container.
pub async fn update(engine: &Engine, id: &str, resources: &LinuxResources) -> Result<(), RuntimeError> {
    let limits = bollard::models::ContainerUpdateBody {
        cpu_shares: Some(signed(resources.cpu_shares)),
        cpu_period: resources.cpu_quota_us.map(|_| 100_000),
        cpu_quota: limited(resources.cpu_quota_us),
        memory: limited(resources.memory_limit_bytes),
        memory_swap: limited(resources.memory_limit_bytes),
        ..Default::default()
    };
    engine.docker.update_container(id, limits).await.map(drop).map_err(failed)
}

/// Stops a container within a grace time.
pub async fn stop(engine: &Engine, id: &str, grace: Duration) -> Result<ContainerStatus, RuntimeError> {
    let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
    let options = StopContainerOptionsBuilder::new().t(seconds).build();
    // Docker answers once it has ended, which may take longer than other answers may.
    let patient = engine.docker.clone().with_timeout(grace.saturating_add(Duration::from_secs(60)));
    match patient.stop_container(id, Some(options)).await {
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 304, .. }) => status(engine, id).await,
        Err(error) => Err(failed(error)),
    }
}

/// Removes a container that has ended, with its log and what it left in the data directory.
pub async fn remove(engine: &Engine, id: &str) -> Result<(), RuntimeError> {
    engine.take(id);
    if let Ok(found) = status(engine, id).await {
        volumes::remove_container_dir(engine, &found.pod_uid, &found.name, found.attempt);
    }
    force_remove(engine, id).await
}

/// The container as it is now.
pub async fn status(engine: &Engine, id: &str) -> Result<ContainerStatus, RuntimeError> {
    let found = engine.docker.inspect_container(id, None).await.map_err(failed)?;
    Ok(convert(engine, found).await)
}

/// A container as Docker describes it, with its last words.
pub async fn convert(engine: &Engine, found: ContainerInspectResponse) -> ContainerStatus {
    let all = found.config.and_then(|config| config.labels).unwrap_or_default();
    let label = |key: &str| all.get(key).cloned().unwrap_or_default();
    let (labels, annotations) = names::split(&all);
    let state = found.state.unwrap_or_default();
    let kind = match state.status {
        Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
        Some(
            ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::PAUSED | ContainerStateStatusEnum::RESTARTING,
        ) => ContainerState::Running,
        Some(
            ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD | ContainerStateStatusEnum::REMOVING,
        ) => ContainerState::Exited,
        _ => ContainerState::Unknown,
    };
    let mut status = ContainerStatus {
        id: found.id.unwrap_or_default(),
        sandbox_id: label(names::SANDBOX_ID),
        pod_uid: label(names::POD_UID),
        name: label(names::CONTAINER_NAME),
        attempt: label(names::ATTEMPT).parse().unwrap_or_default(),
        state: kind,
        created_at: found.created.as_deref().and_then(time).unwrap_or_default(),
        started_at: state.started_at.as_deref().and_then(time),
        finished_at: state.finished_at.as_deref().and_then(time),
        image: label(names::IMAGE),
        image_ref: label(names::IMAGE_REF),
        labels: labels.into(),
        annotations: annotations.into(),
        ..ContainerStatus::default()
    };
    match kind {
        ContainerState::Exited => {
            status.exit_code = state.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or_default();
            if state.oom_killed == Some(true) {
                status.reason = "OOMKilled".into();
            } else if let Some(error) = state.error.filter(|error| !error.is_empty()) {
                status.reason = "ContainerCannotRun".into();
                status.message = error;
            }
            let words = last_words(engine, &status).await;
            if !words.is_empty() {
                status.message = words;
            }
        }
        _ => status.finished_at = None,
    }
    status
}

/// What a container left at its termination message path, or the end of its log where that was asked
/// for and it failed.
async fn last_words(engine: &Engine, status: &ContainerStatus) -> String {
    let path = volumes::termination_log(engine, &status.pod_uid, &status.name, status.attempt);
    let mut bytes = std::fs::read(path).unwrap_or_default();
    bytes.truncate(MESSAGE_FILE_BYTES_MAX);
    if bytes.is_empty() && status.exit_code != 0 && status.labels.contains_key(names::MESSAGE_FROM_LOG) {
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(MESSAGE_LINES).build();
        let mut lines = engine.docker.logs(&status.id, Some(options)).boxed();
        while let Some(Ok(line)) = lines.next().await {
            bytes.extend_from_slice(&line.into_bytes());
        }
        let surplus = bytes.len().saturating_sub(MESSAGE_BYTES_MAX);
        bytes.drain(..surplus);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// All containers of the node.
pub async fn list(engine: &Engine) -> Result<Vec<ContainerStatus>, RuntimeError> {
    let options = ListContainersOptionsBuilder::new().all(true).filters(&engine.filters(names::CONTAINER)).build();
    let found = engine.docker.list_containers(Some(options)).await.map_err(failed)?;
    let mut out = Vec::new();
    for id in found.into_iter().filter_map(|container| container.id) {
        match status(engine, &id).await {
            Ok(status) => out.push(status),
            Err(error) if error.code == ErrorCode::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(out)
}

/// Resource use of the node's running containers; one whose use is not known is left out.
///
/// By the kernel's account, which the agent reads: Docker's own fails for a container in the network of another one that
/// has none of Docker's.
pub async fn stats(engine: &Engine) -> Result<Vec<ContainerStats>, RuntimeError> {
    let options = ListContainersOptionsBuilder::new().filters(&engine.filters(names::CONTAINER)).build();
    let found = engine.docker.list_containers(Some(options)).await.map_err(failed)?;
    let ids: Vec<String> = found.into_iter().filter_map(|container| container.id).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let command = ["/playground-agent", "usage"].map(String::from).into_iter().chain(ids.iter().cloned()).collect();
    let told = exec_sync(engine, &engine.network.agent_name(), command, STATS_TIMEOUT).await?;
    let told = String::from_utf8_lossy(&told.output).into_owned();
    let one = |line: &str| {
        let numbers: Vec<u64> = line.split(' ').map(str::parse).collect::<Result<_, _>>().ok()?;
        let [place, cpu_usage_ns, cpu_nano_cores, memory_working_set_bytes] = numbers[..] else { return None };
        let container_id = ids.get(usize::try_from(place).ok()?)?.clone();
        Some(ContainerStats { container_id, cpu_usage_ns, cpu_nano_cores, memory_working_set_bytes })
    };
    Ok(told.lines().filter_map(one).collect())
}

/// Docker's times; one before the epoch means never.
pub fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().filter(|time| *time > Timestamp::UNIX_EPOCH)
}
