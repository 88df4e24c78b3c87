//! The kinds of `policy`.

mod pod_disruption_budget;

use super::info::{ResourceInfo, STATUS};

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    short_names: &["pdb"],
    subresources: &[STATUS],
    ..ResourceInfo::new(
        ("policy", "v1"),
        "poddisruptionbudgets",
        "PodDisruptionBudget",
        "/registry/poddisruptionbudgets",
        &pod_disruption_budget::STRATEGY,
    )
}];
