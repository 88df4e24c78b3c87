//! Whatever is asked, the answer is an answer.

use http::Method;
use machinery::wire::Body;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::bench::{Bench, deployment, pod, request, service};

const SEGMENTS: &[&str] = &[
    "api",
    "apis",
    "v1",
    "apps",
    "pods",
    "deployments",
    "services",
    "namespaces",
    "default",
    "web",
    "status",
    "scale",
    "binding",
    "eviction",
    "log",
    "exec",
    "proxy",
    "watch",
    "openapi",
    "v3",
    "%2F",
    "..",
    "a:b:c",
    "healthz",
    "x",
];
const QUERIES: &[&str] = &[
    "watch=1",
    "limit=-1",
    "limit=9",
    "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ",
    "resourceVersion=-5",
    "resourceVersion=18446744073709551615",
    "labelSelector=a%20in%20(",
    "fieldSelector=%3D",
    "dryRun=All",
    "fieldValidation=Strict",
    "gracePeriodSeconds=-9223372036854775808",
    "timeoutSeconds=9223372036854775807",
    "propagationPolicy=Orphan",
    "sendInitialEvents=1",
    "pretty",
    "fieldManager=x",
    "force",
    "container=%00",
];
const TYPES: &[&str] = &[
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
    "x",
];
const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];

/// A value that may stand anywhere.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!([])),
        Just(json!({})),
        Just(json!("")),
        Just(json!(-1)),
        Just(json!(i64::MIN)),
        Just(json!(1e300)),
        Just(json!([[{}]])),
        Just(json!({"$patch": "delete"})),
        Just(json!("9999999999Gi")),
        Just(json!("\u{0}\u{1f600}")),
    ]
}

/// A good object of which some place has been spoilt.
fn spoilt() -> impl Strategy<Value = Value> {
    let good = prop_oneof![
        Just(pod("web")),
        Just(deployment("web")),
        Just(service("web", json!({"type": "NodePort", "ports": [{"port": 80, "targetPort": "x"}]}))),
        Just(json!({"target": {"kind": "Node", "name": "n"}})),
        Just(json!([{"op": "add", "path": "/metadata/labels", "value": {}}])),
        Just(json!({"metadata": {"name": "web", "finalizers": ["a/b"], "managedFields": [{}]}})),
    ];
    (good, any::<prop::sample::Index>(), odd()).prop_map(|(mut value, place, odd)| {
        let mut places = Vec::new();
        pointers(&value, String::new(), &mut places);
        if let Some(slot) = value.pointer_mut(place.get::<String>(&places)) {
            *slot = odd;
        }
        value
    })
}

fn pointers(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| pointers(value, format!("{at}/{name}"), all)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, value)| pointers(value, format!("{at}/{i}"), all))
        }
        _ => {}
    }
    all.push(at);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_path_is_answered(
        method in prop::sample::select(METHODS),
        segments in prop::collection::vec(prop::sample::select(SEGMENTS), 0..8),
        queries in prop::collection::vec(prop::sample::select(QUERIES), 0..4),
        kind in prop::sample::select(TYPES),
        body in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let bench = Bench::new();
        let line = format!("{method} /{}?{}\ncontent-type: {kind}", segments.join("/"), queries.join("&"));
        let mut request = request(&line, Body::Bytes(body.into()));
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        let _ = futures::FutureExt::now_or_never(bench.server.handle(request));
    }

    #[test]
    fn any_object_is_stored_whole_or_refused(
        objects in prop::collection::vec((spoilt(), prop::sample::select(METHODS), prop::sample::select(TYPES)), 1..6),
        path in prop::sample::select(&[
            "/api/v1/namespaces/default/pods", "/apis/apps/v1/namespaces/default/deployments",
            "/api/v1/namespaces/default/services",
        ][..]),
        subresource in prop::sample::select(&["", "/status", "/scale", "/binding", "/eviction"][..]),
    ) {
        let bench = Bench::new();
        bench.tell(&format!("POST {path}"), &pod("web"));
        bench.tell(&format!("POST {path}"), &deployment("web"));
        bench.tell(&format!("POST {path}"), &service("web", json!({"ports": [{"port": 80}]})));
        for (object, method, kind) in &objects {
            let name = if *method == "POST" && subresource.is_empty() { "" } else { "/web" };
            let line = format!("{method} {path}{name}{subresource}?fieldManager=x\ncontent-type: {kind}");
            let answer = bench.tell(&line, object);
            prop_assert!(answer.code < 600);
        }
        let listed = bench.ask(&format!("GET {path}\naccept: application/json;as=Table;v=v1;g=meta.k8s.io"));
        prop_assert_eq!(listed.code, 200, "what was stored can be read: {}", listed.text);
    }
}

#[test]
fn a_request_that_is_given_up_is_in_flight_no_more() {
    let bench = Bench::new();
    let body = Body::Stream(Box::pin(futures::stream::pending()));
    let waiting = bench.server.handle(request("POST /api/v1/namespaces/default/pods", body));
    assert!(futures::FutureExt::now_or_never(waiting).is_none());
    let metrics = bench.ask("GET /metrics").expect(200).text;
    assert!(metrics.contains("apiserver_current_inflight_requests{request_kind=\"mutating\"} 0"));
}
