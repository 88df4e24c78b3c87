//! `delete` and `deletecollection`: preconditions, grace, finalizers, propagation.

use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Status, StatusDetails};
use machinery::wire::{List, Response};
use machinery::{ApiError, Encoded, GroupVersionKind, Object, schema};
use serde_json::Value;

use crate::admission;
use crate::call::{Call, Result, dry_run as dry_run_of, invalid_options};
use crate::codec::{self, Payload};
use crate::registry::Propagation;
use crate::selection::Selection;
use crate::storage::{self, Written};
use crate::{list, read, service_allocation};

/// The finalizer that keeps an object until its dependents are gone.
const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer that keeps an object until its dependents have been let go.
const ORPHAN: &str = "orphan";
/// How often a deletion starts again because the object changed under it.
const ATTEMPTS: usize = 32;

/// Kinds whose deletion answers with the object; the others answer with a Status, as upstream.
const RETURNS_DELETED_OBJECT: &[&str] = &[
    "pods",
    "services",
    "serviceaccounts",
    "persistentvolumes",
    "persistentvolumeclaims",
    "podtemplates",
    "resourcequotas",
];

/// `metav1.DeleteOptions`.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace_period_seconds: Option<i64>,
    pub(crate) propagation: Option<String>,
    pub(crate) orphan_dependents: Option<bool>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) dry_run: bool,
}

impl DeleteOptions {
    /// From the body, and without one from the parameters.
    fn read(call: &Call, payload: &Payload) -> Result<Self> {
        let kind = GroupVersionKind::from_api_version("v1", "DeleteOptions");
        let value = payload.value(&call.headers, &kind)?;
        if !(value.is_null() || value.is_object()) {
            return Err(codec::not_an_object(&value, &kind));
        }
        check_kind(&value)?;
        let query = &call.info.query;
        let mut options = Self::from_value(&value)?;
        options.dry_run |= call.dry_run()?;
        if value.is_null() {
            options.grace_period_seconds = query.number("gracePeriodSeconds")?;
            options.propagation = Some(query.get("propagationPolicy").to_owned()).filter(|text| !text.is_empty());
            options.orphan_dependents = query.has("orphanDependents").then(|| query.flag("orphanDependents"));
        }
        if options.propagation.is_some() && options.orphan_dependents.is_some() {
            let value = machinery::go::quote(options.propagation.as_deref().unwrap_or_default());
            return Err(invalid_options(
                "propagationPolicy",
                &format!("Invalid value: {value}: orphanDependents and deletionPropagation cannot be both set"),
                "FieldValueInvalid",
                "DeleteOptions",
            ));
        }
        match options.propagation.as_deref() {
            None | Some("Foreground" | "Background" | "Orphan") => Ok(options),
            Some(other) => Err(invalid_options(
                "propagationPolicy",
                &format!(
                    "Unsupported value: {}: supported values: \"Background\", \"Foreground\", \"Orphan\", \"nil\"",
                    machinery::go::quote(other)
                ),
                "FieldValueNotSupported",
                "DeleteOptions",
            )),
        }
    }

    /// From a JSON tree, of which `Null` says nothing.
    ///
    /// # Errors
    /// 400 for a field of another type, 422 for a dry run of another kind.
    pub(crate) fn from_value(value: &Value) -> Result<Self> {
        const DEFINITION: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
        let mismatch = Some(value).filter(|value| !value.is_null());
        if let Some(error) = mismatch.and_then(|value| schema::builtin().type_mismatch(DEFINITION, value)) {
            return Err(schema::decode_error(&GroupVersionKind::from_api_version("v1", "DeleteOptions"), error));
        }
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let dry_run = value.get("dryRun").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        Ok(Self {
            grace_period_seconds: value.get("gracePeriodSeconds").and_then(Value::as_i64),
            propagation: text("/propagationPolicy"),
            orphan_dependents: value.get("orphanDependents").and_then(Value::as_bool),
            uid: text("/preconditions/uid"),
            resource_version: text("/preconditions/resourceVersion"),
            dry_run: dry_run_of(dry_run, "DeleteOptions")?,
        })
    }
}

/// Refuses a body that says it is something else. Of which version the options are does not matter.
///
/// # Errors
/// 400 in the words of upstream's decoder.
fn check_kind(value: &Value) -> Result<()> {
    let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("kind") {
        "" | "DeleteOptions" => Ok(()),
        // What its scheme has besides.
        "CreateOptions" | "GetOptions" | "ListOptions" | "PatchOptions" | "Status" | "UpdateOptions" => {
            Err(ApiError::bad_request("decoded object cannot be converted to DeleteOptions"))
        }
        kind => Err(ApiError::bad_request(format!(
            "no kind {} is registered for version {} in scheme \"pkg/apis/meta/internalversion/scheme/register.go:27\"",
            machinery::go::quote(kind),
            machinery::go::quote(text("apiVersion")),
        ))),
    }
}

/// What a deletion came to.
pub(crate) enum Deleted {
    /// The object is gone; its last state.
    Gone(Encoded),
    /// The object stays for now: a grace period runs, or finalizers are left.
    Pending(Encoded),
}

/// Answers `DELETE` of one object.
pub(crate) fn delete(call: &mut Call, payload: &Payload) -> Result<Response> {
    let options = DeleteOptions::read(call, payload)?;
    let name = call.info.name.clone();
    match delete_object(call, &name, &options)? {
        Deleted::Gone(object) if !RETURNS_DELETED_OBJECT.contains(&call.row.resource) => {
            let typed = storage::typed(call.row, &object)?;
            read::json_answer(call, StatusCode::OK, success(call, &*typed))
        }
        Deleted::Gone(object) => {
            let object = storage::to_wire(call.row, object);
            read::answer(call, StatusCode::OK, object)
        }
        Deleted::Pending(object) => {
            let code = if options.orphan_dependents == Some(false) { StatusCode::ACCEPTED } else { StatusCode::OK };
            let object = storage::to_wire(call.row, object);
            read::answer(call, code, object)
        }
    }
}

fn success(call: &Call, object: &dyn Object) -> bytes::Bytes {
    let status = Status {
        status: Some("Success".into()),
        details: Some(StatusDetails {
            name: object.metadata().name.clone(),
            group: Some(call.row.group.to_owned()).filter(|group| !group.is_empty()),
            kind: Some(call.row.resource.into()),
            uid: object.metadata().uid.clone(),
            ..StatusDetails::default()
        }),
        ..Status::default()
    };
    machinery::status::status_text(&status)
}

/// Answers `DELETE` of a collection: the objects that were deleted, as a list.
pub(crate) fn delete_collection(call: &mut Call, payload: &Payload) -> Result<Response> {
    let options = DeleteOptions::read(call, payload)?;
    let selection = Selection::parse(call)?;
    let page = list::page(call, &selection)?;
    let mut items = Vec::with_capacity(page.items.len());
    let namespace = call.info.namespace.clone();
    for item in &page.items {
        let typed = storage::typed(call.row, item)?;
        let metadata = typed.metadata();
        call.info.namespace = metadata.namespace.clone().unwrap_or_default();
        let name = metadata.name.clone().unwrap_or_default();
        match delete_object(call, &name, &options) {
            Ok(Deleted::Gone(object) | Deleted::Pending(object)) => items.push(storage::to_wire(call.row, object)),
            // Somebody else was faster.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    call.info.namespace = namespace;
    let list = List {
        api_version: call.row.api_version(),
        kind: call.row.list_kind(),
        resource_version: call.server.store().revision().to_string(),
        continue_token: page.continue_token,
        remaining_item_count: page.remaining,
        items,
    };
    read::list_answer(call, list)
}

/// Deletes an object of the call's resource and namespace.
pub(crate) fn delete_object(call: &mut Call, name: &str, options: &DeleteOptions) -> Result<Deleted> {
    let row = call.row;
    let key = storage::key(row, &call.info.namespace, name);
    for _ in 0..ATTEMPTS {
        let Some(kv) = call.server.store().get(&key) else {
            return Err(ApiError::not_found(&call.resource(), name));
        };
        let encoded = storage::stored(&kv);
        let old = storage::typed(row, &encoded)?;
        check_preconditions(call, name, options, &*old)?;
        admission::admit_delete(call, &*old)?;
        let mut object = old.clone_object();
        let stays = match mark(call, &mut *object, options) {
            Mark::AlreadyPending => return Ok(Deleted::Pending(encoded)),
            Mark::Stays => true,
            Mark::Goes => false,
        };
        if options.dry_run {
            let value = storage::value(&mut *object, &kv);
            let object = storage::unwritten(object, value, Some(kv.mod_revision));
            return Ok(if stays { Deleted::Pending(object) } else { Deleted::Gone(object) });
        }
        if stays {
            if object.to_bytes() == old.to_bytes() {
                return Ok(Deleted::Pending(encoded));
            }
            if let Written::Done(stored) = storage::write(call, &kv, object)? {
                return Ok(Deleted::Pending(stored));
            }
        } else if let Some(revision) = storage::remove(call, key.clone(), kv.mod_revision)? {
            service_allocation::free(call, &*object);
            let value = storage::value(&mut *object, &kv);
            return Ok(Deleted::Gone(storage::unwritten(object, value, Some(revision))));
        }
    }
    Err(ApiError::modified(&call.resource(), name))
}

fn check_preconditions(call: &Call, name: &str, options: &DeleteOptions, object: &dyn Object) -> Result<()> {
    let metadata = object.metadata();
    let conditions = [
        ("UID", &options.uid, &metadata.uid),
        ("ResourceVersion", &options.resource_version, &metadata.resource_version),
    ];
    for (what, wanted, actual) in conditions {
        let actual = actual.as_deref().unwrap_or_default();
        if let Some(wanted) = wanted.as_deref().filter(|wanted| *wanted != actual) {
            let error =
                format!("Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {actual}");
            return Err(ApiError::conflict(&call.resource(), name, error));
        }
    }
    Ok(())
}

enum Mark {
    /// A deletion under way is all that was asked for.
    AlreadyPending,
    /// The object must be written: it is being deleted now.
    Stays,
    /// Nothing keeps the object.
    Goes,
}

/// Sets what a deletion sets: the finalizers of its propagation, deletion time and grace.
fn mark(call: &Call, object: &mut dyn Object, options: &DeleteOptions) -> Mark {
    let strategy = call.row.strategy;
    let requested = options.grace_period_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
    let deleting = object.metadata().deletion_timestamp.is_some();
    let running = object.metadata().deletion_grace_period_seconds.unwrap_or(0);
    // Asked before the object is touched: grace is a matter of the object as it is.
    let mut grace = strategy.grace_period_seconds(object, requested);
    if deleting && running > 0 {
        // The time may only be shortened.
        match requested {
            Some(requested) if requested < running => grace = requested.min(grace),
            _ => return Mark::AlreadyPending,
        }
    } else if deleting {
        grace = 0;
    }
    set_finalizers(call, object, options);
    let keeps_namespace = object.as_any().downcast_ref::<k8s_openapi::api::core::v1::Namespace>().is_some_and(|ns| {
        ns.spec.as_ref().and_then(|spec| spec.finalizers.as_ref()).is_some_and(|finalizers| !finalizers.is_empty())
    });
    let finalizers_left = keeps_namespace || object.metadata().finalizers.as_ref().is_some_and(|all| !all.is_empty());
    if grace == 0 && !finalizers_left {
        return Mark::Goes;
    }
    let metadata = object.metadata_mut();
    let time = if deleting && running > 0 {
        let begun = metadata.deletion_timestamp.as_ref().map_or(call.now, |time| time.0);
        begun
            .checked_sub(jiff::SignedDuration::from_secs(running))
            .and_then(|begun| begun.checked_add(jiff::SignedDuration::from_secs(grace)))
            .unwrap_or(call.now)
    } else if deleting {
        metadata.deletion_timestamp.as_ref().map_or(call.now, |time| time.0.min(call.now))
    } else {
        call.now.checked_add(jiff::SignedDuration::from_secs(grace)).unwrap_or(call.now)
    };
    metadata.deletion_timestamp = Some(machinery::time::meta_time(time));
    metadata.deletion_grace_period_seconds = Some(grace);
    if !deleting && metadata.generation.is_some_and(|generation| generation > 0) {
        metadata.generation = metadata.generation.map(|generation| generation.saturating_add(1));
    }
    if let Some(namespace) = object.as_any_mut().downcast_mut::<k8s_openapi::api::core::v1::Namespace>() {
        namespace.metadata.deletion_grace_period_seconds = None;
        namespace.status.get_or_insert_default().phase = Some("Terminating".into());
    }
    Mark::Stays
}

/// The garbage collector's finalizers, as the options say, or else the object, or else its kind.
fn set_finalizers(call: &Call, object: &mut dyn Object, options: &DeleteOptions) {
    let has = |name: &str| object.metadata().finalizers.iter().flatten().any(|finalizer| finalizer == name);
    let wanted = match (options.propagation.as_deref(), options.orphan_dependents) {
        (Some("Orphan"), _) | (None, Some(true)) => Some(ORPHAN),
        (Some("Foreground"), _) => Some(FOREGROUND),
        (Some(_), _) | (None, Some(false)) => None,
        (None, None) if has(ORPHAN) => Some(ORPHAN),
        (None, None) if has(FOREGROUND) => Some(FOREGROUND),
        (None, None) if call.row.strategy.default_propagation() == Propagation::Orphan => Some(ORPHAN),
        (None, None) => None,
    };
    let mut finalizers = object.metadata().finalizers.clone().unwrap_or_default();
    finalizers.retain(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND);
    finalizers.extend(wanted.map(str::to_owned));
    object.metadata_mut().finalizers = (!finalizers.is_empty()).then_some(finalizers);
}
