//! cargo xtask serve | test | bench | lint.
fn main() {}
