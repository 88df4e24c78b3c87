//! The kinds of `apiregistration.k8s.io`.

use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;

use super::info::{ResourceInfo, STATUS};
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("apiregistration.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[ResourceInfo {
    namespaced: false,
    categories: &["api-extensions"],
    subresources: &[STATUS],
    ..ResourceInfo::new(V, "apiservices", "APIService", "/registry/apiregistration.k8s.io/apiservices", &API_SERVICE)
}];

static API_SERVICE: Typed<APIService> = Typed::new(parts!(APIService: spec; status));
