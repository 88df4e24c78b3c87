//! Upgraded connections: Kubernetes' channel protocols over WebSocket (`v4.channel.k8s.io`,
//! `v5.channel.k8s.io`), as exec and attach use them.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use http::request::Parts;
use machinery::wire::{Channels, Frame};

const V5: &str = "v5.channel.k8s.io";
const PROTOCOLS: [&str; 3] = [V5, "v4.channel.k8s.io", "channel.k8s.io"];
/// In v5, a message of this channel closes the channel that its second byte names.
const CLOSE: u8 = 255;

/// A client's wish to upgrade its connection.
pub struct Requested(WebSocketUpgrade);

impl Requested {
    /// Takes the wish out of a request's head.
    pub async fn take(parts: &mut Parts) -> Option<Self> {
        WebSocketUpgrade::from_request_parts(parts, &()).await.ok().map(Self)
    }

    /// Grants it, and carries frames until either side ends.
    pub fn bridge(self, channels: Channels) -> http::Response<Body> {
        self.0.protocols(PROTOCOLS).on_upgrade(|socket| carry(socket, channels))
    }
}

async fn carry(socket: WebSocket, channels: Channels) {
    let closes_channels = socket.protocol().is_some_and(|protocol| protocol.as_bytes() == V5.as_bytes());
    let Channels { mut sender, mut receiver } = channels;
    let (mut to_client, mut from_client) = socket.split();
    let outward = async {
        while let Some(Frame { channel, data }) = receiver.next().await {
            let message = match data {
                Some(data) => message(channel, &data),
                None if closes_channels => message(CLOSE, &[channel]),
                None => continue,
            };
            if to_client.send(Message::Binary(message)).await.is_err() {
                break;
            }
        }
        // kubectl takes any other code for a broken stream.
        let normal = CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::default() };
        let _ = to_client.send(Message::Close(Some(normal))).await;
    };
    let inward = async {
        while let Some(Ok(message)) = from_client.next().await {
            let (Message::Binary(_) | Message::Text(_)) = &message else { continue };
            let data = message.into_data();
            let frame = match (data.first(), data.get(1)) {
                (Some(&CLOSE), Some(&channel)) if closes_channels => Frame { channel, data: None },
                (Some(&channel), _) => Frame { channel, data: Some(data.slice(1..)) },
                (None, _) => continue,
            };
            if sender.send(frame).await.is_err() {
                break;
            }
        }
    };
    // The session ends with the process; a client that has gone ends it too.
    futures::future::select(std::pin::pin!(outward), std::pin::pin!(inward)).await;
}

fn message(channel: u8, data: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(data.len() + 1);
    message.put_u8(channel);
    message.put_slice(data);
    message.freeze()
}
