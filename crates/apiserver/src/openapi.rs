//! `/openapi/v2` and `/openapi/v3`: schema as data, dressed as OpenAPI documents.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use http::header::{CACHE_CONTROL, EXPIRES, HeaderValue, LOCATION};
use http::{HeaderMap, StatusCode};
use machinery::schema::{self, Schema};
use machinery::split::NotLoaded;
use machinery::wire::{Body, Response};
use machinery::{ApiError, Timestamp};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::discovery::{Document, cached, groups, resource_list};
use crate::gnostic;
use crate::health::GIT_VERSION;
use crate::negotiate::accepted;
use crate::registry::{self, ResourceInfo};
use crate::request_info::RequestInfo;
use crate::server::{ApiServer, response};

const JSON: &str = "application/json";

/// The dialects differ in where definitions lie.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    V2,
    V3,
}

/// Answers, if the path is one of these.
pub(crate) fn answer(server: &ApiServer, info: &RequestInfo, headers: &HeaderMap) -> Option<Response> {
    let path = info.path.trim_matches('/');
    if path == "openapi/v2" {
        let document = match wanted(headers, gnostic::V2_MEDIA_TYPES) {
            Ok(JSON) => described(server, path.to_owned(), |texts| Document::new(&v2(texts), JSON)),
            Ok(protobuf) => described(server, format!("{path} protobuf"), |texts| {
                Document::of_bytes(gnostic::encode_v2(&v2(texts)), protobuf)
            }),
            Err(error) => return Some(error.into_response()),
        };
        return Some(document.respond(headers));
    }
    let rest = path.strip_prefix("openapi/v3")?;
    let wanted = match wanted(headers, gnostic::V3_MEDIA_TYPES) {
        Ok(wanted) => wanted,
        Err(error) => return Some(error.into_response()),
    };
    if rest.is_empty() {
        return Some(cached(server, path.to_owned(), || Document::new(&index(server), JSON)).respond(headers));
    }
    let (group, version) = match rest.trim_matches('/').split('/').collect::<Vec<_>>().as_slice() {
        ["api", version] => (String::new(), (*version).to_owned()),
        ["apis", group, version] => ((*group).to_owned(), (*version).to_owned()),
        _ => return None,
    };
    if !registry::all().any(|row| row.group == group && row.version == version) {
        return None;
    }
    // Not by the path, of which there are as many spellings as one likes.
    let key = path_of(&group, &version);
    let hash = info.query.get("hash");
    if !hash.is_empty() {
        let known = digest(server, &group, &version);
        if hash != known {
            return Some(moved(&format!("/openapi/v3/{key}?hash={known}")));
        }
    }
    let document = described(server, format!("openapi/v3/{key} {wanted}"), |texts| match wanted {
        JSON => Document::new(&v3(texts, &group, &version), JSON),
        protobuf => Document::of_bytes(gnostic::encode_v3(&v3(texts, &group, &version)), protobuf),
    });
    let mut answer = document.respond(headers);
    if !hash.is_empty() {
        keep(answer.headers_mut(), server.now());
    }
    Some(answer)
}

/// The document is where its hash is: a client that knows another one is told.
fn moved(location: &str) -> Response {
    let mut answer = response(StatusCode::MOVED_PERMANENTLY, "text/html; charset=utf-8", Body::empty());
    if let Ok(location) = HeaderValue::from_str(location) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

/// What has its hash in its address never changes: clients may keep it for a year.
fn keep(headers: &mut HeaderMap, now: Timestamp) {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    let expires = machinery::time::after(now, YEAR).strftime("%a, %d %b %Y %H:%M:%S UTC").to_string();
    if let Ok(expires) = HeaderValue::from_str(&expires) {
        headers.insert(EXPIRES, expires);
    }
}

/// JSON or the first of these spellings of protobuf, whatever the client likes best.
fn wanted(headers: &HeaderMap, protobuf: [&'static str; 2]) -> std::result::Result<&'static str, ApiError> {
    let found = accepted(headers).into_iter().find_map(|range| match range.media_type {
        JSON | "application/*" | "*/*" => Some(JSON),
        other => protobuf.contains(&other).then_some(protobuf[0]),
    });
    found.ok_or_else(|| ApiError::not_acceptable(&[JSON, protobuf[0]]))
}

/// Where each group and version has its document. The hash changes with what the document is made of, so
/// that clients keep what they have as long as it is right.
fn index(server: &ApiServer) -> Value {
    let mut paths = Map::new();
    let mut add = |group: &str, version: &str| {
        let path = path_of(group, version);
        let url = format!("/openapi/v3/{path}?hash={}", digest(server, group, version));
        paths.insert(path, json!({"serverRelativeURL": url}));
    };
    add("", "v1");
    for (group, versions) in groups() {
        versions.iter().for_each(|version| add(group, version));
    }
    json!({"paths": paths})
}

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

/// A hash of what a document is made of: the definitions, their texts, the resources. The document itself,
/// of which there are as many as groups and versions, need not be made for it.
fn digest(server: &ApiServer, group: &str, version: &str) -> String {
    static DEFINITIONS: OnceLock<Vec<u8>> = OnceLock::new();
    let definitions = DEFINITIONS.get_or_init(|| Sha256::digest(schema::openapi_json()).to_vec());
    let mut hash = Sha256::new_with_prefix(definitions);
    hash.update(GIT_VERSION);
    hash.update([u8::from(server.options().descriptions.is_some())]);
    hash.update(resource_list(server, group, version).unwrap_or_default().to_string());
    hash.finalize().iter().map(|byte| format!("{byte:02X}")).collect()
}

fn info() -> Value {
    json!({"title": "Kubernetes", "version": GIT_VERSION})
}

fn v2(texts: &Value) -> Value {
    let mut paths = Map::new();
    registry::all().for_each(|row| add_paths(&mut paths, row, Dialect::V2));
    let mut definitions = Map::new();
    for (name, schema) in schema::builtin().definitions() {
        definitions.insert(name.to_owned(), definition(name, schema, Dialect::V2, texts));
    }
    json!({"swagger": "2.0", "info": info(), "paths": paths, "definitions": definitions})
}

fn v3(texts: &Value, group: &str, version: &str) -> Value {
    let schemas = schema::builtin();
    let mut paths = Map::new();
    let mut reached = BTreeSet::new();
    for row in registry::all().filter(|row| row.group == group && row.version == version) {
        add_paths(&mut paths, row, Dialect::V3);
        if let Some(name) = schemas.name_of(&row.gvk()) {
            reach(name, &mut reached);
        }
    }
    let mut components = Map::new();
    for name in reached {
        if let Some(schema) = schemas.definition(&name) {
            components.insert(name.clone(), definition(&name, schema, Dialect::V3, texts));
        }
    }
    json!({"openapi": "3.0.0", "info": info(), "paths": paths, "components": {"schemas": components}})
}

/// The definitions a definition needs, itself among them.
fn reach(name: &str, reached: &mut BTreeSet<String>) {
    let Some(schema) = schema::builtin().definition(name) else { return };
    if reached.insert(name.to_owned()) {
        references(schema, &mut |name| reach(name, reached));
    }
}

fn references(schema: &Schema, visit: &mut dyn FnMut(&str)) {
    if let Some(name) = schema.definition_name() {
        visit(name);
    }
    schema.properties.values().for_each(|field| references(field, visit));
    schema.additional_properties.iter().chain(&schema.items).for_each(|inner| references(inner, visit));
}

/// A document with texts by definition and field, none of them if the host has none. One that should have them, but they
/// could not be had, is not kept.
fn described(server: &ApiServer, key: String, make: impl FnOnce(&Value) -> Document) -> Document {
    if let Some(made) = server.documents().get(&key) {
        return made.clone();
    }
    match server.options().descriptions.map(|texts| texts()) {
        None => cached(server, key, || make(&Value::Null)),
        Some(Ok(texts)) => cached(server, key, || make(&serde_json::from_slice(&texts).unwrap_or_default())),
        Some(Err(NotLoaded)) => make(&Value::Null),
    }
}

fn definition(name: &str, schema: &Schema, dialect: Dialect, descriptions: &Value) -> Value {
    let texts = descriptions.get(name).unwrap_or(&Value::Null);
    let mut value = match (dialect, name.rsplit('.').next()) {
        // The third version can say that a value is one of two types.
        (Dialect::V3, Some("IntOrString")) => {
            json!({"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"})
        }
        (Dialect::V3, Some("Quantity")) => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        _ => dressed(schema, dialect),
    };
    describe(&mut value, texts.get(""), dialect);
    if let Some(properties) = value.get_mut("properties").and_then(Value::as_object_mut) {
        properties.iter_mut().for_each(|(field, property)| describe(property, texts.get(field), dialect));
    }
    value
}

fn describe(value: &mut Value, text: Option<&Value>, dialect: Dialect) {
    let (Some(fields), Some(text)) = (value.as_object_mut(), text) else { return };
    // Nothing may stand beside a reference in the third version: it goes inside.
    if dialect == Dialect::V3
        && let Some(reference) = fields.remove("$ref")
    {
        fields.insert("allOf".into(), json!([{"$ref": reference}]));
    }
    fields.insert("description".into(), text.clone());
}

/// A schema with its references in the dialect's place.
fn dressed(schema: &Schema, dialect: Dialect) -> Value {
    let mut value = machinery::object::to_value(schema);
    if dialect == Dialect::V3 {
        move_references(&mut value);
    }
    value
}

fn move_references(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get_mut("$ref") {
                *reference = reference.replace("#/definitions/", "#/components/schemas/");
                if fields.len() > 1 {
                    let reference = fields.remove("$ref");
                    fields.insert("allOf".into(), json!([{"$ref": reference}]));
                }
            }
            fields.values_mut().for_each(move_references);
        }
        Value::Array(items) => items.iter_mut().for_each(move_references),
        _ => {}
    }
}

/// The paths of a resource, its collection and its subresources.
fn add_paths(paths: &mut Map<String, Value>, row: &ResourceInfo, dialect: Dialect) {
    let root = match row.group {
        "" => format!("/api/{}", row.version),
        group => format!("/apis/{group}/{}", row.version),
    };
    let namespace = if row.namespaced { "/namespaces/{namespace}" } else { "" };
    let collection = format!("{root}{namespace}/{}", row.resource);
    let kind = json!({"group": row.group, "version": row.version, "kind": row.kind});
    let item = |verbs: &[(&str, &str, &str)], offered: &[&str], kind: &Value, name: &str| {
        let mut item = Map::new();
        for (method, verb, action) in verbs.iter().filter(|(_, verb, _)| offered.contains(verb)) {
            item.insert((*method).into(), operation(row, action, kind, name, verb, dialect));
        }
        Value::Object(item)
    };
    let of_collection =
        &[("get", "list", "list"), ("post", "create", "post"), ("delete", "deletecollection", "deletecollection")];
    let of_object =
        &[("get", "get", "get"), ("put", "update", "put"), ("patch", "patch", "patch"), ("delete", "delete", "delete")];
    let of_subresource = &[
        ("get", "get", "get"),
        ("put", "update", "put"),
        ("patch", "patch", "patch"),
        ("post", "create", "post"),
        ("delete", "delete", "delete"),
    ];
    let mut add = |path: String, value: Value| {
        if value.as_object().is_some_and(|methods| !methods.is_empty()) {
            paths.insert(path, value);
        }
    };
    add(collection.clone(), item(of_collection, row.verbs, &kind, ""));
    if row.namespaced {
        let all = &[("get", "list", "list")];
        add(format!("{root}/{}", row.resource), item(all, row.verbs, &kind, "ForAllNamespaces"));
    }
    add(format!("{collection}/{{name}}"), item(of_object, row.verbs, &kind, ""));
    for sub in row.subresources {
        let kind = match sub.kind {
            "" => kind.clone(),
            kind if sub.version.is_empty() => json!({"group": row.group, "version": row.version, "kind": kind}),
            kind => json!({"group": sub.group, "version": sub.version, "kind": kind}),
        };
        add(format!("{collection}/{{name}}/{}", sub.name), item(of_subresource, sub.verbs, &kind, sub.name));
    }
}

fn operation(row: &ResourceInfo, action: &str, kind: &Value, suffix: &str, verb: &str, dialect: Dialect) -> Value {
    let scope = if row.namespaced && suffix != "ForAllNamespaces" { "Namespaced" } else { "" };
    let id = format!("{action}{}{scope}{}{suffix}", group_id(row), row.kind);
    let parameters: &[(&str, &str)] = match verb {
        "create" | "update" => &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")],
        "patch" => {
            &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("force", "boolean")]
        }
        "delete" | "deletecollection" => &[
            ("dryRun", "string"),
            ("gracePeriodSeconds", "integer"),
            ("orphanDependents", "boolean"),
            ("propagationPolicy", "string"),
        ],
        "list" => &[
            ("allowWatchBookmarks", "boolean"),
            ("continue", "string"),
            ("fieldSelector", "string"),
            ("labelSelector", "string"),
            ("limit", "integer"),
            ("resourceVersion", "string"),
            ("resourceVersionMatch", "string"),
            ("sendInitialEvents", "boolean"),
            ("timeoutSeconds", "integer"),
            ("watch", "boolean"),
        ],
        _ => &[],
    };
    let parameter = |(name, kind): &(&str, &str)| match dialect {
        Dialect::V2 => json!({"name": name, "in": "query", "type": kind, "uniqueItems": true}),
        Dialect::V3 => json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}}),
    };
    json!({
        "operationId": id,
        "parameters": parameters.iter().map(parameter).collect::<Vec<_>>(),
        "responses": {"200": {"description": "OK"}, "401": {"description": "Unauthorized"}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": kind,
    })
}

/// `CoreV1`, `AppsV1`, `RbacAuthorizationV1`: the middle of an operation's id.
fn group_id(row: &ResourceInfo) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    let group = if row.group.is_empty() { "core" } else { row.group.trim_end_matches(".k8s.io") };
    group.split('.').map(capital).collect::<String>() + &capital(row.version)
}
