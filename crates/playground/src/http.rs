//! The wire: TLS and plain HTTP on one port, and from hyper's requests to the API server's and back.
//!
//! A connection that begins with a TLS handshake is for API clients, who show a certificate or a
//! bearer token. Plain HTTP is for the page in a browser on this machine: it must name this machine as
//! its host, come from no other page, and carry the token that was printed with the page's address.

mod compress;
mod guard;
mod open;
mod port_forward;
mod process;
mod remote_command;
mod spdy;
mod upgrade;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use apiserver::{CommittedRevision, UserInfo};
use axum::body::Body as HttpBody;
use bytes::Bytes;
use futures::StreamExt;
use http::Method;
use hyper::body::Body as _;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use machinery::Encoded;
use machinery::status::ApiError;
use machinery::wire::{Body, Request, Response};
use playground_core::PublicApi;
use store::{Store, StoreError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

pub use self::compress::accepts_gzip;
use self::open::Open;
use crate::assets;

/// Upstream's limit of a request's body.
const REQUEST_BYTES_MAX: usize = 3 * 1024 * 1024;

/// How long a request's body may take: upstream's `requestTimeoutUpperBound`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(34);

/// How long a client that says nothing is waited for.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection without a request is kept, and a request's headers may take: upstream's idle
/// timeout.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);

/// How often a client that is silent is asked whether it is still there, and how long it may take to say
/// so, as Go's HTTP/2 server does with what upstream sets.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// Requests that one HTTP/2 connection may have open, as upstream.
const STREAMS_MAX: u32 = 100;

/// File descriptors that are not for connections: the store, Docker, the listeners, what pods open.
const DESCRIPTORS_KEPT: u64 = 256;

/// Connections at the same time are no more than this, however many files this process may open.
const CONNECTIONS_MAX: u64 = 65_536;

/// What every connection needs.
pub struct Server {
    /// The API.
    pub api: PublicApi,
    /// Asked whether an answer's revision is durable.
    pub store: Store,
    /// TLS.
    pub tls: Arc<rustls::ServerConfig>,
    /// Where this server listens.
    pub address: SocketAddr,
    /// The node whose kubelet this is; `None` for the API server.
    pub kubelet_of: Option<String>,
}

/// Who is at the other end of a connection.
#[derive(Clone)]
struct Peer {
    /// The subject of the client's certificate.
    user: Option<UserInfo>,
    secure: bool,
}

/// How many connections there may be at the same time; further ones wait to be accepted. Each takes a
/// file descriptor, and one more where it goes on to a pod. The process may open as many as it can ask
/// for, as Go's do.
fn connections_max() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let files = if raised { maximum } else { current }.unwrap_or(u64::MAX);
    let connections = (files.saturating_sub(DESCRIPTORS_KEPT) / 2).clamp(1, CONNECTIONS_MAX);
    usize::try_from(connections).unwrap_or(usize::MAX)
}

/// Accepts connections until the listener fails.
pub async fn serve(server: Arc<Server>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(connections_max()));
    loop {
        // Never closed, so there is always a place in the end.
        let place = places.clone().acquire_owned().await.ok();
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = server.clone();
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = connection(server, stream).await {
                        tracing::debug!("connection: {error:#}");
                    }
                });
            }
            // Out of file descriptors, most likely: others must end first.
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(server: Arc<Server>, stream: TcpStream) -> anyhow::Result<()> {
    const TLS_HANDSHAKE: u8 = 0x16;
    stream.set_nodelay(true)?;
    let mut first = [0];
    if timeout(HANDSHAKE_TIMEOUT, stream.peek(&mut first)).await?? == 0 {
        return Ok(());
    }
    if first[0] != TLS_HANDSHAKE {
        return requests(server, stream, Peer { user: None, secure: false }, false).await;
    }
    let stream = timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(server.tls.clone()).accept(stream)).await??;
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let user = certificate.and_then(|certificate| guard::user_of(certificate));
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    requests(server, stream, Peer { user, secure: true }, http2).await
}

async fn requests<S>(server: Arc<Server>, stream: S, peer: Peer, http2: bool) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let open = Open::default();
    let counted = open.clone();
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (server, peer, one) = (server.clone(), peer.clone(), counted.one());
        async move {
            // On the heap while it lasts: a watch would else keep its room until it ends.
            let response = Box::pin(answer(&server, &peer, request.map(HttpBody::new))).await;
            Ok::<_, std::convert::Infallible>(response.map(|body| one.until_end_of(body)))
        }
    });
    let stream = TokioIo::new(stream);
    if http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX);
        builder.keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PING_TIMEOUT);
        let mut connection = std::pin::pin!(builder.serve_connection(stream, service));
        tokio::select! {
            ended = connection.as_mut() => return Ok(ended?),
            () = open.none_for(IDLE_TIMEOUT) => connection.as_mut().graceful_shutdown(),
        }
        connection.await?;
    } else {
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT);
        builder.serve_connection(stream, service).with_upgrades().await?;
    }
    Ok(())
}

async fn answer(server: &Server, peer: &Peer, request: http::Request<HttpBody>) -> http::Response<HttpBody> {
    if let Err(reason) = guard::check(&request, peer, server.address) {
        return to_http(ApiError::new(403, "Forbidden", reason).into_response());
    }
    if server.kubelet_of.is_none() && wants_page(peer, &request) {
        return assets::serve(request.uri().path(), request.headers());
    }
    let (mut parts, body) = request.into_parts();
    if let Some(node) = &server.kubelet_of {
        // A kubelet asks the API server who somebody is and what he may: so it is asked by way of it.
        let path = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        match format!("/api/v1/nodes/{node}/proxy{path}").parse() {
            Ok(uri) => parts.uri = uri,
            Err(error) => return to_http(ApiError::bad_request(format!("{error}")).into_response()),
        }
    }
    if let Some(user) = &peer.user {
        parts.extensions.insert(user.clone());
    }
    if let Err(reason) = websocket::take_bearer_protocol(&mut parts.headers) {
        tracing::debug!("{reason}");
        return to_http(ApiError::unauthorized().into_response());
    }
    let upgrade = upgrade::Requested::take(&mut parts).await;
    let changes = upgrade.is_none() && !parts.method.is_safe();
    if let Some(error) = server.store.accepts_changes().err().filter(|_| changes) {
        return to_http(not_durable(&error));
    }
    // Nothing is read, and kept, for those who may not ask: the API refuses them by what it has.
    let bytes = match body.is_end_stream() || !server.api.admits(&parts) {
        true => Bytes::new(),
        false => match timeout(REQUEST_TIMEOUT, read(body)).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                return to_http(ApiError::too_large(format!("limit is {REQUEST_BYTES_MAX}")).into_response());
            }
            Err(_) => {
                let error = "request did not complete within the allotted timeout";
                return to_http(ApiError::timeout(error, 0).into_response());
            }
        },
    };
    let gzip = parts.method == Method::GET && accepts_gzip(&parts.headers);
    let metrics = parts.uri.path() == "/metrics";
    let response = server.api.handle(Request::from_parts(parts, Body::Bytes(bytes))).await;
    // What only reads may see others' changes made meanwhile: it waits for none of them.
    if changes
        && let Some(CommittedRevision(revision)) = response.extensions().get()
        && let Err(error) = server.store.durable(*revision).await
    {
        return to_http(not_durable(&error));
    }
    let response = if metrics { process::add(response) } else { response };
    let response = if gzip { compress::gzip(response) } else { response };
    let (parts, body) = response.into_parts();
    match (body, upgrade) {
        (Body::Upgrade(channels), Some(upgrade)) => upgrade.bridge(server.api.clone(), channels),
        (Body::Upgrade(_), None) => to_http(ApiError::bad_request("Upgrade request required").into_response()),
        (body, _) => to_http(Response::from_parts(parts, body)),
    }
}

/// A request's body; none if it is longer than it may be. The rest of such a body is read and dropped, up to a
/// point: a connection that is closed while the client still sends takes the answer with it.
async fn read(body: HttpBody) -> Option<Bytes> {
    const DROPPED_BYTES_MAX: usize = 16 * REQUEST_BYTES_MAX;
    let (mut whole, mut length) = (Vec::new(), 0);
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.ok()?;
        length += part.len();
        if length <= REQUEST_BYTES_MAX {
            whole.extend_from_slice(&part);
        } else if length <= DROPPED_BYTES_MAX {
            whole = Vec::new();
        } else {
            return None;
        }
    }
    (length <= REQUEST_BYTES_MAX).then(|| whole.into())
}

fn not_durable(error: &StoreError) -> Response {
    ApiError::new(500, "InternalError", error.to_string()).into_response()
}

/// The page's own files, for a browser: whatever is not the API's.
fn wants_page(peer: &Peer, request: &http::Request<HttpBody>) -> bool {
    const API: [&str; 9] = ["api", "apis", "openapi", "version", "healthz", "livez", "readyz", "metrics", "playground"];
    let first = request.uri().path().trim_start_matches('/').split('/').next().unwrap_or_default();
    !peer.secure && request.method() == Method::GET && !API.contains(&first)
}

/// An object as Go's encoder writes it, with the end of a line.
fn line(object: &Encoded) -> Bytes {
    let mut line = Vec::with_capacity(object.len_at_most() + 1);
    object.write_to(&mut line);
    line.push(b'\n');
    line.into()
}

fn to_http(response: Response) -> http::Response<HttpBody> {
    response.map(|body| match body {
        Body::Bytes(bytes) => HttpBody::from(bytes),
        Body::Object(object) => HttpBody::from(line(&object)),
        Body::List(list) if !list.is_long() => HttpBody::from(list.to_bytes()),
        streaming => HttpBody::from_stream(streaming.into_stream().map(Ok::<_, std::convert::Infallible>)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use jiff::Timestamp;
    use playground_core::{Cluster, Options};

    use crate::certificates::Certificates;
    use crate::token::PageToken;

    /// A cluster as `serve` makes it, its server, and the page's token.
    fn served() -> (Cluster, Server, String) {
        let provider = rustls::crypto::ring::default_provider();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("page.token");
        let token = Arc::new(PageToken::load_or_create(&file, provider.secure_random).unwrap());
        let again = PageToken::load_or_create(&file, provider.secure_random).unwrap();
        assert_eq!(again.as_str(), token.as_str(), "a page that is open goes on after a restart");
        let _ = provider.install_default();
        let store = Store::new(&store::Options::default());
        let options = Options::new(store.clone(), Timestamp::UNIX_EPOCH, 1);
        let options = Options { authenticator: Some(token.clone()), anonymous: true, ..options };
        let cluster = Cluster::new(options).unwrap();
        let tls = Certificates::load_or_create(folder.path(), &[]).unwrap().server_config().unwrap();
        let api = cluster.public_api().clone();
        let address = "127.0.0.1:6443".parse().unwrap();
        let server = Server { api, store, tls: Arc::new(tls), address, kubelet_of: None };
        (cluster, server, token.as_str().to_owned())
    }

    #[tokio::test]
    async fn who_shows_neither_certificate_nor_token_gets_nothing() {
        let (cluster, server, token) = served();
        // The components are known: the account is a controller's work.
        cluster.run_for(std::time::Duration::from_secs(5));
        const ACCOUNT: &str = "/api/v1/namespaces/default/serviceaccounts/default";
        let administrator = Some(UserInfo::new("kubernetes-admin", &["system:masters"]));
        let token = format!("Bearer {token}");
        for (user, secure, authorization, path, code) in [
            (None, false, "", "/api/v1/secrets", 403),
            (None, true, "", "/api/v1/secrets", 403),
            (None, false, "", "/playground/v1/terminal", 403),
            (None, true, "", "/playground/v1/terminal", 403),
            (None, true, "", "/apis", 403),
            (None, false, "Bearer no", "/api/v1/secrets", 401),
            (None, true, "Bearer no", "/healthz", 401),
            (None, false, "", "/readyz", 200),
            (None, true, "", "/version", 200),
            (None, false, token.as_str(), "/api/v1/secrets", 200),
            (None, true, token.as_str(), "/api/v1/secrets", 200),
            (administrator, true, "", ACCOUNT, 200),
        ] {
            let mut request = http::Request::get(path).header("host", "localhost:6443");
            if !authorization.is_empty() {
                request = request.header("authorization", authorization);
            }
            let peer = Peer { user, secure };
            let response = answer(&server, &peer, request.body(HttpBody::empty()).unwrap()).await;
            assert_eq!(response.status().as_u16(), code, "{path} {authorization} {secure}");
        }
    }

    #[tokio::test]
    async fn a_full_disk_refuses_changes_until_it_takes_them() {
        let (cluster, server, _) = served();
        cluster.run_for(std::time::Duration::from_secs(5));
        const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
        let send = async |method: &str, path: &str, body: &'static str| {
            let user = Some(UserInfo::new("kubernetes-admin", &["system:masters"]));
            let request = http::Request::builder().method(method).uri(path).header("host", "localhost:6443");
            let request = request.header("content-type", "application/json").body(HttpBody::from(body)).unwrap();
            let response = answer(&server, &Peer { user, secure: true }, request).await;
            let status = response.status().as_u16();
            let bytes = axum::body::to_bytes(response.into_body(), REQUEST_BYTES_MAX).await.unwrap();
            (status, String::from_utf8(bytes.to_vec()).unwrap())
        };
        let create = || send("POST", CONFIG_MAPS, r#"{"metadata":{"name":"settings"}}"#);

        server.store.mark_not_durable("No space left on device".into());
        let (status, body) = create().await;
        assert_eq!(status, 500);
        assert!(body.contains("the change is not durable: No space left on device"), "{body}");
        let (status, _) = send("GET", &format!("{CONFIG_MAPS}/settings"), "").await;
        assert_eq!(status, 404, "what was refused is not there");

        server.store.mark_durable(0);
        assert_eq!(create().await.0, 201);
    }

    #[tokio::test]
    async fn the_body_of_whoever_may_not_ask_is_not_waited_for() {
        let (_cluster, server, _) = served();
        for (authorization, code) in [("Basic x", 403), ("Bearer no", 401)] {
            let endless = futures::stream::pending::<Result<Bytes, std::convert::Infallible>>();
            let request = http::Request::post("/api/v1/namespaces/default/pods").header("host", "localhost:6443");
            let request = request.header("authorization", authorization).body(HttpBody::from_stream(endless)).unwrap();
            let peer = Peer { user: None, secure: true };
            assert_eq!(answer(&server, &peer, request).await.status().as_u16(), code);
        }
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_is_read_to_its_end() {
        let (_cluster, server, _) = served();
        let read = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = read.clone();
        let parts = futures::stream::iter(0..5).map(move |_| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok::<_, std::convert::Infallible>(Bytes::from(vec![b' '; 1 << 20]))
        });
        let user = Some(UserInfo::new("kubernetes-admin", &["system:masters"]));
        let request = http::Request::post("/api/v1/namespaces/default/configmaps").header("host", "localhost:6443");
        let request = request.body(HttpBody::from_stream(parts)).unwrap();
        assert_eq!(answer(&server, &Peer { user, secure: true }, request).await.status().as_u16(), 413);
        assert_eq!(read.load(std::sync::atomic::Ordering::Relaxed), 5);
    }
}
