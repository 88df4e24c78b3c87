//! Strict checks of objects against their schema, in upstream's words.

use serde_json::Value;

use super::{Schema, Schemas};
use crate::go;
use crate::gvk::GroupVersionKind;
use crate::quantity::Quantity;
use crate::status::ApiError;

const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";

/// Objects nest no deeper than this; what is below goes unchecked.
const DEPTH_MAX: usize = 128;

/// Optional lists that Go writes when they are empty too, or in which empty is not the same as absent:
/// an autoscaler's rules without `policies` have the usual ones, with empty ones they are wrong.
const WRITTEN_EMPTY: [&str; 3] = ["rules", "currentMetrics", "policies"];

/// Unknown fields that are told of one object, as upstream limits them.
const UNKNOWN_MAX: usize = 100;

impl Schemas {
    /// What an object has that its schema has not: `unknown field "spec.foo"`, in field order.
    pub fn unknown_fields(&self, schema: &Schema, object: &Value) -> Vec<String> {
        let mut found = Vec::new();
        self.find_unknown(schema, object, &mut String::new(), &mut found, 0);
        found
    }

    fn find_unknown(&self, schema: &Schema, value: &Value, path: &mut String, found: &mut Vec<String>, depth: usize) {
        let schema = self.resolve(schema);
        if depth > DEPTH_MAX || found.len() >= UNKNOWN_MAX {
            return;
        }
        let length = path.len();
        match value {
            Value::Object(fields) if !schema.is_free_form() => {
                for (name, value) in fields {
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(name);
                    match self.field(schema, name) {
                        Some(field) => self.find_unknown(field, value, path, found, depth + 1),
                        None if found.len() < UNKNOWN_MAX => {
                            found.push(format!("unknown field {}", go::quote(path)));
                        }
                        None => {}
                    }
                    path.truncate(length);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    let Some(items) = schema.items.as_deref() else { return };
                    path.push_str(&format!("[{index}]"));
                    self.find_unknown(items, value, path, found, depth + 1);
                    path.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// Takes out of an object the empty lists and maps that Go leaves out when it writes one, and the ends of
    /// lines in base64, over which it reads: to Kubernetes they and absent ones are the same.
    pub fn drop_empty(&self, schema: &Schema, value: &mut Value) {
        if has_droppable(value) {
            self.drop_below(schema, value, 0);
        }
    }

    fn drop_below(&self, schema: &Schema, value: &mut Value, depth: usize) {
        let schema = self.resolve(schema);
        if let Value::String(text) = value
            && schema.format.as_deref() == Some("byte")
        {
            text.retain(is_base64);
        }
        if depth > DEPTH_MAX || schema.is_free_form() && schema.items.is_none() {
            return;
        }
        match value {
            Value::Object(fields) => fields.retain(|name, value| {
                let Some(field) = self.field(schema, name) else { return true };
                self.drop_below(field, value, depth + 1);
                // A map's values are there, empty or not.
                let optional = schema.properties.contains_key(name)
                    && !schema.required.contains(name)
                    && !WRITTEN_EMPTY.contains(&name.as_str());
                let field = self.resolve(field);
                !optional
                    || match value {
                        Value::Array(items) => !items.is_empty(),
                        Value::Object(entries) => !entries.is_empty() || field.additional_properties.is_none(),
                        _ => true,
                    }
            }),
            Value::Array(items) => {
                if let Some(schema) = schema.items.as_deref() {
                    items.iter_mut().for_each(|item| self.drop_below(schema, item, depth + 1));
                }
            }
            _ => {}
        }
    }

    /// The first value whose type does not fit, in the words of Go's JSON decoder, for an object with
    /// the named definition.
    pub fn type_mismatch(&self, definition: &str, object: &Value) -> Option<String> {
        let schema = self.definition(definition)?;
        let mut walk = Walk { schemas: self, owner: "", path: Vec::new() };
        let named = Named { definition: Some(definition), go_type: None };
        walk.check(schema, named, object, 0).err()
    }
}

/// Whether there may be anything to drop.
fn has_droppable(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty() || fields.values().any(has_droppable),
        Value::Array(items) => items.is_empty() || items.iter().any(has_droppable),
        Value::String(text) => text.contains(['\r', '\n']),
        _ => false,
    }
}

/// Whether Go's base64 decoder does not just read over a character.
fn is_base64(c: char) -> bool {
    !matches!(c, '\r' | '\n')
}

impl Schema {
    /// Whether any field may be there.
    pub fn is_free_form(&self) -> bool {
        self.preserve_unknown_fields || (self.properties.is_empty() && self.additional_properties.is_none())
    }
}

/// What a value's type is called: by its definition, or by a name it has in Go only.
#[derive(Clone, Copy, Default)]
struct Named<'a> {
    definition: Option<&'a str>,
    go_type: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn of(self, schema: &'a Schema) -> Self {
        Self {
            definition: schema.definition_name().or(self.definition),
            go_type: schema.go_type.as_deref().or(self.go_type),
        }
    }

    /// What the items of a list, or the values of a map, are called: of `[]v1.Verb`, `v1.Verb`.
    fn inner(self) -> Self {
        let inner =
            self.go_type.and_then(|name| name.strip_prefix("[]").or(name.split_once(']').map(|(_, inner)| inner)));
        Self { definition: None, go_type: inner.filter(|name| name.contains('.')) }
    }
}

/// Where the decoder is: the type that holds the last field, and the names of the fields so far.
struct Walk<'a> {
    schemas: &'a Schemas,
    owner: &'a str,
    path: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    /// Checks a value against a schema, whose type is called as its referrer says.
    fn check(&mut self, schema: &'a Schema, named: Named<'a>, value: &'a Value, depth: usize) -> Result<(), String> {
        let named = named.of(schema);
        let schema = self.schemas.resolve(schema);
        if value.is_null() || depth > DEPTH_MAX {
            return Ok(());
        }
        if named.definition == Some(QUANTITY) {
            return check_quantity(value);
        }
        match (schema.kind.as_deref(), schema.format.as_deref(), value) {
            (_, Some("int-or-string"), Value::String(_)) => Ok(()),
            (_, Some("int-or-string"), Value::Number(number))
                if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) =>
            {
                Ok(())
            }
            (_, Some("int-or-string"), value) => {
                let message = format!("json: cannot unmarshal {} into Go value of type int32", describe(value, true));
                Err(message)
            }
            (Some("string"), Some("date-time"), Value::String(text)) => check_time(text),
            (Some("string"), Some("byte"), Value::String(text)) => check_base64(text),
            (Some("string"), _, Value::String(_))
            | (Some("boolean"), _, Value::Bool(_))
            | (Some("number"), _, Value::Number(_)) => Ok(()),
            (Some("integer"), format, Value::Number(number)) => match number.as_i64() {
                Some(integer) if format != Some("int32") || i32::try_from(integer).is_ok() => Ok(()),
                _ => Err(self.mismatch(schema, named, value)),
            },
            (Some("array"), _, Value::Array(items)) => {
                let Some(item) = schema.items.as_deref() else { return Ok(()) };
                items.iter().try_for_each(|value| self.check(item, named.inner(), value, depth + 1))
            }
            (Some("object"), _, Value::Object(fields)) => {
                for (name, value) in fields {
                    if let Some(field) = schema.properties.get(name) {
                        let owner = std::mem::replace(&mut self.owner, named.definition.map_or("", short_name));
                        self.path.push(name);
                        self.check(field, Named::default(), value, depth + 1)?;
                        self.path.pop();
                        self.owner = owner;
                    } else if let Some(values) = schema.additional_properties.as_deref() {
                        self.check(values, named.inner(), value, depth + 1)?;
                    }
                }
                Ok(())
            }
            (None, ..) => Ok(()),
            _ => Err(self.mismatch(schema, named, value)),
        }
    }

    fn mismatch(&self, schema: &Schema, named: Named<'_>, value: &Value) -> String {
        let value = describe(value, schema.kind.as_deref() == Some("integer"));
        let target = self.go_type(schema, named);
        match self.path.is_empty() {
            true => format!("json: cannot unmarshal {value} into Go value of type {target}"),
            false => {
                let (owner, path) = (self.owner, self.path.join("."));
                format!("json: cannot unmarshal {value} into Go struct field {owner}.{path} of type {target}")
            }
        }
    }

    fn go_type(&self, schema: &Schema, named: Named<'_>) -> String {
        if let Some(name) = named.go_type {
            return name.to_owned();
        }
        let inner = |schema: &Option<Box<Schema>>| match schema.as_deref() {
            Some(inner) => self.go_type(self.schemas.resolve(inner), Named::default().of(inner)),
            None => "interface {}".into(),
        };
        match (schema.kind.as_deref(), schema.format.as_deref(), named.definition) {
            (Some("integer"), Some("int32"), _) => "int32".into(),
            (Some("integer"), ..) => "int64".into(),
            (Some("number"), ..) => "float64".into(),
            (Some("boolean"), ..) => "bool".into(),
            (Some("array"), ..) => format!("[]{}", inner(&schema.items)),
            (Some("string"), Some("byte"), _) => "[]uint8".into(),
            (_, _, Some(name)) => {
                let package = name.rsplit('.').nth(1).unwrap_or("v1");
                format!("{package}.{}", short_name(name))
            }
            (Some("object"), ..) => format!("map[string]{}", inner(&schema.additional_properties)),
            _ => "string".into(),
        }
    }
}

/// `PodSpec` of `io.k8s.api.core.v1.PodSpec`.
fn short_name(definition: &str) -> &str {
    definition.rsplit('.').next().unwrap_or(definition)
}

/// A value as Go's decoder names it; numbers that do not fit integers are shown.
fn describe(value: &Value, integer: bool) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) => "bool".into(),
        Value::Number(number) if integer => format!("number {number}"),
        Value::Number(_) => "number".into(),
        Value::String(_) => "string".into(),
        Value::Array(_) => "array".into(),
        Value::Object(_) => "object".into(),
    }
}

fn check_quantity(value: &Value) -> Result<(), String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        value => value.to_string(),
    };
    Quantity::parse(&text).map(|_| ()).map_err(|error| error.to_string())
}

fn check_time(text: &str) -> Result<(), String> {
    match text.parse::<jiff::Timestamp>() {
        Ok(_) => Ok(()),
        Err(_) => {
            let text = go::quote(text);
            Err(format!("parsing time {text} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text} as \"2006\""))
        }
    }
}

fn check_base64(text: &str) -> Result<(), String> {
    use base64::DecodeError::{InvalidByte, InvalidLastSymbol, InvalidLength, InvalidPadding};
    use base64::Engine as _;
    let text: String = text.chars().filter(|c| is_base64(*c)).collect();
    base64::engine::general_purpose::STANDARD.decode(&text).map(|_| ()).map_err(|error| {
        let at = match error {
            InvalidByte(at, _) | InvalidLastSymbol(at, _) => at,
            InvalidLength(_) | InvalidPadding => text.len(),
        };
        format!("illegal base64 data at input byte {at}")
    })
}

/// 400 for an object that cannot be decoded: `Deployment in version "v1" cannot be handled as a
/// Deployment: …`.
pub fn decode_error(kind: &GroupVersionKind, error: impl std::fmt::Display) -> ApiError {
    let GroupVersionKind { version, kind, .. } = kind;
    ApiError::bad_request(format!("{kind} in version {} cannot be handled as a {kind}: {error}", go::quote(version)))
}

/// 400 of strict field validation, all problems at once. The list holds `unknown field "…"` and
/// `duplicate field "…"`.
pub fn strict_error(kind: &GroupVersionKind, problems: &[String]) -> ApiError {
    decode_error(kind, format!("strict decoding error: {}", problems.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::super::{type_mismatch, unknown_fields};
    use super::*;
    use serde_json::json;

    fn deployment() -> GroupVersionKind {
        GroupVersionKind::from_api_version("apps/v1", "Deployment")
    }

    #[test]
    fn unknown_fields_are_named_by_path() {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"any": "thing"}, "nam": 1},
            "spec": {"replica": 1, "template": {"spec": {"containers": [{"name": "a", "imagePullpolicy": "x"}], "imagePullPolicy": "y"}}},
        });
        assert_eq!(
            unknown_fields(&deployment(), &object),
            [
                "unknown field \"metadata.nam\"",
                "unknown field \"spec.replica\"",
                "unknown field \"spec.template.spec.containers[0].imagePullpolicy\"",
                "unknown field \"spec.template.spec.imagePullPolicy\"",
            ]
        );
    }

    #[test]
    fn what_is_empty_is_left_out_as_go_does() {
        let mut object = json!({
            "metadata": {"labels": {}, "annotations": {"a": ""}, "finalizers": []},
            "spec": {"template": {"spec": {
                "containers": [{"name": "a", "env": [], "securityContext": {}, "resources": {"limits": {}}}],
                "volumes": [{"name": "v", "emptyDir": {}}],
                "tolerations": [],
            }}},
        });
        super::super::builtin().drop_empty(super::super::builtin().get(&deployment()).unwrap(), &mut object);
        let expected = json!({
            "metadata": {"annotations": {"a": ""}},
            "spec": {"template": {"spec": {
                "containers": [{"name": "a", "securityContext": {}, "resources": {}}],
                "volumes": [{"name": "v", "emptyDir": {}}],
            }}},
        });
        assert_eq!(object, expected);
    }

    #[test]
    fn mismatches_read_as_gos() {
        let cases = [
            (
                json!({"spec": {"replicas": "three"}}),
                "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                json!({"spec": {"replicas": 1.5}}),
                "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
            ),
            (
                json!({"metadata": {"labels": {"a": true}}}),
                "json: cannot unmarshal bool into Go struct field ObjectMeta.metadata.labels of type string",
            ),
            (
                json!({"spec": {"template": {"spec": {"containers": [{"env": [{"name": "A", "value": 1}]}]}}}}),
                "json: cannot unmarshal number into Go struct field EnvVar.spec.template.spec.containers.env.value of type string",
            ),
            (
                json!({"spec": {"template": {"spec": {"containers": {}}}}}),
                "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container",
            ),
            (
                json!({"spec": "x"}),
                "json: cannot unmarshal string into Go struct field Deployment.spec of type v1.DeploymentSpec",
            ),
            (
                json!({"metadata": {"labels": []}}),
                "json: cannot unmarshal array into Go struct field ObjectMeta.metadata.labels of type map[string]string",
            ),
            (
                json!({"spec": {"template": {"spec": {"containers": [{"imagePullPolicy": true}]}}}}),
                "json: cannot unmarshal bool into Go struct field Container.spec.template.spec.containers.imagePullPolicy of type v1.PullPolicy",
            ),
            (
                json!({"metadata": {"finalizers": [1]}}),
                "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.finalizers of type string",
            ),
            (json!([]), "json: cannot unmarshal array into Go value of type v1.Deployment"),
            (
                json!({"spec": {"template": {"spec": {"containers": [{"resources": {"limits": {"cpu": "lots"}}}]}}}}),
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            ),
        ];
        for (object, message) in cases {
            assert_eq!(type_mismatch(&deployment(), &object).as_deref(), Some(message));
        }
        let fine = json!({"spec": {"replicas": null, "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}}}});
        assert_eq!(type_mismatch(&deployment(), &fine), None);
    }
}
