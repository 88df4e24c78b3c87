//! A persistent map by key: a B+ tree whose nodes are shared between copies until one of them changes.

use std::sync::Arc;

use crate::kv::KeyValue;

/// The most that a node holds. A write copies what it changes of nodes that a snapshot shares, so that they are small.
const NODE_MAX: usize = 32;
/// A node with less is put together with its neighbour, if there is room.
const NODE_MIN: usize = NODE_MAX / 4;

/// Keys in order. A copy is a pointer; writing to it copies the nodes on the way that another copy still has.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    root: Arc<Node>,
    len: usize,
}

#[derive(Clone, Debug)]
enum Node {
    Leaf(Vec<Arc<KeyValue>>),
    Inner(Vec<Child>),
}

#[derive(Clone, Debug)]
struct Child {
    /// No key below is less, unless it is the first child, which has all that are less than the second's.
    first: Arc<str>,
    node: Arc<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())), len: 0 }
    }
}

impl Tree {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Arc<KeyValue>> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(entries) => return entries.get(place(entries, key).ok()?),
                Node::Inner(children) => node = &*children.get(below(children, key))?.node,
            }
        }
    }

    /// Puts an entry in its place; the one that was there.
    pub(crate) fn insert(&mut self, kv: Arc<KeyValue>) -> Option<Arc<KeyValue>> {
        let (before, split) = Arc::make_mut(&mut self.root).insert(kv);
        if let Some(right) = split {
            let left = std::mem::replace(&mut self.root, Arc::new(Node::Inner(Vec::new())));
            self.root = Arc::new(Node::Inner(vec![Child { first: "".into(), node: left }, right]));
        }
        self.len += usize::from(before.is_none());
        before
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Arc<KeyValue>> {
        self.get(key)?;
        let before = Arc::make_mut(&mut self.root).remove(key);
        while let Node::Inner(children) = &*self.root
            && let [only] = children.as_slice()
        {
            self.root = only.node.clone();
        }
        self.len -= usize::from(before.is_some());
        before
    }

    /// The entries from a key on, in order.
    pub(crate) fn from<'a>(&'a self, key: &str) -> Iter<'a> {
        let (mut above, mut node) = (Vec::new(), &*self.root);
        loop {
            match node {
                Node::Leaf(entries) => {
                    let first = place(entries, key).unwrap_or_else(|at| at);
                    return Iter { above, entries: entries.get(first..).unwrap_or_default().iter() };
                }
                Node::Inner(children) => {
                    let mut rest = children.get(below(children, key)..).unwrap_or_default().iter();
                    let Some(child) = rest.next() else { return Iter { above, entries: [].iter() } };
                    above.push(rest);
                    node = &child.node;
                }
            }
        }
    }
}

/// Entries in order.
pub(crate) struct Iter<'a> {
    /// What is still to be visited of the nodes above, the root's first.
    above: Vec<std::slice::Iter<'a, Child>>,
    entries: std::slice::Iter<'a, Arc<KeyValue>>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Arc<KeyValue>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(kv) = self.entries.next() {
                return Some(kv);
            }
            let Some(child) = self.above.last_mut()?.next() else {
                self.above.pop();
                continue;
            };
            match &*child.node {
                Node::Leaf(entries) => self.entries = entries.iter(),
                Node::Inner(children) => self.above.push(children.iter()),
            }
        }
    }
}

/// Where a key is among entries, or belongs.
fn place(entries: &[Arc<KeyValue>], key: &str) -> Result<usize, usize> {
    entries.binary_search_by(|kv| (*kv.key).cmp(key))
}

/// The child below which a key is, or belongs.
fn below(children: &[Child], key: &str) -> usize {
    children.partition_point(|child| *child.first <= *key).saturating_sub(1)
}

impl Node {
    fn len(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.len(),
            Self::Inner(children) => children.len(),
        }
    }

    /// The entry that was there, and the right half if the node had to be split.
    fn insert(&mut self, kv: Arc<KeyValue>) -> (Option<Arc<KeyValue>>, Option<Child>) {
        match self {
            Self::Leaf(entries) => {
                let at = match place(entries, &kv.key) {
                    Ok(at) => return (entries.get_mut(at).map(|known| std::mem::replace(known, kv)), None),
                    Err(at) => at,
                };
                entries.insert(at, kv);
                let right = halve(entries, at).and_then(|right| {
                    Some(Child { first: right.first()?.key.clone(), node: Arc::new(Self::Leaf(right)) })
                });
                (None, right)
            }
            Self::Inner(children) => {
                let at = below(children, &kv.key);
                let Some(child) = children.get_mut(at) else { return (None, None) };
                let (before, split) = Arc::make_mut(&mut child.node).insert(kv);
                let Some(split) = split else { return (before, None) };
                children.insert(at + 1, split);
                let right = halve(children, at + 1).and_then(|right| {
                    Some(Child { first: right.first()?.first.clone(), node: Arc::new(Self::Inner(right)) })
                });
                (before, right)
            }
        }
    }

    fn remove(&mut self, key: &str) -> Option<Arc<KeyValue>> {
        match self {
            Self::Leaf(entries) => place(entries, key).ok().map(|at| entries.remove(at)),
            Self::Inner(children) => {
                let at = below(children, key);
                let child = children.get_mut(at)?;
                let before = Arc::make_mut(&mut child.node).remove(key);
                if child.node.len() < NODE_MIN {
                    join(children, at);
                }
                before
            }
        }
    }
}

/// The right part of a node that holds too much, to which something was added at `at`. What comes in order, as the
/// names of nodes do, leaves full nodes behind.
fn halve<T>(items: &mut Vec<T>, at: usize) -> Option<Vec<T>> {
    if items.len() <= NODE_MAX {
        return None;
    }
    let middle = if at + 1 == items.len() { at } else { items.len() / 2 };
    let right = items.split_off(middle);
    Some(right)
}

/// Puts a node that holds little together with a neighbour, if both fit into one.
fn join(children: &mut Vec<Child>, at: usize) {
    let fits = |left: usize| {
        let pair = (children.get(left), children.get(left + 1));
        matches!(pair, (Some(left), Some(right)) if left.node.len() + right.node.len() <= NODE_MAX)
    };
    let left = match (fits(at), at.checked_sub(1)) {
        (true, _) => at,
        (false, Some(before)) if fits(before) => before,
        _ => return,
    };
    let Child { first, node } = children.remove(left + 1);
    let Some(child) = children.get_mut(left) else { return };
    match (Arc::make_mut(&mut child.node), Arc::unwrap_or_clone(node)) {
        (Node::Leaf(entries), Node::Leaf(more)) => entries.extend(more),
        (Node::Inner(inner), Node::Inner(mut more)) => {
            // It is the first child no longer.
            more.iter_mut().take(1).for_each(|child| child.first = first.clone());
            inner.extend(more);
        }
        // All leaves are equally deep.
        (Node::Leaf(_), Node::Inner(_)) | (Node::Inner(_), Node::Leaf(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kv::Memo;

    fn entry(key: &str, version: i64) -> Arc<KeyValue> {
        Arc::new(KeyValue {
            key: key.into(),
            value: bytes::Bytes::new().into(),
            create_revision: 0,
            mod_revision: 0,
            version,
            lease: None,
            trigger: None,
            memo: Memo::default(),
        })
    }

    /// Its entries, and that it is balanced.
    fn entries(tree: &Tree) -> Vec<(String, i64)> {
        fn depth(node: &Node) -> usize {
            assert!(node.len() <= NODE_MAX);
            match node {
                Node::Leaf(_) => 0,
                Node::Inner(children) => {
                    let depths: Vec<usize> = children.iter().map(|child| depth(&child.node)).collect();
                    assert!(depths.iter().all(|depth| Some(depth) == depths.first()), "{depths:?}");
                    depths.first().map_or(0, |depth| depth + 1)
                }
            }
        }
        depth(&tree.root);
        tree.from("").map(|kv| (kv.key.to_string(), kv.version)).collect()
    }

    #[test]
    fn it_is_as_the_standard_librarys_map_and_so_are_its_copies() {
        let mut dice = 7_u64;
        let mut roll = |sides: u64| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (dice >> 33) % sides
        };
        for keys in [5, 100, 3_000] {
            let (mut tree, mut map) = (Tree::default(), BTreeMap::new());
            let mut copies = Vec::new();
            for step in 0..20_000 {
                let key = format!("/registry/{:04}", roll(keys));
                // First it grows, then it shrinks, then all goes.
                let grows = roll(10) < if step < 10_000 { 7 } else { 2 };
                if grows {
                    let before = tree.insert(entry(&key, step));
                    assert_eq!(before.map(|kv| kv.version), map.insert(key.clone(), step));
                } else {
                    assert_eq!(tree.remove(&key).map(|kv| kv.version), map.remove(&key));
                }
                assert_eq!(tree.get(&key).map(|kv| kv.version), map.get(&key).copied());
                assert_eq!(tree.len(), map.len());
                if step % 1_000 == 0 {
                    copies.push((tree.clone(), map.clone()));
                    let from = format!("/registry/{:04}", roll(keys));
                    let rest = map.range(from.clone()..).map(|(key, version)| (key.clone(), *version));
                    let found = tree.from(&from).map(|kv| (kv.key.to_string(), kv.version));
                    assert!(found.eq(rest), "{from}");
                }
            }
            for (tree, map) in &copies {
                assert_eq!(entries(tree), map.clone().into_iter().collect::<Vec<_>>());
            }
            for key in map.keys() {
                tree.remove(key);
            }
            assert!(tree.len() == 0 && entries(&tree).is_empty());
        }
    }
}
