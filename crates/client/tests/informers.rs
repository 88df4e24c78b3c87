//! Informers against a scripted server: what they survive and what their readers see.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which clippy does not see as tests")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use futures::channel::mpsc;
use k8s_openapi::api::core::v1::ConfigMap;
use machinery::status::ApiError;
use machinery::wire::{Body, List, Request, Response, WatchEvent, WatchEventType};
use machinery::{Encoded, ObjectKey, Timestamp};
use playground_client::{Client, Context, Event, Informer, ListOptions, SharedInformers, Transport, key_of};
use serde_json::json;

/// Answers lists with what it holds, and hands out watches it can feed.
#[derive(Default)]
struct Server {
    objects: RefCell<Vec<Encoded>>,
    revision: RefCell<u64>,
    watches: RefCell<Vec<mpsc::UnboundedSender<WatchEvent>>>,
    requests: RefCell<Vec<String>>,
    failures: RefCell<VecDeque<ApiError>>,
}

impl Transport for Server {
    fn send(&self, request: Request) -> Response {
        self.requests.borrow_mut().push(request.uri().to_string());
        if let Some(error) = self.failures.borrow_mut().pop_front() {
            return error.into_response();
        }
        if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
            let (sender, receiver) = mpsc::unbounded();
            self.watches.borrow_mut().push(sender);
            return Response::new(Body::Watch(Box::pin(receiver)));
        }
        Response::new(Body::List(List {
            api_version: "v1".into(),
            kind: "ConfigMapList".into(),
            resource_version: self.revision.borrow().to_string(),
            continue_token: String::new(),
            remaining_item_count: None,
            items: self.objects.borrow().clone(),
        }))
    }
}

impl Server {
    fn tell(&self, kind: WatchEventType, object: Encoded) {
        self.watches
            .borrow_mut()
            .retain(|watch| watch.unbounded_send(WatchEvent { kind, object: object.clone() }).is_ok());
    }

    fn requests(&self) -> usize {
        self.requests.borrow().len()
    }
}

fn config_map(name: &str, revision: u64) -> Encoded {
    let object: ConfigMap = serde_json::from_value(json!({
        "metadata": {
            "namespace": "default", "name": name, "uid": name, "resourceVersion": revision.to_string(),
            "labels": { "app": name },
        },
    }))
    .unwrap();
    Encoded::from_object(Arc::new(object))
}

fn gone() -> Encoded {
    Encoded::from_bytes(ApiError::expired("too old resource version: 1 (5)").to_bytes())
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap()
}

/// Polls at a time: what happened, in words, and when the informer wants to be polled again.
fn poll(informer: &mut Informer<ConfigMap>, milliseconds: i64) -> (Vec<String>, Option<Timestamp>) {
    let waker = std::task::Waker::noop();
    let mut cx = Context::new(at(milliseconds), waker);
    let events = informer.poll(&mut cx);
    let words = events.iter().map(|event| {
        let what = match event {
            Event::Added(_) => "added",
            Event::Updated { .. } => "updated",
            Event::Deleted(_) => "deleted",
        };
        format!("{what} {}", key_of(&**event.object()).name)
    });
    (words.collect(), cx.next_wake())
}

fn informer(server: &Rc<Server>) -> Informer<ConfigMap> {
    Informer::new(&Client::new(server.clone(), "test"), "", ListOptions::default())
        .indexed("app", |map| map.metadata.labels.iter().flatten().map(|(_, value)| value.clone()).collect())
}

#[test]
fn a_cache_follows_its_watch() {
    let server = Rc::new(Server::default());
    server.objects.borrow_mut().push(config_map("a", 1));
    let mut informer = informer(&server);
    assert!(!informer.synced());
    assert_eq!(poll(&mut informer, 0), (vec!["added a".into()], None));
    assert!(informer.synced());
    server.tell(WatchEventType::Added, config_map("b", 2));
    server.tell(WatchEventType::Modified, config_map("a", 3));
    server.tell(WatchEventType::Deleted, config_map("a", 4));
    assert_eq!(poll(&mut informer, 0).0, ["added b", "updated a", "deleted a"]);
    assert_eq!(informer.resource_version(), "4");
    assert_eq!((informer.len(), informer.by_index("app", "a").len(), informer.by_index("app", "b").len()), (1, 0, 1));
    assert_eq!(informer.in_namespace("default").len(), 1);
    assert!(informer.get(&ObjectKey::new("default", "b")).is_some());
}

#[test]
fn a_compacted_revision_means_a_new_list() {
    let server = Rc::new(Server::default());
    server.objects.borrow_mut().extend([config_map("a", 1), config_map("b", 1)]);
    let mut informer = informer(&server);
    poll(&mut informer, 0);
    *server.objects.borrow_mut() = vec![config_map("b", 1), config_map("c", 5)];
    server.tell(WatchEventType::Error, gone());
    assert_eq!(poll(&mut informer, 0).0, ["updated b", "added c", "deleted a"]);
}

#[test]
fn an_outage_costs_time_but_no_change() {
    let server = Rc::new(Server::default());
    let mut informer = informer(&server);
    poll(&mut informer, 0);
    server.tell(WatchEventType::Added, config_map("a", 7));
    poll(&mut informer, 0);
    server.failures.borrow_mut().extend([ApiError::service_unavailable("down"), ApiError::service_unavailable("down")]);
    server.watches.borrow_mut().clear();
    let mut now = 0;
    while server.watches.borrow().is_empty() {
        let (events, wake) = poll(&mut informer, now);
        assert!(events.is_empty());
        if let Some(wake) = wake {
            assert!(wake > at(now) && wake < at(now + 30_000));
            now = wake.as_millisecond() + 1;
        }
    }
    assert!(server.requests.borrow().last().unwrap().contains("resourceVersion=7"), "the watch goes on where it was");
}

#[test]
fn a_kind_is_watched_once_for_all_its_readers() {
    let server = Rc::new(Server::default());
    server.objects.borrow_mut().push(config_map("a", 1));
    let informers = SharedInformers::new(Client::new(server.clone(), "test"));
    let (mut first, mut second) = (informers.informer::<ConfigMap>(), informers.informer::<ConfigMap>());
    assert_eq!(poll(&mut first, 0).0, ["added a"]);
    assert_eq!(poll(&mut second, 0).0, ["added a"]);
    assert_eq!(server.requests(), 2, "one list and one watch");
    drop(first);
    server.tell(WatchEventType::Modified, config_map("a", 2));
    assert_eq!(poll(&mut second, 0).0, ["updated a"]);
    let mut late = informers.informer::<ConfigMap>();
    assert_eq!(poll(&mut late, 0).0, ["added a"], "who starts later sees all there is");
    assert_eq!(server.requests(), 2);
}
