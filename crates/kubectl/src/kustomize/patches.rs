//! Patches: strategic merge patches and JSON patches, at the objects that their targets choose.

use machinery::{GroupVersionKind, labels, patch};
use regex_lite::Regex;
use serde_json::{Value, json};

use super::config::misconfigured;
use super::{Item, Reader, id};
use crate::error::Error;
use crate::resources::{items, text};
use crate::yaml;

/// Which objects are meant: patterns for each part of an identity, and selectors.
struct Target {
    patterns: Vec<(&'static str, Regex)>,
    labels: Option<labels::Selector>,
    annotations: Option<labels::Selector>,
}

impl Target {
    /// Reads a `target` or `select`. Patterns are for the whole of what they match.
    fn read(target: &Value) -> Result<Self, Error> {
        let mut patterns = Vec::new();
        for field in ["group", "version", "kind", "name", "namespace"] {
            let pattern = text(&target[field]);
            if !pattern.is_empty() {
                let compiled = Regex::new(&format!("^(?:{pattern})$"));
                patterns.push((field, compiled.map_err(|error| Error::message(error.to_string()))?));
            }
        }
        let selector = |field: &str| match target[field].as_str() {
            Some(text) if !text.is_empty() => {
                labels::Selector::parse(text).map(Some).map_err(|error| Error::message(error.to_string()))
            }
            _ => Ok(None),
        };
        Ok(Self { patterns, labels: selector("labelSelector")?, annotations: selector("annotationSelector")? })
    }

    fn chooses(&self, item: &Item) -> bool {
        let gvk = GroupVersionKind::from_api_version(&text(&item.object["apiVersion"]), &item.kind());
        let metadata = &item.object["metadata"];
        let matches = |(field, pattern): &(&str, Regex)| match *field {
            "group" => pattern.is_match(&gvk.group),
            "version" => pattern.is_match(&gvk.version),
            "kind" => pattern.is_match(&gvk.kind),
            "namespace" => pattern.is_match(&text(&metadata["namespace"])),
            _ => pattern.is_match(&item.name()) || item.names.iter().any(|name| pattern.is_match(name)),
        };
        let selects = |selector: &Option<labels::Selector>, field: &str| {
            let pairs = metadata[field].as_object().into_iter().flatten();
            let pairs: labels::Labels = pairs.map(|(key, value)| (key.clone(), text(value))).collect();
            selector.as_ref().is_none_or(|selector| selector.matches(&pairs))
        };
        self.patterns.iter().all(matches)
            && selects(&self.labels, "labels")
            && selects(&self.annotations, "annotations")
    }
}

/// The places of the objects that a target chooses.
pub(super) fn chosen(target: &Value, all: &[Item]) -> Result<Vec<usize>, Error> {
    let target = Target::read(target)?;
    Ok(all.iter().enumerate().filter(|(_, item)| target.chooses(item)).map(|(at, _)| at).collect())
}

/// Applies a kustomization's patches, in order.
pub(super) async fn apply(reader: &Reader<'_>, folder: &str, config: &Value, all: &mut Vec<Item>) -> Result<(), Error> {
    let fields = ["patchesStrategicMerge", "patches", "patchesJson6902"];
    let entries = fields.iter().flat_map(|field| items(&config[*field]).map(|entry| (*field, entry)));
    for (field, entry) in entries {
        let (inline, path) = match entry {
            Value::String(text) if text.contains('\n') => (Some(text.as_str()), None),
            Value::String(path) => (None, Some(path.as_str())),
            entry => (entry["patch"].as_str(), entry["path"].as_str()),
        };
        let wrong = |problem: &str| match field {
            "patchesStrategicMerge" => {
                misconfigured("PatchStrategicMergeTransformer", &json!({ "paths": [entry] }), problem)
            }
            "patchesJson6902" => misconfigured("PatchJson6902Transformer", entry, problem),
            _ => misconfigured("PatchTransformer", entry, problem),
        };
        let source = match (inline, path) {
            (Some(inline), None) => inline.to_owned(),
            (None, Some(path)) => {
                let bytes = reader.read(folder, path).await.map_err(|error| match field {
                    "patches" => wrong(&format!("failed to get the patch file from path({path}): {}", error.plain())),
                    _ => wrong(&error.plain()),
                })?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
            (Some(_), Some(_)) => {
                let entry = yaml::to_string(entry);
                return Err(wrong(&format!("patch and path can't be set at the same time\n{entry}")));
            }
            (None, None) => {
                let entry = yaml::to_string(entry);
                return Err(wrong(&format!("must specify one of patch and path in\n{entry}")));
            }
        };
        let shown = match (inline, path) {
            (_, Some(path)) => format!("[path: {path:?}]"),
            (inline, None) => format!("[patch: {:?}]", inline.unwrap_or_default()),
        };
        // What begins as JSON has to be JSON.
        if source.starts_with('[') && serde_json::from_str::<Value>(&source).is_err() {
            return Err(wrong(&format!("unable to parse SM or JSON patch from {shown}")));
        }
        let mut documents = Vec::new();
        for document in yaml::documents(&source) {
            let document = document.map_err(|error| Error::message(format!("unable to parse patch: {error}")))?;
            // A list of objects is a JSON patch; kustomize takes one in YAML or JSON.
            if !document.is_null() {
                documents.push(document);
            }
        }
        for change in documents {
            let targets = if entry["target"].is_object() {
                chosen(&entry["target"], all)?
            } else if change.is_array() {
                return Err(Error::message(format!("must specify a target for JSON patch {shown}")));
            } else {
                vec![the_one(&change, all)?]
            };
            for at in targets {
                if let Some(item) = all.get_mut(at) {
                    patched(item, &change)?;
                }
            }
            all.retain(|item| !item.object.is_null());
        }
    }
    Ok(())
}

/// The place of the object that a patch itself names.
fn the_one(change: &Value, all: &[Item]) -> Result<usize, Error> {
    let name = text(&change["metadata"]["name"]);
    let namespace = text(&change["metadata"]["namespace"]);
    let group =
        |object: &Value| GroupVersionKind::from_api_version(&text(&object["apiVersion"]), &text(&object["kind"])).group;
    let same = |item: &Item| {
        item.object["kind"] == change["kind"]
            && group(&item.object) == group(change)
            && item.is_called(&name)
            && (namespace.is_empty() || item.object["metadata"]["namespace"] == namespace.as_str())
    };
    let id = id(change);
    let found: Vec<usize> = all.iter().enumerate().filter(|(_, item)| same(item)).map(|(at, _)| at).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Error::message(format!(
            "no resource matches strategic merge patch {id:?}: no matches for Id {id}; failed to find unique target for \
             patch {id}"
        ))),
        _ => Err(Error::message(format!("multiple matches for Id {id}; failed to find unique target for patch {id}"))),
    }
}

/// What is wrong with the first step of a JSON patch that cannot be done, in the words of the library that kustomize
/// uses (evanphx/json-patch).
fn why_not(object: &Value, change: &Value) -> Option<Error> {
    let mut object = object.clone();
    for step in items(change) {
        match patch::json(&object, &json!([step])) {
            Ok(changed) => object = changed,
            Err(_) => {
                let (operation, path) = (text(&step["op"]), text(&step["path"]));
                let (parent, key) = path.rsplit_once('/')?;
                let (there, has_parent) = (object.pointer(&path).is_some(), object.pointer(parent).is_some());
                return Some(Error::message(match operation.as_str() {
                    "test" if there => format!("testing value {path} failed: test failed"),
                    "test" => format!("testing path {path} failed: missing value"),
                    "remove" if has_parent => {
                        format!(
                            "error in remove for path: '{path}': Unable to remove nonexistent key: {key}: missing value"
                        )
                    }
                    "replace" if has_parent => {
                        format!("replace operation does not apply: doc is missing key: {path}: missing value")
                    }
                    "replace" => {
                        format!("replace operation does not apply: doc is missing path: {path}: missing value")
                    }
                    "remove" | "add" => {
                        format!("{operation} operation does not apply: doc is missing path: {path:?}: missing value")
                    }
                    _ => return None,
                }));
            }
        }
    }
    None
}

/// Changes an object; one that a patch deletes becomes null. Names and kinds stay.
fn patched(item: &mut Item, change: &Value) -> Result<(), Error> {
    let failed = |error: patch::PatchError| Error::message(error.to_string());
    if change["$patch"] == "delete" {
        item.object = Value::Null;
        return Ok(());
    }
    if change.is_array() {
        item.object = patch::json(&item.object, change)
            .map_err(|error| why_not(&item.object, change).unwrap_or_else(|| failed(error)))?;
        return Ok(());
    }
    let mut change = change.clone();
    for path in [&["apiVersion"][..], &["kind"], &["metadata", "name"], &["metadata", "namespace"]] {
        let pointer = format!("/{}", path.join("/"));
        let fixed = json!(item.object.pointer(&pointer));
        if let Some(place) = change.pointer_mut(&pointer) {
            *place = fixed;
        }
    }
    let kind = GroupVersionKind::from_api_version(&text(&item.object["apiVersion"]), &item.kind());
    item.object = match patch::Strategic::for_kind(&kind) {
        Some(strategic) => strategic.apply(&item.object, &change).map_err(failed)?,
        None => patch::merge(&item.object, &change),
    };
    Ok(())
}
