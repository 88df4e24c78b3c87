//! `cargo xtask test`: every test there is.

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::shell::{self, command, output, say};
use crate::{docker, serve, tools};

/// A part of the tests, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Unit and scenario tests of every crate, natively
    Native,
    /// The same scenarios in WebAssembly, headless in Chromium
    Wasm,
    /// The page in Chromium, `playground serve` with the machine's kubectl and the official clients, and
    /// real Docker
    EndToEnd,
}

/// Crates whose tests also run in WebAssembly.
const WASM_CRATES: [&str; 2] = ["playground-core", "playground-page"];

/// Runs the given parts, or all of them. All run even if one fails.
///
/// # Errors
/// When a test fails or a tool cannot be installed.
pub fn run(only: &[Part]) -> Result<()> {
    let parts = if only.is_empty() { Part::value_variants() } else { only };
    tools::for_tests()?;
    // Held until the tests have ended.
    let _daemon = docker::ensure()?;
    let mut failed = Vec::new();
    for part in parts {
        say(format!("tests: {part:?}"));
        let outcome = match part {
            Part::Native => native(),
            Part::Wasm => wasm(),
            Part::EndToEnd => end_to_end(),
        };
        if let Err(error) = outcome {
            say(format!("{part:?}: {error:#}"));
            failed.push(format!("{part:?}"));
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

fn native() -> Result<()> {
    shell::run(&mut command(&[
        "cargo",
        "test",
        "--workspace",
        "--exclude",
        "playground-page",
        "--exclude",
        "playground-web",
        "--exclude",
        "playground-tests",
        "--no-fail-fast",
    ]))
}

fn wasm() -> Result<()> {
    tools::for_page()?;
    // The history that the core makes natively, for the test that it is the same in WebAssembly.
    let hash = output(&["cargo", "run", "--quiet", "--package", "playground-core", "--example", "history_hash"]);
    let hash = hash.context("cannot compute the native history's hash")?;
    let mut test = command(&["cargo", "test", "--target", "wasm32-unknown-unknown", "--no-fail-fast"]);
    for package in WASM_CRATES {
        test.args(["--package", package]);
    }
    test.env("PATH", tools::path())
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", "wasm-bindgen-test-runner")
        .env("PLAYGROUND_HISTORY_HASH", hash)
        .env("CHROMEDRIVER", "/usr/bin/chromedriver")
        .env("WASM_BINDGEN_TEST_TIMEOUT", "1800");
    shell::run(&mut test)
}

fn end_to_end() -> Result<()> {
    tools::for_clients()?;
    serve::build()?;
    shell::run(&mut command(&[
        "cargo",
        "test",
        "--package",
        "playground-tests",
        "--no-fail-fast",
        "--",
        "--test-threads",
        "1",
    ]))
}
