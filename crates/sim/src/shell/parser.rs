//! From text to commands.

use std::rc::Rc;

use super::ast::{Command, Redirect, Simple, Target, Word};

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
    heredocs: Vec<Pending>,
}

struct Pending {
    delimiter: String,
    strip_tabs: bool,
}

const RESERVED: [&str; 14] =
    ["if", "then", "elif", "else", "fi", "while", "until", "for", "do", "done", "case", "esac", "{", "}"];

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

    fn unexpected(&mut self) -> SyntaxError {
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
    fn skip_lines(&mut self) -> Parse<()> {
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
    fn reserved(&mut self) -> Option<&'static str> {
        self.skip_blanks();
        let word: String = self.text.iter().skip(self.at).take_while(|c| !is_break(**c)).collect();
        RESERVED.into_iter().find(|reserved| *reserved == word)
    }

    fn expect(&mut self, word: &str) -> Parse<()> {
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
            let mut command = self.and_or()?;
            self.skip_blanks();
            let mut separated = true;
            match self.peek() {
                Some('&') => {
                    self.at += 1;
                    command = Rc::new(Command::Background(command));
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
    fn body(&mut self, ends: &[&str]) -> Parse<Rc<Command>> {
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

    fn pipeline(&mut self) -> Parse<Rc<Command>> {
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

    fn command(&mut self) -> Parse<Rc<Command>> {
        self.skip_blanks();
        let compound = match self.peek() {
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
                Some(word @ ("if" | "while" | "until" | "for" | "case" | "{")) => {
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

    fn compound(&mut self, word: &str) -> Parse<Command> {
        match word {
            "{" => {
                let inner = self.body(&["}"])?;
                self.expect("}")?;
                Ok(Command::Sequence(vec![inner]))
            }
            "if" => {
                let mut branches = Vec::new();
                loop {
                    let condition = self.body(&["then"])?;
                    self.expect("then")?;
                    branches.push((condition, self.body(&["elif", "else", "fi"])?));
                    self.skip_lines()?;
                    match self.reserved() {
                        Some("elif") => self.at += 4,
                        Some("else") => {
                            self.at += 4;
                            let otherwise = self.body(&["fi"])?;
                            self.expect("fi")?;
                            return Ok(Command::If(branches, Some(otherwise)));
                        }
                        _ => {
                            self.expect("fi")?;
                            return Ok(Command::If(branches, None));
                        }
                    }
                }
            }
            "while" | "until" => {
                let condition = self.body(&["do"])?;
                Ok(Command::Loop { until: word == "until", condition, body: self.do_body()? })
            }
            "for" => {
                self.skip_blanks();
                let name = self.name();
                if name.is_empty() {
                    return Err(self.unexpected());
                }
                self.skip_lines()?;
                let mut words = None;
                if self.eat_word("in") {
                    let mut list = Vec::new();
                    self.skip_blanks();
                    while self.peek().is_some_and(|c| !is_break(c)) {
                        list.push(self.word()?);
                        self.skip_blanks();
                    }
                    words = Some(list);
                }
                self.skip_blanks();
                self.eat(";");
                Ok(Command::For { name, words, body: self.do_body()? })
            }
            _ => self.case(),
        }
    }

    fn do_body(&mut self) -> Parse<Rc<Command>> {
        self.expect("do")?;
        let body = self.body(&["done"])?;
        self.expect("done")?;
        Ok(body)
    }

    fn case(&mut self) -> Parse<Command> {
        self.skip_blanks();
        let word = self.word()?;
        self.skip_lines()?;
        if !self.eat_word("in") {
            return Err(self.unexpected());
        }
        let mut arms = Vec::new();
        loop {
            self.skip_lines()?;
            if self.eat_word("esac") {
                return Ok(Command::Case { word, arms });
            }
            self.eat("(");
            let mut patterns = Vec::new();
            loop {
                self.skip_blanks();
                if self.peek().is_none_or(is_break) {
                    return Err(self.unexpected());
                }
                patterns.push(self.word()?);
                self.skip_blanks();
                if !self.eat("|") {
                    break;
                }
            }
            if !self.eat(")") {
                return Err(self.unexpected());
            }
            arms.push((patterns, self.list(&["esac"])?));
            self.skip_lines()?;
            self.eat(";;");
        }
    }

    fn eat_word(&mut self, word: &str) -> bool {
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
            if self.peek().is_none_or(is_break) {
                break;
            }
            if simple.words.is_empty()
                && let Some(name) = self.assignment()
            {
                let value = if self.peek().is_none_or(is_break) { Word::new() } else { self.word()? };
                simple.assignments.push((name, value));
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

    fn function(&mut self, name: String) -> Parse<Rc<Command>> {
        self.at += 1;
        self.skip_blanks();
        if !self.eat(")") {
            return Err(self.unexpected());
        }
        self.skip_lines()?;
        Ok(Rc::new(Command::Function(name, self.command()?)))
    }

    /// `NAME=`, if that comes next.
    fn assignment(&mut self) -> Option<String> {
        let start = self.at;
        let name = self.name();
        if !name.is_empty() && self.eat("=") {
            return Some(name);
        }
        self.at = start;
        None
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

    fn redirect(&mut self) -> Parse<Option<Redirect>> {
        let start = self.at;
        let mut digits = String::new();
        while let Some(c) = self.peek().filter(char::is_ascii_digit) {
            digits.push(c);
            self.at += 1;
        }
        let both = digits.is_empty() && self.peek() == Some('&') && self.peek_at(1) == Some('>');
        let number = digits.parse::<u32>().ok();
        if !both && (!matches!(self.peek(), Some('<' | '>')) || number.is_none() && !digits.is_empty()) {
            self.at = start;
            return Ok(None);
        }
        const OPERATORS: [&str; 10] = ["&>", "<<<", "<<-", "<<", "<&", ">>", ">&", ">|", "<", ">"];
        let operator = OPERATORS.into_iter().find(|operator| self.eat(operator)).unwrap_or("<");
        self.skip_blanks();
        if self.peek().is_none_or(is_break) {
            return Err(self.unexpected());
        }
        let fd = number.unwrap_or(u32::from(operator.contains('>')));
        let target = match operator {
            "<<" | "<<-" => self.heredoc(operator == "<<-")?,
            "<<<" => {
                let mut word = self.word()?;
                word.push(super::ast::Piece::Quoted("\n".into()));
                Target::Text(word)
            }
            "<" => Target::Read(self.word()?),
            "<&" => Target::Duplicate(self.word()?),
            ">>" => Target::Append(self.word()?),
            ">&" => Target::Duplicate(self.word()?),
            _ => Target::Write(self.word()?),
        };
        // `&>file` is `>file 2>&1`: the second part is left to be read next.
        if operator == "&>" {
            self.text.splice(self.at..self.at, " 2>&1".chars());
        }
        Ok(Some(Redirect { fd, target }))
    }

    /// A here-document: its body stands after the line's end, which may not have been read yet. The body
    /// is found now, and skipped when the line's end is reached.
    fn heredoc(&mut self, strip_tabs: bool) -> Parse<Target> {
        let start = self.at;
        while self.peek().is_some_and(|c| !is_break(c)) {
            self.at += 1;
        }
        let raw: String = self.text.iter().skip(start).take(self.at - start).collect();
        let quoted = raw.contains(['\'', '"', '\\']);
        let delimiter = raw.replace(['\'', '"', '\\'], "");
        let line_end = self.text.iter().skip(self.at).position(|c| *c == '\n').map(|offset| self.at + offset + 1);
        let Some(mut at) = line_end else { return self.incomplete("unterminated here-document") };
        for pending in &self.heredocs {
            at = body_end(&self.text, at, &pending.delimiter, pending.strip_tabs)
                .ok_or_else(|| SyntaxError {
                    message: "syntax error: unterminated here-document".into(),
                    incomplete: true,
                })?
                .1;
        }
        let Some((body, _)) = body_end(&self.text, at, &delimiter, strip_tabs) else {
            return self.incomplete("unterminated here-document");
        };
        self.heredocs.push(Pending { delimiter, strip_tabs });
        if quoted {
            return Ok(Target::Text(vec![super::ast::Piece::Quoted(body)]));
        }
        let mut inner = Parser::new(&body);
        inner.depth = self.depth;
        Ok(Target::Text(inner.double_quoted(None)?))
    }

    fn skip_heredoc(&mut self, pending: &Pending) -> Parse<()> {
        match body_end(&self.text, self.at, &pending.delimiter, pending.strip_tabs) {
            Some((_, end)) => {
                self.at = end;
                Ok(())
            }
            None => self.incomplete("unterminated here-document"),
        }
    }
}

/// The body of a here-document that begins at `at`, and where the text goes on.
fn body_end(text: &[char], mut at: usize, delimiter: &str, strip_tabs: bool) -> Option<(String, usize)> {
    let mut body = String::new();
    while at < text.len() {
        let line: String = text.iter().skip(at).take_while(|c| **c != '\n').collect();
        let ended = at + line.chars().count();
        let shown = if strip_tabs { line.trim_start_matches('\t') } else { &line };
        at = ended + 1;
        if shown == delimiter {
            return Some((body, at.min(text.len())));
        }
        body.push_str(shown);
        body.push('\n');
    }
    None
}

/// Whether a character ends a word.
pub(super) fn is_break(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>')
}
