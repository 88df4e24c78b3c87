//! Sets of fields, as structured-merge-diff has them: a tree whose steps are `f:name` (a field),
//! `k:{…}` (an item of a list, by its keys), `v:…` (an item of a set) and `.` (the node itself).

use machinery::raw;
use machinery::schema::{Schema, Schemas};
use machinery::sort::Order;
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
pub(crate) struct FieldSet(Steps);

/// The children of a node by their steps, in order of the steps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Steps(Vec<(String, FieldSet)>);

impl Steps {
    fn place(&self, step: &str) -> Result<usize, usize> {
        match self.0.last() {
            // Most are added in order.
            Some((last, _)) if last.as_str() < step => Err(self.0.len()),
            _ => self.0.binary_search_by(|(one, _)| one.as_str().cmp(step)),
        }
    }

    fn insert(&mut self, step: String, below: FieldSet) {
        match self.place(&step) {
            Ok(at) => {
                if let Some((_, known)) = self.0.get_mut(at) {
                    *known = below;
                }
            }
            Err(at) => self.0.insert(at, (step, below)),
        }
    }

    fn remove(&mut self, step: &str) {
        if let Ok(at) = self.place(step) {
            self.0.remove(at);
        }
    }

    fn get(&self, step: &str) -> Option<&FieldSet> {
        self.0.get(self.place(step).ok()?).map(|(_, below)| below)
    }

    fn get_mut(&mut self, step: &str) -> Option<&mut FieldSet> {
        let at = self.place(step).ok()?;
        self.0.get_mut(at).map(|(_, below)| below)
    }

    fn contains_key(&self, step: &str) -> bool {
        self.place(step).is_ok()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn iter(&self) -> impl Iterator<Item = (&String, &FieldSet)> {
        self.0.iter().map(|(step, below)| (step, below))
    }
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

    /// Reads the text of `fieldsV1`.
    pub(crate) fn read(fields: &[u8]) -> Self {
        let mut set = Self::default();
        for (step, below) in raw::members(fields) {
            set.0.insert(raw::text(step), Self::read(below));
        }
        set
    }

    /// Writes the text of `fieldsV1`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (index, (step, below)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            raw::push_text(out, step);
            out.push(b':');
            below.write(out);
        }
        out.push(b'}');
    }

    /// Whether a field of this set may be in a set's text, too. Where not, neither takes anything from the
    /// other.
    pub(crate) fn may_meet(&self, fields: &[u8]) -> bool {
        let mut quoted = Vec::new();
        self.0.iter().any(|(step, below)| {
            quoted.clear();
            raw::push_text(&mut quoted, step);
            let theirs = raw::members(fields).find(|(name, _)| *name == quoted).map(|(_, theirs)| theirs);
            theirs.is_some_and(|theirs| below.0.is_empty() || theirs == b"{}" || below.may_meet(theirs))
        })
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

    /// Whether the node at the root of this tree is itself in the set, and not only what is below it.
    fn has_self(&self) -> bool {
        self.0.is_empty() || self.0.contains_key(SELF)
    }

    /// A tree of which the root is in the set, or not: `None` if nothing is.
    fn with_self(mut self, itself: bool) -> Option<Self> {
        match (itself, self.0.is_empty()) {
            (true, true) => Some(self),
            (true, false) => {
                self.0.insert(SELF.into(), Self::default());
                Some(self)
            }
            (false, true) => None,
            (false, false) => Some(self),
        }
    }

    /// The nodes that are in this set and, as `others` says, in the other or not. A node says nothing of
    /// those below it.
    fn select(&self, other: &Self, others: bool) -> Self {
        let mut selected = Self::default();
        for (step, below) in self.0.iter().filter(|(step, _)| *step != SELF) {
            let node = match other.0.get(step) {
                Some(theirs) => below.select(theirs, others).with_self(below.has_self() && theirs.has_self() == others),
                None if others => None,
                None => Some(below.clone()),
            };
            if let Some(node) = node {
                selected.0.insert(step.clone(), node);
            }
        }
        selected
    }

    /// What is in this set and not in the other.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        self.select(other, false)
    }

    /// What is in both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        self.select(other, true)
    }

    /// The set with each field of which a part is in it: to keep the part is to keep the field.
    pub(crate) fn with_parents(&self) -> Self {
        let mut all = Self::default();
        for (step, below) in self.0.iter() {
            let mut node = below.with_parents();
            if step.starts_with("f:") && !below.0.is_empty() {
                node.0.insert(SELF.into(), Self::default());
            }
            all.0.insert(step.clone(), node);
        }
        all
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

    /// The paths of what is in the set, as conflicts name them: `.spec.replicas`,
    /// `.spec.containers[name="web"].image`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for (step, below) in self.0.iter() {
            let name = match step.split_once(':') {
                Some(("f", name)) => format!(".{name}"),
                Some(("k", keys)) => key_name(keys),
                Some((_, value)) => format!("[={value}]"),
                None => continue,
            };
            let inner = below.paths().into_iter().map(|inner| format!("{name}{inner}"));
            paths.extend(below.has_self().then(|| name.clone()).into_iter().chain(inner));
        }
        paths
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

    /// Adds all fields of the other set.
    pub(crate) fn extend(&mut self, other: Self) {
        for (step, below) in other.0.0 {
            match self.0.get_mut(&step) {
                Some(node) => {
                    let itself = node.has_self() || below.has_self();
                    node.extend(below);
                    if itself && !node.0.is_empty() {
                        node.0.insert(SELF.into(), Self::default());
                    }
                }
                None => {
                    self.0.insert(step, below);
                }
            }
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

/// Puts a list's applied items into it, in the order of structured-merge-diff (`visitListItems`): items
/// of others stay before the shared item that comes next, and shared items come as applied.
fn interleave(
    target: &mut Vec<Value>,
    config: &[Value],
    key: &dyn Fn(&Value) -> String,
    merge: &dyn Fn(&mut Value, &Value),
) {
    let live = std::mem::take(target);
    let (live_keys, config_keys) = (by_key(&live, key), by_key(config, key));
    // Of each item, the other list's item with its key.
    let in_config: Vec<_> = live.iter().map(|item| at_key(&config_keys, &key(item))).collect();
    let in_live: Vec<_> = config.iter().map(|item| at_key(&live_keys, &key(item))).collect();
    let mut shared = (0..config.len()).filter(|at| in_live.get(*at).is_some_and(Option::is_some)).peekable();
    let mut next = 0;
    let mut put = |until: usize, target: &mut Vec<Value>| {
        while next < until {
            if let (Some(item), Some(place)) = (config.get(next), in_live.get(next)) {
                let mut value = place.and_then(|at| live.get(at)).unwrap_or(item).clone();
                merge(&mut value, item);
                target.push(value);
            }
            next += 1;
        }
    };
    for (item, place) in live.iter().zip(&in_config) {
        match place {
            // Items of others come before what is applied next.
            None => target.push(item.clone()),
            // A shared item out of the applied order comes where the applied order has it.
            Some(place) if shared.peek().is_some_and(|wanted| wanted != place) => {}
            Some(place) => {
                put(place + 1, target);
                _ = shared.next_if_eq(place);
            }
        }
    }
    put(config.len(), target);
}

/// The places of a list's items by their keys, in the order of the keys; of items with the same key, the
/// first.
fn by_key(items: &[Value], key: &dyn Fn(&Value) -> String) -> Vec<(String, usize)> {
    let mut places: Vec<(String, usize)> = items.iter().enumerate().map(|(at, item)| (key(item), at)).collect();
    places.order();
    places.dedup_by(|later, first| later.0 == first.0);
    places
}

/// Where the item with a key is.
fn at_key(places: &[(String, usize)], key: &str) -> Option<usize> {
    let at = places.binary_search_by(|(one, _)| one.as_str().cmp(key)).ok()?;
    places.get(at).map(|(_, place)| *place)
}

/// How paths name the item of a list with some keys: `[name="web"]`.
fn key_name(keys: &str) -> String {
    let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
    let keys: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    format!("[{}]", keys.join(","))
}

/// The first item that a list has twice: the list's path, and the item as paths name it.
pub(super) fn repeated(schemas: &Schemas, schema: Option<&Schema>, value: &Value) -> Option<(String, String)> {
    let below = |name: String, found: Option<(String, String)>| found.map(|(path, item)| (name + &path, item));
    match (value, schema.map(list_kind)) {
        (Value::Object(fields), _) if !is_atomic_map(schemas, schema) => fields.iter().find_map(|(name, value)| {
            let field = schema.and_then(|schema| schemas.field(schema, name));
            below(format!(".{name}"), repeated(schemas, field, value))
        }),
        (Value::Array(items), Some(ListKind::Keyed(keys))) => {
            let mut seen: Vec<String> = items.iter().map(|item| item_key(&keys, item)).collect();
            seen.order();
            if let Some([twice, _]) = seen.array_windows().find(|[one, next]| one == next) {
                return Some((String::new(), key_name(twice)));
            }
            let schema = schema.and_then(|schema| schemas.items(schema));
            items.iter().find_map(|item| below(key_name(&item_key(&keys, item)), repeated(schemas, schema, item)))
        }
        (Value::Array(items), Some(ListKind::Set)) => {
            let mut seen: Vec<String> = items.iter().map(Value::to_string).collect();
            seen.order();
            let twice = seen.array_windows().find(|[one, next]| one == next);
            twice.map(|[twice, _]| (String::new(), format!("[={twice}]")))
        }
        _ => None,
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

/// Whether a value is more than a leaf by its type.
fn is_granular(schemas: &Schemas, schema: Option<&Schema>, value: &Value) -> bool {
    match value {
        Value::Object(_) => !is_atomic_map(schemas, schema),
        Value::Array(_) => schema.is_some_and(|one| list_kind(one) != ListKind::Atomic),
        _ => false,
    }
}

fn is_atomic_map(schemas: &Schemas, schema: Option<&Schema>) -> bool {
    let Some(schema) = schema else { return false };
    [schema, schemas.resolve(schema)].iter().any(|one| one.map_type.as_deref() == Some("atomic"))
}

/// An item's keys as compact JSON; keys it lacks are those of its defaults.
fn item_key(keys: &[String], item: &Value) -> String {
    // Most lists have one key, a text.
    if let [name] = keys
        && let Some(Value::String(value)) = item.get(name)
    {
        let mut key = b"{".to_vec();
        raw::push_text(&mut key, name);
        key.push(b':');
        raw::push_text(&mut key, value);
        key.push(b'}');
        return String::from_utf8(key).unwrap_or_default();
    }
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
    fn applied_items_come_in_their_order_among_those_of_others() {
        for (live, applied, expected) in [
            ("b", "ab", "ab"),
            ("ab", "c", "abc"),
            ("ab", "bc", "abc"),
            ("xaybz", "ba", "xybza"),
            ("axb", "ba", "xba"),
            ("axb", "cbda", "xcbda"),
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
        assert_eq!(written(&set), expected);
        assert_eq!(FieldSet::read(expected.to_string().as_bytes()), set);
        let mut newer = pod();
        newer["spec"]["containers"][0]["image"] = "y".into();
        let changed = FieldSet::changed(schemas, schema, &newer, &pod());
        let image = json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}}}});
        assert_eq!(written(&changed), image);
        assert!(!written(&set.difference(&changed)).to_string().contains("f:image"));
    }

    #[test]
    fn a_node_says_nothing_of_what_is_below_it() {
        let set = |fields: Value| FieldSet::read(fields.to_string().as_bytes());
        let whole = set(json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}}));
        let node = set(json!({"f:data": {}}));
        let child = set(json!({"f:data": {"f:a": {}}}));
        assert_eq!(whole.difference(&node), set(json!({"f:data": {"f:a": {}, "f:b": {}}})));
        assert_eq!(whole.difference(&child), set(json!({"f:data": {".": {}, "f:b": {}}})));
        assert_eq!(node.difference(&child), node);
        assert_eq!(child.difference(&node), child);
        assert_eq!(whole.intersection(&node), node);
        assert_eq!(whole.intersection(&child), child);
        assert!(node.intersection(&child).is_empty());
        let mut both = node.clone();
        both.extend(child.clone());
        assert_eq!(both, set(json!({"f:data": {".": {}, "f:a": {}}})));
        assert_eq!(child.with_parents(), both);
        assert_eq!(whole.paths(), [".data", ".data.a", ".data.b"]);
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
