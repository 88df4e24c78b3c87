//! LoadBalancer Services get an ingress, as from a cloud's controller manager
//! (`k8s.io/cloud-provider/controllers/service`).

use std::net::IpAddr;
use std::rc::Rc;

use client::{Client, Context, Event, EventRecorder, EventType, Informer, Patch, key_of};
use k8s_openapi::api::core::v1::{LoadBalancerIngress, LoadBalancerStatus, Service};
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
}

impl ServiceLbController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            recorder: EventRecorder::new(client.clone(), "service-controller", ""),
            options: setup.options.clone(),
            services: setup.informers.informer(),
        }
    }

    fn event(&mut self, service: &Service, queue: &Queue, reason: &str, message: &str) {
        self.recorder.event(queue.now(), service, EventType::Normal, reason, message);
    }

    fn ensure(&mut self, service: &Service, queue: &Queue) -> Result<(), ApiError> {
        let wanted = vec![ingress(&self.options.load_balancer)];
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

    fn clean_up(&mut self, key: &ObjectKey, service: &Service, queue: &Queue) -> Result<(), ApiError> {
        if !has_finalizer(service) {
            return Ok(());
        }
        self.event(service, queue, "DeletingLoadBalancer", "Deleting load balancer");
        if !pods::is_deleting(service) && !ingresses(service).is_empty() {
            let patch = Patch::Merge(json!({ "status": { "loadBalancer": { "ingress": null } } }));
            self.client.patch_status::<Service>(key, &patch)?;
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
        for event in self.services.poll(cx) {
            let service = event.object();
            if !matches!(event, Event::Deleted(_)) && (wants_load_balancer(service) || has_finalizer(service)) {
                queue.add_for(key_of(&**service), &**service);
            }
        }
    }

    fn synced(&self) -> bool {
        self.services.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let Some(service) = self.services.get(key) else { return Ok(()) };
        if wants_load_balancer(&service) && !pods::is_deleting(&*service) {
            self.ensure(&service, queue)
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

fn ingress(address: &str) -> LoadBalancerIngress {
    match address.parse::<IpAddr>() {
        Ok(ip) => LoadBalancerIngress {
            ip: Some(ip.to_string()),
            ip_mode: Some("VIP".into()),
            ..LoadBalancerIngress::default()
        },
        Err(_) => LoadBalancerIngress { hostname: Some(address.into()), ..LoadBalancerIngress::default() },
    }
}
