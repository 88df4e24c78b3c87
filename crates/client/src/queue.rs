//! The work queue of a controller, as client-go's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use machinery::Timestamp;
use machinery::metrics::{Family, Kind, Metrics};

/// The first delay of [`WorkQueue::add_rate_limited`]; each further failure doubles it.
const BACKOFF_MIN: Duration = Duration::from_millis(5);
/// The longest delay of [`WorkQueue::add_rate_limited`].
const BACKOFF_MAX: Duration = Duration::from_secs(1000);

/// Upper bounds of durations, in seconds: upstream's, as it multiplies them.
const SECONDS: Kind =
    Kind::Histogram(&[1e-6, 9.999999999999999e-6, 9.999999999999999e-5, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]);

static ADDS: Family = Family {
    name: "workqueue_adds_total",
    help: "[BETA] Total number of adds handled by workqueue",
    kind: Kind::Counter,
};
static DEPTH: Family = Family { name: "workqueue_depth", help: "[BETA] Current depth of workqueue", kind: Kind::Gauge };
static QUEUE_DURATION: Family = Family {
    name: "workqueue_queue_duration_seconds",
    help: "[BETA] How long in seconds an item stays in workqueue before being requested.",
    kind: SECONDS,
};
static RETRIES: Family = Family {
    name: "workqueue_retries_total",
    help: "[BETA] Total number of retries handled by workqueue",
    kind: Kind::Counter,
};
static WORK_DURATION: Family = Family {
    name: "workqueue_work_duration_seconds",
    help: "[BETA] How long in seconds processing an item from workqueue takes.",
    kind: SECONDS,
};

/// Where a queue counts (component-base `metrics/prometheus/workqueue`). What is in progress is not counted:
/// a key is done before anybody can look.
struct Counters {
    metrics: Metrics,
    labels: String,
    /// When the key was taken that is being processed.
    working_since: Option<Timestamp>,
}

/// Keys waiting to be processed: each at most once, first in, first out, some only after a while.
///
/// A controller processes one key at a time, so a key that is added while it is processed simply
/// queues again.
pub struct WorkQueue<K: Ord + Clone> {
    /// Keys, each with the time since which it is ready.
    ready: VecDeque<(K, Timestamp)>,
    queued: BTreeSet<K>,
    /// Keys by the time they become ready, then by the order they were added.
    delayed: BTreeMap<(Timestamp, u64), K>,
    delays: BTreeMap<K, (Timestamp, u64)>,
    failures: BTreeMap<K, u32>,
    sequence: u64,
    backoff: (Duration, Duration),
    counters: Option<Counters>,
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
            counters: None,
        }
    }

    /// The same queue, counted under a name such as `deployment`.
    #[must_use]
    pub fn counted(mut self, metrics: &Metrics, name: &str) -> Self {
        let labels = format!("name=\"{name}\"");
        metrics.add(&ADDS, &labels, 0);
        metrics.add(&RETRIES, &labels, 0);
        metrics.set(&DEPTH, &labels, 0.0);
        self.counters = Some(Counters { metrics: metrics.clone(), labels, working_since: None });
        self
    }

    /// Adds a key, unless it is queued already.
    pub fn add(&mut self, now: Timestamp, key: K) {
        if self.queued.insert(key.clone()) {
            self.ready.push_back((key, now));
            if let Some(Counters { metrics, labels, .. }) = &self.counters {
                metrics.add(&ADDS, labels, 1);
                metrics.set(&DEPTH, labels, self.ready.len() as f64);
            }
        }
    }

    /// Adds a key once `delay` has passed. Of several delays for one key, the shortest counts.
    pub fn add_after(&mut self, now: Timestamp, key: K, delay: Duration) {
        if let Some(Counters { metrics, labels, .. }) = &self.counters {
            metrics.add(&RETRIES, labels, 1);
        }
        if delay.is_zero() {
            return self.add(now, key);
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

    /// The key that was taken last has been processed, well or not.
    pub fn done(&mut self) {
        if let Some(Counters { metrics, labels, working_since }) = &mut self.counters
            && let Some(since) = working_since.take()
        {
            metrics.observe_since(&WORK_DURATION, labels, since);
        }
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
            let (due, key) = (entry.key().0, entry.remove());
            self.delays.remove(&key);
            self.add(due, key);
        }
        let (key, since) = self.ready.pop_front()?;
        self.queued.remove(&key);
        if let Some(Counters { metrics, labels, working_since }) = &mut self.counters {
            *working_since = Some(metrics.now());
            metrics.set(&DEPTH, labels, self.ready.len() as f64);
            metrics.observe(&QUEUE_DURATION, labels, now.duration_since(since).try_into().unwrap_or_default());
        }
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
            queue.add(at(0), key);
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
