//! Functions of the language that are not written in it.

use machinery::Timestamp;
use machinery::sort::Order;
use regex_lite::RegexBuilder;
use serde_json::{Value, json};

use super::ast::Node;
use super::run::{Done, Env, Item, Machine, Out, Stop, error};
use super::value::{self, compare, described, type_of};

/// Runs a function by its name and number of arguments.
pub(super) fn call(machine: &Machine, name: &str, arguments: &[Node], env: &Env, item: Item, out: Out<'_>) -> Done {
    match (name, arguments) {
        ("empty", []) => return Ok(()),
        ("error", []) => return Err(Stop::Error(item.value)),
        ("path", [filter]) => {
            for path in machine.paths(filter, env, &item.value)? {
                out(Value::Array(path).into())?;
            }
            return Ok(());
        }
        ("getpath", [path]) => {
            return machine.run(path, env, item.value.clone().into(), &mut |path| {
                let Value::Array(path) = path.value else { return Err(error("Path must be specified as an array")) };
                let mut found = item.clone();
                for key in &path {
                    found = value::index(&found, key)?;
                }
                out(found)
            });
        }
        ("recurse" | "repeat", [next]) => {
            return walk(
                item,
                &mut |item, out| {
                    out(item.clone())?;
                    Ok(Some(item))
                },
                &mut |item, out| machine.run(next, env, item, out),
                out,
            );
        }
        ("while", [condition, next]) => {
            return walk(
                item,
                &mut |item, out| {
                    let mut goes_on = false;
                    machine.each(condition, env, &item.value, &mut |value| {
                        goes_on |= value::holds(&value);
                        Ok(())
                    })?;
                    if !goes_on {
                        return Ok(None);
                    }
                    out(item.clone())?;
                    Ok(Some(item))
                },
                &mut |item, out| machine.run(next, env, item, out),
                out,
            );
        }
        ("until", [condition, next]) => {
            return walk(
                item,
                &mut |item, out| {
                    let mut ends = false;
                    machine.each(condition, env, &item.value, &mut |value| {
                        ends |= value::holds(&value);
                        Ok(())
                    })?;
                    if ends {
                        out(item)?;
                        return Ok(None);
                    }
                    Ok(Some(item))
                },
                &mut |item, out| machine.run(next, env, item, out),
                out,
            );
        }
        ("range", [_, _] | [_, _, _]) => {
            return machine.choices(arguments, Vec::new(), env, &item.value, &mut |ends| {
                let by = ends.get(2).map_or(Some(1.0), Value::as_f64);
                let [Some(mut at), Some(to), Some(by)] = [ends[0].as_f64(), ends[1].as_f64(), by] else {
                    return Err(error("Range bounds must be numeric"));
                };
                while by > 0.0 && at < to || by < 0.0 && at > to {
                    machine.count()?;
                    out(value::number(at).into())?;
                    at += by;
                }
                Ok(())
            });
        }
        _ => {}
    }
    if item.path.is_some() && !matches!(name, "error") {
        return Err(error(format!("Invalid path expression with {name}")));
    }
    machine.choices(arguments, Vec::new(), env, &item.value, &mut |chosen| {
        out(plain(machine, name, &item.value, chosen)?.into())
    })
}

/// Hands a value on, or not, and gives it back if it is gone on from.
type Visit<'a> = &'a mut dyn FnMut(Item, Out<'_>) -> Result<Option<Item>, Stop>;

/// Goes from a value to those that follow from it, depth first: `visit` says whether it goes on from one.
fn walk(first: Item, visit: Visit<'_>, next: &mut dyn FnMut(Item, Out<'_>) -> Done, out: Out<'_>) -> Done {
    let mut waiting = vec![first];
    while let Some(item) = waiting.pop() {
        let Some(item) = visit(item, out)? else { continue };
        let mut found = Vec::new();
        next(item, &mut |item| {
            found.push(item);
            Ok(())
        })?;
        waiting.extend(found.into_iter().rev());
    }
    Ok(())
}

fn numeric(value: &Value) -> Result<f64, Stop> {
    value.as_f64().ok_or_else(|| error(format!("{} number required", described(value))))
}

fn string<'a>(value: &'a Value, what: &str) -> Result<&'a str, Stop> {
    value.as_str().ok_or_else(|| error(format!("{} {what}", described(value))))
}

fn list<'a>(value: &'a Value, what: &str) -> Result<&'a Vec<Value>, Stop> {
    value.as_array().ok_or_else(|| error(format!("{} {what}", described(value))))
}

/// A function of one input and the values of its arguments.
fn plain(machine: &Machine, name: &str, input: &Value, arguments: &[Value]) -> Result<Value, Stop> {
    Ok(match (name, arguments) {
        ("not", []) => Value::Bool(!value::holds(input)),
        ("error", [message]) => return Err(Stop::Error(message.clone())),
        ("type", []) => type_of(input).into(),
        ("length", []) => match input {
            Value::Null => 0.into(),
            Value::Bool(_) => return Err(error(format!("{} has no length", described(input)))),
            Value::Number(_) => value::number(numeric(input)?.abs()),
            Value::String(text) => text.chars().count().into(),
            Value::Array(all) => all.len().into(),
            Value::Object(map) => map.len().into(),
        },
        ("utf8bytelength", []) => string(input, "only strings have UTF-8 byte length")?.len().into(),
        ("keys" | "keys_unsorted", []) => match input {
            Value::Object(map) if name == "keys" => value::sorted_keys(map).into(),
            Value::Object(map) => map.keys().cloned().collect::<Vec<_>>().into(),
            Value::Array(all) => (0..all.len()).collect::<Vec<_>>().into(),
            other => return Err(error(format!("{} has no keys", described(other)))),
        },
        ("has", [key]) => match (input, key) {
            (Value::Object(map), Value::String(key)) => map.contains_key(key).into(),
            (Value::Array(all), Value::Number(number)) => {
                number.as_f64().is_some_and(|at| at >= 0.0 && at < all.len() as f64).into()
            }
            _ => return Err(error(format!("Cannot check whether {} has a {} key", type_of(input), type_of(key)))),
        },
        ("contains", [other]) => contains(input, other)?.into(),
        ("tostring", []) => value::text(input).into(),
        ("tojson", []) => input.to_string().into(),
        ("fromjson", []) => {
            let text = string(input, "cannot be parsed as JSON")?;
            serde_json::from_str(text).map_err(|fault| error(format!("{fault} (while parsing '{text}')")))?
        }
        ("tonumber", []) => match input {
            Value::Number(_) => input.clone(),
            Value::String(text) => match text.trim().parse::<f64>() {
                Ok(number) if !text.is_empty() => value::number(number),
                _ => return Err(error(format!("Cannot parse '{text}' as JSON"))),
            },
            other => return Err(error(format!("{} cannot be parsed as a number", described(other)))),
        },
        ("floor", []) => value::number(numeric(input)?.floor()),
        ("ceil", []) => value::number(numeric(input)?.ceil()),
        ("round", []) => value::number(numeric(input)?.round()),
        ("sqrt", []) => value::number(numeric(input)?.sqrt()),
        ("fabs", []) => value::number(numeric(input)?.abs()),
        ("log", []) => value::number(numeric(input)?.ln()),
        ("log10", []) => value::number(numeric(input)?.log10()),
        ("log2", []) => value::number(numeric(input)?.log2()),
        ("exp", []) => value::number(numeric(input)?.exp()),
        ("pow", [base, exponent]) => value::number(numeric(base)?.powf(numeric(exponent)?)),
        ("infinite", []) => value::number(f64::INFINITY),
        ("nan", []) => Value::Null,
        ("isnan", []) => Value::Bool(false),
        ("now", []) => value::number(machine.now),
        ("reverse", []) => match input {
            Value::String(text) => text.chars().rev().collect::<String>().into(),
            Value::Null => json!([]),
            other => list(other, "cannot be reversed, as it is not an array")?.iter().rev().cloned().collect(),
        },
        ("flatten", [depth]) => {
            let mut out = Vec::new();
            flatten(list(input, "cannot be flattened")?, numeric(depth)?, &mut out);
            Value::Array(out)
        }
        ("_sort_by" | "_group_by", [keys]) => {
            let all = list(input, "cannot be sorted, as it is not an array")?;
            let keys = list(keys, "cannot be sorted")?;
            let mut order: Vec<usize> = (0..all.len().min(keys.len())).collect();
            order.order_by(|a, b| compare(&keys[*a], &keys[*b]));
            if name == "_sort_by" {
                return Ok(order.into_iter().map(|at| all[at].clone()).collect());
            }
            let mut groups: Vec<(usize, Vec<Value>)> = Vec::new();
            for at in order {
                match groups.last_mut() {
                    Some((first, group)) if compare(&keys[*first], &keys[at]).is_eq() => group.push(all[at].clone()),
                    _ => groups.push((at, vec![all[at].clone()])),
                }
            }
            groups.into_iter().map(|(_, group)| Value::Array(group)).collect()
        }
        ("startswith", [part]) => match (input, part) {
            (Value::String(text), Value::String(part)) => text.starts_with(part.as_str()).into(),
            _ => return Err(error("startswith() requires string inputs")),
        },
        ("endswith", [part]) => match (input, part) {
            (Value::String(text), Value::String(part)) => text.ends_with(part.as_str()).into(),
            _ => return Err(error("endswith() requires string inputs")),
        },
        ("ltrimstr" | "rtrimstr", [part]) => match (input, part) {
            (Value::String(text), Value::String(part)) => {
                let cut = if name == "ltrimstr" {
                    text.strip_prefix(part.as_str())
                } else {
                    text.strip_suffix(part.as_str())
                };
                cut.unwrap_or(text).into()
            }
            _ => input.clone(),
        },
        ("trim", []) => string(input, "cannot be trimmed")?.trim().into(),
        ("ltrim", []) => string(input, "cannot be trimmed")?.trim_start().into(),
        ("rtrim", []) => string(input, "cannot be trimmed")?.trim_end().into(),
        ("explode", []) => string(input, "cannot be exploded")?.chars().map(|c| Value::from(c as u32)).collect(),
        ("implode", []) => {
            let code = |value: &Value| {
                let code = value.as_u64().and_then(|code| u32::try_from(code).ok()).and_then(char::from_u32);
                code.ok_or_else(|| error("Unicode codepoint must be numeric"))
            };
            let text: Result<String, Stop> =
                list(input, "cannot be imploded, must be an array")?.iter().map(code).collect();
            text?.into()
        }
        ("split", [separator]) => match (input, separator) {
            (Value::String(text), Value::String(separator)) => value::split(text, separator),
            _ => return Err(error("split input and separator must be strings")),
        },
        ("indices", [wanted]) => match (input, wanted) {
            (Value::Null, _) => Value::Null,
            (Value::String(text), Value::String(wanted)) if !wanted.is_empty() => {
                let starts =
                    (0..text.len()).filter(|at| text.get(*at..).is_some_and(|rest| rest.starts_with(wanted.as_str())));
                starts.map(|at| text.get(..at).unwrap_or_default().chars().count()).collect::<Vec<_>>().into()
            }
            (Value::Array(all), Value::Array(wanted)) if !wanted.is_empty() => {
                let windows = all.windows(wanted.len()).enumerate();
                windows.filter(|(_, window)| *window == wanted.as_slice()).map(|(at, _)| at).collect::<Vec<_>>().into()
            }
            (Value::Array(all), wanted) => all
                .iter()
                .enumerate()
                .filter(|(_, value)| *value == wanted)
                .map(|(at, _)| at)
                .collect::<Vec<_>>()
                .into(),
            _ => return Err(error(format!("Cannot determine indices of {} in {}", type_of(wanted), type_of(input)))),
        },
        ("_match", [pattern, flags]) => matches(input, pattern, flags)?,
        ("setpath", [path, new]) => {
            value::set(input.clone(), list(path, "Path must be specified as an array")?, new.clone())?
        }
        ("delpaths", [paths]) => {
            let paths = list(paths, "Paths must be specified as an array")?;
            let paths: Result<Vec<Vec<Value>>, Stop> =
                paths.iter().map(|path| list(path, "Path must be specified as an array").cloned()).collect();
            value::delete(input.clone(), paths?)?
        }
        ("todateiso8601" | "strftime", _) => {
            let seconds = numeric(input)?;
            let time = Timestamp::from_second(seconds as i64)
                .map_err(|_| error("strftime/1 requires parsed datetime inputs"))?;
            let format = match arguments {
                [format] => string(format, "requires a string format")?.replace("%Z", "UTC"),
                _ => "%Y-%m-%dT%H:%M:%SZ".to_owned(),
            };
            match jiff::fmt::strtime::format(format.as_bytes(), time) {
                Ok(text) => text.into(),
                Err(_) => return Err(error("strftime/1: unknown system failure")),
            }
        }
        ("fromdateiso8601", []) => {
            let text = string(input, "cannot be parsed as a date")?;
            let time: Timestamp = text
                .parse()
                .map_err(|_| error(format!("date \"{text}\" does not match format \"%Y-%m-%dT%H:%M:%SZ\"")))?;
            time.as_second().into()
        }
        ("debug" | "input_line_number", _) => input.clone(),
        ("ascii", []) => input.clone(),
        (name, arguments) => return Err(error(format!("{name}/{} is not defined", arguments.len()))),
    })
}

fn flatten(all: &[Value], depth: f64, out: &mut Vec<Value>) {
    for value in all {
        match value {
            Value::Array(inner) if depth > 0.0 => flatten(inner, depth - 1.0, out),
            other => out.push(other.clone()),
        }
    }
}

fn contains(whole: &Value, part: &Value) -> Result<bool, Stop> {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            for (key, value) in part {
                match whole.get(key) {
                    Some(own) if contains(own, value)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Value::Array(whole), Value::Array(part)) => {
            for wanted in part {
                let mut found = false;
                for own in whole {
                    found |= type_of(own) == type_of(wanted) && contains(own, wanted)?;
                }
                if !found {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        (Value::String(whole), Value::String(part)) => Ok(whole.contains(part.as_str())),
        (whole, part) if type_of(whole) == type_of(part) => Ok(compare(whole, part).is_eq()),
        (whole, part) => {
            Err(error(format!("{} and {} cannot have their containment checked", described(whole), described(part))))
        }
    }
}

/// All matches of a pattern, or the first: `[{offset, length, string, captures}]`.
fn matches(input: &Value, pattern: &Value, flags: &Value) -> Result<Value, Stop> {
    let text = string(input, "cannot be matched, as it is not a string")?;
    let pattern = string(pattern, "cannot be matched, as it is not a string")?;
    let flags = flags.as_str().unwrap_or_default();
    let regex = RegexBuilder::new(pattern)
        .case_insensitive(flags.contains('i'))
        .ignore_whitespace(flags.contains('x'))
        .dot_matches_new_line(flags.contains('s') || flags.contains('p'))
        .build()
        .map_err(|_| error(format!("{pattern} (at offset 0) is not a valid regex")))?;
    let chars = |bytes: usize| text.get(..bytes).unwrap_or_default().chars().count();
    let names: Vec<Option<String>> = regex.capture_names().skip(1).map(|name| name.map(str::to_owned)).collect();
    let most = if flags.contains('g') { usize::MAX } else { 1 };
    let found = regex.captures_iter(text).take(most).map(|captures| {
        let groups = captures.iter().skip(1).zip(&names).map(|(group, name)| match group {
            Some(group) => json!({
                "offset": chars(group.start()), "length": group.as_str().chars().count(), "string": group.as_str(), "name": name,
            }),
            None => json!({"offset": -1, "length": 0, "string": null, "name": name}),
        });
        let whole = captures.get(0);
        json!({
            "offset": whole.map_or(0, |whole| chars(whole.start())),
            "length": whole.map_or(0, |whole| whole.as_str().chars().count()),
            "string": whole.map_or("", |whole| whole.as_str()),
            "captures": groups.collect::<Vec<_>>(),
        })
    });
    Ok(found.collect::<Vec<_>>().into())
}
