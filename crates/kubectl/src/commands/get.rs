//! `kubectl get`.

use futures::StreamExt;
use serde_json::{Value, json};

use crate::api::{TABLE, Url};
use crate::error::Error;
use crate::files;
use crate::print::output::{Format, GET, Output};
use crate::print::sort::sort_by;
use crate::print::table::{self, Options, Printer};
use crate::resources::{self, Resource, items, text};
use crate::select::{self, Choice, Item};
use crate::session::Session;
use crate::value::ValueExt;

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    if !args.string("raw").is_empty() {
        check_raw(session)?;
        return raw(session).await;
    }
    let shown = args.string("output");
    if args.bool("show-labels") && !matches!(shown, "" | "wide") {
        return Err(Error::message(format!("--show-labels option cannot be used with {shown} printer")));
    }
    if args.args.is_empty() && !files::given(session) {
        session.errln(
            "You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of \
             supported resources.\n",
        );
        return Err(args.usage_error(
            "Required resource not specified.\nUse \"kubectl explain <resource>\" for a detailed description of that \
             resource (e.g. kubectl explain pods).",
        ));
    }
    let watching = args.bool("watch") || args.bool("watch-only");
    if args.bool("output-watch-events") && !watching {
        return Err(Error::message("--output-watch-events option can only be used with --watch or --watch-only"));
    }
    let choice = Choice {
        args: &args.args,
        selector: args.string("selector"),
        field_selector: args.string("field-selector"),
        all: true,
        all_namespaces: args.bool("all-namespaces"),
        latest: true,
        ..Choice::default()
    };
    let plan = select::listed(session, &choice).await?;
    let output = Output::new(session, GET).await?;
    if watching {
        return watch(session, &choice, plan, &output).await;
    }
    if output.is_human() {
        return tables(session, &choice, plan, &output).await;
    }
    objects(session, &choice, plan, &output).await
}

/// What may stand beside `--raw`, and in it.
fn check_raw(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let path = args.string("raw");
    if !args.args.is_empty() {
        return Err(Error::message("arguments may not be passed when --raw is specified"));
    }
    if args.bool("watch") || args.bool("watch-only") || !args.string("selector").is_empty() {
        return Err(Error::message(
            "--raw may not be specified with other flags that filter the server request or alter the output",
        ));
    }
    if !args.string("output").is_empty() {
        return Err(Error::message("--raw and --output are mutually exclusive"));
    }
    let problem = match path.split_once(':') {
        _ if path.starts_with('/') => return Ok(()),
        Some(("", _)) => "missing protocol scheme",
        Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => return Ok(()),
        _ => "invalid URI for request",
    };
    Err(Error::message(format!("--raw must be a valid URL path: parse {path:?}: {problem}")))
}

/// What `--raw` names, byte for byte.
async fn raw(session: &Session<'_>) -> Result<(), Error> {
    let path = session.args.string("raw");
    let mut body = session.client().await?.stream(path, "application/json, */*").await?;
    while let Some(part) = body.next().await {
        session.host.stdout(&part);
    }
    Ok(())
}

fn options(session: &Session<'_>, output: &Output, kind: Option<String>, namespaced: bool) -> Options {
    let args = &session.args;
    Options {
        wide: matches!(output.format, Format::Wide),
        no_headers: args.bool("no-headers"),
        with_namespace: args.bool("all-namespaces") && namespaced,
        kind,
        label_columns: args.list("label-columns").to_vec(),
        show_labels: args.bool("show-labels"),
        event: None,
    }
}

/// What to ask for to print a table: the server's, or the objects where `--server-print` does not want it.
fn form(session: &Session<'_>) -> &'static str {
    if session.args.bool("server-print") { TABLE } else { "application/json" }
}

fn table_url(session: &Session<'_>, url: Url) -> Url {
    if session.args.string("sort-by").is_empty() { url } else { url.with("includeObject", "Object") }
}

fn with_subresource(session: &Session<'_>, path: String) -> String {
    match session.args.string("subresource") {
        "" => path,
        subresource => format!("{path}/{subresource}"),
    }
}

async fn tables(session: &Session<'_>, choice: &Choice<'_>, plan: Vec<Item>, output: &Output) -> Result<(), Error> {
    let args = &session.args;
    let ignore_not_found = args.bool("ignore-not-found");
    let sort = args.string("sort-by");
    if !sort.is_empty() && crate::print::columns::relaxed(sort).is_err() {
        // The original's sorter then prints nothing.
        let namespaced = plan.iter().all(|item| match item {
            Item::List(resource, _) | Item::Named(resource, ..) => resource.namespaced,
            _ => false,
        });
        return found_nothing(session, !choice.all_namespaces && namespaced).await;
    }
    if !args.string("subresource").is_empty() && plan.iter().any(|item| matches!(item, Item::List(..))) {
        return Err(Error::message("subresource cannot be used when bulk resources are specified"));
    }
    let mut found: Vec<(Resource, Value)> = Vec::new();
    let mut errors = Vec::new();
    let mut asked = Vec::new();
    for item in plan {
        let table = match item {
            Item::Failed(error) => Err(Error::Many(vec![error])),
            Item::List(resource, namespace) => {
                asked.push(resource.clone());
                list_table(session, choice, &resource, &namespace).await.map(|table| (resource, table))
            }
            Item::Named(resource, namespace, name) => {
                asked.push(resource.clone());
                named_table(session, &resource, &namespace, &name).await.map(|table| (resource, table))
            }
            Item::File(info) => {
                asked.push(info.resource.clone());
                named_table(session, &info.resource, &info.namespace, &info.name)
                    .await
                    .map(|table| (info.resource, table))
            }
        };
        match table {
            Ok(table) => found.push(table),
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) if ignore_not_found && error.is_not_found() => {}
            Err(error) => errors.push(error),
        }
    }
    let several = found.iter().any(|(resource, _)| Some(resource) != found.first().map(|(first, _)| first));
    match found.as_mut_slice() {
        [] => {}
        [(_, table)] if !sort.is_empty() => {
            let rows = table.list_mut(&["rows"]).map(Vec::as_mut_slice).unwrap_or_default();
            // By a field that no object has, they stay as they are.
            if let Err(fatal @ Error::Fatal { .. }) = sort_by(rows, sort, |row| &row["object"]) {
                return Err(fatal);
            }
        }
        // Of several tables the original sorts the tables, by what it finds in them.
        tables if !sort.is_empty() => sort_by(tables, sort, |(_, table)| table).map_err(of_objects)?,
        _ => {}
    }
    let mut groups: Vec<(Resource, Value)> = Vec::new();
    for (resource, mut table) in found {
        match groups.last_mut() {
            Some((last, rows)) if *last == resource => {
                let more = table.list_mut(&["rows"]).map(std::mem::take).unwrap_or_default();
                rows.list_mut(&["rows"]).into_iter().for_each(|rows| rows.extend(more.iter().cloned()));
            }
            _ => groups.push((resource, table)),
        }
    }
    let mut written = false;
    for (resource, table) in groups {
        let kind = (several || args.bool("show-kind")).then(|| resource.kind_name());
        let text = Printer::default().print(&table, &options(session, output, kind, resource.namespaced));
        if !text.is_empty() {
            if written && !args.bool("no-headers") {
                session.out("\n");
            }
            session.out(text);
            written = true;
        }
    }
    if !written && errors.is_empty() && !ignore_not_found {
        let namespaced = asked.iter().all(|resource| resource.namespaced);
        found_nothing(session, !choice.all_namespaces && namespaced).await?;
    }
    Error::all(errors)
}

async fn found_nothing(session: &Session<'_>, in_namespace: bool) -> Result<(), Error> {
    match in_namespace {
        true => session.errln(format!("No resources found in {} namespace.", session.namespace().await?.0)),
        false => session.errln("No resources found"),
    }
    Ok(())
}

/// What cannot be sorted by, where objects are sorted and not rows.
fn of_objects(error: Error) -> Error {
    match error {
        Error::Fatal { text, code, .. } => Error::Fatal {
            place: "sorter.go:329",
            text: text.replace("[][][]reflect.Value", "*unstructured.Unstructured"),
            code,
        },
        other => other,
    }
}

async fn list_table(
    session: &Session<'_>,
    choice: &Choice<'_>,
    resource: &Resource,
    namespace: &str,
) -> Result<Value, Error> {
    let client = session.client().await?;
    let chunk = session.args.int("chunk-size");
    let base = table_url(session, Url::new(resource.path(namespace, "")))
        .with_some("labelSelector", choice.selector)
        .with_some("fieldSelector", choice.field_selector);
    let base = if chunk > 0 { base.with("limit", chunk.to_string()) } else { base };
    let mut whole = Value::Null;
    let mut token = String::new();
    loop {
        let answer = client.get_as(base.clone().with_some("continue", &token), form(session)).await;
        let answer = answer.map_err(|error| select::list_error(error, resource, choice))?;
        token = text(&answer["metadata"]["continue"]);
        let mut part = as_table(session, answer);
        if whole.is_null() {
            whole = part;
        } else if let (Some(rows), Some(more)) = (whole.list_mut(&["rows"]), part.list_mut(&["rows"])) {
            rows.append(more);
        }
        if token.is_empty() {
            return Ok(whole);
        }
    }
}

async fn named_table(session: &Session<'_>, resource: &Resource, namespace: &str, name: &str) -> Result<Value, Error> {
    let path = with_subresource(session, resource.path(namespace, name));
    let client = session.client().await?;
    match client.get_as(table_url(session, Url::new(path)), form(session)).await {
        Ok(answer) => Ok(as_table(session, answer)),
        Err(error) => {
            let error = resources::unknown_path(error, "get", resource, name);
            Err(resources::or_no_namespace(client, namespace, error).await)
        }
    }
}

/// The answer, if it is a table; else a table of names and ages.
fn as_table(session: &Session<'_>, answer: Value) -> Value {
    if answer["kind"] == "Table" {
        return answer;
    }
    match answer["items"].as_array() {
        Some(list) => {
            let mut table = table::of_objects(list, session.now());
            table["metadata"] = answer["metadata"].clone();
            table
        }
        None => table::of_objects(&[answer], session.now()),
    }
}

async fn objects(session: &Session<'_>, choice: &Choice<'_>, plan: Vec<Item>, output: &Output) -> Result<(), Error> {
    let args = &session.args;
    let single = matches!(plan.as_slice(), [Item::Named(..) | Item::File(_)]);
    if !args.string("subresource").is_empty() && plan.iter().any(|item| matches!(item, Item::List(..))) {
        return Err(Error::message("subresource cannot be used when bulk resources are specified"));
    }
    let mut found: Vec<Value> = Vec::new();
    let mut errors = Vec::new();
    for item in plan {
        let objects = match item {
            Item::Failed(error) => Err(error),
            Item::Named(resource, namespace, name) => {
                let path = with_subresource(session, resource.path(&namespace, &name));
                let client = session.client().await?;
                match client.get(path).await {
                    Ok(object) => Ok(vec![object]),
                    Err(error) => Err(resources::or_no_namespace(client, &namespace, error).await),
                }
            }
            Item::File(info) => {
                let object = resources::get(session.client().await?, &info.resource, &info.namespace, &info.name);
                object.await.map(|object| vec![object])
            }
            Item::List(resource, namespace) => {
                let url = Url::new(resource.path(&namespace, ""))
                    .with_some("labelSelector", choice.selector)
                    .with_some("fieldSelector", choice.field_selector);
                let list = select::list_all(session, url).await;
                let list = list.map_err(|error| select::list_error(error, &resource, choice));
                list.map(|list| list.into_iter().map(|object| select::of_object(&resource, object).object).collect())
            }
        };
        match objects {
            Ok(objects) => found.extend(objects),
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) if args.bool("ignore-not-found") && error.is_not_found() => {}
            Err(error) => errors.push(error),
        }
    }
    if !args.string("sort-by").is_empty() {
        sort_by(&mut found, args.string("sort-by"), |object| object).map_err(of_objects)?;
    }
    if single {
        if let Some(object) = found.first() {
            session.out(output.render(object)?);
        }
    } else if !found.is_empty() || (errors.is_empty() && !args.bool("ignore-not-found")) {
        session.out(output.render(&list_of(found))?);
    }
    Error::all(errors)
}

/// A `v1 List`.
pub fn list_of(objects: Vec<Value>) -> Value {
    json!({ "apiVersion": "v1", "kind": "List", "metadata": { "resourceVersion": "" }, "items": objects })
}

async fn watch(session: &Session<'_>, choice: &Choice<'_>, plan: Vec<Item>, output: &Output) -> Result<(), Error> {
    let args = &session.args;
    let kind = |item: &Item| match item {
        Item::List(resource, _) | Item::Named(resource, ..) => resource.kind.clone(),
        Item::File(info) => info.resource.kind.clone(),
        Item::Failed(_) => String::new(),
    };
    if plan.iter().any(|item| plan.first().map(kind) != Some(kind(item))) {
        return Err(Error::message("you may only specify a single resource type"));
    }
    let [item] = plan.as_slice() else {
        // They are read before they are counted.
        for item in &plan {
            if let Item::Named(resource, namespace, name) = item {
                session.client().await?.get(resource.path(namespace, name)).await?;
            }
        }
        return Err(Error::message("watch is only supported on individual resources and resource collections"));
    };
    let (resource, namespace, name) = match item {
        Item::List(resource, namespace) => (resource, namespace.as_str(), ""),
        Item::Named(resource, namespace, name) => (resource, namespace.as_str(), name.as_str()),
        Item::File(info) => (&info.resource, info.namespace.as_str(), info.name.as_str()),
        Item::Failed(error) => return Err(error.clone()),
    };
    if !args.string("sort-by").is_empty() {
        session.errln(match args.bool("watch") {
            true => "warning: --watch requested, --sort-by will be ignored for watch events received",
            false => "warning: --watch-only requested, --sort-by will be ignored",
        });
    }
    let kind = args.bool("show-kind").then(|| resource.kind_name());
    let mut options = options(session, output, kind, resource.namespaced);
    let mut printer = Printer::default();
    let mut show = |event: &str, object: &Value| -> Result<(), Error> {
        if output.is_human() {
            options.event = args.bool("output-watch-events").then(|| format!("{event:8}"));
            session.out(printer.print(&as_table(session, object.clone()), &options));
        } else if args.bool("output-watch-events") && matches!(output.format, Format::Json) {
            session.out(format!("{{\"type\":\"{event}\",\"object\":{}}}\n", machinery::go::json(object)));
        } else if args.bool("output-watch-events") && !matches!(output.format, Format::Name) {
            session.out(output.render(&json!({ "type": event, "object": object }))?);
        } else {
            session.out(output.render(object)?);
        }
        Ok(())
    };
    let accept = if output.is_human() { form(session) } else { "application/json" };
    let client = session.client().await?;
    let current = if name.is_empty() {
        let url = Url::new(resource.path(namespace, ""))
            .with_some("labelSelector", choice.selector)
            .with_some("fieldSelector", choice.field_selector);
        client.get_as(url, accept).await?
    } else {
        client.get_as(resource.path(namespace, name), accept).await?
    };
    let version = match text(&current["metadata"]["resourceVersion"]) {
        version if version.is_empty() => text(&current["rows"][0]["object"]["metadata"]["resourceVersion"]),
        version => version,
    };
    if !args.bool("watch-only") {
        if current["items"].is_array() && !output.is_human() {
            for object in items(&current["items"]) {
                show("ADDED", &select::of_object(resource, object.clone()).object)?;
            }
        } else {
            show("ADDED", &current)?;
        }
    }
    let field_selector = match name {
        "" => choice.field_selector.to_owned(),
        name => format!("metadata.name={name}"),
    };
    let url = Url::new(resource.path(namespace, ""))
        .with_some("labelSelector", choice.selector)
        .with_some("fieldSelector", &field_selector)
        .with("resourceVersion", version);
    let mut events = client.watch(url, accept).await?;
    while let Some((event, object)) = events.next().await {
        match event.as_str() {
            "BOOKMARK" => {}
            "ERROR" => {
                let code = http::StatusCode::INTERNAL_SERVER_ERROR;
                let status = machinery::ApiError::from_answer(code, object.to_string().as_bytes());
                return Err(Error::Status(status));
            }
            event => show(event, &object)?,
        }
    }
    Ok(())
}
