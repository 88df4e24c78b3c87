//! What an unquoted scalar means in YAML 1.1 as goyaml reads it.

use serde_json::{Number, Value};

/// A resolved scalar.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    /// Text; also times, which stay as they are written.
    Text,
    /// Text that YAML takes for a time, and that is quoted when written.
    Time,
    Null,
    Bool(bool),
    Integer(Number),
    Float(f64),
}

/// Resolves a plain scalar.
pub(super) fn resolve(text: &str) -> Scalar {
    let Some(first) = text.bytes().next() else { return Scalar::Null };
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Scalar::Bool(false);
        }
        "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match first {
        b'.' => float(text).map_or(Scalar::Text, Scalar::Float),
        b'0'..=b'9' | b'+' | b'-' => {
            if is_time(text) {
                return Scalar::Time;
            }
            let plain: String = text.chars().filter(|c| *c != '_').collect();
            integer(&plain).or_else(|| float(&plain).map(Scalar::Float)).unwrap_or(Scalar::Text)
        }
        _ => Scalar::Text,
    }
}

/// An integer with Go's prefixes: `0x`, `0o`, `0b`, and a leading 0 for octal.
fn integer(text: &str) -> Option<Scalar> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let number = match u128::from_str_radix(digits, radix) {
        Ok(value) if negative && value <= 1 << 63 => Number::from(0i64.wrapping_sub_unsigned(value as u64)),
        Ok(value) if !negative && value <= u128::from(u64::MAX) => Number::from(value as u64),
        _ => return float(text).map(Scalar::Float),
    };
    Some(Scalar::Integer(number))
}

/// A float in decimal notation.
fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let shaped = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent));
    if !shaped {
        return None;
    }
    text.parse().ok().filter(|float: &f64| float.is_finite())
}

/// A date `2006-1-2`, or a date and a time, as goyaml knows them.
fn is_time(text: &str) -> bool {
    let digits = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let in_range = |text: &str, low: u8, high: u8| {
        digits(text, 1..=2) && text.parse::<u8>().is_ok_and(|number| (low..=high).contains(&number))
    };
    let Some((year, rest)) = text.split_once('-') else { return false };
    let Some((month, rest)) = rest.split_once('-') else { return false };
    let (day, time) = match rest.find(['T', 't', ' ']) {
        Some(at) => (&rest[..at], Some(&rest[at..])),
        None => (rest, None),
    };
    if !digits(year, 4..=4) || !in_range(month, 1, 12) || !in_range(day, 1, 31) {
        return false;
    }
    let Some(time) = time else { return true };
    let (clock, zone_fits) = match time.split_at(1) {
        (" ", clock) => (clock, true),
        (_, clock) => match clock.find(['Z', '+', '-']) {
            Some(at) => (&clock[..at], zone_shape(&clock[at..])),
            None => return false,
        },
    };
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let parts: Vec<_> = clock.split(':').collect();
    match parts.as_slice() {
        [hour, minute, second] => {
            zone_fits
                && digits(fraction, 1..=9)
                && in_range(hour, 0, 23)
                && in_range(minute, 0, 59)
                && in_range(second, 0, 59)
        }
        _ => false,
    }
}

fn zone_shape(zone: &str) -> bool {
    match zone.as_bytes() {
        [b'Z'] => true,
        [b'+' | b'-', a, b, b':', c, d] => [a, b, c, d].into_iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

/// Whether text is in YAML 1.1's base 60, which goyaml does not read but quotes.
pub(super) fn is_base60(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let Some((first, rest)) = text.split_once(':') else { return false };
    let (rest, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    first.starts_with(|c: char| c.is_ascii_digit())
        && number(first)
        && number(fraction)
        && rest.split(':').all(|part| match part.as_bytes() {
            [digit] => digit.is_ascii_digit(),
            [tens, digit] => (b'0'..=b'5').contains(tens) && digit.is_ascii_digit(),
            _ => false,
        })
}

impl Scalar {
    /// The scalar as JSON; `None` for infinities and NaN, which JSON has not.
    pub(super) fn into_value(self, text: &str) -> Option<Value> {
        Some(match self {
            Self::Text | Self::Time => Value::String(text.into()),
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(flag),
            Self::Integer(number) => Value::Number(number),
            Self::Float(float) => float_value(float)?,
        })
    }
}

/// A float as JSON: a whole one is an integer there, as Go writes it; `-0.0` is its `-0`, which reads as 0.
pub(super) fn float_value(float: f64) -> Option<Value> {
    if float.fract() == 0.0 && float.abs() < 1e15 {
        return Some(Value::from(float as i64));
    }
    Number::from_f64(float).map(Value::Number)
}
