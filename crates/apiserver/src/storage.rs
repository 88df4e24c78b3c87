//! Between objects and the store: keys, bytes, and the encoded forms that all readers share.

use std::sync::Arc;

use bytes::Bytes;
use machinery::object::{ManagedFields, StoredText};
use machinery::{ApiError, Encoded, Kind, Object, raw};
use store::{Event, KeyValue, Memo, Op, Remembered, Rest, StoreError, Txn, Value};

use crate::admission::Terms;
use crate::call::{Call, Result};
use crate::managed_fields::Managed;
use crate::registry::{self, ResourceInfo};
use crate::service_allocation;

/// Where Events lie, of both groups.
pub(crate) const EVENTS: &str = "/registry/events";
/// How long Events live, as upstream's `--event-ttl`.
const EVENT_TTL_SECONDS: i64 = 3600;
/// Events of one such span share a lease.
const EVENT_LEASE_SPAN_SECONDS: i64 = 60;

/// An object's key in the store.
pub(crate) fn key(row: &ResourceInfo, namespace: &str, name: &str) -> String {
    prefix(row, namespace) + name
}

/// What the keys of a resource begin with, in one namespace or (empty) in all.
pub(crate) fn prefix(row: &ResourceInfo, namespace: &str) -> String {
    if row.namespaced && !namespace.is_empty() {
        format!("{}/{namespace}/", row.storage_prefix)
    } else {
        format!("{}/", row.storage_prefix)
    }
}

/// A stored object with its resourceVersion, made once for all readers. Stored form: a row with a
/// conversion goes on with [`to_wire`].
pub(crate) fn stored(kv: &KeyValue) -> Encoded {
    remembered(&kv.memo, || encoded(&kv.value, kv.mod_revision, None))
}

fn encoded(value: &Value, revision: i64, object: Option<Arc<dyn Object>>) -> Encoded {
    let managed = Managed::of(value).map(|managed| managed as Arc<dyn ManagedFields>);
    Encoded::from_stored(StoredText::new(value.part().clone(), managed), revision, object)
}

/// An encoded object as the store remembers it: for some time whole, then as far as others have it.
struct Kept(Encoded);

impl Remembered for Kept {
    fn faded(&self) -> Option<Self> {
        self.0.faded().map(Self)
    }
}

fn remembered(memo: &Memo, make: impl FnOnce() -> Encoded) -> Encoded {
    memo.get_or_init(|| Kept(make())).0.clone()
}

/// As [`stored`], for one reader who looks at many: what nobody else works with is not kept for others.
/// Components of this process share what they keep anyway.
pub(crate) fn read(call: &Call, kv: &KeyValue) -> Encoded {
    if call.from_component {
        return stored(kv);
    }
    match kv.memo.get::<Kept>() {
        Some(shared) => shared.0.clone(),
        None => encoded(&kv.value, kv.mod_revision, None),
    }
}

/// The last state of an object that an event deletes, with the revision of its deletion.
pub(crate) fn deleted(event: &Event, previous: &KeyValue) -> Encoded {
    let make = || encoded(&previous.value, event.commit.revision, None);
    remembered(&event.change().memo, make)
}

/// From stored form to the form of the row's version.
pub(crate) fn to_wire(row: &ResourceInfo, object: Encoded) -> Encoded {
    let Some(conversion) = &row.conversion else { return object };
    let value = (conversion.from_stored)(object.value().unwrap_or_default());
    Encoded::from_bytes(machinery::object::kind_first(serde_json::to_vec(&value).unwrap_or_default()))
}

/// The typed form of a stored object, decoded once for all readers.
pub(crate) fn typed(row: &ResourceInfo, object: &Encoded) -> Result<Arc<dyn Object>> {
    object.object_or_decode(|value| row.strategy.decode(value)).map_err(ApiError::internal)
}

/// An object of another resource, as it is stored now.
pub(crate) fn find<K: Kind>(
    call: &Call,
    (group, resource): (&str, &str),
    namespace: &str,
    name: &str,
) -> Option<Arc<K>> {
    let row = registry::by_resource(group, "v1", resource)?;
    stored(&*call.server.store().get(&key(row, namespace, name))?).get::<K>().ok()
}

/// The field of each resource by whose value watches are dispatched, so that a change costs nothing to
/// those who watch other values: every kubelet watches the pods of its node.
pub(crate) fn trigger_field(row: &ResourceInfo) -> Option<&'static str> {
    (row.storage_prefix == "/registry/pods").then_some("spec.nodeName")
}

/// The outcome of a write that depends on the revision it was based on.
pub(crate) enum Written {
    /// Done: the object as it is stored now.
    Done(Encoded),
    /// The key had another revision.
    Changed,
    /// The terms no longer held: the object, to be let in anew.
    Stale(Box<dyn Object>),
}

/// The bytes to store for an object but for what others keep: its resourceVersion, which the store knows,
/// and its managed fields are taken off.
pub(crate) fn plain(object: &mut dyn Object) -> Bytes {
    let metadata = object.metadata_mut();
    (metadata.resource_version, metadata.managed_fields) = (None, None);
    object.to_bytes()
}

/// What is stored for an object with this text and these managed fields.
pub(crate) fn with_managed(plain: Bytes, managed: Option<Arc<dyn Rest>>) -> Value {
    Value::new(plain, managed)
}

/// A stored object's text without its managed fields, and these.
pub(crate) fn parts(kv: &KeyValue) -> (Bytes, Arc<Managed>) {
    let part = kv.value.part();
    if let Some(managed) = Managed::of(&kv.value) {
        return (part.clone(), managed);
    }
    match raw::managed_fields(part) {
        Some(text) => {
            let managed = Managed::written(Bytes::copy_from_slice(text));
            (raw::without_managed_fields(part).into(), Arc::new(managed))
        }
        None => (part.clone(), Arc::new(Managed::written(Bytes::new()))),
    }
}

/// What is stored for an object in the place of another, whose managed fields it takes over.
pub(crate) fn value(object: &mut dyn Object, before: &KeyValue) -> Value {
    with_managed(plain(object), Some(parts(before).1))
}

/// Puts an object in the place of what is stored, if that has not changed. Its own resourceVersion is
/// ignored.
pub(crate) fn write(call: &Call, before: &KeyValue, mut object: Box<dyn Object>) -> Result<Written> {
    let value = value(&mut *object, before);
    write_value(call, before.key.to_string(), before.mod_revision, object, value, Terms::default())
}

/// Writes an object as these bytes if its key still has `mod_revision` (0: does not exist), on the terms on
/// which it was let in.
pub(crate) fn write_value(
    call: &Call,
    key: String,
    mod_revision: i64,
    mut object: Box<dyn Object>,
    value: Value,
    terms: Terms,
) -> Result<Written> {
    let trigger = trigger_field(call.row).and_then(|field| call.row.field(&*object, field)).map(Arc::from);
    let lease = if call.row.storage_prefix == EVENTS { Some(event_lease(call)?) } else { None };
    let key = Arc::<str>::from(key);
    let addresses = service_allocation::address_ops(call, &key, Some(&*object));
    let op = Op::Put { key: key.clone(), value, lease, trigger };
    let mut txn = Txn::if_unchanged(key, mod_revision, op);
    txn.then.extend(addresses);
    txn.compare.extend(terms.compare);
    txn.then.extend(terms.ops);
    let response = call.server.store().txn(txn, call.origin.clone()).map_err(store_error)?;
    match (response.succeeded, response.first()) {
        (true, Some(kv)) => {
            object.metadata_mut().resource_version = Some(kv.mod_revision.to_string());
            let make = || encoded(&kv.value, kv.mod_revision, Some(Arc::from(object)));
            // No component reads Events, of which there are many: their typed form goes while it is at hand.
            let is_read = call.row.storage_prefix != EVENTS;
            Ok(Written::Done(if is_read { remembered(&kv.memo, make) } else { make() }))
        }
        (_, found) if found.map_or(0, |kv| kv.mod_revision) == mod_revision => Ok(Written::Stale(object)),
        _ => Ok(Written::Changed),
    }
}

/// Deletes a key if it still has `mod_revision`; the revision of the deletion, or `None` if the key
/// has changed.
pub(crate) fn remove(call: &Call, key: String, mod_revision: i64) -> Result<Option<i64>> {
    let addresses = service_allocation::address_ops(call, &key, None);
    let mut txn = Txn::if_unchanged(key.clone(), mod_revision, Op::delete(key));
    txn.then.extend(addresses);
    let response = call.server.store().txn(txn, call.origin.clone()).map_err(store_error)?;
    Ok(response.succeeded.then_some(response.revision))
}

/// An object that is not written (`dryRun`) or no longer there, as the answer shows it: what would be
/// stored, and its revision if it has one.
pub(crate) fn unwritten(mut object: Box<dyn Object>, value: Value, revision: Option<i64>) -> Encoded {
    object.metadata_mut().resource_version = revision.map(|revision| revision.to_string());
    match revision {
        Some(revision) => encoded(&value, revision, Some(Arc::from(object))),
        None => Encoded::from_both(value.bytes(), Arc::from(object)),
    }
}

/// A whole stored object in the JSON form of its row's version.
pub(crate) fn wire_value(row: &ResourceInfo, object: &Encoded) -> Result<serde_json::Value> {
    let value = object.value().map_err(ApiError::internal)?;
    Ok(match &row.conversion {
        Some(conversion) => (conversion.from_stored)(value),
        None => value,
    })
}

/// An object's JSON text in the form of its row's version, from that in which it is stored.
pub(crate) fn wire_text(row: &ResourceInfo, stored: Bytes) -> Bytes {
    match &row.conversion {
        Some(_) => to_wire(row, Encoded::from_bytes(stored)).bytes().clone(),
        None => stored,
    }
}

fn event_lease(call: &Call) -> Result<store::LeaseId> {
    let span = call.now.as_second().div_euclid(EVENT_LEASE_SPAN_SECONDS);
    let mut newest = call.server.event_lease();
    if let Some((granted, lease)) = *newest
        && granted == span
    {
        return Ok(lease);
    }
    let ttl_seconds = EVENT_TTL_SECONDS + EVENT_LEASE_SPAN_SECONDS;
    let lease = call.server.store().lease_grant(None, ttl_seconds, call.now).map_err(store_error)?;
    *newest = Some((span, lease));
    Ok(lease)
}

/// What a client is told of an error of the store.
pub(crate) fn store_error(error: StoreError) -> ApiError {
    match error {
        StoreError::Compacted { .. } => ApiError::expired("The resourceVersion for the provided list is too old."),
        StoreError::FutureRevision { .. } => ApiError::timeout(error, 1),
        // Upstream passes etcd's own words on.
        StoreError::TooLarge => ApiError::new(500, "", error.to_string()),
        StoreError::NotDurable(_) => ApiError::internal(error),
        StoreError::LeaseNotFound | StoreError::LeaseExists | StoreError::Lagged { .. } => ApiError::internal(error),
    }
}
