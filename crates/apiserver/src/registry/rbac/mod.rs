//! The kinds of `rbac.authorization.k8s.io`.

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};

use super::info::ResourceInfo;
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("rbac.authorization.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo {
        namespaced: false,
        ..ResourceInfo::new(
            V,
            "clusterrolebindings",
            "ClusterRoleBinding",
            "/registry/clusterrolebindings",
            &CLUSTER_ROLE_BINDING,
        )
    },
    ResourceInfo {
        namespaced: false,
        ..ResourceInfo::new(V, "clusterroles", "ClusterRole", "/registry/clusterroles", &CLUSTER_ROLE)
    },
    ResourceInfo::new(V, "rolebindings", "RoleBinding", "/registry/rolebindings", &ROLE_BINDING),
    ResourceInfo::new(V, "roles", "Role", "/registry/roles", &ROLE),
];

static CLUSTER_ROLE_BINDING: Typed<ClusterRoleBinding> = Typed::new(parts!(ClusterRoleBinding: role_ref, subjects));
static CLUSTER_ROLE: Typed<ClusterRole> = Typed::new(parts!(ClusterRole: aggregation_rule, rules));
static ROLE_BINDING: Typed<RoleBinding> = Typed::new(parts!(RoleBinding: role_ref, subjects));
static ROLE: Typed<Role> = Typed::new(parts!(Role: rules));
