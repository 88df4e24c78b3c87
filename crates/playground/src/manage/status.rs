//! `playground status`.

use anyhow::Result;

use super::{block_on, holds};
use crate::api::Client;
use crate::cli::{Runtime, Which};
use crate::home::{Home, Running};

const HEAD: [&str; 7] = ["NAME", "STATUS", "RUNTIME", "NODES", "PODS", "MEMORY", "API SERVER"];

/// Says how clusters are: one that is named, or all.
///
/// # Errors
/// When there is no such cluster.
pub fn status(which: &Which) -> Result<()> {
    let named = which.name.is_some() || which.data_dir.is_some();
    let homes = if named { vec![Home::existing(which)?] } else { Home::all()? };
    if homes.is_empty() {
        eprintln!("No clusters found: make one with `playground create cluster`.");
        return Ok(());
    }
    let mut rows = vec![HEAD.map(str::to_owned)];
    for home in &homes {
        rows.push(block_on(row(home))??);
    }
    print!("{}", table(&rows));
    if let [home] = homes.as_slice() {
        println!("\ndata     {}", home.directory.display());
        if let Some(running) = home.running() {
            println!("process  {}", running.pid);
            running.page.iter().for_each(|page| println!("page     {page}"));
        }
        println!("kubectl  export KUBECONFIG={}", home.kubeconfig().display());
    }
    Ok(())
}

async fn row(home: &Home) -> Result<[String; 7]> {
    let runtime = match home.settings()?.runtime {
        Some(Runtime::Sim) => "sim",
        Some(Runtime::Docker) => "docker",
        None => "-",
    };
    let blank = || "-".to_owned();
    let Some(running) = home.running() else {
        return Ok([home.name.clone(), "Stopped".into(), runtime.into(), blank(), blank(), blank(), blank()]);
    };
    let memory = memory(&running).map_or_else(blank, |mib| format!("{mib} MiB"));
    let Some(address) = running.address else {
        return Ok([home.name.clone(), "Starting".into(), runtime.into(), blank(), blank(), memory, blank()]);
    };
    let client = Client::of(home)?;
    let (status, nodes, pods, runtime) = match (client.list("/api/v1/nodes").await, client.list("/api/v1/pods").await) {
        (Ok(nodes), Ok(pods)) => {
            let ready = nodes.iter().filter(|node| holds(node, "Ready")).count();
            let well = pods.iter().filter(|pod| holds(pod, "Ready") || pod["status"]["phase"] == "Succeeded").count();
            let on = |runtime| nodes.iter().any(|node| version(node).starts_with(runtime));
            let runtime = if on("docker://") { "docker" } else { "sim" };
            ("Running", format!("{ready}/{} ready", nodes.len()), format!("{well}/{} well", pods.len()), runtime)
        }
        _ => ("NoAnswer", blank(), blank(), runtime),
    };
    Ok([home.name.clone(), status.into(), runtime.into(), nodes, pods, memory, format!("https://{address}")])
}

fn version(node: &serde_json::Value) -> &str {
    node.pointer("/status/nodeInfo/containerRuntimeVersion").and_then(serde_json::Value::as_str).unwrap_or_default()
}

/// What a server has in memory, in MiB, where the system tells.
fn memory(running: &Running) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid)).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

fn table(rows: &[[String; 7]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths: [usize; 7] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        out.push_str(cells.collect::<Vec<_>>().join("   ").trim_end());
        out.push('\n');
    }
    out
}
