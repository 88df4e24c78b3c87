//! From text to a program.

use std::rc::Rc;

use super::ast::{Expr, Function, Name, Pattern, Program, Redirect, Rule, Statement};
use crate::programs::escape::unescape;
use crate::programs::grep;

/// How deeply expressions and statements may be nested.
const DEPTH_MAX: usize = 200;

/// Functions of the language.
const BUILTINS: [&str; 22] = [
    "length", "substr", "index", "split", "sub", "gsub", "match", "sprintf", "sin", "cos", "atan2", "exp", "log",
    "sqrt", "int", "rand", "srand", "tolower", "toupper", "system", "close", "fflush",
];

const KEYWORDS: [&str; 18] = [
    "BEGIN", "END", "function", "func", "if", "else", "while", "for", "do", "break", "continue", "next", "exit",
    "return", "delete", "in", "getline", "print",
];

/// Longer ones come before their beginnings.
const OPERATORS: [&str; 43] = [
    "**=", "&&", "||", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "==", "<=", ">=", "!=", "!~", ">>", "**", "{",
    "}", "(", ")", "[", "]", ";", ",", "+", "-", "*", "/", "%", "^", "!", ">", "<", "|", "?", ":", "~", "$", "=", "\n",
    "\\",
];

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Number(f64),
    Text(String),
    Word(String),
    /// A word with `(` right after it.
    Call(String),
    Operator(&'static str),
    End,
}

type Parse<T> = Result<T, String>;

/// Reads a program.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(text: &str) -> Parse<Program> {
    let mut parser =
        Parser { text: text.chars().collect(), at: 0, start: 0, token: Token::End, params: Vec::new(), depth: 0 };
    parser.advance()?;
    parser.program()
}

struct Parser {
    text: Vec<char>,
    /// Where the text goes on after the token.
    at: usize,
    /// Where the token begins.
    start: usize,
    token: Token,
    params: Vec<String>,
    depth: usize,
}

impl Parser {
    fn advance(&mut self) -> Parse<()> {
        loop {
            match self.text.get(self.at) {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.text.get(self.at + 1) == Some(&'\n') => self.at += 2,
                Some('#') => {
                    while self.text.get(self.at).is_some_and(|c| *c != '\n') {
                        self.at += 1;
                    }
                }
                _ => break,
            }
        }
        self.start = self.at;
        let Some(c) = self.text.get(self.at).copied() else {
            self.token = Token::End;
            return Ok(());
        };
        let next = self.text.get(self.at + 1).copied().unwrap_or(' ');
        self.token = if c.is_ascii_digit() || c == '.' && next.is_ascii_digit() {
            let text: String = self.text.iter().skip(self.at).take(64).collect();
            let length = number_length(&text);
            self.at += length;
            Token::Number(text.get(..length).and_then(|digits| digits.parse().ok()).unwrap_or(0.0))
        } else if c == '"' {
            Token::Text(unescape(&self.quoted('"')?.replace("\\/", "/").replace("\\\"", "\"")).0)
        } else if c == '_' || c.is_ascii_alphabetic() {
            let word: String =
                self.text.iter().skip(self.at).take_while(|c| **c == '_' || c.is_ascii_alphanumeric()).collect();
            self.at += word.len();
            let called = self.text.get(self.at) == Some(&'(');
            if called && !KEYWORDS.contains(&word.as_str()) { Token::Call(word) } else { Token::Word(word) }
        } else {
            let here = |operator: &&&str| {
                operator.chars().enumerate().all(|(offset, c)| self.text.get(self.at + offset) == Some(&c))
            };
            let operator = *OPERATORS.iter().find(here).ok_or_else(|| self.unexpected())?;
            self.at += operator.len();
            Token::Operator(match operator {
                "**" => "^",
                "**=" => "^=",
                operator => operator,
            })
        };
        Ok(())
    }

    /// What stands up to a delimiter, which the token begins with; escapes stay as they are.
    fn quoted(&mut self, end: char) -> Parse<String> {
        let mut text = String::new();
        self.at = self.start + 1;
        loop {
            match self.text.get(self.at).copied() {
                None | Some('\n') => {
                    return Err(format!("unterminated {}", if end == '/' { "regexp" } else { "string" }));
                }
                Some(c) if c == end => break,
                Some('\\') => {
                    text.push('\\');
                    self.at += 1;
                    text.extend(self.text.get(self.at));
                }
                Some(c) => text.push(c),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(text)
    }

    fn unexpected(&self) -> String {
        let rest: String = self.text.iter().skip(self.start).take(20).take_while(|c| **c != '\n').collect();
        let line = self.text.iter().take(self.start).filter(|c| **c == '\n').count() + 1;
        match rest.as_str() {
            "" if self.start >= self.text.len() => format!("cmd. line:{line}: Unexpected end of string"),
            "" => format!("cmd. line:{line}: Unexpected token"),
            rest => format!("cmd. line:{line}: syntax error at or near {rest}"),
        }
    }

    fn is(&self, operator: &str) -> bool {
        matches!(&self.token, Token::Operator(known) if *known == operator)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(&self.token, Token::Word(known) if known == word)
    }

    fn eat(&mut self, operator: &str) -> Parse<bool> {
        let found = self.is(operator);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn eat_word(&mut self, word: &str) -> Parse<bool> {
        let found = self.is_word(word);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, operator: &str) -> Parse<()> {
        if self.eat(operator)? { Ok(()) } else { Err(self.unexpected()) }
    }

    fn newlines(&mut self) -> Parse<()> {
        while self.is("\n") {
            self.advance()?;
        }
        Ok(())
    }

    fn terminators(&mut self) -> Parse<()> {
        while self.is("\n") || self.is(";") {
            self.advance()?;
        }
        Ok(())
    }

    fn program(&mut self) -> Parse<Program> {
        let mut program = Program::default();
        loop {
            self.terminators()?;
            if self.token == Token::End {
                return Ok(program);
            }
            if self.eat_word("BEGIN")? {
                program.begin.push(Rc::new(self.block()?));
            } else if self.eat_word("END")? {
                program.end.push(Rc::new(self.block()?));
            } else if self.eat_word("function")? || self.eat_word("func")? {
                program.functions.push(Rc::new(self.function()?));
            } else {
                program.rules.push(self.rule()?);
            }
        }
    }

    fn function(&mut self) -> Parse<Function> {
        let (Token::Call(name) | Token::Word(name)) = self.token.clone() else { return Err(self.unexpected()) };
        self.advance()?;
        self.expect("(")?;
        let mut params = Vec::new();
        while let Token::Word(param) = self.token.clone() {
            params.push(param);
            self.advance()?;
            if !self.eat(",")? {
                break;
            }
            self.newlines()?;
        }
        self.expect(")")?;
        self.newlines()?;
        self.params = params.clone();
        let body = self.block()?;
        self.params.clear();
        Ok(Function { name, params, body })
    }

    fn rule(&mut self) -> Parse<Rule> {
        let pattern = if self.is("{") {
            Pattern::Always
        } else {
            let first = self.expr(true)?;
            if self.eat(",")? {
                self.newlines()?;
                Pattern::Range(first, self.expr(true)?)
            } else {
                Pattern::If(first)
            }
        };
        let action = if self.is("{") { Some(Rc::new(self.block()?)) } else { None };
        Ok(Rule { pattern, action })
    }

    fn block(&mut self) -> Parse<Statement> {
        self.expect("{")?;
        let mut statements = Vec::new();
        loop {
            self.terminators()?;
            if self.eat("}")? {
                return Ok(Statement::Block(statements));
            }
            statements.push(self.statement()?);
        }
    }

    /// The end of a simple statement: a terminator, or what closes the block.
    fn end(&mut self) -> Parse<()> {
        if self.is("}") || self.token == Token::End || self.eat(";")? || self.eat("\n")? {
            return Ok(());
        }
        Err(self.unexpected())
    }

    fn statement(&mut self) -> Parse<Statement> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("nested too deeply".into());
        }
        let statement = self.one_statement();
        self.depth -= 1;
        statement
    }

    /// What a loop or condition governs.
    fn governed(&mut self) -> Parse<Box<Statement>> {
        self.newlines()?;
        if self.eat(";")? {
            return Ok(Box::new(Statement::Block(Vec::new())));
        }
        Ok(Box::new(self.statement()?))
    }

    fn one_statement(&mut self) -> Parse<Statement> {
        if self.is("{") {
            return self.block();
        }
        let word = match &self.token {
            Token::Word(word) if KEYWORDS.contains(&word.as_str()) => word.clone(),
            _ => {
                let statement = self.simple()?;
                self.end()?;
                return Ok(statement);
            }
        };
        let statement = match word.as_str() {
            "if" => {
                self.advance()?;
                self.expect("(")?;
                let condition = self.expr(true)?;
                self.expect(")")?;
                let then = self.governed()?;
                let (at, start, token) = (self.at, self.start, self.token.clone());
                self.terminators()?;
                if self.eat_word("else")? {
                    return Ok(Statement::If(condition, then, Some(self.governed()?)));
                }
                (self.at, self.start, self.token) = (at, start, token);
                return Ok(Statement::If(condition, then, None));
            }
            "while" => {
                self.advance()?;
                self.expect("(")?;
                let condition = Some(self.expr(true)?);
                self.expect(")")?;
                let body = self.governed()?;
                return Ok(Statement::Loop { condition, body, step: None, body_first: false });
            }
            "do" => {
                self.advance()?;
                let body = self.governed()?;
                self.terminators()?;
                if !self.eat_word("while")? {
                    return Err(self.unexpected());
                }
                self.expect("(")?;
                let condition = Some(self.expr(true)?);
                self.expect(")")?;
                Statement::Loop { condition, body, step: None, body_first: true }
            }
            "for" => return self.for_loop(),
            "break" | "continue" | "next" => {
                self.advance()?;
                match word.as_str() {
                    "break" => Statement::Break,
                    "continue" => Statement::Continue,
                    _ => Statement::Next,
                }
            }
            "exit" | "return" => {
                self.advance()?;
                let none = self.is("}") || self.is(";") || self.is("\n") || self.token == Token::End;
                let value = if none { None } else { Some(self.expr(true)?) };
                if word == "exit" { Statement::Exit(value) } else { Statement::Return(value) }
            }
            _ => self.simple()?,
        };
        self.end()?;
        Ok(statement)
    }

    fn for_loop(&mut self) -> Parse<Statement> {
        self.advance()?;
        self.expect("(")?;
        let before = (self.at, self.start, self.token.clone());
        if let Token::Word(variable) = self.token.clone() {
            self.advance()?;
            if self.eat_word("in")?
                && let Token::Word(array) = self.token.clone()
            {
                self.advance()?;
                if self.eat(")")? {
                    let (variable, array) = (self.name(variable), self.name(array));
                    return Ok(Statement::ForIn(variable, array, self.governed()?));
                }
            }
            (self.at, self.start, self.token) = before;
        }
        let first = if self.is(";") { None } else { Some(self.simple()?) };
        self.expect(";")?;
        self.newlines()?;
        let condition = if self.is(";") { None } else { Some(self.expr(true)?) };
        self.expect(";")?;
        self.newlines()?;
        let step = if self.is(")") { None } else { Some(Box::new(self.simple()?)) };
        self.expect(")")?;
        let body = self.governed()?;
        let turns = Statement::Loop { condition, body, step, body_first: false };
        Ok(match first {
            Some(first) => Statement::Block(vec![first, turns]),
            None => turns,
        })
    }

    /// A statement without its end.
    fn simple(&mut self) -> Parse<Statement> {
        if self.eat_word("delete")? {
            let Token::Word(array) = self.token.clone() else { return Err(self.unexpected()) };
            self.advance()?;
            let name = self.name(array);
            let index = if self.eat("[")? { Some(self.list("]")?) } else { None };
            return Ok(Statement::Delete(name, index));
        }
        let formatted = matches!(&self.token, Token::Call(word) | Token::Word(word) if word == "printf");
        if !formatted && !self.is_word("print") {
            return Ok(Statement::Expr(self.expr(true)?));
        }
        self.advance()?;
        let mut expressions = Vec::new();
        let none =
            [";", "\n", "}", ">", ">>", "|"].iter().any(|operator| self.is(operator)) || self.token == Token::End;
        if !none {
            expressions.push(self.expr(false)?);
            while self.eat(",")? {
                self.newlines()?;
                expressions.push(self.expr(false)?);
            }
        }
        // `print (a, b)`: the parentheses are the list's.
        if let [Expr::Group(inner)] = expressions.as_mut_slice() {
            expressions = std::mem::take(inner);
        }
        let mut redirect = None;
        for (operator, kind) in [(">>", 'a'), (">", '>'), ("|", '|')] {
            if self.eat(operator)? {
                redirect = Some(Redirect { kind, target: self.concat()? });
                break;
            }
        }
        Ok(if formatted { Statement::Printf(expressions, redirect) } else { Statement::Print(expressions, redirect) })
    }

    fn name(&self, name: String) -> Name {
        match self.params.iter().position(|param| *param == name) {
            Some(index) => Name::Local(index),
            None => Name::Global(name),
        }
    }

    /// Expressions up to and with a closing bracket.
    fn list(&mut self, end: &str) -> Parse<Vec<Expr>> {
        let mut all = Vec::new();
        self.newlines()?;
        while !self.eat(end)? {
            all.push(self.expr(true)?);
            self.newlines()?;
            if !self.eat(",")? {
                self.expect(end)?;
                break;
            }
            self.newlines()?;
        }
        Ok(all)
    }

    /// An expression. Where output is redirected by `>`, that is no comparison.
    fn expr(&mut self, greater: bool) -> Parse<Expr> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("nested too deeply".into());
        }
        let left = self.ternary(greater)?;
        let target = matches!(left, Expr::Variable(_) | Expr::Field(_) | Expr::Element(..));
        let mut out = left;
        for (operator, with) in [
            ("=", None),
            ("+=", Some('+')),
            ("-=", Some('-')),
            ("*=", Some('*')),
            ("/=", Some('/')),
            ("%=", Some('%')),
            ("^=", Some('^')),
        ] {
            if target && self.eat(operator)? {
                self.newlines()?;
                out = Expr::Assign(Box::new(out), with, Box::new(self.expr(greater)?));
                break;
            }
        }
        self.depth -= 1;
        Ok(out)
    }

    fn ternary(&mut self, greater: bool) -> Parse<Expr> {
        let condition = self.or(greater)?;
        if !self.eat("?")? {
            return Ok(condition);
        }
        self.newlines()?;
        let then = self.expr(greater)?;
        self.newlines()?;
        self.expect(":")?;
        self.newlines()?;
        Ok(Expr::Ternary(Box::new(condition), Box::new(then), Box::new(self.expr(greater)?)))
    }

    fn or(&mut self, greater: bool) -> Parse<Expr> {
        let mut left = self.and(greater)?;
        while self.eat("||")? {
            self.newlines()?;
            left = Expr::Or(Box::new(left), Box::new(self.and(greater)?));
        }
        Ok(left)
    }

    fn and(&mut self, greater: bool) -> Parse<Expr> {
        let mut left = self.membership(greater)?;
        while self.eat("&&")? {
            self.newlines()?;
            left = Expr::And(Box::new(left), Box::new(self.membership(greater)?));
        }
        Ok(left)
    }

    fn membership(&mut self, greater: bool) -> Parse<Expr> {
        let mut left = self.matching(greater)?;
        while self.eat_word("in")? {
            let Token::Word(array) = self.token.clone() else { return Err(self.unexpected()) };
            self.advance()?;
            let index = match left {
                Expr::Group(list) => list,
                one => vec![one],
            };
            left = Expr::In(index, self.name(array));
        }
        Ok(left)
    }

    fn matching(&mut self, greater: bool) -> Parse<Expr> {
        let mut left = self.comparison(greater)?;
        loop {
            let wanted = if self.eat("~")? {
                true
            } else if self.eat("!~")? {
                false
            } else {
                return Ok(left);
            };
            left = Expr::Match(wanted, Box::new(left), Box::new(self.comparison(greater)?));
        }
    }

    fn comparison(&mut self, greater: bool) -> Parse<Expr> {
        let mut left = self.concat()?;
        loop {
            let piped =
                self.is("|") && self.text.iter().skip(self.at).collect::<String>().trim_start().starts_with("getline");
            if piped {
                self.advance()?;
                self.advance()?;
                let variable = self.optional_target()?;
                left = Expr::Getline(variable, Some(('|', Box::new(left))));
                continue;
            }
            let operator = ["<", "<=", "==", "!=", ">", ">="].into_iter().find(|operator| self.is(operator));
            let Some(operator) = operator.filter(|operator| greater || *operator != ">") else { return Ok(left) };
            self.advance()?;
            left = Expr::Compare(operator, Box::new(left), Box::new(self.concat()?));
        }
    }

    /// Whether the token begins an operand that is appended to the one before.
    fn appends(&self) -> bool {
        match &self.token {
            Token::Number(_) | Token::Text(_) | Token::Call(_) => true,
            Token::Word(word) => !KEYWORDS.contains(&word.as_str()),
            Token::Operator(operator) => matches!(*operator, "$" | "(" | "++" | "--"),
            Token::End => false,
        }
    }

    fn concat(&mut self) -> Parse<Expr> {
        let mut left = self.sum()?;
        while self.appends() {
            left = Expr::Concat(Box::new(left), Box::new(self.sum()?));
        }
        Ok(left)
    }

    fn sum(&mut self) -> Parse<Expr> {
        let mut left = self.product()?;
        loop {
            let operator = if self.eat("+")? {
                '+'
            } else if self.eat("-")? {
                '-'
            } else {
                return Ok(left);
            };
            left = Expr::Arithmetic(operator, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Parse<Expr> {
        let mut left = self.unary()?;
        loop {
            let operator = if self.eat("*")? {
                '*'
            } else if self.eat("/")? {
                '/'
            } else if self.eat("%")? {
                '%'
            } else {
                return Ok(left);
            };
            left = Expr::Arithmetic(operator, Box::new(left), Box::new(self.unary()?));
        }
    }

    fn unary(&mut self) -> Parse<Expr> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err("nested too deeply".into());
        }
        let expr = if self.eat("!")? {
            Expr::Not(Box::new(self.unary()?))
        } else if self.eat("-")? {
            Expr::Sign(-1.0, Box::new(self.unary()?))
        } else if self.eat("+")? {
            Expr::Sign(1.0, Box::new(self.unary()?))
        } else {
            let base = self.postfix()?;
            if self.eat("^")? { Expr::Arithmetic('^', Box::new(base), Box::new(self.unary()?)) } else { base }
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn postfix(&mut self) -> Parse<Expr> {
        let base = self.primary()?;
        let target = matches!(base, Expr::Variable(_) | Expr::Field(_) | Expr::Element(..));
        if target && self.eat("++")? {
            return Ok(Expr::Step(1.0, false, Box::new(base)));
        }
        if target && self.eat("--")? {
            return Ok(Expr::Step(-1.0, false, Box::new(base)));
        }
        Ok(base)
    }

    /// The variable after `getline`, if there is one.
    fn optional_target(&mut self) -> Parse<Option<Box<Expr>>> {
        let is_target = self.is("$") || matches!(&self.token, Token::Word(word) if !KEYWORDS.contains(&word.as_str()));
        if is_target { Ok(Some(Box::new(self.primary()?))) } else { Ok(None) }
    }

    fn primary(&mut self) -> Parse<Expr> {
        let token = self.token.clone();
        match token {
            Token::Number(number) => {
                self.advance()?;
                Ok(Expr::Number(number))
            }
            Token::Text(text) => {
                self.advance()?;
                Ok(Expr::Text(text))
            }
            Token::Operator("/" | "/=") => {
                let text = self.quoted('/')?;
                self.advance()?;
                Ok(Expr::Regex(Rc::new(grep::regex(&text.replace("\\/", "/"), true, false)?)))
            }
            Token::Operator("$") => {
                self.advance()?;
                let step = if self.eat("++")? {
                    1.0
                } else if self.eat("--")? {
                    -1.0
                } else if self.eat("-")? {
                    return Ok(Expr::Field(Box::new(Expr::Sign(-1.0, Box::new(self.primary()?)))));
                } else {
                    return Ok(Expr::Field(Box::new(self.primary()?)));
                };
                Ok(Expr::Field(Box::new(Expr::Step(step, true, Box::new(self.primary()?)))))
            }
            Token::Operator(operator @ ("++" | "--")) => {
                self.advance()?;
                Ok(Expr::Step(if operator == "++" { 1.0 } else { -1.0 }, true, Box::new(self.primary()?)))
            }
            Token::Operator("(") => {
                self.advance()?;
                let mut list = self.list(")")?;
                match list.len() {
                    0 => Err(self.unexpected()),
                    // What is in parentheses is no target, and may hold a comparison.
                    1 if !self.is_word("in") => Ok(list.pop().map_or(Expr::Number(0.0), |inner| match inner {
                        inner @ (Expr::Variable(_) | Expr::Field(_) | Expr::Element(..)) => inner,
                        inner => Expr::Group(vec![inner]),
                    })),
                    _ => Ok(Expr::Group(list)),
                }
            }
            Token::Word(word) if word == "getline" => {
                self.advance()?;
                let variable = self.optional_target()?;
                let source = if self.eat("<")? { Some(('<', Box::new(self.primary()?))) } else { None };
                Ok(Expr::Getline(variable, source))
            }
            Token::Word(word) if word == "length" => {
                self.advance()?;
                Ok(Expr::Builtin("length", Vec::new()))
            }
            Token::Word(word) if !KEYWORDS.contains(&word.as_str()) => {
                self.advance()?;
                let name = self.name(word);
                if self.eat("[")? { Ok(Expr::Element(name, self.list("]")?)) } else { Ok(Expr::Variable(name)) }
            }
            Token::Call(word) => {
                self.advance()?;
                self.expect("(")?;
                let arguments = self.list(")")?;
                match BUILTINS.into_iter().find(|known| *known == word) {
                    Some(builtin) => Ok(Expr::Builtin(builtin, arguments)),
                    None => Ok(Expr::Call(word, arguments)),
                }
            }
            _ => Err(self.unexpected()),
        }
    }
}

/// How much of a text's beginning is a number.
pub(super) fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let sign = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let whole = digits(sign);
    let mut end = if bytes.get(whole) == Some(&b'.') { digits(whole + 1) } else { whole };
    if !bytes.get(sign..end).unwrap_or_default().iter().any(u8::is_ascii_digit) {
        return 0;
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    end
}
