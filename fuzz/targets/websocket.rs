//! WebSocket frames of exec and attach, and the tunnel of port-forward.
#![no_main]

// The bridge is a module of the native binary's.
#[allow(dead_code)]
#[path = "../../crates/playground/src/http/websocket.rs"]
mod websocket;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::any;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use machinery::wire::Channels;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Gives back what comes in.
async fn echo(upgrade: WebSocketUpgrade) -> axum::response::Response {
    let upgrade = upgrade.protocols([websocket::V5, websocket::V4]);
    if upgrade.selected_protocol().is_none() {
        return upgrade.on_upgrade(|socket| async {
            let (io, carrying) = websocket::tunnel(socket);
            let (mut reader, mut writer) = tokio::io::split(io);
            let copying = async move { _ = tokio::io::copy(&mut reader, &mut writer).await };
            tokio::join!(copying, carrying);
        });
    }
    let (sender, mut from_client) = mpsc::channel(8);
    let (mut to_client, receiver) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Some(frame) = from_client.next().await {
            if to_client.send(frame).await.is_err() {
                break;
            }
        }
    });
    upgrade.on_upgrade(|socket| websocket::carry(socket, Channels { sender, receiver }, Vec::new()))
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((choice, frames)) = bytes.split_first() else { return };
    let protocol = match choice % 3 {
        0 => "sec-websocket-protocol: v5.channel.k8s.io\r\n",
        1 => "sec-websocket-protocol: v4.channel.k8s.io\r\n",
        _ => "",
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let service = TowerToHyperService::new(Router::new().route("/", any(echo)));
        let serving =
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(server), service).with_upgrades());
        let head = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{protocol}\r\n"
        );
        let _ = client.write_all(head.as_bytes()).await;
        let _ = client.write_all(frames).await;
        let _ = client.shutdown().await;
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        let _ = serving.await;
    });
});
