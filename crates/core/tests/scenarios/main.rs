//! Scenarios through the learner's terminal and the API: the same natively and, in a Worker of a headless Chromium, in
//! WebAssembly.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests, which clippy does not see as tests")]

mod lab;

mod access;
mod autoscaling;
mod chaos;
mod determinism;
mod documentation;
mod examples;
mod faults;
mod hello_kube;
mod images;
mod kube_system;
mod kubelet;
mod learner;
mod learner_clusters;
mod lessons;
mod metrics;
mod network;
mod pages;
mod saved;
mod scheduling;
mod storage;
mod tasks;
mod transcripts;
mod tutorials;

/// What every scenario is marked with: natively the compiler's own.
#[cfg(not(target_arch = "wasm32"))]
use core::prelude::v1::test;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

// As in the page, where the core has a Worker to itself.
#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);
