//! `kubectl create`, from files and by generators.

mod access;
mod config;
mod network;
mod policy;
mod workload;

use http::Method;
use serde_json::{Map, Value, json};

use crate::api::Url;
use crate::error::Error;
use crate::files;
use crate::print::output::{COMMON, Output, done};
use crate::resources::{Resource, text};
use crate::select;
use crate::session::{DryRun, Session};
use crate::value::ValueExt;

/// The annotation in which client-side apply keeps what was applied last.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What a generator makes.
pub struct Generated {
    resource: Resource,
    object: Value,
}

/// A generated object of a kind: `(apiVersion, kind, plural)`; `namespaced` tells where it lives.
fn generated(api_version: &str, kind: &str, plural: &str, namespaced: bool, name: &str, fields: Value) -> Generated {
    let gvk = machinery::GroupVersionKind::from_api_version(api_version, kind);
    let resource = Resource {
        group: gvk.group,
        version: gvk.version,
        name: plural.to_owned(),
        kind: kind.to_owned(),
        namespaced,
        ..Resource::default()
    };
    let mut object = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": { "name": name, "creationTimestamp": null },
    });
    if let (Some(object), Value::Object(fields)) = (object.as_object_mut(), fields) {
        for (key, value) in fields {
            match (key.as_str(), value) {
                ("labels", labels) => {
                    if let Some(metadata) = object.get_mut("metadata") {
                        metadata["labels"] = labels;
                    }
                }
                (_, value) => {
                    object.insert(key, value);
                }
            }
        }
    }
    Generated { resource, object }
}

/// The one NAME of a generator, and the words after `--`.
fn name_and_command<'a>(session: &'a Session<'_>) -> Result<(&'a str, &'a [String]), Error> {
    let args = &session.args;
    let end = args.dash.unwrap_or(args.args.len());
    let (names, command) = args.args.split_at(end.min(args.args.len()));
    match names {
        [name] => Ok((name, command)),
        _ => Err(args.usage_error(format!("exactly one NAME is required, got {}", names.len()))),
    }
}

fn name<'a>(session: &'a Session<'_>) -> Result<&'a str, Error> {
    match session.args.args.as_slice() {
        [name] => Ok(name),
        names => Err(session.args.usage_error(format!("exactly one NAME is required, got {}", names.len()))),
    }
}

/// Runs the command and its subcommands.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let made = match session.args.command.path {
        "create" => return from_files(session).await,
        "create token" => return access::token(session).await,
        "create deployment" => workload::deployment(session)?,
        "create job" => workload::job(session).await?,
        "create cronjob" => workload::cron_job(session)?,
        "create namespace" => {
            generated("v1", "Namespace", "namespaces", false, name(session)?, json!({ "spec": {}, "status": {} }))
        }
        "create configmap" => config::config_map(session).await?,
        "create secret generic" => config::secret(session).await?,
        "create secret tls" => config::tls(session).await?,
        "create secret docker-registry" => config::docker_registry(session).await?,
        "create serviceaccount" => {
            generated("v1", "ServiceAccount", "serviceaccounts", true, name(session)?, json!({}))
        }
        "create service clusterip" => network::service(session, "ClusterIP")?,
        "create service nodeport" => network::service(session, "NodePort")?,
        "create service loadbalancer" => network::service(session, "LoadBalancer")?,
        "create service externalname" => network::service(session, "ExternalName")?,
        "create ingress" => network::ingress(session)?,
        "create role" => access::role(session, "Role").await?,
        "create clusterrole" => access::role(session, "ClusterRole").await?,
        "create rolebinding" => access::binding(session, "RoleBinding")?,
        "create clusterrolebinding" => access::binding(session, "ClusterRoleBinding")?,
        "create quota" => policy::quota(session)?,
        "create poddisruptionbudget" => policy::disruption_budget(session)?,
        "create priorityclass" => policy::priority_class(session)?,
        path => return Err(Error::message(format!("unknown command {path:?}"))),
    };
    submit(session, made).await
}

/// Sends a generated object, or shows it.
async fn submit(session: &Session<'_>, made: Generated) -> Result<(), Error> {
    let Generated { resource, mut object } = made;
    let dry_run = session.dry_run()?;
    validation(session)?;
    let output = Output::new(session, COMMON).await?;
    if resource.namespaced && session.args.changed("namespace") {
        object.put(&["metadata", "namespace"], session.args.string("namespace"));
    }
    save_generated(session, &mut object);
    if dry_run != DryRun::Client {
        let namespace = if resource.namespaced { session.namespace().await?.0 } else { String::new() };
        if resource.namespaced {
            object.put(&["metadata", "namespace"], namespace.as_str());
        }
        object = post(session, &resource, &namespace, &object, "kubectl-create", dry_run)
            .await
            .map_err(|error| prefixed(error, &failure(&resource, &object)))?;
        as_typed(&mut object);
    }
    done(session, &output, &object, &format!("created{}", dry_run.suffix()))
}

/// What Go's types print of nothing, by kind: where, and the fields there with a 0 (an empty struct without any).
const EMPTY: &[(&str, &str, &[&str])] = &[
    ("DaemonSet", "/spec/updateStrategy", &[]),
    (
        "DaemonSet",
        "/status",
        &["currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady"],
    ),
    ("Deployment", "/spec/strategy", &[]),
    ("Deployment", "/status", &[]),
    ("Ingress", "/status/loadBalancer", &[]),
    ("Job", "/status", &[]),
    ("CronJob", "/status", &[]),
    ("Pod", "/status", &[]),
    ("PodDisruptionBudget", "/status", &["currentHealthy", "desiredHealthy", "disruptionsAllowed", "expectedPods"]),
    ("ReplicaSet", "/status", &["replicas"]),
    ("ReplicationController", "/status", &["replicas"]),
    ("Service", "/status/loadBalancer", &[]),
    ("StatefulSet", "/spec/updateStrategy", &[]),
    ("StatefulSet", "/status", &["availableReplicas", "replicas"]),
];

/// Adds what Go's types print of nothing: a template without a time of creation, a status without replicas.
pub fn as_typed(object: &mut Value) {
    let metadata = [
        &["metadata"][..],
        &["spec", "template", "metadata"],
        &["spec", "jobTemplate", "metadata"],
        &["spec", "jobTemplate", "spec", "template", "metadata"],
    ];
    for path in metadata {
        let (_, above) = path.split_last().unwrap_or((&"", path));
        if above.last() == Some(&"template")
            && let Some(template) = object.fields_mut(above)
        {
            template.entry("metadata").or_insert_with(|| json!({}));
        }
        if let Some(metadata) = object.fields_mut(path) {
            metadata.entry("creationTimestamp").or_insert(Value::Null);
        }
    }
    let kind = text(&object["kind"]);
    for (_, path, zeros) in EMPTY.iter().filter(|(known, ..)| *known == kind) {
        let mut path: Vec<&str> = path.split('/').skip(1).collect();
        if zeros.is_empty() && object.pointer(&format!("/{}", path.join("/"))).is_none() {
            object.put(&path, json!({}));
        }
        for zero in *zeros {
            path.push(zero);
            if object.pointer(&format!("/{}", path.join("/"))).is_none() {
                object.put(&path, 0);
            }
            path.pop();
        }
    }
    let Some(spec) = super::scale::pod_spec(&kind, object) else { return };
    for list in ["initContainers", "containers"] {
        for container in spec.list_mut(&[list]).into_iter().flatten().filter_map(Value::as_object_mut) {
            container.entry("resources").or_insert_with(|| json!({}));
        }
    }
}

/// What a generator says before the server's words; empty where it lets them stand alone.
fn failure(resource: &Resource, object: &Value) -> String {
    match resource.kind.as_str() {
        "Namespace" | "Role" | "ClusterRole" => String::new(),
        "Secret" => "failed to create secret ".into(),
        "Service" => format!("failed to create {} service: ", text(&object["spec"]["type"])),
        "PodDisruptionBudget" => "failed to create poddisruptionbudgets: ".into(),
        "ResourceQuota" => "failed to create quota: ".into(),
        kind => format!("failed to create {}: ", kind.to_lowercase()),
    }
}

/// An error with words before it is no Status any more.
fn prefixed(error: Error, prefix: &str) -> Error {
    match error {
        Error::Status(status) if !prefix.is_empty() => Error::Message(format!("{prefix}{}", status.message())),
        other => other,
    }
}

/// The `fieldValidation` parameter from `--validate`.
///
/// # Errors
/// Unknown values.
pub fn validation(session: &Session<'_>) -> Result<&'static str, Error> {
    match session.args.string("validate") {
        "strict" | "true" | "" => Ok("Strict"),
        "warn" => Ok("Warn"),
        "ignore" | "false" => Ok("Ignore"),
        other => Err(Error::message(format!(
            "invalid - validate option {other:?}; must be one of: strict (or true), warn, ignore (or false)"
        ))),
    }
}

/// Creates an object.
///
/// # Errors
/// As [`crate::api::Client::get`].
pub async fn post(
    session: &Session<'_>,
    resource: &Resource,
    namespace: &str,
    object: &Value,
    manager: &str,
    dry_run: DryRun,
) -> Result<Value, Error> {
    let manager = match session.args.string("field-manager") {
        "" => manager,
        given => given,
    };
    let url = Url::new(resource.path(namespace, ""))
        .with_some("dryRun", dry_run.parameter())
        .with("fieldManager", manager)
        .with("fieldValidation", validation(session)?);
    session.client().await?.write(Method::POST, url, "application/json", object).await
}

/// Does so if `--save-config` says it; what is there already is brought up to date in any case.
pub fn save_config(session: &Session<'_>, object: &mut Value) {
    if session.args.bool("save-config") || !object["metadata"]["annotations"][LAST_APPLIED].is_null() {
        annotate_last_applied(object);
    }
}

/// The same for an object that a command has made itself. Go's types leave out that it has no annotations.
pub fn save_generated(session: &Session<'_>, object: &mut Value) {
    if !session.args.bool("save-config") {
        return;
    }
    let text = format!("{}\n", crate::print::json::compact_typed(object));
    object.put(&["metadata", "annotations", LAST_APPLIED], text);
}

/// Notes in the object itself what it is now, for a later apply.
pub fn annotate_last_applied(object: &mut Value) {
    let mut bare = object.clone();
    if let Some(metadata) = bare.fields_mut(&["metadata"]) {
        match metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            Some(annotations) => {
                annotations.remove(LAST_APPLIED);
            }
            None => {
                metadata.insert("annotations".into(), Value::Object(Map::new()));
            }
        }
    }
    let text = format!("{}\n", machinery::go::json(&bare));
    object.put(&["metadata", "annotations", LAST_APPLIED], text);
}

/// Complains about objects without kind, as validation before sending does, where a command has it.
///
/// # Errors
/// `error validating "x.yaml": …`
pub fn check_type(session: &Session<'_>, object: &Value, source: &str) -> Result<(), Error> {
    if !session.args.command.has_own_flag("validate") || validation(session)? == "Ignore" {
        return Ok(());
    }
    let missing: Vec<&str> = [("apiVersion", "apiVersion not set"), ("kind", "kind not set")]
        .iter()
        .filter(|(field, _)| text(&object[*field]).is_empty())
        .map(|(_, problem)| *problem)
        .collect();
    let problem = match (object.is_object(), missing.as_slice()) {
        (false, _) => "invalid object to validate".to_owned(),
        (_, []) => return Ok(()),
        (_, [one]) => (*one).to_owned(),
        (_, many) => format!("[{}]", many.join(", ")),
    };
    Err(Error::message(format!(
        "error validating {source:?}: error validating data: {problem}; if you choose to ignore these errors, turn \
         validation off with --validate=false"
    )))
}

/// The objects of `-f`, in order, each checked; problems stand where the object would.
///
/// # Errors
/// Missing files, no connection.
pub async fn visit(session: &Session<'_>) -> Result<Vec<Result<select::Info, Error>>, Error> {
    let mut infos = Vec::new();
    // What follows in a file after something that is no object is not looked at.
    let mut broken = None::<String>;
    for document in files::read(session).await? {
        let info = match document {
            Ok(document) if broken.as_ref() == Some(&document.source) => continue,
            Ok(document) => match check_type(session, &document.object, &document.source) {
                Ok(()) => select::identify(session, document.object, document.source, false).await,
                Err(error) => {
                    broken = Some(document.source);
                    Err(error)
                }
            },
            Err(error) => Err(error),
        };
        match info {
            Err(error @ Error::Send { .. }) => return Err(error),
            info => infos.push(info),
        }
    }
    Ok(infos)
}

async fn from_files(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    if !files::given(session) && args.args.is_empty() {
        return Err(Error::message("must specify one of -f and -k"));
    }
    if !args.args.is_empty() {
        return Err(args.usage_error(format!("Unexpected args: [{}]", args.args.join(" "))));
    }
    let dry_run = session.dry_run()?;
    validation(session)?;
    if !args.string("raw").is_empty() {
        return super::raw::raw(session, Method::POST).await;
    }
    if args.bool("edit") {
        let infos = visit(session).await?.into_iter().collect::<Result<_, _>>()?;
        return super::edit::before_create(session, infos).await;
    }
    let given = args.string("selector");
    let selector = machinery::labels::Selector::parse(given)
        .map_err(|error| Error::message(format!("the provided selector {given:?} is not valid: {error}")))?;
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
        if !select::matches_labels(&selector, &info.object) {
            continue;
        }
        save_config(session, &mut info.object);
        super::record::note(session, &mut info.object);
        if dry_run != DryRun::Client {
            match post(session, &info.resource, &info.namespace, &info.object, "kubectl-create", dry_run).await {
                Ok(object) => info.object = object,
                Err(error) => {
                    errors.push(error.with_source("creating", &info.source));
                    continue;
                }
            }
        }
        count += 1;
        done(session, &output, &info.object, &format!("created{}", dry_run.suffix()))?;
    }
    if count == 0 && errors.is_empty() {
        return Err(Error::message("no objects passed to create"));
    }
    Error::all(errors)
}

/// What `--overrides` makes of an object, in the way of `--override-type`.
///
/// # Errors
/// What is no JSON, and patches that cannot be applied.
pub fn overridden(session: &Session<'_>, object: Value) -> Result<Value, Error> {
    let overrides = session.args.string("overrides");
    if overrides.is_empty() {
        return Ok(object);
    }
    let failed = |error: &dyn std::fmt::Display| Error::message(error.to_string());
    let change: Value = serde_json::from_str(overrides).map_err(|_| Error::message("Invalid JSON Patch"))?;
    match session.args.string("override-type") {
        "" | "merge" => Ok(machinery::patch::merge(&object, &change)),
        "json" => machinery::patch::json(&object, &change).map_err(|error| failed(&error)),
        "strategic" => {
            let kind =
                machinery::GroupVersionKind::from_api_version(&text(&object["apiVersion"]), &text(&object["kind"]));
            match machinery::patch::Strategic::for_kind(&kind) {
                Some(strategic) => strategic.apply(&object, &change).map_err(|error| failed(&error)),
                None => Ok(machinery::patch::merge(&object, &change)),
            }
        }
        other => Err(Error::message(format!("invalid override type: {other}"))),
    }
}

/// `a=b,c=d` as an object.
///
/// # Errors
/// Parts without `=`.
pub fn parse_labels(text: &str) -> Result<Value, Error> {
    let mut labels = Map::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let pair = part.split_once('=').filter(|(_, value)| !value.contains('='));
        let (key, value) = pair.ok_or_else(|| Error::message(format!("unexpected label spec: {part}")))?;
        labels.insert(key.to_owned(), value.into());
    }
    Ok(Value::Object(labels))
}
