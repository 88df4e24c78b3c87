//! From a template's text to a tree.

use serde_json::Value;

use super::functions;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Text(String),
    /// `{{pipeline}}`; a declaration or assignment prints nothing.
    Action(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
    Define(String, Vec<Node>),
    Template(String, Option<Pipeline>),
    Break,
    Continue,
}

/// `$x := command | command`
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pipeline {
    pub variables: Vec<String>,
    pub declares: bool,
    pub commands: Vec<Vec<Operand>>,
}

/// An argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    Literal(Value),
    /// `.` and the fields after it.
    Dot(Vec<String>),
    /// `$name` and the fields after it; the bare `$` has an empty name.
    Variable(String, Vec<String>),
    /// A parenthesized pipeline and the fields after it.
    Group(Box<Pipeline>, Vec<String>),
    Function(String),
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    /// What stands between the braces, and the line it starts on.
    Action(String, usize),
}

fn failed(line: usize, message: &str) -> String {
    format!("template: output:{line}: {message}")
}

/// Reads a template.
///
/// # Errors
/// In Go's words.
pub(super) fn parse(source: &str) -> Result<Vec<Node>, String> {
    let pieces = split(source)?;
    let mut parser = Parser { pieces: pieces.into_iter(), last_line: 1 };
    match parser.nodes()? {
        (nodes, End::Eof) => Ok(nodes),
        (_, End::Closed) => Err(failed(parser.last_line, "unexpected {{end}}")),
        (_, End::Else(_)) => Err(failed(parser.last_line, "unexpected {{else}}")),
    }
}

fn split(source: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = source;
    let mut trim_next = false;
    loop {
        let line = 1 + source[..source.len() - rest.len()].matches('\n').count();
        let open = rest.find("{{");
        let (text, after) = match open {
            Some(at) => (&rest[..at], Some(&rest[at + 2..])),
            None => (rest, None),
        };
        let trims_before = after.is_some_and(|after| after.starts_with("- "));
        let mut text = text;
        if trim_next {
            text = text.trim_start();
        }
        if trims_before {
            text = text.trim_end();
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        let Some(after) = after else { return Ok(pieces) };
        let line = line + rest[..open.unwrap_or_default()].matches('\n').count();
        let after = if trims_before { &after[2..] } else { after };
        let close = closing(after).ok_or_else(|| failed(line, "unclosed action"))?;
        let inner = &after[..close];
        rest = &after[close + 2..];
        trim_next = inner.ends_with(" -");
        let inner = if trim_next { &inner[..inner.len() - 2] } else { inner };
        let inner = inner.trim();
        if !inner.starts_with("/*") {
            pieces.push(Piece::Action(inner.to_owned(), line));
        }
    }
}

/// Where `}}` is, quotes and comments respected.
fn closing(text: &str) -> Option<usize> {
    if text.trim_start().starts_with("/*") {
        let end = text.find("*/")?;
        return text[end..].find("}}").map(|at| end + at);
    }
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some('"' | '\''), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '}') if text[at..].starts_with("}}") => return Some(at),
            _ => {}
        }
    }
    None
}

enum End {
    Eof,
    Closed,
    /// What stands after `else`, with its line.
    Else(String),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    last_line: usize,
}

impl Parser {
    fn nodes(&mut self) -> Result<(Vec<Node>, End), String> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (action, line) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(action, line) => (action, line),
            };
            self.last_line = line;
            // `{{range.items}}`: a keyword ends where its letters do.
            let letters = action.find(|c: char| !c.is_alphanumeric()).unwrap_or(action.len());
            let is_keyword = matches!(&action[..letters], "if" | "with" | "range");
            let end = if is_keyword { Some(letters) } else { action.find([' ', '\t', '\n']) };
            let (word, rest) = match end {
                Some(at) => (&action[..at], action[at..].trim()),
                None => (action.as_str(), ""),
            };
            match word {
                "end" => return Ok((nodes, End::Closed)),
                "else" => return Ok((nodes, End::Else(rest.to_owned()))),
                "if" | "with" | "range" => nodes.push(self.block(word, rest, line)?),
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "define" | "block" => {
                    let (name, rest) = quoted_name(rest).ok_or_else(|| failed(line, "missing template name"))?;
                    let (body, end) = self.nodes()?;
                    self.must_end(&end)?;
                    nodes.push(Node::Define(name.clone(), body));
                    if word == "block" {
                        nodes.push(Node::Template(name, Some(pipeline(rest, line)?)));
                    }
                }
                "template" => {
                    let (name, rest) = quoted_name(rest).ok_or_else(|| failed(line, "missing template name"))?;
                    let argument = if rest.is_empty() { None } else { Some(pipeline(rest, line)?) };
                    nodes.push(Node::Template(name, argument));
                }
                "" => return Err(failed(line, "missing value for command")),
                _ => nodes.push(Node::Action(pipeline(&action, line)?)),
            }
        }
        Ok((nodes, End::Eof))
    }

    fn must_end(&self, end: &End) -> Result<(), String> {
        match end {
            End::Closed => Ok(()),
            End::Eof => Err(failed(self.last_line, "unexpected EOF")),
            End::Else(_) => Err(failed(self.last_line, "expected end; found {{else}}")),
        }
    }

    fn block(&mut self, word: &str, condition: &str, line: usize) -> Result<Node, String> {
        if condition.is_empty() {
            return Err(failed(line, &format!("missing value for {word}")));
        }
        let condition = pipeline(condition, line)?;
        let (body, end) = self.nodes()?;
        let otherwise = match end {
            End::Else(rest) if rest.is_empty() => {
                let (otherwise, end) = self.nodes()?;
                self.must_end(&end)?;
                otherwise
            }
            End::Else(rest) => {
                let (word, condition) = rest.split_once(' ').unwrap_or((&rest, ""));
                let line = self.last_line;
                vec![self.block(word, condition.trim(), line)?]
            }
            end => {
                self.must_end(&end)?;
                Vec::new()
            }
        };
        Ok(match word {
            "if" => Node::If(condition, body, otherwise),
            "with" => Node::With(condition, body, otherwise),
            _ => Node::Range(condition, body, otherwise),
        })
    }
}

fn quoted_name(text: &str) -> Option<(String, &str)> {
    let rest = text.strip_prefix('"')?;
    let (name, rest) = rest.split_once('"')?;
    Some((name.to_owned(), rest.trim()))
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Literal(Value),
    /// `.a.b`, glued to what stands before it or not.
    Fields(Vec<String>, bool),
    Open,
    Close,
    Pipe,
    Declare,
    Assign,
    Comma,
}

fn pipeline(text: &str, line: usize) -> Result<Pipeline, String> {
    let tokens = tokens(text, line)?;
    let mut at = 0;
    let pipeline = read_pipeline(&tokens, &mut at, line)?;
    match tokens.get(at) {
        None => Ok(pipeline),
        Some(_) => Err(failed(line, "unexpected \")\" in command")),
    }
}

fn read_pipeline(tokens: &[Token], at: &mut usize, line: usize) -> Result<Pipeline, String> {
    let mut pipeline = Pipeline::default();
    let rest = tokens.get(*at..).unwrap_or_default();
    let name = |token: Option<&Token>| match token {
        Some(Token::Word(word)) if word.starts_with('$') => Some(word[1..].to_owned()),
        _ => None,
    };
    let first = name(rest.first());
    let second = name(rest.get(2));
    match (first, rest.get(1), second, rest.get(3)) {
        (Some(first), Some(Token::Declare | Token::Assign), ..) => {
            pipeline.declares = rest.get(1) == Some(&Token::Declare);
            pipeline.variables = vec![first];
            *at += 2;
        }
        (Some(first), Some(Token::Comma), Some(second), Some(Token::Declare | Token::Assign)) => {
            pipeline.declares = rest.get(3) == Some(&Token::Declare);
            pipeline.variables = vec![first, second];
            *at += 4;
        }
        _ => {}
    }
    let mut command = Vec::new();
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token {
            Token::Close => {
                *at -= 1;
                break;
            }
            Token::Pipe => pipeline.commands.push(std::mem::take(&mut command)),
            Token::Literal(value) => command.push(Operand::Literal(value.clone())),
            Token::Fields(fields, false) => command.push(Operand::Dot(fields.clone())),
            Token::Fields(fields, true) => match command.last_mut() {
                Some(Operand::Dot(path) | Operand::Variable(_, path) | Operand::Group(_, path)) => {
                    path.extend(fields.iter().cloned());
                }
                _ => command.push(Operand::Dot(fields.clone())),
            },
            Token::Open => {
                let inner = read_pipeline(tokens, at, line)?;
                if tokens.get(*at) != Some(&Token::Close) {
                    return Err(failed(line, "unclosed left paren"));
                }
                *at += 1;
                command.push(Operand::Group(Box::new(inner), Vec::new()));
            }
            Token::Word(word) => command.push(word_operand(word, line)?),
            Token::Declare | Token::Assign | Token::Comma => return Err(failed(line, "unexpected \":=\" in operand")),
        }
    }
    pipeline.commands.push(command);
    if pipeline.commands.iter().any(Vec::is_empty) {
        return Err(failed(line, "missing value for command"));
    }
    Ok(pipeline)
}

fn word_operand(word: &str, line: usize) -> Result<Operand, String> {
    if let Some(name) = word.strip_prefix('$') {
        return Ok(Operand::Variable(name.to_owned(), Vec::new()));
    }
    match word {
        "true" => Ok(Operand::Literal(Value::Bool(true))),
        "false" => Ok(Operand::Literal(Value::Bool(false))),
        "nil" => Ok(Operand::Literal(Value::Null)),
        word if functions::NAMES.contains(&word) => Ok(Operand::Function(word.to_owned())),
        word => Err(failed(line, &format!("function {word:?} not defined"))),
    }
}

fn tokens(text: &str, line: usize) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut spaced = true;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        match c {
            ' ' | '\t' | '\n' | '\r' => {
                spaced = true;
                rest = &rest[length..];
                continue;
            }
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            '|' => tokens.push(Token::Pipe),
            ',' => tokens.push(Token::Comma),
            ':' if rest.starts_with(":=") => {
                tokens.push(Token::Declare);
                length = 2;
            }
            '=' => tokens.push(Token::Assign),
            '"' | '`' | '\'' => {
                let (value, used) = string(rest, c).ok_or_else(|| failed(line, "unterminated quoted string"))?;
                tokens.push(Token::Literal(value.into()));
                length = used;
            }
            '.' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(rest.len());
                let fields: Vec<String> =
                    rest[..end].split('.').filter(|field| !field.is_empty()).map(str::to_owned).collect();
                tokens.push(Token::Fields(fields, !spaced && !tokens.is_empty()));
                length = end;
            }
            _ => {
                let end = rest
                    .char_indices()
                    .skip(1)
                    .find(|(_, c)| !(c.is_alphanumeric() || *c == '_' || is_decimal_point(rest, *c)))
                    .map_or(rest.len(), |(at, _)| at);
                let word = &rest[..end];
                length = end;
                match (word.parse::<i64>(), word.parse::<f64>()) {
                    (Ok(number), _) => tokens.push(Token::Literal(number.into())),
                    (_, Ok(number)) => tokens.push(Token::Literal(number.into())),
                    _ if c.is_alphabetic() || c == '_' || c == '$' => tokens.push(Token::Word(word.to_owned())),
                    _ => return Err(failed(line, &format!("unexpected {c:?} in command"))),
                }
            }
        }
        spaced = false;
        rest = &rest[length..];
    }
    Ok(tokens)
}

/// Whether a dot belongs to the number that a text starts with.
fn is_decimal_point(text: &str, c: char) -> bool {
    c == '.' && text.starts_with(|first: char| first.is_ascii_digit() || first == '-')
}

/// A quoted string at the start of a text, and how long it is there.
fn string(text: &str, quote: char) -> Option<(String, usize)> {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((out, at + 1)),
            '\\' if quote != '`' => match chars.next()?.1 {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'r' => out.push('\r'),
                other => out.push(other),
            },
            c => out.push(c),
        }
    }
    None
}
