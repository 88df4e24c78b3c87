//! Everything that can go wrong goes wrong, heals, and the cluster converges.

use std::time::Duration;

use crate::lab::Lab;
use crate::test;

/// Three replicas behind a node port, on two workers.
fn shop() -> Lab {
    let lab = Lab::new(3);
    lab.ok("kubectl create deployment web --image=nginx --replicas=3");
    lab.ok("kubectl expose deployment web --port=80 --type=NodePort");
    lab.until("kubectl get deployment web", |table| table.contains("3/3"));
    lab
}

/// All replicas run, on nodes that are there, and answer.
fn converges(lab: &Lab) {
    lab.until("kubectl get deployment web", |table| table.contains("3/3"));
    lab.until("kubectl get nodes", |table| !table.contains("NotReady"));
    lab.until("kubectl get pods --no-headers", |table| table.lines().count() == 3);
    let port = lab.ok("kubectl get service web -o jsonpath='{.spec.ports[0].nodePort}'");
    for _ in 0..6 {
        lab.until(&format!("curl -s -m 5 http://localhost:{port}"), |page| page.contains("Welcome to nginx!"));
    }
}

#[test]
fn a_node_loses_power_and_comes_back() {
    let lab = shop();
    lab.fault(r#"{"kind":"nodeDown","node":"hello-worker"}"#);
    assert!(lab.ask_control("GET", "faults", "").1.contains("hello-worker"));
    lab.until("kubectl get nodes", |table| table.contains("NotReady"));
    lab.until("kubectl get pods -o wide", |table| {
        table.lines().filter(|line| line.contains("Running") && line.contains("hello-worker2")).count() == 3
    });
    lab.heal();
    converges(&lab);
    lab.ok("kubectl scale deployment web --replicas=6");
    lab.until("kubectl get pods -o wide", |table| {
        table.lines().any(|line| line.contains("Running") && line.contains("hello-worker "))
    });
}

#[test]
fn nodes_come_and_go() {
    let lab = shop();
    let (status, body) = lab.ask_control("POST", "nodes", "");
    assert_eq!((status, body.as_str()), (200, r#"{"name":"hello-worker3"}"#));
    lab.until("kubectl get nodes", |table| {
        table.lines().any(|line| line.starts_with("hello-worker3") && line.contains(" Ready "))
    });
    lab.ok("kubectl scale deployment web --replicas=9");
    lab.until("kubectl get pods -o wide", |table| {
        table.lines().any(|line| line.contains("Running") && line.contains("hello-worker3"))
    });
    lab.ok("kubectl scale deployment web --replicas=3");
    assert_eq!(lab.ask_control("DELETE", "nodes/hello-worker3", "").0, 200);
    assert_eq!(lab.ask_control("DELETE", "nodes/hello-worker3", "").0, 404);
    assert_eq!(lab.ask_control("POST", "nodes", r#"{"name":"hello-worker"}"#).0, 409);
    lab.until("kubectl get nodes", |table| !table.contains("hello-worker3"));
    converges(&lab);
}

#[test]
fn a_kubelet_that_is_restarted_takes_its_containers_over() {
    let lab = shop();
    let starts = "kubectl get pods -o jsonpath='{.items[*].status.containerStatuses[0].state.running.startedAt}'";
    let before = lab.ok(starts);
    lab.fault(r#"{"kind":"componentDown","component":"kubelet/hello-worker"}"#);
    lab.pass(Duration::from_secs(20));
    lab.heal();
    lab.pass(Duration::from_secs(20));
    converges(&lab);
    assert_eq!(lab.ok(starts), before, "containers went on");
}

#[test]
fn the_api_server_is_away_and_returns() {
    let lab = shop();
    lab.fault(r#"{"kind":"apiServerDown"}"#);
    let (code, error) = lab.fails("kubectl get pods");
    assert_eq!(code, 1);
    assert!(error.contains("was refused - did you specify the right host or port?"), "{error}");
    let runtimes = lab.cluster.world().runtimes();
    let all = runtimes.iter().flat_map(sim::SimRuntime::containers);
    let victim = all.into_iter().find(|container| container.name == "nginx").expect("a container");
    for runtime in &runtimes {
        runtime.kill(&victim.id, sim::process::Signal::Kill);
    }
    lab.pass(Duration::from_secs(60));
    lab.heal();
    lab.pass(Duration::from_secs(20));
    converges(&lab);
    let pods = lab.ok("kubectl get pods -o wide");
    assert!(pods.contains("1 ("), "the kubelet restarted it meanwhile: {pods}");
}

#[test]
fn every_component_can_be_cut_off() {
    for component in ["kubelet/hello-worker", "kube-scheduler", "replicaset-controller", "kube-proxy"] {
        let lab = shop();
        lab.fault(&format!(r#"{{"kind":"componentCut","component":"{component}"}}"#));
        lab.ok("kubectl delete pod --all --wait=false");
        lab.pass(Duration::from_secs(30));
        lab.heal();
        converges(&lab);
    }
}

#[test]
fn a_kubelet_that_was_thought_gone_says_at_once_that_it_is_there() {
    let lab = shop();
    lab.fault(r#"{"kind":"componentCut","component":"kubelet/hello-worker"}"#);
    lab.until("kubectl get nodes", |table| table.contains("NotReady"));
    lab.heal();
    lab.pass(Duration::from_secs(20));
    let nodes = lab.ok("kubectl get nodes");
    assert!(!nodes.contains("NotReady"), "{nodes}");
}

#[test]
fn containers_crash_and_hang() {
    let lab = Lab::new(1);
    lab.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - {name: web, image: nginx, livenessProbe: {httpGet: {port: 80}, periodSeconds: 5, timeoutSeconds: 2}}
",
    );
    lab.until("kubectl get pod web", |table| table.contains("1/1"));
    lab.fault(r#"{"kind":"containerCrash","pod":"default/web","container":"web"}"#);
    lab.until("kubectl get pod web", |table| table.contains("1/1     Running   1"));
    lab.fault(r#"{"kind":"containerHang","pod":"default/web","container":"web"}"#);
    let events = lab.until("kubectl get events", |text| text.contains("failed liveness probe, will be restarted"));
    assert!(events.contains("context deadline exceeded"), "{events}");
    lab.until("kubectl get pod web", |table| table.contains("1/1     Running   2"));
    assert_eq!(
        lab.ask_control("POST", "faults", r#"{"kind":"containerCrash","pod":"default/x","container":"y"}"#).0,
        404
    );
    assert_eq!(lab.ask_control("POST", "faults", r#"{"kind":"nonsense"}"#).0, 400);
}

#[test]
fn links_are_slow_or_lossy() {
    let lab = shop();
    let port = lab.ok("kubectl get service web -o jsonpath='{.spec.ports[0].nodePort}'");
    let took = |lab: &Lab| {
        let before = lab.cluster.now();
        lab.run(&format!("curl -s -m 60 http://localhost:{port}"));
        lab.cluster.now().duration_since(before).as_millis()
    };
    assert!(took(&lab) < 100);
    for node in ["hello-worker", "hello-worker2"] {
        lab.fault(&format!(r#"{{"kind":"link","node":"{node}","delayMs":400}}"#));
    }
    assert!(took(&lab) >= 1600, "connecting, asking and answering go over the slow link");
    for node in ["hello-worker", "hello-worker2"] {
        lab.fault(&format!(r#"{{"kind":"link","node":"{node}","loss":1.0}}"#));
    }
    let output = lab.run(&format!("curl -sS -m 5 http://localhost:{port}"));
    assert_eq!(output.code, 28, "{}", output.stderr);
    lab.heal();
    converges(&lab);
}

#[test]
fn a_registry_is_away_and_returns() {
    let lab = Lab::new(1);
    lab.fault(r#"{"kind":"registryDown","registry":"docker.io"}"#);
    lab.ok("kubectl create deployment web --image=nginx");
    lab.until("kubectl get pods", |table| table.contains("ImagePullBackOff"));
    lab.heal();
    lab.until("kubectl get deployment web", |table| table.contains("1/1"));
}

#[test]
fn a_full_disk_evicts_and_recovers() {
    let lab = Lab::new(2);
    lab.ok("kubectl create deployment web --image=nginx");
    lab.until("kubectl get deployment web", |table| table.contains("1/1"));
    lab.fault(r#"{"kind":"pressure","node":"hello-worker","diskBytes":100000000000}"#);
    lab.until("kubectl describe node hello-worker", |text| {
        text.contains("node.kubernetes.io/disk-pressure:NoSchedule")
    });
    lab.until("kubectl get pods -o jsonpath='{.items[*].status.reason}'", |text| text.contains("Evicted"));
    lab.heal();
    lab.until("kubectl get deployment web", |table| table.contains("1/1"));
}

#[test]
fn leaders_hold_leases_and_take_them_back() {
    let lab = Lab::new(1);
    lab.ok("kubectl create deployment web --image=nginx --replicas=2");
    for (process, recorder) in
        [("kube-controller-manager", "kube-controller-manager"), ("kube-scheduler", "default-scheduler")]
    {
        let field =
            |path: &str| lab.ok(&format!("kubectl get lease {process} -n kube-system -o jsonpath='{{.spec.{path}}}'"));
        let holder = field("holderIdentity");
        assert!(holder.starts_with("hello-control-plane_"), "{holder}");
        let events = lab.ok(&format!(
            "kubectl get events -n kube-system --field-selector reason=LeaderElection,source={recorder} -o \
             jsonpath='{{.items[*].involvedObject.name}} {{.items[*].message}}'"
        ));
        assert_eq!(events, format!("{process} {holder} became leader"));
        let renewed = field("renewTime");
        lab.pass(Duration::from_secs(20));
        assert_ne!(field("renewTime"), renewed);

        lab.fault(&format!(r#"{{"kind":"componentDown","component":"{process}"}}"#));
        assert_eq!(field("holderIdentity"), "", "given back");
        lab.ok("kubectl delete pod -l app=web");
        lab.pass(Duration::from_secs(60));
        let ready = "kubectl get deployment web -o jsonpath='{.status.readyReplicas}'";
        let seen = lab.ok("kubectl get pods -l app=web");
        assert!(!seen.contains("Running"), "nobody works: {seen}");
        lab.heal();
        lab.until(ready, |count| count == "2");
        assert_eq!((field("holderIdentity"), field("leaseTransitions")), (holder, "1".into()));

        // Cut off for longer than its lease, it stops working; nobody else is there to take it.
        lab.fault(&format!(r#"{{"kind":"componentCut","component":"{process}"}}"#));
        lab.pass(Duration::from_secs(30));
        lab.ok("kubectl delete pod -l app=web --wait=false");
        lab.pass(Duration::from_secs(60));
        lab.heal();
        lab.until(ready, |count| count == "2");
    }
}
