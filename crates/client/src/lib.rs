//! What a component uses to talk to the API, as client-go is for Kubernetes' own components.
//!
//! A [`Component`] is polled by the cluster's event loop: it drains its informers, does a bounded
//! piece of work, and says when it wants to be polled again. It reaches the API server through a
//! [`Transport`], which answers at once, or fails as a cut connection would.
//!
//! [`Client`] makes typed calls; a [`Reflector`] follows a collection through outages and compaction;
//! an [`Informer`] caches it with indexes, shared by all controllers of a process
//! ([`SharedInformers`]); a [`WorkQueue`] holds keys with delays and backoff; [`Expectations`] guard
//! against stale caches; [`EventRecorder`] and [`LeaderElector`] are upstream's. Nothing here reads a
//! clock: time comes with each poll.

pub mod client;
pub mod component;
pub mod discovery;
pub mod election;
pub mod events;
pub mod expectations;
pub mod informer;
pub mod options;
pub mod queue;
pub mod reflector;
pub mod resource;
pub mod transport;

pub use client::{Client, ObjectList, UntypedList, creation_time, key_of};
pub use component::{Component, Context};
pub use election::LeaderElector;
pub use events::{EventRecorder, EventType, reference_to, retry_on_conflict};
pub use expectations::Expectations;
pub use informer::{Event, Informer, SharedInformers};
pub use options::{DeleteOptions, ListOptions, Patch, Propagation};
pub use queue::WorkQueue;
pub use reflector::{Delta, Reflector};
pub use resource::ApiResource;
pub use transport::Transport;
