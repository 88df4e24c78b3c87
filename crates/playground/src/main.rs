//! `playground`: Kubernetes in one binary.
//!
//! `serve` runs the control plane and answers its API over HTTPS; what runs the containers is the
//! simulated world or Docker. The page is in the binary. This crate is where sockets, threads, files
//! and Docker are; everything else is `playground-core`.

mod assets;
mod certificates;
mod cli;
mod durability;
mod host;
mod http;
mod kubeconfig;
mod serve;
mod token;

use clap::Parser;

fn main() -> std::process::ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("PLAYGROUND_LOG").unwrap_or_else(|_| "warn".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let outcome = match cli::Cli::parse().command {
        cli::Command::Serve(options) => serve::run(&options),
    };
    match outcome {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}
