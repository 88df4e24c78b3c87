//! Applies a patch to an object, or joins two patches into one.

use serde_json::Value;

use super::lists::{arrange, holds_maps, identity, is_deletion, position};
use super::{DELETE_FROM_PRIMITIVE_LIST, Field, Object, PATCH, PatchError, RETAIN_KEYS, SET_ELEMENT_ORDER, Strategic};
use crate::go;

/// What the target of a merge is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// An object: directives are carried out, nulls remove.
    Apply,
    /// Another patch: directives and nulls are kept.
    Join,
}

impl Strategic<'_> {
    pub(super) fn merge_map(&self, mut target: Object, mut patch: Object, mode: Mode) -> Result<Object, PatchError> {
        if let Some(directive) = patch.remove(PATCH) {
            return match directive.as_str() {
                Some("replace") => Ok(patch),
                Some("delete") => Ok(Object::new()),
                _ => {
                    let (directive, patch) = (go::display(&directive), go::display(&Value::Object(patch)));
                    Err(PatchError(format!("unknown patch type: {directive} in map: {patch}")))
                }
            };
        }
        retain_keys(&mut target, &mut patch, mode)?;
        self.merge_ordered_lists(&mut target, &mut patch, mode)?;
        for (key, value) in patch {
            if let Some(name) = key.strip_prefix(DELETE_FROM_PRIMITIVE_LIST) {
                match (mode, target.get_mut(name), value) {
                    (Mode::Join, _, value) => {
                        target.insert(key, value);
                    }
                    (Mode::Apply, Some(Value::Array(items)), Value::Array(gone)) => {
                        items.retain(|item| !gone.contains(item));
                    }
                    _ => {}
                }
                continue;
            }
            if value.is_null() && mode == Mode::Apply {
                target.remove(&key);
                continue;
            }
            let merged = match (target.remove(&key), value) {
                (Some(Value::Object(before)), Value::Object(value)) => {
                    let field = self.field(&key);
                    Some(Value::Object(match field.replace {
                        true => value,
                        false => field.inner.merge_map(before, value, mode)?,
                    }))
                }
                (Some(Value::Array(before)), Value::Array(value)) => {
                    Some(Value::Array(merge_lists(before, value, &self.field(&key), mode)?))
                }
                (_, value) => clean(value, mode),
            };
            target.extend(merged.map(|merged| (key, merged)));
        }
        Ok(target)
    }

    /// Lists whose order the patch gives: merged together with that order.
    fn merge_ordered_lists(&self, target: &mut Object, patch: &mut Object, mode: Mode) -> Result<(), PatchError> {
        let directives: Vec<String> = patch.keys().filter(|key| key.starts_with(SET_ELEMENT_ORDER)).cloned().collect();
        for directive in directives {
            let malformed = || PatchError("invalid patch format of setElementOrder list".into());
            let Some(Value::Array(order)) = patch.remove(&directive) else { return Err(malformed()) };
            if mode == Mode::Join {
                let kept = target.entry(&directive).or_insert_with(|| Value::Array(order.clone()));
                if kept.as_array() != Some(&order) {
                    return Err(malformed());
                }
            }
            let name = directive.trim_start_matches(SET_ELEMENT_ORDER).to_owned();
            let field = self.field(&name);
            let before = list(target.get(&name))?;
            let change = list(patch.get(&name))?;
            check_order(change.as_deref().unwrap_or_default(), &order, field.merge_key)?;
            let server_order = server_order(before.as_deref(), change.as_deref(), field.merge_key)?;
            let merged = match (before, change) {
                (None, None) => continue,
                (Some(before), None) => before,
                (None, Some(change)) => change.into_iter().filter_map(|item| clean(item, mode)).collect(),
                (Some(before), Some(change)) => merge_lists(before, change, &field, mode)?,
            };
            let arranged = arrange(merged, &order, &server_order, field.merge_key)?;
            target.insert(name.clone(), Value::Array(arranged));
            patch.remove(&name);
        }
        Ok(())
    }
}

/// The order of a list on the server as upstream has it at hand once a patch is merged into it: what the
/// patch deletes is out, and as many of its new items are in as there were deleted.
fn server_order(before: Option<&[Value]>, change: Option<&[Value]>, merge_key: &str) -> Result<Vec<Value>, PatchError> {
    let (before, change) = (before.unwrap_or_default(), change.unwrap_or_default());
    let replaces = change.iter().any(|item| item.get(PATCH).is_some_and(|directive| directive == "replace"));
    let mut order = before.to_vec();
    if merge_key.is_empty() || replaces {
        return Ok(order);
    }
    for gone in change.iter().filter(|item| is_deletion(item)) {
        let gone = identity(gone, merge_key)?;
        order.retain(|item| item.get(merge_key) != Some(gone));
    }
    for item in change.iter().filter(|item| item.get(PATCH).is_none()) {
        if position(&order, identity(item, merge_key)?, merge_key)?.is_none() {
            order.push(item.clone());
        }
    }
    order.truncate(before.len());
    Ok(order)
}

fn list(value: Option<&Value>) -> Result<Option<Vec<Value>>, PatchError> {
    match value {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items.clone())),
        Some(value) => {
            let kind = match value {
                Value::Object(_) => "map",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            Err(PatchError(format!("expected a []interface {{}}, but received a {kind}")))
        }
    }
}

/// The items of a patch must be in the order that it gives.
fn check_order(change: &[Value], order: &[Value], merge_key: &str) -> Result<(), PatchError> {
    if order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for item in change.iter().filter(|item| item.get(PATCH).is_none()) {
        let wanted = identity(item, merge_key)?;
        if !rest.any(|one| identity(one, merge_key).is_ok_and(|one| one == wanted)) {
            let (change, order) = (change.to_vec(), order.to_vec());
            return Err(PatchError(format!(
                "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
                go::display(&Value::Array(change)),
                go::display(&Value::Array(order))
            )));
        }
    }
    Ok(())
}

fn retain_keys(target: &mut Object, patch: &mut Object, mode: Mode) -> Result<(), PatchError> {
    let Some(kept) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    if mode == Mode::Join {
        target.entry(RETAIN_KEYS).or_insert(kept);
        return Ok(());
    }
    let malformed = || PatchError("invalid patch format of retainKeys".into());
    let Value::Array(kept) = kept else { return Err(malformed()) };
    let keeps = |key: &str| kept.iter().any(|one| one == key);
    let directive = |key: &str| key.starts_with(DELETE_FROM_PRIMITIVE_LIST) || key.starts_with(SET_ELEMENT_ORDER);
    if patch.iter().any(|(key, value)| !value.is_null() && !directive(key) && !keeps(key)) {
        return Err(malformed());
    }
    target.retain(|key, _| keeps(key));
    Ok(())
}

fn merge_lists(
    before: Vec<Value>,
    change: Vec<Value>,
    field: &Field<'_>,
    mode: Mode,
) -> Result<Vec<Value>, PatchError> {
    if !field.merge {
        return Ok(change);
    }
    let maps = holds_maps(before.iter().chain(&change))?;
    if !maps {
        let mut merged: Vec<Value> = Vec::new();
        for item in before.iter().chain(&change) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        return arrange(merged, &change, &before, "");
    }
    let merge_key = field.merge_key;
    if merge_key.is_empty() {
        return Err(PatchError("cannot merge lists without merge key".into()));
    }
    let (mut before, change) = carry_out_directives(before, change, merge_key)?;
    let server_order = before.clone();
    for item in &change {
        let at = position(&before, identity(item, merge_key)?, merge_key)?;
        match (at.and_then(|at| before.get_mut(at)), item) {
            (Some(place @ Value::Object(_)), Value::Object(item)) => {
                let Value::Object(map) = place.take() else { continue };
                *place = Value::Object(field.inner.merge_map(map, item.clone(), mode)?);
            }
            _ => before.extend(clean(item.clone(), mode)),
        }
    }
    arrange(before, &change, &server_order, merge_key)
}

/// Items with `$patch`: what they delete is taken out, and one that replaces makes the list anew.
fn carry_out_directives(
    mut before: Vec<Value>,
    change: Vec<Value>,
    merge_key: &str,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let (mut plain, mut replace) = (Vec::new(), false);
    for item in change {
        match item.get(PATCH).map(|directive| directive.as_str().unwrap_or_default()) {
            None => plain.push(item),
            Some("delete") => {
                let gone = identity(&item, merge_key)?;
                before.retain(|item| item.get(merge_key) != Some(gone));
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(PatchError("merging lists cannot yet be specified in the patch".into())),
            Some(other) => {
                return Err(PatchError(format!("unknown patch type: {other} in map: {}", go::display(&item))));
            }
        }
    }
    Ok(if replace { (plain, Vec::new()) } else { (before, plain) })
}

/// A patch's value where the target has none: without what only directives stand for, and, in an object,
/// without nulls.
fn clean(value: Value, mode: Mode) -> Option<Value> {
    match value {
        Value::Null => (mode == Mode::Join).then_some(Value::Null),
        Value::Object(fields) if fields.contains_key(PATCH) => None,
        Value::Object(fields) => {
            let directive = |key: &str| {
                key == RETAIN_KEYS || key.starts_with(SET_ELEMENT_ORDER) || key.starts_with(DELETE_FROM_PRIMITIVE_LIST)
            };
            let kept = fields.into_iter().filter_map(|(key, value)| {
                if mode == Mode::Apply && directive(&key) {
                    return None;
                }
                clean(value, mode).map(|value| (key, value))
            });
            Some(Value::Object(kept.collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(|item| clean(item, mode)).collect())),
        value => Some(value),
    }
}
