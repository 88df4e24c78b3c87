//! Builds the program for the cluster's own containers, a static one, and compresses it, the page and the API's field
//! documentation: all go into this binary.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use pack::build::{compress, out};

/// Where `cargo xtask page` builds the page; absent in a build without it.
const PAGE: &str = "../../dist";

/// The API's field documentation.
const DESCRIPTIONS: &str = "../machinery/data/descriptions.json";

fn main() {
    agent();
    fold();
    println!("cargo::rerun-if-changed={DESCRIPTIONS}");
    if let Err(error) = pack_file(DESCRIPTIONS.as_ref(), "descriptions.json.gz") {
        panic!("cannot compress {DESCRIPTIONS}: {error}");
    }
    if let Err(error) = page() {
        panic!("cannot compress the page in {PAGE}: {error}");
    }
}

/// Functions that are the same become one in release builds, where the toolchain's own linker links: what is
/// resident is mostly text.
fn fold() {
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    if is("PROFILE", "release") && is("TARGET", "x86_64-unknown-linux-gnu") {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}

/// Makes a table of the page's files, each compressed as it is sent.
fn page() -> std::io::Result<()> {
    // A folder that is missing would be looked for, and all this done again, at each build.
    fs::create_dir_all(PAGE)?;
    println!("cargo::rerun-if-changed={PAGE}");
    let mut files = Vec::new();
    collect(Path::new(PAGE), &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for (index, file) in files.iter().enumerate() {
        let compressed = pack_file(file, &format!("page-{index}.gz"))?;
        let name = file.strip_prefix(PAGE).unwrap_or(file).to_string_lossy().into_owned();
        // Writing to a string does not fail.
        let _ = writeln!(table, "    ({name:?}, include_bytes!({:?})),", compressed.display().to_string());
    }
    table.push(']');
    fs::write(out("page.rs"), table)
}

/// Compresses a file; where the outcome is.
fn pack_file(file: &Path, name: &str) -> std::io::Result<PathBuf> {
    let compressed = out(name);
    fs::write(&compressed, compress(&fs::read(file)?)?)?;
    Ok(compressed)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

fn agent() {
    println!("cargo::rerun-if-changed=../agent");
    let variable = |name: &str| env::var(name).unwrap_or_default();
    let target = format!("{}-unknown-linux-musl", variable("CARGO_CFG_TARGET_ARCH"));
    let folder = PathBuf::from(variable("OUT_DIR")).join("agent");
    let linker = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"));
    let status = Command::new(variable("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", "playground-agent", "--profile", "agent"])
        .args(["--bin", "playground-agent", "--target", &target, "--target-dir"])
        .arg(&folder)
        // The toolchain's own: no C compiler for the target is needed.
        .env(linker, "rust-lld")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "cannot build the agent for {target}: is the target installed? (rustup target add {target})"
    );
    let program = folder.join(&target).join("agent/playground-agent");
    if let Err(error) = pack_file(&program, "agent.gz") {
        panic!("cannot compress {}: {error}", program.display());
    }
    // Names the image: another program, another image.
    let bytes = fs::read(&program).unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    println!("cargo::rustc-env=PLAYGROUND_AGENT_TAG={:016x}", hasher.finish());
}
