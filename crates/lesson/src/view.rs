//! What checks see of a cluster: objects as the API gives them, in JSON.

use serde_json::Value;

/// The resources that checks can look at, and the paths of their lists across namespaces.
pub const RESOURCES: [(&str, &str); 8] = [
    ("nodes", "/api/v1/nodes"),
    ("namespaces", "/api/v1/namespaces"),
    ("pods", "/api/v1/pods"),
    ("services", "/api/v1/services"),
    ("events", "/api/v1/events"),
    ("replicasets", "/apis/apps/v1/replicasets"),
    ("deployments", "/apis/apps/v1/deployments"),
    ("endpointslices", "/apis/discovery.k8s.io/v1/endpointslices"),
];

/// A cluster, as far as somebody has followed it.
pub trait View {
    /// The objects of a resource, in the order of their namespaces and names.
    fn objects(&self, resource: &str) -> Vec<&Value>;
    /// The last state of objects of a resource that have been deleted.
    fn gone(&self, resource: &str) -> Vec<&Value>;
    /// Whether the cluster's network has carried something to a part that is like this, such as
    /// `service/default/web`: see [`is_like`].
    fn reached(&self, part: &str) -> bool;
    /// Whether kubectl has asked the API server with this verb for an object whose address, such as
    /// `pods/default/web-1/log`, is like this: see [`is_like`].
    fn asked(&self, verb: &str, object: &str) -> bool;
}

/// Whether a text is a pattern's, in which one `*` stands for anything.
pub fn is_like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => text.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => text == pattern,
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

/// An object's name.
pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}

/// An object's namespace; empty for cluster-scoped objects.
pub fn namespace(object: &Value) -> &str {
    text(object, "/metadata/namespace")
}

/// Whether an object's labels satisfy `a=b,c=d`.
pub fn matches(object: &Value, selector: &str) -> bool {
    let label = |label: &str| object.pointer("/metadata/labels")?.get(label)?.as_str();
    let mut terms = selector.split(',').map(str::trim).filter(|term| !term.is_empty());
    terms.all(|term| match term.split_once('=') {
        Some((key, value)) => label(key.trim()) == Some(value.trim()),
        None => label(term).is_some(),
    })
}

/// Whether an object's deletion has begun.
pub fn terminating(object: &Value) -> bool {
    !text(object, "/metadata/deletionTimestamp").is_empty()
}

/// The status of a condition: `True`, `False`, `Unknown`; empty where there is none.
pub fn condition<'a>(object: &'a Value, kind: &str) -> &'a str {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    conditions.iter().find(|condition| text(condition, "/type") == kind).map_or("", |found| text(found, "/status"))
}
