//! Builds the program for the cluster's own containers, a static one, which goes into this binary.

use std::env;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::process::Command;

fn main() {
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
    println!("cargo::rustc-env=PLAYGROUND_AGENT={}", program.display());
    // Names the image: another program, another image.
    let bytes = std::fs::read(&program).unwrap_or_default();
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    println!("cargo::rustc-env=PLAYGROUND_AGENT_TAG={:016x}", hasher.finish());
}
