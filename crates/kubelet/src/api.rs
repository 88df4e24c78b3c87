//! What pods refer to, read from the API.

use std::cell::RefCell;
use std::sync::Arc;

use client::{Client, ListOptions};
use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Secret, Service};
use machinery::time::after;
use machinery::wire::Body;
use machinery::{ApiError, Kind, ObjectKey, Timestamp};
use serde_json::{Value, json};

use crate::objects::{Objects, TokenRequest};

/// Reads from the API each time, except for Services, which are read once for each moment: many
/// containers start at one.
pub struct ApiObjects {
    client: Client,
    services: RefCell<Vec<ServicesAt>>,
    now: Timestamp,
}

/// Services of a namespace as they were at a moment, once they were read.
struct ServicesAt {
    namespace: String,
    time: Option<Timestamp>,
    services: Vec<Arc<Service>>,
}

impl ApiObjects {
    /// Reads through a client.
    pub fn new(client: Client) -> Self {
        Self { client, services: RefCell::default(), now: Timestamp::UNIX_EPOCH }
    }

    /// Sets the moment that reads are made at.
    pub fn at(&mut self, now: Timestamp) {
        self.now = now;
    }

    fn find<K: Kind>(&self, namespace: &str, name: &str) -> Result<Option<Arc<K>>, String> {
        match self.client.get::<K>(&ObjectKey::new(namespace, name)) {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.message().into()),
        }
    }
}

impl Objects for ApiObjects {
    fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Arc<ConfigMap>>, String> {
        self.find(namespace, name)
    }

    fn secret(&self, namespace: &str, name: &str) -> Result<Option<Arc<Secret>>, String> {
        self.find(namespace, name)
    }

    fn services(&self, namespace: &str) -> Result<Vec<Arc<Service>>, String> {
        let mut cache = self.services.borrow_mut();
        let at = match cache.iter().position(|known| known.namespace == namespace) {
            Some(at) => at,
            None => {
                cache.push(ServicesAt { namespace: namespace.into(), time: None, services: Vec::new() });
                cache.len() - 1
            }
        };
        let Some(known) = cache.get_mut(at) else { return Ok(Vec::new()) };
        if known.time != Some(self.now) {
            match self.client.list::<Service>(namespace, &ListOptions::default()) {
                Ok(list) => (known.services, known.time) = (list.items, Some(self.now)),
                // While the API server is away, what was known before holds: containers restart.
                Err(_) if known.time.is_some() => {}
                Err(error) => return Err(error.message().into()),
            }
        }
        Ok(known.services.clone())
    }

    fn claim(&self, namespace: &str, name: &str) -> Result<Option<Arc<PersistentVolumeClaim>>, String> {
        self.find(namespace, name)
    }

    fn volume(&self, name: &str) -> Result<Option<Arc<PersistentVolume>>, String> {
        self.find("", name)
    }

    fn token(&self, request: &TokenRequest<'_>) -> Result<(String, Timestamp), String> {
        let TokenRequest { namespace, service_account, pod_name, pod_uid, audience, expiration_seconds } = *request;
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token");
        let audiences: Vec<&str> = if audience.is_empty() { Vec::new() } else { vec![audience] };
        let body = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": audiences,
                "expirationSeconds": expiration_seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod_name, "uid": pod_uid},
            },
        });
        let fail = |error: &ApiError| format!("failed to fetch token: {}", error.message());
        let response = self
            .client
            .send(Method::POST, &path, "application/json", Body::Bytes(body.to_string().into()))
            .map_err(|error| fail(&error))?;
        let answer: Value = match response.into_body() {
            Body::Object(object) => object.value().unwrap_or_default(),
            Body::Bytes(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            _ => Value::Null,
        };
        let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str);
        let token = text("/status/token").ok_or("failed to fetch token: the answer has none")?;
        let expires = text("/status/expirationTimestamp").and_then(|time| time.parse().ok());
        let asked = u64::try_from(expiration_seconds).unwrap_or_default();
        let expires = expires.unwrap_or_else(|| after(self.now, std::time::Duration::from_secs(asked)));
        Ok((token.into(), expires))
    }
}
