//! Makes the patch from one object to another.

use crate::sort::Order;
use serde_json::{Value, json};

use super::lists::{by_text, holds_maps, identity, position, sort_like};
use super::{DELETE_FROM_PRIMITIVE_LIST, Field, Object, PATCH, PatchError, RETAIN_KEYS, SET_ELEMENT_ORDER, Strategic};

/// Which differences a patch is to hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Everything,
    /// Additions and changes.
    Changes,
    /// What is gone.
    Deletions,
}

impl Scope {
    fn changes(self) -> bool {
        self != Self::Deletions
    }

    fn deletions(self) -> bool {
        self != Self::Changes
    }
}

impl Strategic<'_> {
    pub(super) fn diff_maps(
        &self,
        original: &Object,
        modified: &Object,
        scope: Scope,
        retain_keys: bool,
    ) -> Result<Object, PatchError> {
        let mut patch = Object::new();
        for (key, after) in modified {
            match (original.get(key), after) {
                (None, after) if scope.changes() => {
                    patch.insert(key.clone(), after.clone());
                }
                (Some(Value::Object(before)), Value::Object(after)) => {
                    self.diff_field_maps(key, before, after, scope, &mut patch)?;
                }
                (Some(Value::Array(before)), Value::Array(after)) => {
                    self.diff_field_lists(key, before, after, scope, &mut patch)?;
                }
                (Some(before), after) if scope.changes() && before != after => {
                    patch.insert(key.clone(), after.clone());
                }
                _ => {}
            }
        }
        if scope.deletions() {
            patch.extend(
                original.keys().filter(|key| !modified.contains_key(*key)).map(|key| (key.clone(), Value::Null)),
            );
        }
        let kept: Vec<&String> = modified.iter().filter(|(_, value)| !value.is_null()).map(|(key, _)| key).collect();
        let dropped = original.iter().any(|(key, value)| !value.is_null() && !modified.contains_key(key));
        if retain_keys && !kept.is_empty() && (!patch.is_empty() || dropped) {
            patch.insert(RETAIN_KEYS.into(), json!(kept));
        }
        Ok(patch)
    }

    fn diff_field_maps(
        &self,
        key: &str,
        before: &Object,
        after: &Object,
        scope: Scope,
        patch: &mut Object,
    ) -> Result<(), PatchError> {
        let field = self.field(key);
        if field.replace {
            if scope.changes() && before != after {
                patch.insert(key.into(), Value::Object(after.clone()));
            }
            return Ok(());
        }
        let inner = field.inner.diff_maps(before, after, scope, field.retain_keys)?;
        if !inner.is_empty() {
            patch.insert(key.into(), Value::Object(inner));
        }
        Ok(())
    }

    fn diff_field_lists(
        &self,
        key: &str,
        before: &[Value],
        after: &[Value],
        scope: Scope,
        patch: &mut Object,
    ) -> Result<(), PatchError> {
        let field = self.field(key);
        if !field.merge {
            if scope.changes() && before != after {
                patch.insert(key.into(), after.into());
            }
            return Ok(());
        }
        let difference = diff_lists(before, after, &field, scope)?;
        let mut insert = |key: String, items: Vec<Value>| {
            if !items.is_empty() {
                patch.insert(key, Value::Array(items));
            }
        };
        insert(key.into(), difference.items);
        insert(format!("{DELETE_FROM_PRIMITIVE_LIST}{key}"), difference.deleted);
        insert(format!("{SET_ELEMENT_ORDER}{key}"), difference.order);
        Ok(())
    }
}

/// What a patch says of a merged list.
#[derive(Default)]
struct ListDifference {
    /// Items to merge, or to delete by `$patch`.
    items: Vec<Value>,
    /// Scalars to take out.
    deleted: Vec<Value>,
    /// All items by their identity, in their order.
    order: Vec<Value>,
}

fn diff_lists(
    before: &[Value],
    after: &[Value],
    field: &Field<'_>,
    scope: Scope,
) -> Result<ListDifference, PatchError> {
    if before.is_empty() {
        let items = if scope.changes() { after.to_vec() } else { Vec::new() };
        return Ok(ListDifference { items, ..ListDifference::default() });
    }
    match holds_maps(before.iter().chain(after))? {
        true => diff_map_lists(before, after, field, scope),
        false => Ok(diff_scalar_lists(before, after, scope)),
    }
}

fn diff_map_lists(
    before: &[Value],
    after: &[Value],
    field: &Field<'_>,
    scope: Scope,
) -> Result<ListDifference, PatchError> {
    let merge_key = field.merge_key;
    let (mut items, mut deletions) = (Vec::new(), Vec::new());
    let mut same_order = before.len() == after.len();
    for (index, item) in after.iter().enumerate() {
        let name = identity(item, merge_key)?;
        let at = position(before, name, merge_key)?;
        same_order &= at == Some(index);
        match (at.and_then(|at| before.get(at)), item) {
            (Some(Value::Object(before)), Value::Object(after)) => {
                let mut change = field.inner.diff_maps(before, after, scope, field.retain_keys)?;
                if !change.is_empty() {
                    change.insert(merge_key.into(), name.clone());
                    items.push(Value::Object(change));
                }
            }
            (_, item) if scope.changes() => items.push(item.clone()),
            _ => {}
        }
    }
    if scope.deletions() {
        for item in before {
            let name = identity(item, merge_key)?;
            if position(after, name, merge_key)?.is_none() {
                deletions.push(json!({ PATCH: "delete", merge_key: name }));
            }
        }
        deletions.order_by(|a, b| by_text(&a[merge_key], &b[merge_key]));
    }
    items.extend(deletions);
    let ordered = !items.is_empty() || (scope.changes() && !same_order);
    let order = if ordered { after } else { &[] };
    let order = order
        .iter()
        .map(|item| identity(item, merge_key).map(|name| json!({ merge_key: name })))
        .collect::<Result<_, _>>()?;
    Ok(ListDifference { items, deleted: Vec::new(), order })
}

fn diff_scalar_lists(before: &[Value], after: &[Value], scope: Scope) -> ListDifference {
    let mut items: Vec<Value> = Vec::new();
    let mut deleted: Vec<Value> = Vec::new();
    if scope.changes() {
        items.extend(after.iter().filter(|item| !before.contains(item)).cloned());
        let _ = sort_like(&mut items, after, "");
    }
    if scope.deletions() {
        for item in before.iter().filter(|item| !after.contains(item)) {
            if !deleted.contains(item) {
                deleted.push(item.clone());
            }
        }
        deleted.order_by(by_text);
    }
    let ordered = !deleted.is_empty() || (scope.changes() && before != after);
    ListDifference { items, deleted, order: if ordered { after.to_vec() } else { Vec::new() } }
}
