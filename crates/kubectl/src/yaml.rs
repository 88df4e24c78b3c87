//! YAML in kubectl's reading and writing, by `machinery`.

use machinery::yaml;
use serde_json::Value;

/// Each document of a manifest, or why it is none: `yaml: line 2: …`. Empty ones are null.
pub fn documents(text: &str) -> impl Iterator<Item = Result<Value, String>> {
    yaml::documents(text).into_iter().map(parse)
}

/// One document.
///
/// # Errors
/// `yaml: line 2: …`
pub fn parse(text: &str) -> Result<Value, String> {
    match yaml::document(text) {
        Ok(document) => Ok(document.value),
        Err(error) => Err(error.message().to_owned()),
    }
}

/// An object as kubectl prints it, keys sorted.
pub fn to_string(value: &Value) -> String {
    yaml::emit(value)
}
