//! What a component uses to talk to the API, as client-go is for Kubernetes' own components.
//!
//! A [`Component`] is polled by the cluster's event loop: it drains its informers, does a bounded
//! piece of work, and says when it wants to be polled again. It reaches the API server through a
//! [`Transport`], which answers at once, or fails as a cut connection would.

pub mod component;
pub mod transport;

pub use component::{Component, Context};
pub use transport::Transport;
