//! `kubectl patch`.

use bytes::Bytes;
use http::Method;
use machinery::{GroupVersionKind, go, patch};
use serde_json::Value;

use crate::api::Url;
use crate::error::Error;
use crate::print::output::{COMMON, Output, done};
use crate::resources;
use crate::select::{self, Choice};
use crate::session::{DryRun, Session};
use crate::yaml;

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let (inline, file) = (args.string("patch"), args.string("patch-file"));
    if inline.is_empty() && file.is_empty() {
        return Err(Error::message("must specify --patch or --patch-file containing the contents of the patch"));
    }
    if !inline.is_empty() && !file.is_empty() {
        return Err(Error::message("cannot specify --patch and --patch-file together"));
    }
    if args.bool("local") && !args.args.is_empty() {
        return Err(Error::message("cannot specify --local and server resources"));
    }
    let dry_run = session.dry_run()?;
    let content_type = match args.string("type") {
        "json" => super::JSON_PATCH,
        "merge" => super::MERGE_PATCH,
        "strategic" | "" => super::STRATEGIC_PATCH,
        other => {
            return Err(Error::message(format!("--type must be one of [json merge strategic], not {other:?}")));
        }
    };
    let text = if file.is_empty() {
        inline.to_owned()
    } else {
        let bytes = session.host.read_file(file).await;
        let bytes = bytes
            .map_err(|error| Error::message(format!("unable to read patch file: open {file}: {}", error.as_str())))?;
        String::from_utf8_lossy(&bytes).into_owned()
    };
    // What looks like JSON goes to the server as it is, mistakes included.
    let value = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).unwrap_or(Value::Null)
    } else {
        yaml::parse(&text).map_err(|error| Error::message(format!("unable to parse {inline:?}: {error}")))?
    };
    let body = if value.is_null() { Bytes::from(text) } else { Bytes::from(go::json(&value)) };
    let change = Change { value, body, content_type };
    let output = Output::new(session, COMMON).await?;
    let local = args.bool("local");
    let choice = Choice { args: &args.args, local, latest: false, ..Choice::default() };
    let plan = select::plan(session, &choice).await?;
    if plan.is_empty() {
        return Err(Error::message("no objects passed to patch"));
    }
    let mut errors = Vec::new();
    for item in plan {
        let outcome = match item {
            select::Item::Failed(error) => Err(error),
            select::Item::List(..) => Err(Error::message("resource(s) were provided, but no name was specified")),
            select::Item::Named(resource, namespace, name) => {
                let info = select::Info { resource, namespace, name, object: Value::Null, source: String::new() };
                one(session, info, &change, dry_run, local).await
            }
            select::Item::File(info) => one(session, *info, &change, dry_run, local).await,
        };
        match outcome {
            Ok((object, changed)) => {
                let suffix = if changed { "" } else { " (no change)" };
                done(session, &output, &object, &format!("patched{suffix}"))?;
            }
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors)
}

/// A patch as it is sent, and as far as it is JSON.
struct Change {
    value: Value,
    body: Bytes,
    content_type: &'static str,
}

async fn one(
    session: &Session<'_>,
    info: select::Info,
    change: &Change,
    dry_run: DryRun,
    local: bool,
) -> Result<(Value, bool), Error> {
    let path = match session.args.string("subresource") {
        "" => info.path(),
        subresource => format!("{}/{subresource}", info.path()),
    };
    if local {
        let patched = apply_locally(&info, &info.object, &change.value, change.content_type)?;
        return Ok((patched.clone(), patched != info.object));
    }
    let client = session.client().await?;
    let before = match client.get(path.as_str()).await {
        Ok(before) => before,
        Err(error) => {
            let error = resources::unknown_path(error, "get", &info.resource, &info.name);
            // What a file names is not read before it is patched.
            let namespace = if info.source.is_empty() { info.namespace.as_str() } else { "" };
            return Err(resources::or_no_namespace(client, namespace, error).await);
        }
    };
    if dry_run == DryRun::Client {
        let patched = apply_locally(&info, &before, &change.value, change.content_type)?;
        let changed = patched != before;
        return Ok((patched, changed));
    }
    let url = Url::new(path)
        .with_some("dryRun", dry_run.parameter())
        .with("fieldManager", session.args.string("field-manager"));
    let answer = client.write_bytes(Method::PATCH, url, change.content_type, change.body.clone()).await;
    let patched = answer.map_err(|error| match error {
        Error::Status(status) if status.reason() == "UnsupportedMediaType" => Error::message(format!(
            "application/strategic-merge-patch+json is not supported by {}, try --type merge: {}",
            info.resource.qualified(),
            status.message()
        )),
        other => other,
    })?;
    super::record::afterwards(session, &info, dry_run).await?;
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let changed = version(&before) != version(&patched);
    Ok((patched, changed))
}

fn apply_locally(info: &select::Info, object: &Value, change: &Value, content_type: &str) -> Result<Value, Error> {
    let failed = |error: patch::PatchError| Error::message(error.to_string());
    match content_type {
        super::JSON_PATCH => patch::json(object, change).map_err(failed),
        super::MERGE_PATCH => Ok(patch::merge(object, change)),
        _ => {
            let kind = GroupVersionKind::from_api_version(&info.resource.api_version(), &info.resource.kind);
            let strategic = patch::Strategic::for_kind(&kind).ok_or_else(|| {
                Error::message(format!("no kind {} is registered for {}", go::quote(&kind.kind), kind.version))
            })?;
            strategic.apply(object, change).map_err(failed)
        }
    }
}
