//! A pod runs where its volumes are, and claims that wait for their first consumer get a volume where
//! the pod goes (upstream plugins/volumebinding).

use std::sync::Arc;

use client::{Client, Context, Event, Informer, ListOptions, Patch, key_of};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use machinery::ObjectKey;
use machinery::labels::Selector;
use machinery::quantity::Quantity;
use machinery::status::ApiError;
use serde_json::json;

use crate::framework::{Cycle, Filter, NodeInfo, PodInfo, Rejection};
use crate::plugins::node_affinity;

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

/// A claim that waits for its first consumer.
#[derive(Debug)]
struct Waiting {
    claim: Arc<PersistentVolumeClaim>,
    class: Arc<StorageClass>,
    /// Volumes that would do, the smallest first.
    volumes: Vec<Arc<PersistentVolume>>,
}

impl State {
    /// The volumes that the pod's claims are bound to.
    pub fn bound(&self) -> &[Arc<PersistentVolume>] {
        &self.bound
    }

    /// The pod's claims that one pod at a time may use.
    pub fn exclusive(&self) -> &[String] {
        &self.exclusive
    }
}

/// The cluster's storage, as far as scheduling asks for it.
pub struct Storage {
    client: Client,
    claims: Informer<PersistentVolumeClaim>,
    volumes: Informer<PersistentVolume>,
    classes: Informer<StorageClass>,
}

impl Storage {
    /// Storage that knows nothing yet.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            claims: Informer::new(client, "", ListOptions::default()),
            volumes: Informer::new(client, "", ListOptions::default()),
            classes: Informer::new(client, "", ListOptions::default()),
        }
    }

    /// Takes what is new; whether anything is.
    pub fn observe(&mut self, cx: &mut Context<'_>) -> bool {
        let news = |event: &Event<_>| !matches!(event, Event::Deleted(_));
        let claims = self.claims.poll(cx).iter().any(news);
        let volumes = self.volumes.poll(cx).iter().any(|event| !matches!(event, Event::Deleted(_)));
        let classes = self.classes.poll(cx).iter().any(|event| !matches!(event, Event::Deleted(_)));
        claims | volumes | classes
    }

    /// Whether everything has been read once.
    pub fn synced(&self) -> bool {
        self.claims.synced() && self.volumes.synced() && self.classes.synced()
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
                state.exclusive.push(name.clone());
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
                    let volumes = self.candidates(&claim);
                    state.waiting.push(Waiting { claim, class, volumes });
                }
                None => unbound = true,
            }
        }
        if unbound { Err("pod has unbound immediate PersistentVolumeClaims".into()) } else { Ok(state) }
    }

    fn candidates(&self, claim: &PersistentVolumeClaim) -> Vec<Arc<PersistentVolume>> {
        let mut volumes = self.volumes.list();
        volumes.retain(|volume| fits(volume, claim));
        volumes.sort_by_key(|volume| capacity(volume));
        volumes
    }

    /// Before the pod is bound to a node: gives the claims that waited for it their volumes, or has
    /// them provisioned. Whether all of the pod's claims are bound now.
    ///
    /// # Errors
    /// What the server answered.
    pub fn bind(&self, pod: &PodInfo, state: &State, node: &NodeInfo) -> Result<bool, ApiError> {
        for waiting in &state.waiting {
            let key = key_of(&*waiting.claim);
            match waiting.volumes.iter().find(|volume| reaches(volume, node)) {
                Some(volume) if is_meant_for(volume, &waiting.claim) => {}
                Some(volume) => {
                    let metadata = &waiting.claim.metadata;
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
                None => {
                    let patch = json!({ "metadata": { "annotations": { SELECTED_NODE: node.name() } } });
                    self.client.patch::<PersistentVolumeClaim>(&key, &Patch::Merge(patch))?;
                }
            }
        }
        Ok(state.waiting.is_empty() || self.all_bound(pod))
    }

    /// Whether all of the pod's claims are bound.
    pub fn all_bound(&self, pod: &PodInfo) -> bool {
        claim_names(&pod.pod).all(|name| {
            let claim = self.claims.get(&ObjectKey::new(&*pod.key.namespace, &*name));
            claim.is_some_and(|claim| is_bound(&claim))
        })
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
    if offer.claim_ref.is_some() {
        return is_meant_for(volume, claim);
    }
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
    let wanted = wish.resources.as_ref().and_then(|it| it.requests.as_ref()?.get("storage"));
    let wanted = wanted.and_then(|it| Quantity::try_from(it).ok());
    let modes = offer.access_modes.as_deref().unwrap_or_default();
    let selector = wish.selector.as_ref().map(|it| Selector::from_label_selector(Some(it)));
    phase == Some("Available")
        && offer.storage_class_name.as_deref().unwrap_or_default()
            == wish.storage_class_name.as_deref().unwrap_or_default()
        && offer.volume_mode.as_deref().unwrap_or("Filesystem") == wish.volume_mode.as_deref().unwrap_or("Filesystem")
        && capacity(volume) >= wanted
        && wish.access_modes.iter().flatten().all(|mode| modes.contains(mode))
        && selector.is_none_or(|it| it.is_ok_and(|it| it.matches(volume.metadata.labels.as_ref())))
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

    fn filter(&self, cycle: &Cycle<'_>, node: &NodeInfo) -> Result<(), Rejection> {
        let state = &cycle.prepared.volumes;
        if state.volume_gone {
            return Err(Rejection::unresolvable(VOLUME_GONE));
        }
        if state.bound.iter().any(|volume| !reaches(volume, node)) {
            return Err(Rejection::unresolvable(NODE_CONFLICT));
        }
        let served = |waiting: &Waiting| {
            waiting.volumes.iter().any(|volume| reaches(volume, node)) || is_provisionable(&waiting.class, node)
        };
        if state.waiting.iter().all(served) { Ok(()) } else { Err(Rejection::unresolvable(NO_VOLUME)) }
    }
}
