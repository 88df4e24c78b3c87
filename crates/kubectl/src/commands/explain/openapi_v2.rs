//! `explain --output plaintext-openapiv2`: the form before OpenAPI v3 (kubectl's `pkg/explain`).

use serde_json::Value;

use super::{Document, indent, map_values};
use crate::error::Error;
use crate::resources::{Resource, items, text};

/// Columns that a text may take beside its margin.
const WIDTH: usize = 75;
const MARGIN: usize = 5;
/// How much deeper each level of fields stands.
const STEP: usize = 3;

/// The page about a kind, or about a field of it.
///
/// # Errors
/// `field "x" does not exist`
pub(super) fn explain(
    document: &Document<'_>,
    kind: &Value,
    resource: &Resource,
    path: &[&str],
) -> Result<String, Error> {
    let mut out = format!("KIND:     {}\nVERSION:  {}\n\n", resource.kind, resource.api_version());
    let mut schema = kind;
    let mut descriptions = vec![text(&kind["description"])];
    for (at, field) in path.iter().enumerate() {
        let missing = || Error::message(format!("field {field:?} does not exist"));
        let below = document.element(schema)["properties"].get(*field).ok_or_else(missing)?;
        schema = below;
        let element = document.element(below);
        descriptions = vec![text(&below["description"])];
        let structured = element["properties"].is_object();
        if structured {
            descriptions.push(text(&element["description"]));
        }
        if at + 1 == path.len() {
            let heading = if structured { "RESOURCE:" } else { "FIELD:   " };
            out.push_str(&format!("{heading} {field} <{}>\n\n", document.old_type(below)));
        }
    }
    out.push_str("DESCRIPTION:\n");
    let mut described: Vec<String> =
        descriptions.iter().filter(|text| !text.is_empty()).map(|text| indent_filled(&wrap(text))).collect();
    if described.is_empty() {
        described.push(indent_filled("<empty>"));
    }
    out.push_str(&described.join("\n\n"));
    out.push('\n');
    let element = document.element(schema);
    if element["properties"].is_object() {
        out.push_str("\nFIELDS:\n");
        if document.recursive {
            document.old_fields(element, STEP, &mut Vec::new(), &mut out);
        } else {
            for (name, field) in element["properties"].as_object().into_iter().flatten() {
                out.push_str(&format!("   {}\n", document.old_heading(element, name, field)));
                let described = text(&field["description"]);
                let described = if described.is_empty() { "<no description>" } else { described.as_str() };
                out.push_str(&format!("{}\n\n", indent_filled(&wrap(described))));
            }
        }
    }
    Ok(out)
}

impl<'d> Document<'d> {
    /// The schema of what a field holds: behind references, lists and maps.
    fn element(&self, schema: &'d Value) -> &'d Value {
        let mut schema = schema;
        loop {
            let resolved = self.resolved(schema);
            let all: Vec<&Value> = items(&resolved["allOf"]).collect();
            schema = match (all.as_slice(), resolved.get("items"), map_values(resolved)) {
                ([only], ..) if resolved["properties"].is_null() => only,
                (_, Some(below), _) | (_, _, Some(below)) => below,
                _ => return resolved,
            };
        }
    }

    /// `string`, `[]Object`, `map[string]string`, …
    fn old_type(&self, schema: &'d Value) -> String {
        let resolved = self.resolved(schema);
        if let [only] = items(&resolved["allOf"]).collect::<Vec<_>>().as_slice() {
            return self.old_type(only);
        }
        if let Some(items) = resolved.get("items") {
            return format!("[]{}", self.old_type(items));
        }
        if let Some(values) = map_values(resolved) {
            return format!("map[string]{}", self.old_type(values));
        }
        if resolved["properties"].is_object() {
            return "Object".into();
        }
        match resolved["type"].as_str() {
            Some("object") => "map[string]".into(),
            Some(kind) => kind.to_owned(),
            None => "string".into(),
        }
    }

    fn old_heading(&self, parent: &Value, name: &str, field: &'d Value) -> String {
        let required = items(&parent["required"]).any(|required| required == name);
        format!("{name}\t<{}>{}", self.old_type(field), if required { " -required-" } else { "" })
    }

    fn old_fields(&self, parent: &'d Value, margin: usize, above: &mut Vec<&'d Value>, out: &mut String) {
        if above.iter().any(|known| std::ptr::eq(*known, parent)) {
            return;
        }
        above.push(parent);
        for (name, field) in parent["properties"].as_object().into_iter().flatten() {
            out.push_str(&format!("{:margin$}{name}\t<{}>\n", "", self.old_type(field)));
            self.old_fields(self.element(field), margin + STEP, above, out);
        }
        above.pop();
    }
}

/// Lines with the margin of texts before them; empty ones stay empty.
fn indent_filled(text: &str) -> String {
    indent(text, MARGIN).lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Fills lines with words. What looks like code, lists or paragraphs keeps its lines.
fn wrap(text: &str) -> String {
    let mut out: Vec<String> = Vec::new();
    let mut line = String::new();
    let flush = |line: &mut String, out: &mut Vec<String>| {
        if !line.is_empty() {
            out.push(std::mem::take(line));
        }
    };
    let mut last = "";
    for source in text.split('\n') {
        if source.starts_with("    ") {
            flush(&mut line, &mut out);
            last = "";
            out.push(source.to_owned());
            continue;
        }
        let trimmed = source.trim();
        if trimmed.is_empty() && !(out.is_empty()) {
            flush(&mut line, &mut out);
            last = "";
            out.push(String::new());
            continue;
        }
        if last.ends_with(':') || trimmed.is_empty() || is_list_entry(trimmed) {
            flush(&mut line, &mut out);
        }
        for word in trimmed.split_whitespace() {
            last = word;
            if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
                flush(&mut line, &mut out);
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    flush(&mut line, &mut out);
    out.join("\n")
}

/// Whether a line begins as `1. `, `- ` or `* `.
fn is_list_entry(line: &str) -> bool {
    let (mark, rest) = line.split_at(line.find(char::is_whitespace).unwrap_or(line.len()));
    let number = mark.strip_suffix('.').unwrap_or(mark);
    !rest.is_empty()
        && (matches!(mark, "-" | "*") || (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())))
}
