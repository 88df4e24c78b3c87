//! What pods refer to, read from the API.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use client::{Client, ListOptions};
use http::Method;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Secret, Service};
use machinery::time::after;
use machinery::wire::{Body, Expires};
use machinery::{ApiError, Encoded, Kind, ObjectKey, Timestamp};
use serde_json::{Value, json};

use crate::objects::{Objects, TokenRequest};
use crate::runtime::Content;

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

    fn token(&self, request: &TokenRequest<'_>) -> Result<(Content, Timestamp), String> {
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
        let known = response.extensions().get::<Expires>().map(|expires| expires.0);
        let answer = match response.into_body() {
            Body::Object(object) => object,
            Body::Bytes(bytes) => Encoded::from_bytes(bytes),
            _ => return Err("failed to fetch token: the answer is no object".into()),
        };
        let read = |answer: &Encoded, pointer: &str| {
            let value = answer.value().unwrap_or_default();
            value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let Some(expires) = known else {
            let token = read(&answer, "/status/token");
            if token.is_empty() {
                return Err("failed to fetch token: the answer has none".into());
            }
            let asked = u64::try_from(expiration_seconds).unwrap_or_default();
            let expires = read(&answer, "/status/expirationTimestamp").parse();
            return Ok((token.into(), expires.unwrap_or_else(|_| after(self.now, Duration::from_secs(asked)))));
        };
        // The server of this process signs it when the file is first read.
        let signed = OnceLock::<bytes::Bytes>::new();
        let token = move || signed.get_or_init(|| read(&answer, "/status/token").into()).clone();
        Ok((Content::Later(Arc::new(token)), expires))
    }
}
