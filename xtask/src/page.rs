//! The static page: JavaScript widgets by esbuild, the rest by Trunk.

use std::env;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::shell::{command, run, say};
use crate::tools;

const WIDGETS: &str = "www/widgets";

/// How the page's programs are compiled beyond what `Cargo.toml` can say: smaller by a sixth (ARCHITECTURE.md, "The
/// page's bytes"). The standard library is built with them, for size; a panic is a trap, without a message that would
/// have to be put together; nothing says where in the source it was. Cargo has this behind its unstable options, which
/// the pinned toolchain's are. Without them, as in a plain `trunk build`, the page is the same, and larger.
const SMALLER: [(&str, &str); 6] = [
    ("RUSTC_BOOTSTRAP", "1"),
    ("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort"),
    ("CARGO_UNSTABLE_BUILD_STD_FEATURES", "optimize_for_size"),
    ("CARGO_UNSTABLE_PANIC_IMMEDIATE_ABORT", "true"),
    ("CARGO_PROFILE_PAGE_PANIC", "immediate-abort"),
    ("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-Zlocation-detail=none"),
];

/// What the page is made of.
const SOURCES: [&str; 8] =
    ["crates", "www", "index.html", "Trunk.toml", "Cargo.toml", "Cargo.lock", "xtask/src/split", "xtask/src/split.rs"];

/// Builds the page into `dist/`, unless nothing has changed since it was built last: the binary that
/// holds it then need not be built again either.
///
/// # Errors
/// When a tool cannot be installed or a build fails.
pub fn build() -> Result<()> {
    let built = fs::metadata("dist/index.html").and_then(|file| file.modified()).ok();
    let changed = SOURCES.iter().filter_map(|source| newest(Path::new(source))).max();
    if built.is_some() && built > changed {
        say("the page in dist/ is up to date");
        return Ok(());
    }
    tools::for_page()?;
    tools::npm(WIDGETS)?;
    tools::crates(&SMALLER)?;
    let own = env::current_exe().context("this program has no path")?;
    run(command(&["trunk", "build", "--release", "--offline"])
        .envs(SMALLER)
        // For Trunk's hooks, which would build it for themselves with those options.
        .env("XTASK", own)
        .env("PATH", tools::path())
        .env_remove("NO_COLOR"))
}

/// When anything in a folder changed last, installed packages aside.
fn newest(path: &Path) -> Option<SystemTime> {
    let own = fs::metadata(path).ok()?;
    if own.is_file() {
        return own.modified().ok();
    }
    let entries = fs::read_dir(path).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    entries.filter(|entry| !entry.ends_with("node_modules")).filter_map(|entry| newest(&entry)).max()
}

/// Takes the README's screenshots.
///
/// # Errors
/// When the page cannot be built or the browser fails.
pub fn screenshot() -> Result<()> {
    build()?;
    tools::for_tests()?;
    run(&mut command(&["cargo", "test", "--package", "playground-tests", "--test", "screenshots", "--", "--ignored"]))
}
