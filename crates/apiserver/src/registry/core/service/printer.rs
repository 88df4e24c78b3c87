//! The table of services.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::printer::{AGE, NAME, age, column, format_labels, joined, name, or_none, wide};

/// The columns of the table of services.
pub const COLUMNS: &[Column] = &[
    NAME,
    column("Type", "string", "ClusterIP, NodePort, LoadBalancer or ExternalName."),
    column("Cluster-IP", "string", "The address inside the cluster."),
    column("External-IP", "string", "Addresses from outside."),
    column("Port(s)", "string", "Ports, with the ports of nodes where there are some."),
    AGE,
    wide("Selector", "string", "Which pods the service is for."),
];

/// The cells under [`COLUMNS`].
pub fn cells(service: &Service, now: Timestamp) -> Vec<Value> {
    let none = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&none);
    let cluster_ip = spec.cluster_ips.iter().flatten().next().map(String::as_str).or(spec.cluster_ip.as_deref());
    vec![
        name(&service.metadata),
        spec.type_.clone().unwrap_or_default().into(),
        or_none(cluster_ip),
        external_ip(service, spec).into(),
        or_none(Some(&ports(spec.ports.as_deref().unwrap_or_default()))),
        age(&service.metadata, now),
        format_labels(spec.selector.as_ref()),
    ]
}

/// `80/TCP,443:30443/TCP`.
fn ports(ports: &[ServicePort]) -> String {
    let port = |port: &ServicePort| {
        let protocol = port.protocol.as_deref().unwrap_or_default();
        match port.node_port.unwrap_or_default() {
            0 => format!("{}/{protocol}", port.port),
            node_port => format!("{}:{node_port}/{protocol}", port.port),
        }
    };
    ports.iter().map(port).collect::<Vec<_>>().join(",")
}

fn external_ip(service: &Service, spec: &ServiceSpec) -> String {
    let external_ips = spec.external_ips.as_deref().unwrap_or_default();
    let external = joined(external_ips.iter().map(String::as_str));
    match spec.type_.as_deref().unwrap_or_default() {
        "ClusterIP" | "NodePort" if external.is_empty() => "<none>".into(),
        "ClusterIP" | "NodePort" => external,
        "LoadBalancer" => {
            let balancer = load_balancer(service);
            match (balancer.as_str(), external.as_str()) {
                ("", "") => "<pending>".into(),
                (_, "") => balancer,
                ("", _) => external,
                _ => format!("{balancer},{external}"),
            }
        }
        "ExternalName" => spec.external_name.clone().unwrap_or_default(),
        _ => "<unknown>".into(),
    }
}

fn load_balancer(service: &Service) -> String {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|status| status.ingress.as_deref()).unwrap_or_default();
    let addresses: BTreeSet<&str> = ingress
        .iter()
        .filter_map(|one| one.ip.as_deref().filter(|ip| !ip.is_empty()).or(one.hostname.as_deref()))
        .filter(|address| !address.is_empty())
        .collect();
    joined(addresses)
}
