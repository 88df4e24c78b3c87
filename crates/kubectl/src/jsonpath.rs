//! JSONPath templates, by `machinery`, with what kubectl says about them.

use std::borrow::Cow;

use machinery::{go, jsonpath};
use serde_json::Value;

/// A template: text with paths in braces.
#[derive(Clone, Debug)]
pub struct JsonPath {
    source: String,
    template: jsonpath::JsonPath,
}

impl JsonPath {
    /// Reads a template.
    ///
    /// # Errors
    /// In the words of client-go: `unclosed action`.
    pub fn parse(source: &str) -> Result<Self, String> {
        let template = jsonpath::JsonPath::parse(source).map_err(|error| error.to_string())?;
        Ok(Self { source: source.to_owned(), template })
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The template's text with values in it.
    ///
    /// # Errors
    /// `foo is not found`, unless missing keys are allowed; bad indices.
    pub fn render(&self, root: &Value, allow_missing: bool) -> Result<String, String> {
        let template = self.template.clone().allow_missing_keys(allow_missing);
        template.render(root).map_err(|error| error.to_string())
    }

    /// The values that the paths of the template find.
    ///
    /// # Errors
    /// As [`JsonPath::render`].
    pub fn find(&self, root: &Value, allow_missing: bool) -> Result<Vec<Value>, String> {
        Ok(self.find_each(root, allow_missing)?.concat())
    }

    /// The values that each path of the template finds.
    ///
    /// # Errors
    /// As [`JsonPath::render`].
    pub fn find_each(&self, root: &Value, allow_missing: bool) -> Result<Vec<Vec<Value>>, String> {
        let template = self.template.clone().allow_missing_keys(allow_missing);
        let found = template.find(root).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|values| values.into_iter().map(Cow::into_owned).collect()).collect())
    }
}

/// A value in Go's `%#v`.
pub fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::String(text) => go::quote(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}:{}", go::quote(key), go_syntax(value))).collect();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
        other => go::display(other),
    }
}
