//! A guestbook on real containers: a web tier, a store that keeps what it is told, a cron job. It survives
//! the loss of a node, a restart of Docker, and `kill -9` of the server.

use std::collections::BTreeSet;
use std::time::Duration;

use playground_tests::daemon::Daemon;
use playground_tests::{Server, curl, eventually, names, node_port, port_of, within};

/// A node that is gone is noticed after 40 seconds, and its pods are replaced then.
const PATIENCE: Duration = Duration::from_secs(180);
/// The port of every node at which the book is, in the manifests.
const PORT: &str = "30985";

const GUESTBOOK: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: programs}
data:
  store: |
    #!/bin/sh
    echo "Content-Type: text/plain"; echo
    [ -n "$QUERY_STRING" ] && echo "$QUERY_STRING" >> /data/entries
    cat /data/entries
  web: |
    #!/bin/sh
    echo "Content-Type: text/plain"; echo
    wget -qO- "http://store-0.store:8080/cgi-bin/store?$QUERY_STRING"
---
apiVersion: v1
kind: Service
metadata: {name: store}
spec: {clusterIP: None, selector: {app: store}, ports: [{port: 8080}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: store}
spec:
  serviceName: store
  selector: {matchLabels: {app: store}}
  template:
    metadata: {labels: {app: store}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: store
        image: guestbook/busybox:1
        command: [sh, -c, "cd /www && exec httpd -f -p 8080 -h /www"]
        readinessProbe: {httpGet: {port: 8080, path: /cgi-bin/store}, periodSeconds: 1, timeoutSeconds: 5}
        volumeMounts:
        - {name: data, mountPath: /data}
        - {name: programs, mountPath: /www/cgi-bin}
      volumes: [{name: programs, configMap: {name: programs, defaultMode: 0755}}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, targetPort: 8080, nodePort: 30985}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      tolerations:
      - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      containers:
      - name: web
        image: guestbook/busybox:1
        command: [sh, -c, "cd /www && exec httpd -f -p 8080 -h /www"]
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, timeoutSeconds: 5}
        volumeMounts: [{name: programs, mountPath: /www/cgi-bin}]
      volumes: [{name: programs, configMap: {name: programs, defaultMode: 0755}}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: visitor}
spec:
  schedule: "* * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: OnFailure
          containers:
          - name: visitor
            image: guestbook/busybox:1
            command: [wget, -qO-, "http://web/cgi-bin/web?visitor"]
"#;

/// The containers of pods that run now, but for the cron job's, which end by themselves.
fn running(server: &Server) -> BTreeSet<String> {
    let pods = "label=io.kubernetes.docker.type=container";
    let listing = server.docker(&["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}}", "--filter", pods]);
    listing.lines().filter(|line| !line.contains("visitor")).map(str::to_owned).collect()
}

#[test]
fn a_guestbook_survives() {
    let Some(mut daemon) = Daemon::start() else { return };
    daemon.image("guestbook/busybox:1", "sleep 100000");
    let mut server = Server::start_on(&daemon, &["--runtime", "docker", "--nodes", "3"]);
    server.until("get nodes", |table| table.matches(" Ready ").count() == 3);
    let port = port_of(&node_port()).to_string();
    server.apply(&GUESTBOOK.replace(PORT, &port));
    // What stands in the book, after one more entry.
    let sign = |entry: &str| within(PATIENCE, entry, || curl(&format!("http://localhost:{port}/cgi-bin/web?{entry}")));
    let all_run = |table: &str| table.matches("1/1     Running").count() == 4;
    server.until_within(PATIENCE, "get pods -l app", all_run);
    assert!(sign("first").contains("first\n"));

    // Every way into it, where there is none from this machine to the pods' addresses.
    let proxied = server.ok("get --raw /api/v1/namespaces/default/services/web:80/proxy/cgi-bin/web");
    assert!(proxied.contains("first\n"), "{proxied}");
    let near = port_of(&node_port());
    let mut forward = server.command(&["port-forward", "store-0", &format!("{near}:8080")]);
    let mut forward = forward.stdout(std::process::Stdio::null()).spawn().expect("kubectl");
    let forwarded = eventually("port-forward", || curl(&format!("http://127.0.0.1:{near}/cgi-bin/store")));
    assert!(forwarded.contains("first\n"), "{forwarded}");
    forward.kill().expect("kubectl");
    let _ = forward.wait();

    // The node without the store loses its power: what was on it comes up elsewhere, the book is open.
    let stores = server.ok("get pod store-0 -o jsonpath={.spec.nodeName}");
    let lost = if stores.ends_with("worker") { "playground-worker2" } else { "playground-worker" };
    assert!(server.playground(&["node", "stop", lost]).contains(&format!("Stopped {lost}")));
    let on_it = format!("label=playground.node={lost}");
    eventually("its pods are gone", || {
        let pods = ["ps", "--quiet", "--filter", &on_it, "--filter", "label=io.kubernetes.pod.uid"];
        server.docker(&pods).is_empty().then_some(())
    });
    server.until_within(PATIENCE, "get nodes", |table| table.contains(" NotReady "));
    server.until_within(PATIENCE, "get pods -l app=web -o wide", |table| {
        table.lines().filter(|line| line.contains("1/1     Running") && line.contains(&stores)).count() == 3
    });
    assert!(sign("second").contains("first\n"));

    // It has power again, and takes work.
    server.playground(&["node", "start", lost]);
    server.until_within(PATIENCE, "get nodes", |table| table.matches(" Ready ").count() == 3);
    server.ok("scale deployment web --replicas=6");
    server.until_within(PATIENCE, "get pods -l app=web -o wide", |table| {
        table.lines().any(|line| line.contains("1/1     Running") && line.contains(lost))
    });
    server.ok("scale deployment web --replicas=3");
    server.until("get pods -l app=web", |table| names(table).len() == 3);

    // Docker restarts, and takes all containers with it.
    daemon.stop();
    server.ok("get pods");
    daemon.run();
    server.until_within(PATIENCE, "get pods -l app", all_run);
    let book = sign("third");
    assert!(book.contains("first\n") && book.contains("second\n"), "{book}");

    // The server is killed: no container notices.
    // Pods stay as they were known while Docker is away: their containers say whether they are there.
    let before = within(PATIENCE, "all containers run", || Some(running(&server)).filter(|all| all.len() == 4));
    server.kill();
    server.start_again();
    server.until_within(PATIENCE, "get pods -l app", all_run);
    let book = sign("fourth");
    assert!(book.contains("third\n"), "{book}");
    assert_eq!(running(&server), before);

    // The cron job has come by all the while.
    within(PATIENCE, "the visitor signs", || sign("again").contains("visitor\n").then_some(()));
    server.until_within(PATIENCE, "get jobs", |table| table.contains("1/1"));
    server.delete_cluster();
}
