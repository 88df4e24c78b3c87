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
    /// Where this was opened that nothing closes.
    Opened(char, char),
}

/// libyaml's words, where they point, and ours. A text that begins with others is before them.
const MISTAKES: [(&str, Place, Text); 16] = [
    ("mapping values are not allowed in this context", Place::Here, YAML_COLON),
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
    ("unknown anchor", Place::Here, YAML_ANCHOR),
];

/// The server's words on a text, as ours where it is no YAML.
pub fn explain(said: &str, text: &str) -> String {
    let Some((_, libyaml)) = said.split_once(BEGIN) else { return said.to_owned() };
    let (line, words) = match libyaml.strip_prefix("line ").and_then(|rest| rest.split_once(": ")) {
        Some((line, words)) => (line.parse().ok(), words),
        None => (None, libyaml),
    };
    let lines: Vec<&str> = text.lines().collect();
    let known = MISTAKES.into_iter().find(|(theirs, ..)| words.starts_with(theirs));
    let place = known.map_or(Place::Here, |(_, place, _)| place);
    let line = place.line(line, &lines).clamp(1, lines.len().max(1));
    let of_line = lines.get(line - 1).copied().unwrap_or_default();
    let indented_by_tab = of_line.trim_start_matches(' ').starts_with('\t');
    let ours = match known {
        _ if indented_by_tab => t(YAML_TAB).to_owned(),
        Some((.., ours)) => t(ours).to_owned(),
        None => NOT_YAML.with(&[words]),
    };
    IN_LINE.with(&[&line.to_string(), &ours])
}

impl Place {
    /// The line of the mistake, counted from one.
    fn line(self, named: Option<usize>, lines: &[&str]) -> usize {
        match self {
            Self::Here => named.unwrap_or(1),
            Self::Next => named.map_or(1, |line| line + 1),
            Self::Before => {
                let says = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
                lines.iter().take(named.unwrap_or(1).saturating_sub(1)).rposition(says).map_or(1, |at| at + 1)
            }
            Self::Opened(open, close) => {
                let last = named.unwrap_or(1);
                opened(lines, open, close).map_or(last, |at| at + 1)
            }
        }
    }
}

/// The first line in which something is opened, or begins to be quoted, that it does not close.
fn opened(lines: &[&str], open: char, close: char) -> Option<usize> {
    lines.iter().position(|line| match open == close {
        true => ['"', '\''].iter().any(|quote| line.matches(*quote).count() % 2 == 1),
        false => line.matches(open).count() > line.matches(close).count(),
    })
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
            ("line 2: something new", "a\nb\n", "Line 2: This is not YAML: something new"),
        ] {
            let ours = explain(&format!("the object provided is unrecognized: {BEGIN}{said}"), text);
            assert!(ours.starts_with(expected), "{ours}");
        }
        assert_eq!(explain("deployments.apps \"a\" not found", ""), "deployments.apps \"a\" not found");
    }
}
