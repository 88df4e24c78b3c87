//! Follows a template's steps through data.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::{JsonPathError, Part, Slice, Step};
use crate::go;

/// Values that one template may lead to; recursive descents multiply.
const VALUES_MAX: usize = 4_000_000;

type Values<'a> = Vec<Cow<'a, Value>>;

fn error<T>(message: impl Into<String>) -> Result<T, JsonPathError> {
    Err(JsonPathError(message.into()))
}

pub(super) struct Eval {
    pub(super) allow_missing_keys: bool,
}

impl Eval {
    pub(super) fn parts<'a>(
        &self,
        parts: &'a [Part],
        data: &'a Value,
        results: &mut Vec<Values<'a>>,
    ) -> Result<(), JsonPathError> {
        for part in parts {
            match part {
                Part::Text(text) => results.push(vec![Cow::Owned(text.as_str().into())]),
                Part::Action(steps) => results.push(self.steps(steps, vec![Cow::Borrowed(data)])?),
                Part::Range(steps, body) => {
                    for value in self.steps(steps, vec![Cow::Borrowed(data)])? {
                        match value {
                            Cow::Borrowed(value) => self.parts(body, value, results)?,
                            Cow::Owned(value) => {
                                let mut inner = Vec::new();
                                self.parts(body, &value, &mut inner)?;
                                let owned = |values: Values<'_>| {
                                    values.into_iter().map(|value| Cow::Owned(value.into_owned())).collect()
                                };
                                results.extend(inner.into_iter().map(owned));
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn steps<'a>(&self, steps: &[Step], values: Values<'a>) -> Result<Values<'a>, JsonPathError> {
        steps.iter().try_fold(values, |values, step| {
            let values = self.step(step, values)?;
            if values.len() > VALUES_MAX {
                return error("too many results");
            }
            Ok(values)
        })
    }

    fn step<'a>(&self, step: &Step, values: Values<'a>) -> Result<Values<'a>, JsonPathError> {
        match step {
            Step::Literal(value @ Value::String(_)) => Ok(vec![Cow::Owned(value.clone())]),
            Step::Literal(value) => Ok(values.iter().map(|_| Cow::Owned(value.clone())).collect()),
            Step::Fail(message) => error(message.as_str()),
            Step::Field(name) => self.field(name, values),
            Step::Wildcard => Ok(values.into_iter().flat_map(children).collect()),
            Step::Recursive => {
                let mut found = Vec::new();
                values.into_iter().for_each(|value| descend(value, &mut found));
                Ok(found)
            }
            Step::Slice(slice) => {
                let mut found = Vec::new();
                for value in values.into_iter().filter(|value| !value.is_null()) {
                    let length = list_length(&value)?;
                    let range = bounds(slice, length)?;
                    if range.is_empty() {
                        // Upstream looks no further once a slice is empty.
                        return Ok(found);
                    }
                    let items = children(value);
                    let step = usize::try_from(slice.step.unwrap_or(1)).unwrap_or(1).max(1);
                    found.extend(items.into_iter().take(range.end).skip(range.start).step_by(step));
                }
                Ok(found)
            }
            Step::Union(parts) => {
                let mut found = Vec::new();
                for part in parts {
                    found.extend(self.steps(part, values.clone())?);
                }
                Ok(found)
            }
            Step::Filter { left, operator, right } => {
                let mut found = Vec::new();
                for value in values {
                    if !value.is_array() {
                        let shown = go::display(&value);
                        return error(format!("{shown} is not array or slice and cannot be filtered"));
                    }
                    for item in children(value) {
                        if self.passes(&item, left, operator, right)? {
                            found.push(item);
                        }
                    }
                }
                Ok(found)
            }
        }
    }

    fn field<'a>(&self, name: &str, values: Values<'a>) -> Result<Values<'a>, JsonPathError> {
        if values.is_empty() {
            return Ok(values);
        }
        let found: Values<'a> = values
            .into_iter()
            .filter_map(|value| match value {
                Cow::Borrowed(value) => value.get(name).map(Cow::Borrowed),
                Cow::Owned(mut value) => value.get_mut(name).map(|value| Cow::Owned(value.take())),
            })
            .collect();
        match found.is_empty() && !self.allow_missing_keys {
            true => error(format!("{name} is not found")),
            false => Ok(found),
        }
    }

    fn passes(&self, item: &Value, left: &[Step], operator: &str, right: &[Step]) -> Result<bool, JsonPathError> {
        let lefts = self.steps(left, vec![Cow::Borrowed(item)]);
        if operator == "exists" {
            return Ok(lefts.is_ok_and(|lefts| !lefts.is_empty()));
        }
        let one = |values: Values<'_>| match values.len() {
            0 => Ok(None),
            1 => Ok(values.into_iter().next().map(Cow::into_owned)),
            _ => error("can only compare one element at a time"),
        };
        let Some(left) = one(lefts?)? else { return Ok(false) };
        let Some(right) = one(self.steps(right, vec![Cow::Borrowed(item)])?)? else { return Ok(false) };
        compare(&left, operator, &right)
    }
}

/// The items of a list, or the values of a map in key order.
fn children(value: Cow<'_, Value>) -> Values<'_> {
    match value {
        Cow::Borrowed(Value::Array(items)) => items.iter().map(Cow::Borrowed).collect(),
        Cow::Borrowed(Value::Object(fields)) => fields.values().map(Cow::Borrowed).collect(),
        Cow::Owned(Value::Array(items)) => items.into_iter().map(Cow::Owned).collect(),
        Cow::Owned(Value::Object(fields)) => fields.into_iter().map(|(_, value)| Cow::Owned(value)).collect(),
        _ => Vec::new(),
    }
}

/// A value and everything below it that has parts: maps, lists, and, for Go, text.
fn descend<'a>(value: Cow<'a, Value>, found: &mut Values<'a>) {
    if found.len() > VALUES_MAX {
        return;
    }
    let inner = children(value.clone());
    if !inner.is_empty() || value.as_str().is_some_and(|text| !text.is_empty()) {
        found.push(value);
        inner.into_iter().for_each(|value| descend(value, found));
    }
}

fn list_length(value: &Value) -> Result<i64, JsonPathError> {
    let kind = match value {
        Value::Array(items) => return Ok(i64::try_from(items.len()).unwrap_or(i64::MAX)),
        Value::Object(_) => "map[string]interface {}",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        _ => "int64",
    };
    error(format!("{kind} is not array or slice"))
}

fn bounds(slice: &Slice, length: i64) -> Result<std::ops::Range<usize>, JsonPathError> {
    let from_end = |index: i64, wraps: bool| if wraps { index.saturating_add(length) } else { index };
    let start = slice.start.unwrap_or(0);
    let start = from_end(start, start < 0);
    let end = slice.end.unwrap_or(length);
    let end = from_end(end, end < 0 || (end == 0 && slice.one));
    if start == end {
        return Ok(0..0);
    }
    if start >= length || start < 0 {
        return error(format!("array index out of bounds: index {start}, length {length}"));
    }
    if end > length || end < 0 {
        return error(format!("array index out of bounds: index {}, length {length}", end - 1));
    }
    if start > end {
        return error(format!("starting index {start} is greater than ending index {end}"));
    }
    if slice.step.is_some_and(|step| step <= 0) {
        return error("step must be > 0");
    }
    Ok(usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0))
}

fn compare(left: &Value, operator: &str, right: &Value) -> Result<bool, JsonPathError> {
    let wanted: fn(Ordering) -> bool = match operator {
        "==" => Ordering::is_eq,
        "!=" => Ordering::is_ne,
        "<" => Ordering::is_lt,
        "<=" => Ordering::is_le,
        ">" => Ordering::is_gt,
        ">=" => Ordering::is_ge,
        other => return error(format!("unrecognized filter operator {other}")),
    };
    let order = match (left, right) {
        (Value::Bool(_), Value::Bool(_)) if !matches!(operator, "==" | "!=") => {
            return error("invalid type for comparison");
        }
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) if left.is_f64() == right.is_f64() => {
            match (left.as_i64(), right.as_i64()) {
                (Some(left), Some(right)) => left.cmp(&right),
                _ => left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Less),
            }
        }
        (Value::Null | Value::Array(_) | Value::Object(_), _)
        | (_, Value::Null | Value::Array(_) | Value::Object(_)) => {
            return error("invalid type for comparison");
        }
        _ => return error("incompatible types for comparison"),
    };
    Ok(wanted(order))
}
