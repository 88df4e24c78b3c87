//! The scheduling queue: pods that are ready to be tried, pods that wait out a backoff, and pods that
//! fit nowhere until something changes (upstream pkg/scheduler/backend/queue).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use machinery::time::after;
use machinery::{ObjectKey, Timestamp};

use crate::plugins::{self, Change};

/// However little happens, a pod that fits nowhere is tried again after this.
const UNSCHEDULABLE_MAX: Duration = Duration::from_secs(5 * 60);

/// Pods that wait for a node. Higher priority first, then the one that has waited longer.
#[derive(Debug)]
pub struct Queue {
    /// The first and the longest.
    backoff: (Duration, Duration),
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
    /// The plugins that keep it from being scheduled; none known for any.
    rejectors: Vec<&'static str>,
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
    /// An empty queue with its first and its longest backoff.
    pub fn new(backoff: (Duration, Duration)) -> Self {
        Self {
            backoff,
            waiting: BTreeMap::new(),
            active: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            unschedulable: BTreeSet::new(),
        }
    }

    /// Takes in a pod, or a change of one. A changed pod that fits nowhere is tried again; a gated one
    /// waits without being tried.
    pub fn add(&mut self, key: &ObjectKey, priority: i32, gated: bool, now: Timestamp) {
        let (since, attempts, place) = match self.take_out(key) {
            None => (now, 0, Place::Active),
            Some(Waiting { since, attempts, place: Place::Unschedulable(tried), .. }) => {
                (since, attempts, self.after_backoff(attempts, tried, now))
            }
            Some(Waiting { since, attempts, place: Place::Gated, .. }) => (since, attempts, Place::Active),
            Some(waiting) => (waiting.since, waiting.attempts, waiting.place),
        };
        let place = if gated { Place::Gated } else { place };
        self.put(key.clone(), Waiting { priority, since, attempts, place, rejectors: Vec::new() });
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

    /// A popped pod fits nowhere because of these plugins: it waits until something changes.
    pub fn unschedulable(&mut self, key: &ObjectKey, rejectors: Vec<&'static str>, now: Timestamp) {
        if let Some(waiting) = self.take_out(key) {
            self.put(key.clone(), Waiting { place: Place::Unschedulable(now), rejectors, ..waiting });
        }
    }

    /// A popped pod could not be bound: it is tried again after its backoff.
    pub fn retry(&mut self, key: &ObjectKey, now: Timestamp) {
        if let Some(waiting) = self.take_out(key) {
            let place = self.after_backoff(waiting.attempts, now, now);
            self.put(key.clone(), Waiting { place, ..waiting });
        }
    }

    /// Something changed: the pods that this may help are tried again, once their backoff is over.
    pub fn changed(&mut self, changes: &[Change], now: Timestamp) {
        if !changes.is_empty() {
            self.changed_by(now, |_, plugin| changes.iter().any(|change| plugins::helps(*change, plugin)));
        }
    }

    /// [`Queue::changed`], where `helps` says whether what happened may help a pod that a plugin rejected.
    pub fn changed_by(&mut self, now: Timestamp, mut helps: impl FnMut(&ObjectKey, &str) -> bool) {
        let mut helped = |key: &&ObjectKey| {
            let rejectors = self.waiting.get(key).map(|waiting| waiting.rejectors.as_slice()).unwrap_or_default();
            rejectors.is_empty() || rejectors.iter().any(|plugin| helps(key, plugin))
        };
        let helped: Vec<ObjectKey> = self.unschedulable.iter().filter(|key| helped(key)).cloned().collect();
        for key in helped {
            if let Some(waiting) = self.take_out(&key) {
                let tried = if let Place::Unschedulable(tried) = waiting.place { tried } else { now };
                let place = self.after_backoff(waiting.attempts, tried, now);
                self.put(key, Waiting { place, ..waiting });
            }
        }
    }

    /// When [`Queue::pop`] may have something again, if it has nothing now.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(time, _)| *time)
    }

    /// Whether a pod waits for a change.
    pub fn has_unschedulable(&self) -> bool {
        !self.unschedulable.is_empty()
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

    fn after_backoff(&self, attempts: u32, tried: Timestamp, now: Timestamp) -> Place {
        let doubled = self.backoff.0.saturating_mul(1 << attempts.saturating_sub(1).min(8));
        let until = after(tried, doubled.min(self.backoff.1));
        if until <= now { Place::Active } else { Place::Backoff(until) }
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
        let mut queue = Queue::new((Duration::from_secs(1), Duration::from_secs(10)));
        queue.add(&key("b"), 0, false, at(1));
        queue.add(&key("a"), 0, false, at(2));
        queue.add(&key("c"), 10, false, at(3));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(at(4))).map(|key| key.name).collect();
        assert_eq!(order, ["c", "b", "a"]);
    }

    #[test]
    fn what_fits_nowhere_waits_for_a_change_and_its_backoff() {
        let mut queue = Queue::new((Duration::from_secs(1), Duration::from_secs(10)));
        queue.add(&key("a"), 0, false, at(0));
        assert_eq!(queue.pop(at(0)), Some(key("a")));
        queue.unschedulable(&key("a"), vec!["NodeResourcesFit"], at(0));
        assert_eq!(queue.pop(at(100)), None);
        assert_eq!(queue.next_deadline(), Some(at(300)));
        queue.changed(&[Change::Storage], at(100));
        assert_eq!(queue.pop(at(100)), None, "storage makes no room");
        queue.changed(&[Change::PodGone], at(100));
        assert_eq!(queue.pop(at(100)), Some(key("a")));
        queue.unschedulable(&key("a"), vec!["NodeResourcesFit"], at(100));
        queue.changed(&[Change::NodeAdded], at(100));
        assert_eq!(queue.pop(at(101)), None);
        assert_eq!(queue.next_deadline(), Some(at(102)));
        assert_eq!(queue.pop(at(102)), Some(key("a")));
        queue.unschedulable(&key("a"), vec!["NodeResourcesFit"], at(102));
        assert_eq!(queue.pop(at(402)), Some(key("a")));
    }

    #[test]
    fn a_gated_pod_is_tried_when_its_gates_are_gone() {
        let mut queue = Queue::new((Duration::from_secs(1), Duration::from_secs(10)));
        queue.add(&key("a"), 0, true, at(0));
        assert_eq!(queue.pop(at(1000)), None);
        queue.add(&key("a"), 0, false, at(1000));
        assert_eq!(queue.pop(at(1000)), Some(key("a")));
        queue.remove(&key("a"));
        assert_eq!(queue.next_deadline(), None);
    }
}
