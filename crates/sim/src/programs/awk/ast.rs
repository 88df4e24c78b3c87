//! What an awk program means.

use std::rc::Rc;

use regex_lite::Regex;

/// A program: its rules in order, and its functions.
#[derive(Default)]
pub(super) struct Program {
    pub(super) begin: Vec<Rc<Statement>>,
    pub(super) rules: Vec<Rule>,
    pub(super) end: Vec<Rc<Statement>>,
    pub(super) functions: Vec<Rc<Function>>,
}

/// A pattern with its action.
pub(super) struct Rule {
    pub(super) pattern: Pattern,
    /// `None` prints the record.
    pub(super) action: Option<Rc<Statement>>,
}

/// Which records an action is for.
pub(super) enum Pattern {
    /// All.
    Always,
    /// Those for which an expression holds.
    If(Expr),
    /// From one for which the first holds to one for which the second does.
    Range(Expr, Expr),
}

/// A function of the program's own.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) params: Vec<String>,
    pub(super) body: Statement,
}

/// A statement.
pub(super) enum Statement {
    Block(Vec<Statement>),
    Expr(Expr),
    Print(Vec<Expr>, Option<Redirect>),
    Printf(Vec<Expr>, Option<Redirect>),
    If(Expr, Box<Statement>, Option<Box<Statement>>),
    /// Condition, body, what follows each turn, and whether the body comes first.
    Loop {
        condition: Option<Expr>,
        body: Box<Statement>,
        step: Option<Box<Statement>>,
        body_first: bool,
    },
    ForIn(Name, Name, Box<Statement>),
    Delete(Name, Option<Vec<Expr>>),
    Next,
    Break,
    Continue,
    Exit(Option<Expr>),
    Return(Option<Expr>),
}

/// Where output goes: `>`, `>>` or `|`, and the file or command.
pub(super) struct Redirect {
    pub(super) kind: char,
    pub(super) target: Expr,
}

/// A variable's place.
#[derive(Clone, PartialEq)]
pub(super) enum Name {
    Global(String),
    /// A parameter of the function.
    Local(usize),
}

/// An expression.
pub(super) enum Expr {
    Number(f64),
    Text(String),
    /// A regular expression: alone, it is matched against the record.
    Regex(Rc<Regex>),
    Variable(Name),
    Field(Box<Expr>),
    Element(Name, Vec<Expr>),
    Assign(Box<Expr>, Option<char>, Box<Expr>),
    /// `++` and `--`: by how much, whether before, and what.
    Step(f64, bool, Box<Expr>),
    Not(Box<Expr>),
    Sign(f64, Box<Expr>),
    /// `+ - * / % ^`.
    Arithmetic(char, Box<Expr>, Box<Expr>),
    Concat(Box<Expr>, Box<Expr>),
    /// `<`, `<=`, `==`, `!=`, `>`, `>=`.
    Compare(&'static str, Box<Expr>, Box<Expr>),
    Match(bool, Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Ternary(Box<Expr>, Box<Expr>, Box<Expr>),
    In(Vec<Expr>, Name),
    Builtin(&'static str, Vec<Expr>),
    Call(String, Vec<Expr>),
    /// `getline`, with its variable, and where from: `<` a file or `|` a command.
    Getline(Option<Box<Expr>>, Option<(char, Box<Expr>)>),
    /// A list in parentheses: before `in`, or what is printed.
    Group(Vec<Expr>),
}
