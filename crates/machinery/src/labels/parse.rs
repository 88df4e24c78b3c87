//! The string form of label selectors.

use std::collections::BTreeSet;

use super::{Operator, Requirement, SelectorError};
use crate::field::{self, Error, Path};
use crate::names;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    End,
    Close,
    Comma,
    Not,
    Open,
    Word,
    Operator(Operator),
    Unknown,
}

const OPERATORS_EXPECTED: &str = "in, notin, =, ==, !=, gt, lt";

/// Reads a selector's requirements, in the order they stand.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    Parser { tokens: scan(text), position: 0 }.selector().map_err(SelectorError)
}

/// A requirement, if its values fit its operator and are label values.
pub(super) fn requirement(key: &str, operator: Operator, values: Vec<String>) -> Result<Requirement, SelectorError> {
    let mut errors: Vec<Error> = key_error("key", key).into_iter().collect();
    let path = Path::new("values");
    let listed = || serde_json::Value::from(values.clone());
    match operator {
        Operator::In | Operator::NotIn if values.is_empty() => {
            errors.push(Error::invalid(&path, listed(), "for 'in', 'notin' operators, values set can't be empty"));
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if values.len() != 1 => {
            errors.push(Error::invalid(&path, listed(), "exact-match compatibility requires one single value"));
        }
        Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
            errors.push(Error::invalid(&path, listed(), "values set must be empty for exists and does not exist"));
        }
        Operator::GreaterThan | Operator::LessThan => {
            if values.len() != 1 {
                errors.push(Error::invalid(&path, listed(), "for 'Gt', 'Lt' operators, exactly one value is required"));
            }
            for (index, value) in values.iter().enumerate().filter(|(_, value)| value.parse::<i64>().is_err()) {
                let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(Error::invalid(&path.index(index), value.as_str(), detail));
            }
        }
        _ => {}
    }
    for (index, value) in values.iter().enumerate() {
        let messages = names::is_label_value(value);
        if !messages.is_empty() {
            errors.push(Error::invalid(&path.index(index).key(key), value.as_str(), messages.join("; ")));
        }
    }
    match errors.is_empty() {
        true => Ok(Requirement { key: key.into(), operator, values }),
        false => Err(SelectorError(field::aggregate(&errors))),
    }
}

/// Upstream prints the path of a key read from a string as `<nil>`: there is none.
fn key_error(path: &str, key: &str) -> Option<Error> {
    let messages = names::is_qualified_name(key);
    (!messages.is_empty()).then(|| Error::invalid(&Path::new(path), key, messages.join("; ")))
}

fn is_special(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn scan(text: &str) -> Vec<(Token, String)> {
    const SYMBOLS: [(&str, Token); 9] = [
        ("==", Token::Operator(Operator::DoubleEquals)),
        ("!=", Token::Operator(Operator::NotEquals)),
        ("=", Token::Operator(Operator::Equals)),
        (">", Token::Operator(Operator::GreaterThan)),
        ("<", Token::Operator(Operator::LessThan)),
        ("!", Token::Not),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
    ];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start_matches(is_space);
    while !rest.is_empty() && !rest.starts_with('\0') {
        if let Some((literal, token)) = SYMBOLS.iter().find(|(literal, _)| rest.starts_with(literal)) {
            tokens.push((*token, (*literal).to_owned()));
            rest = &rest[literal.len()..];
        } else {
            let end = rest.find(|c| is_special(c) || is_space(c) || c == '\0').unwrap_or(rest.len());
            let word = &rest[..end];
            let token = match word {
                "in" => Token::Operator(Operator::In),
                "notin" => Token::Operator(Operator::NotIn),
                "" => Token::Unknown,
                _ => Token::Word,
            };
            tokens.push((token, word.to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start_matches(is_space);
    }
    tokens.push((Token::End, String::new()));
    tokens
}

struct Parser {
    tokens: Vec<(Token, String)>,
    position: usize,
}

impl Parser {
    /// The token here; `in` and `notin` are words wherever an operator cannot stand.
    fn peek(&self) -> (Token, String) {
        let (token, literal) = self.tokens.get(self.position).cloned().unwrap_or((Token::End, String::new()));
        match token {
            Token::Operator(Operator::In | Operator::NotIn) => (Token::Word, literal),
            token => (token, literal),
        }
    }

    fn next(&mut self) -> (Token, String) {
        let found = self.peek();
        self.position += 1;
        found
    }

    fn selector(mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                (Token::Word | Token::Not, _) => {
                    let one = self.requirement().map_err(|error| format!("unable to parse requirement: {error}"))?;
                    requirements.push(one);
                    match self.next() {
                        (Token::End, _) => return Ok(requirements),
                        (Token::Comma, _) => match self.peek() {
                            (Token::Word | Token::Not, _) => {}
                            (_, found) => return Err(format!("found '{found}', expected: identifier after ','")),
                        },
                        (_, found) => return Err(format!("found '{found}', expected: ',' or 'end of string'")),
                    }
                }
                (Token::End, _) => return Ok(requirements),
                (_, found) => return Err(format!("found '{found}', expected: !, identifier, or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.next();
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.next();
        }
        if token != Token::Word {
            return Err(format!("found '{key}', expected: identifier"));
        }
        if let Some(error) = key_error("<nil>", &key) {
            return Err(error.to_string());
        }
        let (operator, values) = match (negated, self.peek().0) {
            (true, _) => (Operator::DoesNotExist, BTreeSet::new()),
            (false, Token::End | Token::Comma) => (Operator::Exists, BTreeSet::new()),
            (false, _) => {
                let operator = self.operator()?;
                let values = match operator {
                    Operator::In | Operator::NotIn => self.values()?,
                    _ => BTreeSet::from([self.exact_value()?]),
                };
                (operator, values)
            }
        };
        requirement(&key, operator, values.into_iter().collect()).map_err(|error| error.0)
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let found = self.tokens.get(self.position).cloned();
        self.position += 1;
        match found {
            Some((Token::Operator(operator), _)) => Ok(operator),
            Some((_, found)) => Err(format!("found '{found}', expected: {OPERATORS_EXPECTED}")),
            None => Err(format!("found '', expected: {OPERATORS_EXPECTED}")),
        }
    }

    fn exact_value(&mut self) -> Result<String, String> {
        if let (Token::End | Token::Comma, _) = self.peek() {
            return Ok(String::new());
        }
        match self.next() {
            (Token::Word, value) => Ok(value),
            (_, found) => Err(format!("found '{found}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        let (token, found) = self.next();
        if token != Token::Open {
            return Err(format!("found '{found}' expected: '('"));
        }
        let (token, first) = self.peek();
        match token {
            Token::Word | Token::Comma => {
                let values = self.identifiers()?;
                match self.next().0 {
                    Token::Close => Ok(values),
                    _ => Err(format!("found '{first}', expected: ')'")),
                }
            }
            Token::Close => {
                self.next();
                Ok(BTreeSet::from([String::new()]))
            }
            _ => Err(format!("found '{first}', expected: ',', ')' or identifier")),
        }
    }

    fn identifiers(&mut self) -> Result<BTreeSet<String>, String> {
        let mut values = BTreeSet::new();
        loop {
            match self.next() {
                (Token::Word, word) => {
                    values.insert(word);
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(values),
                        (_, found) => return Err(format!("found '{found}', expected: ',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek().0 {
                        Token::Close => {
                            values.insert(String::new());
                            return Ok(values);
                        }
                        Token::Comma => {
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                (_, found) => return Err(format!("found '{found}', expected: ',', or identifier")),
            }
        }
    }
}
