//! Transactions as data, as in etcd.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;

use crate::kv::{KeyValue, Value};
use crate::lease::LeaseId;
use crate::snapshot::Snapshot;

/// If all of `compare` holds, `then` is done, otherwise `otherwise`; atomically, as one revision.
#[derive(Clone, Debug, Default)]
pub struct Txn {
    /// What must hold. Nothing to compare holds.
    pub compare: Vec<Compare>,
    /// Done if it holds.
    pub then: Vec<Op>,
    /// Done if it does not.
    pub otherwise: Vec<Op>,
}

/// A condition on one key: `target` of `key` stands in `relation` to the target's number. The numbers
/// of an absent key are 0.
#[derive(Clone, Debug)]
pub struct Compare {
    /// The key.
    pub key: Arc<str>,
    /// What is compared, and with what.
    pub target: Target,
    /// How.
    pub relation: Relation,
}

/// What of a key is compared.
#[derive(Clone, Debug)]
pub enum Target {
    /// [`KeyValue::create_revision`].
    CreateRevision(i64),
    /// [`KeyValue::mod_revision`].
    ModRevision(i64),
    /// [`KeyValue::version`].
    Version(i64),
    /// [`KeyValue::value`]; empty for an absent key.
    Value(Bytes),
}

/// How two things are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// The key's is less.
    Less,
    /// The key's is greater.
    Greater,
}

/// One operation of a transaction.
#[derive(Clone, Debug)]
pub enum Op {
    /// Reads one key, as earlier operations of the transaction left it.
    Get {
        /// The key.
        key: Arc<str>,
    },
    /// Writes one key.
    Put {
        /// The key.
        key: Arc<str>,
        /// The value.
        value: Value,
        /// The lease it lives with.
        lease: Option<LeaseId>,
        /// See [`KeyValue::trigger`].
        trigger: Option<Arc<str>>,
    },
    /// Deletes one key, if it exists.
    Delete {
        /// The key.
        key: Arc<str>,
    },
}

/// What one operation found or did.
#[derive(Clone, Debug)]
pub enum OpResponse {
    /// The key read, if it exists.
    Get(Option<Arc<KeyValue>>),
    /// The key written.
    Put(Arc<KeyValue>),
    /// The key that was deleted, as it was before, if it existed.
    Delete(Option<Arc<KeyValue>>),
}

/// A transaction's outcome.
#[derive(Clone, Debug)]
pub struct TxnResponse {
    /// Whether `compare` held.
    pub succeeded: bool,
    /// The store's revision after the transaction.
    pub revision: i64,
    /// An answer for each operation done.
    pub responses: Vec<OpResponse>,
}

impl Txn {
    /// Writes `op` if the key's mod revision is `mod_revision` (0: does not exist), and reads the key
    /// otherwise: optimistic concurrency as Kubernetes uses it.
    pub fn if_unchanged(key: impl Into<Arc<str>>, mod_revision: i64, op: Op) -> Self {
        let key = key.into();
        let compare =
            Compare { key: key.clone(), target: Target::ModRevision(mod_revision), relation: Relation::Equal };
        Self { compare: vec![compare], then: vec![op], otherwise: vec![Op::Get { key }] }
    }
}

impl Op {
    /// A put without a lease or a trigger.
    pub fn put(key: impl Into<Arc<str>>, value: impl Into<Value>) -> Self {
        Self::Put { key: key.into(), value: value.into(), lease: None, trigger: None }
    }

    /// A delete.
    pub fn delete(key: impl Into<Arc<str>>) -> Self {
        Self::Delete { key: key.into() }
    }
}

impl TxnResponse {
    /// The key that the first operation read, wrote or deleted.
    pub fn first(&self) -> Option<&Arc<KeyValue>> {
        match self.responses.first()? {
            OpResponse::Get(kv) | OpResponse::Delete(kv) => kv.as_ref(),
            OpResponse::Put(kv) => Some(kv),
        }
    }
}

impl Compare {
    pub(crate) fn holds(&self, snapshot: &Snapshot) -> bool {
        let kv = snapshot.get(&self.key);
        let number = |field: fn(&KeyValue) -> i64| kv.map_or(0, |kv| field(kv));
        let ordering = match &self.target {
            Target::CreateRevision(wanted) => number(|kv| kv.create_revision).cmp(wanted),
            Target::ModRevision(wanted) => number(|kv| kv.mod_revision).cmp(wanted),
            Target::Version(wanted) => number(|kv| kv.version).cmp(wanted),
            Target::Value(wanted) => kv.map(|kv| kv.value.bytes()).unwrap_or_default().cmp(wanted),
        };
        match self.relation {
            Relation::Equal => ordering == Ordering::Equal,
            Relation::NotEqual => ordering != Ordering::Equal,
            Relation::Less => ordering == Ordering::Less,
            Relation::Greater => ordering == Ordering::Greater,
        }
    }
}
