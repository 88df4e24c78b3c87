//! The kinds of `the core group`.

pub(super) mod component_status;
pub(super) mod config_map;
mod endpoints;
pub mod event;
pub(super) mod limit_range;
mod namespace;
mod node;
pub(super) mod persistent_volume;
pub mod persistent_volume_claim;
pub(crate) mod pod;
pub(super) mod pod_template;
pub(super) mod replication_controller;
pub(super) mod resource_quota;
mod secret;
pub mod service;
mod service_account;

use k8s_openapi::api::core::v1::Binding;

use super::info::{OBJECT_VERBS, ResourceInfo, SCALE, STATUS, SubresourceInfo};
use super::rare::Rare;
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V1: (&str, &str) = ("", "v1");
/// Verbs of the subresources that open a connection.
const CONNECT: &[&str] = &["create", "get"];
/// Verbs of the proxy subresources.
const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo { verbs: &["create"], ..ResourceInfo::new(V1, "bindings", "Binding", "", &BINDING) },
    ResourceInfo {
        namespaced: false,
        short_names: &["cs"],
        deprecation: Some("v1 ComponentStatus is deprecated in v1.19+"),
        verbs: &["get", "list"],
        ..ResourceInfo::new(V1, "componentstatuses", "ComponentStatus", "", &Rare::ComponentStatus)
    },
    ResourceInfo {
        short_names: &["cm"],
        ..ResourceInfo::new(V1, "configmaps", "ConfigMap", "/registry/configmaps", &config_map::STRATEGY)
    },
    ResourceInfo {
        short_names: &["ep"],
        deprecation: Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
        ..ResourceInfo::new(V1, "endpoints", "Endpoints", "/registry/services/endpoints", &endpoints::STRATEGY)
    },
    ResourceInfo {
        short_names: &["ev"],
        ..ResourceInfo::new(V1, "events", "Event", "/registry/events", &event::STRATEGY)
    },
    ResourceInfo {
        short_names: &["limits"],
        ..ResourceInfo::new(V1, "limitranges", "LimitRange", "/registry/limitranges", &Rare::LimitRange)
    },
    ResourceInfo {
        namespaced: false,
        short_names: &["ns"],
        verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
        subresources: &[SubresourceInfo::own("finalize", &["update"]), STATUS],
        ..ResourceInfo::new(V1, "namespaces", "Namespace", "/registry/namespaces", &namespace::STRATEGY)
    },
    ResourceInfo {
        namespaced: false,
        short_names: &["no"],
        subresources: &[SubresourceInfo::of("proxy", V1, "NodeProxyOptions", PROXY), STATUS],
        ..ResourceInfo::new(V1, "nodes", "Node", "/registry/minions", &node::STRATEGY)
    },
    ResourceInfo {
        short_names: &["pvc"],
        subresources: &[STATUS],
        ..ResourceInfo::new(
            V1,
            "persistentvolumeclaims",
            "PersistentVolumeClaim",
            "/registry/persistentvolumeclaims",
            &Rare::PersistentVolumeClaim,
        )
    },
    ResourceInfo {
        namespaced: false,
        short_names: &["pv"],
        subresources: &[STATUS],
        ..ResourceInfo::new(
            V1,
            "persistentvolumes",
            "PersistentVolume",
            "/registry/persistentvolumes",
            &Rare::PersistentVolume,
        )
    },
    ResourceInfo {
        short_names: &["po"],
        categories: &["all"],
        subresources: &[
            SubresourceInfo::of("attach", V1, "PodAttachOptions", CONNECT),
            SubresourceInfo::of("binding", V1, "Binding", &["create"]),
            SubresourceInfo::own("ephemeralcontainers", OBJECT_VERBS),
            SubresourceInfo::of("eviction", ("policy", "v1"), "Eviction", &["create"]),
            SubresourceInfo::of("exec", V1, "PodExecOptions", CONNECT),
            SubresourceInfo::own("log", &["get"]),
            SubresourceInfo::of("portforward", V1, "PodPortForwardOptions", CONNECT),
            SubresourceInfo::of("proxy", V1, "PodProxyOptions", PROXY),
            SubresourceInfo::own("resize", OBJECT_VERBS),
            STATUS,
        ],
        ..ResourceInfo::new(V1, "pods", "Pod", "/registry/pods", &pod::STRATEGY)
    },
    ResourceInfo::new(V1, "podtemplates", "PodTemplate", "/registry/podtemplates", &Rare::PodTemplate),
    ResourceInfo {
        short_names: &["rc"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        ..ResourceInfo::new(
            V1,
            "replicationcontrollers",
            "ReplicationController",
            "/registry/controllers",
            &Rare::ReplicationController,
        )
    },
    ResourceInfo {
        short_names: &["quota"],
        subresources: &[STATUS],
        ..ResourceInfo::new(V1, "resourcequotas", "ResourceQuota", "/registry/resourcequotas", &Rare::ResourceQuota)
    },
    ResourceInfo::new(V1, "secrets", "Secret", "/registry/secrets", &secret::STRATEGY),
    ResourceInfo {
        short_names: &["sa"],
        subresources: &[SubresourceInfo::of("token", ("authentication.k8s.io", "v1"), "TokenRequest", &["create"])],
        ..ResourceInfo::new(
            V1,
            "serviceaccounts",
            "ServiceAccount",
            "/registry/serviceaccounts",
            &service_account::STRATEGY,
        )
    },
    ResourceInfo {
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[SubresourceInfo::of("proxy", V1, "ServiceProxyOptions", PROXY), STATUS],
        ..ResourceInfo::new(V1, "services", "Service", "/registry/services/specs", &service::STRATEGY)
    },
];

static BINDING: Typed<Binding> = Typed::new(parts!(Binding: target));
