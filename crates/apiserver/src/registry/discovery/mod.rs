//! The kinds of `discovery.k8s.io`.

mod endpoint_slice;

use super::info::ResourceInfo;

/// The group and version of these rows.
const V: (&str, &str) = ("discovery.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] =
    &[ResourceInfo::new(V, "endpointslices", "EndpointSlice", "/registry/endpointslices", &endpoint_slice::STRATEGY)];
