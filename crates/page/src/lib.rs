//! The Yew page.
//!
//! The page is a client: it knows the Kubernetes API and the control API, nothing else. [`api`] is
//! its way there, to the Worker of this tab or to the `playground serve` it came from. [`world`] and
//! [`trace`] follow the cluster; [`map`], [`lesson`], [`inspect`] and [`ui`] show it; [`saved`] keeps it between
//! visits; [`story`] plays what happened; [`text`] has the words, in every language. The other side, a Cluster in a Web Worker, is `crates/web`.

pub mod api;
mod following;
mod import;
pub mod inspect;
pub mod lesson;
pub mod map;
pub mod saved;
mod story;
pub mod terminal;
pub mod terminals;
pub mod text;
pub mod trace;
pub mod ui;
pub mod world;

#[cfg(test)]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
