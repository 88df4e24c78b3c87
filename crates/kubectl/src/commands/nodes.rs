//! `kubectl cordon`, `uncordon`, `drain` and `taint`.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http::Method;
use serde_json::{Value, json};

use super::delete::{self, Deletion};
use super::label::{split_pairs, value_problem};
use super::logs::pods;
use crate::api::Url;
use crate::error::Error;
use crate::print::output::{COMMON, Output, done};
use crate::resources::{self, items, text};
use crate::select::{self, Choice, Info};
use crate::session::{DryRun, Session};

const EVICTION_RETRY: Duration = Duration::from_secs(5);
const MIRROR: &str = "kubernetes.io/config.mirror";

async fn nodes(session: &Session<'_>) -> Result<Vec<Info>, Error> {
    let args = &session.args;
    let selector = args.string("selector");
    if args.args.is_empty() && selector.is_empty() {
        let name = args.command.name();
        return Err(args.usage_error(format!("USAGE: {name} NODE [flags]")));
    }
    if !args.args.is_empty() && !selector.is_empty() {
        return Err(args.usage_error("cannot specify both a node name and a --selector option"));
    }
    let mut words = Vec::new();
    if !args.args.iter().any(|arg| arg.contains('/')) {
        words.push("node".to_owned());
    }
    words.extend(args.args.iter().cloned());
    let choice = Choice { args: &words, selector, latest: true, ..Choice::default() };
    let (infos, errors) = select::infos(session, &choice).await?;
    Error::all(errors)?;
    Ok(infos)
}

/// `kubectl cordon` and `uncordon`
pub(super) async fn cordon(session: &Session<'_>, cordon: bool) -> Result<(), Error> {
    for info in nodes(session).await? {
        set_unschedulable(session, &info, cordon).await?;
    }
    Ok(())
}

async fn set_unschedulable(session: &Session<'_>, info: &Info, cordon: bool) -> Result<(), Error> {
    let dry_run = session.dry_run()?;
    let word = if cordon { "cordoned" } else { "uncordoned" };
    if (info.object["spec"]["unschedulable"] == true) == cordon {
        session.outln(format!("node/{} already {word}{}", info.name, dry_run.suffix()));
        return Ok(());
    }
    if dry_run != DryRun::Client {
        let value = if cordon { Value::Bool(true) } else { Value::Null };
        let url = Url::new(info.path()).with_some("dryRun", dry_run.parameter());
        let patch = json!({ "spec": { "unschedulable": value } });
        resources::patch(session.client().await?, url, super::STRATEGIC_PATCH, &patch).await?;
    }
    session.outln(format!("node/{} {word}{}", info.name, dry_run.suffix()));
    Ok(())
}

/// `kubectl drain`
pub(super) async fn drain(session: &Session<'_>) -> Result<(), Error> {
    let dry_run = session.dry_run()?;
    if machinery::labels::Selector::parse(session.args.string("pod-selector")).is_err() {
        return Err(Error::message("--pod-selector=<pod_selector> must be a valid label selector"));
    }
    let infos = nodes(session).await?;
    for info in &infos {
        set_unschedulable(session, info, true).await?;
    }
    let mut drained = Vec::new();
    let mut failed = Vec::new();
    for info in &infos {
        match drain_one(session, info, dry_run).await {
            Ok(()) => {
                drained.push(info);
                session.outln(format!("node/{} drained{}", info.name, dry_run.suffix()));
            }
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => {
                session.errln(format!(
                    "error: unable to drain node {:?} due to error: {}, continuing command...",
                    info.name,
                    error.plain()
                ));
                failed.push((info.name.clone(), error));
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    session.errln("There are pending nodes to be drained:");
    for (name, _) in &failed {
        session.errln(format!(" {name}"));
    }
    Err(Error::Many(failed.into_iter().map(|(_, error)| error).collect()))
}

/// The pods to evict from a node, and what there is to say about others.
fn choose(session: &Session<'_>, pods: Vec<Value>) -> Result<(Vec<Value>, String), Error> {
    let args = &session.args;
    let force = args.bool("force");
    let mut evicted = Vec::new();
    let (mut daemons, mut local, mut bare): (Vec<String>, Vec<String>, Vec<String>) = Default::default();
    let (mut warn_daemons, mut warn_bare): (Vec<String>, Vec<String>) = Default::default();
    for pod in pods {
        let metadata = &pod["metadata"];
        let name = format!("{}/{}", text(&metadata["namespace"]), text(&metadata["name"]));
        if !metadata["annotations"][MIRROR].is_null() {
            continue;
        }
        let finished = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let owner = items(&metadata["ownerReferences"]).find(|owner| owner["controller"] == true);
        if !finished {
            if owner.is_some_and(|owner| owner["kind"] == "DaemonSet") {
                if args.bool("ignore-daemonsets") {
                    warn_daemons.push(name);
                } else {
                    daemons.push(name);
                }
                continue;
            }
            let has_local = items(&pod["spec"]["volumes"]).any(|volume| !volume["emptyDir"].is_null());
            if has_local && !args.bool("delete-emptydir-data") {
                local.push(name);
                continue;
            }
            if owner.is_none() {
                if force {
                    warn_bare.push(name);
                } else {
                    bare.push(name);
                    continue;
                }
            }
        }
        evicted.push(pod);
    }
    let mut problems = Vec::new();
    for (list, problem) in [
        (&local, "cannot delete Pods with local storage (use --delete-emptydir-data to override)"),
        (&bare, "cannot delete cannot delete Pods that declare no controller (use --force to override)"),
        (&daemons, "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"),
    ] {
        if !list.is_empty() {
            problems.push(Error::message(format!("{problem}: {}", list.join(", "))));
        }
    }
    let mut warnings = Vec::new();
    if !warn_bare.is_empty() {
        warnings.push(format!("deleting Pods that declare no controller: {}", warn_bare.join(", ")));
    }
    if !warn_daemons.is_empty() {
        warnings.push(format!("ignoring DaemonSet-managed Pods: {}", warn_daemons.join(", ")));
    }
    if !problems.is_empty() {
        return Err(Error::Many(problems));
    }
    Ok((evicted, warnings.join("; ")))
}

async fn drain_one(session: &Session<'_>, node: &Info, dry_run: DryRun) -> Result<(), Error> {
    let args = &session.args;
    let resource = pods();
    let url = Url::new(resource.path("", ""))
        .with("fieldSelector", format!("spec.nodeName={}", node.name))
        .with_some("labelSelector", args.string("pod-selector"));
    let (chosen, warnings) = choose(session, select::list_all(session, url.clone()).await?)?;
    if !warnings.is_empty() {
        session.errln(format!("Warning: {warnings}"));
    }
    let infos: Vec<Info> = chosen.into_iter().map(|pod| select::of_object(&resource, pod)).collect();
    if dry_run == DryRun::Client {
        for info in &infos {
            session.outln(format!("evicting pod {}/{}{}", info.namespace, info.name, dry_run.suffix()));
        }
        return Ok(());
    }
    // One pod that may not go keeps no other from going; the time is for all of them.
    let limit = delete::limit(session);
    let mut leaving: FuturesUnordered<_> = infos.iter().map(|info| leave(session, info, dry_run)).collect();
    let mut errors = Vec::new();
    let all = async {
        while let Some(outcome) = leaving.next().await {
            errors.extend(outcome.err());
        }
    };
    if session.within(limit, all).await.is_none() {
        drop(leaving);
        let client = session.client().await?;
        let limit = machinery::time::format_duration(limit.unwrap_or_default());
        for info in &infos {
            if client.get(info.path()).await.is_ok() {
                errors.push(Error::message(format!(
                    "error when evicting pods/{:?} -n {:?}: global timeout reached: {limit}",
                    info.name, info.namespace
                )));
            }
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    let error = Error::message(Error::Many(errors).plain());
    if let Ok((pending, _)) = choose(session, select::list_all(session, url).await?)
        && !pending.is_empty()
    {
        let (node, reason) = (&node.name, error.plain());
        session.errln(format!("There are pending pods in node {node:?} when an error occurred: {reason}"));
        for pod in pending {
            session.errln(format!("pod/{}", text(&pod["metadata"]["name"])));
        }
    }
    Err(error)
}

/// Gets a pod off its node and waits until it is gone.
async fn leave(session: &Session<'_>, pod: &Info, dry_run: DryRun) -> Result<(), Error> {
    let args = &session.args;
    let uid = text(&pod.object["metadata"]["uid"]);
    let evicts = !args.bool("disable-eviction");
    if evicts {
        evict(session, pod, dry_run).await?;
    } else {
        let deletion = Deletion { grace_period: args.int("grace-period"), propagation: "Background", dry_run };
        match delete::delete(session, pod, &deletion).await {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    if dry_run == DryRun::None {
        if overdue(session, pod) {
            let seconds = args.int("skip-wait-for-delete-timeout");
            session
                .outln(format!("pod \"{}\" has DeletionTimestamp older than {seconds} seconds, skipping\n", pod.name));
            return Ok(());
        }
        delete::wait_until_gone(session, pod, &uid, None).await.map_err(|error| {
            let (name, namespace) = (&pod.name, &pod.namespace);
            let reason = error.plain();
            Error::message(format!(
                "error when waiting for pod {name:?} in namespace {namespace:?} to terminate: {reason}"
            ))
        })?;
    }
    if dry_run == DryRun::None {
        session.outln(format!("pod/{} {}", pod.name, if evicts { "evicted" } else { "deleted" }));
    }
    Ok(())
}

/// Whether a pod has been going for longer than `--skip-wait-for-delete-timeout` waits for.
fn overdue(session: &Session<'_>, pod: &Info) -> bool {
    let limit = session.args.int("skip-wait-for-delete-timeout");
    let since = pod.object["metadata"]["deletionTimestamp"].as_str();
    let since: Option<machinery::Timestamp> = since.and_then(|time| time.parse().ok());
    limit > 0 && since.is_some_and(|since| session.now().duration_since(since).as_secs() > limit)
}

async fn evict(session: &Session<'_>, pod: &Info, dry_run: DryRun) -> Result<(), Error> {
    let args = &session.args;
    let grace_period = args.int("grace-period");
    let mut options = json!({});
    if grace_period >= 0 {
        options["gracePeriodSeconds"] = grace_period.into();
    }
    let eviction = json!({
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": { "name": pod.name, "namespace": pod.namespace },
        "deleteOptions": options,
    });
    let path = format!("{}/eviction", pod.path());
    loop {
        session.outln(format!("evicting pod {}/{}{}", pod.namespace, pod.name, dry_run.suffix()));
        let url = Url::new(path.as_str()).with_some("dryRun", dry_run.parameter());
        let failed = |delay: &str, error: &Error| {
            let (name, namespace) = (&pod.name, &pod.namespace);
            format!("error when evicting pods/{name:?} -n {namespace:?}{delay}: {}", error.plain())
        };
        match session.client().await?.write(Method::POST, url, "application/json", &eviction).await {
            Ok(_) => return Ok(()),
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) if error.is_reason("TooManyRequests") => {
                session.errln(failed(" (will retry after 5s)", &error));
                session.sleep(EVICTION_RETRY).await;
            }
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => return Err(Error::message(failed("", &error))),
        }
    }
}

/// `kubectl taint`
pub(super) async fn taint(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let (resources, specs) = split_taints(&args.args)?;
    if resources.is_empty() {
        return Err(Error::message("one or more resources must be specified as <resource> <name>"));
    }
    if specs.is_empty() {
        return Err(Error::message("at least one taint update is required"));
    }
    let (mut add, mut remove) = (Vec::new(), Vec::new());
    for spec in specs {
        match spec.strip_suffix('-') {
            Some(spec) => {
                let (key, effect) = spec.split_once(':').unwrap_or((spec, ""));
                let key = key.split('=').next().unwrap_or_default();
                remove.push((key.to_owned(), effect.to_owned()));
            }
            None => {
                let taint = parse_taint(spec).map_err(|error| args.usage_error(error))?;
                if add.iter().any(|known: &Value| known["key"] == taint["key"] && known["effect"] == taint["effect"]) {
                    let (key, value, effect) = (text(&taint["key"]), text(&taint["value"]), text(&taint["effect"]));
                    return Err(args.usage_error(format!(
                        "duplicated taints with the same key and effect: {{{key} {value} {effect} <nil>}}"
                    )));
                }
                add.push(taint);
            }
        }
    }
    let dry_run = session.dry_run()?;
    let output = Output::new(session, COMMON).await?;
    let typed = resources.first().map_or("", String::as_str);
    let resource = session.mapper().await?.find(typed).map_err(|error| Error::Verbatim(error.plain()))?;
    if resource.kind != "Node" {
        return Err(Error::message(format!("invalid resource type {typed}, only node types are supported")));
    }
    let both: Vec<String> = remove
        .iter()
        .filter(|(key, effect)| {
            let hit = |taint: &Value| taint["key"] == **key && (effect.is_empty() || taint["effect"] == **effect);
            add.iter().any(hit)
        })
        .map(|(key, effect)| format!("{key}={effect}"))
        .collect();
    if !both.is_empty() {
        return Err(Error::message(format!(
            "can not both modify and remove the following taint(s) in the same command: {}",
            both.join(", ")
        )));
    }
    if args.bool("all") && !args.string("selector").is_empty() {
        return Err(Error::message("setting 'all' parameter with a non empty selector is prohibited"));
    }
    let (all, selector) = (args.bool("all"), args.string("selector"));
    // All nodes, or those of a selector, whatever is named beside.
    let words = if all || !selector.is_empty() { resources.get(..1).unwrap_or_default() } else { resources };
    let choice = Choice { args: words, selector, all, latest: true, ..Choice::default() };
    if words.len() < 2 && !all && selector.is_empty() {
        return Err(Error::message("at least one resource name must be specified since 'all' parameter is not set"));
    }
    let (infos, mut errors) = select::infos(session, &choice).await?;
    for info in infos {
        match taint_one(session, &info, &add, &remove, dry_run).await {
            Ok((object, operation)) => {
                done(session, &output, &object, operation)?;
            }
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors)
}

fn split_taints(args: &[String]) -> Result<(&[String], &[String]), Error> {
    let at = args.iter().position(|word| word.contains('=') || word.contains(':') || word.ends_with('-'));
    match at {
        Some(at) => Ok(args.split_at(at)),
        None => split_pairs(args, "taint"),
    }
}

fn parse_taint(spec: &str) -> Result<Value, String> {
    let pairs = spec.split(':').next().unwrap_or_default().matches('=').count();
    if spec.matches(':').count() > 1 || (spec.contains(':') && pairs > 1) {
        return Err(format!("invalid taint spec: {spec}"));
    }
    let (pair, effect) = spec.rsplit_once(':').ok_or_else(|| match machinery::names::is_qualified_name(spec) {
        errors if errors.is_empty() => format!("invalid taint spec: {spec}"),
        errors => format!("invalid taint spec: {spec}, {}", errors.join("; ")),
    })?;
    if !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
        return Err(format!("invalid taint effect: {effect}, unsupported taint effect"));
    }
    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
    if let Some(problem) = value_problem(value) {
        return Err(format!("invalid taint spec: {spec}, {problem}"));
    }
    let problems = machinery::names::is_qualified_name(key);
    if !problems.is_empty() {
        return Err(format!("invalid taint spec: {spec}, {}", problems.join("; ")));
    }
    let mut taint = json!({ "key": key, "effect": effect });
    if !value.is_empty() {
        taint["value"] = value.into();
    }
    Ok(taint)
}

async fn taint_one(
    session: &Session<'_>,
    info: &Info,
    add: &[Value],
    remove: &[(String, String)],
    dry_run: DryRun,
) -> Result<(Value, &'static str), Error> {
    let old: Vec<Value> = items(&info.object["spec"]["taints"]).cloned().collect();
    let same = |a: &Value, b: &Value| a["key"] == b["key"] && a["effect"] == b["effect"];
    let overwrites = old.iter().any(|taint| add.iter().any(|new| same(taint, new)));
    if overwrites && !session.args.bool("overwrite") {
        let taken: Vec<String> = add
            .iter()
            .filter(|new| old.iter().any(|taint| same(taint, new)))
            .map(|taint| text(&taint["key"]))
            .collect();
        return Err(Error::message(format!(
            "node {} already has {} taint(s) with same effect(s) and --overwrite is false",
            info.name,
            taken.join(",")
        )));
    }
    let mut new: Vec<Value> = add.to_vec();
    new.extend(old.iter().filter(|taint| !add.iter().any(|new| same(taint, new))).cloned());
    let mut missing = Vec::new();
    for (key, effect) in remove {
        let hit =
            |taint: &Value| taint["key"] == key.as_str() && (effect.is_empty() || taint["effect"] == effect.as_str());
        let before = new.len();
        new.retain(|taint| !hit(taint));
        if new.len() == before {
            missing.push(Error::message(match effect.as_str() {
                "" => format!("taint {key:?} not found"),
                effect => format!("taint \"{key}:{effect}\" not found"),
            }));
        }
    }
    Error::all(missing)?;
    let operation = match (add.is_empty(), remove.is_empty()) {
        (true, _) => "untainted",
        (_, true) if overwrites => "modified",
        (_, true) => "tainted",
        _ => "modified",
    };
    let mut object = info.object.clone();
    object["spec"]["taints"] = Value::Array(new.clone());
    if dry_run == DryRun::Client {
        return Ok((object, operation));
    }
    let url = Url::new(info.path())
        .with_some("dryRun", dry_run.parameter())
        .with("fieldManager", session.args.string("field-manager"))
        .with("fieldValidation", super::create::validation(session)?);
    let taints = if new.is_empty() { Value::Null } else { Value::Array(new) };
    let patch = json!({ "spec": { "taints": taints } });
    let object = resources::patch(session.client().await?, url, super::MERGE_PATCH, &patch).await?;
    Ok((object, operation))
}
