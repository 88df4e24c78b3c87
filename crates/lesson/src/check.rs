//! What must become true in a lesson.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::view::{self, View};

/// One check, written as lines `key: value` in a `check` fence; an empty line separates checks.
///
/// | key | meaning |
/// | --- | --- |
/// | `text` | what the learner reads |
/// | `resource` | what is looked at: one of [`crate::RESOURCES`] |
/// | `name` | only objects whose name is this; a `*` stands for anything, here and below. Without name and labels, what is in the cluster's own namespaces does not count |
/// | `labels` | only objects with these labels, `a=b,c=d` |
/// | `ready` | `true`: only objects whose Ready condition is True and that are not terminating |
/// | `field` | a JSON pointer for the next key; with `*` for any item of a list |
/// | `is` | only objects with this value there; empty: without any |
/// | `has` | only objects with a text there that holds this |
/// | `over` | only objects with a number there greater than this |
/// | `least` or `count` | how many such objects there must be at least, or exactly; at least 1 |
/// | `gone` | how many objects of the name or labels must have been deleted |
/// | `reached` | a part that the network must have reached, such as `service/default/web` |
/// | `asked` | what kubectl must have asked: a verb and an object, `list pods*`, `get pods/*/log` |
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// What the learner reads.
    pub text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    labels: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ready: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<(String, Wanted)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    least: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    #[serde(skip_serializing_if = "is_zero")]
    gone: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    reached: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    asked: String,
}

impl Check {
    /// The same check in other words.
    #[must_use]
    pub fn saying(self, text: String) -> Self {
        Self { text, ..self }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What a field must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Wanted {
    Is(String),
    Has(String),
    Over(i64),
}

impl Check {
    /// Whether it is true now.
    pub fn holds(&self, view: &dyn View) -> bool {
        if !self.reached.is_empty() && !view.reached(&self.reached) {
            return false;
        }
        if let Some((verb, object)) = self.asked.split_once(' ')
            && !view.asked(verb, object)
        {
            return false;
        }
        if self.resource.is_empty() {
            return true;
        }
        let gone = view.gone(&self.resource).into_iter().filter(|object| self.names(object)).count();
        let found =
            view.objects(&self.resource).into_iter().filter(|object| self.names(object) && self.fits(object)).count();
        let enough = match self.count {
            Some(count) => found == count,
            None => found >= self.least.unwrap_or(1),
        };
        gone >= self.gone && enough
    }

    fn names(&self, object: &Value) -> bool {
        let name = view::name(object);
        let named = self.name.is_empty() || view::is_like(name, &self.name);
        // The cluster's own parts are nobody's work.
        let own = playground_control::is_clusters_own(view::namespace(object));
        let own = own && self.name.is_empty() && self.labels.is_empty();
        named && !own && view::matches(object, &self.labels)
    }

    fn fits(&self, object: &Value) -> bool {
        let ready = !self.ready || (view::condition(object, "Ready") == "True" && !view::terminating(object));
        ready && self.fields.iter().all(|(pointer, wanted)| fits(object, pointer, wanted))
    }
}

fn fits(value: &Value, pointer: &str, wanted: &Wanted) -> bool {
    if let Some((list, rest)) = pointer.split_once("/*") {
        let items = value.pointer(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        return items.iter().any(|item| fits(item, rest, wanted));
    }
    let found = value.pointer(pointer);
    match wanted {
        Wanted::Is(text) => match found {
            Some(Value::String(found)) => found == text,
            Some(other) => serde_json::from_str::<Value>(text).is_ok_and(|wanted| wanted == *other),
            None => text.is_empty(),
        },
        Wanted::Has(text) => found.and_then(Value::as_str).is_some_and(|found| found.contains(text.as_str())),
        Wanted::Over(number) => found.and_then(Value::as_i64).is_some_and(|found| found > *number),
    }
}

#[cfg(feature = "compile")]
impl Check {
    /// The checks of a fence; on which of its lines what is wrong, otherwise.
    pub(crate) fn parse_all(fence: &str) -> Result<Vec<Self>, (usize, String)> {
        let mut checks: Vec<Self> = Vec::new();
        let mut open = false;
        for (number, line) in fence.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                open = false;
                continue;
            }
            if !std::mem::replace(&mut open, true) {
                checks.push(Self::default());
            }
            if let Some(check) = checks.last_mut() {
                check.line(line).map_err(|reason| (number, reason))?;
            }
        }
        for check in &checks {
            check.complete().map_err(|reason| (0, reason))?;
        }
        Ok(checks)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let wrong = || format!("not understood in a check: {line}");
        let (key, value) = line.split_once(':').ok_or_else(wrong)?;
        let value = value.trim();
        let number = || value.parse::<usize>().map_err(|_| wrong());
        match key.trim() {
            "text" => self.text = value.into(),
            "resource" => self.resource = value.into(),
            "name" => self.name = value.into(),
            "labels" => self.labels = value.into(),
            "ready" => self.ready = value == "true",
            "field" => self.fields.push((value.into(), Wanted::Is(String::new()))),
            "least" => self.least = Some(number()?),
            "count" => self.count = Some(number()?),
            "gone" => self.gone = number()?,
            "reached" => self.reached = value.into(),
            "asked" => self.asked = value.into(),
            "is" => self.want(line, Wanted::Is(value.into()))?,
            "has" => self.want(line, Wanted::Has(value.into()))?,
            "over" => self.want(line, Wanted::Over(value.parse().map_err(|_| wrong())?))?,
            _ => return Err(wrong()),
        }
        Ok(())
    }

    /// What the field named last must be.
    fn want(&mut self, line: &str, wanted: Wanted) -> Result<(), String> {
        let field = self.fields.last_mut().ok_or_else(|| format!("which field? {line}"))?;
        field.1 = wanted;
        Ok(())
    }

    fn complete(&self) -> Result<(), String> {
        let known = view::RESOURCES.iter().any(|(name, _)| *name == self.resource);
        if self.text.is_empty() {
            return Err("a check needs a text".into());
        }
        if self.resource.is_empty() && self.reached.is_empty() && self.asked.is_empty() {
            return Err(format!("a check needs resource, reached or asked: {}", self.text));
        }
        if !self.resource.is_empty() && !known {
            return Err(format!("checks do not see {}", self.resource));
        }
        if !self.asked.is_empty() && !self.asked.contains(' ') {
            return Err(format!("asked needs a verb and an object: {}", self.asked));
        }
        Ok(())
    }
}
