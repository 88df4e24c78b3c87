//! Commands about clusters and nodes from outside of `serve`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use store::redb::Disk;

use crate::cli::{Delete, NodeAction};
use crate::docker;
use crate::serve::{data_directory, own_on_docker};

/// The file by which a data directory is known as one.
const STORE: &str = "store.redb";

/// `playground delete`.
///
/// # Errors
/// When there is no such cluster, or it is being served, or Docker refuses.
pub fn delete(what: &Delete) -> Result<()> {
    let Delete::Cluster { data_dir } = what;
    let directory = existing(data_dir.as_ref())?;
    // While this is open, nobody serves it.
    let (disk, _) = Disk::open(&directory)?;
    let own = own_on_docker(data_dir.as_ref(), &directory)?;
    if let Err(error) = block_on(docker::cleanup(None, &own))? {
        // A cluster without containers needs no Docker.
        if own.data_dir.exists() {
            return Err(error.into());
        }
    }
    disk.close()?;
    for name in [STORE, "kubeconfig", "pki", "volumes"] {
        remove(&directory.join(name))?;
    }
    // Somebody else's files stay, and the directory with them.
    let _ = std::fs::remove_dir(&directory);
    println!("Deleted the cluster in {}", directory.display());
    Ok(())
}

/// `playground node`.
///
/// # Errors
/// When there is no such node, or Docker cannot be reached.
pub fn node(action: &NodeAction) -> Result<()> {
    let (node, on) = match action {
        NodeAction::Stop(node) => (node, false),
        NodeAction::Start(node) => (node, true),
    };
    let directory = existing(node.data_dir.as_ref())?;
    let own = own_on_docker(node.data_dir.as_ref(), &directory)?;
    let name = block_on(docker::set_power(&own, &node.name, on))??;
    println!("{} {name}", if on { "Started" } else { "Stopped" });
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn existing(chosen: Option<&PathBuf>) -> Result<PathBuf> {
    let directory = data_directory(chosen)?;
    if !directory.join(STORE).is_file() {
        anyhow::bail!("there is no cluster in {}", directory.display());
    }
    Ok(directory)
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}
