//! Objects, lists and watch events as protobuf, from their JSON. What is absent is left out, where Go's
//! generated code writes zeros: readers see the same.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use machinery::wire::{List, WatchEvent};
use machinery::{GroupVersionKind, Timestamp};
use serde_json::{Map, Value};

use super::{MAGIC, Shape, message_of, messages};
use crate::protobuf_fields::{put, varint};

/// The media type of objects; watches have a parameter besides.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
/// The media type of watches.
pub(crate) const WATCH_MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf;stream=watch";

const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// An object with the envelope that says what it is; `None` for a kind that has no protobuf form.
pub(crate) fn encode(object: &Value) -> Option<Bytes> {
    let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let kind = GroupVersionKind::from_api_version(text("apiVersion"), text("kind"));
    let mut raw = Vec::new();
    match item_kind(&kind) {
        Some(item) => {
            put_part(&mut raw, 1, LIST_META, object.get("metadata"));
            for object in object.get("items").and_then(Value::as_array).into_iter().flatten() {
                put(&mut raw, 2, &of_kind(&item, object)?);
            }
        }
        None => raw = of_kind(&kind, object)?,
    }
    Some(enveloped(&kind.api_version(), &kind.kind, &raw))
}

/// A list, each item read and written by itself.
pub(crate) fn encode_list(list: &List) -> Option<Bytes> {
    let item = item_kind(&GroupVersionKind::from_api_version(&list.api_version, &list.kind))?;
    let mut raw = Vec::new();
    put_part(&mut raw, 1, LIST_META, Some(&Value::Object(list.metadata())));
    for object in &list.items {
        put(&mut raw, 2, &of_kind(&item, &object.value().ok()?)?);
    }
    Some(enveloped(&list.api_version, &list.kind, &raw))
}

/// A frame of a watch: its length, then `meta.v1.WatchEvent`, in which the object has its envelope.
pub(crate) fn watch_frame(event: &WatchEvent) -> Bytes {
    let object = event.object.value().ok().and_then(|object| encode(&object)).unwrap_or_default();
    let mut raw = Vec::with_capacity(object.len() + 8);
    put(&mut raw, 1, &object);
    let mut message = Vec::with_capacity(raw.len() + 24);
    put(&mut message, 1, event.kind.as_str().as_bytes());
    put(&mut message, 2, &raw);
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[..], &message].concat().into()
}

/// The kind of a list's items.
fn item_kind(list: &GroupVersionKind) -> Option<GroupVersionKind> {
    let kind = list.kind.strip_suffix("List")?;
    let item = GroupVersionKind::from_api_version(&list.api_version(), kind);
    (kind == PARTIAL || message_of(&item).is_some()).then_some(item)
}

/// It has the metadata of any kind.
const PARTIAL: &str = "PartialObjectMetadata";

fn of_kind(kind: &GroupVersionKind, object: &Value) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match message_of(kind) {
        Some(name) => message(&mut out, name, object.as_object()?),
        None if kind.kind == PARTIAL => put_part(&mut out, 1, OBJECT_META, object.get("metadata")),
        None => return None,
    }
    Some(out)
}

fn enveloped(api_version: &str, kind: &str, raw: &[u8]) -> Bytes {
    let mut type_meta = Vec::new();
    put(&mut type_meta, 1, api_version.as_bytes());
    put(&mut type_meta, 2, kind.as_bytes());
    let mut out = Vec::with_capacity(raw.len() + type_meta.len() + 24);
    out.extend_from_slice(MAGIC);
    put(&mut out, 1, &type_meta);
    put(&mut out, 2, raw);
    put(&mut out, 3, b"");
    put(&mut out, 4, b"");
    out.into()
}

/// The fields of a message, of a JSON object's members.
fn message(out: &mut Vec<u8>, name: &str, object: &Map<String, Value>) {
    let Some(fields) = messages().get(name) else { return };
    for (number, (json, kind)) in fields {
        if json.is_empty() {
            let mut inline = Vec::new();
            message(&mut inline, kind.of, object);
            put(out, *number, &inline);
            continue;
        }
        let Some(value) = object.get(*json).filter(|value| !value.is_null()) else { continue };
        match kind.shape {
            Shape::One => field(out, *number, kind.of, value),
            Shape::List => {
                value.as_array().into_iter().flatten().for_each(|item| field(out, *number, kind.of, item));
            }
            Shape::Map => {
                for (key, value) in value.as_object().into_iter().flatten() {
                    let mut entry = Vec::new();
                    put(&mut entry, 1, key.as_bytes());
                    field(&mut entry, 2, kind.of, value);
                    put(out, *number, &entry);
                }
            }
        }
    }
}

fn field(out: &mut Vec<u8>, number: u64, of: &str, value: &Value) {
    let text = value.as_str().unwrap_or_default();
    match of {
        "s" => put(out, number, text.as_bytes()),
        "y" => put(out, number, &STANDARD.decode(text).unwrap_or_default()),
        "b" => put_number(out, number, u64::from(value == true)),
        "i" => put_number(out, number, integer(value).cast_unsigned()),
        "d" => {
            varint(out, number << 3 | 1);
            out.extend_from_slice(&value.as_f64().unwrap_or_default().to_le_bytes());
        }
        "W" => {
            let mut items = Vec::new();
            for item in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
                put(&mut items, 1, item.as_bytes());
            }
            put(out, number, &items);
        }
        name => put_part(out, number, name, Some(value)),
    }
}

/// A field that is a message of its own; nothing for what is not there.
fn put_part(out: &mut Vec<u8>, number: u64, name: &str, value: Option<&Value>) {
    let Some(value) = value else { return };
    let text = value.as_str().unwrap_or_default();
    let mut part = Vec::new();
    match name.rsplit('.').next().unwrap_or_default() {
        "Time" | "MicroTime" => {
            if let Ok(time) = text.parse::<Timestamp>() {
                put_number(&mut part, 1, time.as_second().cast_unsigned());
                put_number(&mut part, 2, i64::from(time.subsec_nanosecond()).cast_unsigned());
            }
        }
        "Quantity" if value.is_number() => put(&mut part, 1, value.to_string().as_bytes()),
        "Quantity" => put(&mut part, 1, text.as_bytes()),
        "IntOrString" => {
            put_number(&mut part, 1, u64::from(value.is_string()));
            put_number(&mut part, 2, integer(value).cast_unsigned());
            put(&mut part, 3, text.as_bytes());
        }
        "RawExtension" | "FieldsV1" => put(&mut part, 1, value.to_string().as_bytes()),
        "Duration" => {
            let nanos = machinery::time::parse_duration(text).unwrap_or_default().as_nanos();
            put_number(&mut part, 1, u64::try_from(nanos).unwrap_or_default());
        }
        _ => value.as_object().into_iter().for_each(|object| message(&mut part, name, object)),
    }
    put(out, number, &part);
}

fn integer(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_f64().map(|number| number as i64)).unwrap_or_default()
}

fn put_number(out: &mut Vec<u8>, number: u64, value: u64) {
    varint(out, number << 3);
    varint(out, value);
}

#[cfg(test)]
mod tests {
    use machinery::Encoded;
    use machinery::wire::WatchEventType;
    use serde_json::json;

    use super::super::decode;
    use super::*;

    fn pod() -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": "a",
                "labels": {"app": "a", "empty": ""},
                "creationTimestamp": "2026-11-21T16:00:00Z",
                "managedFields": [{"manager": "m", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}],
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u", "controller": true}]
            },
            "spec": {
                "terminationGracePeriodSeconds": 0,
                "nodeSelector": {"a": "b"},
                "volumes": [{"name": "v", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "s", "defaultMode": 420}}],
                "containers": [{
                    "name": "c",
                    "image": "nginx",
                    "args": ["", "-x"],
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "resources": {"requests": {"cpu": "100m"}},
                    "livenessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 10},
                    "readinessProbe": {"tcpSocket": {"port": 8080}}
                }]
            },
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-11-21T16:00:00Z"}]}
        })
    }

    #[test]
    fn what_is_written_is_read_again() {
        let kind = GroupVersionKind::default();
        let objects = [
            pod(),
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": "AAEC/w=="}}),
            json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 404,
                "details": {"name": "a", "causes": [{"field": "spec"}]}}),
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "spec": {"renewTime": "2026-11-21T16:00:00.123456Z", "leaseTransitions": -1}}),
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
                "status": {"userInfo": {"username": "a", "extra": {"k": ["v", "w"]}}}}),
        ];
        for object in objects {
            let bytes = encode(&object).unwrap();
            assert_eq!(decode(&bytes, &kind), Ok(object));
        }
        assert_eq!(encode(&json!({"apiVersion": "a.b/v1", "kind": "C"})), None);
    }

    #[test]
    fn every_built_in_kind_has_a_message() {
        for row in crate::registry::all() {
            assert!(message_of(&row.gvk()).is_some(), "{}", row.kind);
        }
    }

    #[test]
    fn a_list_is_its_items_and_a_frame_its_object() {
        let bytes = Bytes::from(pod().to_string());
        let list = List {
            api_version: "v1".into(),
            kind: "PodList".into(),
            resource_version: "7".into(),
            continue_token: "c".into(),
            remaining_item_count: Some(2),
            items: vec![Encoded::from_bytes(bytes.clone()); 2],
        };
        let whole = encode(&serde_json::from_slice(&list.to_bytes()).unwrap());
        assert!(whole.is_some());
        assert_eq!(encode_list(&list), whole);
        let object = encode(&pod()).unwrap();
        let frame = watch_frame(&WatchEvent { kind: WatchEventType::Added, object: Encoded::from_bytes(bytes) });
        let (length, message) = frame.split_first_chunk::<4>().unwrap();
        assert_eq!(u32::from_be_bytes(*length) as usize, message.len());
        assert!(message.starts_with(b"\x0a\x05ADDED\x12") && message.ends_with(&object));
    }
}
