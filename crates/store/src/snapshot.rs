//! The whole store at one revision.

use std::ops::Bound;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;

use crate::kv::{Change, KeyValue};

/// The whole store at one revision: immutable, and cheap to take and to keep, since it shares all but
/// what changed with its neighbours.
#[derive(Clone, Debug)]
pub struct Snapshot {
    map: RedBlackTreeMapSync<Arc<str>, Arc<KeyValue>>,
    revision: i64,
}

impl Snapshot {
    pub(crate) fn empty(revision: i64) -> Self {
        Self { map: RedBlackTreeMapSync::new_sync(), revision }
    }

    /// The revision it shows.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// A key, if it exists at this revision.
    pub fn get(&self, key: &str) -> Option<&Arc<KeyValue>> {
        self.map.get(key)
    }

    /// The keys under a prefix, in order, beginning with the first that is not less than `from_key`
    /// (empty: the first).
    pub fn range<'a>(&'a self, prefix: &'a str, from_key: &'a str) -> impl Iterator<Item = &'a Arc<KeyValue>> + 'a {
        let first = if from_key > prefix { from_key } else { prefix };
        self.map
            .range::<str, _>((Bound::Included(first), Bound::Unbounded))
            .map(|(_, kv)| kv)
            .take_while(move |kv| kv.key.starts_with(prefix))
    }

    /// How many keys exist.
    pub fn len(&self) -> usize {
        self.map.size()
    }

    /// Whether no key exists.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(crate) fn insert(&mut self, kv: Arc<KeyValue>) {
        self.map.insert_mut(kv.key.clone(), kv);
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.map.remove_mut(key);
    }

    pub(crate) fn set_revision(&mut self, revision: i64) {
        self.revision = revision;
    }

    /// Takes a change back.
    pub(crate) fn undo(&mut self, change: &Change) {
        match &change.previous {
            Some(previous) => self.insert(previous.clone()),
            None => self.remove(&change.key),
        }
    }
}
