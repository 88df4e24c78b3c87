//! The kinds of `storage.k8s.io`.

use k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment, VolumeAttributesClass,
};

use super::info::{ResourceInfo, STATUS};
use super::strategy::{Typed, parts};

/// The group and version of these rows.
const V: (&str, &str) = ("storage.k8s.io", "v1");

/// The rows of the group.
pub(super) static ROWS: &[ResourceInfo] = &[
    ResourceInfo {
        namespaced: false,
        ..ResourceInfo::new(V, "csidrivers", "CSIDriver", "/registry/csidrivers", &CSI_DRIVER)
    },
    ResourceInfo { namespaced: false, ..ResourceInfo::new(V, "csinodes", "CSINode", "/registry/csinodes", &CSI_NODE) },
    ResourceInfo::new(
        V,
        "csistoragecapacities",
        "CSIStorageCapacity",
        "/registry/csistoragecapacities",
        &CSI_STORAGE_CAPACITY,
    ),
    ResourceInfo {
        namespaced: false,
        short_names: &["sc"],
        ..ResourceInfo::new(V, "storageclasses", "StorageClass", "/registry/storageclasses", &STORAGE_CLASS)
    },
    ResourceInfo {
        namespaced: false,
        subresources: &[STATUS],
        ..ResourceInfo::new(
            V,
            "volumeattachments",
            "VolumeAttachment",
            "/registry/volumeattachments",
            &VOLUME_ATTACHMENT,
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
            &VOLUME_ATTRIBUTES_CLASS,
        )
    },
];

static CSI_DRIVER: Typed<CSIDriver> = Typed { generation: true, ..Typed::new(parts!(CSIDriver: spec)) };
static CSI_NODE: Typed<CSINode> = Typed::new(parts!(CSINode: spec));
static CSI_STORAGE_CAPACITY: Typed<CSIStorageCapacity> =
    Typed::new(parts!(CSIStorageCapacity: capacity, maximum_volume_size, node_topology, storage_class_name));
static STORAGE_CLASS: Typed<StorageClass> = Typed::new(
    parts!(StorageClass: allow_volume_expansion, allowed_topologies, mount_options, parameters, provisioner, reclaim_policy, volume_binding_mode),
);
static VOLUME_ATTACHMENT: Typed<VolumeAttachment> = Typed::new(parts!(VolumeAttachment: spec; status));
static VOLUME_ATTRIBUTES_CLASS: Typed<VolumeAttributesClass> =
    Typed::new(parts!(VolumeAttributesClass: driver_name, parameters));
