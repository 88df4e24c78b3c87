//! The kinds of `rbac.authorization.k8s.io`.

mod binding;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use machinery::field::{Error, ErrorList, Path};
use machinery::labels::validate_label_selector;

use super::info::ResourceInfo;
use super::shared::names;
use super::shared::printer::{NAME_AND_CREATED, name_and_created};
use super::shared::validate::shown;
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = (GROUP, "v1");
/// The group; also what references to roles and subjects have where they do not say.
const GROUP: &str = "rbac.authorization.k8s.io";

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

static ROLE: Typed<Role> = Typed {
    name: names::path_segment,
    validate: |role| rules(role.rules.as_deref(), true),
    validate_update: |new, _| rules(new.rules.as_deref(), true),
    columns: NAME_AND_CREATED,
    cells: |role, _| name_and_created(&role.metadata),
    create_on_update: true,
    ..Typed::new(parts!(Role: rules))
};

static CLUSTER_ROLE: Typed<ClusterRole> = Typed {
    name: names::path_segment,
    validate: validate_cluster_role,
    validate_update: |new, _| validate_cluster_role(new),
    columns: NAME_AND_CREATED,
    cells: |role, _| name_and_created(&role.metadata),
    create_on_update: true,
    ..Typed::new(parts!(ClusterRole: aggregation_rule, rules))
};

static ROLE_BINDING: Typed<RoleBinding> = Typed {
    name: names::path_segment,
    defaults: |object| binding::defaults(&mut object.role_ref, object.subjects.as_deref_mut()),
    validate: |object| binding::validate(&object.role_ref, object.subjects.as_deref(), &["Role", "ClusterRole"]),
    validate_update: |new, old| {
        let mut errors = binding::validate(&new.role_ref, new.subjects.as_deref(), &["Role", "ClusterRole"]);
        errors.extend(binding::validate_update(&new.role_ref, &old.role_ref));
        errors
    },
    columns: binding::COLUMNS,
    cells: |object, now| binding::cells(&object.metadata, &object.role_ref, object.subjects.as_deref(), now),
    create_on_update: true,
    ..Typed::new(parts!(RoleBinding: role_ref, subjects))
};

static CLUSTER_ROLE_BINDING: Typed<ClusterRoleBinding> = Typed {
    name: names::path_segment,
    defaults: |object| binding::defaults(&mut object.role_ref, object.subjects.as_deref_mut()),
    validate: |object| binding::validate(&object.role_ref, object.subjects.as_deref(), &["ClusterRole"]),
    validate_update: |new, old| {
        let mut errors = binding::validate(&new.role_ref, new.subjects.as_deref(), &["ClusterRole"]);
        errors.extend(binding::validate_update(&new.role_ref, &old.role_ref));
        errors
    },
    columns: binding::COLUMNS,
    cells: |object, now| binding::cells(&object.metadata, &object.role_ref, object.subjects.as_deref(), now),
    create_on_update: true,
    ..Typed::new(parts!(ClusterRoleBinding: role_ref, subjects))
};

fn validate_cluster_role(role: &ClusterRole) -> ErrorList {
    let mut errors = rules(role.rules.as_deref(), false);
    let Some(aggregation) = &role.aggregation_rule else { return errors };
    let selectors = aggregation.cluster_role_selectors.as_deref().unwrap_or_default();
    let path = Path::new("aggregationRule.clusterRoleSelectors");
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.push(Error::required(&path, detail));
    }
    for (index, selector) in selectors.iter().enumerate() {
        errors.extend(validate_label_selector(Some(selector), &path.index(index)));
    }
    errors
}

fn rules(rules: Option<&[PolicyRule]>, namespaced: bool) -> ErrorList {
    let path = Path::new("rules");
    let mut errors = ErrorList::new();
    for (index, rule) in rules.into_iter().flatten().enumerate() {
        self::rule(&mut errors, &path.index(index), rule, namespaced);
    }
    errors
}

fn rule(errors: &mut ErrorList, path: &Path<'_>, rule: &PolicyRule, namespaced: bool) {
    let any = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if rule.verbs.is_empty() {
        errors.push(Error::required(&path.child("verbs"), "verbs must contain at least one value"));
    }
    if any(&rule.non_resource_urls) {
        let at = path.child("nonResourceURLs");
        if namespaced {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            errors.push(Error::invalid(&at, shown(&rule.non_resource_urls), detail));
        }
        if any(&rule.api_groups) || any(&rule.resources) || any(&rule.resource_names) {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(Error::invalid(&at, shown(&rule.non_resource_urls), detail));
        }
        return;
    }
    if !any(&rule.api_groups) {
        let detail = "resource rules must supply at least one api group";
        errors.push(Error::required(&path.child("apiGroups"), detail));
    }
    if !any(&rule.resources) {
        let detail = "resource rules must supply at least one resource";
        errors.push(Error::required(&path.child("resources"), detail));
    }
}
