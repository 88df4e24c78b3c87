//! Node ports and load balancers' ports, and of simulated nodes the Ingresses', opened on this machine and led into the
//! cluster's network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use futures::{SinkExt, StreamExt};
use machinery::wire::{Channels, Frame};
use playground_core::Inlet;
use playground_core::kind_config::PortMapping;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::notices::Notices;

/// The one channel of a plain connection.
const DATA: u8 = 0;
const READ_BYTES_MAX: usize = 64 * 1024;

/// How long to wait before a port is tried again that something else has, or before a connection is
/// accepted again when the system has no room for one.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps those ports open that Services and Ingresses have, as they come and go, but for those that others lead
/// elsewhere; ends when `wanted` does.
pub async fn keep_open(
    inlet: Inlet,
    mut wanted: watch::Receiver<BTreeSet<u16>>,
    published: BTreeSet<u16>,
    notices: Notices,
) {
    let mut open = BTreeMap::<u16, JoinHandle<()>>::new();
    let mut taken = BTreeSet::new();
    loop {
        let ports: BTreeSet<u16> = wanted.borrow_and_update().difference(&published).copied().collect();
        open.retain(|port, listener| {
            let keep = ports.contains(port);
            if !keep {
                listener.abort();
            }
            keep
        });
        taken.retain(|port| ports.contains(port));
        for port in ports {
            if open.contains_key(&port) {
                continue;
            }
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => {
                    taken.remove(&port);
                    let inlet = inlet.clone();
                    let connect = move || {
                        let inlet = inlet.clone();
                        async move { inlet.connect(port).await }
                    };
                    open.insert(port, tokio::spawn(accept(listener, connect)));
                }
                Err(error) => {
                    if taken.insert(port) {
                        notices.cannot_open(port, &error).await;
                    }
                }
            }
        }
        let ended = if taken.is_empty() {
            wanted.changed().await.is_err()
        } else {
            // Nobody tells when a port becomes free.
            tokio::time::timeout(RETRY, wanted.changed()).await.is_ok_and(|changed| changed.is_err())
        };
        if ended {
            open.values().for_each(JoinHandle::abort);
            return;
        }
    }
}

/// Opens the port of a mapping on this machine.
///
/// # Errors
/// When it is taken, or the protocol is none that can be led to a simulated node.
pub async fn open(mapping: &PortMapping) -> anyhow::Result<TcpListener> {
    let PortMapping { host, address, protocol, .. } = mapping;
    anyhow::ensure!(protocol == "tcp", "simulated nodes take no {protocol} port from this machine");
    let listener = TcpListener::bind((address.as_str(), *host)).await;
    let listener = listener.with_context(|| format!("cannot open port {host} at {address}, which leads to a node"))?;
    if *host == 0 {
        println!("port {} of this machine leads to port {} of a node", listener.local_addr()?.port(), mapping.node);
    }
    Ok(listener)
}

/// Leads a port of this machine to an address of the simulated network.
pub async fn lead(inlet: Inlet, listener: TcpListener, to: SocketAddr) {
    let connect = move || {
        let inlet = inlet.clone();
        async move { inlet.dial(to).await }
    };
    accept(listener, connect).await;
}

async fn accept<F>(listener: TcpListener, connect: impl Fn() -> F)
where
    F: Future<Output = Option<Channels>> + Send + 'static,
{
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let connecting = connect();
        tokio::spawn(async move {
            // Nobody behind the port: the client sees a connection that closes.
            if let Some(channels) = connecting.await {
                carry(stream, channels).await;
            }
        });
    }
}

/// Carries bytes both ways until both have ended.
pub async fn carry(stream: impl AsyncRead + AsyncWrite, channels: Channels) {
    let Channels { mut sender, mut receiver } = channels;
    let (mut from_client, mut to_client) = tokio::io::split(stream);
    let inward = async move {
        let mut buffer = vec![0; READ_BYTES_MAX];
        loop {
            let count = from_client.read(&mut buffer).await.unwrap_or(0);
            let data = buffer.get(..count).filter(|data| !data.is_empty()).map(bytes::Bytes::copy_from_slice);
            let ended = data.is_none();
            if sender.send(Frame { channel: DATA, data }).await.is_err() || ended {
                // The other way goes on: the client may only have finished its request.
                return sender;
            }
        }
    };
    let outward = async move {
        while let Some(Frame { data: Some(data), .. }) = receiver.next().await {
            if to_client.write_all(&data).await.is_err() {
                break;
            }
        }
        let _ = to_client.shutdown().await;
    };
    // When the server's side has ended, there is nobody left to read what the client sends.
    futures::future::select(
        Box::pin(outward),
        Box::pin(async {
            let _sender = inward.await;
            std::future::pending::<()>().await
        }),
    )
    .await;
}
