//! `playground export`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{block_on, name_of, own_kubeconfig};
use crate::api::Client;
use crate::cli::Export;
use crate::home::Home;
use crate::{docker, kubeconfig};

/// Objects that say most about what went wrong.
const OBJECTS: [(&str, &str); 9] = [
    ("nodes", "/api/v1/nodes"),
    ("pods", "/api/v1/pods"),
    ("events", "/api/v1/events"),
    ("services", "/api/v1/services"),
    ("endpointslices", "/apis/discovery.k8s.io/v1/endpointslices"),
    ("deployments", "/apis/apps/v1/deployments"),
    ("statefulsets", "/apis/apps/v1/statefulsets"),
    ("jobs", "/apis/batch/v1/jobs"),
    ("persistentvolumeclaims", "/api/v1/persistentvolumeclaims"),
];

/// Exports a kubeconfig or logs.
///
/// # Errors
/// When there is no such cluster, or a file cannot be written.
pub fn export(what: &Export) -> Result<()> {
    match what {
        Export::Kubeconfig { which, kubeconfig: file, internal } => {
            let home = Home::existing(which)?;
            kubeconfig::add(file.as_ref(), &own_kubeconfig(&home, *internal)?)?;
            eprintln!("Set kubectl context to {:?}", home.context());
            Ok(())
        }
        Export::Logs { which, folder } => {
            let home = Home::existing(which)?;
            let temporary = || std::env::temp_dir().join(format!("playground-logs-{}", std::process::id()));
            let folder = folder.clone().unwrap_or_else(temporary);
            eprintln!("Exporting logs for cluster {:?} to:", home.name);
            block_on(logs(&home, &folder))??;
            println!("{}", folder.display());
            Ok(())
        }
    }
}

async fn logs(home: &Home, folder: &Path) -> Result<()> {
    let version = concat!("playground ", env!("CARGO_PKG_VERSION"));
    write(&folder.join("playground-version.txt"), format!("{version}\nKubernetes {}\n", kubelet::VERSION))?;
    write(&folder.join("cluster.json"), serde_json::to_string_pretty(&home.settings()?)?)?;
    // Without Docker, what it says of itself is why.
    let docker = docker::describe(&home.own_on_docker()?).await;
    write(&folder.join("docker-info.txt"), docker.unwrap_or_else(|error| format!("{error}\n")))?;
    if let Ok(log) = fs::read(home.log()) {
        write(&folder.join("serve.log"), log)?;
    }
    if home.running().is_none() {
        eprintln!(" • the cluster is stopped: its objects and its containers' logs are not there");
        return Ok(());
    }
    let client = Client::of(home)?;
    for (name, path) in OBJECTS {
        write(&folder.join("objects").join(format!("{name}.json")), client.get(path).await?)?;
    }
    for pod in client.list("/api/v1/pods").await? {
        pod_logs(&client, &pod, folder).await?;
    }
    Ok(())
}

/// `NODE/pods/NAMESPACE_NAME_UID/CONTAINER/0.log`, as the kubelet has them.
async fn pod_logs(client: &Client, pod: &Value, folder: &Path) -> Result<()> {
    let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name, node) = (text("/metadata/namespace"), name_of(pod), text("/spec/nodeName"));
    if node.is_empty() {
        return Ok(());
    }
    let of_pod = folder.join(node).join("pods").join(format!("{namespace}_{name}_{}", text("/metadata/uid")));
    for kind in ["initContainerStatuses", "containerStatuses"] {
        for status in pod["status"][kind].as_array().into_iter().flatten() {
            let container = status["name"].as_str().unwrap_or_default();
            let restarts = status["restartCount"].as_u64().unwrap_or_default();
            let path = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}");
            // One that has not started has none.
            if let Ok(log) = client.get(&path).await {
                write(&of_pod.join(container).join(format!("{restarts}.log")), log)?;
            }
            if restarts > 0
                && let Ok(log) = client.get(&format!("{path}&previous=true")).await
            {
                write(&of_pod.join(container).join(format!("{}.log", restarts - 1)), log)?;
            }
        }
    }
    Ok(())
}

fn write(path: &Path, contents: impl AsRef<[u8]>) -> Result<()> {
    let written = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, contents)
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}
