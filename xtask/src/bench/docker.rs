//! `serve` with real containers, each figure beside what it is compared with, in one run.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Running, processor_ticks, resident_kib};
use crate::shell::{command, output, run, say};
use crate::{docker, serve, tools};

const IMAGE: &str = "playground-bench/network:1";
/// Of single pods, and of the network.
const ROUNDS: usize = 7;
const PODS_AT_ONCE: usize = 50;
const IDLE_SECONDS: u64 = 20;
const STREAM_SECONDS: u64 = 3;
const PINGS: usize = 20_000;
const CONNECTIONS: usize = 3_000;

/// What was measured, and what is aimed at.
struct Line {
    what: &'static str,
    value: f64,
    unit: &'static str,
    /// The aim: at most (true) or at least that much.
    aim: Option<(bool, f64)>,
}

fn line(what: &'static str, value: f64, unit: &'static str) -> Line {
    Line { what, value, unit, aim: None }
}

impl Line {
    fn at_most(self, aim: f64) -> Self {
        Self { aim: Some((true, aim)), ..self }
    }

    fn at_least(self, aim: f64) -> Self {
        Self { aim: Some((false, aim)), ..self }
    }

    fn print(&self) {
        let aim = match self.aim {
            None => String::new(),
            Some((at_most, aim)) => {
                let well = if at_most { self.value <= aim } else { self.value >= aim };
                let words = if at_most { "at most" } else { "at least" };
                format!("  {} (aim: {words} {aim})", if well { "ok" } else { "MISSED" })
            }
        };
        println!("{:>12.2} {:<10} {}{aim}", self.value, self.unit, self.what);
    }
}

/// Measures.
///
/// # Errors
/// When something cannot be built or run.
pub fn run_all() -> Result<()> {
    tools::for_tests()?;
    let _daemon = docker::ensure()?;
    if std::env::var_os("PLAYGROUND_BINARY").is_none() {
        serve::build()?;
    }
    image()?;
    let folder = PathBuf::from("target/bench-docker");
    let _ = fs::remove_dir_all(&folder);
    let bench = Bench { data: std::path::absolute(folder.join("data"))? };
    fs::create_dir_all(&bench.data)?;
    let outcome = bench.run();
    let deleted =
        command(&[&binary(), "delete", "cluster", "--data-dir"]).arg(&bench.data).stdout(Stdio::null()).status();
    if !deleted.is_ok_and(|status| status.success()) {
        say("the cluster of the measurement could not be deleted");
    }
    let _ = fs::remove_dir_all(&folder);
    outcome
}

fn binary() -> String {
    std::env::var("PLAYGROUND_BINARY").unwrap_or_else(|_| serve::BINARY.into())
}

/// The static program of `benches/network.rs` as an image.
fn image() -> Result<()> {
    let folder = PathBuf::from("target/bench-image");
    fs::create_dir_all(&folder)?;
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let compile = ["rustc", "--edition", "2024", "-O", "-C", "linker=rust-lld", "--target", &target];
    run(command(&compile).args(["benches/network.rs", "-o"]).arg(folder.join("network")))?;
    let archive = command(&["tar", "-C"]).arg(&folder).args(["-c", "network"]).output()?;
    let import = ["docker", "import", "--change", "CMD [\"/network\", \"serve\", \"9000\"]", "-", IMAGE];
    let mut import = command(&import).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    std::io::Write::write_all(&mut import.stdin.take().context("no input")?, &archive.stdout)?;
    if !import.wait()?.success() {
        bail!("docker import failed");
    }
    Ok(())
}

struct Bench {
    data: PathBuf,
}

impl Bench {
    fn run(&self) -> Result<()> {
        say("start of serve to the first `kubectl get nodes`");
        for (what, runtime, fresh) in [
            ("simulated", "sim", true),
            ("Docker, a new cluster", "docker", true),
            ("Docker, a cluster that is there", "docker", false),
        ] {
            if fresh {
                let _ = command(&[&binary(), "delete", "cluster", "--data-dir"]).arg(&self.data).output();
            }
            let (mut server, took) = self.start(runtime)?;
            let line = line(what, took.as_secs_f64() * 1000.0, "ms");
            (if fresh && runtime == "docker" { line } else { line.at_most(300.0) }).print();
            server.end();
        }
        let (server, _) = self.start("docker")?;
        self.kubectl(&["wait", "--for=condition=Ready", "node", "--all"])?;
        self.wait_for_account()?;

        say("a pod from `kubectl apply` to Ready, and `docker run` of the same image (medians)");
        let run = median(ROUNDS, |_| docker_run())?;
        let pod = median(ROUNDS, |round| self.pods(&format!("one-{round}"), 1))?;
        line("docker run", run * 1000.0, "ms").print();
        line("pod", pod * 1000.0, "ms").print();
        line("pod / docker run", pod / run, "times").at_most(1.5).print();

        say(format!("{PODS_AT_ONCE} pods at once, and as many `docker run` at once"));
        let run = docker_runs(PODS_AT_ONCE)?;
        let pods = self.pods("many", PODS_AT_ONCE)?.as_secs_f64();
        line("docker run", run, "s").print();
        line("pods", pods, "s").print();
        line("pods / docker run", pods / run, "times").at_most(1.5).print();

        say("between two pods: by the Service's address, and by the pod's own");
        self.network()?;

        say("serve with 10 pods, idle");
        self.create("idle", 10)?;
        std::thread::sleep(Duration::from_secs(5));
        let process = server.0.id();
        let before = processor_ticks(process)?;
        std::thread::sleep(Duration::from_secs(IDLE_SECONDS));
        let ticks = processor_ticks(process)? - before;
        let per_second: u64 = output(&["getconf", "CLK_TCK"]).and_then(|text| text.parse().ok()).unwrap_or(100);
        line("of a core", ticks as f64 * 100.0 / (per_second * IDLE_SECONDS) as f64, "%").at_most(1.0).print();
        line("resident", resident_kib(process)? as f64 / 1024.0, "MiB").at_most(40.0).print();

        say("acknowledged writes, each on the disk by redb, over HTTPS; the load shares the machine");
        let load =
            ["cargo", "run", "--quiet", "--release", "--package", "playground", "--example", "load", "--", "writes"];
        run_quietly(command(&load).arg(self.kubeconfig()).arg(process.to_string()))
    }

    fn kubeconfig(&self) -> PathBuf {
        self.data.join("kubeconfig")
    }

    /// Starts the server; how long until the first answer.
    fn start(&self, runtime: &str) -> Result<(Running, Duration)> {
        let _ = fs::remove_file(self.kubeconfig());
        fs::create_dir_all(&self.data)?;
        let log = fs::File::create(self.data.with_file_name("log"))?;
        let begin = Instant::now();
        let serve = [&binary(), "serve", "--runtime", runtime, "--nodes", "1", "--listen", "127.0.0.1:0", "--data-dir"];
        let server = command(&serve).arg(&self.data).stdout(log.try_clone()?).stderr(log).spawn()?;
        let server = Running(server);
        loop {
            if self.kubeconfig().exists()
                && self.kubectl(&["get", "nodes"]).is_ok_and(|nodes| nodes.lines().count() > 1)
            {
                return Ok((server, begin.elapsed()));
            }
            if begin.elapsed() > Duration::from_secs(60) {
                bail!("the server did not become ready");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What kubectl prints: our own, which starts in no time.
    fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output =
            command(&[&binary(), "kubectl", "--kubeconfig"]).arg(self.kubeconfig()).args(arguments).output()?;
        if !output.status.success() {
            bail!("kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn wait_for_account(&self) -> Result<()> {
        let begin = Instant::now();
        while self.kubectl(&["get", "serviceaccount", "default"]).is_err() {
            if begin.elapsed() > Duration::from_secs(20) {
                bail!("there is no service account");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn create(&self, name: &str, count: usize) -> Result<Duration> {
        let manifests: Vec<String> = (0..count)
            .map(|index| {
                format!(
                    "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}-{index}, labels: {{app: {name}}}}}\nspec: \
                     {{terminationGracePeriodSeconds: 0, containers: [{{name: c, image: \"{IMAGE}\"}}]}}\n"
                )
            })
            .collect();
        let file = self.data.with_file_name("pods.yaml");
        fs::write(&file, manifests.join("---\n"))?;
        let begin = Instant::now();
        self.kubectl(&["apply", "-f", &file.to_string_lossy()])?;
        self.kubectl(&["wait", "--for=condition=Ready", "pod", "-l", &format!("app={name}"), "--timeout=120s"])?;
        Ok(begin.elapsed())
    }

    /// How long pods take from the apply to Ready; they are gone afterwards.
    fn pods(&self, name: &str, count: usize) -> Result<Duration> {
        let took = self.create(name, count)?;
        self.kubectl(&["delete", "pod", "-l", &format!("app={name}"), "--wait=true"])?;
        Ok(took)
    }

    fn network(&self) -> Result<()> {
        self.create("server", 1)?;
        self.create("client", 1)?;
        self.kubectl(&["expose", "pod", "server-0", "--port=9000"])?;
        let pod = self.kubectl(&["get", "pod", "server-0", "-o", "jsonpath={.status.podIP}"])?;
        let service = self.kubectl(&["get", "service", "server-0", "-o", "jsonpath={.spec.clusterIP}"])?;
        std::thread::sleep(Duration::from_secs(1));
        let measure = |mode: &str, host: &str, count: usize| -> Result<f64> {
            let to = format!("{host}:9000");
            Ok(self.kubectl(&["exec", "client-0", "--", "/network", mode, &to, &count.to_string()])?.parse()?)
        };
        let seconds = usize::try_from(STREAM_SECONDS)?;
        for (what, ratio, mode, count, scale, unit, faster) in [
            ("throughput", "throughput, Service / pod", "stream", seconds, 8e-9, "Gbit/s", true),
            ("round trip", "round trip, pod / Service", "ping", PINGS, 1e-3, "us", false),
            ("connections", "connections, Service / pod", "connect", CONNECTIONS, 1.0, "/s", true),
        ] {
            // In turn, so that what else the machine does hits both.
            let (mut direct, mut by_service) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                direct.push(measure(mode, &pod, count)?);
                by_service.push(measure(mode, &service, count)?);
            }
            let (direct, by_service) = (middle(direct), middle(by_service));
            println!("{:>12.2} {unit:<10} {what} by the pod's address", direct * scale);
            println!("{:>12.2} {unit:<10} {what} by the Service's", by_service * scale);
            let share = if faster { by_service / direct } else { direct / by_service };
            line(ratio, share * 100.0, "%").at_least(95.0).print();
        }
        self.kubectl(&["delete", "service/server-0", "pod/server-0", "pod/client-0"])?;
        Ok(())
    }
}

/// How long `docker run` takes until the container runs.
fn docker_run() -> Result<Duration> {
    let begin = Instant::now();
    let id = output(&["docker", "run", "--detach", IMAGE]).context("docker run")?;
    let took = begin.elapsed();
    output(&["docker", "rm", "--force", &id]).context("docker rm")?;
    Ok(took)
}

/// How many seconds so many of them take at once.
fn docker_runs(count: usize) -> Result<f64> {
    let begin = Instant::now();
    let runs: Vec<_> = (0..count)
        .map(|_| command(&["docker", "run", "--detach", IMAGE]).stdout(Stdio::piped()).spawn())
        .collect::<std::io::Result<_>>()?;
    let mut ids = Vec::new();
    for run in runs {
        ids.push(String::from_utf8_lossy(&run.wait_with_output()?.stdout).trim().to_owned());
    }
    let took = begin.elapsed().as_secs_f64();
    let remove = Command::new("docker").args(["rm", "--force"]).args(&ids).stdout(Stdio::null()).status()?;
    if !remove.success() {
        bail!("docker rm failed");
    }
    Ok(took)
}

fn median(rounds: usize, one: impl Fn(usize) -> Result<Duration>) -> Result<f64> {
    let times: Vec<f64> = (0..rounds).map(|round| Ok(one(round)?.as_secs_f64())).collect::<Result<_>>()?;
    Ok(middle(times))
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn run_quietly(command: &mut Command) -> Result<()> {
    match command.status()?.success() {
        true => Ok(()),
        false => bail!("the load failed"),
    }
}
