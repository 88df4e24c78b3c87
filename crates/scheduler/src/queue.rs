//! The scheduling queue: pods that are ready to be tried, pods that wait out a backoff, and pods that
//! fit nowhere until something changes (upstream pkg/scheduler/backend/queue).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use machinery::time::after;
use machinery::{ObjectKey, Timestamp};

const BACKOFF_INITIAL: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// However little happens, a pod that fits nowhere is tried again after this.
const UNSCHEDULABLE_MAX: Duration = Duration::from_secs(5 * 60);

/// Pods that wait for a node. Higher priority first, then the one that has waited longer.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: BTreeMap<ObjectKey, Waiting>,
    active: BTreeSet<Rank>,
    /// Ends of backoffs, and when pods that fit nowhere are tried again in any case.
    deadlines: BTreeSet<(Timestamp, ObjectKey)>,
    unschedulable: BTreeSet<ObjectKey>,
}

type Rank = (Reverse<i32>, Timestamp, ObjectKey);

#[derive(Debug)]
struct Waiting {
    priority: i32,
    /// When the pod was first seen.
    since: Timestamp,
    attempts: u32,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Active,
    Backoff(Timestamp),
    /// Since its last attempt.
    Unschedulable(Timestamp),
    /// Popped, and not yet decided on.
    InFlight,
    /// Held back by a plugin such as SchedulingGates.
    Gated,
}

impl Queue {
    /// Takes in a pod, or a change of one. A changed pod that fits nowhere is tried again; a gated one
    /// waits without being tried.
    pub fn add(&mut self, key: &ObjectKey, priority: i32, gated: bool, now: Timestamp) {
        let (since, attempts, place) = match self.take_out(key) {
            None => (now, 0, Place::Active),
            Some(Waiting { since, attempts, place: Place::Unschedulable(tried), .. }) => {
                (since, attempts, Self::after_backoff(attempts, tried, now))
            }
            Some(Waiting { since, attempts, place: Place::Gated, .. }) => (since, attempts, Place::Active),
            Some(waiting) => (waiting.since, waiting.attempts, waiting.place),
        };
        let place = if gated { Place::Gated } else { place };
        self.put(key.clone(), Waiting { priority, since, attempts, place });
    }

    /// Forgets a pod: it is bound, or gone.
    pub fn remove(&mut self, key: &ObjectKey) {
        self.take_out(key);
    }

    /// The next pod to try.
    pub fn pop(&mut self, now: Timestamp) -> Option<ObjectKey> {
        self.flush(now);
        let (_, _, key) = self.active.pop_first()?;
        if let Some(waiting) = self.waiting.get_mut(&key) {
            waiting.place = Place::InFlight;
            waiting.attempts = waiting.attempts.saturating_add(1);
        }
        Some(key)
    }

    /// A popped pod fits nowhere: it waits until something changes.
    pub fn unschedulable(&mut self, key: &ObjectKey, now: Timestamp) {
        self.put_back(key, |_| Place::Unschedulable(now));
    }

    /// A popped pod could not be bound: it is tried again after its backoff.
    pub fn retry(&mut self, key: &ObjectKey, now: Timestamp) {
        self.put_back(key, |attempts| Self::after_backoff(attempts, now, now));
    }

    /// Something changed that may make room: all pods that fit nowhere are tried again, once their
    /// backoff is over.
    pub fn move_all(&mut self, now: Timestamp) {
        for key in std::mem::take(&mut self.unschedulable) {
            if let Some(waiting) = self.take_out(&key) {
                let tried = if let Place::Unschedulable(tried) = waiting.place { tried } else { now };
                let place = Self::after_backoff(waiting.attempts, tried, now);
                self.put(key, Waiting { place, ..waiting });
            }
        }
    }

    /// When [`Queue::pop`] may have something again, if it has nothing now.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(time, _)| *time)
    }

    /// Whether a pod is ready to be tried.
    pub fn is_ready(&self) -> bool {
        !self.active.is_empty()
    }

    fn flush(&mut self, now: Timestamp) {
        while let Some((time, key)) = self.deadlines.first().cloned()
            && time <= now
        {
            self.deadlines.pop_first();
            if let Some(waiting) = self.take_out(&key) {
                self.put(key, Waiting { place: Place::Active, ..waiting });
            }
        }
    }

    fn after_backoff(attempts: u32, tried: Timestamp, now: Timestamp) -> Place {
        let doubled = BACKOFF_INITIAL.saturating_mul(1 << attempts.saturating_sub(1).min(8));
        let until = after(tried, doubled.min(BACKOFF_MAX));
        if until <= now { Place::Active } else { Place::Backoff(until) }
    }

    fn put_back(&mut self, key: &ObjectKey, place: impl Fn(u32) -> Place) {
        if let Some(waiting) = self.take_out(key) {
            let place = place(waiting.attempts);
            self.put(key.clone(), Waiting { place, ..waiting });
        }
    }

    fn put(&mut self, key: ObjectKey, waiting: Waiting) {
        match waiting.place {
            Place::Active => _ = self.active.insert((Reverse(waiting.priority), waiting.since, key.clone())),
            Place::Unschedulable(_) => _ = self.unschedulable.insert(key.clone()),
            Place::Backoff(_) | Place::InFlight | Place::Gated => {}
        }
        if let Some(deadline) = waiting.place.deadline() {
            self.deadlines.insert((deadline, key.clone()));
        }
        self.waiting.insert(key, waiting);
    }

    fn take_out(&mut self, key: &ObjectKey) -> Option<Waiting> {
        let waiting = self.waiting.remove(key)?;
        self.active.remove(&(Reverse(waiting.priority), waiting.since, key.clone()));
        self.unschedulable.remove(key);
        if let Some(deadline) = waiting.place.deadline() {
            self.deadlines.remove(&(deadline, key.clone()));
        }
        Some(waiting)
    }
}

impl Place {
    /// When a pod leaves this place by time alone.
    fn deadline(self) -> Option<Timestamp> {
        match self {
            Self::Backoff(until) => Some(until),
            Self::Unschedulable(tried) => Some(after(tried, UNSCHEDULABLE_MAX)),
            Self::Active | Self::InFlight | Self::Gated => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("default", name)
    }

    #[test]
    fn higher_priority_goes_first_then_the_longer_wait() {
        let mut queue = Queue::default();
        queue.add(&key("b"), 0, false, at(1));
        queue.add(&key("a"), 0, false, at(2));
        queue.add(&key("c"), 10, false, at(3));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(at(4))).map(|key| key.name).collect();
        assert_eq!(order, ["c", "b", "a"]);
    }

    #[test]
    fn what_fits_nowhere_waits_for_a_change_and_its_backoff() {
        let mut queue = Queue::default();
        queue.add(&key("a"), 0, false, at(0));
        assert_eq!(queue.pop(at(0)), Some(key("a")));
        queue.unschedulable(&key("a"), at(0));
        assert_eq!(queue.pop(at(100)), None);
        assert_eq!(queue.next_deadline(), Some(at(300)));
        queue.move_all(at(100));
        assert_eq!(queue.pop(at(100)), Some(key("a")));
        queue.unschedulable(&key("a"), at(100));
        queue.move_all(at(100));
        assert_eq!(queue.pop(at(101)), None);
        assert_eq!(queue.next_deadline(), Some(at(102)));
        assert_eq!(queue.pop(at(102)), Some(key("a")));
        queue.unschedulable(&key("a"), at(102));
        assert_eq!(queue.pop(at(402)), Some(key("a")));
    }

    #[test]
    fn a_gated_pod_is_tried_when_its_gates_are_gone() {
        let mut queue = Queue::default();
        queue.add(&key("a"), 0, true, at(0));
        assert_eq!(queue.pop(at(1000)), None);
        queue.add(&key("a"), 0, false, at(1000));
        assert_eq!(queue.pop(at(1000)), Some(key("a")));
        queue.remove(&key("a"));
        assert_eq!(queue.next_deadline(), None);
    }
}
