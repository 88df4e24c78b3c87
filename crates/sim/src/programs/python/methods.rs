//! Methods of texts, lists and dicts, and how values are formatted.

use super::eval::{Done, World, error, unknown};
use super::operators::place;
use super::value::{LENGTH_MAX, Value};

impl World<'_> {
    pub(super) fn method(&self, value: &Value, name: &str, arguments: &[Value]) -> Done<Value> {
        let heap = self.heap.clone();
        let text = |text: &str| heap.text(text);
        let list = |items: Vec<Value>| heap.list(items);
        let shown = |index: usize| arguments.get(index).map_or(Ok(String::new()), |value| heap.shown(value));
        if let Value::Text(of) = value {
            self.heap.step(of.len() / 64)?;
        }
        Ok(match (value, name) {
            (Value::Text(of), _) => match name {
                "upper" => text(&of.to_uppercase())?,
                "lower" => text(&of.to_lowercase())?,
                "strip" => text(of.trim())?,
                "rstrip" => text(of.trim_end())?,
                "lstrip" => text(of.trim_start())?,
                "decode" | "encode" => value.clone(),
                "split" if arguments.is_empty() => heap.texts(of.split_whitespace())?,
                "split" if shown(0)?.is_empty() => return error("ValueError", "empty separator"),
                "split" => heap.texts(of.split(&shown(0)?))?,
                "splitlines" => heap.texts(of.lines())?,
                "replace" => {
                    let (from, to) = (shown(0)?, shown(1)?);
                    let more = of.matches(&from).count().saturating_mul(to.len().saturating_sub(from.len()));
                    if of.len().saturating_add(more) > LENGTH_MAX {
                        return error("MemoryError", "");
                    }
                    text(&of.replace(&from, &to))?
                }
                "startswith" => Value::Bool(of.starts_with(&shown(0)?)),
                "endswith" => Value::Bool(of.ends_with(&shown(0)?)),
                "isdigit" => Value::Bool(!of.is_empty() && of.chars().all(|c| c.is_ascii_digit())),
                "find" => Value::Int(of.find(&shown(0)?).and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)),
                "count" => Value::Int(i64::try_from(of.matches(&shown(0)?).count()).unwrap_or(0)),
                "join" => {
                    let items = arguments.first().map_or(Ok(Vec::new()), |items| Ok(self.items(items)?.all()))?;
                    let mut out = String::new();
                    for (index, item) in items.iter().enumerate() {
                        heap.grow(&mut out, if index == 0 { "" } else { of })?;
                        heap.grow(&mut out, &heap.shown(item)?)?;
                    }
                    text(&out)?
                }
                "format" => {
                    let mut out = String::new();
                    let (mut rest, mut next) = (&***of, 0);
                    while let Some((before, tail)) = rest.split_once('{') {
                        heap.grow(&mut out, before)?;
                        let place = tail.split_once('}').and_then(|(place, after)| {
                            let index = if place.is_empty() { Some(next) } else { place.parse().ok() };
                            Some((arguments.get(index?)?, after, usize::from(place.is_empty())))
                        });
                        rest = match place {
                            Some((argument, after, automatic)) => {
                                heap.grow(&mut out, &heap.shown(argument)?)?;
                                next += automatic;
                                after
                            }
                            None => {
                                heap.grow(&mut out, "{")?;
                                tail
                            }
                        };
                    }
                    heap.grow(&mut out, rest)?;
                    text(&out)?
                }
                _ => return unknown(&format!("str.{name}")),
            },
            (Value::List(items), "append") => {
                items.push(arguments.get(..1).unwrap_or_default())?;
                Value::None
            }
            (Value::List(items), "pop") => {
                let at = match arguments.first() {
                    Some(at) => place(at, items.len()),
                    None => items.len().checked_sub(1),
                };
                match at.filter(|at| *at < items.len()) {
                    Some(at) => items.remove(at)?,
                    None => return error("IndexError", "pop from empty list"),
                }
            }
            (Value::Dict(pairs), "get") => {
                let found = heap.find(pairs, arguments.first().unwrap_or(&Value::None))?;
                let found = found.and_then(|at| pairs.get(at));
                found.unwrap_or_else(|| arguments.get(1).cloned().unwrap_or(Value::None))
            }
            (Value::Dict(pairs), "keys") => list(pairs.all().into_iter().step_by(2).collect())?,
            (Value::Dict(pairs), "values") => list(pairs.all().into_iter().skip(1).step_by(2).collect())?,
            (Value::Dict(pairs), "items") => {
                list(pairs.all().chunks(2).map(|pair| heap.tuple(pair.to_vec())).collect::<Done<_>>()?)?
            }
            _ => return no_attribute(value, name),
        })
    }

    /// A value as an f-string's format says it: places after the point, width.
    pub(super) fn formatted(&self, value: &Value, spec: &str) -> Done<String> {
        let places =
            spec.split_once('.').and_then(|(_, places)| places.trim_end_matches(['f', 'd']).parse::<usize>().ok());
        Ok(match (value.number(), places) {
            (Some(number), Some(places)) if !matches!(value, Value::Bool(_)) => format!("{number:.*}", places.min(30)),
            _ => {
                let shown = self.heap.shown(value)?;
                let width: usize =
                    spec.trim_start_matches(['<', '>']).trim_end_matches(['d', 's']).parse().unwrap_or(0);
                let room = width.min(200).saturating_sub(shown.chars().count());
                let fill = if spec.starts_with('0') { "0" } else { " " }.repeat(room);
                let left = spec.starts_with('<') || (matches!(value, Value::Text(_)) && !spec.starts_with('>'));
                if left { shown + &fill } else { fill + &shown }
            }
        })
    }

    /// `%` formatting.
    pub(super) fn percent(&self, format: &str, values: &[Value]) -> Done<Value> {
        let mut out = String::new();
        let mut values = values.iter();
        let mut rest = format;
        while let Some((before, tail)) = rest.split_once('%') {
            self.heap.grow(&mut out, before)?;
            let end = tail.find(['%', 's', 'd', 'i', 'f', 'r']).unwrap_or(tail.len());
            let (spec, tail) = tail.split_at(end);
            if tail.starts_with('%') {
                self.heap.grow(&mut out, "%")?;
            } else if let Some(value) = values.next() {
                self.heap.grow(&mut out, &self.formatted(value, spec)?)?;
            }
            rest = tail.get(1..).unwrap_or_default();
        }
        self.heap.grow(&mut out, rest)?;
        self.heap.text(out)
    }
}

pub(super) fn no_attribute<T>(value: &Value, name: &str) -> Done<T> {
    error("AttributeError", format!("'{}' object has no attribute '{name}'", value.type_name()))
}
