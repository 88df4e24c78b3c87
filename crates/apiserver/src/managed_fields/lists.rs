//! Lists whose items have owners of their own: what tells items apart, and where an item is.

use machinery::raw;
use machinery::schema::{Schema, Schemas};
use machinery::sort::Order;
use serde_json::{Map, Value};

/// How the items of a list are told apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    Atomic,
    Set,
    Keyed(Vec<String>),
}

/// By the schema of a list.
pub(super) fn list_kind(schema: &Schema) -> ListKind {
    match schema.list_type.as_deref() {
        Some("map") => ListKind::Keyed(schema.list_map_keys.clone()),
        Some("set") => ListKind::Set,
        _ => ListKind::Atomic,
    }
}

/// Whether a map is one value, of one owner.
pub(super) fn is_atomic_map(schemas: &Schemas, schema: Option<&Schema>) -> bool {
    let Some(schema) = schema else { return false };
    [schema, schemas.resolve(schema)].iter().any(|one| one.map_type.as_deref() == Some("atomic"))
}

/// An item's keys as compact JSON; keys it lacks are those of its defaults.
pub(super) fn item_key(keys: &[String], item: &Value) -> String {
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

/// The places of a list's items by their keys, in the order of the keys; of items with the same key, the
/// first.
pub(super) fn by_key(items: &[Value], key: &dyn Fn(&Value) -> String) -> Vec<(String, usize)> {
    let mut places: Vec<(String, usize)> = items.iter().enumerate().map(|(at, item)| (key(item), at)).collect();
    places.order();
    places.dedup_by(|later, first| later.0 == first.0);
    places
}

/// Where the item with a key is.
pub(super) fn at_key(places: &[(String, usize)], key: &str) -> Option<usize> {
    let at = places.binary_search_by(|(one, _)| one.as_str().cmp(key)).ok()?;
    places.get(at).map(|(_, place)| *place)
}

/// How paths name the item of a list with some keys: `[name="web"]`.
pub(super) fn key_name(keys: &str) -> String {
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
