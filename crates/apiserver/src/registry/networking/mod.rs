//! The kinds of `networking.k8s.io`.

use k8s_openapi::api::networking::v1::{IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR};

use super::info::{ResourceInfo, STATUS};
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
        ..ResourceInfo::new(V, "ingresses", "Ingress", "/registry/ingress", &INGRESS)
    },
    ResourceInfo {
        namespaced: false,
        short_names: &["ip"],
        ..ResourceInfo::new(V, "ipaddresses", "IPAddress", "/registry/ipaddresses", &IP_ADDRESS)
    },
    ResourceInfo {
        short_names: &["netpol"],
        ..ResourceInfo::new(V, "networkpolicies", "NetworkPolicy", "/registry/networkpolicies", &NETWORK_POLICY)
    },
    ResourceInfo {
        namespaced: false,
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "servicecidrs", "ServiceCIDR", "/registry/servicecidrs", &SERVICE_CIDR)
    },
];

static INGRESS_CLASS: Typed<IngressClass> = Typed { generation: true, ..Typed::new(parts!(IngressClass: spec)) };
static INGRESS: Typed<Ingress> = Typed { generation: true, ..Typed::new(parts!(Ingress: spec; status)) };
static IP_ADDRESS: Typed<IPAddress> = Typed::new(parts!(IPAddress: spec));
static NETWORK_POLICY: Typed<NetworkPolicy> = Typed { generation: true, ..Typed::new(parts!(NetworkPolicy: spec)) };
static SERVICE_CIDR: Typed<ServiceCIDR> = Typed::new(parts!(ServiceCIDR: spec; status));
