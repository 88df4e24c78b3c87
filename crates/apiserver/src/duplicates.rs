//! Keys that a JSON text gives twice, which a decoder silently merges.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// `duplicate field "spec.replicas"` for every key given again in its object; none for what is not
/// JSON, such as YAML, whose own reader refuses them.
pub(crate) fn duplicate_fields(source: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(source);
    // The text has been decoded before: an error here is none of ours.
    let _ = deserializer.deserialize_any(Walk { path: String::new(), found: &mut found });
    found.into_iter().map(|path| format!("duplicate field {}", machinery::go::quote(&path))).collect()
}

struct Walk<'a> {
    path: String,
    found: &'a mut Vec<String>,
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if !seen.insert(key) {
                self.found.push(path.clone());
            }
            map.next_value_seed(Walk { path, found: self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for index in 0.. {
            let path = format!("{}[{index}]", self.path);
            if items.next_element_seed(Walk { path, found: self.found })?.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

#[cfg(test)]
mod tests {
    use super::duplicate_fields;

    #[test]
    fn keys_given_twice_are_found_at_any_depth() {
        let source = br#"{"a":1,"b":[{"c":1,"c":2}],"d":{"e":null,"e":"x"},"a":3}"#;
        let expected = [r#"duplicate field "b[0].c""#, r#"duplicate field "d.e""#, r#"duplicate field "a""#];
        assert_eq!(duplicate_fields(source), expected);
        assert!(duplicate_fields(b"a: 1\na: 2\n").is_empty());
    }
}
