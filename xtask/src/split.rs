//! `cargo xtask split`: cuts the Worker's and the page's code into what every visit needs and chunks that load when
//! they are first used (`sim::split!` and `page::ui::late` say which). Trunk calls it after a build (`Trunk.toml`).

mod order;
mod pack;
mod wire;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use wasm_split_cli_support::{Options, transform};

use crate::shell::{command, run};
use pack::pack;
use wire::wire;

/// The programs, and what the scripts are called by which their chunks are loaded.
const PROGRAMS: [(&str, &str); 2] =
    [("playground-worker", "./__wasm_split.js"), ("playground-page", "./__wasm_split_page.js")];

/// What the Worker begins with, written by Trunk. The page loads `unpack.js` by itself (`index.html`).
const WORKER_LOADER: &str = "playground-worker_loader.js";

/// Where cargo leaves them, relative to the target folder.
const BUILT: &str = "wasm32-unknown-unknown/page";

/// Splits the programs that cargo has built last into Trunk's staging folder, in place of the whole ones.
///
/// # Errors
/// Outside a Trunk build, when a program was built without relocations, or when wasm-bindgen fails.
pub fn run_hook() -> Result<()> {
    let staging = env::var_os("TRUNK_STAGING_DIR").map(PathBuf::from).context("Trunk calls this: try `trunk build`")?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    for (program, loader) in PROGRAMS {
        split(program, loader, &target.join(BUILT), &staging)?;
    }
    let loader = staging.join(WORKER_LOADER);
    let loading = fs::read_to_string(&loader).with_context(|| format!("cannot read {}", loader.display()))?;
    fs::write(&loader, format!("import './unpack.js';{loading}"))?;
    Ok(())
}

fn split(program: &str, loader: &str, built: &Path, staging: &Path) -> Result<()> {
    let built = built.join(format!("{program}.wasm"));
    let whole = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
    let name = staged_name(program, staging)?;
    let main = staging.join(format!("{name}.wasm"));
    let main_module = format!("./{name}.js");
    let mut options = Options::new(&whole);
    options.output_dir = staging;
    options.main_out_path = &main;
    options.main_module = &main_module;
    options.link_name = loader;
    let chunks = transform(options).map_err(|error| anyhow!("cannot split {}: {error}", built.display()))?;
    run(command(&["wasm-bindgen", "--target", "web", "--keep-lld-exports", "--no-typescript"])
        .args(["--remove-name-section", "--remove-producers-section", "--out-name", &name, "--out-dir"])
        .arg(staging)
        .arg(&main))?;
    fs::remove_file(&main)?;
    for module in chunks.split_modules.iter().chain([&staging.join(format!("{name}_bg.wasm"))]) {
        let packed = pack(&fs::read(module)?).with_context(|| format!("cannot read {}", module.display()))?;
        fs::write(module, wire(packed))?;
    }
    ensure!(!chunks.split_modules.is_empty(), "{program} was built without the feature `split`");
    Ok(())
}

/// What Trunk calls a program: a page's own has a hash at its end.
fn staged_name(program: &str, staging: &Path) -> Result<String> {
    let entries = fs::read_dir(staging).with_context(|| format!("cannot read {}", staging.display()))?;
    let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let name =
        names.find_map(|name| Some(name.strip_suffix("_bg.wasm")?.to_owned()).filter(|name| name.starts_with(program)));
    name.with_context(|| format!("{} has no {program}", staging.display()))
}
