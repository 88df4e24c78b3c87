//! kubectl lines against an API server, and what they print.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, which clippy does not see as tests")]

mod common;

mod access;
mod apply;
mod change;
mod config;
mod create;
mod describe;
mod flags;
mod get;
mod hostile;
mod kustomize;
