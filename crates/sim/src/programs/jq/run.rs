//! Running a filter: each output is handed on as it comes.

use std::cell::Cell;
use std::cmp::Ordering;
use std::rc::Rc;

use serde_json::{Map, Value};

use super::ast::{Definition, Filter, Node, Part, Pattern};
use super::{builtin, value};

/// How many steps one input may take, and how deeply filters may call one another.
const STEPS_MAX: u64 = 2_000_000;
const DEPTH_MAX: usize = 200;

/// Why a filter stops.
pub(super) enum Stop {
    Error(Value),
    /// `break`, out of a label by its number.
    Break(u64),
    /// `empty` in the rest of a program that nobody reads any more.
    Enough,
}

pub(super) type Done = Result<(), Stop>;

/// An error with a message.
pub(super) fn error(message: impl Into<String>) -> Stop {
    Stop::Error(Value::String(message.into()))
}

/// A value, with the path that led to it where paths are asked for.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) value: Value,
    pub(super) path: Option<Vec<Value>>,
}

impl From<Value> for Item {
    fn from(value: Value) -> Self {
        Self { value, path: None }
    }
}

pub(super) type Out<'a> = &'a mut dyn FnMut(Item) -> Done;

/// Gives a value that is on no path; an error where paths are asked for.
fn plain(value: Value, out: Out<'_>, tracked: bool) -> Done {
    if tracked {
        Err(error(format!("Invalid path expression with result {}", value::short(&value))))
    } else {
        out(value.into())
    }
}

/// What names mean, innermost first.
#[derive(Clone, Default)]
pub(super) struct Env(Option<Rc<Scope>>);

struct Scope {
    name: String,
    what: Meaning,
    outer: Env,
}

enum Meaning {
    Variable(Value),
    /// A function, with what names mean inside it but for itself.
    Function(Rc<Definition>),
    /// An argument: a filter and what names mean in it.
    Closure(Node, Env),
    Label(u64),
}

impl Env {
    fn with(&self, name: &str, what: Meaning) -> Self {
        Self(Some(Rc::new(Scope { name: name.to_owned(), what, outer: self.clone() })))
    }

    pub(super) fn variable(&self, name: &str, value: Value) -> Self {
        self.with(&format!("${name}"), Meaning::Variable(value))
    }

    pub(super) fn define(&self, definition: &Rc<Definition>) -> Self {
        self.with(&key(&definition.name, definition.params.len()), Meaning::Function(definition.clone()))
    }

    fn find(&self, name: &str) -> Option<(&Meaning, &Self, &Self)> {
        let mut env = self;
        while let Some(scope) = &env.0 {
            if scope.name == name {
                return Some((&scope.what, env, &scope.outer));
            }
            env = &scope.outer;
        }
        None
    }
}

/// A function's name with the number of its parameters.
fn key(name: &str, arity: usize) -> String {
    format!("{name}/{arity}")
}

/// The filter at work.
#[derive(Default)]
pub(super) struct Machine {
    steps: Cell<u64>,
    depth: Cell<usize>,
    labels: Cell<u64>,
    /// Seconds since 1970, for `now`.
    pub(super) now: f64,
}

impl Machine {
    /// One for which it is a time, in seconds since 1970.
    pub(super) fn at(now: f64) -> Self {
        Self { now, ..Self::default() }
    }

    pub(super) fn start(&self) {
        self.steps.set(0);
        self.depth.set(0);
    }

    /// Counts a step.
    pub(super) fn count(&self) -> Done {
        self.steps.set(self.steps.get() + 1);
        if self.steps.get() > STEPS_MAX { Err(error("this jq gives up: too many steps")) } else { Ok(()) }
    }

    pub(super) fn run(&self, filter: &Node, env: &Env, item: Item, out: Out<'_>) -> Done {
        self.count()?;
        if self.depth.get() >= DEPTH_MAX {
            return Err(error("this jq gives up: nested too deeply"));
        }
        self.depth.set(self.depth.get() + 1);
        let done = self.step(filter, env, item, out);
        self.depth.set(self.depth.get() - 1);
        done
    }

    /// All values of a filter that makes no paths.
    pub(super) fn each(&self, filter: &Node, env: &Env, input: &Value, out: &mut dyn FnMut(Value) -> Done) -> Done {
        self.run(filter, env, input.clone().into(), &mut |item| out(item.value))
    }

    /// One filter. The others are apart, so that deep ones need less of the stack.
    fn step(&self, filter: &Node, env: &Env, item: Item, out: Out<'_>) -> Done {
        let tracked = item.path.is_some();
        match &**filter {
            Filter::Identity => out(item),
            Filter::Recurse => self.recurse(item, out),
            Filter::Literal(Value::Null) if tracked => out(Item { value: Value::Null, path: Some(Vec::new()) }),
            Filter::Literal(value) => plain(value.clone(), out, tracked),
            Filter::Index(target, index) => {
                let input = item.value.clone();
                self.run(target, env, item, &mut |target| {
                    self.each(index, env, &input, &mut |index| out(value::index(&target, &index)?))
                })
            }
            Filter::Iterate(target) => self.run(target, env, item, &mut |target| value::iterate(target, out)),
            Filter::Pipe(left, right) => self.run(left, env, item, &mut |item| self.run(right, env, item, out)),
            Filter::Comma(left, right) => {
                self.run(left, env, item.clone(), out)?;
                self.run(right, env, item, out)
            }
            Filter::Variable(name) => match env.find(&format!("${name}")) {
                Some((Meaning::Variable(value), ..)) => plain(value.clone(), out, tracked),
                _ => Err(error(format!("${name} is not defined"))),
            },
            Filter::Call(name, arguments) => self.call(name, arguments, env, item, out),
            Filter::Reduce(..)
            | Filter::Foreach(..)
            | Filter::Assign(..)
            | Filter::Bind(..)
            | Filter::Label(..)
            | Filter::Break(_)
            | Filter::Define(..)
            | Filter::Try(..)
            | Filter::Alternative(..) => self.step_control(filter, env, item, out),
            _ => self.step_value(filter, env, item, out),
        }
    }

    /// Filters that bind, assign, catch and leave.
    fn step_control(&self, filter: &Node, env: &Env, item: Item, out: Out<'_>) -> Done {
        let tracked = item.path.is_some();
        match &**filter {
            Filter::Alternative(left, right) => {
                let mut any = false;
                let done = self.run(left, env, item.clone(), &mut |found| {
                    if !value::holds(&found.value) {
                        return Ok(());
                    }
                    any = true;
                    out(found)
                });
                match done {
                    Err(Stop::Error(_)) | Ok(()) if !any => self.run(right, env, item, out),
                    Err(Stop::Error(_)) => Ok(()),
                    done => done,
                }
            }
            Filter::Assign(operator, target, source) => {
                self.assign(*operator, target, source, env, item.value, &mut |value| plain(value, out, tracked))
            }
            Filter::Try(body, handler) => {
                let mut outside = None;
                let done = self.run(body, env, item, &mut |item| {
                    // What fails after this is not this `try`'s.
                    out(item).map_err(|stop| {
                        outside = Some(stop);
                        Stop::Enough
                    })
                });
                match (done, outside, handler) {
                    (_, Some(stop), _) => Err(stop),
                    (Err(Stop::Error(value)), None, Some(handler)) => self.run(handler, env, value.into(), out),
                    (Err(Stop::Error(_)), None, None) => Ok(()),
                    (done, None, _) => done,
                }
            }
            Filter::Reduce(source, pattern, start, update) => self.each(start, env, &item.value, &mut |start| {
                let mut state = Some(start);
                self.each(source, env, &item.value, &mut |value| {
                    self.bind(pattern, &value, env, &item.value, &mut |env| {
                        let before = state.take().unwrap_or(Value::Null);
                        self.each(update, env, &before, &mut |value| {
                            state = Some(value);
                            Ok(())
                        })
                    })
                })?;
                plain(state.unwrap_or(Value::Null), out, tracked)
            }),
            Filter::Foreach(source, pattern, start, update, extract) => {
                self.each(start, env, &item.value, &mut |start| {
                    let mut state = start;
                    self.each(source, env, &item.value, &mut |value| {
                        self.bind(pattern, &value, env, &item.value, &mut |env| {
                            let before = state.clone();
                            self.each(update, env, &before, &mut |value| {
                                state = value.clone();
                                match extract {
                                    Some(extract) => {
                                        self.each(extract, env, &value, &mut |value| plain(value, out, tracked))
                                    }
                                    None => plain(value, out, tracked),
                                }
                            })
                        })
                    })
                })
            }
            Filter::Define(definition, rest) => self.run(rest, &env.define(definition), item, out),
            Filter::Bind(source, pattern, rest) => self.each(source, env, &item.value, &mut |value| {
                self.bind(pattern, &value, env, &item.value, &mut |env| self.run(rest, env, item.clone(), out))
            }),
            Filter::Label(name, rest) => {
                let number = self.labels.get() + 1;
                self.labels.set(number);
                let env = env.with(&format!("*{name}"), Meaning::Label(number));
                match self.run(rest, &env, item, out) {
                    Err(Stop::Break(to)) if to == number => Ok(()),
                    done => done,
                }
            }
            Filter::Break(name) => match env.find(&format!("*{name}")) {
                Some((Meaning::Label(number), ..)) => Err(Stop::Break(*number)),
                _ => Err(error(format!("$*label-{name} is not defined"))),
            },
            _ => Ok(()),
        }
    }

    /// Filters that make values.
    fn step_value(&self, filter: &Node, env: &Env, item: Item, out: Out<'_>) -> Done {
        let tracked = item.path.is_some();
        match &**filter {
            Filter::Text(format, parts) => {
                self.text(format.as_deref(), parts, String::new(), env, &item.value, &mut |text| {
                    plain(Value::String(text), out, tracked)
                })
            }
            Filter::Format(name) => plain(Value::String(value::format(name, &item.value)?), out, tracked),
            Filter::Array(inner) => {
                let mut all = Vec::new();
                if let Some(inner) = inner {
                    self.each(inner, env, &item.value, &mut |value| {
                        all.push(value);
                        Ok(())
                    })?;
                }
                plain(Value::Array(all), out, tracked)
            }
            Filter::Object(members) => {
                self.object(members, Map::new(), env, &item.value, &mut |map| plain(Value::Object(map), out, tracked))
            }
            Filter::Slice(target, from, to) => {
                let input = item.value.clone();
                let null: Node = Rc::new(Filter::Literal(Value::Null));
                let (from, to) = (from.as_ref().unwrap_or(&null), to.as_ref().unwrap_or(&null));
                self.run(target, env, item, &mut |target| {
                    self.each(to, env, &input, &mut |to| {
                        self.each(from, env, &input, &mut |from| out(value::slice(&target, &from, &to)?))
                    })
                })
            }
            Filter::Negate(inner) => self.each(inner, env, &item.value, &mut |value| match value.as_f64() {
                Some(number) => plain(value::number(-number), out, tracked),
                None => Err(error(format!("{} cannot be negated", value::described(&value)))),
            }),
            Filter::Arithmetic(operator, left, right) => self.each(right, env, &item.value, &mut |right| {
                self.each(left, env, &item.value, &mut |left| {
                    plain(value::calculate(*operator, left, right.clone())?, out, tracked)
                })
            }),
            Filter::Compare(operator, left, right) => self.each(right, env, &item.value, &mut |right| {
                self.each(left, env, &item.value, &mut |left| {
                    let order = value::compare(&left, &right);
                    let holds = match *operator {
                        "==" => order == Ordering::Equal,
                        "!=" => order != Ordering::Equal,
                        "<" => order == Ordering::Less,
                        "<=" => order != Ordering::Greater,
                        ">" => order == Ordering::Greater,
                        _ => order != Ordering::Less,
                    };
                    plain(Value::Bool(holds), out, tracked)
                })
            }),
            Filter::And(left, right) | Filter::Or(left, right) => {
                let decides = matches!(&**filter, Filter::Or(..));
                self.each(left, env, &item.value, &mut |left| {
                    if value::holds(&left) == decides {
                        return plain(Value::Bool(decides), out, tracked);
                    }
                    self.each(right, env, &item.value, &mut |right| {
                        plain(Value::Bool(value::holds(&right)), out, tracked)
                    })
                })
            }
            Filter::If(branches, otherwise) => self.branch(branches, otherwise.as_ref(), env, item, out),
            _ => Ok(()),
        }
    }

    fn recurse(&self, item: Item, out: Out<'_>) -> Done {
        out(item.clone())?;
        if matches!(item.value, Value::Array(_) | Value::Object(_)) {
            return value::iterate(item, &mut |inner| self.recurse(inner, out));
        }
        Ok(())
    }

    fn branch(&self, branches: &[(Node, Node)], otherwise: Option<&Node>, env: &Env, item: Item, out: Out<'_>) -> Done {
        let Some(((condition, then), rest)) = branches.split_first() else {
            return match otherwise {
                Some(otherwise) => self.run(otherwise, env, item, out),
                None => out(item),
            };
        };
        self.each(condition, env, &item.value, &mut |value| match value::holds(&value) {
            true => self.run(then, env, item.clone(), out),
            false => self.branch(rest, otherwise, env, item.clone(), out),
        })
    }

    fn text(
        &self,
        format: Option<&str>,
        parts: &[Part],
        before: String,
        env: &Env,
        input: &Value,
        out: &mut dyn FnMut(String) -> Done,
    ) -> Done {
        match parts.split_first() {
            None => out(before),
            Some((Part::Text(text), rest)) => self.text(format, rest, before + text, env, input, out),
            Some((Part::Filter(filter), rest)) => self.each(filter, env, input, &mut |value| {
                let shown = value::format(format.unwrap_or("text"), &value)?;
                self.text(format, rest, before.clone() + &shown, env, input, out)
            }),
        }
    }

    fn object(
        &self,
        members: &[(Node, Node)],
        map: Map<String, Value>,
        env: &Env,
        input: &Value,
        out: &mut dyn FnMut(Map<String, Value>) -> Done,
    ) -> Done {
        let Some(((key, member), rest)) = members.split_first() else { return out(map) };
        self.each(key, env, input, &mut |key| {
            let Value::String(key) = key else {
                return Err(error(format!("Object keys must be strings, not {}", value::described(&key))));
            };
            self.each(member, env, input, &mut |value| {
                let mut map = map.clone();
                map.insert(key.clone(), value);
                self.object(rest, map, env, input, out)
            })
        })
    }

    /// What a pattern binds, for each way in which it can.
    fn bind(
        &self,
        pattern: &Pattern,
        value: &Value,
        env: &Env,
        input: &Value,
        out: &mut dyn FnMut(&Env) -> Done,
    ) -> Done {
        match pattern {
            Pattern::Variable(name) => out(&env.variable(name, value.clone())),
            Pattern::Array(parts) => self.bind_array(parts, 0, value, env, input, out),
            Pattern::Object(parts) => self.bind_object(parts, value, env, input, out),
        }
    }

    fn bind_array(
        &self,
        parts: &[Pattern],
        at: usize,
        value: &Value,
        env: &Env,
        input: &Value,
        out: &mut dyn FnMut(&Env) -> Done,
    ) -> Done {
        let Some((first, rest)) = parts.split_first() else { return out(env) };
        let part = value::index(&value.clone().into(), &Value::from(at))?.value;
        self.bind(first, &part, env, input, &mut |env| self.bind_array(rest, at + 1, value, env, input, out))
    }

    fn bind_object(
        &self,
        parts: &[(Node, Option<String>, Option<Pattern>)],
        value: &Value,
        env: &Env,
        input: &Value,
        out: &mut dyn FnMut(&Env) -> Done,
    ) -> Done {
        let Some(((key, variable, pattern), rest)) = parts.split_first() else { return out(env) };
        self.each(key, env, input, &mut |key| {
            let part = value::index(&value.clone().into(), &key)?.value;
            let env = match variable {
                Some(name) => env.variable(name, part.clone()),
                None => env.clone(),
            };
            match pattern {
                Some(pattern) => {
                    self.bind(pattern, &part, &env, input, &mut |env| self.bind_object(rest, value, env, input, out))
                }
                None => self.bind_object(rest, value, &env, input, out),
            }
        })
    }

    /// The paths a filter leads to.
    pub(super) fn paths(&self, filter: &Node, env: &Env, input: &Value) -> Result<Vec<Vec<Value>>, Stop> {
        let mut paths = Vec::new();
        let start = Item { value: input.clone(), path: Some(Vec::new()) };
        self.run(filter, env, start, &mut |item| {
            paths.push(item.path.unwrap_or_default());
            Ok(())
        })?;
        Ok(paths)
    }

    fn assign(
        &self,
        operator: char,
        target: &Node,
        source: &Node,
        env: &Env,
        input: Value,
        out: &mut dyn FnMut(Value) -> Done,
    ) -> Done {
        let paths = self.paths(target, env, &input)?;
        if operator == '|' {
            let mut whole = input;
            let mut gone = Vec::new();
            for path in paths {
                let old = value::get(&whole, &path)?;
                let mut new = None;
                let done = self.each(source, env, &old, &mut |value| {
                    new = Some(value);
                    // The first is taken.
                    Err(Stop::Enough)
                });
                match (done, new) {
                    (Ok(()) | Err(Stop::Enough), Some(new)) => whole = value::set(whole, &path, new)?,
                    (Ok(()) | Err(Stop::Enough), None) => gone.push(path),
                    (Err(stop), _) => return Err(stop),
                }
            }
            return out(value::delete(whole, gone)?);
        }
        self.each(source, env, &input, &mut |right| {
            let mut whole = input.clone();
            for path in &paths {
                let new = match operator {
                    '=' => right.clone(),
                    'A' => match value::get(&whole, path)? {
                        old if value::holds(&old) => old,
                        _ => right.clone(),
                    },
                    operator => value::calculate(operator, value::get(&whole, path)?, right.clone())?,
                };
                whole = value::set(whole, path, new)?;
            }
            out(whole)
        })
    }

    fn call(&self, name: &str, arguments: &[Node], env: &Env, item: Item, out: Out<'_>) -> Done {
        match env.find(&key(name, arguments.len())) {
            Some((Meaning::Closure(filter, outer), ..)) => return self.run(filter, outer, item, out),
            Some((Meaning::Function(definition), own, _)) => {
                // A function knows itself, what was defined before it, and its arguments.
                return self.enter(definition, &definition.params, arguments, env, own.clone(), item, out);
            }
            _ => {}
        }
        builtin::call(self, name, arguments, env, item, out)
    }

    #[allow(clippy::too_many_arguments)]
    fn enter(
        &self,
        definition: &Definition,
        params: &[String],
        arguments: &[Node],
        outer: &Env,
        inner: Env,
        item: Item,
        out: Out<'_>,
    ) -> Done {
        let (Some((param, params)), Some((argument, arguments))) = (params.split_first(), arguments.split_first())
        else {
            return self.run(&definition.body, &inner, item, out);
        };
        match param.strip_prefix('$') {
            Some(name) => self.each(argument, outer, &item.value, &mut |value| {
                let literal = Rc::new(Filter::Literal(value.clone()));
                let inner = inner.variable(name, value).with(&key(name, 0), Meaning::Closure(literal, Env::default()));
                self.enter(definition, params, arguments, outer, inner, item.clone(), out)
            }),
            None => {
                let inner = inner.with(&key(param, 0), Meaning::Closure(argument.clone(), outer.clone()));
                self.enter(definition, params, arguments, outer, inner, item, out)
            }
        }
    }

    /// All values of each argument, one choice after another.
    pub(super) fn choices(
        &self,
        arguments: &[Node],
        chosen: Vec<Value>,
        env: &Env,
        input: &Value,
        out: &mut dyn FnMut(&[Value]) -> Done,
    ) -> Done {
        let Some((first, rest)) = arguments.split_first() else { return out(&chosen) };
        self.each(first, env, input, &mut |value| {
            let mut chosen = chosen.clone();
            chosen.push(value);
            self.choices(rest, chosen, env, input, out)
        })
    }
}
