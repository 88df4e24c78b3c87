//! Resource use, from processes to `kubectl top`.

use std::time::Duration;

use crate::lab::Lab;
use crate::test;

const LIMITED: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: busy, labels: {app: busy}}\nspec:\n  containers:\n  - {name: c, image: polinux/stress, command: [stress], args: [--cpu, \"2\"], resources: {limits: {cpu: 500m}}}\n";

#[test]
fn what_the_components_count_is_told() {
    let lab = Lab::bare(1);
    lab.ok("kubectl create deployment web --image=nginx");
    lab.until("kubectl get pods", |table| table.contains("1/1     Running"));
    let metrics = lab.ok("kubectl get --raw /metrics");
    let value = |series: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in {metrics}")).parse().unwrap()
    };
    assert!(value("workqueue_adds_total{name=\"deployment\"}") >= 2.0);
    assert_eq!(value("workqueue_depth{name=\"replicaset\"}"), 0.0);
    let taken = value("workqueue_queue_duration_seconds_count{name=\"deployment\"}");
    assert_eq!(taken, value("workqueue_work_duration_seconds_count{name=\"deployment\"}"));
    let host = "host=\"172.18.0.2:6443\"";
    assert!(value(&format!("rest_client_requests_total{{code=\"201\",{host},method=\"POST\"}}")) >= 2.0);
    assert!(value(&format!("rest_client_request_duration_seconds_count{{{host},verb=\"GET\"}}")) > 0.0);
}

#[test]
fn top_tells_what_pods_and_nodes_use() {
    let lab = Lab::bare(1);
    lab.ok("kubectl run idle --image=nginx");
    lab.ok(&format!("cat > busy.yaml <<'EOF'\n{LIMITED}EOF\nkubectl apply -f busy.yaml"));
    lab.until("kubectl get pods", |table| table.matches("1/1     Running").count() == 2);
    lab.pass(Duration::from_secs(60));
    let table = lab.ok("kubectl top pods");
    assert!(table.contains("busy   500m") || table.contains("busy   499m"), "{table}");
    assert!(table.contains("idle   0m") || table.contains("idle   1m"), "{table}");
    let nodes = lab.ok("kubectl top nodes");
    assert!(nodes.contains("hello-control-plane   50"), "{nodes}");
    let selected =
        lab.ok("kubectl get --raw '/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app=busy'");
    assert!(selected.contains("\"name\":\"busy\"") && !selected.contains("\"name\":\"idle\""), "{selected}");
    let (_, error) = lab.fails("kubectl top pod absent");
    assert_eq!(error, "Error from server (NotFound): pods \"default/absent\" not found\n");
    assert!(lab.ok("kubectl api-resources --api-group=metrics.k8s.io").contains("PodMetrics"));
}

#[test]
fn a_process_beyond_its_memory_limit_is_killed() {
    let lab = Lab::new(1);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: demo}\nspec:\n  containers:\n  - {name: c, image: polinux/stress, command: [stress], args: [--vm, \"1\", --vm-bytes, 250M, --vm-hang, \"1\"], resources: {requests: {memory: 50Mi}, limits: {memory: 100Mi}}}\n";
    lab.ok(&format!("cat > oom.yaml <<'EOF'\n{pod}EOF\nkubectl apply -f oom.yaml"));
    lab.until("kubectl get pod demo", |table| table.contains("OOMKilled"));
    lab.until("kubectl get pod demo", |table| table.contains("CrashLoopBackOff"));
    let state = lab.ok("kubectl get pod demo -o jsonpath='{.status.containerStatuses[0].lastState.terminated}'");
    assert!(state.contains("\"exitCode\":137") && state.contains("\"reason\":\"OOMKilled\""), "{state}");
    lab.ok("sed -e s/250M/150M/ -e s/100Mi/200Mi/ -e s/demo/roomy/ oom.yaml > roomy.yaml; kubectl apply -f roomy.yaml");
    lab.until("kubectl get pod roomy", |table| table.contains("1/1     Running"));
    lab.pass(Duration::from_secs(45));
    let table = lab.ok("kubectl top pod roomy");
    assert!(table.contains("151Mi"), "150 MiB and the program itself: {table}");
}
