//! Ingress for pods on Docker: HTTP at ports of this machine, passed on to pods.
//!
//! Port 80 of `localhost` while there are Ingresses, or whatever ports lead to port 80 of a node
//! (`extraPortMappings`, as kind's documents have it). TLS ends elsewhere.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::Body;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, UPGRADE};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use k8s_openapi::api::networking::v1::Ingress;
use playground_core::ingress::{Route, page_text, route};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::docker::PodNetwork;

/// The port of HTTP.
pub const PORT: u16 = 80;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const HEADERS_TIMEOUT: Duration = Duration::from_secs(60);
/// How long to wait before anything is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What a request is passed on by.
struct Passage {
    network: Arc<PodNetwork>,
    ingresses: watch::Receiver<Vec<Arc<Ingress>>>,
    /// Pods have their turns.
    turn: AtomicU64,
}

/// Serves until `ingresses` ends: at the listeners that are given, or where there are none, at port 80 while
/// there are Ingresses.
pub async fn keep_open(
    network: Arc<PodNetwork>,
    mut ingresses: watch::Receiver<Vec<Arc<Ingress>>>,
    listeners: Vec<TcpListener>,
) {
    let given = !listeners.is_empty();
    let passage = Arc::new(Passage { network, ingresses: ingresses.clone(), turn: AtomicU64::new(0) });
    let mut serving: Vec<JoinHandle<()>> =
        listeners.into_iter().map(|listener| tokio::spawn(serve(listener, passage.clone()))).collect();
    let mut told = false;
    loop {
        let wanted = !given && !ingresses.borrow_and_update().is_empty();
        if wanted && serving.is_empty() {
            match TcpListener::bind((Ipv4Addr::LOCALHOST, PORT)).await {
                Ok(listener) => serving.push(tokio::spawn(serve(listener, passage.clone()))),
                Err(error) if !told => {
                    told = true;
                    eprintln!(
                        "warning: an Ingress has port {PORT}, which cannot be opened on this machine: {error}; lead \
                         another one to it by extraPortMappings with containerPort {PORT}"
                    );
                }
                Err(_) => {}
            }
        }
        if !wanted && !given {
            serving.drain(..).for_each(|task| task.abort());
        }
        let ended = if wanted && serving.is_empty() {
            // Nobody tells when a port becomes free.
            tokio::time::timeout(RETRY, ingresses.changed()).await.is_ok_and(|changed| changed.is_err())
        } else {
            ingresses.changed().await.is_err()
        };
        if ended {
            serving.iter().for_each(JoinHandle::abort);
            return;
        }
    }
}

async fn serve(listener: TcpListener, passage: Arc<Passage>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(RETRY).await;
            continue;
        };
        let passage = passage.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let passage = passage.clone();
                async move { Ok::<_, Infallible>(passage.pass_on(request, peer.ip()).await) }
            });
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADERS_TIMEOUT);
            if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).with_upgrades().await {
                tracing::debug!("ingress: {error}");
            }
        });
    }
}

impl Passage {
    async fn pass_on(&self, mut request: Request<Incoming>, client: IpAddr) -> Response<Body> {
        let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = named.or(request.uri().host()).unwrap_or_default().to_owned();
        let target = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let found = route(&self.ingresses.borrow(), &self.network.tables(), &host, target, turn);
        let (address, target) = match found {
            Route::To { address, port, target } => ((address, port), target),
            Route::Nowhere(status) => return page(status),
        };
        let Ok(target) = target.parse() else { return page(400) };
        *request.uri_mut() = target;
        forwarded(&mut request, &host, client);
        let dialled = tokio::time::timeout(CONNECT_TIMEOUT, self.network.dial(address.into())).await;
        let Ok(Ok(stream)) = dialled else { return page(502) };
        match exchange(TokioIo::new(stream), request).await {
            Ok(response) => response,
            Err(error) => {
                tracing::debug!("ingress to {}:{}: {error}", address.0, address.1);
                page(502)
            }
        }
    }
}

/// Says for whom it is, and leaves out what is about the client's own connection.
fn forwarded(request: &mut Request<Incoming>, host: &str, client: IpAddr) {
    let headers = request.headers_mut();
    if !headers.contains_key(UPGRADE) {
        headers.remove(CONNECTION);
    }
    let client = client.to_string();
    for (name, value) in [
        ("x-real-ip", client.as_str()),
        ("x-forwarded-for", &client),
        ("x-forwarded-host", host),
        ("x-forwarded-port", "80"),
        ("x-forwarded-proto", "http"),
        ("x-scheme", "http"),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
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
