//! Schema as data: what fields each kind has, their types, and how they merge.
//!
//! `data/openapi.json` holds the definitions of all built-in kinds as OpenAPI v2 has them, with
//! `x-kubernetes-*` facts on each field; `examples/codegen.rs` writes it. Custom resources bring
//! [`Schema`]s of their own.

mod check;

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::gvk::GroupVersionKind;

pub use check::{decode_error, strict_error};

static OPENAPI_JSON: pack::Text = include!(concat!(env!("OUT_DIR"), "/openapi.rs"));

/// The definitions of the built-in kinds as text, to serve or to transform.
pub fn openapi_json() -> &'static str {
    OPENAPI_JSON.get()
}

/// The texts of `kubectl explain`: definition name to field to description, a type's own under "".
#[cfg(feature = "descriptions")]
pub const DESCRIPTIONS_JSON: &str = include_str!("../data/descriptions.json");

const REFERENCE_PREFIX: &str = "#/definitions/";

/// What is known of a value: a type, the fields below it, and how it merges. The names are JSON Schema's
/// and Kubernetes' extensions of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Schema {
    /// A definition that says the rest: `#/definitions/io.k8s.api.core.v1.PodSpec`.
    #[serde(rename = "$ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// `string`, `integer`, `number`, `boolean`, `array` or `object`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `int32`, `int64`, `double`, `byte`, `date-time`, `int-or-string`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Fields of an object.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, Schema>,
    /// Values of a map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_properties: Option<Box<Schema>>,
    /// Items of a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<Schema>>,
    /// Fields that must be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// The value of an absent field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// `merge`, `replace`, `retainKeys`, or several with commas.
    #[serde(rename = "x-kubernetes-patch-strategy", skip_serializing_if = "Option::is_none")]
    pub patch_strategy: Option<String>,
    /// The field that tells the items of a merged list apart in strategic merge patches.
    #[serde(rename = "x-kubernetes-patch-merge-key", skip_serializing_if = "Option::is_none")]
    pub patch_merge_key: Option<String>,
    /// `atomic`, `set` or `map`: how server-side apply sees a list.
    #[serde(rename = "x-kubernetes-list-type", skip_serializing_if = "Option::is_none")]
    pub list_type: Option<String>,
    /// The fields that tell the items of a list of type `map` apart.
    #[serde(rename = "x-kubernetes-list-map-keys", skip_serializing_if = "Vec::is_empty")]
    pub list_map_keys: Vec<String>,
    /// `atomic` or `granular`: how server-side apply sees a map or an object.
    #[serde(rename = "x-kubernetes-map-type", skip_serializing_if = "Option::is_none")]
    pub map_type: Option<String>,
    /// A number or text.
    #[serde(rename = "x-kubernetes-int-or-string", skip_serializing_if = "std::ops::Not::not")]
    pub int_or_string: bool,
    /// Fields that are not named here are kept.
    #[serde(rename = "x-kubernetes-preserve-unknown-fields", skip_serializing_if = "std::ops::Not::not")]
    pub preserve_unknown_fields: bool,
    /// The name of the field's Go type, where it has one of its own: decoding errors show it.
    #[serde(rename = "x-go-type", skip_serializing)]
    pub go_type: Option<String>,
    /// The kinds whose objects have this definition.
    #[serde(rename = "x-kubernetes-group-version-kind", skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<GroupVersionKind>,
}

impl Schema {
    /// The name of the definition that this refers to: `io.k8s.api.core.v1.PodSpec`.
    pub fn definition_name(&self) -> Option<&str> {
        self.reference.as_deref()?.strip_prefix(REFERENCE_PREFIX)
    }

    /// Whether the field's patch strategy names `strategy`.
    pub fn has_patch_strategy(&self, strategy: &str) -> bool {
        self.patch_strategy.as_deref().is_some_and(|all| all.split(',').any(|one| one == strategy))
    }
}

/// Definitions by name, and the kinds among them.
#[derive(Debug, Default)]
pub struct Schemas {
    definitions: BTreeMap<String, Definition>,
    kinds: BTreeMap<GroupVersionKind, String>,
}

/// A definition, or its text until somebody asks: most clusters need few of the built-in ones.
#[derive(Debug)]
struct Definition {
    text: &'static str,
    schema: OnceLock<Schema>,
}

impl Definition {
    fn get(&self) -> &Schema {
        self.schema.get_or_init(|| serde_json::from_str(self.text).unwrap_or_default())
    }
}

impl Schemas {
    /// Definitions from their names.
    pub fn new(definitions: BTreeMap<String, Schema>) -> Self {
        let kinds = definitions
            .iter()
            .flat_map(|(name, schema)| schema.kinds.iter().map(|kind| (kind.clone(), name.clone())))
            .collect();
        let definition = |schema| Definition { text: "", schema: OnceLock::from(schema) };
        let definitions = definitions.into_iter().map(|(name, schema)| (name, definition(schema))).collect();
        Self { definitions, kinds }
    }

    /// Definitions as the generator writes them: one in each line, `"name":{…},`.
    fn from_lines(text: &'static str) -> Self {
        let mut schemas = Self::default();
        for line in text.lines() {
            let Some((name, text)) = line.strip_prefix('"').and_then(|line| line.split_once("\":")) else { continue };
            let definition = Definition { text: text.trim_end_matches(','), schema: OnceLock::new() };
            if text.contains("\"x-kubernetes-group-version-kind\"") {
                let kinds = definition.get().kinds.iter().map(|kind| (kind.clone(), name.to_owned()));
                schemas.kinds.extend(kinds);
            }
            schemas.definitions.insert(name.into(), definition);
        }
        schemas
    }

    /// A kind's schema.
    pub fn get(&self, kind: &GroupVersionKind) -> Option<&Schema> {
        self.definition(self.kinds.get(kind)?)
    }

    /// The name of a kind's definition: `io.k8s.api.apps.v1.Deployment`.
    pub fn name_of(&self, kind: &GroupVersionKind) -> Option<&str> {
        self.kinds.get(kind).map(String::as_str)
    }

    /// A definition by its name.
    pub fn definition(&self, name: &str) -> Option<&Schema> {
        self.definitions.get(name).map(Definition::get)
    }

    /// All definitions in name order.
    pub fn definitions(&self) -> impl Iterator<Item = (&str, &Schema)> {
        self.definitions.iter().map(|(name, definition)| (name.as_str(), definition.get()))
    }

    /// All kinds with the names of their definitions.
    pub fn kinds(&self) -> impl Iterator<Item = (&GroupVersionKind, &str)> {
        self.kinds.iter().map(|(kind, name)| (kind, name.as_str()))
    }

    /// What a schema refers to, or itself. How a value merges stands on the referring schema, what it
    /// contains on the one referred to.
    pub fn resolve<'a>(&'a self, schema: &'a Schema) -> &'a Schema {
        schema.definition_name().and_then(|name| self.definition(name)).unwrap_or(schema)
    }

    /// A named field of an object, or a map's values.
    pub fn field<'a>(&'a self, schema: &'a Schema, name: &str) -> Option<&'a Schema> {
        let schema = self.resolve(schema);
        schema.properties.get(name).or(schema.additional_properties.as_deref())
    }

    /// A list's items.
    pub fn items<'a>(&'a self, schema: &'a Schema) -> Option<&'a Schema> {
        self.resolve(schema).items.as_deref()
    }

    /// The schema at the end of a path of field names, through lists and maps.
    pub fn walk<'a>(&'a self, schema: &'a Schema, path: &[&str]) -> Option<&'a Schema> {
        path.iter().try_fold(schema, |schema, name| {
            let mut schema = self.resolve(schema);
            while let Some(items) = schema.items.as_deref() {
                schema = self.resolve(items);
            }
            self.field(schema, name)
        })
    }
}

/// The schemas of the built-in kinds.
pub fn builtin() -> &'static Schemas {
    static BUILTIN: OnceLock<Schemas> = OnceLock::new();
    BUILTIN.get_or_init(|| Schemas::from_lines(openapi_json()))
}

/// What strict field validation finds in an object of a built-in kind that its kind does not have, as
/// upstream says it: `unknown field "spec.foo"`. Empty for kinds that are not known.
pub fn unknown_fields(kind: &GroupVersionKind, object: &Value) -> Vec<String> {
    let schemas = builtin();
    schemas.get(kind).map(|schema| schemas.unknown_fields(schema, object)).unwrap_or_default()
}

/// The first value of an object of a built-in kind whose type is wrong, in the words of Go's JSON
/// decoder: `json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type
/// int32`. `None` for kinds that are not known.
pub fn type_mismatch(kind: &GroupVersionKind, object: &Value) -> Option<String> {
    let schemas = builtin();
    schemas.type_mismatch(schemas.name_of(kind)?, object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_definitions_are_read_and_walked() {
        let schemas = builtin();
        assert!(schemas.kinds().count() > 60);
        let whole: BTreeMap<String, Schema> = serde_json::from_str(openapi_json()).unwrap();
        assert!(schemas.definitions().eq(whole.iter().map(|(name, schema)| (name.as_str(), schema))));
        let deployment = schemas.get(&GroupVersionKind::from_api_version("apps/v1", "Deployment")).unwrap();
        let ports = schemas.walk(deployment, &["spec", "template", "spec", "containers", "ports"]).unwrap();
        assert_eq!(ports.patch_merge_key.as_deref(), Some("containerPort"));
        assert_eq!(ports.list_map_keys, ["containerPort", "protocol"]);
        let replicas = schemas.walk(deployment, &["spec", "replicas"]).unwrap();
        assert_eq!(replicas.format.as_deref(), Some("int32"));
    }
}
