//! `kubectl delete`.

use std::time::Duration;

use futures::StreamExt;
use http::Method;
use serde_json::{Value, json};

use crate::api::Url;
use crate::error::Error;
use crate::files;
use crate::resources::{qualify, text};
use crate::select::{self, Choice, Info, Item, list_error};
use crate::session::{DryRun, Session};

/// How an object is deleted.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// Seconds until it is killed; negative for the object's own.
    pub grace_period: i64,
    /// `Background`, `Foreground` or `Orphan`.
    pub propagation: &'static str,
    /// Whether only to try.
    pub dry_run: DryRun,
}

/// Reads `--cascade`.
///
/// # Errors
/// Unknown values.
pub fn propagation(session: &Session<'_>) -> Result<&'static str, Error> {
    match session.args.string("cascade") {
        "" | "background" => Ok("Background"),
        "foreground" => Ok("Foreground"),
        "orphan" => Ok("Orphan"),
        value @ ("true" | "false") => {
            let (replacement, policy) =
                if value == "true" { ("background", "Background") } else { ("orphan", "Orphan") };
            let text = format!(
                "--cascade={value} is deprecated (boolean value) and can be replaced with --cascade={replacement}."
            );
            session.klog('W', "helpers.go:663", &text);
            Ok(policy)
        }
        value => Err(Error::message(format!(
            "invalid cascade value ({value}). Must be \"background\", \"foreground\", or \"orphan\""
        ))),
    }
}

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let interactive = args.bool("interactive");
    if !args.string("raw").is_empty() {
        if interactive {
            return Err(Error::message("--interactive can not be used with --raw"));
        }
        return super::raw::raw(session, Method::DELETE).await;
    }
    let dry_run = session.dry_run()?;
    let propagation = propagation(session)?;
    let (selector, field_selector) = (args.string("selector"), args.string("field-selector"));
    let all = args.bool("all");
    if all && !(selector.is_empty() && field_selector.is_empty()) {
        return Err(Error::message("setting 'all' parameter but found a non empty selector. "));
    }
    let mut grace_period = args.int("grace-period");
    let force = args.bool("force");
    if args.bool("now") {
        if grace_period != -1 {
            return Err(Error::message("--now and --grace-period cannot be specified together"));
        }
        grace_period = 1;
    }
    if force && grace_period > 0 {
        return Err(Error::message("--force and --grace-period greater than 0 cannot be specified together"));
    }
    let mut wait = args.bool("wait");
    if force && grace_period < 0 {
        grace_period = 0;
    }
    if grace_period == 0 && !force {
        grace_period = 1;
        wait = true;
    }
    if force && grace_period == 0 && !args.changed("wait") {
        wait = false;
    }
    let chosen = all || !selector.is_empty() || !field_selector.is_empty();
    let ignore_not_found = args.bool("ignore-not-found") || (chosen && !args.changed("ignore-not-found"));
    match args.string("output") {
        "" | "name" => {}
        other => {
            return Err(Error::message(format!("unexpected -o output mode: {other}. We only support '-o name'")));
        }
    }
    if grace_period == 0 && force {
        session.errln(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been \
             terminated. The resource may continue to run on the cluster indefinitely.",
        );
    }
    let choice = Choice {
        args: &args.args,
        selector,
        field_selector,
        all,
        all_namespaces: args.bool("all-namespaces"),
        ..Choice::default()
    };
    let from_files = files::given(session);
    let mut warned = false;
    let mut targets = Vec::new();
    let mut errors = Vec::new();
    for item in select::plan(session, &choice).await? {
        match item {
            Item::Failed(error) => targets.push(Err(error)),
            Item::File(info) => targets.push(Ok(*info)),
            Item::Named(resource, namespace, name) => {
                targets.push(Ok(Info { resource, namespace, name, object: Value::Null, source: String::new() }));
            }
            Item::List(resource, namespace) => {
                if !resource.can("delete") && !resource.can("list") {
                    continue;
                }
                let url = Url::new(resource.path(&namespace, ""))
                    .with_some("labelSelector", selector)
                    .with_some("fieldSelector", field_selector);
                let list = select::list_all(session, url).await;
                match list {
                    Ok(list) => {
                        targets.extend(list.into_iter().map(|object| Ok(select::of_object(&resource, object))));
                    }
                    Err(error @ Error::Send { .. }) => return Err(error),
                    Err(error) => targets.push(Err(list_error(error, &resource, &choice))),
                }
            }
        }
    }
    if interactive {
        if !shown(session, &targets)? {
            return Ok(());
        }
        if !confirmed(session).await {
            session.outln("deletion is cancelled");
            return Ok(());
        }
    }
    let deletion = Deletion { grace_period, propagation, dry_run };
    let mut gone = Vec::new();
    let found = targets.len();
    for target in targets {
        let info = match target {
            Ok(info) => info,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        if !warned && !info.resource.namespaced && args.changed("namespace") {
            session.errln("Warning: deleting cluster-scoped resources, not scoped to the provided namespace");
            warned = true;
        }
        match delete(session, &info, &deletion).await {
            Ok(uid) => {
                say(session, &info, &deletion);
                gone.push((info, uid));
            }
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) if ignore_not_found && error.is_not_found() => {}
            Err(error) => errors.push(if from_files { error.with_source("deleting", &info.source) } else { error }),
        }
    }
    if found == 0 && errors.is_empty() {
        session.outln("No resources found");
    }
    if wait && dry_run == DryRun::None {
        let limit = limit(session);
        for (info, uid) in &gone {
            if let Err(error) = wait_until_gone(session, info, uid, limit).await {
                errors.push(error);
            }
        }
    }
    Error::all(errors)
}

/// Shows what would be deleted, and asks whether to.
fn shown(session: &Session<'_>, targets: &[Result<Info, Error>]) -> Result<bool, Error> {
    for target in targets {
        if let Err(error) = target {
            return Err(error.clone());
        }
    }
    if targets.is_empty() {
        session.outln("No resources found");
        return Ok(false);
    }
    session.outln(format!("You are about to delete the following {} resource(s):", targets.len()));
    for info in targets.iter().flatten() {
        session.outln(info.display());
    }
    session.out("Do you want to continue? (y/n): ");
    Ok(true)
}

/// Whether the next line of standard input is `y`.
async fn confirmed(session: &Session<'_>) -> bool {
    let mut answer = Vec::new();
    while !answer.contains(&b'\n')
        && let Some(part) = session.host.read_stdin().await
    {
        answer.extend_from_slice(&part);
    }
    String::from_utf8_lossy(&answer).trim().eq_ignore_ascii_case("y")
}

fn say(session: &Session<'_>, info: &Info, deletion: &Deletion) {
    if session.args.string("output") == "name" {
        session.outln(info.display());
        return;
    }
    let forced = if deletion.grace_period == 0 { "force " } else { "" };
    let kind = qualify(&info.resource.kind.to_lowercase(), &info.resource.group);
    session.outln(format!("{kind} \"{}\" {forced}deleted{}", info.name, deletion.dry_run.suffix()));
}

/// Deletes one object; the answer's UID comes back.
///
/// # Errors
/// As [`crate::api::Client::get`].
pub async fn delete(session: &Session<'_>, info: &Info, deletion: &Deletion) -> Result<String, Error> {
    let client = session.client().await?;
    if deletion.dry_run == DryRun::Client {
        let object = client.get(info.path()).await?;
        return Ok(text(&object["metadata"]["uid"]));
    }
    let mut options = json!({
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": deletion.propagation,
    });
    if deletion.grace_period >= 0 {
        options["gracePeriodSeconds"] = deletion.grace_period.into();
    }
    if deletion.dry_run == DryRun::Server {
        options["dryRun"] = json!(["All"]);
    }
    let url = Url::new(info.path()).with_some("dryRun", deletion.dry_run.parameter());
    let answer = client.write(Method::DELETE, url, "application/json", &options).await?;
    Ok(match answer["kind"] == "Status" {
        true => text(&answer["details"]["uid"]),
        false => text(&answer["metadata"]["uid"]),
    })
}

/// Reads `--timeout`: how long to wait for the end of what is deleted; `None` for as long as it takes.
pub fn limit(session: &Session<'_>) -> Option<Duration> {
    let timeout = session.args.duration("timeout");
    (!timeout.is_zero()).then_some(timeout)
}

/// Waits until an object is gone, or another has its name.
///
/// # Errors
/// `timed out waiting for the condition on pods/web`
pub async fn wait_until_gone(
    session: &Session<'_>,
    info: &Info,
    uid: &str,
    limit: Option<Duration>,
) -> Result<(), Error> {
    match session.within(limit, gone(session, info, uid)).await {
        Some(result) => result,
        None => {
            Err(Error::message(format!("timed out waiting for the condition on {}/{}", info.resource.name, info.name)))
        }
    }
}

async fn gone(session: &Session<'_>, info: &Info, uid: &str) -> Result<(), Error> {
    let client = session.client().await?;
    loop {
        let object = match client.get(info.path()).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        if !uid.is_empty() && object["metadata"]["uid"] != uid {
            return Ok(());
        }
        let url = Url::new(info.resource.path(&info.namespace, ""))
            .with("fieldSelector", format!("metadata.name={}", info.name))
            .with_some("resourceVersion", object["metadata"]["resourceVersion"].as_str().unwrap_or_default());
        let mut events = client.watch(url, "application/json").await?;
        while let Some((event, _)) = events.next().await {
            match event.as_str() {
                "DELETED" => return Ok(()),
                "ERROR" => break,
                _ => {}
            }
        }
        // A watch that ends at once would otherwise become a busy loop.
        session.sleep(Duration::from_millis(100)).await;
    }
}
