//! `playground create cluster`.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use playground_core::kind_config::KindConfig;

use super::{background, block_on, holds};
use crate::api::Client;
use crate::cli::{Create, CreateOptions};
use crate::home::{DEFAULT_NAME, Home};
use crate::progress::Progress;
use crate::{kubeconfig, shape};

const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Makes a cluster that runs in the background.
///
/// # Errors
/// When there is one of that name already, or it does not come up.
pub fn create(what: &Create) -> Result<()> {
    let Create::Cluster(options) = what;
    let config = options.shape.config.as_deref().map(shape::read_config).transpose()?;
    let plan = config.as_deref().map(KindConfig::parse).transpose().map_err(anyhow::Error::msg)?;
    let planned = plan.as_ref().and_then(|plan| plan.name.as_deref());
    let name = options.which.name.as_deref().or(planned).unwrap_or(DEFAULT_NAME);
    let home = Home::of(Some(name), options.which.data_dir.as_ref())?;
    if home.exists() {
        bail!(
            "failed to create cluster: there is one with the name {name:?} already; start it (playground start cluster --name {name}), or delete it"
        );
    }
    // Standard input can be read only once.
    let shape = crate::cli::Shape { config: None, ..options.shape.clone() };
    let mut settings = shape::settings(&home, &shape, None)?;
    settings.config_folder = config.as_ref().and_then(|_| std::env::current_dir().ok());
    settings.config = config;
    let full = shape::plan(&settings, 1)?;
    shape::check(&full)?;
    let (address, port) = shape::api_server(&full)?;
    settings.listen = Some(match port {
        Some(port) => SocketAddr::new(address, port),
        None => free_port(SocketAddr::new(address, 0))?,
    });
    eprintln!("Creating cluster {name:?} ...");
    for line in settings.config.as_deref().map(shape::unheeded).unwrap_or_default() {
        eprintln!(" • {line}");
    }
    home.make()?;
    home.save(&settings)?;
    let running = match background::start(&home) {
        Ok(running) => running,
        Err(error) => {
            if !options.retain {
                // What stays is told by the next attempt.
                let _ = super::delete_one(&home, options.kubeconfig.as_ref());
            }
            return Err(error.context("failed to create cluster"));
        }
    };
    // Said by Docker's absence, and by ports that were chosen.
    let told = std::fs::read_to_string(home.log()).unwrap_or_default();
    told.lines().take_while(|line| !line.is_empty()).for_each(|line| eprintln!("   {line}"));
    kubeconfig::add(options.kubeconfig.as_ref(), &kubeconfig::read(&home.kubeconfig())?)?;
    block_on(ready(&home, options))??;
    let context = home.context();
    eprintln!("Set kubectl context to {context:?}");
    println!("You can now use your cluster with:\n\nkubectl cluster-info --context {context}\n");
    if let Some(page) = running.page {
        println!("and look at it at {page}\n");
    }
    Ok(())
}

/// A port that nobody has now.
fn free_port(address: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen at {}", address.ip()))?;
    let port = listener.local_addr()?.port();
    Ok(SocketAddr::new(address.ip(), port))
}

/// Waits until all nodes are ready, as long as was said.
async fn ready(home: &Home, options: &CreateOptions) -> Result<()> {
    if options.wait.is_zero() {
        return Ok(());
    }
    let settings = home.settings()?;
    let client = Client::of(home)?;
    let begin = Instant::now();
    let mut progress = Progress::new("Waiting until all nodes are ready");
    // Those that have not yet registered are waited for too.
    let least = shape::plan(&settings, 1)?.nodes.len() + usize::from(settings.sim_nodes.unwrap_or(0));
    loop {
        let nodes = client.list("/api/v1/nodes").await?;
        let ready = nodes.iter().filter(|node| holds(node, "Ready")).count();
        if ready == nodes.len() && ready >= least {
            let plural = if ready == 1 { " is" } else { "s are" };
            progress.done(&format!("{ready} node{plural} ready"));
            return Ok(());
        }
        if begin.elapsed() > options.wait {
            progress.failed(&format!("{ready} of {} nodes are ready so far", nodes.len().max(least)));
            return Ok(());
        }
        progress.tick(&format!("{ready} of {}", nodes.len().max(least)));
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
