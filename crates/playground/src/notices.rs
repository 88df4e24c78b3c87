//! Events about ports of this machine that the cluster is to have and something else has.

use std::io;

use apiserver::UserInfo;
use machinery::wire::Body;
use playground_core::PublicApi;
use serde_json::{Value, json};

use crate::ingress;

/// Who has ports of `localhost`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Node ports and load balancers.
    Services,
    /// Port 80, and 443 where TLS is spoken.
    Ingresses,
}

impl Owners {
    /// Their kind, its version, and where all of them are.
    fn kind(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Services => ("Service", "v1", "/api/v1/services"),
            Self::Ingresses => ("Ingress", "networking.k8s.io/v1", "/apis/networking.k8s.io/v1/ingresses"),
        }
    }

    /// Reason and message for one that has this port, and cannot because of `error`; none if it does not have it.
    fn trouble(self, object: &Value, port: u16, error: &str) -> Option<(&'static str, String)> {
        const UNAVAILABLE: &str = "PortUnavailable";
        let error = format!("listen tcp 127.0.0.1:{port}: bind: {error}");
        let plain = || Some((UNAVAILABLE, format!("can't open port {port} of localhost: {error}")));
        if self == Self::Ingresses {
            return ingress::PORTS.contains(&port).then(plain).flatten();
        }
        let spec = &object["spec"];
        let has = |name: &str| spec["ports"].as_array().into_iter().flatten().any(|each| each[name] == port);
        if spec["type"] == "LoadBalancer" && has("port") {
            // As the service controller says it of any cloud.
            let message = format!("Error syncing load balancer: failed to ensure load balancer: {error}");
            return Some(("SyncLoadBalancerFailed", message));
        }
        has("nodePort").then(plain).flatten()
    }
}

/// Tells objects by events.
pub struct Notices {
    /// Where the events go.
    pub api: PublicApi,
    /// Whom a port may concern.
    pub owners: Vec<Owners>,
}

impl Notices {
    /// A port cannot be opened: whoever has it in the cluster is told, and who serves.
    pub async fn cannot_open(&self, port: u16, error: &io::Error) {
        eprintln!("warning: port {port} of the cluster's localhost cannot be opened on this machine: {error}");
        // In the words of Go's listener.
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => "address already in use".into(),
            io::ErrorKind::PermissionDenied => "permission denied".into(),
            _ => error.to_string(),
        };
        for owners in &self.owners {
            let (kind, version, path) = owners.kind();
            let mut list = self.ask("GET", path, None).await;
            for object in list["items"].as_array_mut().into_iter().flatten() {
                let Some((reason, message)) = owners.trouble(object, port, &why) else { continue };
                let (mut about, now) = (object["metadata"].take(), self.api.now());
                // As upstream's recorder names them.
                let name = format!("{}.{:x}", about["name"].as_str().unwrap_or_default(), now.as_nanosecond());
                let event = json!({
                    "apiVersion": "v1",
                    "kind": "Event",
                    "metadata": { "name": name },
                    "involvedObject": {
                        "kind": kind,
                        "apiVersion": version,
                        "namespace": about["namespace"],
                        "name": about["name"].take(),
                        "uid": about["uid"].take(),
                        "resourceVersion": about["resourceVersion"].take(),
                    },
                    "type": "Warning",
                    "reason": reason,
                    "message": message,
                    "count": 1,
                    "firstTimestamp": now,
                    "lastTimestamp": now,
                    "source": { "component": "playground" },
                    "reportingComponent": "playground",
                });
                let namespace = about["namespace"].as_str().unwrap_or_default();
                self.ask("POST", &format!("/api/v1/namespaces/{namespace}/events"), Some(&event)).await;
            }
        }
    }

    /// What the API answers; nobody is told where it does not.
    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = http::Request::builder().method(method).uri(path).extension(UserInfo::admin());
        let Ok(request) = request.body(Body::Bytes(body.into())) else { return Value::Null };
        let answer = self.api.handle(request).await;
        let (refused, body) = (!answer.status().is_success(), answer.into_body().collect().await);
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        if refused {
            tracing::warn!("{method} {path}, about a port: {}", said["message"]);
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_concerns_who_has_it() {
        let service = |kind: &str| json!({ "spec": { "type": kind, "ports": [{ "port": 80, "nodePort": 30080 }] } });
        let told = |owners: Owners, object: &Value, port| {
            owners.trouble(object, port, "address already in use").map(|(reason, _)| reason)
        };
        let (balanced, plain) = (service("LoadBalancer"), service("NodePort"));
        assert_eq!(told(Owners::Services, &balanced, 80), Some("SyncLoadBalancerFailed"));
        assert_eq!(told(Owners::Services, &balanced, 30080), Some("PortUnavailable"));
        assert_eq!(told(Owners::Services, &plain, 30080), Some("PortUnavailable"));
        assert_eq!(told(Owners::Services, &plain, 80), None);
        assert_eq!(told(Owners::Ingresses, &json!({}), 80), Some("PortUnavailable"));
        assert_eq!(told(Owners::Ingresses, &json!({}), 8080), None);
    }
}
