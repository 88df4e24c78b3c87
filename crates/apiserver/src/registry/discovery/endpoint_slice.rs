//! EndpointSlice.

use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::{is_dns1123_label, is_dns1123_subdomain, is_qualified_name};
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::defaults::{set, text};
use crate::registry::shared::meta::immutable;
use crate::registry::shared::printer::{AGE, NAME, age, column, first_three, name};
use crate::registry::shared::validate::{complain, ip, one_of, optional, port_number};
use crate::registry::strategy::{Typed, parts};

/// EndpointSlice's strategy.
pub static STRATEGY: Typed<EndpointSlice> = Typed {
    generation: true,
    defaults,
    validate,
    validate_update,
    columns: COLUMNS,
    cells,
    ..Typed::new(parts!(EndpointSlice: address_type, endpoints, ports))
};

fn defaults(slice: &mut EndpointSlice) {
    for port in slice.ports.iter_mut().flatten() {
        set(&mut port.name, String::new());
        text(&mut port.protocol, "TCP");
    }
}

const COLUMNS: &[Column] = &[
    NAME,
    column("AddressType", "string", "IPv4, IPv6 or FQDN."),
    column("Ports", "string", "The ports of every endpoint."),
    column("Endpoints", "string", "The endpoints' addresses."),
    AGE,
];

fn cells(slice: &EndpointSlice, now: Timestamp) -> Vec<Value> {
    let port = |port: &EndpointPort| match (port.port, port.name.as_deref()) {
        (Some(number), _) => number.to_string(),
        (None, Some(name)) if !name.is_empty() => name.into(),
        _ => "*".into(),
    };
    let ports: Vec<String> = slice.ports.iter().flatten().map(port).collect();
    let addresses: Vec<String> =
        slice.endpoints.iter().flatten().flat_map(|endpoint| endpoint.addresses.iter().cloned()).collect();
    let shown = |list: &[String]| if list.is_empty() { "<unset>".into() } else { first_three(list) };
    vec![
        name(&slice.metadata),
        slice.address_type.clone().into(),
        shown(&ports).into(),
        shown(&addresses).into(),
        age(&slice.metadata, now),
    ]
}

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const PORTS_MAX: usize = 20_000;
const ADDRESS_TYPES: [&str; 3] = ["FQDN", "IPv4", "IPv6"];

fn validate(slice: &EndpointSlice) -> ErrorList {
    let mut errors = ErrorList::new();
    one_of(&mut errors, &Path::new("addressType"), Some(&slice.address_type), &ADDRESS_TYPES);
    let path = Path::new("endpoints");
    let endpoints = slice.endpoints.as_deref().unwrap_or_default();
    if endpoints.len() > ENDPOINTS_MAX {
        errors.push(Error::too_many(&path, endpoints.len(), ENDPOINTS_MAX));
        return errors;
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        self::endpoint(&mut errors, &path.index(index), endpoint, &slice.address_type);
    }
    ports(&mut errors, &Path::new("ports"), slice.ports.as_deref().unwrap_or_default());
    errors
}

fn endpoint(errors: &mut ErrorList, path: &Path<'_>, endpoint: &Endpoint, address_type: &str) {
    let addresses = path.child("addresses");
    match endpoint.addresses.len() {
        0 => errors.push(Error::required(&addresses, "must contain at least 1 address")),
        count if count > ADDRESSES_MAX => errors.push(Error::too_many(&addresses, count, ADDRESSES_MAX)),
        _ => {}
    }
    for (index, address) in endpoint.addresses.iter().enumerate() {
        let at = addresses.index(index);
        match address_type {
            "FQDN" => complain(errors, &at, address, is_dns1123_subdomain(address)),
            _ => ip(errors, &at, address),
        }
    }
    optional(errors, &path.child("nodeName"), endpoint.node_name.as_deref(), is_dns1123_subdomain);
    optional(errors, &path.child("hostname"), endpoint.hostname.as_deref(), is_dns1123_label);
}

fn ports(errors: &mut ErrorList, path: &Path<'_>, ports: &[EndpointPort]) {
    if ports.len() > PORTS_MAX {
        errors.push(Error::too_many(path, ports.len(), PORTS_MAX));
        return;
    }
    let mut names = std::collections::BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let at = path.index(index);
        let name = port.name.as_deref().unwrap_or_default();
        optional(errors, &at.child("name"), Some(name), is_dns1123_label);
        if !names.insert(name) {
            errors.push(Error::duplicate(&at.child("name"), name));
        }
        one_of(errors, &at.child("protocol"), port.protocol.as_deref(), &["SCTP", "TCP", "UDP"]);
        if let Some(number) = port.port {
            port_number(errors, &at.child("port"), number);
        }
        optional(errors, &at.child("appProtocol"), port.app_protocol.as_deref(), is_qualified_name);
    }
}

fn validate_update(new: &EndpointSlice, old: &EndpointSlice) -> ErrorList {
    let mut errors = validate(new);
    errors.extend(immutable(&new.address_type, &old.address_type, &Path::new("addressType")));
    errors
}
