//! Scale, binding, eviction, log.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use machinery::wire::{Body, Request, Response, Unreachable};
use playground_apiserver::NodeConnector;
use serde_json::json;

use crate::bench::{Bench, CONFIG_MAPS, DEPLOYMENTS, PODS, SERVICES, deployment, pod, service};

#[test]
fn scale_is_read_and_set() {
    let bench = Bench::new();
    bench.tell(&format!("POST {DEPLOYMENTS}"), &deployment("web")).expect(201);
    let path = format!("{DEPLOYMENTS}/web/scale");
    let scale = bench.ask(&format!("GET {path}")).expect(200);
    assert_eq!((scale.at("/kind"), scale.at("/spec/replicas")), (json!("Scale"), json!(2)));
    assert_eq!(scale.at("/status/selector"), json!("app=web"));
    let mut wanted = scale.json();
    wanted["spec"]["replicas"] = 5.into();
    assert_eq!(bench.tell(&format!("PUT {path}"), &wanted).expect(200).at("/spec/replicas"), json!(5));
    bench.tell(&format!("PUT {path}"), &wanted).expect(409);
    bench.patch(&path, "merge-patch+json", &json!({"spec": {"replicas": 7}})).expect(200);
    let object = bench.ask(&format!("GET {DEPLOYMENTS}/web")).expect(200);
    assert_eq!((object.at("/spec/replicas"), object.at("/metadata/generation")), (json!(7), json!(3)));
    let negative = bench.patch(&path, "merge-patch+json", &json!({"spec": {"replicas": -1}})).expect(422);
    assert!(negative.message().contains("spec.replicas: Invalid value: -1: must be greater than or equal to 0"));
    bench.ask(&format!("GET {CONFIG_MAPS}/a/scale")).expect(404);
}

#[test]
fn a_pod_is_bound_once() {
    let bench = Bench::new();
    bench.tell(&format!("POST {PODS}"), &pod("a")).expect(201);
    let binding = json!({"target": {"kind": "Node", "name": "n1"}});
    let bound = bench.tell(&format!("POST {PODS}/a/binding"), &binding).expect(201);
    assert_eq!(bound.at("/status"), json!("Success"));
    let read = bench.ask(&format!("GET {PODS}/a")).expect(200);
    assert_eq!(read.at("/spec/nodeName"), json!("n1"));
    assert_eq!(read.at("/status/conditions/0/type"), json!("PodScheduled"));
    assert_eq!(
        bench.tell(&format!("POST {PODS}/a/binding"), &binding).expect(409).message(),
        "Operation cannot be fulfilled on pods \"a\": pod a is already assigned to node \"n1\""
    );
    bench.tell(&format!("POST {PODS}"), &pod("b")).expect(201);
    bench.tell(&format!("POST {PODS}/b/binding"), &json!({"target": {}})).expect(422);
    bench
        .tell(&format!("POST {PODS}/b/binding"), &json!({"metadata": {"uid": "x"}, "target": {"name": "n1"}}))
        .expect(409);
    bench.tell(&format!("POST {PODS}/nope/binding"), &binding).expect(404);
}

#[test]
fn budgets_refuse_evictions() {
    let bench = Bench::new();
    bench.tell(&format!("POST {PODS}"), &pod("a")).expect(201);
    bench.patch(&format!("{PODS}/a/status"), "merge-patch+json", &json!({"status": {"phase": "Running"}})).expect(200);
    let budgets = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let budget =
        json!({"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "a"}}}});
    bench.tell(&format!("POST {budgets}"), &budget).expect(201);
    let status = json!({"status": {"observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}});
    bench.patch(&format!("{budgets}/b/status"), "merge-patch+json", &status).expect(200);
    let eviction = json!({"metadata": {"name": "a"}});
    let refused = bench.tell(&format!("POST {PODS}/a/eviction"), &eviction).expect(429);
    assert_eq!(refused.message(), "Cannot evict pod as it would violate the pod's disruption budget.");
    assert_eq!(
        refused.at("/details/causes/0/message"),
        json!("The disruption budget b needs 1 healthy pods and has 1 currently")
    );
    let status = json!({"status": {"disruptionsAllowed": 1}});
    bench.patch(&format!("{budgets}/b/status"), "merge-patch+json", &status).expect(200);
    bench.tell(&format!("POST {PODS}/a/eviction"), &eviction).expect(201);
    bench.ask(&format!("GET {PODS}/a")).expect(404);
    assert_eq!(bench.ask(&format!("GET {budgets}/b")).at("/status/disruptionsAllowed"), json!(0));
}

#[test]
fn an_eviction_is_written_on_its_pod() {
    let bench = Bench::new();
    bench.tell(&format!("POST {PODS}"), &pod("a")).expect(201);
    bench.tell(&format!("POST {PODS}/a/binding"), &json!({"target": {"name": "n1"}})).expect(201);
    let read = || bench.ask(&format!("GET {PODS}/a")).expect(200);
    let evict = |parameters: &str, options: serde_json::Value| {
        let eviction = json!({"metadata": {"name": "a"}, "deleteOptions": options});
        bench.tell(&format!("POST {PODS}/a/eviction{parameters}"), &eviction)
    };
    let before = read();
    evict("?dryRun=All", json!({})).expect(201);
    let refused = evict("", json!({"preconditions": {"resourceVersion": "1"}})).expect(409);
    let version = before.at("/metadata/resourceVersion");
    assert_eq!(
        refused.message(),
        format!(
            "Operation cannot be fulfilled on Pod \"a\": the ResourceVersion in the precondition (1) does not match the \
             ResourceVersion in record ({}). The object might have been modified",
            version.as_str().unwrap()
        )
    );
    assert_eq!(read().text, before.text);

    // The deletion asks for the revision that it has made itself.
    bench.pass(5);
    evict("", json!({"preconditions": {"resourceVersion": version}})).expect(201);
    let evicted = read();
    assert!(evicted.at("/metadata/deletionTimestamp").is_string());
    assert_eq!(evicted.at("/status/conditions/0/type"), json!("PodScheduled"));
    let condition = evicted.at("/status/conditions/1");
    assert_eq!(
        condition,
        json!({
            "type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting", "observedGeneration": before.at("/metadata/generation"),
            "lastTransitionTime": condition["lastTransitionTime"],
        })
    );
    bench.pass(5);
    evict("", json!({})).expect(201);
    assert_eq!(read().at("/status/conditions/1/lastTransitionTime"), condition["lastTransitionTime"]);
}

/// Answers with what it was asked. Nobody is at the node `lost`.
struct Echo;

impl NodeConnector for Echo {
    fn connect(&self, node: &str, request: Request) -> BoxFuture<'static, Response> {
        if node == "lost" {
            return async { Unreachable("connect: no route to host").into_response() }.boxed();
        }
        let text = format!("{node} {} {}", request.method(), request.uri());
        async move { Response::new(Body::Bytes(text.into())) }.boxed()
    }

    fn dial(&self, address: &str, request: Request) -> BoxFuture<'static, Response> {
        let text = format!("{address} {} {}", request.method(), request.uri());
        async move { Response::new(Body::Bytes(text.into())) }.boxed()
    }
}

#[test]
fn what_needs_a_node_goes_to_its_kubelet() {
    let bench = Bench::with(|options| options.nodes = Some(Arc::new(Echo)));
    bench.tell("POST /api/v1/nodes", &json!({"metadata": {"name": "n1"}})).expect(201);
    bench.tell(&format!("POST {PODS}"), &pod("a")).expect(201);
    let unbound = bench.ask(&format!("GET {PODS}/a/exec?command=ls")).expect(400);
    assert_eq!(unbound.message(), "pod a does not have a host assigned");
    bench.tell(&format!("POST {PODS}/a/binding"), &json!({"target": {"name": "n1"}})).expect(201);
    bench
        .patch(&format!("{PODS}/a/status"), "merge-patch+json", &json!({"status": {"podIP": "10.244.0.5"}}))
        .expect(200);
    bench
        .tell(&format!("POST {SERVICES}"), &service("s", json!({"ports": [{"port": 80, "name": "http"}]})))
        .expect(201);
    let endpoints = json!({"metadata": {"name": "s"}, "subsets": [{"addresses": [{"ip": "10.244.0.5"}], "ports": [{"name": "http", "port": 8080}]}]});
    bench.tell("POST /api/v1/namespaces/default/endpoints", &endpoints).expect(201);
    let cases = [
        (
            format!("GET {PODS}/a/log?follow=true&tailLines=5"),
            "n1 GET /containerLogs/default/a/web?follow=true&tailLines=5",
        ),
        (format!("GET {PODS}/a/log?container=web"), "n1 GET /containerLogs/default/a/web"),
        (
            format!("POST {PODS}/a/exec?command=ls&command=-l&stdout=true&stdin=false"),
            "n1 POST /exec/default/a/web?output=1&command=ls&command=-l",
        ),
        (format!("POST {PODS}/a/portforward?ports=80"), "n1 POST /portForward/default/a?ports=80"),
        (format!("GET {PODS}/a:9090/proxy/x/y?z=1"), "10.244.0.5:9090 GET /x/y?z=1"),
        (format!("GET {SERVICES}/http:s:http/proxy/"), "10.244.0.5:8080 GET /"),
        ("GET /api/v1/nodes/n1/proxy/metrics".to_owned(), "n1 GET /metrics"),
    ];
    for (line, expected) in cases {
        assert_eq!(bench.ask(&line).expect(200).text, expected);
    }
    let missing = bench.ask(&format!("GET {PODS}/a/log?container=nope")).expect(400);
    assert_eq!(missing.message(), "container nope is not valid for pod a");
    bench.ask(&format!("GET {SERVICES}/nope/proxy/")).expect(404);
    bench.ask(&format!("GET {PODS}/nope/log")).expect(404);
}

#[test]
fn a_kubelet_that_cannot_be_reached_is_told_of_in_upstreams_words() {
    let bench = Bench::with(|options| options.nodes = Some(Arc::new(Echo)));
    bench.tell("POST /api/v1/nodes", &json!({"metadata": {"name": "lost"}})).expect(201);
    let addresses = json!([{"type": "Hostname", "address": "lost"}, {"type": "InternalIP", "address": "172.18.0.3"}]);
    let status = json!({"status": {"addresses": addresses}});
    bench.patch("/api/v1/nodes/lost/status", "merge-patch+json", &status).expect(200);
    bench.tell(&format!("POST {PODS}"), &pod("a")).expect(201);
    bench.tell(&format!("POST {PODS}/a/binding"), &json!({"target": {"name": "lost"}})).expect(201);
    let why = "dial tcp 172.18.0.3:10250: connect: no route to host";
    let dialling = format!("error dialing backend: {why}");
    let cases = [
        (
            format!("GET {PODS}/a/log?tailLines=5"),
            500,
            format!("Get \"https://172.18.0.3:10250/containerLogs/default/a/web?tailLines=5\": {why}"),
        ),
        (format!("POST {PODS}/a/exec?command=ls&stdout=true"), 500, dialling.clone()),
        (format!("POST {PODS}/a/portforward?ports=80"), 500, dialling),
        ("GET /api/v1/nodes/lost/proxy/metrics".to_owned(), 503, format!("error trying to reach service: {why}")),
    ];
    for (line, code, expected) in cases {
        assert_eq!(bench.ask(&line).expect(code).message(), expected, "{line}");
    }
}
