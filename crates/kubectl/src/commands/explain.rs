//! `kubectl explain`.

mod openapi_v2;

use serde_json::Value;

use crate::error::Error;
use crate::resources::{Resource, items, text};
use crate::session::Session;

/// Columns of text before a line breaks.
const WIDTH: usize = 76;
/// Enum values shown beside a field.
const ENUM_SHOWN_MAX: usize = 4;

/// Runs the command.
///
/// # Errors
/// What kubectl says.
pub async fn run(session: &Session<'_>) -> Result<(), Error> {
    let args = &session.args;
    let typed = match args.args.as_slice() {
        [] => {
            return Err(Error::message(
                "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list \
                 of supported resources.",
            ));
        }
        [typed] => typed,
        _ => return Err(Error::message("We accept only this format: explain RESOURCE")),
    };
    let old = match args.string("output") {
        "plaintext" => false,
        "plaintext-openapiv2" => true,
        other => return Err(Error::message(format!("unrecognized format: {other}"))),
    };
    if typed.starts_with('.') || typed.contains("..") {
        return Err(Error::message("invalid jsonpath syntax, first node must be field node"));
    }
    let (resource, path) = resolve(session, typed).await?;
    let document = document(session, &resource).await?;
    let explained = Document { schemas: &document["components"]["schemas"], recursive: args.bool("recursive") };
    let missing = || {
        let (group, version, kind) = (&resource.group, &resource.version, &resource.kind);
        Error::message(format!("GVK map[group:{group} kind:{kind} version:{version}] not found in OpenAPI schema"))
    };
    let schema = explained.of_kind(&resource).ok_or_else(missing)?;
    if old {
        let text = openapi_v2::explain(&explained, schema, &resource, &path)?;
        session.out(text);
        return Ok(());
    }
    let mut out = String::new();
    if !resource.group.is_empty() {
        out.push_str(&format!("GROUP:      {}\n", resource.group));
    }
    out.push_str(&format!("KIND:       {}\nVERSION:    {}\n\n", resource.kind, resource.version));
    session.out(std::mem::take(&mut out));
    let found = explained.output(schema, &path, &mut Vec::new(), &mut out);
    if !found {
        let last = path.last().copied().unwrap_or_default();
        return Err(Error::message(format!("field {last:?} does not exist")));
    }
    session.out(out + "\n");
    Ok(())
}

/// The resource and the path of fields in `pods.spec.containers`.
async fn resolve<'t>(session: &Session<'_>, typed: &'t str) -> Result<(Resource, Vec<&'t str>), Error> {
    let mapper = session.mapper().await?;
    let parts: Vec<&str> = typed.trim_end_matches('.').split('.').collect();
    let api_version = session.args.string("api-version");
    let (name, mut path) = parts.split_first().map_or(("", Vec::new()), |(name, path)| (*name, path.to_vec()));
    // The longest prefix that is a resource with its group wins.
    for end in (2..=parts.len()).rev() {
        let Some((prefix, rest)) = parts.split_at_checked(end) else { continue };
        let group = prefix.get(1..).unwrap_or_default().join(".");
        let exact = mapper.resources.iter().find(|resource| {
            resource.group == group && mapper.find(name).is_ok_and(|found| found.name == resource.name)
        });
        if let Some(resource) = exact {
            path = rest.to_vec();
            return Ok((resource.clone(), path));
        }
    }
    let found =
        mapper.find(name).map_err(|_| Error::Verbatim(format!("the server doesn't have a resource type {name:?}")))?;
    if !api_version.is_empty() {
        let exact = mapper
            .resources
            .iter()
            .find(|resource| resource.api_version() == api_version && resource.name == found.name);
        return match exact {
            Some(resource) => Ok((resource.clone(), path)),
            None if mapper.resources.iter().any(|resource| resource.api_version() == api_version) => {
                let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
                Err(Error::message(format!(
                    "GVR ({group}/{version}, Resource={}) not found in OpenAPI schema",
                    found.name
                )))
            }
            None => {
                let group = if api_version.contains('/') { "" } else { "/" };
                let name = &found.name;
                Err(Error::message(format!("couldn't find resource for \"{group}{api_version}, Resource={name}\"")))
            }
        };
    }
    Ok((found, path))
}

async fn document(session: &Session<'_>, resource: &Resource) -> Result<Value, Error> {
    let client = session.client().await?;
    let key = match resource.group.as_str() {
        "" => format!("api/{}", resource.version),
        group => format!("apis/{group}/{}", resource.version),
    };
    let index = client.get("/openapi/v3").await?;
    let url = match index["paths"][&key]["serverRelativeURL"].as_str() {
        Some(url) => url.to_owned(),
        None => {
            return Err(Error::message(format!(
                "couldn't find resource for \"{}, Resource={}\"",
                resource.api_version(),
                resource.name
            )));
        }
    };
    client.get(url).await
}

struct Document<'d> {
    schemas: &'d Value,
    recursive: bool,
}

/// Whether `additionalProperties` is a schema rather than a flag.
fn map_values(schema: &Value) -> Option<&Value> {
    schema.get("additionalProperties").filter(|values| values.is_object())
}

impl<'d> Document<'d> {
    fn of_kind(&self, resource: &Resource) -> Option<&'d Value> {
        let matches = |kind: &Value| {
            text(&kind["group"]) == resource.group
                && kind["version"] == resource.version.as_str()
                && kind["kind"] == resource.kind.as_str()
        };
        self.schemas.as_object()?.values().find(|schema| items(&schema["x-kubernetes-group-version-kind"]).any(matches))
    }

    /// The schema that a reference names, or the schema itself.
    fn resolved(&self, schema: &'d Value) -> &'d Value {
        match schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
            Some(name) => self.schemas.get(name).unwrap_or(schema),
            None => schema,
        }
    }

    fn output(&self, schema: &'d Value, path: &[&str], history: &mut Vec<&'d str>, out: &mut String) -> bool {
        let reference = schema["$ref"].as_str();
        let resolved = self.resolved(schema);
        let Some((field, rest)) = path.split_first() else {
            let mut description = String::new();
            self.description(resolved, &mut description);
            let description = if description.is_empty() { "<empty>".to_owned() } else { description };
            out.push_str(&format!("DESCRIPTION:\n{}\n", indent(&wrap(&description, WIDTH), 4)));
            let mut fields = String::new();
            self.fields(resolved, 1, &mut Vec::new(), &mut fields);
            if !fields.is_empty() {
                out.push_str(&format!("FIELDS:\n{fields}"));
            }
            return true;
        };
        if let Some(reference) = reference {
            if history.contains(&reference) {
                return false;
            }
            history.push(reference);
        }
        if let Some(below) = resolved["properties"].get(*field) {
            if rest.is_empty() {
                out.push_str(&format!("FIELD: {field} <{}>\n", self.type_of(below)));
                let values: Vec<String> = items(&below["enum"]).map(enum_value).collect();
                if !values.is_empty() {
                    out.push_str("ENUM:");
                    values.iter().for_each(|value| out.push_str(&format!("\n    {value}")));
                }
                out.push_str("\n\n");
            }
            return self.output(below, rest, &mut Vec::new(), out);
        }
        if let Some(below) = resolved.get("items") {
            return self.output(below, path, history, out);
        }
        if let Some(below) = map_values(resolved) {
            return self.output(below, path, history, out);
        }
        items(&resolved["allOf"]).any(|below| self.output(below, path, history, out))
    }

    fn description(&self, schema: &'d Value, out: &mut String) {
        let schema = self.resolved(schema);
        if let Some(text) = schema["description"].as_str().filter(|text| !text.is_empty()) {
            out.push_str(text);
            out.push('\n');
        }
        items(&schema["allOf"]).for_each(|below| self.description(below, out));
        if let Some(below) = schema.get("items") {
            self.description(below, out);
        }
        if let Some(below) = map_values(schema) {
            self.description(below, out);
        }
    }

    fn fields(&self, schema: &'d Value, level: usize, history: &mut Vec<&'d str>, out: &mut String) {
        let reference = schema["$ref"].as_str();
        if reference.is_some_and(|reference| history.contains(&reference)) {
            return;
        }
        let depth = history.len();
        history.extend(reference);
        let resolved = self.resolved(schema);
        for (name, below) in resolved["properties"].as_object().into_iter().flatten() {
            self.field(resolved, name, below, level, out);
            if self.recursive {
                self.fields(below, level + 1, history, out);
            }
        }
        items(&resolved["allOf"]).for_each(|below| self.fields(below, level, history, out));
        if let Some(below) = resolved.get("items") {
            self.fields(below, level, history, out);
        }
        if let Some(below) = map_values(resolved) {
            self.fields(below, level, history, out);
        }
        history.truncate(depth);
    }

    fn field(&self, parent: &Value, name: &str, schema: &'d Value, level: usize, out: &mut String) {
        let margin = level * 2;
        out.push_str(&format!("{:margin$}{name}\t<{}>", "", self.type_of(schema)));
        if items(&parent["required"]).any(|required| required == name) {
            out.push_str(" -required-");
        }
        let values: Vec<String> = items(&schema["enum"]).map(enum_value).collect();
        if !values.is_empty() {
            let more = if values.len() > ENUM_SHOWN_MAX { ", ...." } else { "" };
            let shown: Vec<&str> = values.iter().take(ENUM_SHOWN_MAX).map(String::as_str).collect();
            out.push_str(&format!("\n{:margin$}enum: {}{more}", "", shown.join(", ")));
        }
        out.push('\n');
        if !self.recursive {
            let description = schema["description"].as_str().filter(|text| !text.is_empty());
            let wrapped = wrap(description.unwrap_or("<no description>"), WIDTH + 2 - margin);
            out.push_str(&format!("{}\n\n", indent(&wrapped, margin + 2)));
        }
    }

    /// `string`, `[]Container`, `map[string]string`, …
    fn type_of(&self, schema: &'d Value) -> String {
        if let Some(items) = schema.get("items") {
            return format!("[]{}", self.type_of(items));
        }
        if let Some(values) = map_values(schema) {
            return format!("map[string]{}", self.type_of(values));
        }
        let all: Vec<&Value> = items(&schema["allOf"]).collect();
        if let ([only], true) = (all.as_slice(), schema["properties"].is_null()) {
            return self.type_of(only);
        }
        if let Some(reference) = schema["$ref"].as_str() {
            let target = self.resolved(schema);
            return match target["type"].as_str() {
                None | Some("object") => reference.rsplit(['/', '.']).next().unwrap_or("Object").to_owned(),
                Some(kind) => kind.to_owned(),
            };
        }
        match schema["type"].as_str() {
            None | Some("object") => "Object".into(),
            Some(kind) => kind.to_owned(),
        }
    }
}

fn enum_value(value: &Value) -> String {
    match value.as_str() {
        Some("") => "\"\"".into(),
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

/// Breaks lines at blanks so that they fit; words that do not fit stay whole.
fn wrap(text: &str, width: usize) -> String {
    let mut out = Vec::new();
    for line in text.split('\n') {
        let mut current = String::new();
        let mut rest = line;
        while !rest.is_empty() {
            let blanks = rest.len() - rest.trim_start_matches(' ').len();
            let (space, after) = rest.split_at(blanks);
            let end = after.find(' ').unwrap_or(after.len());
            let (word, after) = after.split_at(end);
            rest = after;
            if !current.is_empty() && current.chars().count() + space.len() + word.chars().count() > width {
                out.push(std::mem::take(&mut current));
                current.push_str(word);
            } else {
                current.push_str(space);
                current.push_str(word);
            }
        }
        out.push(current);
    }
    out.join("\n")
}

fn indent(text: &str, margin: usize) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| format!("{:margin$}{line}", "")).collect();
    lines.join("\n")
}
