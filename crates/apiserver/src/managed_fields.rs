//! `metadata.managedFields`: who has set which field.
//!
//! An update gives its manager what it added and changed, and takes it from the others. Server-side
//! apply builds on the same sets ([`FieldSet`]). Few look at them: a stored object's are kept apart from
//! its text ([`Managed`]), and an update leaves behind what differed until somebody does.

mod field_set;
mod lists;
mod merging;
mod values;

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use machinery::object::ManagedFields;
use machinery::schema::{Schema, Schemas};
use machinery::sort::Order;
use machinery::{Object, Timestamp, raw, schema};
use serde_json::Value;

pub(crate) use field_set::FieldSet;

use crate::call::Call;
use crate::registry::ResourceInfo;
use crate::storage::{EVENTS, wire_text};

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
    fields_through(call.row, &call.info.subresource, value)
}

fn fields_through(row: &ResourceInfo, door: &str, value: &Value) -> FieldSet {
    let schemas = schema::builtin();
    managed(row, door, FieldSet::of(schemas, schemas.get(&row.gvk()), value))
}

/// The managed fields that `new` has and `old` has not, or has otherwise.
pub(crate) fn fields_changed(call: &Call, new: &Value, old: &Value) -> FieldSet {
    let schemas = schema::builtin();
    managed(call.row, &call.info.subresource, FieldSet::changed(schemas, schemas.get(&call.row.gvk()), new, old))
}

/// Without what nobody manages, and what a write through this door does not reach: a status by the main
/// one, a spec by that of the status (upstream's `GetResetFields`).
fn managed(row: &ResourceInfo, door: &str, mut set: FieldSet) -> FieldSet {
    UNMANAGED.iter().for_each(|path| set.remove_path(path));
    match door {
        "" if row.subresource("status").is_some() => set.remove_path(&["status"]),
        "status" => set.remove_path(&["spec"]),
        _ => {}
    }
    set
}

/// The fields that an applied configuration sets.
pub(crate) fn applied_fields(call: &Call, config: &Value) -> FieldSet {
    let schemas = schema::builtin();
    managed(call.row, &call.info.subresource, FieldSet::applied(schemas, schemas.get(&call.row.gvk()), config))
}

/// The managed fields of a stored object: as text, and updates whose changes are not in it yet.
pub(crate) struct Managed {
    entries: Mutex<Entries>,
    /// What this takes, as it was when made: it must not change while the store counts with it.
    weight: usize,
}

#[derive(Clone, Default)]
struct Entries {
    /// The array; empty for none. Objects made alike at one time share it.
    text: Bytes,
    /// What the text is still to be made of.
    given: Option<(Arc<Given>, Bytes)>,
    pending: Vec<Arc<Change>>,
}

/// The managed fields of objects that are stored as they came, such as Events: their writer has all there is.
/// Objects made by one writer at one time share it.
pub(crate) struct Given(Writer);

impl Given {
    /// The array, from the object's text as it is stored.
    fn text(&self, plain: &Bytes) -> Bytes {
        let value = serde_json::from_slice(&wire_text(self.0.row, plain.clone())).unwrap_or_default();
        let fields = fields_through(self.0.row, &self.0.door, &value);
        write(&[self.0.entry(false, fields)]).into()
    }
}

impl store::Rest for Given {
    fn whole(&self, part: &Bytes) -> Bytes {
        raw::with_managed_fields(part, &self.text(part)).into()
    }

    fn weight(&self) -> usize {
        0
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// What an update changed, and who made it.
struct Change {
    writer: Writer,
    /// The parts of the new and the old object that differ, in the form of their version. They stay for long: no larger
    /// than needed.
    new: Box<[u8]>,
    old: Box<[u8]>,
}

impl Managed {
    /// So many changes wait at most.
    const PENDING_MAX: usize = 8;

    /// Of an array's text.
    pub(crate) fn written(text: Bytes) -> Self {
        Self { weight: text.len(), entries: Mutex::new(Entries { text, ..Entries::default() }) }
    }

    /// Those that are kept apart in a value.
    pub(crate) fn of(value: &store::Value) -> Option<Arc<Self>> {
        let rest = match value.rest()?.clone().into_any().downcast() {
            Ok(managed) => return Some(managed),
            Err(rest) => rest,
        };
        let given = Some((rest.downcast().ok()?, value.part().clone()));
        Some(Arc::new(Self { weight: 0, entries: Mutex::new(Entries { given, ..Entries::default() }) }))
    }

    /// Whether there are none, so that an update keeps none.
    fn is_none(&self) -> bool {
        let entries = self.entries();
        entries.text.is_empty() && entries.given.is_none() && entries.pending.is_empty()
    }

    /// After one more update.
    fn after(&self, change: Change) -> Self {
        let mut entries = self.entries().clone();
        // Whoever changes the same fields again, as with each heartbeat, has them already.
        if entries.pending.last().is_some_and(|last| change.is_like(last)) {
            return Self { weight: self.weight, entries: Mutex::new(entries) };
        }
        let weight = change.new.len() + change.old.len();
        entries.pending.push(Arc::new(change));
        if entries.pending.len() > Self::PENDING_MAX {
            entries.settle();
        }
        Self { weight, entries: Mutex::new(entries) }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// Works the pending changes into the text.
    fn settle(&mut self) {
        if let Some((given, plain)) = self.given.take() {
            self.text = given.text(&plain);
        }
        for change in std::mem::take(&mut self.pending) {
            let tree = |text: &[u8]| serde_json::from_slice(text).unwrap_or_default();
            self.text = change.writer.change(&self.text, &tree(&change.new), &tree(&change.old), None).into();
        }
    }
}

impl Change {
    /// Whether it is by the same writer, of the same fields, as another.
    fn is_like(&self, other: &Self) -> bool {
        let shape = |text: &[u8]| {
            let mut shape = Vec::with_capacity(text.len());
            raw::push_shape(&mut shape, text);
            shape
        };
        self.writer.is_like(&other.writer)
            && self.new.len().abs_diff(other.new.len()) < 64
            && shape(&self.new) == shape(&other.new)
            && shape(&self.old) == shape(&other.old)
    }
}

impl ManagedFields for Managed {
    fn text(&self) -> Bytes {
        let mut entries = self.entries();
        entries.settle();
        entries.text.clone()
    }
}

impl store::Rest for Managed {
    fn whole(&self, part: &Bytes) -> Bytes {
        let managed = self.text();
        if managed.is_empty() { part.clone() } else { raw::with_managed_fields(part, &managed).into() }
    }

    fn weight(&self) -> usize {
        self.weight
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// The managed fields of a new object: its creator has all its fields.
pub(crate) fn on_create(call: &Call, object: &mut dyn Object) -> Option<Arc<dyn store::Rest>> {
    object.metadata_mut().managed_fields = None;
    if !is_tracked(call) {
        return None;
    }
    let writer = Writer::of(call);
    if let Some(applied) = &call.applied {
        let entry = writer.entry(true, applied.clone());
        return Some(Arc::new(Managed::written(write(&[entry]).into())));
    }
    // Neither admission nor their strategy changes anything of Events.
    if call.row.storage_prefix == EVENTS {
        return Some(call.server.shapes().given(writer));
    }
    let text = wire_text(call.row, object.to_bytes());
    let make = || fields_of(call, &serde_json::from_slice(&text).unwrap_or_default());
    Some(call.server.shapes().created(writer, &text, make))
}

/// Objects that were made lately, by what their fields depend on: many are made alike.
#[derive(Default)]
pub(crate) struct Shapes {
    made: VecDeque<Made>,
    given: VecDeque<Arc<Given>>,
}

struct Made {
    shape: Vec<u8>,
    fields: Vec<u8>,
    /// The last that was made, by whom, and its managed fields.
    last: (Writer, Arc<Managed>),
}

impl Shapes {
    const REMEMBERED_MAX: usize = 32;

    /// The managed fields of an object that is stored as it came.
    fn given(&mut self, writer: Writer) -> Arc<Given> {
        let is_same = |given: &&Arc<Given>| given.0.is_like(&writer) && given.0.time == writer.time;
        if let Some(given) = self.given.iter().find(is_same) {
            return given.clone();
        }
        let given = Arc::new(Given(writer));
        self.given.truncate(Self::REMEMBERED_MAX - 1);
        self.given.push_front(given.clone());
        given
    }

    /// The managed fields of an object with this text, remembered or made.
    fn created(&mut self, writer: Writer, object: &[u8], make: impl FnOnce() -> FieldSet) -> Arc<Managed> {
        let mut shape = Vec::with_capacity(object.len());
        shape.extend_from_slice(writer.row.storage_prefix.as_bytes());
        shape.extend_from_slice(writer.row.api_version().as_bytes());
        raw::push_shape(&mut shape, object);
        let managed = |writer: &Writer, fields: &[u8]| {
            let entry = Entry { fields: Fields::written(fields.to_vec()), ..writer.entry(false, FieldSet::default()) };
            Arc::new(Managed { weight: 0, ..Managed::written(write(&[entry]).into()) })
        };
        if let Some(found) = self.made.iter().position(|made| made.shape == shape) {
            self.made.swap(0, found);
        } else {
            let mut fields = Vec::new();
            make().write(&mut fields);
            let last = (writer.clone(), managed(&writer, &fields));
            self.made.truncate(Self::REMEMBERED_MAX - 1);
            self.made.push_front(Made { shape, fields, last });
        }
        let Some(made) = self.made.front_mut() else { return managed(&writer, b"{}") };
        if !(made.last.0.is_like(&writer) && made.last.0.time == writer.time) {
            made.last = (writer.clone(), managed(&writer, &made.fields));
        }
        made.last.1.clone()
    }
}

/// The entries an update asks to start from, as text: those it carries, which a client may have changed. One
/// empty entry is how a client asks for a fresh start; through a subresource nothing is asked for. An apply
/// brings those it started from. `None` if it takes those of the object as it was.
pub(crate) fn requested(call: &Call, carried: Option<Vec<ManagedFieldsEntry>>) -> Option<Bytes> {
    let text = |carried: &[ManagedFieldsEntry]| machinery::json::to_vec(carried).unwrap_or_default().into();
    match carried.as_deref() {
        carried if call.applied.is_some() => Some(carried.map(text).unwrap_or_default()),
        Some([only]) if call.info.subresource.is_empty() && *only == ManagedFieldsEntry::default() => {
            Some(Bytes::new())
        }
        Some(carried @ [_, ..]) if call.info.subresource.is_empty() && carried.iter().all(is_readable) => {
            Some(text(carried))
        }
        _ => None,
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
    let everything = Writer::of(call).entry(call.applied.is_some(), fields_of(call, live));
    vec![Entry { manager: BEFORE_FIRST_APPLY.into(), operation: "Update".into(), ..everything }]
}

/// The managed fields after an update that makes `plain` of `before`, both without them, where that is kept:
/// its manager has what it added or changed. An object that has none gets its first by an apply.
pub(crate) fn on_update(call: &Call, managed: &Arc<Managed>, plain: &Bytes, before: &Bytes) -> Option<Arc<Managed>> {
    if !is_tracked(call) {
        return None;
    }
    let (mut new, mut old) = (Vec::new(), Vec::new());
    differing(&wire_text(call.row, plain.clone()), &wire_text(call.row, before.clone()), DEPTH_MAX, &mut new, &mut old);
    let writer = Writer::of(call);
    Some(Arc::new(match &call.applied {
        Some(applied) => {
            let tree = |text: &[u8]| serde_json::from_slice(text).unwrap_or_default();
            let text = managed.text();
            Managed::written(writer.change(&text, &tree(&new), &tree(&old), Some(applied)).into())
        }
        None if managed.is_none() => return None,
        None => managed.after(Change { writer, new: new.into(), old: old.into() }),
    }))
}

/// Components of this process are not asked for what they manage where the host says so.
fn is_tracked(call: &Call) -> bool {
    call.server.options().track_components || !call.from_component
}

/// Writes two values without what is the same in both: most of an object stays as it was.
fn differing(new: &[u8], old: &[u8], depth: usize, new_out: &mut Vec<u8>, old_out: &mut Vec<u8>) {
    if depth == 0 || new.first() != Some(&b'{') || old.first() != Some(&b'{') {
        new_out.extend_from_slice(new);
        old_out.extend_from_slice(old);
        return;
    }
    let begin = |out: &mut Vec<u8>, name: &[u8]| {
        if out.last() != Some(&b'{') {
            out.push(b',');
        }
        out.extend_from_slice(name);
        out.push(b':');
    };
    new_out.push(b'{');
    old_out.push(b'{');
    let before: Vec<_> = raw::members(old).collect();
    let mut same = vec![false; before.len()];
    // Both are mostly in the same order.
    let mut at = 0;
    for (name, value) in raw::members(new) {
        let place = (at..before.len()).chain(0..at).find(|at| before.get(*at).is_some_and(|(other, _)| *other == name));
        let Some((place, (_, other))) = place.and_then(|place| Some((place, before.get(place)?))) else {
            begin(new_out, name);
            new_out.extend_from_slice(value);
            continue;
        };
        at = place + 1;
        if let Some(same) = same.get_mut(place) {
            *same = true;
        }
        if value != *other {
            begin(new_out, name);
            begin(old_out, name);
            differing(value, other, depth - 1, new_out, old_out);
        }
    }
    for ((name, value), _) in before.iter().zip(same).filter(|(_, same)| !same) {
        begin(old_out, name);
        old_out.extend_from_slice(value);
    }
    new_out.push(b'}');
    old_out.push(b'}');
}

/// Who writes an object, through which door, and when.
#[derive(Clone)]
struct Writer {
    row: &'static ResourceInfo,
    /// The subresource of the request.
    door: String,
    /// The subresource through which the manager has the fields it sets.
    subresource: String,
    manager: String,
    /// In whole seconds, as entries have it.
    time: Timestamp,
}

impl Writer {
    /// Who makes this call, now.
    fn of(call: &Call) -> Self {
        Self {
            row: call.row,
            door: call.info.subresource.clone(),
            subresource: call.manages_through().to_owned(),
            manager: call.field_manager(),
            time: Timestamp::from_second(call.now.as_second()).unwrap_or(call.now),
        }
    }

    /// Whether it is the same writer as another, at any time.
    fn is_like(&self, other: &Self) -> bool {
        std::ptr::eq(self.row, other.row)
            && self.door == other.door
            && self.subresource == other.subresource
            && self.manager == other.manager
    }

    /// An entry of its own.
    fn entry(&self, is_apply: bool, fields: FieldSet) -> Entry {
        Entry {
            api_version: self.row.api_version(),
            manager: self.manager.clone(),
            operation: if is_apply { "Apply" } else { "Update" }.into(),
            subresource: self.subresource.clone(),
            time: machinery::time::format_seconds(self.time),
            fields: fields.into(),
        }
    }

    /// The entries after a change of this writer's, which applies these fields or updates.
    fn change(&self, managed_text: &[u8], new: &Value, old: &Value, applied: Option<&FieldSet>) -> Vec<u8> {
        let (schemas, schema) = (schema::builtin(), schema::builtin().get(&self.row.gvk()));
        let changed = managed(self.row, &self.door, FieldSet::changed(schemas, schema, new, old));
        let removed = managed(self.row, &self.door, FieldSet::removed(schemas, schema, new, old));
        if changed.is_empty() && removed.is_empty() && applied.is_none() {
            return managed_text.to_vec();
        }
        let blank = self.entry(applied.is_some(), FieldSet::default());
        let mut own = None;
        let mut entries = entries(managed_text);
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
        let set = match applied {
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
            if applied.is_none() {
                join_oldest(&mut entries);
            }
            entries.order_by(|a, b| order(a).cmp(&order(b)));
        }
        write(&entries)
    }
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
    merging::merge(schemas, schema, target, config);
}

/// Where an applied configuration has an item of a list twice: the list's path, and the item.
pub(crate) fn repeated(call: &Call, config: &Value) -> Option<(String, String)> {
    let schemas = schema::builtin();
    lists::repeated(schemas, schemas.get(&call.row.gvk()), config)
}
