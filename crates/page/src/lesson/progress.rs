//! How far a person has come in each lesson, kept between visits and shared by the tabs of a browser.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use gloo::events::EventListener;
use gloo::storage::{LocalStorage, Storage};
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsCast;
use web_sys::StorageEvent;
use yew::prelude::*;

use crate::saved::shelf;

/// The lesson that was open last; empty for the list of all.
const OPEN: &str = "lesson";
/// What keys of progress begin with.
const PROGRESS: &str = "progress:";

/// How far a person has come in a lesson.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The step that is open.
    pub at: usize,
    /// Which checks have been true, as (step, check).
    pub done: BTreeSet<(usize, usize)>,
    /// Whether all have been.
    pub complete: bool,
    /// How often the person has started over.
    #[serde(default)]
    pub round: u32,
}

impl Progress {
    /// Of a lesson, by its name: in the clusters of this browser, or in the one that came by a link.
    pub fn of(id: &str) -> Self {
        LocalStorage::get(key(id)).unwrap_or_default()
    }

    /// Keeps it, with what other tabs have kept meanwhile; both together.
    pub fn keep(self, id: &str) -> Self {
        let both = self.with(Self::of(id));
        // A browser that keeps nothing still shows lessons.
        let _ = LocalStorage::set(key(id), &both);
        both
    }

    /// What this tab and another one have reached together, at this one's step, unless the other has started over.
    pub fn with(self, other: Self) -> Self {
        match self.round.cmp(&other.round) {
            Ordering::Less => other,
            Ordering::Greater => self,
            Ordering::Equal => {
                Self { done: &self.done | &other.done, complete: self.complete || other.complete, ..self }
            }
        }
    }

    /// The lesson from its beginning, in every tab.
    pub fn anew(&self) -> Self {
        Self { round: self.round + 1, ..Self::default() }
    }
}

/// Counts what other tabs of this browser have kept.
#[hook]
pub fn use_other_tabs() -> u32 {
    let count = use_state_eq(|| 0u32);
    // The listener stays; what it counts on is of the newest drawing.
    let newest = use_mut_ref(|| 0u32);
    newest.replace(*count);
    let setter = count.setter();
    use_effect_with((), move |()| {
        let listener = EventListener::new(&gloo::utils::window(), "storage", move |event| {
            let key = event.dyn_ref::<StorageEvent>().and_then(StorageEvent::key);
            if key.is_some_and(|key| key.starts_with(PROGRESS)) {
                setter.set(newest.borrow().wrapping_add(1));
            }
        });
        move || drop(listener)
    });
    *count
}

/// Where the progress in a lesson is kept: a cluster that came by a link has its own ([`shelf::remove`]).
fn key(id: &str) -> String {
    let cluster = shelf::current_shared().map(|cluster| format!("@{cluster}")).unwrap_or_default();
    format!("{PROGRESS}{id}{cluster}")
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

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    fn two_tabs_lose_no_step() {
        let of = |at: usize, done: &[(usize, usize)]| Progress {
            at,
            done: done.iter().copied().collect(),
            ..Progress::default()
        };
        let both = of(1, &[(0, 0), (1, 0)]).with(of(0, &[(0, 1)]));
        assert_eq!(both, of(1, &[(0, 0), (0, 1), (1, 0)]));
        // Whoever starts over does so in both, whichever keeps first.
        assert_eq!(both.clone().with(both.anew()), both.anew());
        assert_eq!(both.anew().with(both.clone()), both.anew());
    }
}
