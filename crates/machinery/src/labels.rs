//! Label selectors: upstream's string grammar, matching and messages (apimachinery `labels`).

mod parse;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::field::{Error, ErrorList, Path};
use crate::sort::Order;
use crate::{go, names};

/// Labels, or annotations.
pub type Labels = BTreeMap<String, String>;

/// How a requirement relates a label to its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `key in (a,b)`
    In,
    /// `key notin (a,b)`; also where the label is absent
    NotIn,
    /// `key=a`
    Equals,
    /// `key==a`
    DoubleEquals,
    /// `key!=a`; also where the label is absent
    NotEquals,
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key>1`, integers
    GreaterThan,
    /// `key<1`, integers
    LessThan,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// The label.
    pub key: String,
    /// The relation.
    pub operator: Operator,
    /// The values; one for the equalities and inequalities, none for existence.
    pub values: Vec<String>,
}

impl Requirement {
    /// Whether labels meet the condition.
    pub fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(|v| self.values.contains(v)),
            Operator::NotIn | Operator::NotEquals => value.is_none_or(|v| !self.values.contains(v)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let number = value.and_then(|v| v.parse::<i64>().ok());
                let bound = self.values.first().and_then(|v| v.parse::<i64>().ok());
                match (number, bound) {
                    (Some(number), Some(bound)) if self.operator == Operator::GreaterThan => number > bound,
                    (Some(number), Some(bound)) => number < bound,
                    _ => false,
                }
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, operator, values } = self;
        let mut sorted = values.clone();
        sorted.order();
        let values = sorted.join(",");
        match operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// A condition on labels: all of some requirements, or nothing at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector(Option<Vec<Requirement>>);

/// A selector that cannot be read; `Display` has upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);

impl Selector {
    /// Matches everything.
    pub fn everything() -> Self {
        Self(Some(Vec::new()))
    }

    /// Matches nothing.
    pub fn nothing() -> Self {
        Self(None)
    }

    /// Reads the string form: `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`. Empty matches everything.
    ///
    /// # Errors
    /// With upstream's message.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        parse::parse(text).map(Self::from_requirements)
    }

    /// All of the requirements, in key order.
    pub fn from_requirements(mut requirements: Vec<Requirement>) -> Self {
        requirements.order_by(|a, b| a.key.cmp(&b.key));
        Self(Some(requirements))
    }

    /// Each of the labels with its value, as the selectors of Services and ReplicationControllers have it.
    pub fn from_set(labels: &Labels) -> Self {
        let equals = |(key, value): (&String, &String)| Requirement {
            key: key.clone(),
            operator: Operator::Equals,
            values: vec![value.clone()],
        };
        Self(Some(labels.iter().map(equals).collect()))
    }

    /// A `LabelSelector` as a selector; none matches nothing, an empty one everything.
    ///
    /// # Errors
    /// For an operator that is none, or values that do not fit theirs.
    pub fn from_label_selector(selector: Option<&LabelSelector>) -> Result<Self, SelectorError> {
        let Some(selector) = selector else { return Ok(Self::nothing()) };
        let mut requirements = Self::from_set(&selector.match_labels.clone().unwrap_or_default()).0.unwrap_or_default();
        for expression in selector.match_expressions.iter().flatten() {
            let operator = match expression.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(SelectorError(format!("{} is not a valid label selector operator", go::quote(other))));
                }
            };
            let values = expression.values.clone().unwrap_or_default();
            requirements.push(parse::requirement(&expression.key, operator, values)?);
        }
        Ok(Self::from_requirements(requirements))
    }

    /// Whether labels meet every requirement. Takes `&Labels` or `Option<&Labels>`.
    pub fn matches<'a>(&self, labels: impl Into<Option<&'a Labels>>) -> bool {
        static EMPTY: Labels = Labels::new();
        let labels = labels.into().unwrap_or(&EMPTY);
        self.0.as_ref().is_some_and(|requirements| requirements.iter().all(|one| one.matches(labels)))
    }

    /// Whether everything matches.
    pub fn is_everything(&self) -> bool {
        self.0.as_ref().is_some_and(Vec::is_empty)
    }

    /// The requirements in key order; `None` for the selector that matches nothing.
    pub fn requirements(&self) -> Option<&[Requirement]> {
        self.0.as_deref()
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.0.iter().flatten().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            requirement.fmt(f)?;
        }
        Ok(())
    }
}

/// A `LabelSelector` as kubectl prints it: `a=b,c in (d)`, `<none>` for none or an empty one,
/// `<error>` for one that cannot be read.
pub fn format_label_selector(selector: Option<&LabelSelector>) -> String {
    match Selector::from_label_selector(selector) {
        Ok(selector) => Some(selector.to_string()).filter(|text| !text.is_empty()).unwrap_or_else(|| "<none>".into()),
        Err(_) => "<error>".into(),
    }
}

/// Validates an object's labels.
pub fn validate_labels(labels: Option<&Labels>, path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    for (key, value) in labels.into_iter().flatten() {
        errors.extend(names::is_qualified_name(key).into_iter().map(|text| Error::invalid(path, key.as_str(), text)));
        let at = path.key(key);
        errors.extend(names::is_label_value(value).into_iter().map(|text| Error::invalid(&at, value.as_str(), text)));
    }
    errors
}

/// Validates a `LabelSelector`.
pub fn validate_label_selector(selector: Option<&LabelSelector>, path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    let Some(selector) = selector else { return errors };
    errors.extend(validate_labels(selector.match_labels.as_ref(), &path.child("matchLabels")));
    let expressions = path.child("matchExpressions");
    for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
        let at = expressions.index(index);
        let values = expression.values.as_deref().unwrap_or_default();
        match expression.operator.as_str() {
            "In" | "NotIn" if values.is_empty() => errors
                .push(Error::required(&at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'")),
            "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(Error::forbidden(
                &at.child("values"),
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
            )),
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => errors.push(Error::invalid(&at.child("operator"), other, "not a valid selector operator")),
        }
        for text in names::is_qualified_name(&expression.key) {
            errors.push(Error::invalid(&at.child("key"), expression.key.as_str(), text));
        }
        for (position, value) in values.iter().enumerate() {
            let at = at.child("values");
            let at = at.index(position);
            errors
                .extend(names::is_label_value(value).into_iter().map(|text| Error::invalid(&at, value.as_str(), text)));
        }
    }
    errors
}
