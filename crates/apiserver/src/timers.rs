//! Who waits for the time: watches with a timeout or bookmarks.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

use machinery::Timestamp;

/// Wakers by time. Nothing here reads a clock: the host asks for the next time and comes back then.
#[derive(Default)]
pub(crate) struct Timers(Mutex<BTreeMap<Timestamp, Vec<Waker>>>);

impl Timers {
    /// Wakes `waker` at `time`.
    pub(crate) fn add(&self, time: Timestamp, waker: Waker) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(time).or_default().push(waker);
    }

    /// The earliest time somebody waits for.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        let timers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        timers.first_key_value().map(|(time, _)| *time)
    }

    /// Wakes whoever waits for `now` or earlier.
    pub(crate) fn wake_until(&self, now: Timestamp) {
        let mut timers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut due = Vec::new();
        while let Some(entry) = timers.first_entry()
            && *entry.key() <= now
        {
            due.extend(entry.remove());
        }
        drop(timers);
        due.into_iter().for_each(Waker::wake);
    }
}
