//! JSON as kubectl prints it.

use machinery::go;
use serde_json::Value;

/// Indented by four spaces, keys sorted, HTML escaped, and a line break at the end.
pub fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, "    ", &mut out);
    out.push('\n');
    out
}

/// The same, indented by two spaces.
pub fn pretty_two(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, "  ", &mut out);
    out
}

fn write(value: &Value, depth: usize, indent: &str, out: &mut String) {
    let line = |depth: usize, out: &mut String| {
        out.push('\n');
        out.extend(std::iter::repeat_n(indent, depth));
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('{');
            for (index, (key, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                out.push_str(&go::json(&Value::from(key.as_str())));
                out.push_str(": ");
                write(value, depth + 1, indent, out);
            }
            line(depth, out);
            out.push('}');
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('[');
            for (index, value) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(depth + 1, out);
                write(value, depth + 1, indent, out);
            }
            line(depth, out);
            out.push(']');
        }
        scalar => out.push_str(&go::json(scalar)),
    }
}
