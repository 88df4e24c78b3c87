//! The documentation's tasks pages that go deep into one tool: a node's services, huge pages, work queues, a database's
//! shell, a scheduler of one's own.

use crate::lab::Lab;
use crate::test;

fn running(lab: &Lab, pod: &str) {
    lab.ok(&format!("kubectl wait --for=condition=Ready --timeout=200s pod/{pod}"));
}

/// `ps`, `ls -l` and `df -h` as busybox has them, and as GNU's and procps' are.
#[test]
fn tools_are_those_of_their_image() {
    let lab = Lab::new(1);
    lab.ok("kubectl run small --image=busybox -- sh -c 'while :; do :; done'");
    lab.ok("kubectl run large --image=ubuntu --env=COLOR=blue -- sleep 1d");
    running(&lab, "small");
    running(&lab, "large");
    lab.pass(std::time::Duration::from_secs(30));
    let small = |line: &str| lab.ok(&format!("kubectl exec small -- {line}"));
    let large = |line: &str| lab.ok(&format!("kubectl exec large -- {line}"));
    let processes = small("ps");
    assert!(processes.starts_with("PID   USER     TIME  COMMAND\n    1 root      0:"), "{processes}");
    // TIME is what of the CPU was used, not how long ago the process began.
    let time = |table: &str, command: &str| {
        let line = table.lines().find(|line| line.contains(command)).unwrap_or_default().to_owned();
        line.split_whitespace().find(|word| word.contains(':')).unwrap_or_default().to_owned()
    };
    assert_ne!(time(&processes, "while"), "0:00", "{processes}");
    assert_eq!(small("ps -o pid,comm").lines().next(), Some("PID   COMMAND"));
    assert_eq!(
        large("ps").lines().take(2).collect::<Vec<_>>(),
        ["    PID TTY          TIME CMD", "      1 ?        00:00:00 sleep"]
    );
    let all = large("ps aux");
    assert!(all.starts_with("USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n"), "{all}");
    let full = large("ps -ef");
    assert!(
        full.starts_with("UID          PID    PPID  C STIME TTY          TIME CMD\nroot           1       0 "),
        "{full}"
    );
    assert_eq!(large("ps -o pid=,args= -p 1"), "      1 sleep 1d\n");
    assert_eq!(lab.run("kubectl exec large -- ps --nope").code, 1);
    assert_eq!(large("sh -c 'tr \"\\0\" \"\\n\" < /proc/1/environ | grep COLOR'"), "COLOR=blue\n");
    let touch = "sh -c 'mkdir /d && echo hello > /d/f && ls -l /d | tail -1'";
    let row = small(touch);
    assert!(row.starts_with("-rw-r--r--    1 root     root             6 "), "{row}");
    let row = large(touch);
    assert!(row.starts_with("-rw-r--r-- 1 root root 6 "), "{row}");
    let busybox = small("df -h");
    assert!(busybox.starts_with("Filesystem                Size      Used Available Use% Mounted on\n"), "{busybox}");
    // A time that is given, in every form; what the server says first; one file under many names.
    let touched = |line: &str| small(&format!("sh -c 'cd /tmp && {line} && stat -c %Y f'"));
    assert_eq!(touched("touch -d \"2020-01-02 03:04\" f"), "1577934240\n");
    assert_eq!(touched("touch -t 202001020304.05 f"), "1577934245\n");
    assert_eq!(touched("touch -d @7 e && touch -r e f"), "7\n");
    assert_eq!(
        lab.run("kubectl exec small -- touch -d nonsense f").stderr.lines().next(),
        Some("touch: invalid date 'nonsense'")
    );
    let refused = lab.run("kubectl exec large -- touch -d nonsense f");
    assert!(refused.stderr.starts_with("touch: invalid date format 'nonsense'"), "{refused:?}");
    lab.ok("kubectl run web --image=nginx");
    running(&lab, "web");
    let address = lab.ok("kubectl get pod web -o jsonpath={.status.podIP}");
    let head = lab.run(&format!("kubectl exec small -- wget -S -q -O /dev/null {address}")).stderr;
    assert!(head.starts_with("  HTTP/1.1 200 OK\n  ") && head.contains("  Content-Type: text/html\n"), "{head}");
    let used = small("du -sk /bin");
    let used: u64 = used.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or_default();
    assert!((1000..2000).contains(&used), "busybox has all its tools in one file: {used} KiB");
    let gnu = large("df -h /");
    assert!(gnu.starts_with("Filesystem      Size  Used Avail Use% Mounted on\n"), "{gnu}");
}

/// A masked service is not started, not even with its node; a kubelet hears that its runtime is stopped.
#[test]
fn services_stay_as_they_were_left() {
    let lab = Lab::new(2);
    let on = |line: &str| lab.run(&format!("ssh hello-worker {line}"));
    assert_eq!(on("sudo systemctl mask --now kubelet").code, 0);
    let refused = on("sudo systemctl start kubelet");
    assert_eq!(refused.stderr, "Failed to start kubelet.service: Unit kubelet.service is masked.\n");
    assert_eq!((on("systemctl is-enabled kubelet").stdout.as_str(), refused.code), ("masked\n", 1));
    assert!(on("systemctl status kubelet").stdout.contains("Loaded: masked (Reason: Unit kubelet.service is masked.)"));
    lab.until("kubectl get node hello-worker", |table| table.contains("NotReady"));
    let power = r#"{"kind": "nodeDown", "node": "hello-worker"}"#;
    lab.fault(power);
    assert_eq!(lab.ask_control("DELETE", "faults", power).0, 200);
    assert_eq!(on("systemctl is-active kubelet").stdout, "inactive\n");
    let said = on("'sudo systemctl unmask kubelet && sudo systemctl start kubelet'");
    assert_eq!((said.code, said.stderr.as_str()), (0, "Removed \"/etc/systemd/system/kubelet.service\".\n"));
    lab.until("kubectl get node hello-worker", |table| !table.contains("NotReady"));
    on("'sudo systemctl stop containerd kubelet; sudo systemctl start kubelet'");
    lab.until("kubectl describe node hello-worker", |text| text.contains("container runtime is down"));
    on("sudo systemctl start containerd");
    lab.until("kubectl get node hello-worker", |table| !table.contains("NotReady"));
}

/// "Manage HugePages": set aside on a node, asked for by pods, no more than there are.
#[test]
fn huge_pages_are_a_resource_of_nodes() {
    let lab = Lab::new(2);
    let capacity = "kubectl get node hello-worker -o jsonpath='{.status.capacity.hugepages-2Mi}'";
    assert_eq!(lab.ok(capacity), "0");
    let file = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    lab.ok(&format!("ssh hello-worker 'echo 64 | sudo tee {file} && sudo systemctl restart kubelet'"));
    lab.until(capacity, |amount| amount == "128Mi");
    let pod = |name: &str, amount: &str| {
        format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers:
  - name: example
    image: fedora:latest
    command: [sleep, inf]
    volumeMounts: [{{mountPath: /hugepages-2Mi, name: hugepage-2mi}}]
    resources:
      limits: {{hugepages-2Mi: {amount}, memory: 100Mi}}
      requests: {{memory: 100Mi}}
  volumes:
  - name: hugepage-2mi
    emptyDir: {{medium: HugePages-2Mi}}
"
        )
    };
    lab.apply(&pod("one", "100Mi"));
    running(&lab, "one");
    assert!(lab.ok("kubectl exec one -- mount").contains("hugetlbfs on /hugepages-2Mi type hugetlbfs"));
    lab.apply(&pod("two", "100Mi"));
    lab.until("kubectl describe pod two", |text| text.contains("Insufficient hugepages-2Mi"));
    let without =
        pod("three", "4Mi").replace(", memory: 100Mi}", "}").replace("requests: {memory: 100Mi}", "requests: {}");
    let (_, refused) = lab.fails(&format!("cat > three.yaml <<'EOF'\n{without}EOF\nkubectl apply -f three.yaml"));
    assert!(refused.contains("HugePages require cpu or memory"), "{refused}");
    lab.ok("kubectl delete pod one --now");
    lab.until("kubectl get pod two --no-headers", |row| row.contains("1/1"));
}

/// "Fine Parallel Processing Using a Work Queue": workers of the page's own program lease items from Redis.
#[test]
fn workers_take_items_from_redis() {
    let lab = Lab::new(2);
    let at = "https://k8s.io/examples/application/job/redis";
    lab.ok(&format!("kubectl apply -f {at}/redis-pod.yaml && kubectl apply -f {at}/redis-service.yaml"));
    running(&lab, "redis-master");
    lab.ok("kubectl run temp --image=redis -- sleep 1d");
    running(&lab, "temp");
    let redis = |line: &str| lab.ok(&format!("kubectl exec temp -- redis-cli -h redis {line}"));
    let items = ["apple", "banana", "cherry", "date", "fig", "grape", "lemon", "melon", "orange"];
    for (index, item) in items.iter().enumerate() {
        assert_eq!(redis(&format!("rpush job2 {item}")).trim(), (index + 1).to_string());
    }
    assert_eq!(redis("lrange job2 0 -1"), items.map(|item| format!("{item}\n")).concat());
    assert_eq!(redis("lrange job2 -2 -1"), "melon\norange\n");
    lab.ok(&format!(
        "mkdir worker && cd worker && for f in rediswq.py worker.py Dockerfile; do curl -sO {at}/$f; done && \
         docker build -t docker.io/learner/job-wq-2 . && docker push docker.io/learner/job-wq-2"
    ));
    lab.ok(&format!("curl -s {at}/job.yaml | sed 's|gcr.io/myproject|docker.io/learner|' | kubectl apply -f -"));
    lab.ok("kubectl wait --for=condition=complete --timeout=300s job/job-wq-2");
    let logs = lab.ok("kubectl logs -l job-name=job-wq-2 --tail=-1");
    assert!(items.iter().all(|item| logs.matches(&format!("Working on {item}\n")).count() == 1), "{logs}");
    assert!(logs.contains("Worker with sessionID: ") && logs.contains("Initial queue state: empty=False\n"), "{logs}");
    assert_eq!(logs.matches("Queue empty, exiting\n").count(), 2, "{logs}");
    assert_eq!(redis("llen job2:processing").trim(), "0");
}

/// "Deploying Cassandra with a StatefulSet", and what its readers do next: a table that all nodes know.
#[test]
fn cassandra_answers_cql() {
    let lab = Lab::new(2);
    let at = "https://k8s.io/examples/application/cassandra";
    lab.ok(&format!(
        "kubectl apply -f {at}/cassandra-service.yaml && kubectl apply -f {at}/cassandra-statefulset.yaml"
    ));
    lab.until("kubectl get statefulset cassandra", |table| table.contains("3/3"));
    let cql =
        |pod: u8, statements: &str| lab.run(&format!("kubectl exec cassandra-{pod} -- cqlsh -e \"{statements}\""));
    let made = cql(
        0,
        "CREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 3}; \
         CREATE TABLE shop.users (id int PRIMARY KEY, name text, age int); \
         INSERT INTO shop.users (id, name, age) VALUES (1, 'Ada', 36);",
    );
    assert_eq!((made.code, made.stdout.as_str(), made.stderr.as_str()), (0, "", ""));
    let shown = cql(2, "SELECT * FROM shop.users;").stdout;
    assert_eq!(shown, "\n id | age | name\n----+-----+------\n  1 |  36 |  Ada\n\n(1 rows)\n");
    let text = cql(1, "DESCRIBE shop").stdout;
    assert!(text.starts_with("\nCREATE KEYSPACE shop WITH replication = {'class': 'SimpleStrategy'"), "{text}");
    assert!(
        text.contains("CREATE TABLE shop.users (\n    id int PRIMARY KEY,\n    age int,\n    name text\n);"),
        "{text}"
    );
    assert!(cql(1, "DESCRIBE KEYSPACES").stdout.contains("system_traces  shop\n"));
    let refused = cql(0, "SELECT * FROM shop.orders");
    assert_eq!(refused.code, 2);
    assert!(refused.stderr.contains("InvalidRequest: Error from server: code=2200"), "{}", refused.stderr);
    // A node that comes back has its data, and what was written meanwhile.
    lab.ok("kubectl delete pod cassandra-2 --now --wait=false");
    cql(0, "UPDATE shop.users SET age = 37 WHERE id = 1; INSERT INTO shop.users (id, name) VALUES (2, 'Bob')");
    lab.until("kubectl get statefulset cassandra", |table| table.contains("3/3"));
    lab.until("kubectl exec cassandra-2 -- cqlsh -e 'SELECT count(*) FROM shop.users'", |table| {
        table.contains("     2")
    });
    let one = cql(2, "USE shop; SELECT name, age FROM users WHERE id = 1").stdout;
    assert_eq!(one, "\n name | age\n------+-----\n  Ada |  37\n\n(1 rows)\n");
}

/// "Configure Multiple Schedulers": pods name theirs, and wait for it.
#[test]
fn a_second_scheduler_places_the_pods_that_name_it() {
    let lab = Lab::new(2);
    let at = "https://k8s.io/examples/admin/sched";
    lab.ok(&format!("kubectl apply -f {at}/pod1.yaml -f {at}/pod2.yaml -f {at}/pod3.yaml"));
    running(&lab, "no-annotation");
    running(&lab, "annotation-default-scheduler");
    lab.pass(std::time::Duration::from_secs(60));
    assert!(lab.ok("kubectl get pod annotation-second-scheduler --no-headers").contains("Pending"));
    assert!(!lab.ok("kubectl describe pod annotation-second-scheduler").contains("FailedScheduling"));
    lab.ok(&format!("kubectl apply -f {at}/my-scheduler.yaml"));
    lab.until("kubectl get deployment my-scheduler -n kube-system --no-headers", |row| row.contains("1/1"));
    running(&lab, "annotation-second-scheduler");
    let described = lab.ok("kubectl describe pod annotation-second-scheduler");
    let scheduled = described.lines().find(|line| line.contains(" Scheduled ")).unwrap_or_default();
    assert!(scheduled.contains("my-scheduler"), "{described}");
    // Without it, pods wait again; those that have a node stay.
    lab.ok("kubectl scale deployment my-scheduler -n kube-system --replicas=0");
    lab.until("kubectl get pods -n kube-system -l version=second -o name", str::is_empty);
    lab.ok("kubectl run late --image=nginx --overrides='{\"spec\": {\"schedulerName\": \"my-scheduler\"}}'");
    lab.pass(std::time::Duration::from_secs(60));
    assert!(lab.ok("kubectl get pod late --no-headers").contains("Pending"));
    // A configuration that cannot be read ends it.
    let nonsense = "{\"data\": {\"my-scheduler-config.yaml\": \"kind: Nope\"}}";
    lab.ok(&format!("kubectl patch configmap my-scheduler-config -n kube-system -p '{nonsense}'"));
    lab.ok("kubectl scale deployment my-scheduler -n kube-system --replicas=1");
    lab.until("kubectl get pods -n kube-system -l version=second --no-headers", |rows| {
        rows.contains("CrashLoopBackOff")
    });
    assert!(lab.ok("kubectl logs -n kube-system -l version=second").contains("no kind \\\"Nope\\\" is registered"));
    // So does one with a plugin that there is not.
    let unknown = "apiVersion: kubescheduler.config.k8s.io/v1\\nkind: KubeSchedulerConfiguration\\nprofiles: \
                   [{schedulerName: my-scheduler, plugins: {score: {enabled: [{name: Typo}]}}}]";
    let unknown = format!("{{\"data\": {{\"my-scheduler-config.yaml\": \"{unknown}\"}}}}");
    lab.ok(&format!("kubectl patch configmap my-scheduler-config -n kube-system -p '{unknown}'"));
    lab.ok("kubectl delete pod -n kube-system -l version=second");
    lab.until("kubectl get pods -n kube-system -l version=second --no-headers", |rows| {
        rows.contains("CrashLoopBackOff")
    });
    let log = lab.ok("kubectl logs -n kube-system -l version=second");
    let why = "creating profile for scheduler name my-scheduler: ScorePlugin \\\"Typo\\\" does not exist";
    assert!(log.contains(why), "{log}");
}

/// "Advertise Extended Resources for a Node", "Assign Extended Resources to a Container".
#[test]
fn resources_that_somebody_advertises_are_given_to_pods() {
    let lab = Lab::new(2);
    let node = "kubectl patch node hello-worker --subresource=status --type=json";
    lab.ok(&format!(
        "{node} -p '[{{\"op\": \"add\", \"path\": \"/status/capacity/example.com~1dongle\", \"value\": \"4\"}}]'"
    ));
    let at = "https://k8s.io/examples/pods/resource";
    lab.ok(&format!("kubectl apply -f {at}/extended-resource-pod.yaml"));
    running(&lab, "extended-resource-demo");
    assert!(lab.ok("kubectl describe pod extended-resource-demo").contains("example.com/dongle:  3"));
    lab.ok(&format!("kubectl apply -f {at}/extended-resource-pod-2.yaml"));
    lab.until("kubectl describe pod extended-resource-demo-2", |text| text.contains("Insufficient example.com/dongle"));
    // The kubelet's own reports take nothing of it away.
    lab.pass(std::time::Duration::from_secs(700));
    let amounts = "kubectl get node hello-worker -o jsonpath='{.status.capacity.example\\.com/dongle} \
                   {.status.allocatable.example\\.com/dongle}'";
    assert_eq!(lab.ok(amounts), "4 4");
    lab.ok(&format!("{node} -p '[{{\"op\": \"remove\", \"path\": \"/status/capacity/example.com~1dongle\"}}]'"));
    assert!(!lab.ok("kubectl get node hello-worker -o jsonpath='{.status.capacity}'").contains("dongle"));
}

/// "Use a User Namespace With a Pod", "Using sysctls in a Kubernetes Cluster", and what `/proc` shows of a security
/// context.
#[test]
fn what_proc_shows_of_a_security_context() {
    let lab = Lab::new(1);
    lab.ok("kubectl apply -f https://k8s.io/examples/pods/user-namespaces-stateless.yaml");
    lab.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: strict}
spec:
  securityContext:
    seccompProfile: {type: RuntimeDefault}
    sysctls: [{name: net.ipv4.tcp_syncookies, value: \"0\"}]
  containers:
  - {name: main, image: busybox, command: [sleep, 1d], securityContext: {allowPrivilegeEscalation: false}}
---
apiVersion: v1
kind: Pod
metadata: {name: daring}
spec:
  securityContext: {sysctls: [{name: kernel.msgmax, value: \"65536\"}]}
  containers: [{name: main, image: busybox, command: [sleep, 1d]}]
",
    );
    running(&lab, "userns");
    running(&lab, "strict");
    let strict = |line: &str| lab.ok(&format!("kubectl exec strict -- {line}"));
    let map = lab.ok("kubectl exec userns -- cat /proc/self/uid_map");
    let words: Vec<&str> = map.split_whitespace().collect();
    assert!(matches!(words[..], ["0", first, "65536"] if first != "0"), "{map}");
    assert_eq!(strict("cat /proc/self/uid_map").split_whitespace().collect::<Vec<_>>(), ["0", "0", "4294967295"]);
    let own = lab.ok("kubectl exec userns -- readlink /proc/self/ns/user");
    assert_eq!(strict("readlink /proc/self/ns/user"), "user:[4026531837]\n");
    assert!(own.starts_with("user:[") && own != "user:[4026531837]\n", "{own}");
    assert_eq!(strict("grep -E 'NoNewPrivs|Seccomp' /proc/self/status"), "NoNewPrivs:\t1\nSeccomp:\t2\n");
    assert_eq!(strict("sysctl net.ipv4.tcp_syncookies"), "net.ipv4.tcp_syncookies = 0\n");
    assert_eq!(strict("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
    lab.until("kubectl get pod daring --no-headers", |row| row.contains("SysctlForbidden"));
    let message = lab.ok("kubectl get pod daring -o jsonpath='{.status.message}'");
    assert_eq!(message, "Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted");
    let overrides = "{\"spec\": {\"hostUsers\": false, \"hostPID\": true}}";
    let (_, refused) = lab.fails(&format!("kubectl run both --image=nginx --overrides='{overrides}'"));
    assert!(refused.contains("spec.hostPID: Forbidden: when `hostUsers` is false"), "{refused}");
}

/// agnhost, with which Kubernetes' pages and tests ask pods what they see.
#[test]
fn agnhost_does_what_it_is_asked() {
    let lab = Lab::new(2);
    lab.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: one, labels: {app: one}}
spec:
  containers:
  - {name: main, image: registry.k8s.io/e2e-test-images/agnhost:2.53, args: [netexec]}
  - name: porter
    image: registry.k8s.io/e2e-test-images/agnhost:2.53
    args: [porter]
    env: [{name: SERVE_PORT_9000, value: nine}, {name: SERVE_PORT_9001, value: more}]
",
    );
    lab.ok("kubectl expose pod one --name=agnhost --port=80 --target-port=8080");
    running(&lab, "one");
    let main = |line: &str| lab.ok(&format!("kubectl exec one -c main -- {line}"));
    let ask = |target: &str| main(&format!("curl -s 'http://agnhost{target}'"));
    lab.until("kubectl exec one -c main -- curl -s http://agnhost/hostname", |name| name == "one");
    assert_eq!(ask("/shell?cmd=echo+a%7Ccat"), "{\"output\":\"a\\n\"}");
    assert_eq!(ask("/shell?shellCommand=false"), "{\"error\":\"exit status 1\",\"output\":\"\"}");
    assert_eq!(ask("/dial?host=agnhost&port=80&request=hostname&tries=2"), "{\"responses\":[\"one\",\"one\"]}");
    assert!(ask("/dial?host=agnhost&port=81&request=hostname").contains("errors"));
    assert!(ask("/dial?host=agnhost&port=80").contains("request parameter not specified"));
    let address = lab.ok("kubectl get pod one -o jsonpath={.status.podIP}");
    let datagram = format!("/dial?host={address}&port=8081&request=hostname&protocol=udp");
    assert_eq!(ask(&datagram), "{\"responses\":[\"one\"]}");
    assert_eq!(main("curl -s -H 'X-Who: me' 'http://agnhost/header?key=X-Who'"), "me");
    assert_eq!(main("curl -s localhost:9000 localhost:9001"), "ninemore");
    assert_eq!(main("/agnhost dns-suffix"), "default.svc.cluster.local,svc.cluster.local,cluster.local\n");
    assert_eq!(main("/agnhost entrypoint-tester a"), "[/agnhost entrypoint-tester a]\n");
    assert!(
        main("/agnhost mounttest --fs_type=/ --file_perm=/etc/hostname")
            .contains("perms of file \"/etc/hostname\": -rw-r--r--")
    );
    lab.run("kubectl exec one -c main -- curl -s 'http://agnhost/exit?code=3'");
    let last = "kubectl get pod one -o jsonpath='{.status.containerStatuses[?(@.name==\"main\")].lastState.terminated.exitCode}'";
    lab.until(last, |code| code == "3");
}

/// agnhost's servers, which speak with each other and with the API server.
#[test]
fn agnhosts_servers_speak_with_each_other() {
    let lab = Lab::new(2);
    let image = "registry.k8s.io/e2e-test-images/agnhost:2.53";
    let deploy = |name: &str, words: &str, port: u16| {
        lab.ok(&format!("kubectl create deployment {name} --image={image} -- /agnhost {words}"));
        lab.ok(&format!("kubectl expose deployment {name} --port={port}"));
    };
    deploy("frontend", "guestbook --backend-port 6379", 80);
    deploy("agnhost-replica", "guestbook --replicaof agnhost-primary --http-port 6379", 6379);
    deploy("agnhost-primary", "guestbook --http-port 6379", 6379);
    deploy("reset", "tcp-reset", 8080);
    deploy("git", "fake-gitserver", 8000);
    deploy("nettest", "nettest --peers=2", 8080);
    lab.ok("kubectl scale deployment agnhost-replica nettest --replicas=2");
    lab.ok("kubectl create rolebinding readers --clusterrole=view --serviceaccount=default:default");
    lab.ok(&format!("kubectl run poller --image={image} -- inclusterclient --poll-interval=5"));
    lab.ok(&format!("kubectl run client --image={image}"));
    for (name, words) in [("one", "no-snat-test"), ("two", "no-snat-test"), ("chunks", "port-forward-tester")] {
        lab.apply(&format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: {name}}}}}
spec:
  restartPolicy: Never
  containers:
  - name: main
    image: {image}
    args: [{words}]
    env:
    - {{name: POD_IP, valueFrom: {{fieldRef: {{fieldPath: status.podIP}}}}}}
    - {{name: NODE_IP, valueFrom: {{fieldRef: {{fieldPath: status.hostIP}}}}}}
    - {{name: BIND_PORT, value: \"7000\"}}
    - {{name: EXPECTED_CLIENT_DATA, value: abc}}
    - {{name: CHUNKS, value: \"2\"}}
    - {{name: CHUNK_SIZE, value: \"4\"}}
    - {{name: CHUNK_INTERVAL, value: \"10\"}}
"
        ));
    }
    lab.ok("kubectl wait --for=condition=Ready --timeout=200s pod --all");
    let client = |line: &str| lab.run(&format!("kubectl exec client -- {line}"));
    let address = |pod: &str| lab.ok(&format!("kubectl get pod {pod} -o jsonpath={{.status.podIP}}"));

    lab.until("kubectl logs -l app=agnhost-replica --tail=-1", |log| log.matches("Registered to node").count() == 2);
    let set = client("curl -s 'http://frontend/guestbook?cmd=set&key=messages&value=hello%20you'");
    assert_eq!(set.stdout, "{\"data\":\"Updated\"}");
    for _ in 0..6 {
        let got = client("curl -s 'http://frontend/guestbook?cmd=get&key=messages'");
        assert_eq!(got.stdout, "{\"data\":\"hello you\"}", "each of the replicas has it");
    }
    assert_eq!(client("curl -s 'http://frontend/guestbook?cmd=del'").stdout, "Unsupported cmd: 'del'\n");

    let reset = client("curl -sS http://reset:8080/");
    assert!(reset.code == 56 && reset.stderr.contains("Connection reset by peer"), "{reset:?}");
    assert_eq!(client("curl -s http://git:8000/").stdout, "I am a fake git server");
    let status = "for ip in $(kubectl get pods -l app=nettest -o jsonpath='{.items[*].status.podIP}'); do \
                  kubectl exec client -- curl -s http://$ip:8080/status; done";
    lab.until(status, |text| text == "passpass");
    let log = lab.until("kubectl logs poller", |log| log.matches("calling /healthz").count() > 1);
    assert!(log.contains("authz_header=") && !log.contains("status=failed"), "{log}");

    let chunks = address("chunks");
    assert_eq!(client(&format!("sh -c 'printf abc | nc {chunks} 7000'")).stdout, "xxxxxxxx");
    lab.until("kubectl get pod chunks", |table| table.contains("Completed"));
    assert!(lab.ok("kubectl logs chunks").ends_with("Shutting down connection\nDone\n"));

    // Between pods addresses stay as they are; by a node's port they do not.
    let (one, two) = (address("one"), address("two"));
    let check =
        |place: &str| client(&format!("curl -s -w %{{http_code}} 'http://{one}:8080/checknosnat?ips={place}'")).stdout;
    assert_eq!(check(&format!("{two}:8080")), "200");
    lab.ok("kubectl expose pod two --type=NodePort --port=8080");
    let port = lab.ok("kubectl get service two -o jsonpath={.spec.ports[0].nodePort}");
    let node = lab.ok("kubectl get node hello-control-plane -o jsonpath={.status.addresses[0].address}");
    lab.until(&format!("kubectl exec client -- curl -s 'http://{one}:8080/checknosnat?ips={node}:{port}'"), |text| {
        text.contains("SNAT")
    });
    let help = client("/agnhost help").stdout;
    assert!(help.contains("Available Commands:\n") && help.contains("  tcp-reset "), "{help}");
    assert!(client("/agnhost nonsense").stderr.starts_with("Error: unknown command \"nonsense\" for \"app\""));
}

/// "Assign Pods to Nodes": whoever names the node goes past the scheduler, not past the kubelet.
#[test]
fn kubelets_refuse_pods_that_do_not_belong_to_their_node() {
    let lab = Lab::new(2);
    let run = |name: &str, spec: &str| {
        let spec = format!("\"nodeName\": \"hello-worker\", {spec}");
        lab.ok(&format!("kubectl run {name} --image=nginx --restart=Never --overrides='{{\"spec\": {{{spec}}}}}'"));
    };
    let port = "\"containers\": [{\"name\": \"c\", \"image\": \"nginx\", \"ports\": [{\"containerPort\": 80, \"hostPort\": 8090}]}]";
    run("disk", "\"nodeSelector\": {\"disk\": \"ssd\"}");
    run("first", port);
    running(&lab, "first");
    run("second", port);
    let status = |pod: &str| {
        let line =
            format!("kubectl get pod {pod} -o jsonpath='{{.status.phase}} {{.status.reason}} {{.status.message}}'");
        lab.until(&line, |text| text.starts_with("Failed"))
    };
    let affinity = "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
    assert_eq!(status("disk"), format!("Failed NodeAffinity {affinity}"));
    assert!(status("second").starts_with("Failed NodePorts Pod was rejected: Predicate NodePorts failed:"));
    // Labels count as they are when the pod comes.
    lab.ok("kubectl label node hello-worker disk=ssd");
    run("labelled", "\"nodeSelector\": {\"disk\": \"ssd\"}");
    running(&lab, "labelled");
}
