//! Node ports and load balancers' ports, opened on this machine and led into the cluster's network.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use machinery::wire::{Channels, Frame};
use playground_core::Inlet;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The one channel of a plain connection.
const DATA: u8 = 0;
const READ_BYTES_MAX: usize = 64 * 1024;

/// How long to wait before a port is tried again that something else has, or before a connection is
/// accepted again when the system has no room for one.
const RETRY: Duration = Duration::from_secs(5);

/// Keeps those ports open that Services have, as they come and go; ends when `wanted` does.
pub async fn keep_open(inlet: Inlet, mut wanted: watch::Receiver<BTreeSet<u16>>) {
    let mut open = BTreeMap::<u16, JoinHandle<()>>::new();
    let mut taken = BTreeSet::new();
    loop {
        let ports = wanted.borrow_and_update().clone();
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
                    open.insert(port, tokio::spawn(accept(inlet.clone(), listener, port)));
                }
                Err(error) => {
                    if taken.insert(port) {
                        eprintln!(
                            "warning: a Service has port {port}, which cannot be opened on this machine: {error}"
                        );
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

async fn accept(inlet: Inlet, listener: TcpListener, port: u16) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let inlet = inlet.clone();
        tokio::spawn(async move {
            // Nobody behind the port: the client sees a connection that closes.
            if let Some(channels) = inlet.connect(port).await {
                carry(stream, channels).await;
            }
        });
    }
}

/// Carries bytes both ways until both have ended.
pub async fn carry(stream: TcpStream, channels: Channels) {
    let Channels { mut sender, mut receiver } = channels;
    let (mut from_client, mut to_client) = stream.into_split();
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
