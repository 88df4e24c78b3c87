//! ConfigMaps and Secrets from files and literals.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};
use sha2::Digest as _;

use super::config::file_name;
use super::{Item, Reader, list};
use crate::error::Error;
use crate::resources::{items, text};
use crate::value::ValueExt;

/// Adds what the generators make, or merges it into what is there.
pub(super) async fn generate(
    reader: &Reader<'_>,
    folder: &str,
    config: &Value,
    all: &mut Vec<Item>,
) -> Result<(), Error> {
    for (field, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
        for generator in items(&config[field]) {
            let mut item = Item::new(generated(reader, folder, kind, generator, &config["generatorOptions"]).await?);
            let disabled = [&generator["options"], &config["generatorOptions"]]
                .iter()
                .any(|options| options["disableNameSuffixHash"] == true);
            item.hashed = !disabled;
            let behavior = text(&generator["behavior"]);
            let name = item.name();
            let namespace = text(&item.object["metadata"]["namespace"]);
            let same = |known: &&mut Item| {
                known.kind() == kind
                    && known.is_called(&name)
                    && (namespace.is_empty() || known.object["metadata"]["namespace"] == namespace.as_str())
            };
            match (behavior.as_str(), all.iter_mut().find(same)) {
                ("" | "create" | "unspecified", None) => {
                    let maker = format!("configuredBy:\n  apiVersion: builtin\n  kind: {kind}Generator\n");
                    reader.tell_origin(&mut item, "configuredIn", folder, file_name(reader.host, folder).await, &maker);
                    all.push(item);
                }
                ("merge" | "replace", Some(known)) => {
                    for part in ["data", "binaryData"] {
                        if behavior == "replace" {
                            known.object[part] = item.object[part].take();
                            continue;
                        }
                        for (key, value) in item.object[part].as_object().into_iter().flatten() {
                            known.object.put(&[part, key], value.clone());
                        }
                    }
                    for part in ["labels", "annotations"] {
                        for (key, value) in item.object["metadata"][part].as_object().into_iter().flatten() {
                            known.object.put(&["metadata", part, key], value.clone());
                        }
                    }
                    if let Some(fields) = known.object.as_object_mut() {
                        fields.retain(|_, value| !value.is_null());
                    }
                    known.hashed |= item.hashed;
                }
                ("merge" | "replace", None) => {
                    return Err(Error::message(format!("id {} does not exist; cannot {behavior}", item.id())));
                }
                ("" | "create" | "unspecified", Some(_)) => {
                    return Err(Error::message(format!(
                        "may not add resource with an already registered id: {}",
                        item.id()
                    )));
                }
                (other, _) => return Err(Error::message(format!("unknown behavior: {other}"))),
            }
        }
    }
    Ok(())
}

async fn generated(
    reader: &Reader<'_>,
    folder: &str,
    kind: &str,
    generator: &Value,
    common: &Value,
) -> Result<Value, Error> {
    let failed = |from: &str, all: &[String], problem: String| {
        Error::message(format!("loading KV pairs: {from}: [{}]: {problem}", all.join(" ")))
    };
    let lower = kind.to_lowercase();
    if text(&generator["name"]).is_empty() {
        return Err(Error::message(format!("a {lower} must have a name")));
    }
    let repeated = |key: &str| {
        let name = text(&generator["name"]);
        Error::message(format!("{lower} {name} illegally repeats the key `{key}`"))
    };
    let mut data: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let literals: Vec<String> = list(generator, "literals").collect();
    for literal in &literals {
        let Some((key, value)) = literal.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            let all = literals.join(" ");
            return Err(Error::message(format!(
                "loading KV pairs: literal sources [{all}]: invalid literal source {literal}, expected key=value"
            )));
        };
        let quoted = ['\'', '"'].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
        if data.insert(key.to_owned(), quoted.unwrap_or(value).as_bytes().to_vec()).is_some() {
            return Err(repeated(key));
        }
    }
    let files: Vec<String> = list(generator, "files").collect();
    for file in &files {
        let (key, path) = file.split_once('=').unwrap_or((file.rsplit('/').next().unwrap_or(file), file));
        if path.contains('=') {
            let problem = format!("source {file:?} key name or file path contains '='");
            return Err(failed("file sources", &files, problem));
        }
        let read = reader.read(folder, path).await.map_err(|error| failed("file sources", &files, error.plain()))?;
        if data.insert(key.to_owned(), read).is_some() {
            return Err(repeated(key));
        }
    }
    let envs: Vec<String> = list(generator, "envs").chain(generator["env"].as_str().map(str::to_owned)).collect();
    for file in &envs {
        let read = reader.read(folder, file).await;
        let bytes = read.map_err(|error| failed("env source files", &envs, error.plain()))?;
        let lines = String::from_utf8_lossy(&bytes);
        for line in lines.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            data.insert(key.to_owned(), value.as_bytes().to_vec());
        }
    }
    let mut object = json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": generator["name"] } });
    if generator["namespace"].is_string() {
        object.put(&["metadata", "namespace"], generator["namespace"].clone());
    }
    for (key, bytes) in &data {
        match (kind, std::str::from_utf8(bytes)) {
            ("Secret", _) => object.put(&["data", key], BASE64.encode(bytes)),
            (_, Ok(text)) => object.put(&["data", key], text),
            (_, Err(_)) => object.put(&["binaryData", key], BASE64.encode(bytes)),
        }
    }
    if data.is_empty() {
        object["data"] = Value::Object(Map::new());
    }
    if kind == "Secret" {
        object["type"] = generator["type"].as_str().unwrap_or("Opaque").into();
    }
    for options in [common, &generator["options"]] {
        for part in ["labels", "annotations"] {
            for (key, value) in options[part].as_object().into_iter().flatten() {
                object.put(&["metadata", part, key], value.clone());
            }
        }
        if options["immutable"] == true {
            object["immutable"] = true.into();
        }
    }
    Ok(object)
}

/// Ten characters that change with the contents, as kustomize makes them: SHA-256 in letters that spell
/// no words. The name does not count.
pub(super) fn content_hash(object: &Value) -> String {
    hash_named(object, "")
}

/// The same as `kubectl create --append-hash` has it, where the name counts.
pub fn hash_named(object: &Value, name: &str) -> String {
    let mut contents = json!({
        "kind": object["kind"],
        "name": name,
        "data": object["data"],
    });
    if !object["binaryData"].is_null() {
        contents["binaryData"] = object["binaryData"].clone();
    }
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
