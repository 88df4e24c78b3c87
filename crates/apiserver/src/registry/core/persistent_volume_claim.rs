//! PersistentVolumeClaim.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use machinery::Timestamp;
use serde_json::Value;

use super::persistent_volume::{access_modes, storage};
use crate::registry::info::Column;
use crate::registry::shared::defaults::text;
use crate::registry::shared::printer::{AGE, NAME, age, column, name, wide};
use crate::registry::strategy::{Typed, parts};

/// The annotation that named the storage class before there was a field.
const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

/// PersistentVolumeClaim's strategy.
pub static STRATEGY: Typed<PersistentVolumeClaim> = Typed {
    defaults,
    prepare_for_create: |claim| claim.status.get_or_insert_default().phase = Some("Pending".into()),
    columns: COLUMNS,
    cells,
    ..Typed::new(parts!(PersistentVolumeClaim: spec; status))
};

/// Sets a claim's defaults; also of the claims in a StatefulSet.
pub fn defaults(claim: &mut PersistentVolumeClaim) {
    text(&mut claim.spec.get_or_insert_default().volume_mode, "Filesystem");
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
