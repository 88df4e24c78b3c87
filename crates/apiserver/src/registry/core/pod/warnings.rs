//! What is legal in pods but unwise (upstream's `pkg/api/pod/warnings.go`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodTemplateSpec};
use machinery::Quantity;
use machinery::field::Path;

/// Labels of nodes that have newer names.
const OLD_LABELS: [(&str, &str, &str); 5] = [
    ("beta.kubernetes.io/arch", "v1.14", "kubernetes.io/arch"),
    ("beta.kubernetes.io/os", "v1.14", "kubernetes.io/os"),
    ("failure-domain.beta.kubernetes.io/region", "v1.17", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "v1.17", "topology.kubernetes.io/zone"),
    ("beta.kubernetes.io/instance-type", "v1.17", "node.kubernetes.io/instance-type"),
];

/// Warnings about a pod; those that its old form would have had already are not repeated.
pub fn pod(pod: &Pod, old: Option<&Pod>) -> Vec<String> {
    let path = Path::new("spec");
    let before = old.and_then(|old| old.spec.as_ref()).map(|spec| of_spec(&path, spec)).unwrap_or_default();
    let now = pod.spec.as_ref().map(|spec| of_spec(&path, spec)).unwrap_or_default();
    now.into_iter().filter(|warning| !before.contains(warning)).collect()
}

/// Warnings about a template of pods, new and old.
pub fn template(new: &PodTemplateSpec, old: Option<&PodTemplateSpec>) -> Vec<String> {
    if old == Some(new) {
        return Vec::new();
    }
    new.spec.as_ref().map(|spec| of_spec(&Path::new("spec.template.spec"), spec)).unwrap_or_default()
}

fn of_spec(path: &Path<'_>, spec: &PodSpec) -> Vec<String> {
    let mut warnings = Vec::new();
    let selector = path.child("nodeSelector");
    for (old, since, new) in OLD_LABELS {
        if spec.node_selector.as_ref().is_some_and(|labels| labels.contains_key(old)) {
            warnings.push(format!("{}: deprecated since {since}; use \"{new}\" instead", selector.key(old)));
        }
    }
    let secrets = path.child("imagePullSecrets");
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, secret) in spec.image_pull_secrets.iter().flatten().enumerate() {
        let at = secrets.index(index);
        if secret.name.is_empty() {
            warnings.push(format!("{}: invalid empty name {:?}", at.child("name"), secret.name));
        } else if seen.insert(&secret.name, index).is_some() {
            warnings.push(format!("{}: duplicate name {:?}", at.child("name"), secret.name));
        }
    }
    for (field, containers) in
        [("initContainers", spec.init_containers.as_ref()), ("containers", Some(&spec.containers))]
    {
        let list = path.child(field);
        for (index, container) in containers.into_iter().flatten().enumerate() {
            of_container(&mut warnings, &list.index(index), container);
        }
    }
    if spec.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0) {
        let at = path.child("terminationGracePeriodSeconds");
        warnings.push(format!("{at}: must be >= 0; negative values are invalid and will be treated as 1"));
    }
    warnings
}

fn of_container(warnings: &mut Vec<String>, path: &Path<'_>, container: &Container) {
    fractional_bytes(warnings, path, container);
    let variables = path.child("env");
    let mut seen: BTreeMap<&str, &Option<String>> = BTreeMap::new();
    for (index, variable) in container.env.iter().flatten().enumerate() {
        if let Some(earlier) = seen.insert(&variable.name, &variable.value) {
            // A variable that is made from its own earlier value is meant so.
            let refers = variable.value.as_deref().is_some_and(|text| text.contains(&format!("$({})", variable.name)));
            if !refers || earlier.is_none() {
                warnings.push(format!(
                    "{}: hides previous definition of {:?}, which may be dropped when using apply",
                    variables.index(index),
                    variable.name
                ));
            }
        }
    }
    let ports = path.child("ports");
    let mut seen = BTreeMap::new();
    for (index, port) in container.ports.iter().flatten().enumerate() {
        let key = (port.container_port, port.protocol.clone(), port.host_port, port.host_ip.clone());
        if let Some(first) = seen.get(&key) {
            warnings.push(format!("{}: duplicate port definition with {}", ports.index(index), ports.index(*first)));
        } else {
            seen.insert(key, index);
        }
    }
}

/// Bytes come whole.
fn fractional_bytes(warnings: &mut Vec<String>, path: &Path<'_>, container: &Container) {
    let Some(resources) = &container.resources else { return };
    let at = path.child("resources");
    for (field, amounts) in [("requests", &resources.requests), ("limits", &resources.limits)] {
        for resource in ["memory", "ephemeral-storage"] {
            let Some(amount) = amounts.as_ref().and_then(|amounts| amounts.get(resource)) else { continue };
            let whole = Quantity::parse(&amount.0)
                .is_ok_and(|quantity| Quantity::new(quantity.value(), quantity.format()) == quantity);
            if !whole {
                let at = at.child(field);
                let at = at.key(resource);
                warnings.push(format!("{at}: fractional byte value {:?} is invalid, must be an integer", amount.0));
            }
        }
    }
}
