//! Field paths and validation errors with upstream's wording (apimachinery's `util/validation/field`).

use std::fmt;

use serde_json::Value;

/// Several errors, in the order they were found.
pub type ErrorList = Vec<Error>;

/// Where in an object: `spec.containers[0].image`, `metadata.labels[app]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// A field at the top.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// A field of this one.
    pub fn child(&self, name: &str) -> Self {
        Self(if self.0.is_empty() { name.into() } else { format!("{}.{name}", self.0) })
    }

    /// An item of this list.
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// A value of this map.
    pub fn key(&self, key: &str) -> Self {
        Self(format!("{}[{key}]", self.0))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of error it is; a Status cause's `reason` is [`ErrorType::reason`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorType {
    /// A reference to something that is not there.
    NotFound,
    /// A value that must be there and is not.
    Required,
    /// A value that is there twice.
    Duplicate,
    /// A value that breaks a rule.
    Invalid,
    /// A value out of a list of values.
    NotSupported,
    /// A value that is well-formed but not allowed here.
    Forbidden,
    /// A value longer than it may be.
    TooLong,
    /// A list longer than it may be.
    TooMany,
    /// A value that does not fit its type.
    TypeInvalid,
}

impl ErrorType {
    /// `FieldValueInvalid`, ….
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::TypeInvalid => "Invalid value",
        }
    }
}

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What kind of error.
    pub kind: ErrorType,
    /// Where.
    pub field: String,
    /// The value; not shown for kinds of error that are about its absence.
    pub bad_value: Value,
    /// What the rule is; may be empty.
    pub detail: String,
}

impl Error {
    fn new(kind: ErrorType, path: &Path, bad_value: Value, detail: impl Into<String>) -> Self {
        Self { kind, field: path.to_string(), bad_value, detail: detail.into() }
    }

    /// `Required value`, with what to do about it or "".
    pub fn required(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Required, path, Value::Null, detail)
    }

    /// `Invalid value: …: detail`.
    pub fn invalid(path: &Path, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Invalid, path, value.into(), detail)
    }

    /// `Duplicate value: …`.
    pub fn duplicate(path: &Path, value: impl Into<Value>) -> Self {
        Self::new(ErrorType::Duplicate, path, value.into(), "")
    }

    /// `Not found: …`.
    pub fn not_found(path: &Path, value: impl Into<Value>) -> Self {
        Self::new(ErrorType::NotFound, path, value.into(), "")
    }

    /// `Forbidden: detail`.
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(ErrorType::Forbidden, path, Value::Null, detail)
    }

    /// `Unsupported value: …: supported values: …`.
    pub fn not_supported(path: &Path, value: impl Into<Value>, supported: &[&str]) -> Self {
        let mut supported: Vec<String> = supported.iter().map(|value| format!("{value:?}")).collect();
        supported.sort();
        let detail =
            if supported.is_empty() { String::new() } else { format!("supported values: {}", supported.join(", ")) };
        Self::new(ErrorType::NotSupported, path, value.into(), detail)
    }

    /// `Too long: may not be more than … bytes`.
    pub fn too_long(path: &Path, bytes_max: usize) -> Self {
        Self::new(ErrorType::TooLong, path, Value::Null, format!("may not be more than {bytes_max} bytes"))
    }

    /// `Too many: …: must have at most … items`.
    pub fn too_many(path: &Path, actual: usize, items_max: usize) -> Self {
        let items = if items_max == 1 { "item" } else { "items" };
        Self::new(ErrorType::TooMany, path, actual.into(), format!("must have at most {items_max} {items}"))
    }

    /// The error without its field, as a Status cause's `message` has it.
    pub fn body(&self) -> String {
        let text = self.kind.text();
        let head = match self.kind {
            ErrorType::Required | ErrorType::Forbidden | ErrorType::TooLong => text.to_owned(),
            _ => format!("{text}: {}", self.bad_value),
        };
        if self.detail.is_empty() { head } else { format!("{head}: {}", self.detail) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}
