//! What templates compute with.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::format;

/// A value of the data, or of the template itself.
#[derive(Clone, Debug)]
pub(super) enum Val<'a> {
    /// A field that is not there: `<no value>`.
    Missing,
    Nil,
    Bool(bool),
    /// Only of the template: `3`, `len`.
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(&'a [Value]),
    Map(&'a Map<String, Value>),
}

impl<'a> From<&'a Value> for Val<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Nil,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::Float(number.as_f64().unwrap_or_default()),
            Value::String(text) => Self::Text(text.into()),
            Value::Array(items) => Self::List(items),
            Value::Object(fields) => Self::Map(fields),
        }
    }
}

impl Val<'_> {
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Missing | Self::Nil => false,
            Self::Bool(flag) => *flag,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(fields) => !fields.is_empty(),
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Missing | Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
        }
    }

    /// What an action prints.
    pub(super) fn print(&self) -> String {
        match self {
            Self::Missing | Self::Nil => "<no value>".into(),
            value => format::verb(value, 'v', &format::Flags::default()),
        }
    }
}
