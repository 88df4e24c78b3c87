//! Values: numbers, texts, and input that is either.

use std::cmp::Ordering;

use super::parse::number_length;
use crate::programs::escape;

/// A value.
#[derive(Clone, Debug, Default)]
pub(super) enum Value {
    /// Not assigned yet: 0 and the empty text.
    #[default]
    Unset,
    Number(f64),
    Text(String),
    /// A field or a line read: a number where it looks like one.
    Input(String),
}

impl Value {
    pub(super) fn number(&self) -> f64 {
        match self {
            Self::Unset => 0.0,
            Self::Number(number) => *number,
            Self::Text(text) | Self::Input(text) => {
                let text = text.trim_start();
                text.get(..number_length(text)).and_then(|digits| digits.parse().ok()).unwrap_or(0.0)
            }
        }
    }

    /// As text; a number that is not whole by a format such as `%.6g`.
    pub(super) fn text(&self, format: &str) -> String {
        match self {
            Self::Unset => String::new(),
            Self::Number(number) => number_text(*number, format),
            Self::Text(text) | Self::Input(text) => text.clone(),
        }
    }

    pub(super) fn holds(&self) -> bool {
        match self {
            Self::Unset => false,
            Self::Number(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::Input(text) => {
                if looks_numeric(text) {
                    self.number() != 0.0
                } else {
                    !text.is_empty()
                }
            }
        }
    }

    fn is_numeric(&self) -> bool {
        match self {
            Self::Unset | Self::Number(_) => true,
            Self::Text(_) => false,
            Self::Input(text) => looks_numeric(text),
        }
    }

    /// By number if both are numbers, else as texts.
    pub(super) fn compare(&self, other: &Self, format: &str) -> Ordering {
        if self.is_numeric() && other.is_numeric() {
            return self.number().partial_cmp(&other.number()).unwrap_or(Ordering::Equal);
        }
        self.text(format).cmp(&other.text(format))
    }
}

fn looks_numeric(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && number_length(text) == text.len()
}

fn number_text(number: f64, format: &str) -> String {
    if number.fract() == 0.0 && number.abs() < 1e16 {
        return format!("{number:.0}").replace("-0", if number == 0.0 { "0" } else { "-0" });
    }
    let conversion = format.chars().last().unwrap_or('g');
    let spec = format.trim_start_matches('%').trim_end_matches(conversion);
    escape::convert(conversion, spec, &number.to_string()).unwrap_or_else(|_| number.to_string())
}
