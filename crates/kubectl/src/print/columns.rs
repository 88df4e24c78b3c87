//! `-o custom-columns`.

use std::cell::Cell;

use machinery::go;
use serde_json::Value;

use crate::error::Error;
use crate::jsonpath::JsonPath;
use crate::print::tabs;
use crate::resources::items;

/// Columns with a header and a path each.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Headers, and their paths; what is no path is found out below the headers.
    columns: Vec<(String, Result<JsonPath, String>)>,
    /// Whether headers are not, or not any more, to be printed.
    no_headers: Cell<bool>,
}

impl Columns {
    /// Reads `NAME:.metadata.name,RSRC:.metadata.resourceVersion`.
    ///
    /// # Errors
    /// In the words of kubectl.
    pub fn parse(spec: &str, no_headers: bool) -> Result<Self, Error> {
        let mut columns = Vec::new();
        for part in spec.split(',') {
            let (header, path) = part.split_once(':').ok_or_else(|| {
                Error::message(format!("unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>"))
            })?;
            // No path finds nothing.
            let path = if path.is_empty() { JsonPath::parse("") } else { JsonPath::parse(&braced(path)?) };
            columns.push((header.to_owned(), path));
        }
        Ok(Self { columns, no_headers: Cell::new(no_headers) })
    }

    /// Reads a line of headers over a line of paths.
    ///
    /// # Errors
    /// In the words of kubectl.
    pub fn parse_file(text: &str, no_headers: bool) -> Result<Self, Error> {
        let mut lines = text.lines();
        let words = |line: Option<&str>| -> Vec<String> {
            line.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        };
        let (headers, paths) = (words(lines.next()), words(lines.next()));
        if headers.is_empty() || headers.len() != paths.len() {
            return Err(Error::message(format!(
                "number of headers ({}) and field specifications ({}) don't match",
                headers.len(),
                paths.len()
            )));
        }
        let paths = paths.iter().map(|path| Ok(JsonPath::parse(&braced(path)?))).collect::<Result<Vec<_>, Error>>()?;
        Ok(Self { columns: headers.into_iter().zip(paths).collect(), no_headers: Cell::new(no_headers) })
    }

    /// A line for the object, or one for each object of a list; headers above the first.
    ///
    /// # Errors
    /// Paths that are none.
    pub fn render(&self, object: &Value) -> Result<String, Error> {
        let mut lines = String::new();
        if !self.no_headers.replace(true) {
            let headers: Vec<&str> = self.columns.iter().map(|(header, _)| header.as_str()).collect();
            lines.push_str(&headers.join("\t"));
            lines.push('\n');
        }
        if let Some(error) = self.columns.iter().find_map(|(_, path)| path.as_ref().err()) {
            let error = Box::new(Error::message(error.as_str()));
            return Err(Error::Halfway { output: tabs::align(&lines, tabs::TABLE), error });
        }
        if object["items"].is_array() {
            items(&object["items"]).for_each(|item| lines.push_str(&self.line(item)));
        } else {
            lines.push_str(&self.line(object));
        }
        Ok(tabs::align(&lines, tabs::TABLE))
    }

    fn line(&self, object: &Value) -> String {
        let cells: Vec<String> = self
            .columns
            .iter()
            .map(|(_, path)| {
                let found = path.as_ref().ok().and_then(|path| path.find(object, true).ok()).unwrap_or_default();
                match found.is_empty() {
                    true => "<none>".to_owned(),
                    false => found.iter().map(display).collect::<Vec<_>>().join(","),
                }
            })
            .collect();
        cells.join("\t") + "\n"
    }
}

fn display(value: &Value) -> String {
    if value.is_null() { "<none>".into() } else { go::display(value) }
}

/// A path with or without braces and leading dot: `metadata.name`, `.metadata.name`, `{.metadata.name}`.
///
/// # Errors
/// In the words of kubectl.
pub fn relaxed(path: &str) -> Result<JsonPath, Error> {
    let path = braced(path)?;
    JsonPath::parse(&path).map_err(|error| Error::message(format!("error parsing jsonpath {path}, {error}")))
}

/// The path with braces and dot.
///
/// # Errors
/// In the words of kubectl.
pub fn braced(path: &str) -> Result<String, Error> {
    let inner = path.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(path);
    if inner.is_empty() || inner.contains(['{', '}']) {
        return Err(Error::message(
            "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or \
             '{.name1.name2}'",
        ));
    }
    let inner = inner.strip_prefix('.').unwrap_or(inner);
    Ok(format!("{{.{inner}}}"))
}
