//! Which cluster the page is for: one in this tab, or the one that served it.

use std::rc::Rc;

use gloo::storage::{SessionStorage, Storage};
use playground_control::tab::Boot;
use web_sys::window;

use crate::api::{Api, Call, Origin, WorkerLink};
use crate::saved::{Entry, keeper, link, shelf};
use crate::text::{LINK_BROKEN, NO_WORKER, t};

/// The Worker's script, beside the page.
const WORKER: &str = "./playground-worker_loader.js";
const TOKEN: &str = "token";
/// Says in this tab that its person wants a cluster of the tab's own, though a server brought the page.
const OWN: &str = "own-cluster";

/// The cluster that was found.
#[derive(Clone, PartialEq)]
pub struct Found {
    /// The way to it.
    pub api: Api,
    /// Where it is kept; nowhere where it is not the tab's own, or embedded in another page.
    pub entry: Option<Entry>,
}

/// Finds the cluster. `playground serve` opens the page with `#token=…`; without a token the cluster lives in
/// this tab: the one in the address, the one that this tab had before, or a new one. `on_failure` hears when
/// the tab's cluster cannot start or has died.
///
/// # Errors
/// Why there is no cluster.
pub async fn connect(on_failure: impl Fn(String) + 'static) -> Result<Found, String> {
    if let Some(token) = token() {
        return Ok(Found { api: Api::Origin(Rc::new(Origin::new(token))), entry: None });
    }
    let shared = match link::take().await {
        Some(state) => Some(state.map_err(|()| t(LINK_BROKEN).to_owned())?),
        None => None,
    };
    let (place, state) = match (shared, asked("embed").is_some()) {
        (shared, true) => (Place::Nowhere, shared.unwrap_or_default()),
        (Some(state), false) => (Place::Shared, state),
        (None, false) => match shelf::resume().await {
            Some((entry, state)) => (Place::Kept(entry), state),
            None => (Place::New, Vec::new()),
        },
    };
    let now_ms = js_sys::Date::now();
    let command = asked("command").is_some();
    let boot = Boot { nodes: shelf::nodes(), seed: now_ms as u64, start_ms: now_ms as i64, command };
    let link = WorkerLink::start(WORKER, boot, &state, on_failure).map_err(|_| t(NO_WORKER).to_owned())?;
    // The cluster begins meanwhile.
    let entry = match place {
        Place::Nowhere => None,
        Place::Kept(entry) => Some(entry),
        Place::New => Some(shelf::new(None).await),
        Place::Shared => Some(shelf::new_shared().await),
    };
    Ok(Found { api: Api::Worker(link), entry })
}

/// Where a cluster is kept.
enum Place {
    Nowhere,
    /// Where it was.
    Kept(Entry),
    /// In a place of its own.
    New,
    /// In a place of its own, as somebody else's.
    Shared,
}

/// Why the cluster of the server that brought this page is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// There is no token.
    NoToken,
    /// The server does not know the token.
    Refused,
}

/// Whether a `playground serve` brought this page and does not let it in. It marks its page so that a cluster in
/// the tab is not taken for the server's.
pub async fn locked() -> Option<Locked> {
    let root = window()?.document()?.document_element()?;
    if !root.has_attribute("data-served") || SessionStorage::get::<bool>(OWN).is_ok() || asked("embed").is_some() {
        return None;
    }
    let Some(token) = token() else { return Some(Locked::NoToken) };
    let answer = Origin::new(token).send(Call::get("/api")).await;
    answer.is_ok_and(|answer| answer.status == 401).then_some(Locked::Refused)
}

/// Takes a token, or the link that has it, and comes anew.
pub fn unlock(link: &str) {
    let token = link.rsplit("token=").next().unwrap_or_default().trim();
    let _ = SessionStorage::set(TOKEN, token);
    keeper::reload();
}

/// Comes anew with a cluster of the tab's own.
pub fn own() {
    let _ = SessionStorage::set(OWN, true);
    SessionStorage::delete(TOKEN);
    keeper::reload();
}

/// What the address asks for under a name, as `?name=value`.
pub fn asked(name: &str) -> Option<String> {
    let query = window()?.location().search().ok()?;
    let query = web_sys::UrlSearchParams::new_with_str(&query).ok()?;
    query.get(name)
}

/// The command that the address asks for, which is taken out of it: a reload does not type it again. Only for
/// clusters in the tab, where no link of a stranger can do harm.
pub fn asked_command(api: &Api) -> Option<String> {
    let command = asked("command").filter(|command| !command.is_empty() && matches!(api, Api::Worker(_)))?;
    let window = window()?;
    let url = web_sys::Url::new(&window.location().href().ok()?).ok()?;
    url.search_params().delete("command");
    // The address bar is all that would tell.
    let _ = window.history().ok()?.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&url.href()));
    Some(command.lines().collect::<Vec<_>>().join(" "))
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
