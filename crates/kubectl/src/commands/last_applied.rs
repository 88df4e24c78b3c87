//! `kubectl apply view-last-applied` and `set-last-applied`.

use serde_json::{Value, json};

use super::apply::live;
use super::create::{LAST_APPLIED, visit};
use crate::error::Error;
use crate::print::json;
use crate::print::output::{COMMON, Output, done};
use crate::resources;
use crate::session::{DryRun, Session};
use crate::yaml;

/// Shows what was applied last.
pub(super) async fn view(session: &Session<'_>) -> Result<(), Error> {
    let form = session.args.string("output");
    let as_json = match form {
        "" | "yaml" => false,
        "json" => true,
        other => {
            return Err(session.args.usage_error(format!(
                "Unexpected -o output mode: {other}, the flag 'output' must be one of yaml|json"
            )));
        }
    };
    for info in live(session).await? {
        let Some(text) = info.object["metadata"]["annotations"][LAST_APPLIED].as_str() else {
            // As the original has it: nothing is said of an object that no file names.
            if info.source.is_empty() {
                continue;
            }
            let name = &info.name;
            return Err(Error::message(format!(
                "error when no last-applied-configuration annotation found on resource: {name}\n {:?}: %!v(<nil>)",
                info.source
            )));
        };
        let value: Value = serde_json::from_str(text).map_err(|error| Error::message(error.to_string()))?;
        session.out(if as_json { json::pretty_two(&value) + "\n" } else { yaml::to_string(&value) });
    }
    Ok(())
}

async fn store(
    session: &Session<'_>,
    info: &crate::select::Info,
    annotation: &str,
    dry_run: DryRun,
) -> Result<Value, Error> {
    let patch = json!({ "metadata": { "annotations": { LAST_APPLIED: annotation } } });
    if dry_run == DryRun::Client {
        return Ok(info.object.clone());
    }
    let url = crate::api::Url::new(info.path()).with_some("dryRun", dry_run.parameter());
    resources::patch(session.client().await?, url, super::MERGE_PATCH, &patch).await
}

/// Makes files' contents what was applied last.
pub(super) async fn set(session: &Session<'_>) -> Result<(), Error> {
    let dry_run = session.dry_run()?;
    let output = Output::new(session, COMMON).await?;
    if !crate::files::given(session) {
        return Err(crate::select::missing());
    }
    for info in visit(session).await? {
        let mut info = info?;
        let live = session.client().await?.get(info.path()).await?;
        if live["metadata"]["annotations"][LAST_APPLIED].is_null() && !session.args.bool("create-annotation") {
            return Err(Error::message(format!(
                "no last-applied-configuration annotation found on resource: {}, to create the annotation, run the command with --create-annotation",
                info.name
            )));
        }
        // The file as it is, but for its namespace: apply itself notes empty annotations too.
        let wanted = format!("{}\n", machinery::go::json(&info.object));
        if live["metadata"]["annotations"][LAST_APPLIED].as_str().map(str::trim_end) == Some(wanted.trim_end()) {
            session.outln(format!("set-last-applied {}: no changes required.", info.name));
            continue;
        }
        info.object = live;
        let stored = store(session, &info, &wanted, dry_run).await?;
        done(session, &output, &stored, &format!("configured{}", dry_run.suffix()))?;
    }
    Ok(())
}
