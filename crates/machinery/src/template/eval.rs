//! Fills templates in.

use std::borrow::Cow;

use serde_json::Value;

use super::value::Val;
use super::{Command, Literal, Node, Operand, OperandKind, Pipe, Span, Template, TemplateError, functions};
use crate::go;

/// `{{template}}` in each other, at most this deep.
const DEPTH_MAX: usize = 100;
/// Most bytes a template may give: one that calls itself twice would never end.
const OUTPUT_MAX: usize = 64 << 20;

pub(super) fn render(template: &Template, data: &Value) -> Result<String, TemplateError> {
    let root = Val::from(data);
    let mut eval = Eval { template, variables: vec![("$", root.clone())], out: String::new(), depth: 0, steps: 0 };
    eval.walk(&template.root, &root)?;
    Ok(eval.out)
}

/// Whether a list of nodes ran to its end.
#[derive(PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct Eval<'a> {
    template: &'a Template,
    variables: Vec<(&'a str, Val<'a>)>,
    out: String,
    depth: usize,
    steps: usize,
}

/// Most nodes a template may walk.
const STEPS_MAX: usize = 50_000_000;

impl<'a> Eval<'a> {
    fn source(&self, span: &Span) -> &'a str {
        self.template.source.get(span.clone()).unwrap_or_default()
    }

    fn error<T>(&self, at: usize, span: &Span, message: impl std::fmt::Display) -> Result<T, TemplateError> {
        let (position, context) = (self.template.position(at), self.source(span));
        Err(TemplateError(format!("{position}: executing \"output\" at <{context}>: {message}")))
    }

    fn walk(&mut self, nodes: &'a [Node], dot: &Val<'a>) -> Result<Flow, TemplateError> {
        for node in nodes {
            self.steps += 1;
            if self.steps > STEPS_MAX || self.out.len() > OUTPUT_MAX {
                return Err(TemplateError("1: template output is too large".into()));
            }
            let flow = match node {
                Node::Text(text) => {
                    self.out.push_str(text);
                    Flow::Next
                }
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        self.out.push_str(&value.print());
                    }
                    Flow::Next
                }
                Node::If { pipe, with, then, otherwise } => {
                    let scope = self.variables.len();
                    let value = self.pipe(pipe, dot)?;
                    let flow = match value.is_true() {
                        true => self.walk(then, if *with { &value } else { dot })?,
                        false => self.walk(otherwise, dot)?,
                    };
                    self.variables.truncate(scope);
                    flow
                }
                Node::Range { pipe, body, otherwise } => self.range(pipe, body, otherwise, dot)?,
                Node::Template { name, pipe, at } => {
                    self.call_template(name, pipe.as_ref(), *at, dot)?;
                    Flow::Next
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn range(
        &mut self,
        pipe: &'a Pipe,
        body: &'a [Node],
        otherwise: &'a [Node],
        dot: &Val<'a>,
    ) -> Result<Flow, TemplateError> {
        let scope = self.variables.len();
        let value = self.commands(pipe, dot)?;
        let items: Vec<(Val<'a>, Val<'a>)> = match &value {
            Val::Missing | Val::Nil => Vec::new(),
            Val::List(items) => {
                items.iter().enumerate().map(|(index, item)| (Val::Int(index as i64), Val::from(item))).collect()
            }
            Val::Map(fields) => {
                fields.iter().map(|(key, value)| (Val::Text(Cow::Borrowed(key)), Val::from(value))).collect()
            }
            value => {
                let shown = value.print();
                return self.error(pipe.span.start, &pipe.span, format!("range can't iterate over {shown}"));
            }
        };
        if items.is_empty() {
            let flow = self.walk(otherwise, dot)?;
            self.variables.truncate(scope);
            return Ok(flow);
        }
        for (key, item) in items {
            match pipe.variables.as_slice() {
                [one] => self.set(one, item.clone(), pipe.assigns),
                [index, one] => {
                    self.set(index, key, pipe.assigns);
                    self.set(one, item.clone(), pipe.assigns);
                }
                _ => {}
            }
            let flow = self.walk(body, &item)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn call_template(
        &mut self,
        name: &'a str,
        pipe: Option<&'a Pipe>,
        at: usize,
        dot: &Val<'a>,
    ) -> Result<(), TemplateError> {
        let shown = || {
            let argument = pipe.map(|pipe| format!(" {}", self.source(&pipe.span))).unwrap_or_default();
            format!("{{{{template {}{argument}}}}}", go::quote(name))
        };
        let fail = |message: String| {
            let at = at + "template ".len();
            let position = self.template.position(at);
            Err(TemplateError(format!("{position}: executing \"output\" at <{}>: {message}", shown())))
        };
        let Some(nodes) = self.template.defined.get(name) else {
            return fail(format!("template {} not defined", go::quote(name)));
        };
        if self.depth >= DEPTH_MAX {
            return fail(format!("exceeded maximum template depth ({DEPTH_MAX})"));
        }
        let value = match pipe {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Val::Missing,
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$", value.clone())]);
        self.depth += 1;
        self.walk(nodes, &value)?;
        self.depth -= 1;
        self.variables = outer;
        Ok(())
    }

    fn set(&mut self, name: &'a str, value: Val<'a>, assigns: bool) {
        let known = self.variables.iter_mut().rev().find(|(known, _)| assigns && *known == name);
        match known {
            Some((_, place)) => *place = value,
            None => self.variables.push((name, value)),
        }
    }

    fn pipe(&mut self, pipe: &'a Pipe, dot: &Val<'a>) -> Result<Val<'a>, TemplateError> {
        let value = self.commands(pipe, dot)?;
        for name in &pipe.variables {
            self.set(name, value.clone(), pipe.assigns);
        }
        Ok(value)
    }

    fn commands(&mut self, pipe: &'a Pipe, dot: &Val<'a>) -> Result<Val<'a>, TemplateError> {
        let mut last = None;
        for command in &pipe.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or(Val::Missing))
    }

    fn command(
        &mut self,
        command: &'a Command,
        dot: &Val<'a>,
        last: Option<Val<'a>>,
    ) -> Result<Val<'a>, TemplateError> {
        let Some((first, rest)) = command.operands.split_first() else { return Ok(Val::Missing) };
        let has_arguments = !rest.is_empty() || last.is_some();
        match &first.kind {
            OperandKind::Function(name) if first.fields.is_empty() => self.call(name, command, rest, dot, last),
            OperandKind::Nil => self.error(first.at, &first.span, "nil is not a command"),
            OperandKind::Dot if has_arguments && !first.fields.is_empty() => {
                let name = first.fields.last().map(String::as_str).unwrap_or_default();
                self.error(first.at, &first.span, format!("{name} is not a method but has arguments"))
            }
            _ if has_arguments => {
                let shown = self.source(&first.span);
                self.error(first.at, &first.span, format!("can't give argument to non-function {shown}"))
            }
            _ => self.operand(first, dot),
        }
    }

    fn operand(&mut self, operand: &'a Operand, dot: &Val<'a>) -> Result<Val<'a>, TemplateError> {
        let (value, typed) = match &operand.kind {
            OperandKind::Dot => (dot.clone(), false),
            OperandKind::Nil => (Val::Nil, true),
            OperandKind::Literal(literal) => (self.literal(literal, operand)?, true),
            OperandKind::Variable(name) => {
                let found = self.variables.iter().rev().find(|(known, _)| known == name);
                (found.map_or(Val::Missing, |(_, value)| value.clone()), false)
            }
            OperandKind::Function(name) => {
                let alone = Command { operands: Vec::new(), span: operand.span.clone() };
                (self.call(name, &alone, &[], dot, None)?, true)
            }
            OperandKind::Pipe(pipe) => (self.pipe(pipe, dot)?, true),
        };
        operand.fields.iter().try_fold(value, |value, name| match value {
            Val::Missing => Ok(Val::Missing),
            Val::Map(fields) => Ok(fields.get(name).map_or(Val::Missing, Val::from)),
            Val::Nil => self.error(operand.at, &operand.span, format!("nil pointer evaluating interface {{}}.{name}")),
            value => {
                let kind = if typed { value.type_name() } else { "interface {}" };
                self.error(operand.at, &operand.span, format!("can't evaluate field {name} in type {kind}"))
            }
        })
    }

    fn literal(&self, literal: &'a Literal, operand: &Operand) -> Result<Val<'a>, TemplateError> {
        Ok(match literal {
            Literal::Bool(flag) => Val::Bool(*flag),
            Literal::Int(number) => Val::Int(*number),
            Literal::Float(number) => Val::Float(*number),
            Literal::Text(text) => Val::Text(Cow::Borrowed(text)),
            Literal::Overflow(text) => return self.error(operand.at, &operand.span, format!("{text} overflows int")),
        })
    }

    fn call(
        &mut self,
        name: &str,
        command: &Command,
        operands: &'a [Operand],
        dot: &Val<'a>,
        last: Option<Val<'a>>,
    ) -> Result<Val<'a>, TemplateError> {
        let (least, most) = functions::arity(name).unwrap_or((0, usize::MAX));
        let count = operands.len() + usize::from(last.is_some());
        let at = command.span.start;
        if count < least || count > most {
            let want = if most == usize::MAX { format!("at least {least}") } else { least.to_string() };
            let span = at..at + name.len();
            return self.error(at, &span, format!("wrong number of args for {name}: want {want} got {count}"));
        }
        if matches!(name, "and" | "or") {
            let mut value = Val::Missing;
            for operand in operands {
                value = self.operand(operand, dot)?;
                if value.is_true() == (name == "or") {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let mut arguments = Vec::with_capacity(count);
        for (index, operand) in operands.iter().enumerate() {
            let value = self.operand(operand, dot)?;
            if functions::wants_text(name, index) && !matches!(value, Val::Text(_)) {
                let problem = match &operand.kind {
                    OperandKind::Literal(_) => format!("expected string; found {}", self.source(&operand.span)),
                    _ if matches!(value, Val::Missing | Val::Nil) => "invalid value; expected string".into(),
                    _ => format!("wrong type for value; expected string; got {}", value.type_name()),
                };
                return self.error(operand.at, &operand.span, problem);
            }
            arguments.push(value);
        }
        arguments.extend(last);
        if functions::wants_text(name, 0) && !matches!(arguments.first(), Some(Val::Text(_))) {
            let kind = arguments.first().map_or("<nil>", Val::type_name);
            return self.error(at, &command.span, format!("wrong type for value; expected string; got {kind}"));
        }
        match functions::call(name, &arguments) {
            Ok(value) => Ok(value),
            Err(problem) => self.error(at, &command.span, format!("error calling {name}: {problem}")),
        }
    }
}
