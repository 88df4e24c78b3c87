//! Who waits for the time: watches with a timeout or bookmarks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use machinery::Timestamp;

/// Wakers by time. Nothing here reads a clock: the host asks for the next time and comes back then.
#[derive(Default)]
pub(crate) struct Timers(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: BTreeMap<Timestamp, Vec<Waker>>,
    /// Who brings the time, to be told when an earlier one is waited for.
    driver: Option<Waker>,
}

impl Timers {
    /// Wakes `waker` at `time`.
    pub(crate) fn add(&self, time: Timestamp, waker: Waker) {
        let mut state = self.lock();
        let earlier = state.waiting.first_key_value().is_none_or(|(first, _)| time < *first);
        state.waiting.entry(time).or_default().push(waker);
        let driver = if earlier { state.driver.take() } else { None };
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// The earliest time somebody waits for; `driver` is woken when an earlier one is added.
    pub(crate) fn next(&self, driver: &Waker) -> Option<Timestamp> {
        let mut state = self.lock();
        state.driver = Some(driver.clone());
        state.waiting.first_key_value().map(|(time, _)| *time)
    }

    /// Wakes whoever waits for `now` or earlier.
    pub(crate) fn wake_until(&self, now: Timestamp) {
        let mut state = self.lock();
        let mut due = Vec::new();
        while let Some(entry) = state.waiting.first_entry()
            && *entry.key() <= now
        {
            due.extend(entry.remove());
        }
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
