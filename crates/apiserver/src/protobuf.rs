//! Kubernetes' protobuf bodies, which client-go's typed clients write and like best: how they are read
//! (and in `write`, how they are written).
//!
//! `data/protobuf.txt` has the fields of every message by number, as facts taken from upstream's
//! `generated.proto` files (and from its Go types, which fields are pointers).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use machinery::{GroupVersionKind, Timestamp, schema};
use serde_json::{Map, Value};

mod write;

pub(crate) use write::{MEDIA_TYPE, WATCH_MEDIA_TYPE, encode, encode_list, watch_frame};

/// What every body begins with.
const MAGIC: &[u8] = b"k8s\0";
/// Messages nest no deeper than this.
const DEPTH_MAX: usize = 100;

/// A body that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ProtobufError(&'static str);

const CUT: ProtobufError = ProtobufError("unexpected EOF");
const WRONG: ProtobufError = ProtobufError("proto: wrong wireType");

/// Reads a body: the object it holds, with `apiVersion` and `kind` where it says them.
///
/// # Errors
/// When it is cut, of an unknown kind, or no protobuf at all.
pub(crate) fn decode(body: &[u8], expected: &GroupVersionKind) -> Result<Value, ProtobufError> {
    let rest =
        body.strip_prefix(MAGIC).ok_or(ProtobufError("provided data does not appear to be a protobuf message"))?;
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for field in Fields(rest) {
        match field? {
            (1, Wire::Bytes(type_meta)) => {
                for field in Fields(type_meta) {
                    match field? {
                        (1, Wire::Bytes(text)) => api_version = string(text),
                        (2, Wire::Bytes(text)) => kind = string(text),
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let (api_version, kind) =
        if kind.is_empty() { (expected.api_version(), expected.kind.clone()) } else { (api_version, kind) };
    let message = message_of(&GroupVersionKind::from_api_version(&api_version, &kind))
        .ok_or(ProtobufError("no kind is registered for this protobuf message"))?;
    let mut object = message_value(message, raw, DEPTH_MAX)?;
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.into());
    Ok(Value::Object(object))
}

/// The fields of a message by number: JSON name (empty for a struct whose fields are its parent's) and
/// type.
type Message = BTreeMap<u64, (&'static str, Type)>;

/// A field's type.
struct Type {
    /// Absent is another thing than zero.
    pointer: bool,
    shape: Shape,
    of: &'static str,
}

enum Shape {
    One,
    List,
    Map,
}

static FIELDS: pack::Text = include!(concat!(env!("OUT_DIR"), "/protobuf.rs"));

/// The table of all messages.
fn messages() -> &'static BTreeMap<&'static str, Message> {
    static MESSAGES: OnceLock<BTreeMap<&'static str, Message>> = OnceLock::new();
    MESSAGES.get_or_init(|| {
        let mut messages: BTreeMap<&str, Message> = BTreeMap::new();
        let mut name = "";
        for line in FIELDS.get().lines() {
            let Some(field) = line.strip_prefix(' ') else {
                name = line;
                messages.entry(name).or_default();
                continue;
            };
            let mut parts = field.split(' ');
            let (Some(number), Some(json), Some(of)) = (parts.next(), parts.next(), parts.next()) else { continue };
            let (pointer, of) = of.strip_prefix('*').map_or((false, of), |of| (true, of));
            let (shape, of) = match (of.strip_prefix("[]"), of.strip_prefix("{}")) {
                (Some(of), _) => (Shape::List, of),
                (_, Some(of)) => (Shape::Map, of),
                _ => (Shape::One, of),
            };
            let json = if json == "-" { "" } else { json };
            let number = number.parse().unwrap_or_default();
            messages.entry(name).or_default().insert(number, (json, Type { pointer, shape, of }));
        }
        messages
    })
}

fn message_of(kind: &GroupVersionKind) -> Option<&'static str> {
    let name = match kind.kind.as_str() {
        // They are the same in every group.
        "DeleteOptions" => "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions",
        "Status" => "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
        _ => schema::builtin().name_of(kind)?,
    };
    messages().get_key_value(name).map(|(name, _)| *name)
}

/// A field's value on the wire.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of an encoded message.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Wire<'a>), ProtobufError> {
        let tag = varint(&mut self.0)?;
        let wire = match tag & 7 {
            0 => Wire::Number(varint(&mut self.0)?),
            1 => Wire::Number(u64::from_le_bytes(*self.take_array::<8>()?)),
            5 => Wire::Number(u32::from_le_bytes(*self.take_array::<4>()?).into()),
            2 => {
                let length = usize::try_from(varint(&mut self.0)?).map_err(|_| CUT)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(CUT)?;
                self.0 = rest;
                Wire::Bytes(bytes)
            }
            _ => return Err(WRONG),
        };
        Ok((tag >> 3, wire))
    }

    fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N], ProtobufError> {
        let (bytes, rest) = self.0.split_first_chunk::<N>().ok_or(CUT)?;
        self.0 = rest;
        Ok(bytes)
    }
}

fn varint(bytes: &mut &[u8]) -> Result<u64, ProtobufError> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(CUT)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(ProtobufError("proto: integer overflow"))
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn message_value(name: &str, bytes: &[u8], depth: usize) -> Result<Map<String, Value>, ProtobufError> {
    let mut object = Map::new();
    let depth = depth.checked_sub(1).ok_or(ProtobufError("the message nests too deep"))?;
    let Some(message) = messages().get(name) else { return Ok(object) };
    for field in Fields(bytes) {
        let (number, wire) = field?;
        // Fields of newer clients are ignored, as upstream does.
        let Some((json, kind)) = message.get(&number) else { continue };
        match kind.shape {
            Shape::One if json.is_empty() => {
                if let Wire::Bytes(bytes) = wire {
                    object.extend(message_value(kind.of, bytes, depth)?);
                }
            }
            Shape::One => {
                let value = value(kind.of, wire, depth)?;
                if kind.pointer || !is_zero(&value) {
                    object.insert((*json).into(), value);
                }
            }
            Shape::List => {
                let items = object.entry(*json).or_insert_with(|| Value::Array(Vec::new()));
                let Value::Array(items) = items else { continue };
                match (wire, kind.of) {
                    (Wire::Bytes(mut packed), "i" | "b") => {
                        while !packed.is_empty() {
                            items.push(value(kind.of, Wire::Number(varint(&mut packed)?), depth)?);
                        }
                    }
                    (wire, of) => items.push(value(of, wire, depth)?),
                }
            }
            Shape::Map => {
                let Wire::Bytes(entry) = wire else { return Err(WRONG) };
                let (mut key, mut item) = (String::new(), zero(kind.of));
                for field in Fields(entry) {
                    match field? {
                        (1, Wire::Bytes(text)) => key = string(text),
                        (2, wire) => item = value(kind.of, wire, depth)?,
                        _ => {}
                    }
                }
                let map = object.entry(*json).or_insert_with(|| Value::Object(Map::new()));
                if let Value::Object(map) = map {
                    map.insert(key, item);
                }
            }
        }
    }
    Ok(object)
}

fn zero(of: &str) -> Value {
    match of {
        "s" | "y" => "".into(),
        "W" => Value::Array(Vec::new()),
        _ => Value::Null,
    }
}

/// What Go leaves out of JSON where the field is no pointer.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

fn value(of: &str, wire: Wire<'_>, depth: usize) -> Result<Value, ProtobufError> {
    Ok(match (of, wire) {
        ("s", Wire::Bytes(text)) => string(text).into(),
        ("y", Wire::Bytes(bytes)) => STANDARD.encode(bytes).into(),
        ("i", Wire::Number(number)) => number.cast_signed().into(),
        ("b", Wire::Number(number)) => (number != 0).into(),
        ("d", Wire::Number(number)) => f64::from_bits(number).into(),
        ("W", Wire::Bytes(bytes)) => {
            let mut items = Vec::new();
            for field in Fields(bytes) {
                if let (1, Wire::Bytes(text)) = field? {
                    items.push(string(text).into());
                }
            }
            Value::Array(items)
        }
        (name, Wire::Bytes(bytes)) => match name.rsplit('.').next().unwrap_or_default() {
            kind @ ("Time" | "MicroTime") => time(bytes, kind)?,
            "Quantity" => first_text(bytes)?,
            "IntOrString" => int_or_string(bytes)?,
            "RawExtension" | "FieldsV1" => match first_bytes(bytes)? {
                Some(json) => serde_json::from_slice(json).unwrap_or_default(),
                None => Value::Null,
            },
            "Duration" => {
                let nanos = numbers(bytes)?.get(&1).copied().unwrap_or_default();
                machinery::time::format_duration(std::time::Duration::from_nanos(nanos)).into()
            }
            _ => Value::Object(message_value(name, bytes, depth)?),
        },
        _ => return Err(WRONG),
    })
}

fn numbers(bytes: &[u8]) -> Result<BTreeMap<u64, u64>, ProtobufError> {
    let mut numbers = BTreeMap::new();
    for field in Fields(bytes) {
        if let (field, Wire::Number(number)) = field? {
            numbers.insert(field, number);
        }
    }
    Ok(numbers)
}

fn first_bytes(bytes: &[u8]) -> Result<Option<&[u8]>, ProtobufError> {
    for field in Fields(bytes) {
        if let (1, Wire::Bytes(bytes)) = field? {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}

fn first_text(bytes: &[u8]) -> Result<Value, ProtobufError> {
    Ok(first_bytes(bytes)?.map_or(Value::Null, |text| string(text).into()))
}

/// Seconds and nanoseconds since 1970; a time that is not set has neither.
fn time(bytes: &[u8], kind: &str) -> Result<Value, ProtobufError> {
    let numbers = numbers(bytes)?;
    let number = |field| numbers.get(&field).copied().unwrap_or_default().cast_signed();
    if numbers.is_empty() {
        return Ok(Value::Null);
    }
    let nanos = i32::try_from(number(2)).unwrap_or_default();
    let Ok(time) = Timestamp::new(number(1), nanos) else { return Ok(Value::Null) };
    Ok(match kind {
        "Time" => machinery::time::format_seconds(time),
        _ => machinery::time::format_micros(time),
    }
    .into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_string, mut int, mut text) = (false, 0, String::new());
    for field in Fields(bytes) {
        match field? {
            (1, Wire::Number(kind)) => is_string = kind == 1,
            (2, Wire::Number(number)) => int = number.cast_signed(),
            (3, Wire::Bytes(bytes)) => text = string(bytes),
            _ => {}
        }
    }
    Ok(if is_string { text.into() } else { int.into() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    fn config_map() -> Vec<u8> {
        let type_meta = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
        // As gogo writes it: empty strings and times that are not set are there.
        let metadata = [field(1, b"a"), field(2, b""), field(8, b"")].concat();
        let data = [field(1, b"key"), field(2, b"value")].concat();
        let raw = [field(1, &metadata), field(2, &data)].concat();
        [MAGIC.to_vec(), field(1, &type_meta), field(2, &raw), field(3, b""), field(4, b"")].concat()
    }

    #[test]
    fn a_body_becomes_the_json_it_stands_for() {
        let kind = GroupVersionKind::from_api_version("v1", "ConfigMap");
        let expected =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"key": "value"}});
        assert_eq!(decode(&config_map(), &kind), Ok(expected));
        assert!(decode(b"{}", &kind).is_err());
    }

    proptest! {
        #[test]
        fn anything_is_an_object_or_an_error(cut in 0..200usize, noise: Vec<u8>) {
            let kind = GroupVersionKind::from_api_version("v1", "Pod");
            let mut body = config_map();
            body.truncate(cut);
            body.extend(&noise);
            let _ = decode(&body, &kind);
            let _ = decode(&[MAGIC.to_vec(), field(2, &noise[..noise.len().min(127)])].concat(), &kind);
        }
    }
}
