//! Field paths and validation errors, in upstream's words (apimachinery `util/validation/field`).

use std::fmt;

use serde_json::Value;

use crate::go;

/// Where a field is: a step, and the path above it. Paths borrow their parents and cost nothing until
/// they are printed: `Path::new("spec").child("containers").index(0)`, or, to keep one in a variable,
/// `Path::new("spec.containers")`.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'a> {
    Name(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    /// A path from the object's root. The name may hold several steps: `spec.template`.
    pub const fn new(name: &'a str) -> Self {
        Self { parent: None, step: Step::Name(name) }
    }

    /// A field below this one. The name may hold several steps.
    pub const fn child(&'a self, name: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Name(name) }
    }

    /// An item of this list.
    pub const fn index(&'a self, index: usize) -> Self {
        Self { parent: Some(self), step: Step::Index(index) }
    }

    /// A value of this map.
    pub const fn key(&'a self, key: &'a str) -> Self {
        Self { parent: Some(self), step: Step::Key(key) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            parent.fmt(f)?;
        }
        match (self.step, self.parent) {
            (Step::Name(name), None) => f.write_str(name),
            (Step::Name(name), Some(_)) => write!(f, ".{name}"),
            (Step::Index(index), _) => write!(f, "[{index}]"),
            (Step::Key(key), _) => write!(f, "[{key}]"),
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Something the field refers to does not exist.
    NotFound,
    /// The field must have a value.
    Required,
    /// Two values that must differ do not.
    Duplicate,
    /// The value is malformed or out of bounds.
    Invalid,
    /// The value is not one of those the field can have.
    NotSupported,
    /// The value may not be set here and now.
    Forbidden,
    /// The value is too long.
    TooLong,
    /// The value is too short.
    TooShort,
    /// The list has too many items.
    TooMany,
    /// The list has too few items.
    TooFew,
    /// The value has the wrong type for its schema.
    TypeInvalid,
    /// Not the user's fault.
    Internal,
}

impl ErrorKind {
    /// The machine-readable form, as in `details.causes[].reason` of a Status: `FieldValueRequired`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooShort => "FieldValueTooShort",
            Self::TooMany => "FieldValueTooMany",
            Self::TooFew => "FieldValueTooFew",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }

    /// The words people read: `Required value`.
    pub fn title(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooShort => "Too short",
            Self::TooMany => "Too many",
            Self::TooFew => "Too few",
            Self::Internal => "Internal error",
        }
    }

    fn shows_value(self) -> bool {
        !matches!(self, Self::Required | Self::Forbidden | Self::TooLong | Self::TooShort | Self::Internal)
    }
}

/// One validation error: `spec.replicas: Invalid value: -1: must be greater than or equal to 0`.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The field's path.
    pub field: String,
    /// The offending value; `None` to leave it out of the message.
    pub bad_value: Option<Value>,
    /// More words; empty for none.
    pub detail: String,
}

/// Validation errors in the order they were found.
pub type ErrorList = Vec<Error>;

impl Error {
    fn new(kind: ErrorKind, path: &Path<'_>, bad_value: Option<Value>, detail: impl Into<String>) -> Self {
        Self { kind, field: path.to_string(), bad_value, detail: detail.into() }
    }

    /// The field must have a value.
    pub fn required(path: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Required, path, None, detail)
    }

    /// The value is malformed or out of bounds.
    pub fn invalid(path: &Path<'_>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, path, Some(value.into()), detail)
    }

    /// The value has the wrong type for its schema.
    pub fn type_invalid(path: &Path<'_>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::TypeInvalid, path, Some(value.into()), detail)
    }

    /// The value is not one of `supported`, which are listed in the order given.
    pub fn not_supported(path: &Path<'_>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let quoted: Vec<_> = supported.iter().map(|value| go::quote(value)).collect();
        let detail = if quoted.is_empty() { String::new() } else { format!("supported values: {}", quoted.join(", ")) };
        Self::new(ErrorKind::NotSupported, path, Some(value.into()), detail)
    }

    /// The value is there already.
    pub fn duplicate(path: &Path<'_>, value: impl Into<Value>) -> Self {
        Self::new(ErrorKind::Duplicate, path, Some(value.into()), "")
    }

    /// What the value refers to does not exist.
    pub fn not_found(path: &Path<'_>, value: impl Into<Value>) -> Self {
        Self::new(ErrorKind::NotFound, path, Some(value.into()), "")
    }

    /// The field may not be set, or changed, here and now.
    pub fn forbidden(path: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Forbidden, path, None, detail)
    }

    /// The value has more than `bytes_max` bytes.
    pub fn too_long(path: &Path<'_>, bytes_max: usize) -> Self {
        let unit = if bytes_max == 1 { "byte" } else { "bytes" };
        Self::new(ErrorKind::TooLong, path, None, format!("may not be more than {bytes_max} {unit}"))
    }

    /// The value has fewer than `characters_min` characters.
    pub fn too_short(path: &Path<'_>, characters_min: usize) -> Self {
        let unit = if characters_min == 1 { "character" } else { "characters" };
        Self::new(ErrorKind::TooShort, path, None, format!("must be at least {characters_min} {unit}"))
    }

    /// The list has more than `items_max` items.
    pub fn too_many(path: &Path<'_>, items: usize, items_max: usize) -> Self {
        let unit = if items_max == 1 { "item" } else { "items" };
        Self::new(ErrorKind::TooMany, path, Some(items.into()), format!("must have at most {items_max} {unit}"))
    }

    /// The list has fewer than `items_min` items.
    pub fn too_few(path: &Path<'_>, items: usize, items_min: usize) -> Self {
        let unit = if items_min == 1 { "item" } else { "items" };
        Self::new(ErrorKind::TooFew, path, Some(items.into()), format!("must have at least {items_min} {unit}"))
    }

    /// Something went wrong that is not the user's fault.
    pub fn internal(path: &Path<'_>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, path, None, detail)
    }

    /// The message without the field's path, as in `details.causes[].message` of a Status.
    pub fn body(&self) -> String {
        let mut body = self.kind.title().to_owned();
        if let Some(value) = self.bad_value.as_ref().filter(|_| self.kind.shows_value()) {
            body.push_str(": ");
            body.push_str(&match value {
                Value::String(text) => go::quote(text),
                value => go::json(value),
            });
        }
        if !self.detail.is_empty() {
            body.push_str(": ");
            body.push_str(&self.detail);
        }
        body
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

impl std::error::Error for Error {}

/// Several errors as one message: a single one as it is, more as `[a, b]`, none twice. Empty for none.
pub fn aggregate(errors: &[Error]) -> String {
    let mut messages: Vec<String> = Vec::new();
    for message in errors.iter().map(Error::to_string) {
        if !messages.contains(&message) {
            messages.push(message);
        }
    }
    match messages.len() {
        0 => String::new(),
        1 => messages.swap_remove(0),
        _ => format!("[{}]", messages.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_upstream() {
        let spec = Path::new("spec");
        assert_eq!(spec.child("containers").index(0).child("name").to_string(), "spec.containers[0].name");
        assert_eq!(Path::new("metadata.labels").key("a/b").to_string(), "metadata.labels[a/b]");
    }

    #[test]
    fn errors_print_as_upstream() {
        let path = Path::new("spec.x");
        let cases = [
            (Error::required(&path, ""), "spec.x: Required value"),
            (
                Error::invalid(&path, -1, "must be greater than or equal to 0"),
                "spec.x: Invalid value: -1: must be greater than or equal to 0",
            ),
            (Error::invalid(&path, "a\"", ""), r#"spec.x: Invalid value: "a\"""#),
            (
                Error::not_supported(&path, "x", &["A", "B"]),
                r#"spec.x: Unsupported value: "x": supported values: "A", "B""#,
            ),
            (Error::duplicate(&path, serde_json::json!({"a": 1})), r#"spec.x: Duplicate value: {"a":1}"#),
            (Error::forbidden(&path, "no"), "spec.x: Forbidden: no"),
            (Error::too_long(&path, 63), "spec.x: Too long: may not be more than 63 bytes"),
            (Error::too_many(&path, 3, 1), "spec.x: Too many: 3: must have at most 1 item"),
            (Error::not_found(&path, "v"), r#"spec.x: Not found: "v""#),
        ];
        for (error, expected) in &cases {
            assert_eq!(&error.to_string(), expected);
        }
        let (a, b) = (cases[0].0.clone(), cases[5].0.clone());
        assert_eq!(aggregate(&[a.clone(), b, a]), "[spec.x: Required value, spec.x: Forbidden: no]");
    }
}
