//! `kubectl config`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use machinery::sort::Order;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::kubeconfig::{Kubeconfig, SECTIONS, normalized, plain_path};
use crate::print::output::{COMMON, Format, Output};
use crate::print::tabs;
use crate::resources::{items, text};
use crate::session::Session;
use crate::value::ValueExt;
use crate::yaml;

/// Fields that `view` does not show, and what it shows.
const SECRETS: &[(&str, &str)] = &[
    ("certificate-authority-data", "DATA+OMITTED"),
    ("client-certificate-data", "DATA+OMITTED"),
    ("client-key-data", "DATA+OMITTED"),
    ("token", "REDACTED"),
    ("password", "REDACTED"),
];

/// Runs the subcommands.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let mut config = Kubeconfig::load(session.host, &session.args).await?;
    match session.args.command.name() {
        "view" => view(session, &config).await,
        "get-contexts" => get_contexts(session, &config).await,
        "get-clusters" => names(session, &config, "clusters"),
        "get-users" => names(session, &config, "users"),
        "current-context" => match config.merged["current-context"].as_str() {
            Some(current) if !current.is_empty() => {
                session.outln(current);
                Ok(())
            }
            _ => Err(Error::message("current-context is not set")),
        },
        "use-context" => use_context(session, &mut config).await,
        "set-context" => set_context(session, &mut config).await,
        "set-cluster" => set_cluster(session, &mut config).await,
        "set-credentials" => set_credentials(session, &mut config).await,
        "rename-context" => rename_context(session, &mut config).await,
        "delete-context" => delete(session, &mut config, "contexts", "context").await,
        "delete-cluster" => delete(session, &mut config, "clusters", "cluster").await,
        "delete-user" => delete(session, &mut config, "users", "user").await,
        "set" => set(session, &mut config).await,
        _ => unset(session, &mut config).await,
    }
}

/// The arguments, if there are as many as wanted; else the page and an error.
fn exactly<'s, const N: usize>(session: &'s Session<'_>) -> Result<[&'s str; N], Error> {
    let words: Vec<&str> = session.args.args.iter().map(String::as_str).collect();
    words.as_slice().try_into().map_err(|_| {
        session.out(session.args.command.page);
        let unexpected = if session.args.command.name() == "set-credentials" { "unexpected" } else { "Unexpected" };
        Error::message(format!("{unexpected} args: [{}]", session.args.args.join(" ")))
    })
}

impl Kubeconfig {
    /// The file in which to change an entry: the one that has it, else the first that exists, else the last.
    fn file_for(&self, section: &str, name: &str) -> usize {
        let has = |contents: &Option<Value>| {
            contents.as_ref().is_some_and(|contents| items(&contents[section]).any(|entry| entry["name"] == name))
        };
        let exists = |contents: &Option<Value>| contents.is_some();
        self.files
            .iter()
            .position(|(_, contents)| has(contents))
            .or_else(|| self.files.iter().position(|(_, contents)| exists(contents)))
            .unwrap_or(self.files.len().saturating_sub(1))
    }

    fn path_of(&self, index: usize) -> &str {
        self.files.get(index).map_or("", |(path, _)| path.as_str())
    }

    async fn save(&mut self, session: &Session<'_>, index: usize) -> Result<(), Error> {
        let Some((path, contents)) = self.files.get(index) else { return Ok(()) };
        let text = yaml::to_string(&normalized(contents.as_ref().unwrap_or(&Value::Null)));
        session
            .host
            .write_file(path, text.into())
            .await
            .map_err(|error| Error::message(format!("open {path}: {}", error.as_str())))
    }

    fn contents(&mut self, index: usize) -> Option<&mut Value> {
        let contents = &mut self.files.get_mut(index)?.1;
        Some(contents.get_or_insert_with(|| json!({})))
    }

    /// Changes an entry, making it if need be; whether it was there.
    async fn change(
        &mut self,
        session: &Session<'_>,
        section: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<bool, Error> {
        let key = SECTIONS.iter().find(|(known, _)| *known == section).map_or("", |(_, key)| *key);
        let index = self.file_for(section, name);
        let mut existed = true;
        if let Some(contents) = self.contents(index) {
            if !contents[section].is_array() {
                contents[section] = json!([]);
            }
            if let Some(list) = contents.list_mut(&[section]) {
                let at = list.iter().position(|entry| entry["name"] == name).unwrap_or_else(|| {
                    existed = false;
                    list.push(json!({ "name": name }));
                    list.len() - 1
                });
                if let Some(entry) = list.get_mut(at) {
                    if !entry[key].is_object() {
                        entry[key] = json!({});
                    }
                    change(&mut entry[key]);
                }
            }
        }
        self.save(session, index).await?;
        Ok(existed)
    }

    async fn set_preferences(&mut self, session: &Session<'_>, preferences: Value) -> Result<(), Error> {
        let exists = |(_, contents): &(String, Option<Value>)| contents.is_some();
        let index = self.files.iter().position(exists).unwrap_or(self.files.len().saturating_sub(1));
        if let Some(contents) = self.contents(index) {
            contents["preferences"] = preferences;
        }
        self.save(session, index).await
    }

    /// Makes a context the current one.
    async fn set_current(&mut self, session: &Session<'_>, name: &str) -> Result<(), Error> {
        let index = self
            .files
            .iter()
            .position(|(_, contents)| {
                contents.as_ref().is_some_and(|contents| !text(&contents["current-context"]).is_empty())
            })
            .or_else(|| self.files.iter().position(|(_, contents)| contents.is_some()))
            .unwrap_or(self.files.len().saturating_sub(1));
        if let Some(contents) = self.contents(index) {
            contents["current-context"] = name.into();
        }
        self.save(session, index).await
    }
}

async fn view(session: &Session<'_>, config: &Kubeconfig) -> Result<(), Error> {
    let args = &session.args;
    if !args.args.is_empty() {
        return Err(args.usage_error(format!("unexpected arguments: [{}]", args.args.join(" "))));
    }
    if args.changed("merge") && !args.bool("merge") && !args.changed("kubeconfig") {
        return Err(Error::message("if merge==false a precise file must be specified"));
    }
    let mut shown = normalized(&config.resolved_paths(session.host, args.bool("flatten")).await?);
    if args.bool("minify") {
        minify(args.string("context"), &mut shown)?;
    }
    if !args.bool("raw") && !args.bool("flatten") {
        redact(&mut shown);
    }
    let output = Output::new(session, COMMON).await?;
    match output.format {
        Format::Human => session.out(yaml::to_string(&shown)),
        _ => session.out(output.render(&shown)?),
    }
    Ok(())
}

fn redact(config: &mut Value) {
    for (section, key) in SECTIONS {
        for entry in config.list_mut(&[section]).into_iter().flatten() {
            for (field, stand_in) in SECRETS {
                if !entry[key][*field].is_null() {
                    entry[key][*field] = (*stand_in).into();
                } else if let Some(fields) = entry.fields_mut(&[key]) {
                    fields.remove(*field);
                }
            }
        }
    }
}

/// Leaves only the current context and what it names.
fn minify(context: &str, config: &mut Value) -> Result<(), Error> {
    let current = if context.is_empty() { text(&config["current-context"]) } else { context.to_owned() };
    if current.is_empty() {
        return Err(Error::message("current-context must exist in order to minify"));
    }
    let entry = items(&config["contexts"]).find(|entry| entry["name"] == current.as_str()).cloned();
    let entry = entry.ok_or_else(|| Error::message(format!("cannot locate context {current}")))?;
    let (cluster, user) = (text(&entry["context"]["cluster"]), text(&entry["context"]["user"]));
    for (section, name) in [("contexts", &current), ("clusters", &cluster), ("users", &user)] {
        if let Some(list) = config.list_mut(&[section]) {
            list.retain(|entry| entry["name"] == name.as_str());
        }
    }
    config["current-context"] = current.into();
    *config = normalized(config);
    Ok(())
}

async fn get_contexts(session: &Session<'_>, config: &Kubeconfig) -> Result<(), Error> {
    let args = &session.args;
    let only_names = match args.string("output") {
        "" => false,
        "name" => true,
        _ => {
            return Err(Error::message(format!(
                "--output {} is not available in kubectl config get-contexts; resetting to default output format",
                args.string("output")
            )));
        }
    };
    let current = text(&config.merged["current-context"]);
    let mut known: Vec<String> = items(&config.merged["contexts"]).map(|entry| text(&entry["name"])).collect();
    known.order();
    let mut missing = Vec::new();
    let wanted = if args.args.is_empty() {
        known
    } else {
        let (there, gone) = args.args.iter().cloned().partition(|name| known.contains(name));
        missing.extend(<Vec<String>>::into_iter(gone).map(|name| Error::message(format!("context {name} not found"))));
        there
    };
    let mut lines = String::new();
    if !only_names && !args.bool("no-headers") {
        lines.push_str("CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE\n");
    }
    for name in wanted {
        if only_names {
            lines.push_str(&format!("{name}\n"));
            continue;
        }
        let context = config.entry("contexts", &name).cloned().unwrap_or_default();
        let mark = if name == current { "*" } else { "" };
        let cell = |field: &str| text(&context[field]);
        lines.push_str(&format!("{mark}\t{name}\t{}\t{}\t{}\n", cell("cluster"), cell("user"), cell("namespace")));
    }
    session.out(if only_names { lines } else { tabs::align(&lines, tabs::TABLE) });
    Error::all(missing)
}

fn names(session: &Session<'_>, config: &Kubeconfig, section: &str) -> Result<(), Error> {
    session.outln("NAME");
    let mut names: Vec<String> = items(&config.merged[section]).map(|entry| text(&entry["name"])).collect();
    names.order();
    names.iter().for_each(|name| session.outln(name));
    Ok(())
}

async fn use_context(session: &Session<'_>, config: &mut Kubeconfig) -> Result<(), Error> {
    let [name] = exactly(session)?;
    if config.entry("contexts", name).is_none() {
        return Err(Error::message(format!("no context exists with the name: {name:?}")));
    }
    config.set_current(session, name).await?;
    session.outln(format!("Switched to context {name:?}."));
    Ok(())
}

async fn set_context(session: &Session<'_>, config: &mut Kubeconfig) -> Result<(), Error> {
    let args = &session.args;
    let name = if args.bool("current") {
        if !args.args.is_empty() {
            return Err(Error::message("you cannot specify both a context name and --current"));
        }
        match text(&config.merged["current-context"]) {
            name if name.is_empty() => return Err(Error::message("no current context is set")),
            name => name,
        }
    } else {
        if args.args.is_empty() {
            return Err(Error::message("you must specify a non-empty context name or --current"));
        }
        let [name] = exactly(session)?;
        name.to_owned()
    };
    let existed = config
        .change(session, "contexts", &name, |context| {
            for field in ["cluster", "user", "namespace"] {
                if args.changed(field) {
                    context[field] = args.string(field).into();
                }
            }
        })
        .await?;
    session.outln(format!("Context {name:?} {}.", if existed { "modified" } else { "created" }));
    Ok(())
}

/// A file's contents in base64 for `--embed-certs`, or its name.
async fn certificate(session: &Session<'_>, flag: &str, fields: &mut Map<String, Value>) -> Result<(), Error> {
    let args = &session.args;
    if !args.changed(flag) {
        return Ok(());
    }
    let path = args.string(flag);
    let data = format!("{flag}-data");
    if !args.bool("embed-certs") {
        let home = match session.host.env("PWD") {
            Some(home) if !path.is_empty() && !path.starts_with('/') => plain_path(&format!("{home}/{path}")),
            _ => path.to_owned(),
        };
        fields.insert(flag.to_owned(), home.into());
        fields.insert(data, Value::Null);
        return Ok(());
    }
    let bytes = session.host.read_file(path).await.map_err(|error| {
        Error::message(format!("could not stat {flag} file {path}: stat {path}: {}", error.as_str()))
    })?;
    fields.insert(data, BASE64.encode(bytes).into());
    fields.insert(flag.to_owned(), Value::Null);
    Ok(())
}

fn assign(entry: &mut Value, fields: Map<String, Value>) {
    let Some(entry) = entry.as_object_mut() else { return };
    for (key, value) in fields {
        if value.is_null() || value == false || value == "" {
            entry.remove(&key);
        } else {
            entry.insert(key, value);
        }
    }
}

async fn set_cluster(session: &Session<'_>, config: &mut Kubeconfig) -> Result<(), Error> {
    let args = &session.args;
    if args.bool("insecure-skip-tls-verify") && !args.string("certificate-authority").is_empty() {
        return Err(Error::message("you cannot specify a certificate authority and insecure mode at the same time"));
    }
    let [name] = exactly(session)?;
    let mut fields = Map::new();
    for flag in ["server", "tls-server-name", "proxy-url"] {
        if args.changed(flag) {
            fields.insert(flag.to_owned(), args.string(flag).into());
        }
    }
    if args.changed("insecure-skip-tls-verify") {
        let skip = args.bool("insecure-skip-tls-verify");
        fields.insert("insecure-skip-tls-verify".into(), skip.into());
        if skip {
            fields.insert("certificate-authority".into(), Value::Null);
            fields.insert("certificate-authority-data".into(), Value::Null);
        }
    }
    if !args.string("certificate-authority").is_empty() {
        fields.insert("insecure-skip-tls-verify".into(), Value::Null);
    }
    certificate(session, "certificate-authority", &mut fields).await?;
    config.change(session, "clusters", name, |cluster| assign(cluster, fields)).await?;
    session.outln(format!("Cluster {name:?} set."));
    Ok(())
}

async fn set_credentials(session: &Session<'_>, config: &mut Kubeconfig) -> Result<(), Error> {
    let args = &session.args;
    let [name] = exactly(session)?;
    let mut methods = Vec::new();
    if !args.string("token").is_empty() {
        methods.push("--token");
    }
    if !args.string("username").is_empty() || !args.string("password").is_empty() {
        methods.push("--username/--password");
    }
    if methods.len() > 1 {
        return Err(Error::message(format!(
            "you cannot specify more than one authentication method at the same time: {}",
            methods.join(", ")
        )));
    }
    if args.changed("exec-interactive-mode")
        && !matches!(args.string("exec-interactive-mode"), "IfAvailable" | "Never" | "Always")
    {
        return Err(Error::message("invalid interactive mode type, can be only IfAvailable, Never, Always"));
    }
    let mut fields = Map::new();
    for flag in ["token", "username", "password"] {
        if args.changed(flag) {
            fields.insert(flag.to_owned(), args.string(flag).into());
        }
    }
    if args.changed("token") {
        fields.insert("username".into(), Value::Null);
        fields.insert("password".into(), Value::Null);
    } else if args.changed("username") || args.changed("password") {
        fields.insert("token".into(), Value::Null);
    }
    certificate(session, "client-certificate", &mut fields).await?;
    certificate(session, "client-key", &mut fields).await?;
    let old = config.entry("users", name).cloned().unwrap_or_default();
    for (field, changed) in [("exec", plugin(session, &old["exec"])?), ("auth-provider", provider(session, &old)?)] {
        if changed.is_object() {
            fields.insert(field.into(), changed);
        }
    }
    config.change(session, "users", name, |user| assign(user, fields)).await?;
    session.outln(format!("User {name:?} set."));
    Ok(())
}

/// What to set, and what to remove.
type Pairs<'a> = (Vec<(&'a str, &'a str)>, Vec<&'a str>);

/// Reads `NAME=value` to set and `NAME-` to remove.
fn pairs<'a>(flag: &str, words: &'a [String]) -> Result<Pairs<'a>, Error> {
    let (mut set, mut remove) = (Vec::new(), Vec::new());
    for word in words {
        match (word.split_once('='), word.strip_suffix('-')) {
            (Some((name, value)), _) if !name.is_empty() => set.push((name, value)),
            (None, Some(name)) if !name.is_empty() => remove.push(name),
            _ => return Err(Error::message(format!("invalid {flag} format: {word}"))),
        }
    }
    Ok((set, remove))
}

/// A user's `exec` as the `--exec-…` flags change it. Without a command there is none.
fn plugin(session: &Session<'_>, old: &Value) -> Result<Value, Error> {
    let args = &session.args;
    let mut plugin = old.clone();
    if args.changed("exec-command") {
        if !plugin.is_object() {
            plugin = json!({});
        }
        plugin["command"] = args.string("exec-command").into();
        plugin["args"] = Value::Null;
    }
    if !plugin.is_object() {
        return Ok(plugin);
    }
    if args.changed("exec-api-version") {
        plugin["apiVersion"] = args.string("exec-api-version").into();
    }
    if !args.list("exec-arg").is_empty() {
        plugin["args"] = json!(args.list("exec-arg"));
    }
    if args.changed("exec-interactive-mode") {
        plugin["interactiveMode"] = args.string("exec-interactive-mode").into();
    }
    if args.changed("exec-provide-cluster-info") || plugin["provideClusterInfo"].is_null() {
        plugin["provideClusterInfo"] = args.bool("exec-provide-cluster-info").into();
    }
    let (set, remove) = pairs("exec-env", args.list("exec-env")).inspect_err(|_| session.out(args.command.page))?;
    let mut env: Vec<Value> = items(&plugin["env"]).cloned().collect();
    env.retain(|variable| !remove.iter().any(|name| variable["name"] == *name));
    for (name, value) in set {
        match env.iter_mut().find(|variable| variable["name"] == name) {
            Some(variable) => variable["value"] = value.into(),
            None => env.push(json!({ "name": name, "value": value })),
        }
    }
    let untouched = env.is_empty() && args.list("exec-env").is_empty() && !plugin["env"].is_array();
    plugin["env"] = if untouched { Value::Null } else { env.into() };
    Ok(plugin)
}

/// A user's `auth-provider` as the flags change it.
fn provider(session: &Session<'_>, user: &Value) -> Result<Value, Error> {
    let args = &session.args;
    let mut provider = user["auth-provider"].clone();
    if args.changed("auth-provider") && provider["name"] != args.string("auth-provider") {
        provider = json!({ "name": args.string("auth-provider") });
    }
    if provider.is_object() {
        let (set, remove) = pairs("auth-provider-arg", args.list("auth-provider-arg"))
            .inspect_err(|_| session.out(args.command.page))?;
        for (name, value) in set {
            provider.put(&["config", name], value);
        }
        if let Some(config) = provider.fields_mut(&["config"]) {
            config.retain(|name, _| !remove.contains(&name.as_str()));
        }
    }
    Ok(provider)
}

async fn rename_context(session: &Session<'_>, config: &mut Kubeconfig) -> Result<(), Error> {
    let [old, new] = exactly(session)?;
    let index = config.file_for("contexts", old);
    if config.entry("contexts", old).is_none() {
        let path = config.path_of(index);
        return Err(Error::message(format!("cannot rename the context {old:?}, it's not in {path}")));
    }
    if config.entry("contexts", new).is_some() {
        let path = config.path_of(index);
        return Err(Error::message(format!(
            "cannot rename the context {old:?}, the context {new:?} already exists in {path}"
        )));
    }
    let current = config.merged["current-context"] == old;
    if let Some(contents) = config.contents(index) {
        for entry in contents.list_mut(&["contexts"]).into_iter().flatten() {
            if entry["name"] == old {
                entry["name"] = new.into();
            }
        }
    }
    config.save(session, index).await?;
    if current {
        config.set_current(session, new).await?;
    }
    session.outln(format!("Context {old:?} renamed to {new:?}."));
    Ok(())
}

async fn delete(session: &Session<'_>, config: &mut Kubeconfig, section: &str, what: &str) -> Result<(), Error> {
    let [name] = session.args.args.as_slice() else {
        if what == "user" {
            return Err(session.args.usage_error("user to delete is required"));
        }
        session.out(session.args.command.page);
        return Ok(());
    };
    let index = config.file_for(section, name);
    let path = config.path_of(index).to_owned();
    if config.entry(section, name).is_none() {
        return Err(Error::message(format!("cannot delete {what} {name}, not in {path}")));
    }
    if section == "contexts" && config.merged["current-context"] == name.as_str() {
        session.errln(
            "warning: this removed your active context, use \"kubectl config use-context\" to select a different one",
        );
    }
    if let Some(list) = config.contents(index).and_then(|contents| contents.list_mut(&[section])) {
        list.retain(|entry| entry["name"] != name.as_str());
    }
    config.save(session, index).await?;
    session.outln(format!("deleted {what} {name} from {path}"));
    Ok(())
}

/// What a field of a kubeconfig holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Text,
    Flag,
    Bytes,
    /// What `set` does not reach into.
    Other,
}

/// Fields by name.
type Fields = &'static [(&'static str, Holds)];

/// Fields of the entries of a section.
const TYPES: [(&str, Fields); 3] = [
    (
        "clusters",
        &[
            ("server", Holds::Text),
            ("tls-server-name", Holds::Text),
            ("insecure-skip-tls-verify", Holds::Flag),
            ("certificate-authority", Holds::Text),
            ("certificate-authority-data", Holds::Bytes),
            ("proxy-url", Holds::Text),
            ("disable-compression", Holds::Flag),
            ("extensions", Holds::Other),
        ],
    ),
    (
        "users",
        &[
            ("client-certificate", Holds::Text),
            ("client-certificate-data", Holds::Bytes),
            ("client-key", Holds::Text),
            ("client-key-data", Holds::Bytes),
            ("token", Holds::Text),
            ("tokenFile", Holds::Text),
            ("username", Holds::Text),
            ("password", Holds::Text),
            ("auth-provider", Holds::Other),
            ("exec", Holds::Other),
            ("extensions", Holds::Other),
        ],
    ),
    (
        "contexts",
        &[("cluster", Holds::Text), ("user", Holds::Text), ("namespace", Holds::Text), ("extensions", Holds::Other)],
    ),
];

/// Where a property is.
enum Property<'a> {
    CurrentContext,
    /// What every kubeconfig says of itself; setting it changes nothing.
    Fixed,
    Preferences,
    Colors,
    Section(&'a str),
    Entry(&'a str, String),
    Field(&'a str, String, &'a str, Holds),
}

impl<'a> Property<'a> {
    /// Reads `users.ada.token`. Names may have dots: they end where a field's name begins.
    fn parse(property: &'a str) -> Result<Self, Error> {
        let parse =
            |after: &str, at: &str| Error::message(format!("unable to parse {property} after [{after}] at api.{at}"));
        let too_deep = || Error::message(format!("unable to parse one or more field values of {property}"));
        let parts: Vec<&str> = property.split('.').collect();
        match parts.as_slice() {
            ["current-context"] => return Ok(Self::CurrentContext),
            ["kind" | "apiVersion"] => return Ok(Self::Fixed),
            ["current-context" | "kind" | "apiVersion", ..] => return Err(too_deep()),
            ["preferences"] => return Ok(Self::Preferences),
            ["preferences", "colors"] => return Ok(Self::Colors),
            ["preferences", "colors", ..] => return Err(too_deep()),
            ["preferences", ..] => return Err(parse("{preferences api.Preferences}", "Preferences")),
            _ => {}
        }
        let (first, rest) = parts.split_first().unwrap_or((&"", &[]));
        let (section, fields) =
            TYPES.iter().find(|(section, _)| section == first).ok_or_else(|| parse("", "Config"))?;
        if rest.is_empty() {
            return Ok(Self::Section(section));
        }
        let field_at = |part: &&str| fields.iter().any(|(field, _)| field == part);
        let end = rest.iter().skip(1).position(field_at).map_or(rest.len(), |at| at + 1);
        let (name, rest) = rest.split_at(end);
        let name = name.join(".");
        match rest {
            [] => Ok(Self::Entry(section, name)),
            [field] => {
                let (field, holds) = fields.iter().find(|(known, _)| known == field).ok_or_else(too_deep)?;
                Ok(Self::Field(section, name, field, *holds))
            }
            _ => Err(too_deep()),
        }
    }
}

async fn set(session: &Session<'_>, config: &mut Kubeconfig) -> Result<(), Error> {
    let [property, value] = exactly(session)?;
    let parsed = |value: &str| -> Result<Value, Error> {
        let invalid = |_| Error::message(format!("strconv.ParseBool: parsing {value:?}: invalid syntax"));
        value.parse().map(Value::Bool).map_err(invalid)
    };
    match Property::parse(property)? {
        Property::CurrentContext => config.set_current(session, value).await?,
        Property::Fixed => {}
        Property::Preferences => {
            let colors = config.merged["preferences"]["colors"] == true;
            return Err(Error::message(format!(
                "unable to locate path config.navigationStep{{stepValue:\"\", stepType:reflect.Type(nil)}} under \
                 {{{colors} map[]}}"
            )));
        }
        Property::Colors => {
            let value = parsed(value)?;
            config.set_preferences(session, json!({ "colors": value })).await?;
        }
        Property::Section(section) | Property::Entry(section, _) => {
            let names: Vec<String> = items(&config.merged[section]).map(|entry| text(&entry["name"])).collect();
            return Err(Error::message(format!("can't set a map to a value: map[{}]", names.join(" "))));
        }
        Property::Field(_, _, _, Holds::Other) => {
            return Err(Error::message(format!("unable to parse one or more field values of {property}")));
        }
        Property::Field(section, name, field, holds) => {
            let value = match holds {
                Holds::Flag => parsed(value)?,
                Holds::Bytes if session.args.bool("set-raw-bytes") => BASE64.encode(value).into(),
                Holds::Bytes if BASE64.decode(value).is_err() => {
                    return Err(Error::message("error decoding input value: illegal base64 data at input byte 0"));
                }
                _ => Value::from(value),
            };
            config.change(session, section, &name, |entry| entry[field] = value).await?;
        }
    }
    session.outln(format!("Property {property:?} set."));
    Ok(())
}

async fn unset(session: &Session<'_>, config: &mut Kubeconfig) -> Result<(), Error> {
    let [property] = exactly(session)?;
    match Property::parse(property)? {
        Property::CurrentContext => config.set_current(session, "").await?,
        Property::Fixed => {}
        Property::Preferences | Property::Colors => config.set_preferences(session, json!({})).await?,
        Property::Section(section) => {
            let index = config.file_for(section, "");
            if let Some(contents) = config.contents(index) {
                contents[section] = Value::Null;
            }
            config.save(session, index).await?;
        }
        Property::Entry(section, name) => {
            let index = config.file_for(section, &name);
            if let Some(list) = config.contents(index).and_then(|contents| contents.list_mut(&[section])) {
                list.retain(|entry| entry["name"] != name.as_str());
            }
            config.save(session, index).await?;
        }
        Property::Field(section, name, ..) if config.entry(section, &name).is_none() => {
            return Err(Error::message(format!("current map key `{name}` is invalid")));
        }
        Property::Field(section, name, field, _) => {
            let remove = |entry: &mut Value| assign(entry, Map::from_iter([(field.to_owned(), Value::Null)]));
            config.change(session, section, &name, remove).await?;
        }
    }
    session.outln(format!("Property {property:?} unset."));
    Ok(())
}
