//! A whole cluster in virtual time, by requests to its API.

use std::time::Duration;

use futures::FutureExt;
use machinery::Timestamp;
use machinery::wire::{Body, Request};
use playground_core::{Cluster, NodeOptions, Options};
use serde_json::Value;
use store::Store;

fn cluster() -> Cluster {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let nodes = NodeOptions::cluster("hello", 3);
    Cluster::new(Options { nodes, ..Options::new(Store::new(&store::Options::default()), start, 7) }).unwrap()
}

fn call(cluster: &Cluster, method: &str, path: &str, body: &str) -> (u16, Value) {
    let request = Request::new(Body::Bytes(body.to_owned().into()));
    let (mut parts, body) = request.into_parts();
    parts.method = method.parse().unwrap();
    parts.uri = path.parse().unwrap();
    parts.headers.insert("content-type", "application/json".parse().unwrap());
    let response = cluster.api().handle(Request::from_parts(parts, body)).now_or_never().expect("ready at once");
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().now_or_never().expect("ready at once");
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[test]
fn a_deployment_becomes_running_pods_on_two_nodes() {
    let cluster = cluster();
    cluster.run_for(Duration::from_secs(20));
    let (_, nodes) = call(&cluster, "GET", "/api/v1/nodes", "");
    assert_eq!(nodes["items"].as_array().unwrap().len(), 3);
    let deployment = serde_json::json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "hellodep"},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "hellokube"}}, "template": {
            "metadata": {"labels": {"app": "hellokube"}},
            "spec": {"containers": [{"name": "hellokube", "image": "hellokube:1.0.0", "ports": [{"containerPort": 8080}]}]},
        }},
    });
    let (status, _) = call(&cluster, "POST", "/apis/apps/v1/namespaces/default/deployments", &deployment.to_string());
    assert_eq!(status, 201);
    cluster.run_for(Duration::from_secs(20));
    let (_, pods) = call(&cluster, "GET", "/api/v1/namespaces/default/pods", "");
    let phases: Vec<_> = pods["items"].as_array().unwrap().iter().map(|pod| pod["status"]["phase"].as_str()).collect();
    assert_eq!(phases, [Some("Running"), Some("Running")]);
}
