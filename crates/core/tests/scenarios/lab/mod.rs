//! A cluster in virtual time with somebody typing at the learner's computer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed helper is a failed test")]

pub mod history;

use std::time::Duration;

use machinery::Timestamp;
use machinery::wire::Body;
use playground_core::{Cluster, NodeOptions, Options, Output, lesson_files};
use store::Store;

/// Virtual time within which anything comes true that is going to.
const PATIENCE: Duration = Duration::from_secs(600);
const STEP: Duration = Duration::from_millis(500);

/// The cluster, and whoever types.
pub struct Lab {
    /// The cluster.
    pub cluster: Cluster,
}

#[allow(dead_code, reason = "no test needs all of it")]
impl Lab {
    /// A cluster of kind's shape that has come up.
    pub fn new(nodes: u16) -> Self {
        Self::seeded(nodes, 7)
    }

    /// The same with another seed.
    pub fn seeded(nodes: u16, seed: u64) -> Self {
        let lab = Self::made(nodes, seed, true);
        lab.ok("kubectl wait --for=condition=Ready pods --all -n kube-system --timeout=120s");
        lab
    }

    /// A cluster with nothing in kube-system.
    pub fn bare(nodes: u16) -> Self {
        Self::made(nodes, 7, false)
    }

    fn made(nodes: u16, seed: u64, addons: bool) -> Self {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let store = Store::new(&store::Options::default());
        let nodes = NodeOptions::cluster("hello", nodes);
        let cluster =
            Cluster::new(Options { nodes, addons, files: lesson_files(), ..Options::new(store, start, seed) });
        let lab = Self { cluster: cluster.unwrap() };
        lab.until("kubectl get nodes", |table| !table.contains("NotReady") && table.contains(" Ready "));
        lab
    }

    /// What a line printed, and its exit code.
    pub fn run(&self, line: &str) -> Output {
        let limit = machinery::time::after(self.cluster.now(), PATIENCE);
        let learner = self.cluster.learner().clone();
        self.cluster.executor().block_on(limit, async move { learner.run(line).await }).expect("the line ends")
    }

    /// The standard output of a line that succeeds.
    pub fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.code, 0, "{line}\n{}{}", output.stdout, output.stderr);
        output.stdout
    }

    /// The exit code and standard error of a line that fails.
    pub fn fails(&self, line: &str) -> (i32, String) {
        let output = self.run(line);
        assert_ne!(output.code, 0, "{line}\n{}{}", output.stdout, output.stderr);
        (output.code, output.stderr)
    }

    /// Repeats a line until it prints what is wanted.
    pub fn until(&self, line: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = machinery::time::after(self.cluster.now(), PATIENCE);
        loop {
            let output = self.run(line);
            if output.code == 0 && wanted(&output.stdout) {
                return output.stdout;
            }
            assert!(self.cluster.now() < deadline, "{line} still prints\n{}{}", output.stdout, output.stderr);
            self.pass(STEP);
        }
    }

    /// What the control API answers at a path below `/playground/v1/`.
    pub fn control(&self, path: &str) -> serde_json::Value {
        let request = http::Request::get(format!("/playground/v1/{path}")).body(Body::empty()).unwrap();
        let api = self.cluster.api().clone();
        let limit = machinery::time::after(self.cluster.now(), PATIENCE);
        let answer = async move { api.handle(request).await.into_body().collect().await };
        let bytes = self.cluster.executor().block_on(limit, answer).expect("the control API answers");
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Applies a manifest.
    pub fn apply(&self, manifest: &str) -> String {
        self.ok(&format!("cat > manifest.yaml <<'EOF'\n{manifest}EOF\nkubectl apply -f manifest.yaml"))
    }

    /// A request to the control API; its answer's status and body.
    pub fn ask_control(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let request = http::Request::builder().method(method).uri(format!("/playground/v1/{path}"));
        let request = request.body(machinery::wire::Body::Bytes(body.to_owned().into())).unwrap();
        let answer = self.cluster.public_api().handle(request);
        let limit = machinery::time::after(self.cluster.now(), PATIENCE);
        let response = self.cluster.executor().block_on(limit, answer).expect("the control API answers");
        let status = response.status().as_u16();
        let body = match response.into_body() {
            machinery::wire::Body::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            machinery::wire::Body::Object(object) => object.value().unwrap_or_default().to_string(),
            _ => String::new(),
        };
        (status, body)
    }

    /// Lets something go wrong, by a fault in JSON.
    pub fn fault(&self, fault: &str) {
        let (status, body) = self.ask_control("POST", "faults", fault);
        assert_eq!(status, 200, "{fault}: {body}");
    }

    /// Makes everything good again.
    pub fn heal(&self) {
        assert_eq!(self.ask_control("DELETE", "faults", ""), (200, "[]".into()));
    }

    /// Lets time pass.
    pub fn pass(&self, duration: Duration) {
        self.cluster.run_for(duration);
    }
}

/// The first column of a table's lines, without its head.
#[allow(dead_code, reason = "no test needs all of it")]
pub fn names(table: &str) -> Vec<&str> {
    table.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect()
}
