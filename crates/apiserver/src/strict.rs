//! What strict decoding finds in a body's text, which a decoder silently drops: keys given twice, and
//! fields the kind has not.

use std::collections::BTreeSet;
use std::fmt;

use machinery::go::quote;
use machinery::schema::{self, Schema};
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// What a tree was made from.
pub(crate) enum Source<'a> {
    /// An object of this process, or a wire form that cannot repeat a field.
    Tree,
    /// JSON in which a key is given twice.
    Json(&'a [u8]),
    /// YAML's keys given twice, as [`machinery::yaml::Document::duplicates`] has them.
    Yaml(Vec<String>),
    /// Problems of the patch that made the tree, as they are to be told, and what errors show of it.
    Patch(Vec<String>, &'a dyn Fn() -> String),
}

impl<'a> Source<'a> {
    /// What errors show of a patch.
    pub(crate) fn shown(&self) -> Option<&'a dyn Fn() -> String> {
        match self {
            Self::Patch(_, shown) => Some(*shown),
            _ => None,
        }
    }
}

/// Every problem of JSON text in its order: `unknown field "spec.foo"`, `duplicate field "spec.bar"`.
/// Without a schema every field is known. What is unknown is told once, and not looked into.
pub(crate) fn json_problems(source: &[u8], schema: Option<&Schema>) -> Vec<String> {
    let mut found = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(source);
    // The text has been decoded before: an error here is none of ours.
    let _ = deserializer.deserialize_any(Walk { path: String::new(), schema, found: &mut found });
    found
}

/// The operations of a JSON patch: members they have not, and members given twice.
pub(crate) fn json_patch_problems(source: &[u8]) -> Vec<String> {
    let operation = Schema {
        properties: ["op", "path", "from", "value"].map(|name| (name.to_owned(), Schema::default())).into(),
        ..Schema::default()
    };
    let list = Schema { items: Some(Box::new(operation)), ..Schema::default() };
    json_problems(source, Some(&list)).into_iter().map(|problem| format!("json patch {problem}")).collect()
}

/// Problems that are told of one text, as upstream limits them.
const PROBLEMS_MAX: usize = 100;

struct Walk<'a> {
    path: String,
    schema: Option<&'a Schema>,
    found: &'a mut Vec<String>,
}

impl Walk<'_> {
    fn tell(&mut self, problem: &str, path: &str) {
        if self.found.len() < PROBLEMS_MAX {
            self.found.push(format!("{problem} {}", quote(path)));
        }
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let schemas = schema::builtin();
        let schema = self.schema.map(|schema| schemas.resolve(schema)).filter(|schema| !schema.is_free_form());
        let mut seen = BTreeSet::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            let field = schema.map(|schema| schemas.field(schema, &key));
            let repeated = !seen.insert(key);
            if let Some(None) = field {
                if !repeated {
                    self.tell("unknown field", &path);
                }
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if repeated {
                self.tell("duplicate field", &path);
            }
            map.next_value_seed(Walk { path, schema: field.flatten(), found: self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let schemas = schema::builtin();
        let schema = self.schema.and_then(|schema| schemas.items(schema));
        for index in 0.. {
            let path = format!("{}[{index}]", self.path);
            if items.next_element_seed(Walk { path, schema, found: self.found })?.is_none() {
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
    use super::*;
    use machinery::GroupVersionKind;

    #[test]
    fn keys_given_twice_are_found_at_any_depth() {
        let source = br#"{"a":1,"b":[{"c":1,"c":2}],"d":{"e":null,"e":"x"},"a":3}"#;
        let expected = [r#"duplicate field "b[0].c""#, r#"duplicate field "d.e""#, r#"duplicate field "a""#];
        assert_eq!(json_problems(source, None), expected);
    }

    /// Upstream's own case, from its field validation tests.
    #[test]
    fn problems_are_told_in_the_texts_order() {
        let source = br#"{"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "dupename", "name": "a", "unknownMeta": "metaVal", "labels": {"app": "nginx"}},
            "spec": {"unknown1": "val1", "unknownDupe": "valDupe", "unknownDupe": "valDupe2", "paused": true, "paused": false,
                "template": {"spec": {"containers": [{"name": "nginx", "unknownNested": "val1",
                    "imagePullPolicy": "Always", "imagePullPolicy": "Never"}]}}}}"#;
        let deployment = GroupVersionKind::from_api_version("apps/v1", "Deployment");
        let expected = [
            r#"duplicate field "metadata.name""#,
            r#"unknown field "metadata.unknownMeta""#,
            r#"unknown field "spec.unknown1""#,
            r#"unknown field "spec.unknownDupe""#,
            r#"duplicate field "spec.paused""#,
            r#"unknown field "spec.template.spec.containers[0].unknownNested""#,
            r#"duplicate field "spec.template.spec.containers[0].imagePullPolicy""#,
        ];
        assert_eq!(json_problems(source, schema::builtin().get(&deployment)), expected);
        let patch = br#"[{"op": "add", "path": "/a", "value": {"x": 1}, "foo": "bar"}, {"op": "add", "path": "/b", "path": "/c"}]"#;
        let expected = [r#"json patch unknown field "[0].foo""#, r#"json patch duplicate field "[1].path""#];
        assert_eq!(json_patch_problems(patch), expected);
    }
}
