//! The program in the cluster's own containers. Its first argument says what it does:
//!
//! - `pause NAME`: holds a container's namespaces, and nothing else. A pod's sandbox, and a node.
//! - `usage ID…`: tells what containers use.
//! - `serve`: does what `playground serve` asks for, over standard input and output.

use std::process::ExitCode;

mod link;
mod namespace;
mod netlink;
mod pause;
mod relay;
mod usage;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("pause") => pause::run(),
        Some("usage") => usage::run(&std::env::args().skip(2).collect::<Vec<_>>()),
        Some("serve") => match relay::run() {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: playground-agent pause NAME | usage ID... | serve");
            ExitCode::FAILURE
        }
    }
}
