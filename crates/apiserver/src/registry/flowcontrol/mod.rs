//! The kinds of `flowcontrol.apiserver.k8s.io`.

use k8s_openapi::api::flowcontrol::v1::{FlowSchema, PriorityLevelConfiguration};

use super::info::{ResourceInfo, STATUS};
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("flowcontrol.apiserver.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo {
        namespaced: false,
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "flowschemas", "FlowSchema", "/registry/flowschemas", &FLOW_SCHEMA)
    },
    ResourceInfo {
        namespaced: false,
        subresources: &[STATUS],
        ..ResourceInfo::new(
            V,
            "prioritylevelconfigurations",
            "PriorityLevelConfiguration",
            "/registry/prioritylevelconfigurations",
            &PRIORITY_LEVEL_CONFIGURATION,
        )
    },
];

static FLOW_SCHEMA: Typed<FlowSchema> = Typed { generation: true, ..Typed::new(parts!(FlowSchema: spec; status)) };
static PRIORITY_LEVEL_CONFIGURATION: Typed<PriorityLevelConfiguration> =
    Typed { generation: true, ..Typed::new(parts!(PriorityLevelConfiguration: spec; status)) };
