//! The API of a cluster that another process serves.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::header::ACCEPT;
use http::{Method, StatusCode};
use kubectl::{Endpoint, SendError};
use machinery::wire::Body;
use serde_json::Value;

use crate::home::Home;
use crate::kubeconfig;
use crate::kubectl::connection::Connections;

/// A client with the administrator's certificate.
pub struct Client {
    endpoint: Endpoint,
    connections: Connections,
}

impl Client {
    /// Of a cluster on this machine.
    ///
    /// # Errors
    /// When its kubeconfig cannot be read.
    pub fn of(home: &Home) -> Result<Self> {
        // Another provider can only be one that was installed before, which serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Ok(Self { endpoint: kubeconfig::endpoint(&home.kubeconfig())?, connections: Connections::default() })
    }

    /// What a path answers.
    ///
    /// # Errors
    /// When there is no answer, or it is not a good one.
    pub async fn get(&self, path: &str) -> Result<Bytes> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// What a request is answered with.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        let request = http::Request::builder().method(method).uri(path).header(ACCEPT, "application/json");
        let answer = self.connections.send(&self.endpoint, request.body(Body::Bytes(body))?).await;
        let answer = answer.map_err(|error| match error {
            SendError::Refused => anyhow::anyhow!("nobody answers at {}", self.endpoint.server),
            SendError::Failed(reason) => anyhow::anyhow!("{reason}"),
        })?;
        let (status, body) = (answer.status(), answer.into_body().collect().await);
        if status != StatusCode::OK {
            bail!("{path}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// A list's items.
    ///
    /// # Errors
    /// As [`Client::get`], and when that is no list.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut list: Value = serde_json::from_slice(&self.get(path).await?)?;
        match list["items"].take() {
            Value::Array(items) => Ok(items),
            _ => None.with_context(|| format!("{path} is no list")),
        }
    }
}
