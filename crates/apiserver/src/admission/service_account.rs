//! ServiceAccount: a pod's account, its pull secrets, and its token's volume
//! (`plugin/pkg/admission/serviceaccount`).

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, Container, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath, ObjectFieldSelector, Pod,
    PodSpec, ProjectedVolumeSource, ServiceAccount, ServiceAccountTokenProjection, Volume, VolumeMount,
    VolumeProjection,
};
use machinery::{ApiError, Object};

use super::Operation;
use crate::call::{Call, Result};
use crate::storage;

/// The account of pods that name none.
const DEFAULT: &str = "default";
/// Where containers find their token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What the volume's name begins with.
const VOLUME_PREFIX: &str = "kube-api-access-";
/// How long the token is good, in seconds: upstream's number, by which it knows tokens of volumes.
const TOKEN_SECONDS: i64 = 3607;
const FILE_MODE: i32 = 0o644;

/// Completes a new pod.
pub(super) fn admit(call: &Call, operation: Operation, object: &mut dyn Object, _: Option<&dyn Object>) -> Result<()> {
    let Some(pod) = object.as_any_mut().downcast_mut::<Pod>() else { return Ok(()) };
    if operation != Operation::Create {
        return Ok(());
    }
    let refused = |pod: &Pod, error: String| {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        Err(ApiError::forbidden(&call.resource(), name, error))
    };
    if pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key("kubernetes.io/config.mirror")) {
        return match mirrored(pod.spec.as_ref()) {
            Some(error) => refused(pod, error.into()),
            None => Ok(()),
        };
    }
    let spec = pod.spec.get_or_insert_default();
    if spec.service_account_name.as_deref().unwrap_or_default().is_empty() {
        spec.service_account_name = Some(DEFAULT.into());
    }
    spec.service_account.clone_from(&spec.service_account_name);
    let name = spec.service_account_name.clone().unwrap_or_default();
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let account = storage::find::<ServiceAccount>(call, ("", "serviceaccounts"), &namespace, &name);
    // The default account comes a moment after its namespace, by a controller: upstream waits for it,
    // which a function that answers at once cannot.
    if account.is_none() && name != DEFAULT {
        let error = format!("error looking up service account {namespace}/{name}: serviceaccount \"{name}\" not found");
        return refused(pod, error);
    }
    let (secrets, automount) = account
        .map_or((None, None), |account| (account.image_pull_secrets.clone(), account.automount_service_account_token));
    if spec.automount_service_account_token.or(automount).unwrap_or(true) {
        mount_token(call, spec);
    }
    if spec.image_pull_secrets.as_ref().is_none_or(Vec::is_empty) {
        spec.image_pull_secrets = secrets;
    }
    Ok(())
}

/// What the mirror of a static pod may not have.
fn mirrored(spec: Option<&PodSpec>) -> Option<&'static str> {
    let spec = spec?;
    if spec.service_account_name.as_deref().is_some_and(|name| !name.is_empty()) {
        return Some("a mirror pod may not reference service accounts");
    }
    let volumes = spec.volumes.as_deref().unwrap_or_default();
    volumes.iter().find_map(|volume| {
        if volume.secret.is_some() {
            return Some("a mirror pod may not reference secrets");
        }
        let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        let mut tokens = sources.filter(|source| source.service_account_token.is_some());
        tokens.next().is_some().then_some("a mirror pod may not use ServiceAccountToken volume projections")
    })
}

/// Mounts the token's volume into every container that has nothing in its place.
fn mount_token(call: &Call, spec: &mut PodSpec) {
    let known = spec.volumes.iter().flatten().find(|volume| volume.name.starts_with(VOLUME_PREFIX));
    let known = known.map(|volume| volume.name.clone());
    let has_mount =
        |container: &Container| container.volume_mounts.iter().flatten().any(|mount| mount.mount_path == MOUNT_PATH);
    let containers = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
    let bare: Vec<&mut Container> = containers.filter(|container| !has_mount(container)).collect();
    if bare.is_empty() {
        return;
    }
    let is_new = known.is_none();
    let name = known.unwrap_or_else(|| VOLUME_PREFIX.to_owned() + &call.server.rng().suffix(5));
    for container in bare {
        container.volume_mounts.get_or_insert_default().push(VolumeMount {
            name: name.clone(),
            read_only: Some(true),
            mount_path: MOUNT_PATH.into(),
            ..VolumeMount::default()
        });
    }
    if is_new {
        spec.volumes.get_or_insert_default().push(volume(name));
    }
}

/// Token, authority and namespace.
fn volume(name: String) -> Volume {
    let token = VolumeProjection {
        service_account_token: Some(ServiceAccountTokenProjection {
            path: "token".into(),
            expiration_seconds: Some(TOKEN_SECONDS),
            ..ServiceAccountTokenProjection::default()
        }),
        ..VolumeProjection::default()
    };
    let authority = VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: "kube-root-ca.crt".into(),
            items: Some(vec![KeyToPath { key: "ca.crt".into(), path: "ca.crt".into(), ..KeyToPath::default() }]),
            optional: None,
        }),
        ..VolumeProjection::default()
    };
    let namespace = VolumeProjection {
        downward_api: Some(DownwardAPIProjection {
            items: Some(vec![DownwardAPIVolumeFile {
                path: "namespace".into(),
                field_ref: Some(ObjectFieldSelector {
                    api_version: Some("v1".into()),
                    field_path: "metadata.namespace".into(),
                }),
                ..DownwardAPIVolumeFile::default()
            }]),
        }),
        ..VolumeProjection::default()
    };
    Volume {
        name,
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(FILE_MODE),
            sources: Some(vec![token, authority, namespace]),
            ..ProjectedVolumeSource::default()
        }),
        ..Volume::default()
    }
}
