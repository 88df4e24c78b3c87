//! What can go wrong, in etcd's words.

use thiserror::Error;

/// An error of the store. The texts of the first five are etcd's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The revision asked for is older than what is kept.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted {
        /// The oldest revision that can still be read.
        compact_revision: i64,
    },
    /// The revision asked for does not exist yet.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision {
        /// The newest revision.
        revision: i64,
    },
    /// A put names a lease that does not exist, or has expired.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// A lease with the id asked for exists already.
    #[error("etcdserver: lease already exists")]
    LeaseExists,
    /// A value is larger than [`crate::Options::value_bytes_max`].
    #[error("etcdserver: request is too large")]
    TooLarge,
    /// A watcher did not read its events and was cut off.
    #[error("the watcher was too slow: {queued} events waited")]
    Lagged {
        /// How many events waited when it was cut off.
        queued: usize,
    },
    /// The host could not write the journal.
    #[error("the change is not durable: {0}")]
    NotDurable(String),
}
