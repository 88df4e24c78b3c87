//! What the two kinds of binding share.

use k8s_openapi::api::rbac::v1::{RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::{is_dns1123_subdomain, is_path_segment_name};
use serde_json::Value;

use super::GROUP;
use crate::registry::info::Column;
use crate::registry::shared::defaults::text;
use crate::registry::shared::printer::{AGE, NAME, age, column, name, wide};
use crate::registry::shared::validate::{anything, complain, required, shown};

const SERVICE_ACCOUNT: &str = "ServiceAccount";

/// References are to this group where they do not say, except service accounts.
pub fn defaults(role: &mut RoleRef, subjects: Option<&mut [Subject]>) {
    text(&mut role.api_group, GROUP);
    for subject in subjects.into_iter().flatten() {
        if matches!(subject.kind.as_str(), "User" | "Group") {
            text(&mut subject.api_group, GROUP);
        }
    }
}

/// What is wrong with a binding to a role of one of `kinds`.
pub fn validate(role: &RoleRef, subjects: Option<&[Subject]>, kinds: &[&str]) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("roleRef");
    let group = role.api_group.as_deref().unwrap_or_default();
    if group != GROUP {
        errors.push(Error::not_supported(&path.child("apiGroup"), group, &[GROUP]));
    }
    if !kinds.contains(&role.kind.as_str()) {
        errors.push(Error::not_supported(&path.child("kind"), role.kind.as_str(), kinds));
    }
    required(&mut errors, &path.child("name"), &role.name, is_path_segment_name);
    let path = Path::new("subjects");
    let namespaced = kinds.contains(&"Role");
    for (index, subject) in subjects.into_iter().flatten().enumerate() {
        self::subject(&mut errors, &path.index(index), subject, namespaced);
    }
    errors
}

fn subject(errors: &mut ErrorList, path: &Path<'_>, subject: &Subject, namespaced: bool) {
    required(errors, &path.child("name"), &subject.name, anything);
    let group = subject.api_group.as_deref().unwrap_or_default();
    let namespace = subject.namespace.as_deref().unwrap_or_default();
    match subject.kind.as_str() {
        SERVICE_ACCOUNT => {
            complain(errors, &path.child("name"), &subject.name, is_dns1123_subdomain(&subject.name));
            if !group.is_empty() {
                errors.push(Error::not_supported(&path.child("apiGroup"), group, &[""]));
            }
            if namespace.is_empty() && !namespaced {
                errors.push(Error::required(&path.child("namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                errors.push(Error::not_supported(&path.child("apiGroup"), group, &[GROUP]));
            }
        }
        other => {
            let kinds = [SERVICE_ACCOUNT, "User", "Group"];
            errors.push(Error::not_supported(&path.child("kind"), other, &kinds));
        }
    }
}

/// A binding stays to its role.
pub fn validate_update(new: &RoleRef, old: &RoleRef) -> ErrorList {
    if new == old {
        return ErrorList::new();
    }
    vec![Error::invalid(&Path::new("roleRef"), shown(new), "cannot change roleRef")]
}

/// The columns of the tables of bindings.
pub const COLUMNS: &[Column] = &[
    NAME,
    column("Role", "string", "The role that is given."),
    AGE,
    wide("Users", "string", "Users it is given to."),
    wide("Groups", "string", "Groups it is given to."),
    wide("ServiceAccounts", "string", "Service accounts it is given to."),
];

/// The cells under [`COLUMNS`].
pub fn cells(metadata: &ObjectMeta, role: &RoleRef, subjects: Option<&[Subject]>, now: Timestamp) -> Vec<Value> {
    let of = |kind: &str| -> Value {
        let subjects = subjects.unwrap_or_default().iter().filter(|subject| subject.kind == kind);
        let names: Vec<String> = subjects
            .map(|subject| match subject.namespace.as_deref().filter(|_| kind == SERVICE_ACCOUNT) {
                Some(namespace) => format!("{namespace}/{}", subject.name),
                None => subject.name.clone(),
            })
            .collect();
        names.join(", ").into()
    };
    vec![
        name(metadata),
        format!("{}/{}", role.kind, role.name).into(),
        age(metadata, now),
        of("User"),
        of("Group"),
        of(SERVICE_ACCOUNT),
    ]
}
