//! Which names are valid, and upstream's words for those that are not (apimachinery `util/validation`).
//!
//! Each check returns its messages; an empty list means valid.

/// Longest DNS label, in bytes.
pub const DNS_LABEL_LENGTH_MAX: usize = 63;
/// Longest DNS subdomain, in bytes.
pub const DNS_SUBDOMAIN_LENGTH_MAX: usize = 253;

const DNS1123_LABEL_FORMAT: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN_FORMAT: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const QUALIFIED_FORMAT: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const QUALIFIED_MESSAGE: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// `must be no more than 63 characters`.
pub fn max_length_message(length: usize) -> String {
    format!("must be no more than {length} characters")
}

/// A message with examples and the regular expression behind the check.
pub fn regex_message(message: &str, format: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{message} (regex used for validation is '{format}')");
    }
    let examples: Vec<_> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{message} (e.g. {}regex used for validation is '{format}')", examples.join(" or "))
}

/// `must be between 1 and 65535, inclusive`.
pub fn range_message(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

fn framed(text: &str, edge: fn(u8) -> bool, inner: fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(&first), Some(&last)) => edge(first) && edge(last) && bytes.iter().all(|&byte| inner(byte)),
        _ => false,
    }
}

fn lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn dns_label_shape(text: &str) -> bool {
    framed(text, lower_alphanumeric, |byte| lower_alphanumeric(byte) || byte == b'-')
}

fn qualified_shape(text: &str) -> bool {
    framed(text, alphanumeric, |byte| alphanumeric(byte) || matches!(byte, b'-' | b'_' | b'.'))
}

/// A label in DNS (RFC 1123), as the names of namespaces and containers are.
pub fn is_dns1123_label(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > DNS_LABEL_LENGTH_MAX {
        messages.push(max_length_message(DNS_LABEL_LENGTH_MAX));
    }
    if !dns_label_shape(value) {
        messages.push(if value.split('.').all(dns_label_shape) {
            "must not contain dots".into()
        } else {
            regex_message(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
                 and must start and end with an alphanumeric character",
                DNS1123_LABEL_FORMAT,
                &["my-name", "123-abc"],
            )
        });
    }
    messages
}

/// A subdomain in DNS (RFC 1123), as most objects' names are.
pub fn is_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > DNS_SUBDOMAIN_LENGTH_MAX {
        messages.push(max_length_message(DNS_SUBDOMAIN_LENGTH_MAX));
    }
    if !value.split('.').all(dns_label_shape) {
        messages.push(regex_message(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
             and must start and end with an alphanumeric character",
            DNS1123_SUBDOMAIN_FORMAT,
            &["example.com"],
        ));
    }
    messages
}

/// A subdomain whose first label is `*`, as in Ingress hosts.
pub fn is_wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > DNS_SUBDOMAIN_LENGTH_MAX {
        messages.push(max_length_message(DNS_SUBDOMAIN_LENGTH_MAX));
    }
    if !value.strip_prefix("*.").is_some_and(|rest| rest.split('.').all(dns_label_shape)) {
        messages.push(regex_message(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, \
             which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{DNS1123_SUBDOMAIN_FORMAT}"),
            &["*.example.com"],
        ));
    }
    messages
}

/// A label in DNS (RFC 1035), as Services' names are: starts with a letter.
pub fn is_dns1035_label(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > DNS_LABEL_LENGTH_MAX {
        messages.push(max_length_message(DNS_LABEL_LENGTH_MAX));
    }
    if !(dns_label_shape(value) && value.starts_with(|c: char| c.is_ascii_lowercase())) {
        messages.push(regex_message(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', \
             start with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    messages
}

/// A key of labels and annotations: a name, optionally below a DNS subdomain (`example.com/name`).
pub fn is_qualified_name(value: &str) -> Vec<String> {
    const EXAMPLES: &[&str] = &["MyName", "my.name", "123-abc"];
    let mut messages = Vec::new();
    let parts: Vec<&str> = value.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                messages.push("prefix part must be non-empty".into());
            } else {
                messages.extend(is_dns1123_subdomain(prefix).into_iter().map(|text| format!("prefix part {text}")));
            }
            name
        }
        _ => {
            let message = regex_message(&format!("a valid label key {QUALIFIED_MESSAGE}"), QUALIFIED_FORMAT, EXAMPLES);
            return vec![format!(
                "{message} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        messages.push("name part must be non-empty".into());
    } else if name.len() > DNS_LABEL_LENGTH_MAX {
        messages.push(format!("name part {}", max_length_message(DNS_LABEL_LENGTH_MAX)));
    }
    if !qualified_shape(name) {
        messages.push(format!("name part {}", regex_message(QUALIFIED_MESSAGE, QUALIFIED_FORMAT, EXAMPLES)));
    }
    messages
}

/// A label's value: empty, or as a qualified name's last part.
pub fn is_label_value(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > DNS_LABEL_LENGTH_MAX {
        messages.push(max_length_message(DNS_LABEL_LENGTH_MAX));
    }
    if !value.is_empty() && !qualified_shape(value) {
        messages.push(regex_message(
            &format!(
                "a valid label must be an empty string or consist of {}",
                &QUALIFIED_MESSAGE["must consist of ".len()..]
            ),
            &format!("({QUALIFIED_FORMAT})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    messages
}

/// A port number from 1 to 65535.
pub fn is_port_number(port: i64) -> Vec<String> {
    if (1..=65535).contains(&port) { Vec::new() } else { vec![range_message(1, 65535)] }
}

/// A container port's name (RFC 6335): at most 15 of `[-a-z0-9]` with at least one letter.
pub fn is_port_name(port: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if port.len() > 15 {
        messages.push(max_length_message(15));
    }
    if port.is_empty() || !port.bytes().all(|byte| lower_alphanumeric(byte) || byte == b'-') {
        messages.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !port.bytes().any(|byte| byte.is_ascii_lowercase()) {
        messages.push("must contain at least one letter (a-z)".into());
    }
    if port.contains("--") {
        messages.push("must not contain consecutive hyphens".into());
    }
    if port.starts_with('-') || port.ends_with('-') {
        messages.push("must not begin or end with a hyphen".into());
    }
    messages
}

/// An environment variable's name: printable ASCII other than `=`.
pub fn is_env_var_name(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.is_empty() {
        messages.push("environment variable name must be non-empty".into());
    }
    if !value.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'=') {
        messages.push(
            "a valid environment variable name must consist only of printable ASCII characters other than '='".into(),
        );
    }
    messages
}

/// An identifier in C.
pub fn is_c_identifier(value: &str) -> Vec<String> {
    let valid = value.bytes().all(|byte| alphanumeric(byte) || byte == b'_')
        && value.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if valid {
        return Vec::new();
    }
    vec![regex_message(
        "a valid C identifier must start with alphabetic character or '_', \
         followed by a string of alphanumeric characters or '_'",
        "[A-Za-z_][A-Za-z0-9_]*",
        &["my_name", "MY_NAME", "MyName"],
    )]
}

/// A key of a ConfigMap or a Secret.
pub fn is_config_map_key(value: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if value.len() > DNS_SUBDOMAIN_LENGTH_MAX {
        messages.push(max_length_message(DNS_SUBDOMAIN_LENGTH_MAX));
    }
    if value.is_empty() || !value.bytes().all(|byte| alphanumeric(byte) || matches!(byte, b'-' | b'_' | b'.')) {
        messages.push(regex_message(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    match value {
        "." => messages.push("must not be '.'".into()),
        ".." => messages.push("must not be '..'".into()),
        _ if value.starts_with("..") => messages.push("must not start with '..'".into()),
        _ => {}
    }
    messages
}

/// A percentage such as `25%`.
pub fn is_percent(value: &str) -> Vec<String> {
    let digits = value.strip_suffix('%').unwrap_or_default();
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Vec::new();
    }
    let message = "a valid percent string must be a numeric string followed by an ending '%'";
    vec![regex_message(message, "[0-9]+%", &["1%", "93%"])]
}

/// An HTTP header's name.
pub fn is_http_header_name(value: &str) -> Vec<String> {
    if !value.is_empty() && value.bytes().all(|byte| alphanumeric(byte) || byte == b'-') {
        return Vec::new();
    }
    let message = "a valid HTTP header must consist of alphanumeric characters or '-'";
    vec![regex_message(message, "[-A-Za-z0-9]+", &["X-Header-Name"])]
}

/// A name that can be one segment of a URL path, as the names of RBAC objects are.
pub fn is_path_segment_name(name: &str) -> Vec<String> {
    if matches!(name, "." | "..") {
        return vec![format!("may not be '{name}'")];
    }
    ["/", "%"].into_iter().filter(|part| name.contains(part)).map(|part| format!("may not contain '{part}'")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_names_have_no_messages() {
        assert!(is_dns1123_label("my-name").is_empty());
        assert!(is_dns1123_subdomain("a.b-c.d").is_empty());
        assert!(is_dns1035_label("abc-123").is_empty());
        assert!(is_qualified_name("app.kubernetes.io/name").is_empty());
        assert!(is_label_value("").is_empty());
        assert!(is_port_name("http-2").is_empty());
        assert!(is_env_var_name("MY ENV.1").is_empty());
        assert!(is_config_map_key("..a").len() == 1);
        assert!(is_percent("25%").is_empty());
    }

    #[test]
    fn messages_are_upstreams() {
        assert_eq!(is_dns1123_label("a.b"), ["must not contain dots"]);
        assert_eq!(
            is_dns1123_subdomain("Web"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
        assert_eq!(
            is_label_value("a b"),
            [
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
            ]
        );
        assert_eq!(is_qualified_name("/x"), ["prefix part must be non-empty"]);
    }
}
