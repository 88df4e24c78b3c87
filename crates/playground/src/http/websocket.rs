//! Kubernetes over WebSocket: a message for each frame of a channel, or a message for some bytes of a
//! tunnelled SPDY connection (KEP-4006); and the bearer token that a browser can only send as a
//! subprotocol.

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use futures::{SinkExt, StreamExt};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use machinery::wire::{Channels, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Channels that can be closed one by one.
pub const V5: &str = "v5.channel.k8s.io";
/// Channels that end with the connection.
pub const V4: &str = "v4.channel.k8s.io";
/// In v5, a message of this channel closes the channel that its second byte names.
const CLOSE: u8 = 255;
/// Bytes of a tunnel that are under way at a time.
const TUNNEL_BYTES_MAX: usize = 64 * 1024;

/// Carries frames between messages and channels until either side ends. `greeting` goes first.
pub async fn carry(socket: WebSocket, channels: Channels, greeting: Vec<Frame>) {
    let closes_channels = socket.protocol().is_some_and(|protocol| protocol.as_bytes() == V5.as_bytes());
    let Channels { mut sender, receiver } = channels;
    let (mut to_client, mut from_client) = socket.split();
    let outward = async {
        let mut frames = futures::stream::iter(greeting).chain(receiver);
        while let Some(Frame { channel, data }) = frames.next().await {
            let message = match data {
                Some(data) => message(channel, &data),
                None if closes_channels => message(CLOSE, &[channel]),
                None => continue,
            };
            if to_client.send(Message::Binary(message)).await.is_err() {
                break;
            }
        }
        let _ = to_client.send(normal_close()).await;
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
            // A process that has ended reads no more, but what it has said is still on its way.
            let _ = sender.send(frame).await;
        }
    };
    // The session ends with the process; a client that has gone ends it too.
    futures::future::select(std::pin::pin!(outward), std::pin::pin!(inward)).await;
}

/// What tells a client of port-forward's channels which are which: on each, its port's two bytes, the
/// lower first (upstream cri/streaming/portforward).
pub fn port_greeting(ports: &[u16]) -> Vec<Frame> {
    let channels = (0..=u8::MAX).zip(ports.iter().flat_map(|port| [port, port]));
    channels.map(|(channel, port)| Frame { channel, data: Some(Bytes::copy_from_slice(&port.to_le_bytes())) }).collect()
}

/// A WebSocket as a connection of bytes, and the work that carries them.
pub fn tunnel(socket: WebSocket) -> (DuplexStream, impl Future<Output = ()>) {
    let (near, far) = tokio::io::duplex(TUNNEL_BYTES_MAX);
    let (mut from_server, mut to_server) = tokio::io::split(near);
    let (mut to_client, mut from_client) = socket.split();
    let outward = async move {
        let mut buffer = BytesMut::with_capacity(TUNNEL_BYTES_MAX);
        while let Ok(1..) = from_server.read_buf(&mut buffer).await {
            if to_client.send(Message::Binary(buffer.split().freeze())).await.is_err() {
                return;
            }
            buffer.reserve(TUNNEL_BYTES_MAX);
        }
        let _ = to_client.send(normal_close()).await;
    };
    let inward = async move {
        while let Some(Ok(message)) = from_client.next().await {
            if let Message::Binary(data) = message
                && to_server.write_all(&data).await.is_err()
            {
                break;
            }
        }
        let _ = to_server.shutdown().await;
        // What the server still says decides the end.
        std::future::pending::<()>().await;
    };
    let work = async {
        futures::future::select(std::pin::pin!(outward), std::pin::pin!(inward)).await;
    };
    (far, work)
}

/// kubectl takes any other code for a broken stream.
fn normal_close() -> Message {
    Message::Close(Some(CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::default() }))
}

fn message(channel: u8, data: &[u8]) -> Bytes {
    let mut message = BytesMut::with_capacity(data.len() + 1);
    message.put_u8(channel);
    message.put_slice(data);
    message.freeze()
}

/// Turns the subprotocol `base64url.bearer.authorization.k8s.io.<token>` into an `Authorization` header
/// (upstream authentication/request/websocket). Without that subprotocol nothing changes.
///
/// # Errors
/// When the token cannot be read, is one of several, or no other subprotocol goes with it.
pub fn take_bearer_protocol(headers: &mut HeaderMap) -> Result<(), &'static str> {
    const PREFIX: &str = "base64url.bearer.authorization.k8s.io.";
    let texts = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let protocols = texts.flat_map(|text| text.split(',')).map(str::trim);
    let (tokens, others): (Vec<&str>, Vec<&str>) = protocols.partition(|protocol| protocol.starts_with(PREFIX));
    let encoded = match tokens.as_slice() {
        [] => return Ok(()),
        [token] => token.strip_prefix(PREFIX).unwrap_or_default(),
        _ => return Err("multiple base64.bearer.authorization tokens specified"),
    };
    if others.is_empty() {
        return Err("missing additional subprotocol");
    }
    let token = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| "invalid base64.bearer.authorization token encoding")?;
    let mut authorization = HeaderValue::from_bytes(&[b"Bearer ", token.as_slice()].concat())
        .map_err(|_| "invalid base64.bearer.authorization token")?;
    authorization.set_sensitive(true);
    let others = HeaderValue::from_str(&others.join(", ")).map_err(|_| "invalid subprotocols")?;
    headers.insert(SEC_WEBSOCKET_PROTOCOL, others);
    headers.entry(AUTHORIZATION).or_insert(authorization);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(protocols: &str) -> Result<(String, String), &'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(SEC_WEBSOCKET_PROTOCOL, protocols.parse().unwrap());
        take_bearer_protocol(&mut headers)?;
        let text = |name| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        Ok((text(AUTHORIZATION), text(SEC_WEBSOCKET_PROTOCOL)))
    }

    #[test]
    fn a_token_among_the_subprotocols_becomes_a_header() {
        let protocol = |token: &str| format!("base64url.bearer.authorization.k8s.io.{token}");
        let token = protocol("c2VjcmV0");
        assert_eq!(taken("v5.channel.k8s.io"), Ok((String::new(), "v5.channel.k8s.io".into())));
        for order in [format!("{V5}, {token}, {V4}"), format!("{token},{V5},{V4}")] {
            assert_eq!(taken(&order), Ok(("Bearer secret".into(), format!("{V5}, {V4}"))));
        }
        for bad in [token.clone(), format!("{token}, {token}, {V5}"), format!("{}, {V5}", protocol("?"))] {
            assert!(taken(&bad).is_err(), "{bad}");
        }
        // A line break in a token.
        assert!(taken(&format!("{}, {V5}", protocol("YQpi"))).is_err());
    }

    #[test]
    fn each_channel_of_a_port_begins_with_it() {
        let frames = port_greeting(&[80, 0x1234]);
        let channels: Vec<u8> = frames.iter().map(|frame| frame.channel).collect();
        assert_eq!(channels, [0, 1, 2, 3]);
        assert_eq!(frames[3].data.as_deref(), Some(&[0x34, 0x12][..]));
    }
}
