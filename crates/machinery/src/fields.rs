//! Field selectors: `metadata.name=web,status.phase!=Running` (apimachinery `fields`).

use std::fmt;

use crate::labels::SelectorError;
use crate::sort::Order;

/// One condition on one field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirement {
    /// The field's path, such as `metadata.name`.
    pub field: String,
    /// Whether the field must have the value; otherwise it must not.
    pub equal: bool,
    /// The value.
    pub value: String,
}

/// All of some conditions on fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// The conditions, in the order of their text.
    pub requirements: Vec<Requirement>,
}

impl Selector {
    /// Reads the string form: comma-separated `field=value`, `field==value`, `field!=value`; in values,
    /// `\`, `,` and `=` are written with a backslash before them.
    ///
    /// # Errors
    /// With upstream's message.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut terms = split_terms(text);
        terms.order();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let Some((field, equal, value)) = split_term(term) else {
                return Err(SelectorError(format!("invalid selector: '{text}'; can't understand '{term}'")));
            };
            requirements.push(Requirement { field: field.into(), equal, value: unescape(value)? });
        }
        Ok(Self { requirements })
    }

    /// Whether an object matches, whose fields `get` reads; a field the object does not have is empty.
    pub fn matches<T: AsRef<str>>(&self, get: impl Fn(&str) -> Option<T>) -> bool {
        self.requirements.iter().all(|one| {
            let value = get(&one.field);
            let value = value.as_ref().map_or("", AsRef::as_ref);
            (value == one.value) == one.equal
        })
    }

    /// Whether everything matches.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The value that the field must have, if the selector asks for exactly one.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.requirements.iter().find(|one| one.equal && one.field == field).map(|one| one.value.as_str())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Requirement { field, equal, value }) in self.requirements.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let operator = if *equal { "=" } else { "!=" };
            write!(f, "{comma}{field}{operator}{}", escape(value))?;
        }
        Ok(())
    }
}

/// A value as it stands in a field selector.
pub fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    let at = term.char_indices().find(|(index, c)| *c == '=' || term[*index..].starts_with("!="))?.0;
    let (field, rest) = term.split_at(at);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((field, false, value));
    }
    Some((field, true, rest.strip_prefix("==").or(rest.strip_prefix('='))?))
}

fn unescape(value: &str) -> Result<String, SelectorError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                other => {
                    let sequence: String = ['\\'].into_iter().chain(other).collect();
                    let message = format!("invalid field selector: invalid escape sequence: {sequence}");
                    return Err(SelectorError(message));
                }
            },
            ',' | '=' => {
                let message = format!("invalid field selector: unescaped character in value: {}", u32::from(c));
                return Err(SelectorError(message));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_matches_and_prints() {
        let selector = Selector::parse(r"status.phase!=Running,metadata.name==a\,b").unwrap();
        assert_eq!(selector.to_string(), r"metadata.name=a\,b,status.phase!=Running");
        assert_eq!(selector.exact("metadata.name"), Some("a,b"));
        let get = |field: &str| (field == "metadata.name").then_some("a,b");
        assert!(selector.matches(get));
        assert!(!selector.matches(|_| Some("Running")));
    }

    #[test]
    fn errors_are_upstreams() {
        let message = |text| Selector::parse(text).unwrap_err().to_string();
        assert_eq!(message("a"), "invalid selector: 'a'; can't understand 'a'");
        assert_eq!(message(r"a=\b"), r"invalid field selector: invalid escape sequence: \b");
        assert_eq!(message("a=b=c"), "invalid field selector: unescaped character in value: 61");
    }
}
