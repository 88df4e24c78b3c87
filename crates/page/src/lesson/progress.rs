//! How far a person has come in each lesson, kept between visits.

use std::collections::BTreeSet;

use gloo::storage::{LocalStorage, Storage};
use serde::{Deserialize, Serialize};

/// The lesson that was open last.
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
    /// Of a lesson, by its name.
    pub fn of(id: &str) -> Self {
        LocalStorage::get(key(id)).unwrap_or_default()
    }

    /// Keeps it.
    pub fn keep(&self, id: &str) {
        // A browser that keeps nothing still shows lessons.
        let _ = LocalStorage::set(key(id), self);
    }
}

fn key(id: &str) -> String {
    format!("progress:{id}")
}

/// The lesson to begin with: the address' `?lesson=`, or the last one.
pub fn opened() -> Option<String> {
    let query = web_sys::window()?.location().search().unwrap_or_default();
    let asked = query.trim_start_matches('?').split('&').find_map(|part| part.strip_prefix("lesson="));
    let plain = |id: &&str| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    asked.filter(plain).map(Into::into).or_else(|| LocalStorage::get(OPEN).ok())
}

/// Remembers which lesson is open.
pub fn open(id: &str) {
    let _ = LocalStorage::set(OPEN, id);
}
