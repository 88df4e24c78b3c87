//! JSONPath templates as kubectl has them (client-go `util/jsonpath`).

use machinery::go;
use serde_json::Value;

/// A template: text with paths in braces.
#[derive(Clone, Debug)]
pub struct JsonPath {
    source: String,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
enum Node {
    Text(String),
    /// A path; `{range path}` opens a block that `{end}` closes.
    Path(Vec<Step>),
    Range(Vec<Step>, Vec<Node>),
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// `$`: start over at the root.
    Root,
    /// `@`: where we are.
    Current,
    Field(String),
    /// `..`
    Descend,
    Wildcard,
    /// `[1]`, `[1:3]`, `[-1:]`, `[0:6:2]`
    Slice {
        from: Option<i64>,
        to: Option<i64>,
        step: i64,
        single: bool,
    },
    /// `['a','b']` or `[0,2]`
    Union(Vec<Vec<Step>>),
    /// `[?(@.a == "b")]`
    Filter {
        left: Vec<Step>,
        operator: String,
        right: Vec<Step>,
    },
    /// A literal, in filters and as text.
    Literal(Value),
}

impl JsonPath {
    /// Reads a template.
    ///
    /// # Errors
    /// In the words of client-go: `unclosed action`.
    pub fn parse(source: &str) -> Result<Self, String> {
        let mut parser = Parser { rest: source };
        let nodes = parser.nodes(false)?;
        Ok(Self { source: source.to_owned(), nodes })
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The template's text with values in it.
    ///
    /// # Errors
    /// `foo is not found`, unless missing keys are allowed; bad indices.
    pub fn render(&self, root: &Value, allow_missing: bool) -> Result<String, String> {
        let mut out = String::new();
        let context = Context { root, allow_missing };
        for results in context.run(&self.nodes, root)? {
            let words: Vec<String> = results.iter().map(text_of).collect();
            out.push_str(&words.join(" "));
        }
        Ok(out)
    }

    /// The values that the paths of the template find.
    ///
    /// # Errors
    /// As [`JsonPath::render`].
    pub fn find(&self, root: &Value, allow_missing: bool) -> Result<Vec<Value>, String> {
        let context = Context { root, allow_missing };
        Ok(context.run(&self.nodes, root)?.into_iter().flatten().collect())
    }
}

/// A value in a template's text: strings as they are, everything else as JSON.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => go::json(other),
    }
}

/// A value in Go's `%#v`.
pub fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".into(),
        Value::String(text) => go::quote(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}:{}", go::quote(key), go_syntax(value))).collect();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
        other => go::display(other),
    }
}

struct Context<'a> {
    root: &'a Value,
    allow_missing: bool,
}

impl Context<'_> {
    fn run(&self, nodes: &[Node], current: &Value) -> Result<Vec<Vec<Value>>, String> {
        let mut out = Vec::new();
        for node in nodes {
            match node {
                Node::Text(text) => out.push(vec![Value::from(text.as_str())]),
                Node::Path(steps) => out.push(self.walk(steps, current)?.into_iter().cloned().collect()),
                Node::Range(steps, body) => {
                    for value in self.walk(steps, current)? {
                        out.extend(self.run(body, value)?);
                    }
                }
            }
        }
        Ok(out)
    }

    fn walk<'v>(&'v self, steps: &'v [Step], current: &'v Value) -> Result<Vec<&'v Value>, String> {
        let mut values = vec![current];
        for step in steps {
            let mut next = Vec::new();
            match step {
                Step::Root => next.push(self.root),
                Step::Literal(value) => next.push(value),
                Step::Current => next = values,
                Step::Descend => values.iter().for_each(|value| descend(value, &mut next)),
                Step::Wildcard => values.iter().for_each(|value| children(value, &mut next)),
                Step::Field(name) => {
                    for value in &values {
                        if let Some(found) = value.get(name) {
                            next.push(found);
                        }
                    }
                    if next.is_empty() {
                        if !self.allow_missing {
                            return Err(format!("{name} is not found"));
                        }
                        return Ok(next);
                    }
                }
                Step::Slice { from, to, step, single } => {
                    for value in &values {
                        self.slice(value, (*from, *to, *step, *single), &mut next)?;
                    }
                }
                Step::Union(paths) => {
                    for value in &values {
                        for path in paths {
                            next.extend(self.walk(path, value)?);
                        }
                    }
                }
                Step::Filter { left, operator, right } => {
                    for value in &values {
                        let Some(list) = value.as_array() else {
                            if value.is_null() {
                                continue;
                            }
                            return Err(format!("{} is not array or slice and cannot be filtered", go::display(value)));
                        };
                        for item in list {
                            if self.holds(item, left, operator, right)? {
                                next.push(item);
                            }
                        }
                    }
                }
            }
            values = next;
        }
        Ok(values)
    }

    fn holds(&self, item: &Value, left: &[Step], operator: &str, right: &[Step]) -> Result<bool, String> {
        let lenient = Context { root: self.root, allow_missing: true };
        let left = lenient.walk(left, item)?;
        if operator == "exists" {
            return Ok(!left.is_empty());
        }
        let right = lenient.walk(right, item)?;
        if left.len() > 1 || right.len() > 1 {
            return Err("can only compare one element at a time".into());
        }
        let (Some(left), Some(right)) = (left.first(), right.first()) else { return Ok(false) };
        let order = match (left.as_f64(), right.as_f64(), left.as_str(), right.as_str()) {
            (Some(a), Some(b), ..) => a.partial_cmp(&b),
            (.., Some(a), Some(b)) => Some(a.cmp(b)),
            _ => None,
        };
        Ok(match operator {
            "==" => left == right || order == Some(std::cmp::Ordering::Equal),
            "!=" => left != right && order != Some(std::cmp::Ordering::Equal),
            "<" => order.is_some_and(std::cmp::Ordering::is_lt),
            ">" => order.is_some_and(std::cmp::Ordering::is_gt),
            "<=" => order.is_some_and(std::cmp::Ordering::is_le),
            ">=" => order.is_some_and(std::cmp::Ordering::is_ge),
            _ => false,
        })
    }

    fn slice<'v>(
        &self,
        value: &'v Value,
        (from, to, step, single): (Option<i64>, Option<i64>, i64, bool),
        next: &mut Vec<&'v Value>,
    ) -> Result<(), String> {
        let Some(list) = value.as_array() else {
            if value.is_null() {
                return Ok(());
            }
            return Err(format!("{} is not array or slice", go::display(value)));
        };
        let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
        let place = |index: i64| if index < 0 { index + length } else { index };
        if single {
            let index = from.unwrap_or_default();
            let at = place(index);
            let found = usize::try_from(at).ok().and_then(|at| list.get(at));
            let found = found.ok_or_else(|| format!("array index out of bounds: index {at}, length {length}"))?;
            next.push(found);
            return Ok(());
        }
        let (first, end) = (place(from.unwrap_or(0)).max(0), place(to.unwrap_or(length)).min(length));
        let mut at = first;
        while at < end && step > 0 {
            next.extend(usize::try_from(at).ok().and_then(|at| list.get(at)));
            at += step;
        }
        Ok(())
    }
}

fn children<'v>(value: &'v Value, out: &mut Vec<&'v Value>) {
    match value {
        Value::Array(items) => out.extend(items),
        Value::Object(fields) => out.extend(fields.values()),
        _ => {}
    }
}

fn descend<'v>(value: &'v Value, out: &mut Vec<&'v Value>) {
    if !matches!(value, Value::Array(_) | Value::Object(_)) {
        return;
    }
    if value.is_object() {
        out.push(value);
    }
    let mut below = Vec::new();
    children(value, &mut below);
    below.into_iter().for_each(|child| descend(child, out));
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn nodes(&mut self, in_range: bool) -> Result<Vec<Node>, String> {
        let mut nodes = Vec::new();
        while !self.rest.is_empty() {
            let Some(open) = self.rest.find('{') else {
                nodes.push(Node::Text(self.rest.to_owned()));
                self.rest = "";
                break;
            };
            let (text, rest) = self.rest.split_at(open);
            if !text.is_empty() {
                nodes.push(Node::Text(text.to_owned()));
            }
            let close = closing_brace(rest).ok_or("unclosed action")?;
            let action = rest[1..close].trim();
            self.rest = &rest[close + 1..];
            if action == "end" {
                if !in_range {
                    return Err("not in range, nothing to end".into());
                }
                return Ok(nodes);
            }
            if let Some(path) = action.strip_prefix("range").filter(|path| path.starts_with([' ', '\t'])) {
                let steps = path_of(path.trim())?;
                let body = self.nodes(true)?;
                nodes.push(Node::Range(steps, body));
                continue;
            }
            for part in split_actions(action) {
                nodes.push(Node::Path(path_of(part)?));
            }
        }
        Ok(nodes)
    }
}

/// The end of `{…}`, braces and quotes inside respected.
fn closing_brace(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut depth = 0;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{') => depth += 1,
            (None, '}') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Parts of an action that blanks divide outside of brackets and quotes: `.a .b "c"`.
fn split_actions(action: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quote) = (0, 0, None);
    for (at, c) in action.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[' | '(') => depth += 1,
            (None, ']' | ')') => depth -= 1,
            (None, ' ' | '\t') if depth == 0 => {
                parts.push(&action[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&action[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

fn path_of(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    if let Some(literal) = literal_of(text) {
        return Ok(vec![Step::Literal(literal)]);
    }
    while let Some(first) = rest.chars().next() {
        match first {
            '$' => {
                steps.push(Step::Root);
                rest = &rest[1..];
            }
            '@' => {
                steps.push(Step::Current);
                rest = &rest[1..];
            }
            '.' if rest.starts_with("..") => {
                steps.push(Step::Descend);
                rest = &rest[2..];
                let (name, after) = field(rest);
                if !name.is_empty() {
                    push_field(&mut steps, name);
                    rest = after;
                }
            }
            '.' => {
                let (name, after) = field(&rest[1..]);
                if !name.is_empty() {
                    push_field(&mut steps, name);
                }
                rest = after;
            }
            '[' => {
                let end = closing_bracket(rest).ok_or("unterminated array")?;
                steps.push(bracket(&rest[1..end])?);
                rest = &rest[end + 1..];
            }
            _ => {
                let (name, after) = field(rest);
                if name.is_empty() {
                    return Err(format!("unrecognized character in action: {}", unicode(first)));
                }
                push_field(&mut steps, name);
                rest = after;
            }
        }
    }
    Ok(steps)
}

fn unicode(c: char) -> String {
    format!("U+{:04X} '{c}'", u32::from(c))
}

fn push_field(steps: &mut Vec<Step>, name: String) {
    steps.push(if name == "*" { Step::Wildcard } else { Step::Field(name) });
}

/// A field's name, in which a backslash takes the next character as it is.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => name.extend(chars.next().map(|(_, c)| c)),
            '.' | '[' | ']' | '(' | ')' | '{' | '}' | ' ' | '=' | '!' | '<' | '>' | '$' | '@' | ',' | '"' | '\'' => {
                return (name, &text[at..]);
            }
            c => name.push(c),
        }
    }
    (name, "")
}

fn closing_bracket(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn bracket(text: &str) -> Result<Step, String> {
    let text = text.trim();
    if let Some(filter) = text.strip_prefix("?(") {
        let filter = filter.strip_suffix(')').ok_or("unterminated filter")?;
        for operator in ["==", "!=", "<=", ">=", "<", ">"] {
            if let Some((left, right)) = split_outside_quotes(filter, operator) {
                return Ok(Step::Filter {
                    left: path_of(left.trim())?,
                    operator: operator.to_owned(),
                    right: path_of(right.trim())?,
                });
            }
        }
        return Ok(Step::Filter { left: path_of(filter.trim())?, operator: "exists".into(), right: Vec::new() });
    }
    if text == "*" {
        return Ok(Step::Wildcard);
    }
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    if parts.len() > 1 {
        let paths = parts.into_iter().map(|part| Ok(vec![bracket(part)?])).collect::<Result<_, String>>()?;
        return Ok(Step::Union(paths));
    }
    if let Some(name) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        return Ok(Step::Field(field_in_quotes(name)));
    }
    let numbers: Vec<&str> = text.split(':').collect();
    let number = |text: Option<&&str>| match text.copied().unwrap_or_default() {
        "" => Ok(None),
        text => text.parse::<i64>().map(Some).map_err(|_| format!("invalid array index {text}")),
    };
    if numbers.len() > 3 {
        return Err(format!("invalid array index {text}"));
    }
    Ok(Step::Slice {
        from: number(numbers.first())?,
        to: number(numbers.get(1))?,
        step: number(numbers.get(2))?.unwrap_or(1),
        single: numbers.len() == 1,
    })
}

/// A key between quotes, in which a backslash takes the next character as it is.
fn field_in_quotes(text: &str) -> String {
    let mut name = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        name.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    name
}

fn split_outside_quotes<'t>(text: &'t str, operator: &str) -> Option<(&'t str, &'t str)> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, _) if text[at..].starts_with(operator) => {
                return Some((&text[..at], &text[at + operator.len()..]));
            }
            _ => {}
        }
    }
    None
}

/// A quoted string, a number or a boolean.
fn literal_of(text: &str) -> Option<Value> {
    let quoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(inner) = quoted('"').or_else(|| quoted('\'')) {
        let mut out = String::new();
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            match (c, c == '\\') {
                (_, true) => match chars.next() {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some(other) => out.push(other),
                    None => {}
                },
                (c, false) => out.push(c),
            }
        }
        return Some(Value::String(out));
    }
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<f64>().map(Value::from)).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(template: &str, expected: &str) {
        let object = json!({
            "kind": "List",
            "items": [
                { "metadata": { "name": "a", "labels": { "app.kubernetes.io/name": "x" } }, "n": 1 },
                { "metadata": { "name": "b" }, "n": 2, "ready": true },
            ],
        });
        assert_eq!(
            JsonPath::parse(template).and_then(|path| path.render(&object, true)).unwrap_or_else(|e| e),
            expected,
            "{template}"
        );
    }

    #[test]
    fn templates() {
        check("{.kind}", "List");
        check("{.items[*].metadata.name}", "a b");
        check("{.items[0].metadata.name}/{.items[-1:].metadata.name}", "a/b");
        check("{range .items[*]}{.metadata.name}={.n}{\"\\n\"}{end}", "a=1\nb=2\n");
        check("{.items[?(@.n>1)].metadata.name}", "b");
        check("{.items[?(@.metadata.name==\"a\")].n}", "1");
        check("{.items[?(@.ready)].n}", "2");
        check("{.items[0].metadata.labels.app\\.kubernetes\\.io/name}", "x");
        check("{.items[0].metadata.labels['app\\.kubernetes\\.io/name']}", "x");
        check("{..name}", "a b");
        check("{.items[0:2].n}", "1 2");
        check("{.items[0,1].n}", "1 2");
        check("{.missing}", "");
        check("{.foo", "unclosed action");
        check("{.items[0].metadata}", "{\"labels\":{\"app.kubernetes.io/name\":\"x\"},\"name\":\"a\"}");
        check("{.items[5]}", "array index out of bounds: index 5, length 2");
    }
}
