//! What kubelets do to pods, through kubectl.

use std::time::Duration;

use crate::lab::Lab;
use crate::test;

#[test]
fn an_ephemeral_container_joins_a_pod_that_has_no_shell() {
    let lab = Lab::new(1);
    lab.ok("kubectl run demo --image=registry.k8s.io/pause:3.10 --restart=Never");
    lab.until("kubectl get pod demo", |table| table.contains("Running"));
    lab.ok(r#"cat > debugger.json <<'EOF'
{"spec":{"ephemeralContainers":[{"name":"debugger","image":"busybox","command":["sh","-c","echo hello from $HOSTNAME; sleep 1d"]}]}}
EOF
kubectl patch pod demo --subresource=ephemeralcontainers --type=strategic --patch-file debugger.json"#);
    let running = "kubectl get pod demo -o jsonpath='{.status.ephemeralContainerStatuses[0].state.running.startedAt}'";
    lab.until(running, |text| text.starts_with("2026"));
    assert_eq!(lab.ok("kubectl logs demo -c debugger"), "hello from demo\n");
    assert_eq!(lab.ok("kubectl exec demo -c debugger -- hostname"), "demo\n");
    let events =
        lab.ok("kubectl get events --field-selector reason=Started -o jsonpath='{.items[*].involvedObject.fieldPath}'");
    assert!(events.contains("spec.ephemeralContainers{debugger}"), "{events}");
    lab.ok("kubectl delete pod demo");
}

#[test]
fn a_grpc_probe_follows_the_health_service() {
    let lab = Lab::new(1);
    lab.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: health}
spec:
  containers:
  - name: server
    image: registry.k8s.io/e2e-test-images/agnhost:2.53
    args: [grpc-health-checking]
    ports: [{containerPort: 5000}, {containerPort: 8080}]
    readinessProbe: {grpc: {port: 5000}, periodSeconds: 2}
    livenessProbe: {grpc: {port: 5000}, initialDelaySeconds: 10, periodSeconds: 5}
",
    );
    lab.until("kubectl get pod health", |table| table.contains("1/1"));
    lab.pass(Duration::from_secs(30));
    assert!(lab.ok("kubectl get pod health").contains("Running   0"));
    lab.ok("kubectl exec health -- curl -s http://localhost:8080/make-not-serving");
    lab.until("kubectl get pod health", |table| table.contains("0/1"));
    let events = lab.until("kubectl get events", |text| text.contains("failed liveness probe, will be restarted"));
    assert!(events.contains("probe failed: service unhealthy (responded with \"NOT_SERVING\")"), "{events}");
}

#[test]
fn the_log_stands_in_for_a_termination_message() {
    let lab = Lab::new(1);
    for (name, policy, script, message) in [
        ("a", "File", "echo out; echo words > /dev/termination-log; exit 3", "words\n"),
        ("b", "FallbackToLogsOnError", "echo out; exit 3", "out\n"),
        ("c", "FallbackToLogsOnError", "echo out; exit 0", ""),
        ("d", "File", "echo out; exit 3", ""),
    ] {
        lab.apply(&format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  containers: [{{name: c, image: busybox, terminationMessagePolicy: {policy}, command: [sh, -c, \"{script}\"]}}]
"
        ));
        lab.until(&format!("kubectl get pod {name}"), |table| table.contains("Completed") || table.contains("Error"));
        let path = "{.status.containerStatuses[0].state.terminated.message}";
        assert_eq!(lab.ok(&format!("kubectl get pod {name} -o jsonpath='{path}'")), message, "{name}");
    }
}

#[test]
fn cpu_and_memory_change_in_place() {
    let lab = Lab::new(1);
    lab.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: resize}
spec:
  containers:
  - name: pause
    image: registry.k8s.io/pause:3.8
    resizePolicy:
    - {resourceName: cpu, restartPolicy: NotRequired}
    - {resourceName: memory, restartPolicy: RestartContainer}
    resources: {limits: {memory: 200Mi, cpu: 700m}, requests: {memory: 200Mi, cpu: 700m}}
",
    );
    lab.until("kubectl get pod resize", |table| table.contains("1/1"));
    let patch = |resources: &str| {
        let container =
            format!("{{\"name\":\"pause\",\"resources\":{{\"requests\":{resources},\"limits\":{resources}}}}}");
        lab.ok(&format!(
            "kubectl patch pod resize --subresource resize --patch '{{\"spec\":{{\"containers\":[{container}]}}}}'"
        ))
    };
    let status = "kubectl get pod resize -o jsonpath='{.status.containerStatuses[0].resources.limits} \
                  {.status.containerStatuses[0].restartCount}'";
    patch(r#"{"cpu":"800m"}"#);
    lab.until(status, |text| text.contains("\"cpu\":\"800m\"") && text.ends_with(" 0"));
    lab.until("kubectl get events", |text| text.contains("Pod resize completed: "));
    patch(r#"{"memory":"300Mi"}"#);
    lab.until(status, |text| text.contains("\"memory\":\"300Mi\"") && text.ends_with(" 1"));
    patch(r#"{"cpu":"1000"}"#);
    let conditions = "kubectl get pod resize -o jsonpath='{.status.conditions}'";
    let conditions = lab.until(conditions, |text| text.contains("PodResizePending"));
    let why = "Node didn't have enough capacity: cpu, requested: 1000000, capacity: 4000";
    assert!(conditions.contains("Infeasible") && conditions.contains(why), "{conditions}");
}

#[test]
fn a_node_under_memory_pressure_evicts_and_recovers() {
    let lab = Lab::new(2);
    lab.ok("kubectl run modest --image=nginx");
    lab.ok("kubectl create deployment greedy --image=polinux/stress -- stress --vm 1 --vm-bytes 500M --vm-hang 1");
    lab.until("kubectl get pods", |table| table.matches("1/1     Running").count() == 2);
    let runtimes = lab.cluster.world().runtimes();
    let runtime = runtimes.into_iter().find(|runtime| runtime.node_name() == "hello-worker").expect("a worker");
    runtime.set_burden(7500 << 20, 0);
    let reasons = "kubectl get pods -o jsonpath='{.items[*].status.reason}'";
    lab.until(reasons, |text| text.contains("Evicted"));
    let pods = lab.ok("kubectl get pods");
    let modest = pods.lines().find(|line| line.starts_with("modest")).expect("a pod");
    assert!(modest.contains("Running"), "{pods}");
    let events = lab.ok("kubectl get events");
    for message in [
        "The node was low on resource: memory. Threshold quantity: 100Mi, available:",
        "Container stress was using 501Mi, request is 0, has larger consumption of memory.",
    ] {
        assert!(events.contains(message), "{events}");
    }
    let node = "kubectl describe node hello-worker";
    let text = lab.until(node, |text| text.contains("node.kubernetes.io/memory-pressure:NoSchedule"));
    assert!(text.contains("KubeletHasInsufficientMemory"), "{text}");
    runtime.set_burden(0, 0);
    lab.until(node, |text| {
        text.contains("KubeletHasSufficientMemory") && !text.contains("node.kubernetes.io/memory-pressure")
    });
    lab.until("kubectl get deployment greedy", |table| table.contains("1/1"));
}

#[test]
fn pods_that_use_more_disk_than_they_may_are_evicted() {
    let lab = Lab::new(1);
    lab.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: scratch}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: busybox
    command: [sh, -c, \"sleep 5; head -c 3000000 /dev/zero > /data/big; sleep 1d\"]
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, emptyDir: {sizeLimit: 1Mi}}]
---
apiVersion: v1
kind: Pod
metadata: {name: layer}
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: busybox
    command: [sh, -c, \"head -c 5000000 /dev/zero > /big; sleep 1d\"]
    resources: {limits: {ephemeral-storage: 4Mi}}
",
    );
    let reasons = "kubectl get pods -o jsonpath='{.items[*].status.reason}'";
    lab.until(reasons, |text| text == "Evicted Evicted");
    let messages = lab.ok("kubectl get pods -o jsonpath='{.items[*].status.message}'");
    for message in [
        "Usage of EmptyDir volume \"data\" exceeds the limit \"1Mi\". ",
        "Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. ",
    ] {
        assert!(messages.contains(message), "{messages}");
    }
}

#[test]
fn static_pods_have_mirrors() {
    let lab = Lab::new(1);
    let runtime = lab.cluster.world().runtimes().remove(0);
    let manifest = "apiVersion: v1
kind: Pod
metadata: {name: static-web, labels: {role: myrole}}
spec:
  containers:
  - {name: web, image: nginx, ports: [{name: web, containerPort: 80}]}
";
    let now = lab.cluster.now();
    let fs = sim::fs::Fs::new(runtime.host_tree(), false);
    fs.create_dir_all("/etc/kubernetes/manifests", now).expect("a folder");
    fs.write("/etc/kubernetes/manifests/static-web.yaml", manifest, now).expect("a manifest");
    let name = "static-web-hello-control-plane";
    let there = |table: &str| table.contains(&format!("{name}   1/1     Running"));
    lab.until("kubectl get pods", there);
    let pod = lab.ok(&format!("kubectl get pod {name} -o yaml"));
    assert!(pod.contains("kubernetes.io/config.mirror") && pod.contains("kind: Node"), "{pod}");
    assert!(lab.ok(&format!("kubectl exec {name} -- curl -s localhost")).contains("Welcome to nginx!"));
    let started = format!("kubectl get pod {name} -o jsonpath='{{.status.containerStatuses[0].state.running}}'");
    let before = lab.ok(&started);
    lab.ok(&format!("kubectl delete pod {name}"));
    lab.until("kubectl get pods", there);
    assert_eq!(lab.ok(&started), before, "deleting the mirror does not end the pod");
    fs.remove("/etc/kubernetes/manifests/static-web.yaml").expect("it was there");
    lab.until("kubectl get pods", str::is_empty);
}

#[test]
fn a_job_whose_containers_are_restarted_too_often_fails() {
    let lab = Lab::new(1);
    lab.apply(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {name: work}
spec:
  backoffLimit: 1
  template:
    spec:
      restartPolicy: OnFailure
      containers: [{name: work, image: busybox, command: ["false"]}]
"#,
    );
    lab.until("kubectl get job work", |table| table.contains("Failed"));
    assert!(lab.ok("kubectl describe job work").contains("Job has reached the specified backoff limit"));
    lab.until("kubectl get pods 2>&1", |table| table.starts_with("No resources found"));
}

#[test]
fn resources_of_a_whole_pod_say_its_class() {
    let lab = Lab::new(1);
    lab.ok("cat > pod.yaml <<'EOF'\napiVersion: v1\nkind: Pod\nmetadata: {name: whole}\nspec:\n  \
         resources: {requests: {cpu: 100m}}\n  containers: [{name: web, image: 'nginx:1.27'}]\nEOF\n\
         kubectl apply -f pod.yaml");
    lab.until("kubectl get pod whole", |table| table.contains("1/1"));
    assert_eq!(lab.ok("kubectl get pod whole -o jsonpath={.status.qosClass}"), "Burstable");
    lab.ok("kubectl delete pod whole --timeout=60s");
}

/// Every kind of probe by every way to ask, of real servers: what "Pod Lifecycle" says of it. The kubelet's own tests have
/// the whole table, with hooks and policies of containers.
#[test]
fn what_becomes_of_pods_by_their_probes() {
    let lab = Lab::new(1);
    let mut manifest = String::new();
    let mut cases = Vec::new();
    for (kind, asks) in ["startup", "liveness", "readiness"]
        .into_iter()
        .flat_map(|kind| ["http", "tcp", "exec", "grpc"].map(|asks| (kind, asks)))
    {
        for (policy, good) in
            ["Always", "Never"].into_iter().flat_map(|policy| [true, false].map(|good| (policy, good)))
        {
            let args = if asks == "grpc" { "grpc-health-checking, --port=5000" } else { "netexec, --http-port=8080" };
            let handler = match (asks, good) {
                ("http", true) => "httpGet: {port: 8080, path: /hostname}",
                ("http", false) => "httpGet: {port: 81, path: /hostname}",
                ("tcp", true) => "tcpSocket: {port: 8080}",
                ("tcp", false) => "tcpSocket: {port: 81}",
                ("exec", true) => "exec: {command: [\"true\"]}",
                ("exec", false) => "exec: {command: [\"false\"]}",
                (_, true) => "grpc: {port: 5000}",
                (_, false) => "grpc: {port: 81}",
            };
            let name = format!("{kind}-{asks}-{}-{good}", policy.to_lowercase());
            manifest += &format!(
                "apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{table: probes}}}}
spec:
  restartPolicy: {policy}
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: registry.k8s.io/e2e-test-images/agnhost:2.53
    args: [{args}]
    {kind}Probe: {{{handler}, initialDelaySeconds: 2, periodSeconds: 2, failureThreshold: 2}}
---
"
            );
            cases.push((name, kind, policy, good));
        }
    }
    lab.apply(&manifest);
    lab.pass(std::time::Duration::from_secs(90));
    let pods: serde_json::Value =
        serde_json::from_str(&lab.ok("kubectl get pods -l table=probes -o json")).expect("pods");
    for (name, kind, policy, good) in cases {
        let pod = pods["items"].as_array().into_iter().flatten().find(|pod| pod["metadata"]["name"] == name.as_str());
        let status = &pod.expect("the pod")["status"];
        let container = &status["containerStatuses"][0];
        let restarts = container["restartCount"].as_u64().unwrap_or_default();
        let seen = (status["phase"].as_str().unwrap_or_default(), container["ready"].as_bool(), restarts > 0);
        let wanted = match (kind, good, policy) {
            (_, true, _) => ("Running", Some(true), false),
            ("readiness", false, _) => ("Running", Some(false), false),
            (_, false, "Always") => ("Running", Some(false), true),
            _ => ("Failed", Some(false), false),
        };
        // What is restarted because it is not alive is ready now and then.
        let ready = if kind == "liveness" && !good && policy == "Always" { seen.1 } else { wanted.1 };
        assert_eq!(seen, (wanted.0, ready, wanted.2), "{name}: {status}");
    }
}

/// Volumes of images are fetched as their policy says, and are on the node from then on.
#[test]
fn image_volumes_are_fetched_by_their_policy() {
    let lab = Lab::new(1);
    let pod = |name: &str, reference: &str, policy: &str| {
        lab.apply(&format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers: [{{name: c, image: busybox, command: [sleep, 1d], volumeMounts: [{{name: files, mountPath: /files}}]}}]
  volumes: [{{name: files, image: {{reference: {reference}, pullPolicy: {policy}}}}}]
",
        ));
    };
    pod("never", "\"redis:7\"", "Never");
    let refused = "MountVolume.SetUp failed for volume \"files\" : \
                   Container image \"redis:7\" is not present with pull policy of Never";
    lab.until("kubectl describe pod never", |text| text.contains(refused));
    pod("absent", "\"redis:7\"", "IfNotPresent");
    lab.ok("kubectl wait --for=condition=Ready pod/absent");
    assert!(lab.ok("kubectl exec absent -- ls /files").lines().any(|line| line == "usr"));
    lab.until("kubectl get nodes -o jsonpath='{.items[*].status.images[*].names}'", |names| names.contains("redis:7"));
    // There is nothing against what is there.
    lab.until("kubectl get pod never", |table| table.contains("Running"));
}

/// A redirect on the same host is followed, also by its address; one that leads elsewhere is an answer.
#[test]
fn probes_follow_redirects_on_their_host() {
    let lab = Lab::new(1);
    let mut manifest = "apiVersion: v1
kind: ConfigMap
metadata: {name: redirects}
data:
  default.conf: |
    server {
      listen 80;
      location = /here { return 301 /gone; }
      location = /elsewhere { return 301 http://example.com/; }
      location = /gone { return 404; }
    }
"
    .to_owned();
    for name in ["here", "elsewhere"] {
        manifest += &format!(
            "---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers:
  - name: web
    image: nginx
    readinessProbe: {{httpGet: {{port: 80, path: /{name}}}, periodSeconds: 1}}
    volumeMounts: [{{name: conf, mountPath: /etc/nginx/conf.d}}]
  volumes: [{{name: conf, configMap: {{name: redirects}}}}]
"
        );
    }
    lab.apply(&manifest);
    lab.until("kubectl get pod elsewhere", |row| row.contains("1/1"));
    let events = lab.until("kubectl describe pod here", |text| text.contains("Readiness probe failed"));
    assert!(events.contains("HTTP probe failed with statuscode: 404"), "{events}");
}
