//! The transformers: namespace, names, labels, annotations, replicas and images.

use serde_json::Value;

use super::Item;
use crate::error::Error;
use crate::resources::{items, text};
use crate::value::ValueExt;

/// Kinds that belong to no namespace. Of a kind that Kubernetes does not know, kustomize too takes the contrary.
const CLUSTER_SCOPED: [&str; 27] = [
    "APIService",
    "CSIDriver",
    "CSINode",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ClusterTrustBundle",
    "ComponentStatus",
    "CustomResourceDefinition",
    "DeviceClass",
    "FlowSchema",
    "IPAddress",
    "IngressClass",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "RuntimeClass",
    "ServiceCIDR",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];
/// Kinds whose names stay.
const NAMED_FOR_GOOD: [&str; 3] = ["Namespace", "CustomResourceDefinition", "APIService"];
/// Kinds with a template of pods, and where it is.
const TEMPLATES: [(&str, &[&str]); 7] = [
    ("CronJob", &["spec", "jobTemplate", "spec", "template"]),
    ("DaemonSet", &["spec", "template"]),
    ("Deployment", &["spec", "template"]),
    ("Job", &["spec", "template"]),
    ("ReplicaSet", &["spec", "template"]),
    ("ReplicationController", &["spec", "template"]),
    ("StatefulSet", &["spec", "template"]),
];
/// Selectors, and whether they are made where there is none.
const SELECTORS: [(&str, &[&str], bool); 9] = [
    ("DaemonSet", &["spec", "selector", "matchLabels"], true),
    ("Deployment", &["spec", "selector", "matchLabels"], true),
    ("Job", &["spec", "selector", "matchLabels"], false),
    ("NetworkPolicy", &["spec", "podSelector", "matchLabels"], false),
    ("PodDisruptionBudget", &["spec", "selector", "matchLabels"], false),
    ("ReplicaSet", &["spec", "selector", "matchLabels"], true),
    ("ReplicationController", &["spec", "selector"], true),
    ("Service", &["spec", "selector"], true),
    ("StatefulSet", &["spec", "selector", "matchLabels"], true),
];

/// Kinds whose replicas a kustomization sets.
const SCALED: [&str; 4] = ["Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"];
/// The label of `buildMetadata: [managedByLabel]`, and who builds.
const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const KUSTOMIZE: &str = "kustomize-(devel)";

/// Applies a kustomization's transformers to all objects.
pub(super) fn transform(config: &Value, all: &mut [Item]) -> Result<(), Error> {
    let has_replicas = |item: &Item| SCALED.contains(&item.kind().as_str());
    for replicas in items(&config["replicas"]) {
        let name = text(&replicas["name"]);
        if !all.iter().any(|item| has_replicas(item) && item.is_called(&name)) {
            let kinds: Vec<String> = SCALED.iter().map(|kind| format!("{kind}.[noVer].[noGrp]")).collect();
            return Err(Error::message(format!(
                "resource with name {name} does not match a config with the following GVK [{}]",
                kinds.join(" ")
            )));
        }
    }
    let managed = items(&config["buildMetadata"]).any(|what| what == "managedByLabel");
    for item in all {
        namespace(&text(&config["namespace"]), item);
        let (prefix, suffix) = (text(&config["namePrefix"]), text(&config["nameSuffix"]));
        if !NAMED_FOR_GOOD.contains(&item.kind().as_str()) {
            item.rename(format!("{prefix}{}{suffix}", item.name()));
        }
        for (key, value) in config["commonLabels"].as_object().into_iter().flatten() {
            label(item, (key, value), true, true);
        }
        for entry in items(&config["labels"]) {
            for pair in entry["pairs"].as_object().into_iter().flatten() {
                let selectors = entry["includeSelectors"] == true;
                label(item, pair, selectors, selectors || entry["includeTemplates"] == true);
            }
        }
        for (key, value) in config["commonAnnotations"].as_object().into_iter().flatten() {
            item.object.put(&["metadata", "annotations", key], value.clone());
            if let Some(template) = template(item) {
                template.put(&["metadata", "annotations", key], value.clone());
            }
        }
        for replicas in items(&config["replicas"]) {
            if has_replicas(item) && item.is_called(&text(&replicas["name"])) {
                item.object.put(&["spec", "replicas"], replicas["count"].clone());
            }
        }
        for image in items(&config["images"]) {
            set_image(&mut item.object, image);
        }
        if managed {
            item.object.put(&["metadata", "labels", MANAGED_BY], KUSTOMIZE);
        }
    }
    Ok(())
}

fn namespace(namespace: &str, item: &mut Item) {
    if namespace.is_empty() {
        return;
    }
    match item.kind().as_str() {
        "Namespace" => item.rename(namespace.to_owned()),
        kind => {
            if !CLUSTER_SCOPED.contains(&kind) {
                item.object.put(&["metadata", "namespace"], namespace);
            }
        }
    }
    // The default account is that of the namespace; others follow by their names.
    for subject in item.object.list_mut(&["subjects"]).into_iter().flatten() {
        if subject["kind"] == "ServiceAccount" && subject["name"] == "default" {
            subject.put(&["namespace"], namespace);
        }
    }
}

/// The template of pods of an object, if it has one.
fn template(item: &mut Item) -> Option<&mut Value> {
    let kind = item.kind();
    let (_, path) = TEMPLATES.iter().find(|(known, _)| *known == kind)?;
    item.object.at_mut(path).filter(|template| template.is_object())
}

fn label(item: &mut Item, (key, value): (&String, &Value), selectors: bool, templates: bool) {
    item.object.put(&["metadata", "labels", key], value.clone());
    let kind = item.kind();
    if templates {
        if let Some(template) = template(item) {
            template.put(&["metadata", "labels", key], value.clone());
        }
        if kind == "CronJob" {
            item.object.put(&["spec", "jobTemplate", "metadata", "labels", key], value.clone());
        }
    }
    if !selectors {
        return;
    }
    for (_, path, made) in SELECTORS.iter().filter(|(known, ..)| *known == kind) {
        if *made || item.object.at_mut(path).is_some() {
            let path: Vec<&str> = path.iter().copied().chain([key.as_str()]).collect();
            item.object.put(&path, value.clone());
        }
    }
    for claim in item.object.list_mut(&["spec", "volumeClaimTemplates"]).into_iter().flatten() {
        claim.put(&["metadata", "labels", key], value.clone());
    }
}

/// Replaces the images of an object's containers.
fn set_image(value: &mut Value, change: &Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|item| set_image(item, change)),
        Value::Object(fields) => {
            for (key, below) in fields.iter_mut() {
                if !matches!(key.as_str(), "containers" | "initContainers") {
                    set_image(below, change);
                    continue;
                }
                for container in below.as_array_mut().into_iter().flatten() {
                    let image = text(&container["image"]);
                    let path_start = image.rfind('/').map_or(0, |at| at + 1);
                    let tag = image.get(path_start..).and_then(|name| name.find([':', '@'])).map(|at| path_start + at);
                    let (name, tag) = image.split_at(tag.unwrap_or(image.len()));
                    if change["name"] != name {
                        continue;
                    }
                    let name = change["newName"].as_str().unwrap_or(name);
                    let tag = match (change["digest"].as_str(), &change["newTag"]) {
                        (Some(digest), _) => format!("@{digest}"),
                        (None, Value::Null) => tag.to_owned(),
                        (None, Value::String(tag)) => format!(":{tag}"),
                        (None, tag) => format!(":{tag}"),
                    };
                    container.put(&["image"], format!("{name}{tag}"));
                }
            }
        }
        _ => {}
    }
}
