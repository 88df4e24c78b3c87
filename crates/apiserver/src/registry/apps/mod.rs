//! The kinds of `apps`.

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};

use super::info::{ResourceInfo, SCALE, STATUS};
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("apps", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo::new(
        V,
        "controllerrevisions",
        "ControllerRevision",
        "/registry/controllerrevisions",
        &CONTROLLER_REVISION,
    ),
    ResourceInfo {
        short_names: &["ds"],
        categories: &["all"],
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "daemonsets", "DaemonSet", "/registry/daemonsets", &DAEMON_SET)
    },
    ResourceInfo {
        short_names: &["deploy"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        ..ResourceInfo::new(V, "deployments", "Deployment", "/registry/deployments", &DEPLOYMENT)
    },
    ResourceInfo {
        short_names: &["rs"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        ..ResourceInfo::new(V, "replicasets", "ReplicaSet", "/registry/replicasets", &REPLICA_SET)
    },
    ResourceInfo {
        short_names: &["sts"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        ..ResourceInfo::new(V, "statefulsets", "StatefulSet", "/registry/statefulsets", &STATEFUL_SET)
    },
];

static CONTROLLER_REVISION: Typed<ControllerRevision> = Typed::new(parts!(ControllerRevision: data, revision));
static DAEMON_SET: Typed<DaemonSet> = Typed { generation: true, ..Typed::new(parts!(DaemonSet: spec; status)) };
static DEPLOYMENT: Typed<Deployment> = Typed { generation: true, ..Typed::new(parts!(Deployment: spec; status)) };
static REPLICA_SET: Typed<ReplicaSet> = Typed { generation: true, ..Typed::new(parts!(ReplicaSet: spec; status)) };
static STATEFUL_SET: Typed<StatefulSet> = Typed { generation: true, ..Typed::new(parts!(StatefulSet: spec; status)) };
