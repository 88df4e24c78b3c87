//! Environment variables that name the Services a pod may call, as Docker's links once did.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{Service, ServicePort};

use crate::text::str;

/// The variables of these Services; headless ones have none.
pub fn variables(services: &[Arc<Service>]) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for service in services {
        let Some(spec) = &service.spec else { continue };
        let ip = str(&spec.cluster_ip);
        let ports = spec.ports.as_deref().unwrap_or_default();
        if ip.is_empty() || ip == "None" || spec.type_.as_deref() == Some("ExternalName") {
            continue;
        }
        let Some(first) = ports.first() else { continue };
        let name = env_name(str(&service.metadata.name));
        out.insert(format!("{name}_SERVICE_HOST"), ip.to_string());
        out.insert(format!("{name}_SERVICE_PORT"), first.port.to_string());
        out.insert(format!("{name}_PORT"), url(ip, first));
        for port in ports {
            if let Some(port_name) = port.name.as_deref().filter(|name| !name.is_empty()) {
                out.insert(format!("{name}_SERVICE_PORT_{}", env_name(port_name)), port.port.to_string());
            }
            let prefix = format!("{name}_PORT_{}_{}", port.port, protocol(port));
            out.insert(format!("{prefix}_PROTO"), protocol(port).to_lowercase());
            out.insert(format!("{prefix}_PORT"), port.port.to_string());
            out.insert(format!("{prefix}_ADDR"), ip.to_string());
            out.insert(prefix, url(ip, port));
        }
    }
    out
}

fn protocol(port: &ServicePort) -> &str {
    port.protocol.as_deref().unwrap_or("TCP")
}

fn url(ip: &str, port: &ServicePort) -> String {
    let protocol = protocol(port).to_lowercase();
    if ip.contains(':') {
        format!("{protocol}://[{ip}]:{}", port.port)
    } else {
        format!("{protocol}://{ip}:{}", port.port)
    }
}

fn env_name(name: &str) -> String {
    name.replace('-', "_").to_uppercase()
}
