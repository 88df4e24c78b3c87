//! The lines of the seed documents, typed at the learner's computer.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which clippy does not see as tests")]

use std::time::Duration;

use machinery::Timestamp;
use playground_core::{Cluster, NodeOptions, Options, lesson_files};
use store::Store;

fn cluster() -> Cluster {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let nodes = NodeOptions::cluster("hello", 3);
    let options = Options::new(Store::new(&store::Options::default()), start, 7);
    let cluster = Cluster::new(Options { nodes, files: lesson_files(), ..options }).unwrap();
    cluster.run_for(Duration::from_secs(20));
    cluster
}

/// Runs a line that succeeds, and gives what it printed.
fn line(cluster: &Cluster, line: &str) -> String {
    let learner = cluster.learner().clone();
    let limit = cluster.now() + Duration::from_secs(300);
    let text = line.to_owned();
    let output = cluster.executor().block_on(limit, async move { learner.run(&text).await }).unwrap();
    assert_eq!(output.code, 0, "{line}\n{}{}", output.stdout, output.stderr);
    output.stdout
}

#[test]
fn hello_kube_answers_on_its_node_port_through_a_port_forward_and_in_its_log() {
    let cluster = cluster();
    assert_eq!(line(&cluster, "kubectl apply -f hellodep.yaml"), "deployment.apps/hellodep created\n");
    line(&cluster, "kubectl apply -f helloservice.yaml");
    line(&cluster, "kubectl wait --for=condition=Available deployment/hellodep --timeout=120s");
    cluster.run_for(Duration::from_secs(5));
    assert!(line(&cluster, "curl -s http://localhost:30950").starts_with("Hello Kube! 2026-01-01 "));
    let pod = line(&cluster, "kubectl get pods -o name | head -n1");
    let pod = pod.trim();
    let forwarded = line(
        &cluster,
        &format!("kubectl port-forward {pod} 8080:8080 >/dev/null & sleep 2; curl -s http://localhost:8080; kill $!"),
    );
    assert!(forwarded.starts_with("Hello Kube! "), "{forwarded}");
    assert!(line(&cluster, &format!("kubectl logs {pod}")).contains("listening on :8080"));
    let inside = line(&cluster, &format!("kubectl exec {pod} -- wget -qO- http://helleservice:8080"));
    assert!(inside.starts_with("Hello Kube! "), "{inside}");
    line(&cluster, &format!("kubectl delete {pod}"));
    cluster.run_for(Duration::from_secs(60));
    assert_eq!(line(&cluster, "kubectl get pods --no-headers | grep -c Running"), "2\n");
    assert_eq!(line(&cluster, "kubectl get endpoints helleservice --no-headers | grep -o :8080 | wc -l"), "2\n");
}

#[test]
fn load_balancers_answer_at_localhost() {
    let cluster = cluster();
    for file in ["deployment.yaml", "service.yaml", "tutorial.yaml"] {
        line(&cluster, &format!("kubectl apply -f {file} --validate=false"));
    }
    line(&cluster, "kubectl wait --for=condition=Available deployment --all --timeout=120s");
    cluster.run_for(Duration::from_secs(5));
    assert!(line(&cluster, "curl -s http://localhost:8086").contains("Welcome to nginx!"));
    assert!(line(&cluster, "curl -s localhost").contains("Getting Started"));
}
