//! kubeconfig: which clusters there are, who we are there, and which context is current.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use machinery::sort::Order;
use serde_json::{Value, json};

use crate::args::Invocation;
use crate::credentials::credentials;
use crate::error::Error;
use crate::host::{FileError, Host};
use crate::resources::{items, text};
use crate::value::ValueExt;
use crate::yaml;

/// The cluster and the user that a request is for, from the kubeconfig and the flags that override it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// The context's name; empty where there is no kubeconfig.
    pub context: String,
    /// `https://127.0.0.1:6443`
    pub server: String,
    /// PEM of the certificate authority to trust; empty for the system's.
    pub certificate_authority: Vec<u8>,
    /// Whether to accept any certificate.
    pub insecure_skip_tls_verify: bool,
    /// Name to expect in the server's certificate, where it differs from the host.
    pub tls_server_name: String,
    /// PEM of the client certificate.
    pub client_certificate: Vec<u8>,
    /// PEM of its key.
    pub client_key: Vec<u8>,
}

/// Where to send requests, in which namespace, and with which headers.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The server.
    pub endpoint: Endpoint,
    /// Namespace for commands that name none.
    pub namespace: String,
    /// `Authorization` and `Impersonate-*` headers.
    pub headers: Vec<(String, String)>,
    /// How long a request may take; `None` for as long as it does.
    pub request_timeout: Option<Duration>,
    /// How much to say about requests: `-v`.
    pub verbosity: i64,
}

/// The kubeconfig files and what they say together.
pub struct Kubeconfig {
    /// `(path, contents)`; `None` for a file that does not exist.
    pub files: Vec<(String, Option<Value>)>,
    /// All files together; what comes first wins.
    pub merged: Value,
}

/// The three lists of a kubeconfig, and the key of the payload in each.
pub const SECTIONS: [(&str, &str); 3] = [("clusters", "cluster"), ("contexts", "context"), ("users", "user")];

impl Kubeconfig {
    /// Reads `--kubeconfig`, else the files of `$KUBECONFIG`, else `~/.kube/config`.
    ///
    /// # Errors
    /// When `--kubeconfig` does not exist, or a file is not a kubeconfig.
    pub async fn load(host: &dyn Host, args: &Invocation) -> Result<Self, Error> {
        let explicit = args.string("kubeconfig");
        let home = host.env("HOME").unwrap_or_default();
        let paths: Vec<String> = match (explicit, host.env("KUBECONFIG")) {
            ("", Some(list)) if !list.is_empty() => {
                list.split(':').filter(|path| !path.is_empty()).map(str::to_owned).collect()
            }
            ("", _) => vec![format!("{home}/.kube/config")],
            (path, _) => vec![path.to_owned()],
        };
        let mut files = Vec::new();
        for path in paths {
            let contents = match host.read_file(&path).await {
                Ok(bytes) => Some(parse(&path, &bytes)?),
                // `config` commands may make the file that --kubeconfig names.
                Err(FileError::NotFound) if explicit.is_empty() || args.command.path.starts_with("config ") => None,
                Err(FileError::NotFound) => {
                    return Err(Error::message(format!("stat {path}: no such file or directory")));
                }
                Err(error) => {
                    return Err(Error::message(format!(
                        "error loading config file {path:?}: open {path}: {}",
                        error.as_str()
                    )));
                }
            };
            files.push((path, contents));
        }
        let merged = merge(files.iter().filter_map(|(_, contents)| contents.as_ref()));
        Ok(Self { files, merged })
    }

    /// The payload of an entry, such as the `context` named `kind`.
    pub fn entry(&self, section: &str, name: &str) -> Option<&Value> {
        let (_, key) = SECTIONS.iter().find(|(known, _)| *known == section)?;
        let found = self.merged[section].as_array()?.iter().find(|entry| entry["name"] == name)?;
        Some(&found[*key])
    }

    /// The context in use: `--context`, else `current-context`.
    pub fn context<'a>(&'a self, args: &'a Invocation) -> &'a str {
        match args.global("context") {
            "" => self.merged["current-context"].as_str().unwrap_or_default(),
            context => context,
        }
    }

    /// Resolves context, cluster, user and the flags that override them.
    ///
    /// # Errors
    /// When a name does not exist, or a file it points to cannot be read.
    pub async fn target(&self, host: &dyn Host, args: &Invocation) -> Result<Target, Error> {
        let context_name = self.context(args);
        let empty = Value::Null;
        let context = match self.entry("contexts", context_name) {
            Some(context) => context,
            None if !args.global("context").is_empty() => {
                return Err(Error::Verbatim(format!(
                    "Error in configuration: context was not found for specified context: {context_name}"
                )));
            }
            None => &empty,
        };
        let pick = |flag: &str, key: &str| match args.global(flag) {
            "" => context[key].as_str().unwrap_or_default().to_owned(),
            given => given.to_owned(),
        };
        let (cluster_name, user_name) = (pick("cluster", "cluster"), pick("user", "user"));
        let cluster = self.entry("clusters", &cluster_name).unwrap_or(&empty);
        if cluster.is_null() && !args.global("cluster").is_empty() {
            return Err(Error::message(format!("no server found for cluster {cluster_name:?}")));
        }
        let user = self.entry("users", &user_name).unwrap_or(&empty);
        if user.is_null() && !args.global("user").is_empty() {
            return Err(Error::message(format!("auth info {user_name:?} does not exist")));
        }
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let server = match args.global("server") {
            "" => text(cluster, "server"),
            given if given.contains("://") => given.to_owned(),
            given => format!("http://{given}"),
        };
        let server = if server.is_empty() { "http://localhost:8080".to_owned() } else { server };
        let mut target = Target {
            namespace: match text(context, "namespace").as_str() {
                "" => "default".to_owned(),
                namespace => namespace.to_owned(),
            },
            request_timeout: args.request_timeout(),
            verbosity: args.int("v"),
            ..Target::default()
        };
        let mut both = Vec::new();
        for (key, words) in [
            ("client-certificate", ("client-cert-data", "client-cert", ". client-cert-data will override.")),
            ("client-key", ("client-key-data", "client-key", "; client-key-data will override")),
        ] {
            let (data, file, rest) = words;
            if !args.global(key).is_empty() && user[format!("{key}-data")].is_string() {
                both.push(format!("{data} and {file} are both specified for {user_name}{rest}"));
            }
            let path = args.global(key);
            if !path.is_empty()
                && let Err(error) = host.read_file(path).await
            {
                let reason = error.as_str();
                both.push(format!("unable to read {file} {path} for {user_name} due to open {path}: {reason}"));
            }
        }
        match both.as_slice() {
            [] => {}
            [one] => return Err(Error::message(one.as_str())),
            many => {
                let lines: String = many.iter().map(|line| format!("\n* {line}")).collect();
                return Err(Error::Verbatim(format!("Error in configuration: {lines}")));
            }
        }
        let certificate_authority = self.blob(host, args, cluster, "certificate-authority", "clusters").await?;
        let skips = args.bool("insecure-skip-tls-verify") || cluster["insecure-skip-tls-verify"] == true;
        // The flag means that no authority of the file counts.
        let authority_counts = !args.bool("insecure-skip-tls-verify");
        let has_authority = |key: &str| cluster[key].as_str().is_some_and(|value| !value.is_empty());
        if skips
            && (!args.global("certificate-authority").is_empty()
                || (authority_counts
                    && (has_authority("certificate-authority") || has_authority("certificate-authority-data"))))
        {
            return Err(Error::message("specifying a root certificates file with the insecure flag is not allowed"));
        }
        target.endpoint = Endpoint {
            context: context_name.to_owned(),
            server: server.trim_end_matches('/').to_owned(),
            certificate_authority,
            insecure_skip_tls_verify: args.bool("insecure-skip-tls-verify")
                || cluster["insecure-skip-tls-verify"] == true,
            tls_server_name: match args.global("tls-server-name") {
                "" => text(cluster, "tls-server-name"),
                given => given.to_owned(),
            },
            client_certificate: self.blob(host, args, user, "client-certificate", "users").await?,
            client_key: self.blob(host, args, user, "client-key", "users").await?,
        };
        let token = match args.global("token") {
            "" => text(user, "token"),
            given => given.to_owned(),
        };
        let username = match args.global("username") {
            "" => text(user, "username"),
            given => given.to_owned(),
        };
        if !token.is_empty() && !username.is_empty() {
            return Err(Error::message(format!(
                "more than one authentication method found for {user_name}; found [token basicAuth], only one is allowed"
            )));
        }
        if !token.is_empty() {
            target.headers.push(("Authorization".into(), format!("Bearer {token}")));
        } else if let Some(path) = user["tokenFile"].as_str() {
            let path = &self.resolved("users", user, path);
            let bytes = host.read_file(path).await.map_err(|error| {
                Error::message(format!("failed to read token file {path:?}: open {path}: {}", error.as_str()))
            })?;
            let token = String::from_utf8_lossy(&bytes).trim().to_owned();
            target.headers.push(("Authorization".into(), format!("Bearer {token}")));
        } else if !username.is_empty() {
            let password = match args.global("password") {
                "" => text(user, "password"),
                given => given.to_owned(),
            };
            let encoded = BASE64.encode(format!("{username}:{password}"));
            target.headers.push(("Authorization".into(), format!("Basic {encoded}")));
        } else if target.endpoint.client_certificate.is_empty() && user["exec"].is_object() {
            check_plugin(&user["exec"], &user_name)?;
            let found = credentials(host, &user["exec"], &target.endpoint).await?;
            if !found.token.is_empty() {
                target.headers.push(("Authorization".into(), format!("Bearer {}", found.token)));
            }
            target.endpoint.client_certificate = found.certificate;
            target.endpoint.client_key = found.key;
        } else if let Some(name) = user["auth-provider"]["name"].as_str() {
            return Err(Error::message(format!("no Auth Provider found for name {name:?}")));
        }
        for (flag, header) in [("as", "Impersonate-User"), ("as-uid", "Impersonate-Uid")] {
            let value = match args.global(flag) {
                "" => text(user, flag),
                given => given.to_owned(),
            };
            if !value.is_empty() {
                target.headers.push((header.into(), value));
            }
        }
        let groups: Vec<String> = match args.list("as-group") {
            [] => {
                user["as-groups"].as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
            }
            given => given.to_vec(),
        };
        let impersonates = |header: &str| target.headers.iter().any(|(name, _)| name == header);
        let extra = user["as-user-extra"].as_object().is_some_and(|extra| !extra.is_empty());
        if (!groups.is_empty() || extra || impersonates("Impersonate-Uid")) && !impersonates("Impersonate-User") {
            return Err(Error::message(format!(
                "requesting uid, groups or user-extra for {user_name} without impersonating a user"
            )));
        }
        target.headers.extend(groups.into_iter().map(|group| ("Impersonate-Group".into(), group)));
        for (key, values) in user["as-user-extra"].as_object().into_iter().flatten() {
            for value in values.as_array().into_iter().flatten().filter_map(Value::as_str) {
                target.headers.push((format!("Impersonate-Extra-{key}"), value.to_owned()));
            }
        }
        Ok(target)
    }

    /// A certificate or key: from a flag's file, from `…-data`, or from the file that the entry names.
    async fn blob(
        &self,
        host: &dyn Host,
        args: &Invocation,
        entry: &Value,
        key: &str,
        section: &str,
    ) -> Result<Vec<u8>, Error> {
        let mut path = args.global(key).to_owned();
        if path.is_empty() {
            if let Some(data) = entry[format!("{key}-data")].as_str() {
                return BASE64.decode(data).map_err(|error| Error::message(format!("invalid {key}-data: {error}")));
            }
            let Some(named) = entry[key].as_str().filter(|path| !path.is_empty()) else { return Ok(Vec::new()) };
            path = self.resolved(section, entry, named);
        }
        let field = section.trim_end_matches('s');
        let named = items(&self.merged[section]).find(|named| named[field] == *entry);
        let owner = named.map(|named| text(&named["name"])).unwrap_or_default();
        let bytes = host.read_file(&path).await.map_err(|error| {
            Error::message(format!(
                "unable to read {} {path} for {owner} due to open {path}: {}",
                key.replace("client-certificate", "client-cert"),
                error.as_str()
            ))
        })?;
        Ok(bytes.to_vec())
    }

    /// A path that an entry names: relative ones start at the folder of the file that it stands in.
    fn resolved(&self, section: &str, entry: &Value, path: &str) -> String {
        match self.folder_of(section, entry) {
            Some(folder) if !path.starts_with('/') => plain_path(&format!("{folder}/{path}")),
            _ => path.to_owned(),
        }
    }

    /// All files together, with their paths made absolute and, for `flatten`, replaced by what is in the files.
    ///
    /// # Errors
    /// Files that cannot be read, where they are wanted.
    pub async fn resolved_paths(&self, host: &dyn Host, flatten: bool) -> Result<Value, Error> {
        let mut merged = self.merged.clone();
        for (section, entry_key) in SECTIONS {
            for entry in merged.list_mut(&[section]).into_iter().flatten() {
                let original = entry[entry_key].clone();
                for key in ["certificate-authority", "client-certificate", "client-key", "tokenFile"] {
                    let Some(path) = original[key].as_str().filter(|path| !path.is_empty()) else { continue };
                    let path = self.resolved(section, &original, path);
                    if !flatten || key == "tokenFile" {
                        entry[entry_key][key] = path.into();
                        continue;
                    }
                    let data = format!("{key}-data");
                    if !entry[entry_key][&data].is_null() {
                        return Err(Error::message("cannot have values for both path and contents"));
                    }
                    let bytes = host.read_file(&path).await;
                    let bytes = bytes.map_err(|error| Error::message(format!("open {path}: {}", error.as_str())))?;
                    entry[entry_key][data] = BASE64.encode(bytes).into();
                    if let Some(fields) = entry.fields_mut(&[entry_key]) {
                        fields.remove(key);
                    }
                }
            }
        }
        Ok(merged)
    }

    /// The folder of the file that an entry stands in: relative paths start there.
    fn folder_of(&self, section: &str, entry: &Value) -> Option<&str> {
        let (_, key) = SECTIONS.iter().find(|(known, _)| *known == section)?;
        let holds = |contents: &Value| {
            contents[section].as_array().is_some_and(|list| list.iter().any(|item| &item[*key] == entry))
        };
        let (path, _) = self.files.iter().find(|(_, contents)| contents.as_ref().is_some_and(holds))?;
        path.rsplit_once('/').map(|(folder, _)| folder)
    }
}

/// Whether a plugin is described well enough to be run.
fn check_plugin(plugin: &Value, user: &str) -> Result<(), Error> {
    let mode = plugin["interactiveMode"].as_str().unwrap_or_default();
    // Versions before the first one have a default.
    let needs_mode = plugin["apiVersion"] == "client.authentication.k8s.io/v1";
    for (field, needed) in [("command", true), ("apiVersion", true), ("interactiveMode", needs_mode)] {
        if needed && plugin[field].as_str().is_none_or(str::is_empty) {
            return Err(Error::message(format!(
                "{field} must be specified for {user} to use exec authentication plugin"
            )));
        }
    }
    match mode {
        "" | "Never" | "IfAvailable" | "Always" => Ok(()),
        other => Err(Error::message(format!("invalid interactiveMode for {user}: {other:?}"))),
    }
}

/// A path without `.`, and without `..` where there is something before it.
pub fn plain_path(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match (part, parts.last()) {
            (".", _) => {}
            ("..", Some(last)) if !matches!(*last, "" | "..") => _ = parts.pop(),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn parse(path: &str, bytes: &[u8]) -> Result<Value, Error> {
    let text = String::from_utf8_lossy(bytes);
    let value =
        yaml::parse(&text).map_err(|error| Error::message(format!("error loading config file {path:?}: {error}")))?;
    match value {
        Value::Object(_) => {
            let mut config = value;
            for (section, _) in SECTIONS {
                config.list_mut(&[section]).into_iter().for_each(|list| list.retain(Value::is_object));
            }
            Ok(config)
        }
        Value::Null => Ok(json!({})),
        other => Err(Error::message(format!(
            "error loading config file {path:?}: couldn't get version/kind; json parse error: json: cannot unmarshal {} \
             into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
             \"json:\\\"kind,omitempty\\\"\" }}",
            match other {
                Value::String(_) => "string",
                Value::Array(_) => "array",
                Value::Bool(_) => "bool",
                _ => "number",
            }
        ))),
    }
}

fn merge<'a>(files: impl Iterator<Item = &'a Value>) -> Value {
    let mut merged = json!({});
    for file in files {
        let Some(fields) = file.as_object() else { continue };
        for (key, value) in fields {
            let taken = &mut merged[key];
            if taken.is_null() || *taken == "" {
                *taken = value.clone();
            } else if let (Some(list), Some(more)) = (taken.as_array_mut(), value.as_array()) {
                for entry in more {
                    if !list.iter().any(|own| own["name"] == entry["name"]) {
                        list.push(entry.clone());
                    }
                }
            }
        }
    }
    merged
}

/// A kubeconfig as kubectl writes it: all sections present, entries by name.
pub fn normalized(config: &Value) -> Value {
    let mut out = config.clone();
    if !out.is_object() {
        out = json!({});
    }
    out["apiVersion"] = "v1".into();
    out["kind"] = "Config".into();
    if !out["current-context"].is_string() {
        out["current-context"] = "".into();
    }
    if out["preferences"].is_null() {
        out["preferences"] = json!({});
    }
    for (section, key) in SECTIONS {
        let Some(list) = out.list_mut(&[section]) else {
            out[section] = Value::Null;
            continue;
        };
        list.order_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
        for entry in list.iter_mut() {
            let required: &[&str] = match key {
                "context" => &["cluster", "user"],
                "cluster" => &["server"],
                _ => &[],
            };
            if entry[key].is_null() {
                entry[key] = json!({});
            }
            for field in required {
                if entry[key][field].is_null() {
                    entry.put(&[key, field], "");
                }
            }
        }
        if list.is_empty() {
            out[section] = Value::Null;
        }
    }
    out
}
