//! Load for an API server, and what it took: `cargo xtask bench` runs this.
//!
//! `load in-process` calls a server of its own; `load https KUBECONFIG PID` speaks TLS with the one that
//! wrote the file and has that process id; `load writes KUBECONFIG PID` only writes, with 1, 8 and 64 clients.
#![allow(clippy::unwrap_used, reason = "a measurement that fails has nothing to say")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use apiserver::{ApiServer, Options};
use base64::Engine;
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use machinery::wire::Body;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use store::Store;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const OBJECTS: usize = 10_000;
const LISTS: usize = 20;
const CONNECTIONS: usize = 32;
const WATCHERS: usize = 1000;
const UPDATES: usize = 100;
/// Watches in one HTTP/2 connection: as many as upstream's servers let one have open.
const WATCHERS_PER_CONNECTION: usize = 100;
const PATH: &str = "/api/v1/namespaces/default/configmaps";
/// Where a change carries the time it was asked for, in microseconds since 1970.
const SENT: &str = "\"sent\":\"";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["in-process"] => in_process(),
        ["https", kubeconfig, process] => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(https(&Target::read(kubeconfig), process));
        }
        ["writes", kubeconfig, process] => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(writes(&Target::read(kubeconfig), process));
        }
        _ => panic!("load in-process | load https KUBECONFIG PID | load writes KUBECONFIG PID"),
    }
}

fn config_map(index: usize) -> Bytes {
    let text = "x".repeat(100);
    format!(r#"{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"load-{index}","labels":{{"app":"load"}}}},"data":{{"text":"{text}"}}}}"#).into()
}

fn change() -> Bytes {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros();
    format!(r#"{{"data":{{"sent":"{now}"}}}}"#).into()
}

/// How long ago an event was sent, if it carries the time.
fn age(event: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(event).ok()?;
    let (_, rest) = text.split_once(SENT)?;
    let sent: u64 = rest.split('"').next()?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    now.checked_sub(Duration::from_micros(sent))
}

/// A line of the report: rate, rate for each core the server used, and latencies.
fn report(what: &str, took: Duration, cpu: Duration, mut latencies: Vec<Duration>) {
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    let count = latencies.len() as f64;
    let per_core = count / cpu.as_secs_f64().max(0.001);
    println!(
        "{what:<28} {:>9.0}/s {per_core:>9.0}/s a core   p50 {:>8.3} ms  p90 {:>8.3} ms  p99 {:>8.3} ms",
        count / took.as_secs_f64(),
        at(50),
        at(90),
        at(99)
    );
}

/// User and system time of a process so far; Linux counts in hundredths of a second.
fn cpu(process: &str) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<u64> =
        stat.rsplit(')').next().unwrap().split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    Duration::from_millis((fields[11] + fields[12]) * 10)
}

fn memory(process: &str) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let resident = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: u64 = resident.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("{:<28} {:>9} MiB", "resident", kib / 1024);
}

struct WallClock;

impl machinery::Clock for WallClock {
    fn now(&self) -> machinery::Timestamp {
        machinery::Timestamp::now()
    }
}

fn in_process() {
    let store = Store::new(&store::Options::default());
    let server = ApiServer::new(Options::new(store, Arc::new(WallClock), 1)).unwrap();
    server.bootstrap().unwrap();
    let ask = |method: Method, path: &str, body: Bytes| {
        let started = Instant::now();
        let mut request = Request::new(Body::Bytes(body));
        if method == Method::PATCH {
            request.headers_mut().insert("content-type", "application/merge-patch+json".parse().unwrap());
        }
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        let response = server.handle(request).now_or_never().unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.status());
        let size = response.into_body().collect().now_or_never().unwrap().len();
        (started.elapsed(), size)
    };
    let measure = |what: &str, count: usize, one: &dyn Fn(usize) -> Duration| {
        let (began, before) = (Instant::now(), cpu("self"));
        let latencies = (0..count).map(one).collect();
        report(what, began.elapsed(), cpu("self") - before, latencies);
    };
    measure("create", OBJECTS, &|index| ask(Method::POST, PATH, config_map(index)).0);
    measure("get", OBJECTS, &|index| ask(Method::GET, &format!("{PATH}/load-{index}"), Bytes::new()).0);
    measure("list of 10,000", LISTS, &|_| ask(Method::GET, PATH, Bytes::new()).0);
    measure("patch", OBJECTS, &|index| ask(Method::PATCH, &format!("{PATH}/load-{index}"), change()).0);
    let mut watches: Vec<_> = (0..WATCHERS)
        .map(|_| {
            let request = Request::get(format!("{PATH}?watch=1&resourceVersion={}", server.store().revision()));
            let response = server.handle(request.body(Body::empty()).unwrap()).now_or_never().unwrap();
            response.into_body().into_stream()
        })
        .collect();
    let (began, before, mut latencies) = (Instant::now(), cpu("self"), Vec::new());
    for index in 0..UPDATES {
        ask(Method::PATCH, &format!("{PATH}/load-{index}"), change());
        for watch in &mut watches {
            let line = watch.next().now_or_never().flatten().unwrap();
            latencies.push(age(&line).unwrap());
        }
    }
    report("events to 1,000 watchers", began.elapsed(), cpu("self") - before, latencies);
    memory("self");
}

/// Where the server is, and how to be let in.
struct Target {
    address: String,
    tls: Arc<rustls::ClientConfig>,
    http2: Arc<rustls::ClientConfig>,
}

impl Target {
    /// From the kubeconfig that `playground serve` writes.
    fn read(kubeconfig: &str) -> Self {
        let text = fs::read_to_string(kubeconfig).unwrap();
        let find = |name: &str| {
            let line = text.lines().find_map(|line| line.trim().trim_start_matches("- ").strip_prefix(name));
            line.unwrap().trim().trim_matches('"').to_owned()
        };
        let pem = |name: &str| base64::engine::general_purpose::STANDARD.decode(find(name)).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&pem("certificate-authority-data:")).unwrap()).unwrap();
        let certificate = CertificateDer::from_pem_slice(&pem("client-certificate-data:")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&pem("client-key-data:")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = config.unwrap().with_root_certificates(roots).with_client_auth_cert(vec![certificate], key).unwrap();
        let mut http2 = tls.clone();
        http2.alpn_protocols = vec![b"h2".to_vec()];
        let address = find("server:").trim_start_matches("https://").to_owned();
        Self { address, tls: Arc::new(tls), http2: Arc::new(http2) }
    }

    async fn connect(&self, config: &Arc<rustls::ClientConfig>) -> TokioIo<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let ip = self.address.rsplit_once(':').unwrap().0.to_owned();
        let name = ServerName::try_from(ip).unwrap();
        TokioIo::new(TlsConnector::from(config.clone()).connect(name, stream).await.unwrap())
    }

    fn uri(&self, path: &str) -> Uri {
        format!("https://{}{path}", self.address).parse().unwrap()
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
        let content_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request::builder().method(method).uri(path).header("host", &self.address);
        request.header("content-type", content_type).body(Full::new(body)).unwrap()
    }
}

/// Asks `count` times over the connections, each with one request at a time.
async fn measure(
    target: &Target,
    process: &str,
    what: &str,
    count: usize,
    make: impl Fn(usize) -> (Method, String, Bytes) + Send + Sync,
) {
    measure_with(CONNECTIONS, target, process, what, count, make).await;
}

async fn measure_with(
    connections: usize,
    target: &Target,
    process: &str,
    what: &str,
    count: usize,
    make: impl Fn(usize) -> (Method, String, Bytes) + Send + Sync,
) {
    let next = AtomicUsize::new(0);
    let (began, before) = (Instant::now(), cpu(process));
    let workers = (0..connections).map(|_| async {
        let (mut sender, connection) = http1::handshake(target.connect(&target.tls).await).await.unwrap();
        tokio::spawn(connection);
        let mut latencies = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return latencies;
            }
            let (method, path, body) = make(index);
            let started = Instant::now();
            sender.ready().await.unwrap();
            let response = sender.send_request(target.request(method, &path, body)).await.unwrap();
            assert!(response.status().is_success(), "{path}: {}", response.status());
            response.into_body().collect().await.unwrap();
            latencies.push(started.elapsed());
        }
    });
    let latencies: Vec<Duration> = futures::future::join_all(workers).await.concat();
    report(what, began.elapsed(), cpu(process) - before, latencies);
}

/// Acknowledged writes, each of which is on the disk.
async fn writes(target: &Target, process: &str) {
    const WRITES: [(usize, usize); 3] = [(1, 500), (8, 4_000), (64, 10_000)];
    let mut first = 0;
    for (clients, count) in WRITES {
        let start = first;
        first += count;
        let what = format!("{clients} client{}", if clients == 1 { "" } else { "s" });
        let create = |index| (Method::POST, PATH.to_owned(), config_map(start + index));
        measure_with(clients, target, process, &what, count, create).await;
    }
}

async fn https(target: &Target, process: &str) {
    let object = |index: usize| format!("{PATH}/load-{index}");
    measure(target, process, "create", OBJECTS, |index| (Method::POST, PATH.into(), config_map(index))).await;
    measure(target, process, "get", OBJECTS, |index| (Method::GET, object(index), Bytes::new())).await;
    measure(target, process, "list of 10,000", LISTS, |_| (Method::GET, PATH.into(), Bytes::new())).await;
    measure(target, process, "patch", OBJECTS, |index| (Method::PATCH, object(index), change())).await;
    fan_out(target, process).await;
    memory(process);
}

async fn fan_out(target: &Target, process: &str) {
    let mut watches = Vec::new();
    for _ in 0..WATCHERS / WATCHERS_PER_CONNECTION {
        let stream = target.connect(&target.http2).await;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..WATCHERS_PER_CONNECTION {
            let query = "watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan&labelSelector=app%3Dload";
            let request = Request::get(target.uri(&format!("{PATH}?{query}"))).body(Full::<Bytes>::default());
            watches.push(sender.send_request(request.unwrap()).await.unwrap().into_body());
        }
    }
    let readers: Vec<_> = watches.into_iter().map(|watch| tokio::spawn(read_events(watch))).collect();
    let (began, before) = (Instant::now(), cpu(process));
    let (mut sender, connection) = http1::handshake(target.connect(&target.tls).await).await.unwrap();
    tokio::spawn(connection);
    for index in 0..UPDATES {
        sender.ready().await.unwrap();
        let request = target.request(Method::PATCH, &format!("{PATH}/load-{index}"), change());
        sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    }
    let mut latencies = Vec::new();
    for reader in readers {
        latencies.extend(reader.await.unwrap());
    }
    report("events to 1,000 watchers", began.elapsed(), cpu(process) - before, latencies);
}

/// How old each event was when it came.
async fn read_events(mut watch: Incoming) -> Vec<Duration> {
    let (mut ages, mut rest) = (Vec::new(), Vec::new());
    while ages.len() < UPDATES {
        let frame = watch.frame().await.unwrap().unwrap();
        rest.extend_from_slice(&frame.into_data().unwrap());
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            ages.extend(age(&line));
        }
    }
    ages
}
