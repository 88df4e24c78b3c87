//! `cargo xtask split`: cuts the Worker's and the page's code into what every visit needs and chunks that load when
//! they are first used (`sim::split!` and `page::ui::late` say which). Trunk calls it after a build (`Trunk.toml`).

mod order;
mod pack;
mod wire;

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use wasm_split_cli_support::{Options, transform};

use crate::shell::{command, run, say};
use pack::pack;
use wire::wire;

/// The programs, and what the scripts are called by which their chunks are loaded.
const PROGRAMS: [(&str, &str); 2] =
    [("playground-worker", "./__wasm_split.js"), ("playground-page", "./__wasm_split_page.js")];

/// Chunks whose code is needed in the middle of something (`machinery::split::at_once`).
const AT_ONCE: [&str; 2] = ["rare", "texts"];

/// What the Worker begins with, in place of what Trunk writes. The page loads `unpack.js` by itself (`index.html`).
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
    put_unpacker(&target, &staging)?;
    Ok(fs::write(staging.join(WORKER_LOADER), include_str!("../../www/worker.js"))?)
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
    ensure!(!chunks.split_modules.is_empty(), "{program} was built without the feature `split`");
    let loader = staging.join(loader);
    let generated = fs::read_to_string(&loader).with_context(|| format!("cannot read {}", loader.display()))?;
    let version = version(&whole);
    fs::write(&loader, loading(&generated, &version, &chunks.prefetch_map.into_iter().collect())?)?;
    let named = |module: &PathBuf| {
        let name = module.file_stem().and_then(|name| name.to_str()).context("a chunk without a name")?;
        let named = module.with_file_name(format!("{name}-{version}.wasm"));
        fs::rename(module, &named)?;
        Ok(named)
    };
    let modules = chunks.split_modules.iter().map(named).collect::<Result<Vec<_>>>()?;
    run(command(&["wasm-bindgen", "--target", "web", "--keep-lld-exports", "--no-typescript"])
        .args(["--remove-name-section", "--remove-producers-section", "--out-name", &name, "--out-dir"])
        .arg(staging)
        .arg(&main))?;
    fs::remove_file(&main)?;
    let modules = modules.into_iter().chain([staging.join(format!("{name}_bg.wasm"))]);
    send_in_streams(modules)
}

/// Writes modules in the form in which they travel, and leaves those as they are that would not come back the same.
fn send_in_streams(modules: impl Iterator<Item = PathBuf>) -> Result<()> {
    for module in modules {
        let whole = pack(&fs::read(&module)?).with_context(|| format!("cannot read {}", module.display()))?;
        let sent = wire(whole.clone());
        if unpacked(&sent).is_some_and(|back| back != whole) {
            say(format!("{} is sent as it is: it would not come back the same", module.display()));
            fs::write(&module, whole)?;
        } else {
            fs::write(&module, sent)?;
        }
    }
    Ok(())
}

/// The module that a page makes of what was sent; nothing of what was sent as it is.
fn unpacked(sent: &[u8]) -> Option<Vec<u8>> {
    let mut out = vec![0; playground_unpack::room(sent)?];
    let length = playground_unpack::unpack(sent, &mut out).unwrap_or_default();
    out.truncate(length);
    Some(out)
}

/// Builds what puts modules together, a module itself, and puts it into the script that has it.
fn put_unpacker(target: &Path, staging: &Path) -> Result<()> {
    let package = ["cargo", "build", "--package", "playground-unpack", "--profile", "page", "--offline"];
    run(command(&package).args(["--target", "wasm32-unknown-unknown"]))?;
    let unpacker = pack(&fs::read(target.join(BUILT).join("playground_unpack.wasm"))?)?;
    let script = staging.join("unpack.js");
    let text = fs::read_to_string(&script).with_context(|| format!("cannot read {}", script.display()))?;
    ensure!(text.contains("UNPACKER"), "{} has no place for the unpacker", script.display());
    Ok(fs::write(&script, text.replace("UNPACKER", &BASE64_STANDARD.encode(unpacker)))?)
}

/// What chunks' names end with: they fit the main module that they were cut from, and no other, which a tab may still
/// have that was open before a new version came.
fn version(whole: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(whole);
    format!("{:016x}", hasher.finish())
}

/// The script that loads chunks: what the tool says of the main module, how chunks come, and which files each takes.
fn loading(generated: &str, version: &str, chunks: &BTreeMap<String, Vec<String>>) -> Result<String> {
    let (main, _) = generated.split_once("function wrapAsyncCb").context("the tool loads chunks in another way now")?;
    let mut script = format!("{main}\nconst version = {version:?};\n{}\n", include_str!("../../www/chunks.js"));
    for (name, files) in chunks {
        let how = if AT_ONCE.contains(&name.as_str()) { "atOnce" } else { "later" };
        let files: Vec<String> = files.iter().map(|file| format!("{file:?}")).collect();
        writeln!(script, "export const __wasm_split_load_{name} = {how}({});", files.join(", "))?;
    }
    Ok(script)
}

/// What Trunk calls a program: a page's own has a hash at its end.
fn staged_name(program: &str, staging: &Path) -> Result<String> {
    let entries = fs::read_dir(staging).with_context(|| format!("cannot read {}", staging.display()))?;
    let mut names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let name =
        names.find_map(|name| Some(name.strip_suffix("_bg.wasm")?.to_owned()).filter(|name| name.starts_with(program)));
    name.with_context(|| format!("{} has no {program}", staging.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_load_later_or_at_once() {
        let generated =
            "import { initSync } from \"./main.js\";\nfunction getSharedImports() {}\nfunction wrapAsyncCb(callee) {}";
        let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let chunks = [("rare".into(), files(&["chunk_1", "split_rare"])), ("shell".into(), files(&["split_shell"]))];
        let script = loading(generated, "5eed", &chunks.into()).expect("a script");
        assert!(script.starts_with("import { initSync } from \"./main.js\";\nfunction getSharedImports() {}\n"));
        assert!(script.contains("const version = \"5eed\";\n"));
        assert!(!script.contains("wrapAsyncCb"));
        assert!(script.ends_with(
            "export const __wasm_split_load_rare = atOnce(\"chunk_1\", \"split_rare\");\n\
             export const __wasm_split_load_shell = later(\"split_shell\");\n"
        ));
        assert!(loading("another way", "5eed", &BTreeMap::new()).is_err());
    }
}
