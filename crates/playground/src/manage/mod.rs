//! Commands about clusters from outside of their servers, as kind has them.

mod background;
mod create;
mod export;
mod load;
mod status;

use std::path::PathBuf;

use anyhow::{Context, Result};
use http::Method;
use playground_core::control;
use serde_json::Value;
use store::redb::Disk;

use crate::api::Client;
use crate::cli::{Delete, Get, NodeAction, OneCluster, Runtime, Which};
use crate::home::{Home, Settings};
use crate::{docker, kubeconfig, shape};

pub use create::create;
pub use export::export;
pub use load::load;
pub use status::status;

/// `playground delete`.
///
/// # Errors
/// When its server does not end, Docker refuses, or nothing is in a `--data-dir`. A name that no cluster has is told
/// and is no error, as of kind's.
pub fn delete(what: &Delete) -> Result<()> {
    let (homes, file) = match what {
        Delete::Cluster { which, kubeconfig } => (there(which)?.into_iter().collect(), kubeconfig),
        Delete::Clusters { all: true, kubeconfig, .. } => (Home::all()?, kubeconfig),
        Delete::Clusters { names, kubeconfig, .. } => {
            let named = names.iter().map(|name| Which { name: Some(name.clone()), ..Which::default() });
            (named.map(|which| there(&which)).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect(), kubeconfig)
        }
    };
    for home in homes {
        eprintln!("Deleting cluster {:?} ...", home.name);
        delete_one(&home, file.as_ref())?;
        println!("Deleted the cluster in {}", home.directory.display());
    }
    Ok(())
}

/// The cluster, unless there is none of that name.
fn there(which: &Which) -> Result<Option<Home>> {
    let home = Home::of(which.name.as_deref(), which.data_dir.as_ref())?;
    match Home::existing(which) {
        Err(missing) if which.data_dir.is_none() && !home.exists() => {
            eprintln!("Nothing to delete: {missing}");
            Ok(None)
        }
        found => found.map(Some),
    }
}

fn delete_one(home: &Home, file: Option<&PathBuf>) -> Result<()> {
    background::stop(home)?;
    // While this is held, nobody serves it.
    let _seat = home.take_seat()?;
    let disk = Disk::open(&home.directory).ok();
    let own = home.own_on_docker()?;
    if let Err(error) = block_on(docker::cleanup(None, &own))? {
        // A cluster without containers needs no Docker.
        if own.data_dir.exists() {
            return Err(error.into());
        }
    }
    disk.map(|(disk, _)| disk.close()).transpose()?;
    kubeconfig::remove(file, &home.context())?;
    home.remove()
}

/// `playground start` and `playground stop`.
///
/// # Errors
/// When there is no such cluster, or it does not come up, or does not end.
pub fn switch(what: &OneCluster, on: bool) -> Result<()> {
    let OneCluster::Cluster(which) = what;
    let home = Home::existing(which)?;
    let words = match (on, home.running()) {
        (true, Some(running)) => format!("runs already, as process {}", running.pid),
        (true, None) => {
            let running = background::start(&home)?;
            format!("is served at https://{}", running.address.map(|address| address.to_string()).unwrap_or_default())
        }
        (false, None) => "is not being served".into(),
        (false, Some(_)) => {
            background::stop(&home)?;
            match home.settings()?.runtime {
                Some(Runtime::Sim) => "is stopped: its data stays".into(),
                _ => "is stopped: its containers on Docker go on, and its data stays".into(),
            }
        }
    };
    println!("The cluster {:?} {words}", home.name);
    Ok(())
}

/// `playground get`.
///
/// # Errors
/// When there is no such cluster.
pub fn get(what: &Get) -> Result<()> {
    match what {
        Get::Clusters => {
            let all = Home::all()?;
            if all.is_empty() {
                eprintln!("No clusters found.");
            }
            all.iter().for_each(|home| println!("{}", home.name));
        }
        Get::Nodes { which, all_clusters } => {
            let homes = if *all_clusters { Home::all()? } else { vec![Home::existing(which)?] };
            for home in homes {
                nodes(&home)?.iter().for_each(|name| println!("{name}"));
            }
        }
        Get::Kubeconfig { which, internal } => {
            let home = Home::existing(which)?;
            print!("{}", machinery::yaml::emit(&own_kubeconfig(&home, *internal)?));
        }
    }
    Ok(())
}

/// The names of a cluster's nodes: as it says, or while it is stopped, as it will be.
fn nodes(home: &Home) -> Result<Vec<String>> {
    if home.running().is_some() {
        let nodes = block_on(async { Client::of(home)?.list("/api/v1/nodes").await })??;
        return Ok(nodes.iter().map(|node| name_of(node).to_owned()).collect());
    }
    let settings: Settings = home.settings()?;
    Ok(shape::nodes(&shape::plan(&settings, 1)?, &home.name).into_iter().map(|node| node.name).collect())
}

/// A cluster's kubeconfig; `internal` has the address at which containers in its network find it.
fn own_kubeconfig(home: &Home, internal: bool) -> Result<Value> {
    let mut config = kubeconfig::read(&home.kubeconfig())?;
    if config.is_null() {
        anyhow::bail!("the cluster {:?} was never served: playground start cluster --name {}", home.name, home.name);
    }
    if internal && let Some(cluster) = config.pointer_mut("/clusters/0/cluster").and_then(Value::as_object_mut) {
        let own = home.own_on_docker()?;
        let host = format!("{}-agent{}", own.cluster, own.suffix);
        cluster.insert("server".into(), format!("https://{host}:{}", playground_agent::API_PORT).into());
        // That name is Docker's, and not in the certificate.
        cluster.insert("tls-server-name".into(), "kubernetes".into());
    }
    Ok(config)
}

/// `playground node`.
///
/// # Errors
/// When there is no such node, or neither Docker nor the cluster's server can switch it.
pub fn node(action: &NodeAction) -> Result<()> {
    let (node, on) = match action {
        NodeAction::Stop(node) => (node, false),
        NodeAction::Start(node) => (node, true),
    };
    let home = Home::existing(&node.which)?;
    let on_docker = match home.settings()?.runtime {
        Some(Runtime::Sim) => None,
        _ => Some(block_on(docker::set_power(&home.own_on_docker()?, &node.node, on))?),
    };
    let name = match on_docker {
        Some(Ok(name)) => name,
        Some(Err(error)) => simulated_node(&home, &node.node, on)?.ok_or(error)?,
        None => simulated_node(&home, &node.node, on)?.with_context(|| {
            let known = nodes(&home).unwrap_or_default().join(", ");
            format!("the cluster has no node {:?}: it has {known}", node.node)
        })?,
    };
    println!("{} {name}", if on { "Started" } else { "Stopped" });
    Ok(())
}

/// Switches a simulated node, by its name or what kind adds to the cluster's, and says its name; none where the
/// cluster runs no such node.
fn simulated_node(home: &Home, node: &str, on: bool) -> Result<Option<String>> {
    let long = format!("{}-{node}", home.name);
    let Some(name) = nodes(home)?.into_iter().find(|name| name == node || *name == long) else { return Ok(None) };
    let fault = serde_json::to_vec(&control::Fault::NodeDown { node: name.clone() })?;
    let method = if on { Method::DELETE } else { Method::POST };
    block_on(async { Client::of(home)?.send(method, "/playground/v1/faults", fault.into()).await })??;
    Ok(Some(name))
}

fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// Whether a condition of an object is true.
fn holds(object: &Value, condition: &str) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    conditions.into_iter().any(|found| found["type"] == condition && found["status"] == "True")
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}
