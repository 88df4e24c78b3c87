//! Names and labels of containers, as the kubelet's Docker integration had them.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use kubelet::runtime::{ContainerConfig, PodSandboxConfig, PortMapping};

use super::own::OwnConfig;

/// The cluster a container belongs to.
pub const CLUSTER: &str = "playground.cluster";
/// The node a container belongs to.
pub const NODE: &str = "playground.node";
/// The data directory a container belongs to: two clusters of one name do not meddle with each other.
pub const DATA_DIR: &str = "playground.data-dir";
/// `podsandbox` or `container`.
pub const TYPE: &str = "io.kubernetes.docker.type";
/// Value of [`TYPE`] for sandboxes.
pub const SANDBOX: &str = "podsandbox";
/// Value of [`TYPE`] for containers.
pub const CONTAINER: &str = "container";
pub const POD_NAME: &str = "io.kubernetes.pod.name";
pub const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
pub const POD_UID: &str = "io.kubernetes.pod.uid";
pub const CONTAINER_NAME: &str = "io.kubernetes.container.name";
pub const SANDBOX_ID: &str = "io.kubernetes.sandbox.id";
/// Restart count of a container, or attempt of a sandbox.
pub const ATTEMPT: &str = "io.kubernetes.container.restartCount";
/// The image's reference in the pod's spec.
pub const IMAGE: &str = "playground.image";
/// The image's digest or id.
pub const IMAGE_REF: &str = "playground.image-ref";
/// Whether the end of the log stands for the container's last words.
pub const MESSAGE_FROM_LOG: &str = "playground.message-from-log";
/// Ports of the node that lead to a pod.
pub const HOST_PORTS: &str = "playground.host-ports";
/// A pod's address, where the agent makes its link and Docker knows of no network.
pub const ADDRESS: &str = "playground.address";
/// What a container that is no pod's was made with: another one makes way.
pub const SHAPE: &str = "playground.shape";
/// What labels begin with that only this program gives.
const OWN: [&str; 2] = ["playground.", ANNOTATION];
/// Annotations become labels under this prefix.
const ANNOTATION: &str = "annotation.";

/// `k8s_POD_<pod>_<namespace>_<uid>_<attempt>`
pub fn sandbox(config: &PodSandboxConfig) -> String {
    format!("k8s_POD_{}_{}_{}_{}", config.name, config.namespace, config.uid, config.attempt)
}

/// `k8s_<container>_<pod>_<namespace>_<uid>_<attempt>`
pub fn container(config: &ContainerConfig) -> String {
    let ContainerConfig { name, pod_name, pod_namespace, pod_uid, attempt, .. } = config;
    format!("k8s_{name}_{pod_name}_{pod_namespace}_{pod_uid}_{attempt}")
}

/// Labels of a sandbox.
pub fn sandbox_labels(
    cluster: &OwnConfig,
    node: &str,
    config: &PodSandboxConfig,
    address: Option<Ipv4Addr>,
) -> HashMap<String, String> {
    let own = [
        (TYPE, SANDBOX),
        (CLUSTER, cluster.cluster.as_str()),
        (NODE, node),
        (DATA_DIR, cluster.data_dir.to_str().unwrap_or_default()),
        (POD_NAME, &config.name),
        (POD_NAMESPACE, &config.namespace),
        (POD_UID, &config.uid),
        (CONTAINER_NAME, "POD"),
    ];
    let mut labels = with_annotations(&config.labels, &config.annotations);
    labels.extend(own.map(|(key, value)| (key.to_string(), value.to_string())));
    if !config.port_mappings.is_empty() {
        labels.insert(HOST_PORTS.into(), write_ports(&config.port_mappings));
    }
    labels.insert(ATTEMPT.into(), config.attempt.to_string());
    labels.extend(address.map(|address| (ADDRESS.into(), address.to_string())));
    labels
}

/// Labels of a container.
pub fn container_labels(
    cluster: &OwnConfig,
    node: &str,
    config: &ContainerConfig,
    sandbox_id: &str,
    image_ref: &str,
) -> HashMap<String, String> {
    let own = [
        (TYPE, CONTAINER),
        (CLUSTER, cluster.cluster.as_str()),
        (NODE, node),
        (DATA_DIR, cluster.data_dir.to_str().unwrap_or_default()),
        (POD_NAME, &config.pod_name),
        (POD_NAMESPACE, &config.pod_namespace),
        (POD_UID, &config.pod_uid),
        (CONTAINER_NAME, &config.name),
        (SANDBOX_ID, sandbox_id),
        (IMAGE, &config.image),
        (IMAGE_REF, image_ref),
    ];
    let mut labels = with_annotations(&config.labels, &config.annotations);
    labels.extend(own.map(|(key, value)| (key.to_string(), value.to_string())));
    labels.insert(ATTEMPT.into(), config.attempt.to_string());
    if config.termination_message_from_log {
        labels.insert(MESSAGE_FROM_LOG.into(), "true".into());
    }
    labels
}

fn with_annotations(
    labels: &BTreeMap<String, String>,
    annotations: &BTreeMap<String, String>,
) -> HashMap<String, String> {
    let annotations = annotations.iter().map(|(key, value)| (format!("{ANNOTATION}{key}"), value.clone()));
    // A pod's author says nothing in our name.
    labels
        .iter()
        .filter(|(key, _)| !OWN.iter().any(|own| key.starts_with(own)))
        .map(|(key, value)| (key.clone(), value.clone()))
        .chain(annotations)
        .collect()
}

/// Labels and annotations as they were configured.
pub fn split(all: &HashMap<String, String>) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let mut labels = BTreeMap::new();
    let mut annotations = BTreeMap::new();
    for (key, value) in all {
        match key.strip_prefix(ANNOTATION) {
            Some(key) => annotations.insert(key.to_string(), value.clone()),
            None => labels.insert(key.clone(), value.clone()),
        };
    }
    (labels, annotations)
}

/// `TCP:8080:80` for each, protocol, node's and pod's port; the node's address is not told apart.
fn write_ports(ports: &[PortMapping]) -> String {
    let words = ports.iter().map(|port| format!("{}:{}:{}", port.protocol, port.host_port, port.container_port));
    words.collect::<Vec<_>>().join(",")
}

/// Ports as [`HOST_PORTS`] has them.
pub fn read_ports(text: &str) -> Vec<PortMapping> {
    let read = |word: &str| {
        let mut parts = word.split(':');
        let protocol = parts.next()?.to_string();
        let (host_port, container_port) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        Some(PortMapping { protocol, container_port, host_port, host_ip: String::new() })
    };
    text.split(',').filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pods_author_says_nothing_in_our_name() {
        let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let labels: BTreeMap<String, String> =
            text(&[(ADDRESS, "10.244.1.7"), ("annotation.note", "forged"), ("app", "web")]);
        let annotations: BTreeMap<String, String> = text(&[("note", "kept")]);
        let all = with_annotations(&labels, &annotations);
        assert_eq!(split(&all), (text(&[("app", "web")]), annotations));
    }
}
