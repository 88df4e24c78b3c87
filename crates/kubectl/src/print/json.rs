//! JSON as kubectl prints it.

use machinery::go;
use machinery::sort::Order;
use serde_json::Value;

use crate::print::typed;

/// How JSON is laid out.
#[derive(Clone, Copy)]
struct Layout {
    /// What each level is indented by; everything on one line if empty.
    indent: &'static str,
    /// Whether fields stand in the order of Go's types.
    typed: bool,
}

/// Indented by four spaces, keys sorted, HTML escaped, and a line break at the end.
pub fn pretty(value: &Value) -> String {
    laid_out(value, Layout { indent: "    ", typed: false }) + "\n"
}

/// The same with fields in the order of Go's types.
pub fn pretty_typed(value: &Value) -> String {
    laid_out(value, Layout { indent: "    ", typed: true }) + "\n"
}

/// A `v1 List` of Go's type, whose items are as the server sent them.
pub fn pretty_list(list: &Value) -> String {
    let mut out = String::from("{");
    for (at, field) in ["kind", "apiVersion", "metadata", "items"].into_iter().enumerate() {
        out.push_str(if at > 0 { ",\n" } else { "\n" });
        out.push_str(&format!("    \"{field}\": "));
        Layout { indent: "    ", typed: false }.write(&list[field], "", 1, &mut out);
    }
    out + "\n}\n"
}

/// On one line, fields in the order of Go's types.
pub fn compact_typed(value: &Value) -> String {
    laid_out(value, Layout { indent: "", typed: true })
}

/// Indented by two spaces, without the line break.
pub fn pretty_two(value: &Value) -> String {
    laid_out(value, Layout { indent: "  ", typed: false })
}

fn laid_out(value: &Value, layout: Layout) -> String {
    let mut out = String::new();
    layout.write(value, "", 0, &mut out);
    out
}

impl Layout {
    fn line(self, depth: usize, out: &mut String) {
        if !self.indent.is_empty() {
            out.push('\n');
            out.extend(std::iter::repeat_n(self.indent, depth));
        }
    }

    fn write(self, value: &Value, parent: &str, depth: usize, out: &mut String) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
                if self.typed {
                    fields.order_by_key(|(field, _)| typed::place(parent, field));
                }
                out.push('{');
                for (index, (key, value)) in fields.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    self.line(depth + 1, out);
                    out.push_str(&go::json(&Value::from(key.as_str())));
                    out.push_str(if self.indent.is_empty() { ":" } else { ": " });
                    self.write(value, key, depth + 1, out);
                }
                self.line(depth, out);
                out.push('}');
            }
            Value::Array(items) if !items.is_empty() => {
                out.push('[');
                for (index, value) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    self.line(depth + 1, out);
                    // A list of objects inside a list holds whole ones: `items`.
                    self.write(
                        value,
                        if parent == "items" && value["kind"].is_string() { "" } else { parent },
                        depth + 1,
                        out,
                    );
                }
                self.line(depth, out);
                out.push(']');
            }
            scalar => out.push_str(&go::json(scalar)),
        }
    }
}
