//! The kubeconfig file by which clients find this cluster.

use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use crate::certificates::{Certificates, write_private};

/// The names of cluster, user and context.
pub const NAME: &str = "playground";

/// Writes the file; it is complete when it appears.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, server: &str, certificates: &Certificates) -> Result<()> {
    let encoded = |text: &str| BASE64.encode(text);
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": {
            "certificate-authority-data": encoded(&certificates.authority),
            "server": server,
        }}],
        "users": [{"name": NAME, "user": {
            "client-certificate-data": encoded(&certificates.administrator.certificate),
            "client-key-data": encoded(&certificates.administrator.key),
        }}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
        "current-context": NAME,
        "preferences": {},
    });
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    write_private(path, &machinery::yaml::emit(&config))
}
