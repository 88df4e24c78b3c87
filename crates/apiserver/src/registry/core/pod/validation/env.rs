//! What is wrong with environment variables and their sources.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector, ResourceFieldSelector};
use machinery::field::{Error, ErrorList, Path};
use machinery::names::{is_config_map_key, is_env_var_name};

use crate::registry::shared::validate::{anything, optional, required};

/// Fields of the pod that variables can have the value of.
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];
/// Resources of the container that variables can have the value of.
const RESOURCES: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];
/// Fields that the downward API knows at all.
const KNOWN_FIELDS: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.phase",
    "status.podIP",
    "status.podIPs",
];

/// Everything that is wrong with environment variables.
pub fn env(errors: &mut ErrorList, path: &Path<'_>, variables: Option<&[EnvVar]>) {
    for (index, variable) in variables.into_iter().flatten().enumerate() {
        let at = path.index(index);
        required(errors, &at.child("name"), &variable.name, is_env_var_name);
        if let Some(source) = &variable.value_from {
            value_from(errors, &at.child("valueFrom"), variable, source);
        }
    }
}

fn value_from(errors: &mut ErrorList, path: &Path<'_>, variable: &EnvVar, source: &EnvVarSource) {
    if let Some(reference) = &source.field_ref {
        field_ref(errors, &path.child("fieldRef"), reference, &FIELDS);
    }
    if let Some(reference) = &source.resource_field_ref {
        resource_field_ref(errors, &path.child("resourceFieldRef"), reference, false);
    }
    for (field, reference) in [
        ("configMapKeyRef", source.config_map_key_ref.as_ref().map(|it| (&it.name, &it.key))),
        ("secretKeyRef", source.secret_key_ref.as_ref().map(|it| (&it.name, &it.key))),
    ] {
        if let Some((name, key)) = reference {
            let at = path.child(field);
            required(errors, &at.child("name"), name, anything);
            required(errors, &at.child("key"), key, is_config_map_key);
        }
    }
    let sources = [
        source.field_ref.is_some(),
        source.resource_field_ref.is_some(),
        source.config_map_key_ref.is_some(),
        source.secret_key_ref.is_some(),
        source.file_key_ref.is_some(),
    ];
    let count = sources.iter().filter(|set| **set).count();
    if count == 0 {
        let detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`";
        errors.push(Error::invalid(path, "", detail));
    }
    if variable.value.as_deref().is_some_and(|value| !value.is_empty()) {
        if count != 0 {
            errors.push(Error::invalid(path, "", "may not be specified when `value` is not empty"));
        }
    } else if count > 1 {
        errors.push(Error::invalid(path, "", "may not have more than one field specified at a time"));
    }
}

/// A reference to a field of the pod; `supported` are those that can be referred to here, besides
/// single labels and annotations.
pub fn field_ref(errors: &mut ErrorList, path: &Path<'_>, reference: &ObjectFieldSelector, supported: &[&str]) {
    required(errors, &path.child("apiVersion"), reference.api_version.as_deref().unwrap_or_default(), anything);
    let at = path.child("fieldPath");
    let field = reference.field_path.as_str();
    if field.is_empty() {
        errors.push(Error::required(&at, ""));
        return;
    }
    if is_subscript(field) {
        return;
    }
    if !KNOWN_FIELDS.contains(&field) {
        let detail = format!("error converting fieldPath: field label not supported: {field}");
        errors.push(Error::invalid(&at, field, detail));
    } else if !supported.contains(&field) {
        errors.push(Error::not_supported(&at, field, supported));
    }
}

/// `metadata.labels['key']`, `metadata.annotations['key']`.
fn is_subscript(field: &str) -> bool {
    let rest = field.strip_prefix("metadata.labels['").or_else(|| field.strip_prefix("metadata.annotations['"));
    rest.and_then(|rest| rest.strip_suffix("']")).is_some_and(|key| !key.is_empty())
}

/// A reference to a resource of a container, which must be named in volumes.
pub fn resource_field_ref(errors: &mut ErrorList, path: &Path<'_>, reference: &ResourceFieldSelector, in_volume: bool) {
    let unnamed = reference.container_name.as_deref().unwrap_or_default().is_empty();
    if in_volume && unnamed {
        errors.push(Error::required(&path.child("containerName"), ""));
    } else if reference.resource.is_empty() {
        errors.push(Error::required(&path.child("resource"), ""));
    } else {
        let huge = reference.resource.starts_with("limits.hugepages-")
            || reference.resource.starts_with("requests.hugepages-");
        if !huge && !RESOURCES.contains(&reference.resource.as_str()) {
            errors.push(Error::not_supported(&path.child("resource"), reference.resource.as_str(), &RESOURCES));
        }
    }
}

/// Everything that is wrong with the sources of many variables.
pub fn env_from(errors: &mut ErrorList, path: &Path<'_>, sources: Option<&[EnvFromSource]>) {
    for (index, source) in sources.into_iter().flatten().enumerate() {
        let at = path.index(index);
        optional(errors, &at.child("prefix"), source.prefix.as_deref(), is_env_var_name);
        let references = [
            ("configMapRef", source.config_map_ref.as_ref().map(|it| &it.name)),
            ("secretRef", source.secret_ref.as_ref().map(|it| &it.name)),
        ];
        for (field, name) in references {
            if let Some(name) = name {
                let at = at.child(field);
                required(errors, &at.child("name"), name, anything);
            }
        }
        match references.iter().filter(|(_, name)| name.is_some()).count() {
            0 => errors.push(Error::invalid(&at, "", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => errors.push(Error::invalid(&at, "", "may not have more than one field specified at a time")),
        }
    }
}
