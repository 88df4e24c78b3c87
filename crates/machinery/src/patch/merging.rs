//! JSON merge patches (RFC 7386).

use serde_json::{Map, Value};

use super::PatchError;

/// Applies a merge patch: null removes a field, objects merge, everything else replaces.
pub fn merge(target: &Value, patch: &Value) -> Value {
    let mut merged = target.clone();
    json_patch::merge(&mut merged, patch);
    merged
}

/// The merge patch from one object to another. Nulls in `modified` cannot be expressed and remove.
pub fn merge_diff(original: &Value, modified: &Value) -> Value {
    let (Value::Object(original), Value::Object(modified)) = (original, modified) else {
        return modified.clone();
    };
    let mut patch = Map::new();
    for key in original.keys().filter(|key| !modified.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in modified {
        match original.get(key) {
            Some(before) if before == value => {}
            Some(before @ Value::Object(_)) if value.is_object() => {
                patch.insert(key.clone(), merge_diff(before, value));
            }
            _ => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(patch)
}

/// kubectl apply's patch for kinds without a schema: what `modified` adds to or changes in `current`, and
/// the removal of what it no longer has since `original`.
///
/// # Errors
/// When additions and removals contradict each other.
pub fn merge_three_way(original: &Value, modified: &Value, current: &Value) -> Result<Value, PatchError> {
    let additions = filter_nulls(merge_diff(current, modified), false);
    let deletions = filter_nulls(merge_diff(original, modified), true);
    if conflict(&additions, &deletions) {
        return Err(PatchError(format!(
            "patch:\n{}\nconflicts with changes made from original to current:\n{}\n",
            crate::yaml::emit(&additions),
            crate::yaml::emit(&deletions)
        )));
    }
    Ok(join(deletions, additions))
}

/// Only the nulls of a patch, or everything but them.
fn filter_nulls(patch: Value, keep: bool) -> Value {
    let Value::Object(fields) = patch else { return patch };
    let filtered = fields.into_iter().filter_map(|(key, value)| match value {
        Value::Null => keep.then_some((key, Value::Null)),
        Value::Object(inner) if inner.is_empty() => (!keep).then_some((key, Value::Object(inner))),
        value @ Value::Object(_) => match filter_nulls(value, keep) {
            Value::Object(inner) if inner.is_empty() => None,
            inner => Some((key, inner)),
        },
        value => (!keep).then_some((key, value)),
    });
    Value::Object(filtered.collect())
}

/// Whether two patches say different things about the same field.
fn conflict(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            a.iter().any(|(key, value)| b.get(key).is_some_and(|other| conflict(value, other)))
        }
        (a, b) => a != b,
    }
}

/// Two patches as one, nulls kept.
fn join(a: Value, b: Value) -> Value {
    match (a, b) {
        (Value::Object(mut a), Value::Object(b)) => {
            for (key, value) in b {
                let joined = match a.remove(&key) {
                    Some(before) => join(before, value),
                    None => value,
                };
                a.insert(key, joined);
            }
            Value::Object(a)
        }
        (_, b) => b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn three_ways_meet() {
        let original = json!({"spec": {"a": 1, "gone": 1}});
        let modified = json!({"spec": {"a": 2, "new": {}}});
        let current = json!({"spec": {"a": 1, "gone": 1, "theirs": 1}, "status": {}});
        let patch = merge_three_way(&original, &modified, &current).unwrap();
        assert_eq!(patch, json!({"spec": {"a": 2, "gone": null, "new": {}}}));
        assert_eq!(merge(&current, &patch), json!({"spec": {"a": 2, "new": {}, "theirs": 1}, "status": {}}));
    }
}
