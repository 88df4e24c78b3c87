//! YAML in kubectl's reading and writing, by `machinery`.

use machinery::yaml;
use serde_json::Value;

/// Each document of a manifest, JSON or YAML, or why it is none: `error converting YAML to JSON: yaml:
/// line 2: …`. Empty ones are left out.
pub fn documents(text: &str) -> impl Iterator<Item = Result<Value, String>> {
    let value = |document: yaml::Document| document.value;
    yaml::stream(text).into_iter().map(move |document| document.map(value).map_err(|error| error.to_string()))
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
