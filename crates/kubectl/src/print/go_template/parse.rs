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
    /// A name, an argument, and the byte in the source at which the name stands.
    Template(String, Option<Pipeline>, usize),
    Break,
    Continue,
}

/// `$x := command | command`
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pipeline {
    pub variables: Vec<String>,
    pub declares: bool,
    pub commands: Vec<Command>,
}

/// A function and its arguments, or a value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Command {
    pub terms: Vec<Term>,
    /// As it is written, for errors.
    pub text: String,
}

/// An operand and where it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    pub operand: Operand,
    /// Byte in the template's source, of the second field where there are several.
    pub at: usize,
    /// As it is written, for errors.
    pub text: String,
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
enum Piece<'s> {
    Text(&'s str),
    /// What stands between the braces, and where.
    Action(Action<'s>),
}

/// Text between braces, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Action<'s> {
    text: &'s str,
    /// Byte in the template's source.
    at: usize,
    line: usize,
}

impl<'s> Action<'s> {
    /// What is left from a byte on, without the blanks around it.
    fn from(self, start: usize) -> Self {
        let rest = self.text.get(start..).unwrap_or_default();
        let blanks = rest.len() - rest.trim_start().len();
        Self { text: rest.trim(), at: self.at + start + blanks, line: self.line }
    }
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

fn split(source: &str) -> Result<Vec<Piece<'_>>, String> {
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
            pieces.push(Piece::Text(text));
        }
        let Some(after) = after else { return Ok(pieces) };
        let line = line + rest[..open.unwrap_or_default()].matches('\n').count();
        let after = if trims_before { &after[2..] } else { after };
        let close = closing(after).ok_or_else(|| failed(line, "unclosed action"))?;
        let inner = &after[..close];
        let at = source.len() - after.len();
        rest = &after[close + 2..];
        trim_next = inner.ends_with(" -");
        let inner = if trim_next { &inner[..inner.len() - 2] } else { inner };
        let action = Action { text: inner, at, line }.from(0);
        if !action.text.starts_with("/*") {
            pieces.push(Piece::Action(action));
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

enum End<'s> {
    Eof,
    Closed,
    /// What stands after `else`.
    Else(Action<'s>),
}

struct Parser<'s> {
    pieces: std::vec::IntoIter<Piece<'s>>,
    last_line: usize,
}

impl<'s> Parser<'s> {
    fn nodes(&mut self) -> Result<(Vec<Node>, End<'s>), String> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let action = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.to_owned()));
                    continue;
                }
                Piece::Action(action) => action,
            };
            let (text, line) = (action.text, action.line);
            self.last_line = line;
            // `{{range.items}}`: a keyword ends where its letters do.
            let letters = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
            let is_keyword = matches!(&text[..letters], "if" | "with" | "range");
            let end = if is_keyword { Some(letters) } else { text.find([' ', '\t', '\n']) };
            let (word, rest) = (&text[..end.unwrap_or(text.len())], action.from(end.unwrap_or(text.len())));
            match word {
                "end" => return Ok((nodes, End::Closed)),
                "else" => return Ok((nodes, End::Else(rest))),
                "if" | "with" | "range" => nodes.push(self.block(word, rest)?),
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "define" | "block" => {
                    let at = rest.at;
                    let (name, rest) = quoted_name(rest).ok_or_else(|| failed(line, "missing template name"))?;
                    let (body, end) = self.nodes()?;
                    self.must_end(&end)?;
                    nodes.push(Node::Define(name.clone(), body));
                    if word == "block" {
                        nodes.push(Node::Template(name, Some(pipeline(rest)?), at));
                    }
                }
                "template" => {
                    let at = rest.at;
                    let (name, rest) = quoted_name(rest).ok_or_else(|| failed(line, "missing template name"))?;
                    let argument = if rest.text.is_empty() { None } else { Some(pipeline(rest)?) };
                    nodes.push(Node::Template(name, argument, at));
                }
                "" => return Err(failed(line, "missing value for command")),
                _ => nodes.push(Node::Action(pipeline(action)?)),
            }
        }
        Ok((nodes, End::Eof))
    }

    fn must_end(&self, end: &End<'_>) -> Result<(), String> {
        match end {
            End::Closed => Ok(()),
            End::Eof => Err(failed(self.last_line, "unexpected EOF")),
            End::Else(_) => Err(failed(self.last_line, "expected end; found {{else}}")),
        }
    }

    fn block(&mut self, word: &str, condition: Action<'s>) -> Result<Node, String> {
        if condition.text.is_empty() {
            return Err(failed(condition.line, &format!("missing value for {word}")));
        }
        let condition = pipeline(condition)?;
        let (body, end) = self.nodes()?;
        let otherwise = match end {
            End::Else(rest) if rest.text.is_empty() => {
                let (otherwise, end) = self.nodes()?;
                self.must_end(&end)?;
                otherwise
            }
            End::Else(rest) => {
                let end = rest.text.find(' ').unwrap_or(rest.text.len());
                vec![self.block(&rest.text[..end], rest.from(end))?]
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

fn quoted_name(action: Action<'_>) -> Option<(String, Action<'_>)> {
    let (name, _) = action.text.strip_prefix('"')?.split_once('"')?;
    Some((name.to_owned(), action.from(name.len() + 2)))
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

/// A token with the bytes of the action that it is.
struct Placed {
    token: Token,
    start: usize,
    end: usize,
}

fn pipeline(action: Action<'_>) -> Result<Pipeline, String> {
    let tokens = tokens(action.text, action.line)?;
    let mut at = 0;
    let pipeline = read_pipeline(&tokens, &mut at, action)?;
    match tokens.get(at) {
        None => Ok(pipeline),
        Some(_) => Err(failed(action.line, "unexpected \")\" in command")),
    }
}

fn read_pipeline(tokens: &[Placed], at: &mut usize, action: Action<'_>) -> Result<Pipeline, String> {
    let line = action.line;
    let written = |from: usize, to: usize| action.text.get(from..to).unwrap_or_default().to_owned();
    let mut pipeline = Pipeline::default();
    let ahead = |by: usize| tokens.get(*at + by).map(|placed| &placed.token);
    let name = |token: Option<&Token>| match token {
        Some(Token::Word(word)) if word.starts_with('$') => Some(word[1..].to_owned()),
        _ => None,
    };
    match (name(ahead(0)), ahead(1), name(ahead(2)), ahead(3)) {
        (Some(first), Some(Token::Declare | Token::Assign), ..) => {
            pipeline.declares = ahead(1) == Some(&Token::Declare);
            pipeline.variables = vec![first];
            *at += 2;
        }
        (Some(first), Some(Token::Comma), Some(second), Some(Token::Declare | Token::Assign)) => {
            pipeline.declares = ahead(3) == Some(&Token::Declare);
            pipeline.variables = vec![first, second];
            *at += 4;
        }
        _ => {}
    }
    let mut terms: Vec<Term> = Vec::new();
    let mut begun = None;
    let mut commands = Vec::new();
    let mut ended = 0;
    while let Some(Placed { token, start, end }) = tokens.get(*at) {
        *at += 1;
        if *token == Token::Close {
            *at -= 1;
            break;
        }
        if *token == Token::Pipe {
            let text = written(begun.take().unwrap_or(*start), ended);
            commands.push(Command { terms: std::mem::take(&mut terms), text });
            continue;
        }
        let from = *begun.get_or_insert(*start);
        ended = *end;
        let term =
            |operand, place: usize, to: usize| Term { operand, at: action.at + place, text: written(*start, to) };
        match token {
            Token::Literal(value) => terms.push(term(Operand::Literal(value.clone()), *start, *end)),
            Token::Fields(fields, true)
                if !matches!(terms.last(), None | Some(Term { operand: Operand::Literal(_), .. })) =>
            {
                if let Some(last) = terms.last_mut() {
                    last.glue(fields, action.at + start);
                    last.text.push_str(&written(*start, *end));
                }
            }
            Token::Fields(fields, _) => {
                let first = fields.first().filter(|_| fields.len() > 1);
                terms.push(term(Operand::Dot(fields.clone()), start + first.map_or(0, |first| first.len() + 1), *end));
            }
            Token::Open => {
                let inner = read_pipeline(tokens, at, action)?;
                let Some(Placed { token: Token::Close, end, .. }) = tokens.get(*at) else {
                    return Err(failed(line, "unclosed left paren"));
                };
                *at += 1;
                ended = *end;
                terms.push(term(Operand::Group(Box::new(inner), Vec::new()), *start, *end));
            }
            Token::Word(word) => terms.push(term(word_operand(word, line)?, *start, *end)),
            _ => return Err(failed(line, "unexpected \":=\" in operand")),
        }
        begun = Some(from);
    }
    let text = written(begun.unwrap_or_default(), ended);
    commands.push(Command { terms, text });
    if commands.iter().any(|command| command.terms.is_empty()) {
        return Err(failed(line, "missing value for command"));
    }
    pipeline.commands = commands;
    Ok(pipeline)
}

impl Term {
    /// Adds the fields that stand right after it.
    fn glue(&mut self, fields: &[String], at: usize) {
        if let Operand::Dot(path) | Operand::Variable(_, path) | Operand::Group(_, path) = &mut self.operand {
            if path.is_empty() {
                self.at = at;
            }
            path.extend(fields.iter().cloned());
        }
    }
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

fn tokens(text: &str, line: usize) -> Result<Vec<Placed>, String> {
    let mut placed: Vec<Placed> = Vec::new();
    let mut rest = text;
    let mut spaced = true;
    while let Some(c) = rest.chars().next() {
        let mut length = c.len_utf8();
        let token = match c {
            ' ' | '\t' | '\n' | '\r' => {
                spaced = true;
                rest = &rest[length..];
                continue;
            }
            '(' => Token::Open,
            ')' => Token::Close,
            '|' => Token::Pipe,
            ',' => Token::Comma,
            ':' if rest.starts_with(":=") => {
                length = 2;
                Token::Declare
            }
            '=' => Token::Assign,
            '"' | '`' | '\'' => {
                let (value, used) = string(rest, c).ok_or_else(|| failed(line, "unterminated quoted string"))?;
                length = used;
                Token::Literal(value.into())
            }
            '.' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(rest.len());
                let fields: Vec<String> =
                    rest[..end].split('.').filter(|field| !field.is_empty()).map(str::to_owned).collect();
                length = end;
                Token::Fields(fields, !spaced && !placed.is_empty())
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
                    (Ok(number), _) => Token::Literal(number.into()),
                    (_, Ok(number)) => Token::Literal(number.into()),
                    _ if c.is_alphabetic() || c == '_' || c == '$' => Token::Word(word.to_owned()),
                    _ => return Err(failed(line, &format!("unexpected {c:?} in command"))),
                }
            }
        };
        spaced = false;
        let start = text.len() - rest.len();
        rest = &rest[length..];
        placed.push(Placed { token, start, end: start + length });
    }
    Ok(placed)
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
                'u' => {
                    let digits: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                    out.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                other => out.push(other),
            },
            c => out.push(c),
        }
    }
    None
}
