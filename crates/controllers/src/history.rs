//! Revisions of a template kept as ControllerRevisions (`pkg/controller/history`).

use std::sync::Arc;

use client::{Client, DeleteOptions, key_of};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use machinery::random::{fnv32a, safe_encode};
use machinery::sort::Order;
use machinery::status::ApiError;
use machinery::{Kind, ObjectKey};
use serde_json::{Value, json};

use crate::claim::controller_reference;
use crate::pods;

/// The label on pods that names the revision they are of, and on a daemon's revisions.
pub const REVISION_HASH: &str = "controller-revision-hash";
/// The label on a StatefulSet's revisions.
pub const CONTROLLER_HASH: &str = "controller.kubernetes.io/hash";

/// The revisions of one workload.
pub struct History {
    /// The revision of the present template.
    pub current: Arc<ControllerRevision>,
    /// All other revisions, oldest first.
    pub old: Vec<Arc<ControllerRevision>>,
}

/// What a revision keeps of a template: a patch that puts it back whole.
pub fn data_of(template: &PodTemplateSpec) -> Value {
    let mut template = machinery::object::to_value(template);
    template["$patch"] = "replace".into();
    json!({ "spec": { "template": template } })
}

/// The hash that revisions of this data are named and labelled by.
pub fn hash_of(data: &Value, collision_count: i32) -> String {
    // A Value's maps are sorted, so equal templates hash alike.
    safe_encode(&fnv32a(format!("{data}{collision_count}").as_bytes()).to_string())
}

/// Finds or makes the revision of the owner's present template among its revisions, and numbers it
/// as the newest. A new one has its hash in `label`; `collision_count` grows when another's revision has the name.
///
/// # Errors
/// What the server answered.
pub fn sync<O: Kind>(
    client: &Client,
    owner: &O,
    label: &str,
    template: &PodTemplateSpec,
    mut revisions: Vec<Arc<ControllerRevision>>,
    collision_count: &mut i32,
) -> Result<History, ApiError> {
    revisions.order_by(|a, b| (a.revision, pods::name(&**a)).cmp(&(b.revision, pods::name(&**b))));
    let data = data_of(template);
    let newest = revisions.last().and_then(|revision| revision.revision).unwrap_or(0);
    let current = match revisions.iter().rposition(|revision| revision.data.0 == data) {
        Some(position) => {
            let found = revisions.remove(position);
            if found.revision == Some(newest) {
                found
            } else {
                client.update(ControllerRevision { revision: Some(newest + 1), ..(*found).clone() })?
            }
        }
        None => create(client, owner, label, (template, data), newest + 1, collision_count)?,
    };
    Ok(History { current, old: revisions })
}

fn create<O: Kind>(
    client: &Client,
    owner: &O,
    label: &str,
    (template, data): (&PodTemplateSpec, Value),
    number: i64,
    collision_count: &mut i32,
) -> Result<Arc<ControllerRevision>, ApiError> {
    loop {
        let hash = hash_of(&data, *collision_count);
        let mut labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
        labels.insert(label.into(), hash.clone());
        let revision = ControllerRevision {
            metadata: ObjectMeta {
                name: Some(format!("{}-{hash}", pods::name(owner))),
                namespace: owner.metadata().namespace.clone(),
                labels: Some(labels),
                annotations: owner.metadata().annotations.clone(),
                owner_references: Some(vec![controller_reference(owner)]),
                ..ObjectMeta::default()
            },
            data: RawExtension(data.clone()),
            revision: Some(number),
        };
        let name = ObjectKey::new(pods::namespace(owner), pods::name(&revision));
        match client.create(revision) {
            Err(error) if error.is_already_exists() => {
                let existing = client.get::<ControllerRevision>(&name)?;
                let ours = pods::controller_of(&existing.metadata).is_some_and(|found| found.uid == pods::uid(owner));
                if ours && existing.data.0 == data {
                    return Ok(existing);
                }
                *collision_count += 1;
            }
            other => return other,
        }
    }
}

/// The hash a daemon's revision is labelled by.
pub fn hash_label(revision: &ControllerRevision) -> &str {
    revision.metadata.labels.as_ref().and_then(|labels| labels.get(REVISION_HASH)).map_or("", String::as_str)
}

/// Deletes the oldest revisions beyond the limit that nothing uses any more.
///
/// # Errors
/// What the server answered.
pub fn clean_up(
    client: &Client,
    old: &[Arc<ControllerRevision>],
    limit: Option<i32>,
    in_use: impl Fn(&ControllerRevision) -> bool,
) -> Result<(), ApiError> {
    let limit = usize::try_from(limit.unwrap_or(10)).unwrap_or(0);
    let unused: Vec<_> = old.iter().filter(|revision| !in_use(revision)).collect();
    for revision in unused.iter().take(unused.len().saturating_sub(limit)) {
        match client.delete::<ControllerRevision>(&key_of(&***revision), &DeleteOptions::default()) {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
