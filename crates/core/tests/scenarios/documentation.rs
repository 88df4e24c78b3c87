//! Manifests of the documentation's concepts and tasks pages, driven to what those pages promise.

use crate::lab::Lab;
use crate::test;

fn apply(lab: &Lab, path: &str) {
    lab.ok(&format!("kubectl apply -f https://k8s.io/examples/{path}"));
}

/// Waits until a pod is in a state, which stands in its row.
fn pod(lab: &Lab, name: &str, state: &str) {
    lab.until(&format!("kubectl get pod {name} --no-headers"), |row| row.contains(state));
}

/// "Handling retriable and non-retriable pod failures", "Backoff limit per index", "Success policy".
#[test]
fn jobs_and_their_policies() {
    let lab = Lab::new(2);
    for name in [
        "job-backoff-limit-per-index-example",
        "job-backoff-limit-per-index-failindex",
        "job-success-policy",
        "job-pod-failure-policy-failjob",
        "job-pod-failure-policy-config-issue",
    ] {
        apply(&lab, &format!("controllers/{name}.yaml"));
    }
    let status = |job: &str, path: &str| lab.ok(&format!("kubectl get job {job} -o jsonpath='{{.status.{path}}}'"));
    for job in ["job-backoff-limit-per-index-example", "job-backoff-limit-per-index-failindex"] {
        lab.ok(&format!("kubectl wait --for=condition=Failed --timeout=400s job/{job}"));
        assert_eq!(status(job, "conditions[?(@.type==\"Failed\")].reason"), "FailedIndexes", "{job}");
    }
    let indexes = |job: &str| (status(job, "completedIndexes"), status(job, "failedIndexes"));
    assert_eq!(indexes("job-backoff-limit-per-index-example"), ("1,3,5,7,9".into(), "0,2,4,6,8".into()));
    assert_eq!(indexes("job-backoff-limit-per-index-failindex"), ("2,3".into(), "0,1".into()));
    assert_eq!(lab.ok("kubectl logs job/job-backoff-limit-per-index-example 2>/dev/null"), "Hello world\n");
    lab.ok("kubectl wait --for=condition=Complete --timeout=300s job/job-success");
    assert_eq!(status("job-success", "conditions[?(@.type==\"Complete\")].reason"), "SuccessPolicy");
    lab.ok("kubectl wait --for=condition=Failed --timeout=300s job/job-pod-failure-policy-failjob");
    let message = status("job-pod-failure-policy-failjob", "conditions[?(@.type==\"Failed\")].message");
    assert!(message.contains("failed with exit code 42 matching FailJob rule at index 0"), "{message}");
    lab.until("kubectl get pods -l job-name=job-pod-failure-policy-config-issue", |rows| {
        rows.contains("ImagePullBackOff")
    });
}

/// "Connect a Frontend to a Backend", "Debug Services", "Connecting Applications with Services".
#[test]
fn services_between_tiers() {
    let lab = Lab::new(2);
    for name in
        ["access/backend-deployment", "access/backend-service", "access/frontend-deployment", "access/frontend-service"]
    {
        apply(&lab, &format!("service/{name}.yaml"));
    }
    lab.ok("kubectl rollout status deployment/backend deployment/frontend --timeout=200s 2>/dev/null || true");
    lab.until("kubectl exec deploy/frontend -- curl -s http://frontend", |answer| {
        answer == "{\"message\":\"Hello\"}\n"
    });
    lab.ok("kubectl create deployment hostnames --image=registry.k8s.io/serve_hostname --replicas=3");
    lab.ok("kubectl expose deployment hostnames --port=80 --target-port=9376");
    lab.until("kubectl get deployment hostnames", |table| table.contains("3/3"));
    lab.ok("kubectl run box --image=busybox:1.28 -- sleep 1d");
    pod(&lab, "box", "1/1");
    assert!(
        lab.until("kubectl exec box -- wget -qO- hostnames", |answer| !answer.is_empty()).starts_with("hostnames-")
    );
    // nginx speaks TLS with a certificate and a configuration that are mounted.
    lab.ok("mkdir conf && printf 'server {\\n listen 80 default_server;\\n listen 443 ssl;\\n root /usr/share/nginx/html;\\n ssl_certificate /etc/nginx/ssl/tls.crt;\\n ssl_certificate_key /etc/nginx/ssl/tls.key;\\n}\\n' > conf/default.conf");
    lab.ok("kubectl create configmap nginxconfigmap --from-file=conf/default.conf");
    lab.ok(&format!("cat > tls.crt <<'EOF'\n{}EOF", include_str!("fixtures/tls/shop.crt")));
    lab.ok("kubectl create secret generic nginxsecret --from-file=tls.crt --from-literal=tls.key=key");
    apply(&lab, "service/networking/nginx-secure-app.yaml");
    apply(&lab, "service/networking/curlpod.yaml");
    lab.until("kubectl get deployment my-nginx curl-deployment --no-headers", |rows| rows.matches("1/1").count() == 2);
    lab.until("kubectl exec deploy/curl-deployment -- curl -sk https://my-nginx", |page| {
        page.contains("Welcome to nginx!")
    });
    let (_, refused) = lab.fails("kubectl exec deploy/curl-deployment -- curl https://my-nginx");
    assert!(refused.contains("certificate"), "{refused}");
}

/// "Configure Pod Initialization": a page of the world outside is fetched before nginx serves it.
#[test]
fn an_init_container_fetches_a_page() {
    let lab = Lab::new(1);
    apply(&lab, "pods/init-containers.yaml");
    pod(&lab, "init-demo", "1/1");
    assert!(lab.ok("kubectl exec init-demo -- curl -s localhost").contains("home of the first website"));
}

/// "Share Process Namespace between Containers in a Pod".
#[test]
fn a_shared_process_namespace() {
    let lab = Lab::new(1);
    apply(&lab, "pods/share-process-namespace.yaml");
    pod(&lab, "nginx", "2/2");
    let shell = |line: &str| lab.ok(&format!("kubectl exec nginx -c shell -- sh -c '{line}'"));
    let processes = shell("ps ax");
    // The number and the user of a command.
    let of = |processes: &str, command: &str| {
        let line = processes.lines().find(|line| line.ends_with(command)).unwrap_or_default().to_owned();
        let mut words = line.split_whitespace().map(str::to_owned);
        (words.next().unwrap_or_default(), words.next().unwrap_or_default())
    };
    let worker = |processes: &str| of(processes, "nginx: worker process");
    assert_eq!(of(&processes, "/pause"), ("1".into(), "65535".into()), "{processes}");
    let (nginx, user) = of(&processes, "nginx: master process nginx -g daemon off;");
    assert_eq!((user.as_str(), worker(&processes).1.as_str()), ("root", "101"), "{processes}");
    assert!(shell(&format!("head -5 /proc/{nginx}/root/etc/nginx/nginx.conf")).contains("worker_processes"));
    let command = shell(&format!("tr \"\\0\" \" \" < /proc/{nginx}/cmdline"));
    assert_eq!(command, "nginx: master process nginx -g daemon off; ");
    assert_eq!(shell(&format!("cat /proc/{nginx}/comm; ls /proc/1 | head -2")), "nginx\ncmdline\ncomm\n");
    // The master starts another worker when it reads its configuration anew.
    shell(&format!("kill -HUP {nginx}"));
    let is_other = |now: &str| worker(now) != worker(&processes) && !worker(now).0.is_empty();
    lab.until("kubectl exec nginx -c shell -- ps ax", is_other);
    assert!(lab.ok("kubectl logs nginx -c nginx").contains("signal 1 (SIGHUP) received, reconfiguring"));
    assert_eq!(lab.ok("kubectl get pod nginx -o jsonpath='{.status.containerStatuses[*].restartCount}'"), "0 0");
    // What is written to the first process' output is in the container's log.
    lab.ok(&format!("kubectl exec nginx -c nginx -- sh -c 'echo from outside > /proc/{nginx}/fd/1'"));
    assert!(lab.ok("kubectl logs nginx -c nginx").contains("from outside\n"));
}

/// "Debug Running Pods": a node's root, as somebody sees it who has its file system under /host.
#[test]
fn a_node_is_looked_into_by_chroot() {
    let lab = Lab::new(1);
    let node = lab.ok("kubectl get nodes -o jsonpath='{.items[0].metadata.name}'");
    lab.ok(&format!("kubectl debug node/{node} -q --image=busybox -- sleep 1d"));
    let debugger = lab.until("kubectl get pods -o name", |names| names.contains("node-debugger"));
    let debugger = debugger.trim();
    lab.ok(&format!("kubectl wait --for=condition=Ready --timeout=60s {debugger}"));
    let inside = |line: &str| lab.ok(&format!("kubectl exec {debugger} -- chroot /host {line}"));
    assert!(inside("cat /etc/os-release").contains("Debian"));
    assert_eq!(inside("cat /etc/hostname"), format!("{node}\n"));
    assert!(inside("ls /etc/kubernetes/manifests").contains("etcd.yaml\n"));
    let processes = inside("ps ax");
    assert!(processes.contains("/usr/bin/kubelet") && processes.contains("/sbin/init"), "{processes}");
    inside("sh -c 'echo left > /root/note'");
    assert_eq!(lab.ok(&format!("kubectl exec {debugger} -- cat /host/root/note")), "left\n");
    assert!(inside("crictl ps").contains("coredns"));
    // Whoever sees the node's processes sees those of all its pods.
    assert!(processes.contains("/coredns -conf /etc/coredns/Corefile"), "{processes}");
    let missing = lab.fails(&format!("kubectl exec {debugger} -- chroot /nope"));
    assert!(missing.1.contains("chroot: can't change root directory to '/nope'"), "{}", missing.1);
}

/// "Debugging Kubernetes nodes with crictl", "Troubleshooting Clusters": what runs on a node, and its services.
#[test]
fn a_node_is_debugged_with_its_own_tools() {
    let lab = Lab::new(2);
    lab.ok("kubectl run web --image=nginx --env=COLOR=blue");
    pod(&lab, "web", "1/1");
    let on = |line: &str| lab.ok(&format!("ssh hello-worker {line}"));
    let sandbox = on("crictl pods --name web -q").trim().to_owned();
    assert!(on("crictl pods --label run=web").contains("web "));
    let id = on(&format!("crictl ps --pod {sandbox} -q")).trim().to_owned();
    assert!(
        on("crictl ps").starts_with("CONTAINER           IMAGE               CREATED")
            && on("crictl images nginx").contains("docker.io/library/nginx")
    );
    assert_eq!(on(&format!("crictl exec -i {id} cat /etc/hostname")), "web\n");
    assert_eq!(on(&format!("crictl logs --tail=1 {id}")).lines().count(), 1);
    assert!(on(&format!("crictl inspect {id}")).contains("CONTAINER_RUNNING"));
    let endpoint = "--runtime-endpoint unix:///run/containerd/containerd.sock";
    assert_eq!(on(&format!("crictl {endpoint} ps --name web -q")).trim(), id);
    assert!(on("crictl -r unix:///run/containerd/containerd.sock pods -o json").contains("\"items\": ["));
    assert!(on("crictl images -o yaml").contains("repoTags:"));
    assert!(on("crictl ps -aq --last 1").lines().count() == 1 && on("crictl ps -o json").contains("CONTAINER_RUNNING"));
    assert_eq!(on(&format!("crictl exec -s {id} cat /etc/hostname")), "web\n");
    for (line, refusal) in [
        ("crictl ps --nope", "flag provided but not defined: -nope"),
        ("crictl nope", "No help topic for 'nope'"),
        ("crictl rm -f -t 5", "flag provided but not defined: -t"),
        ("crictl stop \"\"", "not found"),
    ] {
        let (code, message) = lab.fails(&format!("ssh hello-worker '{line}'"));
        assert!(code == 1 && message.contains(refusal), "{line}: {message}");
    }
    on("crictl rmi --prune");
    assert!(on("crictl images nginx").contains("docker.io/library/nginx"), "what is used stays");
    assert!(on("crictl stats").contains("nginx") || on("crictl stats").contains("web"));
    // Without its sandbox a pod is made anew, on an address of its own.
    let mut address = lab.ok("kubectl get pod web -o jsonpath='{.status.podIP}'");
    for (restarts, line) in [
        (1, "crictl stopp $(crictl pods --name web --state ready -q)"),
        (2, "crictl rmp -f $(crictl pods --name web --state ready -q)"),
    ] {
        on(&format!("'{line}'"));
        lab.until("kubectl get pod web --no-headers", |row| row.contains(&format!("1/1   Running   {restarts}")));
        let now = lab.ok("kubectl get pod web -o jsonpath='{.status.podIP}'");
        assert_ne!(now, address, "{line}");
        assert!(lab.ok(&format!("ssh hello-worker curl -s {now}")).contains("Welcome to nginx!"));
        address = now;
    }
    assert!(lab.ok("kubectl describe pod web").contains("SandboxChanged"));
    // What is removed or stopped behind the kubelet's back is started again.
    for (restarts, line) in
        [(3, "crictl rm -f $(crictl ps --name web -q)"), (4, "crictl stop $(crictl ps --name web -q)")]
    {
        on(&format!("'{line}'"));
        lab.until("kubectl get pod web --no-headers", |row| row.contains(&format!("1/1   Running   {restarts}")));
    }
    assert!(on("ps ax").contains("nginx: master process") && on("ps ax").contains("/usr/bin/kubelet"));
    let environ = "for p in /proc/[0-9]*; do grep -q COLOR=blue $p/environ && cat $p/comm; done; true";
    assert!(on(&format!("'{environ}'")).contains("nginx"));

    assert!(on("systemctl status kubelet").contains("active (running)"));
    on("sudo systemctl stop kubelet");
    assert_eq!(lab.run("ssh hello-worker systemctl is-active kubelet").stdout, "inactive\n");
    lab.until("kubectl get node hello-worker", |table| table.contains("NotReady"));
    assert!(on("crictl ps").contains("web"), "containers go on without their kubelet");
    on("sudo systemctl start kubelet");
    lab.until("kubectl get node hello-worker", |table| !table.contains("NotReady"));
    on("sudo systemctl disable --now kubelet");
    for (line, answer) in [
        ("systemctl is-active kubelet", (3, "inactive\n")),
        ("systemctl is-enabled kubelet", (1, "disabled\n")),
        ("systemctl is-active nope", (4, "inactive\n")),
        ("systemctl stop", (1, "")),
    ] {
        let output = lab.run(&format!("ssh hello-worker {line}"));
        assert_eq!((output.code, output.stdout.as_str()), answer, "{line}");
    }
    on("sudo systemctl enable --now kubelet");
    assert!(on("systemctl status kubelet").contains("kubelet.service; enabled; preset"));
    on("systemctl stop containerd");
    lab.until("kubectl get node hello-worker", |table| table.contains("NotReady"));
    on("systemctl restart containerd");
    lab.until("kubectl get node hello-worker", |table| !table.contains("NotReady"));
    let journal = on("journalctl -u kubelet --no-pager");
    for line in ["Stopped kubelet.service", "SyncLoop (PLEG): event for pod", "ContainerDied", "default/web"] {
        assert!(journal.contains(line), "{line}: {journal}");
    }
    assert_eq!(on("journalctl -u kubelet -n 2").lines().count(), 2);
    for line in ["journalctl -xeu kubelet", "journalctl -xeukubelet.service", "journalctl --unit kubelet --no-pager"] {
        assert_eq!(on(line), journal, "{line}");
    }
    assert_eq!(on("'journalctl -u kubelet --since \"0 s ago\"'"), "-- No entries --\n");
    let (code, refused) = lab.fails("ssh hello-worker journalctl --nope");
    assert_eq!((code, refused.trim()), (1, "journalctl: unrecognized option '--nope'"));
}

/// "Restrict a Container's Access to Resources with AppArmor".
#[test]
fn an_apparmor_profile_is_of_its_node() {
    let lab = Lab::new(1);
    apply(&lab, "pods/security/hello-apparmor.yaml");
    pod(&lab, "hello-apparmor", "CreateContainerError");
    let events = lab.ok("kubectl describe pod hello-apparmor");
    assert!(events.contains("apparmor profile not found k8s-apparmor-example-deny-write"), "{events}");
    let profile = "profile k8s-apparmor-example-deny-write flags=(attach_disconnected) {\n  file,\n  # Deny all file writes.\n  deny /** w,\n}\n";
    lab.ok(&format!("printf '{profile}' | ssh hello-control-plane sudo apparmor_parser -q"));
    pod(&lab, "hello-apparmor", "1/1");
    let inside = lab.ok("kubectl exec hello-apparmor -- cat /proc/1/attr/current");
    assert_eq!(inside, "k8s-apparmor-example-deny-write (enforce)\n");
    let (_, denied) = lab.fails("kubectl exec hello-apparmor -- touch /tmp/test");
    assert!(denied.contains("Permission denied"), "{denied}");
    lab.ok("kubectl run plain --image=busybox -- sleep 1d");
    pod(&lab, "plain", "1/1");
    assert_eq!(lab.ok("kubectl exec plain -- cat /proc/1/attr/current"), "cri-containerd.apparmor.d (enforce)\n");
    lab.ok("kubectl exec plain -- touch /tmp/test");
}

/// "Run a Replicated Stateful Application".
#[test]
fn a_replicated_mysql() {
    let lab = Lab::new(4);
    for name in ["configmap", "services", "statefulset"] {
        apply(&lab, &format!("application/mysql/mysql-{name}.yaml"));
    }
    lab.until("kubectl get pods -l app=mysql", |table| table.matches("2/2     Running").count() == 3);
    let client = |host: &str, sql: &str| format!("kubectl exec mysql-1 -c mysql -- mysql -h {host} -e \"{sql}\"");
    lab.ok(&client(
        "mysql-0.mysql",
        "CREATE DATABASE test; CREATE TABLE test.messages (message VARCHAR(250)); INSERT INTO test.messages VALUES ('hello');",
    ));
    for server in ["mysql-0.mysql", "mysql-1.mysql", "mysql-2.mysql"] {
        lab.until(&client(server, "SELECT * FROM test.messages"), |rows| rows == "message\nhello\n");
    }
    let servers = "for n in 1 2 3 4 5 6 7 8 9; do mysql -h mysql-read -N -e 'SELECT @@server_id'; done | sort -u";
    lab.until(&format!("kubectl exec mysql-0 -c mysql -- bash -c \"{servers}\""), |ids| ids == "100\n101\n102\n");
    let (_, refused) = lab.fails(&client("mysql-2.mysql", "INSERT INTO test.messages VALUES ('no')"));
    assert!(refused.contains("ERROR 1290 (HY000)") && refused.contains("--super-read-only"), "{refused}");
    // One that is lost comes back with its data, and reads on.
    lab.ok("kubectl delete pod mysql-2");
    lab.ok(&client("mysql-0.mysql", "INSERT INTO test.messages VALUES ('again')"));
    lab.until("kubectl get pod mysql-2", |table| table.contains("2/2"));
    lab.until(&client("mysql-2.mysql", "SELECT * FROM test.messages"), |rows| rows == "message\nhello\nagain\n");
    // Another one copies what there is from the one before.
    lab.ok("kubectl scale statefulset mysql --replicas=4");
    lab.until("kubectl get pod mysql-3", |table| table.contains("2/2"));
    let last = client("mysql-3.mysql", "SELECT * FROM test.messages");
    lab.until(&last, |rows| rows == "message\nhello\nagain\n");
    // A replica that is stopped does nothing, and nothing twice once it goes on; names in strings are no names.
    let words = |sql: &str| lab.ok(&client("mysql-2.mysql", sql));
    words("STOP SLAVE");
    lab.ok(&client("mysql-0.mysql", "USE test; INSERT INTO messages VALUES ('root@mysql.com')"));
    lab.ok("sleep 40");
    assert_eq!(words("SELECT * FROM test.messages"), "message\nhello\nagain\n");
    words("change master to\n  MASTER_PASSWORD=''; START SLAVE");
    lab.until(&client("mysql-2.mysql", "SELECT test.messages.message FROM test.messages"), |rows| {
        rows.ends_with("\nhello\nagain\nroot@mysql.com\n")
    });
    let (_, unknown) = lab.fails(&client("mysql-2.mysql", "STOP SLAVE; CHANGE MASTER TO MASTER_HOME='x'"));
    assert!(unknown.contains("ERROR 1064 (42000)"), "{unknown}");
}

/// "Pod Lifecycle": rules of containers for their restarts, of which one is for all of them.
#[test]
fn containers_have_rules_for_their_restarts() {
    let lab = Lab::new(1);
    apply(&lab, "pods/restart-policy/restart-all-containers.yaml");
    lab.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: rules}
spec:
  restartPolicy: Never
  containers:
  - name: retries
    image: busybox
    command: [sh, -c, 'test -e /data/ran && exit 3; touch /data/ran; exit 42']
    restartPolicy: Never
    restartPolicyRules: [{action: Restart, exitCodes: {operator: In, values: [42]}}]
    volumeMounts: [{name: data, mountPath: /data}]
  volumes: [{name: data, emptyDir: {}}]
",
    );
    let of = |name: &str, path: &str| lab.ok(&format!("kubectl get pod {name} -o jsonpath='{{{path}}}'"));
    lab.until("kubectl get pod rules -o jsonpath='{.status.containerStatuses[0].restartCount}'", |count| count == "1");
    pod(&lab, "rules", "Error");
    assert_eq!(of("rules", ".status.containerStatuses[0].state.terminated.exitCode"), "3");
    pod(&lab, "ml-worker", "2/2");
    let address = of("ml-worker", ".status.podIP");
    let counts = "kubectl get pod ml-worker -o jsonpath='{.status.initContainerStatuses[*].restartCount} {.status.containerStatuses[*].restartCount}'";
    lab.until(counts, |counts| counts == "1 1 1");
    pod(&lab, "ml-worker", "2/2");
    assert_eq!(of("ml-worker", ".status.podIP"), address);
    assert_eq!(of("ml-worker", ".status.conditions[?(@.type==\"AllContainersRestarting\")].status"), "False");
}

/// Volumes of images, variables in files, claims of a pod's own, groups of an image, a root that is read-only.
#[test]
fn what_containers_see() {
    let lab = Lab::new(1);
    for path in
        ["pods/image-volumes.yaml", "pods/inject/envars-file-container.yaml", "pods/security/security-context-5.yaml"]
    {
        apply(&lab, path);
    }
    lab.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: read-only}
spec:
  containers:
  - name: nginx
    image: nginx
    securityContext: {readOnlyRootFilesystem: true}
  - name: other
    image: nginx
    command: [sleep, 1d]
    securityContext: {runAsUser: 1000}
    volumeMounts:
    - {name: disk, mountPath: /disk}
    - {name: memory, mountPath: /memory}
  volumes:
  - {name: disk, emptyDir: {}}
  - {name: memory, emptyDir: {medium: Memory}}
---
apiVersion: v1
kind: Pod
metadata: {name: scratch}
spec:
  containers:
  - name: main
    image: busybox
    command: [sleep, 1d]
    volumeMounts: [{name: space, mountPath: /scratch}]
  volumes:
  - name: space
    ephemeral:
      volumeClaimTemplate:
        metadata: {labels: {type: scratch}}
        spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
",
    );
    pod(&lab, "image-volume", "1/1");
    assert_eq!(lab.ok("kubectl exec image-volume -- sh -c 'cat /volume/dir/file /volume/file'"), "1\n2\n");
    lab.fails("kubectl exec image-volume -- touch /volume/new");
    pod(&lab, "envfile-test-pod", "Completed");
    assert!(lab.ok("kubectl logs envfile-test-pod").contains("DB_ADDRESS=address\n"));
    pod(&lab, "security-context-demo", "1/1");
    assert!(lab.ok("kubectl exec security-context-demo -- id").contains("groups=3000,4000,50000"));
    let log = lab.until("kubectl logs read-only -c nginx", |log| log.contains("[emerg]"));
    assert!(log.contains("mkdir() \"/var/cache/nginx/client_temp\" failed (30: Read-only file system)"), "{log}");
    let (_, refused) = lab.fails("kubectl exec read-only -c other -- nginx");
    assert!(refused.contains("client_temp\" failed (13: Permission denied)"), "{refused}");
    let disks = lab.ok("kubectl exec read-only -c other -- df -h /disk /memory");
    let of = |path: &str| {
        disks
            .lines()
            .find(|line| line.ends_with(path))
            .unwrap_or_default()
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(
        (of(" /disk").as_str(), of(" /memory").as_str(), disks.lines().count()),
        ("/dev/vda1", "tmpfs", 3),
        "{disks}"
    );
    assert!(
        lab.ok("kubectl exec read-only -c other -- cat /proc/mounts").contains("tmpfs /memory tmpfs rw,relatime 0 0\n")
    );
    pod(&lab, "scratch", "1/1");
    assert!(lab.ok("kubectl get pvc -l type=scratch").contains("scratch-space"));
    lab.ok("kubectl delete pod scratch --now");
    lab.until("kubectl get pvc 2>&1", |table| table.contains("No resources found"));
}

/// "Coarse Parallel Processing Using a Work Queue", and first looks at MongoDB and Python.
#[test]
fn queues_and_databases() {
    let lab = Lab::new(1);
    apply(&lab, "application/job/rabbitmq/rabbitmq-service.yaml");
    apply(&lab, "application/job/rabbitmq/rabbitmq-statefulset.yaml");
    apply(&lab, "application/mongodb/mongo-deployment.yaml");
    apply(&lab, "application/mongodb/mongo-service.yaml");
    lab.ok("kubectl run temp --image=ubuntu:22.04 -- sleep 1d");
    lab.ok("kubectl wait --for=condition=Ready --timeout=200s pod/temp pod/rabbitmq-0");
    lab.ok("kubectl exec temp -- sh -c 'apt-get update && apt-get install -y curl ca-certificates amqp-tools python3 dnsutils'");
    let url = "--url=amqp://guest:guest@rabbitmq-service:5672";
    let temp = |line: &str| lab.ok(&format!("kubectl exec temp -- sh -c '{line}'"));
    lab.until(&format!("kubectl exec temp -- amqp-declare-queue {url} -q foo -d"), |name| name == "foo\n");
    temp(&format!("amqp-publish {url} -r foo -p -b Hello"));
    assert_eq!(temp(&format!("amqp-consume {url} -q foo -c 1 cat && echo 1>&2")), "Hello");
    temp(&format!(
        "amqp-declare-queue {url} -q job1 -d; for f in apple banana cherry date; do amqp-publish {url} -r job1 -p -b $f; done"
    ));
    assert!(lab.ok("kubectl exec rabbitmq-0 -- rabbitmqctl list_queues").contains("job1\t4\n"));
    // The image that the page lets its reader build.
    lab.ok("mkdir worker && cd worker && cat > worker.py <<'EOF'
#!/usr/bin/env python

# Prints what it is given and takes its time.
import sys
import time
print(\"Processing \" + sys.stdin.readlines()[0])
time.sleep(10)
EOF
chmod +x worker.py && cat > Dockerfile <<'EOF'
FROM ubuntu:18.04

RUN apt-get update && \\
    apt-get install -y curl ca-certificates amqp-tools python \\
       --no-install-recommends
COPY ./worker.py /worker.py
RUN chmod a+x /worker.py

CMD  /usr/bin/amqp-consume --url=$BROKER_URL -q $QUEUE -c 1 /worker.py
EOF
docker build -t docker.io/learner/job-wq-1 . && docker push docker.io/learner/job-wq-1");
    lab.ok("curl -s https://k8s.io/examples/application/job/rabbitmq/job.yaml > job.yaml && \
         sed 's|gcr.io/<project>|docker.io/learner|; s/completions: 8/completions: 4/' job.yaml | kubectl apply -f -");
    lab.ok("kubectl wait --for=condition=complete --timeout=400s job/job-wq-1");
    assert!(lab.ok("kubectl logs -l job-name=job-wq-1 --tail=-1").contains("Processing banana\n"));
    // mongod takes flags alone, as its image's entrypoint does.
    lab.until("kubectl get deployment mongo", |table| table.contains("1/1"));
    assert_eq!(lab.ok("kubectl exec deploy/mongo -- mongo --quiet --eval 'db.runCommand({ping: 1}).ok'"), "1\n");
    let counted = "db.fruit.insertOne({name: \"pear\"}); db.fruit.countDocuments({name: \"pear\"})";
    let counted = lab.ok(&format!("kubectl exec deploy/mongo -- mongosh --quiet mongo:27017/shop --eval '{counted}'"));
    assert_eq!(counted.lines().last(), Some("1"), "{counted}");
    let program = "import os\nfor i in range(3):\n  if i % 2 == 0:\n    print(f\"{i}: {os.environ.get(str(i), 7)}\")\n";
    assert_eq!(lab.ok(&format!("printf '%s' '{program}' | kubectl exec -i temp -- python3")), "0: 7\n2: 7\n");
    let (code, message) = lab.fails("kubectl exec temp -- python3 -c 'import sys; print(undefined)'");
    assert!(code == 1 && message.contains("NameError: name 'undefined' is not defined"), "{message}");
    assert_eq!(lab.fails("kubectl exec temp -- python3 -c 'import sys; sys.exit(3)'").0, 3);
}

/// "Expanding Persistent Volumes Claims".
#[test]
fn claims_grow_where_their_class_lets_them() {
    let lab = Lab::new(1);
    lab.apply(
        "apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: expandable}
provisioner: rancher.io/local-path
allowVolumeExpansion: true
volumeBindingMode: WaitForFirstConsumer
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: fixed}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: grows}
spec: {storageClassName: expandable, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: user}
spec:
  containers:
  - name: main
    image: busybox
    command: [sleep, 1d]
    volumeMounts: [{name: one, mountPath: /one}, {name: two, mountPath: /two}]
  volumes:
  - {name: one, persistentVolumeClaim: {claimName: fixed}}
  - {name: two, persistentVolumeClaim: {claimName: grows}}
",
    );
    pod(&lab, "user", "1/1");
    let patch = |name: &str, size: &str| {
        format!("kubectl patch pvc {name} -p 'spec: {{resources: {{requests: {{storage: {size}}}}}}}'")
    };
    let (_, refused) = lab.fails(&patch("fixed", "2Gi"));
    assert!(refused.contains("only dynamically provisioned pvc can be resized and the storageclass"), "{refused}");
    lab.ok(&patch("grows", "2Gi"));
    lab.until("kubectl get pvc grows -o jsonpath={.status.capacity.storage}", |size| size == "2Gi");
    assert!(lab.ok("kubectl get pv").contains("2Gi"));
    assert!(lab.ok("kubectl describe pvc grows").contains("VolumeResizeSuccessful"));
    lab.fails(&patch("grows", "1Gi"));
}
