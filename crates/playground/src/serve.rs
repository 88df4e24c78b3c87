//! `playground serve`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::Result;
use apiserver::UserInfo;
use jiff::Timestamp;
use kubelet::ContainerRuntime;
use machinery::wire::Body;
use playground_core::ingress::InForce;
use playground_core::kind_config::{KindConfig, PortMapping};
use playground_core::{MakeRuntime, NodeOptions, Options, PublicApi, ServiceRange, control, lesson_files};
use rustls::crypto::SecureRandom;
use store::Store;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::certificates::Certificates;
use crate::cli::{Runtime, ServeOptions};
use crate::docker::{ConnectError, DockerConfig, DockerRuntime, NODES_MAX, OwnConfig, PodNetwork};
use crate::durability::Kept;
use crate::home::{Home, Running, Settings};
use crate::host::{Host, host_time};
use crate::network::Sockets;
use crate::notices::{Notices, Owners};
use crate::token::PageToken;
use crate::{assets, durability, kubeconfig, ports, shape};

/// Nodes of a simulated cluster, and of one on a single Docker host, where nothing is said of it.
const SIMULATED_NODES: u16 = 3;
const DOCKER_NODES: u16 = 1;
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6443);

/// Docker's nodes, each with its runtime, by name, and their network.
struct DockerNodes {
    runtimes: BTreeMap<String, DockerRuntime>,
    network: Arc<PodNetwork>,
    /// Which node's power went or came.
    power: mpsc::UnboundedReceiver<(String, bool)>,
}

/// Serves until interrupted.
///
/// # Errors
/// One line that says what is wrong and what to do.
pub fn run(options: &ServeOptions) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(serve(options));
    // Connections that are still open end with the process.
    runtime.shutdown_background();
    outcome
}

async fn serve(options: &ServeOptions) -> Result<()> {
    if options.detached {
        // Fails where there is one already, which is what is wanted.
        let _ = rustix::process::setsid();
    }
    let home = Home::of(options.which.name.as_deref(), options.which.data_dir.as_ref())?;
    let settings = shape::settings(&home, &options.shape, options.listen)?;
    // The port first: a second server must not touch the first one's data.
    let listener = listen(settings.listen.unwrap_or(LISTEN)).await?;
    let address = listener.local_addr()?;
    let kubelet = match options.kubelet_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    home.make()?;
    let mut seat = home.take_seat()?;
    home.save(&settings)?;
    let directory = home.directory.clone();
    let provider = rustls::crypto::ring::default_provider();
    let random = provider.secure_random;
    let seed = random_seed(random)?;
    // Another provider can only be one that was installed before, which serves as well.
    let _ = provider.install_default();
    let pki = directory.join("pki");
    let certificates = Certificates::load_or_create(&pki, &addresses(address))?;
    let token = Arc::new(PageToken::load_or_create(&pki.join("page.token"), random)?);
    let tls = Arc::new(certificates.server_config()?);
    let signer = certificates.request_signer(random)?;
    let Kept { store, disks, changed, writer } = durability::open(&directory)?;

    let Chosen { mut nodes, docker, simulated, mappings, services } = choose_runtime(&settings, &home, address).await?;
    let greeting = greeting(nodes.len(), &simulated, docker.as_ref());
    nodes.extend(simulated);
    let (docker, power) = match docker.ok().flatten() {
        Some(docker) => (Some((docker.runtimes, docker.network)), Some(docker.power)),
        None => (None, None),
    };
    let first_node = nodes.first().map(|node| node.name.clone()).unwrap_or_default();
    let (ports, wanted_ports) = watch::channel(BTreeSet::new());
    // Docker publishes the ports of its nodes itself.
    let published: BTreeSet<u16> = mappings.iter().map(|(mapping, _)| mapping.host).collect();
    let mut led = Vec::new();
    let mut doors = Vec::new();
    for (mapping, node) in &mappings {
        match &docker {
            None => led.push((ports::open(mapping).await?, SocketAddr::new((*node).into(), mapping.node))),
            Some(_) if is_ingress(mapping) => {
                doors.push((ports::open(mapping).await?, crate::ingress::is_secure(mapping.node)));
            }
            Some(_) => {}
        }
    }
    let (ingresses, wanted_ingresses) = watch::channel(InForce::default());
    let pods = docker.as_ref().map(|(_, network)| network.clone());
    let load_balancers = pods.as_ref().and_then(|pods| pods.load_balancers());
    let host = {
        let (store, token, root_ca) = (store.clone(), token.clone(), certificates.authority.clone());
        let service_account_key = Some(certificates.service_account_key);
        let pods = pods.clone();
        let advertise = pods.as_ref().map_or_else(|| advertised(address, &nodes), |pods| pods.api_address());
        let handle = Handle::current();
        let network = pods.map(|pods| Arc::new(Sockets { handle, pods, ingresses }) as _);
        let make = move || {
            let base = Options::new(store, Timestamp::now(), seed);
            Ok(Options {
                host_time: Some(host_time()),
                network,
                runtime: docker.map(|(docker, _)| runtimes(docker)),
                ports_changed: Some(Arc::new(move |now| _ = ports.send(now))),
                service_account_key,
                authenticator: Some(token),
                anonymous: true,
                advertise,
                nodes,
                root_ca,
                authority: Some(Rc::new(signer)),
                descriptions: Some(assets::descriptions),
                files: lesson_files(),
                addons: true,
                services,
                load_balancers,
                saved: disks,
                ..base
            })
        };
        Host::start(make, changed)?
    };
    let server = |address, kubelet_of| {
        let (api, store, tls) = (host.api.clone(), store.clone(), tls.clone());
        Arc::new(crate::http::Server { api, store, tls, address, kubelet_of })
    };
    let kubelet = match kubelet {
        Some(listener) => Some(crate::http::serve(server(listener.local_addr()?, Some(first_node)), listener)),
        None => None,
    };
    let accepting = tokio::spawn(crate::http::serve(server(address, None), listener));
    let kubelet = tokio::spawn(async {
        if let Some(kubelet) = kubelet {
            kubelet.await;
        }
    });
    // Where pods are Docker's, the Ingresses' ports are not among these.
    let owners = if pods.is_some() { vec![Owners::Services] } else { vec![Owners::Services, Owners::Ingresses] };
    let notices = Notices { api: host.api.clone(), owners };
    let forwarding = tokio::spawn(ports::keep_open(host.inlet.clone(), wanted_ports, published, notices));
    for (listener, to) in led {
        tokio::spawn(ports::lead(host.inlet.clone(), listener, to));
    }
    let compacting = tokio::spawn(compact(store));
    if let Some(pods) = pods {
        let notices = Notices { api: host.api.clone(), owners: vec![Owners::Ingresses] };
        tokio::spawn(crate::ingress::keep_open(pods, wanted_ingresses, doors, notices));
    }
    let powering = tokio::spawn(follow_power(host.api.clone(), power));

    let file = options.kubeconfig.clone().unwrap_or_else(|| home.kubeconfig());
    let config = kubeconfig::of(&home.context(), &format!("https://{}", reachable(address)), &certificates);
    if file != home.kubeconfig() {
        kubeconfig::write(&home.kubeconfig(), &config)?;
    }
    kubeconfig::write(&file, &config)?;
    println!("{greeting}\n");
    let page = assets::present().then(|| format!("http://{}/#token={}", reachable(address), token.as_str()));
    if let Some(page) = &page {
        println!("  page     {page}");
    }
    seat.tell(&Running { pid: std::process::id(), address: Some(reachable(address)), page })?;
    // Whole, for whoever changes folders.
    let file = std::path::absolute(&file).unwrap_or(file);
    println!("  kubectl  export KUBECONFIG={}\n\nCtrl-C stops it; what is in it stays.", file.display());
    interrupted().await?;

    for task in [accepting, kubelet, forwarding, compacting, powering] {
        task.abort();
    }
    host.stop();
    writer.close();
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "{address} is in use: stop what listens there, or choose another port, such as --listen {}:0",
            address.ip()
        ),
        _ => anyhow::anyhow!("cannot listen on {address}: {error}"),
    })
}

/// What the cluster is made of.
struct Chosen {
    /// Nodes, of Docker or simulated.
    nodes: Vec<NodeOptions>,
    /// Docker's part. Where nothing was chosen and Docker cannot be reached, the reason.
    docker: std::result::Result<Option<DockerNodes>, String>,
    /// Simulated nodes beside Docker's.
    simulated: Vec<NodeOptions>,
    /// Ports of this machine that lead to ports of nodes, and the nodes' addresses.
    mappings: Vec<(PortMapping, Ipv4Addr)>,
    /// The range of Services' addresses.
    services: ServiceRange,
}

async fn choose_runtime(settings: &Settings, home: &Home, address: SocketAddr) -> Result<Chosen> {
    let simulated = |docker| -> Result<Chosen> {
        let plan = shape::plan(settings, SIMULATED_NODES)?;
        let range = shape::pod_range(&plan)?;
        let mut nodes = shape::nodes(&plan, &home.name);
        for (index, node) in (0..).zip(&mut nodes) {
            node.pod_range = range.and_then(|range| shape::range_of_node(range, index));
        }
        let mappings = shape::mappings(&plan, &nodes);
        // All are simulated: those that were to be beside Docker's are more of them.
        nodes.extend(shape::simulated(&home.name, settings.sim_nodes.unwrap_or(0), nodes.len(), false));
        if plan.nodes.iter().any(|node| !node.mounts.is_empty()) {
            eprintln!("nodes[].extraMounts is not heeded: simulated nodes have no files of this machine");
        }
        let services = shape::service_range(&plan)?;
        Ok(Chosen { nodes, docker, simulated: Vec::new(), mappings, services })
    };
    if settings.runtime == Some(Runtime::Sim) {
        return simulated(Ok(None));
    }
    let plan = shape::plan(settings, DOCKER_NODES)?;
    if plan.nodes.len() > usize::from(NODES_MAX) {
        anyhow::bail!("at most {NODES_MAX} nodes run on Docker: use fewer, or --runtime sim, or --sim-nodes");
    }
    let mut nodes = shape::nodes(&plan, &home.name);
    match docker_nodes(&mut nodes, &plan, home.own_on_docker()?, address).await {
        Ok(docker) => {
            let mappings = shape::mappings(&plan, &nodes);
            let simulated = shape::simulated(&home.name, settings.sim_nodes.unwrap_or(0), 0, true);
            let services = shape::service_range(&plan)?;
            Ok(Chosen { nodes, docker: Ok(Some(docker)), simulated, mappings, services })
        }
        Err(error) if settings.runtime == Some(Runtime::Docker) => Err(error),
        Err(error) => simulated(Err(format!("{error:#}"))),
    }
}

/// Makes the nodes on Docker, and gives each its address there.
async fn docker_nodes(
    nodes: &mut [NodeOptions],
    plan: &KindConfig,
    own: OwnConfig,
    address: SocketAddr,
) -> Result<DockerNodes> {
    let network =
        PodNetwork::connect(None, own, reachable(address), shape::pod_range(plan)?, shape::service_range(plan)?)
            .await?;
    let publish = nodes.len() == 1;
    let (sender, power) = mpsc::unbounded_channel();
    // All at once: Docker takes most of a second for each.
    let made = (0..).zip(nodes.iter_mut()).map(|(index, node)| {
        node.address = network.node_address(index);
        node.pod_range = Some(network.pod_range(index));
        let ports = plan.nodes.get(usize::from(index)).map(|node| node.ports.iter()).unwrap_or_default();
        let ports = ports.filter(|mapping| !is_ingress(mapping)).cloned().collect();
        let mounts = plan.nodes.get(usize::from(index)).map(shape::mounts).unwrap_or_default();
        let config = DockerConfig { node: node.name.clone(), index, publish, ports, mounts, power: sender.clone() };
        let (name, network) = (node.name.clone(), network.clone());
        async move { Ok::<_, ConnectError>((name, DockerRuntime::connect(config, network).await?)) }
    });
    let runtimes = futures::future::try_join_all(made).await?.into_iter().collect();
    Ok(DockerNodes { runtimes, network, power })
}

/// Whether a port leads to the Ingresses, which have ports 80 and 443 of all nodes, and are served by this process.
fn is_ingress(mapping: &PortMapping) -> bool {
    crate::ingress::PORTS.contains(&mapping.node) && mapping.protocol == "tcp"
}

/// Hands each node its runtime.
fn runtimes(docker: BTreeMap<String, DockerRuntime>) -> MakeRuntime {
    let docker = std::cell::RefCell::new(docker);
    Box::new(move |node| Some(Box::new(docker.borrow_mut().remove(&node.name)?) as Box<dyn ContainerRuntime>))
}

fn greeting(
    nodes: usize,
    simulated: &[NodeOptions],
    docker: std::result::Result<&Option<DockerNodes>, &String>,
) -> String {
    let kind = if matches!(docker, Ok(Some(_))) { "Docker" } else { "simulated" };
    let count = |count: usize, kind: &str| format!("{count} {kind} node{}", if count == 1 { "" } else { "s" });
    let mut told = format!("playground serves Kubernetes {} on {}", kubelet::VERSION, count(nodes, kind));
    if !simulated.is_empty() {
        told = format!("{told} and {}", count(simulated.len(), "simulated"));
    }
    match docker {
        Err(reason) => format!("{reason}\n{told}"),
        Ok(_) => told,
    }
}

/// The address at which this machine reaches a server that listens there.
fn reachable(listening: SocketAddr) -> SocketAddr {
    match listening.ip() {
        IpAddr::V4(address) if address.is_unspecified() => (Ipv4Addr::LOCALHOST, listening.port()).into(),
        IpAddr::V6(address) if address.is_unspecified() => (Ipv6Addr::LOCALHOST, listening.port()).into(),
        _ => listening,
    }
}

/// A node without power does not speak with the API server: its kubelet is cut off, and joined again.
async fn follow_power(api: PublicApi, power: Option<mpsc::UnboundedReceiver<(String, bool)>>) {
    let Some(mut power) = power else { return };
    while let Some((node, on)) = power.recv().await {
        let patch = control::ComponentPatch { cut: !on };
        let uri = format!("/playground/v1/components/kubelet/{node}");
        let request = serde_json::to_vec(&patch).map_err(anyhow::Error::from).and_then(|body| {
            let request = http::Request::patch(uri).extension(UserInfo::admin());
            Ok(request.body(Body::Bytes(body.into()))?)
        });
        match request {
            Ok(request) => {
                let status = api.handle(request).await.status();
                if !status.is_success() {
                    tracing::warn!("the kubelet of {node} does not follow its node's power: {status}");
                }
            }
            Err(error) => tracing::warn!("the kubelet of {node} does not follow its node's power: {error}"),
        }
    }
}

/// Keeps the store's history to the last minutes, as upstream's API server does with etcd.
async fn compact(store: Store) {
    const INTERVAL: std::time::Duration = std::time::Duration::from_secs(5 * 60);
    loop {
        let revision = store.revision();
        tokio::time::sleep(INTERVAL).await;
        // Compacted already, if nothing has happened since.
        let _ = store.compact(revision);
    }
}

/// What the server's certificate is for.
fn addresses(listening: SocketAddr) -> [IpAddr; 4] {
    [listening.ip(), Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), Ipv4Addr::new(10, 96, 0, 1).into()]
}

/// The endpoint of the Service `kubernetes`. The API does not take a loopback address for one: then it
/// is the first node's, as where a control plane runs in a container.
fn advertised(listening: SocketAddr, nodes: &[NodeOptions]) -> (Ipv4Addr, u16) {
    const SECURE_PORT: u16 = 6443;
    match listening.ip() {
        IpAddr::V4(address) if !address.is_unspecified() && !address.is_loopback() => (address, listening.port()),
        _ => (nodes.first().map_or(Ipv4Addr::new(172, 18, 0, 2), |node| node.address), SECURE_PORT),
    }
}

/// Makes this run's random names others than the last one's.
fn random_seed(random: &dyn SecureRandom) -> Result<u64> {
    let mut bytes = [0; 8];
    random.fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(u64::from_ne_bytes(bytes))
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => outcome?,
        _ = terminate.recv() => {}
    }
    Ok(())
}
