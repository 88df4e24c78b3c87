//! Who waits for the time: watches with a timeout or bookmarks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use machinery::Timestamp;

/// Wakers by time. Nothing here reads a clock: the host asks for the next time and comes back then.
#[derive(Default)]
pub(crate) struct Timers(Mutex<State>);

/// Who waits for which time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    /// When.
    pub(crate) time: Timestamp,
    /// Whose: no two are the same.
    number: u64,
}

#[derive(Default)]
struct State {
    waiting: BTreeMap<Timer, Waker>,
    /// Of the next timer.
    number: u64,
    /// Who brings the time, to be told when an earlier one is waited for.
    driver: Option<Waker>,
}

impl Timers {
    /// Wakes `waker` at `time`, unless the timer is [removed](Self::remove) before.
    pub(crate) fn add(&self, time: Timestamp, waker: Waker) -> Timer {
        let mut state = self.lock();
        let timer = Timer { time, number: state.number };
        state.number += 1;
        let earlier = state.waiting.first_key_value().is_none_or(|(first, _)| time < first.time);
        state.waiting.insert(timer, waker);
        let driver = if earlier { state.driver.take() } else { None };
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
        timer
    }

    /// Nobody waits for the timer any more.
    pub(crate) fn remove(&self, timer: Timer) {
        self.lock().waiting.remove(&timer);
    }

    /// The earliest time somebody waits for; `driver` is woken when an earlier one is added.
    pub(crate) fn next(&self, driver: &Waker) -> Option<Timestamp> {
        let mut state = self.lock();
        state.driver = Some(driver.clone());
        state.waiting.first_key_value().map(|(timer, _)| timer.time)
    }

    /// Wakes whoever waits for `now` or earlier.
    pub(crate) fn wake_until(&self, now: Timestamp) {
        let mut state = self.lock();
        let mut due = Vec::new();
        while let Some(entry) = state.waiting.first_entry()
            && entry.key().time <= now
        {
            due.push(entry.remove());
        }
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_a_removed_timer() {
        let timers = Timers::default();
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::MAX);
        let [first, second] = [early, early].map(|time| timers.add(time, Waker::noop().clone()));
        timers.add(late, Waker::noop().clone());
        timers.remove(first);
        assert_eq!(timers.next(Waker::noop()), Some(early));
        timers.remove(second);
        assert_eq!(timers.next(Waker::noop()), Some(late));
        timers.wake_until(late);
        assert_eq!(timers.next(Waker::noop()), None);
    }
}
