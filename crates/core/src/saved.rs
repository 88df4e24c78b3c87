//! A cluster as bytes: what a tab keeps between visits, a link shares, and a fork of the past begins with.
//!
//! It holds the store's contents at a revision, the cluster's time, the faults in force, and what is on the disks of
//! the simulated world ([`sim::saved`]): those of its nodes, and of the learner's computer with its images, containers
//! and clusters. A host with a disk of its own keeps store and disks apart, and writes of the disks what has changed
//! ([`Cluster::save_disks`]). Processes are not in it: where a saved cluster goes on, its nodes have just been switched
//! on again, and their kubelets start the pods' containers anew. A fork of the past has not lost its power: containers
//! that ran then run on, under their ids, addresses and restart counts, which are those of the pods' statuses. Of the
//! disks there is no past: a fork has them as they are now.

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use machinery::random::fnv64a;
use machinery::sort::Order;
use machinery::status::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sim::saved::{Saved, Saver, Versions};
use store::{Contents, Store};

use crate::cluster::{Cluster, Inner};
use crate::control::Fault;
use crate::options::{CONTROL_PLANE, NodeOptions, Options};
use crate::world::Learner;

const FORMAT: u32 = 1;
/// Where the store has the nodes.
const NODES: &str = "/registry/minions/";
/// And the pods.
const PODS: &str = "/registry/pods/";
/// Where the parts of nodes' disks are.
pub(crate) const NODES_FOLDER: &str = "node";
/// What a cluster with kubeadm's add-ons holds.
const KUBEADM: &str = "/registry/configmaps/kube-system/kubeadm-config";
/// How long Events live that had expired when the past was saved, in seconds.
pub(crate) const LEASE_SECONDS: i64 = 3_600;
/// What every cluster makes for itself: a shared one need not carry it.
const MADE_ANEW: [&str; 6] = [
    "/registry/events/",
    "/registry/leases/",
    "/registry/apiregistration.k8s.io/",
    "/registry/flowschemas/",
    "/registry/prioritylevelconfigurations/",
    "/registry/masterleases/",
];
/// RBAC's own roles, by the label that they have.
const BOOTSTRAPPED: (&str, &str) = ("/registry/cluster", "\"kubernetes.io/bootstrapping\"");

/// The line of JSON before the store's contents.
#[derive(Serialize, Deserialize)]
struct Head {
    playground: u32,
    now: Timestamp,
    #[serde(default)]
    faults: Vec<Fault>,
    #[serde(default)]
    files: Vec<(String, String)>,
    /// Bytes of the disks, which come before the store's contents.
    #[serde(default)]
    disks: usize,
}

/// Which state of a cluster is saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Which {
    /// The revision; 0 for the newest.
    pub revision: i64,
    /// The cluster's time then, where it is not the present.
    pub now: Option<Timestamp>,
    /// Without what every cluster makes for itself.
    pub slim: bool,
}

impl Which {
    /// `revision=…&time=…&slim=true`, each optional.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut which = Self::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let bad = || ApiError::bad_request(format!("cannot read {name}={value}"));
            match name {
                "revision" => which.revision = value.parse().map_err(|_| bad())?,
                "time" => which.now = Some(value.parse().map_err(|_| bad())?),
                "slim" => which.slim = value == "true",
                _ => return Err(bad()),
            }
        }
        Ok(which)
    }
}

impl Inner {
    /// The cluster as bytes.
    pub(crate) fn save(&self, which: Which) -> Result<Vec<u8>, ApiError> {
        let mut contents = self.api.store().contents(which.revision).map_err(|error| {
            ApiError::new(410, "Expired", format!("revision {} cannot be read: {error}", which.revision))
        })?;
        if which.slim {
            contents.entries.retain(|kv| {
                let own = kv.key.starts_with(BOOTSTRAPPED.0)
                    && kv.value.bytes().windows(BOOTSTRAPPED.1.len()).any(|part| part == BOOTSTRAPPED.1.as_bytes());
                !own && !MADE_ANEW.iter().any(|prefix| kv.key.starts_with(prefix))
            });
            contents.leases.clear();
        }
        // What was wrong in the past is not known.
        let faults = if which.revision == 0 { self.faults() } else { Vec::new() };
        let mut saver = Saver::all();
        self.save_disks(&mut saver);
        let (_, mut parts) = saver.finish();
        if which.revision != 0 {
            as_of(&contents, &mut parts);
        }
        if which.slim {
            parts.retain(|(name, _)| is_shared(name));
        }
        let disks = Saved::write(&parts);
        // The whole of the learner's computer holds these too.
        let files = self.learner.get().filter(|_| which.slim).map(Learner::files).unwrap_or_default();
        let head = Head {
            playground: FORMAT,
            now: which.now.unwrap_or_else(|| self.executor.now()),
            faults,
            files,
            disks: disks.len(),
        };
        let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend(disks);
        bytes.extend(contents.to_bytes());
        Ok(bytes)
    }

    /// Another number whenever something on the disks has changed.
    pub(crate) fn state_version(&self) -> u64 {
        let mut saver = Saver::versions();
        self.save_disks(&mut saver);
        let fold = |seen: u64, (name, version): &(String, u64)| {
            seen.rotate_left(5) ^ fnv64a(name.as_bytes()).wrapping_add(*version)
        };
        // Stores change with every renewed lease, which is nothing to save for.
        saver.finish().0.iter().filter(|(name, _)| !name.ends_with("/store")).fold(0, fold)
    }

    /// Visits what is on the disks of the simulated nodes and of the learner's computer.
    pub(crate) fn save_disks(&self, saver: &mut Saver<'_>) {
        saver.within(NODES_FOLDER, &mut |saver| {
            for runtime in self.world.runtimes() {
                saver.within(runtime.node_name(), &mut |saver| runtime.save(saver));
            }
        });
        if let Some(learner) = self.learner.get() {
            learner.save(saver);
        }
    }

    /// The uids of the pods that there are, in order. Of one that a manifest on its node has made, that by which the
    /// kubelet knows it.
    pub(crate) fn pod_uids(&self) -> Vec<String> {
        let client = client::Client::new(self.line("playground", Arc::default()), "playground");
        let Ok(pods) = client.list::<Pod>("", &client::ListOptions::default()) else { return Vec::new() };
        let uid = |pod: Arc<Pod>| {
            let annotations = pod.metadata.annotations.as_ref();
            let hash = annotations.and_then(|all| all.get("kubernetes.io/config.hash"));
            hash.or(pod.metadata.uid.as_ref()).cloned()
        };
        let mut uids: Vec<String> = pods.items.into_iter().filter_map(uid).collect();
        uids.order_by(|one, other| one.cmp(other));
        uids
    }
}

impl Cluster {
    /// The parts of the simulated world's disks that have changed since some versions, which are brought up to date;
    /// none stands for a part that is gone. For hosts that keep parts one by one, and give them back by
    /// [`Options::saved`].
    pub fn save_disks(&self, since: &mut Versions) -> Vec<(String, Option<Vec<u8>>)> {
        let mut saver = Saver::changed(since);
        self.inner().save_disks(&mut saver);
        let (versions, parts) = saver.finish();
        let is_there = |name: &String| versions.binary_search_by(|(known, _)| known.cmp(name)).is_ok();
        let gone = since.iter().filter(|(name, _)| !is_there(name)).map(|(name, _)| (name.clone(), None));
        let parts = parts.into_iter().map(|(name, bytes)| (name, Some(bytes))).chain(gone).collect();
        *since = versions;
        parts
    }

    /// Whether a saved part is of a node that is in the cluster but not among those that it was started with: that one
    /// is switched off, and keeps its disk.
    pub fn leaves_alone(&self, part: &str) -> bool {
        let inner = self.inner();
        let Some((NODES_FOLDER, rest)) = part.split_once('/') else { return false };
        let node = rest.split('/').next().unwrap_or_default();
        let runs = inner.world.runtimes().iter().any(|runtime| runtime.node_name() == node);
        !runs && inner.api.store().get(&format!("{NODES}{node}")).is_some()
    }
}

/// Lets the nodes' runtimes remember what they did at a revision, as far as its pods tell.
fn as_of(contents: &Contents, parts: &mut [(String, Vec<u8>)]) {
    let pods = contents.entries.iter().filter(|kv| kv.key.starts_with(PODS));
    let pods: Vec<Value> = pods.filter_map(|kv| serde_json::from_slice(&kv.value.bytes()).ok()).collect();
    for (name, bytes) in parts {
        let node = name.strip_prefix(NODES_FOLDER).and_then(|name| name.strip_prefix('/')?.strip_suffix("/runtime"));
        let Some(node) = node else { continue };
        let its = pods.iter().filter(|pod| pod["spec"]["nodeName"] == node).cloned();
        *bytes = sim::runtime::as_of(bytes, &its.collect::<Vec<_>>());
    }
}

/// Whether a link holds a part of the disks: files of nodes and volumes, and images that somebody has made.
fn is_shared(name: &str) -> bool {
    match name.split_once('/') {
        Some((NODES_FOLDER, rest)) => rest.ends_with("/host") || rest.contains("/volumes/"),
        Some((folder, _)) => folder == Learner::REGISTRY,
        None => false,
    }
}

impl Options {
    /// A cluster as it was saved, driven by hand until it is given the host's time. The seed is a new one, so
    /// that no name is made twice.
    ///
    /// # Errors
    /// When the bytes are no saved cluster, or one of a later version's.
    pub fn resume(bytes: &[u8], seed: u64) -> Result<Self, String> {
        let broken = || "this is not a saved cluster".to_owned();
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
        let (head, rest) = bytes.split_at(end);
        let head: Head = serde_json::from_slice(head).map_err(|_| broken())?;
        if head.playground != FORMAT {
            return Err(format!("this cluster was saved in format {}, which is unknown here", head.playground));
        }
        let (disks, contents) = rest.get(1..).and_then(|rest| rest.split_at_checked(head.disks)).ok_or_else(broken)?;
        let saved = Saved::read(disks).ok_or_else(broken)?;
        let contents = Contents::from_bytes(contents, LEASE_SECONDS).ok_or_else(broken)?;
        let entries = contents.entries.iter().filter(|kv| kv.key.starts_with(NODES));
        let nodes = entries.filter_map(|kv| node(&serde_json::from_slice(&kv.value.bytes()).ok()?));
        let mut nodes: Vec<NodeOptions> = nodes.collect();
        let addons = contents.entries.iter().any(|kv| &*kv.key == KUBEADM);
        nodes.sort_by_key(|node| node.address);
        let store = Store::restore(&store::Options::default(), contents, head.now);
        Ok(Self { nodes, addons, faults: head.faults, files: head.files, saved, ..Self::new(store, head.now, seed) })
    }
}

/// The machine of a Node. Whatever else its object says is in the store already.
fn node(object: &Value) -> Option<NodeOptions> {
    let name = object.pointer("/metadata/name")?.as_str()?;
    let addresses = object.pointer("/status/addresses")?.as_array()?;
    let internal = addresses.iter().find(|address| address.get("type").is_some_and(|kind| kind == "InternalIP"))?;
    let address: Ipv4Addr = internal.get("address")?.as_str()?.parse().ok()?;
    let mut node = NodeOptions { address, ..NodeOptions::worker(name, 0) };
    if object.pointer("/metadata/labels").is_some_and(|labels| labels.get(CONTROL_PLANE).is_some()) {
        node.labels.insert(CONTROL_PLANE.into(), String::new());
    }
    Some(node)
}
