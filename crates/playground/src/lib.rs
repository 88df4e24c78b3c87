//! `playground`: Kubernetes in one binary.
//!
//! `serve` runs the control plane and answers its API over HTTPS; what runs the containers is the
//! simulated world or Docker. The page is in the binary. `kubectl` is the client. This crate is where sockets, threads, files
//! and Docker are; everything else is `playground-core`. Start reading at `serve`.

mod api;
mod assets;
mod certificates;
mod cli;
pub mod docker;
mod durability;
mod home;
mod host;
mod http;
mod ingress;
mod kubeconfig;
mod kubectl;
mod manage;
mod network;
mod notices;
mod ports;
mod progress;
mod serve;
mod shape;
mod tls;
mod token;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// Does what the command line says. `PLAYGROUND_LOG` says what is logged to standard error: `info`,
/// `warn,playground=debug`, …
pub fn run() -> ExitCode {
    let wanted = std::env::var("PLAYGROUND_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = wanted.unwrap_or_else(|| Targets::new().with_default(LevelFilter::WARN));
    let lines =
        tracing_subscriber::fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines).with(filter).init();
    let command = cli::Cli::parse().command;
    if !matches!(command, cli::Command::Serve(_)) {
        end_with_the_reader();
    }
    let outcome = match command {
        cli::Command::Serve(options) => serve::run(&options),
        cli::Command::Create { what } => manage::create(&what),
        cli::Command::Delete { what } => manage::delete(&what),
        cli::Command::Start { what } => manage::switch(&what, true),
        cli::Command::Stop { what } => manage::switch(&what, false),
        cli::Command::Get { what } => manage::get(&what),
        cli::Command::Status(which) => manage::status(&which),
        cli::Command::Load { what } => manage::load(&what),
        cli::Command::Export { what } => manage::export(&what),
        cli::Command::Node { action } => manage::node(&action),
        cli::Command::Completion { shell } => {
            clap_complete::generate(shell, &mut cli::Cli::command(), "playground", &mut std::io::stdout());
            Ok(())
        }
        cli::Command::Kubectl { arguments } => return kubectl::run(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A command whose reader has gone (`playground get nodes | head -1`) ends without a word, as by SIGPIPE, which Rust's
/// programs do not hear of: what they print fails, and is a panic.
fn end_with_the_reader() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let words = panic.payload_as_str().unwrap_or_default();
        if words.starts_with("failed printing to") && words.contains("Broken pipe") {
            std::process::exit(kubectl::BROKEN_PIPE);
        }
        // What holds it is not dropped.
        kubectl::put_terminal_back();
        told(panic);
    }));
}
