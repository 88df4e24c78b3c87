//! Upgraded connections: which protocol a client gets for exec, attach and port-forward.

use std::future::Future;

use axum::body::Body as HttpBody;
use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use http::header::{CONNECTION, HeaderMap, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{StatusCode, Uri};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use machinery::wire::{Body, Channels, Request};
use playground_core::PublicApi;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{port_forward, remote_command, spdy, websocket};

const SPDY: &str = "SPDY/3.1";
const STREAM_PROTOCOL: &str = "x-stream-protocol-version";
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const WEBSOCKET_PROTOCOLS: [&str; 3] = [websocket::V5, websocket::V4, "channel.k8s.io"];
/// Upstream forwards ports by v4 alone: who can speak it hears it. The page's kubectl takes v5, and knows which
/// port it has asked for.
const PORT_PROTOCOLS: [&str; 3] = [TUNNEL, websocket::V4, websocket::V5];

/// A client's wish to upgrade its connection, and its request.
pub struct Requested {
    wish: Wish,
    /// The request's head, to be sent again for each connection of a port-forward.
    head: Parts,
}

enum Wish {
    WebSocket(Box<WebSocketUpgrade>),
    /// With the stream protocols that the client speaks.
    Spdy(OnUpgrade, Vec<String>),
}

impl Requested {
    /// Takes the wish out of a request's head.
    pub async fn take(parts: &mut Parts) -> Option<Self> {
        let wish = if names(&parts.headers, UPGRADE.as_str()).any(|name| name.eq_ignore_ascii_case(SPDY)) {
            let protocols = names(&parts.headers, STREAM_PROTOCOL).map(str::to_owned).collect();
            Wish::Spdy(parts.extensions.remove::<OnUpgrade>()?, protocols)
        } else {
            Wish::WebSocket(Box::new(WebSocketUpgrade::from_request_parts(parts, &()).await.ok()?))
        };
        Some(Self { wish, head: parts.clone() })
    }

    /// Grants it, and carries what the protocol carries until either side ends.
    pub fn bridge(self, api: PublicApi, channels: Channels) -> http::Response<HttpBody> {
        let Self { wish, head } = self;
        let is_port_forward = head.uri.path().ends_with("/portforward");
        match (wish, is_port_forward) {
            (Wish::WebSocket(upgrade), false) => {
                let upgrade = upgrade.protocols(WEBSOCKET_PROTOCOLS);
                upgrade.on_upgrade(|socket| websocket::carry(socket, channels, Vec::new()))
            }
            (Wish::WebSocket(upgrade), true) => {
                let upgrade = upgrade.protocols(PORT_PROTOCOLS);
                let chosen = upgrade.selected_protocol().map_or(&b""[..], HeaderValue::as_bytes);
                if chosen == TUNNEL.as_bytes() {
                    return upgrade.on_upgrade(|socket| async {
                        let (io, carrying) = websocket::tunnel(socket);
                        tokio::join!(forward_ports(io, api, head), carrying);
                    });
                }
                let greeting = match chosen == websocket::V5.as_bytes() {
                    true => Vec::new(),
                    false => websocket::port_greeting(&ports(&head.uri)),
                };
                upgrade.on_upgrade(|socket| websocket::carry(socket, channels, greeting))
            }
            (Wish::Spdy(upgrade, offered), true) => match negotiate(&offered, &[port_forward::PROTOCOL]) {
                Ok(protocol) => switch(upgrade, protocol, |io| forward_ports(io, api, head)),
                Err(reason) => refuse(reason),
            },
            (Wish::Spdy(upgrade, offered), false) => match negotiate(&offered, &remote_command::PROTOCOLS) {
                Ok(protocol) => switch(upgrade, protocol, move |io| {
                    let expected = remote_command::expected(head.uri.query().unwrap_or_default());
                    spdy::serve(io, move |streams| remote_command::carry(streams, channels, expected, protocol))
                }),
                Err(reason) => refuse(reason),
            },
        }
    }
}

/// The comma-separated names in a header.
fn names<'a>(headers: &'a HeaderMap, header: &str) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(header).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// The ports in a request's query.
fn ports(uri: &Uri) -> Vec<u16> {
    let parts = uri.query().unwrap_or_default().split('&');
    let values = parts.filter_map(|part| part.strip_prefix("ports=").or_else(|| part.strip_prefix("port=")));
    values.flat_map(|value| value.split([','])).filter_map(|port| port.parse().ok()).collect()
}

/// The best protocol that both sides speak. A client that names none (of Kubernetes 1.0) gets the last.
fn negotiate(offered: &[String], spoken: &[&'static str]) -> Result<&'static str, String> {
    let both = spoken.iter().find(|protocol| offered.iter().any(|offer| offer == *protocol));
    let chosen = if offered.is_empty() { spoken.last() } else { both };
    chosen.copied().ok_or_else(|| {
        let (client, server) = (offered.join(" "), spoken.join(" "));
        format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{client}], server accepts [{server}]\n"
        )
    })
}

fn refuse(reason: String) -> http::Response<HttpBody> {
    let mut response = http::Response::new(HttpBody::from(reason));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// Switches the connection to SPDY, and serves it.
fn switch<Serving>(
    upgrade: OnUpgrade,
    protocol: &'static str,
    serve: impl FnOnce(TokioIo<hyper::upgrade::Upgraded>) -> Serving + Send + 'static,
) -> http::Response<HttpBody>
where
    Serving: Future<Output = ()> + Send,
{
    tokio::spawn(async move {
        match upgrade.await {
            Ok(upgraded) => serve(TokioIo::new(upgraded)).await,
            Err(error) => tracing::debug!("upgrade: {error}"),
        }
    });
    let mut response = http::Response::new(HttpBody::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(SPDY));
    headers.insert(STREAM_PROTOCOL, HeaderValue::from_static(protocol));
    response
}

/// Serves a port-forward. The channels of one request carry one connection to a port, so each
/// connection is a request of its own.
async fn forward_ports(io: impl AsyncRead + AsyncWrite, api: PublicApi, head: Parts) {
    let connect = |port: u16| {
        let mut head = head.clone();
        let uri = format!("{}?ports={port}", head.uri.path()).parse();
        head.uri = uri.unwrap_or(head.uri);
        let response = api.handle(Request::from_parts(head, Body::empty()));
        async move {
            match response.await.into_body() {
                Body::Upgrade(channels) => Ok(channels),
                refusal => Err(format!("error forwarding port {port}: {}", reason(&refusal.collect().await))),
            }
        }
    };
    spdy::serve(io, |streams| port_forward::carry(streams, connect)).await;
}

/// A refusal's message: a Status has one, a kubelet's answer is one.
fn reason(body: &[u8]) -> String {
    let status: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    status["message"].as_str().map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_protocol_of_both_sides_is_taken() {
        let spoken = &remote_command::PROTOCOLS;
        let negotiate = |offered: &[&str]| {
            let offered: Vec<String> = offered.iter().map(|name| (*name).to_owned()).collect();
            negotiate(&offered, spoken).ok()
        };
        assert_eq!(negotiate(&["v5.channel.k8s.io", "v3.channel.k8s.io", "v4.channel.k8s.io"]), Some(spoken[0]));
        assert_eq!(negotiate(&["v2.channel.k8s.io", "channel.k8s.io"]), Some(spoken[2]));
        assert_eq!(negotiate(&[]), Some(spoken[2]));
        assert_eq!(negotiate(&["portforward.k8s.io"]), None);
    }

    #[test]
    fn ports_come_one_by_one_or_in_a_list() {
        assert_eq!(ports(&Uri::from_static("/portforward?ports=80,443&ports=8080&other=1")), [80, 443, 8080]);
        assert_eq!(ports(&Uri::from_static("/portforward")), Vec::<u16>::new());
    }
}
