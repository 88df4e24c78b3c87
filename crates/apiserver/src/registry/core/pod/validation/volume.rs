//! What is wrong with volumes.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, PodSpec, Volume, VolumeProjection};
use machinery::Quantity;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::{is_dns1123_label, is_dns1123_subdomain};

use super::env::{field_ref, resource_field_ref};
use crate::registry::shared::validate::{
    anything, descending_path, fields_set, no_backsteps, optional_one_of, required,
};

const FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const HOST_PATH_TYPES: [&str; 8] =
    ["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// The volumes of a pod by name, for the mounts that refer to them.
pub struct Volumes<'a>(BTreeMap<&'a str, &'a Volume>);

impl Volumes<'_> {
    /// Whether there is a volume of that name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether the volume comes from a claim, and so may be a block device.
    pub fn is_claim(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|it| it.persistent_volume_claim.is_some() || it.ephemeral.is_some())
    }
}

/// Everything that is wrong with a pod's volumes; and the volumes by name.
pub fn volumes<'a>(errors: &mut ErrorList, path: &Path<'_>, spec: &'a PodSpec) -> Volumes<'a> {
    let mut volumes = BTreeMap::new();
    for (index, volume) in spec.volumes.iter().flatten().enumerate() {
        let at = path.index(index);
        source(errors, &at, volume);
        required(errors, &at.child("name"), &volume.name, is_dns1123_label);
        if volume.name.is_empty() {
            continue;
        }
        if volumes.contains_key(volume.name.as_str()) {
            errors.push(Error::duplicate(&at.child("name"), volume.name.as_str()));
        } else {
            volumes.insert(volume.name.as_str(), volume);
        }
    }
    Volumes(volumes)
}

fn source(errors: &mut ErrorList, path: &Path<'_>, volume: &Volume) {
    let fields = fields_set(volume);
    let mut types = fields.iter().filter(|field| *field != "name");
    if types.next().is_none() {
        errors.push(Error::required(path, "must specify a volume type"));
    }
    for extra in types {
        errors.push(Error::forbidden(&path.child(extra), "may not specify more than 1 volume type"));
    }
    if let Some(limit) = volume.empty_dir.as_ref().and_then(|source| source.size_limit.as_ref())
        && Quantity::parse(&limit.0).map_or(true, |limit| limit.signum() < 0)
    {
        let detail = "SizeLimit field must be a valid resource quantity";
        errors.push(Error::forbidden(&path.child("emptyDir.sizeLimit"), detail));
    }
    if let Some(source) = &volume.host_path {
        let at = path.child("hostPath");
        required(errors, &at.child("path"), &source.path, anything);
        no_backsteps(errors, &at.child("path"), &source.path);
        optional_one_of(errors, &at.child("type"), source.type_.as_deref(), &HOST_PATH_TYPES);
    }
    if let Some(source) = &volume.secret {
        let at = path.child("secret");
        required(errors, &at.child("secretName"), source.secret_name.as_deref().unwrap_or_default(), anything);
        mode(errors, &at.child("defaultMode"), source.default_mode);
        items(errors, &at.child("items"), source.items.as_deref());
    }
    if let Some(source) = &volume.config_map {
        let at = path.child("configMap");
        required(errors, &at.child("name"), &source.name, anything);
        mode(errors, &at.child("defaultMode"), source.default_mode);
        items(errors, &at.child("items"), source.items.as_deref());
    }
    if let Some(source) = &volume.downward_api {
        let at = path.child("downwardAPI");
        mode(errors, &at.child("defaultMode"), source.default_mode);
        downward(errors, &at.child("items"), source.items.as_deref());
    }
    if let Some(source) = &volume.projected {
        let at = path.child("projected");
        mode(errors, &at.child("defaultMode"), source.default_mode);
        let sources = at.child("sources");
        for (index, projection) in source.sources.iter().flatten().enumerate() {
            self::projection(errors, &sources.index(index), projection);
        }
    }
    if let Some(source) = &volume.persistent_volume_claim {
        required(errors, &path.child("persistentVolumeClaim.claimName"), &source.claim_name, is_dns1123_subdomain);
    }
    if let Some(source) = &volume.nfs {
        required(errors, &path.child("nfs.server"), &source.server, anything);
        required(errors, &path.child("nfs.path"), &source.path, anything);
        if !source.path.is_empty() && !source.path.starts_with('/') {
            errors.push(Error::invalid(&path.child("nfs.path"), source.path.as_str(), "must be an absolute path"));
        }
    }
    if let Some(source) = &volume.csi {
        required(errors, &path.child("csi.driver"), &source.driver, is_dns1123_subdomain);
    }
    if let Some(source) = &volume.ephemeral
        && source.volume_claim_template.is_none()
    {
        errors.push(Error::required(&path.child("ephemeral.volumeClaimTemplate"), ""));
    }
}

fn mode(errors: &mut ErrorList, path: &Path<'_>, mode: Option<i32>) {
    if let Some(mode) = mode.filter(|mode| !(0..=0o777).contains(mode)) {
        errors.push(Error::invalid(path, mode, MODE));
    }
}

/// A path below the volume, whose first part does not begin with `..`.
fn file_path(errors: &mut ErrorList, path: &Path<'_>, value: &str) {
    required(errors, path, value, anything);
    descending_path(errors, path, value);
    if value.starts_with("..") && !value.starts_with("../") && value != ".." {
        errors.push(Error::invalid(path, value, "must not start with '..'"));
    }
}

fn items(errors: &mut ErrorList, path: &Path<'_>, items: Option<&[KeyToPath]>) {
    for (index, item) in items.into_iter().flatten().enumerate() {
        let at = path.index(index);
        required(errors, &at.child("key"), &item.key, anything);
        file_path(errors, &at.child("path"), &item.path);
        mode(errors, &at.child("mode"), item.mode);
    }
}

fn downward(errors: &mut ErrorList, path: &Path<'_>, files: Option<&[DownwardAPIVolumeFile]>) {
    for (index, file) in files.into_iter().flatten().enumerate() {
        let at = path.index(index);
        file_path(errors, &at.child("path"), &file.path);
        match (&file.field_ref, &file.resource_field_ref) {
            (Some(reference), None) => field_ref(errors, &at.child("fieldRef"), reference, &FIELDS),
            (None, Some(reference)) => resource_field_ref(errors, &at.child("resourceFieldRef"), reference, true),
            (Some(_), Some(_)) => {
                errors.push(Error::invalid(
                    &at,
                    "resource",
                    "fieldRef and resourceFieldRef can not be specified simultaneously",
                ));
            }
            (None, None) => errors.push(Error::required(&at, "one of fieldRef and resourceFieldRef is required")),
        }
        mode(errors, &at.child("mode"), file.mode);
    }
}

fn projection(errors: &mut ErrorList, path: &Path<'_>, projection: &VolumeProjection) {
    const TOKEN_SECONDS: std::ops::RangeInclusive<i64> = 600..=1 << 32;
    for extra in fields_set(projection).iter().skip(1) {
        errors.push(Error::forbidden(&path.child(extra), "may not specify more than 1 volume type"));
    }
    for (field, source) in [
        ("secret", projection.secret.as_ref().map(|it| (&it.name, &it.items))),
        ("configMap", projection.config_map.as_ref().map(|it| (&it.name, &it.items))),
    ] {
        if let Some((name, list)) = source {
            let at = path.child(field);
            required(errors, &at.child("name"), name, anything);
            items(errors, &at.child("items"), list.as_deref());
        }
    }
    if let Some(source) = &projection.downward_api {
        downward(errors, &path.child("downwardAPI.items"), source.items.as_deref());
    }
    if let Some(token) = &projection.service_account_token {
        let at = path.child("serviceAccountToken");
        let seconds = token.expiration_seconds.unwrap_or_default();
        if !TOKEN_SECONDS.contains(&seconds) {
            let detail = if seconds < *TOKEN_SECONDS.start() {
                "may not specify a duration less than 10 minutes"
            } else {
                "may not specify a duration larger than 2^32 seconds"
            };
            errors.push(Error::invalid(&at.child("expirationSeconds"), seconds, detail));
        }
        file_path(errors, &at.child("path"), &token.path);
    }
}
