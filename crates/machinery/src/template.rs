//! Go templates as `kubectl -o go-template` has them (`text/template`, with `exists` and
//! `base64decode`): `{{range .items}}{{.metadata.name}}{{"\n"}}{{end}}`.
//!
//! As in kubectl, every number of the data is a float: `{{eq .spec.replicas 3}}` compares incompatible
//! types there, and here.

mod eval;
mod format;
mod functions;
mod lex;
mod parse;
mod value;

use std::collections::BTreeMap;

use serde_json::Value;

/// A template that cannot be read, or does not fit the data, in Go's words: `template: output:1: unclosed
/// action`, `template: output:1:7: executing "output" at <.data.a.b>: …`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template: output:{0}")]
pub struct TemplateError(String);

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    source: String,
    root: Vec<Node>,
    defined: BTreeMap<String, Vec<Node>>,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// With Go's message, to which kubectl adds `error parsing template …`.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        let (root, defined) = parse::parse(source)?;
        Ok(Self { source: source.into(), root, defined })
    }

    /// Fills the template in. What was written before an error is lost.
    ///
    /// # Errors
    /// With Go's message.
    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        eval::render(self, data)
    }

    /// Line and column of a place, as errors have them.
    fn position(&self, at: usize) -> String {
        let before = self.source.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rfind('\n').map_or(at, |newline| at - newline - 1);
        format!("{line}:{column}")
    }
}

/// From where to where something stands in the source, in bytes.
type Span = std::ops::Range<usize>;

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    /// `{{pipeline}}`
    Action(Pipe),
    /// `{{if}}` and `{{with}}`; `with` makes the value the dot.
    If {
        pipe: Pipe,
        with: bool,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        pipe: Pipe,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    /// `{{template "name" pipeline}}`
    Template {
        name: String,
        pipe: Option<Pipe>,
        at: usize,
    },
    Break,
    Continue,
}

/// `$a, $b := command | command`
#[derive(Clone, Debug)]
struct Pipe {
    variables: Vec<String>,
    /// `=` instead of `:=`
    assigns: bool,
    commands: Vec<Command>,
    span: Span,
}

#[derive(Clone, Debug)]
struct Command {
    /// A function, or a single operand.
    operands: Vec<Operand>,
    span: Span,
}

#[derive(Clone, Debug)]
struct Operand {
    kind: OperandKind,
    /// `.a.b` after it.
    fields: Vec<String>,
    span: Span,
    /// Where errors point: the second field of several.
    at: usize,
}

#[derive(Clone, Debug)]
enum OperandKind {
    /// `.`, with `fields`: `.a.b`
    Dot,
    Nil,
    Literal(Literal),
    Variable(String),
    Function(String),
    Pipe(Box<Pipe>),
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A number too large for an integer, as it is written.
    Overflow(String),
}

#[cfg(test)]
mod tests;
