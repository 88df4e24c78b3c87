//! The kinds of `node.k8s.io`.

use k8s_openapi::api::node::v1::RuntimeClass;

use super::info::ResourceInfo;
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("node.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    namespaced: false,
    ..ResourceInfo::new(V, "runtimeclasses", "RuntimeClass", "/registry/runtimeclasses", &RUNTIME_CLASS)
}];

static RUNTIME_CLASS: Typed<RuntimeClass> = Typed::new(parts!(RuntimeClass: handler, overhead, scheduling));
