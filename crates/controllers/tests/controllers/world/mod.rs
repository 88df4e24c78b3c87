//! A cluster without nodes: the real API server, the controllers, and a stand-in for scheduler and
//! kubelets, in virtual time.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, which clippy does not see as tests")]
#![allow(dead_code, reason = "each test file uses its part")]

mod nodes;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{self, Poll, Wake, Waker};
use std::time::Duration;

use apiserver::ApiServer;
use client::{Client, Component, Context, ListOptions, Transport};
use machinery::status::ApiError;
use machinery::wire::{Request, Response};
use machinery::{Clock, Kind, ObjectKey, Rng, Timestamp};
use playground_controllers::{CONTROLLERS, Options, Setup, named};
use scheduler::{Configuration, Scheduler};
use serde_json::Value;

pub use nodes::Nodes;

const SCHEDULER: &str = "kube-scheduler";

/// Time that moves when the world moves it.
#[derive(Default)]
struct TestClock(Mutex<Timestamp>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

type Refuses = fn(&Request) -> bool;

/// The way to the server, which can be cut.
pub struct Wire {
    server: ApiServer,
    pub cut: Cell<bool>,
    /// Which requests fail.
    pub refuses: Cell<Option<Refuses>>,
    pub requests: Cell<usize>,
}

impl Wire {
    fn new(server: &ApiServer) -> Self {
        Self { server: server.clone(), cut: Cell::new(false), refuses: Cell::new(None), requests: Cell::new(0) }
    }
}

impl Transport for Wire {
    fn send(&self, request: Request) -> Response {
        self.requests.set(self.requests.get() + 1);
        if self.cut.get() || self.refuses.get().is_some_and(|refuses| refuses(&request)) {
            return ApiError::service_unavailable("connection refused").into_response();
        }
        let future = pin!(self.server.handle(request));
        match future.poll(&mut task::Context::from_waker(Waker::noop())) {
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

struct Running {
    component: Box<dyn Component>,
    ready: Arc<Flag>,
    wake_at: Option<Timestamp>,
}

pub struct World {
    clock: Arc<TestClock>,
    server: ApiServer,
    pub setup: Setup,
    pub wire: Rc<Wire>,
    pub client: Client,
    running: BTreeMap<String, Running>,
    pub nodes: Rc<RefCell<nodes::Behaviour>>,
    pub polls: usize,
    /// The scheduler's dice and configuration, where there is one.
    scheduler: Option<(Rng, Configuration)>,
}

impl World {
    /// A world with all controllers and this many nodes, which take whatever pods there are.
    pub fn new(nodes: usize) -> Self {
        Self::with(nodes, None)
    }

    /// A world with all controllers, the real scheduler with its dice, and this many nodes.
    pub fn with_scheduler(nodes: usize, seed: u64) -> Self {
        Self::with_configured_scheduler(nodes, seed, Configuration::default())
    }

    /// The same, with a scheduler that is configured.
    pub fn with_configured_scheduler(nodes: usize, seed: u64, configuration: Configuration) -> Self {
        Self::with(nodes, Some((Rng::new(seed), configuration)))
    }

    fn with(nodes: usize, scheduler: Option<(Rng, Configuration)>) -> Self {
        let clock = Arc::new(TestClock(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())));
        let store = store::Store::new(&store::Options::default());
        let server = ApiServer::new(apiserver::Options::new(store, clock.clone(), 1)).unwrap();
        server.bootstrap().unwrap();
        let wire = Rc::new(Wire::new(&server));
        let setup = Setup::new(wire.clone(), Options { root_ca: "PEM".into(), ..Options::default() });
        let client = Client::new(wire.clone(), "test");
        let mut world = Self {
            clock,
            server,
            setup,
            wire,
            client,
            running: BTreeMap::new(),
            nodes: Rc::default(),
            polls: 0,
            scheduler: None,
        };
        for (name, _) in CONTROLLERS {
            world.start(name);
        }
        world.nodes.borrow_mut().binds = scheduler.is_none();
        world.scheduler = scheduler;
        if world.scheduler.is_some() {
            world.start(SCHEDULER);
        }
        let behaviour = world.nodes.clone();
        // Nodes have a line of their own, which is never cut.
        let line = Rc::new(Wire::new(&world.server));
        world.run_component("nodes", Box::new(Nodes::new(Client::new(line, "nodes"), nodes, behaviour)));
        world
    }

    pub fn start(&mut self, name: &str) {
        let component = match &mut self.scheduler {
            Some((dice, configuration)) if name == SCHEDULER => {
                let client = Client::new(self.wire.clone(), SCHEDULER);
                Box::new(Scheduler::new(client, dice.fork(), configuration))
            }
            _ => named(&self.setup, name, None).unwrap(),
        };
        self.run_component(name, component);
    }

    pub fn stop(&mut self, name: &str) {
        self.running.remove(name).unwrap();
    }

    fn run_component(&mut self, name: &str, component: Box<dyn Component>) {
        let ready = Arc::new(Flag(AtomicBool::new(true)));
        self.running.insert(name.into(), Running { component, ready, wake_at: None });
    }

    /// Where everything is kept.
    pub fn store(&self) -> &store::Store {
        self.server.store()
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs everything that happens in so many seconds.
    pub fn run(&mut self, seconds: u64) {
        let limit = self.now() + Duration::from_secs(seconds);
        loop {
            self.run_ready();
            let server = self.server.advance(Waker::noop());
            let next = self.running.values().filter_map(|running| running.wake_at).chain(server).min();
            let Some(next) = next.filter(|next| *next <= limit) else { break };
            let now = next.max(self.now());
            *self.clock.0.lock().unwrap() = now;
            for running in self.running.values_mut() {
                if running.wake_at.is_some_and(|time| time <= now) {
                    running.wake_at = None;
                    running.ready.0.store(true, Ordering::Release);
                }
            }
        }
        *self.clock.0.lock().unwrap() = limit;
    }

    fn run_ready(&mut self) {
        let mut polls_left = 5_000_000;
        loop {
            let mut any = false;
            for running in self.running.values_mut() {
                if !running.ready.0.swap(false, Ordering::AcqRel) {
                    continue;
                }
                any = true;
                let waker = Waker::from(running.ready.clone());
                let mut cx = Context::new(self.clock.now(), &waker);
                running.component.poll(&mut cx);
                running.wake_at = cx.next_wake();
                self.polls += 1;
                polls_left -= 1;
                assert!(polls_left > 0, "{} does not come to rest", running.component.name());
            }
            if !any {
                return;
            }
        }
    }

    /// Creates an object from a manifest.
    pub fn create<K: Kind>(&self, manifest: Value) -> Arc<K> {
        self.client.create(K::from_value(manifest).unwrap()).unwrap()
    }

    pub fn get<K: Kind>(&self, namespace: &str, name: &str) -> Arc<K> {
        self.client.get(&ObjectKey::new(namespace, name)).unwrap()
    }

    pub fn exists<K: Kind>(&self, namespace: &str, name: &str) -> bool {
        self.client.get::<K>(&ObjectKey::new(namespace, name)).is_ok()
    }

    pub fn list<K: Kind>(&self, namespace: &str) -> Vec<Arc<K>> {
        self.client.list(namespace, &ListOptions::default()).unwrap().items
    }

    pub fn patch<K: Kind>(&self, namespace: &str, name: &str, patch: Value) {
        self.client.patch::<K>(&ObjectKey::new(namespace, name), &client::Patch::Merge(patch)).unwrap();
    }

    pub fn delete<K: Kind>(&self, namespace: &str, name: &str, options: &client::DeleteOptions) {
        self.client.delete::<K>(&ObjectKey::new(namespace, name), options).unwrap();
    }

    /// Reasons and messages of the events about an object, in the order they were made.
    pub fn events(&self, name: &str) -> Vec<String> {
        let mut events = self.list::<k8s_openapi::api::core::v1::Event>("");
        events.retain(|event| event.involved_object.name.as_deref() == Some(name));
        events.sort_by_key(|event| event.metadata.resource_version.clone().unwrap().parse::<u64>().unwrap());
        let text = |event: &k8s_openapi::api::core::v1::Event| {
            format!("{} {}", event.reason.clone().unwrap(), event.message.clone().unwrap())
        };
        events.iter().map(|event| text(event)).collect()
    }
}
