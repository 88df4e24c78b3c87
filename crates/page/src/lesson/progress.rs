//! How far a person has come in each lesson, kept between visits.

use std::collections::BTreeSet;

use gloo::storage::{LocalStorage, Storage};
use serde::{Deserialize, Serialize};

use crate::saved::shelf;

/// The lesson that was open last; empty for the list of all.
const OPEN: &str = "lesson";

/// How far a person has come in a lesson.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The step that is open.
    pub at: usize,
    /// Which checks have been true, as (step, check).
    pub done: BTreeSet<(usize, usize)>,
    /// Whether all have been.
    pub complete: bool,
}

impl Progress {
    /// Of a lesson, by its name: in the clusters of this browser, or in the one that came by a link.
    pub fn of(id: &str) -> Self {
        LocalStorage::get(key(id)).unwrap_or_default()
    }

    /// Keeps it.
    pub fn keep(&self, id: &str) {
        // A browser that keeps nothing still shows lessons.
        let _ = LocalStorage::set(key(id), self);
    }
}

/// Where the progress in a lesson is kept: a cluster that came by a link has its own ([`shelf::remove`]).
fn key(id: &str) -> String {
    let cluster = shelf::current_shared().map(|cluster| format!("@{cluster}")).unwrap_or_default();
    format!("progress:{id}{cluster}")
}

/// What to begin with: the address' `?lesson=`, or what was open last, a lesson or the list of all.
pub fn opened() -> Option<Option<String>> {
    let query = web_sys::window()?.location().search().unwrap_or_default();
    let asked = query.trim_start_matches('?').split('&').find_map(|part| part.strip_prefix("lesson="));
    let plain = |id: &&str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let asked = asked.filter(plain).map(|id| Some(id.to_owned()));
    asked.or_else(|| LocalStorage::get::<String>(OPEN).ok().map(|id| Some(id).filter(|id| !id.is_empty())))
}

/// Remembers which lesson is open; none for the list of all.
pub fn open(id: Option<&str>) {
    let _ = LocalStorage::set(OPEN, id.unwrap_or_default());
}
