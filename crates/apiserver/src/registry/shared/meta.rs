//! Rules for object metadata (apimachinery's `api/validation/objectmeta.go`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use machinery::field::{Error, ErrorList, Path};
use machinery::labels::validate_labels;
use machinery::names;
use machinery::object::to_value;
use serde_json::Value;

/// Annotations of one object may take this many bytes together.
const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;
/// What is said of a field that may not change.
pub const IMMUTABLE: &str = "field is immutable";

/// Removes what only the API server sets.
pub fn clear_system_fields(metadata: &mut ObjectMeta) {
    metadata.deletion_timestamp = None;
    metadata.deletion_grace_period_seconds = None;
    metadata.self_link = None;
}

/// Keeps of the old metadata what clients cannot change, so that leaving it out is no change.
pub fn keep_system_fields(new: &mut ObjectMeta, old: &ObjectMeta) {
    new.generation = old.generation;
    new.self_link.clone_from(&old.self_link);
    if new.uid.as_deref().unwrap_or_default().is_empty() {
        new.uid.clone_from(&old.uid);
    }
    if new.creation_timestamp.is_none() {
        new.creation_timestamp.clone_from(&old.creation_timestamp);
    }
    if new.deletion_timestamp.is_none() {
        new.deletion_timestamp.clone_from(&old.deletion_timestamp);
    }
    if new.deletion_grace_period_seconds.is_none() {
        new.deletion_grace_period_seconds = old.deletion_grace_period_seconds;
    }
}

/// What is wrong with a new object's metadata; `name_rule` says which names the kind may have (name,
/// whether it is a generateName prefix).
pub fn validate(metadata: &ObjectMeta, namespaced: bool, name_rule: impl Fn(&str, bool) -> Vec<String>) -> ErrorList {
    let path = Path::new("metadata");
    let mut errors = ErrorList::new();
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let generate_name = text(&metadata.generate_name);
    if !generate_name.is_empty() {
        for message in name_rule(&generate_name, true) {
            errors.push(Error::invalid(&path.child("generateName"), generate_name.as_str(), message));
        }
    }
    let name = text(&metadata.name);
    if name.is_empty() {
        errors.push(Error::required(&path.child("name"), "name or generateName is required"));
    } else {
        for message in name_rule(&name, false) {
            errors.push(Error::invalid(&path.child("name"), name.as_str(), message));
        }
    }
    errors.extend(validate_common(metadata, namespaced, &path));
    errors
}

/// What is wrong with the change of metadata from `old` to `new`.
pub fn validate_update(new: &ObjectMeta, old: &ObjectMeta, namespaced: bool) -> ErrorList {
    let path = Path::new("metadata");
    let mut errors = ErrorList::new();
    if old.deletion_timestamp.is_some() {
        let had: BTreeSet<&String> = old.finalizers.iter().flatten().collect();
        let extra: BTreeSet<&String> = new.finalizers.iter().flatten().filter(|name| !had.contains(name)).collect();
        if !extra.is_empty() {
            let extra: Vec<String> = extra.into_iter().map(|name| format!("{name:?}")).collect();
            errors.push(Error::forbidden(
                &path.child("finalizers"),
                format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    extra.join(", ")
                ),
            ));
        }
    }
    if new.resource_version.as_deref().unwrap_or_default().is_empty() {
        errors.push(Error::invalid(&path.child("resourceVersion"), "", "must be specified for an update"));
    }
    errors.extend(immutable(&new.name, &old.name, &path.child("name")));
    errors.extend(immutable(&new.namespace, &old.namespace, &path.child("namespace")));
    errors.extend(immutable(&new.uid, &old.uid, &path.child("uid")));
    errors.extend(immutable(&new.creation_timestamp, &old.creation_timestamp, &path.child("creationTimestamp")));
    errors.extend(immutable(&new.deletion_timestamp, &old.deletion_timestamp, &path.child("deletionTimestamp")));
    errors.extend(immutable(
        &new.deletion_grace_period_seconds,
        &old.deletion_grace_period_seconds,
        &path.child("deletionGracePeriodSeconds"),
    ));
    errors.extend(validate_common(new, namespaced, &path));
    errors
}

/// `field is immutable`, where the value changed.
pub fn immutable<T: PartialEq + serde::Serialize>(new: &T, old: &T, path: &Path<'_>) -> ErrorList {
    if new == old {
        return ErrorList::new();
    }
    vec![Error::invalid(path, to_value(new), IMMUTABLE)]
}

fn validate_common(metadata: &ObjectMeta, namespaced: bool, path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let namespace_path = path.child("namespace");
    match (namespaced, namespace) {
        (true, "") => errors.push(Error::required(&namespace_path, "")),
        (true, namespace) => {
            for message in names::is_dns1123_label(namespace) {
                errors.push(Error::invalid(&namespace_path, namespace, message));
            }
        }
        (false, "") => {}
        (false, _) => errors.push(Error::forbidden(&namespace_path, "not allowed on this type")),
    }
    errors.extend(validate_labels(metadata.labels.as_ref(), &path.child("labels")));
    errors.extend(validate_annotations(metadata.annotations.as_ref(), &path.child("annotations")));
    errors.extend(validate_owners(metadata.owner_references.as_deref(), &path.child("ownerReferences")));
    errors.extend(validate_finalizers(metadata.finalizers.as_deref(), &path.child("finalizers")));
    errors
}

/// What is wrong with annotations: their keys, and their size.
pub fn validate_annotations(annotations: Option<&BTreeMap<String, String>>, path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut bytes = 0usize;
    for (key, value) in annotations.into_iter().flatten() {
        for message in names::is_qualified_name(&key.to_lowercase()) {
            errors.push(Error::invalid(path, key.as_str(), message));
        }
        bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(Error::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
    errors
}

fn validate_owners(owners: Option<&[OwnerReference]>, path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut controller: Option<String> = None;
    for owner in owners.into_iter().flatten() {
        let version = owner.api_version.rsplit('/').next().unwrap_or_default();
        for (field, value, empty, message) in [
            ("apiVersion", &owner.api_version, version.is_empty(), "version must not be empty"),
            ("kind", &owner.kind, owner.kind.is_empty(), "must not be empty"),
            ("name", &owner.name, owner.name.is_empty(), "must not be empty"),
            ("uid", &owner.uid, owner.uid.is_empty(), "must not be empty"),
        ] {
            if empty {
                errors.push(Error::invalid(&path.child(field), value.as_str(), message));
            }
        }
        if owner.api_version == "v1" && owner.kind == "Event" {
            errors.push(Error::invalid(path, to_value(owner), "/v1, Kind=Event is disallowed from being an owner"));
        }
        if owner.controller == Some(true) {
            let current = format!("{}/{}", owner.kind, owner.name);
            match &controller {
                Some(first) => errors.push(Error::invalid(
                    path,
                    to_value(&owners),
                    format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {current}"
                    ),
                )),
                None => controller = Some(current),
            }
        }
    }
    errors
}

fn validate_finalizers(finalizers: Option<&[String]>, path: &Path<'_>) -> ErrorList {
    const ORPHAN: &str = "orphan";
    const FOREGROUND: &str = "foregroundDeletion";
    let mut errors = ErrorList::new();
    let finalizers = finalizers.unwrap_or_default();
    for finalizer in finalizers {
        for message in names::is_qualified_name(finalizer) {
            errors.push(Error::invalid(path, finalizer.as_str(), message));
        }
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer == name);
    if has(ORPHAN) && has(FOREGROUND) {
        errors.push(Error::invalid(
            path,
            Value::from(finalizers.to_vec()),
            format!("finalizer {ORPHAN} and {FOREGROUND} cannot be both set"),
        ));
    }
    errors
}
