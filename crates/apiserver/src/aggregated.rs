//! API groups that another server of the same process answers for, as kube-aggregator has it.

use http::StatusCode;
use machinery::ApiError;
use machinery::wire::{Body, Response};
use serde_json::{Value, json};

use crate::request_info::RequestInfo;
use crate::server::{ApiServer, response};

/// One version of an API group that is answered elsewhere, at once and read-only.
pub trait AggregatedApi: Send + Sync {
    /// The group, such as `metrics.k8s.io`.
    fn group(&self) -> &'static str;

    /// The version, such as `v1beta1`.
    fn version(&self) -> &'static str;

    /// The Service in `kube-system` that serves it, such as `metrics-server`.
    fn service(&self) -> &'static str;

    /// Its resources, for discovery.
    fn resources(&self) -> &'static [AggregatedResource];

    /// Answers a `get` or a `list` of one of its resources.
    ///
    /// # Errors
    /// As any API server: 404 for an object that does not exist, 400 for a selector that cannot be read.
    fn read(&self, request: &RequestInfo) -> Result<Value, ApiError>;
}

/// A resource of an [`AggregatedApi`].
#[derive(Clone, Copy, Debug)]
pub struct AggregatedResource {
    /// Lower-case plural.
    pub name: &'static str,
    /// Lower-case singular; often empty for aggregated APIs.
    pub singular: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

/// What all of them can do.
const VERBS: [&str; 2] = ["get", "list"];

impl AggregatedResource {
    /// As an entry of an `APIResourceList`.
    pub(crate) fn describe(&self) -> Value {
        json!({
            "name": self.name,
            "singularName": self.singular,
            "namespaced": self.namespaced,
            "kind": self.kind,
            "verbs": VERBS,
        })
    }

    /// As an entry of an `APIVersionDiscovery`.
    pub(crate) fn describe_v2(&self, group: &str, version: &str) -> Value {
        json!({
            "resource": self.name,
            "responseKind": {"group": group, "version": version, "kind": self.kind},
            "scope": if self.namespaced { "Namespaced" } else { "Cluster" },
            "singularResource": self.singular,
            "verbs": VERBS,
        })
    }
}

/// Answers a request if an aggregated API owns it.
pub(crate) fn answer(server: &ApiServer, info: &RequestInfo) -> Option<Result<Response, ApiError>> {
    let api = server.aggregated().find(|api| api.group() == info.group && api.version() == info.version)?;
    let known = api.resources().iter().find(|resource| resource.name == info.resource);
    if known.is_none() || !info.subresource.is_empty() {
        return None;
    }
    if !VERBS.contains(&info.verb.as_str()) {
        let message = "the server does not allow this method on the requested resource";
        return Some(Err(ApiError::new(405, "MethodNotAllowed", message)));
    }
    Some(api.read(info).map(|value| {
        let bytes = serde_json::to_vec(&value).unwrap_or_default();
        response(StatusCode::OK, "application/json", Body::Bytes(bytes.into()))
    }))
}
