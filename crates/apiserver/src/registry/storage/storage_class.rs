//! StorageClass.

use k8s_openapi::api::storage::v1::StorageClass;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::defaults::text;
use crate::registry::shared::meta::immutable;
use crate::registry::shared::printer::{AGE, NAME, age, column};
use crate::registry::shared::validate::{one_of, same};
use crate::registry::strategy::{Typed, parts};

const DEFAULT_ANNOTATIONS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// StorageClass' strategy.
pub static STRATEGY: Typed<StorageClass> = Typed {
    defaults: |class| {
        text(&mut class.reclaim_policy, "Delete");
        text(&mut class.volume_binding_mode, "Immediate");
    },
    validate,
    validate_update,
    columns: COLUMNS,
    cells,
    ..Typed::new(parts!(StorageClass:
        allow_volume_expansion, allowed_topologies, mount_options, parameters, provisioner, reclaim_policy,
        volume_binding_mode))
};

fn validate(class: &StorageClass) -> ErrorList {
    let mut errors = ErrorList::new();
    if class.provisioner.is_empty() {
        errors.push(Error::required(&Path::new("provisioner"), ""));
    }
    let policies = ["Delete", "Retain"];
    one_of(&mut errors, &Path::new("reclaimPolicy"), class.reclaim_policy.as_deref(), &policies);
    let modes = ["Immediate", "WaitForFirstConsumer"];
    one_of(&mut errors, &Path::new("volumeBindingMode"), class.volume_binding_mode.as_deref(), &modes);
    errors
}

fn validate_update(new: &StorageClass, old: &StorageClass) -> ErrorList {
    let mut errors = validate(new);
    if !same(&new.parameters, &old.parameters) {
        errors.push(Error::forbidden(&Path::new("parameters"), "updates to parameters are forbidden."));
    }
    if new.provisioner != old.provisioner {
        errors.push(Error::forbidden(&Path::new("provisioner"), "updates to provisioner are forbidden."));
    }
    if new.reclaim_policy != old.reclaim_policy {
        errors.push(Error::forbidden(&Path::new("reclaimPolicy"), "updates to reclaimPolicy are forbidden."));
    }
    errors.extend(immutable(&new.volume_binding_mode, &old.volume_binding_mode, &Path::new("volumeBindingMode")));
    errors
}

const COLUMNS: &[Column] = &[
    NAME,
    column("Provisioner", "string", "Who makes volumes of the class."),
    column("ReclaimPolicy", "string", "What becomes of volumes of the class when their claims are gone."),
    column("VolumeBindingMode", "string", "When claims are bound."),
    column("AllowVolumeExpansion", "string", "Whether claims may grow."),
    AGE,
];

fn cells(class: &StorageClass, now: Timestamp) -> Vec<Value> {
    let annotations = class.metadata.annotations.as_ref();
    let annotated = |key: &&str| annotations.and_then(|all| all.get(*key)).is_some_and(|value| value == "true");
    let mut name = class.metadata.name.clone().unwrap_or_default();
    if DEFAULT_ANNOTATIONS.iter().any(annotated) {
        name.push_str(" (default)");
    }
    vec![
        name.into(),
        class.provisioner.clone().into(),
        class.reclaim_policy.clone().unwrap_or_default().into(),
        class.volume_binding_mode.clone().unwrap_or_default().into(),
        (class.allow_volume_expansion == Some(true)).into(),
        age(&class.metadata, now),
    ]
}
