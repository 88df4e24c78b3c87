//! A program's statements and expressions.

use std::rc::Rc;

use super::lex::{Token, tokens};

/// How deeply expressions and blocks may be nested.
const DEPTH_MAX: u32 = 60;

/// A statement with its line.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u32,
    pub(super) statement: Statement,
}

/// Statements of one block.
pub(super) type Block = Rc<[Line]>;

#[derive(Debug)]
pub(super) enum Statement {
    Pass,
    Break,
    Continue,
    Expression(Expr),
    /// Names, subscripts or tuples of names, and what they become; with an operator for `+=` and its like.
    Assign(Expr, Option<&'static str>, Expr),
    /// Names of the whole program's that a function binds.
    Global(Vec<String>),
    /// `import a.b`, `from a import b as c`: the module, and name and own name of what is taken.
    Import(String, Vec<(String, String)>),
    If(Vec<(Expr, Block)>, Block),
    While(Expr, Block),
    For(Expr, Expr, Block),
    Function(String, Rc<[(String, Option<Expr>)]>, Block),
    Return(Option<Expr>),
    Raise(Option<Expr>),
    Assert(Expr),
    /// Blocks: what is tried, what errors of a name (all without one) lead to, what is done in any case.
    Try(Block, Vec<(Option<String>, Option<String>, Block)>, Block),
}

#[derive(Debug)]
pub(super) enum Expr {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Texts and expressions with their formats.
    Format(Vec<(String, Option<(Expr, String)>)>),
    Name(String),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    /// `[element for target in list if condition]`.
    Each(Box<(Expr, Expr, Expr, Option<Expr>)>),
    /// What follows a value: `a.b[c](d)`.
    Postfix(Box<Expr>, Vec<Step>),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    /// A chain of operators of one rank, `or` and `and` among them, from left to right.
    Binary(Box<Expr>, Vec<(&'static str, Expr)>),
    /// A chain of comparisons.
    Compare(Box<Expr>, Vec<(&'static str, Expr)>),
    Choice(Box<(Expr, Expr, Expr)>),
}

#[derive(Debug)]
pub(super) enum Step {
    Attribute(String),
    Index(Expr),
    Slice(Option<Expr>, Option<Expr>),
    Call(Vec<Expr>, Vec<(String, Expr)>),
}

type Parsed<T> = Result<T, (u32, String)>;

/// Reads a program; the error is a line and what is wrong there.
pub(super) fn program(text: &str) -> Parsed<Block> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, depth: 0 };
    let mut lines = Vec::new();
    while *parser.peek() != Token::End {
        parser.statement(&mut lines)?;
    }
    Ok(lines.into())
}

/// Reads an expression alone, which is so deep in its program.
fn expression(text: &str, line: u32, depth: u32) -> Parsed<Expr> {
    let tokens = tokens(text).map_err(|(_, what)| (line, format!("f-string: {what}")))?;
    let mut parser = Parser { tokens: tokens.into_iter().map(|(_, token)| (line, token)).collect(), at: 0, depth };
    parser.expression()
}

struct Parser {
    tokens: Vec<(u32, Token)>,
    at: usize,
    depth: u32,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |(_, token)| token)
    }

    fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(line, _)| *line)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn takes(&mut self, op: &str) -> bool {
        let takes = matches!(self.peek(), Token::Op(known) if *known == op);
        self.at += usize::from(takes);
        takes
    }

    fn word(&mut self, word: &str) -> bool {
        let takes = self.is_word(word);
        self.at += usize::from(takes);
        takes
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Name(name) if name == word)
    }

    fn wrong<T>(&self, what: impl Into<String>) -> Parsed<T> {
        Err((self.line(), what.into()))
    }

    fn expect(&mut self, op: &str) -> Parsed<()> {
        if self.takes(op) { Ok(()) } else { self.wrong(format!("expected '{op}'")) }
    }

    fn name(&mut self) -> Parsed<String> {
        match self.next() {
            Token::Name(name) => Ok(name),
            _ => {
                self.at -= 1;
                self.wrong("invalid syntax")
            }
        }
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEPTH_MAX {
            return self.wrong("too many nested parentheses");
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn block(&mut self) -> Parsed<Block> {
        self.expect(":")?;
        let mut lines = Vec::new();
        if *self.peek() != Token::NewLine {
            self.simple(&mut lines)?;
            return Ok(lines.into());
        }
        self.next();
        if self.next() != Token::Indent {
            self.at -= 1;
            return self.wrong("expected an indented block");
        }
        while !matches!(self.peek(), Token::Dedent | Token::End) {
            self.deeper(|parser| parser.statement(&mut lines))?;
        }
        self.next();
        Ok(lines.into())
    }

    fn statement(&mut self, lines: &mut Vec<Line>) -> Parsed<()> {
        let number = self.line();
        let word = match self.peek() {
            Token::Name(name) => name.clone(),
            Token::Indent => return self.wrong("unexpected indent"),
            _ => String::new(),
        };
        let statement = match word.as_str() {
            "if" => {
                self.next();
                let mut branches = vec![(self.expression()?, self.block()?)];
                while self.word("elif") {
                    branches.push((self.expression()?, self.block()?));
                }
                let other = if self.word("else") { self.block()? } else { Rc::default() };
                Statement::If(branches, other)
            }
            "while" => {
                self.next();
                Statement::While(self.expression()?, self.block()?)
            }
            "for" => {
                self.next();
                let target = self.targets()?;
                if !self.word("in") {
                    return self.wrong("invalid syntax");
                }
                Statement::For(target, self.expressions()?, self.block()?)
            }
            "def" => {
                self.next();
                let name = self.name()?;
                self.expect("(")?;
                let mut parameters = Vec::new();
                while !self.takes(")") {
                    let parameter = self.name()?;
                    if self.takes(":") {
                        self.expression()?;
                    }
                    let default = if self.takes("=") { Some(self.expression()?) } else { None };
                    parameters.push((parameter, default));
                    self.takes(",");
                }
                if self.takes("->") {
                    self.expression()?;
                }
                Statement::Function(name, parameters.into(), self.block()?)
            }
            "try" => {
                self.next();
                let body = self.block()?;
                let mut handlers = Vec::new();
                while self.word("except") {
                    let kind = if matches!(self.peek(), Token::Op(":")) { None } else { Some(self.name()?) };
                    let name = if self.word("as") { Some(self.name()?) } else { None };
                    handlers.push((kind, name, self.block()?));
                }
                let finally = if self.word("finally") { self.block()? } else { Rc::default() };
                Statement::Try(body, handlers, finally)
            }
            "class" | "with" | "async" | "lambda" | "match"
                if !matches!(self.tokens.get(self.at + 1), Some((_, Token::Op(_)))) =>
            {
                return self.wrong(format!("this stand-in for Python does not know '{word}'"));
            }
            _ => return self.simple(lines),
        };
        lines.push(Line { number, statement });
        Ok(())
    }

    /// Statements of one line.
    fn simple(&mut self, lines: &mut Vec<Line>) -> Parsed<()> {
        loop {
            let number = self.line();
            let word = match self.peek() {
                Token::Name(name) => name.clone(),
                _ => String::new(),
            };
            let statement = match word.as_str() {
                "pass" | "break" | "continue" => {
                    self.next();
                    match word.as_str() {
                        "pass" => Statement::Pass,
                        "break" => Statement::Break,
                        _ => Statement::Continue,
                    }
                }
                "global" | "nonlocal" => {
                    self.next();
                    let mut names = vec![self.name()?];
                    while self.takes(",") {
                        names.push(self.name()?);
                    }
                    Statement::Global(names)
                }
                "import" | "from" => self.import()?,
                "return" | "raise" => {
                    self.next();
                    let ends = matches!(self.peek(), Token::NewLine | Token::Op(";"));
                    let value = if ends { None } else { Some(self.expressions()?) };
                    if word == "return" { Statement::Return(value) } else { Statement::Raise(value) }
                }
                "assert" => {
                    self.next();
                    Statement::Assert(self.expressions()?)
                }
                _ => self.assignment()?,
            };
            lines.push(Line { number, statement });
            if self.takes(";") && *self.peek() != Token::NewLine {
                continue;
            }
            return match self.next() {
                Token::NewLine => Ok(()),
                _ => {
                    self.at -= 1;
                    self.wrong("invalid syntax")
                }
            };
        }
    }

    fn import(&mut self) -> Parsed<Statement> {
        let from = self.word("from");
        if !from {
            self.next();
        }
        let mut taken = Vec::new();
        let mut module = self.name()?;
        while self.takes(".") {
            module = format!("{module}.{}", self.name()?);
        }
        if !from {
            let own = if self.word("as") { self.name()? } else { module.clone() };
            taken.push((module.clone(), own));
            while self.takes(",") {
                let module = self.name()?;
                let own = if self.word("as") { self.name()? } else { module.clone() };
                taken.push((module, own));
            }
            return Ok(Statement::Import(String::new(), taken));
        }
        if !self.word("import") {
            return self.wrong("invalid syntax");
        }
        loop {
            let name = self.name()?;
            let own = if self.word("as") { self.name()? } else { name.clone() };
            taken.push((name, own));
            if !self.takes(",") {
                return Ok(Statement::Import(module, taken));
            }
        }
    }

    fn assignment(&mut self) -> Parsed<Statement> {
        let target = self.expressions()?;
        for op in ["+=", "-=", "*=", "/=", "//=", "%=", "**="] {
            if self.takes(op) {
                let value = self.expressions()?;
                return Ok(Statement::Assign(target, Some(known_op(op.trim_end_matches('='))), value));
            }
        }
        if self.takes(":") {
            self.expression()?;
        }
        if self.takes("=") {
            return Ok(Statement::Assign(target, None, self.expressions()?));
        }
        Ok(Statement::Expression(target))
    }

    /// Names to be bound by `for`.
    fn targets(&mut self) -> Parsed<Expr> {
        let mut names = vec![Expr::Name(self.name()?)];
        while self.takes(",") {
            names.push(Expr::Name(self.name()?));
        }
        Ok(if names.len() == 1 { names.remove(0) } else { Expr::Tuple(names) })
    }

    /// Expressions with commas between them are a tuple.
    fn expressions(&mut self) -> Parsed<Expr> {
        let first = self.expression()?;
        if !matches!(self.peek(), Token::Op(",")) {
            return Ok(first);
        }
        let mut all = vec![first];
        while self.takes(",") {
            if matches!(self.peek(), Token::NewLine | Token::Op("=" | ")")) {
                break;
            }
            all.push(self.expression()?);
        }
        Ok(Expr::Tuple(all))
    }

    fn expression(&mut self) -> Parsed<Expr> {
        self.deeper(|parser| {
            if parser.is_word("lambda") {
                return parser.wrong("this stand-in for Python does not know 'lambda'");
            }
            let value = parser.either()?;
            if !parser.word("if") {
                return Ok(value);
            }
            let condition = parser.either()?;
            if !parser.word("else") {
                return parser.wrong("expected 'else' after 'if' expression");
            }
            Ok(Expr::Choice(Box::new((condition, value, parser.expression()?))))
        })
    }

    fn either(&mut self) -> Parsed<Expr> {
        let left = self.both()?;
        let mut chain = Vec::new();
        while self.word("or") {
            chain.push(("or", self.both()?));
        }
        Ok(binary(left, chain))
    }

    fn both(&mut self) -> Parsed<Expr> {
        let left = self.negation()?;
        let mut chain = Vec::new();
        while self.word("and") {
            chain.push(("and", self.negation()?));
        }
        Ok(binary(left, chain))
    }

    fn negation(&mut self) -> Parsed<Expr> {
        if self.word("not") {
            return self.deeper(|parser| Ok(Expr::Not(Box::new(parser.negation()?))));
        }
        let left = self.binary(0)?;
        let mut chain = Vec::new();
        loop {
            let op = match self.peek() {
                Token::Op(op @ ("==" | "!=" | "<" | "<=" | ">" | ">=")) => op,
                Token::Name(name) if name == "in" => "in",
                Token::Name(name) if name == "is" => "is",
                Token::Name(name) if name == "not" => "not in",
                _ => break,
            };
            self.next();
            let op = match op {
                "not in" if !self.word("in") => return self.wrong("invalid syntax"),
                "is" if self.word("not") => "is not",
                op => op,
            };
            chain.push((op, self.binary(0)?));
        }
        Ok(if chain.is_empty() { left } else { Expr::Compare(Box::new(left), chain) })
    }

    fn binary(&mut self, level: usize) -> Parsed<Expr> {
        const LEVELS: [&[&str]; 2] = [&["+", "-"], &["*", "/", "//", "%"]];
        let Some(ops) = LEVELS.get(level) else { return self.unary() };
        let left = self.binary(level + 1)?;
        let mut chain = Vec::new();
        while let Some(op) = ops.iter().find(|op| matches!(self.peek(), Token::Op(known) if known == *op)) {
            self.next();
            chain.push((*op, self.binary(level + 1)?));
        }
        Ok(binary(left, chain))
    }

    fn unary(&mut self) -> Parsed<Expr> {
        if self.takes("-") {
            return self.deeper(|parser| Ok(Expr::Negative(Box::new(parser.unary()?))));
        }
        self.takes("+");
        let base = self.postfix()?;
        if self.takes("**") {
            return self.deeper(|parser| Ok(binary(base, vec![("**", parser.unary()?)])));
        }
        Ok(base)
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        let value = self.atom()?;
        let mut steps = Vec::new();
        loop {
            if self.takes(".") {
                steps.push(Step::Attribute(self.name()?));
            } else if self.takes("(") {
                let (mut arguments, mut named) = (Vec::new(), Vec::new());
                while !self.takes(")") {
                    let is_named = matches!(self.tokens.get(self.at + 1), Some((_, Token::Op("="))));
                    if let (true, Token::Name(name)) = (is_named, self.peek().clone()) {
                        self.at += 2;
                        named.push((name, self.expression()?));
                    } else {
                        let argument = self.expression()?;
                        arguments.push(self.each(argument)?);
                    }
                    if !self.takes(",") && !matches!(self.peek(), Token::Op(")")) {
                        return self.wrong("'(' was never closed");
                    }
                }
                steps.push(Step::Call(arguments, named));
            } else if self.takes("[") {
                let start = if matches!(self.peek(), Token::Op(":")) { None } else { Some(self.expressions()?) };
                steps.push(match (self.takes(":"), start) {
                    (false, Some(index)) => Step::Index(index),
                    (_, start) => {
                        let ends = matches!(self.peek(), Token::Op("]"));
                        Step::Slice(start, if ends { None } else { Some(self.expression()?) })
                    }
                });
                self.expect("]")?;
            } else if steps.is_empty() {
                return Ok(value);
            } else {
                return Ok(Expr::Postfix(Box::new(value), steps));
            }
        }
    }

    /// `ELEMENT for NAME in LIST [if CONDITION]`, after the element.
    fn each(&mut self, element: Expr) -> Parsed<Expr> {
        if !self.word("for") {
            return Ok(element);
        }
        let target = self.targets()?;
        if !self.word("in") {
            return self.wrong("invalid syntax");
        }
        let list = self.either()?;
        let condition = if self.word("if") { Some(self.either()?) } else { None };
        Ok(Expr::Each(Box::new((element, target, list, condition))))
    }

    fn atom(&mut self) -> Parsed<Expr> {
        let line = self.line();
        Ok(match self.next() {
            Token::Int(number) => Expr::Int(number),
            Token::Float(number) => Expr::Float(number),
            Token::Text(text) => Expr::Text(text),
            Token::Format(text) => format(&text, line, self.depth)?,
            Token::Name(name) => match name.as_str() {
                "None" => Expr::None,
                "True" => Expr::Bool(true),
                "False" => Expr::Bool(false),
                "yield" | "await" | "del" => {
                    return Err((line, format!("this stand-in for Python does not know '{name}'")));
                }
                _ => Expr::Name(name),
            },
            Token::Op("(") => {
                if self.takes(")") {
                    return Ok(Expr::Tuple(Vec::new()));
                }
                let first = self.expressions()?;
                let value = self.each(first)?;
                self.expect(")")?;
                value
            }
            Token::Op("[") => {
                let mut items = Vec::new();
                while !self.takes("]") {
                    let item = self.expression()?;
                    match self.each(item)? {
                        each @ Expr::Each(_) => {
                            self.expect("]")?;
                            return Ok(each);
                        }
                        item => items.push(item),
                    }
                    if !self.takes(",") && !matches!(self.peek(), Token::Op("]")) {
                        return self.wrong("'[' was never closed");
                    }
                }
                Expr::List(items)
            }
            Token::Op("{") => {
                let mut pairs = Vec::new();
                while !self.takes("}") {
                    let key = self.expression()?;
                    self.expect(":")?;
                    pairs.push((key, self.expression()?));
                    if !self.takes(",") && !matches!(self.peek(), Token::Op("}")) {
                        return self.wrong("'{' was never closed");
                    }
                }
                Expr::Dict(pairs)
            }
            _ => return Err((line, "invalid syntax".into())),
        })
    }
}

fn known_op(op: &str) -> &'static str {
    ["+", "-", "*", "/", "//", "%", "**"].into_iter().find(|known| *known == op).unwrap_or("+")
}

fn binary(left: Expr, chain: Vec<(&'static str, Expr)>) -> Expr {
    if chain.is_empty() { left } else { Expr::Binary(Box::new(left), chain) }
}

/// The parts of an f-string, which is so deep in its program.
fn format(text: &str, line: u32, depth: u32) -> Parsed<Expr> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, tail) = rest.split_at(at);
        plain.push_str(before);
        let brace = tail.get(..1).unwrap_or_default();
        if tail.get(1..2) == Some(brace) {
            plain.push_str(brace);
            rest = tail.get(2..).unwrap_or_default();
            continue;
        }
        let inner = tail.get(1..).and_then(|tail| tail.split_once('}')).filter(|_| brace == "{");
        let Some((inner, after)) = inner else { return Err((line, "f-string: expecting '}'".into())) };
        let (expr, spec) = inner.split_once(':').unwrap_or((inner, ""));
        parts.push((
            std::mem::take(&mut plain),
            Some((expression(expr.trim_end_matches("!r"), line, depth)?, spec.to_owned())),
        ));
        rest = after;
    }
    plain.push_str(rest);
    parts.push((plain, None));
    Ok(Expr::Format(parts))
}
