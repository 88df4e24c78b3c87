//! The downward API: a pod's fields and resources as text.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, ResourceFieldSelector};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::qos;
use crate::spec;
use crate::text::str;

/// What the downward API knows besides the pod.
pub struct Facts<'a> {
    /// The pod.
    pub pod: &'a Pod,
    /// The pod's addresses, first the main one; empty before it has a sandbox.
    pub pod_ips: &'a [String],
    /// The node's addresses.
    pub host_ips: &'a [String],
    /// The node's allocatable by resource: the default for limits.
    pub allocatable: &'a BTreeMap<String, Quantity>,
}

/// The value of a `fieldRef`.
///
/// # Errors
/// For a path that is not supported, in upstream's words.
pub fn field(facts: &Facts<'_>, path: &str) -> Result<String, String> {
    let pod = facts.pod;
    let spec = spec::of(pod);
    if let Some((map, key)) = subscript(path) {
        return match map {
            "metadata.labels" => Ok(entry(&pod.metadata.labels, key)),
            "metadata.annotations" => Ok(entry(&pod.metadata.annotations, key)),
            _ => Err(format!("fieldPath {path:?} does not support subscript")),
        };
    }
    let text = match path {
        "metadata.name" => str(&pod.metadata.name).to_string(),
        "metadata.namespace" => str(&pod.metadata.namespace).to_string(),
        "metadata.uid" => str(&pod.metadata.uid).to_string(),
        "metadata.labels" => format_map(&pod.metadata.labels),
        "metadata.annotations" => format_map(&pod.metadata.annotations),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()).unwrap_or_default(),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default(),
        "status.hostIP" => facts.host_ips.first().cloned().unwrap_or_default(),
        "status.hostIPs" => facts.host_ips.join(","),
        "status.podIP" => facts.pod_ips.first().cloned().unwrap_or_default(),
        "status.podIPs" => facts.pod_ips.join(","),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    };
    Ok(text)
}

/// The value of a `resourceFieldRef` for a container.
///
/// # Errors
/// For a resource that is not supported, in upstream's words.
pub fn resource(facts: &Facts<'_>, container: &Container, selector: &ResourceFieldSelector) -> Result<String, String> {
    let unsupported = || format!("unsupported container resource : {}", selector.resource);
    let (kind, name) = selector.resource.split_once('.').ok_or_else(unsupported)?;
    let supported = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    let amount = match kind {
        "limits" if supported => qos::limit(container, name)
            .or_else(|| facts.allocatable.get(name).map(|quantity| qos::amount(quantity, name)))
            .unwrap_or_default(),
        "requests" if supported => qos::request(container, name).unwrap_or_default(),
        _ => return Err(unsupported()),
    };
    let one = qos::amount(&Quantity("1".into()), name);
    let divisor = selector.divisor.as_ref().map(|quantity| qos::amount(quantity, name)).filter(|one| *one > 0);
    let divisor = divisor.unwrap_or(one);
    Ok((amount.div_euclid(divisor) + i64::from(amount.rem_euclid(divisor) != 0)).to_string())
}

/// `metadata.labels['app']` as map and key.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.strip_suffix("']")?.split_once("['")?;
    Some((map, rest))
}

fn entry(map: &Option<BTreeMap<String, String>>, key: &str) -> String {
    map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default()
}

/// One `key="value"` a line, sorted, with the value quoted as Go's `%q` does.
fn format_map(map: &Option<BTreeMap<String, String>>) -> String {
    let lines = map.iter().flatten().map(|(key, value)| format!("{key}={value:?}"));
    lines.collect::<Vec<_>>().join("\n")
}
