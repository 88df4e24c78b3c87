//! Prints the hash of the history that `tests/scenarios/determinism.rs` makes, for the WebAssembly run of it.

#[path = "../tests/scenarios/lab/mod.rs"]
mod lab;

fn main() {
    println!("{}", lab::history::hash(42));
}
