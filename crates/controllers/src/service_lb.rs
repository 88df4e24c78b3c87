//! LoadBalancer Services get an ingress, as from a cloud's controller manager
//! (`k8s.io/cloud-provider/controllers/service`). Where there is a range for them, they also get an address each, as
//! `MetalLB` gives it: `spec.loadBalancerIP`, or the lowest that is free. One that cannot be had leaves the Service
//! pending, until it is given back.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use client::{Client, Context, Event, EventRecorder, EventType, Informer, Patch, key_of};
use k8s_openapi::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Service, ServiceSpec};
use machinery::ObjectKey;
use machinery::status::ApiError;
use serde_json::json;

use crate::controller::{Controller, Queue};
use crate::{Options, Setup, pods};

/// Keeps a Service until its load balancer is gone.
const FINALIZER: &str = "service.kubernetes.io/load-balancer-cleanup";

/// The service part of the cloud controller manager.
pub struct ServiceLbController {
    client: Client,
    recorder: EventRecorder,
    options: Rc<Options>,
    services: Informer<Service>,
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
            given: Vec::new(),
        }
    }

    fn event(&mut self, service: &Service, queue: &Queue, reason: &str, message: &str) {
        self.recorder.event(queue.now(), service, EventType::Normal, reason, message);
    }

    /// Tells what makes a Service another one for its load balancer (`needsUpdate`).
    fn tell_change(&mut self, old: &Service, new: &Service, queue: &Queue) {
        let of = |service: &Service, field: fn(&ServiceSpec) -> &Option<String>| {
            service.spec.as_ref().and_then(|spec| field(spec).clone()).unwrap_or_default()
        };
        let mut changed = |reason, field| {
            let message = format!("{} -> {}", of(old, field), of(new, field));
            self.event(new, queue, reason, &message);
        };
        if wants_load_balancer(old) != wants_load_balancer(new) {
            changed("Type", |spec| &spec.type_);
        } else if wants_load_balancer(new) && of(old, |it| &it.load_balancer_ip) != of(new, |it| &it.load_balancer_ip) {
            changed("LoadbalancerIP", |spec| &spec.load_balancer_ip);
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

    fn ensure(&mut self, key: &ObjectKey, service: &Service, queue: &Queue) -> Result<(), ApiError> {
        let address = match self.address(key, service) {
            Ok(address) => address,
            Err(reason) => {
                let message = format!("Failed to allocate IP for \"{key}\": {reason}");
                self.recorder.event(queue.now(), service, EventType::Warning, "AllocationFailed", &message);
                // It waits for one that is given back, or for another wish.
                return self.clear(key, service);
            }
        };
        let mut wanted: Vec<_> = address.map(|address| of_address(address.into())).into_iter().collect();
        wanted.extend(self.options.load_balancer.as_deref().map(ingress));
        if has_finalizer(service) && ingresses(service) == wanted.as_slice() {
            return Ok(());
        }
        self.event(service, queue, "EnsuringLoadBalancer", "Ensuring load balancer");
        let mut updated = service.clone();
        if !has_finalizer(service) {
            updated.metadata.finalizers.get_or_insert_default().push(FINALIZER.into());
            updated = (*self.client.update(updated)?).clone();
        }
        if ingresses(service) != wanted.as_slice() {
            let status = updated.status.get_or_insert_default();
            status.load_balancer = Some(LoadBalancerStatus { ingress: Some(wanted) });
            self.client.update_status(updated)?;
        }
        self.event(service, queue, "EnsuredLoadBalancer", "Ensured load balancer");
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

    fn clean_up(&mut self, key: &ObjectKey, service: &Service, queue: &Queue) -> Result<(), ApiError> {
        self.give_back(key);
        if !has_finalizer(service) {
            return Ok(());
        }
        self.event(service, queue, "DeletingLoadBalancer", "Deleting load balancer");
        if !pods::is_deleting(service) {
            self.clear(key, service)?;
        }
        let left: Vec<_> = service.metadata.finalizers.iter().flatten().filter(|name| *name != FINALIZER).collect();
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": left } }));
        match self.client.patch::<Service>(key, &patch) {
            Err(error) if !error.is_not_found() => return Err(error),
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
            if let (Event::Updated { old, new }, true) = (&event, self.options.load_balancer.is_some()) {
                self.tell_change(old, new, queue);
            }
            if !matches!(event, Event::Deleted(_)) && (wants_load_balancer(service) || has_finalizer(service)) {
                queue.add_for(key_of(&**service), &**service);
            }
        }
        if given_back {
            let waits = |service: &Service| wants_load_balancer(service) && addresses(service).next().is_none();
            self.services
                .list()
                .iter()
                .filter(|service| waits(service))
                .for_each(|service| queue.add(key_of(&**service)));
        }
    }

    fn synced(&self) -> bool {
        self.services.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        if self.options.load_balancer.is_none() {
            return Ok(());
        }
        let Some(service) = self.services.get(key) else { return Ok(()) };
        if wants_load_balancer(&service) && !pods::is_deleting(&*service) {
            self.ensure(key, &service, queue)
        } else {
            self.clean_up(key, &service, queue)
        }
    }
}

/// A class of load balancers other than the default is another controller's.
fn wants_load_balancer(service: &Service) -> bool {
    service
        .spec
        .as_ref()
        .is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer") && spec.load_balancer_class.is_none())
}

fn has_finalizer(service: &Service) -> bool {
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
