//! `cargo xtask split`: cuts the Worker's code into what every visit needs and chunks that load when they
//! are first used (`sim::split!` says which). Trunk calls it after a build (`Trunk.toml`).

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, ensure};
use wasm_split_cli_support::{Options, transform};

use crate::shell::{command, run};

/// The Worker's program, and the JavaScript module that loads it.
const WORKER: &str = "playground-worker";

/// Where cargo leaves it, relative to the target folder.
const BUILT: &str = "wasm32-unknown-unknown/page/playground-worker.wasm";

/// Splits the Worker that cargo has built last into Trunk's staging folder, in place of the whole one.
///
/// # Errors
/// Outside a Trunk build, when the Worker was built without relocations, or when wasm-bindgen fails.
pub fn run_hook() -> Result<()> {
    let staging = env::var_os("TRUNK_STAGING_DIR").map(PathBuf::from).context("Trunk calls this: try `trunk build`")?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let built = target.join(BUILT);
    let whole = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    let main = staging.join(format!("{WORKER}.wasm"));
    let main_module = format!("./{WORKER}.js");
    let mut options = Options::new(&whole);
    options.output_dir = &staging;
    options.main_out_path = &main;
    options.main_module = &main_module;
    let chunks = transform(options).map_err(|error| anyhow!("cannot split {}: {error}", built.display()))?;
    for chunk in &chunks.split_modules {
        let named = fs::read(chunk)?;
        fs::write(chunk, without_custom_sections(&named).with_context(|| format!("{} is cut off", chunk.display()))?)?;
    }
    run(command(&["wasm-bindgen", "--target", "web", "--keep-lld-exports", "--no-typescript"])
        .args(["--remove-name-section", "--remove-producers-section", "--out-name", WORKER, "--out-dir"])
        .arg(&staging)
        .arg(&main))?;
    fs::remove_file(&main)?;
    ensure!(!chunks.split_modules.is_empty(), "the Worker was built without the feature `split`");
    Ok(())
}

/// A module without its custom sections: names and the like, which nothing reads in a browser. `None` when a
/// section's length does not fit.
fn without_custom_sections(module: &[u8]) -> Option<Vec<u8>> {
    const HEADER_BYTES: usize = 8;
    const CUSTOM: u8 = 0;
    let (header, mut rest) = module.split_at_checked(HEADER_BYTES)?;
    let mut kept = header.to_vec();
    while let [id, after @ ..] = rest {
        let length_bytes = after.iter().position(|byte| byte & 0x80 == 0)? + 1;
        let length =
            after[..length_bytes].iter().rev().fold(0usize, |length, byte| length << 7 | usize::from(byte & 0x7f));
        let (section, next) = rest.split_at_checked(1 + length_bytes + length)?;
        if *id != CUSTOM {
            kept.extend_from_slice(section);
        }
        rest = next;
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::without_custom_sections;

    #[test]
    fn custom_sections_go_and_others_stay() {
        let module = [b"\0asm\x01\0\0\0".as_slice(), &[1, 1, 0], &[0, 0x82, 0, b'x', b'y'], &[3, 1, 0]].concat();
        let kept = [b"\0asm\x01\0\0\0".as_slice(), &[1, 1, 0], &[3, 1, 0]].concat();
        assert_eq!(without_custom_sections(&module), Some(kept));
        assert_eq!(without_custom_sections(&module[..module.len() - 1]), None);
    }
}
