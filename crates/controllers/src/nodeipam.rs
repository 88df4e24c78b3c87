//! A range of pod addresses for each node (`pkg/controller/nodeipam`).

use std::collections::BTreeMap;

use client::{Client, Context, Event, EventRecorder, EventType, Informer, Patch, key_of};
use k8s_openapi::api::core::v1::Node;
use machinery::ObjectKey;
use machinery::status::ApiError;
use serde_json::json;

use crate::Setup;
use crate::controller::{Controller, Queue};
use crate::pods;

/// Ranges there are: `10.244.0.0/24` and so on up to `10.255.255.0/24`, then those from `10.128.0.0/24`.
const RANGES: u32 = 128 * 256;

/// The controller of the nodes' pod ranges.
pub struct NodeIpamController {
    client: Client,
    recorder: EventRecorder,
    nodes: Informer<Node>,
    /// Which node has which range.
    taken: BTreeMap<u32, ObjectKey>,
    /// No range below this one is free.
    first_free: u32,
}

impl NodeIpamController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "cidrAllocator", ""),
            nodes: setup.informers.informer(),
            taken: BTreeMap::new(),
            first_free: 0,
        }
    }
}

impl Controller for NodeIpamController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.nodes.poll(cx) {
            let node = event.object();
            let range = node.spec.as_ref().and_then(|spec| index_of(spec.pod_cidr.as_deref()?));
            match (&event, range) {
                (Event::Deleted(_), Some(range)) => {
                    if self.taken.get(&range) == Some(&key_of(&**node)) {
                        self.taken.remove(&range);
                        self.first_free = self.first_free.min(range);
                    }
                }
                (Event::Deleted(_), None) => {}
                (_, Some(range)) => {
                    self.taken.insert(range, key_of(&**node));
                }
                (_, None) => queue.add_for(key_of(&**node), &**node),
            }
        }
    }

    fn synced(&self) -> bool {
        self.nodes.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let Some(node) = self.nodes.get(key) else { return Ok(()) };
        if node.spec.as_ref().is_some_and(|spec| spec.pod_cidr.is_some()) {
            return Ok(());
        }
        let Some(range) = (self.first_free..RANGES).find(|range| !self.taken.contains_key(range)) else {
            let message = format!("Node {} status is now: CIDRNotAvailable", key.name);
            self.recorder.event(queue.now(), &*node, EventType::Normal, "CIDRNotAvailable", &message);
            return Err(ApiError::internal("all pod ranges are taken"));
        };
        let cidr = cidr_of(range);
        let patch = Patch::Strategic(json!({
            "metadata": { "uid": pods::uid(&*node) },
            "spec": { "podCIDR": cidr, "podCIDRs": [cidr] },
        }));
        match self.client.patch::<Node>(key, &patch) {
            Ok(_) => {
                self.taken.insert(range, key.clone());
                self.first_free = range + 1;
                Ok(())
            }
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn cidr_of(range: u32) -> String {
    let second = match 244 + range / 256 {
        second @ ..=255 => second,
        second => second - 128,
    };
    format!("10.{second}.{}.0/24", range % 256)
}

fn index_of(cidr: &str) -> Option<u32> {
    let mut parts = cidr.strip_prefix("10.")?.strip_suffix(".0/24")?.split('.');
    let (second, third) = (parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?);
    if !(128..256).contains(&second) || third > 255 || parts.next().is_some() {
        return None;
    }
    let block = if second >= 244 { second - 244 } else { second - 128 + 12 };
    Some(block * 256 + third)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_numbered_both_ways() {
        assert_eq!(cidr_of(0), "10.244.0.0/24");
        assert_eq!(cidr_of(257), "10.245.1.0/24");
        for range in [0, 255, 256, 12 * 256 - 1, 12 * 256, RANGES - 1] {
            assert_eq!(index_of(&cidr_of(range)), Some(range));
        }
        assert_eq!(cidr_of(12 * 256), "10.128.0.0/24");
        assert_eq!(index_of("192.168.0.0/24"), None);
    }
}
