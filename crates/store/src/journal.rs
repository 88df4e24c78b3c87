//! The journal: what a host writes so that nothing acknowledged is lost.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::error::StoreError;
use crate::kv::{Commit, KeyValue};
use crate::lease::LeaseId;
use crate::store::Store;

/// Something to be made durable.
#[derive(Clone, Debug)]
pub enum JournalEntry {
    /// A revision.
    Commit(Arc<Commit>),
    /// A lease was granted.
    LeaseGranted {
        /// Its id.
        id: LeaseId,
        /// How long it lives without being kept alive.
        ttl_seconds: i64,
    },
    /// A lease ended; the deletion of its keys is a commit of its own.
    LeaseEnded {
        /// Its id.
        id: LeaseId,
    },
}

/// The whole of a store: what a host reads back at its start, and what a fork starts from.
#[derive(Debug, Default)]
pub struct Contents {
    /// The revision; everything before it is compacted.
    pub revision: i64,
    /// All keys.
    pub entries: Vec<Arc<KeyValue>>,
    /// All leases, with their time to live in seconds.
    pub leases: Vec<(LeaseId, i64)>,
}

/// What waits to be written, and who waits for it.
pub(crate) struct Journal {
    /// Whether somebody takes it. If not, a commit is durable at once.
    enabled: bool,
    entries: VecDeque<JournalEntry>,
    durable_revision: i64,
    failure: Option<String>,
    waiting: Vec<Waker>,
    /// Of the host's writer.
    taker: Option<Waker>,
}

impl Journal {
    pub(crate) fn new(enabled: bool, durable_revision: i64) -> Self {
        Self { enabled, entries: VecDeque::new(), durable_revision, failure: None, waiting: Vec::new(), taker: None }
    }

    /// Adds an entry; the writer's waker, to be woken.
    pub(crate) fn push(&mut self, entry: JournalEntry) -> Option<Waker> {
        if !self.enabled {
            return None;
        }
        self.entries.push_back(entry);
        self.taker.take()
    }

    pub(crate) fn take(&mut self) -> Vec<JournalEntry> {
        std::mem::take(&mut self.entries).into()
    }

    pub(crate) fn poll_take(&mut self, cx: &mut Context<'_>) -> Poll<Vec<JournalEntry>> {
        if self.entries.is_empty() {
            self.taker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(self.take())
    }

    /// Records the outcome of a write; whom to wake.
    pub(crate) fn written(&mut self, outcome: Result<i64, String>) -> Vec<Waker> {
        match outcome {
            Ok(revision) => {
                self.durable_revision = self.durable_revision.max(revision);
                self.failure = None;
            }
            Err(reason) => self.failure = Some(reason),
        }
        std::mem::take(&mut self.waiting)
    }

    /// Why the last write failed, until one succeeds.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    fn poll_durable(&mut self, revision: i64, cx: &mut Context<'_>) -> Poll<Result<(), StoreError>> {
        if !self.enabled || self.durable_revision >= revision {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = &self.failure {
            return Poll::Ready(Err(StoreError::NotDurable(reason.clone())));
        }
        self.waiting.push(cx.waker().clone());
        Poll::Pending
    }
}

/// Ready once a revision is durable, or cannot be made so. See [`Store::durable`].
#[must_use = "a future does nothing unless polled"]
pub struct Durable {
    pub(crate) store: Store,
    pub(crate) revision: i64,
}

impl Future for Durable {
    type Output = Result<(), StoreError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.store.lock().journal.poll_durable(self.revision, cx)
    }
}
