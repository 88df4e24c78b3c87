//! The scheduler's view of the nodes and of what runs on them, its own decisions included before the
//! API shows them (upstream pkg/scheduler/backend/cache).

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Node, Pod};
use machinery::ObjectKey;

use crate::framework::{NodeInfo, PodInfo};
use crate::plugins::image_locality;
use crate::topology::{Answer, Question, Topology};

/// Nodes by name, and where each pod is.
#[derive(Debug, Default)]
pub struct Cache {
    nodes: BTreeMap<String, NodeInfo>,
    /// How many of the nodes exist.
    existing: usize,
    places: BTreeMap<ObjectKey, Arc<str>>,
    topology: Topology,
    /// On how many nodes each image is.
    images: BTreeMap<String, usize>,
    /// How many placed pods use each claim.
    claims: BTreeMap<String, usize>,
    /// Pods for which room was made, and where.
    nominated: BTreeMap<ObjectKey, (Arc<PodInfo>, String)>,
}

impl Cache {
    /// Takes in a node, or a new state of one.
    pub fn set_node(&mut self, node: Arc<Node>) {
        let name = node.metadata.name.clone().unwrap_or_default();
        let info = self.nodes.entry(name).or_default();
        let images = |node: Option<&Node>| node.and_then(|it| it.status.as_ref()?.images.clone());
        if images(info.node.as_deref()) != images(Some(&node)) {
            image_locality::count(&mut self.images, info.node.as_deref(), false);
            image_locality::count(&mut self.images, Some(&node), true);
        }
        if info.node.as_deref().is_some_and(|old| placement_traits(old) == placement_traits(&node)) {
            return info.set_node(node);
        }
        self.existing += usize::from(info.node.is_none());
        self.topology.visit_node(info, -1);
        info.set_node(node);
        self.topology.visit_node(info, 1);
    }

    /// Forgets a node. Its pods stay known until the API says that they are gone.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(info) = self.nodes.get_mut(name) {
            self.topology.visit_node(info, -1);
            image_locality::count(&mut self.images, info.node.as_deref(), false);
            self.existing -= usize::from(info.node.is_some());
            info.node = None;
            if info.pods.is_empty() {
                self.nodes.remove(name);
            }
        }
    }

    /// Puts a pod on a node: the API says it is there, or it is about to be bound to it.
    pub fn set_pod(&mut self, pod: Arc<PodInfo>, node: &str) {
        self.remove_pod(&pod.key);
        let info = self.nodes.entry(node.to_owned()).or_default();
        if info.name.is_empty() {
            info.name = node.into();
        }
        self.places.insert(pod.key.clone(), info.name.clone());
        self.topology.visit_pod(info, &pod, 1);
        for claim in &pod.claims {
            *self.claims.entry(claim.clone()).or_default() += 1;
        }
        info.add_pod(pod);
    }

    /// Takes a pod off its node, and gives it, if it was on one.
    pub fn remove_pod(&mut self, key: &ObjectKey) -> Option<Arc<PodInfo>> {
        let name = self.places.remove(key)?;
        let info = self.nodes.get_mut(&*name)?;
        let pod = info.remove_pod(key)?;
        self.topology.visit_pod(info, &pod, -1);
        for claim in &pod.claims {
            if let Some(users) = self.claims.get_mut(claim) {
                *users -= 1;
                if *users == 0 {
                    self.claims.remove(claim);
                }
            }
        }
        if info.node.is_none() && info.pods.is_empty() {
            self.nodes.remove(&*name);
        }
        Some(pod)
    }

    /// The node that a pod is on.
    pub fn place_of(&self, key: &ObjectKey) -> Option<&str> {
        self.places.get(key).map(|name| &**name)
    }

    /// The pod as the cache knows it.
    pub fn pod(&self, key: &ObjectKey) -> Option<&Arc<PodInfo>> {
        self.nodes.get(self.place_of(key)?)?.pods.get(key)
    }

    /// Takes in a new state of a placed pod that means the same to the scheduler.
    pub fn renew_pod(&mut self, pod: &Arc<Pod>) {
        let key = client::key_of(&**pod);
        let place = self.places.get(&key).and_then(|name| self.nodes.get_mut(&**name));
        if let Some(info) = place.and_then(|node| node.pods.get_mut(&key)) {
            Arc::make_mut(info).pod = pod.clone();
        }
    }

    /// The node of this name, if it exists.
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.nodes.get(name).filter(|info| info.node.is_some())
    }

    /// The nodes that exist, by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeInfo> {
        self.nodes.values().filter(|info| info.node.is_some())
    }

    /// How many nodes exist.
    pub fn len(&self) -> usize {
        self.existing
    }

    /// The nodes that exist, by name, beginning after the one named and coming round to it at last.
    pub fn nodes_after<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a NodeInfo> + use<'a> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let after = self.nodes.range::<str, _>((Excluded(name), Unbounded));
        let before = self.nodes.range::<str, _>((Unbounded, Included(name)));
        after.chain(before).map(|(_, info)| info).filter(|info| info.node.is_some())
    }

    /// What is counted by topology.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The same, to take in namespaces.
    pub fn topology_mut(&mut self) -> &mut Topology {
        &mut self.topology
    }

    /// Counts pods by domain, or finds them counted.
    pub fn ask(&mut self, question: Question) -> Answer {
        self.topology.ask(question, self.nodes.values().filter(|info| info.node.is_some()))
    }

    /// On how many nodes an image is.
    pub fn nodes_with_image(&self, image: &str) -> usize {
        self.images.get(image).copied().unwrap_or(0)
    }

    /// Whether a pod on any node uses the claim, `namespace/name`.
    pub fn uses_claim(&self, claim: &str) -> bool {
        self.claims.contains_key(claim)
    }

    /// Remembers that room was made for a pod on a node; on none, forgets it.
    pub fn nominate(&mut self, pod: &Arc<PodInfo>, node: Option<&str>) {
        match node {
            Some(node) => _ = self.nominated.insert(pod.key.clone(), (pod.clone(), node.to_owned())),
            None => _ = self.forget_nominated(&pod.key),
        }
    }

    /// Forgets a pod for which room was made; the node, if there was one.
    pub fn forget_nominated(&mut self, key: &ObjectKey) -> Option<String> {
        self.nominated.remove(key).map(|(_, node)| node)
    }

    /// Pods as important as this one that room was made for and that are not there yet: they count as
    /// if they were.
    pub fn expected(&self, pod: &PodInfo) -> Vec<(Arc<PodInfo>, String)> {
        let counts = |(it, node): &(&Arc<PodInfo>, &str)| {
            it.key != pod.key
                && it.priority() >= pod.priority()
                && self.place_of(&it.key).is_none()
                && self.node(node).is_some()
        };
        self.nominated().filter(counts).map(|(it, node)| (it.clone(), node.to_owned())).collect()
    }

    /// Pods for which room was made, and where.
    pub fn nominated(&self) -> impl Iterator<Item = (&Arc<PodInfo>, &str)> {
        self.nominated.values().map(|(pod, node)| (pod, node.as_str()))
    }
}

/// What of a node its pods are counted by.
fn placement_traits(node: &Node) -> impl PartialEq + '_ {
    (
        &node.metadata.labels,
        node.spec.as_ref().and_then(|spec| spec.taints.as_ref()),
        node.spec.as_ref().and_then(|spec| spec.unschedulable),
    )
}

#[cfg(test)]
mod tests {
    use machinery::labels::Selector;
    use machinery::object::from_value;
    use machinery::random::Rng;
    use serde_json::json;

    use super::*;
    use crate::topology::{Eligibility, PodSet};

    fn node(name: u64, zone: u64, labelled: bool) -> Arc<Node> {
        let labels = if labelled { json!({ "zone": format!("z{zone}") }) } else { json!({}) };
        Arc::new(from_value(json!({ "metadata": { "name": format!("n{name}"), "labels": labels } })).unwrap())
    }

    fn pod(name: u64, app: u64, going: bool) -> Arc<PodInfo> {
        let term = json!([{ "topologyKey": "zone", "labelSelector": { "matchLabels": { "app": format!("a{app}") } } }]);
        let pod: Pod = from_value(json!({
            "metadata": {
                "name": format!("p{name}"), "namespace": "default", "labels": { "app": format!("a{app}") },
                "deletionTimestamp": going.then_some("2026-01-01T00:00:00Z"),
            },
            "spec": {
                "containers": [],
                "affinity": { "podAntiAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": term } },
                "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": format!("c{app}") } }],
            },
        }))
        .unwrap();
        Arc::new(PodInfo::new(Arc::new(pod)))
    }

    fn question(app: u64, terminating: bool) -> Question {
        let selector = Selector::parse(&format!("app=a{app}")).unwrap();
        let set = PodSet { namespaces: vec!["default".into()], namespace_selector: None, selector };
        Question { sets: vec![set], key: "zone".into(), nodes: Eligibility::default(), terminating }
    }

    /// All that is counted, asked for in one way.
    fn counted(cache: &mut Cache) -> Vec<String> {
        let mut counted = Vec::new();
        for app in 0..3 {
            for terminating in [false, true] {
                let answer = cache.ask(question(app, terminating));
                let domains = cache.topology().domains(answer).unwrap();
                let pods: Vec<i64> = (0..3).map(|zone| domains.pods(&format!("z{zone}"))).collect();
                counted.push(format!("{pods:?} {} {} {}", domains.total(), domains.len(), domains.fewest()));
            }
            counted.push(cache.uses_claim(&format!("default/c{app}")).to_string());
        }
        cache.topology_mut().sweep();
        let carried = cache.topology().carried().iter();
        let mut carried: Vec<_> = carried
            .map(|it| {
                let pods: Vec<i64> = (0..3).map(|zone| it.domains.pods(&format!("z{zone}"))).collect();
                format!("{:?} {pods:?}", it.term)
            })
            .collect();
        carried.sort();
        counted.extend(carried);
        counted
    }

    #[test]
    fn what_is_counted_along_the_way_equals_a_recount() {
        for seed in 0..20 {
            let mut dice = Rng::new(seed);
            let mut cache = Cache::default();
            for step in 0..200 {
                match dice.below(6) {
                    0 | 1 => cache.set_node(node(dice.below(5), dice.below(3), dice.below(4) > 0)),
                    2 if dice.below(3) == 0 => cache.remove_node(&format!("n{}", dice.below(5))),
                    3 => _ = cache.remove_pod(&ObjectKey::new("default", format!("p{}", dice.below(12)))),
                    _ => {
                        let pod = pod(dice.below(12), dice.below(3), dice.below(4) == 0);
                        cache.set_pod(pod, &format!("n{}", dice.below(5)));
                    }
                }
                let mut anew = Cache::default();
                for info in cache.nodes.values() {
                    info.node.iter().for_each(|node| anew.set_node(node.clone()));
                    info.pods.values().for_each(|pod| anew.set_pod(pod.clone(), &info.name));
                }
                assert_eq!(counted(&mut cache), counted(&mut anew), "seed {seed}, step {step}");
            }
        }
    }
}
