//! `kubectl diff`.

use std::collections::BTreeSet;

use machinery::sort::Order;
use similar::DiffTag;
use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::udiff::UnifiedHunkHeader;

use super::create::visit;
use super::{apply, prune};
use crate::api::Url;
use crate::error::Error;
use crate::files;
use crate::host::SendError;
use crate::resources::text;
use crate::select::{Info, matches_labels};
use crate::session::Session;
use crate::value::ValueExt;
use crate::yaml;
use http::Method;
use serde_json::Value;

/// Exit code for differences.
const DIFFERENT: i32 = 1;
/// Exit code for errors.
const FAILED: i32 = 2;

/// Runs the command.
///
/// # Errors
/// What kubectl says; also when there are differences.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    match compare(session).await {
        Ok(false) => Ok(()),
        Ok(true) => Err(Error::Exit(DIFFERENT)),
        Err(error) => Err(Error::Many(vec![Error::Verbatim(error.to_string()), Error::Exit(FAILED)])),
    }
}

async fn compare(session: &Session<'_>) -> Result<bool, Error> {
    let args = &session.args;
    if !files::given(session) {
        return Err(Error::message("must specify one of -f and -k"));
    }
    if !args.args.is_empty() {
        return Err(args.usage_error(format!("Unexpected args: [{}]", args.args.join(" "))));
    }
    let client = session.client().await?;
    let selector = machinery::labels::Selector::parse(args.string("selector"))
        .map_err(|error| Error::message(error.to_string()))?;
    let (mut kept, mut namespaces) = (BTreeSet::new(), BTreeSet::new());
    let mut pairs = Vec::new();
    let show = |object: &Value| match object.is_null() {
        true => String::new(),
        false => yaml::to_string(&shown(object, args.bool("show-managed-fields"))),
    };
    for info in visit(session).await? {
        let info = info?;
        if !matches_labels(&selector, &info.object) {
            continue;
        }
        let live = match client.get(info.path()).await {
            Ok(live) => live,
            Err(error) if error.is_not_found() => Value::Null,
            Err(error) => return Err(error),
        };
        kept.insert(text(&live["metadata"]["uid"]));
        if info.resource.namespaced {
            namespaces.insert(info.namespace.clone());
        }
        let merged = if args.bool("server-side") {
            let url = Url::new(info.path())
                .with("dryRun", "All")
                .with(
                    "fieldManager",
                    if args.changed("field-manager") { args.string("field-manager") } else { "kubectl" },
                )
                .with("force", if args.bool("force-conflicts") { "true" } else { "false" });
            client.write(Method::PATCH, url, "application/apply-patch+yaml", &info.object).await?
        } else {
            apply::preview(session, &info, &live).await?
        };
        let (masked_live, masked_merged) = masked(&live, &merged);
        pairs.push((file_name(&info), show(&masked_live), Some(show(&masked_merged))));
    }
    if args.bool("prune") {
        for info in prune::outdated(session, &kept, &namespaces).await? {
            // Of those, the original shows all that there is.
            pairs.push((file_name(&info), yaml::to_string(&masked(&info.object, &Value::Null).0), None));
        }
    }
    pairs.order_by(|a, b| a.0.cmp(&b.0));
    match session.host.env("KUBECTL_EXTERNAL_DIFF") {
        Some(program) if !program.is_empty() => by_program(session, &program, &pairs).await,
        _ => Ok(by_hand(session, &pairs)),
    }
}

/// A file's name, what is there, and what it would be; `None` where it would be gone.
type Pair = (String, String, Option<String>);

/// What the original calls an object's two files.
fn file_name(info: &Info) -> String {
    let api = info.resource.api_version().replace('/', ".");
    format!("{api}.{}.{}.{}", info.resource.kind, info.namespace, info.name)
}

/// Prints what diff(1), which the original lets compare two folders, would.
fn by_hand(session: &Session<'_>, pairs: &[Pair]) -> bool {
    let mut different = false;
    for (name, before, after) in pairs {
        if after.as_ref() == Some(before) {
            continue;
        }
        different = true;
        let (live, merged) = (format!("/tmp/LIVE-1/{name}"), format!("/tmp/MERGED-1/{name}"));
        let time = session.now().strftime("%Y-%m-%d %H:%M:%S.%9f +0000").to_string();
        let merged_time = if after.is_some() { time.as_str() } else { "1970-01-01 00:00:00.000000000 +0000" };
        session.out(format!("diff -u -N {live} {merged}\n"));
        let hunks = hunks(before, after.as_deref().unwrap_or_default());
        session.out(format!("--- {live}\t{time}\n+++ {merged}\t{merged_time}\n{hunks}"));
    }
    different
}

/// Lets `KUBECTL_EXTERNAL_DIFF` compare two folders. Of its options those of letters, digits, dashes and `=` count.
async fn by_program(session: &Session<'_>, program: &str, pairs: &[Pair]) -> Result<bool, Error> {
    let mut words = program.split(' ');
    let program = words.next().unwrap_or_default();
    let number = session.now().as_microsecond();
    let (live, merged) = (format!("/tmp/LIVE-{number}"), format!("/tmp/MERGED-{number}"));
    for (name, before, after) in pairs {
        let both = [(&live, Some(before)), (&merged, after.as_ref())];
        for (folder, content) in both.into_iter().filter_map(|(folder, content)| Some((folder, content?))) {
            let path = format!("{folder}/{name}");
            let written = session.host.write_file(&path, content.clone().into()).await;
            written.map_err(|error| Error::message(format!("open {path}: {}", error.as_str())))?;
        }
    }
    let is_plain =
        |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '='));
    let mut line = vec![program.to_owned(), live, merged];
    line.extend(words.filter(is_plain).map(str::to_owned));
    match session.host.run_program(&line, &[]).await {
        Ok((code, output)) => {
            session.host.stdout(&output);
            match code {
                0 => Ok(false),
                1 => Ok(true),
                code => Err(Error::message(format!("failed to run {program:?}: exit status {code}"))),
            }
        }
        Err(SendError::Refused) => {
            Err(Error::message(format!("failed to run {program:?}: executable file not found in $PATH")))
        }
        Err(SendError::Failed(reason)) => Err(Error::message(format!("failed to run {program:?}: {reason}"))),
    }
}

/// The hunks of a unified diff, with three lines of context.
fn hunks(before: &str, after: &str) -> String {
    const CONTEXT_LINES: usize = 3;
    let (old, new): (Vec<_>, Vec<_>) = (before.split_inclusive('\n').collect(), after.split_inclusive('\n').collect());
    let mut changes = Compact::new(Replace::new(Capture::new()), &old, &new);
    // One algorithm: through `TextDiff`, the page would carry all of similar's.
    let Ok(()) = myers::diff(&mut changes, &old, 0..old.len(), &new, 0..new.len());
    let mut text = String::new();
    let put = |text: &mut String, mark: char, lines: Option<&[&str]>| {
        for line in lines.unwrap_or_default() {
            text.push(mark);
            text.push_str(line);
        }
    };
    for hunk in changes.into_inner().into_inner().into_grouped_ops(CONTEXT_LINES) {
        text.push_str(&format!("{}\n", UnifiedHunkHeader::new(&hunk)));
        for change in hunk {
            let (old, new) = (old.get(change.old_range()), new.get(change.new_range()));
            if change.tag() == DiffTag::Equal {
                put(&mut text, ' ', old);
            } else {
                put(&mut text, '-', old);
                put(&mut text, '+', new);
            }
        }
    }
    text
}

/// Two Secrets without their values: of those that differ only that they do (upstream: `Masker`). Others as they are.
fn masked(before: &Value, after: &Value) -> (Value, Value) {
    let mask = |object: &Value, other: &Value, differs: &str| {
        let mut object = object.clone();
        if object["kind"] == "Secret" {
            for (key, value) in object.fields_mut(&["data"]).into_iter().flatten() {
                let same = other["data"].get(key).is_none_or(|other| other == value);
                *value = if same { "***".into() } else { format!("*** ({differs})").into() };
            }
        }
        object
    };
    (mask(before, after, "before"), mask(after, before, "after"))
}

/// An object without what only the server writes.
fn shown(object: &Value, managed_fields: bool) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.fields_mut(&["metadata"])
        && !managed_fields
    {
        metadata.remove("managedFields");
    }
    object
}
