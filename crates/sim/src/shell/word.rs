//! Words: quotes and expansions.

use std::rc::Rc;

use super::ast::{Command, Operation, Piece, Subscript, Word};
use super::parser::{Parse, Parser, SyntaxError, is_break};

/// How deeply expansions may be nested.
const DEPTH_MAX: usize = 40;

impl Parser {
    /// A word, up to a blank or an operator.
    pub(super) fn word(&mut self) -> Parse<Word> {
        let mut word = Word::new();
        if self.peek() == Some('~') {
            let user: String =
                self.text.iter().skip(self.at + 1).take_while(|c| !is_break(**c) && **c != '/').collect();
            if user.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
                self.at += 1 + user.chars().count();
                word.push(Piece::Tilde(user));
            }
        }
        while let Some(c) = self.peek() {
            if matches!(c, '<' | '>') && self.peek_at(1) == Some('(') {
                self.at += 2;
                let command = self.list(&[])?;
                self.skip_blanks();
                if !self.eat(")") {
                    return self.incomplete("unexpected end of file (expecting \")\")");
                }
                word.push(Piece::Process { command, input: c == '>' });
                continue;
            }
            if is_break(c) {
                break;
            }
            self.piece(&mut word, c)?;
        }
        Ok(word)
    }

    /// One character, quotation or expansion of a word that is not in double quotes.
    pub(super) fn piece(&mut self, word: &mut Word, c: char) -> Parse<()> {
        match c {
            '\'' => {
                self.at += 1;
                let mut text = String::new();
                loop {
                    match self.peek() {
                        None => return self.incomplete("unterminated quoted string"),
                        Some('\'') => break,
                        Some(c) => text.push(c),
                    }
                    self.at += 1;
                }
                self.at += 1;
                word.push(Piece::Quoted(text));
            }
            '"' => {
                self.at += 1;
                word.push(Piece::Quoted(String::new()));
                word.extend(self.double_quoted(Some('"'))?);
            }
            '\\' => {
                self.at += 1;
                match self.peek() {
                    None => return self.incomplete("unexpected end of file"),
                    Some('\n') => {}
                    Some(c) => word.push(Piece::Quoted(c.to_string())),
                }
                self.at += 1;
            }
            '$' | '`' => self.expansion(word, false)?,
            c => {
                self.at += 1;
                push_literal(word, c);
            }
        }
        Ok(())
    }

    /// What stands in double quotes, up to and with `end`; or all of a here-document.
    pub(super) fn double_quoted(&mut self, end: Option<char>) -> Parse<Word> {
        let mut word = Word::new();
        loop {
            match self.peek() {
                None if end.is_none() => return Ok(word),
                None => return self.incomplete("unterminated quoted string"),
                Some(c) if Some(c) == end => {
                    self.at += 1;
                    return Ok(word);
                }
                Some('\\') => {
                    let next = self.peek_at(1);
                    self.at += 1;
                    match next {
                        Some('\n') => self.at += 1,
                        Some(c) if matches!(c, '$' | '`' | '\\') || Some(c) == end => {
                            self.at += 1;
                            push_quoted(&mut word, c);
                        }
                        _ => push_quoted(&mut word, '\\'),
                    }
                }
                Some('$' | '`') => self.expansion(&mut word, true)?,
                Some(c) => {
                    self.at += 1;
                    push_quoted(&mut word, c);
                }
            }
        }
    }

    /// `$…` or a command in backquotes.
    fn expansion(&mut self, word: &mut Word, quoted: bool) -> Parse<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SyntaxError { message: "syntax error: nested too deeply".into(), incomplete: false });
        }
        if self.peek() == Some('`') {
            self.at += 1;
            let command = self.backquoted()?;
            word.push(Piece::Substitution { command, quoted });
        } else if self.eat("$((") {
            let start = self.at;
            match self.arithmetic()? {
                Some(expression) => word.push(Piece::Arithmetic { expression, quoted }),
                None => {
                    // `$((a) | b)` after all: a subshell in a substitution.
                    self.at = start - 1;
                    self.substitution(word, quoted)?;
                }
            }
        } else if self.eat("$(") {
            self.substitution(word, quoted)?;
        } else if self.eat("${") {
            let piece = self.braced(quoted)?;
            word.push(piece);
        } else {
            self.at += 1;
            let name = match self.peek() {
                Some(c) if matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!') || c.is_ascii_digit() => {
                    self.at += 1;
                    c.to_string()
                }
                Some('\'') if !quoted => {
                    self.at += 1;
                    let text = self.ansi_quoted()?;
                    word.push(Piece::Quoted(text));
                    self.depth -= 1;
                    return Ok(());
                }
                _ => self.name(),
            };
            if name.is_empty() {
                if quoted { push_quoted(word, '$') } else { push_literal(word, '$') }
            } else {
                word.push(Piece::Parameter { name, index: None, operation: Operation::Value, quoted });
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// `$'…'`, where backslash escapes are as in C.
    fn ansi_quoted(&mut self) -> Parse<String> {
        let mut raw = String::new();
        loop {
            match self.peek() {
                None => return self.incomplete("unterminated quoted string"),
                Some('\'') => break,
                Some('\\') => {
                    raw.push('\\');
                    self.at += 1;
                    raw.extend(self.peek());
                }
                Some(c) => raw.push(c),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(crate::programs::escape::unescape(&raw).0.replace("\\'", "'"))
    }

    fn substitution(&mut self, word: &mut Word, quoted: bool) -> Parse<()> {
        let command = self.list(&[])?;
        self.skip_blanks();
        if !self.eat(")") {
            return self.incomplete("unexpected end of file (expecting \")\")");
        }
        word.push(Piece::Substitution { command, quoted });
        Ok(())
    }

    fn backquoted(&mut self) -> Parse<Rc<Command>> {
        let mut inner = String::new();
        loop {
            match self.peek() {
                None => return self.incomplete("unterminated quoted string"),
                Some('`') => break,
                Some('\\') if matches!(self.peek_at(1), Some('`' | '\\' | '$')) => {
                    self.at += 1;
                    inner.extend(self.peek());
                }
                Some(c) => inner.push(c),
            }
            self.at += 1;
        }
        self.at += 1;
        let mut parser = Parser::new(&inner);
        parser.depth = self.depth;
        parser.list(&[])
    }

    /// The expression of `$((…))`, with its end; `None` if it does not end in `))`.
    fn arithmetic(&mut self) -> Parse<Option<Word>> {
        let mut word = Word::new();
        let mut open = 0;
        loop {
            match self.peek() {
                None => return self.incomplete("unterminated quoted string"),
                Some('(') => open += 1,
                Some(')') if open > 0 => open -= 1,
                Some(')') => {
                    let ended = self.eat("))");
                    return Ok(ended.then_some(word));
                }
                Some('$' | '`') => {
                    self.expansion(&mut word, true)?;
                    continue;
                }
                Some(_) => {}
            }
            if let Some(c) = self.peek() {
                push_quoted(&mut word, c);
            }
            self.at += 1;
        }
    }

    /// `${…}`, after the brace.
    fn braced(&mut self, quoted: bool) -> Parse<Piece> {
        let piece = |name: String, index, operation| Piece::Parameter { name, index, operation, quoted };
        let special = |c: char| matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!');
        if self.peek() == Some('#')
            && self.peek_at(1).is_some_and(|c| c != '}' && !matches!(c, '-' | '=' | '?' | '+' | ':' | '%'))
        {
            self.at += 1;
            let name = self.parameter_name(special);
            let index = self.subscript()?;
            return if self.eat("}") { Ok(piece(name, index, Operation::Length)) } else { Err(bad_substitution()) };
        }
        let indirect = self.peek() == Some('!') && self.peek_at(1).is_some_and(|c| c == '_' || c.is_ascii_alphabetic());
        if indirect {
            self.at += 1;
        }
        let name = self.parameter_name(special);
        if name.is_empty() {
            return Err(bad_substitution());
        }
        let index = self.subscript()?;
        if indirect {
            // `${!prefix@}` is not known here.
            return if self.eat("}") { Ok(piece(name, index, Operation::Indirect)) } else { Err(bad_substitution()) };
        }
        if self.eat("}") {
            return Ok(piece(name, index, Operation::Value));
        }
        let colon = self.peek() == Some(':') && self.peek_at(1).is_some_and(|c| matches!(c, '-' | '=' | '?' | '+'));
        if colon {
            self.at += 1;
        }
        let operation = match self.peek() {
            Some(kind @ ('-' | '=' | '?' | '+')) => {
                self.at += 1;
                Operation::Conditional { kind, colon, word: self.until_brace(quoted, &['}'])? }
            }
            Some(kind @ ('#' | '%')) => {
                self.at += 1;
                let longest = self.eat(&kind.to_string());
                Operation::Trim { suffix: kind == '%', longest, pattern: self.until_brace(false, &['}'])? }
            }
            Some(':') => {
                self.at += 1;
                let offset = self.until_brace(true, &[':', '}'])?;
                let length = if self.eat(":") { Some(self.until_brace(true, &['}'])?) } else { None };
                Operation::Substring(offset, length)
            }
            Some('/') => {
                self.at += 1;
                let all = self.eat("/");
                let pattern = self.until_brace(false, &['/', '}'])?;
                let text = if self.eat("/") { self.until_brace(quoted, &['}'])? } else { Word::new() };
                Operation::Replace { all, pattern, text }
            }
            Some(c @ ('^' | ',')) => {
                self.at += 1;
                let all = self.peek() == Some(c);
                self.at += usize::from(all);
                Operation::Case { upper: c == '^', all }
            }
            None => return self.incomplete("unterminated quoted string"),
            Some(_) => return Err(bad_substitution()),
        };
        if self.eat("}") { Ok(piece(name, index, operation)) } else { self.incomplete("unterminated quoted string") }
    }

    /// `[…]` after an array's name.
    pub(super) fn subscript(&mut self) -> Parse<Option<Subscript>> {
        if self.peek() != Some('[') {
            return Ok(None);
        }
        self.at += 1;
        for (mark, star) in [("@]", false), ("*]", true)] {
            if self.eat(mark) {
                return Ok(Some(Subscript::All(star)));
            }
        }
        let index = self.until_brace(false, &[']'])?;
        if self.eat("]") { Ok(Some(Subscript::At(index))) } else { Err(bad_substitution()) }
    }

    /// The expression of `((…))` after its opening, with its end.
    pub(super) fn expression(&mut self) -> Parse<Word> {
        match self.arithmetic()? {
            Some(expression) => Ok(expression),
            None => Err(self.unexpected()),
        }
    }

    fn parameter_name(&mut self, special: impl Fn(char) -> bool) -> String {
        match self.peek() {
            Some(c) if special(c) => {
                self.at += 1;
                c.to_string()
            }
            Some(c) if c.is_ascii_digit() => {
                let digits: String = self.text.iter().skip(self.at).take_while(|c| c.is_ascii_digit()).collect();
                self.at += digits.len();
                digits
            }
            _ => self.name(),
        }
    }

    /// The word inside `${…}` up to one of the given characters, which is left to be read.
    fn until_brace(&mut self, quoted: bool, ends: &[char]) -> Parse<Word> {
        let mut word = Word::new();
        loop {
            match self.peek() {
                None => return self.incomplete("unterminated quoted string"),
                Some(c) if ends.contains(&c) => return Ok(word),
                Some('$' | '`') => self.expansion(&mut word, quoted)?,
                Some(c) if quoted && c != '"' && c != '\\' => {
                    self.at += 1;
                    push_quoted(&mut word, c);
                }
                Some(c) => self.piece(&mut word, c)?,
            }
        }
    }
}

fn bad_substitution() -> SyntaxError {
    SyntaxError { message: "syntax error: bad substitution".into(), incomplete: false }
}

fn push_literal(word: &mut Word, c: char) {
    match word.last_mut() {
        Some(Piece::Literal(text)) => text.push(c),
        _ => word.push(Piece::Literal(c.to_string())),
    }
}

fn push_quoted(word: &mut Word, c: char) {
    match word.last_mut() {
        Some(Piece::Quoted(text)) => text.push(c),
        _ => word.push(Piece::Quoted(c.to_string())),
    }
}
