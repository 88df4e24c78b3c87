//! The kubelet by behaviour: a real kubelet over a scripted API and a scripted runtime, in virtual time.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
mod environment;
#[cfg(not(target_family = "wasm"))]
mod hostile;
mod lifecycle;
mod probes;
mod server;
mod table;
