//! Whether a pod that was bound to this node fits on it.

use k8s_openapi::api::core::v1::Pod;

use crate::NodeConfig;
use crate::qos;
use crate::spec::{self, Role};
use crate::worker::Failure;

/// Kernel parameters that a pod may set as it likes, in namespaces of its own (upstream pkg/kubelet/sysctl/safe_sysctls.go).
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
];

/// The kernel parameter for which a pod is refused, if there is one.
fn forbidden_sysctl(pod: &Pod) -> Option<Failure> {
    let spec = spec::of(pod)?;
    let sysctls = spec.security_context.as_ref()?.sysctls.as_ref()?;
    let why = |name: &str| match () {
        () if name.starts_with("net.") && spec.host_network == Some(true) => Some("not allowed with host net enabled"),
        () if name.starts_with("kernel.") && spec.host_ipc == Some(true) => Some("not allowed with host ipc enabled"),
        () => (!SAFE_SYSCTLS.contains(&name)).then_some("not allowlisted"),
    };
    // A slash parts names as well as a dot does.
    let bad = sysctls.iter().find_map(|sysctl| {
        let name = sysctl.name.replace('/', ".");
        why(&name).map(|why| format!("{name:?} {why}"))
    })?;
    let message = format!("Pod was rejected: forbidden sysctl: {bad}");
    Some(Failure { reason: "SysctlForbidden".into(), grace: None, message })
}

/// Why a new pod is refused beside the pods that are there; `None` if it fits.
pub fn refuse<'a>(pod: &Pod, others: impl Iterator<Item = &'a Pod>, node: &NodeConfig) -> Option<Failure> {
    if let Some(failure) = forbidden_sysctl(pod) {
        return Some(failure);
    }
    let others: Vec<&Pod> = others.collect();
    let allocatable =
        |resource: &str| node.allocatable().get(resource).map_or(0, |quantity| qos::amount(quantity, resource));
    let refusal = |resource: &str, requested: i64, used: i64, capacity: i64| Failure {
        reason: format!("OutOf{resource}"),
        grace: None,
        message: format!(
            "Pod was rejected: Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}"
        ),
    };
    let pods = allocatable("pods");
    let used = i64::try_from(others.len()).unwrap_or(i64::MAX);
    if used + 1 > pods {
        return Some(refusal("pods", 1, used, pods));
    }
    let huge_pages = node.capacity.keys().map(String::as_str).filter(|name| name.starts_with("hugepages-"));
    for resource in ["cpu", "memory", "ephemeral-storage"].into_iter().chain(huge_pages) {
        let requested = request(pod, resource);
        if requested == 0 {
            continue;
        }
        let used: i64 = others.iter().map(|other| request(other, resource)).sum();
        let capacity = allocatable(resource);
        if requested + used > capacity {
            return Some(refusal(resource, requested, used, capacity));
        }
    }
    None
}

/// What a pod asks for: its containers and sidecars together, or the largest init container with the
/// sidecars before it.
pub fn request(pod: &Pod, resource: &str) -> i64 {
    let of = |container| qos::request(container, resource).unwrap_or_default();
    let mut sidecars = 0;
    let mut largest = 0;
    for (container, role) in spec::all(pod) {
        match role {
            Role::Sidecar => {
                sidecars += of(container);
                largest = largest.max(sidecars);
            }
            Role::Init => largest = largest.max(sidecars + of(container)),
            Role::Regular | Role::Ephemeral => {}
        }
    }
    let running = sidecars + spec::containers(pod).iter().map(of).sum::<i64>();
    let overhead = spec::of(pod).and_then(|spec| spec.overhead.as_ref()).and_then(|overhead| overhead.get(resource));
    running.max(largest) + overhead.map_or(0, |quantity| qos::amount(quantity, resource))
}
