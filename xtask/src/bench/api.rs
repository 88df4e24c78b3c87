//! The API server under load: in process, and over HTTPS with 32 connections.

use std::path::Path;

use anyhow::Result;

use crate::shell::{command, run, say};

/// Calls an API server in one process: what the API itself costs.
///
/// # Errors
/// When the load cannot be built or fails.
pub fn in_process() -> Result<()> {
    say("API in process, one core");
    load(&["in-process"])
}

/// Puts load on a server that runs with this kubeconfig.
///
/// # Errors
/// When the load cannot be built or fails.
pub fn https(kubeconfig: &Path, process: u32) -> Result<()> {
    say("API over HTTPS, 32 connections; the load shares the machine with the server");
    load(&["https", &kubeconfig.to_string_lossy(), &process.to_string()])
}

fn load(arguments: &[&str]) -> Result<()> {
    let cargo = ["cargo", "run", "--quiet", "--release", "--package", "playground", "--example", "load", "--"];
    run(command(&cargo).args(arguments))
}
