//! Slices of Endpoints that somebody else writes, for Services without selector
//! (`pkg/controller/endpointslicemirroring`).

use std::collections::BTreeMap;
use std::sync::Arc;

use client::{Client, Context, DeleteOptions, Event, EventRecorder, EventType, Informer, key_of};
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use machinery::ObjectKey;
use machinery::status::ApiError;

use crate::controller::{Controller, Queue};
use crate::{Setup, pods, services};

/// Keeps Endpoints from being mirrored.
const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const SERVICE_NAME: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslicemirroring-controller.k8s.io";
/// Annotations that are the Endpoints' alone.
const NOT_MIRRORED: [&str; 2] = [services::LAST_CHANGE, "kubectl.kubernetes.io/last-applied-configuration"];
/// Addresses of one subset that are mirrored at most, and that one slice holds.
const ADDRESSES_MAX: usize = 1000;
/// The index of mirrored slices by their Service.
const MIRRORS: &str = "mirrors";

/// The controller of mirrored slices.
pub struct EndpointSliceMirroring {
    client: Client,
    recorder: EventRecorder,
    endpoints: Informer<Endpoints>,
    slices: Informer<EndpointSlice>,
    services: Informer<Service>,
    /// The revisions of slices that it wrote itself, and has not heard of yet.
    written: BTreeMap<ObjectKey, Option<String>>,
}

impl EndpointSliceMirroring {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "endpoint-slice-mirroring-controller", ""),
            endpoints: setup.informers.informer(),
            slices: setup.informers.informer().indexed(MIRRORS, |slice: &EndpointSlice| {
                service_of(slice).map(|key| key.to_string()).into_iter().collect()
            }),
            services: setup.informers.informer(),
            written: BTreeMap::new(),
        }
    }

    /// Makes a slice say what is wanted, unless it does.
    fn renew(&mut self, slice: &EndpointSlice, wanted: EndpointSlice) -> Result<(), ApiError> {
        let told = |metadata: &ObjectMeta| (metadata.labels.clone(), metadata.annotations.clone().unwrap_or_default());
        let same = slice.endpoints == wanted.endpoints && slice.ports == wanted.ports;
        if same && told(&slice.metadata) == told(&wanted.metadata) {
            return Ok(());
        }
        let ObjectMeta { labels, annotations, .. } = wanted.metadata;
        let metadata = ObjectMeta { labels, annotations, ..slice.metadata.clone() };
        let written = self.client.update(EndpointSlice { metadata, ..wanted })?;
        self.written.insert(key_of(&*written), written.metadata.resource_version.clone());
        Ok(())
    }
}

/// Whether a Service says itself which pods it leads to.
pub fn selects(service: &Service) -> bool {
    service.spec.as_ref().is_some_and(|spec| spec.selector.as_ref().is_some_and(|labels| !labels.is_empty()))
}

/// The Service whose Endpoints a slice mirrors.
pub fn service_of(slice: &EndpointSlice) -> Option<ObjectKey> {
    let labels = slice.metadata.labels.as_ref()?;
    labels.get(MANAGED_BY).filter(|by| *by == MANAGER)?;
    Some(ObjectKey::new(pods::namespace(slice), labels.get(SERVICE_NAME)?.as_str()))
}

impl Controller for EndpointSliceMirroring {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.endpoints.poll(cx) {
            queue.add_for(key_of(&**event.object()), &**event.object());
        }
        for event in self.services.poll(cx) {
            queue.add_for(key_of(&**event.object()), &**event.object());
        }
        for event in self.slices.poll(cx) {
            let slice = event.object();
            let own = |version| version == slice.metadata.resource_version;
            // Its own writes need no second look; what others do to a slice is put right.
            let meddled = !matches!(event, Event::Added(_)) && !self.written.remove(&key_of(&**slice)).is_some_and(own);
            if let (Some(key), true) = (service_of(slice), meddled) {
                queue.add_for(key, &**slice);
            }
        }
    }

    fn synced(&self) -> bool {
        self.endpoints.synced() && self.slices.synced() && self.services.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let labelled = |endpoints: &Endpoints, name: &str| {
            endpoints.metadata.labels.as_ref().is_some_and(|labels| labels.get(name).is_some_and(|it| it == "true"))
        };
        let service = self.services.get(key).filter(|service| !selects(service));
        let endpoints = self
            .endpoints
            .get(key)
            .filter(|it| !labelled(it, SKIP_MIRROR) && pods::annotation(&**it, LEADER).is_none())
            .filter(|_| service.is_some());
        if let Some(endpoints) = &endpoints {
            let skipped: usize = endpoints.subsets.iter().flatten().map(skipped).sum();
            if skipped > 0 {
                let message = format!(
                    "A max of {ADDRESSES_MAX} addresses can be mirrored to EndpointSlices per Endpoints subset. \
                     {skipped} addresses were skipped"
                );
                let reason = "TooManyAddressesToMirror";
                self.recorder.event(queue.now(), &**endpoints, EventType::Warning, reason, &message);
            }
        }
        let mut wanted = endpoints.as_deref().map(wanted).unwrap_or_default();
        let mut present = self.slices.by_index(MIRRORS, &key.to_string());
        // A slice keeps its name where its ports stay; those that are left over become what is new (`recycleSlices`).
        let matches: [fn(&EndpointSlice, &EndpointSlice) -> bool; 2] =
            [|wanted, slice| wanted.ports == slice.ports, |_, _| true];
        for matches in matches {
            let mut missing = Vec::new();
            for wanted in wanted {
                let fits =
                    |slice: &Arc<EndpointSlice>| wanted.address_type == slice.address_type && matches(&wanted, slice);
                match present.iter().position(fits) {
                    Some(index) => self.renew(&present.remove(index), wanted)?,
                    None => missing.push(wanted),
                }
            }
            wanted = missing;
        }
        for slice in wanted {
            match self.client.create(slice) {
                Err(error) if !error.has_cause("NamespaceTerminating") => return Err(error),
                _ => {}
            }
        }
        for slice in present {
            match self.client.delete::<EndpointSlice>(&key_of(&*slice), &DeleteOptions::default()) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// How many of a subset's addresses are too many.
fn skipped(subset: &EndpointSubset) -> usize {
    let count = |addresses: &Option<Vec<EndpointAddress>>| addresses.as_ref().map_or(0, Vec::len);
    (count(&subset.addresses) + count(&subset.not_ready_addresses)).saturating_sub(ADDRESSES_MAX)
}

/// The slices that say what the Endpoints do: one for each subset and family of addresses.
fn wanted(endpoints: &Endpoints) -> Vec<EndpointSlice> {
    let mut slices = Vec::new();
    for subset in endpoints.subsets.iter().flatten() {
        let ready = subset.addresses.iter().flatten().map(|address| (address, true));
        let others = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
        let all = ready.chain(others).take(ADDRESSES_MAX);
        let (v6, v4): (Vec<_>, Vec<_>) = all.partition(|(address, _)| address.ip.contains(':'));
        for (family, addresses) in [("IPv4", v4), ("IPv6", v6)] {
            if !addresses.is_empty() {
                slices.push(slice(endpoints, subset, family, addresses.into_iter().map(endpoint).collect()));
            }
        }
    }
    slices
}

fn endpoint((address, ready): (&EndpointAddress, bool)) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), ..EndpointConditions::default() }),
        hostname: address.hostname.clone().filter(|name| !name.is_empty()),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

fn slice(endpoints: &Endpoints, subset: &EndpointSubset, family: &str, all: Vec<Endpoint>) -> EndpointSlice {
    let ports = subset.ports.iter().flatten().map(|port| EndpointPort {
        name: Some(port.name.clone().unwrap_or_default()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
        app_protocol: port.app_protocol.clone(),
    });
    let name = pods::name(endpoints);
    let mut labels: BTreeMap<String, String> = endpoints.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.into(), name.into());
    labels.insert(MANAGED_BY.into(), MANAGER.into());
    let mut annotations = endpoints.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|name, _| !NOT_MIRRORED.contains(&name.as_str()));
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{name}-")),
            namespace: endpoints.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: Some(vec![OwnerReference {
                api_version: "v1".into(),
                kind: "Endpoints".into(),
                name: name.into(),
                uid: pods::uid(endpoints).into(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        address_type: family.into(),
        endpoints: Some(all),
        ports: Some(ports.collect()),
    }
}
