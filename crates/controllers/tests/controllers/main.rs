//! The controllers against an API server, in virtual time.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, which clippy does not see as tests")]

mod world;

mod cluster;
mod faults;
mod histories;
mod jobs;
mod recorder;
mod scale;
mod volumes;
mod workloads;
