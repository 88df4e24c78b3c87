//! `kubectl apply`.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Method;
use machinery::{GroupVersionKind, go, patch};
use serde_json::Value;

use super::apply_set::ApplySet;
use super::create::{LAST_APPLIED, annotate_last_applied, post, validation, visit};
use super::delete::{self, Deletion};
use super::get::list_of;
use crate::api::Url;
use crate::error::Error;
use crate::files;
use crate::print::json;
use crate::print::output::{COMMON, Format, Output, done};
use crate::resources::{Resource, text};
use crate::select::{self, Info, matches_labels};
use crate::session::{DryRun, Session};
use crate::value::ValueExt;
use crate::yaml;

const MANAGER: &str = "kubectl-client-side-apply";
const CONFLICT_RETRIES: usize = 5;

/// Runs the command and its subcommands.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    match session.args.command.path {
        "apply view-last-applied" => super::last_applied::view(session).await,
        "apply set-last-applied" => super::last_applied::set(session).await,
        "apply edit-last-applied" => super::edit::last_applied(session).await,
        _ => apply(session).await,
    }
}

async fn apply(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    if !args.args.is_empty() {
        return Err(args.usage_error(format!("Unexpected args: [{}]", args.args.join(" "))));
    }
    if !files::given(session) {
        return Err(Error::message("must specify one of -f and -k"));
    }
    let dry_run = session.dry_run()?;
    let server_side = args.bool("server-side");
    if args.bool("force-conflicts") && !server_side {
        return Err(Error::message("--force-conflicts only works with --server-side"));
    }
    if dry_run == DryRun::Client && server_side {
        return Err(Error::message(
            "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)",
        ));
    }
    if args.bool("force") && server_side {
        return Err(Error::message("--force cannot be used with --server-side"));
    }
    if args.bool("force") && dry_run == DryRun::Server {
        return Err(Error::message("--dry-run=server cannot be used with --force"));
    }
    let prune = args.bool("prune");
    super::delete::propagation(session)?;
    if args.bool("all") && !args.string("selector").is_empty() {
        return Err(Error::message("cannot set --all and --selector at the same time"));
    }
    let mut set = ApplySet::of_flags(session).await?;
    if let Some(set) = &set {
        set.check_flags(session).await?;
    }
    if prune && args.bool("force") {
        return Err(Error::message("--force cannot be used with --prune"));
    }
    if prune && set.is_none() && server_side {
        return Err(Error::message(
            "--prune is in alpha and doesn't currently work on objects created by server-side apply",
        ));
    }
    if prune
        && set.is_none()
        && args.string("selector").is_empty()
        && !args.bool("all")
        && args.list("prune-allowlist").is_empty()
    {
        return Err(Error::message(
            "all resources selected for prune without explicitly passing --all. To prune all resources, pass the \
             --all flag. If you did not mean to prune all resources, specify a label selector",
        ));
    }
    if prune {
        super::prune::allowlist(session).await?;
    }
    validation(session)?;
    let selector = machinery::labels::Selector::parse(args.string("selector"))
        .map_err(|error| Error::message(error.to_string()))?;
    let output = Output::new(session, COMMON).await?;
    let mut errors = Vec::new();
    let mut shown = Vec::new();
    let mut count = 0;
    let mut kept = BTreeSet::new();
    let mut namespaces = BTreeSet::new();
    let mut infos = Vec::new();
    for info in visit(session).await? {
        match info {
            Ok(info) if matches_labels(&selector, &info.object) => infos.push(info),
            Ok(_) => {}
            Err(error) => errors.push(error),
        }
    }
    if let Some(set) = &mut set {
        Error::all(std::mem::take(&mut errors))?;
        set.add_labels(&mut infos)?;
        set.before_apply(session, &infos, dry_run).await?;
    }
    let unread = std::mem::take(&mut errors);
    for mut info in infos {
        count += 1;
        if info.resource.namespaced {
            namespaces.insert(info.namespace.clone());
        }
        let outcome = if server_side {
            server_side_apply(session, &mut info, dry_run).await
        } else {
            client_side_apply(session, &mut info, dry_run).await
        };
        match outcome {
            Ok(operation) => {
                kept.insert(text(&info.object["metadata"]["uid"]));
                // By `--template` alone, one after the other.
                if matches!(args.string("output"), "" | "name") {
                    done(session, &output, &info.object, &format!("{operation}{}", dry_run.suffix()))?;
                } else {
                    shown.push(info.object);
                }
            }
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => errors.push(error),
        }
    }
    errors = match (unread, errors) {
        (unread, errors) if errors.is_empty() => unread,
        // What could not be read is one error beside others.
        (unread, errors) if unread.len() > 1 => {
            let all = Error::Message(Error::Many(unread).plain());
            std::iter::once(all).chain(errors).collect()
        }
        (unread, errors) => unread.into_iter().chain(errors).collect(),
    };
    if count == 0 && errors.is_empty() {
        return Err(Error::message("no objects passed to apply"));
    }
    match shown.len() {
        0 => {}
        1 => session.out(output.render(&shown.remove(0))?),
        _ => {
            let mut list = list_of(shown);
            list["metadata"] = serde_json::json!({});
            session.out(match output.format {
                Format::Json => json::pretty_list(&list),
                _ => output.render(&list)?,
            });
        }
    }
    if let Some(set) = &set {
        Error::all(errors)?;
        return set.prune(session, &kept, &output, dry_run).await;
    }
    if prune && errors.is_empty() {
        super::prune::prune(session, &kept, &namespaces, dry_run).await?;
    }
    Error::all(errors)
}

/// How messages name an object and its kind at length.
fn describe(info: &Info) -> String {
    let Resource { group, version, name: resource, kind, .. } = &info.resource;
    format!(
        "Resource: \"{group}/{version}, Resource={resource}\", GroupVersionKind: \"{group}/{version}, Kind={kind}\"\nName: {:?}, \
         Namespace: {:?}",
        info.name, info.namespace
    )
}

/// Where an object, or the subresource to apply to, is.
fn path(session: &Session<'_>, info: &Info) -> String {
    match session.args.string("subresource") {
        "" => info.path(),
        subresource => format!("{}/{subresource}", info.path()),
    }
}

async fn client_side_apply(session: &Session<'_>, info: &mut Info, dry_run: DryRun) -> Result<&'static str, Error> {
    let client = session.client().await?;
    super::record::note(session, &mut info.object);
    let mut modified = info.object.clone();
    annotate_last_applied(&mut modified);
    if info.name.is_empty() {
        let prefix = text(&info.object["metadata"]["generateName"]);
        if !prefix.is_empty() {
            return Err(Error::message(format!("from {prefix}: cannot use generate name with apply")));
        }
        return Err(Error::message("resource name may not be empty").with_source(
            &format!("retrieving current configuration of:\n{}\nfrom server for:", describe(info)),
            &info.source,
        ));
    }
    let current = match client.get(path(session, info)).await {
        Ok(current) => current,
        Err(error) if error.is_not_found() && session.args.string("subresource").is_empty() => {
            info.object = modified;
            if dry_run != DryRun::Client {
                info.object = post(session, &info.resource, &info.namespace, &info.object, MANAGER, dry_run)
                    .await
                    .map_err(|error| error.with_source("creating", &info.source))?;
            }
            return Ok("created");
        }
        Err(error @ Error::Send { .. }) => return Err(error),
        Err(error) => {
            let doing = format!("retrieving current configuration of:\n{}\nfrom server for:", describe(info));
            return Err(error.with_source(&doing, &info.source));
        }
    };
    if current["metadata"]["annotations"][LAST_APPLIED].is_null() {
        session.errln(format!(
            "Warning: resource {}/{} is missing the {LAST_APPLIED} annotation which is required by kubectl apply. \
             kubectl apply should only be used on resources created declaratively by either kubectl create \
             --save-config or kubectl apply. The missing annotation will be patched automatically.",
            info.resource.name, info.name
        ));
    }
    if !current["metadata"]["deletionTimestamp"].is_null() {
        session.errln(format!("Warning: Detected changes to resource {} which is currently being deleted.", info.name));
    }
    let (patched, operation) = patch_current(session, info, current, &modified, dry_run).await?;
    info.object = patched;
    Ok(operation)
}

async fn patch_current(
    session: &Session<'_>,
    info: &Info,
    mut current: Value,
    modified: &Value,
    dry_run: DryRun,
) -> Result<(Value, &'static str), Error> {
    let client = session.client().await?;
    let kind = GroupVersionKind {
        group: info.resource.group.clone(),
        version: info.resource.version.clone(),
        kind: info.resource.kind.clone(),
    };
    for attempt in 0.. {
        let overwrite = session.args.bool("overwrite") || session.args.command.path != "apply";
        let (patch, content_type) = three_way(&kind, modified, &current, overwrite).map_err(|error| {
            Error::message(error).with_source(
                &format!(
                    "creating patch with:\noriginal:\n{}\nmodified:\n{modified}\ncurrent:\n{current}\nfor:",
                    text(&current["metadata"]["annotations"][LAST_APPLIED])
                ),
                &info.source,
            )
        })?;
        if patch.as_object().is_some_and(|fields| fields.is_empty()) {
            return Ok((current, if dry_run == DryRun::Client { "configured" } else { "unchanged" }));
        }
        if dry_run == DryRun::Client {
            let patched = match content_type {
                super::MERGE_PATCH => Some(patch::merge(&current, &patch)),
                _ => patch::Strategic::for_kind(&kind).and_then(|kind| kind.apply(&current, &patch).ok()),
            };
            return Ok((patched.unwrap_or(current), "configured"));
        }
        let manager = match session.args.string("field-manager") {
            "" => MANAGER,
            given => given,
        };
        let url = Url::new(path(session, info))
            .with_some("dryRun", dry_run.parameter())
            .with("fieldManager", manager)
            .with("fieldValidation", validation(session)?);
        let body = go::json(&patch);
        let answer = client.write_bytes(Method::PATCH, url, content_type, Bytes::from(body.clone())).await;
        match answer {
            Ok(patched) => return Ok((patched, "configured")),
            Err(error) if error.is_reason("Conflict") && attempt < CONFLICT_RETRIES => {
                current = client.get(path(session, info)).await?;
            }
            Err(error) if session.args.bool("force") && (error.is_reason("Conflict") || error.is_reason("Invalid")) => {
                return Ok((replace(session, info, modified).await?, "configured"));
            }
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => {
                let doing = format!("applying patch:\n{body}\nto:\n{}\nfor:", describe(info));
                return Err(error.with_source(&doing, &info.source));
            }
        }
    }
    Err(Error::message("too many conflicts"))
}

/// What applying an object would make of it; nothing is kept.
///
/// # Errors
/// What the server says.
pub(super) async fn preview(session: &Session<'_>, info: &Info, live: &Value) -> Result<Value, Error> {
    if live.is_null() {
        return post(session, &info.resource, &info.namespace, &info.object, MANAGER, DryRun::Server).await;
    }
    // What was applied last is shown as it is: the original leaves it out of the patch too.
    let mut modified = info.object.clone();
    let last = live["metadata"]["annotations"][LAST_APPLIED].clone();
    if !last.is_null() {
        modified.put(&["metadata", "annotations", LAST_APPLIED], last);
    }
    let (patched, _) = patch_current(session, info, live.clone(), &modified, DryRun::Server).await?;
    Ok(patched)
}

/// `--force`: deletes the object and makes it anew.
async fn replace(session: &Session<'_>, info: &Info, modified: &Value) -> Result<Value, Error> {
    let grace_period = session.args.int("grace-period").max(-1);
    let deletion = Deletion { grace_period, propagation: delete::propagation(session)?, dry_run: DryRun::None };
    let uid = delete::delete(session, info, &deletion).await?;
    delete::wait_until_gone(session, info, &uid, delete::limit(session)).await?;
    post(session, &info.resource, &info.namespace, modified, MANAGER, DryRun::None).await
}

/// The patch from what was applied last, what is wanted and what is there; and its content type. Without `overwrite`,
/// what somebody else has changed is no longer ours to change.
fn three_way(
    kind: &GroupVersionKind,
    modified: &Value,
    current: &Value,
    overwrite: bool,
) -> Result<(Value, &'static str), String> {
    let original = current["metadata"]["annotations"][LAST_APPLIED].as_str().unwrap_or("{}");
    let original: Value = serde_json::from_str(original).map_err(|error| error.to_string())?;
    let original = if original.is_null() { serde_json::json!({}) } else { original };
    let failed = |error: &dyn std::fmt::Display| error.to_string();
    let Some(strategic) = patch::Strategic::for_kind(kind) else {
        let patch = patch::merge_three_way(&original, modified, current).map_err(|error| failed(&error))?;
        return Ok((patch, super::MERGE_PATCH));
    };
    let patch = strategic.three_way(&original, modified, current).map_err(|error| failed(&error))?;
    if !overwrite {
        let changed = strategic.diff(&original, current).map_err(|error| failed(&error))?;
        if in_conflict(&patch, &changed) {
            let (patch, changed) = (yaml::to_string(&patch), yaml::to_string(&changed));
            return Err(format!("patch:\n{patch}\nconflicts with changes made from original to current:\n{changed}\n"));
        }
    }
    Ok((patch, super::STRATEGIC_PATCH))
}

/// Whether two patches give the same field different values.
fn in_conflict(one: &Value, other: &Value) -> bool {
    match (one.as_object(), other.as_object()) {
        (Some(one), Some(other)) => {
            one.iter().any(|(key, value)| other.get(key).is_some_and(|other| in_conflict(value, other)))
        }
        _ => one != other,
    }
}

async fn server_side_apply(session: &Session<'_>, info: &mut Info, dry_run: DryRun) -> Result<&'static str, Error> {
    let args = &session.args;
    let manager = if args.changed("field-manager") { args.string("field-manager") } else { "kubectl" };
    let url = Url::new(path(session, info))
        .with_some("dryRun", dry_run.parameter())
        .with("fieldManager", manager)
        .with("fieldValidation", validation(session)?)
        .with("force", if args.bool("force-conflicts") { "true" } else { "false" });
    let answer = session.client().await?.write(Method::PATCH, url, "application/apply-patch+yaml", &info.object).await;
    info.object = answer.map_err(|error| match error {
        Error::Status(status) if status.reason() == "Conflict" => Error::message(format!(
            "{}\nPlease review the fields above--they currently have other managers. Here\nare the ways you can \
             resolve this warning:\n* If you intend to manage all of these fields, please re-run the apply\n  command \
             with the `--force-conflicts` flag.\n* If you do not intend to manage all of the fields, please edit \
             your\n  manifest to remove references to the fields that should keep their\n  current managers.\n* You \
             may co-own fields by updating your manifest to match the existing\n  value; in this case, you'll become \
             the manager if the other manager(s)\n  stop managing the field (remove it from their \
             configuration).\nSee https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts",
            status.message()
        )),
        other => other,
    })?;
    Ok("serverside-applied")
}

/// The identity of what apply works on, for its subcommands.
///
/// # Errors
/// As [`select::infos`].
pub async fn live(session: &Session<'_>) -> Result<Vec<Info>, Error> {
    let choice = select::Choice {
        args: &session.args.args,
        selector: session.args.string("selector"),
        all: session.args.bool("all"),
        latest: true,
        ..select::Choice::default()
    };
    let (infos, errors) = select::infos(session, &choice).await?;
    Error::all(errors)?;
    Ok(infos)
}
