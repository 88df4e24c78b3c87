//! The work queue of a controller, as client-go's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use machinery::Timestamp;

/// The first delay of [`WorkQueue::add_rate_limited`]; each further failure doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
/// The longest delay of [`WorkQueue::add_rate_limited`].
const BACKOFF_MAX: Duration = Duration::from_secs(1000);

/// Keys waiting to be processed: each at most once, first in, first out, some only after a while.
///
/// A controller processes one key at a time, so a key that is added while it is processed simply
/// queues again.
#[derive(Debug)]
pub struct WorkQueue<K: Ord + Clone> {
    ready: VecDeque<K>,
    queued: BTreeSet<K>,
    /// Keys by the time they become ready, then by the order they were added.
    delayed: BTreeMap<(Timestamp, u64), K>,
    delays: BTreeMap<K, (Timestamp, u64)>,
    failures: BTreeMap<K, u32>,
    sequence: u64,
    backoff: (Duration, Duration),
}

impl<K: Ord + Clone> Default for WorkQueue<K> {
    fn default() -> Self {
        Self::with_backoff(BACKOFF_MIN, BACKOFF_MAX)
    }
}

impl<K: Ord + Clone> WorkQueue<K> {
    /// An empty queue with the given first and longest delay between retries.
    pub fn with_backoff(min: Duration, max: Duration) -> Self {
        Self {
            ready: VecDeque::new(),
            queued: BTreeSet::new(),
            delayed: BTreeMap::new(),
            delays: BTreeMap::new(),
            failures: BTreeMap::new(),
            sequence: 0,
            backoff: (min, max),
        }
    }

    /// Adds a key, unless it is queued already.
    pub fn add(&mut self, key: K) {
        if self.queued.insert(key.clone()) {
            self.ready.push_back(key);
        }
    }

    /// Adds a key once `delay` has passed. Of several delays for one key, the shortest counts.
    pub fn add_after(&mut self, now: Timestamp, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let time = now.saturating_add(delay).unwrap_or(Timestamp::MAX);
        if let Some(earlier) = self.delays.get(&key).copied() {
            if earlier.0 <= time {
                return;
            }
            self.delayed.remove(&earlier);
        }
        self.sequence += 1;
        self.delayed.insert((time, self.sequence), key.clone());
        self.delays.insert(key, (time, self.sequence));
    }

    /// Adds a key after its backoff: 5 ms at first, twice as long at every call since the last
    /// [`WorkQueue::forget`], 1000 s at most.
    pub fn add_rate_limited(&mut self, now: Timestamp, key: K) {
        let failures = self.failures.entry(key.clone()).or_insert(0);
        let delay = self.backoff.0.saturating_mul(1_u32.checked_shl(*failures).unwrap_or(u32::MAX)).min(self.backoff.1);
        *failures = failures.saturating_add(1).min(31);
        self.add_after(now, key, delay);
    }

    /// The key has been processed well: its backoff starts anew.
    pub fn forget(&mut self, key: &K) {
        self.failures.remove(key);
    }

    /// How often the key was rate limited since it was last forgotten.
    pub fn requeues(&self, key: &K) -> u32 {
        self.failures.get(key).copied().unwrap_or(0)
    }

    /// Takes the next key that is ready.
    pub fn get(&mut self, now: Timestamp) -> Option<K> {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let key = entry.remove();
            self.delays.remove(&key);
            self.add(key);
        }
        let key = self.ready.pop_front()?;
        self.queued.remove(&key);
        Some(key)
    }

    /// Whether a key is ready now.
    pub fn has_ready(&self, now: Timestamp) -> bool {
        !self.ready.is_empty() || self.next_deadline().is_some_and(|time| time <= now)
    }

    /// When the next delayed key becomes ready.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.delayed.first_key_value().map(|((time, _), _)| *time)
    }

    /// How many keys are ready, not counting delayed ones.
    pub fn len(&self) -> usize {
        self.ready.len()
    }

    /// Whether no key is ready or delayed.
    pub fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.delayed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    #[test]
    fn a_key_queues_once_and_in_order() {
        let mut queue = WorkQueue::default();
        for key in ["b", "a", "b"] {
            queue.add(key);
        }
        assert_eq!([queue.get(at(0)), queue.get(at(0)), queue.get(at(0))], [Some("b"), Some("a"), None]);
    }

    #[test]
    fn the_shortest_delay_counts() {
        let mut queue = WorkQueue::default();
        queue.add_after(at(0), "a", Duration::from_secs(2));
        queue.add_after(at(0), "a", Duration::from_secs(1));
        queue.add_after(at(0), "a", Duration::from_secs(3));
        assert_eq!(queue.next_deadline(), Some(at(1000)));
        assert_eq!((queue.get(at(999)), queue.get(at(1000)), queue.get(at(9000))), (None, Some("a"), None));
        assert!(queue.is_empty());
    }

    #[test]
    fn backoff_doubles_until_forgotten() {
        let mut queue = WorkQueue::default();
        let mut now = at(0);
        let mut delays = Vec::new();
        for _ in 0..20 {
            queue.add_rate_limited(now, "a");
            let next = queue.next_deadline().unwrap();
            delays.push(next.as_millisecond() - now.as_millisecond());
            now = next;
            queue.get(now);
        }
        assert_eq!(delays[..4], [5, 10, 20, 40]);
        assert_eq!(delays[17..], [655_360, 1_000_000, 1_000_000]);
        queue.forget(&"a");
        queue.add_rate_limited(now, "a");
        assert_eq!(queue.next_deadline().unwrap().as_millisecond() - now.as_millisecond(), 5);
    }
}
