//! References follow the names that have changed (kustomize's name reference transformer).

use serde_json::Value;

use super::Item;
use crate::resources::text;
use crate::value::ValueExt;

/// Fields that name an object: the field, the field of the name below it (empty where it is the name itself), and the
/// kind (empty where a `kind` beside the name says it).
const REFERENCES: &[(&str, &str, &str)] = &[
    ("configMapRef", "name", "ConfigMap"),
    ("configMapKeyRef", "name", "ConfigMap"),
    ("configMap", "name", "ConfigMap"),
    ("secretRef", "name", "Secret"),
    ("secretKeyRef", "name", "Secret"),
    ("secret", "secretName", "Secret"),
    ("secret", "name", "Secret"),
    ("imagePullSecrets", "name", "Secret"),
    ("secrets", "name", "Secret"),
    ("tls", "secretName", "Secret"),
    ("nodePublishSecretRef", "name", "Secret"),
    ("persistentVolumeClaim", "claimName", "PersistentVolumeClaim"),
    ("claimRef", "name", "PersistentVolumeClaim"),
    ("volumeName", "", "PersistentVolume"),
    ("service", "name", "Service"),
    ("serviceName", "", "Service"),
    ("serviceAccountName", "", "ServiceAccount"),
    ("serviceAccount", "", "ServiceAccount"),
    ("storageClassName", "", "StorageClass"),
    ("priorityClassName", "", "PriorityClass"),
    ("ingressClassName", "", "IngressClass"),
    ("roleRef", "name", ""),
    ("scaleTargetRef", "name", ""),
    ("subjects", "name", ""),
];

/// What an object is called now.
struct Renamed {
    kind: String,
    old: Vec<String>,
    new: String,
    namespace: Value,
}

/// Changes the references of all objects.
pub(super) fn follow(all: &mut [Item]) {
    let renamed: Vec<Renamed> = all
        .iter()
        .map(|item| Renamed {
            kind: item.kind(),
            old: item.names.clone(),
            new: item.name(),
            namespace: item.object["metadata"]["namespace"].clone(),
        })
        .collect();
    for item in all {
        for (key, value) in item.object.as_object_mut().into_iter().flatten() {
            if key != "metadata" {
                below(key, value, &renamed);
            }
        }
    }
}

fn below(key: &str, value: &mut Value, renamed: &[Renamed]) {
    match value {
        // What a list's entries are, the list's name says.
        Value::Array(list) => list.iter_mut().for_each(|entry| below(key, entry, renamed)),
        Value::Object(_) => {
            for (_, field, kind) in REFERENCES.iter().filter(|(known, field, _)| *known == key && !field.is_empty()) {
                let kind = if kind.is_empty() { text(&value["kind"]) } else { (*kind).to_owned() };
                let name = text(&value[*field]);
                if let Some(found) = find(renamed, &kind, &name) {
                    value.put(&[field], found.new.as_str());
                    if key == "subjects" && found.namespace.is_string() {
                        value.put(&["namespace"], found.namespace.clone());
                    }
                }
            }
            for (key, value) in value.as_object_mut().into_iter().flatten() {
                below(key, value, renamed);
            }
        }
        Value::String(name) => {
            let mut kinds = REFERENCES.iter().filter(|(known, field, _)| *known == key && field.is_empty());
            let found = kinds.find_map(|(_, _, kind)| find(renamed, kind, name));
            if let Some(found) = found {
                name.clone_from(&found.new);
            }
        }
        _ => {}
    }
}

fn find<'a>(renamed: &'a [Renamed], kind: &str, name: &str) -> Option<&'a Renamed> {
    let of_kind = || renamed.iter().filter(|one| one.kind == kind);
    of_kind().find(|one| one.new == name).or_else(|| of_kind().find(|one| one.old.iter().any(|old| old == name)))
}
