//! Endpoints.

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, Endpoints};
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::{is_dns1123_label, is_dns1123_subdomain, is_qualified_name};
use serde_json::Value;

use crate::registry::shared::defaults::text;
use crate::registry::shared::printer::{AGE, NAME, age, column, first_three, host_port, name};
use crate::registry::shared::validate::{ip, one_of, optional, port_number};
use crate::registry::strategy::{Typed, parts};

/// Endpoints' strategy.
pub static STRATEGY: Typed<Endpoints> = Typed {
    defaults,
    validate,
    validate_update: |new, _| validate(new),
    columns: &[NAME, column("Endpoints", "string", "Addresses and ports that are ready."), AGE],
    cells,
    create_on_update: true,
    ..Typed::new(parts!(Endpoints: subsets))
};

fn defaults(endpoints: &mut Endpoints) {
    for port in endpoints.subsets.iter_mut().flatten().filter_map(|subset| subset.ports.as_mut()).flatten() {
        text(&mut port.protocol, "TCP");
    }
}

fn cells(endpoints: &Endpoints, now: Timestamp) -> Vec<Value> {
    let mut list = Vec::new();
    for subset in endpoints.subsets.iter().flatten() {
        let addresses = subset.addresses.as_deref().unwrap_or_default();
        match subset.ports.as_deref().unwrap_or_default() {
            [] => list.extend(addresses.iter().map(|address| address.ip.clone())),
            ports => {
                for port in ports {
                    list.extend(addresses.iter().map(|address| host_port(&address.ip, port.port)));
                }
            }
        }
    }
    let shown = if list.is_empty() { "<none>".into() } else { first_three(&list) };
    vec![name(&endpoints.metadata), shown.into(), age(&endpoints.metadata, now)]
}

fn validate(endpoints: &Endpoints) -> ErrorList {
    let path = Path::new("subsets");
    let mut errors = ErrorList::new();
    for (index, subset) in endpoints.subsets.iter().flatten().enumerate() {
        let at = path.index(index);
        let lists = [("addresses", &subset.addresses), ("notReadyAddresses", &subset.not_ready_addresses)];
        if lists.iter().all(|(_, list)| list.iter().flatten().next().is_none()) {
            errors.push(Error::required(&at, "must specify `addresses` or `notReadyAddresses`"));
        }
        for (field, list) in lists {
            let at = at.child(field);
            for (index, address) in list.iter().flatten().enumerate() {
                self::address(&mut errors, &at.index(index), address);
            }
        }
        let ports = subset.ports.as_deref().unwrap_or_default();
        let at = at.child("ports");
        for (index, port) in ports.iter().enumerate() {
            self::port(&mut errors, &at.index(index), port, ports.len() > 1);
        }
    }
    errors
}

fn address(errors: &mut ErrorList, path: &Path<'_>, address: &EndpointAddress) {
    ip(errors, &path.child("ip"), &address.ip);
    optional(errors, &path.child("hostname"), address.hostname.as_deref(), is_dns1123_label);
    optional(errors, &path.child("nodeName"), address.node_name.as_deref(), is_dns1123_subdomain);
    let Ok(parsed) = address.ip.parse::<std::net::IpAddr>() else { return };
    let at = path.child("ip");
    let link_local = match parsed {
        std::net::IpAddr::V4(ip) => ip.is_link_local(),
        std::net::IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    for (forbidden, detail) in [
        (parsed.is_unspecified(), format!("may not be unspecified ({})", address.ip)),
        (parsed.is_loopback(), "may not be in the loopback range (127.0.0.0/8, ::1/128)".into()),
        (link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)".into()),
        (parsed.is_multicast(), "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)".into()),
    ] {
        if forbidden {
            errors.push(Error::invalid(&at, address.ip.as_str(), detail));
        }
    }
}

fn port(errors: &mut ErrorList, path: &Path<'_>, port: &EndpointPort, named: bool) {
    match port.name.as_deref().unwrap_or_default() {
        "" if named => errors.push(Error::required(&path.child("name"), "")),
        name => optional(errors, &path.child("name"), Some(name), is_dns1123_label),
    }
    port_number(errors, &path.child("port"), port.port);
    one_of(errors, &path.child("protocol"), port.protocol.as_deref(), &["SCTP", "TCP", "UDP"]);
    optional(errors, &path.child("appProtocol"), port.app_protocol.as_deref(), is_qualified_name);
}
