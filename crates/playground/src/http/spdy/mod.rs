//! SPDY/3.1 as Kubernetes uses it: the server's side of a connection whose client opens streams.

mod connection;
mod frame;
mod headers;

pub use connection::{Stream, Streams, Writer, serve};
pub use headers::Headers;
