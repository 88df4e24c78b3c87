//! The kinds of `apps`.

mod controller_revision;
mod daemon_set;
mod deployment;
mod replica_set;
pub(super) mod stateful_set;

use super::info::{ResourceInfo, SCALE, STATUS};
use super::rare::Rare;

/// The group and version of these rows.
const V: (&str, &str) = ("apps", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo::new(
        V,
        "controllerrevisions",
        "ControllerRevision",
        "/registry/controllerrevisions",
        &controller_revision::STRATEGY,
    ),
    ResourceInfo {
        short_names: &["ds"],
        categories: &["all"],
        subresources: &[STATUS],
        ..ResourceInfo::new(V, "daemonsets", "DaemonSet", "/registry/daemonsets", &daemon_set::STRATEGY)
    },
    ResourceInfo {
        short_names: &["deploy"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        ..ResourceInfo::new(V, "deployments", "Deployment", "/registry/deployments", &deployment::STRATEGY)
    },
    ResourceInfo {
        short_names: &["rs"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        ..ResourceInfo::new(V, "replicasets", "ReplicaSet", "/registry/replicasets", &replica_set::STRATEGY)
    },
    ResourceInfo {
        short_names: &["sts"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        ..ResourceInfo::new(V, "statefulsets", "StatefulSet", "/registry/statefulsets", &Rare::StatefulSet)
    },
];
