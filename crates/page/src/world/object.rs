//! An object as the API sent it, with short ways to what the page asks of it.

use serde_json::Value;

/// An object as JSON. What is absent reads as empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(pub Value);

impl Object {
    /// The text at a JSON pointer.
    pub fn text(&self, pointer: &str) -> &str {
        text(&self.0, pointer)
    }

    /// The number at a JSON pointer; 0 where there is none.
    pub fn number(&self, pointer: &str) -> i64 {
        at(&self.0, pointer).and_then(Value::as_i64).unwrap_or(0)
    }

    /// The list at a JSON pointer.
    pub fn items(&self, pointer: &str) -> &[Value] {
        items(&self.0, pointer)
    }

    /// Name.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Namespace; empty for cluster-scoped objects.
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// `namespace/name`, or `name` where there is no namespace.
    pub fn key(&self) -> String {
        match self.namespace() {
            "" => self.name().to_owned(),
            namespace => format!("{namespace}/{}", self.name()),
        }
    }

    /// The value of a label.
    pub fn label(&self, label: &str) -> Option<&str> {
        at(&self.0, "/metadata/labels")?.get(label)?.as_str()
    }

    /// Whether the labels satisfy `a=b,c=d`.
    pub fn matches(&self, selector: &str) -> bool {
        let mut terms = selector.split(',').map(str::trim).filter(|term| !term.is_empty());
        terms.all(|term| match term.split_once('=') {
            Some((label, value)) => self.label(label.trim()) == Some(value.trim()),
            None => self.label(term).is_some(),
        })
    }

    /// Kind and name of the owner that controls it.
    pub fn controller(&self) -> Option<(&str, &str)> {
        let owner = self
            .items("/metadata/ownerReferences")
            .iter()
            .find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
        Some((text(owner, "/kind"), text(owner, "/name")))
    }

    /// Whether deletion has begun.
    pub fn terminating(&self) -> bool {
        !self.text("/metadata/deletionTimestamp").is_empty()
    }

    /// The status of a condition: `True`, `False`, `Unknown`; empty where there is none.
    pub fn condition(&self, name: &str) -> &str {
        let conditions = self.items("/status/conditions");
        conditions.iter().find(|condition| text(condition, "/type") == name).map_or("", |found| text(found, "/status"))
    }
}

/// What stands at a JSON pointer of plain names: `Value::pointer` makes a text of each, and the page reads thousands of
/// fields between two frames.
pub fn at<'a>(value: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(value, |value, name| match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        value => value.get(name),
    })
}

/// The text at a JSON pointer; empty where there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    at(value, pointer).and_then(Value::as_str).unwrap_or("")
}

/// The list at a JSON pointer; empty where there is none.
pub fn items<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    at(value, pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    fn selectors_compare_labels() {
        let object = Object(json!({"metadata": {"labels": {"app": "web", "tier": "front"}}}));
        assert!(object.matches("app=web, tier=front"));
        assert!(object.matches("app"));
        assert!(object.matches(""));
        assert!(!object.matches("app=db"));
        assert!(!object.matches("gone"));
    }

    #[wasm_bindgen_test]
    fn absent_fields_read_as_empty() {
        let object = Object(json!({"metadata": "not a map"}));
        assert_eq!((object.name(), object.key().as_str(), object.controller()), ("", "", None));
        assert_eq!(object.number("/spec/replicas"), 0);
    }
}
