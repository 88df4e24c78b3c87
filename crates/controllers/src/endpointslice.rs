//! EndpointSlices: what stands behind each Service, a hundred endpoints at a time
//! (`pkg/controller/endpointslice`, `k8s.io/endpointslice`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use client::{Client, Context, DeleteOptions, Event, EventRecorder, EventType, Informer, key_of};
use k8s_openapi::api::core::v1::{Node, Pod, Service};
use k8s_openapi::api::discovery::v1::{
    Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::ObjectKey;
use machinery::sort::Order;
use machinery::status::ApiError;

use crate::Setup;
use crate::claim::controller_reference;
use crate::controller::{Controller, Queue};
use crate::pods;
use crate::rare::RETRY;
use crate::services::{self, LAST_CHANGE, ServicePods};
use crate::topology_hints::{self, ZONE};

/// Endpoints in one slice at most.
const ENDPOINTS_MAX: usize = 100;
/// The Service a slice belongs to.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Who writes the slice.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`] of this controller's slices.
const CONTROLLER: &str = "endpointslice-controller.k8s.io";
/// The index that files slices of this controller under `namespace/service`.
const BY_SERVICE: &str = "service";

/// The controller of EndpointSlices.
pub struct EndpointSliceController {
    client: Client,
    recorder: EventRecorder,
    behind: ServicePods,
    slices: Informer<EndpointSlice>,
    nodes: Informer<Node>,
    /// Services whose endpoints have hints by the nodes' zones.
    hinted: BTreeSet<ObjectKey>,
}

impl EndpointSliceController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "endpoint-slice-controller", ""),
            behind: ServicePods::new(setup),
            slices: setup.informers.informer().indexed(BY_SERVICE, service_of),
            nodes: setup.informers.informer(),
            hinted: BTreeSet::new(),
        }
    }

    /// Gives the endpoints hints by the nodes' zones, where the Service asks for them, and tells of it.
    fn hint(&mut self, service: &Service, groups: &mut [(Group, VecDeque<Endpoint>)], queue: &mut Queue) {
        let enabled = topology_hints::enabled(service);
        if !enabled && self.hinted.is_empty() {
            return;
        }
        let key = key_of(service);
        let families: BTreeSet<String> = groups.iter().map(|(group, _)| group.address_type.clone()).collect();
        if !enabled {
            if let (true, Some(family)) = (self.hinted.remove(&key), families.first()) {
                self.tell_of_hints(service, false, "Topology Aware Hints has been disabled", family, queue);
            }
            return;
        }
        for family in families {
            let of_family = groups.iter_mut().filter(|(group, _)| group.address_type == family);
            let endpoints = of_family.flat_map(|(_, endpoints)| endpoints.iter_mut());
            let (mut ready, others): (Vec<_>, Vec<_>) = endpoints.partition(|it| is_ready(it));
            for endpoint in ready.iter_mut().map(|it| &mut **it).chain(others) {
                endpoint.hints = None;
            }
            let endpoints = ready.iter().map(|it| (it.zone.clone(), target_uid(it).to_owned())).collect();
            let mut slices = self.slices.by_index(BY_SERVICE, &key.to_string());
            slices.retain(|slice| slice.address_type == family);
            match topology_hints::hints(self.nodes.list(), slices, endpoints) {
                Some(Ok(zones)) => {
                    for (endpoint, name) in ready.into_iter().zip(zones) {
                        let for_zones = Some(vec![ForZone { name }]);
                        endpoint.hints = Some(EndpointHints { for_zones, for_nodes: None });
                    }
                    if self.hinted.insert(key.clone()) {
                        let told = "Topology Aware Hints has been enabled";
                        self.tell_of_hints(service, true, told, &family, queue);
                    }
                }
                Some(Err(why)) => {
                    self.hinted.remove(&key);
                    self.tell_of_hints(service, false, &why, &family, queue);
                }
                None => queue.add_after(key.clone(), RETRY),
            }
        }
    }

    fn tell_of_hints(&mut self, service: &Service, enabled: bool, told: &str, family: &str, queue: &Queue) {
        let (kind, reason) = if enabled {
            (EventType::Normal, "TopologyAwareHintsEnabled")
        } else {
            (EventType::Warning, "TopologyAwareHintsDisabled")
        };
        self.recorder.event(queue.now(), service, kind, reason, &format!("{told}, addressType: {family}"));
    }

    fn endpoint(&self, service: &Service, pod: &Pod, addresses: Vec<String>) -> Endpoint {
        let node = Some(pods::node_name(pod).to_owned()).filter(|name| !name.is_empty());
        let zone = node.as_deref().and_then(|node| {
            self.nodes.get_named(node)?.metadata.labels.as_ref()?.get(ZONE).cloned().filter(|zone| !zone.is_empty())
        });
        let (serving, terminating) = (pods::is_ready(pod), pods::is_deleting(pod));
        let ready = services::publishes_not_ready(service) || (serving && !terminating);
        Endpoint {
            addresses,
            conditions: Some(EndpointConditions {
                ready: Some(ready),
                serving: Some(serving),
                terminating: Some(terminating),
            }),
            hints: if ready { hints(service, node.as_deref(), zone.as_deref()) } else { None },
            hostname: services::hostname(service, pod),
            node_name: node,
            target_ref: Some(services::target(pod)),
            zone,
            deprecated_topology: None,
        }
    }

    /// The endpoints there should be, by what they have in common.
    fn wanted(&self, service: &Service, backends: &[Arc<Pod>]) -> Vec<(Group, VecDeque<Endpoint>)> {
        let families = service.spec.as_ref().and_then(|spec| spec.ip_families.clone()).unwrap_or_default();
        let families = if families.is_empty() { vec!["IPv4".into()] } else { families };
        let mut groups: Vec<(Group, VecDeque<Endpoint>)> = Vec::new();
        for family in families {
            let before = groups.len();
            for pod in backends {
                let addresses = services::pod_ips(pod).filter(|ip| ip.contains(':') == (family == "IPv6"));
                let addresses: Vec<String> = addresses.take(1).map(str::to_owned).collect();
                if addresses.is_empty() {
                    continue;
                }
                let group = Group { address_type: family.clone(), ports: ports(service, pod) };
                let endpoint = self.endpoint(service, pod, addresses);
                match groups.iter_mut().find(|(known, _)| *known == group) {
                    Some((_, endpoints)) => endpoints.push_back(endpoint),
                    None => groups.push((group, VecDeque::from([endpoint]))),
                }
            }
            if groups.len() == before {
                // An empty slice says that there is nothing, which none at all would not.
                groups.push((Group { address_type: family, ports: Vec::new() }, VecDeque::new()));
            }
        }
        groups
    }

    fn new_slice(service: &Service, group: &Group) -> EndpointSlice {
        EndpointSlice {
            metadata: ObjectMeta {
                generate_name: Some(format!("{}-", pods::name(service))),
                namespace: service.metadata.namespace.clone(),
                owner_references: Some(vec![controller_reference(service)]),
                ..ObjectMeta::default()
            },
            address_type: group.address_type.clone(),
            endpoints: None,
            ports: Some(group.ports.clone()).filter(|ports| !ports.is_empty()),
        }
    }

    /// Brings the slices of one group to hold the endpoints, and touches as few of them as it can; those to be made
    /// and those left over are for [`Self::finish`].
    fn sync_group(
        &self,
        service: &Service,
        group: &Group,
        mut wanted: VecDeque<Endpoint>,
        slices: Vec<Arc<EndpointSlice>>,
        metadata: &ObjectMeta,
        rest: &mut Rest,
    ) -> Result<(), ApiError> {
        let mut by_uid: BTreeMap<String, Endpoint> =
            wanted.iter().map(|endpoint| (target_uid(endpoint).to_owned(), endpoint.clone())).collect();
        // Endpoints stay in the slice they are in.
        let mut kept: Vec<(Arc<EndpointSlice>, Vec<Endpoint>)> = slices
            .into_iter()
            .map(|slice| {
                let present = slice.endpoints.iter().flatten();
                let endpoints = present.filter_map(|endpoint| by_uid.remove(target_uid(endpoint))).collect();
                (slice, endpoints)
            })
            .collect();
        wanted.retain(|endpoint| by_uid.contains_key(target_uid(endpoint)));
        // New ones go first where something is written anyway, then to the fullest that has room.
        kept.order_by_key(|(slice, endpoints)| {
            let unchanged = slice.endpoints.iter().flatten().eq(endpoints.iter());
            (unchanged, std::cmp::Reverse(endpoints.len()))
        });
        for (_, endpoints) in &mut kept {
            let room = ENDPOINTS_MAX.saturating_sub(endpoints.len()).min(wanted.len());
            endpoints.extend(wanted.drain(..room));
        }
        let total: usize = kept.iter().map(|(_, endpoints)| endpoints.len()).sum();
        let mut placeholder = total + wanted.len() == 0;
        for (slice, endpoints) in kept {
            if endpoints.is_empty() && !std::mem::take(&mut placeholder) {
                rest.surplus.push(slice);
                continue;
            }
            let mut updated = (*slice).clone();
            let changed = !slice.endpoints.iter().flatten().eq(endpoints.iter());
            let relabelled = slice.metadata.labels != metadata.labels;
            if changed || relabelled {
                updated.endpoints = Some(endpoints);
                updated.metadata.labels.clone_from(&metadata.labels);
                let annotations = metadata.annotations.clone().unwrap_or_default();
                updated.metadata.annotations.get_or_insert_default().extend(annotations);
                self.client.update(updated)?;
            }
        }
        while !wanted.is_empty() || std::mem::take(&mut placeholder) {
            let mut slice = Self::new_slice(service, group);
            slice.endpoints = Some(wanted.drain(..wanted.len().min(ENDPOINTS_MAX)).collect());
            slice.metadata.labels.clone_from(&metadata.labels);
            slice.metadata.annotations.clone_from(&metadata.annotations);
            rest.missing.push(slice);
        }
        Ok(())
    }

    /// Makes the slices that are missing out of those left over, which keep their names, and anew where there are none
    /// (`finalize`).
    fn finish(&self, service: &Service, Rest { missing, mut surplus }: Rest) -> Result<(), ApiError> {
        let owned = |slice: &EndpointSlice| {
            pods::controller_of(&slice.metadata).is_some_and(|owner| owner.uid == pods::uid(service))
        };
        for slice in missing {
            match surplus.iter().position(|it| it.address_type == slice.address_type && owned(it)) {
                Some(index) => {
                    let mut updated = (*surplus.remove(index)).clone();
                    updated.metadata.labels = slice.metadata.labels;
                    updated.metadata.annotations = slice.metadata.annotations;
                    (updated.endpoints, updated.ports) = (slice.endpoints, slice.ports);
                    self.client.update(updated)?;
                }
                None => match self.client.create(slice) {
                    Err(error) if error.has_cause("NamespaceTerminating") => {}
                    other => _ = other?,
                },
            }
        }
        surplus.iter().try_for_each(|slice| self.delete(slice))
    }

    fn delete(&self, slice: &EndpointSlice) -> Result<(), ApiError> {
        match self.client.delete::<EndpointSlice>(&key_of(slice), &DeleteOptions::default()) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Controller for EndpointSliceController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        self.behind.observe(cx, queue);
        let matters =
            |event: &Event<Node>| !matches!(event, Event::Updated { old, new } if !topology_hints::matters(old, new));
        if self.nodes.poll(cx).iter().any(matters) {
            self.hinted.iter().for_each(|key| queue.add(key.clone()));
        }
        for event in self.slices.poll(cx) {
            // Its own writes need no second look; what others do to a slice is put right.
            let meddled = match &event {
                Event::Added(_) => false,
                Event::Deleted(_) => true,
                Event::Updated { old, new } => old.metadata.generation != new.metadata.generation,
            };
            let slice = event.object();
            for key in service_of(slice).into_iter().filter(|_| meddled) {
                let (namespace, name) = key.split_once('/').unwrap_or_default();
                queue.add_for(ObjectKey::new(namespace, name), &**slice);
            }
        }
    }

    fn synced(&self) -> bool {
        self.behind.synced() && self.slices.synced() && self.nodes.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        // Slices of a Service that is gone are the garbage collector's.
        let here = |service: &Arc<Service>| services::is_selecting(service) && !pods::is_deleting(&**service);
        let Some(service) = self.behind.service(key).filter(here) else {
            self.hinted.remove(key);
            return Ok(());
        };
        let backends = self.behind.backends(&service, true);
        let own = [(SERVICE_NAME, key.name.clone()), (MANAGED_BY, CONTROLLER.to_owned())];
        let metadata = ObjectMeta {
            labels: Some(services::labels_with(&service, &own)),
            annotations: services::last_change(&service, &backends)
                .map(|time| BTreeMap::from([(LAST_CHANGE.into(), time)])),
            ..ObjectMeta::default()
        };
        let mut slices = self.slices.by_index(BY_SERVICE, &key.to_string());
        slices.retain(|slice| !pods::is_deleting(&**slice));
        let mut rest = Rest::default();
        let mut wanted = self.wanted(&service, &backends);
        self.hint(&service, &mut wanted, queue);
        for (group, endpoints) in wanted {
            let (own, others) = slices.into_iter().partition(|slice| group.matches(slice));
            slices = others;
            self.sync_group(&service, &group, endpoints, own, &metadata, &mut rest)?;
        }
        rest.surplus.extend(slices);
        self.finish(&service, rest)
    }
}

/// What the slices of a Service lack, and those that hold nothing any more.
#[derive(Default)]
struct Rest {
    missing: Vec<EndpointSlice>,
    surplus: Vec<Arc<EndpointSlice>>,
}

/// What all endpoints of a slice have in common.
#[derive(PartialEq)]
struct Group {
    address_type: String,
    ports: Vec<EndpointPort>,
}

impl Group {
    fn matches(&self, slice: &EndpointSlice) -> bool {
        self.address_type == slice.address_type && self.ports.iter().eq(slice.ports.iter().flatten())
    }
}

fn service_of(slice: &EndpointSlice) -> Vec<String> {
    let label = |name: &str| slice.metadata.labels.as_ref().and_then(|labels| labels.get(name));
    if label(MANAGED_BY).map(String::as_str) != Some(CONTROLLER) {
        return Vec::new();
    }
    label(SERVICE_NAME).map(|service| format!("{}/{service}", pods::namespace(slice))).into_iter().collect()
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true)
}

/// The uid of an endpoint's pod; empty where it has none.
pub fn target_uid(endpoint: &Endpoint) -> &str {
    endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()).unwrap_or_default()
}

fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let found = ports.iter().filter_map(|port| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(services::target_port(pod, port)?),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
            app_protocol: port.app_protocol.clone(),
        })
    });
    found.collect()
}

/// Where traffic to the endpoint should come from, if the Service has a preference.
fn hints(service: &Service, node: Option<&str>, zone: Option<&str>) -> Option<EndpointHints> {
    let preference = service.spec.as_ref()?.traffic_distribution.as_deref()?;
    let zones = zone.map(|zone| vec![ForZone { name: zone.into() }]);
    match preference {
        "PreferClose" | "PreferSameZone" if zones.is_some() => {
            Some(EndpointHints { for_zones: zones, for_nodes: None })
        }
        "PreferSameNode" if node.is_some() || zones.is_some() => {
            let nodes = node.map(|node| vec![ForNode { name: node.into() }]);
            Some(EndpointHints { for_zones: zones, for_nodes: nodes })
        }
        _ => None,
    }
}
