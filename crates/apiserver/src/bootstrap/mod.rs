//! What is there at birth: namespaces, roles and bindings, priority classes, flow control, the API's own
//! groups, the Service `kubernetes` with its endpoints.

mod api_services;
mod flowcontrol;
mod rbac;

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use http::{Method, StatusCode};
use machinery::GroupVersionKind;
use machinery::wire::{Body, Origin, Request};
use serde_json::{Value, json};
use store::{Compare, Op, Relation, Target, Txn};

use crate::registry::{self, ResourceInfo};
use crate::server::ApiServer;
use crate::service_allocation::first_address;
use crate::storage;

/// Namespaces every cluster has.
const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

/// Name, value and description of the priority classes every cluster has.
const PRIORITY_CLASSES: [(&str, i32, &str); 2] = [
    (
        "system-cluster-critical",
        2_000_000_000,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
    (
        "system-node-critical",
        2_000_001_000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
];

impl ApiServer {
    /// Creates what every cluster has, as far as it is not there yet, and brings the endpoints of the
    /// Service `kubernetes` to the advertised address. To be called at each start.
    ///
    /// # Errors
    /// With the message of the first object that could not be created.
    pub fn bootstrap(&self) -> Result<(), String> {
        self.give_birth()?;
        self.ensure_kubernetes_service()
    }

    /// Writes what is not there yet, all at once.
    fn give_birth(&self) -> Result<(), String> {
        let snapshot = self.store().snapshot();
        let mut txn = Txn::default();
        for value in self.objects() {
            let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let gvk = GroupVersionKind::from_api_version(text("/apiVersion"), text("/kind"));
            let row = registry::by_kind(&gvk.group, &gvk.version, &gvk.kind)
                .ok_or_else(|| format!("there is no kind {}", gvk.kind))?;
            let key = storage::key(row, text("/metadata/namespace"), text("/metadata/name"));
            if snapshot.get(&key).is_none() {
                let key: Arc<str> = key.into();
                txn.compare.push(Compare {
                    key: key.clone(),
                    target: Target::ModRevision(0),
                    relation: Relation::Equal,
                });
                txn.then
                    .push(Op::put(key.clone(), self.newborn(row, value).map_err(|error| format!("{key}: {error}"))?));
            }
        }
        if txn.then.is_empty() {
            return Ok(());
        }
        match self.store().txn(txn, store::Origin::new("kube-apiserver")) {
            Ok(response) if response.succeeded => Ok(()),
            Ok(_) => Err("somebody else writes into the store".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// An object as it is stored.
    fn newborn(&self, row: &ResourceInfo, mut value: Value) -> Result<Bytes, String> {
        let status = value.as_object_mut().and_then(|fields| fields.remove("status"));
        let decode = |value| row.strategy.decode(value).map_err(|error| error.to_string());
        let mut object = decode(value)?;
        row.strategy.default(&mut *object);
        let metadata = object.metadata_mut();
        metadata.uid = Some(self.rng().uuid());
        metadata.creation_timestamp = Some(machinery::time::meta_time(self.now()));
        let errors = row.before_create(&mut *object);
        if !errors.is_empty() {
            return Err(machinery::field::aggregate(&errors));
        }
        if let Some(status) = status {
            let mut value = object.to_value();
            value["status"] = status;
            object = decode(value)?;
        }
        Ok(storage::plain(&mut *object))
    }

    /// What is there at birth, but for what needs more than being written.
    fn objects(&self) -> Vec<Value> {
        let now = machinery::time::format_seconds(self.now());
        let object = |api_version: &str, kind: &str, name: &str, mut fields: Value| {
            fields["apiVersion"] = api_version.into();
            fields["kind"] = kind.into();
            fields["metadata"]["name"] = name.into();
            fields
        };
        let mut objects: Vec<Value> = Vec::new();
        objects.extend(NAMESPACES.iter().map(|name| object("v1", "Namespace", name, json!({}))));
        objects.extend(rbac::objects());
        objects.extend(flowcontrol::objects());
        objects.extend(api_services::objects(self, &now));
        objects.extend(PRIORITY_CLASSES.iter().map(|(name, value, description)| {
            let fields = json!({"value": value, "description": description});
            object("scheduling.k8s.io/v1", "PriorityClass", name, fields)
        }));
        objects.push(object(
            "networking.k8s.io/v1",
            "ServiceCIDR",
            "kubernetes",
            json!({
                "metadata": {"finalizers": ["networking.k8s.io/service-cidr-finalizer"]},
                "spec": {"cidrs": [self.options().service_cidr]},
                "status": {"conditions": [{
                    "type": "Ready", "status": "True", "reason": "", "message": "Kubernetes Service CIDR is ready",
                    "lastTransitionTime": now,
                }]},
            }),
        ));
        objects.push(object(
            "v1",
            "ConfigMap",
            "kube-apiserver-legacy-service-account-token-tracking",
            json!({"metadata": {"namespace": "kube-system"}, "data": {"since": now.split('T').next()}}),
        ));
        objects
    }

    /// Makes the Service `kubernetes` and its endpoints anew where somebody has deleted them (upstream: the
    /// kubernetesservice controller).
    pub fn keep_kubernetes_service(&self) {
        const OBJECTS: [(&str, &str); 3] =
            [("", "services"), ("", "endpoints"), ("discovery.k8s.io", "endpointslices")];
        let snapshot = self.store().snapshot();
        let is_there = |(group, resource): &(&str, &str)| {
            registry::all()
                .find(|row| row.group == *group && row.resource == *resource)
                .is_some_and(|row| snapshot.get(&storage::key(row, "default", "kubernetes")).is_some())
        };
        if !OBJECTS.iter().all(is_there) {
            // What fails now is tried again at the next look.
            let _ = self.ensure_kubernetes_service();
        }
    }

    fn ensure_kubernetes_service(&self) -> Result<(), String> {
        let options = self.options();
        let cluster_ip = first_address(&options.service_cidr).map(|ip| ip.to_string());
        let address = options.advertise_address.to_string();
        let port = options.advertise_port;
        self.ensure(
            "/api/v1/namespaces/default/services",
            json!({
                "kind": "Service",
                "apiVersion": "v1",
                "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
                "spec": {
                    "clusterIP": cluster_ip,
                    "type": "ClusterIP",
                    "sessionAffinity": "None",
                    "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}],
                },
            }),
        )?;
        let endpoints = json!({
            "kind": "Endpoints",
            "apiVersion": "v1",
            "metadata": {"name": "kubernetes", "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
            "subsets": [{"addresses": [{"ip": address}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}],
        });
        self.put("/api/v1/namespaces/default/endpoints", endpoints)?;
        let slice = json!({
            "kind": "EndpointSlice",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {"name": "kubernetes", "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
            "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        });
        self.put("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice)
    }

    /// Creates an object unless one of its name is there.
    fn ensure(&self, collection: &str, object: Value) -> Result<(), String> {
        match self.send(Method::POST, collection, &object)? {
            StatusCode::CREATED | StatusCode::CONFLICT => Ok(()),
            code => Err(format!("POST {collection}: {code}")),
        }
    }

    /// Creates an object, or replaces the one of its name.
    fn put(&self, collection: &str, object: Value) -> Result<(), String> {
        if self.send(Method::POST, collection, &object)? == StatusCode::CREATED {
            return Ok(());
        }
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        match self.send(Method::PUT, &format!("{collection}/{name}"), &object)? {
            StatusCode::OK => Ok(()),
            code => Err(format!("PUT {collection}/{name}: {code}")),
        }
    }

    fn send(&self, method: Method, path: &str, object: &Value) -> Result<StatusCode, String> {
        let mut request = Request::new(Body::Bytes(object.to_string().into()));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|error| format!("{path}: {error}"))?;
        request.headers_mut().insert(http::header::USER_AGENT, http::HeaderValue::from_static("kube-apiserver"));
        request.extensions_mut().insert(crate::auth::UserInfo::new("system:apiserver", &["system:masters"]));
        request.extensions_mut().insert(Origin { writer: "kube-apiserver".into(), ..Origin::default() });
        let response = self.handle(request).now_or_never().ok_or("a plain request waited")?;
        let code = response.status();
        if !code.is_success() && code != StatusCode::CONFLICT {
            let body = response.into_body().collect().now_or_never().unwrap_or_default();
            return Err(format!("{path}: {code}: {}", String::from_utf8_lossy(&body)));
        }
        Ok(code)
    }
}
