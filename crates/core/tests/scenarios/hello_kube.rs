//! The seed documents' manifests in virtual time, by the learner's own kubectl and curl.

use futures::{FutureExt, StreamExt};
use machinery::wire::Body;
use playground_core::control::Hop;

use crate::lab::{Lab, names};
use crate::test;

#[test]
fn a_deployment_is_exposed_scaled_and_heals() {
    let lab = Lab::new(3);
    assert_eq!(lab.ok("kubectl apply -f hellodep.yaml"), "deployment.apps/hellodep created\n");
    assert_eq!(lab.ok("kubectl apply -f hellodep.yaml"), "deployment.apps/hellodep unchanged\n");
    let pods = lab.until("kubectl get pods", |table| table.matches("1/1     Running").count() == 2);
    let wide = lab.ok("kubectl get pods -o wide");
    assert!(wide.contains("hello-worker ") && wide.contains("hello-worker2"), "two pods on two nodes:\n{wide}");

    assert_eq!(lab.ok("kubectl apply -f helloservice.yaml"), "service/helleservice created\n");
    assert!(lab.ok("kubectl get services").contains("8080:30950/TCP"));
    lab.until("kubectl get endpoints", |table| table.matches(":8080").count() == 2);
    assert!(lab.until("curl -s http://localhost:30950", |_| true).starts_with("Hello Kube! "));

    let victim = names(&pods)[0];
    assert_eq!(lab.ok(&format!("kubectl delete pod {victim}")), format!("pod \"{victim}\" deleted\n"));
    let healed = lab.until("kubectl get pods", |table| table.matches("1/1     Running").count() == 2);
    assert!(!healed.contains(victim), "{healed}");

    assert_eq!(lab.ok("kubectl scale deployment/hellodep --replicas=4"), "deployment.apps/hellodep scaled\n");
    let pods = lab.until("kubectl get pods", |table| table.matches("1/1     Running").count() == 4);
    let pod = names(&pods)[0];
    assert!(lab.ok(&format!("kubectl logs {pod}")).contains("listening on :8080"));
    let text = lab.ok(&format!("kubectl describe pod {pod}"));
    assert!(text.contains("Controlled By:  ReplicaSet/hellodep-") && text.contains("Successfully assigned"), "{text}");
    lab.ok("kubectl delete deployment hellodep");
    lab.until("kubectl get pods", str::is_empty);
}

#[test]
fn the_fourth_documents_service_is_a_load_balancer() {
    let lab = Lab::new(1);
    lab.ok("kubectl apply -f deployment.yaml -f service.yaml");
    lab.until("kubectl get all", |text| {
        text.contains("LoadBalancer") && text.contains("localhost") && text.contains("2/2")
    });
    assert!(lab.until("curl -sI http://localhost:8086", |_| true).starts_with("HTTP/1.1 200 OK"));
    let (code, error) = lab.fails("kubectl apply -f tutorial.yaml");
    assert_eq!(code, 1);
    assert!(error.contains("unknown field \"spec.template.spec.imagePullPolicy\""), "{error}");
    lab.ok("kubectl apply --validate=false -f tutorial.yaml");
    lab.until("kubectl get deployment tutorial", |table| table.contains("1/1"));
}

#[test]
fn the_fifth_documents_pod_has_tabs_in_its_manifest() {
    let lab = Lab::new(1);
    let manifest = "---\napiVersion: v1\nkind: Pod\nmetadata: \n\tname: nginx\n";
    let (code, error) = lab.fails(&format!(
        "printf '{}' > tabs.yaml; kubectl create -f tabs.yaml",
        manifest.replace('\n', "\\n").replace('\t', "\\t")
    ));
    assert_eq!(code, 1);
    assert!(error.contains("found character that cannot start any token"), "{error}");
    lab.ok("kubectl create -f nginx.yaml");
    lab.until("kubectl get pod nginx", |table| table.contains("1/1     Running"));
    assert!(lab.ok("kubectl exec nginx -- date").contains("2026"));
    lab.ok("kubectl get pods -l app=nginx");
}

#[test]
fn components_that_are_cut_off_or_stopped_converge_afterwards() {
    for name in [
        "deployment-controller",
        "replicaset-controller",
        "kube-controller-manager",
        "kube-scheduler",
        "kube-proxy",
        "endpointslice-controller",
    ] {
        let lab = Lab::new(3);
        assert!(lab.cluster.cut_off(name, true), "{name}");
        lab.ok("kubectl apply -f hellodep.yaml -f helloservice.yaml");
        lab.pass(std::time::Duration::from_secs(30));
        lab.cluster.cut_off(name, false);
        lab.until("kubectl get deployment hellodep", |table| table.contains("2/2"));
        assert!(lab.cluster.stop_component(name), "{name}");
        lab.ok("kubectl scale deployment/hellodep --replicas=3");
        lab.pass(std::time::Duration::from_secs(30));
        assert!(lab.cluster.start_component(name), "{name}");
        lab.until("kubectl get deployment hellodep", |table| table.contains("3/3"));
        lab.until("curl -s http://localhost:30950", |answer| answer.starts_with("Hello Kube!"));
    }
}

#[test]
fn bad_input_gets_the_errors_that_kubectl_users_know() {
    let lab = Lab::new(1);
    for (line, wanted) in [
        ("kubectl get gizmos", "error: the server doesn't have a resource type \"gizmos\"\n"),
        ("kubectl get pod absent", "Error from server (NotFound): pods \"absent\" not found\n"),
        ("kubectl frobnicate", "Error: unknown command \"frobnicate\" for \"kubectl\"\n"),
        ("kubectl get pods --nosuch", "Error: unknown flag: --nosuch\nSee 'kubectl get --help' for usage.\n"),
        ("kubectl apply -f absent.yaml", "error: the path \"absent.yaml\" does not exist\n"),
    ] {
        let (code, error) = lab.fails(line);
        assert_eq!((code, error.as_str()), (1, wanted), "{line}");
    }
}

#[test]
fn the_trace_tells_of_other_clients_and_of_container_runtimes() {
    let lab = Lab::new(1);
    let call = |request| {
        let answer = lab.cluster.public_api().handle(request);
        lab.cluster.executor().block_on(lab.cluster.now(), answer).unwrap()
    };
    let trace = call(http::Request::get("/playground/v1/trace").body(Body::empty()).unwrap());
    let Body::Stream(mut lines) = trace.into_body() else { panic!("no stream") };
    let pod = r#"{"metadata":{"name":"web"},"spec":{"containers":[{"name":"web","image":"nginx"}]}}"#;
    let request = http::Request::post("/api/v1/namespaces/default/pods").header("user-agent", "Helm/3.19");
    assert_eq!(call(request.body(Body::Bytes(pod.into())).unwrap()).status(), 201);
    lab.until("kubectl get pod web", |table| table.contains("1/1"));
    let mut hops = Vec::new();
    while let Some(Some(line)) = lines.next().now_or_never() {
        hops.push(serde_json::from_slice::<Hop>(&line).unwrap());
    }
    let told = |from: &str, to: &str, verb: &str| {
        hops.iter().any(|hop| {
            (hop.from.as_str(), hop.to.as_str(), hop.verb.as_str(), hop.object.as_str())
                == (from, to, verb, "pods/default/web")
        })
    };
    assert!(told("Helm", "kube-apiserver", "create"), "{hops:?}");
    assert!(told("kube-apiserver", "etcd", "create"), "{hops:?}");
    let node = "hello-control-plane";
    for verb in ["RunPodSandbox", "PullImage", "CreateContainer", "StartContainer"] {
        assert!(told(&format!("kubelet/{node}"), &format!("runtime/{node}"), verb), "{verb} {hops:?}");
    }
}
