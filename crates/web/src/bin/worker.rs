//! The Worker.

fn main() {}
