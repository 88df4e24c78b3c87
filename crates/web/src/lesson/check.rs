//! What must become true in a lesson, as lines `key: value` in a `check` fence; an empty line
//! separates checks.
//!
//! | key | meaning |
//! | --- | --- |
//! | `text` | what the learner reads |
//! | `resource` | what is looked at: `pods`, `services`, … (what the page watches) |
//! | `name` | only the object of this name |
//! | `labels` | only objects with these labels, `a=b,c=d` |
//! | `ready` | `true`: only objects whose Ready condition is True and that are not terminating |
//! | `field` and `is` | only objects with this value at this JSON pointer |
//! | `least` or `count` | how many such objects there must be at least, or exactly; at least 1 |
//! | `gone` | how many objects of the name or labels must have been deleted |
//! | `reached` | a part that the network must have reached, such as `service/default/web` |

use serde_json::Value;

use crate::trace::Trace;
use crate::world::{Object, Snapshot};

/// One check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Check {
    /// What the learner reads.
    pub text: String,
    resource: String,
    name: Option<String>,
    labels: String,
    ready: bool,
    field: Option<(String, String)>,
    least: Option<usize>,
    count: Option<usize>,
    gone: usize,
    reached: Option<String>,
}

impl Check {
    /// The checks of a fence.
    ///
    /// # Errors
    /// The line that is not understood.
    pub fn parse_all(fence: &str) -> Result<Vec<Self>, String> {
        let parts = fence.split("\n\n").filter(|part| !part.trim().is_empty());
        parts.map(Self::parse).collect()
    }

    fn parse(lines: &str) -> Result<Self, String> {
        let mut check = Self::default();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let wrong = || format!("not understood in a check: {line}");
            let (key, value) = line.split_once(':').ok_or_else(wrong)?;
            let value = value.trim();
            let number = || value.parse::<usize>().map_err(|_| wrong());
            match key.trim() {
                "text" => check.text = value.into(),
                "resource" => check.resource = value.into(),
                "name" => check.name = Some(value.into()),
                "labels" => check.labels = value.into(),
                "ready" => check.ready = value == "true",
                "field" => check.field = Some((value.into(), String::new())),
                "is" => check.field.as_mut().ok_or_else(wrong)?.1 = value.into(),
                "least" => check.least = Some(number()?),
                "count" => check.count = Some(number()?),
                "gone" => check.gone = number()?,
                "reached" => check.reached = Some(value.into()),
                _ => return Err(wrong()),
            }
        }
        if check.text.is_empty() || (check.resource.is_empty() && check.reached.is_none()) {
            return Err(format!("a check needs text, and resource or reached: {}", lines.trim()));
        }
        Ok(check)
    }

    /// Whether it is true now.
    pub fn holds(&self, snapshot: &Snapshot, trace: &Trace) -> bool {
        if let Some(part) = &self.reached
            && !trace.reached(part)
        {
            return false;
        }
        if self.resource.is_empty() {
            return true;
        }
        let gone = snapshot.gone(&self.resource).filter(|object| self.names(object)).count();
        let found = snapshot.list(&self.resource).filter(|object| self.names(object) && self.fits(object)).count();
        let enough = match self.count {
            Some(count) => found == count,
            None => found >= self.least.unwrap_or(1),
        };
        gone >= self.gone && enough
    }

    fn names(&self, object: &Object) -> bool {
        self.name.as_ref().is_none_or(|name| object.name() == name) && object.matches(&self.labels)
    }

    fn fits(&self, object: &Object) -> bool {
        let ready = !self.ready || (object.condition("Ready") == "True" && !object.terminating());
        let field = self.field.as_ref().is_none_or(|(pointer, wanted)| match object.0.pointer(pointer) {
            Some(Value::String(text)) => text == wanted,
            Some(other) => serde_json::from_str::<Value>(wanted).is_ok_and(|wanted| wanted == *other),
            None => wanted.is_empty(),
        });
        ready && field
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    fn pod(name: &str, ready: &str) -> Object {
        Object(json!({"metadata": {"namespace": "default", "name": name, "labels": {"app": "web"}},
            "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
    }

    #[wasm_bindgen_test]
    fn a_replacement_is_a_pod_gone_and_enough_ready() {
        let fence = "text: A replacement\nresource: pods\nlabels: app=web\nready: true\nleast: 2\ngone: 1\n";
        let check = &Check::parse_all(fence).unwrap()[0];
        let (mut snapshot, trace) = (Snapshot::default(), Trace::default());
        snapshot.put("pods", pod("a", "True"));
        snapshot.put("pods", pod("b", "True"));
        assert!(!check.holds(&snapshot, &trace));
        snapshot.remove("pods", "default/a");
        assert!(!check.holds(&snapshot, &trace));
        snapshot.put("pods", pod("c", "False"));
        assert!(!check.holds(&snapshot, &trace));
        snapshot.put("pods", pod("c", "True"));
        assert!(check.holds(&snapshot, &trace));
    }

    #[wasm_bindgen_test]
    fn fields_compare_as_they_are_written() {
        let check = &Check::parse_all("text: t\nresource: deployments\nfield: /spec/replicas\nis: 3").unwrap()[0];
        let (mut snapshot, trace) = (Snapshot::default(), Trace::default());
        snapshot.put("deployments", Object(json!({"metadata": {"name": "web"}, "spec": {"replicas": 3}})));
        assert!(check.holds(&snapshot, &trace));
        snapshot.put("deployments", Object(json!({"metadata": {"name": "web"}, "spec": {"replicas": 2}})));
        assert!(!check.holds(&snapshot, &trace));
    }

    #[wasm_bindgen_test]
    fn mistakes_are_named() {
        for fence in ["text: t", "resource: pods", "text: t\nresource: pods\nleast: many", "nonsense", "is: 3"] {
            assert!(Check::parse_all(fence).is_err(), "{fence}");
        }
        assert_eq!(Check::parse_all("\n\n"), Ok(vec![]));
    }
}
