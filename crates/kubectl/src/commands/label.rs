//! `kubectl label` and `kubectl annotate`.

use serde_json::{Map, Value, json};

use crate::api::Url;
use crate::error::Error;
use crate::files;
use crate::print::output::{COMMON, Output, done};
use crate::resources;
use crate::select::{self, Choice};
use crate::session::{DryRun, Session};
use crate::value::ValueExt;

/// Words before the first change, and the changes.
///
/// # Errors
/// Resources after a change.
pub(super) fn split_pairs<'a>(args: &'a [String], what: &str) -> Result<(&'a [String], &'a [String]), Error> {
    let is_change =
        |word: &String| (word.contains('=') && !word.starts_with('=')) || (word.ends_with('-') && word.as_str() != "-");
    let split = args.iter().position(is_change).unwrap_or(args.len());
    let (resources, pairs) = args.split_at(split);
    match pairs.iter().find(|word| !is_change(word)) {
        Some(word) => Err(Error::message(format!("all resources must be specified before {what} changes: {word}"))),
        None => Ok((resources, pairs)),
    }
}

/// Why a label or a taint may not have a value.
pub(super) fn value_problem(value: &str) -> Option<&'static str> {
    if value.len() > 63 {
        return Some("must be no more than 63 characters");
    }
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends = |c: char| c.is_ascii_alphanumeric();
    if value.is_empty() || (value.chars().all(inner) && value.starts_with(ends) && value.ends_with(ends)) {
        return None;
    }
    Some(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
         and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
         validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    )
}

/// Whether a label may have a value, as the client looks at it.
fn check_value(key: &str, value: &str) -> Result<(), Error> {
    let invalid = |problem| Error::message(format!("invalid label value: \"{key}={value}\": {problem}"));
    value_problem(value).map_or(Ok(()), |problem| Err(invalid(problem)))
}

struct Changes {
    set: Vec<(String, String)>,
    remove: Vec<String>,
}

fn parse(pairs: &[String], what: &str) -> Result<Changes, Error> {
    let mut changes = Changes { set: Vec::new(), remove: Vec::new() };
    for pair in pairs {
        match (pair.split_once('='), pair.strip_suffix('-')) {
            (Some((key, value)), _) if !(key.is_empty() || what == "label" && value.contains('=')) => {
                changes.set.push((key.to_owned(), value.to_owned()))
            }
            (None, Some(key)) => changes.remove.push(key.to_owned()),
            _ => return Err(Error::message(format!("invalid {what} spec: {pair}"))),
        }
    }
    let both: Vec<&str> = changes
        .remove
        .iter()
        .filter(|key| changes.set.iter().any(|(set, _)| set == *key))
        .map(String::as_str)
        .collect();
    if !both.is_empty() {
        return Err(Error::message(match what {
            "label" => "can not both modify and remove a label in the same command".to_owned(),
            _ => format!(
                "can not both modify and remove the following annotation(s) in the same command: {}",
                both.join(", ")
            ),
        }));
    }
    Ok(changes)
}

/// `kubectl label`
pub(super) async fn label(session: &Session<'_>) -> Result<(), Error> {
    run(session, "label", "labels").await
}

/// `kubectl annotate`
pub(super) async fn annotate(session: &Session<'_>) -> Result<(), Error> {
    run(session, "annotation", "annotations").await
}

async fn run(session: &Session<'_>, what: &str, field: &str) -> Result<(), Error> {
    let args = &session.args;
    let (resources, pairs) = split_pairs(&args.args, what)?;
    let dry_run = session.dry_run()?;
    let changes = parse(pairs, what)?;
    let (local, list) = (args.bool("local"), args.bool("list"));
    if list && args.changed("output") {
        return Err(Error::message("--list and --output may not be specified together"));
    }
    if args.bool("all") && !args.string("selector").is_empty() {
        return Err(Error::message("cannot set --all and --selector at the same time"));
    }
    if local {
        if dry_run == DryRun::Server {
            return Err(Error::message("cannot specify --local and --dry-run=server - did you mean --dry-run=client?"));
        }
        if !resources.is_empty() {
            return Err(Error::message(
                "can only use local files by -f pod.yaml or --filename=pod.json when --local=true is set",
            ));
        }
        if !files::given(session) {
            return Err(Error::message("one or more files must be specified as -f pod.yaml or --filename=pod.json"));
        }
    } else if resources.is_empty() && !files::given(session) {
        return Err(Error::message(
            "one or more resources must be specified as <resource> <name> or <resource>/<name>",
        ));
    }
    if pairs.is_empty() && !list {
        return Err(Error::message(format!("at least one {what} update is required")));
    }
    let output = Output::new(session, COMMON).await?;
    let choice = Choice {
        args: resources,
        selector: args.string("selector"),
        field_selector: args.string("field-selector"),
        all: args.bool("all"),
        all_namespaces: args.bool("all-namespaces"),
        local,
        latest: !local,
    };
    if what == "label" {
        changes.set.iter().try_for_each(|(key, value)| check_value(key, value))?;
    }
    let (infos, mut errors) = select::infos(session, &choice).await?;
    // Whether the words mean one object, however many there are.
    let one = match resources {
        [] => infos.len() == 1,
        [word] => word.contains('/'),
        [kind, _] => !kind.contains([',', '/']),
        _ => false,
    };
    if !args.string("resource-version").is_empty() && !one {
        return Err(Error::message("--resource-version may only be used with a single resource"));
    }
    for info in infos {
        // A list shows what would be.
        let outcome = change(session, info.clone(), what, field, &changes, dry_run, local || list).await;
        match outcome {
            Ok((object, _)) if list => {
                let indent = if one { "" } else { " " };
                if !one {
                    let resource = &info.resource;
                    session.outln(format!("Listing {field} for {}.{}/{}:", resource.kind, resource.group, info.name));
                }
                for (key, value) in object["metadata"][field].as_object().into_iter().flatten() {
                    session.outln(format!("{indent}{key}={}", value.as_str().unwrap_or_default()));
                }
            }
            Ok((object, message)) => {
                done(session, &output, &object, &format!("{message}{}", dry_run.suffix()))?;
            }
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors)
}

async fn change(
    session: &Session<'_>,
    info: select::Info,
    what: &str,
    field: &str,
    changes: &Changes,
    dry_run: DryRun,
    local: bool,
) -> Result<(Value, &'static str), Error> {
    let existing = info.object["metadata"][field].as_object().cloned().unwrap_or_default();
    if !session.args.bool("overwrite") {
        let taken: Vec<Error> = changes
            .set
            .iter()
            .filter_map(|(key, value)| Some((key, value, existing.get(key)?.as_str()?)))
            .filter(|(_, value, old)| value != old)
            .map(|(key, _, old)| match what {
                "label" => Error::message(format!("'{key}' already has a value ({old}), and --overwrite is false")),
                _ => Error::message(format!(
                    "--overwrite is false but found the following declared annotation(s): '{key}' already has a value ({old})"
                )),
            })
            .collect();
        Error::all(taken)?;
    }
    let mut updated = existing.clone();
    for (key, value) in &changes.set {
        updated.insert(key.clone(), value.clone().into());
    }
    let mut found = 0;
    for key in &changes.remove {
        match updated.remove(key) {
            Some(_) => found += 1,
            None if what == "label" => session.outln(format!("label {key:?} not found.")),
            None => {}
        }
    }
    let message = match (what, updated == existing, changes.set.is_empty()) {
        ("annotation", ..) => "annotated",
        (_, true, _) => "not labeled",
        (_, _, true) if found > 0 => "unlabeled",
        (_, _, false) if !changes.remove.is_empty() && found > 0 => "modified",
        _ => "labeled",
    };
    let mut object = info.object.clone();
    object.put(&["metadata", field], updated.clone());
    if updated.is_empty()
        && let Some(metadata) = object.fields_mut(&["metadata"])
    {
        metadata.remove(field);
    }
    let version = session.args.string("resource-version");
    if local || dry_run == DryRun::Client || (updated == existing && version.is_empty()) {
        return Ok((object, message));
    }
    let mut patch = Map::new();
    for (key, value) in &changes.set {
        patch.insert(key.clone(), value.clone().into());
    }
    for key in &changes.remove {
        patch.insert(key.clone(), Value::Null);
    }
    let mut metadata = json!({ field: patch });
    super::record::note_in(session, &mut metadata);
    if !version.is_empty() {
        metadata["resourceVersion"] = version.into();
    }
    let url = Url::new(info.path())
        .with_some("dryRun", dry_run.parameter())
        .with("fieldManager", session.args.string("field-manager"));
    let patch = json!({ "metadata": metadata });
    let patched = resources::patch(session.client().await?, url, super::MERGE_PATCH, &patch).await?;
    Ok((patched, message))
}
