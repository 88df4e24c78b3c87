//! ServiceCIDRs are ready, and stay while Services have addresses from them (`pkg/controller/servicecidrs`).

use std::net::IpAddr;

use client::{Client, Context, Informer, Patch, key_of};
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use machinery::status::ApiError;
use machinery::{ObjectKey, Timestamp};
use serde_json::json;

use crate::controller::{Controller, Queue};
use crate::{Setup, pods};

const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
const READY: &str = "Ready";
const IN_USE: &str =
    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";

/// The controller of ServiceCIDRs.
pub struct ServiceCidrController {
    client: Client,
    cidrs: Informer<ServiceCIDR>,
    addresses: Informer<IPAddress>,
}

impl ServiceCidrController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self { client: client.clone(), cidrs: setup.informers.informer(), addresses: setup.informers.informer() }
    }
}

impl Controller for ServiceCidrController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.cidrs.poll(cx) {
            // Another network may have what keeps one that is to go.
            for cidr in self.cidrs.list().iter().filter(|cidr| pods::is_deleting(&***cidr)) {
                queue.add_for(key_of(&**cidr), &**event.object());
            }
            queue.add_for(key_of(&**event.object()), &**event.object());
        }
        for event in self.addresses.poll(cx) {
            for cidr in self.cidrs.list().iter().filter(|cidr| pods::is_deleting(&***cidr)) {
                queue.add_for(key_of(&**cidr), &**event.object());
            }
        }
    }

    fn synced(&self) -> bool {
        self.cidrs.synced() && self.addresses.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let Some(cidr) = self.cidrs.get(key) else { return Ok(()) };
        let mut finalizers = cidr.metadata.finalizers.clone().unwrap_or_default();
        let held = finalizers.iter().any(|name| name == FINALIZER);
        match (pods::is_deleting(&*cidr), held) {
            (true, false) => Ok(()),
            (true, true) if self.is_needed(&cidr) => self.tell(&cidr, queue.now(), "False", "Terminating", IN_USE),
            (true, true) => {
                finalizers.retain(|name| name != FINALIZER);
                self.patch(&cidr, "", json!({ "metadata": { "finalizers": finalizers, "resourceVersion": cidr.metadata.resource_version } }))
            }
            (false, false) => {
                finalizers.push(FINALIZER.into());
                self.patch(&cidr, "", json!({ "metadata": { "finalizers": finalizers, "resourceVersion": cidr.metadata.resource_version } }))
            }
            (false, true) => self.tell(&cidr, queue.now(), "True", "", "Kubernetes Service CIDR is ready"),
        }
    }
}

impl ServiceCidrController {
    /// Whether a Service has an address that is in no other network.
    fn is_needed(&self, cidr: &ServiceCIDR) -> bool {
        let all = self.cidrs.list();
        let others = || all.iter().filter(|other| !pods::is_deleting(&***other));
        self.addresses.list().iter().any(|address| {
            let Ok(address) = pods::name(&**address).parse() else { return false };
            contains(cidr, address) && !others().any(|other| contains(other, address))
        })
    }

    fn tell(
        &self,
        cidr: &ServiceCIDR,
        now: Timestamp,
        status: &str,
        reason: &str,
        message: &str,
    ) -> Result<(), ApiError> {
        let conditions = cidr.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
        if conditions.iter().any(|one| one.type_ == READY && one.status == status) {
            return Ok(());
        }
        let now = machinery::time::meta_time(now);
        let ready = json!({
            "type": READY, "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
        });
        let others = conditions.iter().filter(|one| one.type_ != READY).map(machinery::object::to_value);
        let conditions: Vec<_> = others.chain([ready]).collect();
        self.patch(cidr, "status", json!({ "status": { "conditions": conditions } }))
    }

    fn patch(&self, cidr: &ServiceCIDR, subresource: &str, change: serde_json::Value) -> Result<(), ApiError> {
        let (key, patch) = (key_of(cidr), Patch::Merge(change));
        let written = match subresource {
            "" => self.client.patch::<ServiceCIDR>(&key, &patch),
            _ => self.client.patch_status::<ServiceCIDR>(&key, &patch),
        };
        match written {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

/// Whether an address is in one of the networks.
fn contains(cidr: &ServiceCIDR, address: IpAddr) -> bool {
    let networks = cidr.spec.iter().flat_map(|spec| spec.cidrs.iter().flatten());
    networks.filter_map(|text| text.split_once('/')).any(|(base, length)| {
        let (Ok(base), Ok(length)) = (base.parse::<IpAddr>(), length.parse::<u32>()) else { return false };
        let (base, address, bits) = match (base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => (base.to_bits().into(), address.to_bits().into(), 32),
            (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
            _ => return false,
        };
        let differing: u128 = base ^ address;
        differing.checked_shr(bits - length.min(bits)).unwrap_or_default() == 0
    })
}
