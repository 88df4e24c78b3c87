//! The kinds of `scheduling.k8s.io`.

use k8s_openapi::api::scheduling::v1::PriorityClass;

use super::info::ResourceInfo;
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("scheduling.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    namespaced: false,
    short_names: &["pc"],
    ..ResourceInfo::new(V, "priorityclasses", "PriorityClass", "/registry/priorityclasses", &PRIORITY_CLASS)
}];

static PRIORITY_CLASS: Typed<PriorityClass> = Typed {
    generation: true,
    ..Typed::new(parts!(PriorityClass: description, global_default, preemption_policy, value))
};
