//! The seed documents' manifests by the machine's own kubectl against `playground serve --runtime sim`.

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
