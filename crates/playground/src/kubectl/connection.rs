//! Requests over sockets: HTTP/1.1, with or without TLS, and WebSockets for what is upgraded.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::{SinkExt, StreamExt, stream};
use http::header::{CONNECTION, HOST, HeaderValue, LOCATION, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use kubectl::{Endpoint, SendError};
use machinery::wire::{Body, Channels, Frame, Request, Response};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::tls;

type Sender = SendRequest<Full<Bytes>>;
type Answer = http::Response<hyper::body::Incoming>;

/// The protocols whose messages are channels.
const CHANNELS: &str = "v5.channel.k8s.io, v4.channel.k8s.io";
const V5: &str = "v5.channel.k8s.io";
/// In v5, a message of this channel closes the channel that its second byte names.
const CLOSE: u8 = 255;
const REDIRECTS_MAX: usize = 10;

/// Connections that nobody uses now, by the server they lead to.
#[derive(Clone, Default)]
pub struct Connections(Arc<Mutex<Vec<(String, Sender)>>>);

/// A server: what a URL says of it.
struct Server {
    tls: bool,
    host: String,
    port: u16,
}

impl Connections {
    /// Sends a request to a cluster.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, endpoint: &Endpoint, request: Request) -> Result<Response, SendError> {
        let base: Uri = endpoint.server.parse().map_err(|_| failed("invalid server address"))?;
        let (parts, body) = request.into_parts();
        let body = body.collect().await;
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let target = format!("{}{path}", base.path().trim_end_matches('/'));
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = parts.method;
        *request.uri_mut() = target.parse().map_err(|_| failed("invalid path"))?;
        *request.headers_mut() = parts.headers;
        if request.headers().contains_key(UPGRADE) {
            return self.upgrade(&base, endpoint, request).await;
        }
        let (answer, sender) = self.exchange(&base, endpoint, request).await?;
        let (parts, body) = answer.into_parts();
        let (pool, key) = (self.clone(), key_of(&base, endpoint));
        // A connection is free again when the answer has been read to its end. One that breaks off ends there.
        let stream = stream::unfold((body.into_data_stream(), sender), move |(mut data, sender)| {
            let (pool, key) = (pool.clone(), key.clone());
            async move {
                match data.next().await {
                    Some(part) => Some((part.ok()?, (data, sender))),
                    None => {
                        pool.lock().push((key, sender));
                        None
                    }
                }
            }
        });
        Ok(Response::from_parts(parts, Body::Stream(Box::pin(stream))))
    }

    /// GETs a URL, going where it leads.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn fetch(&self, url: &str) -> Result<(u16, Bytes), SendError> {
        let mut url: Uri = url.parse().map_err(|_| failed("invalid URL"))?;
        let endpoint = Endpoint::default();
        for _ in 0..REDIRECTS_MAX {
            let mut request = http::Request::new(Full::default());
            let path = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
            *request.uri_mut() = path.parse().map_err(|_| failed("invalid URL"))?;
            let (answer, _) = self.exchange(&url, &endpoint, request).await?;
            let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            if let Some(location) = location.filter(|_| answer.status().is_redirection()) {
                let absolute = match location.starts_with('/') {
                    true => format!(
                        "{}://{}{location}",
                        url.scheme_str().unwrap_or("https"),
                        url.authority().map_or("", |authority| authority.as_str())
                    ),
                    false => location.to_owned(),
                };
                url = absolute.parse().map_err(|_| failed("invalid redirect"))?;
                continue;
            }
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.map_err(|error| failed(&error.to_string()))?;
            return Ok((status, body.to_bytes()));
        }
        Err(failed("stopped after 10 redirects"))
    }

    async fn exchange(
        &self,
        base: &Uri,
        endpoint: &Endpoint,
        mut request: http::Request<Full<Bytes>>,
    ) -> Result<(Answer, Sender), SendError> {
        let server = Server::of(base)?;
        server.name_in(&mut request)?;
        let key = key_of(base, endpoint);
        let free = {
            let mut open = self.lock();
            open.retain(|(_, sender)| sender.is_ready());
            let at = open.iter().position(|(known, _)| *known == key);
            at.map(|at| open.swap_remove(at).1)
        };
        let mut sender = match free {
            Some(sender) => sender,
            None => server.connect(endpoint).await?,
        };
        let answer = sender.send_request(request).await.map_err(|error| failed(&error.to_string()))?;
        Ok((answer, sender))
    }

    /// Upgrades a connection to channels; an answer that refuses is an answer.
    async fn upgrade(
        &self,
        base: &Uri,
        endpoint: &Endpoint,
        mut request: http::Request<Full<Bytes>>,
    ) -> Result<Response, SendError> {
        let server = Server::of(base)?;
        server.name_in(&mut request)?;
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(CHANNELS));
        let forwards_ports = request.uri().path().ends_with("/portforward");
        let mut sender = server.connect(endpoint).await?;
        let answer = sender.send_request(request).await.map_err(|error| failed(&error.to_string()))?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.map_err(|error| failed(&error.to_string()))?;
            return Ok(Response::from_parts(parts, Body::Bytes(body.to_bytes())));
        }
        let chosen = answer.headers().get(SEC_WEBSOCKET_PROTOCOL).cloned();
        let closes_channels = chosen.is_some_and(|protocol| protocol == V5);
        let upgraded = hyper::upgrade::on(answer).await.map_err(|error| failed(&error.to_string()))?;
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
        let (ours, theirs) = Channels::pair();
        tokio::spawn(carry(socket, ours, closes_channels, forwards_ports && !closes_channels));
        let mut response = Response::new(Body::Upgrade(theirs));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        Ok(response)
    }
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Vec<(String, Sender)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What connections that can stand for each other have in common.
fn key_of(base: &Uri, endpoint: &Endpoint) -> String {
    format!("{base} {}", endpoint.context)
}

impl Server {
    fn of(url: &Uri) -> Result<Self, SendError> {
        let tls = url.scheme_str() != Some("http");
        let host = url.host().ok_or_else(|| failed("no Host in request URL"))?;
        let port = url.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { tls, host: host.trim_matches(['[', ']']).to_owned(), port })
    }

    fn name_in(&self, request: &mut http::Request<Full<Bytes>>) -> Result<(), SendError> {
        let brackets = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        let name = format!("{}{}{}:{}", brackets.0, self.host, brackets.1, self.port);
        let name = HeaderValue::from_str(&name).map_err(|_| failed("invalid host name"))?;
        request.headers_mut().insert(HOST, name);
        Ok(())
    }

    async fn connect(&self, endpoint: &Endpoint) -> Result<Sender, SendError> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| self.why(&error))?;
        // Requests are small, and each is waited for.
        let _ = stream.set_nodelay(true);
        if !self.tls {
            return handshake(stream).await;
        }
        let name = match endpoint.tls_server_name.as_str() {
            "" => self.host.as_str(),
            name => name,
        };
        let name = ServerName::try_from(name.to_owned()).map_err(|_| failed("invalid server name"))?;
        let connector = TlsConnector::from(Arc::clone(&tls::config(endpoint)?));
        let stream = connector.connect(name, stream).await.map_err(|error| SendError::Failed(tls::reason(&error)))?;
        handshake(stream).await
    }

    /// Why there is no connection, in Go's words.
    fn why(&self, error: &std::io::Error) -> SendError {
        match error.kind() {
            std::io::ErrorKind::ConnectionRefused => SendError::Refused,
            _ if error.raw_os_error().is_none() => {
                SendError::Failed(format!("dial tcp: lookup {}: no such host", self.host))
            }
            _ => {
                SendError::Failed(format!("dial tcp {}:{}: connect: {}", self.host, self.port, super::go_reason(error)))
            }
        }
    }
}

async fn handshake(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Sender, SendError> {
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error.to_string()))?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

/// Carries frames between messages and channels until either side ends. With `greets`, the first
/// message of each channel only names its port.
async fn carry<S>(socket: WebSocketStream<S>, channels: Channels, closes_channels: bool, greets: bool)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Channels { mut sender, mut receiver } = channels;
    let (mut to_server, mut from_server) = socket.split();
    let outward = async {
        while let Some(Frame { channel, data }) = receiver.next().await {
            let message = match data {
                Some(data) => [&[channel], data.as_ref()].concat(),
                None if closes_channels => vec![CLOSE, channel],
                None => continue,
            };
            if to_server.send(Message::Binary(message.into())).await.is_err() {
                // What the server has said is still to be read.
                std::future::pending::<()>().await;
            }
        }
        let _ = to_server.close().await;
    };
    let inward = async {
        let mut greeted = BTreeSet::new();
        while let Some(Ok(message)) = from_server.next().await {
            let data = match message {
                Message::Binary(data) => data,
                Message::Text(text) => text.into(),
                Message::Close(_) => break,
                _ => continue,
            };
            let frame = match (data.first(), data.get(1)) {
                (Some(&CLOSE), Some(&channel)) if closes_channels => Frame { channel, data: None },
                (Some(&channel), _) if greets && greeted.insert(channel) => continue,
                (Some(&channel), _) => Frame { channel, data: Some(data.slice(1..)) },
                (None, _) => continue,
            };
            if sender.send(frame).await.is_err() {
                break;
            }
        }
    };
    futures::future::select(std::pin::pin!(outward), std::pin::pin!(inward)).await;
}

fn failed(reason: &str) -> SendError {
    SendError::Failed(reason.to_owned())
}
