//! Sets of fields, as structured-merge-diff has them: a tree whose steps are `f:name` (a field),
//! `k:{…}` (an item of a list, by its keys), `v:…` (an item of a set) and `.` (the node itself).

use std::collections::BTreeMap;

use machinery::schema::{Schema, Schemas};
use serde_json::{Map, Value};

/// Objects nest no deeper than this; what is below belongs to its parent.
const DEPTH_MAX: usize = 64;
/// The node itself.
const SELF: &str = ".";

/// Go's structs that are always there: they have fields, but are none that one could set or remove.
const ALWAYS_THERE: &[&str] = &[
    "metadata",
    "spec",
    "status",
    "template",
    "strategy",
    "updateStrategy",
    "loadBalancer",
    "resources",
    "state",
    "lastState",
    "nodeInfo",
    "daemonEndpoints",
    "kubeletEndpoint",
    "scaleTargetRef",
    "jobTemplate",
    "containers",
];

/// How a value's fields are found.
#[derive(Clone, Copy)]
struct Walk<'a> {
    schemas: &'a Schemas,
    /// Whether the value is an applied configuration.
    applied: bool,
}

/// A set of fields. A leaf has no children.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet(BTreeMap<String, FieldSet>);

impl FieldSet {
    /// Every field of a value.
    pub(crate) fn of(schemas: &Schemas, schema: Option<&Schema>, value: &Value) -> Self {
        Self::changed(schemas, schema, value, &Value::Null)
    }

    /// What an applied configuration sets: of structs their fields but not themselves, so that whoever
    /// applies one field of `data` does not hold on to the rest.
    pub(crate) fn applied(schemas: &Schemas, schema: Option<&Schema>, config: &Value) -> Self {
        let mut set = Self::default();
        set.add_children(Walk { schemas, applied: true }, schema, config, &Value::Null, DEPTH_MAX);
        set
    }

    /// The fields of `new` that `old` has not, or has otherwise.
    pub(crate) fn changed(schemas: &Schemas, schema: Option<&Schema>, new: &Value, old: &Value) -> Self {
        let mut set = Self::default();
        set.add_children(Walk { schemas, applied: false }, schema, new, old, DEPTH_MAX);
        set
    }

    fn add_children(&mut self, walk: Walk, schema: Option<&Schema>, new: &Value, old: &Value, depth: usize) {
        let schemas = walk.schemas;
        match new {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let before = old.get(name).unwrap_or(&Value::Null);
                    let itself = match walk.applied {
                        true => !schema.is_some_and(|one| schemas.resolve(one).properties.contains_key(name)),
                        false => before.is_null() && !ALWAYS_THERE.contains(&name.as_str()),
                    };
                    let schema = schema.and_then(|schema| schemas.field(schema, name));
                    self.add(walk, schema, format!("f:{name}"), value, before, itself, depth);
                }
            }
            Value::Array(items) => {
                let Some(ListKind::Keyed(keys)) = schema.map(list_kind) else {
                    for item in items {
                        if !old.as_array().is_some_and(|old| old.contains(item)) {
                            self.0.insert(format!("v:{item}"), Self::default());
                        }
                    }
                    return;
                };
                let schema = schema.and_then(|schema| schemas.items(schema));
                for item in items {
                    let key = item_key(&keys, item);
                    let old = old.as_array().and_then(|old| old.iter().find(|old| item_key(&keys, old) == key));
                    let before = old.unwrap_or(&Value::Null);
                    self.add(walk, schema, format!("k:{key}"), item, before, before.is_null(), depth);
                }
            }
            _ => {}
        }
    }

    #[allow(clippy::too_many_arguments, reason = "two values, their place, and how to read them")]
    fn add(
        &mut self,
        walk: Walk,
        schema: Option<&Schema>,
        step: String,
        new: &Value,
        old: &Value,
        itself: bool,
        depth: usize,
    ) {
        if new == old || new.is_null() {
            return;
        }
        let granular = match new {
            Value::Object(fields) => !fields.is_empty() && !is_atomic_map(walk.schemas, schema),
            Value::Array(items) => !items.is_empty() && schema.is_some_and(|one| list_kind(one) != ListKind::Atomic),
            _ => false,
        };
        let mut child = Self::default();
        if granular && depth > 0 {
            if itself {
                child.0.insert(SELF.into(), Self::default());
            }
            child.add_children(walk, schema, new, old, depth - 1);
            if child.0.is_empty() {
                return;
            }
        }
        self.0.insert(step, child);
    }

    /// Reads `fieldsV1`.
    pub(crate) fn from_fields(fields: Option<&Value>) -> Self {
        let Some(Value::Object(fields)) = fields else { return Self::default() };
        Self(fields.iter().map(|(step, below)| (step.clone(), Self::from_fields(Some(below)))).collect())
    }

    /// Writes `fieldsV1`.
    pub(crate) fn to_fields(&self) -> Value {
        Value::Object(self.0.iter().map(|(step, below)| (step.clone(), below.to_fields())).collect::<Map<_, _>>())
    }

    /// Whether no field is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a field out, and what is below it.
    pub(crate) fn remove_path(&mut self, path: &[&str]) {
        let [first, rest @ ..] = path else { return };
        let step = format!("f:{first}");
        if rest.is_empty() {
            self.0.remove(&step);
        } else if let Some(child) = self.0.get_mut(&step) {
            child.remove_path(rest);
            if child.is_empty() {
                self.0.remove(&step);
            }
        }
    }

    /// What is in this set and not in the other.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let mut rest = Self::default();
        for (step, below) in &self.0 {
            match other.0.get(step) {
                None => {
                    rest.0.insert(step.clone(), below.clone());
                }
                Some(taken) if !below.is_empty() && !taken.is_empty() => {
                    let below = below.difference(taken);
                    if !below.is_empty() {
                        rest.0.insert(step.clone(), below);
                    }
                }
                Some(_) => {}
            }
        }
        rest
    }

    /// What is in both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut both = Self::default();
        for (step, below) in &self.0 {
            let Some(others) = other.0.get(step) else { continue };
            if below.is_empty() || others.is_empty() {
                both.0.insert(step.clone(), if below.is_empty() { others.clone() } else { below.clone() });
            } else {
                let below = below.intersection(others);
                if !below.is_empty() {
                    both.0.insert(step.clone(), below);
                }
            }
        }
        both
    }

    /// The paths of the leaves as conflicts name them: `.spec.replicas`,
    /// `.spec.containers[name="web"].image`.
    pub(crate) fn leaves(&self) -> Vec<String> {
        let mut leaves = Vec::new();
        for (step, below) in &self.0 {
            let name = match step.split_once(':') {
                Some(("f", name)) => format!(".{name}"),
                Some(("k", keys)) => {
                    let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                    let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                    format!("[{}]", keys.join(","))
                }
                Some((_, value)) => format!("[={value}]"),
                None => continue,
            };
            let inner = below.leaves();
            if inner.is_empty() {
                leaves.push(name);
            } else {
                leaves.extend(inner.into_iter().map(|inner| format!("{name}{inner}")));
            }
        }
        leaves
    }

    /// Removes the fields of this set from a value.
    pub(crate) fn remove_from(&self, value: &mut Value) {
        for (step, below) in &self.0 {
            let whole = below.is_empty() || below.0.contains_key(SELF);
            match (step.split_once(':'), &mut *value) {
                (Some(("f", name)), Value::Object(fields)) if whole => {
                    fields.remove(name);
                }
                (Some(("f", name)), Value::Object(fields)) => {
                    if let Some(field) = fields.get_mut(name) {
                        below.remove_from(field);
                    }
                }
                (Some(("k", keys)), Value::Array(items)) => {
                    let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                    let names: Vec<String> = keys.keys().cloned().collect();
                    let key = Value::Object(keys).to_string();
                    if whole {
                        items.retain(|item| item_key(&names, item) != key);
                    } else {
                        items
                            .iter_mut()
                            .filter(|item| item_key(&names, item) == key)
                            .for_each(|item| below.remove_from(item));
                    }
                }
                (Some(("v", text)), Value::Array(items)) => {
                    let wanted = serde_json::from_str::<Value>(text).ok();
                    items.retain(|item| wanted.as_ref() != Some(item));
                }
                _ => {}
            }
        }
    }

    /// Adds all fields of the other set.
    pub(crate) fn extend(&mut self, other: Self) {
        for (step, below) in other.0 {
            self.0.entry(step).or_default().extend(below);
        }
    }
}

/// See [`super::merge`].
pub(super) fn merge(schemas: &Schemas, schema: Option<&Schema>, target: &mut Value, config: &Value) {
    match (target, config) {
        (Value::Object(target), Value::Object(config)) if !is_atomic_map(schemas, schema) => {
            for (name, value) in config {
                let schema = schema.and_then(|schema| schemas.field(schema, name));
                match target.get_mut(name) {
                    Some(field) => merge(schemas, schema, field, value),
                    None => {
                        target.insert(name.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(target), Value::Array(config)) => match schema.map(list_kind) {
            Some(ListKind::Keyed(keys)) => {
                let schema = schema.and_then(|schema| schemas.items(schema));
                interleave(target, config, &|item| item_key(&keys, item), &|known, item| {
                    merge(schemas, schema, known, item);
                });
            }
            Some(ListKind::Set) => interleave(target, config, &Value::to_string, &|_, _| {}),
            _ => target.clone_from(config),
        },
        (target, config) => target.clone_from(config),
    }
}

/// Puts a list's applied items into it. They come in their own order; items of others stay before the
/// same neighbours, as structured-merge-diff keeps them.
fn interleave(
    target: &mut Vec<Value>,
    config: &[Value],
    key: &dyn Fn(&Value) -> String,
    merge: &dyn Fn(&mut Value, &Value),
) {
    let wanted: Vec<String> = config.iter().map(key).collect();
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    let mut next = 0;
    let mut merged = Vec::with_capacity(target.len().max(config.len()));
    let live: Vec<(String, Value)> = std::mem::take(target).into_iter().map(|item| (key(&item), item)).collect();
    let order: Vec<Option<usize>> = live.iter().map(|(key, _)| wanted.iter().position(|one| one == key)).collect();
    let mut others = Vec::new();
    for ((key, item), place) in live.into_iter().zip(&order) {
        if place.is_some() { _ = known.insert(key, item) } else { others.push(item) }
    }
    let mut others = others.into_iter();
    let mut put = |merged: &mut Vec<Value>, until: usize| {
        while next < until {
            if let (Some(item), Some(key)) = (config.get(next), wanted.get(next)) {
                let mut value = known.remove(key).unwrap_or_else(|| item.clone());
                merge(&mut value, item);
                merged.push(value);
            }
            next += 1;
        }
    };
    for place in order {
        match place {
            Some(place) => put(&mut merged, place + 1),
            None => merged.extend(others.next()),
        }
    }
    put(&mut merged, config.len());
    *target = merged;
}

#[derive(Debug, PartialEq, Eq)]
enum ListKind {
    Atomic,
    Set,
    Keyed(Vec<String>),
}

fn list_kind(schema: &Schema) -> ListKind {
    match schema.list_type.as_deref() {
        Some("map") => ListKind::Keyed(schema.list_map_keys.clone()),
        Some("set") => ListKind::Set,
        _ => ListKind::Atomic,
    }
}

fn is_atomic_map(schemas: &Schemas, schema: Option<&Schema>) -> bool {
    let Some(schema) = schema else { return false };
    [schema, schemas.resolve(schema)].iter().any(|one| one.map_type.as_deref() == Some("atomic"))
}

/// An item's keys as compact JSON; keys it lacks are those of its defaults.
fn item_key(keys: &[String], item: &Value) -> String {
    let mut key = Map::new();
    for name in keys {
        let value = match item.get(name) {
            Some(value) => value.clone(),
            None if name == "protocol" => "TCP".into(),
            None => continue,
        };
        key.insert(name.clone(), value);
    }
    Value::Object(key).to_string()
}

#[cfg(test)]
mod tests {
    use machinery::GroupVersionKind;
    use machinery::schema;
    use serde_json::json;

    use super::*;

    fn pod() -> Value {
        json!({
            "metadata": {"labels": {"app": "web"}},
            "spec": {
                "containers": [{"name": "a", "image": "x", "ports": [{"containerPort": 80, "protocol": "TCP"}]}],
                "nodeSelector": {"a": "b"},
            },
        })
    }

    #[test]
    fn applied_items_come_in_their_order_among_those_of_others() {
        for (live, applied, expected) in [
            ("b", "ab", "ab"),
            ("ab", "c", "abc"),
            ("ab", "bc", "abc"),
            ("xaybz", "ba", "xbayz"),
            ("", "ab", "ab"),
            ("ab", "", "ab"),
        ] {
            let list = |text: &str| text.chars().map(|c| Value::from(c.to_string())).collect::<Vec<_>>();
            let mut target = list(live);
            interleave(&mut target, &list(applied), &Value::to_string, &|_, _| {});
            assert_eq!(target, list(expected), "{live} {applied}");
        }
    }

    #[test]
    fn sets_look_as_upstreams() {
        let schemas = schema::builtin();
        let schema = schemas.get(&GroupVersionKind::from_api_version("v1", "Pod"));
        let set = FieldSet::of(schemas, schema, &pod());
        let expected = json!({
            "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
            "f:spec": {
                "f:containers": {
                    "k:{\"name\":\"a\"}": {
                        ".": {},
                        "f:image": {},
                        "f:name": {},
                        "f:ports": {
                            ".": {},
                            "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {
                                ".": {}, "f:containerPort": {}, "f:protocol": {},
                            },
                        },
                    },
                },
                "f:nodeSelector": {},
            },
        });
        assert_eq!(set.to_fields(), expected);
        assert_eq!(FieldSet::from_fields(Some(&expected)), set);
        let mut newer = pod();
        newer["spec"]["containers"][0]["image"] = "y".into();
        let changed = FieldSet::changed(schemas, schema, &newer, &pod());
        let image = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}}});
        assert_eq!(changed.to_fields(), image);
        assert!(!set.difference(&changed).to_fields().to_string().contains("f:image"));
    }
}
