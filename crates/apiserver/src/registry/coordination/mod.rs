//! The kinds of `coordination.k8s.io`.

mod lease;

use super::info::ResourceInfo;

/// The group and version of these rows.
const V: (&str, &str) = ("coordination.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] =
    &[ResourceInfo::new(V, "leases", "Lease", "/registry/leases", &lease::STRATEGY)];
