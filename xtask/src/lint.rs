//! `cargo xtask lint`: the quality gates.

use anyhow::Result;

use crate::shell::{self, command, on_path, say};
use crate::tools;

/// Formatting, clippy for both targets, documentation, and cargo-deny's offline checks where it is
/// installed.
///
/// # Errors
/// When a gate does not hold.
pub fn run() -> Result<()> {
    shell::run(&mut command(&["cargo", "fmt", "--all", "--check"]))?;
    tools::for_binary()?;
    shell::run(&mut command(&[
        "cargo",
        "clippy",
        "--workspace",
        "--exclude",
        "playground-page",
        "--exclude",
        "playground-web",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    tools::for_page()?;
    shell::run(&mut command(&[
        "cargo",
        "clippy",
        "--package",
        "playground-page",
        "--package",
        "playground-web",
        "--target",
        "wasm32-unknown-unknown",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    shell::run(
        command(&[
            "cargo",
            "doc",
            "--workspace",
            "--exclude",
            "playground-page",
            "--exclude",
            "playground-web",
            "--no-deps",
        ])
        .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    if on_path("cargo-deny") {
        shell::run(&mut command(&["cargo", "deny", "--offline", "check", "licenses", "bans", "sources"]))?;
    } else {
        say("cargo-deny is not installed: licences not checked (cargo install cargo-deny --locked)");
    }
    Ok(())
}
