//! `kubectl debug`: a container beside those of a running pod, a copy of a pod, or a pod on a node.

use http::Method;
use machinery::random::Rng;
use serde_json::{Value, json};

use super::exec::{attach_pod, the_pod};
use super::logs::{all_containers, pods};
use super::run::wait_for;
use crate::error::Error;
use crate::resources::{self, items, text};
use crate::session::Session;
use crate::value::ValueExt;

/// What a debugging container may do.
const PROFILES: [&str; 6] = ["legacy", "general", "baseline", "netadmin", "restricted", "sysadmin"];
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "kubectl-debug");

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let end = args.dash.unwrap_or(args.args.len());
    let (names, command) = args.args.split_at(end.min(args.args.len()));
    let image = args.string("image");
    if image.is_empty() && args.string("copy-to").is_empty() {
        return Err(Error::message("you must specify --image when not using --copy-to."));
    }
    if names.is_empty() {
        return Err(Error::message("NAME or TYPE/NAME is required for debug"));
    }
    if !PROFILES.contains(&args.string("profile")) {
        return Err(Error::message(format!("unknown profile: {}", args.string("profile"))));
    }
    let node = names.first().and_then(|name| name.strip_prefix("node/").or_else(|| name.strip_prefix("nodes/")));
    if let Some(node) = node {
        return on_node(session, node, command).await;
    }
    if !args.string("copy-to").is_empty() {
        let pod = the_pod(session, names).await?;
        return copy(session, pod, command).await;
    }
    let pod = the_pod(session, names).await?;
    let (namespace, pod_name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
    let name = match args.string("container") {
        "" => {
            let name = unused_name(&pod);
            session.errln(format!("Defaulting debug container name to {name}."));
            name
        }
        name => name.to_owned(),
    };
    let mut container = container(session, &name, command);
    if !args.string("target").is_empty() {
        container["targetContainerName"] = args.string("target").into();
    }
    let path = format!("{}/ephemeralcontainers", pods().path(&namespace, &pod_name));
    let patch = json!({ "spec": { "ephemeralContainers": [container] } });
    resources::patch(session.client().await?, path, super::STRATEGIC_PATCH, &patch).await?;
    join(session, &namespace, &pod_name, &name).await
}

/// The debugging container.
fn container(session: &Session<'_>, name: &str, command: &[String]) -> Value {
    let args = &session.args;
    let mut container = json!({
        "name": name,
        "image": args.string("image"),
        "resources": {},
        "terminationMessagePolicy": "File",
        "imagePullPolicy": args.string("image-pull-policy"),
    });
    if !command.is_empty() {
        container[if args.bool("arguments-only") { "args" } else { "command" }] = json!(command);
    }
    for field in ["stdin", "tty"] {
        if args.bool(field) {
            container[field] = true.into();
        }
    }
    let variables = args.list("env").iter().filter_map(|pair| pair.split_once('='));
    let env: Vec<Value> = variables.map(|(name, value)| json!({ "name": name, "value": value })).collect();
    if !env.is_empty() {
        container["env"] = env.into();
    }
    container
}

/// Attaches to a container once it runs, if that is wanted.
async fn join(session: &Session<'_>, namespace: &str, pod: &str, container: &str) -> Result<(), Error> {
    let args = &session.args;
    let (stdin, tty) = (args.bool("stdin"), args.bool("tty"));
    if !(if args.changed("attach") { args.bool("attach") } else { stdin }) {
        return Ok(());
    }
    let started = |pod: &Value| {
        ["ephemeralContainerStatuses", "containerStatuses"].iter().any(|list| {
            items(&pod["status"][*list])
                .any(|status| status["name"] == container && status["state"]["waiting"].is_null())
        })
    };
    let pod = wait_for(session, namespace, pod, started).await?;
    if !args.bool("quiet") {
        session.errln("If you don't see a command prompt, try pressing enter.");
    }
    attach_pod(session, &pod, container, (stdin, tty)).await
}

/// `--copy-to`: a pod like another one, with a debugging container or with what was asked to be different.
async fn copy(session: &Session<'_>, pod: Value, command: &[String]) -> Result<(), Error> {
    let args = &session.args;
    let (namespace, name) = (text(&pod["metadata"]["namespace"]), args.string("copy-to"));
    let mut spec = pod["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("ephemeralContainers");
        if !args.bool("same-node") {
            fields.remove("nodeName");
        }
        if !args.bool("keep-init-containers") {
            fields.remove("initContainers");
        }
        if args.bool("share-processes") {
            fields.insert("shareProcessNamespace".into(), true.into());
        }
    }
    let probes =
        [("livenessProbe", "keep-liveness"), ("readinessProbe", "keep-readiness"), ("startupProbe", "keep-startup")];
    for fields in spec.list_mut(&["containers"]).into_iter().flatten().filter_map(Value::as_object_mut) {
        for (probe, _) in probes.iter().filter(|(_, keep)| !args.bool(keep)) {
            fields.remove(*probe);
        }
    }
    for pair in args.list("set-image") {
        let Some((wanted, image)) = pair.split_once('=') else {
            return Err(Error::message(format!("invalid argument {pair:?} for \"--set-image\" flag")));
        };
        for container in spec.list_mut(&["containers"]).into_iter().flatten() {
            if wanted == "*" || container["name"] == wanted {
                container["image"] = image.into();
            }
        }
    }
    let mut debugging = args.string("container").to_owned();
    let known = items(&spec["containers"]).any(|container| container["name"] == debugging.as_str());
    if known {
        for container in spec.list_mut(&["containers"]).into_iter().flatten() {
            if container["name"] != debugging.as_str() {
                continue;
            }
            if !args.string("image").is_empty() {
                container["image"] = args.string("image").into();
            }
            if !command.is_empty() {
                container[if args.bool("arguments-only") { "args" } else { "command" }] = json!(command);
            }
            container["stdin"] = args.bool("stdin").into();
            container["tty"] = args.bool("tty").into();
        }
    } else if !args.string("image").is_empty() {
        if debugging.is_empty() {
            debugging = unused_name(&pod);
            session.errln(format!("Defaulting debug container name to {debugging}."));
        }
        let more = container(session, &debugging, command);
        spec.list_mut(&["containers"]).into_iter().for_each(|containers| containers.push(more.clone()));
    }
    let mut metadata = json!({ "name": name, "namespace": namespace });
    if pod["metadata"]["annotations"].is_object() {
        metadata["annotations"] = pod["metadata"]["annotations"].clone();
    }
    if args.bool("keep-labels") {
        metadata["labels"] = pod["metadata"]["labels"].clone();
    }
    if args.bool("keep-annotations") || args.string("profile") == "legacy" {
        metadata["annotations"] = pod["metadata"]["annotations"].clone();
    }
    let object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
    let client = session.client().await?;
    client.write(Method::POST, pods().path(&namespace, ""), "application/json", &object).await?;
    if args.bool("replace") {
        let path = pods().path(&namespace, &text(&pod["metadata"]["name"]));
        client.write(Method::DELETE, path, "application/json", &Value::Null).await?;
    }
    join(session, &namespace, name, &debugging).await
}

/// A pod on a node, in the node's own namespaces, with the node's files below `/host`.
async fn on_node(session: &Session<'_>, node: &str, command: &[String]) -> Result<(), Error> {
    let client = session.client().await?;
    client.get(format!("/api/v1/nodes/{node}")).await?;
    let namespace = session.namespace().await?.0;
    let mut rng = Rng::new(machinery::random::fnv64a(session.now().to_string().as_bytes()));
    let name = format!("node-debugger-{node}-{}", rng.suffix(5));
    let container_name = match session.args.string("container") {
        "" => "debugger",
        name => name,
    };
    session.outln(format!("Creating debugging pod {name} with container {container_name} on node {node}."));
    let mut container = container(session, container_name, command);
    container["volumeMounts"] = json!([{ "name": "host-root", "mountPath": "/host" }]);
    let (key, value) = MANAGED_BY;
    let object = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "labels": { key: value } },
        "spec": {
            "containers": [container],
            "nodeName": node,
            "hostIPC": true,
            "hostNetwork": true,
            "hostPID": true,
            "restartPolicy": "Never",
            "tolerations": [{ "operator": "Exists" }],
            "volumes": [{ "name": "host-root", "hostPath": { "path": "/" } }],
        },
    });
    client.write(Method::POST, pods().path(&namespace, ""), "application/json", &object).await?;
    join(session, &namespace, &name, container_name).await
}

/// A name like those the original draws, counted instead of drawn.
fn unused_name(pod: &Value) -> String {
    let known: Vec<String> = all_containers(pod).into_iter().map(|(_, name)| name).collect();
    (1..).map(|number| format!("debugger-{number:05}")).find(|name| !known.contains(name)).unwrap_or_default()
}
