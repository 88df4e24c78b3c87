//! The whole store at one revision.

use std::sync::Arc;

use crate::kv::{Change, KeyValue};
use crate::tree::Tree;

/// The whole store at one revision: immutable, and cheap to take and to keep, since it shares all but
/// what changed with its neighbours.
#[derive(Clone, Debug)]
pub struct Snapshot {
    tree: Tree,
    revision: i64,
}

impl Snapshot {
    pub(crate) fn empty(revision: i64) -> Self {
        Self { tree: Tree::default(), revision }
    }

    /// The revision it shows.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// A key, if it exists at this revision.
    pub fn get(&self, key: &str) -> Option<&Arc<KeyValue>> {
        self.tree.get(key)
    }

    /// The keys under a prefix, in order, beginning with the first that is not less than `from_key`
    /// (empty: the first).
    pub fn range<'a>(&'a self, prefix: &'a str, from_key: &'a str) -> impl Iterator<Item = &'a Arc<KeyValue>> + 'a {
        let first = if from_key > prefix { from_key } else { prefix };
        self.tree.from(first).take_while(move |kv| kv.key.starts_with(prefix))
    }

    /// How many keys exist.
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether no key exists.
    pub fn is_empty(&self) -> bool {
        self.tree.len() == 0
    }

    pub(crate) fn insert(&mut self, kv: Arc<KeyValue>) {
        self.tree.insert(kv);
    }

    /// Takes a key out; what it was.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Arc<KeyValue>> {
        self.tree.remove(key)
    }

    pub(crate) fn set_revision(&mut self, revision: i64) {
        self.revision = revision;
    }

    /// Takes a change back.
    pub(crate) fn undo(&mut self, change: &Change) {
        match &change.previous {
            Some(previous) => self.insert(previous.clone()),
            None => _ = self.remove(&change.key),
        }
    }
}
