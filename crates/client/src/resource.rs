//! Where a resource is found in the API.

use std::any::TypeId;

use k8s_openapi::ClusterResourceScope;
use machinery::{GroupVersionKind, GroupVersionResource, Kind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands unescaped in a path segment: RFC 3986's unreserved characters and those of RBAC names.
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':').remove(b'@');

/// A resource as discovery names it: enough to build its paths.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiResource {
    /// Group, version and plural, such as `apps/v1/deployments`.
    pub resource: GroupVersionResource,
    /// Kind of one object, such as `Deployment`.
    pub kind: String,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Verbs the server offers; empty where they were not asked for.
    pub verbs: Vec<String>,
}

impl ApiResource {
    /// The resource of a built-in kind.
    pub fn of<K: Kind>() -> Self {
        Self {
            resource: GroupVersionResource {
                group: K::GROUP.into(),
                version: K::VERSION.into(),
                resource: K::URL_PATH_SEGMENT.into(),
            },
            kind: K::KIND.into(),
            namespaced: is_namespaced::<K>(),
            verbs: Vec::new(),
        }
    }

    /// Group, version and kind.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind {
            group: self.resource.group.clone(),
            version: self.resource.version.clone(),
            kind: self.kind.clone(),
        }
    }

    /// Whether the server offers all of these verbs.
    pub fn offers(&self, verbs: &[&str]) -> bool {
        verbs.iter().all(|verb| self.verbs.iter().any(|offered| offered == verb))
    }

    /// The path of the collection (no name), an object, or a subresource. An empty namespace means all
    /// namespaces, or none for cluster-scoped resources.
    pub fn path(&self, namespace: &str, name: &str, subresource: &str) -> String {
        let GroupVersionResource { group, version, resource } = &self.resource;
        path(group, version, resource, if self.namespaced { namespace } else { "" }, name, subresource)
    }
}

/// Whether objects of the kind live in namespaces.
pub fn is_namespaced<K: Kind>() -> bool {
    TypeId::of::<K::Scope>() != TypeId::of::<ClusterResourceScope>()
}

/// [`ApiResource::path`] of a built-in kind, without building the resource.
pub(crate) fn path_of<K: Kind>(namespace: &str, name: &str, subresource: &str) -> String {
    let namespace = if is_namespaced::<K>() { namespace } else { "" };
    path(K::GROUP, K::VERSION, K::URL_PATH_SEGMENT, namespace, name, subresource)
}

fn path(group: &str, version: &str, resource: &str, namespace: &str, name: &str, subresource: &str) -> String {
    let mut path = String::with_capacity(96);
    path.push_str(if group.is_empty() { "/api" } else { "/apis" });
    let mut push = |segment: &str| {
        if !segment.is_empty() {
            path.push('/');
            path.extend(utf8_percent_encode(segment, SEGMENT));
        }
    };
    push(group);
    push(version);
    if !namespace.is_empty() {
        push("namespaces");
        push(namespace);
    }
    push(resource);
    push(name);
    push(subresource);
    path
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::{Namespace, Pod};

    use super::*;

    #[test]
    fn paths_follow_scope_and_group() {
        assert_eq!(path_of::<Pod>("default", "web", "status"), "/api/v1/namespaces/default/pods/web/status");
        assert_eq!(path_of::<Pod>("", "", ""), "/api/v1/pods");
        assert_eq!(path_of::<Namespace>("ignored", "a b", ""), "/api/v1/namespaces/a%20b");
        let deployments = ApiResource::of::<Deployment>();
        assert_eq!(deployments.path("default", "", ""), "/apis/apps/v1/namespaces/default/deployments");
    }
}
