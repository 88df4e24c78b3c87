//! Prints the hash of the history that `tests/determinism.rs` makes, for the WebAssembly run of it.

#[path = "../tests/lab/history.rs"]
mod history;
#[path = "../tests/lab/mod.rs"]
mod lab;

pub use lab::{Lab, names};

fn main() {
    println!("{}", history::hash(42));
}
