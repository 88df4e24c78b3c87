//! Connections from the node into the pod network: probes, hooks, port-forward.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use kubelet::runtime::{ErrorCode, Health, HttpResult, RuntimeError};
use machinery::wire::{Channels, Frame};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::engine::Engine;
use super::network::Connection;
use super::sandbox;
use crate::tls::Anybody;

/// What is kept of an answer's body.
const BODY_BYTES_MAX: usize = 10 * 1024;

/// Opens and closes a connection.
pub async fn tcp(engine: &Engine, host: &str, port: u16, timeout: Duration) -> Result<(), RuntimeError> {
    within(timeout, connect(engine, host, port)).await.map(drop)
}

/// One HTTP request.
pub async fn http_get(
    engine: &Engine,
    https: bool,
    host: &str,
    port: u16,
    path: &str,
    headers: &[(String, String)],
    timeout: Duration,
) -> Result<HttpResult, RuntimeError> {
    let request = async {
        let stream = connect(engine, host, port).await?;
        let mut builder = http::Request::get(path);
        let named = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"));
        if !named {
            builder = builder.header(http::header::HOST, format!("{}:{port}", bracketed(host)));
        }
        for (name, value) in headers {
            builder = builder.header(name, value);
        }
        let request = builder.body(Empty::<Bytes>::new()).map_err(unknown)?;
        if https {
            let connector = tokio_rustls::TlsConnector::from(Arc::new(tls()?));
            let name = ServerName::try_from(host.to_string()).map_err(unknown)?;
            exchange(connector.connect(name, stream).await.map_err(unknown)?, request).await
        } else {
            exchange(stream, request).await
        }
    };
    within(timeout, request).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: http::Request<Empty<Bytes>>,
) -> Result<HttpResult, RuntimeError> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(unanswered)?;
    let connection = tokio::spawn(connection);
    let result = async {
        let response = sender.send_request(request).await.map_err(unanswered)?;
        let status = response.status().as_u16();
        let mut body = response.into_body();
        let mut out = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(Ok(data)) = frame.map(hyper::body::Frame::into_data) else { break };
            let room = BODY_BYTES_MAX.saturating_sub(out.len());
            out.extend_from_slice(&data[..data.len().min(room)]);
            if out.len() == BODY_BYTES_MAX {
                break;
            }
        }
        Ok(HttpResult { status, body: out.into() })
    }
    .await;
    connection.abort();
    result
}

/// A gRPC server's health: one unary call, whose messages are short enough to be written by hand.
pub async fn grpc_check(
    engine: &Engine,
    host: &str,
    port: u16,
    service: &str,
    timeout: Duration,
) -> Result<Health, RuntimeError> {
    let call = async {
        let Ok(stream) = connect(engine, host, port).await else {
            // A gRPC client dials until its time is over.
            return std::future::pending().await;
        };
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(executor, TokioIo::new(stream)).await.map_err(unanswered)?;
        let connection = tokio::spawn(connection);
        // `HealthCheckRequest.service` is field 1; a name is shorter than 128 bytes.
        let name = service.as_bytes().get(..service.len().min(120)).unwrap_or_default();
        let mut message = Vec::new();
        if !name.is_empty() {
            message.extend([0x0a, u8::try_from(name.len()).unwrap_or_default()]);
            message.extend_from_slice(name);
        }
        let mut frame = vec![0, 0, 0, 0, u8::try_from(message.len()).unwrap_or_default()];
        frame.append(&mut message);
        let request = http::Request::post(format!("http://{}:{port}/grpc.health.v1.Health/Check", bracketed(host)))
            .header(http::header::CONTENT_TYPE, "application/grpc")
            .header(http::header::TE, "trailers")
            .body(http_body_util::Full::new(Bytes::from(frame)))
            .map_err(unknown)?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(unanswered)?;
            let head = grpc_status(response.headers());
            let body = response.into_body().collect().await.map_err(unanswered)?;
            let status = head.or_else(|| body.trailers().and_then(grpc_status)).unwrap_or_default();
            let bytes = body.to_bytes();
            match (status, bytes.get(5..)) {
                (0, Some([0x08, 1, ..])) => Ok(Health::Serving),
                (0, Some([0x08, 2, ..])) => Ok(Health::NotServing),
                (0, Some([0x08, 3, ..])) => Ok(Health::ServiceUnknown),
                (0, _) => Ok(Health::Unknown),
                (12, _) => Err(unknown(
                    "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)",
                )),
                (code, _) => Err(unknown(format!("error: health rpc probe failed: rpc error: code = {code}"))),
            }
        }
        .await;
        connection.abort();
        answer
    };
    within(timeout, call).await
}

fn grpc_status(headers: &http::HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

async fn within<T>(timeout: Duration, work: impl Future<Output = Result<T, RuntimeError>>) -> Result<T, RuntimeError> {
    match tokio::time::timeout(timeout, work).await {
        Ok(result) => result,
        Err(_) => Err(RuntimeError::new(ErrorCode::DeadlineExceeded, "i/o timeout")),
    }
}

async fn connect(engine: &Engine, host: &str, port: u16) -> Result<Box<dyn Connection>, RuntimeError> {
    let connected = match host.parse() {
        Ok(address) => engine.network.dial(SocketAddr::new(address, port)).await,
        // A probe may name any host.
        Err(_) => match TcpStream::connect((host, port)).await {
            Ok(stream) => Ok(Box::new(stream) as Box<dyn Connection>),
            Err(error) => Err(playground_agent::why(&error)),
        },
    };
    connected
        .map_err(|why| RuntimeError::new(ErrorCode::Unknown, format!("dial tcp {}:{port}: {why}", bracketed(host))))
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.into() }
}

fn unknown(error: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::new(ErrorCode::Unknown, error.to_string())
}

/// In the words of Go's HTTP client.
fn unanswered(error: hyper::Error) -> RuntimeError {
    let message = if error.is_incomplete_message() || error.is_closed() { "EOF".into() } else { error.to_string() };
    RuntimeError::new(ErrorCode::Unknown, message)
}

/// Probes do not check certificates: a pod's own is for its own name, if for any.
fn tls() -> Result<ClientConfig, RuntimeError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(unknown)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    Ok(config)
}

/// Connects channels `2i` and `2i + 1` to port `ports[i]` of a sandbox.
pub async fn port_forward(engine: Arc<Engine>, sandbox_id: String, ports: Vec<u16>, channels: Channels) {
    let Channels { mut sender, mut receiver } = channels;
    let found = sandbox::status(&engine, &sandbox_id).await;
    // A pod on the node's network is reached on the node.
    let host = match &found {
        Ok(status) => status.ips.first().cloned().unwrap_or_else(|| "127.0.0.1".into()),
        Err(_) => String::new(),
    };
    let mut writers: BTreeMap<u8, mpsc::Sender<Bytes>> = BTreeMap::new();
    let mut tasks = tokio::task::JoinSet::new();
    for (index, port) in ports.into_iter().enumerate() {
        let Ok(channel) = u8::try_from(index * 2) else { break };
        let result = match &found {
            Ok(_) => connect(&engine, &host, port).await,
            Err(error) => Err(error.clone()),
        };
        match result {
            Ok(stream) => {
                const PARTS_QUEUED_MAX: usize = 16;
                let (writer, parts) = mpsc::channel(PARTS_QUEUED_MAX);
                writers.insert(channel, writer);
                tasks.spawn(carry(stream, channel, parts, sender.clone()));
            }
            Err(error) => {
                let message = format!(
                    "error forwarding port {port} to pod {sandbox_id}, uid : failed to connect to localhost:{port} inside namespace: {}",
                    error.message
                );
                let frame = Frame { channel: channel + 1, data: Some(message.into()) };
                if sender.send(frame).await.is_err() {
                    return;
                }
            }
        }
    }
    while let Some(frame) = receiver.next().await {
        match frame.data {
            Some(data) => {
                let gone = match writers.get_mut(&frame.channel) {
                    Some(writer) => writer.send(data).await.is_err(),
                    None => false,
                };
                if gone {
                    writers.remove(&frame.channel);
                }
            }
            None => drop(writers.remove(&frame.channel)),
        }
    }
}

/// Carries bytes between a connection and its channel.
async fn carry(
    stream: Box<dyn Connection>,
    channel: u8,
    mut parts: mpsc::Receiver<Bytes>,
    mut frames: mpsc::Sender<Frame>,
) {
    let (mut read, mut write) = tokio::io::split(stream);
    let up = async {
        while let Some(part) = parts.next().await {
            if write.write_all(&part).await.is_err() {
                return;
            }
        }
        let _ = write.shutdown().await;
    };
    let down = async {
        let mut buffer = vec![0; 32 * 1024];
        while let Ok(count) = read.read(&mut buffer).await {
            if count == 0 {
                break;
            }
            let data = Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default());
            if frames.send(Frame { channel, data: Some(data) }).await.is_err() {
                return;
            }
        }
        let _ = frames.send(Frame { channel, data: None }).await;
    };
    futures::join!(up, down);
}
