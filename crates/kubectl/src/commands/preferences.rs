//! `kubectl kuberc`: the user's preferences (upstream's pkg/cmd/kuberc).

use bytes::Bytes;
use serde_json::{Value, json};

use crate::error::Error;
use crate::host::FileError;
use crate::kuberc::{self, Missing};
use crate::print::output::{COMMON, Output};
use crate::resources::items;
use crate::session::Session;
use crate::value::ValueExt;
use crate::yaml;

const DEFAULTS: &str = "defaults";
const ALIASES: &str = "aliases";
const CREDENTIAL_PLUGIN: &str = "credentialplugin";
const ALLOWLIST: &str = "Allowlist";

/// Runs the subcommands.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let named = session.args.changed("kuberc").then(|| session.args.string("kuberc").to_owned());
    let place = kuberc::place(named, session.host)?;
    let (path, explicit) =
        place.ok_or_else(|| Error::message("KUBERC is disabled via KUBERC=off environment variable"))?;
    match session.args.command.path {
        "kuberc view" => view(session, &path, explicit).await,
        _ => set(session, &path).await,
    }
}

async fn view(session: &Session<'_>, path: &str, explicit: bool) -> Result<(), Error> {
    let preference = match kuberc::read(path, session.host).await {
        Ok(found) => kuberc::converted(found.unwrap_or_else(kuberc::empty)),
        Err(Missing::File(FileError::NotFound)) if explicit => {
            return Err(Error::message(format!("kuberc file not found at {path}")));
        }
        Err(Missing::File(FileError::NotFound)) => return offer(session, path).await,
        Err(missing) => return Err(Error::message(format!("error reading kuberc file: {}", missing.words(path)))),
    };
    session.out(Output::new(session, COMMON).await?.render(&preference)?);
    Ok(())
}

/// Asks whether to begin with what upstream recommends.
async fn offer(session: &Session<'_>, path: &str) -> Result<(), Error> {
    session.outln(format!("kuberc file not found at {path}"));
    session.out("Would you like to generate a default kuberc file with recommended options? (y/N): ");
    let answer = session.host.read_stdin().await.unwrap_or_default();
    if !String::from_utf8_lossy(&answer).trim().eq_ignore_ascii_case("y") {
        return Ok(());
    }
    let mut preference = kuberc::empty();
    preference[DEFAULTS] = json!([
        { "command": "apply", "options": [{ "name": "server-side", "default": "true" }] },
        { "command": "delete", "options": [{ "name": "interactive", "default": "true" }] },
    ]);
    save(session, &preference, path).await
}

async fn save(session: &Session<'_>, preference: &Value, path: &str) -> Result<(), Error> {
    let text = yaml::to_string(preference);
    let written = session.host.write_file(path, Bytes::from(text)).await;
    written.map_err(|error| Error::message(format!("failed to write kuberc file: open {path}: {}", error.as_str())))?;
    session.outln(format!("Updated {path}"));
    Ok(())
}

async fn set(session: &Session<'_>, path: &str) -> Result<(), Error> {
    session.args.require(&["section"])?;
    validate(session)?;
    let mut preference = match kuberc::read(path, session.host).await {
        Ok(found) => kuberc::converted(found.unwrap_or_else(kuberc::empty)),
        Err(Missing::File(FileError::NotFound)) => kuberc::empty(),
        Err(missing) => return Err(Error::message(format!("error reading kuberc file: {}", missing.words(path)))),
    };
    let options = options(session)?;
    let args = &session.args;
    match args.string("section") {
        DEFAULTS => put(session, &mut preference, DEFAULTS, "command", args.string("command"), options)?,
        ALIASES => put(session, &mut preference, ALIASES, "name", args.string("name"), options)?,
        _ => {
            let policy = args.string("policy");
            if policy == ALLOWLIST {
                preference["credentialPluginAllowlist"] = allowlist(session)?;
            }
            preference["credentialPluginPolicy"] = policy.into();
        }
    }
    save(session, &preference, path).await
}

fn validate(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let section = args.string("section");
    let has = |flag: &str| !args.list(flag).is_empty();
    let message = match section {
        DEFAULTS if !args.string("name").is_empty() => {
            format!("--name should not be specified when --section={DEFAULTS}")
        }
        DEFAULTS if has("prependarg") || has("appendarg") => {
            format!("--prependarg and --appendarg are only valid for --section={ALIASES}")
        }
        ALIASES if args.string("name").is_empty() => format!("--name is required when --section={ALIASES}"),
        DEFAULTS | ALIASES if args.string("command").is_empty() => {
            format!("--command is required when --section={ALIASES} or --section={DEFAULTS}")
        }
        DEFAULTS | ALIASES => return Ok(()),
        CREDENTIAL_PLUGIN => match (args.string("policy"), has("allowlist-entry")) {
            ("", _) => format!("--policy is required when --section={CREDENTIAL_PLUGIN}"),
            ("AllowAll" | "DenyAll", true) => format!(
                "--allowlist-entry may only be used when --section={CREDENTIAL_PLUGIN} and --policy={ALLOWLIST}"
            ),
            (ALLOWLIST, false) => {
                format!("--allowlist-entry is required when --section={CREDENTIAL_PLUGIN} and --policy={ALLOWLIST}")
            }
            ("AllowAll" | "DenyAll" | ALLOWLIST, _) => return Ok(()),
            (policy, _) => {
                format!(" --policy must be  \"AllowAll\", \"DenyAll\", or \"Allowlist\", got: {policy}")
            }
        },
        _ => format!("--section must be {DEFAULTS:?}, {ALIASES:?}, or {CREDENTIAL_PLUGIN:?}, got: {section}"),
    };
    Err(Error::message(message))
}

/// `--option flag=value`
fn options(session: &Session<'_>) -> Result<Vec<Value>, Error> {
    let option = |given: &String| {
        let (name, value) = given
            .split_once('=')
            .ok_or_else(|| Error::message(format!("invalid option format {given:?}, expected flag=value")))?;
        Ok(json!({ "name": name.trim_start_matches('-'), "default": value }))
    };
    session.args.list("option").iter().map(option).collect()
}

/// Adds an entry to a list, or changes the one that is called so. What is not given stays.
fn put(
    session: &Session<'_>,
    preference: &mut Value,
    section: &str,
    key: &str,
    name: &str,
    options: Vec<Value>,
) -> Result<(), Error> {
    let args = &session.args;
    let known = items(&preference[section]).position(|entry| entry[key] == name);
    if known.is_some() && !args.bool("overwrite") {
        return Err(Error::message(match section {
            DEFAULTS => format!("defaults for command {name:?} already exist, use --overwrite to replace"),
            _ => format!("alias {name:?} already exists, use --overwrite to replace"),
        }));
    }
    let old = known.map(|at| preference[section][at].clone()).unwrap_or_default();
    let mut entry = json!({ key: name, "command": args.string("command") });
    let lists = [
        ("prependArgs", args.list("prependarg").iter().cloned().map(Value::from).collect::<Vec<_>>()),
        ("appendArgs", args.list("appendarg").iter().cloned().map(Value::from).collect()),
        ("options", options),
    ];
    for (field, given) in lists {
        match given.is_empty() {
            false => entry[field] = given.into(),
            true if !old[field].is_null() => entry[field] = old[field].clone(),
            // A Go list without `omitempty`.
            true if section == DEFAULTS && field == "options" => entry[field] = Value::Null,
            true => {}
        }
    }
    let Some(list) = preference.list_mut(&[section]) else { return Ok(()) };
    match known.and_then(|at| list.get_mut(at)) {
        Some(old) => *old = entry,
        None => list.push(entry),
    }
    Ok(())
}

/// `--allowlist-entry command=…`
fn allowlist(session: &Session<'_>) -> Result<Value, Error> {
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    for pair in session.args.list("allowlist-entry").iter().flat_map(|pairs| pairs.split(',')) {
        let error = match pair.split_once('=') {
            None => format!("improperly formatted allowlist entry: {pair:?}"),
            Some(("name", _)) => "allowlist entry field \"name\" is deprecated, use \"command\" instead".to_owned(),
            Some((field @ "command", value)) if value.trim().is_empty() => {
                format!("empty value in allowlist entry for field {field:?}")
            }
            Some(("command", value)) => {
                entries.push(json!({ "command": value }));
                continue;
            }
            Some((field, _)) => format!("unrecognized allowlist entry field: {field:?}"),
        };
        errors.push(Error::message(error));
    }
    match errors.is_empty() {
        true => Ok(Value::Array(entries)),
        false => Err(Error::message(Error::Many(errors).plain())),
    }
}
