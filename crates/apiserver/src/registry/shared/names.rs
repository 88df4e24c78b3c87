//! Rules for names (apimachinery's `util/validation` and `api/validation/name.go`). Each function gives
//! the complaints about a value; none if it is right.

/// The longest DNS label.
const LABEL_LENGTH_MAX: usize = 63;
/// The longest DNS subdomain.
const SUBDOMAIN_LENGTH_MAX: usize = 253;
/// Before a generated name's random suffix, a name may be shorter than its rule says.
const GENERATED_SUFFIX: &str = "a";

fn max_len(length: usize) -> String {
    format!("must be no more than {length} characters")
}

fn regex_error(message: &str, pattern: &str, examples: &[&str]) -> String {
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}'")).collect();
    format!("{message} (e.g. {}, regex used for validation is '{pattern}')", examples.join(",  or "))
}

/// Lower case letters, digits, `inner`; letters or digits at both ends.
fn is_lower(value: &str, inner: &str) -> bool {
    let end = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    value.starts_with(end) && value.ends_with(end) && value.chars().all(|c| end(c) || inner.contains(c))
}

/// Letters, digits, `-_.`; letters or digits at both ends.
fn is_name_part(value: &str) -> bool {
    let end = |c: char| c.is_ascii_alphanumeric();
    value.starts_with(end) && value.ends_with(end) && value.chars().all(|c| end(c) || "-_.".contains(c))
}

/// `[a-z0-9]([-a-z0-9]*[a-z0-9])?`, 63 at most: RFC 1123.
pub fn dns1123_label(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > LABEL_LENGTH_MAX {
        messages.push(max_len(LABEL_LENGTH_MAX));
    }
    if !is_lower(value, "-") {
        if is_subdomain(value) {
            messages.push("must not contain dots".into());
        } else {
            messages.push(regex_error(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                "[a-z0-9]([-a-z0-9]*[a-z0-9])?",
                &["my-name", "123-abc"],
            ));
        }
    }
    messages
}

fn is_subdomain(value: &str) -> bool {
    !value.is_empty() && value.split('.').all(|label| is_lower(label, "-"))
}

/// Labels joined by dots, 253 at most: RFC 1123.
pub fn dns1123_subdomain(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > SUBDOMAIN_LENGTH_MAX {
        messages.push(max_len(SUBDOMAIN_LENGTH_MAX));
    }
    if !is_subdomain(value) {
        messages.push(regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    messages
}

/// `[a-z]([-a-z0-9]*[a-z0-9])?`, 63 at most: RFC 1035.
pub fn dns1035_label(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > LABEL_LENGTH_MAX {
        messages.push(max_len(LABEL_LENGTH_MAX));
    }
    if !is_lower(value, "-") || !value.starts_with(|c: char| c.is_ascii_lowercase()) {
        messages.push(regex_error(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    messages
}

/// A label's key: a name, with a DNS subdomain and a slash before it or not.
pub fn qualified_name(value: &str) -> Vec<String> {
    const MESSAGE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    const PATTERN: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
    const EXAMPLES: [&str; 3] = ["MyName", "my.name", "123-abc"];
    let mut messages = Vec::new();
    let parts: Vec<&str> = value.split('/').collect();
    let name = match parts.as_slice() {
        [name] => *name,
        [prefix, name] => {
            if prefix.is_empty() {
                messages.push("prefix part must be non-empty".into());
            } else {
                messages.extend(dns1123_subdomain(prefix).into_iter().map(|message| format!("prefix part {message}")));
            }
            *name
        }
        _ => {
            return vec![format!(
                "a qualified name {} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
                regex_error(MESSAGE, PATTERN, &EXAMPLES)
            )];
        }
    };
    if name.is_empty() {
        messages.push("name part must be non-empty".into());
    } else if name.len() > LABEL_LENGTH_MAX {
        messages.push(format!("name part {}", max_len(LABEL_LENGTH_MAX)));
    }
    if !is_name_part(name) {
        messages.push(format!("name part {}", regex_error(MESSAGE, PATTERN, &EXAMPLES)));
    }
    messages
}

/// A label's value.
pub fn label_value(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > LABEL_LENGTH_MAX {
        messages.push(max_len(LABEL_LENGTH_MAX));
    }
    if !value.is_empty() && !is_name_part(value) {
        messages.push(regex_error(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?",
            &["MyValue", "my_value", "12345"],
        ));
    }
    messages
}

/// A `generateName` prefix may end in a dash: what follows it will not.
fn mask_trailing_dash(name: &str) -> String {
    match name.strip_suffix('-') {
        Some(stem) if !stem.is_empty() => format!("{stem}{GENERATED_SUFFIX}"),
        _ => name.into(),
    }
}

/// Objects named by a DNS subdomain: most kinds. `prefix` for `generateName`.
pub fn subdomain_name(name: &str, prefix: bool) -> Vec<String> {
    if prefix { dns1123_subdomain(&mask_trailing_dash(name)) } else { dns1123_subdomain(name) }
}

/// Objects named by a DNS label: Namespace.
pub fn label_name(name: &str, prefix: bool) -> Vec<String> {
    if prefix { dns1123_label(&mask_trailing_dash(name)) } else { dns1123_label(name) }
}

/// Objects named by a label of RFC 1035: Service.
pub fn label_1035_name(name: &str, prefix: bool) -> Vec<String> {
    if prefix { dns1035_label(&mask_trailing_dash(name)) } else { dns1035_label(name) }
}

/// Objects named by a path segment: RBAC's kinds.
pub fn path_segment_name(name: &str, prefix: bool) -> Vec<String> {
    let mut messages = Vec::new();
    if !prefix && (name == "." || name == "..") {
        messages.push(format!("may not be '{name}'"));
    }
    for part in ["/", "%"] {
        if name.contains(part) {
            messages.push(format!("may not contain '{part}'"));
        }
    }
    messages
}
