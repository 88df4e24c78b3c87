//! `-o go-template`.

use serde_json::Value;

/// A template of Go's `text/template`.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// In Go's words.
    pub fn parse(source: &str) -> Result<Self, String> {
        Ok(Self { source: source.to_owned() })
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text for an object.
    ///
    /// # Errors
    /// In Go's words.
    pub fn render(&self, _root: &Value, _allow_missing: bool) -> Result<String, String> {
        Err("unsupported".into())
    }
}
