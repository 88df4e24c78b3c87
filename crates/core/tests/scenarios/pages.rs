//! The documentation's longer pages, from their first command to what they promise at their end: ensembles, sites, load,
//! source addresses, and what a namespace may have.

use std::time::Duration;

use crate::lab::Lab;
use crate::test;

const EXAMPLES: &str = "https://k8s.io/examples";

fn apply(lab: &Lab, path: &str) {
    lab.ok(&format!("kubectl apply -f {EXAMPLES}/{path}"));
}

/// What the API server says to an example that it refuses.
fn refused(lab: &Lab, path: &str) -> String {
    lab.fails(&format!("kubectl apply -f {EXAMPLES}/{path}")).1
}

/// "Running ZooKeeper, A Distributed System Coordinator".
#[test]
fn running_zookeeper() {
    let lab = Lab::new(5);
    // The page wants volumes that can be had on any node: the class of this cluster has them on one each.
    lab.ok("kubectl patch storageclass standard -p '{\"metadata\": {\"annotations\": {\"storageclass.kubernetes.io/is-default-class\": \"false\"}}}'");
    for index in 0..3 {
        lab.apply(&format!(
            "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: disk{index}}}\nspec: {{capacity: {{storage: \
             20Gi}}, accessModes: [ReadWriteOnce], hostPath: {{path: /mnt/disk{index}}}}}\n"
        ));
        for node in ["worker", "worker2", "worker3", "worker4"] {
            lab.ok(&format!("ssh hello-{node} sudo mkdir -m 777 -p /mnt/disk{index}"));
        }
    }
    let each = |line: &str| lab.ok(&format!("for i in 0 1 2; do {line}; done"));
    let ready = || lab.until("kubectl get statefulset zk", |table| table.contains("3/3"));
    apply(&lab, "application/zookeeper/zookeeper.yaml");
    ready();
    assert_eq!(each("kubectl exec zk-$i -- hostname"), "zk-0\nzk-1\nzk-2\n");
    let ids = each("echo \"myid zk-$i\";kubectl exec zk-$i -- cat /var/lib/zookeeper/data/myid");
    assert_eq!(ids, "myid zk-0\n1\nmyid zk-1\n2\nmyid zk-2\n3\n");
    assert!(each("kubectl exec zk-$i -- hostname -f").starts_with("zk-0.zk-hs.default.svc.cluster.local\nzk-1."));
    let created = lab.ok("kubectl exec zk-0 -- zkCli.sh create /hello world");
    assert!(created.ends_with("Created /hello\n"), "{created}");
    let get = |pod: &str| lab.ok(&format!("kubectl exec {pod} -- zkCli.sh get /hello"));
    let node = get("zk-1");
    for line in ["\nworld\n", "\nctime = Thu Jan 01 00:", "\nephemeralOwner = 0x0\n", "\ndataLength = 5\n"] {
        assert!(node.contains(line), "{node}");
    }
    lab.ok("kubectl delete statefulset zk");
    lab.until("kubectl get pods -l app=zk 2>&1", |table| table.starts_with("No resources found"));
    apply(&lab, "application/zookeeper/zookeeper.yaml");
    ready();
    assert!(get("zk-2").contains("\nworld\n"));
    assert_eq!(lab.ok("kubectl get pvc -l app=zk --no-headers").matches("Bound").count(), 3);
    // Logging, users, processes.
    assert!(
        lab.ok("kubectl exec zk-0 -- cat /usr/etc/zookeeper/log4j.properties")
            .starts_with("zookeeper.root.logger=CONSOLE\n")
    );
    lab.pass(Duration::from_secs(60));
    let log = lab.ok("kubectl logs zk-0 --tail 20");
    assert!(log.lines().count() == 20 && log.contains("NIOServerCnxn@827] - Processing ruok command from /"), "{log}");
    let processes = lab.ok("kubectl exec zk-0 -- ps -elf");
    assert!(
        processes.starts_with("F S UID          PID    PPID  C PRI  NI ADDR    SZ WCHAN  STIME TTY"),
        "{processes}"
    );
    assert!(processes.contains("S zookeep+ ") && processes.contains("QuorumPeerMain"), "{processes}");
    let folder = lab.ok("kubectl exec zk-0 -- ls -ld /var/lib/zookeeper/data");
    assert!(folder.contains(" zookeeper "), "{folder}");
    // An update goes through the ensemble from its end, and back.
    let cpu =
        r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/resources/requests/cpu", "value":"0.3"}]"#;
    lab.ok(&format!("kubectl patch sts zk --type='json' -p='{cpu}'"));
    assert!(
        lab.ok("kubectl rollout status sts/zk")
            .ends_with("partitioned roll out complete: 3 new pods have been updated...\n")
    );
    let history = lab.ok("kubectl rollout history sts/zk");
    assert!(history.contains("REVISION") && history.contains("\n2 "), "{history}");
    assert!(lab.ok("kubectl rollout undo sts/zk").contains("statefulset.apps/zk rolled back"));
    lab.ok("kubectl rollout status sts/zk");
    // A process that is gone takes its container with it, and so does a probe that is.
    let restarts = "kubectl get pod zk-0 -o jsonpath='{.status.containerStatuses[0].restartCount} {.status.containerStatuses[0].ready}'";
    lab.ok("kubectl exec zk-0 -- pkill java");
    lab.until(restarts, |count| count == "1 true");
    let last = "kubectl get pod zk-0 -o jsonpath='{.status.containerStatuses[0].lastState.terminated.reason}'";
    assert_eq!(lab.ok(last), "Error");
    lab.ok("kubectl exec zk-0 -- rm /opt/zookeeper/bin/zookeeper-ready");
    lab.until(restarts, |count| count == "2 true");
    let events = lab.ok("kubectl describe pod zk-0");
    assert!(
        events.contains("zookeeper-ready: not found") || events.contains("zookeeper-ready: command not found"),
        "{events}"
    );
    // Drains, as far as the budget lets them.
    let nodes = each("kubectl get pod zk-$i --template {{.spec.nodeName}}; echo \"\"");
    let nodes: Vec<&str> = nodes.lines().collect();
    assert!(nodes.len() == 3 && nodes[0] != nodes[1] && nodes[1] != nodes[2] && nodes[0] != nodes[2], "{nodes:?}");
    assert!(lab.ok("kubectl get pdb zk-pdb").contains("zk-pdb   N/A             1                 1 "));
    let drain = |node: &str| format!("kubectl drain {node} --ignore-daemonsets --force --delete-emptydir-data");
    assert!(lab.ok(&drain(nodes[0])).contains(&format!("node/{} drained", nodes[0])));
    ready();
    lab.ok(&drain(nodes[1]));
    lab.until("kubectl get pod zk-1", |row| row.contains("Pending"));
    let pending = lab.until("kubectl describe pod zk-1", |text| text.contains("FailedScheduling"));
    assert!(pending.contains("didn't match pod anti-affinity rules"), "{pending}");
    let (_, kept) = lab.fails(&format!("{} --timeout=30s", drain(nodes[2])));
    assert!(kept.contains("Cannot evict pod as it would violate the pod's disruption budget."), "{kept}");
    assert!(get("zk-0").contains("\nworld\n"), "two of three are enough");
    lab.ok(&format!("kubectl uncordon {}", nodes[0]));
    ready();
    lab.ok(&drain(nodes[2]));
    lab.ok(&format!("kubectl uncordon {}", nodes[1]));
    ready();
    assert!(get("zk-2").contains("\nworld\n"));
}

/// "Deploying WordPress and MySQL with Persistent Volumes".
#[test]
fn wordpress_by_a_kustomization() {
    let lab = Lab::new(2);
    lab.ok("cat <<EOF >./kustomization.yaml
secretGenerator:
- name: mysql-pass
  literals:
  - password=YOUR_PASSWORD
EOF");
    for file in ["mysql", "wordpress"] {
        lab.ok(&format!("curl -LO {EXAMPLES}/application/wordpress/{file}-deployment.yaml"));
    }
    lab.ok("cat <<EOF >>./kustomization.yaml
resources:
  - mysql-deployment.yaml
  - wordpress-deployment.yaml
EOF");
    let applied = lab.ok("kubectl apply -k ./");
    assert!(applied.contains("secret/mysql-pass-") && applied.contains("deployment.apps/wordpress-mysql created"));
    assert!(lab.ok("kubectl get secrets").contains("   Opaque   1 "));
    lab.until("kubectl get pods", |table| table.matches("1/1     Running").count() == 2);
    assert_eq!(lab.ok("kubectl get pvc --no-headers").matches("Bound").count(), 2);
    let service = lab.ok("kubectl get services wordpress");
    assert!(service.contains("LoadBalancer") && service.contains("80:3"), "{service}");
    lab.until("curl -sL http://localhost/", |page| page.contains("five-minute WordPress installation process"));
    let deleted = lab.ok("kubectl delete -k ./");
    assert!(deleted.contains("persistentvolumeclaim \"wp-pv-claim\" deleted"), "{deleted}");
    lab.until("kubectl get pods,pvc 2>&1", |table| table.starts_with("No resources found"));
}

/// "HorizontalPodAutoscaler Walkthrough".
#[test]
fn a_horizontal_pod_autoscaler_under_load() {
    let lab = Lab::new(3);
    apply(&lab, "application/php-apache.yaml");
    let scaled = lab.ok("kubectl autoscale deployment php-apache --cpu-percent=50 --min=1 --max=10");
    assert_eq!(scaled, "horizontalpodautoscaler.autoscaling/php-apache autoscaled\n");
    lab.until("kubectl get hpa", |table| {
        table.contains("Deployment/php-apache   cpu: 0%/50%   1         10        1 ")
    });
    lab.ok("kubectl run load-generator --image=busybox:1.28 --restart=Never -- /bin/sh -c 'while sleep 0.01; do wget -q -O- http://php-apache; done'");
    // One pod is near its limit, 250 % of its request; some more share the work.
    let share =
        "kubectl get hpa php-apache -o jsonpath='{.status.currentMetrics[0].resource.current.averageUtilization}'";
    let percent = |text: &str| text.parse::<u32>().unwrap_or_default();
    lab.until(share, |share| percent(share) > 150);
    let replicas = "kubectl get deployment php-apache -o jsonpath={.status.readyReplicas}";
    lab.until(replicas, |count| count.parse::<u32>().is_ok_and(|count| (4..=10).contains(&count)));
    lab.pass(Duration::from_secs(120));
    let shared = lab.ok(share);
    assert!((35..=55).contains(&percent(&shared)), "{shared}");
    let described = lab.ok("kubectl describe hpa php-apache");
    assert!(described.contains("ValidMetricFound") && described.contains("SuccessfulRescale"), "{described}");
    lab.ok("kubectl delete pod load-generator --now");
    lab.until("kubectl get hpa php-apache", |table| table.contains("cpu: 0%/50%"));
    lab.until("kubectl get deployment php-apache", |table| table.contains("1/1"));
    let events = lab.ok("kubectl describe hpa php-apache");
    assert!(events.contains("New size: 1; reason: All metrics below target"), "{events}");
}

/// "Configure Default", "Minimum and Maximum Memory", "CPU Requests and Limits for a Namespace"; "Limit Ranges".
#[test]
fn what_a_container_may_have_in_a_namespace() {
    let lab = Lab::new(2);
    let inside = |namespace: &str| {
        lab.ok(&format!(
            "kubectl create namespace {namespace} && kubectl config set-context --current --namespace={namespace}"
        ))
    };
    let resources = |pod: &str, resource: &str| {
        let of = "{.spec.containers[0].resources";
        lab.ok(&format!("kubectl get pod {pod} -o jsonpath='{of}.limits.{resource}}} {of}.requests.{resource}}}'"))
    };
    let pages = [
        ("memory", "mem", ["512Mi 256Mi", "1Gi 1Gi", "512Mi 128Mi"], ["800Mi 600Mi", "1Gi 1Gi"]),
        ("cpu", "cpu", ["1 500m", "1 1", "1 750m"], ["800m 500m", "800m 800m"]),
    ];
    for (resource, short, defaults, bounded) in pages {
        inside(&format!("default-{short}-example"));
        apply(&lab, &format!("admin/resource/{resource}-defaults.yaml"));
        for (suffix, wanted) in ["", "-2", "-3"].into_iter().zip(defaults) {
            apply(&lab, &format!("admin/resource/{resource}-defaults-pod{suffix}.yaml"));
            assert_eq!(resources(&format!("default-{short}-demo{suffix}"), resource), wanted);
        }
        inside(&format!("constraints-{short}-example"));
        apply(&lab, &format!("admin/resource/{resource}-constraints.yaml"));
        for (suffix, wanted) in ["", "-4"].into_iter().zip(bounded) {
            apply(&lab, &format!("admin/resource/{resource}-constraints-pod{suffix}.yaml"));
            assert_eq!(resources(&format!("constraints-{short}-demo{suffix}"), resource), wanted);
        }
    }
    let refusals = [
        ("memory", "mem-demo-2", "maximum memory usage per Container is 1Gi, but limit is 1536Mi"),
        ("memory", "mem-demo-3", "minimum memory usage per Container is 500Mi, but request is 100Mi"),
        ("cpu", "cpu-demo-2", "maximum cpu usage per Container is 800m, but limit is 1500m"),
        ("cpu", "cpu-demo-3", "minimum cpu usage per Container is 200m, but request is 100m"),
    ];
    for (resource, pod, why) in refusals {
        lab.ok(&format!("kubectl config set-context --current --namespace=constraints-{}-example", &pod[..3]));
        let number = &pod[pod.len() - 1..];
        let text = refused(&lab, &format!("admin/resource/{resource}-constraints-pod-{number}.yaml"));
        assert!(text.contains(&format!("pods \"constraints-{pod}\" is forbidden: {why}")), "{text}");
    }
    inside("limits");
    apply(&lab, "concepts/policy/limit-range/problematic-limit-range.yaml");
    let text = refused(&lab, "concepts/policy/limit-range/example-conflict-with-limitrange-cpu.yaml");
    let why = "spec.containers[0].resources.requests: Invalid value: \"700m\": must be less than or equal to cpu limit of 500m";
    assert!(text.contains(why), "{text}");
    apply(&lab, "concepts/policy/limit-range/example-no-conflict-with-limitrange-cpu.yaml");
    inside("limitrange-demo");
    apply(&lab, "admin/resource/limit-mem-cpu-container.yaml");
    apply(&lab, "admin/resource/limit-range-pod-1.yaml");
    let all = "kubectl get pod busybox1 -o jsonpath='{range .spec.containers[*]}{.resources.limits.cpu} {.resources.requests.memory};{end}'";
    assert_eq!(lab.ok(all), "500m 100Mi;700m 100Mi;500m 200Mi;700m 111Mi;");
    apply(&lab, "admin/resource/limit-mem-cpu-pod.yaml");
    let text = refused(&lab, "admin/resource/limit-range-pod-2.yaml");
    assert!(text.contains("maximum cpu usage per Pod is 2, but limit is 2400m"), "{text}");
    apply(&lab, "admin/resource/limit-memory-ratio-pod.yaml");
    let text = refused(&lab, "admin/resource/limit-range-pod-3.yaml");
    assert!(text.contains("memory max limit to request ratio per Pod is 2, but provided ratio is 3.000000"), "{text}");
    apply(&lab, "admin/resource/storagelimits.yaml");
    for (claim, why) in [
        ("lower", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi"),
        ("greater", "maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 5Gi"),
    ] {
        let text = refused(&lab, &format!("admin/resource/pvc-limit-{claim}.yaml"));
        assert!(text.contains(why), "{text}");
    }
}

/// "Configure Memory and CPU Quotas", "a Pod Quota", "Quotas for API Objects"; "Resource Quotas".
#[test]
fn what_a_namespace_may_have() {
    let lab = Lab::new(2);
    let inside = |namespace: &str| {
        lab.ok(&format!(
            "kubectl create namespace {namespace} && kubectl config set-context --current --namespace={namespace}"
        ))
    };
    inside("quota-mem-cpu-example");
    apply(&lab, "admin/resource/quota-mem-cpu.yaml");
    apply(&lab, "admin/resource/quota-mem-cpu-pod.yaml");
    let used = "kubectl get resourcequota mem-cpu-demo -o jsonpath='{.status.used}'";
    lab.until(used, |used| {
        used == r#"{"limits.cpu":"800m","limits.memory":"800Mi","requests.cpu":"400m","requests.memory":"600Mi"}"#
    });
    let text = refused(&lab, "admin/resource/quota-mem-cpu-pod-2.yaml");
    let why = "pods \"quota-mem-cpu-demo-2\" is forbidden: exceeded quota: mem-cpu-demo, requested: requests.memory=700Mi, \
               used: requests.memory=600Mi, limited: requests.memory=1Gi";
    assert!(text.contains(why), "{text}");
    let (_, text) = lab.fails("kubectl run plain --image=nginx");
    assert!(
        text.contains("failed quota: mem-cpu-demo: must specify limits.cpu for: plain; limits.memory for: plain"),
        "{text}"
    );

    inside("quota-pod-example");
    apply(&lab, "admin/resource/quota-pod.yaml");
    apply(&lab, "admin/resource/quota-pod-deployment.yaml");
    lab.until("kubectl get deployment pod-quota-demo", |table| table.contains("2/3"));
    let failure = "kubectl get deployment pod-quota-demo -o jsonpath='{.status.conditions[?(@.type==\"ReplicaFailure\")].message}'";
    let text = lab.ok(failure);
    let why = "is forbidden: exceeded quota: pod-demo, requested: pods=1, used: pods=2, limited: pods=2";
    assert!(text.starts_with("pods \"pod-quota-demo-") && text.ends_with(why), "{text}");
    lab.ok("kubectl scale deployment pod-quota-demo --replicas=2");
    lab.until("kubectl get deployment pod-quota-demo", |table| table.contains("2/2"));

    inside("quota-object-example");
    apply(&lab, "admin/resource/quota-objects.yaml");
    apply(&lab, "admin/resource/quota-objects-pvc.yaml");
    let text = refused(&lab, "admin/resource/quota-objects-pvc-2.yaml");
    let why = "persistentvolumeclaims \"pvc-quota-demo-2\" is forbidden: exceeded quota: object-quota-demo, requested: \
               persistentvolumeclaims=1, used: persistentvolumeclaims=1, limited: persistentvolumeclaims=1";
    assert!(text.contains(why), "{text}");
    let (_, text) = lab.fails("kubectl create service nodeport door --tcp=80");
    assert!(
        text.contains("requested: services.nodeports=1, used: services.nodeports=0, limited: services.nodeports=0"),
        "{text}"
    );

    inside("myspace");
    lab.ok("kubectl create quota test --hard=count/deployments.apps=2,count/replicasets.apps=4,count/pods=3,count/secrets=4");
    lab.ok("kubectl create deployment nginx --image=nginx --replicas=2");
    lab.until("kubectl describe quota", |text| {
        let rows: Vec<String> = text.lines().map(|row| row.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        ["count/deployments.apps 1 2", "count/pods 2 3", "count/replicasets.apps 1 4", "count/secrets 0 4"]
            .iter()
            .all(|wanted| rows.iter().any(|row| row == wanted))
    });

    // Quotas by priority.
    lab.ok("kubectl create priorityclass high --value=1000");
    inside("priorities");
    apply(&lab, "policy/quota.yaml");
    apply(&lab, "policy/high-priority-pod.yaml");
    let quota = |name: &str| format!("kubectl get quota {name} -o jsonpath='{{.status.used}}'");
    lab.until(&quota("pods-high"), |used| used == r#"{"cpu":"500m","memory":"10Gi","pods":"1"}"#);
    assert_eq!(lab.ok(&quota("pods-low")), r#"{"cpu":"0","memory":"0","pods":"0"}"#);
}

/// "Pod Topology Spread Constraints", by its own four examples.
#[test]
fn pods_spread_over_topologies() {
    let lab = Lab::bare(5);
    for (index, node) in ["worker", "worker2", "worker3", "worker4"].into_iter().enumerate() {
        let zone = if index < 2 { "zoneA" } else { "zoneB" };
        lab.ok(&format!("kubectl label node hello-{node} node=node{} zone={zone}", index + 1));
    }
    let existing = |name: &str, node: &str| {
        let place = format!("{{\"spec\": {{\"nodeName\": \"hello-{node}\"}}}}");
        lab.ok(&format!("kubectl run {name} --image=registry.k8s.io/pause:3.1 --labels=foo=bar --overrides='{place}'"));
    };
    let placed = |path: &str| {
        apply(&lab, &format!("pods/topology-spread-constraints/{path}.yaml"));
        let node = lab.until("kubectl get pod mypod -o jsonpath={.spec.nodeName}", |node| !node.is_empty());
        lab.ok("kubectl delete pod mypod --now");
        node
    };
    for (name, node) in [("one", "worker"), ("two", "worker2"), ("three", "worker3")] {
        existing(name, node);
    }
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 3);
    let node = placed("one-constraint");
    assert!(["hello-worker3", "hello-worker4"].contains(&node.as_str()), "{node}");
    assert_eq!(placed("two-constraints"), "hello-worker4");
    // A third zone would be the emptiest, but it is none that the pod may go to.
    lab.ok("kubectl label node hello-worker4 zone=zoneC --overwrite");
    assert_eq!(placed("one-constraint"), "hello-worker4");
    assert_eq!(placed("one-constraint-with-nodeaffinity"), "hello-worker3");
    // Constraints that no node fulfils together.
    lab.ok("kubectl label node hello-worker4 zone- node-");
    existing("four", "worker");
    existing("five", "worker3");
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 5);
    apply(&lab, "pods/topology-spread-constraints/two-constraints.yaml");
    let why = lab.until("kubectl describe pod mypod", |text| text.contains("FailedScheduling"));
    assert!(why.contains("3 node(s) didn't match pod topology spread constraints"), "{why}");
    assert!(why.contains("didn't match pod topology spread constraints (missing required label)"), "{why}");
    lab.ok("kubectl delete pod mypod --now");
    // What is only wished for keeps no pod from its place.
    lab.ok(&format!(
        "curl -s {EXAMPLES}/pods/topology-spread-constraints/two-constraints.yaml | sed s/DoNotSchedule/ScheduleAnyway/ | \
         kubectl apply -f -"
    ));
    lab.until("kubectl get pod mypod", |row| row.contains("1/1"));
}

/// "Using Source IP".
#[test]
fn using_source_ip() {
    let lab = Lab::new(3);
    for node in ["hello-control-plane", "hello-worker"] {
        assert_eq!(lab.ok(&format!("ssh {node} curl -s http://localhost:10249/proxyMode")), "iptables");
    }
    lab.ok("kubectl create deployment source-ip-app --image=registry.k8s.io/echoserver:1.10");
    for (name, kind) in [("clusterip", "ClusterIP"), ("nodeport", "NodePort"), ("loadbalancer", "LoadBalancer")] {
        lab.ok(&format!(
            "kubectl expose deployment source-ip-app --name={name} --port=80 --target-port=8080 --type={kind}"
        ));
    }
    lab.ok("kubectl run busybox --image=busybox:1.28 -- sleep 1d");
    lab.ok("kubectl wait --for=condition=Ready --timeout=200s pod --all");
    let of_pod =
        |pod: &str, path: &str| lab.ok(&format!("kubectl get pods -l {pod} -o jsonpath='{{.items[0].status.{path}}}'"));
    let from_pod =
        lab.until("kubectl exec busybox -- wget -qO - http://clusterip", |page| page.contains("client_address="));
    let client = of_pod("run=busybox", "podIP");
    assert!(from_pod.contains(&format!("client_address={client}\n")), "{from_pod}");
    // From outside by a node's port: that node's address, which is its bridge's where the pod is on it.
    let (host, pod) = (of_pod("app=source-ip-app", "hostIP"), of_pod("app=source-ip-app", "podIP"));
    let gateway = format!("{}.1", pod.rsplit_once('.').unwrap().0);
    let port = lab.ok("kubectl get -o jsonpath='{.spec.ports[0].nodePort}' services nodeport");
    let nodes =
        lab.ok("kubectl get nodes -o jsonpath='{.items[*].status.addresses[?(@.type==\"InternalIP\")].address}'");
    let asked = |place: &str| lab.run(&format!("curl --connect-timeout 1 -s {place} | grep -i client_address"));
    for node in nodes.split(' ') {
        let wanted = if node == host { &gateway } else { node };
        assert_eq!(asked(&format!("{node}:{port}")).stdout, format!("\tclient_address={wanted}\n"));
    }
    lab.ok("kubectl patch svc nodeport -p '{\"spec\":{\"externalTrafficPolicy\":\"Local\"}}'");
    let computer =
        |text: &str| !text.is_empty() && !nodes.split(' ').any(|node| text.contains(node)) && !text.contains(&gateway);
    lab.until(&format!("curl -s {host}:{port} | grep client_address"), computer);
    for node in nodes.split(' ').filter(|node| *node != host) {
        assert_eq!(asked(&format!("{node}:{port}")).stdout, "", "no endpoint on {node}, no answer");
    }
    // A load balancer hides the client, unless it knows which nodes have an endpoint.
    assert!(!computer(&asked("localhost").stdout), "{:?}", asked("localhost"));
    lab.ok("kubectl patch svc loadbalancer -p '{\"spec\":{\"externalTrafficPolicy\":\"Local\"}}'");
    let check = lab.ok("kubectl get svc loadbalancer -o yaml | grep -i healthCheckNodePort");
    let check = check.trim().trim_start_matches("healthCheckNodePort: ").to_owned();
    lab.until("curl -s --connect-timeout 1 localhost | grep client_address", computer);
    for node in nodes.split(' ') {
        let (status, count) = if node == host { (200, 1) } else { (503, 0) };
        let answer = lab.ok(&format!("curl -s -w ' %{{http_code}}' {node}:{check}/healthz"));
        assert!(
            answer.contains(&format!("\"localEndpoints\": {count},")) && answer.ends_with(&format!(" {status}")),
            "{answer}"
        );
    }
    let own = lab.ok("kubectl get pods -l app=source-ip-app -o jsonpath={.items[0].spec.nodeName}");
    assert!(lab.ok(&format!("ssh {own} curl -s localhost:{check}/healthz")).contains("\"serviceProxyHealthy\": true"));
    // Metrics are for the node itself.
    assert_eq!(lab.fails(&format!("curl {host}:10249/proxyMode")).0, 7);
}

/// "Debug Services": what kube-proxy has written on a node.
#[test]
fn a_service_seen_from_its_node() {
    let lab = Lab::new(2);
    lab.ok("kubectl create deployment hostnames --image=registry.k8s.io/serve_hostname --replicas=3");
    lab.ok("kubectl expose deployment hostnames --port=80 --target-port=9376");
    lab.until("kubectl get deployment hostnames", |table| table.contains("3/3"));
    let address = lab.ok("kubectl get service hostnames -o jsonpath={.spec.clusterIP}");
    let saved = "ssh hello-worker 'sudo iptables-save | grep hostnames'";
    let rules = lab.until(saved, |rules| rules.matches("-j DNAT --to-destination 10.244.").count() == 3);
    let lines = [
        format!(
            "-A KUBE-SERVICES -d {address}/32 -p tcp -m comment --comment \"default/hostnames cluster IP\" -m tcp --dport 80 -j KUBE-SVC-"
        ),
        ":9376\" -m statistic --mode random --probability 0.33333333349 -j KUBE-SEP-".into(),
        ":9376\" -m statistic --mode random --probability 0.50000000000 -j KUBE-SEP-".into(),
        ":9376\" -j KUBE-SEP-".into(),
    ];
    for line in lines {
        assert_eq!(rules.matches(&line).count(), 1, "{line}: {rules}");
    }
    assert!(lab.ok(&format!("ssh hello-worker curl -s {address}:80")).starts_with("hostnames-"));
    let dns = lab.ok("ssh hello-worker sudo iptables -t nat -S KUBE-SERVICES");
    assert!(dns.contains("kube-dns:dns cluster IP\" -m udp --dport 53 -j KUBE-SVC-TCOU7JCQXEZGVUNU"), "{dns}");
    lab.ok("kubectl scale deployment hostnames --replicas=0");
    lab.until(saved, |rules| {
        rules.lines().count() == 1
            && rules.contains("\"default/hostnames has no endpoints\" -m tcp --dport 80 -j REJECT")
    });
}

/// "Restrict a Container's Syscalls with seccomp".
#[test]
fn seccomp_profiles_of_a_node() {
    let lab = Lab::new(1);
    lab.ok("mkdir ./profiles");
    for name in ["audit", "violation", "fine-grained"] {
        let file = format!("{name}.json");
        lab.ok(&format!("curl -s -L -o profiles/{file} {EXAMPLES}/pods/security/seccomp/profiles/{file}"));
    }
    assert_eq!(lab.ok("ls profiles"), "audit.json\nfine-grained.json\nviolation.json\n");
    lab.ok(&format!("curl -L -O {EXAMPLES}/pods/security/seccomp/kind.yaml && kind create cluster --config=kind.yaml"));
    let files = lab.ok("docker exec kind-control-plane ls /var/lib/kubelet/seccomp/profiles");
    assert_eq!(files, "audit.json\nfine-grained.json\nviolation.json\n");
    for name in ["default", "audit", "violation", "fine"] {
        apply(&lab, &format!("pods/security/seccomp/ga/{name}-pod.yaml"));
    }
    for name in ["default", "audit", "fine"] {
        lab.until(&format!("kubectl get pod {name}-pod"), |row| row.contains("1/1     Running"));
    }
    lab.until("kubectl get pod violation-pod", |row| row.contains("CrashLoopBackOff"));
    assert!(lab.ok("kubectl describe pod violation-pod").contains("operation not permitted"));
    lab.ok("kubectl expose pod fine-pod --type NodePort --port 5678");
    let port = lab.ok("kubectl get service fine-pod -o jsonpath={.spec.ports[0].nodePort}");
    let answer = format!("docker exec kind-control-plane curl -s localhost:{port}");
    lab.until(&answer, |text| text == "just made some syscalls!\n");
}
