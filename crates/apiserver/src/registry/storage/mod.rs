//! The kinds of `storage.k8s.io`.

pub(super) mod csi;
mod storage_class;

use k8s_openapi::api::storage::v1::{VolumeAttachment, VolumeAttributesClass};
use machinery::Timestamp;
use machinery::field::{Error, Path};
use serde_json::Value;

use super::info::{ResourceInfo, STATUS};
use super::rare::Rare;
use super::shared::printer::{AGE, NAME, age, column, name};
use super::shared::validate::{same, shown};
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("storage.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo {
        namespaced: false,
        ..ResourceInfo::new(V, "csidrivers", "CSIDriver", "/registry/csidrivers", &Rare::CSIDriver)
    },
    ResourceInfo { namespaced: false, ..ResourceInfo::new(V, "csinodes", "CSINode", "/registry/csinodes", &csi::NODE) },
    ResourceInfo::new(
        V,
        "csistoragecapacities",
        "CSIStorageCapacity",
        "/registry/csistoragecapacities",
        &Rare::CSIStorageCapacity,
    ),
    ResourceInfo {
        namespaced: false,
        short_names: &["sc"],
        ..ResourceInfo::new(V, "storageclasses", "StorageClass", "/registry/storageclasses", &storage_class::STRATEGY)
    },
    ResourceInfo {
        namespaced: false,
        subresources: &[STATUS],
        ..ResourceInfo::new(
            V,
            "volumeattachments",
            "VolumeAttachment",
            "/registry/volumeattachments",
            &Rare::VolumeAttachment,
        )
    },
    ResourceInfo {
        namespaced: false,
        short_names: &["vac"],
        ..ResourceInfo::new(
            V,
            "volumeattributesclasses",
            "VolumeAttributesClass",
            "/registry/volumeattributesclasses",
            &Rare::VolumeAttributesClass,
        )
    },
];

pub(super) static VOLUME_ATTACHMENT: Typed<VolumeAttachment> = Typed {
    validate_update: |new, old| {
        if same(&new.spec, &old.spec) {
            return Vec::new();
        }
        vec![Error::invalid(&Path::new("spec"), shown(&new.spec), "field is immutable")]
    },
    columns: &[
        NAME,
        column("Attacher", "string", "The driver that attaches."),
        column("PV", "string", "The volume."),
        column("Node", "string", "The node it is attached to."),
        column("Attached", "boolean", "Whether it is attached."),
        AGE,
    ],
    cells: volume_attachment_cells,
    unconditional_update: false,
    ..Typed::new(parts!(VolumeAttachment: spec; status))
};

fn volume_attachment_cells(attachment: &VolumeAttachment, now: Timestamp) -> Vec<Value> {
    let spec = &attachment.spec;
    vec![
        name(&attachment.metadata),
        spec.attacher.clone().into(),
        spec.source.persistent_volume_name.clone().unwrap_or_default().into(),
        spec.node_name.clone().into(),
        attachment.status.as_ref().is_some_and(|status| status.attached).into(),
        age(&attachment.metadata, now),
    ]
}

pub(super) static VOLUME_ATTRIBUTES_CLASS: Typed<VolumeAttributesClass> = Typed {
    validate_update: |new, old| {
        let mut errors = Vec::new();
        if new.driver_name != old.driver_name {
            let detail = "updates to driverName are forbidden.";
            errors.push(Error::forbidden(&Path::new("driverName"), detail));
        }
        if !same(&new.parameters, &old.parameters) {
            errors.push(Error::forbidden(&Path::new("parameters"), "updates to parameters are forbidden."));
        }
        errors
    },
    columns: &[NAME, column("DriverName", "string", "The driver the class is for."), AGE],
    cells: |class, now| vec![name(&class.metadata), class.driver_name.clone().into(), age(&class.metadata, now)],
    ..Typed::new(parts!(VolumeAttributesClass: driver_name, parameters))
};
