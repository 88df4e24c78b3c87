//! Connections from the host's own network into the cluster's.

use std::net::SocketAddr;

use machinery::wire::{Body, Channels, Request};

use crate::gateway::{Gateway, Target};

/// Opens connections into the cluster, from any thread.
#[derive(Clone)]
pub struct Inlet(Gateway);

impl Inlet {
    pub(crate) fn new(gateway: Gateway) -> Self {
        Self(gateway)
    }

    /// A connection to a port of `localhost`: a Service's node port, a load balancer's, or the Ingresses'. Channel 0
    /// carries the bytes. None if nobody answers there.
    pub async fn connect(&self, port: u16) -> Option<Channels> {
        self.open(Target::HostPort(port)).await
    }

    /// A connection to an address of a simulated node or pod. Channel 0 carries the bytes. None if nobody
    /// answers there.
    pub async fn dial(&self, address: SocketAddr) -> Option<Channels> {
        self.open(Target::Socket(address)).await
    }

    async fn open(&self, target: Target) -> Option<Channels> {
        let response = self.0.call(target, Request::new(Body::empty())).await;
        match response.into_body() {
            Body::Upgrade(channels) => Some(channels),
            _ => None,
        }
    }
}
