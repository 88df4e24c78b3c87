//! What commands ask this machine's Docker, beside any cluster's runtime.

use std::fmt::Write as _;

use bollard::body_full;
use bollard::errors::Error;
use bollard::query_parameters::{ImportImageOptionsBuilder, ListContainersOptionsBuilder};
use futures::StreamExt;

use super::connection::{self, ConnectError, explain};
use super::engine::of_cluster;
use super::own::OwnConfig;

fn failed(error: Error) -> ConnectError {
    ConnectError(explain(&error))
}

/// The id of an image, if Docker has it.
///
/// # Errors
/// When Docker cannot be reached.
pub async fn image_id(image: &str) -> Result<Option<String>, ConnectError> {
    match connection::open(None)?.inspect_image(image).await {
        Ok(found) => Ok(Some(found.id.unwrap_or_default())),
        Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Loads an archive that `docker save` has written; what Docker says of it.
///
/// # Errors
/// When Docker cannot be reached, or the archive is none.
pub async fn load_archive(archive: Vec<u8>) -> Result<Vec<String>, ConnectError> {
    let docker = connection::open(None)?;
    let mut steps =
        docker.import_image(ImportImageOptionsBuilder::new().build(), body_full(archive.into()), None).boxed();
    let mut said = Vec::new();
    while let Some(step) = steps.next().await {
        let step = step.map_err(failed)?;
        if let Some(message) = step.error_detail.and_then(|detail| detail.message) {
            return Err(ConnectError(message));
        }
        said.extend(step.stream.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()));
    }
    Ok(said)
}

/// Docker's version and what it runs for a cluster, for somebody who looks for what went wrong.
///
/// # Errors
/// When Docker cannot be reached.
pub async fn describe(own: &OwnConfig) -> Result<String, ConnectError> {
    let docker = connection::open(None)?;
    let version = docker.version().await.map_err(failed)?;
    let word = |text: Option<String>| text.unwrap_or_default();
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = writeln!(out, "Docker {} (API {})", word(version.version), word(version.api_version));
    let _ = writeln!(out, "{} {}, kernel {}\n", word(version.os), word(version.arch), word(version.kernel_version));
    let options = ListContainersOptionsBuilder::new().all(true).filters(&of_cluster(own)).build();
    for container in docker.list_containers(Some(options)).await.map_err(failed)? {
        let names = container.names.unwrap_or_default().join(" ");
        let _ =
            writeln!(out, "{:<12.12} {names} {} {}", word(container.id), word(container.image), word(container.status));
    }
    Ok(out)
}
