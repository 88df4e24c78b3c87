//! The quality of service class of a pod (upstream's `pkg/apis/core/helper/qos`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use machinery::Quantity;

/// Requests and limits of cpu and memory decide: `Guaranteed` where every container's limits are its
/// requests, `BestEffort` where nothing is requested or limited, `Burstable` otherwise.
pub fn class(spec: Option<&PodSpec>) -> &'static str {
    let Some(spec) = spec else { return "BestEffort" };
    let pod_level =
        spec.resources.as_ref().filter(|resources| resources.requests.is_some() || resources.limits.is_some());
    let all: Vec<Option<&ResourceRequirements>> = match pod_level {
        Some(resources) => vec![Some(resources)],
        None => spec
            .containers
            .iter()
            .chain(spec.init_containers.iter().flatten())
            .map(|container| container.resources.as_ref())
            .collect(),
    };
    let of = |resources: Option<&BTreeMap<String, Text>>, name: &str| {
        Some(Quantity::of(resources.and_then(|resources| resources.get(name)))).filter(|quantity| quantity.signum() > 0)
    };
    let (mut best_effort, mut guaranteed) = (true, true);
    for resources in all {
        for name in ["cpu", "memory"] {
            let request = of(resources.and_then(|resources| resources.requests.as_ref()), name);
            let limit = of(resources.and_then(|resources| resources.limits.as_ref()), name);
            best_effort &= request.is_none() && limit.is_none();
            guaranteed &= limit.is_some() && (request.is_none() || request == limit);
        }
    }
    match (best_effort, guaranteed) {
        (true, _) => "BestEffort",
        (_, true) => "Guaranteed",
        _ => "Burstable",
    }
}
