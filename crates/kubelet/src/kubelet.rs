//! The kubelet as a component: it hears of pods from the API and of containers from the runtime, and
//! keeps a worker for each pod.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::task;
use std::time::Duration;

use client::{
    Client, Component, Context, Event as InformerEvent, EventRecorder, EventType, Informer, ListOptions, key_of,
    reference_to,
};
use futures::Stream;
use futures::channel::{mpsc, oneshot};
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod, PodStatus};
use machinery::time::after;
use machinery::wire::Response;
use machinery::{Rng, Timestamp};

use crate::NodeConfig;
use crate::admit;
use crate::api::ApiObjects;
use crate::eviction::Pressure;
use crate::node::NodeReporter;
use crate::runtime::{ContainerRuntime, Event, Listing, Operation, Outcome, RuntimeError, RuntimeVersion};
use crate::server::{Call, KubeletServer};
use crate::tickets::{Owner, Purpose, Tickets};
use crate::worker::{Cleanup, Node, PodEvent, Worker};

/// So many pods are synced before others have their turn: whoever watches pods looks at each poll of this one.
const SYNCS_PER_POLL: usize = 16;
/// How long to wait after the API refused a write.
const RETRY: Duration = Duration::from_secs(1);
/// How long to wait before the runtime is listed again after a failure.
const LIST_RETRY: Duration = Duration::from_secs(2);
/// How long after a pull the node's images are listed: the period of upstream's image cache.
const IMAGES_AFTER_PULL: Duration = Duration::from_secs(30);
/// How often they are listed whatever happens: others may fetch and remove images.
const IMAGES_INTERVAL: Duration = Duration::from_secs(300);

/// One node's agent.
pub struct Kubelet {
    name: String,
    pub(crate) config: NodeConfig,
    pub(crate) client: Client,
    pub(crate) runtime: Box<dyn ContainerRuntime>,
    pub(crate) version: RuntimeVersion,
    pub(crate) recorder: EventRecorder,
    pub(crate) reporter: NodeReporter,
    pub(crate) pressure: Pressure,
    /// When the static pods' manifests are read next.
    pub(crate) manifests_at: Timestamp,
    pub(crate) pods: Informer<Pod>,
    /// The node's own object: the range of its pods' addresses is given to it there.
    node: Informer<NodeObject>,
    objects: ApiObjects,
    rng: Rng,
    pub(crate) tickets: Tickets,
    pub(crate) workers: BTreeMap<String, Box<Slot>>,
    /// Workers to be synced, by uid.
    pub(crate) dirty: BTreeSet<String>,
    /// When workers want to be synced.
    timers: BTreeSet<(Timestamp, String)>,
    /// What the runtime holds, until workers have taken it over.
    pub(crate) found: Option<Listing>,
    /// Whether workers exist for what the runtime held at the start.
    pub(crate) adopted: bool,
    list_at: Option<Timestamp>,
    /// When the images are listed again; looked at with the node's reports.
    images_at: Timestamp,
    calls: mpsc::UnboundedReceiver<Call>,
    server: KubeletServer,
    observer: Observer,
    /// Who waits for resource use.
    pub(crate) stats_waiting: Vec<oneshot::Sender<Response>>,
}

/// Told of what the kubelet asks of its runtime for a pod, as it asks.
pub type Observer = Box<dyn Fn(&Pod, &Operation)>;

/// A worker with what the kubelet keeps about it.
pub(crate) struct Slot {
    pub(crate) worker: Worker,
    pub(crate) timer: Option<Timestamp>,
    /// The status last written, and the revision that came of it, where that has another status.
    pub(crate) published: Option<(PodStatus, String)>,
    /// Of a static pod: what the API shows of it.
    pub(crate) mirror: Option<Arc<Pod>>,
    /// Whether the API was asked to remove the pod.
    pub(crate) delete_sent: bool,
    /// Revision of the pod that made the worker dirty.
    pub(crate) cause: u64,
}

impl Slot {
    pub(crate) fn new(worker: Worker) -> Box<Self> {
        Box::new(Self { worker, timer: None, published: None, mirror: None, delete_sent: false, cause: 0 })
    }
}

impl Kubelet {
    /// A kubelet of a node, not yet registered. `seed` decides jitters.
    pub fn new(config: NodeConfig, client: Client, runtime: Box<dyn ContainerRuntime>, seed: u64) -> Self {
        let name = format!("kubelet/{}", config.name);
        let client = client.named(&name);
        let options = ListOptions::fields(format!("spec.nodeName={}", config.name));
        let (sender, calls) = mpsc::unbounded();
        Self {
            recorder: EventRecorder::new(client.clone(), "kubelet", &config.name),
            reporter: NodeReporter::new(),
            pressure: Pressure::default(),
            manifests_at: Timestamp::MIN,
            pods: Informer::new(&client, "", options),
            node: Informer::new(&client, "", ListOptions::fields(format!("metadata.name={}", config.name))),
            objects: ApiObjects::new(client.clone()),
            rng: Rng::new(seed),
            tickets: Tickets::default(),
            workers: BTreeMap::new(),
            dirty: BTreeSet::new(),
            timers: BTreeSet::new(),
            found: None,
            adopted: false,
            list_at: Some(Timestamp::MIN),
            images_at: Timestamp::MAX,
            calls,
            server: KubeletServer::new(sender),
            observer: Box::new(|_, _| {}),
            stats_waiting: Vec::new(),
            version: runtime.version(),
            name,
            config,
            client,
            runtime,
        }
    }

    /// The kubelet's server: a function from request to response, to be given to the API server. It
    /// works while the kubelet is polled, and refuses connections once it is dropped.
    pub fn server(&self) -> KubeletServer {
        self.server.clone()
    }

    /// Tells `observer` from now on of what is asked of the runtime for pods.
    #[must_use]
    pub fn with_observer(self, observer: Observer) -> Self {
        Self { observer, ..self }
    }

    /// Has a worker synced soon.
    pub(crate) fn mark(&mut self, uid: &str) {
        if self.workers.contains_key(uid) && !self.dirty.contains(uid) {
            self.dirty.insert(uid.into());
        }
    }

    fn drain_runtime(&mut self, cx: &mut Context<'_>) {
        while let Some(event) = self.runtime.poll_event(cx) {
            match event {
                Event::Completed { ticket, result } => {
                    if let Some(owner) = self.tickets.complete(ticket) {
                        self.completed(cx, owner, result);
                    }
                }
                Event::Pulling { ticket, progress } => {
                    if let Some(Owner::Pod { uid, purpose: Purpose::Start { name } }) = self.tickets.owner(ticket) {
                        let (uid, name) = (uid.clone(), name.clone());
                        self.with_worker(cx.now(), &uid, |worker, node| worker.pull_goes_on(node, &name, &progress));
                    }
                }
                Event::SandboxMade { ticket, status } => {
                    if let Some(Owner::Pod { uid, purpose: Purpose::RunSandbox }) = self.tickets.owner(ticket) {
                        let uid = uid.clone();
                        self.with_worker(cx.now(), &uid, |worker, node| worker.sandbox_made(node, status));
                        self.mark(&uid);
                    }
                }
                Event::ContainerChanged(status) => {
                    let uid = status.pod_uid.clone();
                    if self.workers.get_mut(&uid).is_some_and(|slot| slot.worker.container_changed(*status)) {
                        self.mark(&uid);
                    }
                }
                Event::ContainerRemoved { container_id } => {
                    let now = cx.now();
                    let changed = |slot: &mut Slot| slot.worker.container_removed(&container_id, now);
                    let uids: Vec<String> =
                        self.workers.iter_mut().filter_map(|(uid, slot)| changed(slot).then(|| uid.clone())).collect();
                    self.dirty.extend(uids);
                }
                Event::SandboxChanged(status) => {
                    let uid = status.pod_uid.clone();
                    if self.workers.get_mut(&uid).is_some_and(|slot| slot.worker.sandbox_changed(status)) {
                        self.mark(&uid);
                    }
                }
                Event::Down { message } => self.reporter.set_runtime_down(Some(message)),
                Event::Up => {
                    self.version = self.runtime.version();
                    self.reporter.set_runtime_down(None);
                    self.list_at = Some(cx.now());
                }
            }
        }
    }

    fn completed(&mut self, cx: &mut Context<'_>, owner: Owner, result: Result<Outcome, RuntimeError>) {
        match (owner, result) {
            (Owner::Pod { uid, purpose }, result) => {
                if let Ok(Outcome::Image(Some(image))) = &result
                    && !self.reporter.knows_image(&image.id)
                {
                    self.images_at = self.images_at.min(after(cx.now(), IMAGES_AFTER_PULL));
                }
                self.with_worker(cx.now(), &uid, |worker, node| worker.complete(node, purpose, result));
                self.mark(&uid);
            }
            (Owner::Listing, Ok(Outcome::Listing(listing))) => {
                self.found = Some(listing);
                self.list_images(cx.now());
            }
            (Owner::Listing, Err(_)) => self.list_at = Some(after(cx.now(), LIST_RETRY)),
            (Owner::Images, Ok(Outcome::Images(images))) => self.reporter.set_images(images),
            (Owner::Stats, result) => self.answer_stats(cx.now(), result),
            (Owner::Pressure, Ok(Outcome::NodeUse(told))) => self.pressure_told(cx.now(), &told),
            (Owner::Pressure, _) => self.pressure_unknown(cx.now()),
            (Owner::Listing | Owner::Images, _) => {}
        }
    }

    fn list_images(&mut self, now: Timestamp) {
        self.images_at = after(now, IMAGES_INTERVAL);
        self.tickets.submit(&mut *self.runtime, Owner::Images, Operation::ListImages);
    }

    /// Runs a step of a worker with all it needs; records its events and its next timer.
    fn with_worker(&mut self, now: Timestamp, uid: &str, step: impl FnOnce(&mut Worker, &mut Node<'_>)) {
        let used = self.used_by_others(uid);
        let Some(slot) = self.workers.get_mut(uid) else { return };
        self.objects.at(now);
        let mut events = Vec::new();
        let mut node = Node {
            now,
            config: &self.config,
            runtime: &mut *self.runtime,
            tickets: &mut self.tickets,
            objects: &self.objects,
            used,
            observer: &self.observer,
            events: &mut events,
            wake_at: None,
        };
        step(&mut slot.worker, &mut node);
        let wake_at = node.wake_at;
        let pod = slot.worker.pod.clone();
        for PodEvent { field_path, warning, reason, message } in events {
            let mut reference = reference_to(&*pod);
            if !field_path.is_empty() {
                reference.field_path = Some(field_path);
            }
            let kind = if warning { EventType::Warning } else { EventType::Normal };
            self.recorder.event_for(now, reference, kind, reason, &message);
        }
        if let Some(time) = wake_at {
            self.set_timer(uid, time);
        }
    }

    /// What the node's other pods ask for, if a pod asks for more or less than it has.
    fn used_by_others(&self, uid: &str) -> [i64; 2] {
        if !self.workers.get(uid).is_some_and(|slot| slot.worker.wants_resize()) {
            return [0; 2];
        }
        let others = self.workers.iter().filter(|(other, slot)| *other != uid && !slot.worker.removed);
        let others: Vec<&Pod> =
            others.map(|(_, slot)| &*slot.worker.pod).filter(|pod| !crate::spec::is_terminal(pod)).collect();
        ["cpu", "memory"].map(|resource| others.iter().map(|pod| admit::request(pod, resource)).sum())
    }

    fn set_timer(&mut self, uid: &str, time: Timestamp) {
        let Some(slot) = self.workers.get_mut(uid) else { return };
        if slot.timer.is_some_and(|timer| timer <= time) {
            return;
        }
        if let Some(timer) = slot.timer.replace(time) {
            self.timers.remove(&(timer, uid.to_string()));
        }
        self.timers.insert((time, uid.to_string()));
    }

    fn drain_pods(&mut self, cx: &mut Context<'_>) {
        let events = self.pods.poll(cx);
        if !self.adopted {
            return;
        }
        for event in events {
            match event {
                InformerEvent::Added(pod) => self.pod_seen(cx.now(), pod),
                InformerEvent::Updated { old, new } => {
                    if old.metadata.uid != new.metadata.uid {
                        self.pod_gone(&old);
                    }
                    self.pod_seen(cx.now(), new);
                }
                InformerEvent::Deleted(pod) => self.pod_gone(&pod),
            }
        }
    }

    /// Syncs one worker and tells the API what came of it.
    fn sync(&mut self, now: Timestamp, uid: &str) {
        let Some(slot) = self.workers.get_mut(uid) else { return };
        if let Some(timer) = slot.timer.filter(|timer| *timer <= now) {
            slot.timer = None;
            self.timers.remove(&(timer, uid.to_string()));
        }
        self.client.set_cause(&key_of(&*slot.worker.pod).to_string(), std::mem::take(&mut slot.cause));
        self.with_worker(now, uid, |worker, node| worker.sync(node));
        if !self.publish(now, uid) {
            let jitter = Duration::from_millis(self.rng.below(500));
            self.set_timer(uid, after(now, RETRY + jitter));
        }
        if let Some(slot) = self.workers.get_mut(uid).filter(|slot| slot.worker.removed)
            && let Some(mirror) = slot.mirror.take()
        {
            self.remove_mirror(&mirror);
        }
        let done =
            self.workers.get(uid).is_some_and(|slot| slot.worker.removed && slot.worker.cleanup == Cleanup::Done);
        if done && let Some(timer) = self.workers.remove(uid).and_then(|slot| slot.timer) {
            self.timers.remove(&(timer, uid.to_string()));
        }
    }

    fn drain_node(&mut self, cx: &mut Context<'_>) {
        for event in self.node.poll(cx) {
            let spec = event.object().spec.as_ref();
            let range = spec.and_then(|spec| spec.pod_cidr.clone()).filter(|range| !range.is_empty());
            if self.config.pod_cidr.is_none() && range.is_some() {
                self.config.pod_cidr = range;
                self.reporter.report_soon();
                self.dirty.extend(self.workers.keys().cloned());
            }
        }
    }

    fn drain_calls(&mut self, cx: &mut Context<'_>) {
        let mut task_cx = task::Context::from_waker(cx.waker());
        while let task::Poll::Ready(Some(call)) = Pin::new(&mut self.calls).poll_next(&mut task_cx) {
            self.serve(cx.now(), call);
        }
    }
}

impl Component for Kubelet {
    fn name(&self) -> &str {
        &self.name
    }

    fn poll(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        self.drain_runtime(cx);
        self.drain_calls(cx);
        if let Some(list_at) = self.list_at {
            if now >= list_at {
                self.list_at = None;
                self.tickets.submit(&mut *self.runtime, Owner::Listing, Operation::List);
                // A runtime may answer at once.
                self.drain_runtime(cx);
            } else {
                cx.wake_at(list_at);
            }
        }
        if now >= self.images_at {
            self.list_images(now);
        }
        self.drain_node(cx);
        self.watch_manifests(cx);
        self.watch_pressure(cx);
        self.drain_pods(cx);
        self.adopt(now);
        self.client.set_cause("", 0);
        let turn =
            self.reporter.turn(now, &self.config, &self.version, &self.client, &mut self.recorder, &mut self.rng);
        cx.wake_at(turn);
        while let Some((time, uid)) = self.timers.first().cloned().filter(|(time, _)| *time <= now) {
            self.timers.remove(&(time, uid.clone()));
            if let Some(slot) = self.workers.get_mut(&uid) {
                slot.timer = None;
            }
            self.dirty.insert(uid);
        }
        for _ in 0..SYNCS_PER_POLL {
            let Some(uid) = self.dirty.pop_first() else { break };
            self.sync(now, &uid);
            // What was submitted may have completed already; and others may wait for their turn.
            self.drain_runtime(cx);
        }
        if !self.dirty.is_empty() {
            cx.wake_now();
        }
        if let Some((time, _)) = self.timers.first() {
            cx.wake_at(*time);
        }
    }
}
