//! The store itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::{Context, Poll, Waker};

use jiff::Timestamp;

use crate::error::StoreError;
use crate::history::History;
use crate::journal::{Contents, Durable, Journal, JournalEntry};
use crate::kv::{Commit, KeyValue, Origin};
use crate::lease::{LeaseId, Leases};
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::txn::{Txn, TxnResponse};
use crate::watch::{Scope, Watch, WatchOptions, Watcher, Watchers};

/// How a store is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether a host takes the journal. Without, every commit counts as durable at once.
    pub journal: bool,
    /// The largest value accepted; etcd's default.
    pub value_bytes_max: usize,
    /// How many commits of history are kept at most, whether compacted by request or not: how far back
    /// watches and time travel reach, and what that costs in memory.
    pub commits_max: usize,
    /// How many bytes that history may take, about.
    pub history_bytes_max: usize,
    /// A snapshot is kept for every so many commits, so that reading the past undoes at most as many: that is a
    /// few milliseconds. It shares little with the next where all keys are written one after the other.
    pub commits_per_checkpoint: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            journal: false,
            value_bytes_max: 3 << 19,
            commits_max: 50_000,
            history_bytes_max: 64 << 20,
            commits_per_checkpoint: 4096,
        }
    }
}

/// The store: a handle, cheap to clone, usable from any thread.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    /// Held by one writer at a time.
    state: Mutex<State>,
    /// The store as it is now, written by whoever holds the state; readers copy a pointer, or read one key.
    newest: Arc<RwLock<Snapshot>>,
}

impl Store {
    /// An empty store at revision 1, as a fresh etcd has it.
    pub fn new(options: &Options) -> Self {
        Self::restore(options, Contents { revision: 1, ..Contents::default() }, Timestamp::UNIX_EPOCH)
    }

    /// A store with what a host read back. Leases live their full time again from `now`.
    pub fn restore(options: &Options, contents: Contents, now: Timestamp) -> Self {
        let revision = contents.revision.max(1);
        let mut newest = Snapshot::empty(revision);
        let mut leases = Leases::default();
        for (id, ttl_seconds) in contents.leases {
            leases.grant(id, ttl_seconds, now);
        }
        for kv in contents.entries {
            if let Some(id) = kv.lease {
                leases.attach(id, kv.key.clone());
            }
            newest.insert(kv);
        }
        let newest = Arc::new(RwLock::new(newest));
        Self(Arc::new(Shared {
            newest: newest.clone(),
            state: Mutex::new(State {
                newest,
                revision,
                history: History::new(revision, options.commits_per_checkpoint),
                watchers: Watchers::default(),
                leases,
                journal: Journal::new(options.journal, revision),
                value_bytes_max: options.value_bytes_max,
                commits_max: options.commits_max,
                history_bytes_max: options.history_bytes_max,
            }),
        }))
    }

    /// The store as it is now.
    pub fn snapshot(&self) -> Snapshot {
        self.newest().clone()
    }

    /// The newest revision.
    pub fn revision(&self) -> i64 {
        self.newest().revision()
    }

    fn newest(&self) -> RwLockReadGuard<'_, Snapshot> {
        self.0.newest.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// One key as it is now.
    pub fn get(&self, key: &str) -> Option<Arc<KeyValue>> {
        self.newest().get(key).cloned()
    }

    /// The store as it was at a revision; 0 for now.
    ///
    /// # Errors
    /// [`StoreError::Compacted`], [`StoreError::FutureRevision`].
    pub fn snapshot_at(&self, revision: i64) -> Result<Snapshot, StoreError> {
        let newest = self.snapshot();
        if revision == 0 || revision == newest.revision() {
            return Ok(newest);
        }
        let mut state = self.lock();
        let newest = self.snapshot();
        state.history.snapshot_at(revision, &newest)
    }

    /// Does a transaction: one new revision if it changes anything.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::LeaseNotFound`]; then nothing is changed.
    pub fn txn(&self, txn: Txn, origin: Origin) -> Result<TxnResponse, StoreError> {
        self.write(|state, wakers| state.txn(txn, origin, wakers))
    }

    /// Watches keys.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] if the changes at `start_revision` are no longer kept. A start in the
    /// future waits for it.
    pub fn watch(&self, options: WatchOptions) -> Result<Watch, StoreError> {
        let options = WatchOptions { scope: options.scope.normalized(), ..options };
        let watcher = Arc::new(Watcher::new(&options));
        let mut state = self.lock();
        let mut backlog = VecDeque::new();
        if options.start_revision != 0 {
            let compact_revision = state.history.compact_revision();
            if options.start_revision <= compact_revision {
                return Err(StoreError::Compacted { compact_revision });
            }
            for commit in state.history.since(options.start_revision) {
                backlog.extend(options.scope.events(commit));
            }
        }
        let id = state.watchers.add(watcher.clone());
        drop(state);
        Ok(Watch::new(self.clone(), watcher, id, backlog))
    }

    /// The commits from a revision on, oldest first, at most `limit`: the trace.
    ///
    /// # Errors
    /// [`StoreError::Compacted`].
    pub fn commits(&self, from_revision: i64, limit: usize) -> Result<Vec<Arc<Commit>>, StoreError> {
        let state = self.lock();
        let compact_revision = state.history.compact_revision();
        if from_revision <= compact_revision && from_revision != 0 {
            return Err(StoreError::Compacted { compact_revision });
        }
        Ok(state.history.since(from_revision).take(limit).cloned().collect())
    }

    /// Forgets the history before a revision, which itself stays readable.
    ///
    /// # Errors
    /// [`StoreError::Compacted`] if that has happened already, [`StoreError::FutureRevision`].
    pub fn compact(&self, revision: i64) -> Result<(), StoreError> {
        let mut state = self.lock();
        let compact_revision = state.history.compact_revision();
        if revision > state.revision {
            return Err(StoreError::FutureRevision { revision: state.revision });
        }
        if revision <= compact_revision {
            return Err(StoreError::Compacted { compact_revision });
        }
        state.history.compact(revision);
        Ok(())
    }

    /// The oldest revision that can be read.
    pub fn compact_revision(&self) -> i64 {
        self.lock().history.compact_revision()
    }

    /// A hash over every revision since the store was made: writer, keys and values, of which what was at
    /// hand when they were written. Equal histories have equal hashes, on every platform.
    pub fn history_hash(&self) -> u64 {
        self.lock().history.hash()
    }

    /// Grants a lease of `ttl_seconds`, with an id of the store's choice if `id` is `None`.
    ///
    /// # Errors
    /// [`StoreError::LeaseExists`].
    pub fn lease_grant(&self, id: Option<LeaseId>, ttl_seconds: i64, now: Timestamp) -> Result<LeaseId, StoreError> {
        self.write(|state, wakers| {
            let id = id.unwrap_or_else(|| state.leases.next_id());
            if state.leases.contains(id) {
                return Err(StoreError::LeaseExists);
            }
            state.leases.grant(id, ttl_seconds, now);
            wakers.extend(state.journal.push(JournalEntry::LeaseGranted { id, ttl_seconds }));
            Ok(id)
        })
    }

    /// Lets a lease last its full time from `now`, which is returned in seconds.
    ///
    /// # Errors
    /// [`StoreError::LeaseNotFound`].
    pub fn lease_keep_alive(&self, id: LeaseId, now: Timestamp) -> Result<i64, StoreError> {
        self.lock().leases.keep_alive(id, now).ok_or(StoreError::LeaseNotFound)
    }

    /// Ends a lease and deletes its keys.
    ///
    /// # Errors
    /// [`StoreError::LeaseNotFound`].
    pub fn lease_revoke(&self, id: LeaseId, origin: Origin) -> Result<(), StoreError> {
        self.write(|state, wakers| {
            let keys = state.leases.revoke(id).ok_or(StoreError::LeaseNotFound)?;
            state.delete_all(keys, origin, wakers);
            wakers.extend(state.journal.push(JournalEntry::LeaseEnded { id }));
            Ok(())
        })
    }

    /// Ends the leases whose time has come and deletes their keys.
    pub fn expire_leases(&self, now: Timestamp, origin: &Origin) {
        self.write(|state, wakers| {
            for id in state.leases.expired(now) {
                let keys = state.leases.revoke(id).unwrap_or_default();
                state.delete_all(keys, origin.clone(), wakers);
                wakers.extend(state.journal.push(JournalEntry::LeaseEnded { id }));
            }
        });
    }

    /// When the next lease expires.
    pub fn next_lease_expiry(&self) -> Option<Timestamp> {
        self.lock().leases.next_expiry()
    }

    /// Takes what has been committed since the last time, in order, to be written.
    pub fn take_journal(&self) -> Vec<JournalEntry> {
        self.lock().journal.take()
    }

    /// Takes the journal once there is something in it. One writer at a time.
    pub fn poll_journal(&self, cx: &mut Context<'_>) -> Poll<Vec<JournalEntry>> {
        self.lock().journal.poll_take(cx)
    }

    /// Everything up to a revision has been written.
    pub fn mark_durable(&self, revision: i64) {
        let wakers = self.lock().journal.written(Ok(revision));
        wakers.into_iter().for_each(Waker::wake);
    }

    /// What was taken could not be written; those who wait are told why.
    pub fn mark_not_durable(&self, reason: String) {
        let wakers = self.lock().journal.written(Err(reason));
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether the disk takes changes: [`StoreError::NotDurable`] from a failed write to the next that succeeds.
    /// A host refuses clients' changes as long, so that none is there that was not acknowledged.
    ///
    /// # Errors
    /// As said.
    pub fn accepts_changes(&self) -> Result<(), StoreError> {
        match self.lock().journal.failure() {
            Some(reason) => Err(StoreError::NotDurable(reason.to_owned())),
            None => Ok(()),
        }
    }

    /// Ready once `revision` is durable.
    pub fn durable(&self, revision: i64) -> Durable {
        Durable { store: self.clone(), revision }
    }

    /// Everything, as it was at a revision (0: now): what a fork or a file starts from. Leases are
    /// today's.
    ///
    /// # Errors
    /// As [`Store::snapshot_at`].
    pub fn contents(&self, revision: i64) -> Result<Contents, StoreError> {
        let snapshot = self.snapshot_at(revision)?;
        Ok(Contents {
            revision: snapshot.revision(),
            entries: snapshot.range("", "").cloned().collect(),
            leases: self.lock().leases.ttls(),
        })
    }

    /// The newest revision whose events have been queued with every watcher.
    pub(crate) fn dispatched_revision(&self) -> i64 {
        self.lock().revision
    }

    pub(crate) fn unwatch(&self, scope: &Scope, id: u64) {
        self.lock().watchers.remove(scope, id);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes whoever is concerned once that is done.
    fn write<T>(&self, change: impl FnOnce(&mut State, &mut Vec<Waker>) -> T) -> T {
        let mut wakers = Vec::new();
        let mut state = self.lock();
        let outcome = change(&mut state, &mut wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        outcome
    }
}
