//! Replacements: values of one object in fields of others.

use serde_json::Value;

use super::patches::chosen;
use super::{Item, Reader};
use crate::error::Error;
use crate::resources::{items, text};
use crate::yaml;

/// A step on the way to a field.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// A field, or an entry by its number.
    Key(String),
    /// Entries of a list whose field has a value: `[name=web]`.
    Where(String, String),
    /// All of them: `*`.
    Each,
}

/// Reads `spec.template.spec.containers.[name=web].env.*`; dots in names stand after a backslash or in brackets.
fn steps(path: &str) -> Vec<Step> {
    let mut words = vec![String::new()];
    let (mut depth, mut escaped) = (0_usize, false);
    for c in path.chars() {
        match (c, escaped, depth) {
            ('\\', false, _) => {
                escaped = true;
                continue;
            }
            ('.', false, 0) => words.push(String::new()),
            (c, _, _) => {
                match c {
                    '[' if !escaped => depth += 1,
                    ']' if !escaped => depth = depth.saturating_sub(1),
                    _ => {}
                }
                words.last_mut().into_iter().for_each(|word| word.push(c));
            }
        }
        escaped = false;
    }
    let step = |word: String| match word.strip_prefix('[').and_then(|word| word.strip_suffix(']')) {
        Some(inner) => match inner.split_once('=') {
            Some((field, value)) => Step::Where(field.to_owned(), value.trim_matches(['"', '\'']).to_owned()),
            None => Step::Key(inner.to_owned()),
        },
        None if word == "*" => Step::Each,
        None => Step::Key(word),
    };
    words.into_iter().filter(|word| !word.is_empty()).map(step).collect()
}

/// Changes what is at the end of a path, making it if wanted. How many places there were comes back.
fn visit(value: &mut Value, path: &[Step], create: bool, change: &mut dyn FnMut(&mut Value)) -> usize {
    let Some((step, rest)) = path.split_first() else {
        change(value);
        return 1;
    };
    match (step, value) {
        (Step::Key(key), Value::Array(list)) => {
            let place = key.parse().ok().and_then(|at: usize| list.get_mut(at));
            place.map_or(0, |place| visit(place, rest, create, change))
        }
        (Step::Key(key), Value::Object(fields)) => match fields.get_mut(key) {
            Some(place) => visit(place, rest, create, change),
            None if create => visit(fields.entry(key.clone()).or_insert(Value::Null), rest, create, change),
            None => 0,
        },
        (Step::Key(key), place @ Value::Null) if create => {
            let mut made = Value::Null;
            let count = visit(&mut made, rest, create, change);
            *place = Value::Object([(key.clone(), made)].into_iter().collect());
            count
        }
        (Step::Where(field, wanted), Value::Array(list)) => list
            .iter_mut()
            .filter(|entry| text(&entry[field.as_str()]) == *wanted)
            .map(|entry| visit(entry, rest, create, change))
            .sum(),
        (Step::Each, Value::Array(list)) => list.iter_mut().map(|entry| visit(entry, rest, create, change)).sum(),
        (Step::Each, Value::Object(fields)) => {
            fields.values_mut().map(|entry| visit(entry, rest, create, change)).sum()
        }
        _ => 0,
    }
}

/// Carries out a kustomization's replacements.
pub(super) async fn replace(reader: &Reader<'_>, folder: &str, config: &Value, all: &mut [Item]) -> Result<(), Error> {
    for entry in items(&config["replacements"]) {
        let mut replacements = vec![entry.clone()];
        if let Some(path) = entry["path"].as_str() {
            let bytes = reader.read(folder, path).await?;
            let read = yaml::parse(&String::from_utf8_lossy(&bytes))
                .map_err(|error| Error::message(format!("unable to parse {path}: {error}")))?;
            replacements = match read {
                Value::Array(list) => list,
                one => vec![one],
            };
        }
        for replacement in &replacements {
            let value = source(replacement, all)?;
            for target in items(&replacement["targets"]) {
                put(target, &value, all)?;
            }
        }
    }
    Ok(())
}

/// The value to put elsewhere.
fn source(replacement: &Value, all: &mut [Item]) -> Result<Value, Error> {
    let from = &replacement["source"];
    if let Some(value) = replacement["sourceValue"].as_str() {
        return Ok(value.into());
    }
    if from.is_null() {
        return Err(Error::message("replacements must specify a source and at least one target"));
    }
    let places = chosen(from, all)?;
    let [place] = places.as_slice() else {
        let which = if places.is_empty() { "nothing" } else { "multiple matches" };
        return Err(Error::message(format!("{which} selected by {}", super::selected(from))));
    };
    let path = match text(&from["fieldPath"]) {
        path if path.is_empty() => "metadata.name".to_owned(),
        path => path,
    };
    let mut found = None;
    if let Some(item) = all.get_mut(*place) {
        visit(&mut item.object, &steps(&path), false, &mut |value| found = Some(value.clone()));
    }
    let found = found.ok_or_else(|| {
        Error::message(format!("fieldPath `{path}` is missing for replacement source {}", super::selected(from)))
    })?;
    let delimiter = text(&from["options"]["delimiter"]);
    if delimiter.is_empty() {
        return Ok(found);
    }
    let index = from["options"]["index"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(0);
    let whole = text(&found);
    let part = whole.split(delimiter.as_str()).nth(index);
    part.map(Value::from)
        .ok_or_else(|| Error::message(format!("options.index {index} is out of bounds for value {whole}")))
}

/// Puts a value into the fields of a target's objects.
fn put(target: &Value, value: &Value, all: &mut [Item]) -> Result<(), Error> {
    if target["select"].is_null() {
        return Err(Error::message("target must specify resources to select"));
    }
    let options = &target["options"];
    let delimiter = text(&options["delimiter"]);
    let index = options["index"].as_i64().unwrap_or(0);
    let mut rejected = Vec::new();
    for reject in items(&target["reject"]) {
        rejected.extend(chosen(reject, all)?);
    }
    let paths: Vec<String> = match items(&target["fieldPaths"]).map(text).collect::<Vec<_>>() {
        paths if paths.is_empty() => vec!["metadata.name".into()],
        paths => paths,
    };
    for at in chosen(&target["select"], all)? {
        let Some(item) = all.get_mut(at).filter(|_| !rejected.contains(&at)) else { continue };
        for path in &paths {
            let create = options["create"] == true;
            let count = visit(&mut item.object, &steps(path), create, &mut |place| {
                *place = match delimiter.as_str() {
                    "" => value.clone(),
                    delimiter => joined(&text(place), delimiter, index, &text(value)).into(),
                };
            });
            if count == 0 {
                return Err(Error::message(format!("unable to find field {path:?} in replacement target")));
            }
        }
    }
    Ok(())
}

/// A text with one of its parts replaced; before the first and after the last a part is added.
fn joined(old: &str, delimiter: &str, index: i64, value: &str) -> String {
    let mut parts: Vec<&str> = old.split(delimiter).collect();
    match usize::try_from(index) {
        Ok(index) => match parts.get_mut(index) {
            Some(part) => *part = value,
            None => parts.push(value),
        },
        Err(_) => parts.insert(0, value),
    }
    parts.join(delimiter)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_and_makes_fields() {
        let mut value = json!({ "list": [{ "name": "a", "v": 1 }, { "name": "b", "v": 2 }], "a.b": 3 });
        let mut set = |path: &str, create| visit(&mut value, &steps(path), create, &mut |place| *place = 9.into());
        assert_eq!(set("list.[name=b].v", false), 1);
        assert_eq!(set("list.0.v", false), 1);
        assert_eq!(set("list.*.name", false), 2);
        assert_eq!(set("a\\.b", false), 1);
        assert_eq!(set("x.y", false), 0);
        assert_eq!(set("x.y", true), 1);
        assert_eq!(value, json!({ "list": [{ "name": 9, "v": 9 }, { "name": 9, "v": 9 }], "a.b": 9, "x": { "y": 9 } }));
    }

    #[test]
    fn replaces_parts() {
        assert_eq!(joined("nginx:1.0", ":", 1, "2.0"), "nginx:2.0");
        assert_eq!(joined("b", "/", -1, "a"), "a/b");
        assert_eq!(joined("a", "/", 9, "b"), "a/b");
    }
}
