//! Discovery: which groups, versions and resources there are, classic and aggregated.

use bytes::Bytes;
use http::header::{ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{HeaderMap, StatusCode};
use machinery::sort::Order;
use machinery::wire::{Body, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::aggregated::AggregatedResource;
use crate::negotiate::accepted;
use crate::registry::{self, ResourceInfo};
use crate::request_info::RequestInfo;
use crate::server::{ApiServer, response};

/// A document that does not change while the server runs.
#[derive(Clone)]
pub(crate) struct Document {
    bytes: Bytes,
    content_type: &'static str,
    /// SHA-256 of the bytes, in upper-case hex.
    pub(crate) hash: String,
}

const JSON: &str = "application/json";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

impl Document {
    pub(crate) fn new(value: &Value, content_type: &'static str) -> Self {
        let mut text = serde_json::to_vec(value).unwrap_or_default();
        text.push(b'\n');
        Self::of_bytes(text.into(), content_type)
    }

    pub(crate) fn of_bytes(bytes: Bytes, content_type: &'static str) -> Self {
        let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02X}")).collect();
        Self { bytes, content_type, hash }
    }

    /// The document, or 304 if the client has it.
    pub(crate) fn respond(&self, headers: &HeaderMap) -> Response {
        let tag = format!("\"{}\"", self.hash);
        let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let mut answer = if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
            response(StatusCode::NOT_MODIFIED, self.content_type, Body::empty())
        } else {
            response(StatusCode::OK, self.content_type, Body::Bytes(self.bytes.clone()))
        };
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            answer.headers_mut().insert(ETAG, tag);
        }
        answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
        answer
    }
}

/// Gives a document out, made at the first time it is asked for.
pub(crate) fn cached(server: &ApiServer, key: String, make: impl FnOnce() -> Document) -> Document {
    let mut documents = server.documents();
    documents.entry(key).or_insert_with(make).clone()
}

/// Answers, if the path is one of discovery's.
pub(crate) fn answer(server: &ApiServer, info: &RequestInfo, headers: &HeaderMap) -> Option<Response> {
    let path = info.path.trim_matches('/').to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    let aggregated = || {
        accepted(headers).first().is_some_and(|range| {
            range.parameter("g") == "apidiscovery.k8s.io"
                && range.parameter("v") == "v2"
                && range.parameter("as") == "APIGroupDiscoveryList"
        })
    };
    let (key, make): (String, Box<dyn FnOnce() -> Document>) = match parts.as_slice() {
        [""] => (path.clone(), Box::new(|| Document::new(&paths(server), JSON))),
        ["api"] if aggregated() => {
            ("api aggregated".into(), Box::new(|| Document::new(&group_list_v2(server, true), AGGREGATED)))
        }
        ["apis"] if aggregated() => {
            ("apis aggregated".into(), Box::new(|| Document::new(&group_list_v2(server, false), AGGREGATED)))
        }
        ["api"] => (path.clone(), Box::new(|| Document::new(&api_versions(server.address()), JSON))),
        ["apis"] => (path.clone(), Box::new(|| Document::new(&group_list(server), JSON))),
        ["apis", group] => {
            let group = group_of(server, group)?;
            (path.clone(), Box::new(move || Document::new(&with_type(group, "APIGroup"), JSON)))
        }
        ["api", version] => {
            let list = resource_list(server, "", version)?;
            (path.clone(), Box::new(move || Document::new(&list, JSON)))
        }
        ["apis", group, version] => {
            let list = resource_list(server, group, version)?;
            (path.clone(), Box::new(move || Document::new(&list, JSON)))
        }
        _ => return None,
    };
    Some(cached(server, key, make).respond(headers))
}

/// The groups other than the core group with their versions, the preferred first, in discovery's order.
pub(crate) fn groups() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in registry::all().filter(|row| !row.group.is_empty()) {
        let known = match groups.iter().position(|(group, _)| *group == row.group) {
            Some(known) => known,
            None => {
                groups.push((row.group, Vec::new()));
                groups.len() - 1
            }
        };
        if let Some((_, versions)) = groups.get_mut(known)
            && !versions.contains(&row.version)
        {
            versions.push(row.version);
        }
    }
    // Stable versions before their older siblings: v2 before v1, v1 before v1beta1.
    for (_, versions) in &mut groups {
        versions.order_by_key(|version| std::cmp::Reverse(rank(version)));
    }
    groups
}

/// Kubernetes' order of versions: stable over beta over alpha, then by number.
fn rank(version: &str) -> (u8, u32, u32) {
    let rest = version.trim_start_matches('v');
    let number = |text: &str| text.parse().unwrap_or(0);
    if let Some((major, minor)) = rest.split_once("beta") {
        (1, number(major), number(minor))
    } else if let Some((major, minor)) = rest.split_once("alpha") {
        (0, number(major), number(minor))
    } else {
        (2, number(rest), 0)
    }
}

fn with_type(mut value: Value, kind: &str) -> Value {
    value["kind"] = kind.into();
    value["apiVersion"] = "v1".into();
    value
}

fn api_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

fn group_value(group: &str, versions: &[&str]) -> Value {
    let version = |version: &str| json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({
        "name": group,
        "versions": versions.iter().map(|one| version(one)).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(|first| version(first)),
    })
}

fn group_of(server: &ApiServer, name: &str) -> Option<Value> {
    all_groups(server).iter().find(|(group, _)| *group == name).map(|(group, versions)| group_value(group, versions))
}

fn group_list(server: &ApiServer) -> Value {
    let groups: Vec<Value> = all_groups(server).iter().map(|(group, versions)| group_value(group, versions)).collect();
    with_type(json!({"groups": groups}), "APIGroupList")
}

/// The server's own groups, then those that others answer for.
fn all_groups(server: &ApiServer) -> Vec<(&'static str, Vec<&'static str>)> {
    let mut all = groups();
    all.extend(server.aggregated().map(|api| (api.group(), vec![api.version()])));
    all
}

fn aggregated_rows(server: &ApiServer, group: &str, version: &str) -> &'static [AggregatedResource] {
    let mut apis = server.aggregated();
    apis.find(|api| api.group() == group && api.version() == version).map_or(&[], |api| api.resources())
}

fn rows<'a>(group: &'a str, version: &'a str) -> impl Iterator<Item = &'static ResourceInfo> + 'a {
    registry::all().filter(move |row| row.group == group && row.version == version)
}

pub(crate) fn resource_list(server: &ApiServer, group: &str, version: &str) -> Option<Value> {
    let mut resources: Vec<Value> =
        aggregated_rows(server, group, version).iter().map(AggregatedResource::describe).collect();
    for row in rows(group, version) {
        let mut resource = json!({
            "name": row.resource,
            "singularName": row.singular(),
            "namespaced": row.namespaced,
            "kind": row.kind,
            "verbs": row.verbs,
        });
        if !row.short_names.is_empty() {
            resource["shortNames"] = json!(row.short_names);
        }
        if !row.categories.is_empty() {
            resource["categories"] = json!(row.categories);
        }
        if row.is_stored() {
            resource["storageVersionHash"] = storage_version_hash(row).into();
        }
        resources.push(resource);
        for sub in row.subresources {
            let mut resource = json!({
                "name": format!("{}/{}", row.resource, sub.name),
                "singularName": "",
                "namespaced": row.namespaced,
                "kind": if sub.kind.is_empty() { row.kind } else { sub.kind },
                "verbs": sub.verbs,
            });
            if !sub.version.is_empty() && (sub.group, sub.version) != (row.group, row.version) {
                resource["group"] = sub.group.into();
                resource["version"] = sub.version.into();
            }
            resources.push(resource);
        }
    }
    let api_version = machinery::gvk::api_version(group, version);
    let list = json!({"groupVersion": api_version, "resources": resources});
    (!resources.is_empty()).then(|| with_type(list, "APIResourceList"))
}

/// Says in which form objects are stored, in a way that can only be compared.
fn storage_version_hash(row: &ResourceInfo) -> String {
    use base64::Engine;
    let text = format!("{}/{}/{}", row.group, row.version, row.kind);
    let hash = Sha256::digest(text.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(hash.get(..8).unwrap_or_default())
}

fn kind_value(group: &str, version: &str, kind: &str) -> Value {
    json!({"group": group, "version": version, "kind": kind})
}

fn resource_v2(row: &ResourceInfo) -> Value {
    let mut resource = json!({
        "resource": row.resource,
        "responseKind": kind_value(row.group, row.version, row.kind),
        "scope": if row.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": row.singular(),
        "verbs": row.verbs,
    });
    if !row.short_names.is_empty() {
        resource["shortNames"] = json!(row.short_names);
    }
    if !row.categories.is_empty() {
        resource["categories"] = json!(row.categories);
    }
    let subresource = |sub: &registry::SubresourceInfo| {
        let (group, version) = if sub.version.is_empty() { (row.group, row.version) } else { (sub.group, sub.version) };
        let kind = if sub.kind.is_empty() { row.kind } else { sub.kind };
        json!({"subresource": sub.name, "responseKind": kind_value(group, version, kind), "verbs": sub.verbs})
    };
    if !row.subresources.is_empty() {
        resource["subresources"] = row.subresources.iter().map(subresource).collect();
    }
    resource
}

fn group_list_v2(server: &ApiServer, core: bool) -> Value {
    let groups = if core { vec![("", vec!["v1"])] } else { all_groups(server) };
    let item = |(group, versions): &(&str, Vec<&str>)| {
        let version = |version: &&str| {
            let aggregated = aggregated_rows(server, group, version);
            let aggregated = aggregated.iter().map(|resource| resource.describe_v2(group, version));
            let resources: Vec<Value> = rows(group, version).map(resource_v2).chain(aggregated).collect();
            json!({"version": version, "freshness": "Current", "resources": resources})
        };
        let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
        json!({"metadata": metadata, "versions": versions.iter().map(version).collect::<Vec<_>>()})
    };
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": groups.iter().map(item).collect::<Vec<_>>(),
    })
}

/// The paths that `/` lists.
fn paths(server: &ApiServer) -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".into(), "/apis".into()];
    for (group, versions) in all_groups(server) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    let others =
        ["/healthz", "/livez", "/metrics", "/metrics/slis", "/openapi/v2", "/openapi/v3", "/readyz", "/version"];
    paths.extend(others.map(str::to_owned));
    paths.order();
    json!({"paths": paths})
}
