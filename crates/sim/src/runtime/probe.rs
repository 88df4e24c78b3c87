//! What the kubelet dials: probes and hooks, from the node, with the errors of Go's HTTP client.

use std::time::Duration;

use futures::future::{Either, select};
use kubelet::runtime::{ErrorCode, Health, HttpResult, Outcome, RuntimeError};

use super::Completion;
use crate::network::http::{self, HttpError};
use crate::network::{ConnectError, Interface};

/// Most bytes of a body that the kubelet reads.
const BODY_BYTES_MAX: usize = 10 << 10;
/// How many redirects are followed.
const REDIRECTS_MAX: usize = 10;

/// The path of a health check.
pub(crate) const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";

/// A request to make.
pub(super) struct Get {
    pub(super) https: bool,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
}

/// One HTTP request.
pub(super) async fn http_get(interface: &Interface, get: Get, timeout: Duration) -> Completion {
    let request = Box::pin(follow(interface, &get));
    match select(request, interface.network().executor().sleep(timeout)).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(RuntimeError::new(
            ErrorCode::DeadlineExceeded,
            "context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
        )),
    }
}

async fn follow(interface: &Interface, get: &Get) -> Completion {
    let mut path = get.path.clone();
    for _ in 0..=REDIRECTS_MAX {
        let response = once(interface, get, &path).await?;
        let location = response.header("Location").and_then(|location| here(location, get));
        match location {
            Some(location) if (300..400).contains(&response.status) => path = location.to_owned(),
            _ => {
                let size = response.body.len().min(BODY_BYTES_MAX);
                let result = HttpResult { status: response.status, body: response.body.slice(..size) };
                return Ok(Outcome::Http(result));
            }
        }
    }
    Err(RuntimeError::new(ErrorCode::Unknown, "stopped after 10 redirects"))
}

/// The path of a redirect that stays where the request went; others are not followed.
fn here<'a>(location: &'a str, get: &Get) -> Option<&'a str> {
    if location.starts_with('/') {
        return Some(location);
    }
    let (scheme, rest) = location.split_once("://")?;
    let (place, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (host, port) = place.rsplit_once(':').unwrap_or((place, if scheme == "https" { "443" } else { "80" }));
    let same = host == get.host && port.parse() == Ok(get.port) && (scheme == "https") == get.https;
    same.then_some(path)
}

async fn once(interface: &Interface, get: &Get, path: &str) -> Result<http::Response, RuntimeError> {
    let stream =
        interface.connect(&get.host, get.port).await.map_err(|error| dial_error(&get.host, get.port, &error))?;
    if get.https && stream.info().tls.is_none() {
        let message = "http: server gave HTTP response to HTTPS client";
        return Err(RuntimeError::new(ErrorCode::Unknown, message));
    }
    if stream.info().tls.is_some() && !get.https {
        return Ok(http::Response::new(400, "text/plain", "Client sent an HTTP request to an HTTPS server.\n"));
    }
    let mut request = http::Request::new("GET", path, &format!("{}:{}", get.host, get.port));
    for (name, value) in &get.headers {
        if name.eq_ignore_ascii_case("host") {
            request.headers.retain(|(known, _)| known != "Host");
        }
        request.headers.push((name.clone(), value.clone()));
    }
    request.headers.push(("Connection".into(), "close".into()));
    http::fetch(&stream, &request).await.map_err(|error| {
        let info = stream.info();
        let message = match error {
            HttpError::Io(errno) => {
                format!("read tcp {}->{}: read: {}", info.local, info.remote, errno.as_str().to_lowercase())
            }
            HttpError::Closed => "EOF".to_owned(),
            HttpError::Malformed => {
                "net/http: HTTP/1.x transport connection broken: malformed HTTP response".to_owned()
            }
        };
        RuntimeError::new(ErrorCode::Unknown, message)
    })
}

/// Opens and closes a TCP connection.
pub(super) async fn tcp_dial(interface: &Interface, host: &str, port: u16, timeout: Duration) -> Completion {
    let dial = Box::pin(interface.connect(host, port));
    match select(dial, interface.network().executor().sleep(timeout)).await {
        Either::Left((Ok(_), _)) => Ok(Outcome::Done),
        Either::Left((Err(error), _)) => Err(dial_error(host, port, &error)),
        Either::Right(_) => {
            Err(RuntimeError::new(ErrorCode::DeadlineExceeded, format!("dial tcp {host}:{port}: i/o timeout")))
        }
    }
}

/// Asks a gRPC server for its health. Simulated servers take the call as an HTTP/1.1 request
/// ([`HEALTH_CHECK`]) and answer with the status' name.
pub(super) async fn grpc_check(
    interface: &Interface,
    host: &str,
    port: u16,
    service: &str,
    timeout: Duration,
) -> Completion {
    let deadline = interface.network().executor().sleep(timeout);
    let call = Box::pin(async {
        let Ok(stream) = interface.connect(host, port).await else {
            // A gRPC client dials until its time is over.
            return std::future::pending().await;
        };
        let mut request = http::Request::new("POST", HEALTH_CHECK, &format!("{host}:{port}"));
        request.headers.push(("Content-Type".into(), "application/grpc".into()));
        request.headers.push(("Grpc-Service".into(), service.to_owned()));
        let answer = http::fetch(&stream, &request).await;
        let answer = answer.ok().filter(|answer| answer.header("Content-Type") == Some("application/grpc"));
        match answer.as_ref().map(|answer| (answer.status, &answer.body[..])) {
            Some((200, b"SERVING")) => Ok(Outcome::Health(Health::Serving)),
            Some((200, b"NOT_SERVING")) => Ok(Outcome::Health(Health::NotServing)),
            Some((200, _)) => Ok(Outcome::Health(Health::Unknown)),
            Some(_) => {
                let message = "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service";
                Err(RuntimeError::new(ErrorCode::Unknown, message))
            }
            // Whoever does not speak HTTP/2 never answers the client's preface.
            None => std::future::pending().await,
        }
    });
    match select(call, deadline).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(RuntimeError::new(ErrorCode::DeadlineExceeded, "context deadline exceeded")),
    }
}

fn dial_error(host: &str, port: u16, error: &ConnectError) -> RuntimeError {
    let message = match error {
        ConnectError::NameNotFound(name) => format!("dial tcp: lookup {name}: no such host"),
        other => format!("dial tcp {host}:{port}: connect: {}", other.to_string().to_lowercase()),
    };
    RuntimeError::new(ErrorCode::Unknown, message)
}
