//! The functions of templates: Go's, and those that kubectl adds.

use std::cmp::Ordering;

use base64::engine::general_purpose::STANDARD as BASE64;
use base64::{DecodeError, Engine};
use machinery::go;
use serde_json::Value;

/// Their names.
pub(super) const NAMES: &[&str] = &[
    "and",
    "base64decode",
    "eq",
    "exists",
    "ge",
    "gt",
    "html",
    "index",
    "js",
    "le",
    "len",
    "lt",
    "ne",
    "not",
    "or",
    "print",
    "printf",
    "println",
    "slice",
    "urlquery",
];

/// Whether a value counts as true.
pub(super) fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// Calls a function.
///
/// # Errors
/// In Go's words.
pub(super) fn call(name: &str, args: &[Value]) -> Result<Value, String> {
    let wrong = |what: &str| format!("error calling {name}: {what}");
    let first = args.first();
    match name {
        "and" => Ok(args.iter().find(|arg| !truth(arg)).or(args.last()).cloned().unwrap_or_default()),
        "or" => Ok(args.iter().find(|arg| truth(arg)).or(args.last()).cloned().unwrap_or_default()),
        "not" => Ok(Value::Bool(!first.is_some_and(truth))),
        "len" => match first {
            Some(Value::String(text)) => Ok(text.len().into()),
            Some(Value::Array(items)) => Ok(items.len().into()),
            Some(Value::Object(fields)) => Ok(fields.len().into()),
            _ => Err(wrong("len of type interface {}")),
        },
        "index" => args.iter().skip(1).try_fold(first.cloned().unwrap_or_default(), |value, key| {
            index(&value, key).map_err(|error| wrong(&error))
        }),
        "slice" => slice(args).ok_or_else(|| wrong("index out of range")),
        "eq" => {
            let (first, rest) = args.split_first().ok_or_else(|| wrong("missing argument for comparison"))?;
            for other in rest {
                if equal(first, other).ok_or_else(|| wrong("incompatible types for comparison"))? {
                    return Ok(Value::Bool(true));
                }
            }
            Ok(Value::Bool(false))
        }
        "ne" => {
            let [a, b] = args else { return Err(wrong("missing argument for comparison")) };
            Ok(Value::Bool(!equal(a, b).ok_or_else(|| wrong("incompatible types for comparison"))?))
        }
        "lt" | "le" | "gt" | "ge" => {
            let [a, b] = args else { return Err(wrong("missing argument for comparison")) };
            let order = order(a, b).ok_or_else(|| wrong("incompatible types for comparison"))?;
            Ok(Value::Bool(match name {
                "lt" => order == Ordering::Less,
                "le" => order != Ordering::Greater,
                "gt" => order == Ordering::Greater,
                _ => order != Ordering::Less,
            }))
        }
        "print" | "println" => {
            let mut out = String::new();
            for (at, arg) in args.iter().enumerate() {
                let previous = at.checked_sub(1).and_then(|at| args.get(at));
                let between_others = previous.is_some_and(|previous| !previous.is_string() && !arg.is_string());
                if at > 0 && (name == "println" || between_others) {
                    out.push(' ');
                }
                out.push_str(&display(arg));
            }
            out.push_str(if name == "println" { "\n" } else { "" });
            Ok(out.into())
        }
        "printf" => {
            let (format, args) = args.split_first().ok_or_else(|| wrong("wrong number of args"))?;
            Ok(printf(format.as_str().unwrap_or_default(), args).into())
        }
        "html" => Ok(escape_html(&args.iter().map(display).collect::<String>()).into()),
        "urlquery" => {
            let text: String = args.iter().map(display).collect();
            Ok(form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().into())
        }
        "js" => Ok(escape_js(&args.iter().map(display).collect::<String>()).into()),
        "exists" => Ok(Value::Bool(
            args.iter()
                .skip(1)
                .try_fold(first.cloned().unwrap_or_default(), |value, key| match key {
                    Value::String(key) => value.get(key).cloned(),
                    key => value.get(usize::try_from(key.as_u64()?).ok()?).cloned(),
                })
                .is_some(),
        )),
        "base64decode" => {
            let text = first.and_then(Value::as_str).unwrap_or_default();
            let bytes = BASE64
                .decode(text)
                .map_err(|error| wrong(&format!("base64 decode failed: {}", base64_error(text, error))))?;
            Ok(String::from_utf8_lossy(&bytes).into_owned().into())
        }
        _ => Err(wrong("not defined")),
    }
}

fn index(value: &Value, key: &Value) -> Result<Value, String> {
    match (value, key) {
        (Value::Object(fields), Value::String(key)) => Ok(fields.get(key).cloned().unwrap_or_default()),
        (Value::Array(items), key) => {
            let at = key.as_i64().ok_or("cannot index slice/array with type string")?;
            usize::try_from(at)
                .ok()
                .and_then(|at| items.get(at))
                .cloned()
                .ok_or_else(|| format!("error calling index: reflect: slice index out of range: {at}"))
                .map_err(|_| format!("index out of range: {at}"))
        }
        (Value::Null, _) => Err("index of untyped nil".into()),
        _ => Err("can't index item of this type".into()),
    }
}

fn slice(args: &[Value]) -> Option<Value> {
    let place = |at: usize| args.get(at).map(|arg| usize::try_from(arg.as_u64()?).ok());
    let from = place(1).unwrap_or(Some(0))?;
    match args.first()? {
        Value::String(text) => text.get(from..place(2).unwrap_or(Some(text.len()))?).map(Value::from),
        Value::Array(items) => {
            items.get(from..place(2).unwrap_or(Some(items.len()))?).map(|items| Value::Array(items.to_vec()))
        }
        _ => None,
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (a, b) => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// Whether two values are equal; `None` where Go does not compare their types.
fn equal(a: &Value, b: &Value) -> Option<bool> {
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => Some(a == b),
        (Value::Number(_), Value::Number(_)) => Some(order(a, b) == Some(Ordering::Equal)),
        (Value::String(_), Value::String(_)) | (Value::Bool(_), Value::Bool(_)) => Some(a == b),
        _ => None,
    }
}

/// A value as Go's `fmt` prints it.
pub(super) fn display(value: &Value) -> String {
    if value.is_null() { "<no value>".into() } else { go::display(value) }
}

/// Go's words for text that is no base64.
fn base64_error(text: &str, error: DecodeError) -> String {
    let at = match error {
        DecodeError::InvalidByte(at, _) | DecodeError::InvalidLastSymbol(at, _) => at,
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => text.len(),
    };
    format!("illegal base64 data at input byte {at}")
}

/// Text as it may stand in a JavaScript string.
fn escape_js(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// A value's type in Go.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;")
}

/// The verbs that templates use: `%s %v %d %q %t %f %x`, with width, and `%%`.
fn printf(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut args = args.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = String::new();
        while let Some(flag) = chars.next_if(|c| matches!(c, '-' | '+' | '#' | '0'..='9' | '.' | ' ')) {
            flags.push(flag);
        }
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(arg) = args.next() else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        let precision = flags.split_once('.').and_then(|(_, digits)| digits.parse::<usize>().ok());
        let text = match verb {
            'q' => go::quote(arg.as_str().unwrap_or(&display(arg))),
            'f' => format!("{:.*}", precision.unwrap_or(6), arg.as_f64().unwrap_or_default()),
            'x' => match arg.as_i64() {
                Some(number) => format!("{number:x}"),
                None => display(arg).bytes().map(|byte| format!("{byte:02x}")).collect(),
            },
            'c' => arg
                .as_u64()
                .and_then(|code| u32::try_from(code).ok())
                .and_then(char::from_u32)
                .map(String::from)
                .unwrap_or_else(|| format!("%!c({}={})", go_type(arg), display(arg))),
            'T' => go_type(arg).to_owned(),
            's' if arg.is_number() => format!("%!s(int64={arg})"),
            'd' if !arg.is_number() => format!("%!d(string={})", display(arg)),
            _ => display(arg),
        };
        let left = flags.starts_with('-');
        let zero = flags.starts_with('0');
        let digits = flags.trim_start_matches(['-', '+', '0', ' ', '#']);
        let width: usize = digits.split('.').next().and_then(|digits| digits.parse().ok()).unwrap_or(0);
        let padding = width.min(10_000).saturating_sub(text.chars().count());
        let fill = if zero { "0" } else { " " }.repeat(padding);
        out.push_str(&if left { text + &" ".repeat(padding) } else { fill + &text });
    }
    out
}
