//! `cargo xtask fuzz`: hostile input for every door, by libFuzzer.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell::{command, run, say};
use crate::tools;

const FOLDER: &str = "fuzz";

/// Runs the targets in `fuzz/targets` whose names are given, or all of them, each for some seconds. What
/// they find grows in `fuzz/corpus`; what breaks one is in `fuzz/artifacts`.
///
/// # Errors
/// When a tool cannot be installed, there is no such target, or one fails.
pub fn run_targets(only: &[String], seconds: u32) -> Result<()> {
    let known = targets()?;
    if let Some(other) = only.iter().find(|name| !known.contains(name)) {
        bail!("there is no fuzz target {other}; there are {}", known.join(", "));
    }
    tools::for_fuzzing()?;
    let mut failed = Vec::new();
    for target in known.iter().filter(|name| only.is_empty() || only.contains(name)) {
        say(format!("fuzzing {target} for {seconds} s"));
        let [corpus, seeds] = ["corpus", "seeds"].map(|folder| Path::new(FOLDER).join(folder).join(target));
        fs::create_dir_all(&corpus)?;
        // Memory is safe already: without the address sanitizer more is tried in the same time.
        let fuzz = [
            "rustup",
            "run",
            tools::NIGHTLY,
            "cargo",
            "fuzz",
            "run",
            "--sanitizer",
            "none",
            "--codegen-units",
            "16",
            target.as_str(),
        ];
        let mut fuzz = command(&fuzz);
        fuzz.arg(corpus).arg(seeds).arg("--").arg(format!("-max_total_time={seconds}"));
        fuzz.args(["-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]).env("PATH", tools::path());
        if let Err(error) = run(&mut fuzz) {
            say(format!("{error:#}"));
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
}

/// The names of all targets.
fn targets() -> Result<Vec<String>> {
    let folder = Path::new(FOLDER).join("targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        names.extend(entry?.path().file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
