//! The scheduler's view of the nodes and of what runs on them, its own decisions included before the
//! API shows them (upstream pkg/scheduler/backend/cache).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Node;
use machinery::ObjectKey;

use crate::framework::{NodeInfo, PodInfo};

/// Nodes by name, and where each pod is.
#[derive(Debug, Default)]
pub struct Cache {
    nodes: BTreeMap<String, NodeInfo>,
    places: BTreeMap<ObjectKey, String>,
}

impl Cache {
    /// Takes in a node, or a new state of one.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let name = node.metadata.name.clone().unwrap_or_default();
        self.nodes.entry(name).or_default().set_node(node);
    }

    /// Forgets a node. Its pods stay known until the API says that they are gone.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(info) = self.nodes.get_mut(name) {
            info.node = None;
            if info.pods.is_empty() {
                self.nodes.remove(name);
            }
        }
    }

    /// Puts a pod on a node: the API says it is there, or it is about to be bound to it.
    pub fn set_pod(&mut self, pod: PodInfo, node: &str) {
        if self.places.get(&pod.key).is_some_and(|before| before != node) {
            self.remove_pod(&pod.key);
        }
        self.places.insert(pod.key.clone(), node.to_owned());
        self.nodes.entry(node.to_owned()).or_default().add_pod(pod);
    }

    /// Takes a pod off its node. Whether it was on one.
    pub fn remove_pod(&mut self, key: &ObjectKey) -> bool {
        let Some(name) = self.places.remove(key) else { return false };
        if let Some(info) = self.nodes.get_mut(&name) {
            info.remove_pod(key);
            if info.node.is_none() && info.pods.is_empty() {
                self.nodes.remove(&name);
            }
        }
        true
    }

    /// The node that a pod is on.
    pub fn place_of(&self, key: &ObjectKey) -> Option<&str> {
        self.places.get(key).map(String::as_str)
    }

    /// The nodes that exist, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.values().filter(|info| info.node.is_some())
    }

    /// The nodes that exist, by name, beginning after the one named and coming round to it at last.
    pub fn nodes_after<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a NodeInfo> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let after = self.nodes.range::<str, _>((Excluded(name), Unbounded));
        let before = self.nodes.range::<str, _>((Unbounded, Included(name)));
        after.chain(before).map(|(_, info)| info).filter(|info| info.node.is_some())
    }
}
