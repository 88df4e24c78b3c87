//! Who owns whom: a graph over all objects, kept from their metadata alone.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use machinery::ObjectKey;
use machinery::random::fnv64a;

/// Finalizer: dependents that block the deletion go first.
pub const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer: dependents lose their owner first.
pub const ORPHAN: &str = "orphan";

/// An object's uid as a number: UUIDs as they are, anything else hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uid(u128);

impl Uid {
    /// From a uid's text.
    pub fn new(text: &str) -> Self {
        let mut digits = text.bytes().filter(|byte| *byte != b'-').map(|byte| char::from(byte).to_digit(16));
        let number =
            digits.try_fold((0, 0), |(count, number), digit| Some((count + 1, number << 4 | u128::from(digit?))));
        let hashed = || u128::from(fnv64a(text.as_bytes()));
        Self(number.filter(|(count, _)| *count == 32).map_or_else(hashed, |(_, number)| number))
    }
}

impl std::fmt::Display for Uid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// An object, or one that is known only because others name it as their owner.
#[derive(Debug)]
pub struct Node {
    /// Place of its resource in the collector's table.
    pub resource: usize,
    /// Namespace and name.
    pub key: ObjectKey,
    /// Nobody has seen it yet: only references to it.
    pub is_virtual: bool,
    /// It waits for dependents that block its deletion.
    pub deletes_dependents: bool,
    /// It has a deletionTimestamp.
    pub is_deleting: bool,
    /// Its owners, and whether it blocks their deletion.
    pub owners: Vec<(Uid, bool)>,
    /// Who names it as an owner.
    pub dependents: BTreeSet<Uid>,
}

/// What a change asks the collector to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Whether the object is to be deleted, or finished deleting.
    Delete(Uid),
    /// The object's dependents are to lose it as their owner.
    Orphan(Uid),
    /// The first object names the second as its owner, which is in another namespace.
    Misplaced(Uid, Uid),
}

impl std::fmt::Display for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Delete(uid) | Self::Orphan(uid) | Self::Misplaced(uid, _)) = self;
        uid.fmt(f)
    }
}

/// The graph.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: BTreeMap<Uid, Node>,
}

impl Graph {
    /// The object with this uid.
    pub fn get(&self, uid: Uid) -> Option<&Node> {
        self.nodes.get(&uid)
    }

    /// The uids of all objects of a resource.
    pub fn of_resource(&self, resource: usize) -> Vec<Uid> {
        let nodes = self.nodes.iter().filter(|(_, node)| node.resource == resource && !node.is_virtual);
        nodes.map(|(uid, _)| *uid).collect()
    }

    /// Takes in an object as it now is. `resource_of` finds the resource of an owner reference.
    pub fn observe(
        &mut self,
        resource: usize,
        metadata: &ObjectMeta,
        resource_of: impl Fn(&OwnerReference) -> Option<usize>,
    ) -> Vec<Work> {
        let uid = Uid::new(metadata.uid.as_deref().unwrap_or_default());
        let references = metadata.owner_references.as_deref().unwrap_or_default();
        let owners: Vec<_> = references
            .iter()
            .map(|reference| (Uid::new(&reference.uid), reference.block_owner_deletion == Some(true)))
            .collect();
        let has = |finalizer: &str| metadata.finalizers.iter().flatten().any(|known| known == finalizer);
        let deleting = metadata.deletion_timestamp.is_some();
        // Most changes of an object change nothing of that.
        let is_known = |node: &Node| {
            let (is_same, goes) = (node.resource == resource && !node.is_virtual, deleting || node.is_deleting);
            is_same && !goes && node.owners == owners && Some(&node.key.name) == metadata.name.as_ref()
        };
        if self.nodes.get(&uid).is_some_and(is_known) && owners.iter().all(|(uid, _)| self.nodes.contains_key(uid)) {
            return Vec::new();
        }
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let mut work = Vec::new();

        let former = self.nodes.remove(&uid);
        let (was_deleting, was_waiting) =
            former.as_ref().map_or((false, false), |node| (node.is_deleting, node.deletes_dependents));
        let was_virtual = former.as_ref().is_some_and(|node| node.is_virtual);
        let former_owners = former.as_ref().map(|node| node.owners.clone()).unwrap_or_default();
        self.nodes.insert(
            uid,
            Node {
                resource,
                key: ObjectKey { namespace: namespace.clone(), name: metadata.name.clone().unwrap_or_default() },
                is_virtual: false,
                deletes_dependents: deleting && has(FOREGROUND),
                is_deleting: deleting,
                owners: owners.clone(),
                dependents: former.map(|node| node.dependents).unwrap_or_default(),
            },
        );
        for (owner, blocked) in &former_owners {
            let still = owners.iter().find(|(uid, _)| uid == owner);
            if still.is_none() {
                self.remove_dependent(*owner, uid);
            }
            // An owner that waits for what no longer blocks it may go on.
            let blocks = still.is_some_and(|(_, blocks)| *blocks);
            if *blocked && !blocks && self.nodes.get(owner).is_some_and(|owner| owner.deletes_dependents) {
                work.push(Work::Delete(*owner));
            }
        }
        // Those that looked for it in their own namespace, before it was seen in its own.
        for dependent in self.dependents(uid).into_iter().filter(|_| was_virtual && !namespace.is_empty()) {
            if self.nodes.get(&dependent).is_some_and(|node| node.key.namespace != namespace) {
                work.extend([Work::Misplaced(dependent, uid), Work::Delete(dependent)]);
            }
        }
        for (reference, (owner, _)) in references.iter().zip(&owners) {
            match self.nodes.get_mut(owner) {
                Some(node) => {
                    node.dependents.insert(uid);
                    let is_new = !former_owners.iter().any(|(known, _)| known == owner);
                    let elsewhere = !node.key.namespace.is_empty() && node.key.namespace != namespace;
                    if is_new && elsewhere && !node.is_virtual {
                        work.extend([Work::Misplaced(uid, *owner), Work::Delete(uid)]);
                    } else if is_new && node.deletes_dependents {
                        work.push(Work::Delete(uid));
                    }
                }
                // Not seen yet, or gone: the server is asked which.
                None => {
                    if let Some(resource) = resource_of(reference) {
                        self.nodes.insert(*owner, virtual_node(resource, &namespace, &reference.name, uid));
                        work.push(Work::Delete(*owner));
                    }
                }
            }
        }
        if deleting && has(ORPHAN) && !was_deleting {
            work.push(Work::Orphan(uid));
        }
        if deleting && has(FOREGROUND) && !was_waiting {
            work.extend(self.dependents(uid).into_iter().map(Work::Delete));
            work.push(Work::Delete(uid));
        }
        work
    }

    /// An object is gone: its dependents may have to go, and owners that waited for it may go on.
    pub fn removed(&mut self, uid: Uid) -> Vec<Work> {
        let Some(node) = self.nodes.remove(&uid) else { return Vec::new() };
        let mut work: Vec<Work> = node.dependents.iter().copied().map(Work::Delete).collect();
        for (owner, _) in node.owners {
            self.remove_dependent(owner, uid);
            if self.nodes.get(&owner).is_some_and(|owner| owner.deletes_dependents) {
                work.push(Work::Delete(owner));
            }
        }
        work
    }

    /// Who names the object as an owner.
    pub fn dependents(&self, uid: Uid) -> Vec<Uid> {
        self.nodes.get(&uid).map(|node| node.dependents.iter().copied().collect()).unwrap_or_default()
    }

    fn remove_dependent(&mut self, owner: Uid, dependent: Uid) {
        if let Some(node) = self.nodes.get_mut(&owner) {
            node.dependents.remove(&dependent);
            if node.is_virtual && node.dependents.is_empty() {
                self.nodes.remove(&owner);
            }
        }
    }
}

fn virtual_node(resource: usize, namespace: &str, name: &str, dependent: Uid) -> Node {
    Node {
        resource,
        key: ObjectKey::new(namespace, name),
        is_virtual: true,
        deletes_dependents: false,
        is_deleting: false,
        owners: Vec::new(),
        dependents: BTreeSet::from([dependent]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(uid: &str, owner: Option<(&str, bool)>, deleting: Option<&str>) -> ObjectMeta {
        let reference = |(owner, block): (&str, bool)| OwnerReference {
            uid: owner.into(),
            name: owner.into(),
            block_owner_deletion: Some(block),
            ..OwnerReference::default()
        };
        ObjectMeta {
            uid: Some(uid.into()),
            name: Some(uid.into()),
            owner_references: owner.map(|owner| vec![reference(owner)]),
            deletion_timestamp: deleting.map(|_| machinery::time::meta_time(machinery::Timestamp::UNIX_EPOCH)),
            finalizers: deleting.map(|finalizer| vec![finalizer.into()]),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn dependents_follow_their_owner() {
        let (owner, pod) = (Uid::new("owner"), Uid::new("pod"));
        let mut graph = Graph::default();
        assert_eq!(graph.observe(1, &object("pod", Some(("owner", true)), None), |_| Some(0)), [Work::Delete(owner)]);
        assert!(graph.get(owner).unwrap().is_virtual);
        assert!(graph.observe(0, &object("owner", None, None), |_| Some(0)).is_empty());
        assert_eq!(graph.dependents(owner), [pod]);
        let waiting = graph.observe(0, &object("owner", None, Some(FOREGROUND)), |_| Some(0));
        assert_eq!(waiting, [Work::Delete(pod), Work::Delete(owner)]);
        assert_eq!(graph.removed(pod), [Work::Delete(owner)]);
        assert!(graph.removed(owner).is_empty());
        assert!(graph.get(owner).is_none());
    }

    #[test]
    fn an_owner_that_is_gone_leaves_its_dependents_to_look_at() {
        let (owner, pod) = (Uid::new("owner"), Uid::new("pod"));
        let mut graph = Graph::default();
        graph.observe(0, &object("owner", None, None), |_| Some(0));
        graph.observe(1, &object("pod", Some(("owner", false)), None), |_| Some(0));
        assert_eq!(graph.removed(owner), [Work::Delete(pod)]);
        assert!(graph.observe(1, &object("pod", None, None), |_| Some(0)).is_empty());
        assert_eq!(graph.observe(0, &object("owner", None, Some(ORPHAN)), |_| Some(0)), [Work::Orphan(owner)]);
    }
}
