//! Patches: applied as the API server does, made as kubectl does.
//!
//! - [`json`]: RFC 6902.
//! - [`merge`]: RFC 7386; [`merge_diff`] and [`merge_three_way`] make them.
//! - [`Strategic`]: Kubernetes' own, which merges lists by key as the [`schema`](crate::schema) says.

mod merging;
mod strategic;

use json_patch::PatchOperation;
use serde::Deserialize;
use serde_json::Value;

pub use merging::{merge, merge_diff, merge_three_way};
pub use strategic::Strategic;

/// A patch that cannot be read, or does not fit the object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatchError(pub String);

/// Operations in a JSON patch, as upstream limits them.
pub const JSON_OPERATIONS_MAX: usize = 10_000;
/// Bytes that the `copy` operations of a JSON patch may add up to, as upstream limits them.
const COPIED_BYTES_MAX: usize = 3 << 20;
/// Levels that a JSON patch may nest to: as many as JSON is decoded with.
const DEPTH_MAX: usize = 127;

/// Applies a JSON patch (RFC 6902): a list of operations, all of them or none.
///
/// # Errors
/// When the patch is no list of operations, one of them fails, or they make too much of little.
pub fn json(target: &Value, patch: &Value) -> Result<Value, PatchError> {
    let error = |error: &dyn std::fmt::Display| PatchError(error.to_string());
    let operations = json_patch::Patch::deserialize(patch).map_err(|e| error(&e))?;
    if operations.len() > JSON_OPERATIONS_MAX {
        return Err(PatchError(format!(
            "The allowed maximum operations in a JSON patch is {JSON_OPERATIONS_MAX}, got {}",
            operations.len()
        )));
    }
    let mut patched = target.clone();
    let mut copied_bytes = 0;
    for operation in operations.iter() {
        let (path, added) = match operation {
            PatchOperation::Add(add) => (&add.path, Some(&add.value)),
            PatchOperation::Replace(replace) => (&replace.path, Some(&replace.value)),
            PatchOperation::Move(moved) => (&moved.path, patched.pointer(moved.from.as_str())),
            PatchOperation::Copy(copy) => {
                let copied = patched.pointer(copy.from.as_str());
                copied_bytes += copied.map_or(0, |value| value.to_string().len());
                (&copy.path, copied)
            }
            PatchOperation::Remove(remove) => (&remove.path, None),
            PatchOperation::Test(test) => (&test.path, None),
        };
        if copied_bytes > COPIED_BYTES_MAX {
            return Err(PatchError(format!(
                "Unable to complete the copy, the accumulated size increase of copy is {copied_bytes}, exceeding the limit {COPIED_BYTES_MAX}"
            )));
        }
        if path.tokens().count() + added.map_or(0, depth) > DEPTH_MAX {
            return Err(PatchError(format!("exceeded max depth of {DEPTH_MAX}")));
        }
        json_patch::patch(&mut patched, std::slice::from_ref(operation)).map_err(|e| error(&e))?;
    }
    Ok(patched)
}

/// How many collections are in each other.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json as value;

    #[test]
    fn json_patches_are_all_or_nothing() {
        let target = value!({"a": {"b": [1, 2]}});
        let patch = value!([{"op": "test", "path": "/a/b/0", "value": 1}, {"op": "add", "path": "/a/b/-", "value": 3}]);
        assert_eq!(json(&target, &patch), Ok(value!({"a": {"b": [1, 2, 3]}})));
        assert!(json(&target, &value!([{"op": "remove", "path": "/x"}])).is_err());
        assert!(json(&target, &value!({"op": "remove"})).is_err());
    }

    #[test]
    fn json_patches_cannot_explode() {
        let copies: Vec<_> =
            (0..60).map(|at| value!({"op": "copy", "from": "/a", "path": format!("/a/{at}")})).collect();
        let error = json(&value!({"a": {"text": "x".repeat(100)}}), &Value::Array(copies)).unwrap_err();
        assert!(error.to_string().contains("exceed"), "{error}");
        let deeper: Vec<_> =
            (0..200).map(|depth| value!({"op": "add", "path": "/a".repeat(depth + 1), "value": {}})).collect();
        assert_eq!(json(&value!({}), &Value::Array(deeper)).unwrap_err().to_string(), "exceeded max depth of 127");
    }
}
