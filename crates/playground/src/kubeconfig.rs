//! Kubeconfig files: a cluster's own, and the user's, to which it is added.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use kubectl::Endpoint;
use playground_core::kubeconfig as entries;
use serde_json::{Value, json};

use crate::certificates::{Certificates, write_private};

/// A kubeconfig whose cluster, user and context have one name.
pub fn of(name: &str, server: &str, certificates: &Certificates) -> Value {
    let encoded = |text: &str| BASE64.encode(text);
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {
            "certificate-authority-data": encoded(&certificates.authority),
            "server": server,
        }}],
        "users": [{"name": name, "user": {
            "client-certificate-data": encoded(&certificates.administrator.certificate),
            "client-key-data": encoded(&certificates.administrator.key),
        }}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
        "preferences": {},
    })
}

/// Writes a file; it is complete when it appears.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, config: &Value) -> Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    write_private(path, &machinery::yaml::emit(config))
}

/// Reads a file; nothing where there is none.
///
/// # Errors
/// When it cannot be read, or is no YAML.
pub fn read(path: &Path) -> Result<Value> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Value::Null),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    machinery::yaml::from_str(&text).with_context(|| format!("{} is no kubeconfig", path.display()))
}

/// Adds a cluster to the user's file, and makes its context the current one.
///
/// # Errors
/// When the file cannot be read or written.
pub fn add(chosen: Option<&PathBuf>, config: &Value) -> Result<()> {
    let path = users_file(chosen)?;
    let mut contents = entries::or_empty(read(&path)?);
    entries::insert(&mut contents, config);
    write(&path, &contents)
}

/// Takes a cluster out of the user's file.
///
/// # Errors
/// When the file cannot be read or written.
pub fn remove(chosen: Option<&PathBuf>, name: &str) -> Result<()> {
    let path = users_file(chosen)?;
    let before = read(&path)?;
    if before.is_null() {
        return Ok(());
    }
    let mut contents = entries::or_empty(before.clone());
    entries::take_out(&mut contents, name);
    if contents == before { Ok(()) } else { write(&path, &contents) }
}

/// The server of a cluster's own file, and who we are there.
///
/// # Errors
/// When the file is not as it was written.
pub fn endpoint(path: &Path) -> Result<Endpoint> {
    let config = read(path)?;
    let field = |pointer: &str| config.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let decoded = |pointer: &str| BASE64.decode(field(pointer)).context("damaged");
    let read = || -> Result<Endpoint> {
        Ok(Endpoint {
            server: field("/clusters/0/cluster/server"),
            certificate_authority: decoded("/clusters/0/cluster/certificate-authority-data")?,
            client_certificate: decoded("/users/0/user/client-certificate-data")?,
            client_key: decoded("/users/0/user/client-key-data")?,
            ..Endpoint::default()
        })
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

/// The file that was chosen, else the first of $KUBECONFIG, else ~/.kube/config.
fn users_file(chosen: Option<&PathBuf>) -> Result<PathBuf> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let listed = || variable("KUBECONFIG")?.split(':').find(|path| !path.is_empty()).map(PathBuf::from);
    let usual = || variable("HOME").map(|home| Path::new(&home).join(".kube/config"));
    chosen.cloned().or_else(listed).or_else(usual).context("no home directory: say where with --kubeconfig")
}
