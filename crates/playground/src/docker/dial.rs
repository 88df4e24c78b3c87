//! Connections from the node into the pod network: probes, hooks, port-forward.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use kubelet::runtime::{ErrorCode, HttpResult, RuntimeError};
use machinery::wire::{Channels, Frame};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::engine::Engine;
use super::sandbox;

/// What is kept of an answer's body.
const BODY_BYTES_MAX: usize = 10 * 1024;

/// Opens and closes a connection.
pub async fn tcp(host: &str, port: u16, timeout: Duration) -> Result<(), RuntimeError> {
    within(timeout, connect(host, port)).await.map(drop)
}

/// One HTTP request.
pub async fn http_get(
    https: bool,
    host: &str,
    port: u16,
    path: &str,
    headers: &[(String, String)],
    timeout: Duration,
) -> Result<HttpResult, RuntimeError> {
    let request = async {
        let stream = connect(host, port).await?;
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

async fn within<T>(timeout: Duration, work: impl Future<Output = Result<T, RuntimeError>>) -> Result<T, RuntimeError> {
    match tokio::time::timeout(timeout, work).await {
        Ok(result) => result,
        Err(_) => Err(RuntimeError::new(ErrorCode::DeadlineExceeded, "i/o timeout")),
    }
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, RuntimeError> {
    TcpStream::connect((host, port)).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connect: connection refused".to_string(),
            io::ErrorKind::HostUnreachable => "connect: no route to host".to_string(),
            io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_string(),
            io::ErrorKind::TimedOut => "i/o timeout".to_string(),
            _ => error.to_string(),
        };
        RuntimeError::new(ErrorCode::Unknown, format!("dial tcp {}:{port}: {why}", bracketed(host)))
    })
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

fn tls() -> Result<ClientConfig, RuntimeError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(unknown)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Ok(config)
}

/// Probes do not check certificates: a pod's own is for its own name, if for any.
#[derive(Debug)]
struct AnyCertificate(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
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
            Ok(_) => connect(&host, port).await,
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
async fn carry(stream: TcpStream, channel: u8, mut parts: mpsc::Receiver<Bytes>, mut frames: mpsc::Sender<Frame>) {
    let (mut read, mut write) = stream.into_split();
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
