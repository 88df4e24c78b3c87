//! What the targets share: an API server to send requests to.
//!
//! A target is a door through which bytes of strangers come in. Nothing may panic behind it, and what is
//! refused is refused as Kubernetes refuses it: by a Status.

use std::sync::Arc;

use apiserver::{ApiServer, Options};
use futures::FutureExt;
use http::StatusCode;
use machinery::wire::{Body, Request};
use machinery::{Clock, Timestamp};
use serde_json::{Value, json};
use store::Store;

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// A server just born, with one object of some kinds in it. Its store keeps what a target writes, so
/// targets make one anew now and then.
pub fn server() -> ApiServer {
    let options = Options::new(Store::new(&store::Options::default()), Arc::new(Still), 7);
    let server = ApiServer::new(options).expect("the default options are right");
    server.bootstrap().expect("a new store takes what every cluster has");
    for (path, object) in objects() {
        let request = http::Request::post(path).body(Body::Bytes(object.to_string().into())).expect("a request");
        let (code, text) = send(&server, request);
        assert!(code.is_success(), "{text}");
    }
    server
}

/// Where the objects of [`server`] are made, and what they are.
pub fn objects() -> [(&'static str, Value); 4] {
    let pod = json!({"containers": [{"name": "web", "image": "nginx", "ports": [{"containerPort": 80}]}]});
    let labels = json!({"app": "web"});
    let template = json!({"metadata": {"labels": labels}, "spec": pod});
    let workload = json!({"replicas": 1, "selector": {"matchLabels": labels}, "template": template});
    let named = |spec: Value| json!({"metadata": {"name": "web", "labels": labels}, "spec": spec});
    [
        ("/api/v1/namespaces/default/pods", named(pod.clone())),
        ("/api/v1/namespaces/default/services", named(json!({"ports": [{"port": 80}], "selector": labels}))),
        ("/apis/apps/v1/namespaces/default/deployments", named(workload)),
        ("/api/v1/namespaces/default/configmaps", json!({"metadata": {"name": "web"}, "data": {"k": "v"}})),
    ]
}

/// Sends a request. Gives the answer's code, and its text unless it keeps coming; a refusal must be a
/// Status of the same code.
pub fn send(server: &ApiServer, request: Request) -> (StatusCode, String) {
    let Some(response) = server.handle(request).now_or_never() else { return (StatusCode::OK, String::new()) };
    let code = response.status();
    let plain = response.headers().get("content-type").is_some_and(|kind| kind.as_bytes() == b"application/json");
    let Some(bytes) = response.into_body().collect().now_or_never() else { return (code, String::new()) };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if plain && code.as_u16() >= 400 {
        let status: Value = serde_json::from_str(&text).expect("a refusal is JSON");
        assert_eq!(status["kind"], "Status", "{text}");
        assert_eq!(status["code"], code.as_u16(), "{text}");
    }
    (code, text)
}
