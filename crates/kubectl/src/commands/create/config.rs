//! Generators of ConfigMaps and Secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value, json};

use super::{Generated, generated, name};
use crate::error::Error;
use crate::session::Session;

/// Keys and their contents, from `--from-literal`, `--from-file` and `--from-env-file`.
async fn contents(session: &Session<'_>) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let args = &session.args;
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    let alone = args.list("from-file").is_empty() && args.list("from-literal").is_empty();
    if !alone && !args.list("from-env-file").is_empty() {
        return Err(Error::message("from-env-file cannot be combined with from-file or from-literal"));
    }
    for source in args.list("from-file") {
        if source.matches('=').count() > 1 {
            return Err(Error::message("key names or file paths cannot contain '='"));
        }
        let (key, path) = match source.split_once('=') {
            Some((key, path)) => (Some(key), path),
            None => (None, source.as_str()),
        };
        if key == Some("") {
            return Err(Error::message(format!("key name for file path {path} missing")));
        }
        if path.is_empty() {
            return Err(Error::message(format!("file path for key name {} missing", key.unwrap_or_default())));
        }
        if let Ok(entries) = session.host.read_dir(path).await {
            if key.is_some() {
                return Err(Error::message("cannot give a key name for a directory path"));
            }
            for entry in entries.into_iter().filter(|entry| !entry.is_dir) {
                let file = format!("{}/{}", path.trim_end_matches('/'), entry.name);
                found.push((entry.name, read(session, &file).await?));
            }
            continue;
        }
        let key = key.unwrap_or_else(|| path.rsplit('/').next().unwrap_or(path));
        found.push((key.to_owned(), read(session, path).await?));
    }
    for literal in args.list("from-literal") {
        let (key, value) = literal
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| Error::message(format!("invalid literal source {literal}, expected key=value")))?;
        found.push((key.to_owned(), value.as_bytes().to_vec()));
    }
    for path in args.list("from-env-file") {
        if session.host.read_dir(path).await.is_ok() {
            return Err(Error::message("env config file cannot be a directory"));
        }
        let text = String::from_utf8_lossy(&read(session, path).await?).into_owned();
        for line in text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (key, value) = match line.split_once('=') {
                Some((key, value)) => (key.to_owned(), value.to_owned()),
                None => (line.to_owned(), session.host.env(line).unwrap_or_default()),
            };
            if let Some(problem) = variable_problem(&key) {
                return Err(Error::message(format!("{key:?} is not a valid key name: {problem}")));
            }
            found.push((key, value.into_bytes()));
        }
    }
    for (index, (key, _)) in found.iter().enumerate() {
        let is_config_map = session.args.command.name() == "configmap";
        if let Some(problem) = key_problem(key) {
            return Err(Error::message(match is_config_map {
                true => format!("{key:?} is not a valid key name for a ConfigMap: {problem}"),
                false => format!("{key:?} is not valid key name for a Secret {problem}"),
            }));
        }
        if found.iter().take(index).any(|(other, _)| other == key) {
            let name = session.args.args.first().map_or("", String::as_str);
            return Err(Error::message(match is_config_map {
                true => format!(
                    "cannot add key {key:?}, another key by that name already exists in Data for ConfigMap {name:?}"
                ),
                false => format!("cannot add key {key}, another key by that name already exists"),
            }));
        }
    }
    Ok(found)
}

/// Why a name may not be one of an environment variable.
fn variable_problem(name: &str) -> Option<&'static str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name {
        name if !name.is_empty() && name.chars().all(is_part) && !name.starts_with(|c: char| c.is_ascii_digit()) => {
            None
        }
        _ => Some(
            "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and \
             must not start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for \
             validation is '[-._a-zA-Z][-._a-zA-Z0-9]*')",
        ),
    }
}

/// Why a key may not be one.
fn key_problem(key: &str) -> Option<&'static str> {
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match key {
        "." => Some("must not be '.'"),
        ".." => Some("must not be '..'"),
        _ if key.starts_with("..") => Some("must not start with '..'"),
        _ if key.chars().all(is_key) => None,
        _ => Some(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or \
             'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
        ),
    }
}

async fn read(session: &Session<'_>, path: &str) -> Result<Vec<u8>, Error> {
    let bytes = session
        .host
        .read_file(path)
        .await
        .map_err(|error| Error::message(format!("error reading {path}: {}", error.as_str())))?;
    Ok(bytes.to_vec())
}

pub(super) async fn config_map(session: &Session<'_>) -> Result<Generated, Error> {
    let name = name(session)?;
    let (mut data, mut binary) = (Map::new(), Map::new());
    for (key, bytes) in contents(session).await? {
        match String::from_utf8(bytes) {
            Ok(text) => data.insert(key, text.into()),
            Err(error) => binary.insert(key, BASE64.encode(error.as_bytes()).into()),
        };
    }
    let mut fields = json!({});
    if !data.is_empty() {
        fields["data"] = Value::Object(data);
    }
    if !binary.is_empty() {
        fields["binaryData"] = Value::Object(binary);
    }
    let name = hashed(session, "ConfigMap", name, &fields);
    Ok(generated("v1", "ConfigMap", "configmaps", true, &name, fields))
}

/// The name, with what `--append-hash` adds to it.
fn hashed(session: &Session<'_>, kind: &str, name: &str, fields: &Value) -> String {
    if !session.args.bool("append-hash") {
        return name.to_owned();
    }
    let mut object = fields.clone();
    object["kind"] = kind.into();
    if object["data"].is_null() {
        object["data"] = json!({});
    }
    format!("{name}-{}", crate::kustomize::hash_named(&object, name))
}

fn secret_of(session: &Session<'_>, name: &str, kind: &str, contents: Vec<(String, Vec<u8>)>) -> Generated {
    let data: Map<String, Value> =
        contents.into_iter().map(|(key, bytes)| (key, BASE64.encode(bytes).into())).collect();
    let mut fields = json!({});
    if !data.is_empty() {
        fields["data"] = Value::Object(data);
    }
    if !kind.is_empty() {
        fields["type"] = kind.into();
    }
    let name = hashed(session, "Secret", name, &fields);
    generated("v1", "Secret", "secrets", true, &name, fields)
}

pub(super) async fn secret(session: &Session<'_>) -> Result<Generated, Error> {
    let name = name(session)?;
    Ok(secret_of(session, name, session.args.string("type"), contents(session).await?))
}

pub(super) async fn tls(session: &Session<'_>) -> Result<Generated, Error> {
    let name = name(session)?;
    let (key, cert) = (session.args.string("key"), session.args.string("cert"));
    if key.is_empty() || cert.is_empty() {
        return Err(Error::message("key and cert must be specified"));
    }
    let open = async |path: &str| {
        let bytes = session.host.read_file(path).await;
        bytes.map_err(|error| Error::message(format!("Cannot read file {path}, open {path}: {}", error.as_str())))
    };
    let cert = open(cert).await?;
    let key = open(key).await?;
    crate::key_pair::check(&cert, &key).map_err(Error::message)?;
    let data = vec![("tls.crt".to_owned(), cert.to_vec()), ("tls.key".to_owned(), key.to_vec())];
    Ok(secret_of(session, name, "kubernetes.io/tls", data))
}

pub(super) async fn docker_registry(session: &Session<'_>) -> Result<Generated, Error> {
    const TYPE: &str = "kubernetes.io/dockerconfigjson";
    let name = name(session)?;
    let args = &session.args;
    if args.changed("from-file") {
        let mut files = contents(session).await?;
        // A file by itself is the configuration, whatever its name.
        if let [(key, _)] = files.as_mut_slice() {
            ".dockerconfigjson".clone_into(key);
        }
        return Ok(secret_of(session, name, TYPE, files));
    }
    let (user, password) = (args.string("docker-username"), args.string("docker-password"));
    let (server, email) = (args.string("docker-server"), args.string("docker-email"));
    if user.is_empty() || password.is_empty() || server.is_empty() {
        return Err(Error::message(
            "either --from-file or the combination of --docker-username, --docker-password and --docker-server is \
             required",
        ));
    }
    let quoted = |text: &str| machinery::go::json(&text.into());
    let email = if email.is_empty() { String::new() } else { format!(",\"email\":{}", quoted(email)) };
    let auth = BASE64.encode(format!("{user}:{password}"));
    let text = format!(
        "{{\"auths\":{{{}:{{\"username\":{},\"password\":{}{email},\"auth\":\"{auth}\"}}}}}}",
        quoted(server),
        quoted(user),
        quoted(password)
    );
    Ok(secret_of(session, name, TYPE, vec![(".dockerconfigjson".into(), text.into_bytes())]))
}
