//! `cargo xtask serve`: build, then serve.

use std::os::unix::process::CommandExt;

use anyhow::{Result, bail};

use crate::page;
use crate::shell::{command, say};

/// The release binary.
pub const BINARY: &str = "target/release/playground";

/// Builds the page and the binary with the page in it.
///
/// # Errors
/// When a build fails.
pub fn build() -> Result<()> {
    page::build()?;
    crate::tools::for_binary()?;
    crate::shell::run(&mut command(&["cargo", "build", "--release", "--package", "playground"]))
}

/// Builds, then becomes `playground serve`: Ctrl-C and exit status are the server's own.
///
/// # Errors
/// When a build fails or the binary cannot be started.
pub fn run(arguments: &[String]) -> Result<()> {
    build()?;
    say(format!("{BINARY} serve {}", arguments.join(" ")));
    bail!("cannot start {BINARY}: {}", command(&[BINARY, "serve"]).args(arguments).exec())
}
