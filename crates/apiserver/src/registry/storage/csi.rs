//! The kinds through which storage drivers present themselves.

use k8s_openapi::api::storage::v1::{CSIDriver, CSINode, CSIStorageCapacity};
use machinery::Timestamp;
use machinery::field::Path;
use serde_json::Value;

use crate::registry::info::Column;
use crate::registry::shared::defaults::set;
use crate::registry::shared::meta::immutable;
use crate::registry::shared::printer::{AGE, NAME, age, column, joined, name, or_none};
use crate::registry::strategy::{Typed, parts};

/// CSIDriver's strategy.
pub static DRIVER: Typed<CSIDriver> = Typed {
    generation: true,
    defaults: driver_defaults,
    validate_update: |new, old| {
        immutable(&new.spec.attach_required, &old.spec.attach_required, &Path::new("spec.attachRequired"))
    },
    columns: DRIVER_COLUMNS,
    cells: driver_cells,
    unconditional_update: false,
    ..Typed::new(parts!(CSIDriver: spec))
};

fn driver_defaults(driver: &mut CSIDriver) {
    let spec = &mut driver.spec;
    set(&mut spec.attach_required, true);
    set(&mut spec.pod_info_on_mount, false);
    set(&mut spec.storage_capacity, false);
    set(&mut spec.fs_group_policy, "ReadWriteOnceWithFSType".into());
    if spec.volume_lifecycle_modes.as_ref().is_none_or(|modes| modes.is_empty()) {
        spec.volume_lifecycle_modes = Some(vec!["Persistent".into()]);
    }
    set(&mut spec.requires_republish, false);
    set(&mut spec.se_linux_mount, false);
}

const DRIVER_COLUMNS: &[Column] = &[
    NAME,
    column("AttachRequired", "boolean", "Whether volumes are attached to nodes before they are mounted."),
    column("PodInfoOnMount", "boolean", "Whether the driver is told of the pod."),
    column("StorageCapacity", "boolean", "Whether the scheduler looks at the driver's capacity."),
    column("TokenRequests", "string", "Audiences of tokens the driver gets."),
    column("RequiresRepublish", "boolean", "Whether the driver is called again and again."),
    column("Modes", "string", "Kinds of volume the driver has."),
    AGE,
];

fn driver_cells(driver: &CSIDriver, now: Timestamp) -> Vec<Value> {
    let spec = &driver.spec;
    let audiences = joined(spec.token_requests.iter().flatten().map(|request| request.audience.as_str()));
    let modes = joined(spec.volume_lifecycle_modes.iter().flatten().map(String::as_str));
    vec![
        name(&driver.metadata),
        (spec.attach_required != Some(false)).into(),
        (spec.pod_info_on_mount == Some(true)).into(),
        (spec.storage_capacity == Some(true)).into(),
        if audiences.is_empty() { "<unset>".into() } else { audiences.into() },
        (spec.requires_republish == Some(true)).into(),
        or_none(Some(&modes)),
        age(&driver.metadata, now),
    ]
}

/// CSINode's strategy.
pub static NODE: Typed<CSINode> = Typed {
    columns: &[NAME, column("Drivers", "integer", "Number of drivers on the node."), AGE],
    cells: |node, now| vec![name(&node.metadata), node.spec.drivers.len().into(), age(&node.metadata, now)],
    unconditional_update: false,
    ..Typed::new(parts!(CSINode: spec))
};

/// CSIStorageCapacity's strategy.
pub static STORAGE_CAPACITY: Typed<CSIStorageCapacity> = Typed {
    validate_update: |new, old| {
        let mut errors = immutable(&new.node_topology, &old.node_topology, &Path::new("nodeTopology"));
        errors.extend(immutable(&new.storage_class_name, &old.storage_class_name, &Path::new("storageClassName")));
        errors
    },
    columns: &[
        NAME,
        column("StorageClassName", "string", "The class the capacity is for."),
        column("Capacity", "string", "How much there is."),
    ],
    cells: |capacity, _| {
        let amount = capacity.capacity.as_ref().map_or("<unset>", |quantity| quantity.0.as_str());
        vec![name(&capacity.metadata), capacity.storage_class_name.clone().into(), amount.into()]
    },
    unconditional_update: false,
    ..Typed::new(parts!(CSIStorageCapacity: capacity, maximum_volume_size, node_topology, storage_class_name))
};
