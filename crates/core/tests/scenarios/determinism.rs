//! The same seed and inputs give the same history, byte for byte, natively and in WebAssembly.

use crate::lab::history;

#[cfg(not(target_arch = "wasm32"))]
#[test]
fn one_seed_one_history() {
    let first = history::hash(42);
    assert_eq!(first, history::hash(42));
    assert_ne!(first, history::hash(43));
}

/// `cargo xtask test wasm` computes the native hash first and gives it to this build.
#[cfg(target_arch = "wasm32")]
#[wasm_bindgen_test::wasm_bindgen_test]
fn the_history_is_the_native_one() {
    let native = option_env!("PLAYGROUND_HISTORY_HASH").expect("run by `cargo xtask test wasm`");
    assert_eq!(history::hash(42).to_string(), native);
}
