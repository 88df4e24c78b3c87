//! PersistentVolume.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PersistentVolume;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use machinery::Timestamp;
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::defaults::{set, text};
use crate::registry::shared::printer::{AGE, NAME, age, column, name, wide};
use crate::registry::strategy::{Typed, parts};

/// PersistentVolume's strategy.
pub static STRATEGY: Typed<PersistentVolume> = Typed {
    defaults,
    prepare_for_create: |volume| volume.status.get_or_insert_default().phase = Some("Pending".into()),
    columns: COLUMNS,
    cells,
    ..Typed::new(parts!(PersistentVolume: spec; status))
};

fn defaults(volume: &mut PersistentVolume) {
    text(&mut volume.status.get_or_insert_default().phase, "Pending");
    let spec = volume.spec.get_or_insert_default();
    text(&mut spec.persistent_volume_reclaim_policy, "Retain");
    text(&mut spec.volume_mode, "Filesystem");
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
