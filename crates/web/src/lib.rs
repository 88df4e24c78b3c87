//! The Yew page, and the Web Worker in which a Cluster lives.
//!
//! The page is a client: it knows the Kubernetes API and the control API, nothing else. [`api`] is
//! its way there, to the Worker of this tab or to the `playground serve` it came from. [`world`] and
//! [`trace`] follow the cluster; [`map`], [`lesson`], [`inspect`] and [`ui`] show it; [`worker`] is
//! the other side: a Cluster, its pace, and calls as messages ([`protocol`]).

pub mod api;
pub mod inspect;
pub mod lesson;
pub mod map;
pub mod protocol;
pub mod terminal;
pub mod trace;
pub mod ui;
pub mod worker;
pub mod world;

#[cfg(test)]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
