//! Whatever goes wrong, in whatever order: the cluster comes together again, and on the way nothing happens that never
//! may.

use std::collections::BTreeMap;
use std::time::Duration;

use machinery::Timestamp;
use machinery::random::Rng;
use serde_json::Value;

use crate::lab::Lab;
use crate::test;

/// How many things go wrong in one history.
const FAULTS: u64 = 12;
/// Within this, everybody knows of everything.
const PROPAGATION: Duration = Duration::from_secs(30);

/// Servers that say who they are, and count their starts where it outlives them.
const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: registry.k8s.io/e2e-test-images/agnhost:2.53
        command: [sh, -c, 'echo started >> /count/starts; exec /agnhost netexec --http-port=80']
        readinessProbe: {httpGet: {port: 80, path: /hostname}, periodSeconds: 5}
        livenessProbe: {httpGet: {port: 80, path: /hostname}, periodSeconds: 10}
        volumeMounts: [{name: count, mountPath: /count}]
      volumes: [{name: count, emptyDir: {}}]
";
/// Who must be there for a pod's state to become a forwarding rule.
const HERALDS: [&str; 4] =
    ["kube-proxy", "endpointslice-controller", "kube-controller-manager", "node-lifecycle-controller"];

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
                let phase = pod.map(|pod| text(pod, "/status/phase")).unwrap_or_default();
                assert!(
                    !matches!(&*phase, "Succeeded" | "Failed"),
                    "{} of a pod that has ended still runs",
                    container.name
                );
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

/// Whether something is wrong that keeps news from spreading.
fn is_hindered(lab: &Lab) -> bool {
    let faults = lab.control("faults");
    faults.as_array().into_iter().flatten().any(|fault| {
        let heralds = fault["component"].as_str().is_some_and(|name| HERALDS.contains(&name));
        // The control plane's node has its parts with it.
        heralds || fault["kind"] == "apiServerDown" || fault["node"] == "hello-control-plane"
    })
}

/// Lets time pass, with a request to the Service now and then: none is answered by a pod that all must know to be
/// unready. `free_since` is when the last hindrance went.
fn with_requests(lab: &Lab, duration: Duration, free_since: &mut Option<Timestamp>) -> usize {
    let end = machinery::time::after(lab.cluster.now(), duration);
    let mut answered = 0;
    let port = "$(kubectl get service web -o jsonpath='{.spec.ports[0].nodePort}')";
    while lab.cluster.now() < end {
        lab.pass(Duration::from_secs(12));
        if is_hindered(lab) {
            *free_since = None;
            continue;
        }
        let free = *free_since.get_or_insert(lab.cluster.now());
        let name = lab.run(&format!("curl -s -m 2 http://localhost:{port}/hostname")).stdout;
        if !name.starts_with("web-") {
            continue;
        }
        answered += 1;
        let pod: Value =
            serde_json::from_str(&lab.run(&format!("kubectl get pod {name} -o json")).stdout).unwrap_or_default();
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let Some(ready) = conditions.into_iter().find(|condition| condition["type"] == "Ready") else { continue };
        let since: Option<Timestamp> = ready["lastTransitionTime"].as_str().and_then(|time| time.parse().ok());
        if let Some(since) = since.filter(|_| ready["status"] != "True") {
            let told = lab.cluster.now().duration_since(since.max(free)).unsigned_abs();
            assert!(told <= PROPAGATION, "{name} answers, unready since {since}");
        }
    }
    answered
}

fn history(seed: u64) -> usize {
    let lab = Lab::seeded(3, seed);
    let mut rng = Rng::new(seed ^ 0xC4A0);
    let (mut free_since, mut answered) = (None, 0);
    lab.apply(WEB);
    lab.ok("kubectl expose deployment web --port=80 --type=NodePort");
    lab.until("kubectl get deployment web", |table| table.contains("4/4"));
    for _ in 0..FAULTS {
        let fault = fault(&lab, &mut rng);
        // What it is about may be gone meanwhile.
        lab.ask_control("POST", "faults", &fault);
        answered += with_requests(&lab, Duration::from_secs(rng.below(90)), &mut free_since);
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
        assert!(lab.ok(&format!("curl -s -m 5 http://localhost:{port}/hostname")).starts_with("web-"));
    }
    // As often as a container was started, it had ended before, or it is the first time.
    for pod in objects(&lab, "pods").iter().filter(|pod| pod["metadata"]["labels"]["app"] == "web") {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let starts = lab.ok(&format!("kubectl exec {name} -- wc -l /count/starts"));
        let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().unwrap_or_default();
        assert_eq!(starts.split_whitespace().next(), Some((restarts + 1).to_string().as_str()), "{name}");
    }
    answered
}

#[test]
fn random_histories_converge() {
    let answered: usize = (0..8).map(history).sum();
    assert!(answered > 100, "{answered} requests were answered");
}
