//! EndpointSlice.

use k8s_openapi::api::discovery::v1::{EndpointPort, EndpointSlice};
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::defaults::{set, text};
use crate::registry::shared::printer::{AGE, NAME, age, column, first_three, name};
use crate::registry::strategy::{Typed, parts};

/// EndpointSlice's strategy.
pub static STRATEGY: Typed<EndpointSlice> = Typed {
    generation: true,
    defaults,
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
