//! `patch`: JSON patch, merge patch, strategic merge patch.

use http::StatusCode;
use machinery::patch::{self, JSON_OPERATIONS_MAX, Strategic};
use machinery::sort::Order;
use machinery::wire::Response;
use machinery::{ApiError, GroupVersionKind};
use serde_json::Value;

use crate::call::{Call, Result, invalid_options};
use crate::codec::{Payload, decode_value};
use crate::negotiate::content_type;
use crate::storage::{self, wire_value};
use crate::strict::{Source, json_patch_problems, json_problems};
use crate::{read, update};

/// How often a patch is applied again because the object changed under it, as upstream.
const ATTEMPTS: usize = 5;

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// The media type of server-side apply.
pub(crate) const APPLY: &str = "application/apply-patch+yaml";

/// Answers `PATCH` of an object or its status.
pub(crate) fn patch(call: &mut Call, payload: &Payload) -> Result<Response> {
    if content_type(&call.headers) == APPLY {
        return crate::apply::apply(call, payload);
    }
    if call.info.query.has("force") {
        let message = "Forbidden: may not be specified for non-apply patch";
        return Err(invalid_options("force", message, "FieldValueForbidden", "PatchOptions"));
    }
    let row = call.row;
    let warnings = call.warnings.clone();
    let is_strategic = content_type(&call.headers) == STRATEGIC;
    for _ in 0..ATTEMPTS {
        let key = call.key();
        let kv = call.server.store().get(&key).ok_or_else(|| call.not_found())?;
        let old = storage::stored(&kv);
        let before = wire_value(row, &old)?;
        let patched = apply(call, payload, before.clone(), &row.gvk())?;
        let asks_revision = patched.pointer("/metadata/resourceVersion") != before.pointer("/metadata/resourceVersion");
        call.warnings.clone_from(&warnings);
        // As upstream, a strategic patch is shown itself, of the others what they make.
        let made = machinery::go::json(&patched);
        let shown = || if is_strategic { go_map(payload) } else { made.clone() };
        let object = decode_value(call, patched, Source::Patch(problems(call, payload), &shown))?;
        update::check_identity(call, &*object)?;
        match update::replace(call, object, &kv)? {
            Some(stored) => {
                let stored = storage::to_wire(row, stored);
                return read::answer(call, StatusCode::OK, stored);
            }
            None if asks_revision => break,
            None => {}
        }
    }
    Err(ApiError::modified(&call.resource(), &call.info.name))
}

/// Refuses a patch of a kind that there is not.
///
/// # Errors
/// 415, whatever is patched.
pub(crate) fn check_content_type(call: &Call) -> Result<()> {
    if matches!(content_type(&call.headers), JSON | MERGE | STRATEGIC | APPLY) {
        return Ok(());
    }
    Err(ApiError::unsupported_media_type(&[JSON, MERGE, STRATEGIC, APPLY]))
}

/// A patch as Go's `%+v` writes its map.
fn go_map(payload: &Payload) -> String {
    fn write(value: &Value) -> String {
        match value {
            Value::Null => "<nil>".into(),
            Value::String(text) => text.clone(),
            Value::Array(items) => format!("[{}]", items.iter().map(write).collect::<Vec<_>>().join(" ")),
            Value::Object(fields) => {
                let mut fields: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name}:{}", write(value))).collect();
                fields.order();
                format!("map[{}]", fields.join(" "))
            }
            other => other.to_string(),
        }
    }
    let Payload::Bytes(bytes) = payload else { return String::new() };
    write(&serde_json::from_slice(bytes).unwrap_or_default())
}

/// What Go's decoder calls a value.
pub(crate) fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    }
}

/// A JSON patch is a list of operations, and not too many.
fn check_operations(patch: &Value) -> Result<()> {
    let mismatch = |value: &Value, list: &str| {
        let name = json_type(value);
        let go_type = format!("{list}handlers.jsonPatchOp");
        ApiError::bad_request(format!(
            "error decoding patch: json: cannot unmarshal {name} into Go value of type {go_type}"
        ))
    };
    let Value::Array(operations) = patch else { return Err(mismatch(patch, "[]")) };
    if let Some(other) = operations.iter().find(|operation| !operation.is_object()) {
        return Err(mismatch(other, ""));
    }
    if operations.len() > JSON_OPERATIONS_MAX {
        let count = operations.len();
        let message = format!("The allowed maximum operations in a JSON patch is {JSON_OPERATIONS_MAX}, got {count}");
        return Err(ApiError::too_large(message));
    }
    Ok(())
}

/// What strict decoding finds in the patch itself.
fn problems(call: &Call, payload: &Payload) -> Vec<String> {
    match payload {
        Payload::Bytes(bytes) if content_type(&call.headers) == JSON => json_patch_problems(bytes),
        Payload::Bytes(bytes) => json_problems(bytes, None),
        Payload::Object(_) => Vec::new(),
    }
}

/// Applies the request's patch to an object in its wire form.
pub(crate) fn apply(call: &Call, payload: &Payload, target: Value, kind: &GroupVersionKind) -> Result<Value> {
    let Payload::Bytes(bytes) = payload else { return Err(ApiError::bad_request("a patch must be given as bytes")) };
    let given = content_type(&call.headers);
    // Upstream says so of a strategic patch without that it is one.
    let context = if given == STRATEGIC { "" } else { "error decoding patch: " };
    let patch = machinery::json::decode(bytes)
        .map_err(|error| ApiError::bad_request(format!("{context}{}", error.message)))?
        .value;
    if given == JSON {
        check_operations(&patch)?;
    } else if !patch.is_object() {
        let name = json_type(&patch);
        let message = format!("{context}json: cannot unmarshal {name} into Go value of type map[string]interface {{}}");
        return Err(ApiError::bad_request(message));
    }
    match given {
        // Upstream does not say what failed: NewGenericServerResponse with no cause.
        JSON => patch::json(&target, &patch).map_err(|_| {
            ApiError::new(422, "Invalid", "the server rejected our request due to an error in our request")
        }),
        MERGE => Ok(patch::merge(&target, &patch)),
        _ => match Strategic::for_kind(kind) {
            Some(strategic) => strategic.apply(&target, &patch).map_err(|error| ApiError::bad_request(error.0)),
            None => Err(ApiError::unsupported_media_type(&[JSON, MERGE, APPLY])),
        },
    }
}
