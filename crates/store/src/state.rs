//! What the writers' lock guards.

use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::task::Waker;

use crate::error::StoreError;
use crate::history::History;
use crate::journal::{Journal, JournalEntry};
use crate::kv::{Change, Commit, KeyValue, Memo, Origin, Value};
use crate::lease::{LeaseId, Leases};
use crate::snapshot::Snapshot;
use crate::txn::{Op, OpResponse, Txn, TxnResponse};
use crate::watch::Watchers;

/// Everything a writer changes.
pub(crate) struct State {
    /// What readers see. It is changed where it is: nobody reads between two changes of a transaction.
    pub(crate) newest: Arc<RwLock<Snapshot>>,
    /// The newest revision that watchers were told of.
    pub(crate) revision: i64,
    pub(crate) history: History,
    pub(crate) watchers: Watchers,
    pub(crate) leases: Leases,
    pub(crate) journal: Journal,
    pub(crate) value_bytes_max: usize,
    pub(crate) commits_max: usize,
    pub(crate) history_bytes_max: usize,
}

impl State {
    /// Does a transaction. Whom to wake goes into `wakers`.
    pub(crate) fn txn(&mut self, txn: Txn, origin: Origin, wakers: &mut Vec<Waker>) -> Result<TxnResponse, StoreError> {
        let newest = self.newest.clone();
        let mut newest = newest.write().unwrap_or_else(PoisonError::into_inner);
        let succeeded = txn.compare.iter().all(|compare| compare.holds(&newest));
        let ops = if succeeded { txn.then } else { txn.otherwise };
        self.check(&ops)?;
        // As long as history keeps them: no larger than needed.
        let mut changes = Vec::with_capacity(ops.len());
        let responses = ops.into_iter().map(|op| self.apply(op, &mut newest, &mut changes)).collect();
        self.commit(changes, newest, origin, wakers);
        Ok(TxnResponse { succeeded, revision: self.revision, responses })
    }

    /// Deletes keys, as one revision.
    pub(crate) fn delete_all(
        &mut self,
        keys: impl IntoIterator<Item = Arc<str>>,
        origin: Origin,
        wakers: &mut Vec<Waker>,
    ) {
        let newest = self.newest.clone();
        let mut newest = newest.write().unwrap_or_else(PoisonError::into_inner);
        let mut changes = Vec::new();
        for key in keys {
            self.apply(Op::Delete { key }, &mut newest, &mut changes);
        }
        self.commit(changes, newest, origin, wakers);
    }

    /// Whatever can be refused is refused before anything is done.
    fn check(&self, ops: &[Op]) -> Result<(), StoreError> {
        for op in ops {
            if let Op::Put { value, lease, .. } = op {
                if value.weight() > self.value_bytes_max {
                    return Err(StoreError::TooLarge);
                }
                if lease.is_some_and(|id| !self.leases.contains(id)) {
                    return Err(StoreError::LeaseNotFound);
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, op: Op, newest: &mut Snapshot, changes: &mut Vec<Change>) -> OpResponse {
        match op {
            Op::Get { key } => OpResponse::Get(newest.get(&key).cloned()),
            Op::Put { key, value, lease, trigger } => {
                let kv = self.put(newest, key, value, lease, trigger, changes);
                OpResponse::Put(kv)
            }
            Op::Delete { key } => {
                let previous = newest.remove(&key);
                if let Some(previous) = &previous {
                    if let Some(id) = previous.lease {
                        self.leases.detach(id, &key);
                    }
                    let previous = Some(previous.clone());
                    changes.push(Change { key, current: None, previous, memo: Memo::default() });
                }
                OpResponse::Delete(previous)
            }
        }
    }

    fn put(
        &mut self,
        newest: &mut Snapshot,
        key: Arc<str>,
        value: Value,
        lease: Option<LeaseId>,
        trigger: Option<Arc<str>>,
        changes: &mut Vec<Change>,
    ) -> Arc<KeyValue> {
        let revision = newest.revision() + 1;
        let previous = newest.get(&key).cloned();
        // The key's own text is shared by all its revisions.
        let key = previous.as_ref().map_or(key, |previous| previous.key.clone());
        let before = previous.as_ref().and_then(|previous| previous.lease);
        if before != lease {
            if let Some(id) = before {
                self.leases.detach(id, &key);
            }
            if let Some(id) = lease {
                self.leases.attach(id, key.clone());
            }
        }
        let kv = Arc::new(KeyValue {
            key: key.clone(),
            value,
            create_revision: previous.as_ref().map_or(revision, |previous| previous.create_revision),
            mod_revision: revision,
            version: previous.as_ref().map_or(1, |previous| previous.version + 1),
            lease,
            trigger,
            memo: Memo::default(),
        });
        newest.insert(kv.clone());
        changes.push(Change { key, current: Some(kv.clone()), previous, memo: Memo::default() });
        kv
    }

    fn commit(
        &mut self,
        changes: Vec<Change>,
        mut newest: RwLockWriteGuard<'_, Snapshot>,
        origin: Origin,
        wakers: &mut Vec<Waker>,
    ) {
        if changes.is_empty() {
            return;
        }
        let revision = newest.revision() + 1;
        newest.set_revision(revision);
        self.revision = revision;
        let commit = Arc::new(Commit { revision, origin, changes });
        self.history.push(commit.clone(), &newest);
        // Before any watcher hears of it: who has seen an event finds at least its revision when reading.
        drop(newest);
        wakers.extend(self.watchers.dispatch(&commit));
        wakers.extend(self.journal.push(JournalEntry::Commit(commit)));
        if self.history.exceeds(self.commits_max, self.history_bytes_max)
            && let Some(revision) = self.history.revision_beyond(self.commits_max, self.history_bytes_max)
        {
            self.history.compact(revision);
        }
    }
}
