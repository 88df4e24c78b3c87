//! `kubectl logs`.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use machinery::sort::Order;
use machinery::{labels, time};
use serde_json::Value;

use crate::api::Url;
use crate::error::Error;
use crate::print::sort::natural;
use crate::resources::{self, Resource, items, text};
use crate::select::{self, Choice, Info};
use crate::session::Session;

const USAGE: &str = "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\nPOD or TYPE/NAME is a required \
                     argument for the logs command";
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
const JSON: &str = "application/json";
const FOLLOWED_MAX: usize = 5;
const SELECTOR_TAIL: i64 = 10;

/// Pods, as the API has them.
pub(super) fn pods() -> Resource {
    Resource {
        version: "v1".into(),
        name: "pods".into(),
        singular: "pod".into(),
        kind: "Pod".into(),
        namespaced: true,
        ..Resource::default()
    }
}

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let selector = args.string("selector");
    let mut container = args.string("container").to_owned();
    match (args.args.as_slice(), selector) {
        ([], "") => return Err(args.usage_error(USAGE)),
        ([], _) => {}
        ([_], "") => {}
        ([_], _) | ([_, _], _) if !selector.is_empty() => {
            return Err(args.usage_error("only a selector (-l) or a POD name is allowed"));
        }
        ([_, inline], _) => {
            if !container.is_empty() {
                return Err(Error::message("only one of -c or an inline [CONTAINER] arg is allowed"));
            }
            container.clone_from(inline);
        }
        _ => return Err(args.usage_error(USAGE)),
    }
    if args.string("since").starts_with('-') && args.string("since") != "-0" {
        return Err(Error::message("--since must be greater than 0"));
    }
    if args.duration("pod-running-timeout").is_zero() {
        return Err(Error::message("--pod-running-timeout must be higher than zero"));
    }
    let all_containers = args.bool("all-containers");
    if all_containers && !container.is_empty() {
        return Err(Error::message(format!(
            "--all-containers=true should not be specified with container name {container}"
        )));
    }
    if args.changed("limit-bytes") && args.int("limit-bytes") < 1 && args.int("limit-bytes") != 0 {
        return Err(Error::message("--limit-bytes must be greater than 0"));
    }
    if args.int("tail") < -1 {
        return Err(Error::message("--tail must be greater than or equal to -1"));
    }
    let pods = if selector.is_empty() {
        pods_of(session, args.args.first().map_or("", String::as_str)).await?
    } else {
        let namespace = session.namespace().await?.0;
        let url = Url::new(self::pods().path(&namespace, "")).with("labelSelector", selector);
        let choice = Choice { selector, ..Choice::default() };
        let list = select::list_all(session, url).await;
        let list = list.map_err(|error| select::list_error(error, &self::pods(), &choice))?;
        if list.is_empty() {
            session.errln(format!("No resources found in {namespace} namespace."));
        }
        list
    };
    if args.changed("since-time") && args.changed("since") {
        return Err(Error::message("at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    let mut sources = Vec::new();
    for pod in &pods {
        for name in containers(session, pod, &container, all_containers)? {
            sources.push((pod, name));
        }
    }
    let follow = args.bool("follow");
    let limit = args.int("max-log-requests").max(1);
    if follow && sources.len() > 1 && sources.len() > usize::try_from(limit).unwrap_or(FOLLOWED_MAX) {
        return Err(Error::message(format!(
            "you are attempting to follow {} log streams, but maximum allowed concurrency is {limit}, use \
             --max-log-requests to increase the limit",
            sources.len()
        )));
    }
    if !follow || sources.len() == 1 {
        for (pod, container) in sources {
            stream(session, pod, &container).await?;
        }
        return Ok(());
    }
    let mut streams: FuturesUnordered<_> =
        sources.iter().map(|(pod, container)| stream(session, pod, container)).collect();
    while let Some(outcome) = streams.next().await {
        outcome?;
    }
    Ok(())
}

/// Where something is missing, `logs` also says in which namespace.
fn missing_in(error: Error, namespace: &str) -> Error {
    match error {
        Error::Status(status) if status.reason() == "NotFound" => {
            Error::Message(format!("error from server (NotFound): {} in namespace {namespace:?}", status.message()))
        }
        other => other,
    }
}

/// The pods that `POD` or `TYPE/NAME` means.
async fn pods_of(session: &Session<'_>, typed: &str) -> Result<Vec<Value>, Error> {
    let namespace = session.namespace().await?.0;
    let (kind, name) = match typed.split_once('/') {
        None => ("pods", typed),
        Some((kind, name)) => (kind, name),
    };
    if matches!(kind, "pod" | "pods" | "po") {
        let pod = resources::get(session.client().await?, &pods(), &namespace, name).await;
        return Ok(vec![pod.map_err(|error| missing_in(error, &namespace))?]);
    }
    let word = typed.to_owned();
    let choice = Choice { args: std::slice::from_ref(&word), latest: true, ..Choice::default() };
    let (infos, errors) = select::infos(session, &choice).await?;
    Error::all(errors).map_err(|error| missing_in(error, &namespace))?;
    let info = infos.into_iter().next().ok_or_else(select::missing)?;
    if info.resource.kind == "Pod" {
        return Ok(vec![info.object]);
    }
    let found = attachable_within(session, &info).await?;
    if session.args.bool("all-pods") {
        return Ok(found);
    }
    let (count, first) = (found.len(), found.into_iter().next());
    let first = first.ok_or_else(|| Error::message("timed out waiting for the condition"))?;
    if count > 1 {
        session.errln(format!("Found {count} pods, using pod/{}", text(&first["metadata"]["name"])));
    }
    Ok(vec![first])
}

/// The pods that an object selects, the best for a look at first; waits `--pod-running-timeout` for one.
pub(super) async fn attachable_within(session: &Session<'_>, info: &Info) -> Result<Vec<Value>, Error> {
    let selector = pods_selector(session, info)?;
    let url = Url::new(pods().path(&info.namespace, "")).with("labelSelector", selector);
    let appear = async {
        loop {
            let list = session.client().await?.get(url.clone()).await?;
            let found: Vec<Value> = items(&list["items"]).cloned().collect();
            if !found.is_empty() {
                return Ok(found);
            }
            let version = text(&list["metadata"]["resourceVersion"]);
            let mut events = session.client().await?.watch(url.clone().with("resourceVersion", version), JSON).await?;
            events.next().await;
        }
    };
    let limit = session.args.duration("pod-running-timeout");
    let mut found = session
        .within(Some(limit), appear)
        .await
        .unwrap_or_else(|| Err(Error::message("timed out waiting for the condition")))?;
    best_first(&mut found);
    Ok(found)
}

/// What was to be done with an object that stands for no pods.
fn asked(session: &Session<'_>) -> &'static str {
    if session.args.command.path == "logs" { "cannot get the logs from" } else { "cannot attach to" }
}

/// The label selector of a kind that has pods.
fn pods_selector(session: &Session<'_>, info: &Info) -> Result<String, Error> {
    let spec = &info.object["spec"];
    Ok(match info.resource.kind.as_str() {
        "ReplicationController" | "Service" if spec["selector"].is_object() => {
            let labels = spec["selector"].as_object().into_iter().flatten();
            labels.map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(",")
        }
        "Service" => {
            return Err(Error::message(format!(
                "{} *v1.Service: invalid service '{}': Service is defined without a selector",
                asked(session),
                info.name
            )));
        }
        _ => {
            let selector = machinery::object::from_value(spec["selector"].clone()).map_err(|_| {
                Error::message(format!(
                    "{0} *v1.{1}: selector for *v1.{1} not implemented",
                    asked(session),
                    info.resource.kind
                ))
            })?;
            labels::Selector::from_label_selector(Some(&selector))
                .map_err(|error| Error::message(error.to_string()))?
                .to_string()
        }
    })
}

/// Running pods before others, ready ones before others, old ones before new ones.
fn best_first(pods: &mut [Value]) {
    let ready = |pod: &Value| {
        items(&pod["status"]["conditions"])
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    pods.order_by(|a, b| {
        let key = |pod: &Value| {
            let phase = match pod["status"]["phase"].as_str() {
                Some("Running") => 0,
                Some("Pending") => 2,
                _ => 1,
            };
            (pod["spec"]["nodeName"].is_null(), phase, !ready(pod))
        };
        let created = |pod: &Value| text(&pod["metadata"]["creationTimestamp"]);
        let name = |pod: &Value| text(&pod["metadata"]["name"]);
        key(a).cmp(&key(b)).then_with(|| created(a).cmp(&created(b))).then_with(|| natural(&name(a), &name(b)))
    });
}

/// All containers of a pod: `(field, name)`.
pub(super) fn all_containers(pod: &Value) -> Vec<(&'static str, String)> {
    let mut names = Vec::new();
    for field in ["initContainers", "containers", "ephemeralContainers"] {
        names.extend(items(&pod["spec"][field]).map(|container| (field, text(&container["name"]))));
    }
    names
}

/// `a, b (init), c (ephem)`
pub(super) fn container_names(pod: &Value) -> String {
    let mut names = Vec::new();
    for (wanted, suffix) in [("containers", ""), ("ephemeralContainers", " (ephem)"), ("initContainers", " (init)")] {
        let found = all_containers(pod).into_iter().filter(|(field, _)| *field == wanted);
        names.extend(found.map(|(_, name)| format!("{name}{suffix}")));
    }
    names.join(", ")
}

fn containers(session: &Session<'_>, pod: &Value, wanted: &str, all: bool) -> Result<Vec<String>, Error> {
    let known = all_containers(pod);
    if all {
        return Ok(known.into_iter().map(|(_, name)| name).collect());
    }
    let pod_name = text(&pod["metadata"]["name"]);
    if !wanted.is_empty() {
        if !known.iter().any(|(_, name)| name == wanted) {
            return Err(Error::message(format!("container {wanted} is not valid for pod {pod_name}")));
        }
        return Ok(vec![wanted.to_owned()]);
    }
    if let Some(default) = pod["metadata"]["annotations"][DEFAULT_CONTAINER].as_str() {
        if known.iter().any(|(_, name)| name == default) {
            return Ok(vec![default.to_owned()]);
        }
        session.errln(format!("Default container name {default:?} not found in pod {pod_name}"));
    }
    let first = known.iter().find(|(field, _)| *field == "containers").map(|(_, name)| name.clone());
    let first = first.unwrap_or_default();
    if known.len() > 1 && !session.args.bool("all-pods") {
        session.errln(format!("Defaulted container {first:?} out of: {}", container_names(pod)));
    }
    Ok(vec![first])
}

async fn stream(session: &Session<'_>, pod: &Value, container: &str) -> Result<(), Error> {
    let args = &session.args;
    let (namespace, name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
    let mut url = Url::new(format!("{}/log", pods().path(&namespace, &name))).with("container", container);
    for (flag, parameter) in [
        ("follow", "follow"),
        ("previous", "previous"),
        ("timestamps", "timestamps"),
        ("insecure-skip-tls-verify-backend", "insecureSkipTLSVerifyBackend"),
    ] {
        if args.bool(flag) {
            url = url.with(parameter, "true");
        }
    }
    let tail = match args.int("tail") {
        -1 if !args.string("selector").is_empty() && !args.changed("tail") => SELECTOR_TAIL,
        tail => tail,
    };
    if tail >= 0 {
        url = url.with("tailLines", tail.to_string());
    }
    let since = args.duration("since").as_secs();
    if since > 0 {
        url = url.with("sinceSeconds", since.to_string());
    }
    if !args.string("since-time").is_empty() {
        let given = args.string("since-time");
        let moment: machinery::Timestamp =
            given.parse().map_err(|_| Error::message(machinery::time::why_not_rfc3339(given)))?;
        url = url.with("sinceTime", time::format_seconds(moment));
    }
    if args.int("limit-bytes") > 0 {
        url = url.with("limitBytes", args.int("limit-bytes").to_string());
    }
    let prefix = (args.bool("prefix") || args.bool("all-pods")).then(|| format!("[pod/{name}/{container}] "));
    let chunks = session.client().await?.stream(url, "application/json, */*").await;
    let mut chunks = match chunks {
        Ok(chunks) => chunks,
        Err(error) if args.bool("ignore-errors") => {
            session.errln(format!("error: {}", error.plain()));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let mut line_start = true;
    while let Some(chunk) = chunks.next().await {
        match &prefix {
            None => session.host.stdout(&chunk),
            Some(prefix) => {
                let mut out = Vec::with_capacity(chunk.len() + prefix.len());
                for byte in chunk.iter() {
                    if line_start {
                        out.extend_from_slice(prefix.as_bytes());
                    }
                    out.push(*byte);
                    line_start = *byte == b'\n';
                }
                session.host.stdout(&out);
            }
        }
    }
    Ok(())
}
