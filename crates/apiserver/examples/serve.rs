//! The API server alone behind a plain HTTP port, to point real clients at it:
//! `cargo run -p playground-apiserver --example serve -- 8001`, then
//! `kubectl --server http://127.0.0.1:8001 get namespaces`.

#![allow(clippy::disallowed_methods, reason = "an example is a host")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::{self, Body};
use axum::extract::State;
use futures::StreamExt;
use machinery::{Clock, Timestamp, wire};
use playground_apiserver::{ApiServer, Options};
use store::Store;

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_nanosecond(now.as_nanos() as i128).unwrap_or_default()
    }
}

async fn handle(State(server): State<ApiServer>, request: http::Request<Body>) -> http::Response<Body> {
    if std::env::var_os("TRACE").is_some() {
        eprintln!("{} {} {:?}", request.method(), request.uri(), request.headers());
    }
    let (parts, body) = request.into_parts();
    let body = body::to_bytes(body, 3 << 20).await.unwrap_or_default();
    let response = server.handle(http::Request::from_parts(parts, wire::Body::Bytes(body))).await;
    let (parts, body) = response.into_parts();
    let body = Body::from_stream(body.into_stream().map(Ok::<_, std::convert::Infallible>));
    http::Response::from_parts(parts, body)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "8001".into());
    let mut options = Options::new(Store::new(&store::Options::default()), Arc::new(WallClock), 1);
    options.descriptions = Some(|| Ok(machinery::schema::DESCRIPTIONS_JSON.as_bytes().into()));
    let server = ApiServer::new(options)?;
    server.bootstrap()?;
    let ticking = server.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            ticking.advance(std::task::Waker::noop());
        }
    });
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("http://127.0.0.1:{port}");
    axum::serve(listener, Router::new().fallback(handle).with_state(server)).await?;
    Ok(())
}
