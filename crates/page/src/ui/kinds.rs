//! What kinds the cluster has, by discovery, and the paths of their objects.

use serde_json::Value;

use crate::api::{Api, ApiError, Call};
use crate::world::{items, text};

/// A kind of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Kind, such as `Deployment`.
    pub kind: String,
    /// Plural, such as `deployments`.
    pub resource: String,
    /// Where its paths begin, such as `/apis/apps/v1`.
    pub base: String,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
    /// Short names, such as `deploy`.
    pub short: Vec<String>,
}

impl Kind {
    /// Says of an object of the kind what it is: items of a list come without `apiVersion` and `kind`.
    pub fn complete(&self, object: &mut Value) {
        let Some(fields) = object.as_object_mut() else { return };
        let version = self.base.trim_start_matches("/apis/").trim_start_matches("/api/");
        fields.entry("apiVersion").or_insert_with(|| version.into());
        fields.entry("kind").or_insert_with(|| self.kind.as_str().into());
    }

    /// The path of the list in a namespace, or of all.
    pub fn list_path(&self, namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) if self.namespaced => format!("{}/namespaces/{namespace}/{}", self.base, self.resource),
            _ => format!("{}/{}", self.base, self.resource),
        }
    }

    /// The path of one object.
    pub fn path_of(&self, key: &str) -> String {
        let (namespace, name) = key.split_once('/').map_or((None, key), |(namespace, name)| (Some(namespace), name));
        format!("{}/{name}", self.list_path(namespace))
    }

    /// The list of one object, to watch it.
    pub fn single_path(&self, key: &str) -> String {
        let (namespace, name) = key.split_once('/').map_or((None, key), |(namespace, name)| (Some(namespace), name));
        format!("{}?fieldSelector=metadata.name%3D{name}", self.list_path(namespace))
    }
}

/// Asks the cluster for its kinds: those that can be listed, each once, by name.
///
/// # Errors
/// When the API does not answer.
pub async fn discover(api: &Api) -> Result<Vec<Kind>, ApiError> {
    let mut bases = vec!["/api/v1".to_owned()];
    let groups = api.json(Call::get("/apis")).await?;
    for group in items(&groups, "/groups") {
        bases.push(format!("/apis/{}", text(group, "/preferredVersion/groupVersion")));
    }
    let mut kinds: Vec<Kind> = Vec::new();
    for base in bases {
        let Ok(list) = api.json(Call::get(&base)).await else { continue };
        kinds.extend(items(&list, "/resources").iter().filter_map(|resource| listable(resource, &base)));
    }
    // Measurements have the names of what they measure, and are nobody's to look for here.
    kinds.retain(|kind| !kind.base.starts_with("/apis/metrics.k8s.io/"));
    kinds.sort();
    // Events are one store under two groups.
    kinds.dedup_by(|later, first| later.kind == first.kind && later.kind == "Event");
    Ok(kinds)
}

fn listable(resource: &Value, base: &str) -> Option<Kind> {
    let verbs = items(resource, "/verbs");
    let name = text(resource, "/name");
    (verbs.iter().any(|verb| verb == "list") && !name.contains('/')).then(|| Kind {
        kind: text(resource, "/kind").into(),
        resource: name.into(),
        base: base.into(),
        namespaced: resource.get("namespaced").and_then(Value::as_bool).unwrap_or(false),
        short: items(resource, "/shortNames").iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    fn kinds_know_their_paths() {
        let resource =
            json!({"name": "deployments", "kind": "Deployment", "namespaced": true, "verbs": ["get", "list"]});
        let kind = listable(&resource, "/apis/apps/v1").unwrap();
        assert_eq!(kind.list_path(None), "/apis/apps/v1/deployments");
        assert_eq!(kind.list_path(Some("a")), "/apis/apps/v1/namespaces/a/deployments");
        assert_eq!(
            kind.single_path("a/web"),
            "/apis/apps/v1/namespaces/a/deployments?fieldSelector=metadata.name%3Dweb"
        );
        assert_eq!(kind.path_of("a/web"), "/apis/apps/v1/namespaces/a/deployments/web");
        let subresource = json!({"name": "deployments/status", "kind": "Deployment", "verbs": ["list"]});
        assert_eq!(listable(&subresource, "/apis/apps/v1"), None);
    }
}
