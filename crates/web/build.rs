//! How the page's two programs are linked.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("wasm32") || env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    println!("cargo::rustc-link-arg-bin=playground-page=--strip-all");
    // Relocations say what refers to what: `cargo xtask split` cuts along them.
    println!("cargo::rustc-link-arg-bin=playground-worker=--emit-relocs");
}
