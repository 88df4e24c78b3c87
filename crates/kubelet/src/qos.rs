//! Resources: quality of service, and what a container's requests mean to the kernel.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::runtime::LinuxResources;
use crate::spec;

type Resources = BTreeMap<String, Quantity>;

/// `Guaranteed`, `Burstable` or `BestEffort`: as the API server has told, for good, when the pod came (upstream's
/// `GetPodQOS`).
pub fn class(pod: &Pod) -> &str {
    let told = pod.status.as_ref().and_then(|status| status.qos_class.as_deref());
    told.unwrap_or_else(|| computed(pod))
}

/// The same by cpu and memory of all containers, for pods that no API server has seen.
fn computed(pod: &Pod) -> &'static str {
    let mut any = false;
    let mut guaranteed = true;
    for (container, _) in spec::all(pod) {
        for resource in ["cpu", "memory"] {
            let limit = limit(container, resource);
            // A request defaults to its limit.
            let request = request(container, resource).or(limit);
            any |= request.is_some() || limit.is_some();
            guaranteed &= limit.is_some() && request == limit;
        }
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// A container's limit of a resource, in its unit ([`amount`]); `None` for none or 0.
pub fn limit(container: &Container, resource: &str) -> Option<i64> {
    of(container.resources.as_ref()?.limits.as_ref()?, resource)
}

/// A container's request of a resource, in its unit ([`amount`]); `None` for none or 0.
pub fn request(container: &Container, resource: &str) -> Option<i64> {
    of(container.resources.as_ref()?.requests.as_ref()?, resource)
}

fn of(resources: &Resources, resource: &str) -> Option<i64> {
    resources.get(resource).map(|quantity| amount(quantity, resource)).filter(|amount| *amount > 0)
}

/// A quantity of a resource: thousandths of a CPU, whole units (bytes) of anything else.
pub fn amount(quantity: &Quantity, resource: &str) -> i64 {
    let quantity = machinery::Quantity::of(Some(quantity));
    if resource == "cpu" { quantity.milli_value() } else { quantity.value() }
}

/// What a container's requests and limits mean to the kernel; `node_memory_bytes` is the node's
/// capacity, which OOM scores are relative to.
pub fn linux(pod: &Pod, container: &Container, node_memory_bytes: u64) -> LinuxResources {
    let cpu_limit = limit(container, "cpu");
    let milli_cpu = request(container, "cpu").or(cpu_limit).unwrap_or_default();
    LinuxResources {
        cpu_shares: u64::try_from(milli_cpu * 1024 / 1000).unwrap_or_default().clamp(2, 262_144),
        cpu_quota_us: cpu_limit.map(|milli| u64::try_from(milli.saturating_mul(100)).unwrap_or_default().max(1_000)),
        memory_limit_bytes: limit(container, "memory").and_then(|bytes| u64::try_from(bytes).ok()),
        oom_score_adj: oom_score_adj(pod, container, node_memory_bytes),
    }
}

/// Guaranteed pods go last, best-effort pods first, others by the share of memory they asked for.
fn oom_score_adj(pod: &Pod, container: &Container, node_memory_bytes: u64) -> i32 {
    match class(pod) {
        "Guaranteed" => -997,
        "BestEffort" => 1000,
        _ => {
            let bytes = u128::try_from(request(container, "memory").unwrap_or_default()).unwrap_or_default();
            let share = (bytes * 1000).checked_div(u128::from(node_memory_bytes)).unwrap_or_default();
            1000 - i32::try_from(share).unwrap_or(1000).clamp(1, 997)
        }
    }
}
