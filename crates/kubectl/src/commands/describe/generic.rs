//! Objects of kinds that have no description of their own.

use serde_json::Value;

use super::page::{Page, plain};
use crate::resources::text;
use crate::select::Info;

/// What the head shows already, and what nobody reads.
const SKIPPED: [&str; 5] =
    [".metadata.managedFields", ".metadata.name", ".metadata.namespace", ".metadata.labels", ".metadata.annotations"];

pub(super) fn object(page: &mut Page, info: &Info) {
    let metadata = &info.object["metadata"];
    page.field("Name", text(&metadata["name"]));
    page.field("Namespace", text(&metadata["namespace"]));
    page.labels("Labels", &metadata["labels"]);
    page.annotations("Annotations", &metadata["annotations"]);
    contents(page, 0, &info.object, "");
}

fn contents(page: &mut Page, level: usize, value: &Value, path: &str) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        if SKIPPED.contains(&path.as_str()) {
            continue;
        }
        let title = label(key);
        match value {
            Value::Object(_) => {
                page.line(level, format!("{title}:"));
                contents(page, level + 1, value, &path);
            }
            Value::Array(list) => {
                page.line(level, format!("{title}:"));
                for item in list {
                    match item {
                        Value::Object(_) => contents(page, level + 1, item, &path),
                        item => page.line(level + 1, plain(item)),
                    }
                }
            }
            value => {
                page.line(level, format!("{title}:\t{}", if value.is_null() { "<nil>".into() } else { plain(value) }))
            }
        }
    }
}

/// A field's name as words: `apiVersion` becomes `API Version`.
fn label(field: &str) -> String {
    if !field.chars().all(|c| c.is_alphabetic() || c == '-') {
        return field.to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let chars: Vec<char> = field.chars().collect();
    for (index, &c) in chars.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|at| chars.get(at)).copied();
        let after = chars.get(index + 1).copied();
        let starts = match (before, after) {
            (None, _) => true,
            (Some(before), _) if before.is_lowercase() && c.is_uppercase() => true,
            (Some(before), Some(after)) => before.is_uppercase() && c.is_uppercase() && after.is_lowercase(),
            _ => (before == Some('-')) != (c == '-'),
        };
        match words.last_mut() {
            Some(word) if !starts => word.push(c),
            _ => words.push(c.to_string()),
        }
    }
    let spoken = words.into_iter().map(|word| match word.to_uppercase().as_str() {
        acronym @ ("API" | "URL" | "UID" | "GUID") => acronym.to_owned(),
        _ if word.chars().all(char::is_lowercase) => {
            let mut chars = word.chars();
            chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
        }
        _ => word,
    });
    spoken.collect::<Vec<String>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_as_words() {
        assert_eq!(label("apiVersion"), "API Version");
        assert_eq!(label("kind"), "Kind");
        assert_eq!(label("creationTimestamp"), "Creation Timestamp");
        assert_eq!(label("uid"), "UID");
        assert_eq!(label("a.b/c"), "a.b/c");
    }
}
