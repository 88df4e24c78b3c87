//! `update`, of an object or of its status.

use std::sync::Arc;

use http::StatusCode;
use machinery::object::ManagedFields;
use machinery::wire::Response;
use machinery::{ApiError, Encoded, Object};
use store::KeyValue;

use crate::admission::{self, Operation};
use crate::auth::escalation;
use crate::call::{Call, Result};
use crate::codec::{Payload, decode_object};
use crate::create::{create_missing, name_owners_once, set_namespace};
use crate::managed_fields::Managed;
use crate::registry::Update;
use crate::storage::{self, Written};
use crate::{managed_fields, read, service_allocation};
use machinery::field::{Error, Path};

/// Answers `PUT`.
pub(crate) fn update(call: &mut Call, payload: &mut Payload) -> Result<Response> {
    let object = decode_object(call, payload)?;
    check_identity(call, &*object)?;
    let key = call.key();
    let Some(kv) = call.server.store().get(&key) else {
        if call.row.strategy.allow_create_on_update() && call.info.subresource.is_empty() {
            return create_missing(call, object);
        }
        return Err(call.not_found());
    };
    match replace(call, object, &kv)? {
        Some(stored) => read::answer(call, StatusCode::OK, storage::to_wire(call.row, stored)),
        None => Err(ApiError::modified(&call.resource(), &call.info.name)),
    }
}

/// The object in a body is the one the URL names.
pub(crate) fn check_identity(call: &Call, object: &dyn Object) -> Result<()> {
    let name = object.metadata().name.as_deref().unwrap_or_default();
    if name.is_empty() {
        return Err(ApiError::bad_request("name must be provided"));
    }
    if name != call.info.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            call.info.name
        )));
    }
    Ok(())
}

/// Puts `object` in the place of what is stored: update rules, admission, validation, store. What has
/// not changed is not written. `None` if the key has changed meanwhile.
pub(crate) fn replace(call: &mut Call, mut object: Box<dyn Object>, kv: &KeyValue) -> Result<Option<Encoded>> {
    let row = call.row;
    let old_encoded = storage::stored(kv);
    let old = storage::typed(row, &old_encoded)?;
    let old = &*old;
    let (key, mod_revision) = (kv.key.to_string(), kv.mod_revision);
    set_namespace(call, &mut *object)?;
    name_owners_once(call, &mut *object);
    let name = call.info.name.clone();
    let dry_run = call.dry_run()?;
    let version = object.metadata().resource_version.clone().unwrap_or_default();
    if version.is_empty() || version == "0" {
        if !row.strategy.allow_unconditional_update() {
            let path = Path::new("metadata");
            let error = Error::invalid(&path.child("resourceVersion"), 0, "must be specified for an update");
            return Err(ApiError::invalid(&row.gvk(), &name, &vec![error]));
        }
    } else if version.parse::<u64>().is_err() {
        // Upstream passes Go's own error on.
        let version = machinery::go::quote(&version);
        return Err(ApiError::new(500, "", format!("strconv.ParseUint: parsing {version}: invalid syntax")));
    } else if version.parse() != Ok(mod_revision) {
        return Err(ApiError::modified(&call.resource(), &name));
    }
    let (uid, old_uid) = (&object.metadata().uid, &old.metadata().uid);
    if uid.as_deref().is_some_and(|uid| !uid.is_empty()) && uid != old_uid {
        let text = |uid: &Option<String>| uid.clone().unwrap_or_default();
        let error =
            format!("Precondition failed: UID in precondition: {}, UID in object meta: {}", text(uid), text(old_uid));
        return Err(ApiError::conflict(&call.resource(), &name, error));
    }
    // What an update cannot change of the metadata is not compared.
    object.metadata_mut().resource_version.clone_from(&old.metadata().resource_version);
    let subresource = call.info.subresource.clone();
    let door = if subresource.is_empty() { Update::Main } else { Update::Subresource(&subresource) };
    admission::mutate(call, Operation::Update, &mut *object, Some(old))?;
    escalation::check(call, &*object, Some(old))?;
    let errors = row.before_update(door, &mut *object, old);
    call.check(&name, errors)?;
    call.warnings.extend(row.strategy.warnings(&*object, Some(old)));
    let mut terms = admission::validate(call, Operation::Update, &*object, Some(old))?;
    call.warnings.append(&mut terms.warnings);
    let reserved = service_allocation::reserve(call, &mut *object, Some(old))?;
    let carried = object.metadata_mut().managed_fields.take();
    let asked = managed_fields::requested(call, carried);
    let plain = storage::plain(&mut *object);
    let (before, stored) = storage::parts(kv);
    let managed = asked.map_or_else(|| stored.clone(), |text| Arc::new(Managed::written(text)));
    let takes_over = Arc::ptr_eq(&managed, &stored);
    let differs = plain != before || !takes_over && managed.text() != stored.text();
    let anew = match differs || call.applied.is_some() {
        true => managed_fields::on_update(call, &managed, &plain, &before),
        false => None,
    };
    let managed = anew.unwrap_or(managed);
    // What says the same in the end is not written again.
    if plain == before && (Arc::ptr_eq(&managed, &stored) || managed.text() == stored.text()) {
        reserved.keep();
        return Ok(Some(old_encoded));
    }
    let value = storage::with_managed(plain, Some(managed));
    if dry_run {
        reserved.release(call);
        return Ok(Some(storage::unwritten(object, value, Some(mod_revision))));
    }
    if is_finished(&*object) {
        reserved.keep();
        let Some(revision) = storage::remove(call, key, mod_revision)? else { return Ok(None) };
        service_allocation::free(call, &*object);
        return Ok(Some(storage::unwritten(object, value, Some(revision))));
    }
    loop {
        let outcome = match storage::write_value(call, key.clone(), mod_revision, object, value.clone(), terms) {
            Ok(Written::Done(stored)) => {
                reserved.keep();
                return Ok(Some(stored));
            }
            Ok(Written::Changed) => Ok(None),
            // Somebody else charged the same quota: it is asked again. Each round, somebody's write is done.
            Ok(Written::Stale(stale)) => {
                admission::validate(call, Operation::Update, &*stale, Some(old)).map(|anew| Some((stale, anew)))
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(Some(again)) => (object, terms) = again,
            other => {
                reserved.release(call);
                return other.map(|_| None);
            }
        }
    }
}

/// Whether the last finalizer of an object being deleted is gone, and no grace period runs.
fn is_finished(object: &dyn Object) -> bool {
    let metadata = object.metadata();
    metadata.deletion_timestamp.is_some()
        && metadata.finalizers.as_ref().is_none_or(Vec::is_empty)
        && metadata.deletion_grace_period_seconds.unwrap_or(0) == 0
        && !object.as_any().downcast_ref::<k8s_openapi::api::core::v1::Namespace>().is_some_and(|namespace| {
            let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
            finalizers.is_some_and(|finalizers| !finalizers.is_empty())
        })
}
