//! The kinds of `networking.k8s.io`.

pub(super) mod ingress;
pub(super) mod network_policy;

use k8s_openapi::api::networking::v1::{IPAddress, IngressClass, ServiceCIDR};
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::{is_dns1123_subdomain, is_path_segment_name};
use serde_json::Value;

use super::info::{ResourceInfo, STATUS};
use super::rare::Rare;
use super::shared::defaults::text;
use super::shared::meta::immutable;
use super::shared::net;
use super::shared::printer::{AGE, NAME, age, column, joined, name, or_none};
use super::shared::validate::{complain, optional, required, shown};
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("networking.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo {
        namespaced: false,
        ..ResourceInfo::new(V, "ingressclasses", "IngressClass", "/registry/ingressclasses", &INGRESS_CLASS)
    },
    ResourceInfo {
        short_names: &["ing"],
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "ingresses", "Ingress", "/registry/ingress", &Rare::Ingress)
    },
    ResourceInfo {
        namespaced: false,
        short_names: &["ip"],
        ..ResourceInfo::new(V, "ipaddresses", "IPAddress", "/registry/ipaddresses", &IP_ADDRESS)
    },
    ResourceInfo {
        short_names: &["netpol"],
        ..ResourceInfo::new(V, "networkpolicies", "NetworkPolicy", "/registry/networkpolicies", &Rare::NetworkPolicy)
    },
    ResourceInfo {
        namespaced: false,
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "servicecidrs", "ServiceCIDR", "/registry/servicecidrs", &SERVICE_CIDR)
    },
];

static INGRESS_CLASS: Typed<IngressClass> = Typed {
    generation: true,
    defaults: |class| {
        if let Some(parameters) = class.spec.get_or_insert_default().parameters.as_mut() {
            text(&mut parameters.scope, "Cluster");
        }
    },
    validate_update: |new, old| {
        let controller = |class: &IngressClass| class.spec.as_ref().and_then(|spec| spec.controller.clone());
        immutable(&controller(new), &controller(old), &Path::new("spec.controller"))
    },
    columns: &[
        NAME,
        column("Controller", "string", "Who serves ingresses of the class."),
        column("Parameters", "string", "Where the controller's settings are."),
        AGE,
    ],
    cells: ingress_class_cells,
    ..Typed::new(parts!(IngressClass: spec))
};

fn ingress_class_cells(class: &IngressClass, now: Timestamp) -> Vec<Value> {
    let spec = class.spec.clone().unwrap_or_default();
    let parameters = spec.parameters.map(|it| match it.api_group.filter(|group| !group.is_empty()) {
        Some(group) => format!("{}.{group}/{}", it.kind, it.name),
        None => format!("{}/{}", it.kind, it.name),
    });
    vec![
        name(&class.metadata),
        spec.controller.unwrap_or_default().into(),
        or_none(parameters.as_deref()),
        age(&class.metadata, now),
    ]
}

static IP_ADDRESS: Typed<IPAddress> = Typed {
    name: |name, _| net::ip(name),
    validate: |address| {
        let (path, parent) = (Path::new("spec.parentRef"), &address.spec.parent_ref);
        let mut errors = ErrorList::new();
        optional(&mut errors, &path.child("group"), parent.group.as_deref(), is_dns1123_subdomain);
        required(&mut errors, &path.child("resource"), &parent.resource, is_path_segment_name);
        required(&mut errors, &path.child("name"), &parent.name, is_path_segment_name);
        optional(&mut errors, &path.child("namespace"), parent.namespace.as_deref(), is_path_segment_name);
        errors
    },
    validate_update: |new, old| immutable(&new.spec.parent_ref, &old.spec.parent_ref, &Path::new("spec.parentRef")),
    columns: &[NAME, column("ParentRef", "string", "What the address belongs to."), AGE],
    cells: ip_address_cells,
    ..Typed::new(parts!(IPAddress: spec))
};

fn ip_address_cells(address: &IPAddress, now: Timestamp) -> Vec<Value> {
    let parent = &address.spec.parent_ref;
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let mut shown = parent.resource.to_lowercase();
    if let Some(group) = text(&parent.group) {
        shown = format!("{shown}.{group}");
    }
    if let Some(namespace) = text(&parent.namespace) {
        shown = format!("{shown}/{namespace}");
    }
    shown = format!("{shown}/{}", parent.name);
    vec![name(&address.metadata), shown.into(), age(&address.metadata, now)]
}

static SERVICE_CIDR: Typed<ServiceCIDR> = Typed {
    validate: |cidr| {
        let path = Path::new("spec.cidrs");
        let cidrs = cidr.spec.as_ref().and_then(|spec| spec.cidrs.as_deref()).unwrap_or_default();
        let whole = |detail: &str| vec![Error::invalid(&path, shown(&cidr.spec), detail)];
        match cidrs.len() {
            0 => return vec![Error::required(&path, "at least one CIDR required")],
            1 => {}
            2 if net::is_dual_stack(cidrs) => {}
            2 => {
                return whole(
                    "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
                );
            }
            _ => return whole("may only hold up to 2 values"),
        }
        let mut errors = ErrorList::new();
        for (index, cidr) in cidrs.iter().enumerate() {
            complain(&mut errors, &path.index(index), cidr, net::cidr(cidr));
        }
        errors
    },
    validate_update: |new, old| {
        let cidrs = |cidr: &ServiceCIDR| cidr.spec.as_ref().and_then(|spec| spec.cidrs.clone());
        immutable(&cidrs(new), &cidrs(old), &Path::new("spec.cidrs"))
    },
    columns: &[NAME, column("CIDRs", "string", "Networks that services get addresses from."), AGE],
    cells: |cidr, now| {
        let cidrs = cidr.spec.as_ref().and_then(|spec| spec.cidrs.as_deref()).unwrap_or_default();
        let cidrs = joined(cidrs.iter().map(String::as_str));
        vec![name(&cidr.metadata), or_none(Some(&cidrs)), age(&cidr.metadata, now)]
    },
    ..Typed::new(parts!(ServiceCIDR: spec; status))
};
