//! The cluster's network: policies, Ingress, Services in all their forms, and how connections fail.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use machinery::wire::{Channels, Frame, Request, Response};
use playground_core::ingress::InForce;
use playground_core::{Cluster, HostNetwork, NodeOptions, Options};
use proxy::{Policies, Tables};

use crate::lab::Lab;
use crate::test;

/// A web server with its Service, and two clients in two namespaces.
fn web() -> Lab {
    let lab = Lab::new(2);
    lab.ok("kubectl create deployment nginx --image=nginx && kubectl expose deployment nginx --port=80");
    lab.ok("kubectl run friend --image=busybox --labels=access=true -- sleep 1d");
    lab.ok("kubectl run stranger --image=busybox -- sleep 1d");
    lab.ok("kubectl create namespace other && kubectl label namespace other team=blue");
    lab.ok("kubectl run visitor -n other --image=busybox -- sleep 1d");
    lab.until(
        "kubectl get pods -A --field-selector metadata.namespace!=kube-system,metadata.namespace!=local-path-storage",
        |table| table.matches("1/1").count() == 4,
    );
    lab
}

/// Whether a pod gets the page, from its exit code and words.
fn reaches(lab: &Lab, pod: &str, target: &str) -> bool {
    let output = lab.run(&format!("kubectl exec {pod} -- wget -q -T 1 -O- {target}"));
    assert!(
        output.code == 0 || output.stderr.contains("timed out") || output.stderr.contains("bad address"),
        "{output:?}"
    );
    output.code == 0
}

fn policy(lab: &Lab, spec: &str) {
    lab.ok("kubectl delete networkpolicy --all");
    lab.apply(&format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: under-test}}\nspec: {spec}\n"
    ));
}

#[test]
fn policies_are_enforced() {
    let lab = web();
    let web = "nginx.default";
    let (friend, stranger, visitor) = ("friend", "stranger", "-n other visitor");
    // Spec, then who gets through: friend, stranger, visitor.
    let table = [
        ("{podSelector: {}, policyTypes: [Ingress]}", [false, false, false]),
        ("{podSelector: {}, ingress: [{}], policyTypes: [Ingress]}", [true, true, true]),
        ("{podSelector: {matchLabels: {app: other}}, policyTypes: [Ingress]}", [true, true, true]),
        (
            "{podSelector: {matchLabels: {app: nginx}}, ingress: [{from: [{podSelector: {matchLabels: {access: \"true\"}}}]}]}",
            [true, false, false],
        ),
        (
            "{podSelector: {matchLabels: {app: nginx}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}}]}]}",
            [false, false, true],
        ),
        (
            "{podSelector: {matchLabels: {app: nginx}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: blue}}, \
              podSelector: {matchLabels: {run: other}}}]}]}",
            [false, false, false],
        ),
        ("{podSelector: {matchLabels: {app: nginx}}, ingress: [{ports: [{port: 80}]}]}", [true, true, true]),
        ("{podSelector: {matchLabels: {app: nginx}}, ingress: [{ports: [{port: 81}]}]}", [false, false, false]),
        (
            "{podSelector: {matchLabels: {app: nginx}}, ingress: [{ports: [{port: 70, endPort: 90}]}]}",
            [true, true, true],
        ),
        (
            "{podSelector: {matchLabels: {app: nginx}}, ingress: [{ports: [{port: 80, protocol: UDP}]}]}",
            [false, false, false],
        ),
        (
            "{podSelector: {matchLabels: {app: nginx}}, ingress: [{from: [{ipBlock: {cidr: 10.244.0.0/16}}]}]}",
            [true, true, true],
        ),
        (
            "{podSelector: {matchLabels: {app: nginx}}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: [10.244.0.0/16]}}]}]}",
            [false, false, false],
        ),
        // Without DNS, a name leads nowhere.
        ("{podSelector: {matchLabels: {access: \"true\"}}, policyTypes: [Egress]}", [false, true, true]),
        (
            "{podSelector: {matchLabels: {access: \"true\"}}, policyTypes: [Egress], egress: [\
              {to: [{namespaceSelector: {}, podSelector: {matchLabels: {k8s-app: kube-dns}}}], ports: [{port: 53, protocol: UDP}]}, \
              {to: [{podSelector: {matchLabels: {app: nginx}}}]}]}",
            [true, true, true],
        ),
    ];
    for (spec, wanted) in table {
        policy(&lab, spec);
        let got = [friend, stranger, visitor].map(|pod| reaches(&lab, pod, web));
        assert_eq!(got, wanted, "{spec}");
    }
    lab.ok("kubectl delete networkpolicy --all");
    assert!(reaches(&lab, stranger, web));
}

#[test]
fn probes_pass_policies() {
    let lab = Lab::new(1);
    lab.apply(
        "apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  containers:
  - {name: web, image: nginx, readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}}
",
    );
    lab.until("kubectl get pod web", |table| table.contains("1/1"));
}

#[test]
fn ingress_leads_hosts_and_paths_to_services() {
    let lab = Lab::new(1);
    for version in ["1.0", "2.0"] {
        let name = format!("web{}", &version[..1]);
        lab.ok(&format!("kubectl create deployment {name} --image=gcr.io/google-samples/hello-app:{version}"));
        lab.ok(&format!("kubectl expose deployment {name} --port=8080"));
    }
    lab.until("kubectl get deployments", |table| table.matches("1/1").count() == 2);
    assert!(lab.ok("kubectl get ingressclass").contains("k8s.io/ingress-nginx"));
    lab.apply(
        "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: example}
spec:
  ingressClassName: nginx
  rules:
  - host: hello-world.example
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: web1, port: {number: 8080}}}}
      - {path: /v2, pathType: Prefix, backend: {service: {name: web2, port: {number: 8080}}}}
      - {path: /gone, pathType: Exact, backend: {service: {name: nobody, port: {number: 80}}}}
",
    );
    lab.until("kubectl get ingress example", |table| table.contains("localhost"));
    let get = |host: &str, path: &str| lab.ok(&format!("curl -s -H 'Host: {host}' http://localhost{path}"));
    assert!(get("hello-world.example", "/").contains("Version: 1.0.0"));
    assert!(get("hello-world.example", "/v2/deeper").contains("Version: 2.0.0"));
    assert!(get("hello-world.example", "/gone").contains("503 Service Temporarily Unavailable"));
    assert!(get("elsewhere.example", "/").contains("404 Not Found"));
    let node = lab.ok("kubectl get nodes -o jsonpath='{.items[0].status.addresses[0].address}'");
    let text = lab.ok(&format!("curl -s -H 'Host: hello-world.example' http://{node}/"));
    assert!(text.contains("Version: 1.0.0"), "{text}");
    lab.apply(
        "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: fallback}
spec: {defaultBackend: {service: {name: web2, port: {number: 8080}}}}
",
    );
    lab.until("curl -s -H 'Host: elsewhere.example' http://localhost/", |text| text.contains("Version: 2.0.0"));
    lab.ok("kubectl delete ingress --all");
    lab.until("curl -s -H 'Host: hello-world.example' http://localhost/", |text| text.contains("404"));
}

/// A Secret with a certificate; nobody reads keys in the simulated network.
fn tls_secret(lab: &Lab, name: &str, certificate: &str) {
    let lines: String = certificate.lines().map(|line| format!("    {line}\n")).collect();
    lab.apply(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}}}\ntype: kubernetes.io/tls\nstringData:\n  tls.key: key\n  tls.crt: |\n{lines}"
    ));
}

#[test]
fn ingress_ends_tls_by_host() {
    const SHOP: &str = include_str!("fixtures/tls/shop.crt");
    const NEW: &str = include_str!("fixtures/tls/new.crt");
    const FAKE: &str = "issuer: O=Acme Co; CN=Kubernetes Ingress Controller Fake Certificate";
    let lab = Lab::new(1);
    lab.ok("kubectl create deployment web --image=nginx && kubectl expose deployment web --port=80");
    lab.ok("kubectl rollout status deployment web");
    lab.ok(&format!("cat > ca.crt <<'EOF'\n{SHOP}EOF"));
    tls_secret(&lab, "shop-tls", SHOP);
    lab.apply(
        "apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop}
spec:
  tls: [{hosts: [shop.example], secretName: shop-tls}]
  rules:
  - {host: shop.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: plain}
spec:
  rules:
  - {host: plain.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: unforced, annotations: {nginx.ingress.kubernetes.io/ssl-redirect: \"false\"}}
spec:
  tls: [{hosts: [unforced.example], secretName: missing}]
  rules:
  - {host: unforced.example, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}]}}
",
    );
    let at = "--resolve shop.example:443:127.0.0.1 https://shop.example/";
    lab.until(&format!("curl -s --cacert ca.crt {at}"), |page| page.contains("Welcome to nginx!"));
    assert!(lab.ok("kubectl describe ingress shop").contains("shop-tls terminates shop.example"));
    // Whom nobody is told to trust is not trusted, nor one with another's certificate.
    let (code, text) = lab.fails(&format!("curl {at}"));
    assert!(code == 60 && text.contains("SSL certificate problem: self-signed certificate"), "{text}");
    let (code, text) = lab.fails("curl --cacert ca.crt --resolve plain.example:443:127.0.0.1 https://plain.example/");
    assert!(code == 60 && text.contains("self-signed certificate"), "{text}");
    let (code, text) = lab.fails("curl --cacert nothing.crt https://localhost/");
    assert!(code == 77, "{text}");
    let shown = |host: &str| lab.run(&format!("curl -skv --resolve {host}:443:127.0.0.1 https://{host}/")).stderr;
    assert!(shown("shop.example").contains("subject: O=Shop; CN=shop.example"));
    for host in ["plain.example", "unforced.example"] {
        let text = shown(host);
        assert!(text.contains(FAKE) && text.contains("self-signed certificate (18), continuing anyway"), "{text}");
    }
    let kept = |host: &str| lab.ok(&format!("curl -skI --resolve {host}:443:127.0.0.1 https://{host}/"));
    assert!(kept("shop.example").contains("Strict-Transport-Security: max-age=31536000; includeSubDomains"));
    assert!(!kept("plain.example").contains("Strict"));
    // Hosts with TLS are asked for by it.
    let get = |host: &str| {
        let form = "-s -o /dev/null -w '%{http_code}'";
        lab.ok(&format!("curl {form} -H 'Host: {host}' http://localhost/a?b=c"))
    };
    assert_eq!(
        [get("shop.example"), get("plain.example"), get("unforced.example")],
        ["308", "404", "404"].map(String::from)
    );
    let head = lab.ok("curl -sI -H 'Host: shop.example' http://localhost/a?b=c");
    assert!(head.contains("Location: https://shop.example/a?b=c"), "{head}");
    // A certificate for another host stands for none, and a new one is there at once.
    tls_secret(&lab, "shop-tls", NEW);
    lab.until(&format!("curl -skv {at} 2>&1"), |text| text.contains(FAKE));
    tls_secret(&lab, "shop-tls", SHOP);
    lab.until(&format!("curl -s --cacert ca.crt {at}"), |page| page.contains("Welcome to nginx!"));
    lab.ok("kubectl delete secret shop-tls");
    lab.until(&format!("curl -skv {at} 2>&1"), |text| text.contains(FAKE));
}

#[test]
fn services_in_all_their_forms() {
    let lab = Lab::new(3);
    lab.ok("kubectl run client --image=busybox -- sleep 1d");
    lab.apply(
        "apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec: {containers: [{name: web, image: registry.k8s.io/e2e-test-images/agnhost:2.53, args: [netexec], ports: [{containerPort: 8080, name: http}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 8080, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec: {selector: {app: db}, sessionAffinity: ClientIP, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: db.default.svc.cluster.local}
---
apiVersion: v1
kind: Service
metadata: {name: empty}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: local}
spec: {type: NodePort, externalTrafficPolicy: Local, selector: {statefulset.kubernetes.io/pod-name: db-0}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: door}
spec: {containers: [{name: web, image: nginx, ports: [{containerPort: 80, hostPort: 8081}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: onnode}
spec: {hostNetwork: true, containers: [{name: web, image: hashicorp/http-echo, args: [-text=on the node, -listen=:5679]}]}
",
    );
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 5);
    let inside = |line: &str| lab.run(&format!("kubectl exec client -- {line}"));
    assert_eq!(inside("wget -qO- db-1.db:8080/hostname").stdout, "db-1");
    let srv = inside("nslookup -type=SRV _http._tcp.db.default.svc.cluster.local").stdout;
    assert!(srv.contains("0 50 8080 db-0.db.default.svc.cluster.local."), "{srv}");
    let first = inside("wget -qO- sticky/hostname").stdout;
    for _ in 0..5 {
        assert_eq!(inside("wget -qO- sticky/hostname").stdout, first);
    }
    assert!(inside("wget -qO- alias:8080/hostname").stdout.starts_with("db-"));
    let pod_ip = lab.ok("kubectl get pod db-0 -o jsonpath='{.status.podIP}'");
    let record = format!("{}.default.pod.cluster.local", pod_ip.replace('.', "-"));
    assert!(inside(&format!("nslookup {record}")).stdout.contains(&pod_ip));
    // Refusal and timeout are two things.
    assert!(inside("wget -q -T 5 -O- empty").stderr.contains("Connection refused"));
    assert!(inside(&format!("wget -q -T 5 -O- {pod_ip}:9")).stderr.contains("Connection refused"));
    assert!(inside("wget -q -T 5 -O- 10.244.9.9").stderr.contains("timed out"));
    assert!(inside("wget -q -T 5 -O- nowhere").stderr.contains("bad address"));
    let node_of = |pod: &str| lab.ok(&format!("kubectl get pod {pod} -o jsonpath='{{.status.hostIP}}'"));
    assert!(lab.ok(&format!("curl -s http://{}:8081", node_of("door"))).contains("Welcome to nginx!"));
    assert_eq!(lab.ok(&format!("curl -s http://{}:5679", node_of("onnode"))), "on the node\n");
    let port = lab.ok("kubectl get service local -o jsonpath='{.spec.ports[0].nodePort}'");
    let here = node_of("db-0");
    assert_eq!(lab.ok(&format!("curl -s http://{here}:{port}/hostname")), "db-0");
    let nodes = lab.ok("kubectl get nodes -o jsonpath='{.items[*].status.addresses[0].address}'");
    let elsewhere = nodes.split(' ').find(|node| *node != here).expect("another node");
    assert_eq!(lab.run(&format!("curl -s -m 3 http://{elsewhere}:{port}/hostname")).code, 28);
}

#[test]
fn traffic_stays_where_it_is_meant_to() {
    let lab = Lab::new(3);
    for (node, zone) in [("hello-worker", "a"), ("hello-worker2", "b")] {
        lab.ok(&format!("kubectl label node {node} topology.kubernetes.io/zone={zone}"));
    }
    let mut manifest = String::new();
    for (index, node) in ["hello-worker", "hello-worker2"].into_iter().enumerate() {
        manifest += &format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: server{index}, labels: {{app: server, only: server{index}}}}}
spec:
  nodeName: {node}
  containers:
  - name: main
    image: registry.k8s.io/e2e-test-images/agnhost:2.53
    args: [netexec]
---
apiVersion: v1
kind: Pod
metadata: {{name: client{index}}}
spec: {{nodeName: {node}, containers: [{{name: main, image: busybox, command: [sleep, 1d]}}]}}
---
"
        );
    }
    let service = |name: &str, selector: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{{selector}}}, {more}, ports: \
             [{{port: 80, targetPort: 8080}}]}}\n---\n"
        )
    };
    manifest += &service("near", "app: server", "trafficDistribution: PreferClose");
    manifest += &service("own", "only: server0", "internalTrafficPolicy: Local");
    manifest += &service(
        "sticky",
        "app: server",
        "sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 10}}",
    );
    manifest += &service("doors", "only: server1", "type: NodePort");
    lab.apply(&manifest);
    lab.until("kubectl get pods", |table| table.matches("1/1").count() == 4);
    let ask = |client: u8, service: &str| {
        lab.run(&format!("kubectl exec client{client} -- wget -qO- -T 2 {service}/hostname"))
    };
    lab.until("kubectl exec client0 -- wget -qO- -T 2 own/hostname", |name| name == "server0");
    assert!(ask(1, "own").stderr.contains("timed out"), "no endpoint on its node");
    let hints = "kubectl get endpointslice -l kubernetes.io/service-name=near -o jsonpath='{.items[0].endpoints[*].hints.forZones[0].name}'";
    lab.until(hints, |zones| zones.split(' ').count() == 2);
    for client in [0, 1] {
        for _ in 0..6 {
            assert_eq!(ask(client, "near").stdout, format!("server{client}"));
        }
    }
    let first = ask(0, "sticky").stdout;
    for _ in 0..6 {
        assert_eq!(ask(0, "sticky").stdout, first);
    }
    let another = (0..12).any(|_| {
        lab.pass(std::time::Duration::from_secs(11));
        ask(0, "sticky").stdout != first
    });
    assert!(another, "after its time a client may get to another endpoint");
    // Every node has the door, whichever has the pod.
    let port = lab.ok("kubectl get service doors -o jsonpath={.spec.ports[0].nodePort}");
    let nodes = lab.ok("kubectl get nodes -o jsonpath='{.items[*].status.addresses[0].address}'");
    for node in nodes.split(' ') {
        assert_eq!(lab.ok(&format!("curl -s http://{node}:{port}/hostname")), "server1");
    }
    assert_eq!(lab.ok(&format!("ssh hello-control-plane curl -s localhost:{port}/hostname")), "server1");
}

#[test]
fn endpoints_follow_readiness_unless_they_are_published_before() {
    let lab = Lab::new(2);
    let pod = |name: &str| {
        format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}, labels: {{app: slow}}}}
spec:
  nodeSelector: {{kubernetes.io/hostname: hello-worker}}
  containers:
  - name: main
    image: nginx
    ports: [{{containerPort: 80, hostPort: 8085}}]
    readinessProbe: {{exec: {{command: [cat, /tmp/ready]}}, periodSeconds: 1, failureThreshold: 2}}
---
"
        )
    };
    let service = |name: &str, more: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{selector: {{app: slow}}, {more}ports: \
             [{{port: 80}}]}}\n---\n"
        )
    };
    let manifest = pod("slow")
        + &service("late", "")
        + &service("peers", "clusterIP: None, ")
        + &service("early", "clusterIP: None, publishNotReadyAddresses: true, ");
    lab.apply(&manifest);
    lab.ok("kubectl run client --image=busybox -- sleep 1d");
    lab.until("kubectl get pods", |table| table.contains("1/1") && table.contains("0/1     Running"));
    let inside = |line: &str| lab.run(&format!("kubectl exec client -- {line}"));
    let address = lab.ok("kubectl get pod slow -o jsonpath={.status.podIP}");
    lab.until("kubectl exec client -- nslookup early.default.svc.cluster.local", |text| text.contains(&address));
    assert!(inside("nslookup peers.default.svc.cluster.local").stdout.contains("NXDOMAIN"));
    assert!(inside("wget -qO- -T 2 late").stderr.contains("Connection refused"));
    lab.ok("kubectl exec slow -- touch /tmp/ready");
    lab.until("kubectl exec client -- wget -qO- -T 2 late", |page| page.contains("Welcome to nginx!"));
    lab.until("kubectl exec client -- nslookup peers.default.svc.cluster.local", |text| text.contains(&address));
    lab.ok("kubectl exec slow -- rm /tmp/ready");
    lab.until("kubectl get pod slow", |row| row.contains("0/1"));
    lab.until("kubectl exec client -- sh -c 'wget -qO- -T 2 late 2>&1 || true'", |text| text.contains("refused"));
    // A port of the node is one pod's.
    lab.apply(&pod("second"));
    let why = lab.until("kubectl describe pod second", |text| text.contains("FailedScheduling"));
    assert!(why.contains("1 node(s) didn't have free ports for the requested pod ports"), "{why}");
}

/// A network beside the simulated one, as that of pods on Docker: one address answers there.
struct Beyond;

impl HostNetwork for Beyond {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, Option<Channels>> {
        let (mut ours, theirs) = Channels::pair();
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nreal\n";
        let answer = Frame { channel: 0, data: Some(text.as_bytes().into()) };
        let answers = address == ([10, 250, 0, 5], 8080).into() && ours.sender.try_send(answer).is_ok();
        futures::future::ready(answers.then_some(theirs)).boxed()
    }

    fn request(&self, _: &str, _: Request) -> BoxFuture<'static, Response> {
        futures::future::pending().boxed()
    }

    fn set_tables(&self, _: &Tables) {}
    fn set_policies(&self, _: &Policies) {}
    fn set_ingresses(&self, _: &InForce) {}
}

#[test]
fn the_learner_reaches_pods_that_are_not_simulated() {
    let store = store::Store::new(&store::Options::default());
    let start = "2026-01-01T00:00:00Z".parse().unwrap();
    let cluster = Cluster::new(Options {
        nodes: NodeOptions::cluster("hello", 1),
        network: Some(Arc::new(Beyond)),
        ..Options::new(store, start, 7)
    });
    let lab = Lab { cluster: cluster.unwrap() };
    let service = |name: &str, port: u16, address: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{type: NodePort, ports: [{{port: 80, \
             targetPort: 8080, nodePort: {port}}}]}}\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n\
             metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}\naddressType: IPv4\n\
             ports: [{{port: 8080, protocol: TCP}}]\nendpoints: [{{addresses: [{address}]}}]\n"
        )
    };
    lab.apply(&format!("{}---\n{}", service("there", 30001, "10.250.0.5"), service("nobody", 30002, "10.250.0.6")));
    lab.until("curl -s http://localhost:30001/", |text| text == "real\n");
    let (code, text) = lab.fails("curl http://localhost:30002/");
    assert!(code == 7 && text.contains("Couldn't connect to server"), "{text}");
}
