//! The kubelet's server: logs, streams, lists, and how it refuses.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use machinery::wire::{Body, Request, Response};
use serde_json::{Value, json};

use crate::common::{Bed, Plan};

/// Sends a request and lets the kubelet answer.
fn get(bed: &mut Bed, path: &str) -> Response {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = path.parse().unwrap();
    let mut answer = pin!(bed.kubelet.server().handle(request));
    bed.run(0);
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(response) => response,
        Poll::Pending => panic!("no answer"),
    }
}

fn body(response: Response) -> String {
    let mut collect = pin!(response.into_body().collect());
    match collect.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Poll::Pending => panic!("the body does not end"),
    }
}

fn running() -> Bed {
    let mut bed = Bed::new();
    bed.create("web", json!({"containers": [{"name": "app", "image": "app:1"}]}));
    bed.run(2);
    bed
}

#[test]
fn logs_in_all_their_forms() {
    let mut bed = running();
    for (query, text) in [
        ("", "one\ntwo\n"),
        ("?limitBytes=5", "one\nt"),
        ("?timestamps=true", "1970-01-01T00:00:00.000000000Z one\n1970-01-01T00:00:00.000000000Z two\n"),
        ("?stream=Stderr", ""),
    ] {
        let response = get(&mut bed, &format!("/containerLogs/default/web/app{query}"));
        assert_eq!(response.status(), 200);
        assert_eq!(body(response), text, "{query}");
    }
}

#[test]
fn logs_that_cannot_be_had() {
    let mut bed = running();
    bed.world.0.borrow_mut().missing.insert("no:1".into());
    bed.create("pulls", json!({"containers": [{"name": "app", "image": "no:1"}]}));
    bed.create(
        "waits",
        json!({"containers": [{"name": "app", "image": "x:1", "envFrom": [{"secretRef": {"name": "no"}}]}]}),
    );
    bed.run(1);
    for (path, code, message) in [
        ("default/web/app?previous=true", 400, "previous terminated container \"app\" in pod \"web\" not found"),
        ("default/pulls/app", 400, "container \"app\" in pod \"pulls\" is waiting to start: image can't be pulled"),
        (
            "default/waits/app",
            400,
            "container \"app\" in pod \"waits\" is waiting to start: CreateContainerConfigError",
        ),
        ("default/web/other", 404, "container \"other\" not found in pod \"web\""),
        ("default/nope/app", 404, "pod does not exist: \"nope\""),
        ("default/web/app?tailLines=x", 400, "invalid tailLines: \"x\""),
    ] {
        let response = get(&mut bed, &format!("/containerLogs/{path}"));
        assert_eq!(response.status(), code, "{path}");
        let status: Value = serde_json::from_str(&body(response)).unwrap();
        assert_eq!(status["message"], message);
    }
    bed.run(5);
    let status: Value = serde_json::from_str(&body(get(&mut bed, "/containerLogs/default/pulls/app"))).unwrap();
    assert!(status["message"].as_str().unwrap().ends_with("trying and failing to pull image"));
}

#[test]
fn the_log_of_the_run_before() {
    let mut bed = Bed::new();
    bed.world.plan("app", [Plan { exits: Some((1, 1)), term: None }, Plan::default()]);
    bed.create("web", json!({"containers": [{"name": "app", "image": "app:1"}]}));
    bed.run(5);
    assert_eq!(bed.summary("web"), "Running, app: running ready 1");
    assert_eq!(body(get(&mut bed, "/containerLogs/default/web/app?previous=true")), "one\ntwo\n");
}

#[test]
fn streams_need_a_running_container() {
    let mut bed = running();
    let response = get(&mut bed, "/exec/default/web/app?command=ls&output=1");
    assert_eq!(response.status(), 101);
    assert!(matches!(response.into_body(), Body::Upgrade(_)));
    let response = get(&mut bed, "/exec/default/web/other?command=ls&output=1");
    assert_eq!((response.status().as_u16(), body(response).as_str()), (404, "container not found (\"other\")"));
    let response = get(&mut bed, "/portForward/default/web?port=80&port=8080");
    assert!(matches!(response.into_body(), Body::Upgrade(_)));
    let response = get(&mut bed, "/portForward/default/web?port=0");
    assert_eq!(response.status(), 400);
}

#[test]
fn pods_health_and_stats() {
    let mut bed = running();
    assert_eq!(body(get(&mut bed, "/healthz")), "ok");
    let pods: Value = serde_json::from_str(&body(get(&mut bed, "/pods"))).unwrap();
    assert_eq!(pods["items"][0]["metadata"]["name"], "web");
    let summary: Value = serde_json::from_str(&body(get(&mut bed, "/stats/summary"))).unwrap();
    assert_eq!(summary["node"]["nodeName"], "node-1");
    assert_eq!(get(&mut bed, "/nothing").status(), 404);
}

#[test]
fn a_kubelet_that_is_gone_refuses_connections() {
    let bed = running();
    let server = bed.kubelet.server();
    drop(bed);
    let mut answer = pin!(server.handle(Request::new(Body::empty())));
    let Poll::Ready(response) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("no answer")
    };
    assert_eq!(response.status(), 503);
}
