//! A cluster is saved and goes on: now, and as of a revision.

use machinery::wire::Body;
use playground_core::{Cluster, NodeOptions, Options, Saved, Versions};

use crate::lab::Lab;
use crate::test;

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
fn services_of_nodes_stay_stopped() {
    let lab = Lab::new(3);
    lab.ok("ssh hello-worker systemctl stop containerd");
    lab.ok("ssh hello-worker2 systemctl stop kubelet");
    lab.until("kubectl get nodes", |table| table.matches("NotReady").count() == 2);
    let saved = save(&lab, "");
    let lab = Lab { cluster: Cluster::new(Options::resume(&saved, 99).expect("a saved cluster")).expect("it goes on") };
    lab.pass(std::time::Duration::from_secs(120));
    assert_eq!(lab.ok("kubectl get nodes").matches("NotReady").count(), 2);
    for (node, unit) in [("hello-worker", "containerd"), ("hello-worker2", "kubelet")] {
        assert_eq!(lab.run(&format!("ssh {node} systemctl is-active {unit}")).stdout, "inactive\n");
        lab.ok(&format!("ssh {node} systemctl start {unit}"));
    }
    lab.until("kubectl get nodes", |table| !table.contains("NotReady"));
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

/// Nothing has restarted in a fork that had not then: the containers are those of that revision, whatever has become
/// of them since.
#[test]
fn a_fork_has_the_containers_of_its_revision() {
    const CONTAINERS: &str = "kubectl get pods -A -o jsonpath='{range .items[*]}{.metadata.name} {.status.podIP} \
        {.status.containerStatuses[*].restartCount} {.status.containerStatuses[*].containerID} \
        {.status.containerStatuses[*].lastState.terminated.exitCode}{\"\\n\"}{end}'";
    let lab = shop();
    lab.ok("kubectl exec deployment/web -- sh -c 'kill 1'");
    lab.until("kubectl get pods", |table| table.contains("Running   1 (") && table.matches("1/1").count() == 3);
    let revision = lab.cluster.api().store().revision();
    let before = lab.ok(CONTAINERS);
    let time = lab.cluster.now();
    // One restarts once more, the others go.
    lab.fault(
        r#"{"kind":"containerCrash","pod":"kube-system/kube-scheduler-hello-control-plane","container":"kube-scheduler"}"#,
    );
    lab.until("kubectl get pods -n kube-system", |table| table.contains("Running   1 ("));
    lab.ok("kubectl delete deployment/web");
    lab.until("kubectl get pods", |table| table.is_empty());
    let fork = resume(&save(&lab, &format!("?revision={revision}&time={time}")));
    fork.until("kubectl get deployment web", |table| table.contains("3/3"));
    fork.until(CONTAINERS, |now| now == before);
    fork.until("kubectl get pods -n kube-system", |table| !table.contains("0/1"));
    goes_on(&fork);
    assert_eq!(fork.ok("kubectl get events -A -o name --field-selector reason=SandboxChanged"), "");
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

/// A part of the cluster that has no pods does not run after a reload either, and begins with its first.
#[test]
fn parts_without_pods_stay_stopped() {
    let lab = Lab::new(2);
    lab.ok("kubectl run web --image=nginx --expose --port=80");
    lab.ok("kubectl run tool --image=busybox --command -- sleep 1d");
    lab.ok("kubectl wait --for=condition=Ready pod/web pod/tool --timeout=120s");
    lab.ok("kubectl get daemonset kindnet -n kube-system -o yaml | grep -v resourceVersion > kindnet.yaml");
    lab.ok("kubectl delete daemonset kindnet -n kube-system");
    lab.ok("kubectl scale deployment local-path-provisioner -n local-path-storage --replicas=0");
    lab.until("kubectl get pods -A", |table| !table.contains("kindnet") && !table.contains("local-path"));
    lab.ok("ssh hello-control-plane mv /etc/kubernetes/manifests/kube-scheduler.yaml /root/");
    lab.until("kubectl get pods -n kube-system", |table| !table.contains("kube-scheduler"));

    let lab = resume(&save(&lab, ""));
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 2);
    lab.ok("kubectl apply -f https://k8s.io/examples/service/networking/network-policy-default-deny-ingress.yaml");
    lab.apply(
        "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: late}
spec:
  containers: [{name: c, image: nginx, volumeMounts: [{name: data, mountPath: /data}]}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
",
    );
    lab.pass(std::time::Duration::from_secs(30));
    let ask = "kubectl exec tool -- wget -qO- -T 2 http://web || echo refused";
    assert!(lab.ok(ask).contains("Welcome to nginx!"), "nobody is there to enforce the policy");
    let late = lab.ok("kubectl describe pod late");
    assert!(late.contains("Node:             <none>"), "nobody is there to schedule it: {late}");
    lab.ok("ssh hello-control-plane mv /root/kube-scheduler.yaml /etc/kubernetes/manifests/");
    lab.pass(std::time::Duration::from_secs(60));
    assert!(lab.ok("kubectl get pvc data").contains("Pending"), "nobody is there to make the volume");
    lab.ok("kubectl scale deployment local-path-provisioner -n local-path-storage --replicas=1");
    lab.until("kubectl get pod late", |table| table.contains("1/1"));
    lab.ok("kubectl create -f kindnet.yaml");
    lab.until(ask, |page| page.contains("refused"));
}

#[test]
fn what_is_no_saved_cluster_is_refused() {
    for bytes in ["", "{}\n", "{\"playground\":2,\"now\":\"2026-01-01T00:00:00Z\"}\n", "GIF89a\n"] {
        assert!(Options::resume(bytes.as_bytes(), 1).is_err(), "{bytes}");
    }
    let saved = save(&Lab::new(1), "");
    assert!(Options::resume(&saved[..saved.len() - 1], 1).is_err());
}

const WRITER: &str = "apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
---
apiVersion: v1
kind: Pod
metadata: {name: writer}
spec:
  containers:
  - name: c
    image: busybox:1.36
    command: [sh, -c, 'echo began; exec sleep 100000']
    volumeMounts:
    - {name: claim, mountPath: /claim}
    - {name: host, mountPath: /host}
    - {name: empty, mountPath: /empty}
    - {name: memory, mountPath: /memory}
  volumes:
  - {name: claim, persistentVolumeClaim: {claimName: data}}
  - {name: host, hostPath: {path: /srv/files, type: DirectoryOrCreate}}
  - {name: empty, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory}}
";

/// As after a reboot of its node: volumes and images are there, memory and what the container wrote are not, and the
/// kubelet counts a restart.
#[test]
fn files_of_volumes_outlive_their_nodes() {
    let lab = Lab::new(3);
    lab.apply(WRITER);
    lab.until("kubectl get pod writer", |table| table.contains("1/1"));
    lab.ok("kubectl exec writer -- sh -c 'for d in claim host empty memory tmp; do echo $d > /$d/file; done'");
    lab.ok("kubectl exec writer -- sh -c 'chmod 600 /claim/file; ln -s file /claim/link'");
    let uid = lab.ok("kubectl get pod writer -o jsonpath={.metadata.uid}");
    let lab = resume(&save(&lab, ""));
    lab.until("kubectl get pod writer", |table| table.contains("1/1") && table.contains("Running   1 ("));
    assert_eq!(lab.ok("kubectl get pod writer -o jsonpath={.metadata.uid}"), uid);
    assert_eq!(lab.ok("kubectl exec writer -- cat /claim/link /host/file /empty/file"), "claim\nhost\nempty\n");
    assert_eq!(lab.ok("kubectl exec writer -- stat -c %a /claim/file"), "600\n");
    lab.fails("kubectl exec writer -- cat /memory/file");
    lab.fails("kubectl exec writer -- cat /tmp/file");
    assert_eq!(lab.ok("kubectl logs writer --previous"), "began\n");
    let told = lab.ok("kubectl describe pod writer");
    for part in ["Reason:       Unknown", "Exit Code:    255", "already present on machine", "SandboxChanged"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    // A link shows the files too, on nodes that are new.
    let lab = resume(&save(&lab, "?slim=true"));
    lab.until("kubectl get pod writer", |table| table.contains("1/1"));
    assert_eq!(lab.ok("kubectl exec writer -- cat /claim/link /host/file /empty/file"), "claim\nhost\nempty\n");
    // What is gone stays gone.
    lab.ok("kubectl delete pod writer --now");
    lab.ok("kubectl delete pvc data");
    let lab = resume(&save(&lab, ""));
    lab.apply(WRITER);
    lab.until("kubectl get pod writer", |table| table.contains("1/1"));
    assert_eq!(lab.ok("kubectl exec writer -- cat /host/file"), "host\n");
    lab.fails("kubectl exec writer -- cat /claim/file");
    lab.fails("kubectl exec writer -- cat /empty/file");
}

#[test]
fn the_learners_computer_goes_on() {
    let lab = Lab::new(1);
    lab.ok("mkdir -p site && echo 'built here' > site/index.html && printf 'FROM nginx\\nCOPY index.html /usr/share/nginx/html/\\n' > site/Dockerfile");
    lab.ok("docker build -t mine:1 site");
    lab.ok("docker run -d --name web -p 8080:80 mine:1");
    lab.ok("docker exec web sh -c 'echo added > /usr/share/nginx/html/more.html'");
    lab.ok("docker run --name once busybox sh -c 'echo done; exit 3' || true");
    lab.ok("kind create cluster --name two");
    lab.ok("kind load docker-image mine:1 --name two");
    lab.until("kubectl get nodes", |table| table.contains(" Ready "));
    lab.apply(WRITER);
    lab.ok("kubectl create deployment site --image=mine:1");
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 2);
    lab.ok("kubectl exec writer -- sh -c 'echo kept > /claim/file'");
    lab.ok("minikube start");
    lab.ok("minikube stop");

    let lab = Lab { cluster: Cluster::new(Options::resume(&save(&lab, ""), 5).unwrap()).unwrap() };
    assert_eq!(lab.ok("kind get clusters"), "two\n");
    assert!(lab.ok("cat site/Dockerfile").starts_with("FROM nginx\n"));
    lab.until("curl -s localhost:8080/", |page| page == "built here\n");
    assert_eq!(lab.ok("curl -s localhost:8080/more.html"), "added\n");
    let listed = lab.ok("docker ps -a");
    assert!(listed.contains("Exited (3)") && listed.contains("two-control-plane"), "{listed}");
    assert_eq!(lab.ok("docker logs once"), "done\n");
    lab.ok("docker restart web");
    lab.until("curl -s localhost:8080/more.html", |page| page == "added\n");
    lab.ok("kubectl config use-context kind-two");
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 2);
    assert_eq!(lab.ok("kubectl exec writer -- cat /claim/file"), "kept\n");
    assert!(lab.run("minikube status").stdout.contains("host: Stopped"));
    lab.ok("minikube start");
    lab.until("kubectl get nodes", |table| table.contains("minikube   Ready"));
}

/// As a host does that keeps parts one by one, and looks at its start which of them nobody has any more.
#[test]
fn disks_of_what_is_not_started_are_kept() {
    let lab = Lab::bare(3);
    let all = lab.cluster.save_disks(&mut Versions::new());
    let mut parts: Vec<_> = all.into_iter().filter_map(|(name, bytes)| Some((name, bytes?.into()))).collect();
    // A cluster of kind's that cannot be read, and what belongs to nobody.
    let (lost, nobody) = ("cluster/kind/lost/about", "node/nobody/host");
    parts.extend([lost, nobody].map(|name| (name.to_owned(), b"of another time".to_vec().into())));
    let mut known: Versions = parts.iter().map(|(name, _)| (name.clone(), u64::MAX)).collect();
    known.sort();
    assert!(known.iter().any(|(name, _)| name.starts_with("node/hello-worker2/")), "{known:?}");

    let store = lab.cluster.api().store().clone();
    let base = Options::new(store, lab.cluster.now(), 8);
    let nodes = NodeOptions::cluster("hello", 1);
    let lab = Lab { cluster: Cluster::new(Options { nodes, saved: Saved::new(parts), ..base }).unwrap() };
    known.retain(|(name, _)| !lab.cluster.leaves_alone(name));
    let changed = lab.cluster.save_disks(&mut known);
    let gone = |name: &str| changed.iter().any(|(part, bytes)| part == name && bytes.is_none());
    assert!(gone(nobody) && !gone(lost), "{changed:?}");
    assert!(!changed.iter().any(|(name, _)| name.starts_with("node/hello-worker")), "{changed:?}");
    assert!(changed.iter().any(|(name, bytes)| name == lost && bytes.is_some()), "{changed:?}");
}
