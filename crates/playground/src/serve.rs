//! `playground serve`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use machinery::Timestamp;
use playground_core::{NodeOptions, Options};
use tokio::net::TcpListener;

use crate::certificates::Certificates;
use crate::cli::{Runtime, ServeOptions};
use crate::host::{Host, host_time};
use crate::token::PageToken;
use crate::{assets, durability, http, kubeconfig};

/// Nodes of a simulated cluster, and of one on a single Docker host, where nothing is said of it.
const SIMULATED_NODES: u16 = 3;
const DOCKER_NODES: u16 = 1;

/// Serves until interrupted.
///
/// # Errors
/// One line that says what is wrong and what to do.
pub fn run(options: &ServeOptions) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: &ServeOptions) -> Result<()> {
    // The port first: a second server must not touch the first one's data.
    let listener = TcpListener::bind(options.listen).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => anyhow::anyhow!(
            "{} is in use: stop what listens there, or choose another port with --listen, such as --listen 127.0.0.1:0",
            options.listen
        ),
        _ => anyhow::anyhow!("cannot listen on {}: {error}", options.listen),
    })?;
    let address = listener.local_addr()?;
    let directory = data_directory(options)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let token = Arc::new(PageToken::create(provider.secure_random)?);
    // A second call finds the provider installed already.
    let _ = rustls::crypto::CryptoProvider::install_default((*provider).clone());
    let addresses =
        [address.ip(), Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), Ipv4Addr::new(10, 96, 0, 1).into()];
    let certificates = Certificates::load_or_create(&directory.join("pki"), &addresses)?;
    let tls = Arc::new(certificates.server_config()?);
    let (store, writer) = durability::open(&directory)?;

    let runtime = options.runtime.unwrap_or(Runtime::Sim);
    let nodes = options.nodes.unwrap_or(match runtime {
        Runtime::Sim => SIMULATED_NODES,
        Runtime::Docker => DOCKER_NODES,
    });
    if runtime == Runtime::Docker {
        bail!("the Docker runtime is not part of this build");
    }
    let host = {
        let (store, token) = (store.clone(), token.clone());
        let advertised = match address.ip() {
            IpAddr::V4(ip) if !ip.is_unspecified() => ip,
            _ => Ipv4Addr::LOCALHOST,
        };
        Host::start(move || Options {
            nodes: NodeOptions::cluster("playground", nodes),
            host_time: Some(host_time()),
            authenticator: Some(token),
            advertise: (advertised, address.port()),
            anonymous: true,
            ..Options::new(store, Timestamp::now(), rand_seed())
        })?
    };
    let server = Arc::new(http::Server { api: host.api.clone(), store: store.clone(), tls, address });
    let accepting = tokio::spawn(http::serve(server, listener));

    let file = options.kubeconfig.clone().unwrap_or_else(|| directory.join("kubeconfig"));
    kubeconfig::write(&file, &format!("https://{address}"), &certificates)?;
    greet(&file, address, token.as_str(), nodes);
    interrupted().await?;

    accepting.abort();
    host.stop();
    writer.close();
    Ok(())
}

fn greet(kubeconfig: &Path, address: std::net::SocketAddr, token: &str, nodes: u16) {
    let plural = if nodes == 1 { "" } else { "s" };
    println!("playground serves Kubernetes v1.37.0 on {nodes} simulated node{plural}\n");
    if assets::present() {
        println!("  page     http://{address}/#token={token}");
    }
    println!("  kubectl  export KUBECONFIG={}\n\nCtrl-C stops it; what is in it stays.", kubeconfig.display());
}

/// Distinguishes this run's random names from those of others.
fn rand_seed() -> u64 {
    u64::try_from(Timestamp::now().as_nanosecond() & i128::from(u64::MAX)).unwrap_or_default()
}

fn data_directory(options: &ServeOptions) -> Result<PathBuf> {
    if let Some(directory) = &options.data_dir {
        return Ok(directory.clone());
    }
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let data = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    Ok(data.context("no home directory: say where to keep the data with --data-dir")?.join("playground"))
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
