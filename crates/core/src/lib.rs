//! The composition root: store, API server, controllers, scheduler and nodes in one event loop.

pub mod control;
