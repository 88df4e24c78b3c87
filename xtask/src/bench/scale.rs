//! `cargo xtask bench scale`: pods per second, memory, scheduler decisions and idle work as clusters
//! grow, up to the limits that Kubernetes publishes; natively and in headless Chromium, beside
//! `@ngrok/webernetes` at the size that it manages.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::visit;
use crate::shell::{command, root, run as execute, say};
use crate::tools;

const EXAMPLE: &str = "target/dist/examples/scale";
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
/// How long one measurement may take. What has not ended by then is ended, and the rest goes on: the whole of it ends
/// in any case.
const TIME_MAX: Duration = Duration::from_secs(600);
/// How often a process is asked whether it has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Where a cluster is brought up.
#[derive(Clone, Copy)]
enum Place {
    /// A process of this machine.
    Native,
    /// A page in Chromium, compiled as the tab's Worker is.
    Chromium,
}

/// Builds the program as users get it and the page's module, and prints a table of each kind of measurement. One that
/// fails, or takes too long, has a line that says so.
///
/// # Errors
/// When a build fails.
pub fn run() -> Result<()> {
    tools::for_scale()?;
    let build = ["cargo", "build", "--profile", "dist", "--package", "playground-core", "--example", "scale"];
    execute(&mut command(&build))?;
    build_page()?;
    bundle()?;
    say("one Deployment, from its creation to all pods ready, natively");
    pods(Place::Native, &CLUSTERS);
    say("the same in Chromium");
    pods(Place::Chromium, &CLUSTERS);
    say("the curve: processor time for a pod as the cluster grows");
    pods(Place::Native, &CURVE);
    say("scheduler decisions in a second");
    println!("{:>6} {:>14} {:>10}", "nodes", "pods are", "decisions");
    for nodes in [1_000, 5_000] {
        for kind in ["plain", "spread", "anti-affinity"] {
            row(
                &format!("{nodes:>6} {kind:>14}"),
                measure(Place::Native, &format!("decisions {nodes} {kind}")),
                |it| format!("{:>10.0}", number(it, "decisionsPerSecond")),
            );
        }
    }
    say("a cluster at rest, in a second of its time");
    println!("{:>6} {:>9} {:>10} {:>9}", "nodes", "turns", "revisions", "us");
    for nodes in [10, 1_000] {
        row(&format!("{nodes:>6}"), measure(Place::Native, &format!("idle {nodes}")), |it| {
            let [turns, revisions, us] =
                ["turns", "revisions", "micros"].map(|name| number(it, &format!("{name}PerClusterSecond")));
            format!("{turns:>9.1} {revisions:>10.1} {us:>9.0}")
        });
    }
    say("beside @ngrok/webernetes: one Deployment, from its creation to all pods ready");
    compare();
    Ok(())
}

/// Prints a line of a table, or why there is none.
fn row(head: &str, measured: Result<Value>, columns: impl Fn(&Value) -> String) {
    match measured {
        Ok(it) => println!("{head} {}", columns(&it)),
        Err(error) => println!("{head} {error:#}"),
    }
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
    execute(command(&bind).env("PATH", tools::path()))?;
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
fn compare() {
    let (nodes, count) = COMPARED;
    println!("{:>12} {:>9} {:>9} {:>8} {:>9}", "", "in", "seconds", "pods/s", "KB/pod");
    let webernetes = |place: Place| match place {
        Place::Native => stdout(
            Command::new("node").arg(folder().join("webernetes.mjs")).args([nodes, count].map(|it| it.to_string())),
        ),
        Place::Chromium => page("webernetes.html", &format!("{nodes} {count}")),
    };
    for (name, place) in [("process", Place::Native), ("Chromium", Place::Chromium)] {
        for (program, it) in
            [("webernetes", webernetes(place)), ("playground", measure(place, &format!("pods {nodes} {count}")))]
        {
            row(&format!("{program:>12} {name:>9}"), it, |it| {
                let (seconds, rate) = (number(it, "seconds"), number(it, "podsPerSecond"));
                format!("{seconds:>9.2} {rate:>8.0} {:>9.1}", number(it, "bytesPerPod") / 1e3)
            });
        }
    }
}

fn pods(place: Place, clusters: &[Cluster]) {
    println!(
        "{:>6} {:>8} {:>9} {:>9} {:>8} {:>8} {:>9} {:>9}",
        "nodes", "pods", "seconds", "cpu s", "pods/s", "cpu us", "KB/pod", "KB/node"
    );
    for (nodes, pods) in clusters {
        // A tab has 4 GB and no more: there the largest may fail.
        row(&format!("{nodes:>6} {pods:>8}"), measure(place, &format!("pods {nodes} {pods}")), |it| {
            format!(
                "{:>9.2} {:>9.2} {:>8.0} {:>8.0} {:>9.1} {:>9.1}",
                number(it, "seconds"),
                number(it, "processorSeconds"),
                number(it, "podsPerSecond"),
                number(it, "microsPerPod"),
                number(it, "bytesPerPod") / 1e3,
                number(it, "bytesPerNode") / 1e3,
            )
        });
    }
}

fn number(measured: &Value, name: &str) -> f64 {
    measured[name].as_f64().unwrap_or_default()
}

/// Has the example measure what a line says.
fn measure(place: Place, line: &str) -> Result<Value> {
    match place {
        Place::Native => stdout(Command::new(EXAMPLE).args(line.split(' '))),
        Place::Chromium => page("scale.html", line),
    }
}

/// What a page measures, to which a line is given.
fn page(name: &str, line: &str) -> Result<Value> {
    parse(&visit::told(&folder(), &format!("{name}?{}", line.replace(' ', "%20")), TIME_MAX)?)
}

/// The line of JSON that a program prints.
fn stdout(program: &mut Command) -> Result<Value> {
    let mut child = program.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {program:?}"))?;
    let end = Instant::now() + TIME_MAX;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() < end => thread::sleep(LOOK),
            None => {
                child.kill()?;
                child.wait()?;
                bail!("not done within {} s", TIME_MAX.as_secs());
            }
        }
    };
    if !status.success() {
        bail!("{program:?} failed: {status}");
    }
    let mut line = String::new();
    child.stdout.take().context("no output")?.read_to_string(&mut line)?;
    parse(&line)
}

fn parse(line: &str) -> Result<Value> {
    let value: Value = serde_json::from_str(line).with_context(|| format!("this is no JSON: {line}"))?;
    match value["error"].as_str() {
        Some(error) => bail!("{error}"),
        None => Ok(value),
    }
}
