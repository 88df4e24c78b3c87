//! Kustomizations: the transformers that manifests in tutorials use.

use std::collections::BTreeMap;

use machinery::sort::Order;
use machinery::{GroupVersionKind, patch};
use serde_json::{Map, Value, json};
use sha2::Digest as _;

use crate::error::Error;
use crate::host::Host;
use crate::resources::{items, text};
use crate::value::ValueExt;
use crate::yaml;

/// Names that make a folder a kustomization.
const FILES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// Kustomizations may build on each other this deep.
const DEPTH_MAX: usize = 20;

/// Builds the kustomization of a folder.
///
/// # Errors
/// When there is none, or what it names does not exist.
pub async fn build(host: &dyn Host, folder: &str) -> Result<Vec<Value>, Error> {
    let mut objects = build_at(host, folder.trim_end_matches('/').to_owned(), 0).await?;
    objects.order_by_key(rank);
    Ok(objects)
}

/// Kinds that others need come first, kinds that hinder others last.
const FIRST: [&str; 22] = [
    "Namespace",
    "ResourceQuota",
    "StorageClass",
    "CustomResourceDefinition",
    "ServiceAccount",
    "PodSecurityPolicy",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
    "ConfigMap",
    "Secret",
    "Endpoints",
    "Service",
    "LimitRange",
    "PriorityClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "Deployment",
    "StatefulSet",
    "CronJob",
    "PodDisruptionBudget",
];
const LAST: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

/// Where an object stands in the output.
fn rank(object: &Value) -> (usize, String, String, String) {
    let kind = text(&object["kind"]);
    let place = match FIRST.iter().position(|known| *known == kind) {
        Some(place) => place,
        None if LAST.contains(&kind.as_str()) => FIRST.len() + 1,
        None => FIRST.len(),
    };
    (place, kind, text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]))
}

async fn build_at(host: &dyn Host, folder: String, depth: usize) -> Result<Vec<Value>, Error> {
    if depth > DEPTH_MAX {
        return Err(Error::message(format!("cycle detected: {folder}")));
    }
    let config = load(host, &folder).await?;
    for (field, instead) in [("commonLabels", "labels"), ("bases", "resources"), ("patchesStrategicMerge", "patches")] {
        if !config[field].is_null() {
            let warning = format!(
                "# Warning: '{field}' is deprecated. Please use '{instead}' instead. Run 'kustomize edit fix' to update \
                 your Kustomization automatically.\n"
            );
            host.stderr(warning.as_bytes());
        }
    }
    let mut objects = Vec::new();
    for field in ["resources", "bases"] {
        for name in items(&config[field]).map(text) {
            let path = join(&folder, &name);
            match host.read_file(&path).await {
                Ok(bytes) => objects.extend(documents(&path, &String::from_utf8_lossy(&bytes))?),
                Err(_) => objects.extend(Box::pin(build_at(host, path, depth + 1)).await?),
            }
        }
    }
    let generated = generate(host, &folder, &config).await?;
    objects.extend(generated);
    for patch in items(&config["patches"]).chain(items(&config["patchesStrategicMerge"])) {
        apply_patch(host, &folder, patch, &mut objects).await?;
    }
    transform(&config, &mut objects)?;
    Ok(objects)
}

async fn load(host: &dyn Host, folder: &str) -> Result<Value, Error> {
    for name in FILES {
        if let Ok(bytes) = host.read_file(&join(folder, name)).await {
            return yaml::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|error| Error::message(format!("invalid Kustomization: {error}")));
        }
    }
    if host.read_dir(folder).await.is_err() {
        return Err(Error::message(format!(
            "must build at directory: not a valid directory: evalsymlink failure on '{folder}' : lstat {folder}: no \
             such file or directory"
        )));
    }
    Err(Error::message(format!(
        "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '{folder}'"
    )))
}

fn join(folder: &str, name: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').collect();
    for part in name.split('/') {
        match part {
            "." | "" => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, ".." | "." | "")) => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn documents(path: &str, text: &str) -> Result<Vec<Value>, Error> {
    let mut found = Vec::new();
    for document in yaml::documents(text) {
        let value = document.map_err(|error| {
            Error::message(format!("accumulating resources from '{path}': MalformedYAMLError: {error} in File: {path}"))
        })?;
        if value.is_object() {
            found.push(value);
        }
    }
    Ok(found)
}

/// ConfigMaps and Secrets from files and literals, named by their contents.
async fn generate(host: &dyn Host, folder: &str, config: &Value) -> Result<Vec<Value>, Error> {
    use base64::Engine;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let mut objects = Vec::new();
    for (field, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
        for generator in items(&config[field]) {
            let mut data: BTreeMap<String, Vec<u8>> = BTreeMap::new();
            for literal in items(&generator["literals"]).map(text) {
                let (key, value) = literal.split_once('=').unwrap_or((&literal, ""));
                data.insert(key.to_owned(), value.trim_matches(['\'', '"']).as_bytes().to_vec());
            }
            for file in items(&generator["files"]).map(text) {
                let (key, path) = file.split_once('=').unwrap_or((file.rsplit('/').next().unwrap_or(&file), &file));
                data.insert(key.to_owned(), read(host, &join(folder, path)).await?);
            }
            for file in items(&generator["envs"]).map(text) {
                let bytes = read(host, &join(folder, &file)).await?;
                for line in String::from_utf8_lossy(&bytes)
                    .lines()
                    .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
                {
                    let (key, value) = line.split_once('=').unwrap_or((line, ""));
                    data.insert(key.to_owned(), value.as_bytes().to_vec());
                }
            }
            let values: Map<String, Value> = data
                .iter()
                .map(|(key, bytes)| match kind {
                    "Secret" => (key.clone(), encode(bytes).into()),
                    _ => (key.clone(), String::from_utf8_lossy(bytes).into_owned().into()),
                })
                .collect();
            let name = text(&generator["name"]);
            let mut object = json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name }, "data": values });
            if kind == "Secret" {
                object["type"] = generator["type"].as_str().unwrap_or("Opaque").into();
            }
            for field in ["labels", "annotations"] {
                if generator["options"][field].is_object() {
                    object.put(&["metadata", field], generator["options"][field].clone());
                }
            }
            let disabled = [&generator["options"], &config["generatorOptions"]]
                .iter()
                .any(|options| options["disableNameSuffixHash"] == true);
            if !disabled {
                let hash = content_hash(&object);
                object.put(&["metadata", "name"], format!("{name}-{hash}"));
            }
            objects.push(object);
        }
    }
    Ok(objects)
}

async fn read(host: &dyn Host, path: &str) -> Result<Vec<u8>, Error> {
    let bytes = host.read_file(path).await;
    bytes.map(|bytes| bytes.to_vec()).map_err(|error| {
        Error::message(format!("loading KV pairs: file sources: [{path}]: open {path}: {}", error.as_str()))
    })
}

/// Ten characters that change with the contents, as kustomize makes them: SHA-256 in letters that spell
/// no words. The name does not count.
fn content_hash(object: &Value) -> String {
    hash_named(object, "")
}

/// The same as `kubectl create --append-hash` has it, where the name counts.
pub fn hash_named(object: &Value, name: &str) -> String {
    let mut contents = json!({
        "kind": object["kind"],
        "name": name,
        "data": object["data"],
    });
    if object["kind"] == "Secret" {
        contents["type"] = object["type"].as_str().unwrap_or_default().into();
    }
    let digest = sha2::Sha256::digest(machinery::go::json(&contents).as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let letter = |c: char| match c {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        c => c,
    };
    hex.chars().take(10).map(letter).collect()
}

async fn apply_patch(host: &dyn Host, folder: &str, entry: &Value, objects: &mut [Value]) -> Result<(), Error> {
    let source = match entry {
        Value::String(text) if text.contains('\n') => text.clone(),
        Value::String(path) => String::from_utf8_lossy(&read(host, &join(folder, path)).await?).into_owned(),
        entry => match (entry["patch"].as_str(), entry["path"].as_str()) {
            (Some(inline), _) => inline.to_owned(),
            (None, Some(path)) => String::from_utf8_lossy(&read(host, &join(folder, path)).await?).into_owned(),
            _ => return Err(Error::message("must specify one of patch and path in patches")),
        },
    };
    for document in yaml::documents(&source) {
        let change = document.map_err(|error| Error::message(format!("unable to parse patch: {error}")))?;
        let target = if entry["target"].is_object() {
            entry["target"].clone()
        } else {
            json!({ "kind": change["kind"], "name": change["metadata"]["name"] })
        };
        let chosen = |object: &Value| {
            (target["kind"].is_null() || object["kind"] == target["kind"])
                && (target["name"].is_null() || object["metadata"]["name"] == target["name"])
        };
        for object in objects.iter_mut().filter(|object| chosen(object)) {
            let failed = |error: patch::PatchError| Error::message(error.to_string());
            *object = if change.is_array() {
                patch::json(object, &change).map_err(failed)?
            } else {
                let kind = GroupVersionKind::from_api_version(&text(&object["apiVersion"]), &text(&object["kind"]));
                match patch::Strategic::for_kind(&kind) {
                    Some(strategic) => strategic.apply(object, &change).map_err(failed)?,
                    None => patch::merge(object, &change),
                }
            };
        }
    }
    Ok(())
}

/// Where labels go besides the object's own, by kind.
fn label_places(kind: &str, selectors: bool) -> Vec<Vec<&'static str>> {
    let mut places = vec![vec!["metadata", "labels"]];
    if matches!(kind, "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" | "Job") {
        if selectors {
            places.push(vec!["spec", "template", "metadata", "labels"]);
        }
        if selectors && kind != "Job" {
            places.push(vec!["spec", "selector", "matchLabels"]);
        }
    }
    if kind == "Service" && selectors {
        places.push(vec!["spec", "selector"]);
    }
    places
}

fn transform(config: &Value, objects: &mut [Value]) -> Result<(), Error> {
    let namespace = text(&config["namespace"]);
    let (prefix, suffix) = (text(&config["namePrefix"]), text(&config["nameSuffix"]));
    let mut renamed: BTreeMap<(String, String), String> = BTreeMap::new();
    for object in objects.iter_mut() {
        let kind = text(&object["kind"]);
        let name = text(&object["metadata"]["name"]);
        let changed = format!("{prefix}{name}{suffix}");
        // By the name that the resources below have given.
        for replicas in items(&config["replicas"]) {
            if name == replicas["name"].as_str().unwrap_or_default() && object["spec"]["replicas"].is_number() {
                object.put(&["spec", "replicas"], replicas["count"].clone());
            }
        }
        if kind != "Namespace" && kind != "CustomResourceDefinition" {
            object.put(&["metadata", "name"], changed.as_str());
            let original = name.rsplit_once('-').map_or(name.as_str(), |(stem, _)| stem).to_owned();
            if matches!(kind.as_str(), "ConfigMap" | "Secret") {
                renamed.entry((kind.clone(), original)).or_insert(changed.clone());
            }
            renamed.insert((kind.clone(), name), changed);
            if !namespace.is_empty() && !kind.starts_with("Cluster") && kind != "PersistentVolume" && kind != "Node" {
                object.put(&["metadata", "namespace"], namespace.as_str());
            }
        }
        let common = config["commonLabels"].as_object().into_iter().flatten().map(|pair| (pair, true));
        let more = items(&config["labels"]).flat_map(|entry| {
            let selectors = entry["includeSelectors"] == true;
            entry["pairs"].as_object().into_iter().flatten().map(move |pair| (pair, selectors))
        });
        for ((key, value), selectors) in common.chain(more) {
            for place in label_places(&kind, selectors) {
                let path: Vec<&str> = place.into_iter().chain([key.as_str()]).collect();
                object.put(&path, value.clone());
            }
        }
        for (key, value) in config["commonAnnotations"].as_object().into_iter().flatten() {
            object.put(&["metadata", "annotations", key], value.clone());
            if object["spec"]["template"].is_object() {
                object.put(&["spec", "template", "metadata", "annotations", key], value.clone());
            }
        }
        for image in items(&config["images"]) {
            set_image(object, image);
        }
    }
    objects.iter_mut().for_each(|object| follow_names(object, &renamed));
    Ok(())
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

/// Lets references follow the names that have changed.
fn follow_names(value: &mut Value, renamed: &BTreeMap<(String, String), String>) {
    /// Fields whose `name` (or the field itself) names an object of a kind.
    const REFERENCES: &[(&str, &str, &str)] = &[
        ("configMapRef", "name", "ConfigMap"),
        ("configMapKeyRef", "name", "ConfigMap"),
        ("configMap", "name", "ConfigMap"),
        ("secretRef", "name", "Secret"),
        ("secretKeyRef", "name", "Secret"),
        ("secret", "secretName", "Secret"),
        ("persistentVolumeClaim", "claimName", "PersistentVolumeClaim"),
        ("service", "name", "Service"),
    ];
    match value {
        Value::Array(list) => list.iter_mut().for_each(|item| follow_names(item, renamed)),
        Value::Object(fields) => {
            for (key, below) in fields.iter_mut() {
                if let Some((_, field, kind)) = REFERENCES.iter().find(|(known, ..)| known == key) {
                    let name = text(&below[*field]);
                    if let Some(new) = renamed.get(&((*kind).to_owned(), name)) {
                        below.put(&[field], new.as_str());
                    }
                }
                if key == "serviceAccountName"
                    && let Some(new) = renamed.get(&("ServiceAccount".to_owned(), text(below)))
                {
                    *below = new.as_str().into();
                }
                follow_names(below, renamed);
            }
        }
        _ => {}
    }
}
