//! A cluster as bytes: what a tab keeps between visits, a link shares, and a fork of the past begins with.
//!
//! It holds the store's contents at a revision, the cluster's time, the faults in force and the files of the
//! learner's home. Simulated containers are not in it: where a saved cluster goes on, its nodes have just been
//! switched on again, and their kubelets start the pods' containers anew.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use machinery::status::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Contents, Store};

use crate::cluster::Inner;
use crate::control::Fault;
use crate::options::{CONTROL_PLANE, NodeOptions, Options};

const FORMAT: u32 = 1;
/// Where the store has the nodes.
const NODES: &str = "/registry/minions/";
/// What a cluster with kubeadm's add-ons holds.
const KUBEADM: &str = "/registry/configmaps/kube-system/kubeadm-config";
/// How long Events live that had expired when the past was saved, in seconds.
const LEASE_SECONDS: i64 = 3_600;
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
                    && kv.value.windows(BOOTSTRAPPED.1.len()).any(|part| part == BOOTSTRAPPED.1.as_bytes());
                !own && !MADE_ANEW.iter().any(|prefix| kv.key.starts_with(prefix))
            });
            contents.leases.clear();
        }
        // What was wrong in the past is not known.
        let faults = if which.revision == 0 { self.faults() } else { Vec::new() };
        let head = Head {
            playground: FORMAT,
            now: which.now.unwrap_or_else(|| self.executor.now()),
            faults,
            files: self.learner.get().map(|learner| learner.files()).unwrap_or_default(),
        };
        let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
        bytes.push(b'\n');
        bytes.extend_from_slice(&contents.to_bytes());
        Ok(bytes)
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
        let (head, contents) = bytes.split_at(end);
        let head: Head = serde_json::from_slice(head).map_err(|_| broken())?;
        if head.playground != FORMAT {
            return Err(format!("this cluster was saved in format {}, which is unknown here", head.playground));
        }
        let contents = Contents::from_bytes(&contents[1..], LEASE_SECONDS).ok_or_else(broken)?;
        let entries = contents.entries.iter().filter(|kv| kv.key.starts_with(NODES));
        let nodes = entries.filter_map(|kv| node(&serde_json::from_slice(&kv.value).ok()?));
        let mut nodes: Vec<NodeOptions> = nodes.collect();
        let addons = contents.entries.iter().any(|kv| &*kv.key == KUBEADM);
        nodes.sort_by_key(|node| node.address);
        let store = Store::restore(&store::Options::default(), contents, head.now);
        Ok(Self { nodes, addons, faults: head.faults, files: head.files, ..Self::new(store, head.now, seed) })
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
