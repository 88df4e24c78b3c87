//! Wording shared by messages.

use k8s_openapi::api::core::v1::Pod;

/// A pod as the kubelet's messages name it: `web_default(6f2c…)`.
pub fn pod_name(pod: &Pod) -> String {
    let meta = &pod.metadata;
    format!("{}_{}({})", str(&meta.name), str(&meta.namespace), str(&meta.uid))
}

/// An optional text, empty when absent.
pub fn str(text: &Option<String>) -> &str {
    text.as_deref().unwrap_or_default()
}

/// Names in Go's `%v` of a slice: `[a b]`.
pub fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", names.into_iter().collect::<Vec<_>>().join(" "))
}
