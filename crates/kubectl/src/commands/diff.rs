//! `kubectl diff`.

use similar::DiffTag;
use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::udiff::UnifiedHunkHeader;

use super::apply;
use super::create::visit;
use crate::api::Url;
use crate::error::Error;
use crate::files;
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
    let client = session.client().await?;
    let mut different = false;
    for info in visit(session).await? {
        let info = info?;
        let live = match client.get(info.path()).await {
            Ok(live) => live,
            Err(error) if error.is_not_found() => Value::Null,
            Err(error) => return Err(error),
        };
        let merged = if args.bool("server-side") {
            let url = Url::new(info.path())
                .with("dryRun", "All")
                .with("fieldManager", "kubectl")
                .with("force", if args.bool("force-conflicts") { "true" } else { "false" });
            client.write(Method::PATCH, url, "application/apply-patch+yaml", &info.object).await?
        } else {
            apply::preview(session, &info, &live).await?
        };
        let api = info.resource.api_version().replace('/', ".");
        let name = format!("{api}.{}.{}.{}", info.resource.kind, info.namespace, info.name);
        let (masked_live, masked_merged) = masked(&live, &merged);
        let show = |object: &Value| match object.is_null() {
            true => String::new(),
            false => yaml::to_string(&shown(object, args.bool("show-managed-fields"))),
        };
        let (before, after) = (show(&masked_live), show(&masked_merged));
        if before == after {
            continue;
        }
        different = true;
        // The original lets diff(1) compare two temporary folders.
        let (live, merged) = (format!("/tmp/LIVE-1/{name}"), format!("/tmp/MERGED-1/{name}"));
        let time = session.now().strftime("%Y-%m-%d %H:%M:%S.%9f +0000").to_string();
        session.out(format!("diff -u -N {live} {merged}\n"));
        session.out(format!("--- {live}\t{time}\n+++ {merged}\t{time}\n{}", hunks(&before, &after)));
    }
    Ok(different)
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
