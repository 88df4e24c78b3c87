//! The registry by behaviour: a manifest in; errors, the defaulted object or table cells out.

mod cells;
mod create;
mod defaults;
mod groups;
mod hostile;
mod table;
mod update;

use machinery::{Object, Timestamp};
use serde_json::{Value, json};

use super::{ResourceInfo, Update, by_kind};

/// The moment tables are printed at.
const NOW: &str = "2026-01-02T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn row(value: &Value) -> &'static ResourceInfo {
    let api_version = value["apiVersion"].as_str().unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    by_kind(group, version, value["kind"].as_str().unwrap()).unwrap()
}

/// A manifest, with the metadata the API server sets before anything is validated.
fn manifest(yaml: &str) -> Value {
    let mut value: Value = machinery::yaml::from_str(yaml).unwrap();
    let row = row(&value);
    let metadata = value.as_object_mut().unwrap().entry("metadata").or_insert_with(|| json!({}));
    let metadata = metadata.as_object_mut().unwrap();
    metadata.entry("name").or_insert_with(|| "x".into());
    metadata.entry("uid").or_insert_with(|| "u".into());
    metadata.entry("resourceVersion").or_insert_with(|| "1".into());
    metadata.entry("creationTimestamp").or_insert_with(|| "2026-01-01T00:00:00Z".into());
    if row.namespaced {
        metadata.entry("namespace").or_insert_with(|| "default".into());
    }
    value
}

fn decode(value: &Value) -> Box<dyn Object> {
    let row = row(value);
    let value = row.conversion.map_or_else(|| value.clone(), |conversion| (conversion.to_stored)(value.clone()));
    let mut object = row.strategy.decode(value).unwrap();
    row.strategy.default(&mut *object);
    object
}

/// The object as it would be stored after a create, and what is wrong with it.
fn created(yaml: &str) -> (Value, Vec<String>) {
    let value = manifest(yaml);
    let mut object = decode(&value);
    let errors = row(&value).before_create(&mut *object);
    (object.to_value(), errors.iter().map(ToString::to_string).collect())
}

fn create_errors(yaml: &str) -> Vec<String> {
    created(yaml).1
}

/// The object as it would be stored after an update of what `old` would be stored as, and what is wrong.
fn updated(update: Update<'_>, old: &str, new: &str) -> (Value, Vec<String>) {
    let value = manifest(old);
    let row = row(&value);
    let mut old = decode(&value);
    assert_eq!(row.before_create(&mut *old), []);
    let mut new = decode(&manifest(new));
    let errors = row.before_update(update, &mut *new, &*old);
    (new.to_value(), errors.iter().map(ToString::to_string).collect())
}

fn update_errors(old: &str, new: &str) -> Vec<String> {
    updated(Update::Main, old, new).1
}

/// The object after defaulting, once; and twice, which must be the same.
fn defaulted(yaml: &str) -> Value {
    let value = manifest(yaml);
    let mut object = decode(&value);
    let once = object.to_value();
    row(&value).strategy.default(&mut *object);
    assert_eq!(once, object.to_value(), "defaulting twice");
    once
}

/// The cells of an object as stored, as text.
fn cells(yaml: &str) -> Vec<String> {
    let value = manifest(yaml);
    let row = row(&value);
    let cells = row.cells(&*decode(&value), now());
    assert_eq!(cells.len(), row.columns().len(), "a cell for each column");
    let text = |cell: &Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
    cells.iter().map(text).collect()
}
