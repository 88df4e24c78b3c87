//! The seed documents' manifests by the machine's own kubectl against `playground serve --runtime sim`.

use std::net::{Ipv4Addr, TcpListener};

use playground_tests::{Server, curl, eventually, manifest, names};

#[test]
fn hello_kube_from_apply_to_delete() {
    let server = Server::start(&["--runtime", "sim", "--nodes", "3"]);
    let nodes = server.until("get nodes", |table| table.matches(" Ready ").count() == 3);
    assert!(nodes.contains("playground-control-plane"), "{nodes}");

    let file = manifest("hellodep.yaml");
    assert_eq!(server.ok(&format!("apply -f {file}")), "deployment.apps/hellodep created\n");
    assert_eq!(server.ok(&format!("apply -f {file}")), "deployment.apps/hellodep unchanged\n");
    let pods = server.until("get pods", |table| table.matches("1/1     Running").count() == 2);
    let wide = server.ok("get pods -o wide");
    assert!(
        wide.contains("playground-worker ") && wide.contains("playground-worker2"),
        "two pods on two nodes:\n{wide}"
    );

    assert_eq!(server.ok(&format!("apply -f {}", manifest("helloservice.yaml"))), "service/helleservice created\n");
    let services = server.ok("get services");
    assert!(services.contains("NodePort") && services.contains("8080:30950/TCP"), "{services}");
    server.until("get endpoints", |table| table.matches(":8080").count() == 2);
    let answer = eventually("the node port answers", || curl("http://localhost:30950"));
    assert!(answer.starts_with("Hello Kube! "), "{answer}");

    let victim = names(&pods).remove(0);
    assert_eq!(server.ok(&format!("delete pod {victim}")), format!("pod \"{victim}\" deleted\n"));
    let replaced = server.until("get pods", |table| table.matches("1/1     Running").count() == 2);
    assert!(!replaced.contains(&victim), "{replaced}");

    assert_eq!(server.ok("scale deployment/hellodep --replicas=4"), "deployment.apps/hellodep scaled\n");
    let pods = server.until("get pods", |table| table.matches("1/1     Running").count() == 4);
    let pod = names(&pods).remove(0);
    assert!(!server.ok(&format!("logs {pod}")).is_empty());
    let description = server.ok(&format!("describe pod {pod}"));
    for part in
        ["Successfully assigned default/", "Controlled By:  ReplicaSet/hellodep-", "Image:          hellokube:1.0.0"]
    {
        assert!(description.contains(part), "{part} in:\n{description}");
    }
    let description = server.ok("describe deployment hellodep");
    assert!(description.contains("Scaled up replica set hellodep-"), "{description}");
    assert_eq!(server.ok("delete deployment hellodep"), "deployment.apps \"hellodep\" deleted\n");
    server.until("get pods", str::is_empty);
}

#[test]
fn the_load_balancer_of_the_fourth_document() {
    let server = Server::start(&["--runtime", "sim"]);
    server.ok(&format!("apply -f {}", manifest("deployment.yaml")));
    server.ok(&format!("apply -f {}", manifest("service.yaml")));
    server.until("get all", |text| text.contains("LoadBalancer") && text.contains("localhost") && text.contains("2/2"));
    let page = eventually("nginx answers", || curl("http://localhost:8086"));
    assert!(page.contains("Welcome to nginx!"), "{page}");
    // Where this test may open the port, so may the server.
    if TcpListener::bind((Ipv4Addr::LOCALHOST, 80)).is_ok() {
        server.ok("create ingress nginx --class=nginx --rule=/*=demo-service:8086");
        eventually("the Ingress answers", || {
            curl("http://localhost").filter(|page| page.contains("Welcome to nginx!"))
        });
        server.ok("delete ingress nginx");
        eventually("the port is closed", || curl("http://localhost").is_none().then_some(()));
    }

    // The document's tutorial.yaml has `imagePullPolicy` where the API has no such field.
    let file = manifest("tutorial.yaml");
    let (code, error) = server.fails(&format!("apply -f {file}"));
    assert_eq!(code, 1);
    assert!(error.contains("unknown field \"spec.template.spec.imagePullPolicy\""), "{error}");
    server.ok("get service tutorial");
    server.ok(&format!("apply --validate=false -f {file}"));
    server.until("get deployment tutorial", |table| table.contains("1/1"));
    server.ok(&format!("delete -f {file}"));
}

#[test]
fn what_was_acknowledged_survives_a_restart_and_a_kill() {
    let mut server = Server::start(&["--runtime", "sim"]);
    server.ok("create configmap before-interrupt --from-literal=a=1");
    server.interrupt();
    server.start_again();
    server.ok("get configmap before-interrupt");
    server.ok("create configmap before-kill --from-literal=a=1");
    server.kill();
    server.start_again();
    server.ok("get configmap before-interrupt before-kill");
    server.ok(&format!("apply -f {}", manifest("hellodep.yaml")));
    server.until("get deployment hellodep", |table| table.contains("2/2"));
}

#[test]
fn bad_input_gets_the_errors_that_kubectl_users_know() {
    let server = Server::start(&["--runtime", "sim", "--nodes", "1"]);
    for (line, wanted) in [
        ("get gizmos", "error: the server doesn't have a resource type \"gizmos\""),
        ("get pod absent", "Error from server (NotFound): pods \"absent\" not found"),
        ("get pods --nosuchflag", "unknown flag: --nosuchflag"),
        ("scale deployment/absent --replicas=2", "deployments.apps \"absent\" not found"),
        ("get pods -l a=b=c", "found '=', expected: ',' or 'end of string'"),
    ] {
        let (code, error) = server.fails(line);
        assert_eq!(code, 1, "{line}");
        assert!(error.contains(wanted), "{line}: {error}");
    }
    server.ok("create namespace twice");
    let (_, error) = server.fails("create namespace twice");
    assert_eq!(error, "Error from server (AlreadyExists): namespaces \"twice\" already exists\n");
}

/// The documentation's task "Issue a Certificate for a Kubernetes API Client Using A
/// CertificateSigningRequest".
#[test]
fn an_approved_request_gives_a_certificate_that_its_owner_comes_in_with() {
    let server = Server::start(&["--runtime", "sim", "--nodes", "1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "myuser");
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "developers");
    let request = params.serialize_request(&key).expect("a request").pem().expect("PEM");
    let ask = |name: &str, request: &str, usage: &str| {
        let request = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, request);
        server.apply(&format!(
            "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata:\n  name: {name}\nspec:\n  \
             request: {request}\n  signerName: kubernetes.io/kube-apiserver-client\n  expirationSeconds: 86400\n  \
             usages:\n  - {usage}\n"
        ));
    };
    ask("myuser", &request, "client auth");
    let table = server.ok("get csr");
    assert!(table.contains("kubernetes-admin") && table.contains("24h") && table.contains("Pending"), "{table}");
    let approved = server.ok("certificate approve myuser");
    assert_eq!(approved, "certificatesigningrequest.certificates.k8s.io/myuser approved\n");
    server.until("get csr myuser", |table| table.contains("Approved,Issued"));
    let certificate = server.ok("get csr myuser -o jsonpath={.status.certificate}");
    let certificate = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, certificate).expect("base64");

    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.display().to_string()
    };
    let (certificate, key) = (file("myuser.crt", &certificate), file("myuser.key", key.serialize_pem().as_bytes()));
    server.ok(&format!(
        "config set-credentials myuser --client-key={key} --client-certificate={certificate} --embed-certs"
    ));
    let context = server.ok("config view -o jsonpath={.contexts[0].context.cluster}");
    server.ok(&format!("config set-context myuser --cluster={context} --user=myuser"));
    let whoami = server.ok("--context myuser auth whoami");
    assert!(whoami.contains("myuser") && whoami.contains("[developers system:authenticated]"), "{whoami}");
    assert!(whoami.contains("credential-id") && whoami.contains("[X509SHA256="), "{whoami}");
    let (_, refused) = server.fails("--context myuser get pods");
    assert!(refused.contains("pods is forbidden: User \"myuser\" cannot list resource \"pods\""), "{refused}");
    server.ok("create role developer --verb=get,list --resource=pods");
    server.ok("create rolebinding developer-binding-myuser --role=developer --user=myuser");
    server.ok("--context myuser get pods");

    // What the signer does not sign.
    ask("serving", &request, "server auth");
    server.ok("certificate approve serving");
    server.until("get csr serving", |table| table.contains("Approved,Failed"));
    let why = server.ok("get csr serving -o jsonpath={.status.conditions[1].message}");
    assert_eq!(why, "invalid usage for client certificate: server auth");
}
