//! The kinds of `autoscaling`.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;

use super::info::{ResourceInfo, STATUS};
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("autoscaling", "v2");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    short_names: &["hpa"],
    categories: &["all"],
    subresources: &[STATUS],
    ..ResourceInfo::new(
        V,
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
        "/registry/horizontalpodautoscalers",
        &HORIZONTAL_POD_AUTOSCALER,
    )
}];

static HORIZONTAL_POD_AUTOSCALER: Typed<HorizontalPodAutoscaler> =
    Typed::new(parts!(HorizontalPodAutoscaler: spec; status));
