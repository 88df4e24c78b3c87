//! PersistentVolumeClaim.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};
use machinery::Quantity;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::labels::validate_label_selector;
use machinery::names::is_dns1123_subdomain;
use serde_json::Value;

use super::persistent_volume::{access_modes, storage, validate_access_modes};
use crate::registry::info::Column;
use crate::registry::shared::defaults::{canonical, text};
use crate::registry::shared::printer::{AGE, NAME, age, column, name, wide};
use crate::registry::shared::resources::quantity;
use crate::registry::shared::validate::{optional, optional_one_of, same};
use crate::registry::strategy::{Typed, parts};

/// The annotation that named the storage class before there was a field.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// PersistentVolumeClaim's strategy.
pub static STRATEGY: Typed<PersistentVolumeClaim> = Typed {
    defaults,
    prepare_for_create: |claim| claim.status.get_or_insert_default().phase = Some("Pending".into()),
    validate,
    validate_update,
    columns: COLUMNS,
    cells,
    ..Typed::new(parts!(PersistentVolumeClaim: spec; status))
};

/// Sets a claim's defaults; also of the claims in a StatefulSet.
pub fn defaults(claim: &mut PersistentVolumeClaim) {
    let spec = claim.spec.get_or_insert_default();
    text(&mut spec.volume_mode, "Filesystem");
    if let Some(resources) = &mut spec.resources {
        canonical(resources.requests.as_mut());
        canonical(resources.limits.as_mut());
    }
    text(&mut claim.status.get_or_insert_default().phase, "Pending");
}

const COLUMNS: &[Column] = &[
    NAME,
    column("Status", "string", "Pending, Bound or Lost."),
    column("Volume", "string", "The volume that is bound."),
    column("Capacity", "string", "The volume's size."),
    column("Access Modes", "string", "How the volume may be mounted."),
    column("StorageClass", "string", "The storage class asked for."),
    column("VolumeAttributesClass", "string", "The volume attributes class asked for."),
    AGE,
    wide("VolumeMode", "string", "Filesystem or Block."),
];

fn cells(claim: &PersistentVolumeClaim, now: Timestamp) -> Vec<Value> {
    let spec = claim.spec.clone().unwrap_or_default();
    let status = claim.status.clone().unwrap_or_default();
    let deleted = claim.metadata.deletion_timestamp.is_some();
    let phase = if deleted { "Terminating".into() } else { status.phase.unwrap_or_default() };
    let volume = spec.volume_name.unwrap_or_default();
    let (capacity, modes) = match volume.as_str() {
        "" => Default::default(),
        _ => (storage(status.capacity.as_ref()), access_modes(status.access_modes.as_deref())),
    };
    let class = claim.metadata.annotations.as_ref().and_then(|all| all.get(CLASS_ANNOTATION).cloned());
    let unset = |text: Option<String>| Value::from(text.unwrap_or_else(|| "<unset>".into()));
    vec![
        name(&claim.metadata),
        phase.into(),
        volume.into(),
        capacity.into(),
        modes.into(),
        class.or(spec.storage_class_name).unwrap_or_default().into(),
        unset(spec.volume_attributes_class_name),
        age(&claim.metadata, now),
        unset(spec.volume_mode),
    ]
}

fn validate(claim: &PersistentVolumeClaim) -> ErrorList {
    let path = Path::new("spec");
    let mut errors = ErrorList::new();
    let spec = claim.spec.clone().unwrap_or_default();
    validate_access_modes(&mut errors, &path.child("accessModes"), spec.access_modes.as_deref());
    errors.extend(validate_label_selector(spec.selector.as_ref(), &path.child("selector")));
    let storage = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("storage"));
    let at = path.child("resources");
    match storage {
        None => errors.push(Error::required(&at.key("storage"), "")),
        Some(amount) => {
            let requests = at.child("requests");
            let at = requests.key("storage");
            quantity(&mut errors, &at, "storage", amount);
            if Quantity::parse(&amount.0).is_ok_and(|quantity| quantity.is_zero()) {
                errors.push(Error::invalid(&at, amount.0.as_str(), "must be greater than zero"));
            }
        }
    }
    let class = spec.storage_class_name.as_deref();
    optional(&mut errors, &path.child("storageClassName"), class, is_dns1123_subdomain);
    let modes = ["Block", "Filesystem"];
    optional_one_of(&mut errors, &path.child("volumeMode"), spec.volume_mode.as_deref(), &modes);
    errors
}

/// A claim once made may be bound, grow and get a class, nothing else.
fn validate_update(new: &PersistentVolumeClaim, old: &PersistentVolumeClaim) -> ErrorList {
    const DETAIL: &str =
        "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
    let mut errors = validate(new);
    let path = Path::new("spec");
    let spec = |claim: &PersistentVolumeClaim| claim.spec.clone().unwrap_or_default();
    let (new_spec, old_spec) = (spec(new), spec(old));
    let bound = old.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound");
    let mut allowed = new_spec.clone();
    if old_spec.volume_name.as_deref().unwrap_or_default().is_empty() {
        allowed.volume_name.clone_from(&old_spec.volume_name);
    }
    if old_spec.storage_class_name.is_none() {
        allowed.storage_class_name = None;
    }
    if bound {
        allowed.resources.clone_from(&old_spec.resources);
        allowed.volume_attributes_class_name.clone_from(&old_spec.volume_attributes_class_name);
    }
    if !same(&allowed, &old_spec) {
        errors.push(Error::forbidden(&path, DETAIL));
    }
    let size = |spec: &PersistentVolumeClaimSpec| {
        Quantity::of(spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("storage")))
    };
    if size(&new_spec) < size(&old_spec) {
        let detail = "field can not be less than status.capacity";
        errors.push(Error::forbidden(&path.child("resources.requests.storage"), detail));
    }
    errors
}
