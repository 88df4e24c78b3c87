//! `kubectl rollout`.

use futures::StreamExt;
use machinery::sort::Order;
use machinery::time;
use serde_json::{Value, json};

use super::describe;
use crate::api::Url;
use crate::error::Error;
use crate::files;
use crate::print::output::{COMMON, Output, done};
use crate::print::tabs;
use crate::resources::{self, items, text};
use crate::select::{self, Choice, Info};
use crate::session::{DryRun, Session};
use crate::value::ValueExt;

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

/// Runs the subcommands.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    if args.args.is_empty() && !files::given(session) {
        return Err(Error::message("required resource not specified"));
    }
    if matches!(args.command.name(), "status" | "history") && args.int("revision") < 0 {
        return Err(Error::message(format!("revision must be a positive integer: {}", args.int("revision"))));
    }
    let output = Output::new(session, COMMON).await?;
    let choice =
        Choice { args: &args.args, selector: args.string("selector"), all: true, latest: true, ..Choice::default() };
    let (infos, mut errors) = select::infos(session, &choice).await?;
    if infos.is_empty() && errors.is_empty() && !matches!(args.command.name(), "history" | "undo") {
        session.errln(format!("No resources found in {} namespace.", session.namespace().await?.0));
    }
    for info in infos {
        let outcome = match args.command.name() {
            "status" => status(session, &info).await,
            "history" => history(session, &output, &info).await,
            "undo" => undo(session, &output, &info).await,
            "pause" => pause(session, &output, &info, true).await,
            "resume" => pause(session, &output, &info, false).await,
            _ => restart(session, &output, &info).await,
        };
        match outcome {
            Ok(()) => {}
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors)
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// `rollout status`: follows the object until its rollout is over.
async fn status(session: &Session<'_>, info: &Info) -> Result<(), Error> {
    let args = &session.args;
    let client = session.client().await?;
    let follow = async {
        let mut object = info.object.clone();
        loop {
            let (text, over) = progress(&info.resource.kind, &object, args.int("revision"))?;
            session.out(text);
            if over || !args.bool("watch") {
                return Ok(());
            }
            let url = Url::new(info.resource.path(&info.namespace, ""))
                .with("fieldSelector", format!("metadata.name={}", info.name))
                .with("resourceVersion", object["metadata"]["resourceVersion"].as_str().unwrap_or_default());
            let mut events = client.watch(url, "application/json").await?;
            while let Some((event, changed)) = events.next().await {
                match event.as_str() {
                    "DELETED" => return Err(Error::message("object has been deleted")),
                    "ADDED" | "MODIFIED" => {
                        let (text, over) = progress(&info.resource.kind, &changed, args.int("revision"))?;
                        session.out(text);
                        if over {
                            return Ok(());
                        }
                    }
                    _ => break,
                }
            }
            session.sleep(std::time::Duration::from_millis(100)).await;
            object = client.get(info.path()).await?;
        }
    };
    let limit = args.duration("timeout");
    let limit = (!limit.is_zero()).then_some(limit);
    session.within(limit, follow).await.unwrap_or_else(|| Err(Error::message("timed out waiting for the condition")))
}

/// One line about how far a rollout is, and whether it is over.
fn progress(kind: &str, object: &Value, revision: i64) -> Result<(String, bool), Error> {
    let name = text(&object["metadata"]["name"]);
    let (spec, status) = (&object["spec"], &object["status"]);
    let observed = number(&object["metadata"]["generation"]) <= number(&status["observedGeneration"]);
    match kind {
        "Deployment" => {
            if revision > 0 {
                let running = text(&object["metadata"]["annotations"][REVISION]);
                if running != revision.to_string() {
                    return Err(Error::message(format!(
                        "desired revision ({revision}) is different from the running revision ({running})"
                    )));
                }
            }
            if !observed {
                return Ok(("Waiting for deployment spec update to be observed...\n".into(), false));
            }
            let failed = |condition: &Value| {
                condition["type"] == "Progressing" && condition["reason"] == "ProgressDeadlineExceeded"
            };
            if items(&status["conditions"]).any(failed) {
                return Err(Error::message(format!("deployment {name:?} exceeded its progress deadline")));
            }
            let wanted = spec["replicas"].as_i64().unwrap_or(1);
            let (all, updated) = (number(&status["replicas"]), number(&status["updatedReplicas"]));
            let available = number(&status["availableReplicas"]);
            let waiting = format!("Waiting for deployment {name:?} rollout to finish:");
            Ok(if updated < wanted {
                (format!("{waiting} {updated} out of {wanted} new replicas have been updated...\n"), false)
            } else if all > updated {
                (format!("{waiting} {} old replicas are pending termination...\n", all - updated), false)
            } else if available < updated {
                (format!("{waiting} {available} of {updated} updated replicas are available...\n"), false)
            } else {
                (format!("deployment {name:?} successfully rolled out\n"), true)
            })
        }
        "DaemonSet" => {
            if spec["updateStrategy"]["type"] != "RollingUpdate" {
                return Err(Error::message("rollout status is only available for RollingUpdate strategy type"));
            }
            if !observed {
                return Ok(("Waiting for daemon set spec update to be observed...\n".into(), false));
            }
            let wanted = number(&status["desiredNumberScheduled"]);
            let (updated, available) = (number(&status["updatedNumberScheduled"]), number(&status["numberAvailable"]));
            let waiting = format!("Waiting for daemon set {name:?} rollout to finish:");
            Ok(if updated < wanted {
                (format!("{waiting} {updated} out of {wanted} new pods have been updated...\n"), false)
            } else if available < wanted {
                (format!("{waiting} {available} of {wanted} updated pods are available...\n"), false)
            } else {
                (format!("daemon set {name:?} successfully rolled out\n"), true)
            })
        }
        "StatefulSet" => stateful_set(object),
        kind => Err(Error::message(format!("no status viewer has been implemented for {kind}"))),
    }
}

fn stateful_set(object: &Value) -> Result<(String, bool), Error> {
    let (spec, status) = (&object["spec"], &object["status"]);
    if spec["updateStrategy"]["type"] != "RollingUpdate" {
        return Err(Error::message("rollout status is only available for RollingUpdate strategy type"));
    }
    let observed = number(&status["observedGeneration"]);
    if observed == 0 || number(&object["metadata"]["generation"]) > observed {
        return Ok(("Waiting for statefulset spec update to be observed...\n".into(), false));
    }
    let wanted = spec["replicas"].as_i64().unwrap_or(1);
    let (ready, updated) = (number(&status["readyReplicas"]), number(&status["updatedReplicas"]));
    if ready < wanted {
        return Ok((format!("Waiting for {} pods to be ready...\n", wanted - ready), false));
    }
    if let Some(partition) = spec["updateStrategy"]["rollingUpdate"]["partition"].as_i64() {
        let wanted = wanted - partition;
        if updated < wanted {
            let line = "Waiting for partitioned roll out to finish:";
            return Ok((format!("{line} {updated} out of {wanted} new pods have been updated...\n"), false));
        }
        return Ok((format!("partitioned roll out complete: {updated} new pods have been updated...\n"), true));
    }
    if status["updateRevision"] != status["currentRevision"] {
        let revision = text(&status["updateRevision"]);
        return Ok((
            format!("waiting for statefulset rolling update to complete {updated} pods at revision {revision}...\n"),
            false,
        ));
    }
    let (current, revision) = (number(&status["currentReplicas"]), text(&status["currentRevision"]));
    Ok((format!("statefulset rolling update complete {current} pods at revision {revision}...\n"), true))
}

/// A revision that a rollout may go back to.
struct Revision {
    number: i64,
    cause: String,
    template: Value,
    annotations: Value,
    /// What `-o` shows of it.
    object: Value,
}

/// The revisions of an object, the oldest first.
async fn revisions(session: &Session<'_>, info: &Info) -> Result<Vec<Revision>, Error> {
    let mapper = session.mapper().await?;
    let (api_version, kind) = match info.resource.kind.as_str() {
        "Deployment" => ("apps/v1", "ReplicaSet"),
        "DaemonSet" | "StatefulSet" => ("apps/v1", "ControllerRevision"),
        kind => {
            let shown = resources::qualify(kind, &info.resource.group);
            if ["CronJob", "Job", "Pod", "ReplicaSet", "ReplicationController"].contains(&kind) {
                return Err(Error::message(format!("no history viewer has been implemented for {shown:?}")));
            }
            let what = if session.args.command.name() == "undo" { "rollbacker" } else { "history" };
            let missing = format!("no visitor method exists for {{{} {kind}}}", info.resource.group);
            return Err(Error::message(format!("error retrieving {what} for {shown:?}, {missing}")));
        }
    };
    let resource = mapper
        .for_kind(api_version, kind)
        .ok_or_else(|| Error::message(format!("the server doesn't have a resource type {kind:?}")))?;
    let list = select::list_all(session, Url::new(resource.path(&info.namespace, ""))).await?;
    let uid = &info.object["metadata"]["uid"];
    let owned = list.into_iter().filter(|object| {
        items(&object["metadata"]["ownerReferences"]).any(|owner| owner["uid"] == *uid && owner["controller"] == true)
    });
    let mut revisions: Vec<Revision> = owned
        .map(|object| {
            let annotations = object["metadata"]["annotations"].clone();
            let number = match kind {
                "ReplicaSet" => text(&annotations[REVISION]).parse().unwrap_or(0),
                _ => number(&object["revision"]),
            };
            let template = match kind {
                "ReplicaSet" => object["spec"]["template"].clone(),
                _ => object["data"]["spec"]["template"].clone(),
            };
            let cause = text(&annotations["kubernetes.io/change-cause"]);
            let mut shown = object;
            if kind != "ReplicaSet" {
                shown = info.object.clone();
                shown["spec"]["template"] = template.clone();
            }
            super::create::as_typed(&mut shown);
            Revision { number, cause, template, annotations, object: shown }
        })
        .collect();
    revisions.order_by_key(|revision| revision.number);
    Ok(revisions)
}

async fn history(session: &Session<'_>, output: &Output, info: &Info) -> Result<(), Error> {
    let wanted = session.args.int("revision");
    let revisions = revisions(session, info).await?;
    if revisions.is_empty() {
        let which = if wanted > 0 { format!("with revision #{wanted}") } else { String::new() };
        return done(session, output, &info.object, &format!("{which}\nNo rollout history found."));
    }
    if !output.is_human() {
        for revision in revisions.iter().filter(|revision| wanted == 0 || revision.number == wanted) {
            session.out(output.render(&revision.object)?);
        }
        return Ok(());
    }
    if wanted > 0 {
        let found = revisions.iter().find(|revision| revision.number == wanted);
        let found = found.ok_or_else(|| Error::message("unable to find the specified revision"))?;
        let mut template = found.template.clone();
        if !found.cause.is_empty() {
            template["metadata"]["annotations"]["kubernetes.io/change-cause"] = found.cause.clone().into();
        }
        let text = describe::pod_template(&template, session.now());
        return done(session, output, &info.object, &format!("with revision #{wanted}\n{text}"));
    }
    let mut lines = String::from("REVISION\tCHANGE-CAUSE\n");
    for revision in &revisions {
        let cause = if revision.cause.is_empty() { "<none>" } else { &revision.cause };
        lines.push_str(&format!("{}\t{cause}\n", revision.number));
    }
    done(session, output, &info.object, &format!("\n{}", tabs::align(&lines, tabs::DESCRIBE)))
}

async fn undo(session: &Session<'_>, output: &Output, info: &Info) -> Result<(), Error> {
    let wanted = session.args.int("to-revision");
    let dry_run = session.dry_run()?;
    if info.object["spec"]["paused"] == true {
        return Err(Error::message(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again",
        ));
    }
    let revisions = revisions(session, info).await?;
    let found = if wanted != 0 {
        revisions.iter().find(|revision| revision.number == wanted)
    } else {
        revisions.iter().rev().nth(1)
    };
    let found = match (found, wanted, info.resource.kind.as_str()) {
        (Some(found), ..) => found,
        (None, 0, "Deployment") => {
            return Err(Error::message(format!("no rollout history found for deployment {:?}", info.name)));
        }
        (None, 0, _) => return Err(Error::message("no last revision to roll back to")),
        (None, ..) => {
            return Err(Error::message(format!("unable to find specified revision {wanted} in history")));
        }
    };
    if dry_run == DryRun::Client {
        let text = describe::pod_template(&found.template, session.now());
        return done(session, output, &info.object, &format!("{text} (dry run)"));
    }
    let mut template = found.template.clone();
    if let Some(labels) = template.fields_mut(&["metadata", "labels"]) {
        labels.remove(HASH);
    }
    if template == info.object["spec"]["template"] {
        let number = found.number;
        let message = format!("skipped rollback (current template already matches revision {number})");
        return done(session, output, &info.object, &format!("{message}{}", dry_run.suffix()));
    }
    let mut operations = vec![json!({ "op": "replace", "path": "/spec/template", "value": template })];
    if info.resource.kind == "Deployment" {
        let mut annotations = info.object["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
        for (key, value) in found.annotations.as_object().into_iter().flatten() {
            if !key.starts_with("deployment.kubernetes.io/") && key != super::create::LAST_APPLIED {
                annotations.insert(key.clone(), value.clone());
            }
        }
        if found.cause.is_empty() {
            annotations.remove("kubernetes.io/change-cause");
        }
        operations.push(json!({ "op": "replace", "path": "/metadata/annotations", "value": annotations }));
    }
    let url = Url::new(info.path()).with_some("dryRun", dry_run.parameter());
    resources::patch(session.client().await?, url, super::JSON_PATCH, &Value::Array(operations))
        .await
        .map_err(|error| Error::message(format!("failed restoring revision {wanted}: {}", error.plain())))?;
    done(session, output, &info.object, &format!("rolled back{}", dry_run.suffix()))
}

fn refused(info: &Info, reason: &str) -> Error {
    Error::message(format!("error: {} {:?} {reason}", info.resource.qualified(), info.name))
}

async fn change(session: &Session<'_>, info: &Info, patch: &Value) -> Result<Value, Error> {
    let url = Url::new(info.path()).with("fieldManager", session.args.string("field-manager"));
    resources::patch(session.client().await?, url, super::STRATEGIC_PATCH, patch)
        .await
        .map_err(|error| Error::message(format!("failed to patch: {}", error.plain())))
}

async fn pause(session: &Session<'_>, output: &Output, info: &Info, pause: bool) -> Result<(), Error> {
    if info.resource.kind != "Deployment" {
        return Err(refused(info, if pause { "pausing is not supported" } else { "resuming is not supported" }));
    }
    let paused = info.object["spec"]["paused"] == true;
    match (pause, paused) {
        (true, true) => return Err(refused(info, "is already paused")),
        (false, false) => return Err(refused(info, "is not paused")),
        _ => {}
    }
    let value = if pause { Value::Bool(true) } else { Value::Null };
    let object = change(session, info, &json!({ "spec": { "paused": value } })).await?;
    done(session, output, &object, if pause { "paused" } else { "resumed" })
}

async fn restart(session: &Session<'_>, output: &Output, info: &Info) -> Result<(), Error> {
    if !matches!(info.resource.kind.as_str(), "Deployment" | "DaemonSet" | "StatefulSet") {
        return Err(refused(info, "restarting is not supported"));
    }
    if info.object["spec"]["paused"] == true {
        return Err(refused(info, "can't restart paused deployment (run rollout resume first)"));
    }
    let now = time::format_seconds(session.now());
    let annotations = &info.object["spec"]["template"]["metadata"]["annotations"];
    if annotations["kubectl.kubernetes.io/restartedAt"] == now.as_str() {
        return Err(Error::message(format!(
            "failed to create patch for {}: if restart has already been triggered within the past second, please wait \
             before attempting to trigger another",
            info.name
        )));
    }
    let annotation = json!({ "kubectl.kubernetes.io/restartedAt": now });
    let patch = json!({ "spec": { "template": { "metadata": { "annotations": annotation } } } });
    let object = change(session, info, &patch).await?;
    done(session, output, &object, "restarted")
}
