//! kubectl's JSONPath templates (client-go `util/jsonpath`): `{range .items[*]}{.metadata.name}{"\n"}{end}`.

mod eval;
mod parse;

use std::borrow::Cow;

use serde_json::Value;

use crate::go;

/// A template that cannot be read, or does not fit the data; `Display` has upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonPathError(pub(crate) String);

/// A parsed template.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    parts: Vec<Part>,
    allow_missing_keys: bool,
}

/// A part of a template.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Text(String),
    /// `{…}`: what its steps lead to.
    Action(Vec<Step>),
    /// `{range …}…{end}`: the parts for each of what the steps lead to.
    Range(Vec<Step>, Vec<Part>),
}

/// From values to values.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Wildcard,
    Recursive,
    Slice(Slice),
    Union(Vec<Vec<Step>>),
    Filter {
        left: Vec<Step>,
        operator: String,
        right: Vec<Step>,
    },
    /// Text, a number or a boolean that stands in the template.
    Literal(Value),
    /// A word that means nothing, of which upstream tells when it comes to it.
    Fail(String),
}

/// `[start:end:step]`, or one item.
#[derive(Clone, Debug, PartialEq)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    step: Option<i64>,
    /// The end follows from the start: one item.
    one: bool,
}

impl JsonPath {
    /// Reads a template.
    ///
    /// # Errors
    /// With upstream's message, to which kubectl adds `error parsing jsonpath …`.
    pub fn parse(template: &str) -> Result<Self, JsonPathError> {
        Ok(Self { parts: parse::parse(template)?, allow_missing_keys: false })
    }

    /// Fields that are not there give nothing instead of an error: `kubectl get -o jsonpath` wants that.
    pub fn allow_missing_keys(mut self, allow: bool) -> Self {
        self.allow_missing_keys = allow;
        self
    }

    /// What each action leads to, text in between included as strings.
    ///
    /// # Errors
    /// When a field is missing, an index is out of bounds, or a value has the wrong type.
    pub fn find<'a>(&'a self, data: &'a Value) -> Result<Vec<Vec<Cow<'a, Value>>>, JsonPathError> {
        let mut results = Vec::new();
        eval::Eval { allow_missing_keys: self.allow_missing_keys }.parts(&self.parts, data, &mut results)?;
        Ok(results)
    }

    /// The template filled in: values of one action with spaces between them, maps and lists as JSON.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn render(&self, data: &Value) -> Result<String, JsonPathError> {
        let mut out = String::new();
        for values in self.find(data)? {
            let texts: Vec<String> = values.iter().map(|value| display(value)).collect();
            out.push_str(&texts.join(" "));
        }
        Ok(out)
    }
}

/// A value as templates print it.
pub fn display(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Array(_) | Value::Object(_) => go::json(value),
        value => go::display(value),
    }
}

/// What `--sort-by` and custom columns take: `metadata.name`, `.metadata.name`, `{metadata.name}` or
/// `{.metadata.name}` as a template.
///
/// # Errors
/// When it is none of these.
pub fn relaxed(expression: &str) -> Result<String, JsonPathError> {
    if expression.is_empty() {
        return Ok(String::new());
    }
    let inner = expression.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(expression);
    let inner = inner.strip_prefix('.').unwrap_or(inner);
    if inner.is_empty() || inner.contains(['{', '}']) {
        return Err(JsonPathError(
            "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'"
                .into(),
        ));
    }
    Ok(format!("{{.{inner}}}"))
}

#[cfg(test)]
mod tests;
