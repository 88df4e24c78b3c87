//! The native binary: serve, TLS, Docker runtime, node network.
fn main() {}
