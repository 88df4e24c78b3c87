//! `kubectl replace`.

use http::Method;

use super::create::{post, save_config, validation, visit};
use super::delete::{self, Deletion};
use crate::api::Url;
use crate::error::Error;
use crate::files;
use crate::print::output::{COMMON, Output, done};
use crate::resources::unknown_path;
use crate::select;
use crate::session::{DryRun, Session};
use crate::value::ValueExt;

/// `kubectl replace`
pub(super) async fn replace(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    if !args.string("raw").is_empty() {
        return super::raw::raw(session, Method::PUT).await;
    }
    if !files::given(session) {
        return Err(Error::message("must specify one of -f and -k"));
    }
    if !args.args.is_empty() {
        return Err(args.usage_error(format!("Unexpected args: [{}]", args.args.join(" "))));
    }
    let dry_run = session.dry_run()?;
    validation(session)?;
    let force = args.bool("force");
    let propagation = delete::propagation(session)?;
    if force && dry_run != DryRun::None {
        return Err(Error::message("--dry-run can not be used when --force is set"));
    }
    if args.int("grace-period") >= 0 && !force {
        return Err(Error::message("--grace-period must have --force specified"));
    }
    if !args.duration("timeout").is_zero() && !force {
        return Err(Error::message("--timeout must have --force specified"));
    }
    let output = Output::new(session, COMMON).await?;
    let mut errors = Vec::new();
    for info in visit(session).await? {
        let mut info = match info {
            Ok(info) => info,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        save_config(session, &mut info.object);
        let outcome =
            if force { recreate(session, &info, propagation).await } else { put(session, &info, dry_run).await };
        match outcome {
            Ok(object) => done(session, &output, &object, &format!("replaced{}", dry_run.suffix()))?,
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) if force => errors.push(error),
            Err(error) => errors.push(error.with_source("replacing", &info.source)),
        }
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
        // What cannot be read is sent as it is: the server says what is wrong.
        if let Ok(current) = client.get(info.path()).await {
            object.put(&["metadata", "resourceVersion"], current["metadata"]["resourceVersion"].clone());
        }
    }
    let path = match session.args.string("subresource") {
        "" => info.path(),
        subresource => format!("{}/{subresource}", info.path()),
    };
    let url = Url::new(path)
        .with_some("dryRun", dry_run.parameter())
        .with("fieldManager", session.args.string("field-manager"))
        .with("fieldValidation", validation(session)?);
    let answer = client.write(Method::PUT, url, "application/json", &object).await;
    answer.map_err(|error| unknown_path(error, "put", &info.resource, &info.name))
}

/// `--force`: deletes the object, waits, and makes it anew.
async fn recreate(
    session: &Session<'_>,
    info: &select::Info,
    propagation: &'static str,
) -> Result<serde_json::Value, Error> {
    let grace_period = match session.args.int("grace-period") {
        period if period < 0 => 0,
        period => period,
    };
    let deletion = Deletion { grace_period, propagation, dry_run: DryRun::None };
    match delete::delete(session, info, &deletion).await {
        Ok(uid) => {
            session.outln(format!("{} {:?} deleted", info.resource.kind_name(), info.name));
            delete::wait_until_gone(session, info, &uid, delete::limit(session)).await?;
        }
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    post(session, &info.resource, &info.namespace, &info.object, "kubectl-replace", DryRun::None).await
}
