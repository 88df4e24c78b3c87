//! The kinds of `discovery.k8s.io`.

use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::info::ResourceInfo;
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("discovery.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] =
    &[ResourceInfo::new(V, "endpointslices", "EndpointSlice", "/registry/endpointslices", &ENDPOINT_SLICE)];

static ENDPOINT_SLICE: Typed<EndpointSlice> =
    Typed { generation: true, ..Typed::new(parts!(EndpointSlice: address_type, endpoints, ports)) };
