//! Requests and limits (upstream's `ValidateResourceRequirements`).

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use machinery::Quantity;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::is_qualified_name;

use super::validate::{NONNEGATIVE, complain};

/// Resources a container may have that need no domain before their name.
const OF_CONTAINERS: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];
/// Resources without a domain that quotas may bound (upstream's `standardQuotaResources`).
pub const OF_QUOTAS: [&str; 19] = [
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];
const HUGE_PAGES: &str = "hugepages-";

/// What is wrong with the requests and limits of a container.
pub fn of_container(errors: &mut ErrorList, path: &Path<'_>, resources: &ResourceRequirements) {
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    for (name, limit) in resources.limits.iter().flatten() {
        let at = limits_path.key(name);
        container_resource(errors, &at, name);
        quantity(errors, &at, name, limit);
    }
    for (name, request) in resources.requests.iter().flatten() {
        let at = requests_path.key(name);
        container_resource(errors, &at, name);
        quantity(errors, &at, name, request);
        let Some(limit) = resources.limits.as_ref().and_then(|limits| limits.get(name)) else {
            if !may_overcommit(name) {
                errors.push(Error::required(&limits_path, "Limit must be set for non overcommitable resources"));
            }
            continue;
        };
        let (request_value, limit_value) = (Quantity::of(Some(request)), Quantity::of(Some(limit)));
        if !may_overcommit(name) && request_value != limit_value {
            let detail = format!("must be equal to {name} limit of {}", limit.0);
            errors.push(Error::invalid(&requests_path, request.0.as_str(), detail));
        } else if request_value > limit_value {
            let detail = format!("must be less than or equal to {name} limit of {}", limit.0);
            errors.push(Error::invalid(&requests_path, request.0.as_str(), detail));
        }
    }
    let lists = || [&resources.limits, &resources.requests].into_iter().flatten().flat_map(|list| list.keys());
    if lists().any(|name| name.starts_with(HUGE_PAGES))
        && !lists().any(|name| matches!(name.as_str(), "cpu" | "memory"))
    {
        errors.push(Error::forbidden(path, "HugePages require cpu or memory"));
    }
}

/// What is wrong with an amount: it must be one, not negative, and whole where its resource is counted.
pub fn quantity(errors: &mut ErrorList, path: &Path<'_>, resource: &str, text: &Text) {
    match Quantity::parse(&text.0) {
        Err(error) => errors.push(Error::invalid(path, text.0.as_str(), error.to_string())),
        Ok(quantity) if quantity.signum() < 0 => errors.push(Error::invalid(path, text.0.as_str(), NONNEGATIVE)),
        Ok(quantity) if is_counted(resource) && Quantity::new(quantity.value(), quantity.format()) != quantity => {
            errors.push(Error::invalid(path, text.0.as_str(), "must be an integer"));
        }
        Ok(_) => {}
    }
}

/// Resources that devices or kinds are counted by.
fn is_counted(resource: &str) -> bool {
    resource.contains('/') || matches!(resource, "pods" | "services" | "secrets" | "configmaps" | "resourcequotas")
}

/// Whether containers together may be promised more than there is.
fn may_overcommit(resource: &str) -> bool {
    (!resource.contains('/') || resource.contains("kubernetes.io/")) && !resource.starts_with(HUGE_PAGES)
}

fn container_resource(errors: &mut ErrorList, path: &Path<'_>, name: &str) {
    let complaints = is_qualified_name(name);
    if !complaints.is_empty() {
        complain(errors, path, name, complaints);
        return;
    }
    if name.contains('/') || OF_CONTAINERS.contains(&name) || name.starts_with(HUGE_PAGES) {
        return;
    }
    if !OF_QUOTAS.contains(&name) && name != "storage" {
        errors.push(Error::invalid(path, name, "must be a standard resource type or fully qualified"));
    }
    errors.push(Error::invalid(path, name, "must be a standard resource for containers"));
}
