//! Images of well-known tutorials, driven to what those promise.

use crate::lab::Lab;
use crate::test;

/// Runs an image and gives it a Service.
fn deploy(lab: &Lab, name: &str, image: &str, port: u16) {
    lab.ok(&format!("kubectl create deployment {name} --image={image} --port={port}"));
    lab.ok(&format!("kubectl expose deployment {name} --port={port}"));
}

#[test]
fn the_example_voting_app_votes_and_counts() {
    let lab = Lab::new(2);
    deploy(&lab, "redis", "redis:alpine", 6379);
    deploy(&lab, "db", "postgres:15-alpine", 5432);
    lab.ok("kubectl create deployment worker --image=dockersamples/examplevotingapp_worker");
    for name in ["vote", "result"] {
        deploy(&lab, name, &format!("dockersamples/examplevotingapp_{name}"), 80);
    }
    // As everybody's first time: the database wants a password.
    lab.until("kubectl logs deployment/db", |text| text.contains("superuser password is not specified"));
    lab.ok("kubectl set env deployment/db POSTGRES_PASSWORD=postgres");
    lab.until("kubectl get deployments", |table| table.matches("1/1").count() == 5);
    lab.ok("kubectl port-forward service/vote 8080:80 > /dev/null & kubectl port-forward service/result 8081:80 > /dev/null & sleep 2");
    for voter in ["ann", "bob", "eve", "bob"] {
        let choice = if voter == "eve" { "b" } else { "a" };
        let line = format!(
            "kubectl exec deployment/redis -- redis-cli RPUSH votes '{{\"voter_id\":\"{voter}\",\"vote\":\"{choice}\"}}'"
        );
        lab.ok(&line);
    }
    lab.ok("kubectl create deployment client --image=curlimages/curl -- sleep 1d");
    lab.until("kubectl get deployment client", |table| table.contains("1/1"));
    let page = lab.ok("kubectl exec deployment/client -- curl -s -X POST -d vote=b http://vote");
    assert!(page.contains("You voted Dogs"), "{page}");
    let result = "kubectl exec deployment/client -- curl -s http://result";
    lab.until(result, |page| page.contains("{\"a\":2,\"b\":2}") && page.contains("4 votes"));
    let table =
        lab.ok("kubectl exec deployment/db -- psql -U postgres -c 'SELECT vote, count(id) FROM votes GROUP BY vote'");
    assert_eq!(table, " vote | count \n------+-------\n a    |     2\n b    |     2\n(2 rows)\n\n");
}

#[test]
fn postgres_keeps_its_data_in_its_volume() {
    let lab = Lab::new(1);
    lab.apply(
        "apiVersion: v1
kind: PersistentVolume
metadata: {name: disk}
spec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], storageClassName: manual, hostPath: {path: /mnt/data}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {storageClassName: manual, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: db, labels: {app: db}}
spec:
  containers:
  - name: db
    image: postgres:17
    env: [{name: POSTGRES_PASSWORD, value: secret}]
    volumeMounts: [{name: data, mountPath: /var/lib/postgresql/data}]
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
",
    );
    lab.until("kubectl get pod db", |table| table.contains("1/1"));
    lab.ok("kubectl expose pod db --port=5432");
    lab.ok("kubectl exec db -- psql -U postgres -c 'CREATE TABLE t (x int)' -c 'INSERT INTO t VALUES (42)'");
    lab.ok("kubectl get pod db -o yaml > db.yaml && kubectl delete pod db && kubectl apply -f manifest.yaml");
    lab.until("kubectl get pod db", |table| table.contains("1/1"));
    let log = lab.ok("kubectl logs db");
    assert!(log.contains("Skipping initialization"), "{log}");
    assert_eq!(lab.ok("kubectl exec db -- psql -U postgres -tAc 'SELECT x FROM t'"), "42\n");
    lab.ok("kubectl run client --image=postgres:17 --env=PGPASSWORD=wrong --command -- sleep 1d");
    lab.until("kubectl get pod client", |table| table.contains("1/1"));
    let (code, error) = lab.fails("kubectl exec client -- psql -h db -U postgres -c 'SELECT 1'");
    assert_eq!(code, 2);
    assert!(error.contains("FATAL:  password authentication failed for user \"postgres\""), "{error}");
    let right = "kubectl exec client -- env PGPASSWORD=secret psql -h db -U postgres -tAc 'SELECT x FROM t'";
    assert_eq!(lab.ok(right), "42\n");
}

#[test]
fn the_guestbook_of_the_documentation() {
    let lab = Lab::new(2);
    deploy(&lab, "redis-leader", "docker.io/redis:6.0.5", 6379);
    let registry = "us-docker.pkg.dev/google-samples/containers/gke";
    deploy(&lab, "redis-follower", &format!("{registry}/gb-redis-follower:v2"), 6379);
    deploy(&lab, "frontend", &format!("{registry}/gb-frontend:v5"), 80);
    lab.ok("kubectl scale deployment redis-follower --replicas=2 && kubectl scale deployment frontend --replicas=3");
    lab.until("kubectl get deployment frontend", |table| table.contains("3/3"));
    lab.until("kubectl get deployment redis-leader", |table| table.contains("1/1"));
    lab.until("kubectl get deployment redis-follower", |table| table.contains("2/2"));
    lab.ok("kubectl run client --image=busybox -- sleep 1d");
    lab.until("kubectl get pod client", |table| table.contains("1/1"));
    let inside = |path: &str| lab.ok(&format!("kubectl exec client -- wget -qO- 'http://frontend/{path}'"));
    assert!(inside("").contains("Guestbook"));
    let set = "guestbook.php?cmd=set&key=messages&value=,hello%20there";
    lab.until(&format!("kubectl exec client -- wget -qO- 'http://frontend/{set}'"), |text| text.contains("Updated"));
    assert_eq!(inside("guestbook.php?cmd=get&key=messages"), "{\"data\":\",hello there\"}");
}

#[test]
fn a_load_raises_the_cpu_that_is_measured() {
    let lab = Lab::new(1);
    lab.ok("kubectl create deployment php-apache --image=registry.k8s.io/hpa-example --port=80");
    lab.ok("kubectl set resources deployment php-apache --requests=cpu=200m --limits=cpu=500m");
    lab.ok("kubectl expose deployment php-apache --port=80");
    lab.until("kubectl get deployment php-apache", |table| table.contains("1/1"));
    lab.ok("kubectl run load --image=busybox:1.28 --restart=Never -- /bin/sh -c 'while sleep 0.01; do wget -q -O- http://php-apache; done'");
    lab.until("kubectl top pods --no-headers", |table| {
        let line = table.lines().find(|line| line.starts_with("php-apache")).unwrap_or_default();
        let cpu = line.split_whitespace().nth(1).and_then(|text| text.trim_end_matches('m').parse::<u32>().ok());
        cpu.is_some_and(|cpu| (250..=500).contains(&cpu))
    });
}

#[test]
fn any_other_image_is_a_generic_server() {
    let lab = Lab::new(1);
    deploy(&lab, "mine", "ghcr.io/somebody/something:3", 8088);
    lab.until("kubectl get deployment mine", |table| table.contains("1/1"));
    assert!(
        lab.ok("kubectl logs deployment/mine")
            .contains("ghcr.io/somebody/something:3 is not built in; a generic server")
    );
    // Its arguments are those of a program that is not here, or of one that is.
    lab.ok("kubectl run given --image=prom/prometheus:v2.53.0 --port=9090 -- --config.file=/etc/prometheus.yml");
    lab.until("kubectl get pod given", |table| table.contains("1/1"));
    assert!(lab.ok("kubectl logs given").contains("asked to run: --config.file=/etc/prometheus.yml"));
    lab.ok("kubectl run shell --image=example.com/tools:1 --restart=Never --command -- sh -c 'echo $((6 * 7))'");
    lab.until("kubectl logs shell", |text| text == "42\n");
    lab.ok("kubectl run client --image=busybox -- sleep 1d");
    lab.until("kubectl get pod client", |table| table.contains("1/1"));
    lab.until("kubectl exec client -- wget -qO- mine:8088", |text| {
        text.contains("a stand-in for ghcr.io/somebody/something:3")
    });
}

#[test]
fn wordpress_and_mysql_keep_their_site() {
    let lab = Lab::new(1);
    lab.ok("kubectl create secret generic mysql-pass --from-literal=password=secret");
    lab.apply(include_str!("fixtures/wordpress.yaml"));
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 2);
    lab.ok("kubectl run client --image=curlimages/curl -- sleep 1d && kubectl wait --for=condition=Ready pod/client");
    let curl = "kubectl exec client -- curl -s";
    let page = lab.ok(&format!("{curl} -L http://wordpress/"));
    assert!(page.contains("five-minute WordPress installation process"), "{page}");
    lab.ok(&format!("{curl} -d weblog_title=Whales -d user_name=ann http://wordpress/wp-admin/install.php?step=2"));
    // The database's pod is another one, its volume is the same.
    lab.ok("kubectl delete pod -l tier=mysql");
    lab.until("kubectl get pods -l tier=mysql", |table| table.contains("1/1"));
    lab.until(&format!("{curl} http://wordpress/"), |page| page.contains("<h1>Whales</h1>"));
    let mysql = "kubectl exec deployment/wordpress-mysql -- mysql -psecret";
    assert_eq!(lab.ok(&format!("{mysql} -N -e 'SELECT option_value FROM wp_options' wordpress")), "Whales\n");
    assert_eq!(
        lab.ok(&format!("{mysql} -t -e 'SHOW TABLES' wordpress")),
        "+---------------------+\n| Tables_in_wordpress |\n+---------------------+\n| wp_options          |\n+---------------------+\n"
    );
    let client = "kubectl run -i --rm --image=mysql:9 --restart=Never mysql-client --";
    let (_, text) = lab.fails(&format!("{client} mysql -h wordpress-mysql -pwrong -e 'SELECT 1'"));
    assert!(text.contains("ERROR 1045 (28000): Access denied for user 'root'@"), "{text}");
    lab.ok("kubectl create deployment bare --image=mysql:9");
    lab.until("kubectl logs deployment/bare", |text| text.contains("password option is not specified"));
}

#[test]
fn cassandras_nodes_form_a_ring() {
    let lab = Lab::new(3);
    lab.apply(include_str!("fixtures/cassandra.yaml"));
    let status = "kubectl exec cassandra-0 -- nodetool status";
    lab.until("kubectl get statefulset cassandra", |table| table.contains("3/3"));
    let ring = lab.ok(status);
    assert!(ring.starts_with("Datacenter: DC1-K8Demo\n") && ring.matches("\nUN  ").count() == 3, "{ring}");
    assert!(ring.contains("Rack1-K8Demo"), "{ring}");
    lab.ok("kubectl scale statefulset cassandra --replicas=2");
    lab.until(status, |ring| ring.matches("\nUN  ").count() == 2 && ring.contains("\nDN  "));
}

#[test]
fn zookeeper_keeps_what_it_is_told_while_most_of_it_is_there() {
    let lab = Lab::new(3);
    lab.apply(include_str!("fixtures/zookeeper.yaml"));
    lab.until("kubectl get statefulset zk", |table| table.contains("3/3"));
    for index in 0..3 {
        let id = lab.ok(&format!("kubectl exec zk-{index} -- cat /var/lib/zookeeper/data/myid"));
        assert_eq!(id, format!("{}\n", index + 1));
    }
    let config = lab.ok("kubectl exec zk-0 -- cat /opt/zookeeper/conf/zoo.cfg");
    assert!(config.contains("server.3=zk-2.zk-hs.default.svc.cluster.local:2888:3888\n"), "{config}");
    assert!(lab.ok("kubectl exec zk-0 -- zkCli.sh create /hello world").ends_with("Created /hello\n"));
    assert!(lab.ok("kubectl exec zk-1 -- zkCli.sh get /hello").contains("\nworld\n"));
    let modes: String = (0..3).map(|index| lab.ok(&format!("kubectl exec zk-{index} -- zkServer.sh status"))).collect();
    assert_eq!((modes.matches("leader").count(), modes.matches("follower").count()), (1, 2), "{modes}");
    // All pods are others, the volumes are the same.
    lab.ok("kubectl delete statefulset zk && kubectl wait --for=delete pod -l app=zk --timeout=60s");
    lab.apply(include_str!("fixtures/zookeeper.yaml"));
    lab.until("kubectl get statefulset zk", |table| table.contains("3/3"));
    assert!(lab.ok("kubectl exec zk-2 -- zkCli.sh get /hello").contains("\nworld\n"));
    lab.ok("kubectl scale statefulset zk --replicas=1");
    lab.until("kubectl get pods -l app=zk --no-headers", |table| table.lines().count() == 1);
    let (_, text) = lab.fails("kubectl exec zk-0 -- zkCli.sh get /hello");
    assert!(text.contains("ConnectionLoss"), "{text}");
}

#[test]
fn a_cache_and_a_queue_are_there() {
    let lab = Lab::new(1);
    for (name, image, port) in
        [("memcached", "memcached:1.6", 11211), ("rabbitmq", "rabbitmq:4", 5672), ("mongo", "mongo:8", 27017)]
    {
        deploy(&lab, name, image, port);
    }
    lab.until("kubectl get deployments", |table| table.matches("1/1").count() == 3);
    assert!(lab.ok("kubectl logs deployment/rabbitmq").contains("Server startup complete"));
    assert!(lab.ok("kubectl logs deployment/mongo").contains("Waiting for connections"));
    lab.ok("kubectl run client --image=busybox -- sleep 1d && kubectl wait --for=condition=Ready pod/client");
    let talk = "printf 'set a 0 0 5\\r\\nhello\\r\\nget a\\r\\n' | nc -w 1 memcached 11211";
    let text = lab.ok(&format!("kubectl exec client -- sh -c \"{talk}\""));
    assert_eq!(text, "STORED\r\nVALUE a 0 5\r\nhello\r\nEND\r\n");
}

const NGINX: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: front}
data:
  default.conf: |
    upstream shop { server backend:8088; }
    server {
      listen 8080 default_server;
      default_type text/plain;
      add_header X-Served-By $hostname;
      location / { return 200 "hello from $hostname\n"; }
      location = /healthz { access_log off; return 200 "ok"; }
      location /old { return 301 /new; }
      location /shop/ { proxy_set_header Host shop.example; proxy_pass http://shop/; }
      location ~ \.(html|txt)$ { root /srv; try_files $uri =404; }
      location /secret { deny all; }
      error_page 404 /missing;
      location = /missing { internal; return 404 "nothing here\n"; }
    }
---
apiVersion: v1
kind: Pod
metadata: {name: front, labels: {app: front}}
spec:
  containers:
  - name: nginx
    image: nginx:1.27
    ports: [{containerPort: 8080}]
    readinessProbe: {httpGet: {path: /healthz, port: 8080}}
    volumeMounts: [{name: conf, mountPath: /etc/nginx/conf.d}]
  volumes: [{name: conf, configMap: {name: front}}]
"#;

#[test]
fn nginx_does_what_its_configuration_says() {
    let lab = Lab::new(1);
    // A host that is not known when nginx starts ends it; it starts once the host is.
    lab.apply(NGINX);
    lab.until("kubectl logs front", |log| {
        log.contains("[emerg] host not found in upstream \"backend:8088\" in /etc/nginx/conf.d/default.conf:1")
    });
    deploy(&lab, "backend", "example.com/backend:1", 8088);
    lab.until("kubectl get pod front", |table| table.contains("1/1"));
    lab.ok("kubectl run client --image=busybox --restart=Never -- sleep 1d");
    lab.until("kubectl get pod client", |table| table.contains("1/1"));
    lab.ok("kubectl expose pod front --port=80 --target-port=8080");
    lab.until("kubectl exec client -- wget -qO- front/any", |text| text == "hello from front\n");
    assert!(
        lab.ok("kubectl exec client -- wget -qO- front/shop/things").contains("a stand-in for example.com/backend:1")
    );
    assert!(
        lab.ok("kubectl exec front -- curl -si localhost:8080/old").contains("Location: http://localhost:8080/new")
    );
    assert!(lab.ok("kubectl exec front -- curl -si localhost:8080/x").contains("X-Served-By: front"));
    assert_eq!(lab.ok("kubectl exec front -- curl -s localhost:8080/a.html"), "nothing here\n");
    lab.ok("kubectl exec front -- sh -c 'mkdir -p /srv && echo page > /srv/a.html'");
    assert_eq!(lab.ok("kubectl exec front -- curl -s localhost:8080/a.html"), "page\n");
    assert!(lab.ok("kubectl exec front -- curl -si localhost:8080/secret").starts_with("HTTP/1.1 403"));
    assert!(
        lab.ok("kubectl exec front -- nginx -T")
            .contains("# configuration file /etc/nginx/conf.d/default.conf:\nupstream shop")
    );
    lab.ok("kubectl delete deployment backend");
    lab.until("kubectl exec front -- curl -si localhost:8080/shop/", |text| text.starts_with("HTTP/1.1 502"));
    assert!(lab.ok("kubectl logs front").contains("while connecting to upstream"));
}

#[test]
fn nginx_says_what_is_wrong_with_its_configuration() {
    let lab = Lab::new(1);
    lab.apply(&NGINX.replace("deny all", "refuse all"));
    lab.until("kubectl logs front", |log| {
        log.contains("nginx: [emerg] unknown directive \"refuse\" in /etc/nginx/conf.d/default.conf:")
    });
}

#[test]
fn hello_world_says_it_and_ends() {
    let lab = Lab::new(1);
    lab.ok("kubectl run hello --image=hello-world --restart=Never");
    lab.until("kubectl get pod hello", |table| table.contains("Completed"));
    assert!(lab.ok("kubectl logs hello").contains("Hello from Docker!"));
}
