//! A cluster is saved and goes on: now, and as of a revision.

mod lab;

use lab::Lab;
use machinery::wire::Body;
use playground_core::{Cluster, Options};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

/// What the control API saves.
fn save(lab: &Lab, query: &str) -> Vec<u8> {
    let request = http::Request::get(format!("/playground/v1/saved{query}")).body(Body::empty()).expect("a request");
    let api = lab.cluster.api().clone();
    let limit = machinery::time::after(lab.cluster.now(), std::time::Duration::from_secs(60));
    let answer = async move { api.handle(request).await };
    let response = lab.cluster.executor().block_on(limit, answer).expect("the control API answers");
    assert_eq!(response.status(), 200, "{query}");
    let body = response.into_body().collect();
    lab.cluster.executor().block_on(limit, body).expect("the body ends").to_vec()
}

fn resume(bytes: &[u8]) -> Lab {
    let lab = Lab { cluster: Cluster::new(Options::resume(bytes, 99).expect("a saved cluster")).expect("it goes on") };
    lab.until("kubectl get nodes", |table| table.contains(" Ready ") && !table.contains("NotReady"));
    lab
}

/// A Deployment behind a node port.
fn shop() -> Lab {
    let lab = Lab::new(3);
    lab.ok("kubectl create deployment web --image=nginx --replicas=3");
    lab.ok("kubectl expose deployment web --port=80 --type=NodePort");
    lab.until("kubectl get deployment web", |table| table.contains("3/3"));
    lab.ok("echo remembered > note.txt");
    lab
}

/// Everything is there and answers.
fn goes_on(lab: &Lab) {
    lab.until("kubectl get deployment web", |table| table.contains("3/3"));
    let port = lab.ok("kubectl get service web -o jsonpath='{.spec.ports[0].nodePort}'");
    lab.until(&format!("curl -s -m 5 http://localhost:{port}"), |page| page.contains("Welcome to nginx!"));
    assert_eq!(lab.ok("cat note.txt"), "remembered\n");
    lab.ok("kubectl scale deployment web --replicas=5");
    lab.until("kubectl get pods --no-headers", |table| table.matches("Running").count() == 5);
}

#[test]
fn a_saved_cluster_goes_on() {
    let lab = shop();
    let uids = "kubectl get deployments,services,nodes -A -o jsonpath='{.items[*].metadata.uid}'";
    let (before, now) = (lab.ok(uids), lab.cluster.now());
    let saved = save(&lab, "");
    let resumed = resume(&saved);
    assert_eq!(resumed.ok(uids), before);
    assert!(resumed.cluster.now() >= now);
    goes_on(&resumed);
}

#[test]
fn a_shared_cluster_is_smaller_and_goes_on() {
    let lab = shop();
    let (whole, slim) = (save(&lab, ""), save(&lab, "?slim=true"));
    assert!(slim.len() * 2 < whole.len(), "{} of {}", slim.len(), whole.len());
    goes_on(&resume(&slim));
}

#[test]
fn a_fork_begins_at_a_revision() {
    let lab = shop();
    let revision = lab.ok("kubectl get deployment web -o jsonpath='{.metadata.resourceVersion}'");
    lab.ok("kubectl delete deployment/web service/web");
    lab.until("kubectl get pods", |table| table.is_empty());
    let fork = resume(&save(&lab, &format!("?revision={revision}&time=2026-01-01T00:05:00Z")));
    goes_on(&fork);
    assert!(fork.cluster.now().to_string().starts_with("2026-01-01T00:0"));
}

#[test]
fn faults_go_on_and_nodes_join_under_new_addresses() {
    let lab = shop();
    lab.fault(r#"{"kind":"nodeDown","node":"hello-worker"}"#);
    lab.until("kubectl get nodes", |table| table.contains("NotReady"));
    let resumed = Lab { cluster: Cluster::new(Options::resume(&save(&lab, ""), 3).unwrap()).unwrap() };
    assert!(resumed.ask_control("GET", "faults", "").1.contains("hello-worker"));
    resumed.heal();
    resumed.until("kubectl get nodes", |table| !table.contains("NotReady"));
    assert_eq!(resumed.ask_control("POST", "nodes", "").0, 200);
    let addresses = resumed.until("kubectl get nodes -o jsonpath='{.items[*].status.addresses[0].address}'", |list| {
        list.split_whitespace().count() == 4
    });
    let mut addresses: Vec<&str> = addresses.split_whitespace().collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 4);
}

#[test]
fn what_is_no_saved_cluster_is_refused() {
    for bytes in ["", "{}\n", "{\"playground\":2,\"now\":\"2026-01-01T00:00:00Z\"}\n", "GIF89a\n"] {
        assert!(Options::resume(bytes.as_bytes(), 1).is_err(), "{bytes}");
    }
    let saved = save(&Lab::new(1), "");
    assert!(Options::resume(&saved[..saved.len() - 1], 1).is_err());
}
