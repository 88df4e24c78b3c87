//! How the program is linked.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("wasm32") && env::var("PROFILE").as_deref() == Ok("release") {
        // Relocations say what refers to what: `cargo xtask split` cuts along them.
        println!("cargo::rustc-link-arg-bins=--emit-relocs");
    }
}
