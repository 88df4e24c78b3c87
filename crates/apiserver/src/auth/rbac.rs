//! RBAC: whether the roles bound to a user allow a request
//! (`plugin/pkg/auth/authorizer/rbac`, `pkg/registry/rbac/validation`).

use std::sync::Arc;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use machinery::{ApiError, GroupResource, Kind, go};
use store::Snapshot;

use super::{UserInfo, service_account_of};
use crate::request_info::RequestInfo;
use crate::{registry, storage};

/// The API group of roles and bindings.
pub(super) const GROUP: &str = "rbac.authorization.k8s.io";
/// What stands for every verb, group and resource.
pub(super) const ALL: &str = "*";

/// Whether a user may do something, and why.
///
/// # Errors
/// Why not: roles that are bound but do not exist; mostly empty.
pub(crate) fn authorize(snapshot: &Snapshot, user: &UserInfo, request: &RequestInfo) -> Result<String, String> {
    let mut allowed = None;
    let errors = visit(snapshot, user, &request.namespace, &mut |grant, rule| {
        if !allows(rule, request) {
            return true;
        }
        allowed = Some(format!("RBAC: allowed by {}", grant.describe()));
        false
    });
    match (allowed, errors.as_slice()) {
        (Some(reason), _) => Ok(reason),
        (None, []) => Err(String::new()),
        (None, [error]) => Err(format!("RBAC: {error}")),
        (None, errors) => Err(format!("RBAC: [{}]", errors.join(", "))),
    }
}

/// The rules that bind a user in a namespace (empty: everywhere), and the roles that were not found.
pub(crate) fn rules_for(snapshot: &Snapshot, user: &UserInfo, namespace: &str) -> (Vec<PolicyRule>, Vec<String>) {
    let mut rules = Vec::new();
    let errors = visit(snapshot, user, namespace, &mut |_, rule| {
        rules.push(rule.clone());
        true
    });
    (rules, errors)
}

/// By which binding a rule comes to a user.
struct Grant<'a> {
    binding: &'a str,
    /// The binding's name, and after a slash its namespace if it has one.
    name: String,
    role: &'a RoleRef,
    subject: &'a Subject,
    namespace: &'a str,
}

impl Grant<'_> {
    fn describe(&self) -> String {
        let subject = match self.subject.kind.as_str() {
            "ServiceAccount" => {
                let namespace = self.subject.namespace.as_deref().filter(|namespace| !namespace.is_empty());
                format!("{}/{}", self.subject.name, namespace.unwrap_or(self.namespace))
            }
            _ => self.subject.name.clone(),
        };
        format!(
            "{} {} of {} {} to {} {}",
            self.binding,
            go::quote(&self.name),
            self.role.kind,
            go::quote(&self.role.name),
            self.subject.kind,
            go::quote(&subject)
        )
    }
}

/// Shows the rules that bind a user: those of the cluster, then those of the namespace; until `see` says
/// that it has seen enough. What went wrong meanwhile is the answer.
fn visit(
    snapshot: &Snapshot,
    user: &UserInfo,
    namespace: &str,
    see: &mut dyn FnMut(&Grant<'_>, &PolicyRule) -> bool,
) -> Vec<String> {
    let mut errors = Vec::new();
    for binding in all::<ClusterRoleBinding>(snapshot, "clusterrolebindings", "") {
        let Some(subject) = binding.subjects.iter().flatten().find(|subject| applies(subject, user, "")) else {
            continue;
        };
        let name = binding.metadata.name.clone().unwrap_or_default();
        let grant = Grant { binding: "ClusterRoleBinding", name, role: &binding.role_ref, subject, namespace: "" };
        if !see_role(snapshot, &grant, &mut errors, see) {
            return errors;
        }
    }
    if namespace.is_empty() {
        return errors;
    }
    for binding in all::<RoleBinding>(snapshot, "rolebindings", namespace) {
        let Some(subject) = binding.subjects.iter().flatten().find(|subject| applies(subject, user, namespace)) else {
            continue;
        };
        let name = format!("{}/{namespace}", binding.metadata.name.as_deref().unwrap_or_default());
        let grant = Grant { binding: "RoleBinding", name, role: &binding.role_ref, subject, namespace };
        if !see_role(snapshot, &grant, &mut errors, see) {
            return errors;
        }
    }
    errors
}

/// Shows the rules of the role that a binding refers to; whether more is wanted.
fn see_role(
    snapshot: &Snapshot,
    grant: &Grant<'_>,
    errors: &mut Vec<String>,
    see: &mut dyn FnMut(&Grant<'_>, &PolicyRule) -> bool,
) -> bool {
    let (role, kind) = (grant.role, grant.role.kind.as_str());
    let rules = match kind {
        "Role" => find::<Role>(snapshot, "roles", grant.namespace, &role.name).map(|role| role.rules.clone()),
        _ => find::<ClusterRole>(snapshot, "clusterroles", "", &role.name).map(|role| role.rules.clone()),
    };
    let Some(rules) = rules else {
        errors.push(format!("{}.{GROUP} {} not found", kind.to_ascii_lowercase(), go::quote(&role.name)));
        return true;
    };
    rules.iter().flatten().all(|rule| see(grant, rule))
}

fn all<K: Kind>(snapshot: &Snapshot, resource: &str, namespace: &str) -> Vec<Arc<K>> {
    let Some(row) = registry::by_resource(GROUP, "v1", resource) else { return Vec::new() };
    let prefix = storage::prefix(row, namespace);
    snapshot.range(&prefix, "").filter_map(|kv| storage::stored(kv).get::<K>().ok()).collect()
}

fn find<K: Kind>(snapshot: &Snapshot, resource: &str, namespace: &str, name: &str) -> Option<Arc<K>> {
    let row = registry::by_resource(GROUP, "v1", resource)?;
    storage::stored(snapshot.get(&storage::key(row, namespace, name))?).get::<K>().ok()
}

/// The rules of a role, for bindings in a namespace.
///
/// # Errors
/// 404 for a role that is not there.
pub(super) fn rules_of(snapshot: &Snapshot, role: &RoleRef, namespace: &str) -> Result<Vec<PolicyRule>, ApiError> {
    let (resource, rules) = match role.kind.as_str() {
        "Role" => ("roles", find::<Role>(snapshot, "roles", namespace, &role.name).map(|role| role.rules.clone())),
        _ => {
            let found = find::<ClusterRole>(snapshot, "clusterroles", "", &role.name);
            ("clusterroles", found.map(|role| role.rules.clone()))
        }
    };
    let resource = GroupResource { group: GROUP.into(), resource: resource.into() };
    rules.map(Option::unwrap_or_default).ok_or_else(|| ApiError::not_found(&resource, &role.name))
}

/// Whether a binding's subject is the user; `namespace` is the binding's.
fn applies(subject: &Subject, user: &UserInfo, namespace: &str) -> bool {
    match subject.kind.as_str() {
        "User" => subject.name == user.username,
        "Group" => user.groups.contains(&subject.name),
        "ServiceAccount" => {
            let own = subject.namespace.as_deref().filter(|own| !own.is_empty()).unwrap_or(namespace);
            !own.is_empty() && service_account_of(&user.username) == Some((own, &subject.name))
        }
        _ => false,
    }
}

/// Whether a rule allows a request.
fn allows(rule: &PolicyRule, request: &RequestInfo) -> bool {
    let has =
        |list: &Option<Vec<String>>, wanted: &str| list.iter().flatten().any(|entry| entry == ALL || entry == wanted);
    let verb = rule.verbs.iter().any(|verb| verb == ALL || *verb == request.verb);
    if !request.is_resource_request() {
        return verb && rule.non_resource_urls.iter().flatten().any(|url| covers_path(url, &request.path));
    }
    let names = rule.resource_names.as_deref().unwrap_or_default();
    verb && has(&rule.api_groups, &request.group)
        && covers_resource(rule.resources.as_deref().unwrap_or_default(), &request.resource, &request.subresource)
        && (names.is_empty() || names.contains(&request.name))
}

/// `*` is every path, and at the end of a path everything that begins so.
pub(super) fn covers_path(url: &str, path: &str) -> bool {
    url == path || url.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix.trim_end_matches('*')))
}

/// `*` is every resource with its subresources, `*/scale` the subresource of every resource.
fn covers_resource(resources: &[String], resource: &str, subresource: &str) -> bool {
    resources.iter().any(|entry| match entry.split_once('/') {
        None => entry == ALL || (entry == resource && subresource.is_empty()),
        Some((of, sub)) => !subresource.is_empty() && sub == subresource && (of == ALL || of == resource),
    })
}
