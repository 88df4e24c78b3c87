//! Strategic merge patches (apimachinery `util/strategicpatch`).

mod apply;
mod diff;
mod lists;

use serde_json::{Map, Value};

use self::apply::Mode;
use self::diff::Scope;
use super::PatchError;
use crate::gvk::GroupVersionKind;
use crate::schema::{self, Schema, Schemas};

/// `$patch: replace | delete | merge` in a map or a list's item.
const PATCH: &str = "$patch";
/// `$retainKeys: [a, b]`: the map keeps these fields only.
const RETAIN_KEYS: &str = "$retainKeys";
/// `$setElementOrder/ports: [{containerPort: 80}]`: the order of a list's items after the merge.
const SET_ELEMENT_ORDER: &str = "$setElementOrder/";
/// `$deleteFromPrimitiveList/finalizers: [a]`: values to take out of a list.
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList/";

type Object = Map<String, Value>;

/// Strategic merge patches for one kind, or for a part of it.
#[derive(Clone, Copy, Debug)]
pub struct Strategic<'a> {
    schemas: &'a Schemas,
    /// The schema of the object at hand; `None` below fields that are not known, where everything is
    /// replaced.
    schema: Option<&'a Schema>,
}

/// What is known of a field: how it merges, by which key, and what is below it.
struct Field<'a> {
    merge: bool,
    replace: bool,
    retain_keys: bool,
    merge_key: &'a str,
    inner: Strategic<'a>,
}

impl Strategic<'static> {
    /// Patches for a built-in kind; `None` where it is not known: custom resources take no strategic
    /// merge patches.
    pub fn for_kind(kind: &GroupVersionKind) -> Option<Self> {
        let schemas = schema::builtin();
        Some(Self { schemas, schema: Some(schemas.get(kind)?) })
    }
}

impl<'a> Strategic<'a> {
    /// Patches for objects with the given schema.
    pub fn new(schemas: &'a Schemas, schema: &'a Schema) -> Self {
        Self { schemas, schema: Some(schema) }
    }

    /// Applies a patch.
    ///
    /// # Errors
    /// When a directive is malformed, an item lacks its merge key, or a list does not fit.
    pub fn apply(&self, target: &Value, patch: &Value) -> Result<Value, PatchError> {
        let (Value::Object(target), Value::Object(patch)) = (target, patch) else {
            return Err(PatchError("invalid JSON document".into()));
        };
        self.merge_map(target.clone(), patch.clone(), Mode::Apply).map(Value::Object)
    }

    /// The patch that makes `modified` of `original`.
    ///
    /// # Errors
    /// When a list's item lacks its merge key, or a list holds lists.
    pub fn diff(&self, original: &Value, modified: &Value) -> Result<Value, PatchError> {
        self.diff_maps(object(original), object(modified), Scope::Everything, false).map(Value::Object)
    }

    /// kubectl apply's patch: what `modified` adds to or changes in `current`, and the removal of what
    /// it no longer has since `original`, the last configuration applied (null for none).
    ///
    /// # Errors
    /// As [`diff`](Self::diff).
    pub fn three_way(&self, original: &Value, modified: &Value, current: &Value) -> Result<Value, PatchError> {
        let changes = self.diff_maps(object(current), object(modified), Scope::Changes, false)?;
        let deletions = self.diff_maps(object(original), object(modified), Scope::Deletions, false)?;
        self.merge_map(deletions, changes, Mode::Join).map(Value::Object)
    }

    /// A field of the object at hand. For lists, what is below is their items.
    fn field(&self, name: &str) -> Field<'a> {
        let node = self.schema.and_then(|schema| self.schemas.field(schema, name));
        let below = node.map(|node| self.schemas.items(node).unwrap_or(node));
        let strategy = |name| node.is_some_and(|node| node.has_patch_strategy(name));
        Field {
            merge: strategy("merge"),
            replace: strategy("replace"),
            retain_keys: strategy("retainKeys"),
            merge_key: node.and_then(|node| node.patch_merge_key.as_deref()).unwrap_or_default(),
            inner: Strategic { schemas: self.schemas, schema: below.map(|node| self.schemas.resolve(node)) },
        }
    }
}

fn object(value: &Value) -> &Object {
    static EMPTY: std::sync::LazyLock<Object> = std::sync::LazyLock::new(Object::new);
    value.as_object().unwrap_or_else(|| &EMPTY)
}

#[cfg(test)]
mod tests;
