//! What the Endpoints and EndpointSlice controllers share: which pods stand behind a Service, and
//! where they listen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use client::{Context, Event, Informer, key_of};
use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::ObjectKey;

use crate::Setup;
use crate::controller::Queue;
use crate::pods;

/// Changes of pods are taken together for so long.
const POD_BATCH: Duration = Duration::from_millis(20);
/// Marks endpoints of a Service that has no cluster address.
pub const HEADLESS: &str = "service.kubernetes.io/headless";
/// When what changed the endpoints happened.
pub const LAST_CHANGE: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// The index of Services by their namespace and the first label they select.
const BY_LABEL: &str = "label";

/// Services and the pods they select. Who belongs to whom is kept as pods and Services come and go, so
/// that neither a pod's change nor a Service's costs more in a full namespace.
pub struct ServicePods {
    services: Informer<Service>,
    pods: Informer<Pod>,
    /// The pods each Service selects.
    members: BTreeMap<ObjectKey, BTreeSet<ObjectKey>>,
}

impl ServicePods {
    /// From the process's informers.
    pub fn new(setup: &Setup) -> Self {
        let by_label = |service: &Service| {
            let labels = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            let first = labels.and_then(|labels| labels.iter().next());
            first.map(|(name, value)| label_key(pods::namespace(service), name, value)).into_iter().collect()
        };
        Self {
            services: setup.informers.informer().indexed(BY_LABEL, by_label),
            pods: setup.informers.informer(),
            members: BTreeMap::new(),
        }
    }

    /// Whether both caches have been filled.
    pub fn synced(&self) -> bool {
        self.services.synced() && self.pods.synced()
    }

    /// Adds the Services that changed, and those that select pods that changed.
    pub fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.services.poll(cx) {
            let service = event.object();
            let key = key_of(&**service);
            match &event {
                Event::Updated { old, new } if pods::same_revision(&**old, &**new) => continue,
                Event::Updated { old, new } if selector(old) == selector(new) => {}
                Event::Deleted(_) => _ = self.members.remove(&key),
                _ => {
                    let mut pods = self.pods.in_namespace(&key.namespace);
                    pods.retain(|pod| selects(service, pod));
                    self.members.insert(key.clone(), pods.iter().map(|pod| key_of(&**pod)).collect());
                }
            }
            queue.add_for(key, &**service);
        }
        for event in self.pods.poll(cx) {
            let (old, new) = match &event {
                Event::Added(pod) => (None, Some(pod)),
                Event::Deleted(pod) => (Some(pod), None),
                Event::Updated { old, new } if changes_endpoints(old, new) => (Some(old), Some(new)),
                Event::Updated { .. } => continue,
            };
            let pod = event.object();
            let key = key_of(&**pod);
            for service in old.map(|old| self.selecting(old)).unwrap_or_default() {
                self.members.entry(service.clone()).or_default().remove(&key);
                queue.add_for_after(service, &**pod, POD_BATCH);
            }
            for service in new.map(|new| self.selecting(new)).unwrap_or_default() {
                self.members.entry(service.clone()).or_default().insert(key.clone());
                queue.add_for_after(service, &**pod, POD_BATCH);
            }
        }
    }

    /// The Services that select a pod.
    fn selecting(&self, pod: &Pod) -> Vec<ObjectKey> {
        let labels = pod.metadata.labels.iter().flatten();
        let labels = labels.map(|(name, value)| label_key(pods::namespace(pod), name, value));
        let services = labels.flat_map(|label| self.services.by_index(BY_LABEL, &label));
        services.filter(|service| selects(service, pod)).map(|service| key_of(&*service)).collect()
    }

    /// The Service with this key.
    pub fn service(&self, key: &ObjectKey) -> Option<Arc<Service>> {
        self.services.get(key)
    }

    /// The pods the Service selects that have an address and have not ended, in name order; those on
    /// their way out only where `terminating` says so.
    pub fn backends(&self, service: &Service, terminating: bool) -> Vec<Arc<Pod>> {
        let members = self.members.get(&key_of(service));
        let mut backends: Vec<_> = members.into_iter().flatten().filter_map(|key| self.pods.get(key)).collect();
        backends.retain(|pod| {
            selects(service, pod)
                && !pods::is_terminated(pod)
                && pod_ips(pod).next().is_some()
                && (terminating || !pods::is_deleting(&**pod))
        });
        backends
    }
}

fn label_key(namespace: &str, name: &str, value: &str) -> String {
    format!("{namespace}/{name}={value}")
}

fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    service.spec.as_ref()?.selector.as_ref()
}

/// Whether the Service selects the pod. One without selector selects none.
pub fn selects(service: &Service, pod: &Pod) -> bool {
    let Some(selector) = selector(service) else { return false };
    let labels = pod.metadata.labels.as_ref();
    !selector.is_empty()
        && selector.iter().all(|(name, value)| labels.and_then(|labels| labels.get(name)) == Some(value))
}

/// Whether endpoints made of the pod differ.
fn changes_endpoints(old: &Pod, new: &Pod) -> bool {
    let seen = |pod: &Pod| {
        (
            pods::is_deleting(pod),
            pods::is_ready(pod),
            pods::is_terminated(pod),
            pod_ips(pod).map(str::to_owned).collect::<Vec<_>>(),
        )
    };
    seen(old) != seen(new)
        || pods::node_name(old) != pods::node_name(new)
        || old.metadata.labels != new.metadata.labels
        || old.metadata.uid != new.metadata.uid
}

/// The pod's addresses, the first first.
pub fn pod_ips(pod: &Pod) -> impl Iterator<Item = &str> {
    let status = pod.status.as_ref();
    let ips = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
    let first = status.and_then(|status| status.pod_ip.as_deref());
    let rest = ips.iter().map(|ip| ip.ip.as_str()).filter(move |ip| Some(*ip) != first);
    first.into_iter().chain(rest).filter(|ip| !ip.is_empty())
}

/// The number a Service's port has on the pod; none where the pod has no port of that name.
pub fn target_port(pod: &Pod, port: &ServicePort) -> Option<i32> {
    let name = match &port.target_port {
        None => return Some(port.port),
        Some(IntOrString::Int(0)) => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
    };
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let mut named =
        ports.filter(|port| port.name.as_ref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol);
    named.next().map(|port| port.container_port)
}

/// Whether the Service has no cluster address by choice.
pub fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

/// Whether the Service's endpoints are for these controllers to make.
pub fn is_selecting(service: &Service) -> bool {
    service.spec.as_ref().is_some_and(|spec| {
        spec.type_.as_deref() != Some("ExternalName") && spec.selector.as_ref().is_some_and(|labels| !labels.is_empty())
    })
}

/// Whether pods that are not ready are served all the same.
pub fn publishes_not_ready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses) == Some(true)
}

/// The name DNS gives the pod below a headless Service, where it asks for one.
pub fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let below = spec.subdomain.as_deref().is_some_and(|subdomain| subdomain == pods::name(service));
    spec.hostname.clone().filter(|hostname| below && !hostname.is_empty())
}

/// Names the pod behind an endpoint.
pub fn target(pod: &Pod) -> ObjectReference {
    ObjectReference {
        kind: Some("Pod".into()),
        namespace: pod.metadata.namespace.clone(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    }
}

/// The time of the latest of what makes up the endpoints: the Service's creation, pods becoming ready.
pub fn last_change(service: &Service, backends: &[Arc<Pod>]) -> Option<String> {
    let changes = backends.iter().filter_map(|pod| pods::ready_since(pod));
    let latest = changes.chain(client::creation_time(service)).max()?;
    Some(machinery::time::format_seconds(latest))
}

/// An object's labels, those of the Service first and the controller's own over them.
pub fn labels_with(service: &Service, own: &[(&str, String)]) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    for (name, value) in own {
        labels.insert((*name).into(), value.clone());
    }
    if is_headless(service) {
        labels.insert(HEADLESS.into(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    labels
}
