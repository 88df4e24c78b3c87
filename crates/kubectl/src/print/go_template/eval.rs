//! From a tree and an object to text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::functions::{self, display, truth};
use super::parse::{Command, Node, Operand, Pipeline, Term};

/// Templates may call themselves this often.
const DEPTH_MAX: usize = 100;

/// What a template does next.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

/// What went wrong, and at what of the template.
struct Fault {
    /// Byte in the template's source.
    at: usize,
    /// What stands there.
    context: String,
    message: String,
}

impl Fault {
    fn new(at: usize, context: &str, message: impl Into<String>) -> Self {
        Self { at, context: context.to_owned(), message: message.into() }
    }
}

struct State<'t> {
    allow_missing: bool,
    definitions: BTreeMap<&'t str, &'t [Node]>,
    variables: Vec<(String, Value)>,
    /// The template whose body runs.
    running: &'t str,
    depth: usize,
    out: String,
}

/// Renders a template: the text as far as it comes, and what ended it.
pub(super) fn render(source: &str, nodes: &[Node], root: &Value, allow_missing: bool) -> (String, Option<String>) {
    let mut definitions = BTreeMap::new();
    for node in nodes {
        if let Node::Define(name, body) = node {
            definitions.insert(name.as_str(), body.as_slice());
        }
    }
    let variables = vec![(String::new(), root.clone())];
    let mut state = State { allow_missing, definitions, variables, running: "output", depth: 0, out: String::new() };
    let fault = state.run(nodes, root).err().map(|Fault { at, context, message }| {
        let before = source.get(..at).unwrap_or_default();
        let line = 1 + before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        let running = state.running;
        format!("template: output:{line}:{column}: executing {running:?} at <{context}>: {message}")
    });
    (state.out, fault)
}

impl<'t> State<'t> {
    fn run(&mut self, nodes: &'t [Node], dot: &Value) -> Result<Flow, Fault> {
        let scope = self.variables.len();
        let mut flow = Flow::On;
        for node in nodes {
            flow = self.one(node, dot)?;
            if flow != Flow::On {
                break;
            }
        }
        self.variables.truncate(scope);
        Ok(flow)
    }

    fn one(&mut self, node: &'t Node, dot: &Value) -> Result<Flow, Fault> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.out.push_str(&display(&value));
                } else {
                    self.assign(pipeline, vec![value]);
                }
            }
            Node::If(condition, body, otherwise) | Node::With(condition, body, otherwise) => {
                let scope = self.variables.len();
                let value = self.pipeline(condition, dot)?;
                if !condition.variables.is_empty() {
                    self.assign(condition, vec![value.clone()]);
                }
                let flow = if truth(&value) {
                    self.run(body, if matches!(node, Node::With(..)) { &value } else { dot })?
                } else {
                    self.run(otherwise, dot)?
                };
                self.variables.truncate(scope);
                return Ok(flow);
            }
            Node::Range(over, body, otherwise) => return self.range(over, body, otherwise, dot),
            Node::Define(..) => {}
            Node::Template(name, argument, at) => {
                let value = match argument {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Value::Null,
                };
                let context = || match argument {
                    Some(argument) => format!("{{{{template {name:?} {}}}}}", written(argument)),
                    None => format!("{{{{template {name:?}}}}}"),
                };
                let Some(body) = self.definitions.get(name.as_str()).copied() else {
                    return Err(Fault::new(*at, &context(), format!("template {name:?} not defined")));
                };
                if self.depth >= DEPTH_MAX {
                    return Err(Fault::new(*at, &context(), "exceeded maximum template depth"));
                }
                self.depth += 1;
                let outer = std::mem::replace(&mut self.variables, vec![(String::new(), value.clone())]);
                let caller = std::mem::replace(&mut self.running, name);
                self.run(body, &value)?;
                self.running = caller;
                self.variables = outer;
                self.depth -= 1;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn range(
        &mut self,
        over: &'t Pipeline,
        body: &'t [Node],
        otherwise: &'t [Node],
        dot: &Value,
    ) -> Result<Flow, Fault> {
        let value = self.pipeline(over, dot)?;
        let entries: Vec<(Value, Value)> = match value {
            Value::Array(items) => items.into_iter().enumerate().map(|(at, item)| (at.into(), item)).collect(),
            Value::Object(fields) => fields.into_iter().map(|(key, value)| (key.into(), value)).collect(),
            Value::Null => Vec::new(),
            other => {
                let last = over.commands.last();
                let at = last.and_then(|command| command.terms.last()).map_or(0, |term| term.at);
                let context = last.map_or("", |command| &command.text);
                return Err(Fault::new(at, context, format!("range can't iterate over {}", display(&other))));
            }
        };
        if entries.is_empty() {
            return self.run(otherwise, dot);
        }
        let scope = self.variables.len();
        for (key, value) in entries {
            let values = if over.variables.len() > 1 { vec![key, value.clone()] } else { vec![value.clone()] };
            self.assign(over, values);
            let flow = self.run(body, &value)?;
            self.variables.truncate(scope);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn assign(&mut self, pipeline: &Pipeline, values: Vec<Value>) {
        for (name, value) in pipeline.variables.iter().zip(values) {
            let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
            match known {
                Some((_, slot)) if !pipeline.declares => *slot = value,
                _ => self.variables.push((name.clone(), value)),
            }
        }
    }

    fn pipeline(&mut self, pipeline: &'t Pipeline, dot: &Value) -> Result<Value, Fault> {
        let mut last: Option<Value> = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or_default())
    }

    fn command(&mut self, command: &'t Command, dot: &Value, last: Option<Value>) -> Result<Value, Fault> {
        let Some((head, rest)) = command.terms.split_first() else { return Ok(Value::Null) };
        let Operand::Function(name) = &head.operand else {
            if !rest.is_empty() || last.is_some() {
                return Err(Fault::new(
                    head.at,
                    &head.text,
                    format!("can't give argument to non-function {}", head.text),
                ));
            }
            return self.term(head, dot);
        };
        let mut args = Vec::new();
        for term in rest {
            let value = self.term(term, dot)?;
            // What follows does not matter, and may not even be there.
            let decided = (name == "and" && !truth(&value)) || (name == "or" && truth(&value));
            args.push(value);
            if decided {
                return functions::call(name, &args).map_err(|error| Fault::new(head.at, &command.text, error));
            }
        }
        args.extend(last);
        functions::call(name, &args).map_err(|error| Fault::new(head.at, &command.text, error))
    }

    fn term(&mut self, term: &'t Term, dot: &Value) -> Result<Value, Fault> {
        match &term.operand {
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Dot(path) => self.fields(dot, path, term),
            Operand::Variable(name, path) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let value = known.map(|(_, value)| value.clone());
                let value =
                    value.ok_or_else(|| Fault::new(term.at, &term.text, format!("undefined variable \"${name}\"")))?;
                self.fields(&value, path, term)
            }
            Operand::Group(pipeline, path) => {
                let value = self.pipeline(pipeline, dot)?;
                self.fields(&value, path, term)
            }
            Operand::Function(name) => {
                functions::call(name, &[]).map_err(|error| Fault::new(term.at, &term.text, error))
            }
        }
    }

    fn fields(&self, value: &Value, path: &[String], term: &Term) -> Result<Value, Fault> {
        let mut value = value;
        for field in path {
            let message = match value {
                Value::Object(fields) => match fields.get(field) {
                    Some(found) => {
                        value = found;
                        continue;
                    }
                    None if self.allow_missing => return Ok(Value::Null),
                    None => format!("map has no entry for key {field:?}"),
                },
                Value::Null => return Ok(Value::Null),
                _ => format!("can't evaluate field {field} in type interface {{}}"),
            };
            return Err(Fault::new(term.at, &term.text, message));
        }
        Ok(value.clone())
    }
}

/// A pipeline as it is written.
fn written(pipeline: &Pipeline) -> String {
    let commands: Vec<&str> = pipeline.commands.iter().map(|command| command.text.as_str()).collect();
    commands.join(" | ")
}
