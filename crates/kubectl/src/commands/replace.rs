//! `kubectl replace` and `kubectl edit`.

use http::Method;
use machinery::{GroupVersionKind, patch};

use super::create::{annotate_last_applied, post, validation, visit};
use super::delete::{self, Deletion};
use crate::api::Url;
use crate::error::Error;
use crate::files;
use crate::print::output::{COMMON, Output, done};
use crate::resources;
use crate::select::{self, Choice};
use crate::session::{DryRun, Session};
use crate::value::ValueExt;
use crate::yaml;

/// `kubectl replace`
pub(super) async fn replace(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    if !files::given(session) {
        return Err(Error::message("must specify one of -f and -k"));
    }
    if !args.args.is_empty() {
        return Err(args.usage_error(format!("Unexpected args: [{}]", args.args.join(" "))));
    }
    let dry_run = session.dry_run()?;
    validation(session)?;
    let force = args.bool("force");
    if force && dry_run != DryRun::None {
        return Err(Error::message("--dry-run can not be used when --force is set"));
    }
    if args.int("grace-period") >= 0 && !force {
        return Err(Error::message("--grace-period must have --force specified"));
    }
    let output = Output::new(session, COMMON).await?;
    let mut errors = Vec::new();
    let mut count = 0;
    for info in visit(session).await? {
        let mut info = match info {
            Ok(info) => info,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        count += 1;
        if args.bool("save-config") {
            annotate_last_applied(&mut info.object);
        }
        let outcome = if force { recreate(session, &info).await } else { put(session, &info, dry_run).await };
        match outcome {
            Ok(object) => done(session, &output, &object, &format!("replaced{}", dry_run.suffix()))?,
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => errors.push(error.with_source("replacing", &info.source)),
        }
    }
    if count == 0 && errors.is_empty() {
        return Err(Error::message("no objects passed to replace"));
    }
    Error::all(errors)
}

async fn put(session: &Session<'_>, info: &select::Info, dry_run: DryRun) -> Result<serde_json::Value, Error> {
    if dry_run == DryRun::Client {
        return Ok(info.object.clone());
    }
    let client = session.client().await?;
    let mut object = info.object.clone();
    if object["metadata"]["resourceVersion"].is_null() {
        let current = client.get(info.path()).await?;
        object.put(&["metadata", "resourceVersion"], current["metadata"]["resourceVersion"].clone());
    }
    let path = match session.args.string("subresource") {
        "" => info.path(),
        subresource => format!("{}/{subresource}", info.path()),
    };
    let url = Url::new(path)
        .with_some("dryRun", dry_run.parameter())
        .with("fieldManager", session.args.string("field-manager"))
        .with("fieldValidation", validation(session)?);
    client.write(Method::PUT, url, "application/json", &object).await
}

/// `--force`: deletes the object, waits, and makes it anew.
async fn recreate(session: &Session<'_>, info: &select::Info) -> Result<serde_json::Value, Error> {
    let grace_period = match session.args.int("grace-period") {
        period if period < 0 => 0,
        period => period,
    };
    let deletion = Deletion { grace_period, propagation: delete::propagation(session)?, dry_run: DryRun::None };
    match delete::delete(session, info, &deletion).await {
        Ok(uid) => {
            session.outln(format!("{} {:?} deleted", info.resource.kind_name(), info.name));
            delete::wait_until_gone(session, info, &uid, None).await?;
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    post(session, &info.resource, &info.namespace, &info.object, "kubectl-replace", DryRun::None).await
}

/// `kubectl edit`
pub(super) async fn edit(session: &Session<'_>) -> Result<(), Error> {
    const HEADER: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n# and an empty \
                          file will abort the edit. If an error occurs while saving this file will be\n# reopened \
                          with the relevant failures.\n#\n";
    let args = &session.args;
    let output = Output::new(session, COMMON).await?;
    let choice = Choice { args: &args.args, all: true, latest: true, ..Choice::default() };
    let (infos, errors) = select::infos(session, &choice).await?;
    Error::all(errors)?;
    if infos.is_empty() {
        return Err(Error::message("edit cancelled, no objects found"));
    }
    for info in infos {
        let mut shown = info.object.clone();
        if let Some(metadata) = shown.fields_mut(&["metadata"]) {
            metadata.remove("managedFields");
        }
        let before = format!("{HEADER}{}", yaml::to_string(&shown));
        let mut text = before.clone();
        loop {
            let edited =
                session.host.edit(&format!("{}.yaml", info.name), text.clone()).await.map_err(Error::message)?;
            if edited == before || edited.lines().all(|line| line.trim().is_empty() || line.starts_with('#')) {
                session.errln("Edit cancelled, no changes made.");
                break;
            }
            if edited == text && text != before {
                session.errln("Edit cancelled, no valid changes were saved.");
                return Err(Error::Exit(1));
            }
            match save(session, &info, &shown, &edited).await {
                Ok(object) => {
                    done(session, &output, &object, "edited")?;
                    break;
                }
                Err(error @ Error::Send { .. }) => return Err(error),
                Err(error) => {
                    session.report(&error);
                    let reason: String = error.plain().lines().map(|line| format!("# {line}\n")).collect();
                    let body: Vec<&str> = edited.lines().skip_while(|line| line.starts_with('#')).collect();
                    text = format!("{HEADER}{reason}#\n{}\n", body.join("\n"));
                }
            }
        }
    }
    Ok(())
}

async fn save(
    session: &Session<'_>,
    info: &select::Info,
    before: &serde_json::Value,
    text: &str,
) -> Result<serde_json::Value, Error> {
    let edited = yaml::parse(text).map_err(|error| {
        Error::message(format!(
            "The edited file had a syntax error: error parsing edited-file: error converting YAML to JSON: {error}"
        ))
    })?;
    let kind = GroupVersionKind::from_api_version(&info.resource.api_version(), &info.resource.kind);
    let (change, content_type) = match patch::Strategic::for_kind(&kind) {
        Some(strategic) => {
            let change = strategic.diff(before, &edited).map_err(|error| Error::message(error.to_string()))?;
            (change, super::STRATEGIC_PATCH)
        }
        None => (patch::merge_diff(before, &edited), super::MERGE_PATCH),
    };
    let url = Url::new(info.path()).with("fieldManager", "kubectl-edit").with("fieldValidation", validation(session)?);
    resources::patch(session.client().await?, url, content_type, &change).await
}
