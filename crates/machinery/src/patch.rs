//! Patches: applied as the API server does, made as kubectl does.
//!
//! - [`json`]: RFC 6902.
//! - [`merge`]: RFC 7386; [`merge_diff`] and [`merge_three_way`] make them.
//! - [`Strategic`]: Kubernetes' own, which merges lists by key as the [`schema`](crate::schema) says.

mod merging;
mod strategic;

use serde_json::Value;

pub use merging::{merge, merge_diff, merge_three_way};
pub use strategic::Strategic;

/// A patch that cannot be read, or does not fit the object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatchError(pub String);

/// Applies a JSON patch (RFC 6902): a list of operations, all of them or none.
///
/// # Errors
/// When the patch is no list of operations, or one of them fails.
pub fn json(target: &Value, patch: &Value) -> Result<Value, PatchError> {
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).map_err(|error| PatchError(error.to_string()))?;
    let mut patched = target.clone();
    json_patch::patch(&mut patched, &operations).map_err(|error| PatchError(error.to_string()))?;
    Ok(patched)
}
