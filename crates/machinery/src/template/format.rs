//! Go's `fmt.Sprintf`, as far as values of templates go.

use std::fmt::Write as _;

use super::value::Val;
use crate::go;

/// What stands between `%` and the verb.
#[derive(Clone, Debug, Default)]
pub(super) struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
}

/// Widths and precisions are cut at this: output stays in proportion to its template.
const WIDTH_MAX: usize = 1000;

/// Formats arguments; what does not fit is told in place, as Go does: `%!d(string=hi)`.
pub(super) fn sprintf(format: &str, arguments: &[Val<'_>]) -> String {
    let mut out = String::new();
    let mut arguments_left = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut flags = Flags::default();
        while let Some(flag) = chars.next_if(|c| "-+# 0".contains(*c)) {
            match flag {
                '-' => flags.minus = true,
                '+' => flags.plus = true,
                '#' => flags.sharp = true,
                ' ' => flags.space = true,
                _ => flags.zero = true,
            }
        }
        let number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            let mut number = 0;
            while let Some(digit) = chars.next_if(char::is_ascii_digit).and_then(|c| c.to_digit(10)) {
                number = (number * 10 + digit as usize).min(WIDTH_MAX);
            }
            number
        };
        flags.width = number(&mut chars);
        if chars.next_if_eq(&'.').is_some() {
            flags.precision = Some(number(&mut chars));
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb_char) => match arguments_left.next() {
                Some(argument) => out.push_str(&verb(argument, verb_char, &flags)),
                None => {
                    let _ = write!(out, "%!{verb_char}(MISSING)");
                }
            },
        }
    }
    let extra: Vec<String> = arguments_left
        .map(|argument| match argument {
            Val::Missing | Val::Nil => "<nil>".into(),
            argument => format!("{}={}", argument.type_name(), verb(argument, 'v', &Flags::default())),
        })
        .collect();
    if !extra.is_empty() {
        let _ = write!(out, "%!(EXTRA {})", extra.join(", "));
    }
    out
}

/// One value by one verb.
pub(super) fn verb(value: &Val<'_>, verb_char: char, flags: &Flags) -> String {
    let text = match (value, verb_char) {
        (value, 'T') => return pad(value.type_name(), flags),
        (Val::Missing | Val::Nil, 'v') => "<nil>".to_owned(),
        (Val::Missing | Val::Nil, other) => return format!("%!{other}(<nil>)"),
        (Val::List(items), _) => {
            let items: Vec<_> = items.iter().map(|item| inner(item, verb_char, flags)).collect();
            return format!("[{}]", items.join(" "));
        }
        (Val::Map(fields), _) => {
            let key = |key: &str| verb(&Val::Text(key.into()), verb_char, flags);
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, value)| format!("{}:{}", key(name), inner(value, verb_char, flags)))
                .collect();
            return format!("map[{}]", fields.join(" "));
        }
        (Val::Bool(flag), 'v' | 't') => flag.to_string(),
        (Val::Text(text), 'v' | 's') => match flags.precision {
            Some(length) => text.chars().take(length).collect(),
            None => text.to_string(),
        },
        (Val::Text(text), 'q') if flags.sharp && !text.contains('`') => format!("`{text}`"),
        (Val::Text(text), 'q') => go::quote(text),
        (Val::Text(text), 'x' | 'X') => hex(text, verb_char),
        (Val::Int(number), 'v' | 'd') => return integer(*number, 10, "", flags),
        (Val::Int(number), 'x') => return integer(*number, 16, "0x", flags),
        (Val::Int(number), 'X') => return integer(*number, 16, "0X", flags).to_uppercase(),
        (Val::Int(number), 'o') => return integer(*number, 8, "0", flags),
        (Val::Int(number), 'b') => return integer(*number, 2, "0b", flags),
        (Val::Int(number), 'c') => character(*number).to_string(),
        (Val::Int(number), 'q') => {
            let quoted = go::quote(&character(*number).to_string());
            format!("'{}'", quoted.trim_matches('"').replace('\'', "\\'"))
        }
        (Val::Int(number), 'U') => format!("U+{number:04X}"),
        (Val::Float(number), 'v' | 'g' | 'f' | 'F' | 'e' | 'E' | 'G') => return float(*number, verb_char, flags),
        (value, other) => {
            let shown = verb(value, 'v', &Flags::default());
            return format!("%!{other}({}={shown})", value.type_name());
        }
    };
    pad(&text, flags)
}

/// A value inside a list or a map, where nothing is `<nil>` by any verb.
fn inner(value: &serde_json::Value, verb_char: char, flags: &Flags) -> String {
    match value {
        serde_json::Value::Null => "<nil>".into(),
        value => verb(&Val::from(value), verb_char, flags),
    }
}

fn character(number: i64) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}')
}

fn hex(text: &str, verb_char: char) -> String {
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    if verb_char == 'X' { digits.to_uppercase() } else { digits }
}

fn pad(text: &str, flags: &Flags) -> String {
    let missing = " ".repeat(flags.width.saturating_sub(text.chars().count()));
    if flags.minus { format!("{text}{missing}") } else { format!("{missing}{text}") }
}

/// A number with its sign, padded with zeros where asked.
fn signed(negative: bool, prefix: &str, digits: &str, flags: &Flags) -> String {
    let sign = match (negative, flags.plus, flags.space) {
        (true, ..) => "-",
        (_, true, _) => "+",
        (.., true) => " ",
        _ => "",
    };
    let length = sign.len() + prefix.len() + digits.len();
    match flags.zero && !flags.minus {
        true => format!("{sign}{prefix}{}{digits}", "0".repeat(flags.width.saturating_sub(length))),
        false => pad(&format!("{sign}{prefix}{digits}"), flags),
    }
}

fn integer(number: i64, radix: u32, prefix: &str, flags: &Flags) -> String {
    let value = number.unsigned_abs();
    let digits = match radix {
        16 => format!("{value:x}"),
        8 => format!("{value:o}"),
        2 => format!("{value:b}"),
        _ => value.to_string(),
    };
    let zeros = "0".repeat(flags.precision.unwrap_or_default().saturating_sub(digits.len()));
    let prefix = if flags.sharp { prefix } else { "" };
    let flags = Flags { zero: flags.zero && flags.precision.is_none(), ..flags.clone() };
    signed(number < 0, prefix, &format!("{zeros}{digits}"), &flags)
}

fn float(number: f64, verb_char: char, flags: &Flags) -> String {
    let value = number.abs();
    let scientific = |precision: usize| {
        let text = format!("{value:.precision$e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or_default();
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    };
    let digits = match verb_char {
        _ if !value.is_finite() => go::format_float(value).trim_start_matches('+').to_owned(),
        'f' | 'F' => format!("{value:.*}", flags.precision.unwrap_or(6)),
        'e' => scientific(flags.precision.unwrap_or(6)),
        'E' => scientific(flags.precision.unwrap_or(6)).to_uppercase(),
        _ => match flags.precision {
            None => go::format_float(value),
            Some(precision) => {
                let rounded: f64 = scientific(precision.max(1) - 1).parse().unwrap_or(value);
                go::format_float(rounded)
            }
        },
    };
    signed(number.is_sign_negative() && number != 0.0, "", &digits, flags)
}
