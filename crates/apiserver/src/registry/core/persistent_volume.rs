//! PersistentVolume.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::is_dns1123_subdomain;
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::defaults::{canonical, set, text};
use crate::registry::shared::printer::{AGE, NAME, age, column, name, wide};
use crate::registry::shared::resources::quantity;
use crate::registry::shared::validate::{optional, optional_one_of, shown};
use crate::registry::strategy::{Typed, parts};

/// PersistentVolume's strategy.
pub static STRATEGY: Typed<PersistentVolume> = Typed {
    defaults,
    prepare_for_create: |volume| volume.status.get_or_insert_default().phase = Some("Pending".into()),
    validate,
    validate_update,
    columns: COLUMNS,
    cells,
    ..Typed::new(parts!(PersistentVolume: spec; status))
};

fn defaults(volume: &mut PersistentVolume) {
    text(&mut volume.status.get_or_insert_default().phase, "Pending");
    let spec = volume.spec.get_or_insert_default();
    text(&mut spec.persistent_volume_reclaim_policy, "Retain");
    text(&mut spec.volume_mode, "Filesystem");
    canonical(spec.capacity.as_mut());
    if let Some(source) = &mut spec.host_path {
        set(&mut source.type_, String::new());
    }
}

/// The amount of storage among resources; `0` if it is not said.
pub fn storage(resources: Option<&BTreeMap<String, Text>>) -> String {
    resources.and_then(|resources| resources.get("storage")).map_or_else(|| "0".into(), |quantity| quantity.0.clone())
}

/// Access modes as tables show them: `RWO,ROX`.
pub fn access_modes(modes: Option<&[String]>) -> String {
    const SHORT: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let modes = modes.unwrap_or_default();
    let has = |mode: &str| modes.iter().any(|candidate| candidate == mode);
    SHORT.iter().filter(|(mode, _)| has(mode)).map(|(_, short)| *short).collect::<Vec<_>>().join(",")
}

const COLUMNS: &[Column] = &[
    NAME,
    column("Capacity", "string", "The volume's size."),
    column("Access Modes", "string", "How the volume may be mounted."),
    column("Reclaim Policy", "string", "What becomes of the volume when its claim is gone."),
    column("Status", "string", "Pending, Available, Bound, Released or Failed."),
    column("Claim", "string", "The claim the volume is bound to."),
    column("StorageClass", "string", "The volume's storage class."),
    column("VolumeAttributesClass", "string", "The volume's attributes class."),
    column("Reason", "string", "Why the volume is in its status."),
    AGE,
    wide("VolumeMode", "string", "Filesystem or Block."),
];

fn cells(volume: &PersistentVolume, now: Timestamp) -> Vec<Value> {
    let spec = volume.spec.clone().unwrap_or_default();
    let status = volume.status.clone().unwrap_or_default();
    let deleted = volume.metadata.deletion_timestamp.is_some();
    let phase = if deleted { "Terminating".into() } else { status.phase.unwrap_or_default() };
    let claim = spec
        .claim_ref
        .map(|claim| format!("{}/{}", claim.namespace.unwrap_or_default(), claim.name.unwrap_or_default()));
    let unset = |text: Option<String>| Value::from(text.unwrap_or_else(|| "<unset>".into()));
    vec![
        name(&volume.metadata),
        storage(spec.capacity.as_ref()).into(),
        access_modes(spec.access_modes.as_deref()).into(),
        spec.persistent_volume_reclaim_policy.unwrap_or_default().into(),
        phase.into(),
        claim.unwrap_or_default().into(),
        spec.storage_class_name.unwrap_or_default().into(),
        unset(spec.volume_attributes_class_name),
        status.reason.unwrap_or_default().into(),
        age(&volume.metadata, now),
        unset(spec.volume_mode),
    ]
}

/// What is wrong with how a volume may be mounted.
pub fn validate_access_modes(errors: &mut ErrorList, path: &Path<'_>, modes: Option<&[String]>) {
    const MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
    let modes = modes.unwrap_or_default();
    if modes.is_empty() {
        errors.push(Error::required(path, "at least 1 access mode is required"));
    }
    for mode in modes.iter().filter(|mode| !MODES.contains(&mode.as_str())) {
        errors.push(Error::not_supported(path, mode.as_str(), &MODES));
    }
    if modes.len() > 1 && modes.iter().any(|mode| mode == "ReadWriteOncePod") {
        errors.push(Error::forbidden(path, "may not use ReadWriteOncePod with other access modes"));
    }
}

/// Fields of the spec that are not a source of the volume.
const NO_SOURCES: [&str; 9] = [
    "accessModes",
    "capacity",
    "claimRef",
    "mountOptions",
    "nodeAffinity",
    "persistentVolumeReclaimPolicy",
    "storageClassName",
    "volumeAttributesClassName",
    "volumeMode",
];

fn sources(volume: &PersistentVolume) -> Value {
    let Value::Object(mut fields) = shown(&volume.spec) else { return Value::Null };
    fields.retain(|field, _| !NO_SOURCES.contains(&field.as_str()));
    Value::Object(fields)
}

fn validate(volume: &PersistentVolume) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let spec = volume.spec.clone().unwrap_or_default();
    validate_access_modes(&mut errors, &path.child("accessModes"), spec.access_modes.as_deref());
    let at = path.child("capacity");
    let capacity = spec.capacity.unwrap_or_default();
    if capacity.is_empty() {
        errors.push(Error::required(&at, ""));
    } else if !capacity.contains_key("storage") || capacity.len() > 1 {
        errors.push(Error::not_supported(&at, shown(&capacity), &["storage"]));
    }
    for (resource, amount) in &capacity {
        quantity(&mut errors, &at.key(resource), resource, amount);
    }
    let policies = ["Delete", "Recycle", "Retain"];
    let policy = spec.persistent_volume_reclaim_policy.as_deref();
    optional_one_of(&mut errors, &path.child("persistentVolumeReclaimPolicy"), policy, &policies);
    if let Value::Object(sources) = sources(volume) {
        if sources.is_empty() {
            errors.push(Error::required(&path, "must specify a volume type"));
        }
        for extra in sources.keys().skip(1) {
            errors.push(Error::forbidden(&path.child(extra), "may not specify more than 1 volume type"));
        }
    }
    let class = spec.storage_class_name.as_deref();
    optional(&mut errors, &path.child("storageClassName"), class, is_dns1123_subdomain);
    let modes = ["Block", "Filesystem"];
    optional_one_of(&mut errors, &path.child("volumeMode"), spec.volume_mode.as_deref(), &modes);
    errors
}

fn validate_update(new: &PersistentVolume, old: &PersistentVolume) -> ErrorList {
    let mut errors = validate(new);
    if sources(new) != sources(old) {
        let detail = "spec.persistentvolumesource is immutable after creation";
        errors.push(Error::forbidden(&Path::new("spec.persistentvolumesource"), detail));
    }
    errors
}
