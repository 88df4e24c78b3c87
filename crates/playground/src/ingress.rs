//! Ingress for pods on Docker: HTTP and HTTPS at ports of this machine, passed on to pods.
//!
//! Ports 80 and 443 of `localhost` while there are Ingresses, or whatever ports lead to these of a node
//! (`extraPortMappings`, as kind's documents have it). TLS ends here, by the certificate of the host that is asked
//! for, else by one of the controller's own, as ingress-nginx has it.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use http::header::{
    CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, LOCATION, STRICT_TRANSPORT_SECURITY, UPGRADE,
};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use playground_core::ingress::{
    FAKE_HOST, FAKE_NAME, FAKE_ORGANIZATION, HostCertificate, InForce, Route, forwarded, page_text, route,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::docker::PodNetwork;
use crate::notices::Notices;

/// The ports of HTTP and of HTTPS.
pub const PORTS: [u16; 2] = [80, 443];
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const HEADERS_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to wait before anything is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What a request is passed on by.
struct Passage {
    network: Arc<PodNetwork>,
    ingresses: watch::Receiver<InForce>,
    /// Pods have their turns.
    turn: AtomicU64,
    tls: Option<TlsAcceptor>,
}

/// A port of this machine, and whether TLS is spoken there.
pub type Door = (TcpListener, bool);

/// Serves until `ingresses` ends: at the doors that are given, or where there are none, at ports 80 and 443 while
/// there are Ingresses.
pub async fn keep_open(
    network: Arc<PodNetwork>,
    mut ingresses: watch::Receiver<InForce>,
    doors: Vec<Door>,
    notices: Notices,
) {
    let given = !doors.is_empty();
    let tls = match Chooser::new(ingresses.clone()).and_then(acceptor) {
        Ok(tls) => Some(tls),
        Err(error) => {
            tracing::warn!("no Ingress has TLS: {error:#}");
            None
        }
    };
    let passage = Arc::new(Passage { network, ingresses: ingresses.clone(), turn: AtomicU64::new(0), tls });
    let open = |door| tokio::spawn(serve(door, passage.clone()));
    let mut serving: Vec<(u16, JoinHandle<()>)> = doors.into_iter().map(|door| (0, open(door))).collect();
    let mut told = Vec::new();
    loop {
        let wanted = !given && !ingresses.borrow_and_update().ingresses.is_empty();
        let mut missing = false;
        for port in PORTS.into_iter().filter(|_| wanted) {
            if serving.iter().any(|(known, _)| *known == port) {
                continue;
            }
            match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
                Ok(listener) => serving.push((port, open((listener, is_secure(port))))),
                Err(error) => {
                    missing = true;
                    if !told.contains(&port) {
                        told.push(port);
                        notices.cannot_open(port, &error).await;
                        eprintln!("lead another one to the Ingresses by extraPortMappings with containerPort {port}");
                    }
                }
            }
        }
        if !wanted && !given {
            serving.drain(..).for_each(|(_, task)| task.abort());
        }
        let ended = if missing {
            // Nobody tells when a port becomes free.
            tokio::time::timeout(RETRY, ingresses.changed()).await.is_ok_and(|changed| changed.is_err())
        } else {
            ingresses.changed().await.is_err()
        };
        if ended {
            serving.iter().for_each(|(_, task)| task.abort());
            return;
        }
    }
}

/// Whether TLS is spoken at a port.
pub fn is_secure(port: u16) -> bool {
    port == PORTS[1]
}

/// Chooses a certificate by the host that a client asks for.
#[derive(Debug)]
struct Chooser {
    ingresses: watch::Receiver<InForce>,
    own: Arc<CertifiedKey>,
    /// Keys as they were read last, by the certificates they are of.
    read: Mutex<Vec<(Arc<HostCertificate>, Arc<CertifiedKey>)>>,
}

impl Chooser {
    fn new(ingresses: watch::Receiver<InForce>) -> Result<Self> {
        let mut params = rcgen::CertificateParams::new([FAKE_HOST.to_owned()])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::OrganizationName, FAKE_ORGANIZATION);
        params.distinguished_name.push(rcgen::DnType::CommonName, FAKE_NAME);
        let key = rcgen::KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let own = certified(certificate.pem().as_bytes(), key.serialize_pem().as_bytes())?;
        Ok(Self { ingresses, own, read: Mutex::default() })
    }

    /// The key for a host's certificate; one that cannot be used is told of once.
    fn key(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let wanted = self.ingresses.borrow().certificate(host).cloned()?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, key)) = read.iter().find(|(known, _)| *known == wanted) {
            return Some(key.clone());
        }
        let key = certified(&wanted.chain, &wanted.key).unwrap_or_else(|error| {
            tracing::warn!("the certificate of {host} cannot be used: {error:#}");
            self.own.clone()
        });
        {
            let ingresses = self.ingresses.borrow();
            read.retain(|(known, _)| ingresses.hosts.iter().any(|(_, used)| used.as_ref() == Some(known)));
        }
        read.push((wanted, key.clone()));
        Some(key)
    }
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().and_then(|host| self.key(host));
        Some(asked.unwrap_or_else(|| self.own.clone()))
    }
}

fn certified(chain: &[u8], key: &[u8]) -> Result<Arc<CertifiedKey>> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
    let key = rustls::crypto::ring::sign::any_supported_type(&PrivateKeyDer::from_pem_slice(key)?)?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match()?;
    Ok(Arc::new(certified))
}

fn acceptor(chooser: Chooser) -> Result<TlsAcceptor> {
    let mut config = rustls::ServerConfig::builder().with_no_client_auth().with_cert_resolver(Arc::new(chooser));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve((listener, secure): Door, passage: Arc<Passage>) {
    let tls = passage.tls.clone().filter(|_| secure);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let (passage, tls) = (passage.clone(), tls.clone());
        tokio::spawn(async move {
            match tls {
                None if secure => {}
                None => passage.converse(stream, peer.ip(), false).await,
                Some(tls) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                    Ok(Ok(stream)) => passage.converse(stream, peer.ip(), true).await,
                    Ok(Err(error)) => tracing::debug!("ingress: {error}"),
                    Err(_) => {}
                },
            }
        });
    }
}

impl Passage {
    async fn converse(
        self: Arc<Self>,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        client: IpAddr,
        secure: bool,
    ) {
        let service = hyper::service::service_fn(move |request| {
            let passage = self.clone();
            async move { Ok::<_, Infallible>(passage.pass_on(request, client, secure).await) }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT);
        if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
            tracing::debug!("ingress: {error}");
        }
    }

    async fn pass_on(&self, mut request: Request<Incoming>, client: IpAddr, secure: bool) -> Response<Body> {
        let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = named.or(request.uri().host()).unwrap_or_default().to_owned();
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let found = route(&self.ingresses.borrow(), &self.network.tables(), &host, target, secure, turn);
        let (address, target) = match found {
            Route::To { address, port, target } => ((address, port), target),
            Route::Nowhere(status) => return page(status),
            Route::Redirect(location) => {
                let mut response = page(308);
                if let Ok(location) = HeaderValue::from_str(&location) {
                    response.headers_mut().insert(LOCATION, location);
                }
                return response;
            }
        };
        let Ok(target) = target.parse() else { return page(400) };
        *request.uri_mut() = target;
        say_whose(&mut request, &host, client, secure);
        let dialled = tokio::time::timeout(CONNECT_TIMEOUT, self.network.dial(address.into())).await;
        let Ok(Ok(stream)) = dialled else { return page(502) };
        match exchange(TokioIo::new(stream), request).await {
            Ok(mut response) => {
                if let Some((_, value)) = self.ingresses.borrow().transport_security(&host, secure) {
                    response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(value));
                }
                response
            }
            Err(error) => {
                tracing::debug!("ingress to {}:{}: {error}", address.0, address.1);
                page(502)
            }
        }
    }
}

/// Says for whom it is, and leaves out what is about the client's own connection.
fn say_whose(request: &mut Request<Incoming>, host: &str, client: IpAddr, secure: bool) {
    let headers = request.headers_mut();
    if !headers.contains_key(UPGRADE) {
        headers.remove(CONNECTION);
    }
    for (name, value) in forwarded(&client.to_string(), host, secure) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) {
            headers.insert(name, value);
        }
    }
}

async fn exchange(
    stream: impl hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    mut request: Request<Incoming>,
) -> hyper::Result<Response<Body>> {
    let wanted = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    tokio::spawn(connection.with_upgrades());
    let mut response = sender.send_request(request).await?;
    if let Some(client) = wanted.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS) {
        let pod = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            let (Ok(client), Ok(pod)) = futures::join!(client, pod) else { return };
            // It ends as either end wishes.
            let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(pod)).await;
        });
    } else {
        response.headers_mut().remove(CONNECTION);
    }
    Ok(response.map(Body::new))
}

/// nginx' page for a status.
fn page(status: u16) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let text = page_text(status.as_u16(), status.canonical_reason().unwrap_or_default());
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}
