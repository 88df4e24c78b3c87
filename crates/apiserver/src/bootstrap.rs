//! What is there at birth: namespaces, the Service `kubernetes` with its endpoints, priority classes.

use futures::FutureExt;
use http::{Method, StatusCode};
use machinery::wire::{Body, Origin, Request};
use serde_json::{Value, json};

use crate::server::ApiServer;
use crate::service_allocation::first_address;

/// Namespaces every cluster has.
const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

impl ApiServer {
    /// Creates what every cluster has, as far as it is not there yet, and brings the endpoints of the
    /// Service `kubernetes` to the advertised address. To be called at each start.
    ///
    /// # Errors
    /// With the message of the first object that could not be created.
    pub fn bootstrap(&self) -> Result<(), String> {
        for name in NAMESPACES {
            self.ensure(
                "/api/v1/namespaces",
                json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}}),
            )?;
        }
        for (name, value, description) in [
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
        ] {
            self.ensure(
                "/apis/scheduling.k8s.io/v1/priorityclasses",
                json!({
                    "kind": "PriorityClass",
                    "apiVersion": "scheduling.k8s.io/v1",
                    "metadata": {"name": name},
                    "value": value,
                    "description": description,
                }),
            )?;
        }
        self.ensure_kubernetes_service()
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
