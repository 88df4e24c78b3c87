//! A whole cluster in one event loop.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use apiserver::ApiServer;
use apiserver::UserInfo;
use client::{Client, Component, SharedInformers, Transport};
use futures::StreamExt;
use futures::channel::mpsc;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::storage::v1::StorageClass;
use kubelet::{Kubelet, NodeConfig};
use machinery::random::Rng;
use machinery::{Clock, ObjectKey};
use proxy::{PolicyAgent, Proxy, Tables};
use scheduler::decision::Decisions;
use scheduler::{DEFAULT_SCHEDULER_NAME, Scheduler};
use sim::Executor;
use sim::executor::TaskId;
use sim::image::Registry;
use sim::ingress::{IngressController, SharedIngresses};
use sim::saved::Saved;

use crate::control::Fault;
use crate::control_api::ControlPanel;
use crate::elected::{Both, Elected, Election, Leadership};
use crate::gateway::{Call, Gateway, Target, gateway};
use crate::inlet::Inlet;
use crate::kube_system;
use crate::line::Line;
use crate::metrics_server::{self, Metrics, MetricsServer};
use crate::open_ports::OpenPorts;
use crate::options::{HostTime, NodeOptions, Options};
use crate::pace::{HostClock, Pace};
use crate::public_api::PublicApi;
use crate::runtime_hops;
use crate::saved::NODES_FOLDER;
use crate::trace::Trace;
use crate::world::{Learner, World};

/// The processes that elect leaders.
const CONTROLLER_MANAGER: &str = "kube-controller-manager";
const SCHEDULER: &str = "kube-scheduler";

/// Makes a component with a line of its own to the API server.
type Make = Box<dyn Fn(Rc<dyn Transport>) -> Box<dyn Component>>;

/// A cluster: store, API server, controllers, scheduler and nodes in one event loop.
pub struct Cluster {
    inner: Rc<Inner>,
    learner: Learner,
}

pub(crate) struct Inner {
    pub(crate) executor: Executor,
    pub(crate) api: ApiServer,
    pub(crate) trace: Trace,
    public_api: PublicApi,
    gateway: Gateway,
    pub(crate) pace: Pace,
    pub(crate) host_time: Option<HostTime>,
    /// Whether time may be changed: not where containers are real.
    pub(crate) adjustable: bool,
    pub(crate) decisions: RefCell<Decisions>,
    pub(crate) world: World,
    /// Where a computer belongs to the cluster: whoever makes clusters on it gets no further ones.
    pub(crate) learner: OnceCell<Learner>,
    pub(crate) parts: RefCell<BTreeMap<String, Part>>,
    pub(crate) faults: RefCell<Vec<Fault>>,
    /// Whether the API server is away.
    pub(crate) api_down: Arc<AtomicBool>,
    /// What runs beside the parts.
    tasks: RefCell<Vec<TaskId>>,
    /// Whether requests without any identity are nobody's.
    pub(crate) anonymous: bool,
    /// Where a kubeadm cluster's API server answers, if this is one.
    addons: Option<u16>,
    /// How many containers run which part of the control plane.
    held: RefCell<Vec<(&'static str, u32)>>,
}

/// A component that can be cut off from the API and, if it can be made again, stopped and started.
pub(crate) struct Part {
    /// None where it cannot be made again: a kubelet of real containers.
    make: Option<Make>,
    task: Option<TaskId>,
    pub(crate) cut: Arc<AtomicBool>,
}

impl Part {
    /// Whether it is cut off from the API server.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

/// What a node has on its disk when it is switched on.
#[derive(Default)]
pub(crate) struct Disk<'a> {
    pub saved: Saved,
    /// The uids of the cluster's pods.
    pub pods: &'a [String],
}

/// What the host does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// There is more to do now.
    Ready,
    /// Nothing for this long, unless something comes from outside.
    For(Duration),
    /// Nothing until something comes from outside.
    Idle,
}

impl Cluster {
    /// Brings a cluster up. Its objects that exist already are taken over.
    ///
    /// # Errors
    /// When the API server cannot be set up so.
    pub fn new(options: Options) -> Result<Self, String> {
        let executor = Executor::new(options.start);
        let pace = Pace::new(options.start);
        let (files, faults) = (options.files.clone(), options.faults.clone());
        let mut options = options;
        let mut saved = std::mem::take(&mut options.saved);
        options.saved = saved.take_folder(NODES_FOLDER);
        let registry = Registry::new();
        registry.restore(saved.take_folder(Learner::REGISTRY));
        let (inner, mut rng) = Inner::start(executor, pace, registry, options)?;
        let learner = Learner::new(&inner, &mut rng, &files, saved);
        // It has none yet.
        let _ = inner.learner.set(learner.clone());
        for fault in faults {
            // What a fault was about may be gone meanwhile.
            let _ = inner.begin(fault);
        }
        Ok(Self { inner, learner })
    }

    /// The API server itself; clients from outside go through [`Cluster::public_api`].
    pub fn api(&self) -> &ApiServer {
        &self.inner.api
    }

    /// The API, for any thread.
    pub fn public_api(&self) -> &PublicApi {
        &self.inner.public_api
    }

    /// The event loop.
    pub fn executor(&self) -> &Executor {
        &self.inner.executor
    }

    /// The cluster's time.
    pub fn now(&self) -> Timestamp {
        self.inner.executor.now()
    }

    /// Does up to `steps` things that are due at the host's present time, and says when there is more.
    /// For hosts that gave their time; without it, only what is ready now is done.
    pub fn run(&self, steps: usize) -> Wait {
        let inner = &self.inner;
        let Some(host_time) = &inner.host_time else {
            inner.executor.run_ready();
            return Wait::Idle;
        };
        let present = inner.pace.cluster_time(host_time());
        inner.executor.advance_to(present);
        for _ in 0..steps {
            if !inner.executor.step(present) {
                let wait = inner.executor.next_timer().and_then(|next| inner.pace.host_time_until(next, host_time()));
                return wait.map_or(Wait::Idle, Wait::For);
            }
        }
        Wait::Ready
    }

    /// Lets virtual time pass up to `time`, doing everything on the way.
    pub fn run_until(&self, time: Timestamp) {
        self.inner.executor.run_until(time);
    }

    /// Lets virtual time pass for a while, doing everything on the way.
    pub fn run_for(&self, duration: Duration) {
        self.run_until(machinery::time::after(self.now(), duration));
    }

    /// Names of the components that can be cut off; all but kubelets can be stopped and started too.
    pub fn components(&self) -> Vec<String> {
        self.inner.parts.borrow().keys().cloned().collect()
    }

    /// Stops a component where it stands. Whether there is one of this name that ran.
    pub fn stop_component(&self, name: &str) -> bool {
        self.inner.stop_component(name)
    }

    /// Starts a stopped component anew. Whether there is one of this name that had stopped.
    pub fn start_component(&self, name: &str) -> bool {
        self.inner.start_component(name)
    }

    /// Cuts a component off from the API server, or joins it again. Whether there is one of this name.
    pub fn cut_off(&self, name: &str, cut: bool) -> bool {
        self.inner.cut_off(name, cut)
    }

    /// The way for connections from the host's network into the cluster's.
    pub fn inlet(&self) -> Inlet {
        Inlet::new(self.inner.gateway.clone())
    }

    /// The computer at which the learner sits.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// The simulated world that the cluster's simulated nodes are in.
    pub fn world(&self) -> &World {
        &self.inner.world
    }
}

impl Inner {
    /// Brings a cluster up in an event loop that is there already. The random numbers that are left over
    /// come back.
    pub(crate) fn start(
        executor: Executor,
        pace: Pace,
        registry: Registry,
        options: Options,
    ) -> Result<(Rc<Self>, Rng), String> {
        let trace = Trace::default();
        let (gateway, calls) = gateway();
        let clock = match &options.host_time {
            Some(host_time) => Arc::new(HostClock::new(pace.clone(), host_time.clone())) as Arc<dyn Clock>,
            None => executor.clock(),
        };
        let mut rng = Rng::new(options.seed);
        let metrics = Metrics::default();
        let api = apiserver::Options {
            default_user: if options.anonymous { UserInfo::anonymous() } else { UserInfo::admin() },
            service_account_key: options.service_account_key,
            authenticator: options.authenticator,
            advertise_address: options.advertise.0,
            advertise_port: options.advertise.1,
            nodes: Some(Arc::new(gateway.clone())),
            control: Some(Arc::new(gateway.clone())),
            aggregated: vec![Arc::new(metrics.clone())],
            descriptions: options.descriptions,
            service_cidr: options.services.to_string(),
            ..apiserver::Options::new(options.store, clock.clone(), rng.next_u64())
        };
        let api = ApiServer::new(api)?;
        api.bootstrap()?;
        let addons = (options.addons && options.runtime.is_none()).then_some(options.advertise.1);
        if addons.is_some() {
            kube_system::publish(&registry, executor.now());
        }
        let world = World::new(&executor, &mut rng, &trace, options.network, registry, options.services);
        if addons.is_none() {
            world.serve_names();
        }
        let api_down = Arc::<AtomicBool>::default();
        let public_api = PublicApi::new(api.clone(), clock, trace.clone(), api_down.clone());
        let learners_rng = rng.fork();
        let inner = Rc::new(Inner {
            executor,
            api,
            trace,
            public_api,
            gateway,
            pace,
            host_time: options.host_time,
            adjustable: options.runtime.is_none(),
            decisions: RefCell::default(),
            world,
            learner: OnceCell::new(),
            parts: RefCell::default(),
            faults: RefCell::default(),
            api_down,
            tasks: RefCell::default(),
            anonymous: options.anonymous,
            addons,
            held: RefCell::default(),
        });
        let host = options.nodes.first().map_or("control-plane", |node| node.name.as_str()).to_owned();
        let root_ca = options.root_ca.clone();
        let controllers = controllers::Options {
            root_ca: options.root_ca,
            authority: options.authority,
            load_balancer: options.load_balancer,
            load_balancers: options.load_balancers,
        };
        let ports = OpenPorts::new(options.ports_changed);
        inner.add_control_plane(&mut rng, &host, controllers, ports.clone(), options.scheduler);
        inner.add_metrics_server(metrics);
        inner.add_storage_class()?;
        let mut waiting = Vec::new();
        if addons.is_some() {
            waiting = kube_system::waiting(&*inner.line("kubeadm", Arc::default()), &options.nodes);
            let endpoint = format!("{}:{}", options.advertise.0, options.advertise.1);
            let addons = kube_system::Addons {
                endpoint: &endpoint,
                services: options.services,
                root_ca: &root_ca,
                nodes: &options.nodes,
            };
            kube_system::install(&*inner.line("kubeadm", Arc::default()), &addons)?;
        }
        inner.add_policy_agent();
        inner.add_ingress_controller(&ports);
        waiting.into_iter().for_each(|component| _ = inner.stop_component(component));
        // What belonged to pods that are gone is not needed; nobody asks where nothing was saved.
        let uids = if options.saved.is_empty() { Vec::new() } else { inner.pod_uids() };
        let mut saved = options.saved;
        for node in options.nodes {
            let runtime = options.runtime.as_ref().and_then(|make| make(&node));
            let disk = Disk { saved: saved.take_folder(&node.name), pods: &uids };
            inner.add_node(&node, runtime, disk, &mut rng);
        }
        let answering = inner.executor.foreground().spawn(answer_calls(Rc::downgrade(&inner), calls));
        let timekeeper = inner.executor.spawn_component(Box::new(Timekeeper(inner.api.clone())));
        inner.tasks.borrow_mut().extend([answering, timekeeper]);
        Ok((inner, learners_rng))
    }

    /// The API as whoever sits at the learner's computer calls it.
    pub(crate) fn public_api(&self) -> &PublicApi {
        &self.public_api
    }

    /// Ends everything that runs, as pulling the plug does. What is in the store stays there.
    pub(crate) fn shut_down(&self) {
        let parts = std::mem::take(&mut *self.parts.borrow_mut());
        let tasks = parts.into_values().filter_map(|part| part.task).chain(self.tasks.take());
        tasks.for_each(|task| self.executor.cancel(task));
        self.world.shut_down();
    }

    /// Adds a simulated node.
    pub(crate) fn join_simulated(self: &Rc<Self>, options: &NodeOptions, rng: &mut Rng) {
        self.add_node(options, None, Disk::default(), rng);
    }

    /// Cuts a node off the cluster, or joins it again. Whether there is such a node.
    pub(crate) fn cut_node_off(&self, node: &str, cut: bool) -> bool {
        self.cut_off(&format!("kubelet/{node}"), cut)
    }

    fn add_control_plane(
        self: &Rc<Self>,
        rng: &mut Rng,
        host: &str,
        controllers: controllers::Options,
        ports: Rc<OpenPorts>,
        scheduler: Option<scheduler::Configuration>,
    ) {
        // The process's own line: what its informers see, and by which it stays leader.
        let cut = Arc::<AtomicBool>::default();
        let setup = controllers::Setup::new(self.line(CONTROLLER_MANAGER, cut.clone()), controllers);
        let identity = self.identity(host);
        let leadership = Rc::<Leadership>::default();
        let (led, leader) = (leadership.clone(), identity.clone());
        let stand = move |line| -> Box<dyn Component> {
            let client = Client::new(line, CONTROLLER_MANAGER);
            Box::new(Election::new(client, CONTROLLER_MANAGER, &leader, CONTROLLER_MANAGER, led.clone()))
        };
        self.add_part(CONTROLLER_MANAGER, Box::new(stand), cut);
        for (name, _) in controllers::CONTROLLERS {
            let (setup, leadership) = (setup.clone(), leadership.clone());
            self.add_component(
                name,
                Box::new(move |line| {
                    // Every name of the table has its controller.
                    let controller = controllers::named(&setup, name, Some(line)).unwrap_or_else(|| Box::new(Nothing));
                    Box::new(Elected::new(leadership.clone(), controller))
                }),
            );
        }
        let (dice, inner) = (RefCell::new(rng.fork()), Rc::downgrade(self));
        let configuration = scheduler.unwrap_or_default();
        self.add_component(
            SCHEDULER,
            Box::new(move |line| {
                let client = Client::new(line, SCHEDULER);
                let scheduler = Scheduler::new(client.clone(), dice.borrow_mut().fork(), &configuration);
                if let Some(inner) = inner.upgrade() {
                    inner.decisions.replace(scheduler.decisions());
                }
                let leadership = Rc::<Leadership>::default();
                let recorder = configuration.profiles.first().and_then(|profile| profile.scheduler_name.as_deref());
                let recorder = recorder.unwrap_or(DEFAULT_SCHEDULER_NAME);
                Box::new(Both(
                    Election::new(client.named(SCHEDULER), SCHEDULER, &identity, recorder, leadership.clone()),
                    Elected::new(leadership, Box::new(scheduler)),
                ))
            }),
        );
        let tables = self.world.tables();
        let network = self.world.host_network();
        let tables_changed = Rc::new(move |tables: &Tables| {
            if let Some(network) = &network {
                network.set_tables(tables);
            }
            ports.set_services(tables.external_ports("localhost").into_iter().map(|(port, _)| port).collect());
        });
        self.add_component(
            "kube-proxy",
            Box::new(move |line| {
                let informers = SharedInformers::new(Client::new(line, "kube-proxy"));
                let tables_changed = tables_changed.clone();
                Box::new(
                    Proxy::new(&informers).with_tables(tables.clone()).on_change(move |tables| tables_changed(tables)),
                )
            }),
        );
    }

    /// What a cluster's network plugin does for NetworkPolicies.
    fn add_policy_agent(self: &Rc<Self>) {
        let policies = proxy::SharedPolicies::default();
        self.world.network().set_policies(policies.clone());
        let network = self.world.host_network();
        self.add_component(
            PolicyAgent::NAME,
            Box::new(move |line| {
                let informers = SharedInformers::new(Client::new(line, PolicyAgent::NAME));
                let agent = PolicyAgent::new(&informers, policies.clone());
                Box::new(match network.clone() {
                    Some(network) => agent.on_change(move |policies| network.set_policies(policies)),
                    None => agent,
                })
            }),
        );
    }

    /// What a cluster's add-on does for Ingresses.
    fn add_ingress_controller(self: &Rc<Self>, ports: &Rc<OpenPorts>) {
        let network = self.world.host_network();
        let ingresses = if network.is_some() { SharedIngresses::default() } else { self.world.serve_ingress() };
        let ports = ports.clone();
        self.add_component(
            IngressController::NAME,
            Box::new(move |line| {
                let client = Client::new(line, IngressController::NAME);
                let controller = IngressController::new(client, ingresses.clone());
                let ports = ports.clone();
                Box::new(match network.clone() {
                    Some(network) => controller.on_change(move |ingresses| network.set_ingresses(ingresses)),
                    None => controller.on_change(move |now| ports.set_ingresses(!now.ingresses.is_empty())),
                })
            }),
        );
    }

    fn add_metrics_server(self: &Rc<Self>, metrics: Metrics) {
        let kubelets = self.gateway.clone();
        self.add_component(
            metrics_server::NAME,
            Box::new(move |line| {
                let client = Client::new(line, metrics_server::NAME);
                Box::new(MetricsServer::new(&client, kubelets.clone(), metrics.clone()))
            }),
        );
    }

    pub(crate) fn add_node(
        self: &Rc<Self>,
        options: &NodeOptions,
        runtime: Option<Box<dyn kubelet::ContainerRuntime>>,
        disk: Disk<'_>,
        rng: &mut Rng,
    ) {
        let name = format!("kubelet/{}", options.name);
        let cut = Arc::<AtomicBool>::default();
        let config = NodeConfig {
            labels: options.labels.clone(),
            taints: options.taints.clone(),
            pod_cidr: options.pod_range.clone(),
            cluster_dns: vec![self.world.services().name_server().to_string()],
            ..NodeConfig::new(&options.name, options.address.to_string())
        };
        let (node, executor, trace) = (options.name.clone(), self.executor.clone(), self.trace.clone());
        let (gateway, way) = (self.gateway.clone(), cut.clone());
        let start = move |line, runtime, seed, pages: &[(&str, u64, u64)]| -> Box<dyn Component> {
            let observer = runtime_hops::observer(&node, executor.clone(), trace.clone());
            let mut config = config.clone();
            config.set_huge_pages(pages);
            let kubelet = Kubelet::new(config, Client::new(line, "kubelet"), runtime, seed).with_observer(observer);
            gateway.set_kubelet(&node, kubelet.server(), way.clone());
            Box::new(kubelet)
        };
        if let Some(runtime) = runtime {
            let kubelet = start(self.line(&name, cut.clone()), runtime, rng.next_u64(), &[]);
            let task = self.executor.spawn_component(kubelet);
            self.tasks.borrow_mut().push(task);
            self.parts.borrow_mut().insert(name, Part { make: None, task: None, cut });
            return;
        }
        let (runtime, dice) = (self.world.add_node(options), RefCell::new(rng.fork()));
        runtime.restore(disk.saved, &|uid| disk.pods.binary_search_by(|pod| pod.as_str().cmp(uid)).is_ok());
        if let Some(port) = self.addons {
            kube_system::prepare(self, options, &runtime, port);
        }
        let make: Make = Box::new(move |line| {
            runtime.forget_client();
            let pages = runtime.huge_pages();
            start(line, Box::new(runtime.clone()), dice.borrow_mut().next_u64(), &pages)
        });
        self.parts.borrow_mut().insert(name.clone(), Part { make: Some(make), task: None, cut });
        self.start_component(&name);
    }

    /// The class of claims that name none. One that is there already stays as it is.
    fn add_storage_class(&self) -> Result<(), String> {
        let client = Client::new(self.line("addon-manager", Arc::default()), "addon-manager");
        let class: StorageClass = machinery::object::from_value(controllers::persistentvolume::default_storage_class())
            .map_err(|error| error.to_string())?;
        match client.create(class) {
            Err(error) if !error.is_already_exists() => Err(error.to_string()),
            _ => Ok(()),
        }
    }

    fn add_component(&self, name: &str, make: Make) {
        self.add_part(name, make, Arc::default());
    }

    fn add_part(&self, name: &str, make: Make, cut: Arc<AtomicBool>) {
        self.parts.borrow_mut().insert(name.into(), Part { make: Some(make), task: None, cut });
        self.start_component(name);
    }

    /// Under which name the cluster's processes stand for election: their host's, and what no other
    /// cluster has. It is the same after a restart, whose processes need not wait for those before them.
    fn identity(&self, host: &str) -> String {
        let client = Client::new(self.line(CONTROLLER_MANAGER, Arc::default()), CONTROLLER_MANAGER);
        let system = client.get::<Namespace>(&ObjectKey::new("", "kube-system"));
        let uid = system.ok().and_then(|namespace| namespace.metadata.uid.clone());
        format!("{host}_{}", uid.unwrap_or_default())
    }

    pub(crate) fn cut_off(&self, name: &str, cut: bool) -> bool {
        self.parts.borrow().get(name).map(|part| part.cut.store(cut, Ordering::Relaxed)).is_some()
    }

    pub(crate) fn stop_component(&self, name: &str) -> bool {
        let task = self.parts.borrow_mut().get_mut(name).and_then(|part| part.task.take());
        task.map(|task| self.executor.cancel(task)).is_some()
    }

    pub(crate) fn start_component(&self, name: &str) -> bool {
        let mut parts = self.parts.borrow_mut();
        let Some(part) = parts.get_mut(name).filter(|part| part.task.is_none()) else { return false };
        let Some(make) = &part.make else { return false };
        part.task = Some(self.executor.spawn_component(make(self.line(name, part.cut.clone()))));
        true
    }

    /// A container runs components from now on, unless a fault keeps them down.
    pub(crate) fn hold(&self, part: &'static str, components: &[&'static str]) {
        let mut held = self.held.borrow_mut();
        match held.iter_mut().find(|(known, _)| *known == part) {
            Some((_, count)) => *count += 1,
            None => held.push((part, 1)),
        }
        drop(held);
        let down = |name: &str| {
            let faults = self.faults.borrow();
            faults.iter().any(|fault| matches!(fault, Fault::ComponentDown { component } if component == name))
        };
        for component in components.iter().filter(|component| !down(component)) {
            self.start_component(component);
        }
    }

    /// A container has ended that ran components: with the last one, they stop.
    pub(crate) fn release(&self, part: &'static str, components: &[&'static str]) {
        let mut held = self.held.borrow_mut();
        let Some((_, count)) = held.iter_mut().find(|(known, _)| *known == part) else { return };
        *count = count.saturating_sub(1);
        let last = *count == 0;
        drop(held);
        if last {
            components.iter().for_each(|component| _ = self.stop_component(component));
        }
    }

    /// Whether components run.
    pub(crate) fn runs(&self, components: &[&'static str]) -> bool {
        let parts = self.parts.borrow();
        components.iter().all(|name| parts.get(*name).is_some_and(|part| part.task.is_some()))
    }

    /// Whether a component runs.
    pub(crate) fn is_running(&self, name: &str) -> bool {
        self.parts.borrow().get(name).is_some_and(|part| part.task.is_some())
    }

    pub(crate) fn line(&self, name: &str, cut: Arc<AtomicBool>) -> Rc<dyn Transport> {
        Rc::new(Line::new(
            name,
            self.api.clone(),
            self.executor.clone(),
            self.trace.clone(),
            [cut, self.api_down.clone()],
        ))
    }
}

/// Answers what the API server asks of the event loop, each call as a process of its own.
async fn answer_calls(cluster: std::rc::Weak<Inner>, mut calls: mpsc::Receiver<Call>) {
    while let Some(Call { target, request, reply }) = calls.next().await {
        let Some(inner) = cluster.upgrade() else { return };
        let executor = inner.executor.foreground();
        executor.spawn(async move {
            let response = match target {
                Target::Control => ControlPanel::new(inner).handle(request).await,
                Target::Address(address) => inner.world.dial(&address, request).await,
                Target::HostPort(port) => inner.world.connect(port).await,
                Target::Socket(address) => inner.world.dial_simulated(address).await,
            };
            // The caller may have gone meanwhile.
            let _ = reply.send(response);
        });
    }
}

/// Brings the time to the API server: watches end, Events expire, the Service `kubernetes` is there.
struct Timekeeper(ApiServer);

/// How often upstream's API server looks after the Service `kubernetes`. Leases of Events that were granted since the
/// last look are found by this time too.
const TIMEKEEPER_INTERVAL: Duration = Duration::from_secs(10);

impl Component for Timekeeper {
    fn name(&self) -> &str {
        "kube-apiserver"
    }

    fn poll(&mut self, cx: &mut client::Context<'_>) {
        let next = self.0.advance(cx.waker());
        self.0.keep_kubernetes_service();
        cx.wake_at(next.unwrap_or(Timestamp::MAX).min(machinery::time::after(cx.now(), TIMEKEEPER_INTERVAL)));
    }
}

/// Stands in where there is nothing to run.
struct Nothing;

impl Component for Nothing {
    fn name(&self) -> &str {
        "nothing"
    }
    fn poll(&mut self, _cx: &mut client::Context<'_>) {}
}
