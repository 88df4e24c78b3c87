//! Lists whose items are told apart by a merge key, or by their value.

use std::cmp::Ordering;

use serde_json::Value;

use super::{PATCH, PatchError};
use crate::go;
use crate::sort::Order;

/// What tells an item apart: its merge key's value, or itself in lists of scalars (empty merge key).
pub(super) fn identity<'v>(item: &'v Value, merge_key: &str) -> Result<&'v Value, PatchError> {
    if merge_key.is_empty() {
        return Ok(item);
    }
    item.get(merge_key).ok_or_else(|| {
        PatchError(format!("map: {} does not contain declared merge key: {merge_key}", go::display(item)))
    })
}

/// Where the item with an identity is.
pub(super) fn position(items: &[Value], identity_of: &Value, merge_key: &str) -> Result<Option<usize>, PatchError> {
    for (index, item) in items.iter().enumerate() {
        if identity(item, merge_key)? == identity_of {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Whether an item says that it is to be deleted.
pub(super) fn is_deletion(item: &Value) -> bool {
    item.get(PATCH).is_some_and(|directive| directive == "delete")
}

/// Whether the items are maps; mixed lists and lists of lists are errors.
pub(super) fn holds_maps<'v>(items: impl Iterator<Item = &'v Value>) -> Result<bool, PatchError> {
    let mut maps = None;
    for item in items {
        if item.is_array() {
            return Err(PatchError("lists of lists are not supported".into()));
        }
        if maps.is_some_and(|maps| maps != item.is_object()) {
            return Err(PatchError("list element types are not identical".into()));
        }
        maps = Some(item.is_object());
    }
    Ok(maps.unwrap_or(false))
}

/// Items in the order of another list; those it does not have keep their places at the end.
pub(super) fn sort_like(items: &mut [Value], order: &[Value], merge_key: &str) -> Result<(), PatchError> {
    let mut ranked = Vec::with_capacity(items.len());
    for item in items.iter() {
        ranked.push((position(order, identity(item, merge_key)?, merge_key)?.unwrap_or(usize::MAX), item.clone()));
    }
    ranked.order_by_key(|(rank, _)| *rank);
    items.iter_mut().zip(ranked).for_each(|(place, (_, item))| *place = item);
    Ok(())
}

/// Brings a merged list into order: the items the patch names as it orders them, the others as the
/// server has them, each of those before the first patch item that follows it on the server.
pub(super) fn arrange(
    merged: Vec<Value>,
    patch_order: &[Value],
    server_order: &[Value],
    merge_key: &str,
) -> Result<Vec<Value>, PatchError> {
    let (mut named, mut others) = (Vec::new(), Vec::new());
    for item in merged {
        match position(patch_order, identity(&item, merge_key)?, merge_key)? {
            Some(_) => named.push(item),
            None => others.push(item),
        }
    }
    sort_like(&mut named, patch_order, merge_key)?;
    sort_like(&mut others, server_order, merge_key)?;
    let mut arranged = Vec::with_capacity(named.len() + others.len());
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    while let (Some(left), Some(right)) = (others.peek(), named.peek()) {
        let left = position(server_order, identity(left, merge_key)?, merge_key)?;
        let right = position(server_order, identity(right, merge_key)?, merge_key)?;
        let first =
            if left.zip(right).is_some_and(|(left, right)| left < right) { others.next() } else { named.next() };
        arranged.extend(first);
    }
    arranged.extend(others);
    arranged.extend(named);
    Ok(arranged)
}

/// Go's order of scalars: that of their printed form.
pub(super) fn by_text(a: &Value, b: &Value) -> Ordering {
    go::display(a).cmp(&go::display(b))
}
