//! `cargo xtask bench scale`: pods per second, memory, scheduler decisions and idle work as clusters
//! grow, up to the limits that Kubernetes publishes; natively and in headless Chromium, beside
//! `@ngrok/webernetes` at the size that it manages.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::visit;
use crate::shell::{command, root, run as execute, say};
use crate::tools;

const EXAMPLE: &str = "target/release/examples/scale";
/// Nodes and pods.
type Cluster = (u32, u32);
const CLUSTERS: [Cluster; 3] = [(10, 1_000), (1_000, 10_000), (5_000, 150_000)];
/// The same number of pods on ever more nodes, and ever more pods on the same: a pod is to cost the same.
const CURVE: [Cluster; 6] =
    [(10, 1_000), (100, 1_000), (1_000, 1_000), (5_000, 1_000), (1_000, 3_000), (1_000, 30_000)];
/// What is compared with is measured at this size alone.
const COMPARED: Cluster = (10, 1_000);
/// The package that is compared with, and what bundles its modules.
const PACKAGES: [&str; 2] = ["@ngrok/webernetes@0.3.5", "esbuild@0.25"];
/// How long a page may take.
const PAGE_TIME: Duration = Duration::from_secs(1800);

/// Where a cluster is brought up.
#[derive(Clone, Copy)]
enum Place {
    /// A process of this machine.
    Native,
    /// A page in Chromium, compiled as the tab's Worker is.
    Chromium,
}

/// Builds the release and the page's module, and prints a table of each kind of measurement.
///
/// # Errors
/// When a build or a measurement fails.
pub fn run() -> Result<()> {
    tools::for_page()?;
    tools::for_tests()?;
    execute(&mut command(&["cargo", "build", "--release", "--package", "playground-core", "--example", "scale"]))?;
    build_page()?;
    bundle()?;
    say("beside @ngrok/webernetes: one Deployment, from its creation to all pods ready");
    compare()?;
    say("one Deployment, from its creation to all pods ready, natively");
    pods(Place::Native, &CLUSTERS)?;
    say("the same in Chromium");
    pods(Place::Chromium, &CLUSTERS)?;
    say("the curve: processor time for a pod as the cluster grows");
    pods(Place::Native, &CURVE)?;
    say("scheduler decisions in a second");
    println!("{:>6} {:>14} {:>10}", "nodes", "pods are", "decisions");
    for nodes in [1_000, 5_000] {
        for kind in ["plain", "spread", "anti-affinity"] {
            let it = measure(Place::Native, &format!("decisions {nodes} {kind}"))?;
            println!("{nodes:>6} {kind:>14} {:>10.0}", number(&it, "decisionsPerSecond"));
        }
    }
    say("a cluster at rest, in a second of its time");
    println!("{:>6} {:>9} {:>10} {:>9}", "nodes", "turns", "revisions", "us");
    for nodes in [10, 1_000] {
        let it = measure(Place::Native, &format!("idle {nodes}"))?;
        println!(
            "{nodes:>6} {:>9.1} {:>10.1} {:>9.0}",
            number(&it, "turnsPerClusterSecond"),
            number(&it, "revisionsPerClusterSecond"),
            number(&it, "microsPerClusterSecond"),
        );
    }
    Ok(())
}

/// The folder from which pages are served.
fn folder() -> PathBuf {
    root().join("target/scale")
}

/// The example as a module for a page, compiled as the tab's Worker is, and the page.
fn build_page() -> Result<()> {
    let target = "wasm32-unknown-unknown";
    let build = ["cargo", "build", "--profile", "page", "--target", target, "--package", "playground-core"];
    execute(command(&build).args(["--example", "scale"]))?;
    let module = format!("target/{target}/page/examples/scale.wasm");
    let bind = ["wasm-bindgen", "--target", "no-modules", "--no-typescript", "--out-dir", "target/scale", &module];
    execute(&mut command(&bind))?;
    for page in ["scale.html", "webernetes.html"] {
        fs::copy(root().join("benches").join(page), folder().join(page))?;
    }
    Ok(())
}

/// What is compared with, from npm, for Node and for a page.
fn bundle() -> Result<()> {
    let folder = folder();
    execute(command(&["npm", "install", "--no-save", "--silent", "--prefix"]).arg(&folder).args(PACKAGES))?;
    // Modules are looked for beside the source.
    fs::copy(root().join("benches/webernetes.mjs"), folder.join("source.mjs"))?;
    for (platform, file) in [("node", "webernetes.mjs"), ("browser", "webernetes.js")] {
        let mut bundler = Command::new(folder.join("node_modules/.bin/esbuild"));
        bundler.arg("source.mjs").args(["--bundle", "--format=esm", "--log-level=error"]);
        let options = [format!("--platform={platform}"), format!("--outfile={file}")];
        execute(bundler.args(options).current_dir(&folder))?;
    }
    Ok(())
}

/// A table of both programs, in a process and in Chromium.
fn compare() -> Result<()> {
    let (nodes, count) = COMPARED;
    println!("{:>12} {:>9} {:>9} {:>8} {:>9}", "", "in", "seconds", "pods/s", "KB/pod");
    let line = format!("{nodes} {count}");
    let webernetes = |page: bool| match page {
        true => parse(&visit::told(&folder(), &format!("webernetes.html?{}", line.replace(' ', "%20")), PAGE_TIME)?),
        false => stdout(Command::new("node").arg(folder().join("webernetes.mjs")).args(line.split(' '))),
    };
    let rows = [
        ("webernetes", "Node", webernetes(false)?),
        ("playground", "process", measure(Place::Native, &format!("pods {line}"))?),
        ("webernetes", "Chromium", webernetes(true)?),
        ("playground", "Chromium", measure(Place::Chromium, &format!("pods {line}"))?),
    ];
    for (program, place, it) in rows {
        println!(
            "{program:>12} {place:>9} {:>9.2} {:>8.0} {:>9.1}",
            number(&it, "seconds"),
            number(&it, "podsPerSecond"),
            number(&it, "bytesPerPod") / 1e3,
        );
    }
    Ok(())
}

fn pods(place: Place, clusters: &[Cluster]) -> Result<()> {
    println!(
        "{:>6} {:>8} {:>9} {:>9} {:>8} {:>8} {:>9} {:>9}",
        "nodes", "pods", "seconds", "cpu s", "pods/s", "cpu us", "KB/pod", "KB/node"
    );
    for (nodes, pods) in clusters {
        let it = match (place, measure(place, &format!("pods {nodes} {pods}"))) {
            // A tab has 4 GB and no more.
            (Place::Chromium, Err(error)) => {
                println!("{nodes:>6} {pods:>8} {error}");
                continue;
            }
            (_, it) => it?,
        };
        println!(
            "{nodes:>6} {pods:>8} {:>9.2} {:>9.2} {:>8.0} {:>8.0} {:>9.1} {:>9.1}",
            number(&it, "seconds"),
            number(&it, "processorSeconds"),
            number(&it, "podsPerSecond"),
            number(&it, "microsPerPod"),
            number(&it, "bytesPerPod") / 1e3,
            number(&it, "bytesPerNode") / 1e3,
        );
    }
    Ok(())
}

fn number(measured: &Value, name: &str) -> f64 {
    measured[name].as_f64().unwrap_or_default()
}

/// Has the example measure what a line says.
fn measure(place: Place, line: &str) -> Result<Value> {
    match place {
        Place::Native => stdout(Command::new(EXAMPLE).args(line.split(' '))),
        Place::Chromium => {
            parse(&visit::told(&folder(), &format!("scale.html?{}", line.replace(' ', "%20")), PAGE_TIME)?)
        }
    }
}

/// The line of JSON that a program prints.
fn stdout(program: &mut Command) -> Result<Value> {
    let output = program.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {program:?}"))?;
    if !output.status.success() {
        bail!("{program:?} failed: {}", output.status);
    }
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(line: &str) -> Result<Value> {
    let value: Value = serde_json::from_str(line).with_context(|| format!("this is no JSON: {line}"))?;
    match value["error"].as_str() {
        Some(error) => bail!("{error}"),
        None => Ok(value),
    }
}
