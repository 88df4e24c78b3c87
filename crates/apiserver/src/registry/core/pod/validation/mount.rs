//! What is wrong with volume mounts and block devices.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, VolumeMount};
use machinery::field::{Error, ErrorList, Path};

use super::volume::Volumes;
use crate::registry::shared::validate::{anything, descending_path, no_backsteps, one_of, required};

/// Everything that is wrong with a container's mounts.
pub fn mounts(errors: &mut ErrorList, path: &Path<'_>, container: &Container, volumes: &Volumes<'_>) {
    let mut paths = BTreeSet::new();
    let devices = container.volume_devices.as_deref().unwrap_or_default();
    for (index, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let at = path.index(index);
        required(errors, &at.child("name"), &mount.name, anything);
        if !volumes.has(&mount.name) {
            errors.push(Error::not_found(&at.child("name"), mount.name.as_str()));
        }
        required(errors, &at.child("mountPath"), &mount.mount_path, anything);
        if !paths.insert(&mount.mount_path) {
            errors.push(Error::invalid(&at.child("mountPath"), mount.mount_path.as_str(), "must be unique"));
        }
        if devices.iter().any(|device| device.name == mount.name) {
            let detail = "must not already exist in volumeDevices";
            errors.push(Error::invalid(&at.child("name"), mount.name.as_str(), detail));
        }
        if devices.iter().any(|device| device.device_path == mount.mount_path) {
            let detail = "must not already exist as a path in volumeDevices";
            errors.push(Error::invalid(&at.child("mountPath"), mount.mount_path.as_str(), detail));
        }
        sub_path(errors, &at, mount);
        propagation(errors, &at, mount, container);
        recursive_read_only(errors, &at, mount);
    }
}

fn sub_path(errors: &mut ErrorList, path: &Path<'_>, mount: &VolumeMount) {
    let sub_path = mount.sub_path.as_deref().unwrap_or_default();
    let expression = mount.sub_path_expr.as_deref().unwrap_or_default();
    descending_path(errors, &path.child("subPath"), sub_path);
    if expression.is_empty() {
        return;
    }
    if !sub_path.is_empty() {
        let detail = "subPathExpr and subPath are mutually exclusive";
        errors.push(Error::invalid(&path.child("subPathExpr"), expression, detail));
    }
    descending_path(errors, &path.child("subPathExpr"), expression);
}

fn propagation(errors: &mut ErrorList, path: &Path<'_>, mount: &VolumeMount, container: &Container) {
    let Some(propagation) = mount.mount_propagation.as_deref() else { return };
    let at = path.child("mountPropagation");
    one_of(errors, &at, Some(propagation), &["Bidirectional", "HostToContainer", "None"]);
    let privileged = container.security_context.as_ref().is_some_and(|context| context.privileged == Some(true));
    if propagation == "Bidirectional" && !privileged {
        errors
            .push(Error::forbidden(&at, "Bidirectional mount propagation is available only to privileged containers"));
    }
}

fn recursive_read_only(errors: &mut ErrorList, path: &Path<'_>, mount: &VolumeMount) {
    let Some(mode) = mount.recursive_read_only.as_deref() else { return };
    let at = path.child("recursiveReadOnly");
    match mode {
        "Disabled" => {}
        "Enabled" | "IfPossible" => {
            if mount.read_only != Some(true) {
                errors.push(Error::forbidden(&at, "may only be specified when readOnly is true"));
            }
            if mount.mount_propagation.as_deref().is_some_and(|it| it != "None") {
                let detail = "may only be specified when mountPropagation is None or not specified";
                errors.push(Error::forbidden(&at, detail));
            }
        }
        other => errors.push(Error::not_supported(&at, other, &["Disabled", "Enabled", "IfPossible"])),
    }
}

/// Everything that is wrong with a container's block devices.
pub fn devices(errors: &mut ErrorList, path: &Path<'_>, container: &Container, volumes: &Volumes<'_>) {
    let (mut paths, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in container.volume_devices.iter().flatten().enumerate() {
        let at = path.index(index);
        required(errors, &at.child("name"), &device.name, anything);
        if !names.insert(&device.name) {
            errors.push(Error::invalid(&at.child("name"), device.name.as_str(), "must be unique"));
        }
        if !device.name.is_empty() && !volumes.has(&device.name) {
            errors.push(Error::not_found(&at.child("name"), device.name.as_str()));
        } else if !device.name.is_empty() && !volumes.is_claim(&device.name) {
            let detail = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
            errors.push(Error::invalid(&at.child("name"), device.name.as_str(), detail));
        }
        required(errors, &at.child("devicePath"), &device.device_path, anything);
        if !paths.insert(&device.device_path) {
            errors.push(Error::invalid(&at.child("devicePath"), device.device_path.as_str(), "must be unique"));
        }
        no_backsteps(errors, &at.child("devicePath"), &device.device_path);
    }
}
