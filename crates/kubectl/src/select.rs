//! Which objects a command is about: by type and name, by selector, by file.

use serde_json::Value;

use crate::api::Url;
use crate::error::Error;
use crate::files;
use crate::resources::{self, Resource};
use crate::session::Session;
use crate::value::ValueExt;

/// Whether a selector chooses an object.
pub fn matches_labels(selector: &machinery::labels::Selector, object: &Value) -> bool {
    let labels: std::collections::BTreeMap<String, String> = object["metadata"]["labels"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), resources::text(value)))
        .collect();
    selector.matches(&labels)
}

/// One object a command works on.
#[derive(Clone, Debug)]
pub struct Info {
    /// Its resource.
    pub resource: Resource,
    /// Its namespace; empty for cluster-scoped ones.
    pub namespace: String,
    /// Its name; may be empty in files (`generateName`).
    pub name: String,
    /// The object: the server's, or the file's.
    pub object: Value,
    /// The file it came from; empty if from none.
    pub source: String,
}

impl Info {
    /// The object's path at the server.
    pub fn path(&self) -> String {
        self.resource.path(&self.namespace, &self.name)
    }

    /// `deployment.apps/web`
    pub fn display(&self) -> String {
        format!("{}/{}", self.resource.kind_name(), self.name)
    }
}

/// What a command line says about the objects it is about.
#[derive(Clone, Debug, Default)]
pub struct Choice<'a> {
    /// `TYPE NAME…` or `TYPE/NAME…`
    pub args: &'a [String],
    /// `-l`
    pub selector: &'a str,
    /// `--field-selector`
    pub field_selector: &'a str,
    /// A type alone means all objects of it.
    pub all: bool,
    /// `-A`
    pub all_namespaces: bool,
    /// Nothing is asked of the server (`--local`).
    pub local: bool,
    /// Objects of files are read from the server too.
    pub latest: bool,
}

/// One thing to ask the server for.
#[derive(Clone, Debug)]
pub enum Item {
    /// All objects of a resource in a namespace (empty: all) that the selectors choose.
    List(Resource, String),
    /// One object.
    Named(Resource, String, String),
    /// An object from a file.
    File(Box<Info>),
    /// A file that could not be read.
    Failed(Error),
}

/// No resource was named.
pub fn missing() -> Error {
    Error::message(
        "You must provide one or more resources by argument or filename.\nExample resource specifications \
         include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'",
    )
}

/// [`plan`] for commands that go on after an error: what is wrong with a kustomization is one of a list of errors, which
/// stand there without a prefix.
///
/// # Errors
/// As [`plan`].
pub async fn listed(session: &Session<'_>, choice: &Choice<'_>) -> Result<Vec<Item>, Error> {
    let args = &session.args;
    let alone = choice.args.is_empty() && args.list("filename").is_empty() && !args.bool("recursive");
    plan(session, choice).await.map_err(|error| match error {
        Error::Message(_) if alone && !args.string("kustomize").is_empty() => Error::Many(vec![error]),
        error => error,
    })
}

/// Finds out what a command line is about, without asking for the objects.
///
/// # Errors
/// Unknown types, contradictory arguments, missing files.
pub async fn plan(session: &Session<'_>, choice: &Choice<'_>) -> Result<Vec<Item>, Error> {
    if files::given(session) {
        if !choice.args.is_empty() && !choice.local {
            return Err(Error::message(
                "when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well",
            ));
        }
        let mut items = from_files(session, choice.local).await?;
        if !choice.selector.is_empty() {
            let selector = machinery::labels::Selector::parse(choice.selector)
                .map_err(|error| Error::message(error.to_string()))?;
            items.retain(|item| !matches!(item, Item::File(info) if !matches_labels(&selector, &info.object)));
        }
        return Ok(items);
    }
    if choice.local {
        return Err(Error::message(
            "you must specify resources by --filename when --local is set.\nExample resource specifications \
             include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'",
        ));
    }
    let has_selector = !choice.selector.is_empty() || !choice.field_selector.is_empty();
    // `SelectAllParam`: all of nothing is a selector too.
    let selects_all = matches!(session.args.command.path, "delete" | "label" | "annotate") && session.args.bool("all");
    if choice.args.is_empty() && (has_selector || selects_all) {
        return Err(Error::message("at least one resource must be specified to use a selector"));
    }
    if choice.args.is_empty() {
        return Err(missing());
    }
    let combined = choice.args.iter().filter(|arg| arg.contains('/')).count();
    if combined > 0 {
        return named(session, choice, combined, has_selector).await;
    }
    let (types, names) = choice.args.split_first().ok_or_else(missing)?;
    let types: Vec<&str> = types.split(',').collect();
    if names.iter().any(String::is_empty) && !has_selector {
        return Err(Error::message("resource name may not be empty"));
    }
    if names.is_empty() {
        return lists(session, choice, &types, has_selector).await;
    }
    // Several kinds are joined with each name.
    if types.len() > 1 && types.contains(&"") {
        return Err(Error::message("arguments in resource/name form must have a single resource and name"));
    }
    if has_selector {
        return Err(Error::message("name cannot be provided when a selector is specified"));
    }
    if choice.all && session.args.command.path == "delete" && session.args.bool("all") {
        return Err(Error::message("name cannot be provided when a selector is specified"));
    }
    let mut chosen = Vec::new();
    for typed in types {
        chosen.push(session.mapper().await?.find(typed)?);
    }
    let mut items = Vec::new();
    for resource in chosen {
        let namespace = scope(session, &resource, choice.all_namespaces).await?;
        items.extend(names.iter().map(|name| Item::Named(resource.clone(), namespace.clone(), name.clone())));
    }
    Ok(items)
}

async fn scope(session: &Session<'_>, resource: &Resource, all_namespaces: bool) -> Result<String, Error> {
    if !resource.namespaced {
        return Ok(String::new());
    }
    if all_namespaces {
        return Err(Error::message("a resource cannot be retrieved by name across all namespaces"));
    }
    Ok(session.namespace().await?.0)
}

async fn lists(
    session: &Session<'_>,
    choice: &Choice<'_>,
    types: &[&str],
    has_selector: bool,
) -> Result<Vec<Item>, Error> {
    let mapper = session.mapper().await?;
    if !has_selector && !choice.all {
        for name in types.iter().filter(|name| mapper.category(name).is_empty()) {
            mapper.find(name)?;
        }
        return Err(Error::message("resource(s) were provided, but no name was specified"));
    }
    let mut chosen: Vec<Resource> = Vec::new();
    for name in types {
        let category = mapper.category(name);
        let found = if category.is_empty() { vec![mapper.find(name)?] } else { category };
        for other in mapper.others_by_short_name(name) {
            let qualified = other.qualified();
            session.errln(format!("Warning: short name {name:?} could also match lower priority resource {qualified}"));
        }
        for resource in found {
            if !chosen.contains(&resource) {
                chosen.push(resource);
            }
        }
    }
    let mut items = Vec::new();
    for resource in chosen {
        let namespace = match resource.namespaced && !choice.all_namespaces {
            true => session.namespace().await?.0,
            false => String::new(),
        };
        items.push(Item::List(resource, namespace));
    }
    Ok(items)
}

async fn named(
    session: &Session<'_>,
    choice: &Choice<'_>,
    combined: usize,
    has_selector: bool,
) -> Result<Vec<Item>, Error> {
    if combined < choice.args.len() {
        return Err(Error::message(
            "there is no need to specify a resource type as a separate argument when passing arguments in \
             resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource \
             resource/<resource_name>'",
        ));
    }
    if has_selector {
        return Err(Error::message("name cannot be provided when a selector is specified"));
    }
    let mut items = Vec::new();
    for arg in choice.args {
        let (types, name) = arg.split_once('/').unwrap_or((arg, ""));
        if name.contains('/') {
            return Err(Error::message("arguments in resource/name form may not have more than one slash"));
        }
        if types.is_empty() || name.is_empty() {
            return Err(Error::message("arguments in resource/name form must have a single resource and name"));
        }
        let resource = session.mapper().await?.find(types)?;
        let namespace = scope(session, &resource, choice.all_namespaces).await?;
        items.push(Item::Named(resource, namespace, name.to_owned()));
    }
    Ok(items)
}

/// The objects of `-f` and `-k`, with their resources and namespaces.
async fn from_files(session: &Session<'_>, local: bool) -> Result<Vec<Item>, Error> {
    let documents = files::read(session).await?;
    let mut items = Vec::new();
    for document in documents {
        let item = match document {
            Ok(document) => match identify(session, document.object, document.source, local).await {
                Ok(info) => Item::File(Box::new(info)),
                Err(error @ Error::Send { .. }) => return Err(error),
                Err(error) => Item::Failed(error),
            },
            Err(error) => Item::Failed(error),
        };
        items.push(item);
    }
    Ok(items)
}

/// What keeps a value from being an object's, in the words of Go's JSON after `cannot unmarshal`.
fn undecodable(object: &Value) -> Option<String> {
    let of = |value: &Value| match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) | Value::Null => "object",
    };
    let metadata = &object["metadata"];
    if !object.is_object() {
        return Some(format!("{} into Go value of type unstructured.detector", of(object)));
    }
    if !metadata.is_object() && !metadata.is_null() {
        let found = of(metadata);
        return Some(format!("{found} into Go struct field metadataOnlyObject.metadata of type v1.ObjectMeta"));
    }
    ["name", "namespace"].into_iter().find_map(|field| {
        let value = &metadata[field];
        let fits = value.is_string() || value.is_null();
        (!fits).then(|| format!("{} into Go struct field ObjectMeta.metadata.{field} of type string", of(value)))
    })
}

/// Finds an object's resource and fills in its namespace.
///
/// # Errors
/// No such kind, a namespace other than `--namespace`.
pub async fn identify(session: &Session<'_>, mut object: Value, source: String, local: bool) -> Result<Info, Error> {
    if let Some(problem) = undecodable(&object) {
        return Err(Error::message(format!("unable to decode {source:?}: json: cannot unmarshal {problem}")));
    }
    let api_version = resources::text(&object["apiVersion"]);
    let kind = resources::text(&object["kind"]);
    let name = resources::text(&object["metadata"]["name"]);
    let own = resources::text(&object["metadata"]["namespace"]);
    if kind.is_empty() {
        let text = machinery::go::json(&object);
        return Err(Error::message(format!("unable to decode {source:?}: Object 'Kind' is missing in '{text}'")));
    }
    if api_version.is_empty() {
        let text = machinery::go::json(&object);
        return Err(Error::message(format!("unable to decode {source:?}: Object 'apiVersion' is missing in '{text}'")));
    }
    let resource = if local {
        let gvk = machinery::GroupVersionKind::from_api_version(&api_version, &kind);
        let singular = kind.to_lowercase();
        Resource {
            // The original has no mapping to take the plural from.
            name: singular.clone(),
            singular,
            group: gvk.group,
            version: gvk.version,
            kind: kind.clone(),
            namespaced: true,
            ..Resource::default()
        }
    } else {
        let mapper = session.mapper().await?;
        mapper.for_kind(&api_version, &kind).cloned().ok_or_else(|| {
            Error::message(format!(
                "resource mapping not found for name: {name:?} namespace: {own:?} from {source:?}: no matches for \
                 kind {kind:?} in version {api_version:?}\nensure CRDs are installed first"
            ))
        })?
    };
    let mut namespace = own;
    if !local {
        let (default, enforced) = session.namespace().await?;
        if !resource.namespaced {
            namespace.clear();
        } else if namespace.is_empty() {
            namespace = default;
            object.put(&["metadata", "namespace"], namespace.as_str());
        } else if enforced && namespace != default {
            return Err(Error::message(format!(
                "the namespace from the provided object {namespace:?} does not match the namespace {default:?}. You \
                 must pass '--namespace={namespace}' to perform this operation."
            )));
        }
    }
    Ok(Info { resource, namespace, name, object, source })
}

/// The objects a command line is about, read from the server; and what could not be read.
///
/// # Errors
/// As [`plan`].
pub async fn infos(session: &Session<'_>, choice: &Choice<'_>) -> Result<(Vec<Info>, Vec<Error>), Error> {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    for item in plan(session, choice).await? {
        match fetch(session, choice, item).await {
            Ok(infos) => found.extend(infos),
            Err(error @ Error::Send { .. }) => return Err(error),
            Err(error) => errors.push(error),
        }
    }
    Ok((found, errors))
}

async fn fetch(session: &Session<'_>, choice: &Choice<'_>, item: Item) -> Result<Vec<Info>, Error> {
    match item {
        Item::Failed(error) => Err(error),
        Item::File(info) if !choice.latest || choice.local => Ok(vec![*info]),
        Item::File(mut info) => {
            info.object = resources::get(session.client().await?, &info.resource, &info.namespace, &info.name).await?;
            Ok(vec![*info])
        }
        Item::Named(resource, namespace, name) => {
            let object = resources::get(session.client().await?, &resource, &namespace, &name).await?;
            Ok(vec![Info { resource, namespace, name, object, source: String::new() }])
        }
        Item::List(resource, namespace) => {
            let url = Url::new(resource.path(&namespace, ""))
                .with_some("labelSelector", choice.selector)
                .with_some("fieldSelector", choice.field_selector);
            let list = list_all(session, url).await.map_err(|error| list_error(error, &resource, choice))?;
            Ok(list.into_iter().map(|object| of_object(&resource, object)).collect())
        }
    }
}

/// An object of a list, with the kind that lists leave out.
pub fn of_object(resource: &Resource, mut object: Value) -> Info {
    object.put(&["apiVersion"], resource.api_version());
    object.put(&["kind"], resource.kind.as_str());
    Info {
        resource: resource.clone(),
        namespace: resources::text(&object["metadata"]["namespace"]),
        name: resources::text(&object["metadata"]["name"]),
        object,
        source: String::new(),
    }
}

/// Says what could not be listed.
pub fn list_error(error: Error, resource: &Resource, choice: &Choice<'_>) -> Error {
    let Error::Status(mut status) = error else { return error };
    if !matches!(status.reason(), "BadRequest" | "NotFound") {
        return Error::Status(status);
    }
    let subject = format!("{}/{}, Resource={}", resource.group, resource.version, resource.name);
    let message = status.message();
    status.0.message = Some(match (choice.selector, choice.field_selector) {
        ("", "") => format!("Unable to list {subject:?}: {message}"),
        (labels, fields) => format!(
            "Unable to find {subject:?} that match label selector {labels:?}, field selector {fields:?}: {message}"
        ),
    });
    Error::Status(status)
}

/// All items of a list, chunk by chunk.
///
/// # Errors
/// As [`crate::api::Client::get`].
pub async fn list_all(session: &Session<'_>, url: Url) -> Result<Vec<Value>, Error> {
    let client = session.client().await?;
    let args = &session.args;
    // No limit where the user wants no chunks; commands without the flag have the original's.
    let limit = match args.int("chunk-size") {
        0 if args.changed("chunk-size") => String::new(),
        0 => "500".to_owned(),
        size => size.to_string(),
    };
    let mut all = Vec::new();
    let mut token = String::new();
    loop {
        let url = url.clone().with_some("limit", &limit).with_some("continue", &token);
        let mut list = client.get(url).await?;
        token = resources::text(&list["metadata"]["continue"]);
        if let Some(items) = list.list_mut(&["items"]) {
            all.append(items);
        }
        if token.is_empty() {
            return Ok(all);
        }
    }
}
