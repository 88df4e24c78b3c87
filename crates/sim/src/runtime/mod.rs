//! The simulated container runtime: CRI's role on a simulated node.
//!
//! Operations take virtual time, drawn from the node's seed. Sandboxes are interfaces of the
//! [`crate::network`], containers are [`crate::process::Machine`]s whose first process is the image's.

pub mod apparmor;
mod container;
mod log;
mod probe;
mod sandbox;
mod saved;
mod session;
mod volumes;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use futures::channel::mpsc;
use kubelet::runtime::{
    AttachRequest, ContainerRuntime, ContainerStats, ContainerStatus, Context, ErrorCode, Event, ExecRequest,
    ImageInfo, Listing, LogLine, LogRequest, NodeUse, Operation, Outcome, PullPolicy, RuntimeError, RuntimeVersion,
    SandboxStatus, StorageUse, Ticket, VolumeKind, set_up_failed,
};
use machinery::Timestamp;
use machinery::random::Rng;
use machinery::wire::Channels;
use proxy::SharedTables;

use crate::executor::Executor;
use crate::fs::{Entry, Fs, SharedTree, Tree};
use crate::image::base::{HUGE_PAGES, huge_pages_file};
use crate::image::{Base, Image, Registry};
use crate::network::{Interface, Network};
use crate::process::{Machine, Processes, Program, Programs, Signal};
use container::Container;
pub(crate) use probe::HEALTH_CHECK;
use sandbox::{Addresses, Sandbox};
pub use saved::as_of;
use volumes::Volumes;

/// How a node's runtime is made.
pub struct NodeConfig {
    /// The node's name.
    pub name: String,
    /// The network its pods join.
    pub network: Network,
    /// The node's own interface, from which the kubelet dials and whose network hostNetwork pods share.
    pub interface: Interface,
    /// The forwarding tables of the node.
    pub tables: SharedTables,
    /// Where images come from.
    pub registry: Registry,
    /// Range of pod addresses where the sandbox's configuration names none, such as `10.244.0.0/24`.
    pub pod_cidr: String,
    /// Bytes each second that pulls get.
    pub pull_bytes_per_second: u64,
    /// Seed of the node's delays.
    pub rng: Rng,
}

/// The runtime of one simulated node. Cheap to clone; all clones are one: the kubelet drives it through
/// [`ContainerRuntime`], and whoever makes faults or looks inside keeps another handle.
#[derive(Clone)]
pub struct SimRuntime(Rc<Node>);

struct Node {
    config: NodeConfig,
    executor: Executor,
    rng: RefCell<Rng>,
    events: RefCell<VecDeque<Event>>,
    waker: RefCell<Option<Waker>>,
    down: Cell<bool>,
    /// Counts the kubelets that have driven it.
    client: Cell<u64>,
    addresses: RefCell<Addresses>,
    sandboxes: RefCell<BTreeMap<String, Sandbox>>,
    containers: RefCell<BTreeMap<String, Rc<Container>>>,
    images: RefCell<BTreeMap<String, Rc<Image>>>,
    volumes: Volumes,
    /// Pods that run on where they were, by uid.
    suspended: RefCell<BTreeMap<String, saved::SuspendedPod>>,
    host: SharedTree,
    /// Whether those files are saved with the runtime.
    keeps_host: bool,
    /// The node's own processes, and those of pods with `hostPID`.
    processes: Processes,
    /// Programs of the host's own, by the name that executables carry.
    programs: RefCell<Programs>,
    /// Whether somebody has stopped the daemon, which it stays while the node is saved.
    stopped: Cell<bool>,
    /// How much has happened on the node, and who waits for more.
    happened: Cell<u64>,
    lookers: RefCell<Vec<Waker>>,
    /// Memory and disk taken by what is no pod, in bytes.
    burden: Cell<(u64, u64)>,
    booted_at: Timestamp,
}

/// What the kubelet is told while the daemon is stopped.
const NO_DAEMON: &str = "cannot connect to the container runtime: connection refused";
/// Where a node has the manifests of its static pods.
const MANIFESTS: &str = "/etc/kubernetes/manifests";

/// Files by which a node is told from others.
fn host_files(host: &SharedTree, config: &NodeConfig, now: Timestamp) {
    let id = format!("{}\n", kubelet::machine_id(&config.name));
    let mut tree = host.borrow_mut();
    tree.insert("/etc/machine-id", Entry::file(id, now));
    tree.insert("/etc/hostname", Entry::file(format!("{}\n", config.name), now));
    tree.insert("/var/lib/kubelet", Entry::directory(now));
    tree.insert("/etc/kubernetes", Entry::directory(now));
}

/// How an operation ends.
type Completion = Result<Outcome, RuntimeError>;

impl SimRuntime {
    /// The runtime of a node without containers or images.
    pub fn new(config: NodeConfig) -> Self {
        let now = config.network.executor().now();
        let host = Tree::over(Base::Node.layer(now)).share();
        host_files(&host, &config, now);
        Self::with(config, host, true)
    }

    /// The runtime of a machine that keeps its files itself.
    pub fn on(config: NodeConfig, host: SharedTree) -> Self {
        Self::with(config, host, false)
    }

    fn with(config: NodeConfig, host: SharedTree, keeps_host: bool) -> Self {
        let executor = config.network.executor().clone();
        Self(Rc::new(Node {
            rng: RefCell::new(config.rng.clone()),
            events: RefCell::default(),
            waker: RefCell::default(),
            down: Cell::new(false),
            client: Cell::new(0),
            addresses: RefCell::default(),
            sandboxes: RefCell::default(),
            containers: RefCell::default(),
            images: RefCell::default(),
            volumes: Volumes::default(),
            suspended: RefCell::default(),
            host,
            keeps_host,
            processes: Processes::of_node(executor.now()),
            programs: RefCell::default(),
            stopped: Cell::new(false),
            happened: Cell::new(0),
            lookers: RefCell::default(),
            burden: Cell::new((0, 0)),
            booted_at: executor.now(),
            executor,
            config,
        }))
    }

    /// A way back to it that does not keep it.
    pub fn downgrade(&self) -> impl Fn() -> Option<Self> + 'static {
        let node = Rc::downgrade(&self.0);
        move || node.upgrade().map(Self)
    }

    /// The node's name.
    pub fn node_name(&self) -> &str {
        &self.0.config.name
    }

    /// The node's own files, of which hostPath volumes are made.
    pub fn host_tree(&self) -> SharedTree {
        self.0.host.clone()
    }

    /// All containers, running or not, in id order.
    pub fn containers(&self) -> Vec<ContainerStatus> {
        self.0.containers.borrow().values().map(|container| container.status()).collect()
    }

    /// The inside of a running container.
    pub fn machine(&self, container_id: &str) -> Option<Machine> {
        self.0.container(container_id).ok().and_then(|container| container.machine())
    }

    /// Sends a signal to a container's first process, as `docker kill` does. False if it does not run.
    pub fn kill(&self, container_id: &str, signal: Signal) -> bool {
        self.machine(container_id).is_some_and(|machine| machine.kill(1, signal).is_ok())
    }

    /// Puts an image onto the node, as `kind load docker-image` does.
    ///
    /// # Errors
    /// When there is no such image.
    pub fn load_image(&self, reference: &str) -> Result<(), RuntimeError> {
        let image = self.0.config.registry.pull(reference)?;
        self.0.images.borrow_mut().insert(image.reference.to_string(), image);
        Ok(())
    }

    /// Adds a program of the host's own, for images whose executables carry its name.
    pub fn provide(&self, name: &str, program: Rc<dyn Program>) {
        Rc::make_mut(&mut self.0.programs.borrow_mut()).insert(name.to_owned(), program);
    }

    /// Puts an image onto the node that may be in no registry.
    pub fn put_image(&self, image: Rc<Image>) {
        self.0.images.borrow_mut().insert(image.reference.to_string(), image);
    }

    /// Takes an image's name off the node. Whether it was there.
    pub fn remove_image(&self, reference: &str) -> bool {
        let full = crate::image::Reference::parse(reference).map(|reference| reference.to_string());
        full.is_ok_and(|full| self.0.images.borrow_mut().remove(&full).is_some())
    }

    /// The node's images, by name.
    pub fn images(&self) -> Vec<Rc<Image>> {
        self.0.images.borrow().values().cloned().collect()
    }

    /// An image of the node by reference or id.
    pub fn image(&self, reference: &str) -> Option<Rc<Image>> {
        self.0.image(reference)
    }

    /// All sandboxes, in id order.
    pub fn sandboxes(&self) -> Vec<SandboxStatus> {
        self.0.sandboxes.borrow().values().map(|sandbox| sandbox.status.clone()).collect()
    }

    /// The node's own interface.
    pub fn interface(&self) -> &Interface {
        &self.0.config.interface
    }

    /// Does an operation for whoever drives the runtime by hand, without a kubelet.
    ///
    /// # Errors
    /// As the operation's.
    pub async fn perform(&self, operation: Operation) -> Result<Outcome, RuntimeError> {
        let result = self.0.run(operation).await;
        // Nobody polls for events.
        self.0.events.borrow_mut().clear();
        result
    }

    /// Does an operation beside the kubelet, which hears of what changes.
    ///
    /// # Errors
    /// As the operation's.
    pub async fn ask(&self, operation: Operation) -> Result<Outcome, RuntimeError> {
        let removed: Vec<String> = match &operation {
            Operation::RemoveContainer { container_id } => vec![container_id.clone()],
            Operation::RemovePodSandbox { sandbox_id } => {
                let mut containers = self.containers();
                containers.retain(|container| container.sandbox_id == *sandbox_id);
                containers.into_iter().map(|container| container.id).collect()
            }
            _ => Vec::new(),
        };
        let result = self.0.run(operation).await;
        if result.is_ok() {
            removed.into_iter().for_each(|container_id| self.0.tell(Event::ContainerRemoved { container_id }));
        }
        result
    }

    /// Starts a command in a container that runs, with descriptors of the caller's.
    ///
    /// # Errors
    /// When it does not run, or the command is not there.
    pub fn exec_with(
        &self,
        container_id: &str,
        command: Vec<String>,
        fds: std::collections::BTreeMap<u32, crate::io::Fd>,
    ) -> Result<crate::process::Child, RuntimeError> {
        session::exec_with(&self.0, container_id, command, fds)
    }

    /// The processes of the node: its own and those of its containers.
    pub fn processes(&self) -> Processes {
        self.0.processes.clone()
    }

    /// When the node was made.
    pub fn booted_at(&self) -> Timestamp {
        self.0.booted_at
    }

    /// The huge pages that are set aside on it: size, bytes of one, and how many, as `nr_hugepages` says below `/sys`.
    pub fn huge_pages(&self) -> [(&'static str, u64, u64); 2] {
        let fs = Fs::new(self.0.host.clone(), true);
        HUGE_PAGES.map(|(size, kib)| {
            let text = fs.read_text(&huge_pages_file(kib)).unwrap_or_default();
            (size, kib << 10, text.trim().parse().unwrap_or(0))
        })
    }

    /// Whether the runtime's daemon is stopped.
    pub fn is_down(&self) -> bool {
        self.0.down.get()
    }

    /// Waits until something happens on the node: to its containers, or as somebody notes it.
    pub async fn changed(&self) {
        let before = self.0.happened.get();
        poll_fn(|cx| {
            if self.0.happened.get() != before {
                return Poll::Ready(());
            }
            self.0.lookers.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Notes that something has happened on the node.
    pub fn note(&self) {
        self.0.note();
    }

    /// What a container has written so far.
    pub fn log_text(&self, container_id: &str) -> Vec<u8> {
        self.0.container(container_id).map(|container| container.log().text()).unwrap_or_default()
    }

    /// Stops the runtime's daemon, or starts it again. Containers go on running.
    pub fn set_down(&self, down: bool) {
        self.0.stopped.set(down);
        if self.0.down.replace(down) != down {
            self.0.tell(if down { Event::Down { message: NO_DAEMON.into() } } else { Event::Up });
        }
    }

    /// Lets something that is no pod take memory and disk of the node, in bytes.
    pub fn set_burden(&self, memory_bytes: u64, disk_bytes: u64) {
        self.0.burden.set((memory_bytes, disk_bytes));
    }

    /// What something that is no pod takes of memory and disk, in bytes.
    pub fn burden(&self) -> (u64, u64) {
        self.0.burden.get()
    }

    /// The kubelet has gone; what it asked for is not to be answered to the next one.
    pub fn forget_client(&self) {
        self.0.client.set(self.0.client.get() + 1);
        self.0.events.borrow_mut().clear();
        if self.is_down() {
            self.0.tell(Event::Down { message: NO_DAEMON.into() });
        }
    }

    /// The node has power again: it is on the network, with nothing running but its daemon.
    pub fn power_on(&self) {
        self.0.stopped.set(false);
        self.0.down.set(false);
        self.0.config.interface.set_connected(true);
    }

    /// The node loses power: every process is gone, every address silent.
    pub fn power_off(&self) {
        self.0.down.set(true);
        self.0.config.interface.set_connected(false);
        for container in self.0.containers.borrow().values() {
            if let Some(machine) = container.machine() {
                machine.kill_all();
            }
        }
        for sandbox in self.0.sandboxes.borrow_mut().values_mut() {
            sandbox.stop(&self.0.config.interface, &mut self.0.addresses.borrow_mut());
        }
    }
}

impl ContainerRuntime for SimRuntime {
    fn version(&self) -> RuntimeVersion {
        RuntimeVersion { name: "containerd".into(), version: "2.1.4".into() }
    }

    fn tells_node_use(&self) -> bool {
        true
    }

    fn manifests(&self) -> Option<Vec<(String, Bytes)>> {
        let fs = Fs::new(self.0.host.clone(), true);
        let files = fs.list(MANIFESTS).unwrap_or_default();
        let read = |name: String| Some((name.clone(), fs.read(&format!("{MANIFESTS}/{name}")).ok()?));
        Some(files.into_iter().filter_map(|(name, _)| read(name)).collect())
    }

    fn submit(&mut self, ticket: Ticket, operation: Operation) {
        let (node, client) = (self.0.clone(), self.0.client.get());
        self.0.executor.spawn(async move {
            let result = node.run(operation).await;
            // A kubelet made anew did not ask for this.
            if node.client.get() == client {
                node.tell(Event::Completed { ticket, result });
            }
        });
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Option<Event> {
        let event = self.0.events.borrow_mut().pop_front();
        if event.is_none() {
            *self.0.waker.borrow_mut() = Some(cx.waker().clone());
        }
        event
    }

    fn logs(&mut self, request: LogRequest, mut lines: mpsc::Sender<Result<LogLine, RuntimeError>>) {
        match self.0.container(&request.container_id) {
            Ok(container) => {
                self.0.executor.spawn(container.log().send(request, lines));
            }
            Err(error) => {
                self.0.executor.spawn(async move {
                    let _ = lines.send(Err(error)).await;
                });
            }
        }
    }

    fn exec(&mut self, request: ExecRequest, channels: Channels) {
        let node = self.0.clone();
        self.0.executor.spawn(async move { session::exec(&node, request, channels).await });
    }

    fn attach(&mut self, request: AttachRequest, channels: Channels) {
        let node = self.0.clone();
        self.0.executor.spawn(async move { session::attach(&node, request, channels).await });
    }

    fn port_forward(&mut self, sandbox_id: &str, ports: &[u16], channels: Channels) {
        let (node, sandbox, ports) = (self.0.clone(), sandbox_id.to_owned(), ports.to_vec());
        self.0.executor.spawn(async move { session::port_forward(&node, &sandbox, ports, channels).await });
    }
}

impl Node {
    /// Lets those know who look on that something has happened.
    fn note(&self) {
        self.happened.set(self.happened.get() + 1);
        self.lookers.borrow_mut().drain(..).for_each(Waker::wake);
    }

    fn tell(&self, event: Event) {
        self.note();
        self.events.borrow_mut().push_back(event);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    async fn run(self: &Rc<Self>, operation: Operation) -> Completion {
        self.delay(&operation).await;
        if self.down.get() {
            let message = "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: \
                           dial unix /run/containerd/containerd.sock: connect: connection refused\"";
            return Err(RuntimeError::new(ErrorCode::Unavailable, message));
        }
        match operation {
            Operation::List => Ok(Outcome::Listing(Listing {
                sandboxes: self.sandboxes.borrow().values().map(|sandbox| sandbox.status.clone()).collect(),
                containers: self.containers.borrow().values().map(|container| container.status()).collect(),
            })),
            Operation::SetUpVolumes { pod_uid, volumes } => {
                for volume in &volumes {
                    if let VolumeKind::Image { reference, pull_policy, .. } = &volume.kind
                        && !self.volumes.has(&pod_uid, &volume.name)
                    {
                        self.fetch(reference, *pull_policy).await.map_err(|error| RuntimeError {
                            message: set_up_failed(&volume.name, &error.message),
                            ..error
                        })?;
                    }
                }
                let image = |reference: &str| match self.image(reference) {
                    Some(image) => Ok(image.layer.clone()),
                    // Removed since.
                    None => self.config.registry.pull(reference).map(|image| image.layer.clone()),
                };
                self.volumes.set_up(&pod_uid, &volumes, &self.host, &image, self.executor.now())?;
                Ok(Outcome::Done)
            }
            Operation::TearDownVolumes { pod_uid } => {
                self.volumes.tear_down(&pod_uid);
                Ok(Outcome::Done)
            }
            Operation::RunPodSandbox(config) => self.run_sandbox(*config),
            Operation::StopPodSandbox { sandbox_id } => self.stop_sandbox(&sandbox_id).await,
            Operation::RemovePodSandbox { sandbox_id } => {
                self.stop_sandbox(&sandbox_id).await?;
                self.containers.borrow_mut().retain(|_, container| container.status().sandbox_id != sandbox_id);
                self.sandboxes.borrow_mut().remove(&sandbox_id);
                Ok(Outcome::Done)
            }
            Operation::ImageStatus { image } => Ok(Outcome::Image(self.image(&image).map(|image| info(&image)))),
            Operation::PullImage { image, .. } => self.pull(&image).await,
            Operation::ListImages => {
                Ok(Outcome::Images(self.images.borrow().values().map(|image| info(image)).collect()))
            }
            Operation::CreateContainer { sandbox_id, config } => self.create_container(&sandbox_id, *config),
            Operation::StartContainer { container_id } => self.start_container(&container_id).await,
            Operation::StopContainer { container_id, grace } => self.stop_container(&container_id, grace).await,
            Operation::RemoveContainer { container_id } => {
                self.containers.borrow_mut().remove(&container_id);
                Ok(Outcome::Done)
            }
            Operation::ExecSync { container_id, command, timeout } => {
                session::exec_sync(self, &container_id, command, timeout).await
            }
            Operation::HttpGet { https, host, port, path, headers, timeout } => {
                let request = probe::Get { https, host, port, path, headers };
                probe::http_get(&self.config.interface, request, timeout).await
            }
            Operation::TcpDial { host, port, timeout } => {
                probe::tcp_dial(&self.config.interface, &host, port, timeout).await
            }
            Operation::GrpcCheck { host, port, service, timeout } => {
                probe::grpc_check(&self.config.interface, &host, port, &service, timeout).await
            }
            Operation::UpdateContainer { container_id, resources } => {
                self.container(&container_id)?.update(&resources);
                Ok(Outcome::Done)
            }
            Operation::ListStats => Ok(Outcome::Stats(self.stats())),
            Operation::NodeUse => Ok(Outcome::NodeUse(self.node_use())),
        }
    }

    /// Lets the time pass that an operation takes on a real node.
    async fn delay(&self, operation: &Operation) {
        let milliseconds = match operation {
            Operation::RunPodSandbox(_) => 180,
            Operation::CreateContainer { .. } => 40,
            Operation::StartContainer { .. } => 60,
            Operation::StopPodSandbox { .. } | Operation::RemovePodSandbox { .. } => 30,
            Operation::SetUpVolumes { .. } | Operation::TearDownVolumes { .. } | Operation::RemoveContainer { .. } => {
                10
            }
            Operation::ExecSync { .. } => 20,
            _ => 1,
        };
        let duration = Duration::from_micros(self.rng.borrow_mut().jitter(milliseconds * 1000, 50));
        self.executor.sleep(duration).await;
    }

    fn image(&self, reference: &str) -> Option<Rc<Image>> {
        let images = self.images.borrow();
        let full = crate::image::Reference::parse(reference).ok()?.to_string();
        images.get(&full).or_else(|| images.values().find(|image| image.id == reference)).cloned()
    }

    /// Has a volume's image on the node.
    async fn fetch(&self, reference: &str, policy: PullPolicy) -> Result<(), RuntimeError> {
        let pulls = policy.pulls(reference, self.image(reference).is_some());
        if pulls.map_err(|message| RuntimeError::new(ErrorCode::NotFound, message))? {
            self.pull(reference).await?;
        }
        Ok(())
    }

    async fn pull(&self, reference: &str) -> Completion {
        /// Asking the registry for the manifest.
        const RESOLVE: u64 = 350_000;
        let resolve = Duration::from_micros(self.rng.borrow_mut().jitter(RESOLVE, 60));
        self.executor.sleep(resolve).await;
        let image = self.config.registry.pull(reference)?;
        if self.image(reference).is_none() {
            let micros = image.size_bytes.saturating_mul(1_000_000) / self.config.pull_bytes_per_second.max(1);
            let transfer = Duration::from_micros(self.rng.borrow_mut().jitter(micros, 40));
            self.executor.sleep(transfer).await;
        }
        self.images.borrow_mut().insert(image.reference.to_string(), image.clone());
        Ok(Outcome::Image(Some(info(&image))))
    }

    fn container(&self, id: &str) -> Result<Rc<Container>, RuntimeError> {
        self.containers.borrow().get(id).cloned().ok_or_else(|| {
            let message = format!(
                "rpc error: code = NotFound desc = an error occurred when try to find container {id:?}: not found"
            );
            RuntimeError::new(ErrorCode::NotFound, message)
        })
    }

    fn stats(&self) -> Vec<ContainerStats> {
        let now = self.executor.now();
        self.containers.borrow().values().filter_map(|container| container.stats(now)).collect()
    }

    fn node_use(&self) -> NodeUse {
        /// The system's own processes.
        const SYSTEM_MEMORY: u64 = 300 << 20;
        let containers = self.stats();
        let held = self.containers.borrow();
        let layers = held.iter().map(|(id, container)| StorageUse { owner: id.clone(), bytes: container.disk_bytes() });
        let layers: Vec<StorageUse> = layers.collect();
        let volumes = self.volumes.usage();
        let images: u64 = self.images.borrow().values().map(|image| image.size_bytes).sum();
        let (memory, disk) = self.burden.get();
        let of_pods: u64 = containers.iter().map(|stats| stats.memory_working_set_bytes).sum();
        let stored: u64 = layers.iter().chain(&volumes).map(|one| one.bytes).sum();
        NodeUse {
            memory_bytes: SYSTEM_MEMORY + of_pods + memory,
            disk_bytes: images + stored + disk,
            containers,
            layers,
            volumes,
        }
    }

    /// A fresh id of 64 hexadecimal digits.
    fn new_id(&self) -> String {
        let mut rng = self.rng.borrow_mut();
        (0..4).map(|_| format!("{:016x}", rng.next_u64())).collect()
    }
}

fn info(image: &Image) -> ImageInfo {
    let name = image.reference.name();
    let tags = (!image.reference.tag.is_empty()).then(|| format!("{name}:{}", image.reference.tag));
    ImageInfo {
        id: image.id.clone(),
        repo_tags: tags.into_iter().collect(),
        repo_digests: vec![format!("{name}@{}", image.digest)],
        size_bytes: image.size_bytes,
        user: image.user.clone(),
    }
}
