//! ResourceQuota: what an object uses is charged in the very write that creates it, so that no quota is
//! ever exceeded (`apiserver/pkg/admission/plugin/resourcequota`, `pkg/quota/v1/evaluator`).

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaim, Pod, ResourceQuota, Service};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use machinery::quantity::Format;
use machinery::sort::Order;
use machinery::{ApiError, Object, Quantity, split};
use store::Op;

use super::{Operation, Terms, refused};
use crate::call::{Call, Result};
use crate::registry::{self, ResourceInfo};
use crate::storage;

/// Amounts by resource, in order, each resource once.
type Usage = Vec<(String, Quantity)>;

/// Resources that were counted by their plural before all were counted as `count/…`.
const COUNTED: [&str; 6] =
    ["configmaps", "persistentvolumeclaims", "replicationcontrollers", "resourcequotas", "secrets", "services"];
/// Where a quota has one of these, each container must say what it needs.
const TO_BE_SAID: [&str; 6] = ["cpu", "limits.cpu", "limits.memory", "memory", "requests.cpu", "requests.memory"];
/// What quotas of a storage class end in.
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";

/// Charges the namespace's quotas.
pub(super) fn charge(
    call: &Call,
    operation: Operation,
    object: &dyn Object,
    old: Option<&dyn Object>,
    terms: &mut Terms,
) -> Result<()> {
    if !call.row.namespaced || !concerns(call, operation, object) {
        return Ok(());
    }
    let namespace = object.metadata().namespace.clone().unwrap_or_default();
    let quotas = super::all::<ResourceQuota>(call, ("", "resourcequotas"), &namespace);
    if quotas.is_empty() {
        return Ok(());
    }
    let charge = split::at_once(code()).map_err(|error| ApiError::service_unavailable(error.to_string()))?;
    charge(call, quotas, object, old, terms)
}

/// A namespace's quotas as they are stored, and read.
type Quotas = Vec<(Arc<store::KeyValue>, Arc<ResourceQuota>)>;
type Charge = fn(&Call, Quotas, &dyn Object, Option<&dyn Object>, &mut Terms) -> Result<()>;

split! {
    rare,
    /// Most namespaces have no quota.
    fn code() -> Charge {
        charge_all
    }
}

fn charge_all(
    call: &Call,
    quotas: Quotas,
    object: &dyn Object,
    old: Option<&dyn Object>,
    terms: &mut Terms,
) -> Result<()> {
    let namespace = object.metadata().namespace.clone().unwrap_or_default();
    for (kv, quota) in quotas {
        let hard = quota.spec.clone().unwrap_or_default().hard.unwrap_or_default();
        let name = quota.metadata.name.as_deref().unwrap_or_default();
        let usage = usage(call.row, object);
        if !in_scopes(&quota, object) || !usage.iter().any(|(resource, _)| hard.contains_key(resource)) {
            // A pod may use none of what containers must speak of.
            if !object.as_any().is::<Pod>() || !in_scopes(&quota, object) {
                continue;
            }
        }
        if let Some(pod) = object.as_any().downcast_ref::<Pod>() {
            let missing = unsaid(pod, &|resource| hard.contains_key(resource));
            if !missing.is_empty() {
                return refused(call, object, format!("failed quota: {name}: must specify {missing}"));
            }
        }
        let before =
            old.filter(|old| in_scopes(&quota, *old)).map(|old| self::usage(call.row, old)).unwrap_or_default();
        let delta = usage.into_iter().filter_map(|(resource, amount)| {
            let before = before.iter().find(|(other, _)| *other == resource).map(|(_, amount)| *amount);
            let more = amount - before.unwrap_or_default();
            (hard.contains_key(&resource) && more.signum() > 0).then_some((resource, more))
        });
        let delta: Usage = delta.collect();
        if delta.is_empty() {
            continue;
        }
        let mut quota = ResourceQuota::clone(&quota);
        let mut used = quota.status.clone().unwrap_or_default().used.unwrap_or_default();
        let mut exceeded: Vec<[String; 3]> = Vec::new();
        for resource in hard.keys().filter(|resource| !used.contains_key(*resource)).cloned().collect::<Vec<_>>() {
            let amount = count(call, &quota, &namespace, &resource);
            used.insert(resource, Text(amount.to_string()));
        }
        for (resource, more) in delta {
            let so_far = Quantity::of(used.get(&resource));
            let limit = hard.get(&resource);
            if so_far + more > Quantity::of(limit) {
                let limit = limit.map(|limit| limit.0.clone()).unwrap_or_default();
                let shown = [more.to_string(), so_far.to_string(), limit];
                exceeded.push(shown.map(|amount| format!("{resource}={amount}")));
            }
            used.insert(resource, Text((so_far + more).to_string()));
        }
        if !exceeded.is_empty() {
            let list = |index: usize| exceeded.iter().map(|shown| shown[index].as_str()).collect::<Vec<_>>().join(",");
            let error =
                format!("exceeded quota: {name}, requested: {}, used: {}, limited: {}", list(0), list(1), list(2));
            return refused(call, object, error);
        }
        let status = quota.status.get_or_insert_default();
        (status.hard, status.used) = (Some(hard), Some(used));
        terms.unchanged(&kv.key, kv.mod_revision);
        terms.ops.push(Op::put(kv.key.clone(), storage::value(&mut quota, &kv)));
    }
    Ok(())
}

/// Whether this request can make anything be used.
fn concerns(call: &Call, operation: Operation, object: &dyn Object) -> bool {
    // Events are not counted, and come and go by themselves.
    if call.row.storage_prefix == "/registry/events" {
        return false;
    }
    let any = object.as_any();
    match (operation, call.info.subresource.as_str()) {
        (Operation::Create, _) => true,
        (Operation::Update, "resize") => any.is::<Pod>(),
        (Operation::Update, "") => any.is::<Service>() || any.is::<PersistentVolumeClaim>(),
        _ => false,
    }
}

/// What there is of a resource already, where the quota's controller has not said it yet.
fn count(call: &Call, quota: &ResourceQuota, namespace: &str, resource: &str) -> Quantity {
    let Some(row) = counted_row(resource) else { return Quantity::ZERO };
    let snapshot = call.server.store().snapshot();
    let prefix = storage::prefix(row, namespace);
    let mut sum = Quantity::ZERO;
    for kv in snapshot.range(&prefix, "") {
        let Ok(object) = storage::typed(row, &storage::stored(kv)) else { continue };
        if in_scopes(quota, &*object) {
            sum +=
                usage(row, &*object).into_iter().filter(|(other, _)| other == resource).map(|(_, amount)| amount).sum();
        }
    }
    sum
}

/// Whose objects use a resource.
fn counted_row(resource: &str) -> Option<&'static ResourceInfo> {
    let plural = match resource.strip_prefix("count/") {
        Some(counted) => {
            let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
            return registry::all().find(|row| row.resource == plural && row.group == group && row.is_stored());
        }
        None if resource.starts_with("services.") => "services",
        None if resource == "requests.storage" || resource.contains(OF_CLASS) => "persistentvolumeclaims",
        None => COUNTED.into_iter().find(|counted| *counted == resource).unwrap_or("pods"),
    };
    registry::by_resource("", "v1", plural)
}

/// What an object uses.
fn usage(row: &ResourceInfo, object: &dyn Object) -> Usage {
    let number = |count: usize| Quantity::new(i64::try_from(count).unwrap_or(i64::MAX), Format::DecimalSi);
    let one = number(1);
    let dot = if row.group.is_empty() { "" } else { "." };
    let mut usage: Usage = vec![(format!("count/{}{dot}{}", row.resource, row.group), one)];
    let mut add = |resource: String, amount: Quantity| usage.push((resource, amount));
    if COUNTED.contains(&row.resource) && row.group.is_empty() {
        add(row.resource.into(), one);
    }
    let any = object.as_any();
    if let Some(service) = any.downcast_ref::<Service>() {
        let spec = service.spec.clone().unwrap_or_default();
        let ports = spec.ports.unwrap_or_default();
        match spec.type_.as_deref() {
            Some("NodePort") => add("services.nodeports".into(), number(ports.len())),
            Some("LoadBalancer") => {
                let all = spec.allocate_load_balancer_node_ports != Some(false);
                let allocated = ports.iter().filter(|port| all || port.node_port.is_some_and(|number| number != 0));
                add("services.nodeports".into(), number(allocated.count()));
                add("services.loadbalancers".into(), one);
            }
            _ => {}
        }
    } else if let Some(claim) = any.downcast_ref::<PersistentVolumeClaim>() {
        let spec = claim.spec.clone().unwrap_or_default();
        let requests = spec.resources.and_then(|resources| resources.requests).unwrap_or_default();
        let storage = Quantity::of(requests.get("storage"));
        add("requests.storage".into(), storage);
        if let Some(class) = spec.storage_class_name.filter(|class| !class.is_empty()) {
            add(format!("{class}{OF_CLASS}requests.storage"), storage);
            add(format!("{class}{OF_CLASS}persistentvolumeclaims"), one);
        }
    } else if let Some(pod) = any.downcast_ref::<Pod>().filter(|pod| is_alive(pod)) {
        add("pods".into(), one);
        usage.extend(of_pod(pod));
    }
    usage
}

/// Whether a pod still uses anything.
fn is_alive(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    !matches!(phase, "Succeeded" | "Failed")
}

/// What a container asks for and is limited to, under the names that quotas have for it.
fn of_container(container: &Container) -> Usage {
    let resources = container.resources.clone().unwrap_or_default();
    let mut usage = Usage::new();
    for (resource, amount) in resources.requests.iter().flatten() {
        let amount = Quantity::of(Some(amount));
        if matches!(resource.as_str(), "cpu" | "memory" | "ephemeral-storage") || resource.starts_with("hugepages-") {
            usage.push((resource.clone(), amount));
        }
        usage.push((format!("requests.{resource}"), amount));
    }
    for (resource, amount) in resources.limits.iter().flatten() {
        if matches!(resource.as_str(), "cpu" | "memory" | "ephemeral-storage") {
            usage.push((format!("limits.{resource}"), Quantity::of(Some(amount))));
        }
    }
    usage
}

/// What a pod asks for: its containers together, or its hungriest init container, with the sidecars that
/// run beside either, and its overhead.
fn of_pod(pod: &Pod) -> Usage {
    let Some(spec) = &pod.spec else { return Usage::new() };
    let mut together = Usage::new();
    let mut alone = Usage::new();
    let mut sidecars = Usage::new();
    for container in spec.init_containers.iter().flatten() {
        let own = of_container(container);
        if container.restart_policy.as_deref() == Some("Always") {
            join(&mut sidecars, &own, |a, b| a + b);
            join(&mut alone, &sidecars, Quantity::max);
        } else {
            let mut beside = sidecars.clone();
            join(&mut beside, &own, |a, b| a + b);
            join(&mut alone, &beside, Quantity::max);
        }
    }
    for container in &spec.containers {
        join(&mut together, &of_container(container), |a, b| a + b);
    }
    join(&mut together, &sidecars, |a, b| a + b);
    join(&mut together, &alone, Quantity::max);
    // What the pod says as a whole goes before what its containers do (KEP-2837).
    let whole = Container { resources: spec.resources.clone(), ..Container::default() };
    join(&mut together, &of_container(&whole), |_, stated| stated);
    for (resource, amount) in spec.overhead.iter().flatten() {
        let amount = Quantity::of(Some(amount));
        let requested = format!("requests.{resource}");
        join(&mut together, &vec![(resource.clone(), amount), (requested, amount)], |a, b| a + b);
    }
    together
}

fn join(into: &mut Usage, other: &Usage, combine: fn(Quantity, Quantity) -> Quantity) {
    for (resource, amount) in other {
        match into.iter_mut().find(|(known, _)| known == resource) {
            Some((_, so_far)) => *so_far = combine(*so_far, *amount),
            None => into.push((resource.clone(), *amount)),
        }
    }
}

/// What containers must say and do not, as upstream lists it.
fn unsaid(pod: &Pod, is_limited: &dyn Fn(&str) -> bool) -> String {
    let Some(spec) = &pod.spec else { return String::new() };
    // A pod that says it as a whole has said enough.
    if spec.resources.as_ref().is_some_and(|whole| whole.requests.is_some() || whole.limits.is_some()) {
        return String::new();
    }
    let mut missing = Vec::new();
    for resource in TO_BE_SAID.into_iter().filter(|resource| is_limited(resource)) {
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        let silent = containers.filter(|container| !of_container(container).iter().any(|(said, _)| said == resource));
        let mut names: Vec<&str> = silent.map(|container| container.name.as_str()).collect();
        names.order();
        if !names.is_empty() {
            missing.push(format!("{resource} for: {}", names.join(",")));
        }
    }
    missing.join("; ")
}

/// Whether a quota is for an object: one with scopes is for pods only.
fn in_scopes(quota: &ResourceQuota, object: &dyn Object) -> bool {
    let Some(spec) = &quota.spec else { return true };
    let selected = spec.scope_selector.iter().flat_map(|selector| selector.match_expressions.iter().flatten());
    let selected = selected.map(|expression| {
        (expression.scope_name.as_str(), expression.operator.as_str(), expression.values.as_deref().unwrap_or_default())
    });
    let listed = spec.scopes.iter().flatten().map(|scope| (scope.as_str(), "Exists", &[][..]));
    let mut scopes = listed.chain(selected).peekable();
    if scopes.peek().is_none() {
        return true;
    }
    let Some(pod) = object.as_any().downcast_ref::<Pod>() else { return false };
    let Some(pod_spec) = &pod.spec else { return false };
    let best_effort = || registry::core::pod::qos_class(Some(pod_spec)) == "BestEffort";
    let bounded = || pod_spec.active_deadline_seconds.is_some_and(|seconds| seconds >= 0);
    scopes.all(|(scope, operator, values)| match scope {
        "Terminating" => bounded(),
        "NotTerminating" => !bounded(),
        "BestEffort" => best_effort(),
        "NotBestEffort" => !best_effort(),
        "CrossNamespacePodAffinity" => reaches_out(pod),
        "PriorityClass" => {
            let class = pod_spec.priority_class_name.as_deref().unwrap_or_default();
            let is_listed = values.iter().any(|value| value == class);
            match operator {
                "In" => is_listed,
                "NotIn" => !is_listed,
                "DoesNotExist" => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        _ => false,
    })
}

/// Whether a pod's affinity looks into other namespaces.
fn reaches_out(pod: &Pod) -> bool {
    let affinity = pod.spec.as_ref().and_then(|spec| spec.affinity.clone()).unwrap_or_default();
    let (with, without) = (affinity.pod_affinity.unwrap_or_default(), affinity.pod_anti_affinity.unwrap_or_default());
    let required = [
        with.required_during_scheduling_ignored_during_execution,
        without.required_during_scheduling_ignored_during_execution,
    ];
    let preferred = [
        with.preferred_during_scheduling_ignored_during_execution,
        without.preferred_during_scheduling_ignored_during_execution,
    ];
    let preferred = preferred.into_iter().flatten().flatten().map(|term| term.pod_affinity_term);
    required.into_iter().flatten().flatten().chain(preferred).any(|term| {
        term.namespaces.is_some_and(|namespaces| !namespaces.is_empty()) || term.namespace_selector.is_some()
    })
}
