//! Objects a pod refers to: where environment, volumes and pull secrets come from.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Secret, Service};
use machinery::Timestamp;

use crate::runtime::Content;

/// Reads what pods refer to. Errors are messages for the user, such as `configmap "x" not found`.
pub trait Objects {
    /// A ConfigMap; `None` if there is none of that name.
    ///
    /// # Errors
    /// When the API cannot be reached.
    fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Arc<ConfigMap>>, String>;

    /// A Secret; `None` if there is none of that name.
    ///
    /// # Errors
    /// When the API cannot be reached.
    fn secret(&self, namespace: &str, name: &str) -> Result<Option<Arc<Secret>>, String>;

    /// The Services whose addresses a pod of this namespace finds in its environment.
    ///
    /// # Errors
    /// When the API cannot be reached.
    fn services(&self, namespace: &str) -> Result<Vec<Arc<Service>>, String>;

    /// A claim; `None` if there is none of that name.
    ///
    /// # Errors
    /// When the API cannot be reached.
    fn claim(&self, namespace: &str, name: &str) -> Result<Option<Arc<PersistentVolumeClaim>>, String>;

    /// A volume; `None` if there is none of that name.
    ///
    /// # Errors
    /// When the API cannot be reached.
    fn volume(&self, name: &str) -> Result<Option<Arc<PersistentVolume>>, String>;

    /// A token of a ServiceAccount, bound to a pod, and when it expires.
    ///
    /// # Errors
    /// When the API refuses it or cannot be reached.
    fn token(&self, request: &TokenRequest<'_>) -> Result<(Content, Timestamp), String>;
}

/// What a projected token is for.
pub struct TokenRequest<'a> {
    /// Namespace of pod and account.
    pub namespace: &'a str,
    /// The ServiceAccount.
    pub service_account: &'a str,
    /// Pod name.
    pub pod_name: &'a str,
    /// Pod uid.
    pub pod_uid: &'a str,
    /// Audience; empty for the API server.
    pub audience: &'a str,
    /// Asked lifetime.
    pub expiration_seconds: i64,
}
