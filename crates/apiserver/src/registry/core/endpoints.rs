//! Endpoints.

use k8s_openapi::api::core::v1::Endpoints;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::shared::defaults::text;
use crate::registry::shared::printer::{AGE, NAME, age, column, first_three, host_port, name};
use crate::registry::strategy::{Typed, parts};

/// Endpoints' strategy.
pub static STRATEGY: Typed<Endpoints> = Typed {
    defaults,
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
