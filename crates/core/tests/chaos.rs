//! Whatever goes wrong, in whatever order: the cluster comes together again, and on the way nothing happens that never
//! may.

mod lab;

use std::collections::BTreeMap;
use std::time::Duration;

pub use lab::{Lab, names};
use machinery::random::Rng;
use serde_json::Value;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

/// How many things go wrong in one history.
const FAULTS: u64 = 12;
/// Within this, everybody knows of everything.
const PROPAGATION: Duration = Duration::from_secs(30);

/// Something that goes wrong, by chance.
fn fault(lab: &Lab, rng: &mut Rng) -> String {
    let node = ["hello-worker", "hello-worker2", "hello-control-plane"][rng.below(3) as usize];
    let component = lab.cluster.components()[rng.below(lab.cluster.components().len() as u64) as usize].clone();
    match rng.below(8) {
        0 => format!(r#"{{"kind":"nodeDown","node":"{node}"}}"#),
        1 => format!(r#"{{"kind":"componentDown","component":"{component}"}}"#),
        2 | 3 => format!(r#"{{"kind":"componentCut","component":"{component}"}}"#),
        4 => r#"{"kind":"apiServerDown"}"#.to_owned(),
        5 => format!(r#"{{"kind":"link","node":"{node}","delayMs":{},"loss":0.{}}}"#, rng.below(400), rng.below(6)),
        6 => r#"{"kind":"registryDown","registry":"docker.io"}"#.to_owned(),
        _ => {
            let running = lab.cluster.world().runtimes().into_iter().flat_map(|runtime| runtime.containers());
            let running: Vec<_> = running.filter(|container| container.finished_at.is_none()).collect();
            let chosen = &running[rng.below(running.len().max(1) as u64) as usize % running.len().max(1)];
            let label = |name: &str| chosen.labels.get(name).cloned().unwrap_or_default();
            let (namespace, pod) = (label("io.kubernetes.pod.namespace"), label("io.kubernetes.pod.name"));
            let kind = if rng.below(2) == 0 { "containerCrash" } else { "containerHang" };
            format!(r#"{{"kind":"{kind}","pod":"{namespace}/{pod}","container":"{}"}}"#, chosen.name)
        }
    }
}

fn objects(lab: &Lab, resource: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(&lab.ok(&format!("kubectl get {resource} -A -o json"))).expect("a list");
    list["items"].as_array().cloned().unwrap_or_default()
}

/// No pod has processes on two nodes.
fn nowhere_twice(lab: &Lab) {
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for runtime in lab.cluster.world().runtimes() {
        for container in runtime.containers().into_iter().filter(|container| runtime.machine(&container.id).is_some()) {
            // A static pod's uid is its manifest's.
            let before = places.insert(container.pod_uid.clone(), runtime.node_name().to_owned());
            assert!(before.is_none_or(|node| node == runtime.node_name()), "{} runs twice", container.name);
        }
    }
}

/// What was decided is what is: processes belong to pods, restarts are exits, endpoints are ready.
fn settled(lab: &Lab) {
    let pods = objects(lab, "pods");
    let text = |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    // A static pod is known by its mirror's annotation.
    let uid = |pod: &Value| match text(pod, "/metadata/annotations/kubernetes.io~1config.mirror") {
        mirrored if mirrored.is_empty() => text(pod, "/metadata/uid"),
        mirrored => mirrored,
    };
    for runtime in lab.cluster.world().runtimes() {
        for container in runtime.containers() {
            let pod = pods.iter().find(|pod| uid(pod) == container.pod_uid);
            if runtime.machine(&container.id).is_some() {
                assert!(pod.is_some(), "{} of a pod that is gone still runs", container.name);
            }
        }
    }
    for pod in &pods {
        for status in pod["status"]["containerStatuses"].as_array().into_iter().flatten() {
            let of = |container: &kubelet::runtime::ContainerStatus| {
                container.pod_uid == uid(pod) && status["name"] == container.name.as_str()
            };
            let all = lab.cluster.world().runtimes().into_iter().flat_map(|runtime| runtime.containers());
            let attempts = all.filter(of).map(|container| container.attempt).max();
            let restarts = status["restartCount"].as_u64().unwrap_or_default();
            assert_eq!(attempts.map(u64::from), Some(restarts), "{}", text(pod, "/metadata/name"));
        }
    }
    for slice in objects(lab, "endpointslices") {
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let Some(pod) = pods.iter().find(|pod| pod["metadata"]["uid"] == endpoint["targetRef"]["uid"]) else {
                assert!(endpoint["targetRef"].is_null(), "an endpoint is a pod that is gone: {endpoint}");
                continue;
            };
            let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
            let ready = conditions.into_iter().any(|c| c["type"] == "Ready" && c["status"] == "True");
            assert_eq!(endpoint["conditions"]["ready"], ready, "{}", text(pod, "/metadata/name"));
        }
    }
}

fn history(seed: u64) {
    let lab = Lab::seeded(3, seed);
    let mut rng = Rng::new(seed ^ 0xC4A0);
    lab.ok("kubectl create deployment web --image=nginx --replicas=4");
    lab.ok("kubectl expose deployment web --port=80 --type=NodePort");
    lab.until("kubectl get deployment web", |table| table.contains("4/4"));
    for _ in 0..FAULTS {
        let fault = fault(&lab, &mut rng);
        // What it is about may be gone meanwhile.
        lab.ask_control("POST", "faults", &fault);
        lab.pass(Duration::from_secs(rng.below(90)));
        nowhere_twice(&lab);
        if rng.below(3) == 0 {
            lab.heal();
            let line = ["kubectl scale deployment web --replicas=6", "kubectl scale deployment web --replicas=4"];
            lab.run(line[rng.below(2) as usize]);
        }
    }
    lab.heal();
    lab.until("kubectl get nodes", |table| !table.contains("NotReady"));
    lab.until("kubectl scale deployment web --replicas=4", |_| true);
    lab.until("kubectl get deployment web", |table| table.contains("4/4"));
    lab.until("kubectl get pods -A --no-headers", |table| {
        table.lines().all(|line| line.contains("1/1") && line.contains("Running"))
            && table.lines().filter(|line| line.contains(" web-")).count() == 4
    });
    lab.pass(PROPAGATION);
    nowhere_twice(&lab);
    settled(&lab);
    let port = lab.ok("kubectl get service web -o jsonpath='{.spec.ports[0].nodePort}'");
    for _ in 0..8 {
        assert!(lab.ok(&format!("curl -s -m 5 http://localhost:{port}")).contains("Welcome to nginx!"));
    }
}

#[test]
fn random_histories_converge() {
    for seed in 0..8 {
        history(seed);
    }
}
