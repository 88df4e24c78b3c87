//! What makes a StatefulSet's pod that pod: its name, its claims, its revision
//! (`stateful_set_utils.go`).

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::Value;

use crate::claim::controller_reference;
use crate::history::REVISION_HASH;
use crate::pod_control::pod_from_template;
use crate::pods;

/// Label: the pod's name, for Services of a single pod.
const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";
/// Label: the pod's ordinal.
const POD_INDEX: &str = "apps.kubernetes.io/pod-index";

/// The ordinals the set has: the first, and how many.
pub fn ordinals(set: &StatefulSet) -> std::ops::Range<i32> {
    let start = set.spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
    start..start.saturating_add(set.spec.replicas.unwrap_or(1))
}

/// The name of the pod with this ordinal.
pub fn pod_name(set: &StatefulSet, ordinal: i32) -> String {
    format!("{}-{ordinal}", pods::name(set))
}

/// The ordinal in a pod's name, if it is one of the set's names.
pub fn ordinal_of(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    pods::name(pod).strip_prefix(pods::name(set))?.strip_prefix('-')?.parse().ok()
}

/// The pod with this ordinal, of a revision.
pub fn pod(set: &StatefulSet, revision: &ControllerRevision, ordinal: i32) -> Pod {
    let template = template_of(set, revision);
    let mut pod = pod_from_template(&template, set, controller_reference(set));
    pod.metadata.generate_name = None;
    pod.metadata.name = Some(pod_name(set, ordinal));
    give_identity(set, &mut pod, ordinal);
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(REVISION_HASH.into(), pods::name(revision).into());
    if let Some(spec) = &mut pod.spec {
        spec.hostname = Some(pod_name(set, ordinal));
        spec.subdomain = set.spec.service_name.clone().filter(|name| !name.is_empty());
        let of_claim = |claim: &PersistentVolumeClaim| Volume {
            name: template_name(set, claim, ordinal),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: pods::name(claim).into(),
                read_only: None,
            }),
            ..Volume::default()
        };
        // A claim's volume goes before one of the template with its name.
        let mut volumes: Vec<_> = claims(set, ordinal).iter().map(of_claim).collect();
        let others = spec.volumes.take().unwrap_or_default();
        let own = |name: &str| volumes.iter().any(|volume| volume.name == name);
        let others: Vec<_> = others.into_iter().filter(|volume| !own(&volume.name)).collect();
        volumes.extend(others);
        spec.volumes = Some(volumes).filter(|volumes| !volumes.is_empty());
    }
    pod
}

/// The template a revision keeps.
fn template_of(set: &StatefulSet, revision: &ControllerRevision) -> PodTemplateSpec {
    let mut template = revision.data.0.pointer("/spec/template").cloned().unwrap_or(Value::Null);
    if let Value::Object(fields) = &mut template {
        fields.remove("$patch");
    }
    machinery::object::from_value(template).unwrap_or_else(|_| set.spec.template.clone())
}

/// Puts the labels of the pod's identity; whether they were missing.
pub fn give_identity(set: &StatefulSet, pod: &mut Pod, ordinal: i32) -> bool {
    let labels = pod.metadata.labels.get_or_insert_default();
    let wanted = [(POD_NAME, pod_name(set, ordinal)), (POD_INDEX, ordinal.to_string())];
    let mut changed = false;
    for (name, value) in wanted {
        if labels.get(name) != Some(&value) {
            labels.insert(name.into(), value);
            changed = true;
        }
    }
    changed
}

/// The claims of the pod with this ordinal.
pub fn claims(set: &StatefulSet, ordinal: i32) -> Vec<PersistentVolumeClaim> {
    let templates = set.spec.volume_claim_templates.iter().flatten();
    let claims = templates.map(|template| {
        let mut claim = template.clone();
        claim.metadata.name = Some(format!("{}-{}", pods::name(template), pod_name(set, ordinal)));
        claim.metadata.namespace.clone_from(&set.metadata.namespace);
        claim.status = None;
        let labels = claim.metadata.labels.get_or_insert_default();
        labels.extend(set.spec.selector.match_labels.clone().unwrap_or_default());
        claim
    });
    claims.collect()
}

fn template_name(set: &StatefulSet, claim: &PersistentVolumeClaim, ordinal: i32) -> String {
    let name = pods::name(claim);
    name.strip_suffix(&format!("-{}", pod_name(set, ordinal))).unwrap_or(name).into()
}

/// Who owns a claim, as the set's retention policy has it: the set where claims go with it, the pod
/// where they go when the set shrinks, nobody where they stay.
pub fn claim_owners(set: &StatefulSet, pod: Option<&Pod>, ordinal: i32) -> Vec<OwnerReference> {
    let policy = set.spec.persistent_volume_claim_retention_policy.as_ref();
    let is_delete = |when: Option<&String>| when.is_some_and(|when| when == "Delete");
    let when_deleted = is_delete(policy.and_then(|policy| policy.when_deleted.as_ref()));
    let when_scaled = is_delete(policy.and_then(|policy| policy.when_scaled.as_ref()));
    let mut owners = Vec::new();
    if when_scaled && !ordinals(set).contains(&ordinal) {
        owners.extend(pod.map(|pod| OwnerReference {
            controller: None,
            block_owner_deletion: None,
            ..controller_reference(pod)
        }));
    } else if when_deleted {
        owners.push(OwnerReference { controller: Some(true), ..controller_reference(set) });
    }
    owners
}

/// The revision a pod is of, by name.
pub fn revision_of(pod: &Pod) -> &str {
    pod.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_HASH)).map_or("", String::as_str)
}
