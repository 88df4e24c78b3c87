//! Servers that images run.

mod agnhost;
mod cassandra;
pub mod coredns;
mod daemons;
mod generic;
mod guestbook;
mod hello;
mod load;
mod mongo;
mod mysql;
mod nginx;
mod notice;
pub mod pages;
mod postgres;
mod rabbit;
pub(super) mod redis;
mod samples;
mod voting;
mod web;
mod wordpress;
mod xtrabackup;
mod zookeeper;

use std::future::Future;

use bytes::BytesMut;
use futures::StreamExt;
use futures::future::{Either, LocalBoxFuture, select};
use futures::stream::FuturesUnordered;
use machinery::Timestamp;

use super::Main;
use crate::errno::Errno;
use crate::network::http::{self, Request, Response};
use crate::network::{TcpListener, TcpStream};
use crate::process::{Process, Signal};

/// What runs in every cluster from its birth on.
pub(super) const SYSTEM: &[(&str, Main)] =
    &[("coredns", |process| Box::pin(coredns::main(process))), ("pause", |process| Box::pin(pause(process)))];

/// Servers by the name their executables carry.
pub(super) const SERVERS: &[(&str, Main)] = &[
    ("agnhost", |process| Box::pin(agnhost::main(process))),
    ("amqp-tools", |process| Box::pin(rabbit::tools(process))),
    ("cassandra", |process| Box::pin(cassandra::main(process))),
    ("cassandra-ready", |process| Box::pin(cassandra::ready(process))),
    ("cqlsh", |process| Box::pin(cassandra::cqlsh(process))),
    ("currency-exchange", |process| Box::pin(hello::currency_exchange(process))),
    ("echoserver", |process| Box::pin(samples::echoserver(process))),
    ("etcd-server", |process| Box::pin(agnhost::etcd(process))),
    ("gb-follower", |process| Box::pin(guestbook::follower(process))),
    ("gb-frontend", |process| Box::pin(guestbook::frontend(process))),
    ("generic-server", |process| Box::pin(generic::main(process))),
    ("hello-app", |process| Box::pin(hello::hello_app(process))),
    ("hello-go-gke", |process| Box::pin(hello::hello_go(process))),
    ("hello-world", |process| Box::pin(hello::hello_world(process))),
    ("hellokube", |process| Box::pin(hello::hellokube(process))),
    ("http-echo", |process| Box::pin(hello::http_echo(process))),
    ("hpa-example", |process| Box::pin(load::hpa_example(process))),
    ("httpd", |process| Box::pin(web::httpd(process))),
    ("ingress-nginx", |process| Box::pin(samples::ingress_nginx(process))),
    ("kubernetes-bootcamp", |process| Box::pin(hello::bootcamp(process))),
    ("memcached", |process| Box::pin(daemons::memcached(process))),
    ("mongo-shell", |process| Box::pin(mongo::shell(process))),
    ("mongod", |process| Box::pin(mongo::server(process))),
    ("mysql", |process| Box::pin(mysql::client(process))),
    ("mysqld", |process| Box::pin(mysql::server(process))),
    ("ncat", |process| Box::pin(xtrabackup::ncat(process))),
    ("nginx", |process| Box::pin(nginx::main(process))),
    ("nginx-entrypoint", |process| Box::pin(nginx::entrypoint(process))),
    ("nodetool", |process| Box::pin(cassandra::nodetool(process))),
    ("perl", |process| Box::pin(samples::perl(process))),
    ("pg_isready", |process| Box::pin(postgres::pg_isready(process))),
    ("postgres", |process| Box::pin(postgres::server(process))),
    ("psql", |process| Box::pin(postgres::psql(process))),
    ("rabbitmq-server", |process| Box::pin(rabbit::server(process))),
    ("rabbitmqctl", |process| Box::pin(rabbit::control(process))),
    ("redis-cli", |process| Box::pin(redis::cli(process))),
    ("redis-server", |process| Box::pin(redis::server(process))),
    ("serve-hostname", |process| Box::pin(agnhost::serve_hostname(process))),
    ("stress", |process| Box::pin(load::stress(process))),
    ("vote", |process| Box::pin(voting::vote(process))),
    ("vote-result", |process| Box::pin(voting::result(process))),
    ("vote-worker", |process| Box::pin(voting::worker(process))),
    ("whoami-server", |process| Box::pin(hello::whoami(process))),
    ("wordpress", |process| Box::pin(wordpress::main(process))),
    ("xbstream", |process| Box::pin(xtrabackup::xbstream(process))),
    ("xtrabackup", |process| Box::pin(xtrabackup::main(process))),
    ("zookeeper", |process| Box::pin(zookeeper::main(process))),
    ("zookeeper-cli", |process| Box::pin(zookeeper::cli(process))),
    ("zookeeper-ready", |process| Box::pin(zookeeper::ready(process))),
];

/// What a signal does to a server: the exit code with which it ends.
type Stops = &'static [(Signal, i32)];

/// A Go program without handlers of its own: its runtime exits with 2, even as init.
const GO: Stops = &[(Signal::Term, 2), (Signal::Int, 2), (Signal::Quit, 2)];
/// A JVM.
const JAVA: Stops = &[(Signal::Term, 143), (Signal::Int, 130)];
/// A server that ends in good order.
const GRACEFUL: Stops = &[(Signal::Term, 0), (Signal::Int, 0), (Signal::Quit, 0)];

/// Does nothing until it is asked to end.
async fn pause(process: Process) -> i32 {
    until_stopped(&process, GRACEFUL, std::future::pending()).await
}

/// Runs until `work` ends or a signal ends it. Processes that are stopped while they serve drop their
/// connections.
async fn until_stopped(process: &Process, stops: Stops, work: impl Future<Output = i32>) -> i32 {
    for (signal, _) in stops {
        process.signals.handle(*signal);
    }
    let stopped = async {
        loop {
            let signal = process.signals.next().await;
            if let Some((_, code)) = stops.iter().find(|(known, _)| *known == signal) {
                return *code;
            }
        }
    };
    match select(Box::pin(work), Box::pin(stopped)).await {
        Either::Left((code, _)) | Either::Right((code, _)) => code,
    }
}

/// Serves all that connect, beside each other, for ever.
async fn each_client<T, F: Future>(listener: &TcpListener, client: impl Fn(TcpStream) -> F) -> T {
    let mut clients = FuturesUnordered::new();
    loop {
        let accept = Box::pin(listener.accept());
        if clients.is_empty() {
            clients.push(client(accept.await));
        } else if let Either::Left((stream, _)) = select(accept, clients.next()).await {
            clients.push(client(stream));
        }
    }
}

/// The next line of standard input with its end, or what is left without one; none at the end. What was read beyond it
/// stays in `read`.
async fn next_line(process: &Process, read: &mut BytesMut) -> Option<BytesMut> {
    const PART_BYTES: usize = 4096;
    let end = loop {
        if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            break end + 1;
        }
        match process.stdin().read(PART_BYTES).await {
            Ok(part) if !part.is_empty() => read.extend_from_slice(&part),
            _ => break read.len(),
        }
    };
    (end > 0).then(|| read.split_to(end))
}

/// Listens on a port of the process' machine.
fn bind(process: &Process, port: u16) -> Result<TcpListener, Errno> {
    // Only root may have the ports below 1024; containers allow them to everybody since Docker 20.10.
    process.machine.interface().listen(port).map(|(_, listener)| listener)
}

/// Serves HTTP until stopped.
async fn serve<F>(process: &Process, listener: TcpListener, stops: Stops, handler: F) -> i32
where
    F: Fn(Request, TcpStream) -> LocalBoxFuture<'static, Response>,
{
    until_stopped(process, stops, async {
        http::serve(&listener, handler).await;
        0
    })
    .await
}

/// Serves the files of the working directory, as `python -m http.server` does.
pub(super) async fn folder_server(process: Process, port: u16) -> i32 {
    const STOPS: Stops = &[(Signal::Int, 0)];
    let Ok(listener) = bind(&process, port) else {
        return process.fail(1, "OSError: [Errno 98] Address already in use").await;
    };
    process.print(format!("Serving HTTP on 0.0.0.0 port {port} (http://0.0.0.0:{port}/) ...\n")).await;
    let (fs, cwd, stderr, machine) =
        (process.fs().clone(), process.cwd.clone(), process.stderr(), process.machine.clone());
    serve(&process, listener, STOPS, move |request, stream| {
        let (fs, stderr, machine) = (fs.clone(), stderr.clone(), machine.clone());
        let path = format!("{}{}", cwd.trim_end_matches('/'), crate::fs::absolute("/", request.path()));
        Box::pin(async move {
            let index = format!("{}/index.html", path.trim_end_matches('/'));
            let response = match fs.list(&path) {
                Ok(_) if fs.exists(&index) => fs.read(&index).ok().map(|body| Response::new(200, "text/html", body)),
                Ok(entries) => {
                    let row = |(name, _): (String, _)| format!("<li><a href=\"{name}\">{name}</a></li>\n");
                    let rows: String = entries.into_iter().map(row).collect();
                    let title = format!("Directory listing for {}", request.path());
                    let body =
                        format!("<!DOCTYPE HTML>\n<title>{title}</title>\n<h1>{title}</h1>\n<ul>\n{rows}</ul>\n");
                    Some(Response::new(200, "text/html; charset=utf-8", body))
                }
                Err(_) => fs.read(&path).ok().map(|body| Response::new(200, content_type(&path), body)),
            };
            let response =
                response.unwrap_or_else(|| Response::new(404, "text/html;charset=utf-8", "File not found\n"));
            let line = format!(
                "{} - - [{}] \"{} {} HTTP/1.1\" {} -\n",
                stream.info().remote.ip(),
                stamp(machine.now(), "%d/%b/%Y %H:%M:%S"),
                request.method,
                request.target,
                response.status
            );
            let _ = stderr.write_all(line.as_bytes()).await;
            response
        })
    })
    .await
}

/// The time in a `strftime` format, in UTC.
pub(super) fn stamp(time: Timestamp, format: &str) -> String {
    time.strftime(format).to_string()
}

/// A page's path on disk as a content type.
fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html" | "htm") => "text/html",
        Some("css") => "text/css",
        Some("js") => "application/javascript",
        Some("json") => "application/json",
        Some("txt" | "log" | "conf") => "text/plain",
        Some("svg") => "image/svg+xml",
        Some("xml") => "text/xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}
