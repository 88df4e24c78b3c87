//! Lines with a name and a value, aligned.

use machinery::{Timestamp, time};
use serde_json::Value;

use crate::print::tabs;
use crate::resources::{items, text};

/// Longest annotation that stays on its line.
const ANNOTATION_LENGTH_MAX: usize = 140;
/// What nobody wants to see described.
const SKIPPED_ANNOTATIONS: [&str; 1] = ["kubectl.kubernetes.io/last-applied-configuration"];

/// Text under construction.
pub(super) struct Page {
    done: String,
    pending: String,
    /// The time, for ages.
    pub now: Timestamp,
}

impl Page {
    /// An empty page.
    pub fn new(now: Timestamp) -> Self {
        Self { done: String::new(), pending: String::new(), now }
    }

    /// A line, indented by two spaces a level. Tabs divide it into columns.
    pub fn line(&mut self, level: usize, text: impl AsRef<str>) {
        self.pending.extend(std::iter::repeat_n("  ", level));
        self.pending.push_str(text.as_ref());
        self.pending.push('\n');
    }

    /// A name and its value.
    pub fn field(&mut self, name: &str, value: impl AsRef<str>) {
        self.line(0, format!("{name}:\t{}", value.as_ref()));
    }

    /// A name and its value, if it has one.
    pub fn some(&mut self, name: &str, value: &Value) {
        let value = plain(value);
        if !value.is_empty() {
            self.field(name, value);
        }
    }

    /// Name, namespace, labels and annotations.
    pub fn head(&mut self, object: &Value) {
        self.name(object);
        self.meta(object);
    }

    /// Name and namespace.
    pub fn name(&mut self, object: &Value) {
        let metadata = &object["metadata"];
        self.field("Name", text(&metadata["name"]));
        self.field("Namespace", text(&metadata["namespace"]));
    }

    /// Labels and annotations.
    pub fn meta(&mut self, object: &Value) {
        let metadata = &object["metadata"];
        self.labels("Labels", &metadata["labels"]);
        self.annotations("Annotations", &metadata["annotations"]);
    }

    /// One `key=value` a line.
    pub fn labels(&mut self, title: &str, labels: &Value) {
        let pairs = labels.as_object().into_iter().flatten().map(|(key, value)| format!("{key}={}", plain(value)));
        self.list(title, pairs.collect());
    }

    /// One value a line, under each other.
    pub fn list(&mut self, title: &str, values: Vec<String>) {
        if values.is_empty() {
            self.field(title, "<none>");
        }
        for (index, value) in values.iter().enumerate() {
            if index == 0 {
                self.field(title, value);
            } else {
                self.line(0, format!("\t{value}"));
            }
        }
    }

    /// One `key: value` a line, long ones broken.
    pub fn annotations(&mut self, title: &str, annotations: &Value) {
        let shown = annotations.as_object().into_iter().flatten();
        let mut lines = Vec::new();
        for (key, value) in shown.filter(|(key, _)| !SKIPPED_ANNOTATIONS.contains(&key.as_str())) {
            let value = text(value);
            let value = value.strip_suffix('\n').unwrap_or(&value);
            if key.len() + value.len() + 2 <= ANNOTATION_LENGTH_MAX && !value.contains('\n') {
                lines.push(format!("{key}: {value}"));
                continue;
            }
            lines.push(format!("{key}:"));
            lines.extend(value.split('\n').map(|line| format!("  {}", shorten(line, ANNOTATION_LENGTH_MAX - 2))));
        }
        self.list(title, lines);
    }

    /// The owner that controls the object.
    pub fn controller(&mut self, object: &Value) {
        let owner = items(&object["metadata"]["ownerReferences"]).find(|owner| owner["controller"] == true);
        if let Some(owner) = owner {
            self.field("Controlled By", format!("{}/{}", text(&owner["kind"]), text(&owner["name"])));
        }
    }

    /// A table of conditions: type, status, reason.
    pub fn conditions(&mut self, conditions: &Value) {
        let mut conditions = items(conditions).peekable();
        if conditions.peek().is_none() {
            return;
        }
        self.line(0, "Conditions:\n  Type\tStatus\tReason");
        self.line(1, "----\t------\t------");
        for condition in conditions {
            let (kind, status) = (text(&condition["type"]), text(&condition["status"]));
            self.line(1, format!("{kind} \t{status}\t{}", text(&condition["reason"])));
        }
    }

    /// How long ago a time was.
    pub fn age(&self, value: &Value) -> String {
        let Some(time) = timestamp(value) else { return "<unknown>".into() };
        time::human_age(Some(time), self.now)
    }

    /// Ends a block of aligned columns.
    pub fn flush(&mut self) {
        self.done.push_str(&tabs::align(&self.pending, tabs::DESCRIBE));
        self.pending.clear();
    }

    /// The text, its tabs as they are.
    pub fn unaligned(mut self) -> String {
        self.done.push_str(&self.pending);
        self.done
    }

    /// The text.
    pub fn finish(mut self) -> String {
        self.flush();
        self.done
    }
}

/// A value as it stands in a line; nothing for null.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => machinery::go::display(other),
    }
}

/// The value, or a stand-in for none.
pub(super) fn or<'a>(value: &'a str, stand_in: &'a str) -> &'a str {
    if value.is_empty() { stand_in } else { value }
}

/// A time of the API.
pub(super) fn timestamp(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A time as RFC 1123 with a numeric zone has it: `Mon, 02 Jan 2006 15:04:05 +0000`.
pub(super) fn long_time(value: &Value) -> String {
    timestamp(value)
        .unwrap_or_else(|| Timestamp::from_second(-62_135_596_800).unwrap_or(Timestamp::MIN))
        .strftime("%a, %d %b %Y %H:%M:%S +0000")
        .to_string()
}

/// `a=b,c=d` of a map, `<none>` if empty.
pub(super) fn joined(labels: &Value) -> String {
    crate::print::table::format_labels(labels)
}

/// A label selector in the notation of `-l`.
pub(super) fn selector(value: &Value) -> String {
    let parsed = machinery::object::from_value(value.clone()).ok();
    machinery::labels::format_label_selector(parsed.as_ref())
}

/// The numbers of a count, 0 if absent.
pub(super) fn count(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// `True` or `False`
pub(super) fn truth(value: &Value) -> &'static str {
    if *value == true { "True" } else { "False" }
}

fn shorten(line: &str, length: usize) -> String {
    match line.char_indices().map(|(at, _)| at).find(|at| *at >= length) {
        Some(at) if line.len() > length => format!("{}...", &line[..at]),
        _ => line.to_owned(),
    }
}
