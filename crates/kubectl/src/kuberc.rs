//! kuberc: a user's own defaults of flags, and own names for command lines (KEP-3104, upstream's pkg/kuberc).
//!
//! It is `~/.kube/kuberc`, or what `--kuberc` or `$KUBERC` says; `KUBECTL_KUBERC=false` and `KUBERC=off` turn it
//! off. What is typed wins over it. `kubectl kuberc` shows and changes it (`commands::preferences`).

use serde_json::{Value, json};

use crate::args::command_of;
use crate::error::Error;
use crate::host::{FileError, Host};
use crate::resources::{items, text};
use crate::value::ValueExt;
use crate::yaml;

const FLAG: &str = "--kuberc";
const KIND: &str = "Preference";
/// Newest first: what is written.
const API_VERSIONS: [&str; 2] = ["kubectl.config.k8s.io/v1beta1", "kubectl.config.k8s.io/v1alpha1"];

/// Preferences with nothing in them.
pub fn empty() -> Value {
    json!({ "apiVersion": API_VERSIONS[0], "kind": KIND, "defaults": [], "aliases": [] })
}

/// Preferences as they are written: of the newest version, with both lists.
pub fn converted(mut preference: Value) -> Value {
    let overrides = preference.as_object_mut().and_then(|fields| fields.remove("overrides"));
    if let (Some(overrides), true) = (overrides, preference["defaults"].is_null()) {
        preference["defaults"] = overrides;
    }
    for list in ["defaults", "aliases"] {
        if preference[list].is_null() {
            preference[list] = json!([]);
        }
        for entry in preference.list_mut(&[list]).into_iter().flatten() {
            if let Some(flags) = entry.as_object_mut().and_then(|fields| fields.remove("flags")) {
                entry["options"] = flags;
            }
        }
    }
    preference["apiVersion"] = API_VERSIONS[0].into();
    preference
}

/// A command line as the user's preferences make it.
///
/// # Errors
/// A file that was named and is not there, or one that is no kuberc.
pub async fn applied(words: &[String], host: &dyn Host) -> Result<Vec<String>, Error> {
    // Whoever changes preferences does it without them.
    if command_of(words).is_some_and(|(path, _)| path.split(' ').next() == Some("kuberc")) {
        return Ok(words.to_vec());
    }
    let (named, mut words) = without_flag(words);
    let Some(preference) = load(named, host).await? else { return Ok(words) };
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    // Whoever has a name of kubectl's for something else does not get it.
    if command_of(&words).is_none()
        && let Some(at) = words.iter().take(end).position(|word| !word.starts_with('-'))
        && let Some(alias) = items(&preference["aliases"]).find(|alias| alias["name"] == words[at].as_str())
    {
        let mut line: Vec<String> = words.drain(..at).collect();
        line.extend(text(&alias["command"]).split_whitespace().map(str::to_owned));
        line.extend(options(alias, &words));
        line.extend(items(&alias["prependArgs"]).map(text));
        line.extend(words.drain(1..));
        line.extend(items(&alias["appendArgs"]).map(text));
        words = line;
    }
    let Some((path, _)) = command_of(&words).filter(|(path, _)| !path.is_empty()) else { return Ok(words) };
    let defaults = items(&preference["defaults"]).chain(items(&preference["overrides"]));
    let options: Vec<String> =
        defaults.filter(|entry| text(&entry["command"]) == path).flat_map(|entry| options(entry, &words)).collect();
    // Before what is typed, and so less than it.
    words.splice(0..0, options);
    Ok(words)
}

/// The file that `--kuberc` names, and the line without it.
fn without_flag(words: &[String]) -> (Option<String>, Vec<String>) {
    let (mut named, mut rest) = (None, Vec::new());
    let mut all = words.iter();
    while let Some(word) = all.next() {
        match word.strip_prefix(FLAG) {
            _ if word == "--" => {
                rest.push(word.clone());
                rest.extend(all.cloned());
                break;
            }
            Some("") => named = all.next().cloned(),
            Some(value) if value.starts_with('=') => named = Some(value[1..].to_owned()),
            _ => rest.push(word.clone()),
        }
    }
    (named, rest)
}

/// Where the preferences are, and whether somebody said so; `None` where they are turned off.
///
/// # Errors
/// A file that is named and turned off at once.
pub fn place(named: Option<String>, host: &dyn Host) -> Result<Option<(String, bool)>, Error> {
    let variable = host.env("KUBERC").filter(|path| !path.is_empty());
    let named = named.filter(|path| !path.is_empty());
    if variable.as_deref() == Some("off") {
        return match named {
            None => Ok(None),
            Some(_) => {
                Err(Error::message("disabling kuberc via KUBERC=off and passing kuberc flag are mutually exclusive"))
            }
        };
    }
    let by_default = || host.env("HOME").map(|home| (format!("{home}/.kube/kuberc"), false));
    Ok(named.or(variable).map(|path| (path, true)).or_else(by_default))
}

/// Why there are no preferences to be had from a file.
pub enum Missing {
    /// There is no such file.
    File(FileError),
    /// It is none of preferences: why.
    Preference(String),
}

impl Missing {
    /// What the original says, of the file's path.
    pub fn words(&self, path: &str) -> String {
        match self {
            Self::File(error) => format!("open {path}: {}", error.as_str()),
            Self::Preference(why) => why.clone(),
        }
    }
}

/// The first preferences in a file; `None` where nothing is in it.
///
/// # Errors
/// Files that are not there, or hold something else.
pub async fn read(path: &str, host: &dyn Host) -> Result<Option<Value>, Missing> {
    let bytes = host.read_file(path).await.map_err(Missing::File)?;
    let mut attempted = false;
    for document in yaml::documents(&String::from_utf8_lossy(&bytes)) {
        attempted = true;
        let Ok(document) = document else { continue };
        if document["kind"] == KIND && API_VERSIONS.iter().any(|version| document["apiVersion"] == *version) {
            return Ok(Some(document));
        }
    }
    match attempted {
        true => Err(Missing::Preference(format!("no valid preferences found in {path}, use --v=5 to see details"))),
        false => Ok(None),
    }
}

async fn load(named: Option<String>, host: &dyn Host) -> Result<Option<Value>, Error> {
    if host.env("KUBECTL_KUBERC").is_some_and(|value| value.eq_ignore_ascii_case("false") || value == "0") {
        return Ok(None);
    }
    let Some((path, explicit)) = place(named, host)? else { return Ok(None) };
    match (read(&path, host).await, explicit) {
        (Ok(preference), _) => Ok(preference),
        (Err(Missing::File(FileError::NotFound)), false) => Ok(None),
        (Err(missing), true) => Err(Error::message(format!("kuberc: {}", missing.words(&path)))),
        (Err(missing), false) => {
            host.stderr(format!("kuberc: no preferences loaded from {path}: {}", missing.words(&path)).as_bytes());
            Ok(None)
        }
    }
}

/// The flags of an entry that are not typed.
fn options(entry: &Value, typed: &[String]) -> Vec<String> {
    let all = items(&entry["options"]).chain(items(&entry["flags"]));
    let given = |name: &str| {
        let flag = format!("--{name}");
        typed
            .iter()
            .any(|word| word.strip_prefix(flag.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))
    };
    all.map(|option| (text(&option["name"]), text(&option["default"])))
        .filter(|(name, _)| !given(name))
        .map(|(name, value)| format!("--{name}={value}"))
        .collect()
}
