//! What a pod asks of a node, and what a node has to give.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Amounts of a node's resources: processor time in thousandths of a core, the rest in whole units
/// (bytes, pods, devices).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Thousandths of a core.
    pub milli_cpu: i64,
    /// Bytes.
    pub memory: i64,
    /// Bytes.
    pub ephemeral_storage: i64,
    /// How many pods; only a node's allocatable has it.
    pub pods: i64,
    /// Extended resources and huge pages by name.
    pub scalar: BTreeMap<String, i64>,
}

/// One of a node's resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// A node's own disk.
    EphemeralStorage,
    /// An extended resource, or huge pages.
    Scalar(String),
}

impl Resource {
    /// By its name in the API.
    pub fn named(name: &str) -> Self {
        match name {
            "cpu" => Self::Cpu,
            "memory" => Self::Memory,
            "ephemeral-storage" => Self::EphemeralStorage,
            other => Self::Scalar(other.to_owned()),
        }
    }

    /// How much of it there is in these.
    pub fn of(&self, resources: &Resources) -> i64 {
        match self {
            Self::Cpu => resources.milli_cpu,
            Self::Memory => resources.memory,
            Self::EphemeralStorage => resources.ephemeral_storage,
            Self::Scalar(name) => resources.scalar(name),
        }
    }
}

/// What a container without a request is taken to use when nodes are scored (upstream
/// pkg/scheduler/util/pod_resources.go), so that such pods spread as well.
const DEFAULT_MILLI_CPU_REQUEST: i64 = 100;
const DEFAULT_MEMORY_REQUEST: i64 = 200 * 1024 * 1024;

impl Resources {
    /// From a `ResourceList`. Unreadable quantities, which validation does not let in, count as 0.
    pub fn from_list(list: &BTreeMap<String, Quantity>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in list {
            let Ok(quantity) = machinery::quantity::Quantity::try_from(quantity) else { continue };
            match name.as_str() {
                "cpu" => resources.milli_cpu = quantity.milli_value(),
                "memory" => resources.memory = quantity.value(),
                "ephemeral-storage" => resources.ephemeral_storage = quantity.value(),
                "pods" => resources.pods = quantity.value(),
                _ => {
                    resources.scalar.insert(name.clone(), quantity.value());
                }
            }
        }
        resources
    }

    /// Adds another amount.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes another amount away.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
    }

    /// Raises each amount to the other's where that is more.
    pub fn raise_to(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    /// How much there is of an extended resource.
    pub fn scalar(&self, name: &str) -> i64 {
        self.scalar.get(name).copied().unwrap_or(0)
    }

    fn combine(&mut self, other: &Self, with: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = with(self.milli_cpu, other.milli_cpu);
        self.memory = with(self.memory, other.memory);
        self.ephemeral_storage = with(self.ephemeral_storage, other.ephemeral_storage);
        self.pods = with(self.pods, other.pods);
        for (name, amount) in &other.scalar {
            let own = self.scalar.entry(name.clone()).or_default();
            *own = with(*own, *amount);
        }
    }
}

/// What a pod requests: the larger of its containers together and of each step of initialization, with
/// sidecars (init containers that restart always) running on beside both, and the pod's overhead
/// (upstream component-helpers/resource). While containers are resized, what they have counts where it is more.
pub fn pod_requests(pod: &Pod) -> Resources {
    pod.spec.as_ref().map(|spec| requests_by(spec, |container| requests_of(pod, container))).unwrap_or_default()
}

/// [`pod_requests`] with a default for containers that request no processor time or memory.
pub fn pod_nonzero_requests(pod: &Pod) -> Resources {
    let Some(spec) = &pod.spec else { return Resources::default() };
    requests_by(spec, |container| {
        let mut requests = requests_of(pod, container);
        let stated = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
        let states = |name: &str| stated.is_some_and(|list| list.contains_key(name));
        if !states("cpu") {
            requests.milli_cpu = DEFAULT_MILLI_CPU_REQUEST;
        }
        if !states("memory") {
            requests.memory = DEFAULT_MEMORY_REQUEST;
        }
        requests
    })
}

fn requests_by(spec: &PodSpec, requests: impl Fn(&Container) -> Resources) -> Resources {
    let mut total = Resources::default();
    for container in &spec.containers {
        total.add(&requests(container));
    }
    let mut sidecars = Resources::default();
    let mut initialization = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        let request = requests(container);
        let mut step = sidecars.clone();
        step.add(&request);
        if container.restart_policy.as_deref() == Some("Always") {
            total.add(&request);
            sidecars = step.clone();
        }
        initialization.raise_to(&step);
    }
    total.raise_to(&initialization);
    // What the pod requests as a whole goes before what its containers do (KEP-2837).
    let of_pod = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let stated = of_pod.map(Resources::from_list).unwrap_or_default();
    for name in of_pod.into_iter().flat_map(BTreeMap::keys) {
        match name.as_str() {
            "cpu" => total.milli_cpu = stated.milli_cpu,
            "memory" => total.memory = stated.memory,
            name if name.starts_with("hugepages-") => _ = total.scalar.insert(name.to_owned(), stated.scalar(name)),
            _ => {}
        }
    }
    if let Some(overhead) = &spec.overhead {
        total.add(&Resources::from_list(overhead));
    }
    total
}

fn container_requests(container: &Container) -> Resources {
    let requests = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    requests.map(Resources::from_list).unwrap_or_default()
}

/// What counts of a container: what it requests, or what it has still or already while its pod is resized.
fn requests_of(pod: &Pod, container: &Container) -> Resources {
    resized_requests(pod, container).unwrap_or_else(|| container_requests(container))
}

/// What counts of a container (`determineContainerReqs`), where that is something else than it requests: the most of
/// that, what it has and what its node has given it. A resize for which there will never be room does not count.
fn resized_requests(pod: &Pod, container: &Container) -> Option<Resources> {
    let stated = container.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let (actual, allocated) = status_requests(pod, container)?;
    // Nearly always all say the same in the same words.
    if actual == stated && (allocated == stated || allocated.is_none()) {
        return None;
    }
    let requests = container_requests(container);
    let mut most = actual.map(Resources::from_list).unwrap_or_default();
    most.raise_to(&allocated.map(Resources::from_list).unwrap_or_default());
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let infeasible = conditions
        .iter()
        .any(|it| it.type_ == "PodResizePending" && it.status == "True" && it.reason.as_deref() == Some("Infeasible"));
    if !infeasible {
        most.raise_to(&requests);
    }
    (most != requests).then_some(most)
}

type List = BTreeMap<String, Quantity>;

/// What a container has by its status, and what its node has given it; none where the status does not say.
fn status_requests<'a>(pod: &'a Pod, container: &Container) -> Option<(Option<&'a List>, Option<&'a List>)> {
    let status = pod.status.as_ref()?;
    // Of init containers those that go on.
    let statuses = match container.restart_policy.as_deref() {
        Some("Always") => &status.init_container_statuses,
        _ => &status.container_statuses,
    };
    let status = statuses.iter().flatten().find(|status| status.name == container.name)?;
    Some((status.resources.as_ref()?.requests.as_ref(), status.allocated_resources.as_ref()))
}

/// Whether something else counts of a container than it requests.
pub fn is_resized(pod: &Pod) -> bool {
    let spec = pod.spec.iter();
    let mut containers = spec.flat_map(|spec| spec.containers.iter().chain(spec.init_containers.iter().flatten()));
    containers.any(|container| resized_requests(pod, container).is_some())
}

/// Host ports a pod takes: address, protocol, port.
pub fn host_ports(pod: &Pod) -> impl Iterator<Item = HostPort> + '_ {
    let containers = pod.spec.iter().flat_map(|spec| {
        let sidecars = spec.init_containers.iter().flatten();
        spec.containers.iter().chain(sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always")))
    });
    containers.flat_map(|container| container.ports.iter().flatten()).filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        Some(HostPort {
            address: port.host_ip.clone().filter(|ip| !ip.is_empty()).unwrap_or_else(|| HostPort::ANY.into()),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
            number,
        })
    })
}

/// A port of the node itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostPort {
    /// The node's address, or [`HostPort::ANY`].
    pub address: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Port number.
    pub number: i32,
}

impl HostPort {
    /// All of the node's addresses.
    pub const ANY: &'static str = "0.0.0.0";

    /// Whether two pods cannot have both ports.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        self.number == other.number
            && self.protocol == other.protocol
            && (self.address == other.address || self.address == Self::ANY || other.address == Self::ANY)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_pod_requests_as_a_whole_counts() {
        let spec: PodSpec = machinery::object::from_value(json!({
            "resources": { "requests": { "cpu": "2", "hugepages-2Mi": "4Mi" } },
            "containers": [{ "name": "a", "resources": { "requests": { "cpu": "100m", "memory": "1Mi" } } }, { "name": "b" }],
            "overhead": { "cpu": "10m" },
        }))
        .unwrap();
        let pod = Pod { spec: Some(spec), ..Pod::default() };
        let requests = pod_requests(&pod);
        assert_eq!((requests.milli_cpu, requests.memory, requests.scalar("hugepages-2Mi")), (2010, 1 << 20, 4 << 20));
        let nonzero = pod_nonzero_requests(&pod);
        assert_eq!((nonzero.milli_cpu, nonzero.memory), (2010, 201 << 20));
    }

    #[test]
    fn while_a_pod_is_resized_the_most_of_what_it_has_and_wants_counts() {
        let pod = |reason: &str, actual: (&str, &str), allocated: (&str, &str)| -> Pod {
            machinery::object::from_value(json!({
                "spec": { "containers": [{ "name": "a", "resources": { "requests": { "cpu": "3", "memory": "1Gi" } } }] },
                "status": {
                    "conditions": [{ "type": "PodResizePending", "status": "True", "reason": reason }],
                    "containerStatuses": [{
                        "name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                        "resources": { "requests": { "cpu": actual.0, "memory": actual.1 } },
                        "allocatedResources": { "cpu": allocated.0, "memory": allocated.1 },
                    }],
                },
            }))
            .unwrap()
        };
        for (reason, actual, allocated, expected, resized) in [
            ("Deferred", ("1", "2Gi"), ("2", "1Gi"), (3000, 2 << 30), true),
            ("Infeasible", ("1", "2Gi"), ("2", "1Gi"), (2000, 2 << 30), true),
            // Less than is requested, for which there may be room yet.
            ("Deferred", ("1", "1Gi"), ("1", "1Gi"), (3000, 1 << 30), false),
            ("Infeasible", ("1", "1Gi"), ("1", "1Gi"), (1000, 1 << 30), true),
            ("", ("3", "1Gi"), ("3", "1Gi"), (3000, 1 << 30), false),
            ("", ("3000m", "1024Mi"), ("3", "1Gi"), (3000, 1 << 30), false),
        ] {
            let pod = pod(reason, actual, allocated);
            let requests = pod_requests(&pod);
            assert_eq!((requests.milli_cpu, requests.memory), expected, "{reason} {actual:?}");
            assert_eq!(is_resized(&pod), resized, "{reason} {actual:?}");
        }
    }
}
