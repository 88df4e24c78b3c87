//! `metadata.managedFields`: who has set which field.
//!
//! An update gives its manager what it added and changed, and takes it from the others. Server-side
//! apply builds on the same sets ([`FieldSet`]).

mod field_set;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use machinery::schema::{Schema, Schemas};
use machinery::sort::Order;
use machinery::{Object, schema};
use serde_json::Value;

pub(crate) use field_set::FieldSet;

use crate::call::Call;
use crate::storage::wire_value;

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

/// Gives the creator of an object all its fields.
pub(crate) fn on_create(call: &Call, object: &mut dyn Object) {
    object.metadata_mut().managed_fields = None;
    if !is_tracked(call) {
        return;
    }
    let created = match &call.applied {
        Some(applied) => entry(call, "Apply", &call.field_manager(), applied),
        None => entry(call, "Update", &call.field_manager(), &fields_of(call, &wire_value(call.row, object))),
    };
    object.metadata_mut().managed_fields = Some(vec![created]);
}

/// The entries an update starts from: those it carries, which a client may have changed, or else those
/// of the object as it was. One empty entry is how a client asks for a fresh start; through a
/// subresource nothing is asked for. An apply brings those it started from.
pub(crate) fn requested(call: &Call, object: &dyn Object, old: &dyn Object) -> Option<Vec<ManagedFieldsEntry>> {
    let before = || old.metadata().managed_fields.clone();
    match object.metadata().managed_fields.as_deref() {
        carried if call.applied.is_some() => carried.map(<[_]>::to_vec),
        _ if !call.info.subresource.is_empty() => before(),
        None | Some([]) => before(),
        Some([only]) if *only == ManagedFieldsEntry::default() => None,
        Some(carried) => Some(carried.to_vec()),
    }
}

/// The entries of an object that is applied: those it has, or else one for all that is there already.
pub(crate) fn before_apply(
    call: &Call,
    live: &Value,
    entries: Option<Vec<ManagedFieldsEntry>>,
) -> Vec<ManagedFieldsEntry> {
    match entries.filter(|entries| !entries.is_empty()) {
        Some(entries) => entries,
        None => vec![entry(call, "Update", BEFORE_FIRST_APPLY, &fields_of(call, live))],
    }
}

/// Gives the manager of an update what it added or changed, where that is kept; says whether it is: an
/// object that has no entries gets its first by an apply. The object has the entries it had before.
pub(crate) fn on_update(call: &Call, object: &mut dyn Object, old: &dyn Object) -> bool {
    if !is_tracked(call) {
        return false;
    }
    let mut entries = object.metadata_mut().managed_fields.take().unwrap_or_default();
    if entries.is_empty() && call.applied.is_none() {
        return false;
    }
    change(call, &mut entries, &wire_value(call.row, object), &wire_value(call.row, old));
    object.metadata_mut().managed_fields = (!entries.is_empty()).then_some(entries);
    true
}

/// Components of this process are not asked for what they manage where the host says so.
fn is_tracked(call: &Call) -> bool {
    call.server.options().track_components || !call.from_component
}

fn change(call: &Call, entries: &mut Vec<ManagedFieldsEntry>, new: &Value, old: &Value) {
    let (operation, manager) = (if call.applied.is_some() { "Apply" } else { "Update" }, call.field_manager());
    let changed = fields_changed(call, new, old);
    let removed = fields_of(call, old).difference(&fields_of(call, new));
    if changed.is_empty() && removed.is_empty() && call.applied.is_none() {
        return;
    }
    let subresource = Some(call.info.subresource.clone()).filter(|name| !name.is_empty());
    let mut own = None;
    entries.retain_mut(|entry| {
        let is_own = entry.manager.as_deref() == Some(manager.as_str())
            && entry.operation.as_deref() == Some(operation)
            && entry.subresource == subresource;
        if is_own {
            own = Some(entry.clone());
            return false;
        }
        let set = fields_of_entry(entry);
        let rest = set.difference(&removed).difference(&changed);
        if rest != set {
            entry.fields_v1 = Some(FieldsV1(rest.to_fields()));
        }
        !rest.is_empty()
    });
    let before = own.as_ref().map(fields_of_entry).unwrap_or_default();
    let set = match &call.applied {
        Some(applied) => applied.clone(),
        None => {
            let mut set = before.difference(&removed);
            set.extend(changed);
            set
        }
    };
    if set.is_empty() {
        return;
    }
    // An entry that says nothing new keeps its time, so that the object stays as it is.
    let unchanged = own.filter(|_| set == before);
    entries.push(unchanged.unwrap_or_else(|| entry(call, operation, &manager, &set)));
    if call.applied.is_none() {
        join_oldest(entries);
    }
    entries.order_by(|a, b| order(a).cmp(&order(b)));
}

/// What entries are in order of.
fn order(entry: &ManagedFieldsEntry) -> impl Ord + '_ {
    let time = entry.time.as_ref().map_or(0, |time| time.0.as_second());
    (&entry.operation, time, &entry.manager, &entry.api_version, &entry.subresource)
}

/// Makes one entry of the oldest updates of a version, until there are not too many
/// (`capManagersManager`).
fn join_oldest(entries: &mut Vec<ManagedFieldsEntry>) {
    let is_update = |entry: &mut ManagedFieldsEntry| entry.operation.as_deref() == Some("Update");
    let mut updates: Vec<_> = entries.extract_if(.., is_update).collect();
    updates.order_by(|a, b| order(a).cmp(&order(b)));
    let mut at = 0;
    while updates.len() > UPDATE_MANAGERS_MAX
        && let Some(version) = updates.get(at).map(|entry| entry.api_version.clone())
    {
        let first = updates.iter().take(at).position(|entry| entry.api_version == version);
        let is_bucket = |entry: &ManagedFieldsEntry| {
            entry.manager.as_deref() == Some(ANCIENT_CHANGES)
                && entry.api_version == version
                && entry.subresource.is_none()
        };
        let into = updates.iter().position(is_bucket).or(first);
        let Some(into) = into.filter(|into| first.is_some() && *into != at) else {
            at += 1;
            continue;
        };
        let joined = updates.remove(at);
        if let Some(bucket) = updates.get_mut(into - usize::from(into > at)) {
            let mut set = fields_of_entry(bucket);
            set.extend(fields_of_entry(&joined));
            bucket.manager = Some(ANCIENT_CHANGES.into());
            bucket.subresource = None;
            bucket.fields_v1 = Some(FieldsV1(set.to_fields()));
            bucket.time = joined.time;
        }
    }
    entries.append(&mut updates);
}

/// What an entry says is managed.
pub(crate) fn fields_of_entry(entry: &ManagedFieldsEntry) -> FieldSet {
    FieldSet::from_fields(entry.fields_v1.as_ref().map(|FieldsV1(fields)| fields))
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

fn entry(call: &Call, operation: &str, manager: &str, set: &FieldSet) -> ManagedFieldsEntry {
    ManagedFieldsEntry {
        api_version: Some(call.row.api_version()),
        fields_type: Some("FieldsV1".into()),
        fields_v1: Some(FieldsV1(set.to_fields())),
        manager: Some(manager.into()),
        operation: Some(operation.into()),
        subresource: Some(call.info.subresource.clone()).filter(|name| !name.is_empty()),
        time: Some(machinery::time::meta_time(call.now)),
    }
}
