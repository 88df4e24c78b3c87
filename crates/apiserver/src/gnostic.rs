//! OpenAPI documents as protobuf, in gnostic's messages: of the second version, kubectl asks for nothing
//! else. The tables have the field numbers of gnostic's `OpenAPIv2.proto` and `OpenAPIv3.proto`, of what our
//! documents contain.

use bytes::Bytes;
use serde_json::Value;

use crate::protobuf_fields::{put, varint};

/// The media type of the second version, and how older clients spell it.
pub(crate) const V2_MEDIA_TYPES: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
];
/// The same of the third.
pub(crate) const V3_MEDIA_TYPES: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v3.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v3@v1.0+protobuf",
];

/// A message: the fields by their JSON names, and the number under which members `x-…` go.
struct Message {
    fields: &'static [Field],
    extensions: u64,
}

/// JSON name, number, what a value is, how many there are, and the messages of one field around each
/// value, by that field's number, the innermost first.
type Field = (&'static str, u64, Form, Shape, &'static [u64]);

#[derive(Clone, Copy)]
enum Form {
    Text,
    Flag,
    /// Any value, as YAML text.
    Any,
    Message(&'static Message),
    /// A message, or a reference to one: each has its field.
    Either(&'static Message),
    /// A number, a flag or a text, each in a field of its own; nothing for other values.
    Default,
}

#[derive(Clone, Copy)]
enum Shape {
    One,
    List,
    /// A message whose field of this number holds pairs of name and value.
    Map(u64),
}

use Form::{Any, Flag, Text};
use Shape::{List, Map, One};

static V2: Message = Message {
    fields: &[
        ("swagger", 1, Text, One, &[]),
        ("info", 2, Form::Message(&INFO), One, &[]),
        ("paths", 8, Form::Message(&PATH), Map(2), &[]),
        ("definitions", 9, Form::Message(&SCHEMA), Map(1), &[]),
    ],
    extensions: 16,
};

static INFO: Message =
    Message { fields: &[("title", 1, Text, One, &[]), ("version", 2, Text, One, &[])], extensions: 7 };

static PATH: Message = Message {
    fields: &[
        ("get", 2, Form::Message(&OPERATION), One, &[]),
        ("put", 3, Form::Message(&OPERATION), One, &[]),
        ("post", 4, Form::Message(&OPERATION), One, &[]),
        ("delete", 5, Form::Message(&OPERATION), One, &[]),
        ("patch", 8, Form::Message(&OPERATION), One, &[]),
    ],
    extensions: 10,
};

static OPERATION: Message = Message {
    fields: &[
        ("operationId", 5, Text, One, &[]),
        // All are query parameters: of the parameters without a body, the third kind.
        ("parameters", 8, Form::Message(&PARAMETER), List, &[3, 2, 1]),
        ("responses", 9, Form::Message(&RESPONSE), Map(1), &[1]),
    ],
    extensions: 13,
};

static PARAMETER: Message = Message {
    fields: &[
        ("in", 2, Text, One, &[]),
        ("name", 4, Text, One, &[]),
        ("type", 6, Text, One, &[]),
        ("uniqueItems", 20, Flag, One, &[]),
    ],
    extensions: 23,
};

static RESPONSE: Message = Message { fields: &[("description", 1, Text, One, &[])], extensions: 5 };

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Text, One, &[]),
        ("format", 2, Text, One, &[]),
        ("description", 4, Text, One, &[]),
        ("default", 5, Any, One, &[]),
        ("required", 19, Text, List, &[]),
        ("enum", 20, Any, List, &[]),
        ("additionalProperties", 21, Form::Message(&SCHEMA), One, &[1]),
        ("type", 22, Text, One, &[1]),
        ("items", 23, Form::Message(&SCHEMA), One, &[1]),
        ("allOf", 24, Form::Message(&SCHEMA), List, &[]),
        ("properties", 25, Form::Message(&SCHEMA), Map(1), &[]),
    ],
    extensions: 31,
};

static V3: Message = Message {
    fields: &[
        ("openapi", 1, Text, One, &[]),
        ("info", 2, Form::Message(&V3_INFO), One, &[]),
        ("paths", 4, Form::Message(&V3_PATH), Map(1), &[]),
        ("components", 5, Form::Message(&V3_COMPONENTS), One, &[]),
    ],
    extensions: 9,
};

static V3_INFO: Message =
    Message { fields: &[("title", 1, Text, One, &[]), ("version", 6, Text, One, &[])], extensions: 7 };

static V3_COMPONENTS: Message =
    Message { fields: &[("schemas", 1, Form::Either(&V3_SCHEMA), Map(1), &[])], extensions: 10 };

static V3_PATH: Message = Message {
    fields: &[
        ("get", 4, Form::Message(&V3_OPERATION), One, &[]),
        ("put", 5, Form::Message(&V3_OPERATION), One, &[]),
        ("post", 6, Form::Message(&V3_OPERATION), One, &[]),
        ("delete", 7, Form::Message(&V3_OPERATION), One, &[]),
        ("patch", 10, Form::Message(&V3_OPERATION), One, &[]),
    ],
    extensions: 14,
};

static V3_OPERATION: Message = Message {
    fields: &[
        ("operationId", 5, Text, One, &[]),
        ("parameters", 6, Form::Either(&V3_PARAMETER), List, &[]),
        ("responses", 8, Form::Either(&RESPONSE), Map(2), &[]),
    ],
    extensions: 13,
};

static V3_PARAMETER: Message = Message {
    fields: &[
        ("name", 1, Text, One, &[]),
        ("in", 2, Text, One, &[]),
        ("schema", 10, Form::Either(&V3_SCHEMA), One, &[]),
    ],
    extensions: 14,
};

static V3_SCHEMA: Message = Message {
    fields: &[
        ("uniqueItems", 20, Flag, One, &[]),
        ("required", 23, Text, List, &[]),
        ("enum", 24, Any, List, &[]),
        ("type", 25, Text, One, &[]),
        ("allOf", 26, Form::Either(&V3_SCHEMA), List, &[]),
        ("oneOf", 27, Form::Either(&V3_SCHEMA), List, &[]),
        ("items", 30, Form::Either(&V3_SCHEMA), One, &[1]),
        ("properties", 31, Form::Either(&V3_SCHEMA), Map(1), &[]),
        ("additionalProperties", 32, Form::Either(&V3_SCHEMA), One, &[1]),
        ("default", 33, Form::Default, One, &[]),
        ("description", 34, Text, One, &[]),
        ("format", 35, Text, One, &[]),
    ],
    extensions: 36,
};

/// A document of the second version as protobuf.
pub(crate) fn encode_v2(document: &Value) -> Bytes {
    message(&V2, document).into()
}

/// A document of the third.
pub(crate) fn encode_v3(document: &Value) -> Bytes {
    message(&V3, document).into()
}

fn message(table: &Message, value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        if name.starts_with("x-") {
            put(&mut out, table.extensions, &named(name, &any(value)));
        }
        let Some((_, number, form, shape, around)) = table.fields.iter().find(|field| field.0 == name) else {
            continue;
        };
        match shape {
            One => member(&mut out, *number, *form, value, around),
            List => {
                value.as_array().into_iter().flatten().for_each(|item| member(&mut out, *number, *form, item, around));
            }
            Map(pairs) => {
                let mut map = Vec::new();
                for (key, value) in value.as_object().into_iter().flatten() {
                    put(&mut map, *pairs, &named(key, &wrapped(bytes(*form, value), around)));
                }
                put(&mut out, *number, &map);
            }
        }
    }
    out
}

fn member(out: &mut Vec<u8>, number: u64, form: Form, value: &Value, around: &[u64]) {
    match form {
        Flag if value == true => {
            varint(out, number << 3);
            out.push(1);
        }
        Flag => {}
        Form::Default if value.is_object() || value.is_array() => {}
        _ => put(out, number, &wrapped(bytes(form, value), around)),
    }
}

fn bytes(form: Form, value: &Value) -> Vec<u8> {
    match form {
        Text | Flag => value.as_str().unwrap_or_default().into(),
        Any => any(value),
        Form::Message(table) => message(table, value),
        Form::Either(table) => match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => field(2, &field(1, reference.as_bytes())),
            None => field(1, &message(table, value)),
        },
        Form::Default => match value {
            Value::Bool(flag) => vec![2 << 3, u8::from(*flag)],
            Value::String(text) => field(3, text.as_bytes()),
            number => [&[1 << 3 | 1][..], &number.as_f64().unwrap_or_default().to_le_bytes()].concat(),
        },
    }
}

/// A message of one field.
fn field(number: u64, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 4);
    put(&mut out, number, bytes);
    out
}

fn wrapped(value: Vec<u8>, around: &[u64]) -> Vec<u8> {
    around.iter().fold(value, |value, number| field(*number, &value))
}

/// JSON is YAML.
fn any(value: &Value) -> Vec<u8> {
    field(2, value.to_string().as_bytes())
}

fn named(name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, 1, name.as_bytes());
    put(&mut out, 2, value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_have_gnostics_numbers() {
        let document = json!({"swagger": "2.0", "definitions": {"A": {"type": "object", "x-y": "z"}}});
        let schema = [&b"\xb2\x01\x08\x0a\x06object"[..], b"\xfa\x01\x0c\x0a\x03x-y\x12\x05\x12\x03\"z\""].concat();
        let named = [&b"\x0a\x01A\x12"[..], &[schema.len() as u8], &schema].concat();
        let definitions = [&b"\x0a"[..], &[named.len() as u8], &named].concat();
        let expected = [&b"\x4a"[..], &[definitions.len() as u8], &definitions, b"\x0a\x032.0"].concat();
        assert_eq!(encode_v2(&document), expected);

        let reference = json!({"openapi": "3.0.0", "components": {"schemas": {"A": {"items": {"$ref": "#/B"}}, "B": {"default": true}}}});
        let items = b"\xf2\x01\x09\x0a\x07\x12\x05\x0a\x03#/B";
        let a = [&b"\x0a\x01A\x12\x0e\x0a\x0c"[..], items].concat();
        let b = b"\x0a\x01B\x12\x07\x0a\x05\x8a\x02\x02\x10\x01";
        let schemas = [&[0x0a, a.len() as u8], &a[..], &[0x0a, b.len() as u8], b].concat();
        let components = [&[0x0a, schemas.len() as u8], &schemas[..]].concat();
        let expected = [&[0x2a, components.len() as u8], &components[..], b"\x0a\x053.0.0"].concat();
        assert_eq!(encode_v3(&reference), expected);
    }
}
