//! Kustomizations.

use serde_json::Value;

use crate::error::Error;
use crate::host::Host;

/// Builds the kustomization of a folder.
///
/// # Errors
/// When there is none.
pub async fn build(host: &dyn Host, folder: &str) -> Result<Vec<Value>, Error> {
    let _ = (host, folder);
    Err(Error::message("kustomize"))
}
