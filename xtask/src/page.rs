//! The static page: JavaScript widgets by esbuild, the rest by Trunk.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;

use crate::shell::{command, run, say};
use crate::tools;

const WIDGETS: &str = "www/widgets";

/// What the page is made of.
const SOURCES: [&str; 6] = ["crates", "www", "index.html", "Trunk.toml", "Cargo.toml", "Cargo.lock"];

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
    tools::crates()?;
    run(command(&["trunk", "build", "--release", "--offline"]).env("PATH", tools::path()).env_remove("NO_COLOR"))
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
