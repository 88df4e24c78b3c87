//! The way to the API server.

use machinery::Metrics;
use machinery::wire::{Request, Response};

/// The way to the API server for a component in the same process: it answers at once. A component
/// that is cut off gets 503 with reason `ServiceUnavailable`, as from a connection refused.
///
/// Requests carry, in their extensions, nothing the API server must have; it fills in what is absent.
pub trait Transport {
    /// Sends one request.
    fn send(&self, request: Request) -> Response;

    /// Where the process counts, if it does.
    fn metrics(&self) -> Option<&Metrics> {
        None
    }
}
