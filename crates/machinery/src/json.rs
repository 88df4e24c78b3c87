//! JSON as Kubernetes' decoder sees it: duplicate keys are found, and errors read as Go's; and as it is written
//! ([`encode`]).

mod encode;
mod syntax;

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::go;

pub use encode::{encode, to_vec};

/// A decoded value, and what strict field validation has to say about how it was written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decoded {
    /// The value; of a key that stands more than once, the last counts.
    pub value: Value,
    /// `duplicate field "spec.replicas"`, in the order they stand.
    pub duplicates: Vec<String>,
}

/// Text that is not JSON, in the words of Go's decoder: `invalid character '}' looking for beginning of
/// value`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct JsonError {
    /// What is wrong.
    pub message: String,
    /// How many bytes were read when it was found, the offending one included.
    pub offset: usize,
}

/// Decodes JSON.
///
/// # Errors
/// When it is not JSON, or nests deeper than 128 levels.
pub fn decode(bytes: &[u8]) -> Result<Decoded, JsonError> {
    let mut state = State { path: String::new(), duplicates: Vec::new() };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let decoded = Seed(&mut state).deserialize(&mut deserializer);
    match decoded.and_then(|value| deserializer.end().map(|()| value)) {
        Ok(value) => Ok(Decoded { value, duplicates: state.duplicates }),
        Err(error) => Err(syntax::check(bytes)
            .err()
            .unwrap_or_else(|| JsonError { message: error.to_string(), offset: bytes.len() })),
    }
}

/// Decodes the JSON value that a text begins with, and gives how many bytes it took.
///
/// # Errors
/// When there is none.
pub fn decode_first(bytes: &[u8]) -> Result<(Decoded, usize), JsonError> {
    let length = syntax::value_length(bytes)?;
    Ok((decode(bytes.get(..length).unwrap_or_default())?, length))
}

struct State {
    path: String,
    duplicates: Vec<String>,
}

/// Builds a value and notes each key that its object already has.
struct Seed<'a>(&'a mut State);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }
    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }
    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Number::from_f64(number).map_or(Value::Null, Value::Number))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }
    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let State { path, duplicates } = self.0;
        let (length, mut list) = (path.len(), Vec::new());
        loop {
            path.push_str(&format!("[{}]", list.len()));
            let mut state = State { path: std::mem::take(path), duplicates: std::mem::take(duplicates) };
            let item = items.next_element_seed(Seed(&mut state));
            (*path, *duplicates) = (state.path, state.duplicates);
            path.truncate(length);
            match item? {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let length = self.0.path.len();
        let mut fields = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if length > 0 {
                self.0.path.push('.');
            }
            self.0.path.push_str(&key);
            if fields.contains_key(&key) {
                self.0.duplicates.push(format!("duplicate field {}", go::quote(&self.0.path)));
            }
            let value = entries.next_value_seed(Seed(&mut *self.0));
            self.0.path.truncate(length);
            fields.insert(key, value?);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn duplicates_are_named_by_path() {
        let decoded = decode(br#"{"a":1,"b":[{"c":1,"c":2}],"a":{"x":1,"x":2}}"#).unwrap();
        assert_eq!(decoded.value, serde_json::json!({"a": {"x": 2}, "b": [{"c": 2}]}));
        let expected = ["duplicate field \"b[0].c\"", "duplicate field \"a\"", "duplicate field \"a.x\""];
        assert_eq!(decoded.duplicates, expected);
    }

    #[test]
    fn errors_read_as_gos() {
        let cases = [
            ("", "unexpected end of JSON input", 0),
            ("{", "unexpected end of JSON input", 1),
            (r#"{"apiVersion": "v1", "kind": }"#, "invalid character '}' looking for beginning of value", 30),
            ("{a", "invalid character 'a' looking for beginning of object key string", 2),
            (r#"{"a" 1}"#, "invalid character '1' after object key", 6),
            (r#"{"a":1 2}"#, "invalid character '2' after object key:value pair", 8),
            ("[1 2]", "invalid character '2' after array element", 4),
            ("{} x", "invalid character 'x' after top-level value", 4),
            ("\"a\nb\"", "invalid character '\\n' in string literal", 3),
            (r#""\q""#, "invalid character 'q' in string escape code", 3),
            ("tru3", "invalid character '3' in literal true (expecting 'e')", 4),
            ("1.x", "invalid character 'x' after decimal point in numeric literal", 3),
            ("-x", "invalid character 'x' in numeric literal", 2),
            ("'a'", "invalid character '\\'' looking for beginning of value", 1),
        ];
        for (text, message, offset) in cases {
            let error = decode(text.as_bytes()).unwrap_err();
            assert_eq!((error.message.as_str(), error.offset), (message, offset), "{text}");
        }
    }

    proptest! {
        #[test]
        fn decodes_what_serde_decodes(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let expected: Option<Value> = serde_json::from_slice(&bytes).ok();
            prop_assert_eq!(decode(&bytes).ok().map(|decoded| decoded.value), expected);
        }

        #[test]
        fn decodes_what_serde_decodes_of_json_like_text(text in r#"[\[\]{}:,"a1.e\-tfnul \\]{0,30}"#) {
            let expected: Option<Value> = serde_json::from_str(&text).ok();
            prop_assert_eq!(decode(text.as_bytes()).ok().map(|decoded| decoded.value), expected);
        }
    }
}
