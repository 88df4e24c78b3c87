//! Defaults of pods and of pod templates (upstream's `pkg/apis/core/v1/defaults.go`).

use k8s_openapi::api::core::v1::{
    Container, HTTPGetAction, HostIP, Lifecycle, LifecycleHandler, ObjectFieldSelector, Pod, PodIP, PodSpec,
    PodTemplateSpec, Probe, ResourceRequirements, Volume, VolumeProjection,
};

use super::ephemeral;
use crate::registry::shared::defaults::{canonical, canonical_amount, set, text};

/// Mode of files in volumes whose `defaultMode` is absent: 0644.
const FILE_MODE: i32 = 0o644;
/// Seconds a projected service account token is valid.
const TOKEN_EXPIRATION_SECONDS: i64 = 60 * 60;

/// Sets a pod's defaults.
pub fn pod(pod: &mut Pod) {
    let spec = pod.spec.get_or_insert_default();
    pod_spec(spec);
    set(&mut spec.enable_service_links, true);
    let host_network = spec.host_network == Some(true);
    for container in spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()) {
        if host_network {
            for port in container.ports.iter_mut().flatten() {
                if port.host_port.unwrap_or_default() == 0 {
                    port.host_port = Some(port.container_port);
                }
            }
        }
        if let Some(resources) = &mut container.resources {
            request_limits(resources);
        }
    }
    if let Some(status) = &mut pod.status {
        mirror_first(&mut status.pod_ip, &mut status.pod_ips, |ip| PodIP { ip }, |ip| ip.ip.clone());
        mirror_first(&mut status.host_ip, &mut status.host_ips, |ip| HostIP { ip }, |ip| ip.ip.clone());
    }
}

/// Sets the defaults of the pods of a workload.
pub fn pod_template(template: &mut PodTemplateSpec) {
    template.metadata.get_or_insert_default();
    pod_spec(template.spec.get_or_insert_default());
}

/// A single value and a list that begins with it: each is made from the other where one is absent.
fn mirror_first<T>(one: &mut Option<String>, many: &mut Option<Vec<T>>, make: fn(String) -> T, get: fn(&T) -> String) {
    let single = one.clone().unwrap_or_default();
    match many.as_deref().and_then(<[T]>::first) {
        Some(first) if single.is_empty() => *one = Some(get(first)),
        None if !single.is_empty() => *many = Some(vec![make(single)]),
        _ => {}
    }
}

/// What is limited but not requested is requested as it is limited.
fn request_limits(resources: &mut ResourceRequirements) {
    let Some(limits) = &resources.limits else { return };
    if limits.is_empty() {
        return;
    }
    let requests = resources.requests.get_or_insert_default();
    for (name, quantity) in limits {
        requests.entry(name.clone()).or_insert_with(|| quantity.clone());
    }
}

fn pod_spec(spec: &mut PodSpec) {
    text(&mut spec.dns_policy, "ClusterFirst");
    text(&mut spec.restart_policy, "Always");
    text(&mut spec.scheduler_name, "default-scheduler");
    set(&mut spec.termination_grace_period_seconds, 30);
    spec.security_context.get_or_insert_default();
    canonical(spec.overhead.as_mut());
    if let Some(resources) = &mut spec.resources {
        canonical(resources.requests.as_mut());
        canonical(resources.limits.as_mut());
    }
    // The old field name follows the new one, as upstream's conversion has it.
    if spec.service_account_name.as_deref().unwrap_or_default().is_empty() {
        spec.service_account_name = spec.service_account.take().filter(|name| !name.is_empty());
    }
    spec.service_account.clone_from(&spec.service_account_name);
    for volume in spec.volumes.iter_mut().flatten() {
        self::volume(volume);
    }
    for container in spec.init_containers.iter_mut().flatten().chain(&mut spec.containers) {
        self::container(container);
    }
    for one in spec.ephemeral_containers.iter_mut().flatten() {
        ephemeral::change(one, self::container);
    }
}

/// The image's tag; `latest` if it names neither tag nor digest.
fn image_tag(image: &str) -> &str {
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    match name.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => tag,
        _ if digest.is_some() => "",
        _ => "latest",
    }
}

fn container(container: &mut Container) {
    let image = container.image.as_deref().unwrap_or_default();
    let policy = if image_tag(image) == "latest" { "Always" } else { "IfNotPresent" };
    text(&mut container.image_pull_policy, policy);
    text(&mut container.termination_message_path, "/dev/termination-log");
    text(&mut container.termination_message_policy, "File");
    let resources = container.resources.get_or_insert_default();
    canonical(resources.requests.as_mut());
    canonical(resources.limits.as_mut());
    for port in container.ports.iter_mut().flatten() {
        text(&mut port.protocol, "TCP");
    }
    for variable in container.env.iter_mut().flatten() {
        if let Some(source) = &mut variable.value_from {
            field_ref(&mut source.field_ref);
            if let Some(file) = &mut source.file_key_ref {
                set(&mut file.optional, false);
            }
        }
    }
    let probes = [&mut container.liveness_probe, &mut container.readiness_probe, &mut container.startup_probe];
    probes.into_iter().flatten().for_each(probe);
    if let Some(Lifecycle { post_start, pre_stop, .. }) = &mut container.lifecycle {
        for LifecycleHandler { http_get, .. } in [post_start, pre_stop].into_iter().flatten() {
            self::http_get(http_get);
        }
    }
}

fn probe(probe: &mut Probe) {
    positive(&mut probe.timeout_seconds, 1);
    positive(&mut probe.period_seconds, 10);
    positive(&mut probe.success_threshold, 1);
    positive(&mut probe.failure_threshold, 3);
    http_get(&mut probe.http_get);
    if let Some(grpc) = &mut probe.grpc {
        set(&mut grpc.service, String::new());
    }
}

/// Numbers for which 0 means absent.
fn positive(field: &mut Option<i32>, value: i32) {
    if field.unwrap_or_default() == 0 {
        *field = Some(value);
    }
}

fn http_get(action: &mut Option<HTTPGetAction>) {
    if let Some(action) = action {
        text(&mut action.path, "/");
        text(&mut action.scheme, "HTTP");
    }
}

fn field_ref(reference: &mut Option<ObjectFieldSelector>) {
    if let Some(reference) = reference {
        text(&mut reference.api_version, "v1");
    }
}

/// Whether nothing but the volume's name is set.
fn is_bare(volume: &Volume) -> bool {
    *volume == Volume { name: volume.name.clone(), ..Volume::default() }
}

fn volume(volume: &mut Volume) {
    if is_bare(volume) {
        volume.empty_dir = Some(Default::default());
    }
    if let Some(limit) = volume.empty_dir.as_mut().and_then(|source| source.size_limit.as_mut()) {
        canonical_amount(limit);
    }
    if let Some(source) = &mut volume.secret {
        set(&mut source.default_mode, FILE_MODE);
    }
    if let Some(source) = &mut volume.config_map {
        set(&mut source.default_mode, FILE_MODE);
    }
    if let Some(source) = &mut volume.downward_api {
        set(&mut source.default_mode, FILE_MODE);
        for item in source.items.iter_mut().flatten() {
            field_ref(&mut item.field_ref);
        }
    }
    if let Some(source) = &mut volume.projected {
        set(&mut source.default_mode, FILE_MODE);
        source.sources.iter_mut().flatten().for_each(projection);
    }
    if let Some(source) = &mut volume.host_path {
        set(&mut source.type_, String::new());
    }
    if let Some(source) = &mut volume.iscsi {
        text(&mut source.iscsi_interface, "default");
    }
    if let Some(source) = &mut volume.rbd {
        text(&mut source.pool, "rbd");
        text(&mut source.user, "admin");
        text(&mut source.keyring, "/etc/ceph/keyring");
    }
    if let Some(source) = &mut volume.azure_disk {
        set(&mut source.caching_mode, "ReadWrite".into());
        set(&mut source.kind, "Shared".into());
        set(&mut source.fs_type, "ext4".into());
        set(&mut source.read_only, false);
    }
    if let Some(source) = &mut volume.scale_io {
        text(&mut source.storage_mode, "ThinProvisioned");
        text(&mut source.fs_type, "xfs");
    }
    if let Some(source) = &mut volume.image {
        let reference = source.reference.as_deref().unwrap_or_default();
        let policy = if image_tag(reference) == "latest" { "Always" } else { "IfNotPresent" };
        text(&mut source.pull_policy, policy);
    }
    if let Some(template) = volume.ephemeral.as_mut().and_then(|source| source.volume_claim_template.as_mut()) {
        text(&mut template.spec.volume_mode, "Filesystem");
    }
}

fn projection(projection: &mut VolumeProjection) {
    if let Some(token) = &mut projection.service_account_token {
        set(&mut token.expiration_seconds, TOKEN_EXPIRATION_SECONDS);
    }
    for item in projection.downward_api.iter_mut().filter_map(|source| source.items.as_mut()).flatten() {
        field_ref(&mut item.field_ref);
    }
}
