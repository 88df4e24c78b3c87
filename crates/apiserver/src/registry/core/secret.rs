//! Secret.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use machinery::Timestamp;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::is_config_map_key;
use serde_json::Value;

use crate::registry::shared::defaults::text;
use crate::registry::shared::immutable_data::{self, BYTES_MAX};
use crate::registry::shared::meta::immutable;
use crate::registry::shared::printer::{AGE, NAME, age, column, name};
use crate::registry::shared::validate::keys;
use crate::registry::strategy::{Field, Typed, parts};

/// Secret's strategy.
pub static STRATEGY: Typed<Secret> = Typed {
    defaults,
    validate,
    validate_update,
    fields: &[Field { name: "type", get: |secret| secret.type_.clone().unwrap_or_default() }],
    columns: &[
        NAME,
        column("Type", "string", "What the secret is for."),
        column("Data", "string", "Number of keys."),
        AGE,
    ],
    cells,
    ..Typed::new(parts!(Secret: data, type_, immutable))
};

/// `stringData` is written, never read: it becomes data.
fn defaults(secret: &mut Secret) {
    text(&mut secret.type_, "Opaque");
    if let Some(texts) = secret.string_data.take().filter(|texts| !texts.is_empty()) {
        let data = secret.data.get_or_insert_default();
        data.extend(texts.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes()))));
    }
}

fn cells(secret: &Secret, now: Timestamp) -> Vec<Value> {
    vec![
        name(&secret.metadata),
        secret.type_.clone().unwrap_or_default().into(),
        secret.data.as_ref().map_or(0, |data| data.len()).into(),
        age(&secret.metadata, now),
    ]
}

/// The keys that secrets of a type must have.
fn required_keys(kind: &str) -> &'static [&'static str] {
    match kind {
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        _ => &[],
    }
}

fn validate(secret: &Secret) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("data");
    keys(&mut errors, &path, secret.data.as_ref(), is_config_map_key);
    let bytes: usize = secret.data.iter().flat_map(|data| data.values()).map(|data| data.0.len()).sum();
    if bytes > BYTES_MAX {
        errors.push(Error::too_long(&path, BYTES_MAX));
    }
    let kind = secret.type_.as_deref().unwrap_or_default();
    let value = |key: &str| secret.data.as_ref().and_then(|data| data.get(key));
    for key in required_keys(kind) {
        match value(key) {
            None => errors.push(Error::required(&path.key(key), "")),
            Some(bytes) if kind.starts_with("kubernetes.io/docker") => {
                if let Err(error) = serde_json::from_slice::<Value>(&bytes.0) {
                    let detail = error.to_string();
                    errors.push(Error::invalid(&path.key(key), "<secret contents redacted>", detail));
                }
            }
            Some(_) => {}
        }
    }
    if kind == "kubernetes.io/basic-auth" && value("username").is_none() && value("password").is_none() {
        errors.push(Error::required(&path.key("username"), ""));
        errors.push(Error::required(&path.key("password"), ""));
    }
    if kind == "kubernetes.io/service-account-token" {
        const ACCOUNT: &str = "kubernetes.io/service-account.name";
        let account = secret.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ACCOUNT));
        if account.is_none_or(|name| name.is_empty()) {
            errors.push(Error::required(&Path::new("metadata.annotations").key(ACCOUNT), ""));
        }
    }
    errors
}

fn validate_update(new: &Secret, old: &Secret) -> ErrorList {
    let mut errors = immutable(&new.type_, &old.type_, &Path::new("type"));
    immutable_data::check(&mut errors, (new.immutable, old.immutable), &[("data", new.data != old.data)]);
    errors.extend(validate(new));
    errors
}
