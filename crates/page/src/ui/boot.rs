//! Which cluster the page is for: the one in this tab, or the one that served it.

use std::rc::Rc;

use gloo::storage::{SessionStorage, Storage};
use web_sys::window;

use crate::api::{Api, Origin, WorkerLink};
use playground_control::tab::Boot;

/// The Worker's script, beside the page.
const WORKER: &str = "./playground-worker_loader.js";
const TOKEN: &str = "token";

/// Finds the cluster. `playground serve` opens the page with `#token=…`; without a token the cluster
/// lives in this tab. `on_failure` hears when the tab's cluster cannot start or has died.
///
/// # Errors
/// Why there is no cluster.
pub fn connect(on_failure: impl Fn(String) + 'static) -> Result<Api, String> {
    if let Some(token) = token() {
        return Ok(Api::Origin(Rc::new(Origin::new(token))));
    }
    let boot = Boot { nodes: 3, seed: js_sys::Date::now() as u64, start_ms: js_sys::Date::now() as i64 };
    let link = WorkerLink::start(WORKER, boot, on_failure);
    link.map(Api::Worker).map_err(|_| "This browser does not start Web Workers here.".into())
}

/// The token of the address, which is taken out of it and kept for reloads of this tab.
fn token() -> Option<String> {
    let window = window()?;
    let hash = window.location().hash().ok()?;
    let parts = hash.trim_start_matches('#').split('&');
    let found = parts.filter_map(|part| part.strip_prefix("token=")).find(|token| !token.is_empty());
    if let Some(token) = found {
        let _ = SessionStorage::set(TOKEN, token);
        let path = window.location().pathname().unwrap_or_default();
        let history = window.history().ok()?;
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&path));
        return Some(token.into());
    }
    SessionStorage::get(TOKEN).ok()
}
