//! The kinds of `coordination.k8s.io`.

use k8s_openapi::api::coordination::v1::Lease;

use super::info::ResourceInfo;
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("coordination.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo::new(V, "leases", "Lease", "/registry/leases", &LEASE)];

static LEASE: Typed<Lease> = Typed::new(parts!(Lease: spec));
