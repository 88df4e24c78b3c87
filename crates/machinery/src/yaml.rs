//! YAML as kubectl reads and writes it.
//!
//! Reading follows sigs.k8s.io/yaml (YAML 1.1 scalars, merge keys, everything becomes JSON) down to its
//! error messages; writing gives what `kubectl -o yaml` prints. Nothing else here touches YAML.

mod emit;
mod read;
mod scalar;
mod stream;

use std::fmt;

use serde_json::Value;

pub use emit::emit;
pub use stream::{StreamError, stream};

/// YAML that cannot be read, in kubectl's words: `error converting YAML to JSON: yaml: line 4: found
/// character that cannot start any token`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct YamlError(String);

impl YamlError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Words about a line, which is named from the `first` on.
    fn at(line: usize, message: &str, first: usize) -> Self {
        match line >= first {
            true => Self(format!("yaml: line {line}: {message}")),
            false => Self(format!("yaml: {message}")),
        }
    }

    /// The message without kubectl's prefix: `yaml: line 4: …`.
    pub fn message(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error converting YAML to JSON: {}", self.0)
    }
}

impl std::error::Error for YamlError {}

/// One document of a YAML stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its value; null for an empty one.
    pub value: Value,
    /// Keys that stand more than once in their mapping, the last of which counts:
    /// `line 5: key "name" already set in map`.
    pub duplicates: Vec<String>,
}

/// Reads one document. Of several, the first.
///
/// # Errors
/// When it is not YAML, or YAML that cannot be JSON.
pub fn document(text: &str) -> Result<Document, YamlError> {
    read::read(text)
}

/// The values of a [`stream`].
///
/// # Errors
/// The first error.
pub fn parse(text: &str) -> Result<Vec<Value>, StreamError> {
    stream(text).into_iter().map(|document| document.map(|document| document.value)).collect()
}

/// Reads one value: of several documents the first that is not empty, null of none.
///
/// # Errors
/// When any of them cannot be read.
pub fn from_str(text: &str) -> Result<Value, StreamError> {
    Ok(parse(text)?.into_iter().next().unwrap_or_default())
}

#[cfg(test)]
mod tests;
