//! Builds a template's tree.

use std::collections::BTreeMap;

use super::lex::{Lexeme, Token, lex};
use super::{Command, Node, Operand, OperandKind, Pipe, TemplateError, functions};
use crate::go;

/// Blocks and parentheses in each other, at most this deep.
const DEPTH_MAX: usize = 64;

type Message = (String, usize);
type Defined = BTreeMap<String, Vec<Node>>;

fn error<T>(message: impl Into<String>, at: usize) -> Result<T, Message> {
    Err((message.into(), at))
}

pub(super) fn parse(source: &str) -> Result<(Vec<Node>, Defined), TemplateError> {
    let parsed = lex(source).and_then(|lexemes| {
        let variables = vec!["$".to_owned()];
        let mut parser = Parser { source, lexemes, at: 0, variables, defined: Defined::new(), ranges: 0, depth: 0 };
        let (nodes, end) = parser.list()?;
        match end {
            End::Source => Ok((nodes, parser.defined)),
            End::Else(_, at) => error("unexpected {{else}}", at),
            End::Close(at) => error("unexpected {{end}}", at),
        }
    });
    parsed.map_err(|(message, at)| {
        let line = source.get(..at).unwrap_or(source).matches('\n').count() + 1;
        TemplateError(format!("{line}: {message}"))
    })
}

/// What ended a list of nodes.
enum End {
    Source,
    Close(usize),
    /// `{{else}}`, or `{{else if …}}` with its keyword.
    Else(Option<String>, usize),
}

struct Parser<'a> {
    source: &'a str,
    lexemes: Vec<Lexeme>,
    at: usize,
    variables: Vec<String>,
    defined: Defined,
    ranges: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Lexeme> {
        self.lexemes.get(self.at)
    }

    fn token(&self) -> Option<&Token> {
        self.peek().map(|lexeme| &lexeme.token)
    }

    fn place(&self) -> usize {
        self.peek().map_or(self.source.len(), |lexeme| lexeme.span.start)
    }

    /// The source text of the token here, as error messages show it.
    fn shown(&self) -> String {
        match self.peek() {
            None => "EOF".into(),
            Some(Lexeme { token: Token::Dot, .. }) => "<.>".into(),
            Some(lexeme) => go::quote(self.source.get(lexeme.span.clone()).unwrap_or_default()),
        }
    }

    fn take(&mut self, token: &Token) -> bool {
        let found = self.token() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn list(&mut self) -> Result<(Vec<Node>, End), Message> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return error("template is nested too deeply", self.place());
        }
        let mut nodes = Vec::new();
        loop {
            let at = self.place();
            match self.token() {
                None => {
                    self.depth -= 1;
                    return Ok((nodes, End::Source));
                }
                Some(Token::Text(text)) => {
                    nodes.push(Node::Text(text.clone()));
                    self.at += 1;
                    continue;
                }
                _ => self.at += 1,
            }
            let keyword = match self.token() {
                Some(Token::Word(word)) => word.clone(),
                _ => String::new(),
            };
            if matches!(keyword.as_str(), "end" | "else") {
                self.at += 1;
                let end = if keyword == "end" {
                    self.close("end")?;
                    End::Close(at)
                } else if let Some(Token::Word(next)) = self.token().cloned() {
                    self.at += 1;
                    End::Else(Some(next), at)
                } else {
                    self.close("else")?;
                    End::Else(None, at)
                };
                self.depth -= 1;
                return Ok((nodes, end));
            }
            nodes.extend(self.action(&keyword, at)?);
        }
    }

    fn close(&mut self, context: &str) -> Result<(), Message> {
        match self.take(&Token::Close) {
            true => Ok(()),
            false => error(format!("unexpected {} in {context}", self.shown()), self.place()),
        }
    }

    fn action(&mut self, keyword: &str, at: usize) -> Result<Option<Node>, Message> {
        match keyword {
            "if" | "with" | "range" => {
                self.at += 1;
                self.control(keyword).map(Some)
            }
            "break" | "continue" => {
                self.at += 1;
                if self.ranges == 0 {
                    return error(format!("{{{{{keyword}}}}} outside {{{{range}}}}"), at);
                }
                self.close(keyword)?;
                Ok(Some(if keyword == "break" { Node::Break } else { Node::Continue }))
            }
            "template" => {
                self.at += 1;
                let name = self.name("template clause")?;
                let pipe = match self.token() {
                    Some(Token::Close) => None,
                    _ => Some(self.pipeline("template clause")?),
                };
                self.close("template clause")?;
                Ok(Some(Node::Template { name, pipe, at: at + 2 }))
            }
            "define" | "block" => {
                self.at += 1;
                let clause = format!("{keyword} clause");
                let name = self.name(&clause)?;
                let pipe = if keyword == "block" { Some(self.pipeline(&clause)?) } else { None };
                self.close(&clause)?;
                let variables = std::mem::replace(&mut self.variables, vec!["$".into()]);
                let ranges = std::mem::take(&mut self.ranges);
                let (nodes, end) = self.list()?;
                (self.variables, self.ranges) = (variables, ranges);
                match end {
                    End::Close(_) => {}
                    End::Source => return error("unexpected EOF", self.place()),
                    End::Else(_, at) => return error(format!("unexpected {{{{else}}}} in {clause}"), at),
                }
                self.defined.insert(name.clone(), nodes);
                Ok(pipe.map(|pipe| Node::Template { name, pipe: Some(pipe), at: at + 2 }))
            }
            _ => {
                let pipe = self.pipeline("command")?;
                self.close("command")?;
                Ok(Some(Node::Action(pipe)))
            }
        }
    }

    fn name(&mut self, clause: &str) -> Result<String, Message> {
        match self.token().cloned() {
            Some(Token::Literal(super::Literal::Text(name))) => {
                self.at += 1;
                Ok(name)
            }
            _ => error(format!("unexpected {} in {clause}", self.shown()), self.place()),
        }
    }

    /// `if`, `with` and `range` after their keyword, up to their `{{end}}`.
    fn control(&mut self, keyword: &str) -> Result<Node, Message> {
        let scope = self.variables.len();
        let pipe = self.pipeline(keyword)?;
        self.close(keyword)?;
        self.ranges += usize::from(keyword == "range");
        let (body, end) = self.list()?;
        self.ranges -= usize::from(keyword == "range");
        let otherwise = match end {
            End::Close(_) => Vec::new(),
            End::Source => return error("unexpected EOF", self.place()),
            End::Else(Some(next), _) if next == keyword && keyword != "range" => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return error("template is nested too deeply", self.place());
                }
                let chained = self.control(keyword)?;
                self.depth -= 1;
                vec![chained]
            }
            End::Else(Some(next), at) => return error(format!("unexpected <{next}> in input"), at),
            End::Else(None, _) => match self.list()? {
                (nodes, End::Close(_)) => nodes,
                (_, End::Source) => return error("unexpected EOF", self.place()),
                (_, End::Else(_, at)) => return error("expected end; found {{else}}", at),
            },
        };
        self.variables.truncate(scope);
        Ok(match keyword {
            "range" => Node::Range { pipe, body, otherwise },
            keyword => Node::If { pipe, with: keyword == "with", then: body, otherwise },
        })
    }

    fn pipeline(&mut self, context: &str) -> Result<Pipe, Message> {
        let start = self.place();
        let (variables, assigns) = self.declarations(context)?;
        let mut commands = Vec::new();
        loop {
            match self.token() {
                Some(Token::Close | Token::CloseParen) => break,
                Some(Token::Pipe) if !commands.is_empty() => self.at += 1,
                Some(
                    Token::Dot
                    | Token::Field(_)
                    | Token::Variable(_)
                    | Token::Word(_)
                    | Token::Literal(_)
                    | Token::OpenParen,
                ) => commands.push(self.command()?),
                None => return error("unclosed action", start),
                _ => return error(format!("unexpected {} in {context}", self.shown()), self.place()),
            }
        }
        if commands.is_empty() {
            let what = if variables.is_empty() { context } else { "command" };
            return error(format!("missing value for {what}"), self.place());
        }
        let callable = |command: &Command| {
            command.operands.first().is_some_and(|first| match first.kind {
                OperandKind::Literal(_) | OperandKind::Nil => false,
                OperandKind::Dot => !first.fields.is_empty(),
                _ => true,
            })
        };
        if let Some(index) = commands.iter().skip(1).position(|command| !callable(command)) {
            return error(format!("non executable command in pipeline stage {}", index + 2), start);
        }
        let end = commands.last().map_or(start, |command| command.span.end);
        if !assigns {
            self.variables.extend(variables.iter().cloned());
        }
        Ok(Pipe { variables, assigns, commands, span: start..end })
    }

    /// `$a :=`, `$a, $b :=` and `$a =`.
    fn declarations(&mut self, context: &str) -> Result<(Vec<String>, bool), Message> {
        let mut names = Vec::new();
        let mut ahead = self.at;
        while let Some(Lexeme { token: Token::Variable(name), .. }) = self.lexemes.get(ahead) {
            names.push(name.clone());
            match self.lexemes.get(ahead + 1).map(|lexeme| &lexeme.token) {
                Some(Token::Comma) => ahead += 2,
                Some(token @ (Token::Declare | Token::Assign)) => {
                    if names.len() > if context == "range" { 2 } else { 1 } {
                        return error(format!("too many declarations in {context}"), self.place());
                    }
                    let assigns = *token == Token::Assign;
                    self.at = ahead + 2;
                    if let Some(unknown) = names.iter().find(|name| assigns && !self.variables.contains(name)) {
                        return error(format!("undefined variable {}", go::quote(unknown)), self.place());
                    }
                    return Ok((names, assigns));
                }
                _ => break,
            }
        }
        Ok((Vec::new(), false))
    }

    fn command(&mut self) -> Result<Command, Message> {
        let start = self.place();
        let mut operands: Vec<Operand> = Vec::new();
        loop {
            match self.peek() {
                Some(Lexeme { token: Token::Close | Token::CloseParen | Token::Pipe, .. }) => break,
                Some(lexeme) if !operands.is_empty() && !lexeme.spaced => {
                    return error(format!("unexpected {} in operand", self.shown()), self.place());
                }
                Some(_) => operands.push(self.operand()?),
                None => return error("unclosed action", start),
            }
        }
        let end = operands.last().map_or(start, |operand| operand.span.end);
        Ok(Command { operands, span: start..end })
    }

    fn operand(&mut self) -> Result<Operand, Message> {
        let Some(Lexeme { token, span, .. }) = self.peek().cloned() else {
            return error("unclosed action", self.place());
        };
        let mut fields = Vec::new();
        let kind = match token {
            Token::Dot => OperandKind::Dot,
            Token::Field(name) => {
                fields.push(name);
                OperandKind::Dot
            }
            Token::Variable(name) if self.variables.contains(&name) => OperandKind::Variable(name),
            Token::Variable(name) => return error(format!("undefined variable {}", go::quote(&name)), span.start),
            Token::Word(word) if word == "nil" => OperandKind::Nil,
            Token::Word(word) if functions::arity(&word).is_some() => OperandKind::Function(word),
            Token::Word(word) => return error(format!("function {} not defined", go::quote(&word)), span.start),
            Token::Literal(literal) => OperandKind::Literal(literal),
            Token::OpenParen => return self.parenthesized(span.start),
            _ => return error(format!("unexpected {} in command", self.shown()), span.start),
        };
        self.at += 1;
        self.fields(kind, fields, span)
    }

    fn parenthesized(&mut self, start: usize) -> Result<Operand, Message> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return error("template is nested too deeply", start);
        }
        self.at += 1;
        let pipe = self.pipeline("parenthesized pipeline")?;
        let end = self.peek().map_or(start, |lexeme| lexeme.span.end);
        if !self.take(&Token::CloseParen) {
            return error("unclosed left paren", start);
        }
        self.depth -= 1;
        self.fields(OperandKind::Pipe(Box::new(pipe)), Vec::new(), start..end)
    }

    /// The fields that follow an operand without space.
    fn fields(
        &mut self,
        kind: OperandKind,
        mut fields: Vec<String>,
        mut span: super::Span,
    ) -> Result<Operand, Message> {
        let mut at = span.start;
        while let Some(Lexeme { token: Token::Field(name), span: here, spaced: false }) = self.peek() {
            if matches!(kind, OperandKind::Literal(_) | OperandKind::Nil) {
                let what = self.source.get(span.clone()).unwrap_or_default();
                return error(format!("unexpected . after term {}", go::quote(what)), here.start);
            }
            if at == span.start {
                at = here.start;
            }
            fields.push(name.clone());
            span.end = here.end;
            self.at += 1;
        }
        Ok(Operand { kind, fields, span, at })
    }
}
