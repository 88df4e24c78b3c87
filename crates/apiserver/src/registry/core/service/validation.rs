//! What is wrong with services (upstream's `ValidateService`).

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::field::{Error, ErrorList, Path};
use machinery::labels::validate_labels;
use machinery::names::{is_dns1123_label, is_dns1123_subdomain, is_qualified_name};
use serde_json::{Value, json};

use super::{
    CLUSTER_IP, EXTERNAL_NAME, HEADLESS, LOAD_BALANCER, NODE_PORT, is_externally_accessible, needs_cluster_ip,
    needs_health_check_node_port, service_type,
};
use crate::registry::shared::validate::{
    complain, ip, one_of, optional, optional_one_of, port, port_number, required, shown,
};

/// The kubelet's port, which load balancers may not open to the world.
const KUBELET_PORT: i32 = 10250;
const PROTOCOLS: [&str; 3] = ["SCTP", "TCP", "UDP"];
const AFFINITY_SECONDS_MAX: i32 = 86_400;

/// Everything that is wrong with a service.
pub fn service(service: &Service) -> ErrorList {
    let none = ServiceSpec::default();
    let spec = service.spec.as_ref().unwrap_or(&none);
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let headless = is_headless(spec);
    if spec.ports.iter().flatten().next().is_none() && !headless && service_type(spec) != EXTERNAL_NAME {
        errors.push(Error::required(&path.child("ports"), ""));
    }
    by_type(&mut errors, &path, spec);
    ports(&mut errors, &path.child("ports"), spec);
    errors.extend(validate_labels(spec.selector.as_ref(), &path.child("selector")));
    session_affinity(&mut errors, &path, spec);
    families(&mut errors, &path, spec);
    let external_ips = path.child("externalIPs");
    for (index, address) in spec.external_ips.iter().flatten().enumerate() {
        ip(&mut errors, &external_ips.index(index), address);
    }
    let types = [CLUSTER_IP, EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT];
    one_of(&mut errors, &path.child("type"), spec.type_.as_deref(), &types);
    node_ports(&mut errors, &path.child("ports"), spec);
    same_ports(&mut errors, &path.child("ports"), spec);
    load_balancer(&mut errors, &path, spec);
    traffic(&mut errors, &path, spec);
    errors
}

fn is_headless(spec: &ServiceSpec) -> bool {
    let first = spec.cluster_ips.iter().flatten().next();
    first.map(String::as_str).or(spec.cluster_ip.as_deref()) == Some(HEADLESS)
}

fn by_type(errors: &mut ErrorList, path: &Path<'_>, spec: &ServiceSpec) {
    let addresses = path.child("clusterIPs");
    match service_type(spec) {
        kind @ (LOAD_BALANCER | NODE_PORT) => {
            let ports = path.child("ports");
            for (index, port) in spec.ports.iter().flatten().enumerate() {
                if kind == LOAD_BALANCER && port.port == KUBELET_PORT {
                    let detail = format!("may not expose port {KUBELET_PORT} externally since it is used by kubelet");
                    errors.push(Error::invalid(&ports.index(index), port.port, detail));
                }
            }
            if is_headless(spec) {
                let detail = format!("may not be set to 'None' for {kind} services");
                errors.push(Error::invalid(&addresses.index(0), HEADLESS, detail));
            }
        }
        EXTERNAL_NAME => {
            let has_address = spec.cluster_ip.as_deref().is_some_and(|ip| !ip.is_empty())
                || spec.cluster_ips.iter().flatten().next().is_some();
            if has_address {
                errors.push(Error::forbidden(&addresses, "may not be set for ExternalName services"));
            }
            let name = spec.external_name.as_deref().unwrap_or_default();
            let bare = name.strip_suffix('.').unwrap_or(name);
            match bare {
                "" => errors.push(Error::required(&path.child("externalName"), "")),
                bare => complain(errors, &path.child("externalName"), bare, is_dns1123_subdomain(bare)),
            }
        }
        _ => {}
    }
}

fn ports(errors: &mut ErrorList, path: &Path<'_>, spec: &ServiceSpec) {
    let mut names = BTreeSet::new();
    let ports = spec.ports.as_deref().unwrap_or_default();
    for (index, port) in ports.iter().enumerate() {
        let at = path.index(index);
        let name = port.name.as_deref().unwrap_or_default();
        if name.is_empty() {
            if ports.len() > 1 {
                errors.push(Error::required(&at.child("name"), ""));
            }
        } else {
            complain(errors, &at.child("name"), name, is_dns1123_label(name));
            if !names.insert(name) {
                errors.push(Error::duplicate(&at.child("name"), name));
            }
        }
        port_number(errors, &at.child("port"), port.port);
        one_of(errors, &at.child("protocol"), port.protocol.as_deref(), &PROTOCOLS);
        let target = port.target_port.clone().unwrap_or_default();
        self::port(errors, &at.child("targetPort"), &target);
        optional(errors, &at.child("appProtocol"), port.app_protocol.as_deref(), is_qualified_name);
    }
}

fn session_affinity(errors: &mut ErrorList, path: &Path<'_>, spec: &ServiceSpec) {
    let affinity = spec.session_affinity.as_deref();
    one_of(errors, &path.child("sessionAffinity"), affinity, &["ClientIP", "None"]);
    let at = path.child("sessionAffinityConfig");
    match (affinity, &spec.session_affinity_config) {
        (Some("ClientIP"), None) => {
            errors.push(Error::required(&at, "when session affinity type is ClientIP"));
        }
        (Some("ClientIP"), Some(config)) => {
            let seconds = config.client_ip.as_ref().and_then(|client| client.timeout_seconds);
            match seconds {
                None => errors.push(Error::required(&at.child("clientIP"), "when session affinity type is ClientIP")),
                Some(seconds) if !(1..=AFFINITY_SECONDS_MAX).contains(&seconds) => {
                    let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
                    errors.push(Error::invalid(&at.child("clientIP.timeoutSeconds"), seconds, detail));
                }
                Some(_) => {}
            }
        }
        (Some("None"), Some(_)) => {
            errors.push(Error::forbidden(&at, "must not be set when session affinity is None"));
        }
        _ => {}
    }
}

fn families(errors: &mut ErrorList, path: &Path<'_>, spec: &ServiceSpec) {
    let families = path.child("ipFamilies");
    let mut seen = BTreeSet::new();
    // Of a headless service without a selector only its author knows the endpoints.
    let selects = spec.selector.as_ref().is_some_and(|selector| !selector.is_empty());
    let any_family = spec.cluster_ip.as_deref() == Some(HEADLESS) && !selects;
    for (index, family) in spec.ip_families.iter().flatten().enumerate() {
        let at = families.index(index);
        if !matches!(family.as_str(), "IPv4" | "IPv6") {
            errors.push(Error::not_supported(&at, family.as_str(), &["IPv4", "IPv6"]));
        } else if family == "IPv6" && needs_cluster_ip(spec) && !any_family {
            errors.push(Error::invalid(&at, family.as_str(), "not configured on this cluster"));
        }
        if !seen.insert(family) {
            errors.push(Error::duplicate(&at, family.as_str()));
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    optional_one_of(errors, &path.child("ipFamilyPolicy"), spec.ip_family_policy.as_deref(), &policies);
    if service_type(spec) != EXTERNAL_NAME {
        cluster_ips(errors, &path.child("clusterIPs"), spec);
    }
}

/// The two forms of the cluster address agree, and its addresses are of their families.
fn cluster_ips(errors: &mut ErrorList, path: &Path<'_>, spec: &ServiceSpec) {
    let addresses = spec.cluster_ips.as_deref().unwrap_or_default();
    match (spec.cluster_ip.as_deref().unwrap_or_default(), addresses.first()) {
        ("", Some(_)) => {
            let detail = "must be empty when `clusterIP` is not specified";
            errors.push(Error::invalid(path, shown(&addresses), detail));
        }
        ("", None) => {}
        (_, None) => errors.push(Error::required(path, "")),
        (address, Some(first)) if address != first => {
            errors.push(Error::invalid(path, shown(&addresses), "first value must match `clusterIP`"));
        }
        _ => {}
    }
    for (index, address) in addresses.iter().enumerate() {
        if index > 0 || address != HEADLESS {
            ip(errors, &path.index(index), address);
        } else if addresses.len() > 1 {
            errors.push(Error::invalid(path, shown(&addresses), "'None' must be the first and only value"));
        }
    }
    if addresses.len() > 2 {
        errors.push(Error::invalid(path, shown(&addresses), "may only hold up to 2 values"));
    }
    for (index, (address, family)) in addresses.iter().zip(spec.ip_families.iter().flatten()).enumerate() {
        let Ok(parsed) = address.parse::<std::net::IpAddr>() else { continue };
        if (family == "IPv4") != parsed.is_ipv4() {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(Error::invalid(&path.index(index), address.as_str(), detail));
        }
    }
}

fn node_ports(errors: &mut ErrorList, path: &Path<'_>, spec: &ServiceSpec) {
    let mut taken = BTreeSet::new();
    for (index, port) in spec.ports.iter().flatten().enumerate() {
        let Some(number) = port.node_port.filter(|number| *number != 0) else { continue };
        let at = path.index(index);
        if service_type(spec) == CLUSTER_IP {
            errors.push(Error::forbidden(&at.child("nodePort"), "may not be used when `type` is 'ClusterIP'"));
        }
        if !taken.insert((port.protocol.as_deref(), number)) {
            errors.push(Error::duplicate(&at.child("nodePort"), number));
        }
    }
}

/// A port is told by number and protocol.
fn same_ports(errors: &mut ErrorList, path: &Path<'_>, spec: &ServiceSpec) {
    let mut taken = BTreeSet::new();
    for (index, port) in spec.ports.iter().flatten().enumerate() {
        if !taken.insert((port.protocol.as_deref(), port.port)) {
            errors.push(Error::duplicate(&path.index(index), key(port)));
        }
    }
}

/// What is the same in two ports, in the form upstream shows it: its internal type.
fn key(port: &ServicePort) -> Value {
    json!({
        "Name": "",
        "Protocol": port.protocol,
        "AppProtocol": null,
        "Port": port.port,
        "TargetPort": IntOrString::Int(0),
        "NodePort": 0,
    })
}

fn load_balancer(errors: &mut ErrorList, path: &Path<'_>, spec: &ServiceSpec) {
    if service_type(spec) == LOAD_BALANCER {
        if spec.allocate_load_balancer_node_ports.is_none() {
            errors.push(Error::required(&path.child("allocateLoadBalancerNodePorts"), ""));
        }
        optional(errors, &path.child("loadBalancerClass"), spec.load_balancer_class.as_deref(), is_qualified_name);
        return;
    }
    let detail = "may only be used when `type` is 'LoadBalancer'";
    for (field, set) in [
        ("loadBalancerSourceRanges", spec.load_balancer_source_ranges.iter().flatten().next().is_some()),
        ("allocateLoadBalancerNodePorts", spec.allocate_load_balancer_node_ports.is_some()),
        ("loadBalancerClass", spec.load_balancer_class.is_some()),
    ] {
        if set {
            errors.push(Error::forbidden(&path.child(field), detail));
        }
    }
}

fn traffic(errors: &mut ErrorList, path: &Path<'_>, spec: &ServiceSpec) {
    let external = spec.external_traffic_policy.as_deref().filter(|policy| !policy.is_empty());
    let at = path.child("externalTrafficPolicy");
    match external {
        Some(policy) if !is_externally_accessible(spec) => {
            errors.push(Error::invalid(&at, policy, "may only be set for externally-accessible services"));
        }
        None if is_externally_accessible(spec) => errors.push(Error::required(&at, "")),
        policy => optional_one_of(errors, &at, policy, &["Cluster", "Local"]),
    }
    let at = path.child("healthCheckNodePort");
    let number = spec.health_check_node_port.unwrap_or_default();
    if number < 0 {
        port_number(errors, &at, number);
    } else if number > 0 && !needs_health_check_node_port(spec) {
        let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        errors.push(Error::invalid(&at, number, detail));
    }
    let internal = spec.internal_traffic_policy.as_deref();
    optional_one_of(errors, &path.child("internalTrafficPolicy"), internal, &["Cluster", "Local"]);
    let distribution = spec.traffic_distribution.as_deref();
    let supported = ["PreferClose", "PreferSameNode", "PreferSameZone"];
    optional_one_of(errors, &path.child("trafficDistribution"), distribution, &supported);
}

/// What is said of what stays.
const SET_ONCE: &str = "may not change once set";

/// What is wrong with an update: an address once given stays.
pub fn update(new: &Service, old: &Service) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let of = |service: &Service| service.spec.clone().unwrap_or_default();
    let (new_spec, old_spec) = (of(new), of(old));
    let has_address = service_type(&old_spec) != EXTERNAL_NAME && service_type(&new_spec) != EXTERNAL_NAME;
    let headless = (is_headless(&new_spec), is_headless(&old_spec));
    if has_address && headless != (true, true) {
        let lists = (new_spec.cluster_ips.as_deref(), old_spec.cluster_ips.as_deref());
        kept(&mut errors, &path.child("clusterIPs"), lists, "clusterIP");
    }
    if has_address && headless == (false, false) {
        let lists = (new_spec.ip_families.as_deref(), old_spec.ip_families.as_deref());
        kept(&mut errors, &path.child("ipFamilies"), lists, "ipFamily");
    }
    let balancers = service_type(&old_spec) == LOAD_BALANCER && service_type(&new_spec) == LOAD_BALANCER;
    if balancers && old_spec.load_balancer_class != new_spec.load_balancer_class {
        let class = shown(&new_spec.load_balancer_class);
        errors.push(Error::invalid(&path.child("loadBalancerClass"), class, SET_ONCE));
    }
    errors.extend(service(new));
    errors
}

/// The first of a list stays; the others may come and go.
fn kept(errors: &mut ErrorList, path: &Path<'_>, (new, old): (Option<&[String]>, Option<&[String]>), one: &str) {
    let (new, old) = (new.unwrap_or_default(), old.unwrap_or_default());
    let checked = if new.len() == old.len() { new.len() } else { 1 };
    if new.is_empty() && !old.is_empty() {
        errors.push(Error::invalid(&path.index(0), shown(&new), format!("primary {one} can not be unset")));
    }
    for (index, (after, before)) in new.iter().zip(old).enumerate().take(checked) {
        if after != before {
            errors.push(Error::invalid(&path.index(index), shown(&new), SET_ONCE));
        }
    }
}

/// What is wrong with an update of `…/status`.
pub fn status(new: &Service, _old: &Service) -> ErrorList {
    let mut errors = ErrorList::new();
    let balancer = new.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let path = Path::new("status.loadBalancer.ingress");
    for (index, ingress) in balancer.iter().filter_map(|it| it.ingress.as_ref()).flatten().enumerate() {
        let at = path.index(index);
        if let Some(address) = ingress.ip.as_deref().filter(|ip| !ip.is_empty()) {
            ip(&mut errors, &at.child("ip"), address);
        }
        if let Some(name) = ingress.hostname.as_deref().filter(|name| !name.is_empty()) {
            required(&mut errors, &at.child("hostname"), name, is_dns1123_subdomain);
            if name.parse::<std::net::IpAddr>().is_ok() {
                let detail = "must be a DNS name, not an IP address";
                errors.push(Error::invalid(&at.child("hostname"), name, detail));
            }
        }
    }
    errors
}
