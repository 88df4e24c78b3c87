//! Small checks that validations are made of.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use machinery::field::{Error, ErrorList, Path};
use machinery::names::{is_percent, is_port_name, is_port_number};
use machinery::raw;
use machinery::sort::Order;
use serde::Serialize;
use serde_json::Value;

/// What is said of numbers below 0.
pub const NONNEGATIVE: &str = "must be greater than or equal to 0";
/// What is said of texts that are no address.
pub(super) const IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// A value as errors show it.
pub fn shown<T: Serialize>(value: &T) -> Value {
    machinery::object::to_value(value)
}

/// The fields of a value that are set, in order.
pub fn fields_set<T: Serialize>(value: &T) -> Vec<String> {
    let text = machinery::json::to_vec(value).unwrap_or_default();
    let mut names: Vec<String> = raw::members(&text).map(|(name, _)| raw::text(name)).collect();
    names.order();
    names
}

/// Each complaint about a value is an error.
pub fn complain(errors: &mut ErrorList, path: &Path<'_>, value: &str, complaints: Vec<String>) {
    errors.extend(complaints.into_iter().map(|complaint| Error::invalid(path, value, complaint)));
}

/// A text that must be there, and then must please a rule.
pub fn required(errors: &mut ErrorList, path: &Path<'_>, value: &str, rule: fn(&str) -> Vec<String>) {
    match value {
        "" => errors.push(Error::required(path, "")),
        value => complain(errors, path, value, rule(value)),
    }
}

/// No rule beyond being there.
pub fn anything(_: &str) -> Vec<String> {
    Vec::new()
}

/// A text that must please a rule, if it is there.
pub fn optional(errors: &mut ErrorList, path: &Path<'_>, value: Option<&str>, rule: fn(&str) -> Vec<String>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        complain(errors, path, value, rule(value));
    }
}

/// A number that may not be negative.
pub fn nonnegative(errors: &mut ErrorList, path: &Path<'_>, value: impl Into<i64>) {
    let value = value.into();
    if value < 0 {
        errors.push(Error::invalid(path, value, NONNEGATIVE));
    }
}

/// A word out of a list; absent is an error of its own.
pub fn one_of(errors: &mut ErrorList, path: &Path<'_>, value: Option<&str>, supported: &[&str]) {
    match value.unwrap_or_default() {
        "" => errors.push(Error::required(path, "")),
        value if supported.contains(&value) => {}
        value => errors.push(Error::not_supported(path, value, supported)),
    }
}

/// A word out of a list, if it is there.
pub fn optional_one_of(errors: &mut ErrorList, path: &Path<'_>, value: Option<&str>, supported: &[&str]) {
    if value.is_some_and(|value| !supported.contains(&value)) {
        errors.push(Error::not_supported(path, value.unwrap_or_default(), supported));
    }
}

/// A port's number.
pub fn port_number(errors: &mut ErrorList, path: &Path<'_>, port: i32) {
    errors.extend(is_port_number(port.into()).into_iter().map(|complaint| Error::invalid(path, port, complaint)));
}

/// A port's number or name.
pub fn port(errors: &mut ErrorList, path: &Path<'_>, port: &IntOrString) {
    match port {
        IntOrString::Int(number) => port_number(errors, path, *number),
        IntOrString::String(name) => complain(errors, path, name, is_port_name(name)),
    }
}

/// A count or a percentage, neither negative.
pub fn count_or_percent(errors: &mut ErrorList, path: &Path<'_>, value: &IntOrString) {
    match value {
        IntOrString::Int(count) => nonnegative(errors, path, *count),
        IntOrString::String(text) => complain(errors, path, text, is_percent(text)),
    }
}

/// A percentage of at most 100, if it is one.
pub fn at_most_all(errors: &mut ErrorList, path: &Path<'_>, value: &IntOrString) {
    if percent(value).is_some_and(|percent| percent > 100) {
        errors.push(Error::invalid(path, shown(value), "must not be greater than 100%"));
    }
}

/// The number before the percent sign.
pub fn percent(value: &IntOrString) -> Option<u64> {
    match value {
        IntOrString::String(text) => text.strip_suffix('%')?.parse().ok(),
        IntOrString::Int(_) => None,
    }
}

/// An address of either family.
pub fn ip(errors: &mut ErrorList, path: &Path<'_>, address: &str) {
    if address.parse::<IpAddr>().is_err() {
        errors.push(Error::invalid(path, address, IP));
    }
}

/// Keys of a map as a set of two texts each (ConfigMap, Secret): in order, with their paths.
pub fn keys<V>(
    errors: &mut ErrorList,
    path: &Path<'_>,
    map: Option<&BTreeMap<String, V>>,
    rule: fn(&str) -> Vec<String>,
) {
    for key in map.into_iter().flat_map(BTreeMap::keys) {
        complain(errors, &path.key(key), key, rule(key));
    }
}

/// A relative path that stays below where it starts.
pub fn descending_path(errors: &mut ErrorList, path: &Path<'_>, value: &str) {
    if value.starts_with('/') {
        errors.push(Error::invalid(path, value, "must be a relative path"));
    }
    no_backsteps(errors, path, value);
}

/// A path without `..`.
pub fn no_backsteps(errors: &mut ErrorList, path: &Path<'_>, value: &str) {
    if value.split('/').any(|part| part == "..") {
        errors.push(Error::invalid(path, value, "must not contain '..'"));
    }
}

/// Whether two values are the same, an empty list or map being the same as none.
pub fn same<T: PartialEq + Serialize>(a: &T, b: &T) -> bool {
    a == b || without_empty(shown(a)) == without_empty(shown(b))
}

fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(key, value)| (key, without_empty(value)));
            Value::Object(fields.filter(|(_, value)| *value != Value::Null).collect())
        }
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => Value::Array(items.into_iter().map(without_empty).collect()),
        other => other,
    }
}
