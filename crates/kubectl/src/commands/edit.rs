//! `kubectl edit`, `kubectl apply edit-last-applied` and `kubectl create --edit`, as upstream's cmd/util/editor.

use http::Method;
use machinery::{GroupVersionKind, patch};
use serde_json::{Value, json};

use super::create::{LAST_APPLIED, annotate_last_applied, post, validation};
use crate::api::Url;
use crate::editor;
use crate::error::Error;
use crate::print::json;
use crate::print::output::{Format, Output, done};
use crate::resources::{self, items, qualify, text};
use crate::select::{self, Choice, Info};
use crate::session::{DryRun, Session};
use crate::value::ValueExt;
use crate::yaml;

const HEADER: &str = "# Please edit the object below. Lines beginning with a '#' will be ignored,\n# and an empty file \
                      will abort the edit. If an error occurs while saving this file will be\n# reopened with the \
                      relevant failures.\n#\n";
const HEADER_OF_LAST_APPLIED: &str = "# Please edit the 'last-applied-configuration' annotations below.\n# Lines \
                                      beginning with a '#' will be ignored, and an empty file will abort the edit.\n#\n";

/// What is edited, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Objects of the server are patched.
    Live,
    /// Their last-applied annotation is.
    LastApplied,
    /// Objects are created.
    Create,
}

/// What became of edited objects that the server did not take.
#[derive(Default)]
struct Refused {
    /// For the header of the next try.
    reasons: String,
    not_found: bool,
    other: bool,
}

/// `kubectl edit`
pub(super) async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let choice = Choice { args: &args.args, all: true, latest: true, ..Choice::default() };
    let (mut infos, errors) = select::infos(session, &choice).await?;
    Error::all(errors)?;
    if infos.is_empty() {
        return Err(Error::message("edit cancelled, no objects found"));
    }
    if !args.string("subresource").is_empty() {
        for info in &mut infos {
            let object = session.client().await?.get(path(session, info)).await;
            info.object = object.map_err(|error| resources::unknown_path(error, "get", &info.resource, &info.name))?;
        }
    }
    edit(session, Mode::Live, infos).await
}

/// `kubectl apply edit-last-applied`
pub(super) async fn last_applied(session: &Session<'_>) -> Result<(), Error> {
    let mut infos = Vec::new();
    for mut info in super::apply::live(session).await? {
        if let Some(applied) = info.object["metadata"]["annotations"][LAST_APPLIED].as_str() {
            info.object = serde_json::from_str(applied).map_err(|error| Error::message(error.to_string()))?;
            infos.push(info);
        }
    }
    if infos.is_empty() {
        return Err(Error::message(
            "no last-applied-configuration annotation found on resources, to create the annotation, use command \
             `kubectl apply set-last-applied --create-annotation`",
        ));
    }
    edit(session, Mode::LastApplied, infos).await
}

/// `kubectl create --edit`, one object after the other.
pub(super) async fn before_create(session: &Session<'_>, infos: Vec<Info>) -> Result<(), Error> {
    for info in infos {
        edit(session, Mode::Create, vec![info]).await?;
    }
    Ok(())
}

/// Where an object, or its subresource, is.
fn path(session: &Session<'_>, info: &Info) -> String {
    match session.args.string("subresource") {
        "" => info.path(),
        subresource => format!("{}/{subresource}", info.path()),
    }
}

async fn edit(session: &Session<'_>, mode: Mode, mut infos: Vec<Info>) -> Result<(), Error> {
    let output = Output::new(session, &["json", "yaml"]).await?;
    let as_json = matches!(output.format, Format::Json);
    for info in &mut infos {
        if let Some(metadata) = info.object.fields_mut(&["metadata"]) {
            metadata.remove("managedFields");
        }
    }
    let whole = match infos.as_slice() {
        [one] => one.object.clone(),
        many => {
            let list: Vec<&Value> = many.iter().map(|info| &info.object).collect();
            json!({ "kind": "List", "apiVersion": "v1", "metadata": {}, "items": list })
        }
    };
    let shown = if as_json { json::pretty(&whole) } else { yaml::to_string(&whole) };
    let header = match mode {
        _ if as_json => "",
        Mode::LastApplied => HEADER_OF_LAST_APPLIED,
        Mode::Live | Mode::Create => HEADER,
    };
    let name = format!("edit.{}", if as_json { "json" } else { "yaml" });
    let mut body = shown.clone();
    let mut refused = Refused::default();
    loop {
        let again = !refused.reasons.is_empty();
        let mut offered = format!("{header}{}{body}", refused.reasons);
        if session.args.bool("windows-line-endings") {
            offered = offered.replace('\n', "\r\n");
        }
        let edited = session.host.edit(&name, offered).await.map_err(Error::message)?.replace("\r\n", "\n");
        if again && meaning(&edited) == meaning(&body) {
            keep(session, &edited).await;
            return Err(Error::message("Edit cancelled, no valid changes were saved."));
        }
        if meaning(&edited) == meaning(&shown) {
            session.errln("Edit cancelled, no changes made.");
            return Ok(());
        }
        body = edited.lines().skip_while(|line| line.starts_with('#')).map(|line| format!("{line}\n")).collect();
        refused = match yaml::parse(&edited) {
            // Nothing, or what has no kind, is no object.
            Ok(edited) if !edited["kind"].is_string() => {
                let names: Vec<String> = infos.iter().map(named).take(1).collect();
                names.iter().for_each(|name| session.errln(format!("error: {name} is invalid")));
                let problem = "<nil>: Invalid value: \"The edited file failed validation\": kind not set".to_owned();
                Refused {
                    reasons: reason(&format!("{} was not valid", names.join(", ")), &[problem]),
                    ..Refused::default()
                }
            }
            // What is no resource of the server cannot be taken for one, as a Scale.
            Ok(edited) if mode == Mode::Live && unknown(session, &edited).await => Refused {
                reasons: reason("The edited file had a syntax error: no such resource", &[]),
                ..Refused::default()
            },
            Ok(object) => match take(session, mode, &infos, object, &output).await {
                Ok(refused) => refused,
                Err(error) => {
                    keep(session, &edited).await;
                    return Err(error);
                }
            },
            Err(error) => Refused {
                reasons: reason(&format!("The edited file had a syntax error: {error}"), &[]),
                ..Refused::default()
            },
        };
        if refused.other || refused.not_found {
            let kept = keep(session, &edited).await;
            session.errln(match refused.other {
                true => format!("You can run `kubectl replace -f {kept}` to try this update again."),
                false => format!("The edits you made on deleted resources have been saved to {kept:?}"),
            });
            return Err(Error::Exit(1));
        }
        if refused.reasons.is_empty() {
            return Ok(());
        }
    }
}

/// A text without its comments, and as data where it is some.
fn meaning(text: &str) -> Result<Value, String> {
    yaml::parse(text).map_err(|_| text.lines().filter(|line| !line.starts_with('#')).collect())
}

/// Keeps what was typed in a file, and says where.
async fn keep(session: &Session<'_>, edited: &str) -> String {
    let path = format!("/tmp/{}", editor::file_name(session.random(), "edit.yaml"));
    if session.host.write_file(&path, edited.to_owned().into()).await.is_ok() {
        session.errln(format!("A copy of your changes has been stored to {path:?}"));
    }
    path
}

/// Whether the server has no resource of an object's kind.
async fn unknown(session: &Session<'_>, object: &Value) -> bool {
    let (api_version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    kind != "List" && session.mapper().await.is_ok_and(|mapper| mapper.for_kind(&api_version, &kind).is_none())
}

/// `deployments.apps "web"`
fn named(info: &Info) -> String {
    format!("{} {:?}", qualify(&info.resource.name, &info.resource.group), info.name)
}

/// A line of the header, and what stands below it.
fn reason(head: &str, below: &[String]) -> String {
    let commented = |text: &str| text.replace('\n', "\n# ");
    let colon = if below.is_empty() { "" } else { ":" };
    let below: String = below.iter().map(|line| format!("# * {}\n", commented(line))).collect();
    format!("# {}{colon}\n{below}#\n", commented(head))
}

/// Hands what was edited to the server.
async fn take(
    session: &Session<'_>,
    mode: Mode,
    infos: &[Info],
    edited: Value,
    output: &Output,
) -> Result<Refused, Error> {
    let mut edited = match edited["kind"] == "List" {
        true => items(&edited["items"]).cloned().collect(),
        false => vec![edited],
    };
    let mut refused = Refused::default();
    for object in &mut edited {
        let same = |info: &&Info| {
            let (before, after) = (&info.object["metadata"], &object["metadata"]);
            match mode {
                Mode::Live => before["uid"] == after["uid"],
                Mode::LastApplied | Mode::Create => infos.len() == 1 || before["name"] == after["name"],
            }
        };
        let info = infos.iter().find(same).ok_or_else(|| {
            Error::message(format!("no original object found for {}", text(&object["metadata"]["name"])))
        })?;
        if session.args.bool("save-config") {
            annotate_last_applied(object);
        }
        let outcome = match mode {
            Mode::Create => create(session, object, output).await,
            Mode::Live | Mode::LastApplied if *object == info.object => done(session, output, object, "skipped"),
            Mode::LastApplied => annotate(session, info, object, output).await,
            Mode::Live => match change(session, info, object).await {
                Ok(object) => done(session, output, &object, "edited"),
                Err(Error::Status(status)) => {
                    let name = named(info);
                    match status.reason() {
                        "Invalid" => {
                            let details = status.0.details.clone().unwrap_or_default();
                            let causes = details.causes.unwrap_or_default().into_iter();
                            let causes: Vec<String> = causes
                                .map(|cause| {
                                    let (field, message) = (cause.field, cause.message);
                                    format!("{}: {}", field.unwrap_or_default(), message.unwrap_or_default())
                                })
                                .collect();
                            refused.reasons += &reason(&format!("{name} was not valid"), &causes);
                            session.errln(format!("error: {name} is invalid"));
                        }
                        "NotFound" => {
                            refused.not_found = true;
                            session.errln(format!("error: {name} could not be found on the server"));
                        }
                        _ => {
                            refused.other = true;
                            let message = status.message();
                            session.errln(format!("error: {name} could not be patched: {message}"));
                        }
                    }
                    Ok(())
                }
                Err(error) => Err(error),
            },
        };
        outcome?;
    }
    Ok(refused)
}

async fn create(session: &Session<'_>, object: &Value, output: &Output) -> Result<(), Error> {
    let info = select::identify(session, object.clone(), String::new(), false).await?;
    let made = post(session, &info.resource, &info.namespace, &info.object, "kubectl-create", DryRun::None).await?;
    done(session, output, &made, "created")
}

/// Stores a text as what was applied last.
async fn annotate(session: &Session<'_>, info: &Info, object: &Value, output: &Output) -> Result<(), Error> {
    let mut annotated = object.clone();
    annotate_last_applied(&mut annotated);
    let annotation = &annotated["metadata"]["annotations"][LAST_APPLIED];
    let change = json!({ "metadata": { "annotations": { LAST_APPLIED: annotation } } });
    let url = Url::new(info.path()).with("fieldManager", session.args.string("field-manager"));
    let stored = resources::patch(session.client().await?, url, super::MERGE_PATCH, &change).await?;
    done(session, output, &stored, "edited")
}

/// Sends what differs.
async fn change(session: &Session<'_>, info: &Info, edited: &Value) -> Result<Value, Error> {
    let before = &info.object;
    let is_same = |path: &str| before.pointer(path) == edited.pointer(path);
    if !["/apiVersion", "/kind", "/metadata/name"].into_iter().all(is_same) {
        return Err(Error::message("At least one of apiVersion, kind and name was changed"));
    }
    let kind = GroupVersionKind::from_api_version(&info.resource.api_version(), &info.resource.kind);
    let (change, content_type) = match patch::Strategic::for_kind(&kind) {
        Some(strategic) => {
            let change = strategic.diff(before, edited).map_err(|error| Error::message(error.to_string()))?;
            (change, super::STRATEGIC_PATCH)
        }
        None => (patch::merge_diff(before, edited), super::MERGE_PATCH),
    };
    if session.args.bool("output-patch") {
        session.outln(format!("Patch: {}", machinery::go::json(&change)));
    }
    let url = Url::new(path(session, info))
        .with("fieldManager", session.args.string("field-manager"))
        .with("fieldValidation", validation(session)?);
    let body = machinery::go::json(&change);
    session.client().await?.write_bytes(Method::PATCH, url, content_type, body.into()).await
}
