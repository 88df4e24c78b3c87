//! Values: how they are ordered, reached, changed and shown.

use std::cmp::Ordering;

use base64::Engine;
use serde_json::{Map, Number, Value};

use super::run::{Done, Item, Out, Stop, error};

/// The text of a value in an error is cut after so much.
const SHORT_CHARS_MAX: usize = 11;

pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A value's JSON, cut short.
pub(super) fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHORT_CHARS_MAX {
        return text;
    }
    text.chars().take(SHORT_CHARS_MAX - 1).chain("...".chars()).collect()
}

/// A value as errors name it: `string ("abc")`.
pub(super) fn described(value: &Value) -> String {
    format!("{} ({})", type_of(value), short(value))
}

pub(super) fn holds(value: &Value) -> bool {
    !matches!(value, Value::Null | Value::Bool(false))
}

/// A number, whole where it is.
pub(super) fn number(number: f64) -> Value {
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= WHOLE_MAX {
        return Value::from(number as i64);
    }
    // What JSON cannot say becomes what jq makes of it.
    let finite = if number.is_nan() { return Value::Null } else { number.clamp(f64::MIN, f64::MAX) };
    Number::from_f64(finite).map_or(Value::Null, Value::Number)
}

/// jq's order: by type, then by content.
pub(super) fn compare(left: &Value, right: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(false) => 1,
        Value::Bool(true) => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
    };
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (left.as_f64().unwrap_or(0.0), right.as_f64().unwrap_or(0.0));
            left.partial_cmp(&right).unwrap_or(Ordering::Equal)
        }
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => {
            let first = left.iter().zip(right).map(|(left, right)| compare(left, right)).find(|order| order.is_ne());
            first.unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        (Value::Object(left), Value::Object(right)) => {
            let (left_keys, right_keys) = (sorted_keys(left), sorted_keys(right));
            left_keys.cmp(&right_keys).then_with(|| {
                let orders = left_keys.iter().map(|key| compare(&left[key.as_str()], &right[key.as_str()]));
                orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            })
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

pub(super) fn sorted_keys(map: &Map<String, Value>) -> Vec<String> {
    use machinery::sort::Order;
    let mut keys: Vec<String> = map.keys().cloned().collect();
    keys.order();
    keys
}

fn step(item: &Item, key: Value, value: Value) -> Item {
    let path = item.path.clone().map(|mut path| {
        path.push(key);
        path
    });
    Item { value, path }
}

/// A place counted from the start, where it may be given from the end.
fn place(number: f64, length: usize) -> Option<usize> {
    let whole = number.floor();
    let from_start = if whole < 0.0 { whole + length as f64 } else { whole };
    (from_start >= 0.0).then_some(from_start as usize)
}

/// `.[index]`
pub(super) fn index(item: &Item, index: &Value) -> Result<Item, Stop> {
    let found = match (&item.value, index) {
        (Value::Object(map), Value::String(key)) => map.get(key).cloned(),
        (Value::Null, Value::String(_) | Value::Number(_) | Value::Null) => None,
        (Value::Array(all), Value::Number(number)) => {
            place(number.as_f64().unwrap_or(0.0), all.len()).and_then(|at| all.get(at)).cloned()
        }
        (Value::Array(_) | Value::Null, Value::Object(range))
            if range.contains_key("start") || range.contains_key("end") =>
        {
            let null = Value::Null;
            return slice(item, range.get("start").unwrap_or(&null), range.get("end").unwrap_or(&null));
        }
        (value, Value::String(key)) => return Err(error(format!("Cannot index {} with \"{key}\"", type_of(value)))),
        (value, index) => return Err(error(format!("Cannot index {} with {}", type_of(value), type_of(index)))),
    };
    Ok(step(item, index.clone(), found.unwrap_or(Value::Null)))
}

/// The ends of a slice.
fn ends(from: &Value, to: &Value, length: usize) -> Result<(usize, usize), Stop> {
    let end = |value: &Value, default: usize| match value {
        Value::Null => Ok(default),
        Value::Number(number) => Ok(place(number.as_f64().unwrap_or(0.0), length).unwrap_or(0).min(length)),
        _ => Err(error("Start and end indices of an array slice must be numbers")),
    };
    let (from, to) = (end(from, 0)?, end(to, length)?);
    Ok((from, to.max(from)))
}

/// `.[from:to]`
pub(super) fn slice(item: &Item, from: &Value, to: &Value) -> Result<Item, Stop> {
    let value = match &item.value {
        Value::Null => Value::Null,
        Value::Array(all) => {
            let (from, to) = ends(from, to, all.len())?;
            Value::Array(all.get(from..to).unwrap_or_default().to_vec())
        }
        Value::String(text) => {
            let chars: Vec<char> = text.chars().collect();
            let (from, to) = ends(from, to, chars.len())?;
            Value::String(chars.get(from..to).unwrap_or_default().iter().collect())
        }
        other => return Err(error(format!("Cannot index {} with object", type_of(other)))),
    };
    let key = serde_json::json!({"start": from, "end": to});
    Ok(step(item, key, value))
}

/// `.[]`
pub(super) fn iterate(item: Item, out: Out<'_>) -> Done {
    match &item.value {
        Value::Array(all) => {
            for (index, value) in all.iter().enumerate() {
                out(step(&item, Value::from(index), value.clone()))?;
            }
            Ok(())
        }
        Value::Object(map) => {
            for (key, value) in map {
                out(step(&item, Value::String(key.clone()), value.clone()))?;
            }
            Ok(())
        }
        other => Err(error(format!("Cannot iterate over {}", described(other)))),
    }
}

/// The value at a path.
pub(super) fn get(whole: &Value, path: &[Value]) -> Result<Value, Stop> {
    let mut item: Item = whole.clone().into();
    for key in path {
        item = index(&item, key)?;
    }
    Ok(item.value)
}

/// The whole with another value at a path.
pub(super) fn set(whole: Value, path: &[Value], new: Value) -> Result<Value, Stop> {
    let Some((key, rest)) = path.split_first() else { return Ok(new) };
    match (whole, key) {
        (Value::Null, Value::String(name)) => {
            let inner = set(Value::Null, rest, new)?;
            Ok(Value::Object(Map::from_iter([(name.clone(), inner)])))
        }
        (Value::Object(mut map), Value::String(name)) => {
            let old = map.get_mut(name).map(Value::take).unwrap_or_default();
            map.insert(name.clone(), set(old, rest, new)?);
            Ok(Value::Object(map))
        }
        (whole @ (Value::Null | Value::Array(_)), Value::Number(number)) => {
            const LENGTH_MAX: usize = 1 << 20;
            let mut all = if let Value::Array(all) = whole { all } else { Vec::new() };
            let at = place(number.as_f64().unwrap_or(0.0), all.len());
            let at = at.ok_or_else(|| error("Out of bounds negative array index"))?;
            if at >= LENGTH_MAX {
                return Err(error("Array index too large"));
            }
            if at >= all.len() {
                all.resize(at + 1, Value::Null);
            }
            let old = all.get_mut(at).map(Value::take).unwrap_or_default();
            let inner = set(old, rest, new)?;
            if let Some(place) = all.get_mut(at) {
                *place = inner;
            }
            Ok(Value::Array(all))
        }
        (whole @ (Value::Null | Value::Array(_)), Value::Object(range)) => {
            let mut all = if let Value::Array(all) = whole { all } else { Vec::new() };
            let (from, to) = ends(&range["start"], &range["end"], all.len())?;
            let old = Value::Array(all.get(from..to).unwrap_or_default().to_vec());
            match set(old, rest, new)? {
                Value::Array(inner) => {
                    all.splice(from..to, inner);
                    Ok(Value::Array(all))
                }
                _ => Err(error("A slice of an array can only be assigned another array")),
            }
        }
        (whole, Value::String(name)) => Err(error(format!("Cannot index {} with \"{name}\"", type_of(&whole)))),
        (whole, key) => Err(error(format!("Cannot update field at {} index of {}", type_of(key), type_of(&whole)))),
    }
}

/// The whole without what is at some paths.
pub(super) fn delete(mut whole: Value, mut paths: Vec<Vec<Value>>) -> Result<Value, Stop> {
    use machinery::sort::Order;
    // From the end, so that places stay what they are.
    paths.order_by(|a, b| compare(&Value::Array(b.clone()), &Value::Array(a.clone())));
    for path in paths {
        let Some((last, before)) = path.split_last() else { return Ok(Value::Null) };
        let parent = get(&whole, before)?;
        let shorter = match (parent, last) {
            (Value::Null, _) => continue,
            (Value::Object(map), Value::String(name)) => {
                Value::Object(map.into_iter().filter(|(key, _)| key != name).collect())
            }
            (Value::Array(mut all), Value::Number(number)) => {
                if let Some(at) = place(number.as_f64().unwrap_or(0.0), all.len()).filter(|at| *at < all.len()) {
                    all.remove(at);
                }
                Value::Array(all)
            }
            (Value::Array(mut all), Value::Object(range)) => {
                let (from, to) = ends(&range["start"], &range["end"], all.len())?;
                all.drain(from..to);
                Value::Array(all)
            }
            (parent, last) => {
                return Err(error(format!("Cannot delete field at {} index of {}", type_of(last), type_of(&parent))));
            }
        };
        whole = set(whole, before, shorter)?;
    }
    Ok(whole)
}

/// `+ - * / %`
pub(super) fn calculate(operator: char, left: Value, right: Value) -> Result<Value, Stop> {
    if let (Some(a), Some(b)) =
        (left.as_f64().filter(|_| left.is_number()), right.as_f64().filter(|_| right.is_number()))
    {
        return match operator {
            '+' => Ok(left
                .as_i64()
                .zip(right.as_i64())
                .and_then(|(a, b)| a.checked_add(b))
                .map_or_else(|| number(a + b), Value::from)),
            '-' => Ok(number(a - b)),
            '*' => Ok(number(a * b)),
            '/' if b == 0.0 => Err(error(format!(
                "{} and {} cannot be divided because the divisor is zero",
                described(&left),
                described(&right)
            ))),
            '/' => Ok(number(a / b)),
            _ if b.trunc() == 0.0 => Err(error(format!(
                "{} and {} cannot be divided because the divisor is zero",
                described(&left),
                described(&right)
            ))),
            _ => Ok(number(a.trunc() % b.trunc())),
        };
    }
    match (operator, left, right) {
        ('+', Value::Null, other) | ('+', other, Value::Null) => Ok(other),
        ('+', Value::String(left), Value::String(right)) => Ok(Value::String(left + &right)),
        ('+', Value::Array(mut left), Value::Array(right)) => {
            left.extend(right);
            Ok(Value::Array(left))
        }
        ('+', Value::Object(mut left), Value::Object(right)) => {
            left.extend(right);
            Ok(Value::Object(left))
        }
        ('-', Value::Array(left), Value::Array(right)) => {
            let kept = left.into_iter().filter(|value| right.iter().all(|other| compare(value, other).is_ne()));
            Ok(Value::Array(kept.collect()))
        }
        ('*', Value::Object(left), Value::Object(right)) => Ok(Value::Object(merged(left, right))),
        ('*', Value::String(text), Value::Number(count)) | ('*', Value::Number(count), Value::String(text)) => {
            const TEXT_BYTES_MAX: f64 = 16e6;
            let count = count.as_f64().unwrap_or(0.0);
            if count <= 0.0 {
                return Ok(Value::Null);
            }
            if count * text.len() as f64 > TEXT_BYTES_MAX {
                return Err(error("Repeat string result too long"));
            }
            Ok(Value::String(text.repeat(count.max(1.0) as usize)))
        }
        ('/', Value::String(text), Value::String(separator)) => Ok(split(&text, &separator)),
        (operator, left, right) => {
            let what = match operator {
                '+' => "added",
                '-' => "subtracted",
                '*' => "multiplied",
                _ => "divided",
            };
            Err(error(format!("{} and {} cannot be {what}", described(&left), described(&right))))
        }
    }
}

fn merged(mut left: Map<String, Value>, right: Map<String, Value>) -> Map<String, Value> {
    for (key, value) in right {
        let value = match (left.get_mut(&key).map(Value::take), value) {
            (Some(Value::Object(old)), Value::Object(new)) => Value::Object(merged(old, new)),
            (_, value) => value,
        };
        left.insert(key, value);
    }
    left
}

pub(super) fn split(text: &str, separator: &str) -> Value {
    if text.is_empty() {
        return Value::Array(Vec::new());
    }
    let parts: Vec<Value> = match separator {
        "" => text.chars().map(|c| Value::String(c.to_string())).collect(),
        separator => text.split(separator).map(Value::from).collect(),
    };
    Value::Array(parts)
}

/// As text: a string as it is, anything else as JSON.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `@name`
pub(super) fn format(name: &str, value: &Value) -> Result<String, Stop> {
    let row = |quote: &dyn Fn(&Value) -> Result<String, Stop>, between: &str| match value {
        Value::Array(all) => Ok(all.iter().map(quote).collect::<Result<Vec<_>, _>>()?.join(between)),
        other => Err(error(format!("{} cannot be {name}-formatted, only an array can be", described(other)))),
    };
    let plain = |value: &Value| match value {
        Value::Array(_) | Value::Object(_) => Err(error(format!("{} is not valid in a {name} row", described(value)))),
        Value::Null => Ok(String::new()),
        other => Ok(text(other)),
    };
    Ok(match name {
        "text" => text(value),
        "json" => value.to_string(),
        "csv" => row(
            &|value| match value {
                Value::String(text) => Ok(format!("\"{}\"", text.replace('"', "\"\""))),
                other => plain(other),
            },
            ",",
        )?,
        "tsv" => row(
            &|value| {
                let text = plain(value)?;
                Ok(text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r"))
            },
            "\t",
        )?,
        "sh" => {
            let quoted = |value: &Value| match value {
                Value::String(text) => Ok(crate::programs::escape::quote_always(text)),
                Value::Array(_) | Value::Object(_) => {
                    Err(error(format!("{} can not be escaped for shell", described(value))))
                }
                other => Ok(other.to_string()),
            };
            match value {
                Value::Array(all) => all.iter().map(quoted).collect::<Result<Vec<_>, _>>()?.join(" "),
                other => quoted(other)?,
            }
        }
        "html" => {
            let text = text(value).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            text.replace('\'', "&#39;").replace('"', "&quot;")
        }
        "uri" => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
            text(value)
                .bytes()
                .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
                .collect()
        }
        "base64" => base64::engine::general_purpose::STANDARD.encode(text(value)),
        "base64d" => {
            let encoded: Vec<u8> =
                text(value).bytes().filter(|byte| *byte != b'=' && !byte.is_ascii_whitespace()).collect();
            let decoded = base64::engine::general_purpose::STANDARD_NO_PAD.decode(encoded);
            let decoded = decoded.map_err(|_| error(format!("{} is not valid base64 data", described(value))))?;
            String::from_utf8_lossy(&decoded).into_owned()
        }
        other => return Err(error(format!("{other} is not a valid format"))),
    })
}
