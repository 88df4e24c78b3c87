//! The kinds of `the core group`.

mod pod;

use k8s_openapi::api::core::v1::{
    Binding, ComponentStatus, ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume,
    PersistentVolumeClaim, PodTemplate, ReplicationController, ResourceQuota, Secret, Service, ServiceAccount,
};

use super::info::{OBJECT_VERBS, ResourceInfo, SCALE, STATUS, SubresourceInfo};
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
        verbs: &["get", "list"],
        ..ResourceInfo::new(V1, "componentstatuses", "ComponentStatus", "", &COMPONENT_STATUS)
    },
    ResourceInfo {
        short_names: &["cm"],
        ..ResourceInfo::new(V1, "configmaps", "ConfigMap", "/registry/configmaps", &CONFIG_MAP)
    },
    ResourceInfo {
        short_names: &["ep"],
        ..ResourceInfo::new(V1, "endpoints", "Endpoints", "/registry/services/endpoints", &ENDPOINTS)
    },
    ResourceInfo { short_names: &["ev"], ..ResourceInfo::new(V1, "events", "Event", "/registry/events", &EVENT) },
    ResourceInfo {
        short_names: &["limits"],
        ..ResourceInfo::new(V1, "limitranges", "LimitRange", "/registry/limitranges", &LIMIT_RANGE)
    },
    ResourceInfo {
        namespaced: false,
        short_names: &["ns"],
        verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
        subresources: &[SubresourceInfo::own("finalize", &["update"]), STATUS],
        ..ResourceInfo::new(V1, "namespaces", "Namespace", "/registry/namespaces", &NAMESPACE)
    },
    ResourceInfo {
        namespaced: false,
        short_names: &["no"],
        subresources: &[SubresourceInfo::of("proxy", V1, "NodeProxyOptions", PROXY), STATUS],
        ..ResourceInfo::new(V1, "nodes", "Node", "/registry/minions", &NODE)
    },
    ResourceInfo {
        short_names: &["pvc"],
        subresources: &[STATUS],
        ..ResourceInfo::new(
            V1,
            "persistentvolumeclaims",
            "PersistentVolumeClaim",
            "/registry/persistentvolumeclaims",
            &PERSISTENT_VOLUME_CLAIM,
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
            &PERSISTENT_VOLUME,
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
    ResourceInfo::new(V1, "podtemplates", "PodTemplate", "/registry/podtemplates", &POD_TEMPLATE),
    ResourceInfo {
        short_names: &["rc"],
        categories: &["all"],
        subresources: &[SCALE, STATUS],
        ..ResourceInfo::new(
            V1,
            "replicationcontrollers",
            "ReplicationController",
            "/registry/controllers",
            &REPLICATION_CONTROLLER,
        )
    },
    ResourceInfo {
        short_names: &["quota"],
        subresources: &[STATUS],
        ..ResourceInfo::new(V1, "resourcequotas", "ResourceQuota", "/registry/resourcequotas", &RESOURCE_QUOTA)
    },
    ResourceInfo::new(V1, "secrets", "Secret", "/registry/secrets", &SECRET),
    ResourceInfo {
        short_names: &["sa"],
        subresources: &[SubresourceInfo::of("token", ("authentication.k8s.io", "v1"), "TokenRequest", &["create"])],
        ..ResourceInfo::new(V1, "serviceaccounts", "ServiceAccount", "/registry/serviceaccounts", &SERVICE_ACCOUNT)
    },
    ResourceInfo {
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[SubresourceInfo::of("proxy", V1, "ServiceProxyOptions", PROXY), STATUS],
        ..ResourceInfo::new(V1, "services", "Service", "/registry/services/specs", &SERVICE)
    },
];

static BINDING: Typed<Binding> = Typed::new(parts!(Binding: target));
static COMPONENT_STATUS: Typed<ComponentStatus> = Typed::new(parts!(ComponentStatus: conditions));
static CONFIG_MAP: Typed<ConfigMap> = Typed::new(parts!(ConfigMap: data, binary_data, immutable));
static ENDPOINTS: Typed<Endpoints> = Typed::new(parts!(Endpoints: subsets));
static EVENT: Typed<Event> = Typed::new(
    parts!(Event: action, count, event_time, first_timestamp, involved_object, last_timestamp, message, reason, related, reporting_component, reporting_instance, series, source, type_),
);
static LIMIT_RANGE: Typed<LimitRange> = Typed::new(parts!(LimitRange: spec));
static NAMESPACE: Typed<Namespace> = Typed::new(parts!(Namespace: spec; status));
static NODE: Typed<Node> = Typed::new(parts!(Node: spec; status));
static PERSISTENT_VOLUME_CLAIM: Typed<PersistentVolumeClaim> = Typed::new(parts!(PersistentVolumeClaim: spec; status));
static PERSISTENT_VOLUME: Typed<PersistentVolume> = Typed::new(parts!(PersistentVolume: spec; status));
static POD_TEMPLATE: Typed<PodTemplate> = Typed::new(parts!(PodTemplate: template));
static REPLICATION_CONTROLLER: Typed<ReplicationController> = Typed::new(parts!(ReplicationController: spec; status));
static RESOURCE_QUOTA: Typed<ResourceQuota> = Typed::new(parts!(ResourceQuota: spec; status));
static SECRET: Typed<Secret> = Typed::new(parts!(Secret: data, string_data, type_, immutable));
static SERVICE_ACCOUNT: Typed<ServiceAccount> =
    Typed::new(parts!(ServiceAccount: automount_service_account_token, image_pull_secrets, secrets));
static SERVICE: Typed<Service> = Typed::new(parts!(Service: spec; status));
