//! What ties ReplicaSets to revisions of a Deployment: the template's hash and annotations.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use machinery::Kind;
use machinery::random::{fnv32a, safe_encode};

use super::arithmetic::{max_replicas, wanted};
use crate::pods;

/// The label that tells pods of one template from those of another.
pub const TEMPLATE_HASH: &str = "pod-template-hash";
/// A Deployment's or ReplicaSet's place in the history.
pub const REVISION: &str = "deployment.kubernetes.io/revision";
/// Places a ReplicaSet had before, where it was rolled back to.
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The replicas the Deployment wanted when the ReplicaSet was last scaled.
const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
/// The replicas the Deployment could have, surge included, when the ReplicaSet was last scaled.
const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations that belong to the Deployment or the ReplicaSet alone.
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    "deprecated.deployment.rollback.to",
];
/// A revision history that grows longer than this loses its oldest entries.
const HISTORY_LENGTH_MAX: usize = 2000;

/// The value of [`TEMPLATE_HASH`]. The collision count sets apart templates whose hashes are alike.
pub fn template_hash(template: &PodTemplateSpec, collision_count: Option<i32>) -> String {
    // A Value's maps are sorted, so equal templates hash alike.
    let mut text = machinery::object::to_value(template).to_string();
    if let Some(count) = collision_count {
        text.push_str(&count.to_string());
    }
    safe_encode(&fnv32a(text.as_bytes()).to_string())
}

/// Whether two templates are the same but for [`TEMPLATE_HASH`].
pub fn same_template(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    let (Some(meta_a), Some(meta_b)) = (&a.metadata, &b.metadata) else {
        return a == b;
    };
    let labels = |labels: &Option<BTreeMap<String, String>>| -> Vec<(String, String)> {
        let labels = labels.iter().flatten().filter(|(name, _)| *name != TEMPLATE_HASH);
        labels.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    a.spec == b.spec
        && labels(&meta_a.labels) == labels(&meta_b.labels)
        && meta_a.annotations.iter().flatten().eq(meta_b.annotations.iter().flatten())
        && meta_a.finalizers.iter().flatten().eq(meta_b.finalizers.iter().flatten())
}

/// The ReplicaSet of the Deployment's present template: the oldest, if there are several.
pub fn find_new(deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> Option<Arc<ReplicaSet>> {
    let matching = sets.iter().filter(|set| {
        set.spec.template.as_ref().is_some_and(|template| same_template(template, &deployment.spec.template))
    });
    matching.min_by(|a, b| age(a).cmp(&age(b))).cloned()
}

/// Orders sets by creation, then name.
pub fn age(set: &ReplicaSet) -> (Option<machinery::Timestamp>, &str) {
    (client::creation_time(set), pods::name(set))
}

/// The object's revision; 0 for none.
pub fn revision<K: Kind>(object: &K) -> i64 {
    pods::annotation(object, REVISION).and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

/// The replicas the Deployment wanted when this set was last scaled.
pub fn desired_when_scaled(set: &ReplicaSet) -> Option<i32> {
    pods::annotation(set, DESIRED_REPLICAS)?.parse().ok()
}

/// The most replicas the Deployment could have when this set was last scaled.
pub fn max_when_scaled(set: &ReplicaSet) -> Option<i32> {
    pods::annotation(set, MAX_REPLICAS)?.parse().ok()
}

/// Notes on a set what its Deployment wants; whether that changed anything.
pub fn note_replicas(set: &mut ReplicaSet, deployment: &Deployment) -> bool {
    let annotations = set.metadata.annotations.get_or_insert_default();
    let desired = put(annotations, DESIRED_REPLICAS, wanted(deployment).to_string());
    let max = put(annotations, MAX_REPLICAS, max_replicas(deployment).to_string());
    desired || max
}

/// Gives the new set the Deployment's annotations and its revision; whether that changed anything.
pub fn note_revision(set: &mut ReplicaSet, deployment: &Deployment, revision: i64) -> bool {
    let old = pods::annotation(set, REVISION).map(str::to_owned);
    let annotations = set.metadata.annotations.get_or_insert_default();
    let mut changed = false;
    for (name, value) in deployment.metadata.annotations.iter().flatten() {
        if !NOT_COPIED.contains(&name.as_str()) {
            changed |= put(annotations, name, value.clone());
        }
    }
    let old_number = old.as_deref().and_then(|old| old.parse::<i64>().ok()).unwrap_or(0);
    if old_number >= revision {
        return changed;
    }
    put(annotations, REVISION, revision.to_string());
    if let Some(old) = old {
        let mut history: Vec<String> = annotations
            .get(REVISION_HISTORY)
            .map(|history| history.split(',').map(str::to_owned).collect())
            .unwrap_or_default();
        history.push(old);
        while history.iter().map(|entry| entry.len() + 1).sum::<usize>() > HISTORY_LENGTH_MAX {
            history.remove(0);
        }
        put(annotations, REVISION_HISTORY, history.join(","));
    }
    true
}

fn put(annotations: &mut BTreeMap<String, String>, name: &str, value: String) -> bool {
    let same = annotations.get(name) == Some(&value);
    if !same {
        annotations.insert(name.into(), value);
    }
    !same
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(labels: serde_json::Value, image: &str) -> PodTemplateSpec {
        serde_json::from_value(json!({
            "metadata": { "labels": labels },
            "spec": { "containers": [{ "name": "web", "image": image }] },
        }))
        .unwrap()
    }

    #[test]
    fn templates_are_the_same_but_for_the_hash() {
        let plain = template(json!({ "app": "web" }), "nginx:1");
        assert!(same_template(&plain, &template(json!({ "app": "web", TEMPLATE_HASH: "abc" }), "nginx:1")));
        assert!(!same_template(&plain, &template(json!({ "app": "web" }), "nginx:2")));
        assert_ne!(template_hash(&plain, None), template_hash(&plain, Some(1)));
    }

    #[test]
    fn a_set_rolled_back_to_remembers_its_former_revisions() {
        let deployment = Deployment::default();
        let mut set = ReplicaSet::default();
        for revision in [1, 3, 3, 5] {
            note_revision(&mut set, &deployment, revision);
        }
        let annotations = set.metadata.annotations.unwrap();
        assert_eq!((annotations[REVISION].as_str(), annotations[REVISION_HISTORY].as_str()), ("5", "1,3"));
    }
}
