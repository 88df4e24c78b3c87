//! `create`.

use http::StatusCode;
use machinery::wire::Response;
use machinery::{ApiError, Object};

use crate::admission::{self, Operation, certificates};
use crate::auth::escalation;
use crate::call::{Call, Result};
use crate::codec::{Payload, decode_object};
use crate::request_info::RequestInfo;
use crate::server::forbidden;
use crate::storage::{self, Written};
use crate::{managed_fields, read, service_allocation};

/// How often a generated name is tried, as upstream.
const GENERATED_NAMES_TRIED: usize = 8;
/// How often a write starts again because what it was let in on has changed.
const ATTEMPTS: usize = 32;
/// The length of a generated name's random end.
const SUFFIX_LENGTH: usize = 5;
/// A generated name's beginning is cut to leave room for its end within a DNS label.
const GENERATED_PREFIX_LENGTH_MAX: usize = 58;

/// Answers `POST` on a collection.
pub(crate) fn create(call: &mut Call, payload: &mut Payload) -> Result<Response> {
    let object = decode_object(call, payload)?;
    create_object(call, object)
}

/// Creates an object by `PUT` or apply where nothing is, if the user may create (upstream's
/// `withAuthorization`).
pub(crate) fn create_missing(call: &mut Call, object: Box<dyn Object>) -> Result<Response> {
    let create = RequestInfo { verb: "create".into(), ..call.info.clone() };
    if let Err(reason) = call.server.authorize(&call.user, &create) {
        return Err(forbidden(&call.user, &create, &reason));
    }
    create_object(call, object)
}

/// Creates a decoded and defaulted object.
pub(crate) fn create_object(call: &mut Call, mut object: Box<dyn Object>) -> Result<Response> {
    set_namespace(call, &mut *object)?;
    name_owners_once(call, &mut *object);
    let dry_run = call.dry_run()?;
    let generate = object.metadata().name.as_deref().unwrap_or_default().is_empty()
        && !object.metadata().generate_name.as_deref().unwrap_or_default().is_empty();
    let uid = call.server.rng().uuid();
    let metadata = object.metadata_mut();
    // What is no number (Go's have no plus sign) is none to the storage, and dropped.
    let number = metadata.resource_version.as_deref().filter(|version| !version.starts_with('+'));
    if number.and_then(|version| version.parse::<u64>().ok()).is_some_and(|number| number > 0) {
        return Err(ApiError::new(500, "", "resourceVersion should not be set on objects to be created"));
    }
    metadata.resource_version = None;
    metadata.uid = Some(uid);
    metadata.creation_timestamp = Some(machinery::time::meta_time(call.now));
    certificates::requested_by(call, &mut *object);
    if generate {
        let namespace = object.metadata().namespace.clone().unwrap_or_default();
        for _ in 0..GENERATED_NAMES_TRIED {
            let name = generated_name(call, &*object);
            let is_free = call.server.store().get(&storage::key(call.row, &namespace, &name)).is_none();
            object.metadata_mut().name = Some(name);
            if is_free {
                break;
            }
        }
    }
    try_create(call, object, dry_run)
}

fn try_create(call: &mut Call, mut object: Box<dyn Object>, dry_run: bool) -> Result<Response> {
    let name = object.metadata().name.clone().unwrap_or_default();
    let managed = managed_fields::on_create(call, &mut *object);
    admission::mutate(call, Operation::Create, &mut *object, None)?;
    escalation::check(call, &*object, None)?;
    let mut errors = call.row.before_create(&mut *object);
    errors.extend(call.row.conversion.iter().flat_map(|conversion| (conversion.validate)(&*object)));
    call.check(&name, errors)?;
    let warnings = call.row.strategy.warnings(&*object, None);
    let namespace = object.metadata().namespace.clone().unwrap_or_default();
    let key = storage::key(call.row, &namespace, &name);
    if call.server.store().get(&key).is_some() {
        return Err(ApiError::already_exists(&call.resource(), &name));
    }
    let mut terms = admission::validate(call, Operation::Create, &*object, None)?;
    let reserved = service_allocation::reserve(call, &mut *object, None)?;
    if dry_run {
        reserved.release(call);
        call.warnings.extend(warnings.into_iter().chain(terms.warnings));
        let value = storage::with_managed(storage::plain(&mut *object), managed);
        return read::answer(call, StatusCode::CREATED, storage::unwritten(object, value, None));
    }
    let value = storage::with_managed(storage::plain(&mut *object), managed);
    for _ in 0..ATTEMPTS {
        let admitted = std::mem::take(&mut terms.warnings);
        let outcome = match storage::write_value(call, key.clone(), 0, object, value.clone(), terms) {
            Ok(Written::Done(stored)) => {
                reserved.keep();
                call.warnings.extend(warnings.into_iter().chain(admitted));
                let stored = storage::to_wire(call.row, stored);
                return read::answer(call, StatusCode::CREATED, stored);
            }
            Ok(Written::Changed) => Err(ApiError::already_exists(&call.resource(), &name)),
            Ok(Written::Stale(stale)) => {
                admission::validate(call, Operation::Create, &*stale, None).map(|anew| (stale, anew))
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(again) => (object, terms) = again,
            Err(error) => {
                reserved.release(call);
                return Err(error);
            }
        }
    }
    reserved.release(call);
    Err(ApiError::server_timeout(&call.resource(), "create", 1))
}

/// Names each owner once, and tells who named one twice (upstream's `dedupOwnerReferencesAndAddWarning`).
pub(crate) fn name_owners_once(call: &mut Call, object: &mut dyn Object) {
    let Some(owners) = &mut object.metadata_mut().owner_references else { return };
    let mut twice = Vec::new();
    let mut once = Vec::with_capacity(owners.len());
    for owner in owners.drain(..) {
        if once.contains(&owner) { twice.push(owner.uid) } else { once.push(owner) }
    }
    *owners = once;
    if !twice.is_empty() {
        let twice = twice.join(", ");
        call.warnings.push(format!(".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {twice}"));
    }
}

/// The object's namespace is the request's, given or not.
pub(crate) fn set_namespace(call: &Call, object: &mut dyn Object) -> Result<()> {
    if !call.row.namespaced {
        return Ok(());
    }
    let metadata = object.metadata_mut();
    match metadata.namespace.as_deref().unwrap_or_default() {
        "" => metadata.namespace = Some(call.info.namespace.clone()),
        given if given != call.info.namespace => {
            return Err(ApiError::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        _ => {}
    }
    if call.info.namespace.is_empty() {
        return Err(ApiError::bad_request("namespace is required"));
    }
    Ok(())
}

fn generated_name(call: &Call, object: &dyn Object) -> String {
    let prefix = object.metadata().generate_name.as_deref().unwrap_or_default();
    let prefix: String = prefix.chars().take(GENERATED_PREFIX_LENGTH_MAX).collect();
    prefix + &call.server.rng().suffix(SUFFIX_LENGTH)
}
