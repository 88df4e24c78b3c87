//! How Go prints values: Kubernetes' messages carry its notation.

use std::fmt::Write as _;

use serde_json::Value;

/// A string between double quotes with Go's escapes, as `%q` prints it.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{07}' => out.push_str("\\a"),
            '\u{08}' => out.push_str("\\b"),
            '\u{0c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{0b}' => out.push_str("\\v"),
            c if is_print(c) => out.push(c),
            c => {
                let code = u32::from(c);
                let _ = match code {
                    0..=0x7f => write!(out, "\\x{code:02x}"),
                    0x80..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push('"');
    out
}

/// What stands between quotes, with Go's escapes carried out; `None` where one is malformed, or where
/// the quote itself stands without a backslash.
pub fn unquote(text: &str, quote: char) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c == quote {
            return None;
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        let escaped = rest.chars().next()?;
        rest = &rest[escaped.len_utf8()..];
        let mut number = |digits: usize, radix: u32| {
            let (digits, after) = rest.split_at_checked(digits)?;
            rest = after;
            let plain = digits.chars().all(|c| c.is_digit(radix));
            u32::from_str_radix(digits, radix).ok().filter(|_| plain).and_then(char::from_u32)
        };
        out.push(match escaped {
            'a' => '\u{07}',
            'b' => '\u{08}',
            'f' => '\u{0c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{0b}',
            '\\' => '\\',
            'x' => number(2, 16)?,
            'u' => number(4, 16)?,
            'U' => number(8, 16)?,
            c if c == quote => c,
            _ => return None,
        });
    }
    Some(out)
}

/// Whether Go's `unicode.IsPrint` holds: graphic characters, and of the spaces only U+0020.
pub fn is_print(c: char) -> bool {
    let invisible = matches!(u32::from(c),
        0xad | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f | 0x180e
        | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x206f
        | 0xe000..=0xf8ff | 0xfeff | 0xfff0..=0xfffb | 0xfffe..=0xffff
        | 0xe0000..);
    c == ' ' || !(c.is_control() || c.is_whitespace() || invisible)
}

/// Compact JSON as `encoding/json` writes it: `<`, `>`, `&`, U+2028 and U+2029 are escaped.
pub fn json(value: &Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// A value as `%v` prints it once decoded from JSON: `map[a:1 b:[x y]]`, `<nil>`.
pub fn display(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(integer), ..) => integer.to_string(),
            (_, Some(integer), _) => integer.to_string(),
            (.., Some(float)) => format_float(float),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(display).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let fields: Vec<_> = fields.iter().map(|(key, value)| format!("{key}:{}", display(value))).collect();
            format!("map[{}]", fields.join(" "))
        }
    }
}

/// From this exponent on floats print with it: a million is `1e+06`.
const FLOAT_EXPONENT_MAX: i32 = 6;

/// A float as `%v` prints it (`strconv.FormatFloat(f, 'g', -1, 64)`): `1.5`, `1e+06`.
pub fn format_float(float: f64) -> String {
    if float.is_nan() {
        return "NaN".into();
    }
    if float.is_infinite() {
        return if float > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    if float == 0.0 {
        return if float.is_sign_negative() { "-0".into() } else { "0".into() };
    }
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..FLOAT_EXPONENT_MAX).contains(&exponent) {
        return format!("{float}");
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_as_go_does() {
        assert_eq!(quote("a\"b\\\n\u{1}é\u{200b}"), r#""a\"b\\\n\x01é\u200b""#);
    }

    #[test]
    fn unquotes_as_go_does() {
        assert_eq!(unquote(r"a\n\x41\u00e9\'", '\'').as_deref(), Some("a\nAé'"));
        assert_eq!(unquote(r"\q", '"'), None);
        assert_eq!(unquote(r"\u12", '"'), None);
    }

    #[test]
    fn prints_values_as_go_does() {
        let value = serde_json::json!({"b": [1, "x", null], "a": 1.5});
        assert_eq!(display(&value), "map[a:1.5 b:[1 x <nil>]]");
        assert_eq!(format_float(1e21), "1e+21");
        assert_eq!(format_float(1234567.5), "1.2345675e+06");
        assert_eq!(format_float(100000.0), "100000");
        assert_eq!(json(&serde_json::json!("<a&b>")), r#""\u003ca\u0026b\u003e""#);
    }
}
