//! The scheduler against an API server, alone, in virtual time.
#![allow(clippy::unwrap_used, reason = "helpers of tests, which clippy does not see as tests")]

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Wake, Waker};
use std::time::Duration;

use apiserver::ApiServer;
use client::{Client, Component, Context, ListOptions, Transport};
use k8s_openapi::api::core::v1::{Event, Node, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use machinery::status::ApiError;
use machinery::wire::{Request, Response};
use machinery::{Clock, Kind, Rng, Timestamp};
use playground_scheduler::{Configuration, Scheduler};
use serde_json::{Value, json};

/// Time that moves when the world moves it.
#[derive(Default)]
struct TestClock(Mutex<Timestamp>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

struct Wire(ApiServer);

impl Transport for Wire {
    fn send(&self, request: Request) -> Response {
        match pin!(self.0.handle(request)).poll(&mut task::Context::from_waker(Waker::noop())) {
            Poll::Ready(response) => response,
            Poll::Pending => ApiError::internal("a plain verb did not answer at once").into_response(),
        }
    }
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// A scheduler and its API server.
struct World {
    clock: Arc<TestClock>,
    client: Client,
    scheduler: Scheduler,
    ready: Arc<Flag>,
    wake_at: Option<Timestamp>,
}

impl World {
    fn new(configuration: Value) -> Self {
        let clock = Arc::new(TestClock::default());
        let store = store::Store::new(&store::Options::default());
        let server = ApiServer::new(apiserver::Options::new(store, clock.clone(), 1)).unwrap();
        server.bootstrap().unwrap();
        let client = Client::new(Rc::new(Wire(server)), "test");
        let configuration: Configuration = serde_json::from_value(configuration).unwrap();
        let scheduler = Scheduler::new(client.named("kube-scheduler"), Rng::new(1), &configuration);
        let ready = Arc::new(Flag(AtomicBool::new(true)));
        Self { clock, client, scheduler, ready, wake_at: None }
    }

    fn create<K: Kind>(&self, manifest: Value) {
        self.client.create(K::from_value(manifest).unwrap()).unwrap();
    }

    /// Lets so many seconds pass, and the scheduler come to rest again and again.
    fn run(&mut self, seconds: u64) {
        let limit = self.clock.now() + Duration::from_secs(seconds);
        let mut polls = 0;
        loop {
            let now = self.clock.now();
            while self.ready.0.swap(false, Ordering::AcqRel) || self.wake_at.is_some_and(|time| time <= now) {
                polls += 1;
                assert!(polls < 100, "it does not come to rest");
                let waker = Waker::from(self.ready.clone());
                let mut cx = Context::new(now, &waker);
                self.scheduler.poll(&mut cx);
                self.wake_at = cx.next_wake();
            }
            let next = self.wake_at.filter(|next| *next <= limit);
            *self.clock.0.lock().unwrap() = next.unwrap_or(limit);
            if next.is_none() {
                return;
            }
        }
    }

    /// How often something was told.
    fn told(&self, message: &str) -> i32 {
        let events = self.client.list::<Event>("default", &ListOptions::default()).unwrap().items;
        let told = events.iter().filter(|event| event.message.as_deref() == Some(message));
        told.map(|event| event.series.as_ref().and_then(|it| it.count).or(event.count).unwrap_or(1)).sum()
    }
}

#[test]
fn a_pod_whose_volumes_are_not_bound_in_time_is_tried_again_after_its_backoff() {
    // An attempt takes the bind timeout; the backoffs are 1, 2, 4, 8 and 10 seconds.
    for (timeout, seconds, attempts) in
        [(0, 0, 1), (0, 2, 2), (0, 6, 3), (0, 16, 5), (0, 30, 6), (30, 29, 0), (30, 30, 1), (30, 60, 1), (30, 61, 2)]
    {
        let volumes = json!({ "name": "VolumeBinding", "args": { "bindTimeoutSeconds": timeout } });
        let mut world = World::new(json!({ "profiles": [{ "pluginConfig": [volumes] }] }));
        world.create::<Node>(json!({
            "metadata": { "name": "n1" }, "status": { "allocatable": { "cpu": "1", "memory": "1Gi", "pods": "10" } },
        }));
        world.create::<StorageClass>(json!({
            "metadata": { "name": "slow" }, "provisioner": "example.com/disk",
            "volumeBindingMode": "WaitForFirstConsumer",
        }));
        world.create::<PersistentVolumeClaim>(json!({
            "metadata": { "name": "data", "namespace": "default" },
            "spec": {
                "storageClassName": "slow", "accessModes": ["ReadWriteOnce"],
                "resources": { "requests": { "storage": "1Gi" } },
            },
        }));
        world.create::<Pod>(json!({
            "metadata": { "name": "user", "namespace": "default" },
            "spec": {
                "containers": [{ "name": "c", "image": "busybox:1" }],
                "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }],
            },
        }));
        world.run(seconds);
        let late = "running PreBind plugin \"VolumeBinding\": binding volumes: context deadline exceeded";
        assert_eq!(world.told(late), attempts, "{timeout} s, after {seconds} s");
    }
}
