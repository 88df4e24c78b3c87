//! What a container's `valueFrom` means, in words and resolved (upstream's cmd/set/env).

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use machinery::Quantity;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::resources::text;
use crate::session::Session;

/// ConfigMaps and Secrets by their paths, each read once.
pub(super) type Store = Map<String, Value>;

/// `secret db, key password`
pub(super) fn described(from: &Value) -> String {
    for (field, what) in [("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")] {
        if let source @ Value::Object(_) = &from[field] {
            return format!("{what} {}, key {}", text(&source["name"]), text(&source["key"]));
        }
    }
    if let Some(path) = from["fieldRef"]["fieldPath"].as_str() {
        return format!("field path {path}");
    }
    match &from["resourceFieldRef"] {
        Value::Null => "invalid valueFrom".into(),
        source => match text(&source["containerName"]) {
            container if container.is_empty() => format!("resource field {}", text(&source["resource"])),
            container => format!("resource field {container}/{}", text(&source["resource"])),
        },
    }
}

/// The value itself. `object` has the container.
///
/// # Errors
/// What is not there or not supported.
pub(super) async fn resolved(
    session: &Session<'_>,
    store: &mut Store,
    from: &Value,
    object: &Value,
    container: &Value,
) -> Result<String, Error> {
    for (field, plural, what) in
        [("secretKeyRef", "secrets", "secret"), ("configMapKeyRef", "configmaps", "config map")]
    {
        let source = &from[field];
        if source.is_null() {
            continue;
        }
        let (name, key) = (text(&source["name"]), text(&source["key"]));
        let path = format!("/api/v1/namespaces/{}/{plural}/{name}", session.namespace().await?.0);
        if !store.contains_key(&path) {
            let found = session.client().await?.get(path.as_str()).await?;
            store.insert(path.clone(), found);
        }
        let value = store.get(&path).and_then(|found| found["data"][&key].as_str());
        let value = value.ok_or_else(|| Error::message(format!("key {key} not found in {what} {name}")))?;
        return match what {
            "secret" => {
                let bytes = BASE64.decode(value).map_err(|error| Error::message(error.to_string()))?;
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => Ok(value.to_owned()),
        };
    }
    if let Some(path) = from["fieldRef"]["fieldPath"].as_str() {
        return field(object, path);
    }
    match from["resourceFieldRef"].is_null() {
        true => Err(Error::message("invalid valueFrom")),
        false => amount(&from["resourceFieldRef"], container),
    }
}

fn field(object: &Value, path: &str) -> Result<String, Error> {
    let metadata = &object["metadata"];
    if let Some((map, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        return match map.strip_prefix("metadata.") {
            Some(map @ ("labels" | "annotations")) => Ok(text(&metadata[map][key])),
            _ => Err(Error::message(format!("fieldPath {map:?} does not support subscript"))),
        };
    }
    match path.strip_prefix("metadata.") {
        Some(map @ ("labels" | "annotations")) => {
            let pairs = metadata[map].as_object().into_iter().flatten();
            let lines: Vec<String> =
                pairs.map(|(key, value)| format!("{key}={}", machinery::go::quote(&text(value)))).collect();
            Ok(lines.join("\n"))
        }
        Some(name @ ("name" | "namespace" | "uid")) => Ok(text(&metadata[name])),
        _ => Err(Error::message(format!("unsupported fieldPath: {path}"))),
    }
}

/// A container's limit or request in units of the divisor, rounded up.
fn amount(source: &Value, container: &Value) -> Result<String, Error> {
    let resource = text(&source["resource"]);
    let unsupported = || Error::message(format!("Unsupported container resource : {resource}"));
    let (kind, name) = resource.split_once('.').ok_or_else(unsupported)?;
    let known = matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-");
    if !known || !matches!(kind, "limits" | "requests") {
        return Err(unsupported());
    }
    let quantity = |value: &Value| value.as_str().and_then(|text| Quantity::parse(text).ok());
    let amount = quantity(&container["resources"][kind][name]).map_or(0.0, |amount| amount.as_f64());
    let divisor = quantity(&source["divisor"]).map_or(0.0, |divisor| divisor.as_f64());
    let divisor = if divisor == 0.0 { 1.0 } else { divisor };
    Ok(format!("{:.0}", (amount / divisor).ceil()))
}
