//! `-o`: which form, and an object in it.

use std::cell::Cell;

use machinery::go;
use serde_json::Value;

use crate::error::Error;
use crate::jsonpath::{JsonPath, go_syntax};
use crate::print::columns::Columns;
use crate::print::go_template::Template;
use crate::print::json;
use crate::resources::{items, qualify, text};
use crate::session::Session;
use crate::yaml;

/// Formats that every command with `-o` knows.
pub const COMMON: &[&str] = &[
    "go-template",
    "go-template-file",
    "json",
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
    "name",
    "template",
    "templatefile",
    "yaml",
];
/// Formats of `get`.
pub const GET: &[&str] = &[
    "custom-columns",
    "custom-columns-file",
    "go-template",
    "go-template-file",
    "json",
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
    "name",
    "template",
    "templatefile",
    "wide",
    "yaml",
];

/// Commands whose objects have gone through Go's types.
const TYPED: &[&str] = &["auth whoami", "autoscale", "config view", "create ", "expose", "kuberc ", "run", "set "];

/// A form of output.
#[derive(Clone, Debug)]
pub enum Format {
    /// What the command prints without `-o`.
    Human,
    /// The same with more columns.
    Wide,
    /// `-o json`
    Json,
    /// `-o yaml`
    Yaml,
    /// `-o name`
    Name,
    /// `-o jsonpath=…`
    JsonPath(JsonPath),
    /// `-o jsonpath-as-json=…`
    JsonPathAsJson(JsonPath),
    /// `-o go-template=…`
    GoTemplate(Template),
    /// `-o custom-columns=…`
    Columns(Columns),
}

/// Prints objects one after the other in one form.
pub struct Output {
    /// The form.
    pub format: Format,
    show_managed_fields: bool,
    allow_missing: bool,
    typed: bool,
    printed: Cell<usize>,
}

impl Output {
    /// Reads `-o`, `--template` and what belongs to them. `allowed` are the command's formats, sorted.
    ///
    /// # Errors
    /// Unknown formats, bad templates, files that are not there.
    pub async fn new(session: &Session<'_>, allowed: &[&str]) -> Result<Self, Error> {
        let args = &session.args;
        let given = args.string("output");
        let (name, inline) = match given.split_once('=') {
            Some((name, inline)) => (name, Some(inline)),
            None => (given, None),
        };
        let lower = name.to_lowercase();
        let name = if matches!(lower.as_str(), "json" | "yaml" | "name") { lower.as_str() } else { name };
        let name = if given.is_empty() && !args.string("template").is_empty() { "go-template" } else { name };
        let asked = !(name.is_empty() && given.is_empty());
        if asked && !(allowed.contains(&name) && (inline.is_none() || takes_template(name))) {
            return Err(Error::message(format!(
                "unable to match a printer suitable for the output format {given:?}, allowed formats are: {}",
                allowed.join(",")
            )));
        }
        let argument = match inline {
            Some(inline) => inline.to_owned(),
            None => args.string("template").to_owned(),
        };
        let format = match name {
            "" => Format::Human,
            "wide" => Format::Wide,
            "json" => Format::Json,
            "yaml" => Format::Yaml,
            "name" => Format::Name,
            "custom-columns" | "custom-columns-file" => {
                if argument.is_empty() {
                    return Err(Error::message("custom-columns format specified but no custom columns given"));
                }
                let no_headers = args.bool("no-headers");
                if name == "custom-columns" {
                    Format::Columns(Columns::parse(&argument, no_headers)?)
                } else {
                    let file = read_template(session, "template", &argument).await?;
                    Format::Columns(Columns::parse_file(&file, no_headers)?)
                }
            }
            _ => {
                if argument.is_empty() {
                    return Err(Error::message("template format specified but no template given"));
                }
                let template = match name {
                    "jsonpath-file" | "go-template-file" | "templatefile" => {
                        read_template(session, "--template", &argument).await?
                    }
                    _ => argument,
                };
                match name {
                    "jsonpath" | "jsonpath-file" => Format::JsonPath(parse_jsonpath(&template)?),
                    "jsonpath-as-json" => Format::JsonPathAsJson(parse_jsonpath(&template)?),
                    _ => Format::GoTemplate(
                        Template::parse(&template)
                            .map_err(|error| Error::message(format!("error parsing template {template}, {error}")))?,
                    ),
                }
            }
        };
        Ok(Self {
            format,
            show_managed_fields: args.bool("show-managed-fields"),
            allow_missing: args.bool("allow-missing-template-keys"),
            typed: TYPED.iter().any(|path| args.command.path.starts_with(path)),
            printed: Cell::new(0),
        })
    }

    /// Whether nothing was asked for with `-o`.
    pub fn is_human(&self) -> bool {
        matches!(self.format, Format::Human | Format::Wide)
    }

    /// The text of one object, or of a list of them.
    ///
    /// # Errors
    /// Templates that fail on this object.
    pub fn render(&self, object: &Value) -> Result<String, Error> {
        let printed = self.printed.replace(self.printed.get() + 1);
        match &self.format {
            Format::Human | Format::Wide | Format::Name => Ok(names(object)),
            Format::Json if self.typed => Ok(json::pretty_typed(&self.stripped(object))),
            Format::Json => Ok(json::pretty(&self.stripped(object))),
            Format::Yaml => {
                let separator = if printed > 0 { "---\n" } else { "" };
                Ok(format!("{separator}{}", yaml::to_string(&self.stripped(object))))
            }
            Format::JsonPath(path) => path.render(object, self.allow_missing).map_err(|error| {
                Error::message(format!(
                    "error executing jsonpath {}: Error executing template: {error}. Printing more information for \
                     debugging the template:\n\ttemplate was:\n\t\t{}\n\tobject given to jsonpath engine was:\n\t\t{}\n\n\n",
                    go::quote(path.source()),
                    path.source(),
                    go_syntax(object)
                ))
            }),
            Format::JsonPathAsJson(path) => {
                let found = path.find_each(object, self.allow_missing).map_err(|error| {
                    Error::message(format!("error executing jsonpath {}: {error}", go::quote(path.source())))
                })?;
                Ok(found.into_iter().map(|values| json::pretty(&Value::Array(values))).collect())
            }
            Format::GoTemplate(template) => match template.render(object, self.allow_missing) {
                (text, None) => Ok(text),
                (text, Some(error)) => Err(Error::Halfway {
                    output: format!(
                        "{text}Error executing template: {error}. Printing more information for debugging the \
                         template:\n\ttemplate was:\n\t\t{}\n\traw data was:\n\t\t{}\n\tobject given to template \
                         engine was:\n\t\t{}\n\n",
                        template.source(),
                        go::json(object),
                        go::display(object)
                    ),
                    error: Box::new(Error::message(format!(
                        "error executing template {}: {error}",
                        go::quote(template.source())
                    ))),
                }),
            },
            Format::Columns(columns) => columns.render(object),
        }
    }

    fn stripped(&self, object: &Value) -> Value {
        let mut object = object.clone();
        if !self.show_managed_fields {
            strip_managed_fields(&mut object);
        }
        object
    }
}

fn takes_template(name: &str) -> bool {
    !matches!(name, "json" | "yaml" | "name" | "wide")
}

fn parse_jsonpath(template: &str) -> Result<JsonPath, Error> {
    JsonPath::parse(template).map_err(|error| Error::message(format!("error parsing jsonpath {template}, {error}")))
}

async fn read_template(session: &Session<'_>, what: &str, path: &str) -> Result<String, Error> {
    let bytes =
        session.host.read_file(path).await.map_err(|error| {
            Error::message(format!("error reading {what} {path}, open {path}: {}\n", error.as_str()))
        })?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn strip_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if let Some(list) = object.get_mut("items").and_then(Value::as_array_mut) {
        list.iter_mut().for_each(strip_managed_fields);
    }
}

fn names(object: &Value) -> String {
    if object["kind"].as_str().is_some_and(|kind| kind.ends_with("List")) && object["items"].is_array() {
        return items(&object["items"]).map(names).collect();
    }
    format!("{}\n", name_of(object))
}

/// `deployment.apps/web`
pub fn name_of(object: &Value) -> String {
    let api_version = text(&object["apiVersion"]);
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let kind = text(&object["kind"]).to_lowercase();
    let name = object["metadata"]["name"].as_str().filter(|name| !name.is_empty()).unwrap_or("<unknown>");
    format!("{}/{name}", qualify(&kind, group))
}

/// Prints the outcome of an operation on an object: `deployment.apps/web created`, or the object.
///
/// # Errors
/// As [`Output::render`].
pub fn done(session: &Session<'_>, output: &Output, object: &Value, operation: &str) -> Result<(), Error> {
    if output.is_human() {
        session.outln(format!("{} {operation}", name_of(object)));
    } else {
        session.out(output.render(object)?);
    }
    Ok(())
}
