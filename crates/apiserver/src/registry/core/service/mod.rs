//! Service. Cluster addresses and node ports are allocated by whoever stores the object; what can be
//! said without an allocator is here.

mod defaults;
mod printer;
mod validation;

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use crate::registry::shared::names;
use crate::registry::strategy::{Field, Typed, parts};

/// The type that has an address inside the cluster.
pub const CLUSTER_IP: &str = "ClusterIP";
/// The type that also has a port on every node.
pub const NODE_PORT: &str = "NodePort";
/// The type that also has an address outside.
pub const LOAD_BALANCER: &str = "LoadBalancer";
/// The type that is a name for another name.
pub const EXTERNAL_NAME: &str = "ExternalName";
/// The cluster address of a service without one.
pub const HEADLESS: &str = "None";

/// Service's strategy.
pub static STRATEGY: Typed<Service> = Typed {
    name: names::label_1035,
    defaults: defaults::service,
    prepare_for_create: defaults::for_create,
    prepare_for_update: defaults::for_update,
    validate: validation::service,
    validate_update: validation::update,
    validate_status: validation::status,
    warnings: |service, _| warnings(service),
    fields: &[
        Field {
            name: "spec.clusterIP",
            get: |service| service.spec.as_ref().and_then(|spec| spec.cluster_ip.clone()).unwrap_or_default(),
        },
        Field {
            name: "spec.type",
            get: |service| service.spec.as_ref().and_then(|spec| spec.type_.clone()).unwrap_or_default(),
        },
    ],
    columns: printer::COLUMNS,
    cells: printer::cells,
    create_on_update: true,
    ..Typed::new(parts!(Service: spec; status))
};

/// The service's type; empty before defaulting.
pub fn service_type(spec: &ServiceSpec) -> &str {
    spec.type_.as_deref().unwrap_or_default()
}

/// Whether the service has an address inside the cluster, be it `None`.
pub fn needs_cluster_ip(spec: &ServiceSpec) -> bool {
    matches!(service_type(spec), CLUSTER_IP | NODE_PORT | LOAD_BALANCER)
}

/// Whether the service has ports on nodes.
pub fn needs_node_port(spec: &ServiceSpec) -> bool {
    let wanted = spec.allocate_load_balancer_node_ports != Some(false);
    service_type(spec) == NODE_PORT || (service_type(spec) == LOAD_BALANCER && wanted)
}

/// Whether a load balancer asks nodes if they have endpoints of the service.
pub fn needs_health_check_node_port(spec: &ServiceSpec) -> bool {
    service_type(spec) == LOAD_BALANCER && spec.external_traffic_policy.as_deref() == Some("Local")
}

/// Whether traffic comes from outside the cluster.
pub fn is_externally_accessible(spec: &ServiceSpec) -> bool {
    let external_ips = spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty());
    matches!(service_type(spec), NODE_PORT | LOAD_BALANCER) || (service_type(spec) == CLUSTER_IP && external_ips)
}

/// What is legal in a service but has no effect (upstream's `pkg/api/service/warnings.go`).
fn warnings(service: &Service) -> Vec<String> {
    let mut warnings = Vec::new();
    let Some(spec) = &service.spec else { return warnings };
    let set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if spec.cluster_ip.as_deref() == Some(HEADLESS) {
        if set(&spec.load_balancer_ip) {
            warnings.push("spec.loadBalancerIP is ignored for headless services".into());
        }
        if spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty()) {
            warnings.push("spec.externalIPs is ignored for headless services".into());
        }
        if spec.session_affinity.as_deref().is_some_and(|affinity| affinity != "None") {
            warnings.push("spec.SessionAffinity is ignored for headless services".into());
        }
    }
    if set(&spec.external_name) && service_type(spec) != EXTERNAL_NAME {
        warnings.push(format!("spec.externalName is ignored when spec.type is not {EXTERNAL_NAME:?}"));
    }
    warnings
}
