//! The kinds of `policy`.

use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use super::info::{ResourceInfo, STATUS};
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("policy", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    short_names: &["pdb"],
    subresources: &[STATUS],
    ..ResourceInfo::new(
        V,
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        "/registry/poddisruptionbudgets",
        &POD_DISRUPTION_BUDGET,
    )
}];

static POD_DISRUPTION_BUDGET: Typed<PodDisruptionBudget> =
    Typed { generation: true, ..Typed::new(parts!(PodDisruptionBudget: spec; status)) };
