//! The connection to the Docker Engine, and its errors in words.

use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::RemoveContainerOptionsBuilder;
use kubelet::runtime::{ErrorCode, RuntimeError};

/// How long Docker may take to answer; stopping and pulling wait for their own times.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Docker cannot be used: one line that says why and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConnectError(pub String);

/// Opens a connection: to an address such as `unix:///run/docker.sock`, or by default to what
/// `DOCKER_HOST` says, or the usual socket.
///
/// # Errors
/// When the address is none that can be used.
pub fn open(host: Option<&str>) -> Result<Docker, ConnectError> {
    let docker = match host {
        Some(host) => Docker::connect_with_host(host),
        None => Docker::connect_with_defaults(),
    };
    docker.map(|docker| docker.with_timeout(TIMEOUT)).map_err(|error| ConnectError(explain(&error)))
}

/// An error in the words of a message to the user.
pub fn explain(error: &Error) -> String {
    let text = match error {
        Error::DockerResponseServerError { message, .. } => return message.trim().to_string(),
        error => chain(error),
    };
    if text.contains("Permission denied") || text.contains("permission denied") {
        "permission denied at the Docker socket: add your user to the group `docker` (sudo usermod -aG docker $USER, then log in again), or use --runtime sim".into()
    } else if unreachable(&text) {
        "Docker does not answer: start it (sudo systemctl start docker, or Docker Desktop), or use --runtime sim".into()
    } else {
        text
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        out = format!("{out}: {inner}");
        source = inner.source();
    }
    out
}

fn unreachable(text: &str) -> bool {
    [
        "No such file",
        "onnection refused",
        "not found",
        "onnection reset",
        "reading a body",
        "client error",
        "onnection closed",
        "roken pipe",
    ]
    .iter()
    .any(|sign| text.contains(sign))
}

/// Docker's error as the kubelet's.
pub fn failed(error: Error) -> RuntimeError {
    match error {
        Error::DockerResponseServerError { status_code, message } => {
            let code = if status_code == 404 { ErrorCode::NotFound } else { ErrorCode::Unknown };
            RuntimeError::new(code, format!("Error response from daemon: {}", message.trim()))
        }
        Error::RequestTimeoutError => RuntimeError::new(ErrorCode::DeadlineExceeded, "Docker did not answer in time"),
        error => {
            let text = chain(&error);
            let code = if unreachable(&text) { ErrorCode::Unavailable } else { ErrorCode::Unknown };
            RuntimeError::new(code, explain(&error))
        }
    }
}

/// Removes a container, running or not; one that is gone is fine.
pub async fn force_remove(docker: &Docker, id: &str) -> Result<(), Error> {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    match docker.remove_container(id, Some(options)).await {
        // 409: it is being removed already.
        Ok(()) | Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        error => error,
    }
}
