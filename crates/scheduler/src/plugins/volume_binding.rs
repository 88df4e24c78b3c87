//! A pod runs where its volumes are, and claims that wait for their first consumer get a volume where
//! the pod goes (upstream plugins/volumebinding).

use std::sync::Arc;

use client::{Client, Context, Event, Informer, ListOptions, Patch, key_of};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSINode, StorageClass};
use machinery::ObjectKey;
use machinery::labels::Selector;
use machinery::quantity::Quantity;
use machinery::sort::Order;
use machinery::status::ApiError;
use serde_json::json;

use crate::framework::{Cycle, Filter, NodeInfo, PodInfo, Rejection};
use crate::plugins::{node_affinity, node_volume_limits};

const NODE_CONFLICT: &str = "node(s) didn't match PersistentVolume's node affinity";
const NO_VOLUME: &str = "node(s) didn't find available persistent volumes to bind";
const VOLUME_GONE: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
/// Where the scheduler says for which node a claim is to be provisioned.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
/// Marks a volume whose claim the system chose.
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
/// The provisioner of classes that have none.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";

/// See the module's documentation.
pub struct VolumeBinding;

/// The pod's volumes.
#[derive(Debug, Default)]
pub struct State {
    bound: Vec<Arc<PersistentVolume>>,
    volume_gone: bool,
    waiting: Vec<Waiting>,
    exclusive: Vec<String>,
}

impl State {
    /// Whether claims wait for their first consumer: [`Storage::bind`] writes into them.
    pub fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty()
    }
}

/// A claim that waits for its first consumer.
#[derive(Debug)]
struct Waiting {
    claim: Arc<PersistentVolumeClaim>,
    class: Arc<StorageClass>,
    /// The node that its volume is already being made for: it can be used there only.
    selected: Option<String>,
    /// Volumes that would do, the smallest first; where one is kept for the claim, that one alone.
    volumes: Vec<Arc<PersistentVolume>>,
}

impl Waiting {
    fn wanted(&self) -> Option<Quantity> {
        storage_request(&self.claim)
    }
}

impl State {
    /// The volumes that the pod's claims are bound to.
    pub fn bound(&self) -> &[Arc<PersistentVolume>] {
        &self.bound
    }

    /// The pod's claims that one pod at a time may use, as [`PodInfo::claims`] names them.
    pub fn exclusive(&self) -> &[String] {
        &self.exclusive
    }

    /// What each waiting claim gets on a node: a volume, no two the same, or none where one is to be
    /// made (upstream FindMatchingVolume and checkVolumeProvisions). None if the node cannot serve them.
    fn assign(&self, node: &NodeInfo) -> Option<Vec<Option<&Arc<PersistentVolume>>>> {
        let mut taken: Vec<Option<&Arc<PersistentVolume>>> = Vec::with_capacity(self.waiting.len());
        for waiting in &self.waiting {
            let volume = match &waiting.selected {
                Some(selected) if selected != node.name() => return None,
                Some(_) => None,
                None => {
                    let free = |volume: &&Arc<PersistentVolume>| {
                        !taken.iter().flatten().any(|other| other.metadata.name == volume.metadata.name)
                    };
                    waiting.volumes.iter().find(|volume| free(volume) && reaches(volume, node))
                }
            };
            if volume.is_none() && !is_provisionable(&waiting.class, node) {
                return None;
            }
            taken.push(volume);
        }
        Some(taken)
    }
}

/// The cluster's storage, as far as scheduling asks for it.
pub struct Storage {
    client: Client,
    claims: Informer<PersistentVolumeClaim>,
    volumes: Informer<PersistentVolume>,
    classes: Informer<StorageClass>,
    nodes: Informer<CSINode>,
    /// Whether anything came or went since [`Storage::take_news`].
    news: bool,
    /// Claims whose provisioner gave up the node in the last observation.
    given_up: Vec<ObjectKey>,
}

impl Storage {
    /// Storage that knows nothing yet.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            claims: Informer::new(client, "", ListOptions::default()),
            volumes: Informer::new(client, "", ListOptions::default()),
            classes: Informer::new(client, "", ListOptions::default()),
            nodes: Informer::new(client, "", ListOptions::default()),
            news: false,
            given_up: Vec::new(),
        }
    }

    /// Takes what is new; whether anything that may help a pod is.
    pub fn observe(&mut self, cx: &mut Context<'_>) -> bool {
        let claims = self.claims.poll(cx);
        let volumes = self.volumes.poll(cx);
        let classes = self.classes.poll(cx);
        let nodes = self.nodes.poll(cx);
        let gives_up = |event: &Event<PersistentVolumeClaim>| match event {
            Event::Updated { old, new } => {
                selected_node(old).is_some() && selected_node(new).is_none() && !is_bound(new)
            }
            _ => false,
        };
        self.given_up = claims.iter().filter(|it| gives_up(it)).map(|it| key_of(&**it.object())).collect();
        self.news |= !(claims.is_empty() && volumes.is_empty() && classes.is_empty());
        claims.iter().any(|event| !matches!(event, Event::Deleted(_)))
            || volumes.iter().any(|event| !matches!(event, Event::Deleted(_)))
            || classes.iter().any(|event| !matches!(event, Event::Deleted(_)))
            || !nodes.is_empty()
    }

    /// Whether anything came or went since this was asked last.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// Whether everything has been read once.
    pub fn synced(&self) -> bool {
        self.claims.synced() && self.volumes.synced() && self.classes.synced() && self.nodes.synced()
    }

    /// Looks up the pod's claims.
    ///
    /// # Errors
    /// Why the pod can run nowhere.
    pub fn prepare(&self, pod: &PodInfo) -> Result<State, String> {
        let mut state = State::default();
        let mut unbound = false;
        for name in claim_names(&pod.pod) {
            let key = ObjectKey::new(&*pod.key.namespace, &*name);
            let Some(claim) = self.claims.get(&key) else {
                return Err(if is_ephemeral(&pod.pod, &name) {
                    format!("waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}")
                } else {
                    format!("persistentvolumeclaim {name:?} not found")
                });
            };
            let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
            let spec = claim.spec.clone().unwrap_or_default();
            let volume = spec.volume_name.as_deref().unwrap_or_default();
            if phase == Some("Lost") {
                return Err(format!(
                    "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"
                ));
            }
            if claim.metadata.deletion_timestamp.is_some() {
                return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
            }
            if spec.access_modes.iter().flatten().any(|mode| mode == "ReadWriteOncePod") {
                state.exclusive.push(key.to_string());
            }
            if is_bound(&claim) {
                match self.volumes.get_named(volume) {
                    Some(volume) => state.bound.push(volume),
                    None => state.volume_gone = true,
                }
                continue;
            }
            let class = spec.storage_class_name.as_deref().and_then(|name| self.classes.get_named(name));
            let waits = class.filter(|it| it.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer"));
            match waits.filter(|_| volume.is_empty()) {
                Some(class) => {
                    let selected = selected_node(&claim).map(str::to_owned);
                    let volumes = if selected.is_some() { Vec::new() } else { self.candidates(&claim) };
                    state.waiting.push(Waiting { claim, class, selected, volumes });
                }
                None => unbound = true,
            }
        }
        // Those that ask for little first, so that they do not take what others need.
        state.waiting.order_by_key(Waiting::wanted);
        if unbound { Err("pod has unbound immediate PersistentVolumeClaims".into()) } else { Ok(state) }
    }

    /// What drivers' limits mean to a pod.
    pub fn limits(&self, pod: &PodInfo) -> node_volume_limits::State {
        let mut state = node_volume_limits::State::default();
        if pod.claims.is_empty() || self.nodes.is_empty() {
            return state;
        }
        for node in self.nodes.list() {
            let limits = node_volume_limits::limits_of(&node);
            if !limits.is_empty() {
                state.limits.insert(node.metadata.name.clone().unwrap_or_default(), limits);
            }
        }
        if !state.limits.is_empty() {
            let volume =
                |claim: &Arc<PersistentVolumeClaim>| Some((key_of(&**claim).to_string(), self.attached(claim)?));
            state.volumes = self.claims.list().iter().filter_map(volume).collect();
            state.wanted = pod.claims.iter().filter_map(|claim| state.volumes.get(claim).cloned()).collect();
        }
        state
    }

    /// The CSI volume of a claim, or what stands for it until it is made.
    fn attached(&self, claim: &PersistentVolumeClaim) -> Option<node_volume_limits::Attached> {
        let spec = claim.spec.as_ref()?;
        let volume = spec.volume_name.as_deref().filter(|name| !name.is_empty());
        if let Some(volume) = volume.and_then(|name| self.volumes.get_named(name)) {
            let csi = volume.spec.as_ref()?.csi.as_ref()?;
            return Some((csi.driver.clone(), csi.volume_handle.clone()));
        }
        let class = self.classes.get_named(spec.storage_class_name.as_deref()?)?;
        Some((class.provisioner.clone(), key_of(claim).to_string()))
    }

    fn candidates(&self, claim: &PersistentVolumeClaim) -> Vec<Arc<PersistentVolume>> {
        let mut volumes = self.volumes.list();
        volumes.retain(|volume| fits(volume, claim));
        if volumes.iter().any(|volume| is_meant_for(volume, claim)) {
            volumes.retain(|volume| is_meant_for(volume, claim));
        }
        volumes.sort_by_cached_key(|volume| (capacity(volume), volume.metadata.name.clone()));
        volumes
    }

    /// Before the pod is bound to a node: gives the claims that waited for it their volumes, or has
    /// them provisioned. Whether all of the pod's claims are bound now.
    ///
    /// # Errors
    /// What the server answered, or that the node cannot serve the claims any more.
    pub fn bind(&self, pod: &PodInfo, state: &State, node: &NodeInfo) -> Result<bool, ApiError> {
        let assigned = state.assign(node).ok_or_else(|| ApiError::internal(NO_VOLUME))?;
        for (waiting, volume) in state.waiting.iter().zip(assigned) {
            let metadata = &waiting.claim.metadata;
            match volume {
                Some(volume) if is_meant_for(volume, &waiting.claim) => {}
                Some(volume) => {
                    let patch = json!({
                        "metadata": {
                            "resourceVersion": volume.metadata.resource_version,
                            "annotations": { BOUND_BY_CONTROLLER: "yes" },
                        },
                        "spec": { "claimRef": {
                            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": metadata.namespace,
                            "name": metadata.name, "uid": metadata.uid, "resourceVersion": metadata.resource_version,
                        } },
                    });
                    self.client.patch::<PersistentVolume>(&key_of(&**volume), &Patch::Merge(patch))?;
                }
                None if waiting.selected.is_some() => {}
                None => {
                    // At this version of the claim: another pod's node must not be overwritten.
                    let patch = json!({ "metadata": {
                        "resourceVersion": metadata.resource_version,
                        "annotations": { SELECTED_NODE: node.name() },
                    } });
                    self.client.patch::<PersistentVolumeClaim>(&key_of(&*waiting.claim), &Patch::Merge(patch))?;
                }
            }
        }
        Ok(state.waiting.is_empty() || self.all_bound(pod, node) == Ok(true))
    }

    /// Whether all of the pod's claims are bound (upstream checkBindings).
    ///
    /// # Errors
    /// Why they will not be for this node.
    pub fn all_bound(&self, pod: &PodInfo, node: &NodeInfo) -> Result<bool, String> {
        let mut all = true;
        for name in claim_names(&pod.pod) {
            let key = ObjectKey::new(&*pod.key.namespace, &*name);
            let claim = self.claims.get(&key).ok_or_else(|| format!("persistentvolumeclaim {name:?} not found"))?;
            if is_bound(&claim) {
                let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
                match self.volumes.get_named(volume) {
                    Some(found) if !reaches(&found, node) => {
                        let node = node.name();
                        return Err(format!("pv {volume:?} node affinity doesn't match node {node:?}"));
                    }
                    found => all &= found.is_some(),
                }
                continue;
            }
            all = false;
            let given_up = self.given_up.contains(&key).then_some("");
            if let Some(selected) = selected_node(&claim).or(given_up).filter(|it| *it != node.name()) {
                return Err(format!(
                    "selectedNode annotation value {selected:?} not set to scheduled node {:?}",
                    node.name()
                ));
            }
        }
        Ok(all)
    }
}

/// The names of the claims a pod uses, those made for it alone included.
pub fn claim_names(pod: &Pod) -> impl Iterator<Item = String> + '_ {
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).filter_map(move |volume| {
        match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(claim), _) => Some(claim.claim_name.clone()),
            (None, Some(_)) => Some(format!("{pod_name}-{}", volume.name)),
            (None, None) => None,
        }
    })
}

fn is_ephemeral(pod: &Pod, claim: &str) -> bool {
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter(|volume| volume.ephemeral.is_some()).any(|volume| claim == format!("{pod_name}-{}", volume.name))
}

fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
    let annotations = claim.metadata.annotations.as_ref();
    !volume.is_empty() && annotations.is_some_and(|it| it.contains_key("pv.kubernetes.io/bind-completed"))
}

fn capacity(volume: &PersistentVolume) -> Option<Quantity> {
    let stated = volume.spec.as_ref()?.capacity.as_ref()?.get("storage")?;
    Quantity::try_from(stated).ok()
}

fn selected_node(claim: &PersistentVolumeClaim) -> Option<&str> {
    claim.metadata.annotations.as_ref()?.get(SELECTED_NODE).map(String::as_str)
}

fn storage_request(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
    Quantity::try_from(requests.get("storage")?).ok()
}

fn is_meant_for(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    reference.is_some_and(|it| {
        it.name == claim.metadata.name
            && it.namespace == claim.metadata.namespace
            && it.uid.as_ref().is_none_or(|uid| uid.is_empty() || Some(uid) == claim.metadata.uid.as_ref())
    })
}

/// Whether a volume could be the claim's, wherever it is (upstream volume.FindMatchingVolume).
fn fits(volume: &PersistentVolume, claim: &PersistentVolumeClaim) -> bool {
    let (Some(offer), Some(wish)) = (volume.spec.as_ref(), claim.spec.as_ref()) else { return false };
    if volume.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let modes = offer.access_modes.as_deref().unwrap_or_default();
    let selector = wish.selector.as_ref().map(|it| Selector::from_label_selector(Some(it)));
    let free = offer.claim_ref.is_none()
        && phase == Some("Available")
        && selector.is_none_or(|it| it.is_ok_and(|it| it.matches(volume.metadata.labels.as_ref())));
    // One that is kept for the claim needs no label, but has to be able to serve it all the same.
    (free || is_meant_for(volume, claim))
        && offer.storage_class_name.as_deref().unwrap_or_default()
            == wish.storage_class_name.as_deref().unwrap_or_default()
        && offer.volume_mode.as_deref().unwrap_or("Filesystem") == wish.volume_mode.as_deref().unwrap_or("Filesystem")
        && capacity(volume) >= storage_request(claim)
        && wish.access_modes.iter().flatten().all(|mode| modes.contains(mode))
}

/// Whether a volume can be used on a node.
fn reaches(volume: &PersistentVolume, node: &NodeInfo) -> bool {
    let affinity = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
    affinity.is_none_or(|it| node_affinity::selects(it, node))
}

/// Whether a class's volumes can be made for a node.
fn is_provisionable(class: &StorageClass, node: &NodeInfo) -> bool {
    let topologies = class.allowed_topologies.as_deref().unwrap_or_default();
    let holds = |key: &str, values: &[String]| node.labels().get(key).is_some_and(|value| values.contains(value));
    class.provisioner != NO_PROVISIONER
        && (topologies.is_empty()
            || topologies
                .iter()
                .any(|term| term.match_label_expressions.iter().flatten().all(|it| holds(&it.key, &it.values))))
}

impl Filter for VolumeBinding {
    fn name(&self) -> &'static str {
        "VolumeBinding"
    }

    fn skips(&self, cycle: &Cycle<'_>) -> bool {
        let state = &cycle.prepared.volumes;
        !state.volume_gone && state.bound.is_empty() && state.waiting.is_empty()
    }

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        let state = &cycle.prepared.volumes;
        if state.volume_gone {
            return Err(Rejection::unresolvable(VOLUME_GONE));
        }
        if state.bound.iter().any(|volume| !reaches(volume, node)) {
            return Err(Rejection::unresolvable(NODE_CONFLICT));
        }
        if state.assign(node).is_some() { Ok(()) } else { Err(Rejection::unresolvable(NO_VOLUME)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use machinery::object::from_value;

    fn node(name: &str) -> NodeInfo {
        let mut info = NodeInfo::default();
        let node = json!({ "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name } } });
        info.set_node(Arc::new(from_value(node).unwrap()));
        info
    }

    fn volume(name: &str, size: &str, node: Option<&str>, claim: Option<&str>) -> Arc<PersistentVolume> {
        let affinity = node.map(|node| {
            json!({ "required": { "nodeSelectorTerms": [{ "matchExpressions": [
            { "key": "kubernetes.io/hostname", "operator": "In", "values": [node] },
        ] }] } })
        });
        Arc::new(
            from_value(json!({
                "metadata": { "name": name },
                "spec": {
                    "capacity": { "storage": size }, "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
                    "nodeAffinity": affinity,
                    "claimRef": claim.map(|name| json!({ "namespace": "default", "name": name })),
                },
                "status": { "phase": "Available" },
            }))
            .unwrap(),
        )
    }

    fn claim(name: &str, size: &str) -> PersistentVolumeClaim {
        from_value(json!({
            "metadata": { "name": name, "namespace": "default" },
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "local",
                "resources": { "requests": { "storage": size } },
            },
        }))
        .unwrap()
    }

    fn waiting(provisioner: &str, selected: Option<&str>, volumes: &[&Arc<PersistentVolume>]) -> Waiting {
        let class: Value = json!({ "metadata": { "name": "local" }, "provisioner": provisioner });
        Waiting {
            claim: Arc::new(claim("data", "1Gi")),
            class: Arc::new(from_value(class).unwrap()),
            selected: selected.map(str::to_owned),
            volumes: volumes.iter().map(|it| (*it).clone()).collect(),
        }
    }

    fn names(state: &State, on: &str) -> Option<Vec<String>> {
        let assigned = state.assign(&node(on))?;
        let name = |volume: Option<&Arc<PersistentVolume>>| volume.and_then(|it| it.metadata.name.clone());
        Some(assigned.into_iter().map(|it| name(it).unwrap_or_default()).collect())
    }

    #[test]
    fn no_volume_is_promised_twice() {
        let (a, b) = (volume("a", "1Gi", Some("x"), None), volume("b", "2Gi", None, None));
        let state = |volumes: &[&Arc<PersistentVolume>]| State {
            waiting: vec![waiting(NO_PROVISIONER, None, volumes), waiting(NO_PROVISIONER, None, volumes)],
            ..State::default()
        };
        assert_eq!(names(&state(&[&a, &b]), "x"), Some(vec!["a".into(), "b".into()]));
        assert_eq!(names(&state(&[&a, &b]), "y"), None, "b alone is there, and there are two claims");
        assert_eq!(names(&state(&[&a]), "x"), None);
    }

    #[test]
    fn a_claim_whose_volume_is_being_made_for_a_node_is_used_there_only() {
        let state = State { waiting: vec![waiting("example.com/disk", Some("x"), &[])], ..State::default() };
        assert_eq!(names(&state, "x"), Some(vec![String::new()]));
        assert_eq!(names(&state, "y"), None);
    }

    #[test]
    fn a_volume_kept_for_a_claim_must_be_able_to_serve_it() {
        let claim = claim("data", "2Gi");
        assert!(fits(&volume("a", "2Gi", None, Some("data")), &claim));
        assert!(!fits(&volume("a", "1Gi", None, Some("data")), &claim), "too small");
        assert!(!fits(&volume("a", "2Gi", None, Some("other")), &claim));
        assert!(fits(&volume("a", "2Gi", None, None), &claim));
    }
}
