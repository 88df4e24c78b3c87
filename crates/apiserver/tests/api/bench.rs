//! A server with a clock of its own, and the shortest way to ask it something.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Waker;

use futures::{FutureExt, Stream, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use jiff::SignedDuration;
use machinery::wire::{Body, Request, WatchEvent};
use machinery::{Clock, Timestamp};
use playground_apiserver::{ApiServer, Options};
use serde_json::{Value, json};
use store::Store;

/// A clock that moves when told to.
pub struct TestClock(Mutex<Timestamp>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// A server just born.
pub struct Bench {
    pub server: ApiServer,
    pub store: Store,
    pub clock: Arc<TestClock>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// The body as JSON; `Null` if it is not.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The message of a Status.
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// What stands at a JSON pointer.
    #[track_caller]
    pub fn at(&self, pointer: &str) -> Value {
        self.json().pointer(pointer).cloned().unwrap_or_default()
    }

    /// The texts of Warning headers.
    pub fn warnings(&self) -> Vec<String> {
        let values = self.headers.get_all("warning").iter();
        values.map(|value| value.to_str().unwrap().trim_start_matches("299 - ").trim_matches('"').to_owned()).collect()
    }

    /// The answer itself, which must have the code.
    #[track_caller]
    pub fn expect(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{}", self.text);
        self
    }
}

/// `method path` with the query, and headers as `name: value` lines after it.
pub fn request(line: &str, body: Body) -> Request {
    let mut lines = line.lines();
    let (method, uri) = lines.next().unwrap().split_once(' ').unwrap();
    let mut request = Request::new(body);
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    *request.uri_mut() = uri.parse().unwrap();
    request.headers_mut().insert("user-agent", HeaderValue::from_static("test/1.0"));
    for line in lines {
        let (name, value) = line.trim().split_once(": ").unwrap();
        request.headers_mut().append(HeaderName::try_from(name).unwrap(), value.parse().unwrap());
    }
    request
}

impl Bench {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Options)) -> Self {
        let store = Store::new(&store::Options::default());
        let clock = Arc::new(TestClock(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())));
        let mut options = Options::new(store.clone(), clock.clone(), 7);
        change(&mut options);
        let server = ApiServer::new(options).unwrap();
        server.bootstrap().unwrap();
        Self { server, store, clock }
    }

    /// Lets time pass.
    pub fn pass(&self, seconds: i64) {
        *self.clock.0.lock().unwrap() += SignedDuration::from_secs(seconds);
        self.server.advance(Waker::noop());
    }

    pub fn send(&self, request: Request) -> Answer {
        let response = self.server.handle(request).now_or_never().expect("plain verbs answer at once");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().now_or_never().expect("a plain body is all at hand");
        Answer {
            code: parts.status.as_u16(),
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    /// Asks without a body.
    pub fn ask(&self, line: &str) -> Answer {
        self.send(request(line, Body::empty()))
    }

    /// Asks with a JSON body.
    pub fn tell(&self, line: &str, body: &Value) -> Answer {
        self.send(request(line, Body::Bytes(body.to_string().into())))
    }

    /// Asks with a body as it stands.
    pub fn tell_text(&self, line: &str, body: &str) -> Answer {
        self.send(request(line, Body::Bytes(body.to_owned().into())))
    }

    pub fn patch(&self, path: &str, kind: &str, body: &Value) -> Answer {
        self.tell(&format!("PATCH {path}\ncontent-type: application/{kind}"), body)
    }

    /// Starts a watch.
    pub fn watch(&self, line: &str) -> TestWatch {
        let response = self.server.handle(request(line, Body::empty())).now_or_never().expect("a watch starts at once");
        assert_eq!(response.status(), 200);
        match response.into_body() {
            Body::Watch(events) => TestWatch(events),
            other => panic!("{other:?}"),
        }
    }
}

/// A watch, read as far as it goes.
pub struct TestWatch(Pin<Box<dyn Stream<Item = WatchEvent> + Send>>);

impl TestWatch {
    /// The events that are there, as type and object.
    pub fn events(&mut self) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        while let Some(Some(event)) = self.0.next().now_or_never() {
            let line: Value = serde_json::from_slice(&event.to_line()).unwrap();
            events.push((line["type"].as_str().unwrap().to_owned(), line["object"].clone()));
        }
        events
    }

    /// The events that are there, as `ADDED name`.
    pub fn names(&mut self) -> Vec<String> {
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        self.events().iter().map(|(kind, object)| format!("{kind} {}", name(object))).collect()
    }

    /// Whether the watch is over.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.0.next().now_or_never(), Some(None))
    }
}

pub const PODS: &str = "/api/v1/namespaces/default/pods";
pub const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/default/deployments";
pub const SERVICES: &str = "/api/v1/namespaces/default/services";

/// An object as it stands in a list of its kind.
pub fn item(mut object: Value) -> Value {
    object.as_object_mut().unwrap().retain(|field, _| !matches!(field.as_str(), "kind" | "apiVersion"));
    object
}

pub fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
}

pub fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "web", "image": "nginx:1"}]},
    })
}

pub fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "web", "image": "nginx:1", "ports": [{"containerPort": 80}]}]},
            },
        },
    })
}

pub fn service(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec})
}
