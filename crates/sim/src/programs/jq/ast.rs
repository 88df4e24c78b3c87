//! What a filter means.

use std::rc::Rc;

use serde_json::Value;

/// A filter.
pub(super) enum Filter {
    Identity,
    /// `..`
    Recurse,
    Literal(Value),
    /// A string with what `\(…)` puts into it, each made text by a format.
    Text(Option<String>, Vec<Part>),
    /// `@base64` and the like.
    Format(String),
    Array(Option<Node>),
    Object(Vec<(Node, Node)>),
    Index(Node, Node),
    Slice(Node, Option<Node>, Option<Node>),
    Iterate(Node),
    Negate(Node),
    Pipe(Node, Node),
    Comma(Node, Node),
    /// `+ - * / %`
    Arithmetic(char, Node, Node),
    Compare(&'static str, Node, Node),
    And(Node, Node),
    Or(Node, Node),
    /// `//`
    Alternative(Node, Node),
    /// `=`, `|=`, or an operator with `=`, given as its first character (`/` for `//=` is `A`).
    Assign(char, Node, Node),
    If(Vec<(Node, Node)>, Option<Node>),
    Try(Node, Option<Node>),
    Reduce(Node, Pattern, Node, Node),
    Foreach(Node, Pattern, Node, Node, Option<Node>),
    Define(Rc<Definition>, Node),
    Call(String, Vec<Node>),
    Variable(String),
    Bind(Node, Pattern, Node),
    Label(String, Node),
    Break(String),
}

pub(super) type Node = Rc<Filter>;

/// A part of a string.
pub(super) enum Part {
    Text(String),
    Filter(Node),
}

/// A function.
pub(super) struct Definition {
    pub(super) name: String,
    /// Parameters; those that begin with `$` are values.
    pub(super) params: Vec<String>,
    pub(super) body: Node,
}

/// What takes a value apart.
pub(super) enum Pattern {
    Variable(String),
    Array(Vec<Pattern>),
    /// A key, and what its value is; the key may be a variable of its own.
    Object(Vec<(Node, Option<String>, Option<Pattern>)>),
}
