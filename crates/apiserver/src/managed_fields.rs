//! `metadata.managedFields`: who has set which field.
//!
//! An update gives its manager what it added and changed, and takes it from the others. Server-side
//! apply builds on the same sets ([`FieldSet`]).

mod field_set;

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use machinery::schema::{Schema, Schemas};
use machinery::sort::Order;
use machinery::{Object, raw, schema};
use serde_json::{Map, Value};
use store::KeyValue;

pub(crate) use field_set::FieldSet;

use crate::call::Call;
use crate::storage::wire_text;

/// Objects nest no deeper than this; what is below is looked at as a whole.
const DEPTH_MAX: usize = 64;

/// Entries of updates that an object has at most, as upstream; the oldest become one.
const UPDATE_MANAGERS_MAX: usize = 10;
/// The manager of the oldest updates together.
const ANCIENT_CHANGES: &str = "ancient-changes";
/// The manager of all that was there when an object without entries is first applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Fields nobody manages: identity, and what the server sets.
const UNMANAGED: &[&[&str]] = &[
    &["apiVersion"],
    &["kind"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "uid"],
    &["metadata", "resourceVersion"],
    &["metadata", "creationTimestamp"],
    &["metadata", "generation"],
    &["metadata", "managedFields"],
    &["metadata", "selfLink"],
    &["metadata", "deletionTimestamp"],
    &["metadata", "deletionGracePeriodSeconds"],
];

/// The fields of an object that can be managed.
pub(crate) fn fields_of(call: &Call, value: &Value) -> FieldSet {
    let schemas = schema::builtin();
    managed(call, FieldSet::of(schemas, schemas.get(&call.row.gvk()), value))
}

/// The managed fields that `new` has and `old` has not, or has otherwise.
pub(crate) fn fields_changed(call: &Call, new: &Value, old: &Value) -> FieldSet {
    let schemas = schema::builtin();
    managed(call, FieldSet::changed(schemas, schemas.get(&call.row.gvk()), new, old))
}

/// The managed fields that `old` has and `new` has not.
fn fields_removed(call: &Call, new: &Value, old: &Value) -> FieldSet {
    let schemas = schema::builtin();
    managed(call, FieldSet::removed(schemas, schemas.get(&call.row.gvk()), new, old))
}

/// Without what nobody manages, and what a write through this door does not reach: a status by the main
/// one, a spec by that of the status (upstream's `GetResetFields`).
fn managed(call: &Call, mut set: FieldSet) -> FieldSet {
    UNMANAGED.iter().for_each(|path| set.remove_path(path));
    match call.info.subresource.as_str() {
        "" if call.row.subresource("status").is_some() => set.remove_path(&["status"]),
        "status" => set.remove_path(&["spec"]),
        _ => {}
    }
    set
}

/// The fields that an applied configuration sets.
pub(crate) fn applied_fields(call: &Call, config: &Value) -> FieldSet {
    let schemas = schema::builtin();
    managed(call, FieldSet::applied(schemas, schemas.get(&call.row.gvk()), config))
}

/// The entries of a new object, as text: its creator has all its fields.
pub(crate) fn on_create(call: &Call, object: &mut dyn Object) -> Vec<u8> {
    object.metadata_mut().managed_fields = None;
    if !is_tracked(call) {
        return Vec::new();
    }
    let created = match &call.applied {
        Some(applied) => Entry::new(call, applied.clone()),
        None => {
            let text = wire_text(call.row, object.to_bytes());
            let make = || fields_of(call, &serde_json::from_slice(&text).unwrap_or_default());
            let kind = format!("{} {}", call.row.api_version(), call.row.kind);
            let fields = Fields::written(call.server.shapes().fields(&kind, &text, make));
            Entry { fields, ..Entry::new(call, FieldSet::default()) }
        }
    };
    write(&[created])
}

/// Objects that were made lately, by what their fields depend on: many are made alike.
#[derive(Default)]
pub(crate) struct Shapes(VecDeque<(Vec<u8>, Vec<u8>)>);

impl Shapes {
    const REMEMBERED_MAX: usize = 32;

    /// The text of an object's fields, remembered or made.
    fn fields(&mut self, kind: &str, object: &[u8], make: impl FnOnce() -> FieldSet) -> Vec<u8> {
        let mut shape = kind.as_bytes().to_vec();
        raw::push_shape(&mut shape, object);
        if let Some(found) = self.0.iter().position(|(known, _)| *known == shape) {
            self.0.swap(0, found);
            return self.0.front().map(|(_, fields)| fields.clone()).unwrap_or_default();
        }
        let mut fields = Vec::new();
        make().write(&mut fields);
        self.0.truncate(Self::REMEMBERED_MAX - 1);
        self.0.push_front((shape, fields.clone()));
        fields
    }
}

/// The entries an update starts from, as text: those it carries, which a client may have changed, or else
/// those of the object as it was. One empty entry is how a client asks for a fresh start; through a
/// subresource nothing is asked for. An apply brings those it started from.
pub(crate) fn requested<'a>(
    call: &Call,
    carried: Option<Vec<ManagedFieldsEntry>>,
    before: &'a KeyValue,
) -> Cow<'a, [u8]> {
    match carried.as_deref() {
        carried if call.applied.is_some() => {
            carried.map(|carried| serde_json::to_vec(carried).unwrap_or_default()).unwrap_or_default().into()
        }
        Some([only]) if call.info.subresource.is_empty() && *only == ManagedFieldsEntry::default() => Cow::default(),
        Some(carried @ [_, ..]) if call.info.subresource.is_empty() && carried.iter().all(is_readable) => {
            serde_json::to_vec(carried).unwrap_or_default().into()
        }
        _ => raw::managed_fields(&before.value).unwrap_or_default().into(),
    }
}

/// Whether an entry is one (upstream's `DecodeManagedFields`); where one is not, none is taken.
fn is_readable(entry: &ManagedFieldsEntry) -> bool {
    matches!(entry.operation.as_deref(), Some("Apply" | "Update"))
        && entry.api_version.as_deref().is_some_and(|version| !version.is_empty())
        && entry.fields_type.as_deref() == Some("FieldsV1")
}

/// The entries of an object that is applied: those it has, or else one for all that is there already.
pub(crate) fn before_apply(call: &Call, live: &Value, entries: Vec<Entry>) -> Vec<Entry> {
    if !entries.is_empty() {
        return entries;
    }
    let everything = Entry::new(call, fields_of(call, live));
    vec![Entry { manager: BEFORE_FIRST_APPLY.into(), operation: "Update".into(), ..everything }]
}

/// The entries after an update that makes `plain` of `before`, both without entries, where that is kept: its
/// manager has what it added or changed. An object that has no entries gets its first by an apply.
pub(crate) fn on_update(call: &Call, managed: &[u8], plain: &Bytes, before: Bytes) -> Option<Vec<u8>> {
    if !is_tracked(call) || managed.is_empty() && call.applied.is_none() {
        return None;
    }
    let (new, old) = differing(&wire_text(call.row, plain.clone()), &wire_text(call.row, before), DEPTH_MAX);
    Some(change(call, managed, &new, &old))
}

/// Components of this process are not asked for what they manage where the host says so.
fn is_tracked(call: &Call) -> bool {
    call.server.options().track_components || !call.from_component
}

/// Two values without what is the same in both: most of an object stays as it was.
fn differing(new: &[u8], old: &[u8], depth: usize) -> (Value, Value) {
    if depth == 0 || new.first() != Some(&b'{') || old.first() != Some(&b'{') {
        let tree = |text: &[u8]| serde_json::from_slice(text).unwrap_or_default();
        return (tree(new), tree(old));
    }
    let (mut new_fields, mut old_fields) = (Map::new(), Map::new());
    let before: Vec<_> = raw::members(old).collect();
    let mut same = vec![false; before.len()];
    // Both are mostly in the same order.
    let mut at = 0;
    for (name, value) in raw::members(new) {
        let place = (at..before.len()).chain(0..at).find(|at| before.get(*at).is_some_and(|(other, _)| *other == name));
        let Some((place, (_, other))) = place.and_then(|place| Some((place, before.get(place)?))) else {
            new_fields.insert(raw::text(name), differing(value, b"", 0).0);
            continue;
        };
        at = place + 1;
        if let Some(same) = same.get_mut(place) {
            *same = true;
        }
        if value != *other {
            let (new, old) = differing(value, other, depth - 1);
            new_fields.insert(raw::text(name), new);
            old_fields.insert(raw::text(name), old);
        }
    }
    for ((name, value), _) in before.iter().zip(same).filter(|(_, same)| !same) {
        old_fields.insert(raw::text(name), differing(b"", value, 0).1);
    }
    (Value::Object(new_fields), Value::Object(old_fields))
}

fn change(call: &Call, managed: &[u8], new: &Value, old: &Value) -> Vec<u8> {
    let changed = fields_changed(call, new, old);
    let removed = fields_removed(call, new, old);
    if changed.is_empty() && removed.is_empty() && call.applied.is_none() {
        return managed.to_vec();
    }
    let blank = Entry::new(call, FieldSet::default());
    let mut own = None;
    let mut entries = entries(managed);
    entries.retain_mut(|entry| {
        if entry.is_of(&blank) {
            own = Some(std::mem::take(entry));
            return false;
        }
        // Most of what others set is not touched, and stays as it is written.
        if let Some(text) = &entry.fields.text
            && !changed.may_meet(text)
            && !removed.may_meet(text)
        {
            return true;
        }
        let left = entry.fields.read().difference(&removed).difference(&changed);
        let is_left = !left.is_empty();
        entry.fields = left.into();
        is_left
    });
    let before = own.as_mut().map(|own| own.fields.read().clone()).unwrap_or_default();
    let set = match &call.applied {
        Some(applied) => applied.clone(),
        None => {
            let mut set = before.difference(&removed);
            set.extend(changed);
            set
        }
    };
    if !set.is_empty() {
        let unchanged = set == before;
        // An entry that says nothing new keeps its time, so that the object stays as it is.
        entries.push(own.filter(|_| unchanged).unwrap_or(Entry { fields: set.into(), ..blank }));
        if call.applied.is_none() {
            join_oldest(&mut entries);
        }
        entries.order_by(|a, b| order(a).cmp(&order(b)));
    }
    write(&entries)
}

/// What entries are in order of.
fn order(entry: &Entry) -> impl Ord + '_ {
    (&entry.operation, &entry.time, &entry.manager, &entry.api_version, &entry.subresource)
}

/// Makes one entry of the oldest updates of a version, until there are not too many
/// (`capManagersManager`).
fn join_oldest(entries: &mut Vec<Entry>) {
    let mut updates: Vec<_> = entries.extract_if(.., |entry| entry.operation == "Update").collect();
    updates.order_by(|a, b| order(a).cmp(&order(b)));
    let mut at = 0;
    while updates.len() > UPDATE_MANAGERS_MAX
        && let Some(version) = updates.get(at).map(|entry| entry.api_version.clone())
    {
        let first = updates.iter().take(at).position(|entry| entry.api_version == version);
        let is_bucket = |entry: &Entry| {
            entry.manager == ANCIENT_CHANGES && entry.api_version == version && entry.subresource.is_empty()
        };
        let into = updates.iter().position(is_bucket).or(first);
        let Some(into) = into.filter(|into| first.is_some() && *into != at) else {
            at += 1;
            continue;
        };
        let mut joined = updates.remove(at);
        if let Some(bucket) = updates.get_mut(into - usize::from(into > at)) {
            bucket.manager = ANCIENT_CHANGES.into();
            bucket.subresource.clear();
            bucket.fields.read().extend(std::mem::take(joined.fields.read()));
            bucket.time = joined.time;
        }
    }
    entries.append(&mut updates);
}

/// What one manager has set by one operation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    pub(crate) api_version: String,
    pub(crate) manager: String,
    /// `Apply` or `Update`.
    pub(crate) operation: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
    pub(crate) time: String,
    pub(crate) fields: Fields,
}

/// A set of fields, read from its text only where somebody looks into it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    /// The text, as long as it says what the set is.
    text: Option<Vec<u8>>,
    set: FieldSet,
}

impl Fields {
    /// Of a text that has not been read.
    fn written(text: Vec<u8>) -> Self {
        Self { text: Some(text), set: FieldSet::default() }
    }

    /// The set, to look at and to change.
    pub(crate) fn read(&mut self) -> &mut FieldSet {
        if let Some(text) = self.text.take() {
            self.set = FieldSet::read(&text);
        }
        &mut self.set
    }

    fn write(&self, out: &mut Vec<u8>) {
        match &self.text {
            Some(text) => out.extend_from_slice(text),
            None => self.set.write(out),
        }
    }
}

impl From<FieldSet> for Fields {
    fn from(set: FieldSet) -> Self {
        Self { text: None, set }
    }
}

impl Entry {
    /// Of who makes this call, now.
    fn new(call: &Call, fields: FieldSet) -> Self {
        Self {
            api_version: call.row.api_version(),
            manager: call.field_manager(),
            operation: if call.applied.is_some() { "Apply" } else { "Update" }.into(),
            subresource: call.manages_through().to_owned(),
            time: machinery::time::format_seconds(call.now),
            fields: fields.into(),
        }
    }

    /// Whether it is of the same manager, by the same operation, as another.
    pub(crate) fn is_of(&self, other: &Self) -> bool {
        self.manager == other.manager && self.operation == other.operation && self.subresource == other.subresource
    }
}

/// Reads the array of `metadata.managedFields`.
pub(crate) fn entries(managed: &[u8]) -> Vec<Entry> {
    let read = |entry| {
        let text = |name: &str| raw::member(entry, name).map(raw::text).unwrap_or_default();
        Entry {
            api_version: text("apiVersion"),
            manager: text("manager"),
            operation: text("operation"),
            subresource: text("subresource"),
            time: text("time"),
            fields: Fields::written(raw::member(entry, "fieldsV1").unwrap_or(b"{}").to_vec()),
        }
    };
    raw::items(managed).map(read).collect()
}

/// Writes the array of `metadata.managedFields`; nothing if there are no entries.
pub(crate) fn write(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        out.push(if out.is_empty() { b'[' } else { b',' });
        out.extend_from_slice(b"{\"apiVersion\":");
        raw::push_text(&mut out, &entry.api_version);
        out.extend_from_slice(b",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":");
        entry.fields.write(&mut out);
        let rest = [("manager", &entry.manager), ("operation", &entry.operation)];
        let optional = [("subresource", &entry.subresource), ("time", &entry.time)];
        for (name, text) in rest.into_iter().chain(optional.into_iter().filter(|(_, text)| !text.is_empty())) {
            out.push(b',');
            raw::push_text(&mut out, name);
            out.push(b':');
            raw::push_text(&mut out, text);
        }
        out.push(b'}');
    }
    if !out.is_empty() {
        out.push(b']');
    }
    out
}

/// Merges an applied configuration into an object: maps by key, lists as their type says.
pub(crate) fn merge(schemas: &Schemas, schema: Option<&Schema>, target: &mut Value, config: &Value) {
    field_set::merge(schemas, schema, target, config);
}

/// Where an applied configuration has an item of a list twice: the list's path, and the item.
pub(crate) fn repeated(call: &Call, config: &Value) -> Option<(String, String)> {
    let schemas = schema::builtin();
    field_set::repeated(schemas, schemas.get(&call.row.gvk()), config)
}
