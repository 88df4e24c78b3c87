//! `playground serve`.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use apiserver::UserInfo;
use jiff::Timestamp;
use kubelet::ContainerRuntime;
use machinery::wire::Body;
use playground_core::{MakeRuntime, NodeOptions, Options, PublicApi, control, lesson_files};
use rustls::crypto::SecureRandom;
use store::Store;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::certificates::Certificates;
use crate::cli::{Runtime, ServeOptions};
use crate::docker::{ConnectError, DockerConfig, DockerRuntime, NODES_MAX, OwnConfig, PodNetwork};
use crate::host::{Host, host_time};
use crate::network::Sockets;
use crate::token::PageToken;
use crate::{assets, durability, kubeconfig, ports};

/// The cluster's name: its nodes are named after it.
const CLUSTER: &str = "playground";
/// Nodes of a simulated cluster, and of one on a single Docker host, where nothing is said of it.
const SIMULATED_NODES: u16 = 3;
const DOCKER_NODES: u16 = 1;

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
    // The port first: a second server must not touch the first one's data.
    let listener = listen(options.listen).await?;
    let address = listener.local_addr()?;
    let directory = data_directory(options.data_dir.as_ref())?;
    create_private(&directory)?;
    let provider = rustls::crypto::ring::default_provider();
    let token = Arc::new(PageToken::create(provider.secure_random)?);
    let seed = random_seed(provider.secure_random)?;
    // Another provider can only be one that was installed before, which serves as well.
    let _ = provider.install_default();
    let certificates = Certificates::load_or_create(&directory.join("pki"), &addresses(address))?;
    let tls = Arc::new(certificates.server_config()?);
    let (store, writer) = durability::open(&directory)?;

    let (nodes, docker) = choose_runtime(options, &directory, address).await?;
    let greeting = greeting(&nodes, docker.as_ref().is_ok_and(Option::is_some), docker.as_ref().err());
    let (docker, power) = match docker.ok().flatten() {
        Some(docker) => (Some((docker.runtimes, docker.network)), Some(docker.power)),
        None => (None, None),
    };
    let (ports, wanted_ports) = watch::channel(BTreeSet::new());
    let host = {
        let (store, token, root_ca) = (store.clone(), token.clone(), certificates.authority.clone());
        let service_account_key = Some(certificates.service_account_key);
        let pods = docker.as_ref().map(|(_, network)| network.clone());
        let advertise = pods.as_ref().map_or_else(|| advertised(address, &nodes), |pods| pods.api_address());
        let handle = Handle::current();
        let network = pods.map(|pods| Arc::new(Sockets { handle, pods }) as _);
        Host::start(move || {
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
                descriptions: Some(machinery::schema::DESCRIPTIONS_JSON.as_bytes().into()),
                files: lesson_files(),
                ..base
            })
        })?
    };
    let server = Arc::new(crate::http::Server { api: host.api.clone(), store: store.clone(), tls, address });
    let accepting = tokio::spawn(crate::http::serve(server, listener));
    let forwarding = tokio::spawn(ports::keep_open(host.inlet.clone(), wanted_ports));
    let compacting = tokio::spawn(compact(store));
    let powering = tokio::spawn(follow_power(host.api.clone(), power));

    let file = options.kubeconfig.clone().unwrap_or_else(|| directory.join("kubeconfig"));
    kubeconfig::write(&file, &format!("https://{address}"), &certificates)?;
    println!("{greeting}\n");
    if assets::present() {
        println!("  page     http://{address}/#token={}", token.as_str());
    }
    println!("  kubectl  export KUBECONFIG={}\n\nCtrl-C stops it; what is in it stays.", file.display());
    interrupted().await?;

    for task in [accepting, forwarding, compacting, powering] {
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

/// The nodes, and their runtimes if Docker runs them. Where nothing was chosen and Docker cannot be
/// reached, the reason stands in the inner result.
async fn choose_runtime(
    options: &ServeOptions,
    directory: &Path,
    address: SocketAddr,
) -> Result<(Vec<NodeOptions>, std::result::Result<Option<DockerNodes>, String>)> {
    let simulated = || NodeOptions::cluster(CLUSTER, options.nodes.unwrap_or(SIMULATED_NODES));
    if options.runtime == Some(Runtime::Sim) {
        return Ok((simulated(), Ok(None)));
    }
    let count = options.nodes.unwrap_or(DOCKER_NODES);
    if count > NODES_MAX {
        anyhow::bail!("at most {NODES_MAX} nodes run on Docker: use fewer, or --runtime sim");
    }
    let mut nodes = NodeOptions::cluster(CLUSTER, count);
    match docker_nodes(&mut nodes, own_on_docker(options.data_dir.as_ref(), directory)?, address).await {
        Ok(docker) => Ok((nodes, Ok(Some(docker)))),
        Err(error) if options.runtime == Some(Runtime::Docker) => Err(error.into()),
        Err(error) => Ok((simulated(), Err(error.to_string()))),
    }
}

/// Whose containers on Docker are this cluster's.
pub fn own_on_docker(chosen: Option<&PathBuf>, directory: &Path) -> Result<OwnConfig> {
    // Volumes are bound into containers by absolute paths.
    let data_dir = directory.canonicalize()?.join("volumes");
    // Only the cluster in the usual place has the plain names.
    let suffix = match chosen {
        None => String::new(),
        Some(_) => {
            let mut hasher = DefaultHasher::new();
            data_dir.hash(&mut hasher);
            format!("-{:06x}", hasher.finish() & 0xff_ffff)
        }
    };
    Ok(OwnConfig { cluster: CLUSTER.into(), suffix, data_dir })
}

/// Makes the nodes on Docker, and gives each its address there.
async fn docker_nodes(
    nodes: &mut [NodeOptions],
    own: OwnConfig,
    address: SocketAddr,
) -> std::result::Result<DockerNodes, ConnectError> {
    // The API server as this machine reaches it.
    let api = match address.ip() {
        ip if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, address.port()).into(),
        _ => address,
    };
    let network = PodNetwork::connect(None, own, api).await?;
    let publish = nodes.len() == 1;
    let (sender, power) = mpsc::unbounded_channel();
    let mut runtimes = BTreeMap::new();
    for (index, node) in (0..).zip(nodes.iter_mut()) {
        node.address = network.node_address(index);
        node.pod_range = Some(network.pod_range(index));
        let config = DockerConfig { node: node.name.clone(), index, publish, power: sender.clone() };
        runtimes.insert(node.name.clone(), DockerRuntime::connect(config, network.clone()).await?);
    }
    Ok(DockerNodes { runtimes, network, power })
}

/// Hands each node its runtime.
fn runtimes(docker: BTreeMap<String, DockerRuntime>) -> MakeRuntime {
    let docker = std::cell::RefCell::new(docker);
    Box::new(move |node| Some(Box::new(docker.borrow_mut().remove(&node.name)?) as Box<dyn ContainerRuntime>))
}

fn greeting(nodes: &[NodeOptions], docker: bool, unreachable: Option<&String>) -> String {
    let count = nodes.len();
    let plural = if count == 1 { "" } else { "s" };
    let kind = if docker { "Docker" } else { "simulated" };
    let told = format!("playground serves Kubernetes {} on {count} {kind} node{plural}", kubelet::VERSION);
    match unreachable {
        Some(reason) => format!("{reason}\n{told}"),
        None => told,
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

/// Where a cluster's data is: what was chosen, or the usual place.
///
/// # Errors
/// When nothing was chosen and there is no usual place.
pub fn data_directory(chosen: Option<&PathBuf>) -> Result<PathBuf> {
    if let Some(directory) = chosen {
        return Ok(directory.clone());
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    Ok(data.context("no home directory: say where to keep the data with --data-dir")?.join("playground"))
}

/// Makes the data directory, for its owner only: Secrets are in it. One that exists stays as it is.
fn create_private(directory: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.with_context(|| {
        let directory = directory.display();
        format!("cannot use the data directory {directory}; choose another with --data-dir or change its permissions")
    })
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
