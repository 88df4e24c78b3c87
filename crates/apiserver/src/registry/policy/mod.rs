//! The kinds of `policy`.

pub(super) mod pod_disruption_budget;

use super::info::{ResourceInfo, STATUS};
use super::rare::Rare;

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    short_names: &["pdb"],
    subresources: &[STATUS],
    ..ResourceInfo::new(
        ("policy", "v1"),
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        "/registry/poddisruptionbudgets",
        &Rare::PodDisruptionBudget,
    )
}];
