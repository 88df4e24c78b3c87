//! The functions templates can call.

use std::borrow::Cow;
use std::cmp::Ordering;

use base64::Engine as _;

use super::format::{self, sprintf};
use super::value::Val;

/// Fewest and most arguments of a function; `None` for one that is not there.
pub(super) fn arity(name: &str) -> Option<(usize, usize)> {
    const ANY: usize = usize::MAX;
    Some(match name {
        "len" | "not" | "base64decode" => (1, 1),
        "ne" | "lt" | "le" | "gt" | "ge" => (2, 2),
        "and" | "or" | "eq" | "index" | "slice" | "printf" | "call" | "exists" => (1, ANY),
        "print" | "println" | "html" | "js" | "urlquery" => (0, ANY),
        _ => return None,
    })
}

/// Whether the function takes nothing but text where it takes its `index`-th argument.
pub(super) fn wants_text(name: &str, index: usize) -> bool {
    matches!(name, "printf" | "base64decode") && index == 0
}

/// Calls a function other than `and` and `or`, which the evaluator does.
pub(super) fn call<'a>(name: &str, arguments: &[Val<'a>]) -> Result<Val<'a>, String> {
    let text = |text: String| Ok(Val::Text(Cow::Owned(text)));
    match (name, arguments) {
        ("not", [value]) => Ok(Val::Bool(!value.is_true())),
        ("len", [value]) => length(value),
        ("base64decode", [Val::Text(encoded)]) => match base64::engine::general_purpose::STANDARD.decode(&**encoded) {
            Ok(bytes) => text(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => {
                Err(format!("base64 decode failed: illegal base64 data at input byte {}", invalid_at(&error, encoded)))
            }
        },
        ("eq", [_]) => Err("missing argument for comparison".into()),
        ("eq", [value, others @ ..]) => {
            for other in others {
                if equal(value, other)? {
                    return Ok(Val::Bool(true));
                }
            }
            Ok(Val::Bool(false))
        }
        ("ne", [a, b]) => Ok(Val::Bool(!equal(a, b)?)),
        ("lt", [a, b]) => Ok(Val::Bool(order(a, b)?.is_lt())),
        ("le", [a, b]) => Ok(Val::Bool(order(a, b)?.is_le())),
        ("gt", [a, b]) => Ok(Val::Bool(order(a, b)?.is_gt())),
        ("ge", [a, b]) => Ok(Val::Bool(order(a, b)?.is_ge())),
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |value, key| index(&value, key)),
        ("exists", [value, keys @ ..]) => {
            let found = keys.iter().try_fold(value.clone(), |value, key| index(&value, key));
            Ok(Val::Bool(found.is_ok_and(|value| !matches!(value, Val::Missing | Val::Nil))))
        }
        ("slice", [value, bounds @ ..]) => slice(value, bounds),
        ("printf", [Val::Text(pattern), values @ ..]) => text(sprintf(pattern, values)),
        ("print", values) => text(print(values)),
        ("println", values) => text(values.iter().map(plain).collect::<Vec<_>>().join(" ") + "\n"),
        ("html", values) => text(escape_html(&joined(values))),
        ("js", values) => text(escape_js(&joined(values))),
        ("urlquery", values) => text(escape_query(&joined(values))),
        ("call", [Val::Missing | Val::Nil, ..]) => Err("call of nil".into()),
        ("call", [value, ..]) => Err(format!("non-function {} of type {}", value.print(), value.type_name())),
        _ => Err("wrong arguments".into()),
    }
}

fn invalid_at(error: &base64::DecodeError, text: &str) -> usize {
    match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        _ => text.len(),
    }
}

fn length<'a>(value: &Val<'_>) -> Result<Val<'a>, String> {
    let length = match value {
        Val::Text(text) => text.len(),
        Val::List(items) => items.len(),
        Val::Map(fields) => fields.len(),
        Val::Nil => return Err("len of nil pointer".into()),
        Val::Missing => return Err("reflect: call of reflect.Value.Type on zero Value".into()),
        value => return Err(format!("len of type {}", value.type_name())),
    };
    Ok(Val::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn equal(a: &Val<'_>, b: &Val<'_>) -> Result<bool, String> {
    match (a, b) {
        (Val::Missing | Val::Nil, Val::Missing | Val::Nil) => Ok(true),
        (Val::Missing | Val::Nil, _) | (_, Val::Missing | Val::Nil) => Ok(false),
        (Val::List(_) | Val::Map(_), _) => Err(format!("non-comparable type {}: {}", a.print(), a.type_name())),
        (_, Val::List(_) | Val::Map(_)) => Err(format!("non-comparable type {}: {}", b.print(), b.type_name())),
        (Val::Bool(a), Val::Bool(b)) => Ok(a == b),
        (Val::Int(a), Val::Int(b)) => Ok(a == b),
        (Val::Float(a), Val::Float(b)) => Ok(a == b),
        (Val::Text(a), Val::Text(b)) => Ok(a == b),
        _ => Err("incompatible types for comparison".into()),
    }
}

fn order(a: &Val<'_>, b: &Val<'_>) -> Result<Ordering, String> {
    let basic = |value: &Val<'_>| matches!(value, Val::Bool(_) | Val::Int(_) | Val::Float(_) | Val::Text(_));
    match (a, b) {
        (a, b) if !basic(a) || !basic(b) => Err("invalid type for comparison".into()),
        (Val::Bool(_), Val::Bool(_)) => Err("invalid type for comparison".into()),
        (Val::Int(a), Val::Int(b)) => Ok(a.cmp(b)),
        (Val::Float(a), Val::Float(b)) => Ok(a.partial_cmp(b).unwrap_or(Ordering::Less)),
        (Val::Text(a), Val::Text(b)) => Ok(a.cmp(b)),
        _ => Err("incompatible types for comparison".into()),
    }
}

fn index<'a>(value: &Val<'a>, key: &Val<'_>) -> Result<Val<'a>, String> {
    match (value, key) {
        (Val::Missing, _) => Err("index of untyped nil".into()),
        (Val::Nil, _) => Err("index of nil pointer".into()),
        (Val::Map(fields), Val::Text(key)) => Ok(fields.get(&**key).map_or(Val::Missing, Val::from)),
        (Val::Map(_), Val::Missing | Val::Nil) => Err("value is nil; should be of type string".into()),
        (Val::Map(_), key) => Err(format!("value has type {}; should be string", key.type_name())),
        (Val::List(_) | Val::Text(_), Val::Missing | Val::Nil) => Err("cannot index slice/array with nil".into()),
        (Val::List(items), Val::Int(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| items.get(at))
            .map(Val::from)
            .ok_or_else(|| format!("index out of range: {at}")),
        (Val::Text(text), Val::Int(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| text.as_bytes().get(at))
            .map(|byte| Val::Int(i64::from(*byte)))
            .ok_or_else(|| format!("index out of range: {at}")),
        (Val::List(_) | Val::Text(_), key) => Err(format!("cannot index slice/array with type {}", key.type_name())),
        (value, _) => Err(format!("can't index item of type {}", value.type_name())),
    }
}

fn slice<'a>(value: &Val<'a>, bounds: &[Val<'_>]) -> Result<Val<'a>, String> {
    let length = match value {
        Val::Text(text) => text.len(),
        Val::List(items) => items.len(),
        Val::Missing => return Err("slice of untyped nil".into()),
        value => return Err(format!("can't slice item of type {}", value.type_name())),
    };
    let mut range = [0, length];
    for (place, bound) in range.iter_mut().zip(bounds) {
        let Val::Int(bound) = bound else {
            return Err(format!("cannot index slice/array with type {}", bound.type_name()));
        };
        *place =
            usize::try_from(*bound).ok().filter(|at| *at <= length).ok_or(format!("index out of range: {bound}"))?;
    }
    let [start, end] = range;
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    Ok(match value {
        Val::List(items) => Val::List(items.get(start..end).unwrap_or_default()),
        Val::Text(text) => {
            let bytes = text.as_bytes().get(start..end).unwrap_or_default();
            Val::Text(Cow::Owned(String::from_utf8_lossy(bytes).into_owned()))
        }
        _ => Val::Missing,
    })
}

fn plain(value: &Val<'_>) -> String {
    format::verb(value, 'v', &format::Flags::default())
}

/// `fmt.Sprint`: spaces between operands neither of which is text.
fn print(values: &[Val<'_>]) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|before| values.get(before));
        if before.is_some_and(|before| !matches!(before, Val::Text(_)) && !matches!(value, Val::Text(_))) {
            out.push(' ');
        }
        out.push_str(&plain(value));
    }
    out
}

/// The arguments of an escaper as one text.
fn joined(values: &[Val<'_>]) -> String {
    match values {
        [value] => value.print(),
        values => print(values),
    }
}

fn escape_html(text: &str) -> String {
    let escape = |c: char| match c {
        '\0' => "\u{fffd}".to_owned(),
        '"' => "&#34;".into(),
        '\'' => "&#39;".into(),
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        c => c.into(),
    };
    text.chars().map(escape).collect()
}

fn escape_js(text: &str) -> String {
    let escape = |c: char| match c {
        '\\' => "\\\\".to_owned(),
        '\'' => "\\'".into(),
        '"' => "\\\"".into(),
        '<' | '>' | '&' | '=' => format!("\\u{:04X}", u32::from(c)),
        c if c < ' ' => format!("\\u{:04X}", u32::from(c)),
        c => c.into(),
    };
    text.chars().map(escape).collect()
}

fn escape_query(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        b'-' | b'_' | b'.' | b'~' => char::from(byte).into(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).into(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}
