//! `kubectl debug`: a container beside those of a running pod, a copy of a pod, or a pod on a node.

use http::Method;
use serde_json::{Value, json};

use super::exec::attach_pod;
use super::logs::{all_containers, pods};
use super::run::wait_for;
use crate::error::Error;
use crate::files;
use crate::resources::{self, Resource, items, text};
use crate::select::{self, Choice};
use crate::session::Session;
use crate::value::ValueExt;
use crate::yaml;

/// What a debugging container may do (upstream's cmd/debug/profiles.go).
struct Profile {
    name: &'static str,
    /// Whether what its container was allowed before is forgotten.
    clears: bool,
    /// Whether a container on a node sees the node's files.
    node_files: bool,
    /// Whether it shares the node's namespaces.
    node_namespaces: bool,
    /// Whether a copy loses labels, annotations, probes and init containers that no `--keep-…` keeps.
    bares_copy: bool,
    /// Capabilities, but for a container on a node.
    traces: bool,
    /// What becomes part of the container's security context.
    context: fn() -> Value,
}

static PROFILES: [Profile; 6] = [
    Profile {
        name: "legacy",
        clears: false,
        node_files: true,
        node_namespaces: true,
        bares_copy: false,
        traces: false,
        context: || Value::Null,
    },
    Profile {
        name: "general",
        clears: false,
        node_files: true,
        node_namespaces: true,
        bares_copy: true,
        traces: true,
        context: || Value::Null,
    },
    Profile {
        name: "baseline",
        clears: true,
        node_files: false,
        node_namespaces: false,
        bares_copy: true,
        traces: false,
        context: || Value::Null,
    },
    Profile {
        name: "restricted",
        clears: true,
        node_files: false,
        node_namespaces: false,
        bares_copy: true,
        traces: false,
        context: || {
            json!({
                "runAsNonRoot": true,
                "capabilities": { "drop": ["ALL"] },
                "allowPrivilegeEscalation": false,
                "seccompProfile": { "type": "RuntimeDefault" },
            })
        },
    },
    Profile {
        name: "netadmin",
        clears: false,
        node_files: false,
        node_namespaces: true,
        bares_copy: true,
        traces: false,
        context: || json!({ "capabilities": { "add": ["NET_ADMIN", "NET_RAW"] } }),
    },
    Profile {
        name: "sysadmin",
        clears: false,
        node_files: true,
        node_namespaces: true,
        bares_copy: true,
        traces: false,
        context: || json!({ "privileged": true }),
    },
];
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
    let copies = !args.string("copy-to").is_empty();
    match args.string("image-pull-policy") {
        "" | "Always" | "IfNotPresent" | "Never" => {}
        other => return Err(Error::message(format!("invalid image pull policy: {other}"))),
    }
    if copies {
        if image.is_empty() && !args.changed("set-image") && command.is_empty() {
            return Err(Error::message("you must specify --image, --set-image or command arguments."));
        }
        if !command.is_empty() && args.string("container").is_empty() && image.is_empty() {
            return Err(Error::message("you must specify an existing container or a new image when specifying args."));
        }
    }
    for flag in ["replace", "same-node", "set-image"] {
        if !copies && (args.bool(flag) || (flag == "set-image" && args.changed(flag))) {
            return Err(Error::message(format!("--{flag} may only be used with --copy-to.")));
        }
    }
    if image.is_empty() && !copies {
        return Err(Error::message("you must specify --image when not using --copy-to."));
    }
    if names.is_empty() && !files::given(session) {
        return Err(Error::message("NAME or filename is required for debug"));
    }
    if copies && !args.string("target").is_empty() {
        return Err(Error::message("--target is incompatible with --copy-to. Use --share-processes instead."));
    }
    let profile = PROFILES.iter().find(|profile| profile.name == args.string("profile"));
    let profile = profile.ok_or_else(|| Error::message(format!("unknown profile: {}", args.string("profile"))))?;
    let custom = custom(session).await?;
    if !args.string("target").is_empty() {
        session.outln(format!(
            "Targeting container {:?}. If you don't see processes from this container it may be because the container \
             runtime doesn't support this feature.",
            args.string("target")
        ));
    }
    if profile.name == "legacy" {
        session.errln(
            "--profile=legacy is deprecated and will be removed in the future. It is recommended to explicitly specify \
             a profile, for example \"--profile=general\".",
        );
    }
    for target in targets(session, names).await? {
        let (resource, object) = target?;
        match resource.kind.as_str() {
            "Node" => on_node(session, &text(&object["metadata"]["name"]), command, (profile, &custom)).await?,
            "Pod" if copies => copy(session, object, command, (profile, &custom)).await?,
            "Pod" => beside(session, &object, command, (profile, &custom)).await?,
            kind => {
                let Resource { group, version, .. } = &resource;
                return Err(Error::message(format!("\"{group}/{version}, Kind={kind}\" not supported by debug")));
            }
        }
    }
    Ok(())
}

/// What is to be debugged, each with its resource: what files name, then what the words do.
async fn targets(session: &Session<'_>, names: &[String]) -> Result<Vec<Result<(Resource, Value), Error>>, Error> {
    let mut targets = Vec::new();
    if files::given(session) {
        let (infos, errors) = select::infos(session, &Choice { latest: true, ..Choice::default() }).await?;
        targets.extend(infos.into_iter().map(|info| Ok((info.resource, info.object))));
        targets.extend(errors.into_iter().map(Err));
    }
    for name in names {
        let (kind, name) = name.split_once('/').unwrap_or(("pods", name));
        let resource = session.mapper().await?.find(kind)?;
        let namespace = if resource.namespaced { session.namespace().await?.0 } else { String::new() };
        let object = resources::get(session.client().await?, &resource, &namespace, name).await;
        targets.push(object.map(|object| (resource, object)));
    }
    Ok(targets)
}

/// A container beside those of a running pod.
async fn beside(
    session: &Session<'_>,
    pod: &Value,
    command: &[String],
    (profile, custom): (&Profile, &Value),
) -> Result<(), Error> {
    let args = &session.args;
    let (namespace, pod_name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
    let name = container_name(session, pod);
    let mut container = container(session, &name, command);
    if !args.string("target").is_empty() {
        container["targetContainerName"] = args.string("target").into();
    }
    let container = fitted(container, profile.traces, profile, custom)?;
    let path = format!("{}/ephemeralcontainers", pods().path(&namespace, &pod_name));
    let mut all: Vec<Value> = items(&pod["spec"]["ephemeralContainers"]).cloned().collect();
    all.push(container.clone());
    // In their order: by name alone, the server would put the new one first.
    let order: Vec<Value> = all.iter().map(|known| json!({ "name": known["name"] })).collect();
    let patch = json!({
        "spec": { "$setElementOrder/ephemeralContainers": order, "ephemeralContainers": [container] },
    });
    resources::patch(session.client().await?, path, super::STRATEGIC_PATCH, &patch).await?;
    join(session, &namespace, &pod_name, &name).await
}

/// `--custom`: a part of a container's spec.
async fn custom(session: &Session<'_>) -> Result<Value, Error> {
    let path = session.args.string("custom");
    if path.is_empty() {
        return Ok(Value::Null);
    }
    let bytes = session.host.read_file(path).await.map_err(|error| {
        Error::message(format!(
            "must pass a container spec json file for custom profile: open {path}: {}",
            error.as_str()
        ))
    })?;
    let custom = yaml::parse(&String::from_utf8_lossy(&bytes))
        .map_err(|error| Error::message(format!("{path} does not contain a valid container spec: {error}")))?;
    if !custom.is_object() {
        return Err(Error::message(format!("{path} does not contain a valid container spec")));
    }
    let fixed = ["name", "command", "image", "lifecycle", "volumeDevices"];
    if fixed.iter().any(|field| !custom[*field].is_null()) {
        return Err(Error::message(
            "name, command, image, lifecycle and volume devices are not modifiable via custom profile",
        ));
    }
    Ok(custom)
}

/// A debugging container as its profile, and then `--custom`, want it.
fn fitted(mut container: Value, traces: bool, profile: &Profile, custom: &Value) -> Result<Value, Error> {
    if profile.clears
        && let Some(fields) = container.as_object_mut()
    {
        fields.remove("securityContext");
    }
    let mut change = json!({});
    change["securityContext"] = (profile.context)();
    if traces {
        change["securityContext"] = json!({ "capabilities": { "add": ["SYS_PTRACE"] } });
    }
    if !change["securityContext"].is_null() {
        let mut added: Vec<Value> = items(&container["securityContext"]["capabilities"]["add"]).cloned().collect();
        added.extend(items(&change["securityContext"]["capabilities"]["add"]).cloned());
        if !added.is_empty() {
            change.put(&["securityContext", "capabilities", "add"], added);
        }
        container = machinery::patch::merge(&container, &change);
    }
    if custom.is_null() {
        return Ok(container);
    }
    let mut custom = custom.clone();
    custom["name"] = container["name"].clone();
    let whole = json!({ "spec": { "containers": [container] } });
    let change = json!({ "spec": { "containers": [custom] } });
    let pod = machinery::GroupVersionKind::from_api_version("v1", "Pod");
    let strategic = machinery::patch::Strategic::for_kind(&pod).ok_or_else(|| Error::message("no schema of a pod"))?;
    let mut patched = strategic.apply(&whole, &change).map_err(|error| Error::message(error.to_string()))?;
    Ok(patched.pointer_mut("/spec/containers/0").map(Value::take).unwrap_or_default())
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
async fn copy(
    session: &Session<'_>,
    pod: Value,
    command: &[String],
    (profile, custom): (&Profile, &Value),
) -> Result<(), Error> {
    let args = &session.args;
    let (namespace, name) = (text(&pod["metadata"]["namespace"]), args.string("copy-to"));
    let mut spec = pod["spec"].clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("ephemeralContainers");
        if !args.bool("same-node") {
            fields.remove("nodeName");
        }
        if profile.bares_copy && !args.bool("keep-init-containers") {
            fields.remove("initContainers");
        }
        if args.changed("share-processes") || args.bool("share-processes") {
            fields.insert("shareProcessNamespace".into(), args.bool("share-processes").into());
        }
    }
    let mut probes = vec![
        ("livenessProbe", "keep-liveness"),
        ("readinessProbe", "keep-readiness"),
        ("startupProbe", "keep-startup"),
    ];
    probes.retain(|(_, keep)| profile.bares_copy && !args.bool(keep));
    for fields in spec.list_mut(&["containers"]).into_iter().flatten().filter_map(Value::as_object_mut) {
        for (probe, _) in &probes {
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
    } else if args.string("image").is_empty() && !command.is_empty() {
        return Err(Error::message("you must specify image when creating new container"));
    } else if !args.string("image").is_empty() {
        debugging = container_name(session, &pod);
        let more = container(session, &debugging, command);
        spec.list_mut(&["containers"]).into_iter().for_each(|containers| containers.push(more.clone()));
    }
    for container in spec.list_mut(&["containers"]).into_iter().flatten() {
        if container["name"] == debugging.as_str() {
            *container = fitted(container.take(), profile.traces, profile, custom)?;
        }
    }
    let mut metadata = json!({ "name": name, "namespace": namespace });
    if args.bool("keep-labels") {
        metadata["labels"] = pod["metadata"]["labels"].clone();
    }
    if args.bool("keep-annotations") || !profile.bares_copy {
        metadata["annotations"] = pod["metadata"]["annotations"].clone();
    }
    let object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec });
    let client = session.client().await?;
    client.write(Method::POST, pods().path(&namespace, ""), "application/json", &object).await?;
    if args.bool("replace") {
        let path = pods().path(&namespace, &text(&pod["metadata"]["name"]));
        let at_once = json!({ "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0 });
        client.write(Method::DELETE, path, "application/json", &at_once).await?;
    }
    join(session, &namespace, name, &debugging).await
}

/// A pod on a node, in the node's own namespaces, with the node's files below `/host`.
async fn on_node(
    session: &Session<'_>,
    node: &str,
    command: &[String],
    (profile, custom): (&Profile, &Value),
) -> Result<(), Error> {
    let client = session.client().await?;
    client.get(format!("/api/v1/nodes/{node}")).await?;
    let namespace = session.namespace().await?.0;
    let name = format!("node-debugger-{node}-{}", session.suffix(5));
    let container_name = match session.args.string("container") {
        "" => "debugger",
        name => name,
    };
    session.outln(format!("Creating debugging pod {name} with container {container_name} on node {node}."));
    let mut container = container(session, container_name, command);
    if profile.node_files {
        container["volumeMounts"] = json!([{ "name": "host-root", "mountPath": "/host" }]);
    }
    // The node's own processes are not traced by a capability.
    let container = fitted(container, false, profile, custom)?;
    let (key, value) = MANAGED_BY;
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "labels": { key: value } },
        "spec": {
            "containers": [container],
            "nodeName": node,
            "restartPolicy": "Never",
            "tolerations": [{ "operator": "Exists" }],
        },
    });
    for field in ["hostIPC", "hostNetwork", "hostPID"].iter().filter(|_| profile.node_namespaces) {
        object["spec"][*field] = true.into();
    }
    if profile.node_files {
        object["spec"]["volumes"] = json!([{ "name": "host-root", "hostPath": { "path": "/" } }]);
    }
    client.write(Method::POST, pods().path(&namespace, ""), "application/json", &object).await?;
    join(session, &namespace, &name, container_name).await
}

/// The debugging container's name: the one given, or one that no container of the pod has.
fn container_name(session: &Session<'_>, pod: &Value) -> String {
    const SUFFIX_LENGTH: usize = 5;
    match session.args.string("container") {
        "" => {}
        given => return given.to_owned(),
    }
    let known: Vec<String> = all_containers(pod).into_iter().map(|(_, name)| name).collect();
    let drawn = format!("debugger-{}", session.suffix(SUFFIX_LENGTH));
    let name = match known.contains(&drawn) {
        true => (1..).map(|number| format!("{drawn}{number}")).find(|name| !known.contains(name)).unwrap_or(drawn),
        false => drawn,
    };
    if !session.args.bool("quiet") {
        session.outln(format!("Defaulting debug container name to {name}."));
    }
    name
}
