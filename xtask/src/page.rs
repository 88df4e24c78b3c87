//! The static page: JavaScript widgets by esbuild, the rest by Trunk.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::shell::{command, run, say};
use crate::tools;

const WIDGETS: &str = "www/widgets";

/// Builds the page into `dist/`.
///
/// # Errors
/// When a tool cannot be installed or a build fails.
pub fn build() -> Result<()> {
    tools::for_page()?;
    widgets()?;
    run(command(&["trunk", "build", "--release", "--offline"]).env("PATH", tools::path()).env_remove("NO_COLOR"))
}

/// Installs the widgets' packages when their lock file has changed since.
fn widgets() -> Result<()> {
    let lock = Path::new(WIDGETS).join("package-lock.json");
    let stamp = Path::new(WIDGETS).join("node_modules/.installed-lock.json");
    let wanted = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    say("installing the page's JavaScript widgets");
    run(command(&["npm", "ci", "--no-audit", "--no-fund"]).current_dir(WIDGETS))?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
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
