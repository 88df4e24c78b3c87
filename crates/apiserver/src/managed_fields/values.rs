//! Which fields values have, by their schemas: all of them, those an applied configuration sets, what came and what went;
//! and values without some of their fields.

use machinery::schema::{Schema, Schemas};
use serde_json::{Map, Value};

use super::field_set::{FieldSet, SELF};
use super::lists::{ListKind, at_key, by_key, is_atomic_map, item_key, list_kind};

/// Objects nest no deeper than this; what is below belongs to its parent.
const DEPTH_MAX: usize = 64;

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
                let old = old.as_array().map_or(&[][..], Vec::as_slice);
                let Some(ListKind::Keyed(keys)) = schema.map(list_kind) else {
                    let old = by_key(old, &Value::to_string);
                    for item in items.iter().map(Value::to_string) {
                        if at_key(&old, &item).is_none() {
                            self.0.insert(format!("v:{item}"), Self::default());
                        }
                    }
                    return;
                };
                let schema = schema.and_then(|schema| schemas.items(schema));
                let indexed = by_key(old, &|item| item_key(&keys, item));
                for item in items {
                    let key = item_key(&keys, item);
                    let before = at_key(&indexed, &key).and_then(|at| old.get(at)).unwrap_or(&Value::Null);
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
        let granular = is_granular(walk.schemas, schema, new);
        let mut child = Self::default();
        // A leaf if it is empty; but where there was something before, only that is gone.
        if granular && depth > 0 && !(is_empty(new) && is_empty(old)) {
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

    /// The fields that `old` has and `new` has not: the difference of their sets, made of what differs alone.
    pub(crate) fn removed(schemas: &Schemas, schema: Option<&Schema>, new: &Value, old: &Value) -> Self {
        let mut set = Self::default();
        match set.add_removed_children(Walk { schemas, applied: false }, schema, new, old, DEPTH_MAX) {
            true => set,
            false => Self::of(schemas, schema, old).difference(&Self::of(schemas, schema, new)),
        }
    }

    /// Of two objects, or of two lists by their keys, in which no key is twice; else nothing is done and said so.
    fn add_removed_children(
        &mut self,
        walk: Walk,
        schema: Option<&Schema>,
        new: &Value,
        old: &Value,
        depth: usize,
    ) -> bool {
        match (new, old) {
            (Value::Object(new), Value::Object(old)) => {
                for (name, value) in old {
                    let schema = schema.and_then(|schema| walk.schemas.field(schema, name));
                    let itself = !ALWAYS_THERE.contains(&name.as_str());
                    let now = new.get(name).unwrap_or(&Value::Null);
                    self.add_removed(walk, schema, format!("f:{name}"), now, value, itself, depth);
                }
                true
            }
            (Value::Array(new), Value::Array(old)) => {
                let Some(ListKind::Keyed(keys)) = schema.map(list_kind) else { return false };
                let indexed = by_key(new, &|item| item_key(&keys, item));
                if indexed.len() != new.len() || by_key(old, &|item| item_key(&keys, item)).len() != old.len() {
                    return false;
                }
                let schema = schema.and_then(|schema| walk.schemas.items(schema));
                for item in old {
                    let key = item_key(&keys, item);
                    let now = at_key(&indexed, &key).and_then(|at| new.get(at)).unwrap_or(&Value::Null);
                    self.add_removed(walk, schema, format!("k:{key}"), now, item, true, depth);
                }
                true
            }
            _ => false,
        }
    }

    #[allow(clippy::too_many_arguments, reason = "two values, their place, and how to read them")]
    fn add_removed(
        &mut self,
        walk: Walk,
        schema: Option<&Schema>,
        step: String,
        new: &Value,
        old: &Value,
        itself: bool,
        depth: usize,
    ) {
        if new == old || old.is_null() {
            return;
        }
        if new.is_null() {
            return self.add(walk, schema, step, old, &Value::Null, itself, depth);
        }
        let [new_parts, old_parts] = [new, old].map(|it| is_granular(walk.schemas, schema, it) && !is_empty(it));
        if !is_granular(walk.schemas, schema, new) && !is_granular(walk.schemas, schema, old) {
            // A leaf before and after.
            return;
        }
        let mut child = Self::default();
        if depth > 0 && new_parts && old_parts && child.add_removed_children(walk, schema, new, old, depth - 1) {
            if !child.is_empty() {
                self.0.insert(step, child);
            }
            return;
        }
        let (mut before, mut after) = (Self::default(), Self::default());
        before.add(walk, schema, step.clone(), old, &Value::Null, itself, depth);
        after.add(walk, schema, step, new, &Value::Null, itself, depth);
        self.extend(before.difference(&after));
    }

    /// The set with each optional struct of which a part is in it: whoever gives up all he set in a
    /// `livenessProbe` gives up the probe, with what was defaulted in it.
    pub(crate) fn with_optional_structs(&self, schemas: &Schemas, schema: Option<&Schema>) -> Self {
        let mut all = Self::default();
        for (step, below) in self.0.iter() {
            let (field, is_struct) = match step.split_once(':') {
                Some(("f", name)) => {
                    let declared = schema.is_some_and(|one| schemas.resolve(one).properties.contains_key(name));
                    let field = schema.and_then(|schema| schemas.field(schema, name));
                    let has_fields = field.is_some_and(|one| !schemas.resolve(one).properties.is_empty());
                    (field, declared && has_fields && !ALWAYS_THERE.contains(&name))
                }
                Some(("k", _)) => (schema.and_then(|schema| schemas.items(schema)), false),
                _ => (None, false),
            };
            let mut node = below.with_optional_structs(schemas, field);
            if is_struct && !below.0.is_empty() {
                node.0.insert(SELF.into(), Self::default());
            }
            all.0.insert(step.clone(), node);
        }
        all
    }

    /// Removes the fields of this set from a value.
    pub(crate) fn remove_from(&self, value: &mut Value) {
        for (step, below) in self.0.iter() {
            let whole = below.has_self();
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
}

/// Whether nothing is in a value that something can be in.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

/// Whether a value is more than a leaf by its type.
fn is_granular(schemas: &Schemas, schema: Option<&Schema>, value: &Value) -> bool {
    match value {
        Value::Object(_) => !is_atomic_map(schemas, schema),
        Value::Array(_) => schema.is_some_and(|one| list_kind(one) != ListKind::Atomic),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use machinery::{GroupVersionKind, schema};
    use serde_json::json;

    use super::*;

    fn written(set: &FieldSet) -> Value {
        let mut out = Vec::new();
        set.write(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

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
        assert_eq!(written(&set), expected);
        assert_eq!(FieldSet::read(expected.to_string().as_bytes()), set);
        let mut newer = pod();
        newer["spec"]["containers"][0]["image"] = "y".into();
        let changed = FieldSet::changed(schemas, schema, &newer, &pod());
        let image = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}}});
        assert_eq!(written(&changed), image);
        assert!(!written(&set.difference(&changed)).to_string().contains("f:image"));
    }

    /// Takes a member or an item out, empties it, makes it another, or puts an item in again.
    fn disturb(value: &mut Value, dice: &mut machinery::Rng) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let at = usize::try_from(dice.below(fields.len() as u64)).unwrap();
                let name = fields.keys().nth(at).cloned().unwrap();
                match dice.below(8) {
                    0 => _ = fields.remove(&name),
                    1 => fields[&name] = Value::Null,
                    2 => fields[&name] = json!({}),
                    3 => fields[&name] = json!(7),
                    _ => disturb(&mut fields[&name], dice),
                }
            }
            Value::Array(items) if !items.is_empty() => {
                let at = usize::try_from(dice.below(items.len() as u64)).unwrap();
                match dice.below(6) {
                    0 => _ = items.remove(at),
                    1 => items.push(items[at].clone()),
                    2 => items.clear(),
                    _ => disturb(&mut items[at], dice),
                }
            }
            other => *other = json!(dice.below(3).to_string()),
        }
    }

    #[test]
    fn what_is_removed_is_the_difference_of_the_sets() {
        let schemas = schema::builtin();
        let schema = schemas.get(&GroupVersionKind::from_api_version("v1", "Pod"));
        let status = json!({
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "Initialized", "status": "True", "reason": "x"}],
            "podIPs": [{"ip": "10.0.0.1"}], "hostIPs": [{"ip": "10.0.0.2"}], "phase": "Running",
            "containerStatuses": [{"name": "a", "state": {"running": {"startedAt": "x"}}, "lastState": {}}],
        });
        for seed in 0..300 {
            let mut dice = machinery::Rng::new(seed);
            let mut old = pod();
            old["status"] = status.clone();
            old["metadata"]["finalizers"] = json!(["a", "b"]);
            for _ in 0..dice.below(4) {
                disturb(&mut old, &mut dice);
            }
            let mut new = old.clone();
            for _ in 0..dice.below(5) {
                disturb(&mut new, &mut dice);
            }
            let [before, after] = [&old, &new].map(|it| FieldSet::of(schemas, schema, it));
            let removed = FieldSet::removed(schemas, schema, &new, &old);
            assert_eq!(written(&removed), written(&before.difference(&after)), "seed {seed}: {old} then {new}");
        }
    }

    #[test]
    fn what_is_emptied_is_not_set() {
        let schemas = schema::builtin();
        let schema = schemas.get(&GroupVersionKind::from_api_version("v1", "ConfigMap"));
        let changed = |new: Value, old: Value| written(&FieldSet::changed(schemas, schema, &new, &old));
        let full = || json!({"data": {"a": "1"}});
        let empty = || json!({"data": {}});
        assert_eq!(changed(empty(), full()), json!({}));
        assert_eq!(changed(empty(), json!({})), json!({"f:data": {}}));
        assert_eq!(changed(full(), empty()), json!({"f:data": {"f:a": {}}}));
    }
}
