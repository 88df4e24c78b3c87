//! From text to commands.

use std::rc::Rc;

use super::ast::{Assigned, Assignment, Command, Piece, Simple, Subscript, Word};
use super::heredoc::Pending;

/// How deeply commands may be nested.
const DEPTH_MAX: usize = 40;

/// Why text is not a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong, without the shell's name.
    pub message: String,
    /// More text might make it right: an interactive shell asks for another line.
    pub incomplete: bool,
}

pub(super) type Parse<T> = Result<T, SyntaxError>;

/// Reads a whole script.
///
/// # Errors
/// When it is not one.
pub fn parse(text: &str) -> Parse<Rc<Command>> {
    let mut parser = Parser::new(text);
    let command = parser.list(&[])?;
    match parser.peek() {
        None => Ok(command),
        Some(_) => Err(parser.unexpected()),
    }
}

pub(super) struct Parser {
    pub(super) text: Vec<char>,
    pub(super) at: usize,
    pub(super) depth: usize,
    /// Here-documents whose bodies follow the next newline.
    pub(super) heredocs: Vec<Pending>,
}

const RESERVED: [&str; 18] = [
    "if", "then", "elif", "else", "fi", "while", "until", "for", "do", "done", "case", "esac", "{", "}", "[[",
    "function", "select", "time",
];
/// Builtins among whose arguments arrays are assigned.
const DECLARING: [&str; 5] = ["declare", "typeset", "local", "export", "readonly"];

impl Parser {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.chars().collect(), at: 0, depth: 0, heredocs: Vec::new() }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }

    pub(super) fn peek_at(&self, offset: usize) -> Option<char> {
        self.text.get(self.at + offset).copied()
    }

    pub(super) fn eat(&mut self, expected: &str) -> bool {
        let found = expected.chars().enumerate().all(|(offset, c)| self.peek_at(offset) == Some(c));
        if found {
            self.at += expected.chars().count();
        }
        found
    }

    pub(super) fn incomplete<T>(&self, message: &str) -> Parse<T> {
        Err(SyntaxError { message: format!("syntax error: {message}"), incomplete: true })
    }

    pub(super) fn unexpected(&mut self) -> SyntaxError {
        let token = match self.peek() {
            None => "end of file".to_owned(),
            Some('\n') => "newline".to_owned(),
            Some(_) => {
                let operators = ["&&", "||", ";;", "<<", ">>", "&", "|", ";", "(", ")", "<", ">"];
                let operator = operators.into_iter().find(|operator| self.eat(operator));
                let word = || self.text.iter().skip(self.at).take_while(|c| !is_break(**c)).collect();
                operator.map_or_else(word, str::to_owned)
            }
        };
        let incomplete = token == "end of file";
        let quoted = if incomplete { token } else { format!("\"{token}\"") };
        SyntaxError { message: format!("syntax error: unexpected {quoted}"), incomplete }
    }

    /// Blanks, line continuations and comments.
    pub(super) fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.at += 1,
                Some('\\') if self.peek_at(1) == Some('\n') => self.at += 2,
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.at += 1;
                    }
                }
                _ => return,
            }
        }
    }

    /// Blanks and newlines; the bodies of here-documents are read as their line ends.
    pub(super) fn skip_lines(&mut self) -> Parse<()> {
        loop {
            self.skip_blanks();
            if self.peek() != Some('\n') {
                return Ok(());
            }
            self.newline()?;
        }
    }

    fn newline(&mut self) -> Parse<()> {
        self.at += 1;
        for pending in std::mem::take(&mut self.heredocs) {
            self.skip_heredoc(&pending)?;
        }
        Ok(())
    }

    /// The reserved word that comes next, if one does.
    pub(super) fn reserved(&mut self) -> Option<&'static str> {
        self.skip_blanks();
        let word: String = self.text.iter().skip(self.at).take_while(|c| !is_break(**c)).collect();
        RESERVED.into_iter().find(|reserved| *reserved == word)
    }

    pub(super) fn expect(&mut self, word: &str) -> Parse<()> {
        self.skip_lines()?;
        if self.reserved() == Some(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.unexpected())
    }

    /// Commands up to a reserved word of `ends`, `)`, `;;`, or the end.
    pub(super) fn list(&mut self, ends: &[&str]) -> Parse<Rc<Command>> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SyntaxError { message: "syntax error: nested too deeply".into(), incomplete: false });
        }
        let mut commands = Vec::new();
        loop {
            self.skip_lines()?;
            let at_end = match self.peek() {
                None | Some(')') => true,
                Some(';') => self.peek_at(1) == Some(';'),
                _ => self.reserved().is_some_and(|word| ends.contains(&word)),
            };
            if at_end {
                break;
            }
            let start = self.at;
            let mut command = self.and_or()?;
            self.skip_blanks();
            let mut separated = true;
            match self.peek() {
                Some('&') => {
                    let text: String = self.text.get(start..self.at).unwrap_or_default().iter().collect();
                    self.at += 1;
                    command = Rc::new(Command::Background(command, text.trim_end().into()));
                }
                Some(';') if self.peek_at(1) != Some(';') => self.at += 1,
                Some('\n') => {}
                _ => separated = false,
            }
            commands.push(command);
            if !separated {
                break;
            }
        }
        self.depth -= 1;
        match commands.pop() {
            Some(only) if commands.is_empty() => Ok(only),
            last => {
                commands.extend(last);
                Ok(Rc::new(Command::Sequence(commands)))
            }
        }
    }

    /// A list that must not be empty, up to one of `ends`.
    pub(super) fn body(&mut self, ends: &[&str]) -> Parse<Rc<Command>> {
        let body = self.list(ends)?;
        match &*body {
            Command::Sequence(commands) if commands.is_empty() => Err(self.unexpected()),
            _ => Ok(body),
        }
    }

    fn and_or(&mut self) -> Parse<Rc<Command>> {
        let mut left = self.pipeline()?;
        loop {
            self.skip_blanks();
            let and = self.eat("&&");
            if !and && !self.eat("||") {
                return Ok(left);
            }
            self.skip_lines()?;
            let right = self.pipeline()?;
            left = Rc::new(if and { Command::And(left, right) } else { Command::Or(left, right) });
        }
    }

    pub(super) fn pipeline(&mut self) -> Parse<Rc<Command>> {
        self.skip_blanks();
        let mut negated = false;
        while self.peek() == Some('!') && self.peek_at(1).is_some_and(|c| c == ' ' || c == '\t') {
            self.at += 1;
            negated = !negated;
            self.skip_blanks();
        }
        let mut commands = vec![self.command()?];
        loop {
            self.skip_blanks();
            if self.peek() != Some('|') || self.peek_at(1) == Some('|') {
                break;
            }
            self.at += 1;
            self.skip_lines()?;
            commands.push(self.command()?);
        }
        match commands.pop() {
            Some(only) if commands.is_empty() && !negated => Ok(only),
            last => {
                commands.extend(last);
                Ok(Rc::new(Command::Pipeline { negated, commands }))
            }
        }
    }

    pub(super) fn command(&mut self) -> Parse<Rc<Command>> {
        self.skip_blanks();
        let compound = match self.peek() {
            Some('(') if self.peek_at(1) == Some('(') && self.is_arithmetic() => {
                self.at += 2;
                Some(Command::Arithmetic(self.expression()?))
            }
            Some('(') => {
                self.at += 1;
                let inner = self.body(&[])?;
                self.skip_lines()?;
                if !self.eat(")") {
                    return Err(self.unexpected());
                }
                Some(Command::Subshell(inner))
            }
            _ => match self.reserved() {
                Some(
                    word @ ("if" | "while" | "until" | "for" | "case" | "{" | "[[" | "function" | "select" | "time"),
                ) => {
                    self.at += word.len();
                    Some(self.compound(word)?)
                }
                Some(_) => return Err(self.unexpected()),
                None => None,
            },
        };
        let Some(compound) = compound else { return self.simple() };
        let mut redirects = Vec::new();
        loop {
            self.skip_blanks();
            match self.redirect()? {
                Some(redirect) => redirects.push(redirect),
                None => break,
            }
        }
        let compound = Rc::new(compound);
        Ok(if redirects.is_empty() { compound } else { Rc::new(Command::Redirected(compound, redirects)) })
    }

    /// Whether `((` begins an expression, and not a subshell in a subshell: it ends in `))`.
    fn is_arithmetic(&self) -> bool {
        let mut open = 0_usize;
        let mut rest = self.text.iter().skip(self.at).peekable();
        while let Some(c) = rest.next() {
            match c {
                '(' => open += 1,
                ')' if open == 2 => return rest.peek() == Some(&&')'),
                ')' => open = open.saturating_sub(1),
                '\n' | '"' | '\'' => return false,
                _ => {}
            }
        }
        false
    }

    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        self.skip_blanks();
        let length = word.chars().count();
        let start = self.at;
        if self.eat(word) && self.text.get(start + length).copied().is_none_or(is_break) {
            return true;
        }
        self.at = start;
        false
    }

    fn simple(&mut self) -> Parse<Rc<Command>> {
        let mut simple = Simple::default();
        let start = self.at;
        loop {
            self.skip_blanks();
            if let Some(redirect) = self.redirect()? {
                simple.redirects.push(redirect);
                continue;
            }
            let process = matches!(self.peek(), Some('<' | '>')) && self.peek_at(1) == Some('(');
            if self.peek().is_none_or(is_break) && !process {
                break;
            }
            if simple.words.is_empty()
                && let Some(assignment) = self.assignment()?
            {
                simple.assignments.push(assignment);
                continue;
            }
            let declares = matches!(simple.words.first().map(Vec::as_slice),
                Some([Piece::Literal(name)]) if DECLARING.contains(&name.as_str()));
            if declares && self.is_array() {
                if let Some(assignment) = self.assignment()? {
                    simple.words.push(vec![Piece::Literal(assignment.name.clone())]);
                    simple.arrays.push(assignment);
                }
                continue;
            }
            let before = self.at;
            simple.words.push(self.word()?);
            if simple.words.len() == 1 && self.peek() == Some('(') && simple.assignments.is_empty() {
                let name: String = self.text.iter().skip(before).take(self.at - before).collect();
                return self.function(name);
            }
        }
        if self.at == start {
            return Err(self.unexpected());
        }
        Ok(Rc::new(Command::Simple(simple)))
    }

    /// Whether `NAME=(` comes next.
    fn is_array(&self) -> bool {
        let rest = || self.text.iter().skip(self.at);
        let length = rest().take_while(|c| **c == '_' || c.is_ascii_alphanumeric()).count();
        length > 0 && rest().skip(length).take(2).eq(&['=', '('])
    }

    /// `NAME=value`, `NAME[index]=value`, `NAME=( … )`, each also with `+=`, if that comes next.
    fn assignment(&mut self) -> Parse<Option<Assignment>> {
        let start = self.at;
        let name = self.name();
        if name.is_empty() {
            return Ok(None);
        }
        let index = match self.peek() {
            Some('[') => match self.subscript() {
                Ok(Some(Subscript::At(index))) => Some(index),
                _ => {
                    self.at = start;
                    return Ok(None);
                }
            },
            _ => None,
        };
        let append = self.peek() == Some('+') && self.peek_at(1) == Some('=');
        self.at += usize::from(append);
        if !self.eat("=") {
            self.at = start;
            return Ok(None);
        }
        if self.peek() == Some('(') && index.is_none() {
            return Ok(Some(Assignment { name, index, append, value: self.elements()? }));
        }
        let process = matches!(self.peek(), Some('<' | '>')) && self.peek_at(1) == Some('(');
        let empty = self.peek().is_none_or(is_break) && !process;
        let value = Assigned::One(if empty { Word::new() } else { self.word()? });
        Ok(Some(Assignment { name, index, append, value }))
    }

    /// `( word [index]=word … )`.
    fn elements(&mut self) -> Parse<Assigned> {
        self.at += 1;
        let mut all = Vec::new();
        loop {
            self.skip_lines()?;
            if self.eat(")") {
                return Ok(Assigned::Many(all));
            }
            if self.peek().is_none() {
                return self.incomplete("unexpected end of file (expecting \")\")");
            }
            if self.peek().is_some_and(is_break) {
                return Err(self.unexpected());
            }
            let start = self.at;
            let index = match self.subscript() {
                Ok(Some(Subscript::At(index))) if self.eat("=") => Some(index),
                _ => {
                    self.at = start;
                    None
                }
            };
            let value = if self.peek().is_none_or(is_break) { Word::new() } else { self.word()? };
            all.push((index, value));
        }
    }

    /// The longest name that comes next; may be empty.
    pub(super) fn name(&mut self) -> String {
        let mut name = String::new();
        while let Some(c) = self.peek().filter(|c| *c == '_' || c.is_ascii_alphanumeric()) {
            if name.is_empty() && c.is_ascii_digit() {
                break;
            }
            name.push(c);
            self.at += 1;
        }
        name
    }
}

/// Whether a character ends a word.
pub(super) fn is_break(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>')
}
