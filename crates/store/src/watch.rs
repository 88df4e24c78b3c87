//! Watches: commits as they happen, to whoever is interested.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::Stream;

use crate::error::StoreError;
use crate::kv::{Change, Commit};
use crate::store::Store;

/// Which keys a watch is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One key.
    Key(Arc<str>),
    /// Every key under a prefix. It ends in `/`; one is added if it does not.
    Prefix(Arc<str>),
    /// The keys under a prefix whose [`crate::KeyValue::trigger`] is or was `value`. A commit costs
    /// nothing to the watchers of other values.
    Trigger {
        /// The prefix, as for [`Scope::Prefix`].
        prefix: Arc<str>,
        /// The value.
        value: Arc<str>,
    },
}

/// What to watch, and how.
#[derive(Clone, Debug)]
pub struct WatchOptions {
    /// Which keys.
    pub scope: Scope,
    /// The first revision whose changes are seen; 0 for the next one.
    pub start_revision: i64,
    /// How many live events may wait before the watcher is cut off.
    pub queued_max: usize,
}

impl WatchOptions {
    /// Watches `scope` from `start_revision`.
    pub fn new(scope: Scope, start_revision: i64) -> Self {
        Self { scope, start_revision, queued_max: 65_536 }
    }
}

/// One key's change, as a watcher sees it.
#[derive(Clone, Debug)]
pub struct Event {
    /// The revision it belongs to.
    pub commit: Arc<Commit>,
    index: usize,
}

impl Event {
    /// The change.
    ///
    /// # Panics
    /// Never: the index was taken from the commit.
    pub fn change(&self) -> &Change {
        &self.commit.changes[self.index]
    }
}

/// A stream of [`Event`]s: first history, then live. It ends after an error.
pub struct Watch {
    store: Store,
    watcher: Arc<Watcher>,
    id: u64,
    /// History still to be replayed.
    backlog: VecDeque<Event>,
}

pub(crate) struct Watcher {
    scope: Scope,
    start_revision: i64,
    queued_max: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    waker: Option<Waker>,
    /// Set when the watch is over: how many events waited when the watcher was cut off.
    lagged: Option<usize>,
    ended: bool,
}

impl Watch {
    pub(crate) fn new(store: Store, watcher: Arc<Watcher>, id: u64, backlog: VecDeque<Event>) -> Self {
        Self { store, watcher, id, backlog }
    }

    /// The revision up to which everything has been delivered, if nothing waits: what a bookmark may
    /// say.
    pub fn progress(&self) -> Option<i64> {
        if !self.backlog.is_empty() {
            return None;
        }
        // The writer holds its lock from commit to dispatch, so the revision is read first: whatever
        // it covers has been queued by then.
        let revision = self.store.dispatched_revision();
        let queue = self.watcher.lock();
        (queue.events.is_empty() && queue.lagged.is_none()).then_some(revision)
    }
}

impl Stream for Watch {
    type Item = Result<Event, StoreError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(event) = self.backlog.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        let mut queue = self.watcher.lock();
        if let Some(event) = queue.events.pop_front() {
            return Poll::Ready(Some(Ok(event)));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        if let Some(queued) = queue.lagged {
            queue.ended = true;
            return Poll::Ready(Some(Err(StoreError::Lagged { queued })));
        }
        if !queue.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            queue.waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.store.unwatch(&self.watcher.scope, self.id);
    }
}

impl Watcher {
    pub(crate) fn new(options: &WatchOptions) -> Self {
        Self {
            scope: options.scope.clone(),
            start_revision: options.start_revision,
            queued_max: options.queued_max,
            queue: Mutex::new(Queue::default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an event; a waker to be woken once the store's lock is free again.
    fn offer(&self, event: Event) -> Option<Waker> {
        if event.commit.revision < self.start_revision {
            return None;
        }
        let mut queue = self.lock();
        if queue.lagged.is_some() {
            return None;
        }
        if queue.events.len() >= self.queued_max {
            queue.lagged = Some(queue.events.len());
            queue.events = VecDeque::new();
        } else {
            queue.events.push_back(event);
        }
        queue.waker.take()
    }
}

type ById = BTreeMap<u64, Arc<Watcher>>;

/// Who watches what.
#[derive(Default)]
pub(crate) struct Watchers {
    last_id: u64,
    keys: BTreeMap<Arc<str>, ById>,
    /// By prefix, then by trigger value; `None` are those interested in every change.
    prefixes: BTreeMap<Arc<str>, BTreeMap<Option<Arc<str>>, ById>>,
}

impl Watchers {
    pub(crate) fn add(&mut self, watcher: Arc<Watcher>) -> u64 {
        self.last_id += 1;
        match &watcher.scope {
            Scope::Key(key) => self.keys.entry(key.clone()).or_default(),
            Scope::Prefix(prefix) => self.prefixes.entry(prefix.clone()).or_default().entry(None).or_default(),
            Scope::Trigger { prefix, value } => {
                self.prefixes.entry(prefix.clone()).or_default().entry(Some(value.clone())).or_default()
            }
        }
        .insert(self.last_id, watcher);
        self.last_id
    }

    pub(crate) fn remove(&mut self, scope: &Scope, id: u64) {
        let (prefix, trigger) = match scope {
            Scope::Key(key) => {
                if let Some(watchers) = self.keys.get_mut(key) {
                    watchers.remove(&id);
                    if watchers.is_empty() {
                        self.keys.remove(key);
                    }
                }
                return;
            }
            Scope::Prefix(prefix) => (prefix, None),
            Scope::Trigger { prefix, value } => (prefix, Some(value.clone())),
        };
        let Some(triggers) = self.prefixes.get_mut(prefix) else { return };
        if let Some(watchers) = triggers.get_mut(&trigger) {
            watchers.remove(&id);
            if watchers.is_empty() {
                triggers.remove(&trigger);
            }
        }
        if triggers.is_empty() {
            self.prefixes.remove(prefix);
        }
    }

    /// Queues a commit's events with those interested, each event once per watcher, and returns whom
    /// to wake.
    pub(crate) fn dispatch(&self, commit: &Arc<Commit>) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for (index, change) in commit.changes.iter().enumerate() {
            let mut offer = |watchers: &ById| {
                let event = Event { commit: commit.clone(), index };
                wakers.extend(watchers.values().filter_map(|watcher| watcher.offer(event.clone())));
            };
            if let Some(watchers) = self.keys.get(&change.key) {
                offer(watchers);
            }
            let ends = change.key.match_indices('/').map(|(slash, _)| slash + 1);
            let directories = ends.filter_map(|end| change.key.get(..end));
            for triggers in std::iter::once("").chain(directories).filter_map(|prefix| self.prefixes.get(prefix)) {
                if let Some(watchers) = triggers.get(&None) {
                    offer(watchers);
                }
                let (now, before) = triggers_of(change);
                if now.is_some()
                    && let Some(watchers) = triggers.get(now)
                {
                    offer(watchers);
                }
                if before.is_some()
                    && before != now
                    && let Some(watchers) = triggers.get(before)
                {
                    offer(watchers);
                }
            }
        }
        wakers
    }
}

impl Scope {
    /// With the prefix's closing slash.
    pub(crate) fn normalized(self) -> Self {
        let closed = |prefix: Arc<str>| match prefix.as_ref() {
            "" => prefix,
            open if !open.ends_with('/') => format!("{open}/").into(),
            _ => prefix,
        };
        match self {
            Self::Key(key) => Self::Key(key),
            Self::Prefix(prefix) => Self::Prefix(closed(prefix)),
            Self::Trigger { prefix, value } => Self::Trigger { prefix: closed(prefix), value },
        }
    }

    /// The commit's events that are within this scope.
    pub(crate) fn events<'a>(&'a self, commit: &'a Arc<Commit>) -> impl Iterator<Item = Event> + 'a {
        let within = move |change: &Change| match self {
            Self::Key(key) => change.key == *key,
            Self::Prefix(prefix) => change.key.starts_with(&**prefix),
            Self::Trigger { prefix, value } => {
                let (now, before) = triggers_of(change);
                change.key.starts_with(&**prefix) && (now.as_ref() == Some(value) || before.as_ref() == Some(value))
            }
        };
        let indexes = commit.changes.iter().enumerate().filter(move |(_, change)| within(change));
        indexes.map(|(index, _)| Event { commit: commit.clone(), index })
    }
}

/// The trigger values of a key after and before a change.
fn triggers_of(change: &Change) -> (&Option<Arc<str>>, &Option<Arc<str>>) {
    (change.current.as_ref().map_or(&None, |kv| &kv.trigger), change.previous.as_ref().map_or(&None, |kv| &kv.trigger))
}
