//! `cargo xtask bench`: what the page weighs, and what `serve` costs.

mod api;
mod docker;
mod scale;
mod visit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::shell::{command, output, say};
use crate::{serve, tools};

/// What a first visit may transfer, until the cluster runs, the terminal shows its prompt and nothing more comes.
const PAGE_BYTES_MAX: u64 = 1_500_000;

/// What there is to measure beside the page and the server.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum What {
    /// The control plane as clusters grow
    Scale,
    /// Real containers, beside what Docker does by itself
    Docker,
    /// The page in a browser: bytes, time to the first answer, frames during rollouts, memory
    Page,
}

/// Builds everything, then measures the page's transfer size and a server with three simulated nodes,
/// idle and under load.
///
/// # Errors
/// When a build fails, the server does not start, or the page is larger than it may be.
pub fn run(what: Option<What>) -> Result<()> {
    match what {
        Some(What::Scale) => return scale::run(),
        Some(What::Docker) => return docker::run_all(),
        Some(What::Page) => return page(),
        None => {}
    }
    tools::for_tests()?;
    serve::build()?;
    let page_bytes = page_sizes(Path::new("dist"))?;
    api::in_process()?;
    server()?;
    within_budget(page_bytes)
}

fn within_budget(page_bytes: u64) -> Result<()> {
    if page_bytes > PAGE_BYTES_MAX {
        bail!("the page transfers {page_bytes} bytes, {} more than it may", page_bytes - PAGE_BYTES_MAX);
    }
    Ok(())
}

/// The page alone: its bytes, then what `tests/tests/page_bench.rs` measures in Chromium.
fn page() -> Result<()> {
    crate::page::build()?;
    tools::for_tests()?;
    let page_bytes = page_sizes(Path::new("dist"))?;
    let test =
        ["cargo", "test", "--package", "playground-tests", "--test", "page_bench", "--", "--ignored", "--nocapture"];
    crate::shell::run(&mut command(&test))?;
    within_budget(page_bytes)
}

/// Prints the bytes of each asset, raw and by brotli as a web host would send it. Returns the sum of the latter
/// for a first visit, which a browser makes.
fn page_sizes(folder: &Path) -> Result<u64> {
    let visited = visit::first(folder)?;
    say("page, bytes by asset");
    println!("{:>10} {:>10}  asset", "raw", "brotli");
    let (mut first_visit, mut on_demand) = (0, 0);
    for file in files(folder)? {
        let raw = fs::metadata(&file)?.len();
        let compressed = command(&["brotli", "--quality=11", "--stdout"]).arg(&file).stderr(Stdio::null()).output()?;
        let brotli = compressed.stdout.len() as u64;
        let name = file.strip_prefix(folder)?.to_string_lossy().into_owned();
        let later = !visited.contains(&name);
        println!("{raw:>10} {brotli:>10}  {name}{}", if later { "  (when first used)" } else { "" });
        *(if later { &mut on_demand } else { &mut first_visit }) += brotli;
    }
    println!("{first_visit:>21}  first visit");
    println!("{on_demand:>21}  later, when first used");
    Ok(first_visit)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

/// Time to ready, memory and processor time of an idle server with three simulated nodes.
fn server() -> Result<()> {
    let data = std::env::temp_dir().join(format!("playground-bench-{}", std::process::id()));
    fs::create_dir_all(&data)?;
    let kubeconfig = data.join("kubeconfig");
    let started = Instant::now();
    let child = command(&[serve::BINARY, "serve", "--runtime", "sim", "--nodes", "3", "--listen", "127.0.0.1:0"])
        .arg("--data-dir")
        .arg(data.join("data"))
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start the server")?;
    let server = Running(child);
    while !kubeconfig.exists() {
        if started.elapsed() > Duration::from_secs(20) {
            bail!("the server did not become ready");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let ready = started.elapsed();
    const IDLE_SECONDS: u64 = 20;
    std::thread::sleep(Duration::from_secs(2));
    let before = processor_ticks(server.0.id())?;
    std::thread::sleep(Duration::from_secs(IDLE_SECONDS));
    let ticks = processor_ticks(server.0.id())? - before;
    let ticks_per_second: u64 = output(&["getconf", "CLK_TCK"]).and_then(|text| text.parse().ok()).unwrap_or(100);
    say("serve --runtime sim --nodes 3");
    println!("{:>10} ms to ready", ready.as_millis());
    println!("{:>10} MiB resident", resident_kib(server.0.id())? / 1024);
    println!("{:>10.2} % of a core while idle", ticks as f64 * 100.0 / (ticks_per_second * IDLE_SECONDS) as f64);
    api::https(&kubeconfig, server.0.id())?;
    drop(server);
    fs::remove_dir_all(&data)?;
    Ok(())
}

/// A server that ends with the measurement.
struct Running(Child);

impl Running {
    /// Ends it as Ctrl-C does, and waits for its end.
    fn end(&mut self) {
        let _ = command(&["kill", "-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// User and system time so far, from /proc/PID/stat.
fn processor_ticks(process: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |index: usize| -> Result<u64> { Ok(fields.get(index).context("short /proc stat")?.parse()?) };
    Ok(field(11)? + field(12)?)
}

fn resident_kib(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("no VmRSS")?.parse()?)
}
