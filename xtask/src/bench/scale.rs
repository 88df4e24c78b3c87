//! `cargo xtask bench scale`: pods per second, memory, scheduler decisions and idle work as clusters
//! grow, up to the limits that Kubernetes publishes.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::shell::{command, run as execute, say};

const EXAMPLE: &str = "target/release/examples/scale";
/// Nodes and pods.
const CLUSTERS: [(u32, u32); 3] = [(10, 1_000), (1_000, 10_000), (5_000, 150_000)];
/// The same number of pods on ever more nodes, and ever more pods on the same: a pod is to cost the same.
const CURVE: [(u32, u32); 6] =
    [(10, 1_000), (100, 1_000), (1_000, 1_000), (5_000, 1_000), (1_000, 3_000), (1_000, 30_000)];

/// Builds the release and prints a table of each kind of measurement.
///
/// # Errors
/// When the build or a measurement fails.
pub fn run() -> Result<()> {
    let build = ["cargo", "build", "--release", "--package", "playground-core", "--example", "scale"];
    execute(&mut command(&build))?;
    say("one Deployment, from its creation to all pods ready");
    pods(&CLUSTERS)?;
    say("the curve: processor time for a pod as the cluster grows");
    pods(&CURVE)?;
    say("scheduler decisions in a second");
    println!("{:>6} {:>14} {:>10}", "nodes", "pods are", "decisions");
    for nodes in [1_000, 5_000] {
        for kind in ["plain", "spread", "anti-affinity"] {
            let it = measure(&["decisions", &nodes.to_string(), kind])?;
            println!("{nodes:>6} {kind:>14} {:>10.0}", it["decisionsPerSecond"].as_f64().unwrap_or_default());
        }
    }
    say("a cluster at rest, in a second of its time");
    println!("{:>6} {:>9} {:>10} {:>9}", "nodes", "turns", "revisions", "us");
    for nodes in [10, 1_000] {
        let it = measure(&["idle", &nodes.to_string()])?;
        let number = |name: &str| it[name].as_f64().unwrap_or_default();
        println!(
            "{nodes:>6} {:>9.1} {:>10.1} {:>9.0}",
            number("turnsPerClusterSecond"),
            number("revisionsPerClusterSecond"),
            number("microsPerClusterSecond"),
        );
    }
    Ok(())
}

fn pods(clusters: &[(u32, u32)]) -> Result<()> {
    println!(
        "{:>6} {:>8} {:>9} {:>9} {:>8} {:>8} {:>9} {:>9}",
        "nodes", "pods", "seconds", "cpu s", "pods/s", "cpu us", "KB/pod", "KB/node"
    );
    for (nodes, pods) in clusters {
        let it = measure(&["pods", &nodes.to_string(), &pods.to_string()])?;
        let number = |name: &str| it[name].as_f64().unwrap_or_default();
        println!(
            "{nodes:>6} {pods:>8} {:>9.2} {:>9.2} {:>8.0} {:>8.0} {:>9.1} {:>9.1}",
            number("seconds"),
            number("processorSeconds"),
            number("podsPerSecond"),
            number("microsPerPod"),
            number("bytesPerPod") / 1e3,
            number("bytesPerNode") / 1e3,
        );
    }
    Ok(())
}

fn measure(arguments: &[&str]) -> Result<Value> {
    let output = Command::new(EXAMPLE).args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("{EXAMPLE} {arguments:?} failed: {}", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).with_context(|| format!("{EXAMPLE} {arguments:?} printed no JSON: {text}"))
}
