//! Servers that images run.

mod agnhost;
mod cassandra;
pub mod coredns;
mod daemons;
mod generic;
mod guestbook;
mod hello;
mod load;
mod mysql;
mod nginx;
pub mod pages;
mod postgres;
mod redis;
mod samples;
mod voting;
mod web;
mod wordpress;
mod zookeeper;

use std::future::Future;

use futures::future::{Either, LocalBoxFuture, select};
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
    ("cassandra", |process| Box::pin(cassandra::main(process))),
    ("cassandra-ready", |process| Box::pin(cassandra::ready(process))),
    ("currency-exchange", |process| Box::pin(hello::currency_exchange(process))),
    ("echoserver", |process| Box::pin(samples::echoserver(process))),
    ("gb-follower", |process| Box::pin(guestbook::follower(process))),
    ("gb-frontend", |process| Box::pin(guestbook::frontend(process))),
    ("generic-server", |process| Box::pin(generic::main(process))),
    ("hello-app", |process| Box::pin(hello::hello_app(process))),
    ("hello-world", |process| Box::pin(hello::hello_world(process))),
    ("hellokube", |process| Box::pin(hello::hellokube(process))),
    ("http-echo", |process| Box::pin(hello::http_echo(process))),
    ("hpa-example", |process| Box::pin(load::hpa_example(process))),
    ("httpd", |process| Box::pin(web::httpd(process))),
    ("ingress-nginx", |process| Box::pin(samples::ingress_nginx(process))),
    ("kubernetes-bootcamp", |process| Box::pin(hello::bootcamp(process))),
    ("memcached", |process| Box::pin(daemons::main(process, "memcached"))),
    ("mongod", |process| Box::pin(daemons::main(process, "mongod"))),
    ("mysql", |process| Box::pin(mysql::client(process))),
    ("mysqld", |process| Box::pin(mysql::server(process))),
    ("nginx", |process| Box::pin(nginx::main(process))),
    ("nginx-entrypoint", |process| Box::pin(nginx::entrypoint(process))),
    ("nodetool", |process| Box::pin(cassandra::nodetool(process))),
    ("perl", |process| Box::pin(samples::perl(process))),
    ("pg_isready", |process| Box::pin(postgres::pg_isready(process))),
    ("postgres", |process| Box::pin(postgres::server(process))),
    ("psql", |process| Box::pin(postgres::psql(process))),
    ("rabbitmq-server", |process| Box::pin(daemons::main(process, "rabbitmq-server"))),
    ("redis-cli", |process| Box::pin(redis::cli(process))),
    ("redis-server", |process| Box::pin(redis::server(process))),
    ("stress", |process| Box::pin(load::stress(process))),
    ("vote", |process| Box::pin(voting::vote(process))),
    ("vote-result", |process| Box::pin(voting::result(process))),
    ("vote-worker", |process| Box::pin(voting::worker(process))),
    ("whoami-server", |process| Box::pin(hello::whoami(process))),
    ("wordpress", |process| Box::pin(wordpress::main(process))),
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

/// The time in a `strftime` format, in UTC.
fn stamp(time: Timestamp, format: &str) -> String {
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
