//! ResourceQuotas: what of each quota is used (`pkg/controller/resourcequota`). Enforcing them is
//! admission's.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Context, Event, Informer, key_of};
use k8s_openapi::api::core::v1::{
    Container, PersistentVolumeClaim, Pod, PodSpec, ResourceQuota, ResourceQuotaStatus, Service, ServiceSpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use machinery::sort::Order;
use machinery::status::ApiError;
use machinery::{ObjectKey, Quantity};

use crate::Setup;
use crate::controller::{Controller, Queue};
use crate::pods;

/// Changes of pods are taken together for so long.
const POD_BATCH: Duration = Duration::from_millis(10);
/// What is not watched is counted anew so often.
const RESYNC: Duration = Duration::from_secs(5 * 60);
/// Between a storage class and what is counted of its claims.
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";
/// Resources that are counted by their plural alone; all others as `count/<plural>.<group>`.
const COUNTED: [&str; 7] = [
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "count/pods",
];

/// The controller of quotas' status.
pub struct ResourceQuotaController {
    client: Client,
    quotas: Informer<ResourceQuota>,
    pods: Informer<Pod>,
    services: Informer<Service>,
    claims: Informer<PersistentVolumeClaim>,
}

impl ResourceQuotaController {
    /// From the process's informers.
    pub fn new(setup: &Setup, client: &Client) -> Self {
        Self {
            client: client.clone(),
            quotas: setup.informers.informer(),
            pods: setup.informers.informer(),
            services: setup.informers.informer(),
            claims: setup.informers.informer(),
        }
    }

    /// How much of a resource the quota's namespace uses; none for a resource nobody measures.
    fn used(&self, namespace: &str, resource: &str, pods: &[Arc<Pod>]) -> Result<Option<Quantity>, ApiError> {
        let count = |count: usize| {
            Quantity::new(i64::try_from(count).unwrap_or(i64::MAX), machinery::quantity::Format::DecimalSi)
        };
        let services = |amount: &dyn Fn(&ServiceSpec) -> usize| {
            let services = self.services.in_namespace(namespace);
            services.iter().filter_map(|service| service.spec.as_ref()).map(amount).sum()
        };
        Ok(Some(match resource {
            "pods" => count(pods.len()),
            "services.loadbalancers" => {
                count(services(&|spec| usize::from(spec.type_.as_deref() == Some("LoadBalancer"))))
            }
            "services.nodeports" => count(services(&node_ports)),
            "requests.storage" => self.storage(namespace, None),
            _ if COUNTED.contains(&resource) || resource.starts_with("count/") => {
                let plural = resource.trim_start_matches("count/");
                let (plural, group) = plural.split_once('.').unwrap_or((plural, ""));
                match self.count_objects(namespace, plural, group)? {
                    Some(found) => count(found),
                    None => return Ok(None),
                }
            }
            _ if let Some((class, what)) = resource.split_once(OF_CLASS) => match what {
                "requests.storage" => self.storage(namespace, Some(class)),
                _ => count(self.claims_of(namespace, Some(class)).len()),
            },
            _ => {
                let (limits, name) = match resource.split_once('.') {
                    Some(("requests", name)) => (false, name),
                    Some(("limits", name)) => (true, name),
                    _ => (false, resource),
                };
                pods.iter().map(|pod| of_pod(pod, name, limits)).sum()
            }
        }))
    }

    /// The namespace's claims: all, or those of a storage class.
    fn claims_of(&self, namespace: &str, class: Option<&str>) -> Vec<Arc<PersistentVolumeClaim>> {
        let mut claims = self.claims.in_namespace(namespace);
        claims.retain(|claim| {
            let given = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default();
            class.is_none_or(|class| class == given)
        });
        claims
    }

    /// What those claims ask for.
    fn storage(&self, namespace: &str, class: Option<&str>) -> Quantity {
        let claims = self.claims_of(namespace, class);
        let asked = claims.iter().map(|claim| {
            let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
            Quantity::of(resources.and_then(|resources| resources.requests.as_ref()?.get("storage")))
        });
        asked.sum()
    }

    fn count_objects(&self, namespace: &str, plural: &str, group: &str) -> Result<Option<usize>, ApiError> {
        let resources = self.client.preferred_resources()?;
        let found = resources
            .iter()
            .find(|found| found.resource.resource == plural && found.resource.group == group && found.namespaced);
        match found {
            Some(resource) => Ok(Some(self.client.list_path(&resource.path(namespace, "", ""))?.items.len())),
            None => Ok(None),
        }
    }
}

impl Controller for ResourceQuotaController {
    type Key = ObjectKey;

    fn observe(&mut self, cx: &mut Context<'_>, queue: &mut Queue) {
        for event in self.quotas.poll(cx) {
            if !matches!(&event, Event::Updated { old, new } if pods::same_revision(&**old, &**new)) {
                queue.add_for(key_of(&**event.object()), &**event.object());
            }
        }
        let mut namespaces: Vec<String> = Vec::new();
        for event in self.pods.poll(cx) {
            let ended = |pod: &Pod| pods::is_terminated(pod);
            // Only what a pod uses matters, and that it changes with its coming, its end and its going.
            if !matches!(&event, Event::Updated { old, new } if ended(old) == ended(new) && old.spec == new.spec) {
                namespaces.push(pods::namespace(&**event.object()).to_owned());
            }
        }
        namespaces.extend(self.services.poll(cx).iter().map(|event| pods::namespace(&**event.object()).to_owned()));
        namespaces.extend(self.claims.poll(cx).iter().map(|event| pods::namespace(&**event.object()).to_owned()));
        namespaces.order();
        namespaces.dedup();
        for quota in namespaces.iter().flat_map(|namespace| self.quotas.in_namespace(namespace)) {
            queue.add_after(key_of(&*quota), POD_BATCH);
        }
    }

    fn synced(&self) -> bool {
        self.quotas.synced() && self.pods.synced() && self.services.synced() && self.claims.synced()
    }

    fn sync(&mut self, key: &ObjectKey, queue: &mut Queue) -> Result<(), ApiError> {
        let Some(quota) = self.quotas.get(key).filter(|quota| !pods::is_deleting(&**quota)) else { return Ok(()) };
        let hard = quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
        let mut pods = self.pods.in_namespace(&key.namespace);
        pods.retain(|pod| !pods::is_terminated(pod) && in_scopes(&quota, pod));
        let mut used = BTreeMap::new();
        for resource in hard.keys() {
            if let Some(amount) = self.used(&key.namespace, resource, &pods)? {
                used.insert(resource.clone(), Text(amount.to_string()));
            }
        }
        queue.add_after(key.clone(), RESYNC);
        let status = ResourceQuotaStatus { hard: Some(hard), used: Some(used) };
        if quota.status.as_ref() == Some(&status) {
            return Ok(());
        }
        self.client.update_status(ResourceQuota { status: Some(status), ..(*quota).clone() }).map(drop)
    }
}

/// How many ports of all nodes a Service takes.
fn node_ports(spec: &ServiceSpec) -> usize {
    let ports = spec.ports.as_deref().unwrap_or_default();
    match spec.type_.as_deref() {
        Some("NodePort") => ports.len(),
        Some("LoadBalancer") if spec.allocate_load_balancer_node_ports != Some(false) => ports.len(),
        Some("LoadBalancer") => ports.iter().filter(|port| port.node_port.is_some_and(|number| number != 0)).count(),
        _ => 0,
    }
}

/// Whether a pod's affinity looks into other namespaces.
fn reaches_out(spec: &PodSpec) -> bool {
    let Some(affinity) = &spec.affinity else { return false };
    let (near, far) = (affinity.pod_affinity.as_ref(), affinity.pod_anti_affinity.as_ref());
    let required = [
        near.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref()),
        far.and_then(|it| it.required_during_scheduling_ignored_during_execution.as_ref()),
    ];
    let preferred = [
        near.and_then(|it| it.preferred_during_scheduling_ignored_during_execution.as_ref()),
        far.and_then(|it| it.preferred_during_scheduling_ignored_during_execution.as_ref()),
    ];
    let preferred = preferred.into_iter().flatten().flatten().map(|it| &it.pod_affinity_term);
    required.into_iter().flatten().flatten().chain(preferred).any(|term| {
        term.namespaces.as_ref().is_some_and(|names| !names.is_empty()) || term.namespace_selector.is_some()
    })
}

/// Whether the quota is for this pod.
fn in_scopes(quota: &ResourceQuota, pod: &Pod) -> bool {
    let Some(spec) = &quota.spec else { return true };
    let selected = spec.scope_selector.iter().flat_map(|selector| selector.match_expressions.iter().flatten());
    let listed = spec.scopes.iter().flatten().map(|scope| (scope.as_str(), "Exists", None));
    let expressions = selected
        .map(|expression| (expression.scope_name.as_str(), expression.operator.as_str(), expression.values.as_ref()));
    let pod_spec = pod.spec.as_ref();
    listed.chain(expressions).all(|(scope, operator, values)| {
        let best_effort = || pod.status.as_ref().and_then(|status| status.qos_class.as_deref()) == Some("BestEffort");
        let bounded = || pod_spec.is_some_and(|spec| spec.active_deadline_seconds.is_some());
        match scope {
            "Terminating" => bounded(),
            "NotTerminating" => !bounded(),
            "BestEffort" => best_effort(),
            "NotBestEffort" => !best_effort(),
            "CrossNamespacePodAffinity" => pod_spec.is_some_and(reaches_out),
            "PriorityClass" => {
                let class = pod_spec.and_then(|spec| spec.priority_class_name.clone()).unwrap_or_default();
                let listed = values.is_some_and(|values| values.contains(&class));
                match operator {
                    "In" => listed,
                    "NotIn" => !listed,
                    "DoesNotExist" => class.is_empty(),
                    _ => !class.is_empty(),
                }
            }
            _ => false,
        }
    })
}

/// What a pod asks for, or is limited to: its containers together, or its hungriest init container,
/// with the sidecars that run beside either.
fn of_pod(pod: &Pod, name: &str, limits: bool) -> Quantity {
    let Some(spec) = &pod.spec else { return Quantity::ZERO };
    let of = |container: &Container| {
        let resources = container.resources.as_ref();
        let amounts = resources
            .and_then(|resources| if limits { resources.limits.as_ref() } else { resources.requests.as_ref() });
        Quantity::of(amounts.and_then(|amounts| amounts.get(name)))
    };
    let (mut sidecars, mut hungriest) = (Quantity::ZERO, Quantity::ZERO);
    for container in spec.init_containers.iter().flatten() {
        let amount = of(container);
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars += amount;
            hungriest = hungriest.max(sidecars);
        } else {
            hungriest = hungriest.max(amount + sidecars);
        }
    }
    let together = spec.containers.iter().map(of).sum::<Quantity>() + sidecars;
    let of_containers = together.max(hungriest);
    // What the pod says as a whole goes before what its containers do (KEP-2837).
    let whole = spec.resources.as_ref().filter(|_| matches!(name, "cpu" | "memory") || name.starts_with("hugepages-"));
    let whole = whole.and_then(|it| if limits { it.limits.as_ref() } else { it.requests.as_ref() }?.get(name));
    whole.map_or(of_containers, |amount| Quantity::of(Some(amount)))
        + Quantity::of(spec.overhead.as_ref().and_then(|overhead| overhead.get(name)))
}
