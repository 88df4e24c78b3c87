//! The saved clusters of this browser, in IndexedDB: under `about:ID` what is told of one, under `state:ID`
//! what it goes on from. Each tab has its own; a tab that opens first gets the last one.

use gloo::storage::{LocalStorage, SessionStorage, Storage};
use serde::{Deserialize, Serialize};

use super::browser;
use crate::text::{CLUSTER_NUMBER, t};

/// How many are kept: the oldest goes when there is one more.
pub const KEPT_MAX: usize = 12;
/// The cluster of this tab, and of the last one.
const CURRENT: &str = "cluster";
/// How many nodes the next new cluster has.
const NODES: &str = "nodes";
const NODES_DEFAULT: u16 = 3;

/// What is told of a saved cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is kept under.
    pub id: String,
    /// The person's name for it.
    pub name: String,
    /// When it was saved, in milliseconds since 1970.
    pub at_ms: f64,
    /// Its size.
    pub bytes: usize,
}

/// All of them, the newest first.
pub async fn list() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for key in browser::keys().await.into_iter().filter(|key| key.starts_with("about:")) {
        let about = browser::text(&key).await;
        entries.extend(about.and_then(|about| serde_json::from_str(&about).ok()));
    }
    entries.sort_by(|a: &Entry, b| b.at_ms.total_cmp(&a.at_ms));
    entries
}

/// What a cluster goes on from.
pub async fn state(id: &str) -> Option<Vec<u8>> {
    browser::bytes(&format!("state:{id}")).await
}

/// Keeps a cluster's state. Whether the browser did.
pub async fn keep(entry: &Entry, state: &[u8]) -> bool {
    browser::set_bytes(&format!("state:{}", entry.id), state).await && tell(entry).await
}

/// Keeps what is told of a cluster. Whether the browser did.
pub async fn tell(entry: &Entry) -> bool {
    let about = serde_json::to_string(entry).unwrap_or_default();
    browser::set_text(&format!("about:{}", entry.id), &about).await
}

/// Throws a cluster away.
pub async fn remove(id: &str) {
    browser::remove(&format!("about:{id}")).await;
    browser::remove(&format!("state:{id}")).await;
}

/// A place for one more, under a name or the next number.
pub async fn fresh(name: Option<String>) -> Entry {
    let all = list().await;
    for old in all.iter().skip(KEPT_MAX - 1) {
        remove(&old.id).await;
    }
    let id = format!("{:x}-{:x}", js_sys::Date::now() as u64, (js_sys::Math::random() * 4_294_967_296.0) as u32);
    let taken = |name: &String| all.iter().any(|entry| entry.name == *name);
    let numbered = || (1..).map(|number: usize| CLUSTER_NUMBER.with(&[&number.to_string()])).find(|name| !taken(name));
    let name = name.or_else(numbered).unwrap_or_default();
    Entry { id, name, at_ms: js_sys::Date::now(), bytes: 0 }
}

/// The cluster with which this tab goes on, and its state; a new one has none. A cluster that another tab has
/// goes on in a copy where this tab was made from that one.
pub async fn resume() -> (Entry, Vec<u8>) {
    let own = SessionStorage::get::<String>(CURRENT).ok();
    let wanted = own.clone().or_else(|| LocalStorage::get(CURRENT).ok());
    let found = match &wanted {
        Some(id) => list().await.into_iter().find(|entry| entry.id == *id),
        None => None,
    };
    if let Some(entry) = found
        && let Some(bytes) = state(&entry.id).await
    {
        if browser::claim(&entry.id).await {
            set_current(&entry.id);
            return (entry, bytes);
        }
        if own.is_some() {
            let copy = fresh(None).await;
            take(&copy).await;
            return (copy, bytes);
        }
    }
    let entry = fresh(None).await;
    take(&entry).await;
    (entry, Vec::new())
}

/// Makes a cluster this tab's.
pub async fn take(entry: &Entry) {
    browser::claim(&entry.id).await;
    set_current(&entry.id);
}

/// The next page of this tab shows this cluster.
pub fn set_current(id: &str) {
    // Without storage, the next page shows a new one.
    let _ = SessionStorage::set(CURRENT, id);
    let _ = LocalStorage::set(CURRENT, id);
}

/// The next page of this tab shows a new cluster of so many nodes.
pub fn begin_anew(nodes: u16) {
    SessionStorage::delete(CURRENT);
    LocalStorage::delete(CURRENT);
    let _ = SessionStorage::set(NODES, nodes);
}

/// How many nodes a new cluster is to have.
pub fn nodes() -> u16 {
    SessionStorage::get(NODES).unwrap_or(NODES_DEFAULT)
}

/// The words for a size.
pub fn size(bytes: usize) -> String {
    format!("{} kB", bytes.div_ceil(1_000))
}

/// The words for a time, as the browser writes them.
pub fn when(at_ms: f64) -> String {
    js_sys::Date::new(&at_ms.into()).to_locale_string(t(crate::text::LOCALE), &js_sys::Object::new()).into()
}
