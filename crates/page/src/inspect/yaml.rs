//! An object as YAML with colours, written straight from its JSON: what is a key or a number needs
//! no guessing then.

use serde_json::Value;
use yew::prelude::*;

/// A line of YAML: its indentation in spaces, what comes before the value, and the value's parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Spaces before it.
    pub indent: usize,
    /// How many lists begin an item here.
    pub dashes: usize,
    /// Key, if it has one.
    pub key: Option<String>,
    /// Class and text of the value, if it stands on this line.
    pub value: Option<(&'static str, String)>,
}

/// The lines of a value.
pub fn lines(value: &Value) -> Vec<Line> {
    let mut out = Vec::new();
    write(value, 0, &mut out);
    out
}

fn write(value: &Value, indent: usize, out: &mut Vec<Line>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                entry(Some(quoted(key)), value, indent, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let first = out.len();
                match item {
                    Value::Object(map) if !map.is_empty() => write(item, indent + 2, out),
                    Value::Array(inner) if !inner.is_empty() => write(item, indent + 2, out),
                    _ => entry(None, item, indent + 2, out),
                }
                if let Some(line) = out.get_mut(first) {
                    line.indent = line.indent.saturating_sub(2);
                    line.dashes += 1;
                }
            }
        }
        _ => entry(None, value, indent, out),
    }
}

fn entry(key: Option<String>, value: &Value, indent: usize, out: &mut Vec<Line>) {
    let nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        out.push(Line { indent, dashes: 0, key, value: None });
        // Lists stand at their key's indentation, as kubectl writes them.
        write(value, if value.is_array() { indent } else { indent + 2 }, out);
        return;
    }
    if let Value::String(text) = value
        && text.contains('\n')
    {
        let style = if text.ends_with('\n') { "|" } else { "|-" };
        out.push(Line { indent, dashes: 0, key, value: Some(("punctuation", style.into())) });
        for line in text.lines() {
            out.push(Line { indent: indent + 2, dashes: 0, key: None, value: Some(("string", line.into())) });
        }
        return;
    }
    let value = match value {
        Value::String(text) => ("string", quoted(text)),
        Value::Number(number) => ("number", number.to_string()),
        Value::Bool(bool) => ("number", bool.to_string()),
        Value::Null => ("number", "null".into()),
        Value::Object(_) => ("punctuation", "{}".into()),
        Value::Array(_) => ("punctuation", "[]".into()),
    };
    out.push(Line { indent, dashes: 0, key, value: Some(value) });
}

/// A text as it is, or in quotes where YAML would read something else.
fn quoted(text: &str) -> String {
    let plain_start = text.starts_with(|c: char| c.is_alphanumeric() || "/._(<".contains(c));
    let special = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    let number = text.parse::<f64>().is_ok();
    let breaks = text.contains(": ") || text.contains(" #") || text.ends_with([':', ' ']);
    if plain_start && !special && !number && !breaks && !text.contains(char::is_control) {
        text.into()
    } else {
        Value::from(text).to_string()
    }
}

/// The lines of a value as text.
pub fn text(value: &Value) -> Vec<String> {
    let written = lines(value).into_iter().map(|line| {
        let key = line.key.map_or(String::new(), |key| format!("{key}:"));
        let value = line.value.map_or(String::new(), |(_, value)| value);
        let space = if key.is_empty() || value.is_empty() { "" } else { " " };
        format!("{}{}{key}{space}{value}", " ".repeat(line.indent), "- ".repeat(line.dashes))
    });
    written.collect()
}

/// The lines as elements.
pub fn show(lines: &[Line]) -> Html {
    let shown = lines.iter().map(|line| {
        let indent = " ".repeat(line.indent);
        let dash = "- ".repeat(line.dashes);
        html! {
            <>
                { indent }<span class="punctuation">{ dash }</span>
                if let Some(key) = &line.key { <span class="key">{ key }</span><span class="punctuation">{ ":" }</span> }
                if let Some((class, value)) = &line.value {
                    { if line.key.is_some() { " " } else { "" } }<span class={*class}>{ value }</span>
                }
                { "\n" }
            </>
        }
    });
    html! { <pre class="yaml" tabindex="0"><code>{ for shown }</code></pre> }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    fn yaml_reads_as_kubectl_writes_it() {
        let value =
            json!({"a": {"b": [{"c": 1, "d": "x"}, "e", [true]], "f": {}}, "g": "yes", "h": "two\nlines", "i": []});
        let expected =
            "a:\n  b:\n  - c: 1\n    d: x\n  - e\n  - - true\n  f: {}\ng: \"yes\"\nh: |-\n  two\n  lines\ni: []\n";
        assert_eq!(text(&value).join("\n") + "\n", expected);
    }

    #[wasm_bindgen_test]
    fn texts_that_look_like_something_else_are_quoted() {
        for (plain, expected) in
            [("8080", "\"8080\""), ("a: b", "\"a: b\""), ("nginx:1.7", "nginx:1.7"), ("", "\"\""), ("*", "\"*\"")]
        {
            assert_eq!(quoted(plain), expected);
        }
    }
}
