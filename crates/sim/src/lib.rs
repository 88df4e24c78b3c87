//! The simulated world: an event loop with virtual time, and what runs on it.
//!
//! Start reading at [`executor`].

pub mod executor;

pub use executor::Executor;
