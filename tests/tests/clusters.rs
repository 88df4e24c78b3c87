//! Clusters in the background, as kind makes them: `create`, `get`, `load`, `export`, `status`, `stop`,
//! `start`, `delete`.

use std::path::PathBuf;
use std::process::{Command, Output};

use playground_tests::{binary, curl, docker, eventually, image};
use tempfile::TempDir;

/// A user with a home of their own, whose clusters end with them.
struct User {
    home: TempDir,
}

impl User {
    fn new() -> Self {
        Self { home: TempDir::new().expect("a temporary folder") }
    }

    fn command(&self, program: &str, line: &str) -> Output {
        let mut command = Command::new(if program == "playground" { binary() } else { program.into() });
        command.args(line.split_whitespace()).current_dir(self.home.path());
        command.env("HOME", self.home.path()).env_remove("XDG_DATA_HOME").env_remove("KUBECONFIG");
        command.output().expect(program)
    }

    fn ok(&self, program: &str, line: &str) -> String {
        let output = self.command(program, line);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {line}: {errors}");
        format!("{}{errors}", String::from_utf8_lossy(&output.stdout))
    }

    fn playground(&self, line: &str) -> String {
        self.ok("playground", line)
    }

    fn kubectl(&self, line: &str) -> String {
        self.ok("kubectl", line)
    }

    fn fails(&self, line: &str) -> String {
        let output = self.command("playground", line);
        assert!(!output.status.success(), "{line} should fail");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    fn until(&self, line: &str, wanted: impl Fn(&str) -> bool) {
        eventually(line, || {
            let output = self.command("kubectl", line);
            wanted(&String::from_utf8_lossy(&output.stdout)).then_some(())
        });
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = self.command("playground", "delete clusters --all");
    }
}

const SIMULATED: &str = "
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: tiny
featureGates: {Something: true}
networking: {podSubnet: 10.200.0.0/16}
nodes:
- role: control-plane
  image: kindest/node:v1.30.0
- role: worker
  labels: {tier: front}
  extraPortMappings: [{containerPort: 30991, hostPort: 30990, listenAddress: 127.0.0.1}]
";

#[test]
fn simulated_clusters_side_by_side() {
    let user = User::new();
    assert!(user.playground("get clusters").contains("No clusters found"));
    user.write("kind.yaml", SIMULATED);
    let said = user.playground("create cluster --runtime sim --config kind.yaml");
    for line in [
        "Creating cluster \"tiny\" ...",
        "featureGates is not heeded: features are as they are by default",
        "nodes[].image is not heeded: nodes need no image",
        "2 nodes are ready",
        "Set kubectl context to \"playground-tiny\"",
        "kubectl cluster-info --context playground-tiny",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let said = user.playground("create cluster --runtime sim --nodes 1 --sim-nodes 4");
    assert!(said.contains("5 nodes are ready"), "{said}");
    assert!(user.fails("create cluster -n tiny").contains("there is one with the name \"tiny\" already"));
    assert!(user.fails("create cluster -n Big").contains("is not a valid cluster name"));
    assert_eq!(user.playground("get clusters"), "playground\ntiny\n");
    assert_eq!(user.playground("get nodes -n tiny"), "tiny-control-plane\ntiny-worker\n");
    assert_eq!(user.playground("get nodes -A").lines().count(), 7);

    // Contexts in the one file, the last one current.
    assert_eq!(user.kubectl("config current-context"), "playground\n");
    let worker = "--context playground-tiny get node tiny-worker -o";
    assert_eq!(user.kubectl(&format!("{worker} jsonpath={{.metadata.labels.tier}}")), "front");
    assert_eq!(user.kubectl(&format!("{worker} jsonpath={{.spec.podCIDR}}")), "10.200.1.0/24");
    assert!(user.playground("get kubeconfig -n tiny").contains("current-context: playground-tiny"));
    user.playground("export kubeconfig -n tiny --kubeconfig other");
    assert!(user.kubectl("--kubeconfig other get nodes").contains("tiny-worker"));

    // A port of this machine leads to the node's.
    user.kubectl("--context playground-tiny create deployment web --image nginx");
    user.write("service.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30991}]}\n");
    user.kubectl("--context playground-tiny apply -f service.yaml");
    assert!(eventually("the port answers", || curl("http://127.0.0.1:30990/")).contains("nginx"));

    // Stopped and started, it is what it was; logs, status.
    let status = user.playground("status");
    assert!(status.contains("2/2 ready") && status.contains("5/5 ready") && status.contains("MiB"), "{status}");
    let logs = user.playground("export logs -n tiny out");
    assert!(logs.contains("out"), "{logs}");
    let pods = user.home.path().join("out/tiny-worker/pods");
    let pod = std::fs::read_dir(pods)
        .expect("pods")
        .flatten()
        .find(|entry| entry.file_name().to_string_lossy().contains("_web-"));
    assert!(pod.expect("a pod's logs").path().join("nginx/0.log").is_file());
    assert!(user.home.path().join("out/objects/events.json").is_file());
    let server =
        user.kubectl("--context playground-tiny config view --minify -o jsonpath={.clusters[0].cluster.server}");

    // A simulated node is switched off and on; it is the shorter name, as kind's `docker stop` would have it.
    let faults = || user.kubectl("--context playground-tiny get --raw /playground/v1/faults");
    user.playground("node stop -n tiny worker");
    assert!(faults().contains("tiny-worker"), "{}", faults());
    user.playground("node start -n tiny tiny-worker");
    assert!(!faults().contains("tiny-worker"), "{}", faults());
    assert!(user.fails("node stop -n tiny nobody").contains("it has tiny-control-plane, tiny-worker"));

    // Nobody reads what a command says: it ends without a word, as by SIGPIPE.
    let (reader, closed) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut unread = Command::new(binary());
    unread.args(["get", "nodes", "-n", "tiny"]).env("HOME", user.home.path()).env_remove("XDG_DATA_HOME");
    let ended = unread.stdout(closed).output().expect("playground");
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(141), &b""[..]), "{ended:?}");

    assert!(user.playground("stop cluster -n tiny").contains("is stopped"));
    assert!(user.playground("status").contains("Stopped"));
    assert!(user.playground("get nodes -n tiny").contains("tiny-worker"));
    assert!(user.playground("start cluster -n tiny").contains(&server));
    assert!(user.kubectl("--context playground-tiny get deployments").contains("web"));
    assert!(user.fails("load docker-image -n tiny nginx").contains("simulated"));

    user.playground("delete cluster -n tiny");
    assert_eq!(user.playground("get clusters"), "playground\n");
    assert_eq!(user.kubectl("config get-contexts -o name"), "playground\n");
    // As with kind, what is not there is deleted; it is told.
    let again = user.command("playground", "delete cluster -n tiny");
    assert!(again.status.success(), "{again:?}");
    let told = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(told.contains("there is no cluster \"tiny\": there is playground"), "{told}");
    user.playground("delete clusters --all");
    assert!(!user.home.path().join(".local/share/playground").exists());
}

#[test]
fn what_cannot_be_made_says_why_and_leaves_nothing() {
    let user = User::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let head = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";
    user.write("taken.yaml", &format!("{head}networking: {{apiServerPort: {port}}}\n"));
    let said = user.fails("create cluster --runtime sim --config taken.yaml");
    assert!(said.contains(&format!("failed to create cluster: 127.0.0.1:{port} is in use")), "{said}");
    for (text, wanted) in [
        ("nodes: [{role: worker}]", "must have at least one control-plane node"),
        ("networking: {podSubnet: 10.244.0.0/24}", "cannot be used: give an IPv4 range of /16"),
        ("node: []", "field node not found in type v1alpha4.Cluster"),
        ("nodes: [{role: boss}]", "\"boss\" is not a valid node role"),
    ] {
        user.write("wrong.yaml", &format!("{head}{text}\n"));
        let said = user.fails("create cluster --runtime sim --config wrong.yaml");
        assert!(said.contains(wanted), "{said}");
    }
    assert!(user.fails("create cluster --config nothing.yaml").contains("error reading file: open nothing.yaml"));
    assert!(user.playground("get clusters").contains("No clusters found"));
    for shell in ["bash", "zsh", "fish"] {
        assert!(user.playground(&format!("completion {shell}")).contains("docker-image"));
    }
}

const PODS: &str = "
apiVersion: v1
kind: Pod
metadata: {name: real, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: c, image: playground-test/clusters:1, ports: [{containerPort: 8080}], volumeMounts: [{name: shared, mountPath: /mnt}]}
  volumes: [{name: shared, hostPath: {path: /mnt/shared}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30993}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, annotations: {nginx.ingress.kubernetes.io/rewrite-target: /}}
spec:
  rules: [{http: {paths: [{path: /shop, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: fake}
spec:
  replicas: 50
  selector: {matchLabels: {app: fake}}
  template:
    metadata: {labels: {app: fake}}
    spec:
      nodeSelector: {type: kwok}
      tolerations: [{key: kwok.x-k8s.io/node, operator: Exists}]
      containers: [{name: c, image: nginx}]
";

const TLS: &str = "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: secure, annotations: {nginx.ingress.kubernetes.io/rewrite-target: /}}
spec:
  tls: [{hosts: [shop.example], secretName: shop-tls}]
  rules:
  - host: shop.example
    http: {paths: [{path: /shop, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}
";

#[test]
fn real_and_simulated_nodes_in_one_cluster() {
    image(
        "playground-test/clusters:1",
        "mkdir -p /www && echo real > /www/index.html && echo listening && exec httpd -f -p 8080 -h /www",
    );
    let user = User::new();
    user.write(
        "kind.yaml",
        "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnetworking: {serviceSubnet: 10.100.0.0/16}\n\
         nodes:\n- role: control-plane\n  extraPortMappings: [{containerPort: 30993, hostPort: 30992}, \
         {containerPort: 80, hostPort: 30994}, {containerPort: 443, hostPort: 30995}]\n- role: worker\n  \
         extraMounts: [{hostPath: shared, containerPath: /mnt/shared, readOnly: true}]\n",
    );
    std::fs::create_dir(user.home.path().join("shared")).expect("a folder");
    user.write("shared/word", "mounted");
    let name = format!("mixed-{}", std::process::id());
    let said = user.playground(&format!("create cluster -n {name} --runtime docker --config kind.yaml --sim-nodes 20"));
    assert!(said.contains("22 nodes are ready"), "{said}");

    // What a build has made is on the nodes.
    let said = user.playground(&format!("load docker-image -n {name} playground-test/clusters:1"));
    assert!(said.contains("found to be already present on all nodes"), "{said}");
    let said = user.fails(&format!("load docker-image -n {name} playground-test/none:1"));
    assert!(said.contains("image: \"playground-test/none:1\" not present locally"), "{said}");

    user.write("pods.yaml", PODS);
    user.write("tls.yaml", TLS);
    user.kubectl("apply -f pods.yaml");
    user.until("get pod real -o wide", |table| table.contains("1/1     Running") && table.contains("-worker "));
    user.until("get deployment fake", |table| table.contains("50/50"));
    let nodes = user.kubectl("get pods -l app=fake -o jsonpath={.items[*].spec.nodeName}");
    assert!(nodes.split_whitespace().all(|node| node.starts_with(&format!("{name}-sim"))), "{nodes}");
    assert!(eventually("the mapped port answers", || curl("http://127.0.0.1:30992/")).contains("real"));
    assert!(user.kubectl("logs real").contains("listening"));
    let ingress = eventually("the Ingress answers", || curl("http://localhost:30994/shop/"));
    assert!(ingress.contains("real"), "{ingress}");
    assert_eq!(curl("http://localhost:30994/nowhere"), None);
    user.until("get ingress shop", |table| table.contains("localhost"));
    assert!(user.kubectl("get service web").contains(" 10.100."));

    // TLS: the certificate of the host that is asked for, else the controller's own; changed with its Secret.
    let make = |host: &str| {
        let name = format!("/CN={host}");
        let names = format!("subjectAltName=DNS:{host}");
        let form = ["req", "-x509", "-nodes", "-days", "30", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let files = ["-keyout", "tls.key", "-out", "tls.crt", "-subj", &name, "-addext", &names];
        let made = Command::new("openssl").args(form).args(files).current_dir(user.home.path()).output();
        assert!(made.expect("openssl").status.success());
    };
    let https = |flags: &str| {
        let at = "--resolve shop.example:30995:127.0.0.1 https://shop.example:30995/shop/";
        let output = user.command("curl", &format!("-sS --max-time 10 {flags} {at}"));
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    make("shop.example");
    user.kubectl("create secret tls shop-tls --cert=tls.crt --key=tls.key");
    user.kubectl("apply -f tls.yaml");
    eventually("the host's certificate", || https("--cacert tls.crt").contains("real").then_some(()));
    assert!(https("").contains("self-signed certificate"), "{}", https(""));
    assert!(user.kubectl("describe ingress secure").contains("shop-tls terminates shop.example"));
    let head = user.ok("curl", "-sI -H Host:shop.example http://localhost:30994/shop/x?y=z");
    assert!(head.contains("308") && head.contains("location: https://shop.example/shop/x?y=z"), "{head}");
    user.kubectl("delete secret shop-tls");
    let fake = "Kubernetes Ingress Controller Fake Certificate";
    eventually("the controller's own certificate", || https("-kv").contains(fake).then_some(()));
    make("shop.example");
    user.kubectl("create secret tls shop-tls --cert=tls.crt --key=tls.key");
    eventually("the new certificate", || https("--cacert tls.crt").contains("real").then_some(()));

    // What the node has of this machine.
    assert_eq!(user.kubectl("exec real -- cat /mnt/word"), "mounted");
    let written = user.command("kubectl", "exec real -- mkdir /mnt/folder");
    assert!(String::from_utf8_lossy(&written.stderr).contains("Read-only file system"), "{written:?}");
    assert!(user.kubectl("logs deployment/fake").contains("nginx") || !user.kubectl("logs deployment/fake").is_empty());

    // Stopped, its containers go on; started, they are what they were.
    let own = format!("label=playground.cluster={name}");
    let running = || docker(&["ps", "--no-trunc", "--quiet", "--filter", &own]);
    let before = running();
    user.playground(&format!("stop cluster -n {name}"));
    assert_eq!(running(), before);
    user.playground(&format!("start cluster -n {name}"));
    user.until("get pods", |table| table.matches("1/1     Running").count() == 51);
    assert_eq!(running(), before);

    let logs = user.playground(&format!("export logs -n {name}"));
    let folder = logs.lines().find(|line| line.starts_with('/')).expect("a folder").to_owned();
    assert!(std::fs::read_to_string(format!("{folder}/docker-info.txt")).is_ok_and(|text| text.contains("k8s_c_real")));
    std::fs::remove_dir_all(folder).expect("the logs");
    user.playground(&format!("delete cluster -n {name}"));
    assert_eq!(docker(&["ps", "--all", "--quiet", "--filter", &own]), "");
    assert_eq!(docker(&["network", "ls", "--quiet", "--filter", &own]), "");
}
