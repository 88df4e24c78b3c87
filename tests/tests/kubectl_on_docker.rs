//! The seed documents' manifests by the machine's own kubectl on real containers.
//!
//! Images are made on the spot from the machine's static busybox: nothing is pulled.

use std::process::Stdio;

use playground_tests::{Server, curl, docker, eventually, image, manifest, names};

fn web_image(name: &str, port: u16, answer: &str) {
    let line = format!(
        "mkdir -p /www && echo '{answer}' > /www/index.html && echo listening on {port} && exec httpd -f -p {port} -h /www"
    );
    image(name, &line);
}

/// The containers of one of the pods in this server, by `docker ps`.
fn containers(filter: &str) -> Vec<String> {
    let listing = docker(&["ps", "--all", "--format", "{{.Names}}", "--filter", &format!("name={filter}")]);
    listing.lines().map(str::to_owned).collect()
}

#[test]
fn hello_kube_is_a_real_container() {
    web_image("hellokube:1.0.0", 8080, "Hello Kube! from a container");
    let mut server = Server::start(&["--runtime", "docker", "--nodes", "1"]);
    server.until("get nodes", |table| table.contains(" Ready "));
    server.ok(&format!("apply -f {}", manifest("hellodep.yaml")));
    let pods = server.until("get pods", |table| table.matches("1/1     Running").count() == 2);
    let pod = names(&pods).remove(0);

    // One sandbox and one container for each pod, named as the kubelet names them.
    let uid = server.ok(&format!("get pod {pod} -o jsonpath={{.metadata.uid}}"));
    let container = format!("k8s_hellokube_{pod}_default_{uid}_0");
    let sandbox = format!("k8s_POD_{pod}_default_{uid}_0");
    assert_eq!(containers(&format!("^/{container}$")), [container.as_str()]);
    assert_eq!(containers(&format!("^/{sandbox}$")), [sandbox.as_str()]);
    assert!(server.ok(&format!("logs {pod}")).contains("listening on 8080"));
    let address = server.ok(&format!("get pod {pod} -o jsonpath={{.status.podIP}}"));
    assert!(eventually("the pod answers", || curl(&format!("http://{address}:8080/"))).contains("from a container"));

    server.ok(&format!("apply -f {}", manifest("helloservice.yaml")));
    server.until("get endpoints helleservice", |table| table.matches(":8080").count() == 2);
    assert!(eventually("the node port answers", || curl("http://localhost:30950")).contains("from a container"));

    // Killed behind our back, it comes again.
    docker(&["kill", &container]);
    server.until(&format!("get pod {pod}"), |table| {
        table
            .lines()
            .nth(1)
            .is_some_and(|line| line.contains("1/1     Running") && line.split_whitespace().nth(3) == Some("1"))
    });
    let again = format!("k8s_hellokube_{pod}_default_{uid}_1");
    assert_eq!(containers(&format!("^/{again}$")), [again.as_str()]);

    // A restart of the server changes nothing for the containers.
    let running = |name: &str| docker(&["inspect", "--format", "{{.Id}} {{.State.StartedAt}}", name]);
    let before = running(&again);
    server.interrupt();
    server.start_again();
    server.until("get pods", |table| table.matches("1/1     Running").count() == 2);
    assert_eq!(running(&again), before);

    // What containers use is measured, not thought to be nothing.
    let node = "playground-control-plane";
    let summary = server.ok(&format!("get --raw /api/v1/nodes/{node}/proxy/stats/summary"));
    let summary: serde_json::Value = serde_json::from_str(&summary).expect("a summary");
    for pod in summary["pods"].as_array().expect("pods") {
        let used = |path: &str| pod.pointer(path).and_then(serde_json::Value::as_u64) > Some(0);
        assert!(used("/cpu/usageCoreNanoSeconds") && used("/memory/workingSetBytes"), "{pod}");
    }
    assert_eq!(summary["pods"].as_array().map(Vec::len), Some(2), "{summary}");

    // One that ends before it can be joined: what it said is in its log.
    let line =
        ["run", "brief", "--image=hellokube:1.0.0", "--restart=Never", "--rm", "-i", "--", "sh", "-c", "echo hi"];
    let mut brief = server.command(&line);
    brief.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut brief = brief.spawn().expect("kubectl");
    eventually("kubectl run returns", || brief.try_wait().expect("kubectl"));
    let said = brief.wait_with_output().expect("kubectl");
    assert!(String::from_utf8_lossy(&said.stdout).starts_with("hi\n"), "{said:?}");

    // The node's power goes and comes: another sandbox and another run for each pod, once, and at once.
    let restarts = || server.ok("get pods -o jsonpath={.items[*].status.containerStatuses[0].restartCount}");
    let count = |counts: String| counts.split(' ').filter_map(|count| count.parse::<u32>().ok()).sum::<u32>();
    let running = |filter: &str| docker(&["ps", "--quiet", "--filter", &format!("name={filter}")]).lines().count();
    for time in ["first", "second"] {
        let before = count(restarts());
        server.playground(&["node", "stop", node]);
        eventually("its pods have ended", || (running("_hellodep-") == 0).then_some(()));
        // What the kubelet hears first is of its pods, not of their ends.
        server.ok(&format!("annotate pods --all --overwrite time={time}"));
        server.playground(&["node", "start", node]);
        eventually("its pods run", || (running("^/k8s_hellokube_hellodep-") == 2).then_some(()));
        eventually("they have been restarted", || (count(restarts()) >= before + 2).then_some(()));
        server.until("get pods", |table| table.matches("1/1     Running").count() == 2);
        assert_eq!((count(restarts()), running("^/k8s_POD_hellodep-")), (before + 2, 2));
        let told = server.ok("get events");
        assert!(!told.contains("BackOff"), "{told}");
    }

    server.ok("delete deployment hellodep");
    server.until("get pods", str::is_empty);
    eventually("no container is left", || containers("_hellodep-").is_empty().then_some(()));
    server.delete_cluster();
}

/// A command inside a pod; none if it fails or gets no answer.
fn inside(server: &Server, pod: &str, line: &str) -> Option<String> {
    // Of busybox: its own timeouts do not work everywhere.
    let mut child = server
        .command(&["exec", pod, "--", "sh", "-c", line])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(4);
    while child.try_wait().expect("kubectl").is_none() {
        if std::time::Instant::now() > deadline {
            child.kill().expect("kubectl");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let output = child.wait_with_output().expect("kubectl");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What a host answers to a pod.
fn get(server: &Server, pod: &str, host: &str) -> Option<String> {
    inside(server, pod, &format!("wget -qO- http://{host}/"))
}

const NETWORKING: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: playground-test/net:1
        command: [sh, -c, "mkdir -p /www && hostname > /www/index.html && exec httpd -f -vv -p 8080 -h /www"]
        ports: [{containerPort: 8080, name: http}]
        readinessProbe: {httpGet: {port: http, path: /}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: http, nodePort: 30951}]}
---
apiVersion: v1
kind: Service
metadata: {name: peers}
spec: {clusterIP: None, selector: {app: web}}
---
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec: {sessionAffinity: ClientIP, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: web.default.svc.cluster.local}
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "playground-test/net:1", command: [sleep, "100000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: on-node}
spec:
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: playground-test/net:1
    command: [sh, -c, "mkdir -p /www && echo node > /www/index.html && exec httpd -f -p 7070 -h /www"]
---
apiVersion: v1
kind: Pod
metadata: {name: on-port}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: playground-test/net:1
    command: [sh, -c, "mkdir -p /www && echo port > /www/index.html && exec httpd -f -p 7071 -h /www"]
    ports: [{containerPort: 7071, hostPort: 7777}]
"#;

const NEAR_AND_GATED: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: near}
spec: {trafficDistribution: PreferClose, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: gated}
spec:
  type: LoadBalancer
  loadBalancerClass: example.com/balancer
  loadBalancerSourceRanges: [192.0.2.0/24]
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
"#;

const BALANCED: &str = r#"
apiVersion: v1
kind: Service
metadata: {name: balanced}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 20952, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: balanced-too}
spec: {type: LoadBalancer, externalTrafficPolicy: Local, selector: {app: web}, ports: [{port: 20952, targetPort: http}]}
"#;

const POLICIES: &str = r#"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {access: granted}}}]
    ports: [{port: http}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: names-only}
spec:
  podSelector: {matchLabels: {app: client, names: only}}
  policyTypes: [Egress]
  egress:
  - to:
    - namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}
      podSelector: {matchLabels: {k8s-app: kube-dns}}
    ports: [{port: 53, protocol: UDP}]
"#;

#[test]
fn services_names_and_policies_inside_real_pods() {
    image("playground-test/net:1", "sleep 100000");
    let mut server = Server::start(&["--runtime", "docker", "--nodes", "3"]);
    server.until("get nodes", |table| table.matches(" Ready ").count() == 3);
    server.apply(NETWORKING);
    server.until("get pods", |table| table.matches("1/1     Running").count() == 6);
    server.until("get endpointslices -l kubernetes.io/service-name=web -o yaml", |slices| {
        slices.matches("ready: true").count() == 3
    });
    let field = |what: &str, path: &str| server.ok(&format!("get {what} -o jsonpath={{{path}}}"));
    let address = field("pod client", ".status.podIP");
    let pod_range = field(&format!("node {}", field("pod client", ".spec.nodeName")), ".spec.podCIDR");
    assert_eq!(address.rsplit_once('.').map(|(net, _)| net), pod_range.rsplit_once('.').map(|(net, _)| net));

    // Names, and what each leads to; the client's own address is what the server sees.
    for host in ["web", "web.default", "web.default.svc.cluster.local", "alias", "peers:8080", "sticky"] {
        let answer = eventually(host, || get(&server, "client", host));
        assert!(answer.starts_with("web-"), "{host}: {answer}");
    }
    assert!(server.ok("logs -l app=web --prefix").contains(&format!("[::ffff:{address}]")));
    let resolv_conf = inside(&server, "client", "cat /etc/resolv.conf").unwrap_or_default();
    assert_eq!(
        resolv_conf,
        "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5"
    );
    let peers = inside(&server, "client", "nslookup peers.default.svc.cluster.local").unwrap_or_default();
    assert_eq!(peers.matches("Address: 10.").count(), 3, "{peers}");

    // All endpoints share the work; with affinity one has it all.
    let many = |host: &str| {
        let line =
            format!("for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do wget -qO- http://{host}/; done");
        let answers = inside(&server, "client", &line).unwrap_or_default();
        answers.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!((many("web"), many("sticky")), (3, 1));

    // Nobody behind it: refused at once.
    let refused =
        server.command(&["exec", "client", "--", "wget", "-qO-", "http://nobody/"]).output().expect("kubectl");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Connection refused"), "{refused:?}");

    // Ports of nodes, from pods and from this machine; a node's own network.
    for node in names(&server.ok("get nodes")) {
        let node = field(&format!("node {node}"), ".status.addresses[0].address");
        assert!(get(&server, "client", &format!("{node}:30951")).is_some_and(|answer| answer.starts_with("web-")));
        assert!(curl(&format!("http://{node}:30951/")).is_some_and(|answer| answer.starts_with("web-")));
    }
    let node_of = |pod: &str| field(&format!("pod {pod}"), ".status.hostIP");
    assert_eq!(get(&server, "client", &format!("{}:7070", node_of("on-node"))).as_deref(), Some("node"));
    assert_eq!(get(&server, "client", &format!("{}:7777", node_of("on-port"))).as_deref(), Some("port"));
    assert!(get(&server, "on-node", "web").is_some_and(|answer| answer.starts_with("web-")));

    // Traffic that stays in its zone, here a node each, and a load balancer that takes but some strangers'.
    for node in names(&server.ok("get nodes")) {
        server.ok(&format!("label node {node} topology.kubernetes.io/zone={node}"));
    }
    server.apply(NEAR_AND_GATED);
    let home = field("pod client", ".spec.nodeName");
    let near = names(&server.ok(&format!("get pods -l app=web --field-selector spec.nodeName={home}")));
    assert!(!near.is_empty(), "the scheduler spreads them");
    let line = "for i in 1 2 3 4 5 6 7 8 9 10; do wget -qO- http://near/; done";
    let answers = eventually("hints are heeded", || {
        inside(&server, "client", line)
            .filter(|answers| answers.lines().all(|answer| near.iter().any(|pod| pod == answer)))
    });
    assert_eq!(answers.lines().count(), 10);
    // Its controller is another one than ours: this test.
    let balancer = "192.0.2.10";
    let status = format!(r#"{{"status":{{"loadBalancer":{{"ingress":[{{"ip":"{balancer}"}}]}}}}}}"#);
    server.ok(&format!("patch service gated --subresource=status -p {status}"));
    let admit = |ranges: &str| {
        let change = format!(r#"{{"spec":{{"loadBalancerSourceRanges":["192.0.2.0/24"{ranges}]}}}}"#);
        server.ok(&format!("patch service gated -p {change}"));
    };
    admit(&format!(r#","{address}/32""#));
    eventually("the client is let in", || get(&server, "client", balancer));
    admit("");
    eventually("the client is kept out", || get(&server, "client", balancer).is_none().then_some(()));

    // Load balancers of our own: an address each, on which both have the same port, and this machine's port.
    server.apply(BALANCED);
    let addresses = ["balanced", "balanced-too"].map(|name| {
        eventually("it has an address", || {
            let address = field(&format!("service {name}"), ".status.loadBalancer.ingress[0].ip");
            (!address.is_empty()).then_some(address)
        })
    });
    assert_ne!(addresses[0], addresses[1]);
    assert!(server.ok("get service balanced").contains(&format!("{},localhost", addresses[0])));
    for host in addresses.iter().map(String::as_str).chain(["localhost"]) {
        let url = format!("http://{host}:20952/");
        assert!(eventually(host, || curl(&url)).starts_with("web-"), "{host}");
    }
    assert!(get(&server, "client", &format!("{}:20952", addresses[0])).is_some());
    let only = |range: &str| {
        let change = format!(r#"{{"spec":{{"loadBalancerSourceRanges":["{range}"]}}}}"#);
        server.ok(&format!("patch service balanced -p {change}"));
    };
    let outside = || curl(&format!("http://{}:20952/", addresses[0]));
    only("192.0.2.0/24");
    eventually("this machine is kept out", || outside().is_none().then_some(()));
    only("10.0.0.0/8");
    eventually("this machine is let in", outside);
    server.ok("delete service balanced");
    eventually("the address is given back", || outside().is_none().then_some(()));

    // The API server, by the address that every pod is told.
    let version = inside(&server, "client", "echo $KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT");
    assert_eq!(version.as_deref(), Some("10.96.0.1:443"));

    // Policies: connections that fail and succeed.
    server.apply(POLICIES);
    eventually("the policy holds", || get(&server, "client", "web").is_none().then_some(()));
    server.ok("label pod client access=granted");
    eventually("the policy lets it in", || get(&server, "client", "web"));
    server.ok("label pod client names=only");
    eventually("nothing goes out", || get(&server, "client", "web").is_none().then_some(()));
    assert!(inside(&server, "client", "nslookup web.default.svc.cluster.local").is_some());
    server.ok("delete networkpolicy --all");
    eventually("all is open again", || get(&server, "client", "web"));

    // The agent is killed, and comes again; the rules stand all the while.
    let agent = docker(&[
        "ps",
        "--quiet",
        "--filter",
        "name=playground-agent",
        "--filter",
        "label=io.kubernetes.docker.type=agent",
    ]);
    docker(&["kill", agent.split_whitespace().next().expect("an agent")]);
    let cluster_ip = field("service web", ".spec.clusterIP");
    assert!(get(&server, "client", &cluster_ip).is_some());
    eventually("names are there again", || get(&server, "client", "web"));

    // Without the server, what is known stays in force; with it again, pods come and go.
    server.kill();
    server.start_again();
    assert!(eventually("the pod is as it was", || get(&server, "client", &cluster_ip)).starts_with("web-"));
    server.ok("scale deployment web --replicas=1");
    server.until("get pods -l app=web", |table| table.lines().count() == 2);
    let only = names(&server.ok("get pods -l app=web")).remove(0);
    let line = "for i in 1 2 3 4 5; do wget -qO- http://web/; done";
    eventually("the others are forgotten", || {
        inside(&server, "client", line).filter(|answers| answers.lines().all(|answer| answer == only))
    });
    server.delete_cluster();
}

#[test]
fn an_image_that_is_not_there_is_said_so() {
    let mut server = Server::start(&["--runtime", "docker", "--nodes", "1"]);
    server.until("get serviceaccounts default", |table| !table.is_empty());
    server.ok("run absent --image=playground.invalid/no-such-image:1.0.0 --image-pull-policy=IfNotPresent");
    server.until("get pod absent", |table| table.contains("ErrImagePull") || table.contains("ImagePullBackOff"));
    server.until("describe pod absent", |text| {
        text.contains("Failed to pull image \"playground.invalid/no-such-image:1.0.0\"")
    });
    server.ok("delete pod absent");
    eventually("no container is left", || containers("_absent_default_").is_empty().then_some(()));
    server.delete_cluster();
}

/// A node whose folder of seccomp profiles is elsewhere, as the tutorial has it.
const WITH_PROFILES: &str = "
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes:
- role: control-plane
  extraMounts: [{hostPath: FOLDER, containerPath: /var/lib/kubelet/seccomp/profiles}]
";

const CONFINED: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: key}
stringData: {key: opens}
---
apiVersion: v1
kind: Pod
metadata: {name: memory}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: a, image: "playground-test/net:1", volumeMounts: [{name: cache, mountPath: /cache}]}
  - {name: b, image: "playground-test/net:1", volumeMounts: [{name: cache, mountPath: /there, readOnly: true}]}
  volumes: [{name: cache, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]
---
apiVersion: v1
kind: Pod
metadata: {name: of-image}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: playground-test/net:1
    volumeMounts: [{name: files, mountPath: /files}, {name: files, mountPath: /part, subPath: bin}]
  volumes: [{name: files, image: {reference: "playground-test/files:1", pullPolicy: Never}}]
---
apiVersion: v1
kind: Pod
metadata: {name: of-no-image}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: "playground-test/net:1", volumeMounts: [{name: files, mountPath: /files}]}]
  volumes: [{name: files, image: {reference: "playground-test/nowhere:1", pullPolicy: Never}}]
---
apiVersion: v1
kind: Pod
metadata: {name: group}
spec:
  securityContext: {runAsUser: 1000, fsGroup: 2000}
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: "playground-test/net:1", volumeMounts: [{name: key, mountPath: /key}, {name: work, mountPath: /work}]}
  volumes: [{name: key, secret: {secretName: key, defaultMode: 0400}}, {name: work, emptyDir: {}}]
---
apiVersion: v1
kind: Pod
metadata: {name: profiles}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: unsaid, image: "playground-test/net:1"}
  - {name: default, image: "playground-test/net:1", securityContext: {seccompProfile: {type: RuntimeDefault}}}
  - name: own
    image: playground-test/net:1
    securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/no-chmod.json}}
---
apiVersion: v1
kind: Pod
metadata: {name: no-profile}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {seccompProfile: {type: Localhost, localhostProfile: profiles/missing.json}}
  containers: [{name: c, image: "playground-test/net:1"}]
---
apiVersion: v1
kind: Pod
metadata: {name: no-apparmor}
spec:
  terminationGracePeriodSeconds: 0
  securityContext: {appArmorProfile: {type: Localhost, localhostProfile: missing}}
  containers: [{name: c, image: "playground-test/net:1"}]
"#;

#[test]
fn memory_groups_profiles_and_a_node_that_is_gone() {
    image("playground-test/net:1", "sleep 100000");
    image("playground-test/files:1", "sleep 1");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["chmod", "fchmod", "fchmodat", "fchmodat2"], "action": "SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(folder.path().join("no-chmod.json"), profile).expect("a file");
    let config = folder.path().join("kind.yaml");
    let text = WITH_PROFILES.replace("FOLDER", &folder.path().display().to_string());
    std::fs::write(&config, text).expect("a file");
    let mut server = Server::start(&["--runtime", "docker", "--config", &config.display().to_string()]);
    server.until("get serviceaccounts default", |table| !table.is_empty());
    server.apply(CONFINED);
    server.until("get pods", |table| {
        let runs = |ready: &str| table.matches(&format!("{ready}     Running")).count();
        (runs("1/1"), runs("2/2"), runs("3/3")) == (2, 1, 1)
    });
    let said = |line: &[&str]| {
        let output = server.command(&[&["exec"], line].concat()).output().expect("kubectl");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };

    // Memory: of the size that was asked for, the same for all containers, and there as long as the pod.
    said(&["memory", "-c", "a", "--", "sh", "-c", "echo kept > /cache/x"]);
    assert_eq!(said(&["memory", "-c", "b", "--", "cat", "/there/x"]), "kept\n");
    let disks = said(&["memory", "-c", "a", "--", "busybox", "df", "-P", "/cache"]);
    assert!(disks.contains("tmpfs") && disks.contains(" 1024 "), "{disks}");
    let full =
        said(&["memory", "-c", "a", "--", "busybox", "dd", "if=/dev/zero", "of=/cache/big", "bs=64k", "count=99"]);
    assert!(full.contains("No space left on device"), "{full}");
    docker(&["kill", containers("^/k8s_a_memory_").first().expect("the container")]);
    server.until("get pod memory", |table| table.contains("2/2     Running   1"));
    assert_eq!(said(&["memory", "-c", "a", "--", "cat", "/cache/x"]), "kept\n");

    // What an image holds, which nobody changes.
    let line = "busybox ls /files/bin/busybox /part/busybox; echo x > /files/x";
    let files = said(&["of-image", "--", "sh", "-c", line]);
    let expected = "/files/bin/busybox\n/part/busybox\n";
    assert!(files.starts_with(expected) && files.contains("Read-only file system"), "{files}");
    server.until("describe pod of-no-image", |text| {
        text.contains(
            "MountVolume.SetUp failed for volume \"files\" : Container image \"playground-test/nowhere:1\" is not \
             present with pull policy of Never",
        )
    });

    // The group of a pod's volumes.
    assert_eq!(said(&["group", "--", "cat", "/key/key"]), "opens");
    let listing = said(&["group", "--", "sh", "-c", "echo x > /work/x; busybox ls -ln /work"]);
    // Files are given to a group by root alone.
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    assert!(listing.contains("1000     2000") || !is_root, "{listing}");

    // What may be asked of the kernel.
    let filters = |container: &str| said(&["profiles", "-c", container, "--", "cat", "/proc/self/status"]);
    for (container, expected) in [("unsaid", "Seccomp:\t0\n"), ("default", "Seccomp:\t2\n"), ("own", "Seccomp:\t2\n")] {
        assert!(filters(container).contains(expected), "{container}");
    }
    let refused = said(&["profiles", "-c", "own", "--", "busybox", "chmod", "700", "/tmp"]);
    assert!(refused.contains("Operation not permitted"), "{refused}");
    server.until("describe pod no-profile", |text| {
        text.contains("cannot load seccomp profile \"/var/lib/kubelet/seccomp/profiles/missing.json\"")
    });
    if !docker(&["info", "--format", "{{.SecurityOptions}}"]).contains("apparmor") {
        server.until("describe pod no-apparmor", |text| {
            text.contains("Cannot enforce AppArmor: AppArmor is not enabled on the host")
        });
    }

    // A node without power does not answer.
    let node = "playground-control-plane";
    let address = server.ok(&format!("get node {node} -o jsonpath={{.status.addresses[0].address}}"));
    server.playground(&["node", "stop", node]);
    let why = format!("dial tcp {address}:10250: connect: no route to host");
    eventually("exec says that nobody answers", || {
        said(&["group", "--", "true"]).contains(&format!("error dialing backend: {why}")).then_some(())
    });
    let (_, log) = server.fails("logs group");
    assert!(log.contains(&format!("Get \"https://{address}:10250/containerLogs/default/group/c\": {why}")), "{log}");
    server.delete_cluster();
}
