//! The containers' real network, as this machine reaches it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use axum::body::Body as HttpBody;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use hyper_util::rt::TokioIo;
use machinery::status::ApiError;
use machinery::wire::{Body, Channels, Request, Response};
use playground_core::HostNetwork;
use playground_core::ingress::InForce;
use proxy::{Policies, Tables};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::docker::{Connection, PodNetwork};
use crate::ports;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sockets of this machine, and the pods' network on Docker.
pub struct Sockets {
    /// Where connections are made.
    pub handle: Handle,
    /// What carries the pods' own connections.
    pub pods: Arc<PodNetwork>,
    /// Told of the Ingresses in force.
    pub ingresses: watch::Sender<InForce>,
}

impl HostNetwork for Sockets {
    fn connect(&self, address: SocketAddr) -> BoxFuture<'static, Option<Channels>> {
        let pods = self.pods.clone();
        // The caller's thread has no tokio of its own.
        let connecting = self.handle.spawn(async move {
            let stream = tokio::time::timeout(CONNECT_TIMEOUT, pods.dial(address)).await.ok()?.ok()?;
            let (ours, theirs) = Channels::pair();
            tokio::spawn(ports::carry(stream, ours));
            Some(theirs)
        });
        connecting.map(|channels| channels.ok().flatten()).boxed()
    }

    fn request(&self, address: &str, request: Request) -> BoxFuture<'static, Response> {
        let (owned, pods) = (address.to_owned(), self.pods.clone());
        let answer = self.handle.spawn(async move {
            request_over(&pods, &owned, request).await.unwrap_or_else(|error| {
                let message = format!("error trying to reach service: dial tcp {owned}: {error:#}");
                ApiError::service_unavailable(message).into_response()
            })
        });
        answer.map(|response| response.unwrap_or_else(|error| ApiError::internal(error).into_response())).boxed()
    }

    fn set_tables(&self, tables: &Tables) {
        self.pods.set_tables(tables);
    }

    fn set_policies(&self, policies: &Policies) {
        self.pods.set_policies(policies);
    }

    fn set_ingresses(&self, ingresses: &InForce) {
        // Nobody serves them where the host is about to end.
        let _ = self.ingresses.send(ingresses.clone());
    }
}

async fn request_over(pods: &PodNetwork, address: &str, request: Request) -> Result<Response> {
    let dial = async {
        match address.parse() {
            Ok(address) => pods.dial(address).await.map_err(anyhow::Error::msg),
            Err(_) => Ok(Box::new(TcpStream::connect(address).await?) as Box<dyn Connection>),
        }
    };
    let stream = tokio::time::timeout(CONNECT_TIMEOUT, dial).await.map_err(|_| anyhow::anyhow!("i/o timeout"))??;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let (mut parts, body) = request.into_parts();
    parts.headers.insert(http::header::HOST, address.parse()?);
    let body = HttpBody::from_stream(body.into_stream().map(Ok::<_, std::convert::Infallible>));
    let answer = sender.send_request(http::Request::from_parts(parts, body)).await?;
    Ok(answer.map(|body| {
        let data = HttpBody::new(body).into_data_stream();
        // A body that breaks off ends there.
        Body::Stream(Box::pin(
            data.take_while(|part| std::future::ready(part.is_ok())).filter_map(|part| async { part.ok() }),
        ))
    }))
}
