//! Server-side apply: `PATCH` with `application/apply-patch+yaml`.
//!
//! The applied configuration is merged into the live object: its fields win, and fields that this
//! manager applied before and has left out are removed, unless somebody else owns them too. Where that
//! changes a field of another manager it is a conflict, unless forced. `kubectl` may also change what it
//! set by client-side apply, as the annotation that this leaves tells.

use http::StatusCode;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause;
use machinery::object::ManagedFields;
use machinery::wire::Response;
use machinery::{ApiError, Encoded, GroupVersionKind, schema};
use serde_json::{Map, Value, json};

use crate::call::{Call, Result, invalid_options};
use crate::codec::{FieldValidation, Payload, complete_type, decode_value, field_validation, yaml_error};
use crate::create::create_missing;
use crate::managed_fields::{self, Entry, FieldSet};
use crate::storage::{self, wire_value};
use crate::strict::Source;
use crate::{read, update};

const ATTEMPTS: usize = 5;
/// The manager that takes over what it applied on the client's side.
const KUBECTL: &str = "kubectl";
/// Where client-side apply keeps its configuration.
const LAST_APPLIED: &str = "/metadata/annotations/kubectl.kubernetes.io~1last-applied-configuration";

/// Answers an apply.
pub(crate) fn apply(call: &mut Call, payload: &Payload) -> Result<Response> {
    let manager = manager(call)?;
    let (mut config, repeated) = configuration(call, payload)?;
    complete_type(&mut config, &call.row.gvk())?;
    if config.pointer("/metadata/managedFields").is_some_and(|given| !given.is_null()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    name_configuration(call, &mut config)?;
    match apply_to_stored(call, &manager, &config, &repeated)? {
        Some(stored) => {
            let stored = storage::to_wire(call.row, stored);
            read::answer(call, StatusCode::OK, stored)
        }
        None => {
            if let Some(uid) = config.pointer("/metadata/uid").and_then(Value::as_str).filter(|uid| !uid.is_empty()) {
                let error =
                    format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
                return Err(ApiError::conflict(&call.resource(), &call.info.name, error));
            }
            call.applied = Some(managed_fields::applied_fields(call, &config));
            call.warnings.extend(repeated);
            let object = decode_value(call, config, Source::Tree)?;
            create_missing(call, object)
        }
    }
}

/// Applies to an object's scale, which is to apply to what it stands for; the object as it is then.
pub(crate) fn apply_scale(call: &mut Call, payload: &Payload, kind: &GroupVersionKind) -> Result<Encoded> {
    let manager = manager(call)?;
    let (mut scale, repeated) = document(call, payload)?;
    if let Some(error) = schema::type_mismatch(kind, &scale) {
        return Err(schema::decode_error(kind, error));
    }
    complete_type(&mut scale, kind)?;
    name_configuration(call, &mut scale)?;
    let mut spec = Map::new();
    spec.extend(scale.pointer("/spec/replicas").map(|replicas| ("replicas".to_owned(), replicas.clone())));
    let config = json!({
        "apiVersion": call.row.api_version(), "kind": call.row.kind, "metadata": scale["metadata"], "spec": spec,
    });
    apply_to_stored(call, &manager, &config, &repeated)?.ok_or_else(|| call.not_found())
}

fn manager(call: &Call) -> Result<String> {
    match call.info.query.get("fieldManager") {
        "" => Err(invalid_options(
            "fieldManager",
            "Required value: is required for apply patch",
            "FieldValueRequired",
            "PatchOptions",
        )),
        manager => Ok(manager.to_owned()),
    }
}

/// Applies a configuration to what is stored; `None` if there is nothing.
fn apply_to_stored(call: &mut Call, manager: &str, config: &Value, repeated: &[String]) -> Result<Option<Encoded>> {
    let warnings = call.warnings.clone();
    for _ in 0..ATTEMPTS {
        let key = call.key();
        let Some(kv) = call.server.store().get(&key) else { return Ok(None) };
        let old = storage::stored(&kv);
        let mut live = wire_value(call.row, &old)?;
        // They are kept apart.
        live.get_mut("metadata").and_then(Value::as_object_mut).map(|metadata| metadata.remove("managedFields"));
        let entries = managed_fields::entries(&storage::parts(&kv).1.text());
        let mut entries = managed_fields::before_apply(call, &live, entries);
        let applied = managed_fields::applied_fields(call, config);
        let before = owned(call, &mut entries, manager);
        let others = entries.iter_mut().filter(|entry| !is_own(call, entry, manager));
        let others = others.fold(FieldSet::default(), |mut all, entry| {
            all.extend(entry.fields.read().clone());
            all
        });
        let schemas = schema::builtin();
        let definition = schemas.get(&call.row.gvk());
        let mut kept = others;
        kept.extend(applied.clone());
        let abandoned = before.with_optional_structs(schemas, definition).difference(&kept.with_parents());
        let mut merged = live.clone();
        managed_fields::merge(schemas, definition, &mut merged, config);
        abandoned.remove_from(&mut merged);
        let changed = managed_fields::fields_changed(call, &merged, &live);
        if !call.info.query.flag("force") {
            let taken_over = if manager == KUBECTL { applied_by_client(call, &live) } else { FieldSet::default() };
            check_conflicts(call, manager, &changed.difference(&taken_over), &mut entries)?;
        }
        if manager == KUBECTL
            && !call.scales
            && let Some(last) = merged.pointer_mut(LAST_APPLIED)
        {
            *last = last_applied(config).into();
        }
        let carried = serde_json::from_slice(&managed_fields::write(&entries)).unwrap_or_default();
        merged["metadata"]["managedFields"] = carried;
        call.warnings.clone_from(&warnings);
        call.warnings.extend(repeated.iter().cloned());
        call.applied = Some(applied);
        let object = decode_value(call, merged, Source::Tree)?;
        update::check_identity(call, &*object)?;
        if let Some(stored) = update::replace(call, object, &kv)? {
            return Ok(Some(stored));
        }
    }
    Err(ApiError::modified(&call.resource(), &call.info.name))
}

/// A configuration says of what version and kind it is, and the version is the URL's.
fn check_type(call: &Call, config: &Value) -> Result<()> {
    let text = |name: &str| config.get(name).and_then(Value::as_str).unwrap_or_default();
    let (version, expected) = (text("apiVersion"), call.row.api_version());
    if version != expected {
        return Err(ApiError::bad_request(format!(
            "incorrect version specified in apply patch. Specified patch version: {version}, expected: {expected}"
        )));
    }
    if text("kind").is_empty() {
        return Err(untyped(call, "", &format!("no corresponding type for {expected}, Kind=")));
    }
    Ok(())
}

/// What is applied cannot be read as its kind. Upstream gives this error no reason.
fn untyped(call: &Call, kind: &str, problem: &str) -> ApiError {
    let (namespace, name, version) = (&call.info.namespace, &call.info.name, call.row.api_version());
    let message =
        format!("failed to create typed patch object ({namespace}/{name}; {version}, Kind={kind}): {problem}");
    ApiError::new(500, "", message)
}

/// The applied configuration, checked for fields its kind has not.
fn configuration(call: &mut Call, payload: &Payload) -> Result<(Value, Vec<String>)> {
    let (value, repeated) = document(call, payload)?;
    check_type(call, &value)?;
    let kind = call.row.gvk();
    if let Some(error) = schema::type_mismatch(&kind, &value) {
        return Err(schema::decode_error(&kind, error));
    }
    // Apply is strict, whatever the request says: an unknown field could belong to nobody.
    let problems = schema::unknown_fields(&kind, &value);
    let problem = match problems.first() {
        Some(first) => {
            let field = first.trim_start_matches("unknown field ").trim_matches('"');
            Some(format!(".{field}: field not declared in schema"))
        }
        None => managed_fields::repeated(call, &value)
            .map(|(list, item)| format!("{list}: duplicate entries for key {item}")),
    };
    if let Some(problem) = problem {
        return Err(untyped(call, &kind.kind, &problem));
    }
    Ok((value, repeated))
}

/// What is applied, YAML or JSON, and what stands in it more than once, if that is to be told.
fn document(call: &Call, payload: &Payload) -> Result<(Value, Vec<String>)> {
    let Payload::Bytes(bytes) = payload else { return Err(ApiError::bad_request("an apply must be given as bytes")) };
    let undecodable = |error: &dyn std::fmt::Display| ApiError::bad_request(format!("error decoding YAML: {error}"));
    let text = std::str::from_utf8(bytes).map_err(|error| undecodable(&error))?;
    let document = machinery::yaml::document(text).map_err(|error| undecodable(&error))?;
    let (value, mut repeated) = (document.value, document.duplicates);
    if !(value.is_object() || value.is_null()) {
        let found = crate::patch::json_type(&value);
        return Err(undecodable(&format_args!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
        )));
    }
    match field_validation(call)? {
        FieldValidation::Strict if !repeated.is_empty() => {
            let error = yaml_error(&repeated);
            return Err(ApiError::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: {error}"
            )));
        }
        FieldValidation::Ignore => repeated.clear(),
        _ => {}
    }
    Ok((value, repeated))
}

/// The configuration has the name and namespace of the URL.
fn name_configuration(call: &Call, config: &mut Value) -> Result<()> {
    let Some(config) = config.as_object_mut() else { return Err(ApiError::bad_request("an apply must be an object")) };
    let metadata = config.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    let Some(metadata) = metadata.as_object_mut() else {
        return Err(ApiError::bad_request("metadata must be an object"));
    };
    let name = metadata.entry("name").or_insert_with(|| call.info.name.as_str().into());
    if name.as_str() != Some(&call.info.name) {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            name.as_str().unwrap_or_default(),
            call.info.name
        )));
    }
    if call.row.namespaced {
        metadata.entry("namespace").or_insert_with(|| call.info.namespace.as_str().into());
    }
    Ok(())
}

fn is_own(call: &Call, entry: &Entry, manager: &str) -> bool {
    entry.manager == manager && entry.operation == "Apply" && entry.subresource == call.manages_through()
}

/// What client-side apply set that has not changed since (`lastAppliedManager`).
fn applied_by_client(call: &Call, live: &Value) -> FieldSet {
    let text = live.pointer(LAST_APPLIED).and_then(Value::as_str).unwrap_or_default();
    let Ok(last) = serde_json::from_str::<Value>(text) else { return FieldSet::default() };
    if last.get("apiVersion").and_then(Value::as_str) != Some(&call.row.api_version()) {
        return FieldSet::default();
    }
    managed_fields::fields_of(call, &last).difference(&managed_fields::fields_changed(call, &last, live))
}

/// The annotation for a client that goes on with client-side apply (`lastAppliedUpdater`).
fn last_applied(config: &Value) -> String {
    let mut config = config.clone();
    if let Some(annotations) = config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    machinery::go::json(&config) + "\n"
}

fn owned(call: &Call, entries: &mut [Entry], manager: &str) -> FieldSet {
    let own = entries.iter_mut().find(|entry| is_own(call, entry, manager));
    own.map(|entry| entry.fields.read().clone()).unwrap_or_default()
}

/// 409 for fields of others that the apply changes.
fn check_conflicts(call: &Call, manager: &str, changed: &FieldSet, entries: &mut [Entry]) -> Result<()> {
    let mut causes = Vec::new();
    let mut by_manager = Vec::new();
    for entry in entries.iter_mut().filter(|entry| !is_own(call, entry, manager)) {
        let paths = entry.fields.read().intersection(changed).paths();
        if paths.is_empty() {
            continue;
        }
        let mut who = machinery::go::quote(&entry.manager);
        if entry.operation == "Update" {
            if !entry.subresource.is_empty() {
                who += &format!(" with subresource {}", machinery::go::quote(&entry.subresource));
            }
            who += &format!(" using {}", entry.api_version);
            if !entry.time.is_empty() {
                who += &format!(" at {}", entry.time);
            }
        }
        causes.extend(paths.iter().map(|path| StatusCause {
            reason: Some("FieldManagerConflict".into()),
            message: Some(format!("conflict with {who}")),
            field: Some(path.clone()),
        }));
        by_manager.push((who, paths));
    }
    let count = causes.len();
    match by_manager.as_slice() {
        [] => Ok(()),
        [(who, paths)] if paths.len() == 1 => {
            let path = paths.first().cloned().unwrap_or_default();
            Err(ApiError::apply_conflict(causes, format!("Apply failed with 1 conflict: conflict with {who}: {path}")))
        }
        several => {
            let each = several.iter().map(|(who, paths)| {
                let paths: Vec<String> = paths.iter().map(|path| format!("- {path}")).collect();
                format!("conflicts with {who}:\n{}", paths.join("\n"))
            });
            let each = each.collect::<Vec<_>>().join("\n");
            Err(ApiError::apply_conflict(causes, format!("Apply failed with {count} conflicts: {each}")))
        }
    }
}
