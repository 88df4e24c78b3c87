//! The saved clusters of this browser, in IndexedDB: under `about:ID` what is told of one, under `state:ID`
//! what it goes on from. Each tab has its own; a tab that opens first gets the last one. What goes with a cluster and
//! is asked for at once is in LocalStorage under names that end with `@ID`.

use gloo::storage::{LocalStorage, SessionStorage, Storage};
use serde::{Deserialize, Serialize};

use super::browser;
use crate::text::{CLUSTER_NUMBER, SHARED_CLUSTER, t};

/// How many are kept: the oldest goes when there is one more, but for those with a name of the person's.
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
    /// What it is to its person.
    #[serde(default)]
    pub mark: Mark,
}

/// What a saved cluster is to its person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mark {
    /// An undo has made it: the next undo takes its place.
    Undo,
    /// One that was begun.
    #[default]
    Begun,
    /// One with a name of the person's: it is not thrown away for another.
    Named,
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
    let (storage, end) = (LocalStorage::raw(), format!("@{id}"));
    let keys = (0..LocalStorage::length()).filter_map(|at| storage.key(at).ok().flatten());
    let of_it: Vec<String> = keys.filter(|key| key.ends_with(&end)).collect();
    of_it.iter().for_each(LocalStorage::delete);
}

/// A place for one more, under a name or the next number.
pub async fn fresh(name: Option<String>) -> Entry {
    let all = list().await;
    let mut others: Vec<&Entry> = all.iter().filter(|entry| entry.mark != Mark::Named).collect();
    // What undos have made goes first, then the oldest: the list has the newest first.
    others.sort_by_key(|entry| std::cmp::Reverse(entry.mark));
    for old in others.iter().rev().take(all.len().saturating_sub(KEPT_MAX - 1)) {
        remove(&old.id).await;
    }
    let id = format!("{:x}-{:x}", js_sys::Date::now() as u64, (js_sys::Math::random() * 4_294_967_296.0) as u32);
    let taken = |name: &String| all.iter().any(|entry| entry.name == *name);
    let numbered = || (1..).map(|number: usize| CLUSTER_NUMBER.with(&[&number.to_string()])).find(|name| !taken(name));
    let name = name.or_else(numbered).unwrap_or_default();
    Entry { id, name, at_ms: js_sys::Date::now(), bytes: 0, mark: Mark::default() }
}

/// The cluster with which this tab goes on, and its state; none for a tab that begins anew. A cluster that another tab
/// has goes on in a copy where this tab was made from that one.
pub async fn resume() -> Option<(Entry, Vec<u8>)> {
    let own = SessionStorage::get::<String>(CURRENT).ok();
    let wanted: String = own.clone().or_else(|| LocalStorage::get(CURRENT).ok())?;
    let entry = list().await.into_iter().find(|entry| entry.id == wanted)?;
    let bytes = state(&entry.id).await?;
    if browser::claim(&entry.id).await {
        set_current(&entry.id);
        return Some((entry, bytes));
    }
    own?;
    Some((new(None).await, bytes))
}

/// A place for one more that is this tab's, under a name or the next number.
pub async fn new(name: Option<String>) -> Entry {
    let entry = fresh(name).await;
    take(&entry).await;
    entry
}

/// A place for a cluster that came by a link.
pub async fn new_shared() -> Entry {
    let entry = new(Some(t(SHARED_CLUSTER).into())).await;
    let _ = LocalStorage::set(shared(&entry.id), true);
    entry
}

/// This tab's cluster if it came by a link: how far somebody has come elsewhere says nothing of it.
pub fn current_shared() -> Option<String> {
    let current = SessionStorage::get::<String>(CURRENT).ok()?;
    LocalStorage::get::<bool>(shared(&current)).is_ok().then_some(current)
}

fn shared(id: &str) -> String {
    format!("shared@{id}")
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
