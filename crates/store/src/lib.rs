//! etcd's role: a revisioned key-value store with transactions, watch, compaction and leases.
//!
//! Start at [`Store`]. A [`Txn`] is data: compare, then, otherwise. Every transaction that changes
//! something makes one revision, a [`Commit`], which knows who wrote it ([`Origin`]) and stays
//! readable until compacted. Readers take a [`Snapshot`] and never wait for a writer. A [`Watch`]
//! replays commits and goes on live.
//!
//! The store is memory; durability is the host's: it takes the journal of commits, writes it (module
//! `redb`, or IndexedDB), and says how far it got. Nothing here does I/O except that module, and
//! nothing reads a clock: leases are told the time.

mod error;
mod history;
mod journal;
mod kv;
mod lease;
mod record;
#[cfg(feature = "redb")]
pub mod redb;
mod snapshot;
mod state;
mod store;
mod tree;
mod txn;
mod watch;

pub use error::StoreError;
pub use journal::{Contents, Durable, JournalEntry};
pub use kv::{Change, Commit, KeyValue, Memo, Origin, Remembered, Rest, Value};
pub use lease::LeaseId;
pub use snapshot::Snapshot;
pub use store::{Options, Store};
pub use txn::{Compare, Op, OpResponse, Relation, Target, Txn, TxnResponse};
pub use watch::{Event, Scope, Watch, WatchOptions};
