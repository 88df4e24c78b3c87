//! What is wrong with a text that is not YAML, in words that help to mend it. The server has libyaml's (through Go),
//! which tell what its parser was doing, and count lines from zero in one half of it.

use crate::text::*;

/// What the server's words begin with.
const BEGIN: &str = "error converting YAML to JSON: yaml: ";

/// Where libyaml's line is, seen from the line of the mistake.
#[derive(Clone, Copy)]
enum Place {
    /// The same; the first where it names none.
    Here,
    /// Its parser's lines count from zero.
    Next,
    /// The mistake is in the last line before it that says something.
    Before,
    /// Where the name that its words quote is used: it names no line.
    Alias,
    /// It depends on what stands there.
    Colon,
    /// Where this was opened that nothing closes.
    Opened(char, char),
}

/// libyaml's words, where they point, and ours. A text that begins with others is before them.
const MISTAKES: [(&str, Place, Text); 16] = [
    ("mapping values are not allowed in this context", Place::Colon, YAML_COLON),
    ("could not find expected ':'", Place::Before, YAML_NO_COLON),
    ("did not find expected key", Place::Next, YAML_INDENT),
    ("did not find expected '-' indicator", Place::Next, YAML_ITEM),
    ("did not find expected ',' or ']'", Place::Opened('[', ']'), YAML_OPEN_LIST),
    ("did not find expected ',' or '}'", Place::Opened('{', '}'), YAML_OPEN_MAP),
    ("did not find expected node content", Place::Next, YAML_NO_VALUE),
    ("found unexpected end of stream", Place::Opened('"', '"'), YAML_OPEN_QUOTE),
    ("block sequence entries are not allowed in this context", Place::Here, YAML_ITEM_HERE),
    ("found a tab character", Place::Here, YAML_TAB),
    ("found character that cannot start any token", Place::Here, YAML_CHARACTER),
    ("found unknown escape character", Place::Here, YAML_ESCAPE),
    ("did not find expected alphabetic or numeric character", Place::Here, YAML_ANCHOR),
    ("did not find expected comment or line break", Place::Here, YAML_BLOCK),
    ("did not find expected <document start>", Place::Next, YAML_INDENT),
    ("unknown anchor", Place::Alias, YAML_ANCHOR),
];

/// The server's words on a text, as ours where it is no YAML.
pub fn explain(said: &str, text: &str) -> String {
    let Some((_, libyaml)) = said.split_once(BEGIN) else { return said.to_owned() };
    // The beginning of the text follows.
    let libyaml = libyaml.split(" (\"").next().unwrap_or_default();
    let (line, words) = match libyaml.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((line, words)) => (line.parse().ok(), words),
        None => (None, libyaml),
    };
    let lines: Vec<&str> = text.lines().collect();
    let (line, ours) = match MISTAKES.into_iter().find(|(theirs, ..)| words.starts_with(theirs)) {
        Some((_, Place::Colon, _)) => colon(line.unwrap_or(1), &lines),
        Some((_, place, ours)) => (place.line(line, words, &lines), t(ours).to_owned()),
        None => (line.unwrap_or(1), NOT_YAML.with(&[words])),
    };
    let line = line.clamp(1, lines.len().max(1));
    let of_line = lines.get(line - 1).copied().unwrap_or_default();
    let indented_by_tab = of_line.trim_start_matches(' ').starts_with('\t');
    IN_LINE.with(&[&line.to_string(), if indented_by_tab { t(YAML_TAB) } else { &ours }])
}

/// A colon that is not expected has many reasons: the line and words of the likeliest.
fn colon(line: usize, lines: &[&str]) -> (usize, String) {
    let colons = |line: &str| line.matches(": ").count() + usize::from(line.trim_end().ends_with(':'));
    let of_line = lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
    let above = &lines[..line.saturating_sub(1).min(lines.len())];
    let before = last_that_says(above);
    let (line, ours) = if colons(of_line) > 1 {
        (line, YAML_COLON)
    } else if let Some(at) = opened(above, '[', ']') {
        (at + 1, YAML_OPEN_LIST)
    } else if let Some(at) = opened(above, '{', '}') {
        (at + 1, YAML_OPEN_MAP)
    } else if let Some(at) = before.filter(|at| colons(lines[*at]) == 0 && !lines[*at].trim_start().starts_with('-')) {
        (at + 1, YAML_NO_COLON)
    } else {
        (line, YAML_INDENT)
    };
    (line, t(ours).to_owned())
}

/// The last of some lines that is neither empty nor a comment.
fn last_that_says(lines: &[&str]) -> Option<usize> {
    lines.iter().rposition(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
}

impl Place {
    /// The line of the mistake, counted from one.
    fn line(self, named: Option<usize>, words: &str, lines: &[&str]) -> usize {
        match self {
            Self::Here | Self::Colon => named.unwrap_or(1),
            Self::Next => named.map_or(1, |line| line + 1),
            Self::Before => {
                let above = named.unwrap_or(1).saturating_sub(1).min(lines.len());
                last_that_says(&lines[..above]).map_or(1, |at| at + 1)
            }
            Self::Alias => {
                let alias = words.split('\'').nth(1).map(|name| format!("*{name}")).unwrap_or_default();
                lines.iter().position(|line| line.contains(&alias)).map_or(1, |at| at + 1)
            }
            Self::Opened(open, close) => {
                let last = named.unwrap_or(1);
                opened(lines, open, close).map_or(last, |at| at + 1)
            }
        }
    }
}

/// The first line in which something is opened that nothing closes, or begins to be quoted that does not end.
fn opened(lines: &[&str], open: char, close: char) -> Option<usize> {
    if open == close {
        return lines.iter().position(|line| ['"', '\''].iter().any(|quote| line.matches(*quote).count() % 2 == 1));
    }
    let mut at = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        for character in line.chars() {
            if character == open {
                at.push(number);
            } else if character == close {
                at.pop();
            }
        }
    }
    at.first().copied()
}

#[cfg(test)]
mod tests {
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[wasm_bindgen_test]
    fn mistakes_are_where_they_were_made() {
        for (said, text, expected) in [
            ("mapping values are not allowed in this context", "a: b: c\n", "Line 1: A colon"),
            ("line 3: could not find expected ':'", "a: 1\nspec\n\nb: 2\n", "Line 2: A key"),
            ("line 2: did not find expected key", "a:\n  b: 1\n   c: 2\n", "Line 3: This line"),
            ("line 3: did not find expected ',' or ']'", "a: 1\nb: [1, 2\nc: 3\n", "Line 2: A list"),
            ("line 3: found unexpected end of stream", "a: \"x\"\nb: \"y\n", "Line 2: A text"),
            ("found character that cannot start any token", "\ta: b\n", "Line 1: There is a tab"),
            ("line 2: mapping values are not allowed in this context", "a: 1\n  b: 2\n", "Line 2: This line"),
            ("line 2: mapping values are not allowed in this context", "a:1\nb: 2\n", "Line 1: A key"),
            ("line 3: mapping values are not allowed in this context", "a: [1,\n2\nb: 2\n", "Line 1: A list"),
            ("unknown anchor 'x' referenced", "a: b\nc: *x\n", "Line 2: What begins"),
            ("line 2: something new", "a\nb\n", "Line 2: This is not YAML: something new"),
        ] {
            let ours = explain(&format!("the object provided is unrecognized: {BEGIN}{said} (\"a: b\" ...)"), text);
            assert!(ours.starts_with(expected), "{ours}");
        }
        assert_eq!(explain("deployments.apps \"a\" not found", ""), "deployments.apps \"a\" not found");
    }
}
