//! Volumes that a pod's sandbox holds: memory, and what images hold.
//!
//! Docker makes them with the sandbox, without a name, and removes them with it; the pod's containers mount them by the
//! name that Docker chose. So memory is there from the sandbox's start to its end, whatever becomes of the containers
//! that share it, and nothing is mounted on this machine by us: no root is needed. A file in the pod's folder tells of
//! a volume between its set-up and the sandbox:
//!
//! ```text
//! <data-dir>/pods/<pod uid>/held/<volume>       memory 1048576
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bollard::models::{
    ContainerCreateBody, Mount as DockerMount, MountPoint, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig,
};
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use bollard::{Docker, body_stream};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use kubelet::runtime::RuntimeError;

use super::connection::{self, failed};
use super::engine::{Engine, of_cluster};
use super::names;
use super::own::{self, OwnConfig};

/// Where a sandbox has these volumes, and the folder's name in the pod's own.
const FOLDER: &str = "held";

/// What a volume is made of.
pub enum Kind {
    /// Memory, at most so many bytes of it, or as many as the kernel likes.
    Memory(Option<u64>),
    /// What an image holds, by its id.
    Image(String),
}

/// A volume as its pod's containers mount it.
pub struct Held {
    /// Docker's name for it.
    pub name: String,
    /// Where it is on Docker's machine, while the sandbox runs.
    pub path: PathBuf,
}

/// Has a volume made with the pod's next sandbox.
///
/// # Errors
/// When the pod's folder cannot be written.
pub fn ask(pod_dir: &Path, volume: &str, kind: &Kind) -> io::Result<()> {
    let text = match kind {
        Kind::Memory(None) => "memory".to_owned(),
        Kind::Memory(Some(bytes)) => format!("memory {bytes}"),
        Kind::Image(id) => format!("image {id}"),
    };
    let folder = pod_dir.join(FOLDER);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(volume), text)
}

/// Whether a pod's volume is one of these.
pub fn is_asked(pod_dir: &Path, volume: &str) -> bool {
    pod_dir.join(FOLDER).join(volume).exists()
}

fn asked(pod_dir: &Path) -> impl Iterator<Item = (String, Kind)> {
    let files = fs::read_dir(pod_dir.join(FOLDER)).into_iter().flatten().flatten();
    files.filter_map(|file| {
        let text = fs::read_to_string(file.path()).ok()?;
        let kind = match text.split_once(' ') {
            Some(("image", id)) => Kind::Image(id.to_owned()),
            Some((_, bytes)) => Kind::Memory(bytes.parse().ok()),
            None => Kind::Memory(None),
        };
        Some((file.file_name().to_string_lossy().into_owned(), kind))
    })
}

fn place(volume: &str) -> String {
    format!("/{FOLDER}/{volume}")
}

/// What a sandbox mounts to hold its pod's volumes.
pub fn of_sandbox(own: &OwnConfig, pod_dir: &Path) -> Vec<DockerMount> {
    let driver = |kind| match kind {
        Kind::Image(_) => None,
        Kind::Memory(size) => {
            // Every user of the pod may write there.
            let size = size.map_or_else(String::new, |bytes| format!("size={bytes},"));
            let options = [("type", "tmpfs".into()), ("device", "tmpfs".into()), ("o", format!("{size}mode=0777"))];
            Some(MountVolumeOptionsDriverConfig {
                name: Some("local".into()),
                options: Some(options.map(|(key, value): (&str, String)| (key.to_owned(), value)).into()),
            })
        }
    };
    let mount = |(volume, kind): (String, Kind)| DockerMount {
        target: Some(place(&volume)),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            labels: Some(own::labels(own, own::HELD)),
            driver_config: driver(kind),
            ..MountVolumeOptions::default()
        }),
        ..DockerMount::default()
    };
    asked(pod_dir).map(mount).collect()
}

/// Puts into a sandbox that is made what its volumes of images hold.
///
/// # Errors
/// When Docker refuses.
pub async fn fill(engine: &Engine, pod_dir: &Path, sandbox_id: &str) -> Result<(), RuntimeError> {
    for (volume, kind) in asked(pod_dir) {
        let Kind::Image(image) = kind else { continue };
        // Its files are what is wanted: it is never started.
        let mut labels = own::labels(engine.own(), own::HELD);
        labels.insert(names::NODE.into(), engine.config.node.clone());
        let body = ContainerCreateBody {
            image: Some(image),
            cmd: Some(vec!["/".into()]),
            labels: Some(labels),
            ..ContainerCreateBody::default()
        };
        let made = engine.docker.create_container(None::<CreateContainerOptions>, body).await.map_err(failed)?.id;
        let (docker, container) = (engine.docker.clone(), made.clone());
        let (mut sender, parts) = mpsc::channel(4);
        tokio::spawn(async move {
            let mut archive = docker.export_container(&container).boxed();
            // What ends too early is no archive: Docker says so.
            while let Some(Ok(part)) = archive.next().await {
                if sender.send(part).await.is_err() {
                    return;
                }
            }
        });
        let options = UploadToContainerOptionsBuilder::new().path(&place(&volume)).build();
        let filled = engine.docker.upload_to_container(sandbox_id, Some(options), body_stream(parts)).await;
        connection::force_remove(&engine.docker, &made).await.map_err(failed)?;
        filled.map_err(failed)?;
    }
    Ok(())
}

/// Removes containers of a node that an end of `serve` kept [`fill`] from removing.
///
/// # Errors
/// When Docker refuses.
pub async fn forget(engine: &Engine) -> Result<(), bollard::errors::Error> {
    let options = ListContainersOptionsBuilder::new().all(true).filters(&engine.filters(own::HELD)).build();
    for id in engine.docker.list_containers(Some(options)).await?.into_iter().filter_map(|container| container.id) {
        connection::force_remove(&engine.docker, &id).await?;
    }
    Ok(())
}

/// The volumes that a sandbox holds, by name.
///
/// # Errors
/// When Docker does not tell.
pub async fn by(engine: &Engine, sandbox_id: &str) -> Result<BTreeMap<String, Held>, RuntimeError> {
    let found = engine.docker.inspect_container(sandbox_id, None).await.map_err(failed)?;
    let own = |point: MountPoint| {
        let volume = point.destination?.strip_prefix(&place(""))?.to_owned();
        Some((volume, Held { name: point.name?, path: point.source?.into() }))
    };
    Ok(found.mounts.unwrap_or_default().into_iter().filter_map(own).collect())
}

/// Removes what is left of sandboxes that somebody else removed.
///
/// # Errors
/// When Docker refuses.
pub async fn remove_all(docker: &Docker, own: &OwnConfig) -> Result<(), bollard::errors::Error> {
    let options = ListVolumesOptionsBuilder::new().filters(&of_cluster(own)).build();
    for volume in docker.list_volumes(Some(options)).await?.volumes.unwrap_or_default() {
        docker.remove_volume(&volume.name, Some(RemoveVolumeOptionsBuilder::new().force(true).build())).await?;
    }
    Ok(())
}
