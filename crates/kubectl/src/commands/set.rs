//! `kubectl set`.

use machinery::labels::Operator;
use machinery::sort::Order;
use machinery::{GroupVersionKind, patch};
use serde_json::{Value, json};

use super::label::split_pairs;
use super::references;
use super::run::is_variable;
use super::scale::{pod_spec, pod_spec_path};
use crate::api::Url;
use crate::error::Error;
use crate::files;
use crate::print::output::{COMMON, Output, done};
use crate::resources::{self, items, text};
use crate::select::{self, Choice, Info};
use crate::session::{DryRun, Session};
use crate::value::ValueExt;

/// Runs the subcommands.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    match session.args.command.name() {
        "image" => image(session).await,
        "env" => env(session).await,
        "resources" => limits(session).await,
        "serviceaccount" => service_account(session).await,
        "selector" => selector(session).await,
        _ => subject(session).await,
    }
}

/// Applies a change to each object that is named, and sends what differs.
async fn each(
    session: &Session<'_>,
    words: &[String],
    operation: &str,
    mut change: impl FnMut(&Info, &mut Value) -> Result<(), Vec<Error>>,
) -> Result<(), Error> {
    let args = &session.args;
    let local = args.bool("local");
    let dry_run = session.dry_run()?;
    if local && dry_run == DryRun::Server {
        return Err(Error::message("cannot specify --local and --dry-run=server - did you mean --dry-run=client?"));
    }
    let output = Output::new(session, COMMON).await?;
    let choice = Choice {
        args: words,
        selector: args.string("selector"),
        all: args.bool("all"),
        local,
        latest: !local,
        ..Choice::default()
    };
    let (infos, mut errors) = select::infos(session, &choice).await?;
    if operation != "selector updated" {
        Error::all(std::mem::take(&mut errors))?;
    }
    for info in infos {
        let mut object = info.object.clone();
        if let Err(found) = change(&info, &mut object) {
            errors.extend(found);
            // Of several images those are set whose containers there are.
            if operation != "image updated" || object == info.object {
                continue;
            }
        }
        // A selector is set even where it is the same.
        if object == info.object && operation != "selector updated" {
            continue;
        }
        super::record::note(session, &mut object);
        if local || dry_run == DryRun::Client {
            super::create::as_typed(&mut object);
            done(session, &output, &object, &format!("{operation}{}", if local { "" } else { dry_run.suffix() }))?;
            continue;
        }
        match send(session, &info, &object, dry_run).await {
            Ok(object) => done(session, &output, &object, &format!("{operation}{}", dry_run.suffix()))?,
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => errors.push(refused(session, error)),
        }
    }
    Error::all(errors)
}

/// What the server does not take, in the words of the subcommand.
fn refused(session: &Session<'_>, error: Error) -> Error {
    let doing = match session.args.command.name() {
        "image" => "image update to pod template:",
        "env" => "env update to pod template:",
        "resources" => "resources update to pod template",
        "serviceaccount" => "ServiceAccountName",
        _ => return error,
    };
    match error {
        Error::Status(status) => Error::message(format!("failed to patch {doing} {}", status.message())),
        other => other,
    }
}

async fn send(session: &Session<'_>, info: &Info, object: &Value, dry_run: DryRun) -> Result<Value, Error> {
    let mut before = info.object.clone();
    let mut object = object.clone();
    let version = session.args.string("resource-version");
    // It has to be part of what is sent, also where it is the one that is there.
    if !version.is_empty() {
        before.put(&["metadata", "resourceVersion"], Value::Null);
        object.put(&["metadata", "resourceVersion"], version);
    }
    let kind = GroupVersionKind::from_api_version(&info.resource.api_version(), &info.resource.kind);
    let (change, content_type) = match patch::Strategic::for_kind(&kind) {
        Some(strategic) => {
            let change = strategic.diff(&before, &object).map_err(|error| Error::message(error.to_string()))?;
            (change, super::STRATEGIC_PATCH)
        }
        None => (patch::merge_diff(&before, &object), super::MERGE_PATCH),
    };
    let url = Url::new(info.path())
        .with_some("dryRun", dry_run.parameter())
        .with("fieldManager", session.args.string("field-manager"));
    resources::patch(session.client().await?, url, content_type, &change).await
}

fn unsupported(info: &Info) -> Vec<Error> {
    vec![Error::message(format!(
        "error: {}/{} the object is not a pod or does not have a pod template: *v1.{}",
        info.resource.name, info.name, info.resource.kind
    ))]
}

/// Whether a container is chosen by name or by a pattern with `*`.
fn chosen(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        }
    }
}

async fn image(session: &Session<'_>) -> Result<(), Error> {
    let (words, pairs) = split_pairs(&session.args.args, "image")?;
    if words.is_empty() && !files::given(session) {
        return Err(select::missing());
    }
    let mut images = Vec::new();
    for pair in pairs {
        images.extend(pair.split_once('='));
    }
    there(session, words).await?;
    if images.is_empty() {
        return Err(Error::message("at least one image update is required"));
    }
    if images.len() > 1 && images.iter().any(|(name, _)| *name == "*") {
        return Err(Error::message(
            "all containers are already specified by *, but saw more than one container_name=container_image pairs",
        ));
    }
    each(session, words, "image updated", |info, object| {
        let spec = pod_spec(&info.resource.kind, object).ok_or_else(|| unsupported(info))?;
        let mut errors = Vec::new();
        for (name, image) in &images {
            let mut found = false;
            for field in ["initContainers", "containers"] {
                for container in spec.list_mut(&[field]).into_iter().flatten() {
                    if *name == "*" || container["name"] == *name {
                        container.put(&["image"], *image);
                        found = true;
                    }
                }
            }
            if !found {
                errors.push(Error::message(format!("error: unable to find container named {name:?}")));
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    })
    .await
}

/// Variables from a ConfigMap or Secret named by `--from`.
async fn from_source(session: &Session<'_>) -> Result<Vec<Value>, Error> {
    let args = &session.args;
    let from = args.string("from");
    if from.is_empty() {
        return Ok(Vec::new());
    }
    let word = [from.to_owned()];
    let choice = Choice { args: &word, latest: true, ..Choice::default() };
    let items = select::plan(session, &choice).await?;
    let Some(select::Item::Named(resource, namespace, name)) = items.into_iter().next() else {
        return Err(Error::message("--from must name one resource"));
    };
    let source = resources::get(session.client().await?, &resource, &namespace, &name).await?;
    let reference = match resource.kind.as_str() {
        "ConfigMap" => "configMapKeyRef",
        "Secret" => "secretKeyRef",
        _ => return Err(Error::message(format!("unsupported resource specified in --from: {from}"))),
    };
    let keys = args.list("keys");
    let mut variables = Vec::new();
    for (key, _) in source["data"].as_object().into_iter().flatten() {
        if !keys.is_empty() && !keys.contains(key) {
            continue;
        }
        let upper: String =
            key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        if upper != *key {
            session.errln(format!("Warning: key {key} transferred to {upper}"));
        }
        variables.push(json!({ "name": upper, "valueFrom": { reference: { "key": key, "name": name } } }));
    }
    Ok(variables)
}

async fn env(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    if args.bool("list") && args.changed("output") {
        return Err(Error::message("--list and --output may not be specified together"));
    }
    let is_change = |word: &String| {
        let is_pair = word.split_once('=').is_some_and(|(name, _)| !name.is_empty());
        is_pair || word.ends_with('-')
    };
    let split = args.args.iter().position(is_change).unwrap_or(args.args.len());
    let (words, pairs) = args.args.split_at(split);
    if !pairs.iter().all(is_change) {
        let all = args.args.join(" ");
        return Err(args.usage_error(format!("all resources must be specified before environment changes: {all}")));
    }
    if words.is_empty() && !files::given(session) {
        return Err(Error::message(
            "one or more resources must be specified as <resource> <name> or <resource>/<name>",
        ));
    }
    let (mut set, mut remove): (Vec<Value>, Vec<String>) = (Vec::new(), Vec::new());
    for pair in args.list("env").iter().chain(pairs) {
        match (pair.as_str(), pair.split_once('=')) {
            ("-", _) => {
                let text = files::load(session, "-").await?.1;
                let text = String::from_utf8_lossy(&text);
                let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
                let pairs = lines.filter_map(|line| line.split_once('='));
                set.extend(pairs.map(|(name, value)| json!({ "name": name, "value": value })));
            }
            (_, Some((name, value))) => {
                if !is_variable(name) {
                    return Err(Error::message(format!(
                        "{name:?} is not a valid key name: a valid environment variable name must consist of \
                         alphabetic characters, digits, '_', '-', or '.', and must not start with a digit (e.g. \
                         'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is \
                         '[-._a-zA-Z][-._a-zA-Z0-9]*')"
                    )));
                }
                set.push(json!({ "name": name, "value": value }));
            }
            (word, None) => match word.strip_suffix('-') {
                Some(name) => remove.push(name.to_owned()),
                None => return Err(Error::message(format!("unknown environment variable: {word}"))),
            },
        }
    }
    if set.iter().any(|variable| remove.iter().any(|name| variable["name"] == name.as_str())) {
        return Err(Error::message("can not both modify and remove the same environment variable in the same command"));
    }
    set.extend(from_source(session).await?);
    let prefix = args.string("prefix");
    for variable in set.iter_mut().filter(|_| !prefix.is_empty()) {
        variable["name"] = format!("{prefix}{}", text(&variable["name"])).into();
    }
    let pattern = match args.string("containers") {
        "" => "*",
        pattern => pattern,
    };
    let overwrite = args.bool("overwrite");
    if args.bool("list") {
        return list_env(session, words, pattern, |container| set_env(container, &set, &remove, overwrite)).await;
    }
    each(session, words, "env updated", |info, object| {
        let spec = pod_spec(&info.resource.kind, object).ok_or_else(|| unsupported(info))?;
        let (resource, name) = (&info.resource, &info.name);
        let mut found = false;
        for field in ["containers", "initContainers"] {
            let containers = spec.list_mut(&[field]).into_iter().flatten();
            for container in containers.filter(|container| chosen(pattern, &text(&container["name"]))) {
                found = true;
                set_env(container, &set, &remove, overwrite).map_err(|error| {
                    vec![Error::message(format!("error: {}/{name} {}", resource.name, error.plain()))]
                })?;
            }
        }
        if !found {
            let kind = &resource.kind;
            session.errln(format!("Warning: {kind}/{name} does not have any containers matching {pattern:?}"));
        }
        Ok(())
    })
    .await
}

/// Sets variables of a container and removes others.
fn set_env(container: &mut Value, set: &[Value], remove: &[String], overwrite: bool) -> Result<(), Error> {
    let mut env: Vec<Value> = items(&container["env"]).cloned().collect();
    for variable in set {
        match env.iter_mut().find(|known| known["name"] == variable["name"]) {
            Some(known) if !overwrite && *known != *variable => {
                let (name, value) = (text(&known["name"]), text(&known["value"]));
                return Err(Error::message(format!(
                    "'{name}' already has a value ({value}), and --overwrite is false"
                )));
            }
            Some(known) => *known = variable.clone(),
            None => env.push(variable.clone()),
        }
    }
    env.retain(|variable| !remove.iter().any(|name| variable["name"] == name.as_str()));
    if !env.is_empty() {
        container.put(&["env"], env);
    } else if let Some(fields) = container.as_object_mut() {
        fields.remove("env");
    }
    Ok(())
}

/// Whether what is named exists: that is found out before anything else is wrong.
async fn there(session: &Session<'_>, words: &[String]) -> Result<(), Error> {
    let args = &session.args;
    // What comes by standard input comes once.
    if args.list("filename").iter().any(|name| name == "-") {
        return Ok(());
    }
    let choice = Choice {
        args: words,
        selector: args.string("selector"),
        all: args.bool("all"),
        local: args.bool("local"),
        ..Choice::default()
    };
    Error::all(select::infos(session, &choice).await?.1)
}

/// Shows the variables as `change` would leave them.
async fn list_env(
    session: &Session<'_>,
    words: &[String],
    pattern: &str,
    change: impl Fn(&mut Value) -> Result<(), Error>,
) -> Result<(), Error> {
    let args = &session.args;
    let local = args.bool("local");
    let choice = Choice {
        args: words,
        selector: args.string("selector"),
        all: args.bool("all"),
        local,
        latest: !local,
        ..Choice::default()
    };
    let (infos, errors) = select::infos(session, &choice).await?;
    let mut store = references::Store::new();
    for info in infos {
        let kind = &info.resource.kind;
        let Some(spec) = pod_spec_path(kind).and_then(|path| info.object.pointer(path)) else { continue };
        let all = items(&spec["containers"]).chain(items(&spec["initContainers"]));
        let mut unresolved: Vec<(String, Vec<String>)> = Vec::new();
        for container in all.filter(|container| chosen(pattern, &text(&container["name"]))) {
            let container = &mut container.clone();
            if change(container).is_err() {
                break;
            }
            session.outln(format!("# {kind} {}, container {}", info.name, text(&container["name"])));
            for variable in items(&container["env"]) {
                let name = text(&variable["name"]);
                let from = &variable["valueFrom"];
                if from.is_null() {
                    session.outln(format!("{name}={}", text(&variable["value"])));
                    continue;
                }
                if args.bool("resolve") {
                    match references::resolved(session, &mut store, from, &info.object, container).await {
                        Ok(value) => {
                            session.outln(format!("{name}={value}"));
                            continue;
                        }
                        Err(error) => {
                            let error = error.plain();
                            match unresolved.iter_mut().find(|(known, _)| *known == error) {
                                Some((_, names)) => names.push(name.clone()),
                                None => unresolved.push((error, vec![name.clone()])),
                            }
                        }
                    }
                }
                session.outln(format!("# {name} from {}", references::described(from)));
            }
        }
        unresolved.order_by(|a, b| a.0.cmp(&b.0));
        for (error, names) in &mut unresolved {
            names.order();
            session.errln(format!("error retrieving reference for {}: {error}", names.join(", ")));
        }
    }
    Error::all(errors)
}

fn amounts(spec: &str) -> Result<Value, Error> {
    let mut found = json!({});
    for part in spec.split(',').filter(|part| !part.is_empty()) {
        let (name, amount) = part
            .split_once('=')
            .ok_or_else(|| Error::message(format!("Invalid argument syntax {part}, expected <resource>=<value>")))?;
        let amount = machinery::Quantity::parse(amount).map_err(|error| Error::message(error.to_string()))?;
        found[name] = amount.to_string().into();
    }
    Ok(found)
}

async fn limits(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    if args.args.is_empty() && !files::given(session) {
        return Err(select::missing());
    }
    let (limits, requests) = (args.string("limits"), args.string("requests"));
    there(session, &args.args).await?;
    if limits.is_empty() && requests.is_empty() {
        return Err(Error::message(
            "you must specify an update to requests or limits (in the form of --requests/--limits)",
        ));
    }
    let (limits, requests) = (amounts(limits)?, amounts(requests)?);
    let pattern = match args.string("containers") {
        "" => "*",
        pattern => pattern,
    };
    each(session, &args.args, "resource requirements updated", |info, object| {
        let spec = pod_spec(&info.resource.kind, object).ok_or_else(|| unsupported(info))?;
        let mut found = false;
        for container in spec.list_mut(&["containers"]).into_iter().flatten() {
            if !chosen(pattern, &text(&container["name"])) {
                continue;
            }
            found = true;
            for (field, wanted) in [("limits", &limits), ("requests", &requests)] {
                for (name, amount) in wanted.as_object().into_iter().flatten() {
                    container.put(&["resources", field, name], amount.clone());
                }
            }
        }
        if found {
            return Ok(());
        }
        Err(vec![Error::message(format!("error: unable to find container named {pattern}"))])
    })
    .await
}

async fn service_account(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let Some((account, words)) = args.args.split_last() else {
        return Err(Error::message("serviceaccount is required"));
    };
    if words.is_empty() && !files::given(session) {
        return Err(select::missing());
    }
    each(session, words, "serviceaccount updated", |info, object| {
        let spec = pod_spec(&info.resource.kind, object).ok_or_else(|| unsupported(info))?;
        spec.put(&["serviceAccountName"], account.as_str());
        Ok(())
    })
    .await
}

async fn selector(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let Some((expression, words)) = args.args.split_last() else {
        return Err(Error::message("one selector is required"));
    };
    if words.is_empty() && !files::given(session) {
        return Err(select::missing());
    }
    if !expression.contains('=')
        && let [kind] = words
    {
        let kind = [kind.clone()];
        select::plan(session, &Choice { args: &kind, ..Choice::default() }).await?;
    }
    let requirements =
        machinery::labels::Selector::parse(expression).map_err(|error| Error::message(error.to_string()));
    let labels = super::create::parse_labels(expression);
    each(session, words, "selector updated", |info, object| {
        if info.resource.kind != "Service" {
            return Err(vec![Error::message("setting a selector is only supported for Services")]);
        }
        let labels = match (&labels, &requirements) {
            (Ok(labels), _) => labels,
            (_, Err(error)) => return Err(vec![error.clone()]),
            (_, Ok(requirements)) => {
                let all = requirements.requirements().unwrap_or_default();
                let expressions = all.iter().filter(|one| !matches!(one.operator, Operator::Equals));
                let shown: Vec<String> = expressions
                    .map(|one| format!("{{{} {:?} [{}]}}", one.key, one.operator, one.values.join(" ")))
                    .collect();
                let shown = shown.join(" ");
                return Err(vec![Error::message(format!("match expression [{shown}] not supported on this object"))]);
            }
        };
        object.put(&["spec", "selector"], labels.clone());
        Ok(())
    })
    .await
}

async fn subject(session: &Session<'_>) -> Result<(), Error> {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let args = &session.args;
    let (users, groups, accounts) = (args.list("user"), args.list("group"), args.list("serviceaccount"));
    there(session, &args.args).await?;
    if users.is_empty() && groups.is_empty() && accounts.is_empty() {
        return Err(Error::message("you must specify at least one value of user, group or serviceaccount"));
    }
    let mut subjects = Vec::new();
    for (kind, names) in [("User", users), ("Group", groups)] {
        subjects.extend(names.iter().map(|name| json!({ "kind": kind, "apiGroup": GROUP, "name": name })));
    }
    for account in accounts {
        let (namespace, name) =
            account.split_once(':').ok_or_else(|| Error::message("serviceaccount must be <namespace>:<name>"))?;
        subjects.push(json!({ "kind": "ServiceAccount", "namespace": namespace, "name": name }));
    }
    each(session, &args.args, "subjects updated", |info, object| {
        if !matches!(info.resource.kind.as_str(), "RoleBinding" | "ClusterRoleBinding") {
            return Err(vec![Error::message(format!(
                "error: {}/{} setting subjects is only supported for RoleBinding/ClusterRoleBinding\n",
                info.resource.name, info.name
            ))]);
        }
        let mut all: Vec<Value> = items(&object["subjects"]).cloned().collect();
        for subject in &subjects {
            if !all.contains(subject) {
                all.push(subject.clone());
            }
        }
        object.put(&["subjects"], all);
        Ok(())
    })
    .await
}
