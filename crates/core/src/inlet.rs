//! Connections from the host's own network into the cluster's.

use machinery::wire::{Body, Channels, Request};

use crate::gateway::{Gateway, Target};

/// Opens connections into the cluster, from any thread.
#[derive(Clone)]
pub struct Inlet(Gateway);

impl Inlet {
    pub(crate) fn new(gateway: Gateway) -> Self {
        Self(gateway)
    }

    /// A connection to a port of `localhost`, as the Services have it: a node port or a load balancer's.
    /// Channel 0 carries the bytes. None if nobody answers there.
    pub async fn connect(&self, port: u16) -> Option<Channels> {
        let response = self.0.call(Target::HostPort(port), Request::new(Body::empty())).await;
        match response.into_body() {
            Body::Upgrade(channels) => Some(channels),
            _ => None,
        }
    }
}
