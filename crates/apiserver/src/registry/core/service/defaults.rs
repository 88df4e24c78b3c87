//! Defaults of services, and what an update leaves as it was allocated (upstream's
//! `pkg/apis/core/v1/defaults.go` and `pkg/registry/core/service/storage`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{
    CLUSTER_IP, HEADLESS, LOAD_BALANCER, NODE_PORT, is_externally_accessible, needs_cluster_ip,
    needs_health_check_node_port, needs_node_port, service_type,
};
use crate::registry::shared::defaults::{set, text};

/// How long a client sticks to an endpoint, with session affinity.
const AFFINITY_SECONDS: i32 = 3 * 60 * 60;

/// Sets a service's defaults.
pub fn service(service: &mut Service) {
    let spec = service.spec.get_or_insert_default();
    text(&mut spec.session_affinity, "None");
    if spec.session_affinity.as_deref() == Some("None") {
        spec.session_affinity_config = None;
    }
    if spec.session_affinity.as_deref() == Some("ClientIP") {
        let config = spec.session_affinity_config.get_or_insert_default();
        set(&mut config.client_ip.get_or_insert_default().timeout_seconds, AFFINITY_SECONDS);
    }
    text(&mut spec.type_, CLUSTER_IP);
    for port in spec.ports.iter_mut().flatten() {
        text(&mut port.protocol, "TCP");
        let unset = match &port.target_port {
            None | Some(IntOrString::Int(0)) => true,
            Some(IntOrString::String(name)) => name.is_empty(),
            Some(IntOrString::Int(_)) => false,
        };
        if unset {
            port.target_port = Some(IntOrString::Int(port.port));
        }
    }
    if is_externally_accessible(spec) {
        text(&mut spec.external_traffic_policy, "Cluster");
    }
    let kind = service_type(spec);
    if matches!(kind, CLUSTER_IP | NODE_PORT | LOAD_BALANCER) {
        set(&mut spec.internal_traffic_policy, "Cluster".into());
    }
    if service_type(spec) == LOAD_BALANCER {
        set(&mut spec.allocate_load_balancer_node_ports, true);
        let status = service.status.iter_mut().filter_map(|status| status.load_balancer.as_mut());
        for ingress in status.filter_map(|status| status.ingress.as_mut()).flatten() {
            if ingress.ip.as_deref().is_some_and(|ip| !ip.is_empty()) {
                set(&mut ingress.ip_mode, "VIP".into());
            }
        }
    }
}

/// Makes a new service whole as far as that needs no allocator: the two forms of its cluster address
/// agree, and its address families are those of a cluster that has IPv4 only.
pub fn for_create(service: &mut Service) {
    service.status.get_or_insert_default().load_balancer.get_or_insert_default();
    let spec = service.spec.get_or_insert_default();
    mirror_cluster_ip(spec);
    if !needs_cluster_ip(spec) {
        return;
    }
    let headless = spec.cluster_ip.as_deref() == Some(HEADLESS);
    let selects = spec.selector.as_ref().is_some_and(|selector| !selector.is_empty());
    let families = spec.ip_families.get_or_insert_default();
    if families.is_empty() {
        families.push("IPv4".into());
    }
    if headless && !selects {
        // Nobody but the service's author knows its endpoints: any family may come.
        if spec.ip_family_policy.as_deref() != Some("SingleStack") && families.len() < 2 {
            let other = if families.first().map(String::as_str) == Some("IPv4") { "IPv6" } else { "IPv4" };
            families.push(other.into());
        }
        text(&mut spec.ip_family_policy, "RequireDualStack");
    } else {
        text(&mut spec.ip_family_policy, "SingleStack");
    }
}

fn mirror_cluster_ip(spec: &mut ServiceSpec) {
    let ip = spec.cluster_ip.clone().unwrap_or_default();
    let first = spec.cluster_ips.iter().flatten().next().cloned();
    match first {
        None if !ip.is_empty() => spec.cluster_ips = Some(vec![ip]),
        Some(first) if ip.is_empty() => spec.cluster_ip = Some(first),
        _ => {}
    }
}

/// An update that leaves out what was allocated keeps it; one that changes the type drops what the new
/// type has not.
pub fn for_update(new: &mut Service, old: &Service) {
    let none = ServiceSpec::default();
    let (new, old) = (new.spec.get_or_insert_default(), old.spec.as_ref().unwrap_or(&none));
    keep_allocated(new, old);
    normalize_cluster_ips(new, old);
    drop_what_the_type_has_not(new, old);
}

/// When a client changes one form of the cluster address, the other follows.
fn normalize_cluster_ips(new: &mut ServiceSpec, old: &ServiceSpec) {
    if new.cluster_ip != old.cluster_ip && new.cluster_ips == old.cluster_ips {
        new.cluster_ips = new.cluster_ip.clone().filter(|ip| !ip.is_empty()).map(|ip| vec![ip]);
    } else {
        mirror_cluster_ip(new);
    }
}

fn is_empty(text: &Option<String>) -> bool {
    text.as_deref().unwrap_or_default().is_empty()
}

fn keep_allocated(new: &mut ServiceSpec, old: &ServiceSpec) {
    if needs_cluster_ip(new) && needs_cluster_ip(old) {
        if is_empty(&new.cluster_ip) && new.cluster_ips.iter().flatten().next().is_none() {
            new.cluster_ip.clone_from(&old.cluster_ip);
        }
        if new.cluster_ips.iter().flatten().next().is_none() && new.cluster_ip == old.cluster_ip {
            new.cluster_ips.clone_from(&old.cluster_ips);
        }
        if new.ip_families.iter().flatten().next().is_none() {
            new.ip_families.clone_from(&old.ip_families);
        }
        if is_empty(&new.ip_family_policy) {
            new.ip_family_policy.clone_from(&old.ip_family_policy);
        }
    }
    if needs_node_port(new) && needs_node_port(old) {
        keep_node_ports(new.ports.as_deref_mut().unwrap_or_default(), old.ports.as_deref().unwrap_or_default());
    }
    if needs_health_check_node_port(new)
        && needs_health_check_node_port(old)
        && new.health_check_node_port.unwrap_or_default() == 0
    {
        new.health_check_node_port = old.health_check_node_port;
    }
}

fn keep_node_ports(new: &mut [ServicePort], old: &[ServicePort]) {
    let key = |port: &ServicePort| (port.protocol.clone(), port.port);
    let allocated: BTreeMap<_, i32> =
        old.iter().map(|port| (key(port), port.node_port.unwrap_or_default())).filter(|(_, port)| *port != 0).collect();
    let mut used: BTreeSet<i32> = new.iter().filter_map(|port| port.node_port).collect();
    for port in new.iter_mut().filter(|port| port.node_port.unwrap_or_default() == 0) {
        if let Some(node_port) = allocated.get(&key(port))
            && used.insert(*node_port)
        {
            port.node_port = Some(*node_port);
        }
    }
}

fn drop_what_the_type_has_not(new: &mut ServiceSpec, old: &ServiceSpec) {
    if needs_cluster_ip(old) && !needs_cluster_ip(new) && new.cluster_ips == old.cluster_ips {
        new.cluster_ip = None;
        new.cluster_ips = None;
        if new.ip_families == old.ip_families {
            new.ip_families = None;
        }
        if new.ip_family_policy == old.ip_family_policy {
            new.ip_family_policy = None;
        }
    }
    let node_ports = |spec: &ServiceSpec| -> BTreeSet<i32> {
        spec.ports.iter().flatten().filter_map(|port| port.node_port).filter(|port| *port != 0).collect()
    };
    if needs_node_port(old) && !needs_node_port(new) && node_ports(new) == node_ports(old) {
        for port in new.ports.iter_mut().flatten() {
            port.node_port = None;
        }
    }
    if needs_health_check_node_port(old)
        && !needs_health_check_node_port(new)
        && new.health_check_node_port == old.health_check_node_port
    {
        new.health_check_node_port = None;
    }
    if service_type(old) == LOAD_BALANCER && service_type(new) != LOAD_BALANCER {
        if new.allocate_load_balancer_node_ports == old.allocate_load_balancer_node_ports {
            new.allocate_load_balancer_node_ports = None;
        }
        if new.load_balancer_class == old.load_balancer_class {
            new.load_balancer_class = None;
        }
    }
    if is_externally_accessible(old)
        && !is_externally_accessible(new)
        && new.external_traffic_policy == old.external_traffic_policy
    {
        new.external_traffic_policy = None;
    }
}
