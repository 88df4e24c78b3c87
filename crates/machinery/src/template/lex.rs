//! Splits a template into text and the tokens of its actions.

use super::{Literal, Span};
use crate::go;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    Dot,
    Field(String),
    Variable(String),
    Word(String),
    Literal(Literal),
    Pipe,
    OpenParen,
    CloseParen,
    Comma,
    Assign,
    Declare,
    /// A character that stands for nothing.
    Other(char),
}

#[derive(Clone, Debug)]
pub(super) struct Lexeme {
    pub(super) token: Token,
    pub(super) span: Span,
    /// Whether space stands before it.
    pub(super) spaced: bool,
}

/// The tokens, or a message and where it belongs.
pub(super) fn lex(source: &str) -> Result<Vec<Lexeme>, (String, usize)> {
    let mut lexer = Lexer { source, at: 0, lexemes: Vec::new(), parens: 0 };
    let mut trim = false;
    while lexer.at < source.len() {
        trim = lexer.text(trim)?;
    }
    Ok(lexer.lexemes)
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    lexemes: Vec<Lexeme>,
    parens: usize,
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn push(&mut self, token: Token, start: usize, spaced: bool) {
        self.lexemes.push(Lexeme { token, span: start..self.at, spaced });
    }

    /// Text, and the action after it. Gives whether that trims the text that follows.
    fn text(&mut self, trim: bool) -> Result<bool, (String, usize)> {
        let start = self.at;
        let rest = self.rest();
        let open = rest.find("{{");
        let mut text = &rest[..open.unwrap_or(rest.len())];
        if trim {
            text = text.trim_start_matches(is_space);
        }
        let inside = open.map(|open| &rest[open + 2..]);
        let trims_before = inside.is_some_and(|inside| inside.starts_with('-') && inside[1..].starts_with(is_space));
        if trims_before {
            text = text.trim_end_matches(is_space);
        }
        self.at += open.unwrap_or(rest.len());
        if !text.is_empty() {
            self.push(Token::Text(text.into()), start, false);
        }
        if open.is_none() {
            return Ok(false);
        }
        let start = self.at;
        self.at += if trims_before { 4 } else { 2 };
        if self.rest().starts_with("/*") {
            return self.comment(start);
        }
        self.push(Token::Open, start, false);
        self.action()
    }

    fn comment(&mut self, start: usize) -> Result<bool, (String, usize)> {
        let rest = self.rest();
        let Some(end) = rest.find("*/") else { return Err(("unclosed comment".into(), start)) };
        self.at += end + 2;
        match self.close() {
            Some((length, trim)) => {
                self.at += length;
                Ok(trim)
            }
            None => Err(("comment ends before closing delimiter".into(), start)),
        }
    }

    /// The length of the closing delimiter here, and whether it trims.
    fn close(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        let trimmed = rest.strip_prefix(is_space).and_then(|rest| rest.strip_prefix("-}}"));
        match trimmed {
            Some(_) => Some((4, true)),
            None => rest.starts_with("}}").then_some((2, false)),
        }
    }

    fn action(&mut self) -> Result<bool, (String, usize)> {
        self.parens = 0;
        loop {
            let start = self.at;
            if let Some((length, trim)) = self.close() {
                if self.parens > 0 {
                    return Err(("unclosed left paren".into(), start));
                }
                self.at += length;
                self.push(Token::Close, start, false);
                return Ok(trim);
            }
            let rest = self.rest();
            let Some(c) = rest.chars().next() else { return Err(("unclosed action".into(), start)) };
            if is_space(c) {
                let end = rest.find(|c| !is_space(c)).unwrap_or(rest.len());
                // A trimming delimiter needs the last space before it.
                let before_trim = rest[end..].starts_with("-}}");
                self.at += if before_trim { end - 1 } else { end };
                if before_trim {
                    continue;
                }
                self.token(true)?;
            } else {
                self.token(false)?;
            }
        }
    }

    fn token(&mut self, spaced: bool) -> Result<(), (String, usize)> {
        let start = self.at;
        if self.close().is_some() {
            return Ok(());
        }
        let rest = self.rest();
        let Some(c) = rest.chars().next() else { return Ok(()) };
        let word = |from: usize| from + rest[from..].find(|c| !is_word(c)).unwrap_or(rest.len() - from);
        let digit_after = |from: usize| rest[from..].starts_with(|c: char| c.is_ascii_digit());
        let (length, token) = match c {
            '"' => self.quoted(rest, '"')?,
            '\'' => self.quoted(rest, '\'')?,
            '`' => match rest[1..].find('`') {
                Some(end) => (end + 2, Token::Literal(Literal::Text(rest[1..=end].into()))),
                None => return Err(("unterminated raw quoted string".into(), start)),
            },
            '.' if digit_after(1) => number(rest, start)?,
            '.' if word(1) > 1 => (word(1), Token::Field(rest[1..word(1)].into())),
            '.' => (1, Token::Dot),
            '$' => (word(1), Token::Variable(rest[..word(1)].into())),
            '|' => (1, Token::Pipe),
            '(' => {
                self.parens += 1;
                (1, Token::OpenParen)
            }
            ')' => match self.parens.checked_sub(1) {
                Some(parens) => {
                    self.parens = parens;
                    (1, Token::CloseParen)
                }
                None => return Err(("unexpected right paren".into(), start)),
            },
            ',' => (1, Token::Comma),
            '=' => (1, Token::Assign),
            ':' if rest.starts_with(":=") => (2, Token::Declare),
            ':' => return Err(("expected :=".into(), start)),
            '+' | '-' => number(rest, start)?,
            c if c.is_ascii_digit() => number(rest, start)?,
            c if is_word(c) => {
                let text = &rest[..word(0)];
                let token = match text {
                    "true" => Token::Literal(Literal::Bool(true)),
                    "false" => Token::Literal(Literal::Bool(false)),
                    text => Token::Word(text.into()),
                };
                (text.len(), token)
            }
            c if c.is_ascii() && go::is_print(c) => (1, Token::Other(c)),
            c => return Err((format!("unrecognized character in action: U+{:04X}", u32::from(c)), start)),
        };
        self.at += length;
        let named = matches!(token, Token::Field(_) | Token::Variable(_) | Token::Word(_));
        let ends = |c: char| is_space(c) || matches!(c, '.' | ',' | '|' | ':' | ')' | '(' | '}');
        if let Some(c) = self.rest().chars().next().filter(|c| named && !ends(*c)) {
            return Err((format!("bad character U+{:04X} '{c}'", u32::from(c)), self.at));
        }
        self.push(token, start, spaced);
        Ok(())
    }

    fn quoted(&self, rest: &str, quote: char) -> Result<(usize, Token), (String, usize)> {
        let what = if quote == '"' { "quoted string" } else { "character constant" };
        let mut escaped = false;
        let end = rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '\n' || (*c == quote && !escaped);
            escaped = *c == '\\' && !escaped;
            ends
        });
        let Some((end, _)) = end.filter(|(_, c)| *c == quote) else {
            return Err((format!("unterminated {what}"), self.at));
        };
        let Some(text) = go::unquote(&rest[1..end], quote) else { return Err(("invalid syntax".into(), self.at)) };
        let mut chars = text.chars();
        match (quote, chars.next(), chars.next()) {
            ('"', ..) => Ok((end + 1, Token::Literal(Literal::Text(text)))),
            (_, Some(c), None) => Ok((end + 1, Token::Literal(Literal::Int(u32::from(c).into())))),
            _ => Err((format!("malformed character constant: {}", &rest[..=end]), self.at)),
        }
    }
}

fn number(rest: &str, at: usize) -> Result<(usize, Token), (String, usize)> {
    let mut before = ' ';
    let end = rest.find(|c: char| {
        let exponent_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E' | ' ');
        let part = exponent_sign || c == '.' || is_word(c);
        before = c;
        !part
    });
    let text = &rest[..end.unwrap_or(rest.len())];
    match literal(text) {
        Some(literal) => Ok((text.len(), Token::Literal(literal))),
        None => Err((format!("bad number syntax: {}", go::quote(text)), at)),
    }
}

fn literal(text: &str) -> Option<Literal> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let sign = if plain.starts_with('-') { -1 } else { 1 };
    let lower = unsigned.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] if lower.bytes().all(|byte| byte.is_ascii_digit()) => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)) {
        return Some(match i64::from_str_radix(digits, radix) {
            Ok(number) => Literal::Int(sign * number),
            Err(_) => Literal::Overflow(text.into()),
        });
    }
    let shaped = lower.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    plain.parse().ok().filter(|float: &f64| shaped && float.is_finite()).map(Literal::Float)
}
