//! The API server's behaviour, through [`playground_apiserver::ApiServer::handle`] as a client sees it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests")]

mod bench;

mod access;
mod admission;
mod apply;
mod bodies;
mod concurrency;
mod conventions;
mod deletion;
mod discovery;
mod hostile;
mod identity;
mod lists;
mod policy;
mod properties;
mod representation;
mod services;
mod subresources;
mod watches;
mod writes;
