//! `cargo xtask serve`: build, then serve. `cargo xtask dist`: the binary that users get.

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

/// What users get.
const DIST: &str = "target/dist/playground";
/// It is no larger than this.
const DIST_BYTES_MAX: u64 = 25_000_000;

/// Builds the binary that users get: static, with the page in it.
///
/// # Errors
/// When a build fails, or the binary is larger than it may be.
pub fn dist() -> Result<()> {
    page::build()?;
    crate::tools::for_dist()?;
    let target = crate::tools::static_target();
    let build = ["cargo", "rustc", "--profile", "dist", "--package", "playground", "--bin", "playground"];
    // The toolchain's own linker folds functions that are the same.
    let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
    let mut build = command(&build);
    build.args(["--target", &target, "--", "-C", "link-arg=--icf=all", "-C", "relocation-model=static"]);
    crate::shell::run(build.env(linker, "rust-lld"))?;
    std::fs::create_dir_all("target/dist")?;
    std::fs::copy(format!("target/{target}/dist/playground"), DIST)?;
    let bytes = std::fs::metadata(DIST)?.len();
    say(format!("{DIST}: {bytes} bytes"));
    if bytes > DIST_BYTES_MAX {
        bail!("{DIST} is {} bytes larger than it may be", bytes - DIST_BYTES_MAX);
    }
    Ok(())
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
