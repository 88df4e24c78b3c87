//! LoadBalancer Services get an ingress, as from a cloud's controller manager
//! (`k8s.io/cloud-provider/controllers/service`). Where there is a range for them, they also get an address each, as
//! `MetalLB` gives it: `spec.loadBalancerIP`, or the lowest that is free. One that cannot be had leaves the Service
//! pending, until it is given back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use client::{Client, Context, Event, EventRecorder, EventType, Informer, Patch, WorkQueue, key_of};
use k8s_openapi::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Node, Service};
use machinery::ObjectKey;
use machinery::status::ApiError;
use serde_json::json;

use crate::controller::{Controller, Queue};
use crate::{Options, Setup, pods};

/// Keeps a Service until its load balancer is gone.
const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";
/// Label of nodes that load balancers do not send to.
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";
/// Taint of nodes that the cluster autoscaler is about to delete.
const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";
/// After a sync that failed (upstream `minRetryDelay`, `maxRetryDelay`).
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// What kept a sync from finishing, and what that was to do.
type Failed = (&'static str, ApiError);

/// The service part of the cloud controller manager.
pub struct ServiceLbController {
    client: Client,
    recorder: EventRecorder,
    options: Rc<Options>,
    services: Informer<Service>,
    nodes: Informer<Node>,
    /// Services whose load balancers are to be made, or to go.
    due: BTreeSet<ObjectKey>,
    /// The nodes that each load balancer sends to.
    hosts: BTreeMap<ObjectKey, Rc<Hosts>>,
    /// The nodes to send to, as long as none has changed.
    current: Option<Rc<Hosts>>,
    /// Addresses that were given, of which the informer may not have heard.
    given: Vec<(ObjectKey, Ipv4Addr)>,
}

impl ServiceLbController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "service-controller", ""),
            options: setup.options.clone(),
            services: setup.informers.informer(),
            nodes: setup.informers.informer(),
            due: BTreeSet::new(),
            hosts: BTreeMap::new(),
            current: None,
            given: Vec::new(),
        }
    }

    fn event(&mut self, service: &Service, queue: &Queue, reason: &str, message: &str) {
        self.recorder.event(queue.now(), service, EventType::Normal, reason, message);
    }

    fn due(&mut self, key: ObjectKey, service: &Service, queue: &mut Queue) {
        self.due.insert(key.clone());
        queue.add_for(key, service);
    }

    /// Tells that a load balancer has no node to send to.
    fn warn_of_none(&mut self, service: &Service, queue: &Queue) {
        let message = "There are no available nodes for LoadBalancer";
        self.recorder.event(queue.now(), service, EventType::Warning, "UnAvailableLoadBalancer", message);
    }

    fn current(&mut self) -> Rc<Hosts> {
        self.current.get_or_insert_with(|| Rc::new(hosts(&self.nodes))).clone()
    }

    /// Sends to the nodes that there are now (`nodeSyncService`).
    fn update_hosts(&mut self, key: &ObjectKey, service: &Service, queue: &Queue) {
        let hosts = self.current();
        match self.hosts.get_mut(key) {
            Some(known) if *known != hosts => *known = hosts.clone(),
            _ => return,
        }
        if hosts.is_empty() {
            self.warn_of_none(service, queue);
        } else {
            self.event(service, queue, "UpdatedLoadBalancer", "Updated load balancer with new hosts");
        }
    }

    /// The address of a load balancer of our own, where there is a range for them: the one that was asked for, or else
    /// the one it has, or a free one.
    ///
    /// # Errors
    /// Why it has none, in `MetalLB`'s words (`internal/allocator`).
    fn address(&mut self, key: &ObjectKey, service: &Service) -> Result<Option<Ipv4Addr>, String> {
        let Some([a, b, c, _]) = self.options.load_balancers.map(|range| range.octets()) else { return Ok(None) };
        self.give_back(key);
        let mut taken = self.given.clone();
        for other in self.services.list() {
            let owner = key_of(&*other);
            if owner != *key {
                taken.extend(addresses(&other).map(|address| (owner.clone(), address)));
            }
        }
        let allowed = |address: &Ipv4Addr| address.octets().starts_with(&[a, b, c]);
        let owner = |address: &Ipv4Addr| taken.iter().find(|(_, used)| used == address).map(|(owner, _)| owner);
        let asked = service.spec.as_ref().and_then(|spec| spec.load_balancer_ip.as_deref());
        let found = if let Some(asked) = asked.filter(|asked| !asked.is_empty()) {
            let asked: IpAddr = asked.parse().map_err(|_| format!("invalid spec.loadBalancerIP {asked:?}"))?;
            let address = match asked {
                IpAddr::V4(address) if allowed(&address) => address,
                _ => return Err(format!("[\"{asked}\"] is not allowed in config")),
            };
            if let Some(owner) = owner(&address) {
                return Err(format!("can't change sharing key for \"{key}\", address also in use by {owner}"));
            }
            address
        } else {
            let free = (1..u8::MAX).map(|last| Ipv4Addr::new(a, b, c, last));
            let mut choice = addresses(service).filter(allowed).chain(free);
            choice.find(|address| owner(address).is_none()).ok_or("no available IPs")?
        };
        self.given.push((key.clone(), found));
        Ok(Some(found))
    }

    fn give_back(&mut self, key: &ObjectKey) {
        self.given.retain(|(owner, _)| owner != key);
    }

    fn ensure(&mut self, key: &ObjectKey, service: &Service, queue: &Queue) -> Result<(), Failed> {
        let failed = |error| ("update load balancer status", error);
        let address = match self.address(key, service) {
            Ok(address) => address,
            Err(reason) => {
                let message = format!("Failed to allocate IP for \"{key}\": {reason}");
                self.recorder.event(queue.now(), service, EventType::Warning, "AllocationFailed", &message);
                // It waits for one that is given back, or for another wish.
                return self.clear(key, service).map_err(failed);
            }
        };
        let mut wanted: Vec<_> = address.map(|address| of_address(address.into())).into_iter().collect();
        wanted.extend(self.options.load_balancer.as_deref().map(ingress));
        self.event(service, queue, "EnsuringLoadBalancer", "Ensuring load balancer");
        let mut updated = service.clone();
        if !has_finalizer(service) {
            updated.metadata.finalizers.get_or_insert_default().push(FINALIZER.into());
            let added = self.client.update(updated);
            updated = (*added.map_err(|error| ("add load balancer cleanup finalizer", error))?).clone();
        }
        let hosts = self.current();
        if hosts.is_empty() {
            self.warn_of_none(service, queue);
        }
        self.hosts.insert(key.clone(), hosts);
        self.event(service, queue, "EnsuredLoadBalancer", "Ensured load balancer");
        if ingresses(service) != wanted.as_slice() {
            let status = updated.status.get_or_insert_default();
            status.load_balancer = Some(LoadBalancerStatus { ingress: Some(wanted) });
            self.client.update_status(updated).map_err(failed)?;
        }
        Ok(())
    }

    /// Takes what it has from a Service's status.
    fn clear(&self, key: &ObjectKey, service: &Service) -> Result<(), ApiError> {
        if !ingresses(service).is_empty() {
            let patch = Patch::Merge(json!({ "status": { "loadBalancer": { "ingress": null } } }));
            self.client.patch_status::<Service>(key, &patch)?;
        }
        Ok(())
    }

    fn clean_up(&mut self, key: &ObjectKey, service: &Service, queue: &Queue) -> Result<(), Failed> {
        self.give_back(key);
        self.hosts.remove(key);
        if !has_finalizer(service) {
            return Ok(());
        }
        self.event(service, queue, "DeletingLoadBalancer", "Deleting load balancer");
        if !pods::is_deleting(service) {
            self.clear(key, service).map_err(|error| ("update load balancer status", error))?;
        }
        let left: Vec<_> = service.metadata.finalizers.iter().flatten().filter(|name| *name != FINALIZER).collect();
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": left } }));
        match self.client.patch::<Service>(key, &patch) {
            Err(error) if !error.is_not_found() => return Err(("remove load balancer cleanup finalizer", error)),
            _ => {}
        }
        self.event(service, queue, "DeletedLoadBalancer", "Deleted load balancer");
        Ok(())
    }
}

impl Controller for ServiceLbController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        let mut given_back = false;
        for event in self.services.poll(cx) {
            let service = &event.object().clone();
            let lost = match &event {
                Event::Deleted(service) => {
                    self.give_back(&key_of(&**service));
                    addresses(service).next().is_some()
                }
                Event::Updated { old, new } => addresses(old).any(|had| addresses(new).all(|has| has != had)),
                Event::Added(_) => false,
            };
            given_back |= lost;
            let due = match &event {
                Event::Added(service) => wants_load_balancer(service) || has_finalizer(service),
                Event::Updated { old, new } => needs_update(old, new) || needs_cleanup(new),
                Event::Deleted(service) => {
                    self.hosts.remove(&key_of(&**service));
                    false
                }
            };
            if due {
                self.due(key_of(&**service), service, queue);
            }
        }
        let changes = |event: &Event<Node>| match event {
            Event::Updated { old, new } => is_included(old) != is_included(new) || provider_id(old) != provider_id(new),
            _ => true,
        };
        let events = self.nodes.poll(cx);
        if !events.is_empty() {
            self.current = None;
        }
        if events.iter().any(changes) {
            self.hosts.keys().for_each(|key| queue.add(key.clone()));
        }
        if given_back {
            let waits = |service: &Service| wants_load_balancer(service) && addresses(service).next().is_none();
            for service in self.services.list().iter().filter(|service| waits(service)) {
                self.due(key_of(&**service), service, queue);
            }
        }
    }

    fn synced(&self) -> bool {
        self.services.synced() && self.nodes.synced()
    }

    fn queue(&self) -> WorkQueue<ObjectKey> {
        WorkQueue::with_backoff(RETRY.0, RETRY.1)
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let due = self.due.remove(key);
        let Some(service) = self.services.get(key).filter(|_| self.options.load_balancer.is_some()) else {
            return Ok(());
        };
        let wanted = wants_load_balancer(&service) && !needs_cleanup(&service);
        let result = match (due, wanted) {
            (true, true) => self.ensure(key, &service, queue),
            (true, false) => self.clean_up(key, &service, queue),
            (false, _) => {
                self.update_hosts(key, &service, queue);
                Ok(())
            }
        };
        result.map_err(|(doing, error)| {
            let message = format!("Error syncing load balancer: failed to {doing}: {error}");
            self.recorder.event(queue.now(), &*service, EventType::Warning, "SyncLoadBalancerFailed", &message);
            self.due.insert(key.clone());
            error
        })
    }
}

/// The names of nodes, with their cloud's.
type Hosts = BTreeMap<String, Option<String>>;

/// The nodes that load balancers send to (`stableNodeSetPredicates`).
fn hosts(nodes: &Informer<Node>) -> Hosts {
    let stays = |node: &Node| {
        let mut taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
        !pods::is_deleting(node) && taints.all(|taint| taint.key != TO_BE_DELETED)
    };
    let nodes = nodes.list().into_iter().filter(|node| is_included(node) && stays(node));
    nodes.map(|node| (pods::name(&*node).to_owned(), provider_id(&node).cloned())).collect()
}

/// Whether the node's label does not exclude it.
fn is_included(node: &Node) -> bool {
    let label = node.metadata.labels.as_ref().and_then(|labels| labels.get(EXCLUDED));
    label.is_none_or(|value| matches!(value.as_str(), "0" | "f" | "F" | "false" | "FALSE" | "False"))
}

fn provider_id(node: &Node) -> Option<&String> {
    node.spec.as_ref()?.provider_id.as_ref()
}

/// Whether a change of the Service means something to its load balancer (`needsUpdate`).
fn needs_update(old: &Service, new: &Service) -> bool {
    let seen = |service: &Service| {
        let spec = service.spec.clone().unwrap_or_default();
        let metadata = &service.metadata;
        let ports = (spec.ports, spec.session_affinity, spec.session_affinity_config, spec.health_check_node_port);
        let ranges = (spec.load_balancer_ip, spec.load_balancer_source_ranges, spec.external_ips);
        let families = spec.ip_families.map_or(0, |families| families.len());
        (ports, ranges, families, spec.external_traffic_policy, metadata.annotations.clone(), metadata.uid.clone())
    };
    let wants = [old, new].map(wants_load_balancer);
    wants[0] != wants[1] || wants[1] && seen(old) != seen(new)
}

/// Whether the load balancer of the Service has to go.
fn needs_cleanup(service: &Service) -> bool {
    let type_ = service.spec.as_ref().and_then(|spec| spec.type_.as_deref());
    has_finalizer(service) && (pods::is_deleting(service) || type_ != Some("LoadBalancer"))
}

/// Whether the Service wants one. A class of load balancers other than the default is another controller's.
pub fn wants_load_balancer(service: &Service) -> bool {
    service
        .spec
        .as_ref()
        .is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none())
}

/// Whether the Service waits for its load balancer to go.
pub fn has_finalizer(service: &Service) -> bool {
    service.metadata.finalizers.iter().flatten().any(|name| name == FINALIZER)
}

fn ingresses(service: &Service) -> &[LoadBalancerIngress] {
    let balancer = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    balancer.and_then(|balancer| balancer.ingress.as_deref()).unwrap_or_default()
}

/// The addresses that a Service has by its status.
fn addresses(service: &Service) -> impl Iterator<Item = Ipv4Addr> {
    ingresses(service).iter().filter_map(|ingress| ingress.ip.as_deref()?.parse().ok())
}

fn of_address(ip: IpAddr) -> LoadBalancerIngress {
    let ip_mode = Some("VIP".into());
    LoadBalancerIngress { ip: Some(ip.to_string()), ip_mode, ..LoadBalancerIngress::default() }
}

fn ingress(address: &str) -> LoadBalancerIngress {
    match address.parse::<IpAddr>() {
        Ok(ip) => of_address(ip),
        Err(_) => LoadBalancerIngress { hostname: Some(address.into()), ..LoadBalancerIngress::default() },
    }
}
