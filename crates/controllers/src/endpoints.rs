//! Endpoints: the addresses behind each Service, as clients of old want them
//! (`pkg/controller/endpoint`).

use std::collections::BTreeMap;

use client::{Client, Context, DeleteOptions, Event, Informer, key_of};
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::ObjectKey;
use machinery::sort::Order;
use machinery::status::ApiError;

use crate::Setup;
use crate::controller::{Controller, Queue};
use crate::pods;
use crate::services::{self, LAST_CHANGE, ServicePods};

/// Addresses one Endpoints object holds at most.
const ADDRESSES_MAX: usize = 1000;
/// Says that there are more addresses than fit.
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Names who writes the Endpoints.
const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
/// Endpoints that are locks of former leader elections are nobody's endpoints.
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";

/// The controller of Endpoints.
pub struct EndpointsController {
    client: Client,
    behind: ServicePods,
    endpoints: Informer<Endpoints>,
}

impl EndpointsController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self { client: client.clone(), behind: ServicePods::new(setup), endpoints: setup.informers.informer() }
    }
}

impl Controller for EndpointsController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        self.behind.observe(cx, queue);
        let starting = !self.endpoints.synced();
        for event in self.endpoints.poll(cx) {
            let endpoints = event.object();
            // Those of a Service that went while nobody watched are found at the start, later ones are for
            // whoever made them; one that somebody deletes is made anew.
            let concerned = match &event {
                Event::Added(endpoints) => starting && pods::annotation(&**endpoints, LEADER).is_none(),
                Event::Deleted(_) => true,
                Event::Updated { .. } => false,
            };
            if concerned {
                queue.add_for(key_of(&**endpoints), &**endpoints);
            }
        }
    }

    fn synced(&self) -> bool {
        self.behind.synced() && self.endpoints.synced()
    }

    fn sync(&mut self, key: &ObjectKey, _: &mut Queue) -> Result<(), ApiError> {
        let current = self.endpoints.get(key);
        let Some(service) = self.behind.service(key) else {
            let Some(current) = current else { return Ok(()) };
            let options = DeleteOptions::uid(pods::uid(&*current));
            return match self.client.delete::<Endpoints>(key, &options) {
                Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
                _ => Ok(()),
            };
        };
        if !services::is_selecting(&service) {
            return Ok(());
        }
        let wanted = self.wanted(&service);
        match current {
            None => match self.client.create(wanted) {
                Err(error) if error.has_cause("NamespaceTerminating") => Ok(()),
                other => other.map(drop),
            },
            Some(current) if says_the_same(&current, &wanted) => Ok(()),
            Some(current) => {
                let mut updated = (*current).clone();
                let annotations = updated.metadata.annotations.get_or_insert_default();
                for name in [LAST_CHANGE, OVER_CAPACITY] {
                    annotations.remove(name);
                }
                annotations.extend(wanted.metadata.annotations.unwrap_or_default());
                updated.metadata.labels = wanted.metadata.labels;
                updated.subsets = wanted.subsets;
                self.client.update(updated).map(drop)
            }
        }
    }
}

impl EndpointsController {
    fn wanted(&self, service: &Service) -> Endpoints {
        let mut backends = self.behind.backends(service, services::publishes_not_ready(service));
        let truncated = backends.len() > ADDRESSES_MAX;
        if truncated {
            backends.order_by_key(|pod| !pods::is_ready(pod));
            backends.truncate(ADDRESSES_MAX);
        }
        let mut annotations = BTreeMap::new();
        annotations.extend(services::last_change(service, &backends).map(|time| (LAST_CHANGE.to_owned(), time)));
        annotations.extend(truncated.then(|| (OVER_CAPACITY.to_owned(), "truncated".to_owned())));
        let mut subsets: Vec<EndpointSubset> = Vec::new();
        for pod in &backends {
            add(&mut subsets, service, pod);
        }
        for subset in &mut subsets {
            for addresses in [&mut subset.addresses, &mut subset.not_ready_addresses].into_iter().flatten() {
                addresses.order_by(|a, b| a.ip.cmp(&b.ip));
            }
        }
        Endpoints {
            metadata: ObjectMeta {
                name: service.metadata.name.clone(),
                namespace: service.metadata.namespace.clone(),
                labels: Some(services::labels_with(service, &[(MANAGED_BY, "endpoint-controller".into())])),
                annotations: Some(annotations),
                ..ObjectMeta::default()
            },
            subsets: Some(subsets).filter(|subsets| !subsets.is_empty()),
        }
    }
}

/// Adds a pod to the subset that has its ports. A pod lacking all of the Service's named ports has
/// nothing to offer.
fn add(subsets: &mut Vec<EndpointSubset>, service: &Service, pod: &Pod) {
    let Some(ip) = services::pod_ips(pod).next() else { return };
    let all = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let mut ports: Vec<EndpointPort> = all
        .iter()
        .filter_map(|port| {
            Some(EndpointPort {
                name: port.name.clone().filter(|name| !name.is_empty()),
                port: services::target_port(pod, port)?,
                protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".into())),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect();
    if ports.is_empty() && !all.is_empty() {
        return;
    }
    ports.order_by(|a, b| (&a.name, a.port, &a.protocol).cmp(&(&b.name, b.port, &b.protocol)));
    let ports = Some(ports).filter(|ports| !ports.is_empty());
    let address = EndpointAddress {
        ip: ip.into(),
        hostname: services::hostname(service, pod),
        node_name: Some(pods::node_name(pod).to_owned()).filter(|name| !name.is_empty()),
        target_ref: Some(services::target(pod)),
    };
    let index = subsets.iter().position(|subset| subset.ports == ports).unwrap_or_else(|| {
        subsets.push(EndpointSubset { ports, ..EndpointSubset::default() });
        subsets.len() - 1
    });
    let Some(subset) = subsets.get_mut(index) else { return };
    let ready = services::publishes_not_ready(service) || pods::is_ready(pod);
    let addresses = if ready { &mut subset.addresses } else { &mut subset.not_ready_addresses };
    addresses.get_or_insert_default().push(address);
}

/// Whether nothing is to be written: the time of the last change alone is no change.
fn says_the_same(current: &Endpoints, wanted: &Endpoints) -> bool {
    current.subsets.iter().flatten().eq(wanted.subsets.iter().flatten())
        && current.metadata.labels == wanted.metadata.labels
        && pods::annotation(current, OVER_CAPACITY) == pods::annotation(wanted, OVER_CAPACITY)
}
