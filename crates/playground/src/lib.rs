//! What the native binary is made of, as a library for its tests.

pub mod docker;
