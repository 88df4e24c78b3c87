//! From a tree and an object to text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::functions::{self, display, truth};
use super::parse::{Node, Operand, Pipeline};

/// Templates may call themselves this often.
const DEPTH_MAX: usize = 100;

/// What a template does next.
#[derive(PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct State<'t> {
    allow_missing: bool,
    definitions: BTreeMap<&'t str, &'t [Node]>,
    variables: Vec<(String, Value)>,
    depth: usize,
    out: String,
}

/// Renders a template.
///
/// # Errors
/// In Go's words.
pub(super) fn render(nodes: &[Node], root: &Value, allow_missing: bool) -> Result<String, String> {
    let mut definitions = BTreeMap::new();
    for node in nodes {
        if let Node::Define(name, body) = node {
            definitions.insert(name.as_str(), body.as_slice());
        }
    }
    let variables = vec![(String::new(), root.clone())];
    let mut state = State { allow_missing, definitions, variables, depth: 0, out: String::new() };
    state.run(nodes, root).map_err(|error| format!("template: output:1: {error}"))?;
    Ok(state.out)
}

impl<'t> State<'t> {
    fn run(&mut self, nodes: &'t [Node], dot: &Value) -> Result<Flow, String> {
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

    fn one(&mut self, node: &'t Node, dot: &Value) -> Result<Flow, String> {
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
            Node::Template(name, argument) => {
                let value = match argument {
                    Some(pipeline) => self.pipeline(pipeline, dot)?,
                    None => Value::Null,
                };
                let body = *self
                    .definitions
                    .get(name.as_str())
                    .ok_or_else(|| format!("executing \"output\": template {name:?} not defined"))?;
                if self.depth >= DEPTH_MAX {
                    return Err("exceeded maximum template depth".into());
                }
                self.depth += 1;
                let outer = std::mem::replace(&mut self.variables, vec![(String::new(), value.clone())]);
                self.run(body, &value)?;
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
    ) -> Result<Flow, String> {
        let value = self.pipeline(over, dot)?;
        let entries: Vec<(Value, Value)> = match value {
            Value::Array(items) => items.into_iter().enumerate().map(|(at, item)| (at.into(), item)).collect(),
            Value::Object(fields) => fields.into_iter().map(|(key, value)| (key.into(), value)).collect(),
            Value::Null => Vec::new(),
            other => return Err(format!("executing \"output\": range can't iterate over {}", display(&other))),
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

    fn pipeline(&mut self, pipeline: &'t Pipeline, dot: &Value) -> Result<Value, String> {
        let mut last: Option<Value> = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        Ok(last.unwrap_or_default())
    }

    fn command(&mut self, command: &'t [Operand], dot: &Value, last: Option<Value>) -> Result<Value, String> {
        let Some((head, rest)) = command.split_first() else { return Ok(Value::Null) };
        let Operand::Function(name) = head else {
            if !rest.is_empty() || last.is_some() {
                return Err("executing \"output\": can't give argument to non-function".into());
            }
            return self.operand(head, dot);
        };
        let mut args = Vec::new();
        for operand in rest {
            let value = self.operand(operand, dot)?;
            // What follows does not matter, and may not even be there.
            let decided = (name == "and" && !truth(&value)) || (name == "or" && truth(&value));
            args.push(value);
            if decided {
                return functions::call(name, &args).map_err(|error| format!("executing \"output\": {error}"));
            }
        }
        args.extend(last);
        functions::call(name, &args).map_err(|error| format!("executing \"output\" at <{name}>: {error}"))
    }

    fn operand(&mut self, operand: &'t Operand, dot: &Value) -> Result<Value, String> {
        match operand {
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Dot(path) => self.fields(dot, path),
            Operand::Variable(name, path) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                let value =
                    known.map(|(_, value)| value.clone()).ok_or_else(|| format!("undefined variable \"${name}\""))?;
                self.fields(&value, path)
            }
            Operand::Group(pipeline, path) => {
                let value = self.pipeline(pipeline, dot)?;
                self.fields(&value, path)
            }
            Operand::Function(name) => {
                functions::call(name, &[]).map_err(|error| format!("executing \"output\" at <{name}>: {error}"))
            }
        }
    }

    fn fields(&self, value: &Value, path: &[String]) -> Result<Value, String> {
        let mut value = value;
        for (at, field) in path.iter().enumerate() {
            value = match value {
                Value::Object(fields) => match fields.get(field) {
                    Some(found) => found,
                    None if self.allow_missing => return Ok(Value::Null),
                    None => {
                        let shown = path.get(..=at).unwrap_or_default().join(".");
                        return Err(format!("executing \"output\" at <.{shown}>: map has no entry for key {field:?}"));
                    }
                },
                Value::Null => return Ok(Value::Null),
                other => {
                    let kind = match other {
                        Value::String(_) => "string",
                        Value::Bool(_) => "bool",
                        Value::Array(_) => "[]interface {}",
                        _ => "int64",
                    };
                    let shown = path.get(..=at).unwrap_or_default().join(".");
                    return Err(format!(
                        "executing \"output\" at <.{shown}>: can't evaluate field {field} in type {kind}"
                    ));
                }
            };
        }
        Ok(value.clone())
    }
}
