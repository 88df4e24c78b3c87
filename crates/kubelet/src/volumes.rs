//! A pod's volumes as data: what the runtime is to make, and where containers mount it.

use std::collections::BTreeMap;

use bytes::Bytes;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, Volume as VolumeSpec, VolumeProjection,
};
use machinery::Timestamp;

use crate::expand::expand;
use crate::fieldref::{self, Facts};
use crate::images;
use crate::objects::{Objects, TokenRequest};
use crate::qos;
use crate::runtime::{Content, Medium, Mount, MountSource, Volume, VolumeFile, VolumeKind, set_up_failed};
use crate::spec;
use crate::text::str;

const MODE_DEFAULT: i32 = 0o644;
const TOKEN_SECONDS_DEFAULT: i64 = 3600;

/// A pod's volumes, and when the first token in them should be replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Volumes {
    /// What the runtime is to make.
    pub volumes: Vec<Volume>,
    /// When to make them again, if a token expires.
    pub refresh_at: Option<Timestamp>,
}

/// Resolves all volumes of a pod at a time.
///
/// # Errors
/// The message of a `FailedMount` event.
pub fn resolve(facts: &Facts<'_>, objects: &dyn Objects, now: Timestamp) -> Result<Volumes, String> {
    let mut out = Volumes::default();
    for volume in spec::of(facts.pod).and_then(|spec| spec.volumes.as_deref()).unwrap_or_default() {
        let mut reader = Reader { facts, objects, now, refresh_at: &mut out.refresh_at };
        let kind = reader.kind(volume).map_err(|error| set_up_failed(&volume.name, &error))?;
        out.volumes.push(Volume { name: volume.name.clone(), kind });
    }
    Ok(out)
}

/// Whether the content of the pod's volumes can change while it runs, beyond what every pod has.
pub fn may_change(pod: &Pod) -> bool {
    spec::of(pod).and_then(|spec| spec.volumes.as_deref()).unwrap_or_default().iter().any(|volume| {
        let projected = volume.projected.as_ref().and_then(|projected| projected.sources.as_deref());
        volume.config_map.is_some()
            || volume.secret.is_some()
            || volume.downward_api.is_some()
            || projected.unwrap_or_default().iter().any(|source| {
                source.secret.is_some()
                    || source.config_map.as_ref().is_some_and(|source| source.name != "kube-root-ca.crt")
            })
    })
}

/// A container's mounts, in the order of its spec.
pub fn mounts(pod: &Pod, container: &Container, env: &[(String, String)]) -> Vec<Mount> {
    let volumes = spec::of(pod).and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    let lookup = |name: &str| env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    container
        .volume_mounts
        .iter()
        .flatten()
        .map(|mount| {
            let files = volumes.iter().find(|volume| volume.name == mount.name).is_some_and(|volume| {
                volume.config_map.is_some()
                    || volume.secret.is_some()
                    || volume.downward_api.is_some()
                    || volume.projected.is_some()
                    || volume.image.is_some()
            });
            let sub_path = match &mount.sub_path_expr {
                Some(expression) => expand(expression, lookup),
                None => mount.sub_path.clone().unwrap_or_default(),
            };
            Mount {
                container_path: mount.mount_path.clone(),
                read_only: files || mount.read_only == Some(true),
                source: MountSource::Volume { name: mount.name.clone(), sub_path },
            }
        })
        .collect()
}

struct Reader<'a> {
    facts: &'a Facts<'a>,
    objects: &'a dyn Objects,
    now: Timestamp,
    refresh_at: &'a mut Option<Timestamp>,
}

type Files = BTreeMap<String, VolumeFile>;

impl Reader<'_> {
    fn kind(&mut self, volume: &VolumeSpec) -> Result<VolumeKind, String> {
        if let Some(source) = &volume.empty_dir {
            let size = source.size_limit.as_ref().map(|size| qos::amount(size, "memory")).filter(|size| *size > 0);
            return Ok(VolumeKind::EmptyDir {
                medium: match str(&source.medium) {
                    "Memory" => Medium::Memory,
                    medium if medium.starts_with("HugePages") => Medium::HugePages,
                    _ => Medium::Disk,
                },
                size_limit: size.and_then(|size| u64::try_from(size).ok()),
            });
        }
        if let Some(source) = &volume.host_path {
            return Ok(VolumeKind::HostPath { path: source.path.clone(), path_type: str(&source.type_).into() });
        }
        if let Some(source) = &volume.image {
            let reference = str(&source.reference);
            return Ok(VolumeKind::Image {
                reference: reference.into(),
                pull_policy: images::pull_policy(reference, source.pull_policy.as_deref()),
                pull_secrets: images::pull_secrets(self.facts.pod, self.objects),
            });
        }
        if volume.ephemeral.is_some() {
            return self.claim(&format!("{}-{}", str(&self.facts.pod.metadata.name), volume.name));
        }
        if let Some(source) = &volume.persistent_volume_claim {
            return self.claim(&source.claim_name);
        }
        let mut files = Files::new();
        if let Some(source) = &volume.config_map {
            let mode = source.default_mode;
            self.config_map(&source.name, source.items.as_deref(), mode, source.optional, &mut files)?;
        } else if let Some(source) = &volume.secret {
            let name = str(&source.secret_name);
            self.secret(name, source.items.as_deref(), source.default_mode, source.optional, &mut files)?;
        } else if let Some(source) = &volume.downward_api {
            self.downward(source.items.as_deref().unwrap_or_default(), source.default_mode, &mut files)?;
        } else if let Some(source) = &volume.projected {
            for projection in source.sources.iter().flatten() {
                self.projection(projection, source.default_mode, &mut files)?;
            }
        } else {
            return Err("no volume plugin matched".into());
        }
        Ok(VolumeKind::Files(files))
    }

    fn projection(&mut self, source: &VolumeProjection, mode: Option<i32>, files: &mut Files) -> Result<(), String> {
        if let Some(source) = &source.config_map {
            self.config_map(&source.name, source.items.as_deref(), mode, source.optional, files)?;
        }
        if let Some(source) = &source.secret {
            self.secret(&source.name, source.items.as_deref(), mode, source.optional, files)?;
        }
        if let Some(source) = &source.downward_api {
            self.downward(source.items.as_deref().unwrap_or_default(), mode, files)?;
        }
        if let Some(source) = &source.service_account_token {
            let pod = self.facts.pod;
            let account = spec::of(pod).and_then(|spec| spec.service_account_name.as_deref()).unwrap_or("default");
            let (token, expires) = self.objects.token(&TokenRequest {
                namespace: str(&pod.metadata.namespace),
                service_account: account,
                pod_name: str(&pod.metadata.name),
                pod_uid: str(&pod.metadata.uid),
                audience: str(&source.audience),
                expiration_seconds: source.expiration_seconds.unwrap_or(TOKEN_SECONDS_DEFAULT),
            })?;
            // As upstream: replaced when four fifths of its life are over.
            let life = expires.duration_since(self.now);
            let refresh = self.now.saturating_add(life * 4 / 5).unwrap_or(Timestamp::MAX);
            *self.refresh_at = Some(self.refresh_at.map_or(refresh, |earlier| earlier.min(refresh)));
            files.insert(source.path.clone(), file(token, None, mode));
        }
        Ok(())
    }

    fn config_map(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        mode: Option<i32>,
        optional: Option<bool>,
        files: &mut Files,
    ) -> Result<(), String> {
        let map = self.objects.config_map(str(&self.facts.pod.metadata.namespace), name)?;
        let optional = optional == Some(true);
        if map.is_none() && !optional {
            return Err(format!("configmap {name:?} not found"));
        }
        let data = map.map(|map| config_map_data(&map)).unwrap_or_default();
        select(&data, items, mode, optional, files)
            .map_err(|key| format!("configmap references non-existent config key: {key}"))
    }

    fn secret(
        &self,
        name: &str,
        items: Option<&[KeyToPath]>,
        mode: Option<i32>,
        optional: Option<bool>,
        files: &mut Files,
    ) -> Result<(), String> {
        let secret = self.objects.secret(str(&self.facts.pod.metadata.namespace), name)?;
        let optional = optional == Some(true);
        if secret.is_none() && !optional {
            return Err(format!("secret {name:?} not found"));
        }
        let data = secret.map(|secret| secret_data(&secret)).unwrap_or_default();
        select(&data, items, mode, optional, files).map_err(|key| format!("references non-existent secret key: {key}"))
    }

    fn downward(&self, items: &[DownwardAPIVolumeFile], mode: Option<i32>, files: &mut Files) -> Result<(), String> {
        for item in items {
            let text = if let Some(reference) = &item.field_ref {
                fieldref::field(self.facts, &reference.field_path)?
            } else if let Some(selector) = &item.resource_field_ref {
                let name = str(&selector.container_name);
                let (container, _) =
                    spec::find(self.facts.pod, name).ok_or_else(|| format!("container {name:?} not found"))?;
                fieldref::resource(self.facts, &container, selector)?
            } else {
                continue;
            };
            files.insert(item.path.clone(), file(text.into(), item.mode, mode));
        }
        Ok(())
    }

    /// A claim's volume, where it is a path of the node.
    fn claim(&self, name: &str) -> Result<VolumeKind, String> {
        let namespace = str(&self.facts.pod.metadata.namespace);
        let claim =
            self.objects.claim(namespace, name)?.ok_or_else(|| format!("persistentvolumeclaim {name:?} not found"))?;
        let volume_name = claim.spec.as_ref().map(|spec| str(&spec.volume_name)).unwrap_or_default();
        let phase = claim.status.as_ref().map(|status| str(&status.phase)).unwrap_or_default();
        if volume_name.is_empty() || phase != "Bound" {
            return Err(format!("PVC {namespace}/{name} is not bound"));
        }
        let volume =
            self.objects.volume(volume_name)?.ok_or_else(|| format!("persistentvolume {volume_name:?} not found"))?;
        let spec = volume.spec.as_ref();
        if let Some(source) = spec.and_then(|spec| spec.host_path.as_ref()) {
            return Ok(VolumeKind::HostPath { path: source.path.clone(), path_type: str(&source.type_).into() });
        }
        match spec.and_then(|spec| spec.local.as_ref()) {
            Some(source) => Ok(VolumeKind::HostPath { path: source.path.clone(), path_type: String::new() }),
            None => Err("no volume plugin matched".into()),
        }
    }
}

fn config_map_data(map: &ConfigMap) -> BTreeMap<String, Bytes> {
    let text = map.data.iter().flatten().map(|(key, value)| (key.clone(), Bytes::from(value.clone().into_bytes())));
    let binary = map.binary_data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone().into()));
    text.chain(binary).collect()
}

fn secret_data(secret: &Secret) -> BTreeMap<String, Bytes> {
    secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone().into())).collect()
}

/// All keys, or the chosen ones under their paths; the error is a key that does not exist.
fn select(
    data: &BTreeMap<String, Bytes>,
    items: Option<&[KeyToPath]>,
    mode: Option<i32>,
    optional: bool,
    files: &mut Files,
) -> Result<(), String> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        files.extend(data.iter().map(|(key, value)| (key.clone(), file(value.clone().into(), None, mode))));
        return Ok(());
    };
    for item in items {
        match data.get(&item.key) {
            Some(value) => {
                files.insert(item.path.clone(), file(value.clone().into(), item.mode, mode));
            }
            None if optional => {}
            None => return Err(item.key.clone()),
        }
    }
    Ok(())
}

fn file(data: Content, mode: Option<i32>, default: Option<i32>) -> VolumeFile {
    let mode = mode.or(default).unwrap_or(MODE_DEFAULT);
    VolumeFile { data, mode: u32::try_from(mode).unwrap_or_default() }
}
