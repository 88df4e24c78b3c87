//! Simulated containers, nodes and their network.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, which clippy does not see as tests")]

mod world;

mod files;
mod hostile;
mod network;
mod runtime;
mod shell;
mod terminal;
