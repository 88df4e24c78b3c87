//! Metadata of objects whose kind may be any, and selectors as upstream's messages have them.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use machinery::Encoded;

/// An object's metadata, whatever it is; none where it has none.
pub fn metadata_of(object: &Encoded) -> Option<Cow<'_, ObjectMeta>> {
    match object.object() {
        Some(object) => Some(Cow::Borrowed(object.metadata())),
        None => machinery::object::from_value(object.value().ok()?.get_mut("metadata")?.take()).ok().map(Cow::Owned),
    }
}

/// A selector as Go's `%+v` writes a pointer to one.
pub fn go_selector(selector: Option<&LabelSelector>) -> String {
    let Some(selector) = selector else { return "nil".into() };
    let labels = selector.match_labels.iter().flatten().map(|(name, value)| format!("{name}: {value},"));
    let expressions = selector.match_expressions.iter().flatten().map(|it| {
        let values = it.values.as_deref().unwrap_or_default().join(" ");
        format!("LabelSelectorRequirement{{Key:{},Operator:{},Values:[{values}],}},", it.key, it.operator)
    });
    format!(
        "&LabelSelector{{MatchLabels:map[string]string{{{}}},MatchExpressions:[]LabelSelectorRequirement{{{}}},}}",
        labels.collect::<String>(),
        expressions.collect::<String>()
    )
}
