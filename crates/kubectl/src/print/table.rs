//! The server's tables (`meta.k8s.io/v1 Table`) as text.

use machinery::go;
use serde_json::{Value, json};

use crate::print::tabs;
use crate::resources::{items, text};

/// How a table is shown.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Also columns of lower priority.
    pub wide: bool,
    /// No line of names on top.
    pub no_headers: bool,
    /// A NAMESPACE column first.
    pub with_namespace: bool,
    /// `deployment.apps/` before each name.
    pub kind: Option<String>,
    /// Labels that get a column.
    pub label_columns: Vec<String>,
    /// A column with all labels.
    pub show_labels: bool,
    /// An EVENT column first (`--output-watch-events`).
    pub event: Option<String>,
}

/// A table on the screen, which may grow.
#[derive(Debug, Default)]
pub struct Printer {
    widths: Vec<usize>,
    has_headers: bool,
    columns: Value,
}

impl Printer {
    /// The text of a table's rows, under their headers when these have not been printed yet.
    pub fn print(&mut self, table: &Value, options: &Options) -> String {
        if table["columnDefinitions"].as_array().is_some_and(|columns| !columns.is_empty()) {
            self.columns = table["columnDefinitions"].clone();
        }
        let mut lines = String::new();
        let rows: Vec<&Value> = items(&table["rows"]).collect();
        if rows.is_empty() {
            return lines;
        }
        if !options.no_headers && !self.has_headers {
            self.has_headers = true;
            lines.push_str(&self.headers(options));
        }
        for row in rows {
            lines.push_str(&self.row(row, options));
        }
        tabs::align_remembering(&lines, tabs::TABLE, &mut self.widths)
    }

    fn visible<'a>(&'a self, options: &'a Options) -> impl Iterator<Item = (usize, &'a Value)> {
        items(&self.columns)
            .enumerate()
            .filter(|(_, column)| options.wide || column["priority"].as_i64().unwrap_or(0) == 0)
    }

    fn headers(&self, options: &Options) -> String {
        let mut cells: Vec<String> = Vec::new();
        if options.event.is_some() {
            cells.push("EVENT".into());
        }
        if options.with_namespace {
            cells.push("NAMESPACE".into());
        }
        cells.extend(self.visible(options).map(|(_, column)| text(&column["name"]).to_uppercase()));
        let label = |label: &String| label.rsplit('/').next().unwrap_or_default().to_uppercase();
        cells.extend(options.label_columns.iter().map(label));
        if options.show_labels {
            cells.push("LABELS".into());
        }
        cells.join("\t") + "\n"
    }

    fn row(&self, row: &Value, options: &Options) -> String {
        let metadata = &row["object"]["metadata"];
        let mut cells: Vec<String> = Vec::new();
        cells.extend(options.event.clone());
        if options.with_namespace {
            cells.push(text(&metadata["namespace"]));
        }
        for (index, column) in self.visible(options) {
            let cell = cell_text(&row["cells"][index]);
            match &options.kind {
                Some(kind) if column["format"] == "name" && column["type"] == "string" => {
                    cells.push(format!("{kind}/{cell}"));
                }
                _ => cells.push(cell),
            }
        }
        for label in &options.label_columns {
            cells.push(text(&metadata["labels"][label]));
        }
        if options.show_labels {
            cells.push(format_labels(&metadata["labels"]));
        }
        cells.join("\t") + "\n"
    }
}

fn cell_text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => match text.find(['\u{c}', '\n', '\r']) {
            Some(end) => format!("{}...", &text[..end]),
            None => text.clone(),
        },
        other => go::display(other),
    }
}

/// `a=b,c=d`, or `<none>`.
pub fn format_labels(labels: &Value) -> String {
    let pairs: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    if pairs.is_empty() { "<none>".into() } else { pairs.join(",") }
}

/// A table with name and age for objects that the server has no table for.
pub fn of_objects(objects: &[Value], now: machinery::Timestamp) -> Value {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let metadata = &object["metadata"];
            let created = metadata["creationTimestamp"].as_str().and_then(|time| time.parse().ok());
            json!({
                "cells": [metadata["name"], machinery::time::human_age(created, now)],
                "object": object,
            })
        })
        .collect();
    json!({
        "kind": "Table",
        "columnDefinitions": [
            { "name": "Name", "type": "string", "format": "name" },
            { "name": "Age", "type": "string", "format": "" },
        ],
        "rows": rows,
    })
}
