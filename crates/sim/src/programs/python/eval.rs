//! A program's run.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::future::{FutureExt, LocalBoxFuture};

use super::methods::no_attribute;
use super::operators::place;
use super::parse::{Block, Expr, Line, Statement, Step};
use super::value::{Heap, Items, LENGTH_MAX, Range, Value};
use crate::process::Process;

/// After so many steps time passes.
const STEPS_A_SLICE: usize = 2000;
/// What they take of the processor.
const SLICE: Duration = Duration::from_micros(200);

/// Why the run of statements ends early.
pub(super) enum Stop {
    Exit(i32),
    Break,
    Continue,
    Return(Value),
    Error { kind: String, message: String },
}

pub(super) type Done<T> = Result<T, Stop>;

pub(super) fn error<T>(kind: &str, message: impl Into<String>) -> Done<T> {
    Err(Stop::Error { kind: kind.into(), message: message.into() })
}

pub(super) fn unknown<T>(what: &str) -> Done<T> {
    error("NotImplementedError", format!("this stand-in for Python does not know {what}"))
}

/// All of standard input, as much as a text may hold.
pub(super) async fn input(process: &Process) -> Done<String> {
    let mut all = Vec::new();
    while let Ok(part) = process.stdin().read(65536).await {
        if part.is_empty() {
            break;
        }
        all.extend_from_slice(&part);
        if all.len() > LENGTH_MAX {
            return error("MemoryError", "");
        }
    }
    Ok(String::from_utf8_lossy(&all).into_owned())
}

pub(super) struct Function {
    parameters: Rc<[(String, Option<Expr>)]>,
    body: Block,
}

/// What a loop goes through.
pub(super) enum Each {
    Items(Rc<Items>),
    Range(Rc<Range>),
}

impl Each {
    pub(super) fn get(&self, at: usize) -> Option<Value> {
        match self {
            Self::Items(items) => items.get(at),
            Self::Range(range) => range.get(at),
        }
    }
}

/// What a program sees.
pub(super) struct World<'a> {
    pub(super) process: &'a Process,
    pub(super) arguments: Vec<String>,
    globals: BTreeMap<String, Value>,
    locals: Vec<BTreeMap<String, Value>>,
    /// Names that functions have said to be the whole program's, as deep as they call one another.
    shared: Vec<Vec<String>>,
    /// The statement that runs.
    pub(super) line: u32,
    pub(super) heap: Rc<Heap>,
    /// The work queues it has made.
    pub(super) queues: Vec<super::rediswq::Queue>,
}

/// What modules there are.
const MODULES: [&str; 9] = ["json", "os", "os.path", "platform", "random", "socket", "sys", "time", "datetime"];
/// Functions and errors that need no import.
const BUILTINS: [&str; 19] = [
    "print",
    "len",
    "int",
    "float",
    "str",
    "bool",
    "range",
    "list",
    "tuple",
    "sum",
    "min",
    "max",
    "abs",
    "sorted",
    "enumerate",
    "exit",
    "quit",
    "round",
    "repr",
];

impl<'a> World<'a> {
    pub(super) fn new(process: &'a Process, arguments: Vec<String>) -> Self {
        let (globals, locals, shared) = (BTreeMap::new(), Vec::new(), Vec::new());
        let queues = Vec::new();
        Self { process, arguments, globals, locals, shared, line: 1, heap: Rc::default(), queues }
    }

    /// Whether a module that is known here stands beside the program.
    fn brings(&self, module: &str) -> bool {
        let script = self.arguments.first().map(|path| self.process.path(path)).unwrap_or_default();
        let file = format!("{}/rediswq.py", crate::fs::parent(&script).trim_end_matches('/'));
        module == "rediswq" && self.process.fs().exists(&file)
    }

    /// Runs a program to its end.
    pub(super) async fn run(&mut self, program: &Block) -> Done<()> {
        let name = self.heap.text("__main__")?;
        self.set("__name__", name);
        self.block(program.clone()).await
    }

    fn block(&mut self, block: Block) -> LocalBoxFuture<'_, Done<()>> {
        async move {
            if block.is_empty() {
                return Ok(());
            }
            let _deeper = self.heap.deeper()?;
            for line in block.iter() {
                self.statement(line).await?;
            }
            Ok(())
        }
        .boxed_local()
    }

    /// Lets time pass now and then.
    pub(super) async fn tick(&mut self) -> Done<()> {
        self.heap.step(1)?;
        let slices = self.heap.steps.get() / STEPS_A_SLICE;
        if slices > 0 {
            self.heap.steps.set(0);
            let time = SLICE * u32::try_from(slices).unwrap_or(u32::MAX);
            self.process.machine.use_cpu(self.process.pid, time);
            self.process.sleep(self.process.machine.stretch(time)).boxed_local().await;
        }
        Ok(())
    }

    async fn statement(&mut self, line: &Line) -> Done<()> {
        self.line = line.number;
        self.tick().await?;
        match &line.statement {
            Statement::Pass => {}
            Statement::Global(names) => {
                if let Some(shared) = self.shared.last_mut() {
                    shared.extend(names.iter().cloned());
                }
            }
            Statement::Break => return Err(Stop::Break),
            Statement::Continue => return Err(Stop::Continue),
            Statement::Expression(expr) => drop(self.eval(expr).await?),
            Statement::Assign(target, op, value) => {
                let mut value = self.eval(value).await?;
                if let Some(op) = op {
                    let before = self.eval(target).await?;
                    value = self.binary(op, &before, &value)?;
                }
                self.bind(target, value).await?;
            }
            Statement::Import(module, taken) => {
                for (name, own) in taken {
                    let whole = if module.is_empty() { name.clone() } else { format!("{module}.{name}") };
                    let of = if module.is_empty() { name } else { module };
                    if !MODULES.contains(&of.as_str()) && !self.brings(of) {
                        return error("ModuleNotFoundError", format!("No module named '{of}'"));
                    }
                    // `import os.path` binds `os`.
                    let (own, whole) = match own.split_once('.') {
                        Some((first, _)) => (first.to_owned(), first.to_owned()),
                        None => (own.clone(), whole),
                    };
                    self.set(&own, Value::Known(whole.into()));
                }
            }
            Statement::If(branches, other) => {
                for (condition, block) in branches {
                    if self.eval(condition).await?.truth() {
                        return self.block(block.clone()).await;
                    }
                }
                self.block(other.clone()).await?;
            }
            Statement::While(condition, block) => {
                while self.eval(condition).await?.truth() {
                    self.tick().await?;
                    match self.block(block.clone()).await {
                        Err(Stop::Break) => break,
                        Err(Stop::Continue) | Ok(()) => {}
                        Err(stop) => return Err(stop),
                    }
                }
            }
            Statement::For(target, items, block) => {
                let items = self.eval(items).await?;
                let items = self.each(&items)?;
                let mut at = 0;
                while let Some(item) = items.get(at) {
                    at += 1;
                    self.tick().await?;
                    self.bind(target, item).await?;
                    match self.block(block.clone()).await {
                        Err(Stop::Break) => break,
                        Err(Stop::Continue) | Ok(()) => {}
                        Err(stop) => return Err(stop),
                    }
                }
            }
            Statement::Function(name, parameters, body) => {
                let function = Function { parameters: parameters.clone(), body: body.clone() };
                self.set(name, Value::Function(Rc::new(function)));
            }
            Statement::Return(value) => {
                let value = match value {
                    Some(value) => self.eval(value).await?,
                    None => Value::None,
                };
                return Err(Stop::Return(value));
            }
            Statement::Raise(value) => {
                let value = match value {
                    Some(value) => self.eval(value).await?,
                    None => return error("RuntimeError", "No active exception to reraise"),
                };
                return match value {
                    Value::Error(raised) => error(&raised.0, self.heap.shown(&raised.1)?),
                    Value::Known(name) => error(&name, ""),
                    _ => error("TypeError", "exceptions must derive from BaseException"),
                };
            }
            Statement::Assert(condition) => {
                let (condition, message) = match condition {
                    Expr::Tuple(both) => (both.first(), both.get(1)),
                    one => (Some(one), None),
                };
                let holds = match condition {
                    Some(condition) => self.eval(condition).await?.truth(),
                    None => true,
                };
                if !holds {
                    let message = match message {
                        Some(message) => {
                            let message = self.eval(message).await?;
                            self.heap.shown(&message)?
                        }
                        None => String::new(),
                    };
                    return error("AssertionError", message);
                }
            }
            Statement::Try(body, handlers, finally) => {
                let mut result = self.block(body.clone()).await;
                if let Err(Stop::Error { kind, message, .. }) = &result {
                    let fits = |(of, ..): &&(Option<String>, Option<String>, Block)| {
                        of.as_ref().is_none_or(|of| of == kind || of == "Exception" || of == "BaseException")
                    };
                    if let Some((_, name, block)) = handlers.iter().find(fits) {
                        if let Some(name) = name {
                            let message = self.heap.text(message.as_str())?;
                            self.set(name, Value::Error(Rc::new((kind.clone(), message))));
                        }
                        result = self.block(block.clone()).await;
                    }
                }
                let line = self.line;
                self.block(finally.clone()).await?;
                self.line = line;
                return result;
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: Value) {
        let is_shared = self.shared.last().is_some_and(|shared| shared.iter().any(|known| known == name));
        let names = self.locals.last_mut().filter(|_| !is_shared).unwrap_or(&mut self.globals);
        names.insert(name.to_owned(), value);
    }

    async fn bind(&mut self, target: &Expr, value: Value) -> Done<()> {
        match target {
            Expr::Name(name) => self.set(name, value),
            Expr::Tuple(targets) | Expr::List(targets) => {
                let _deeper = self.heap.deeper()?;
                let items = self.items(&value)?;
                if items.len() != targets.len() {
                    return error("ValueError", format!("cannot unpack {} values", items.len()));
                }
                for (target, item) in targets.iter().zip(items.all()) {
                    self.bind(target, item).boxed_local().await?;
                }
            }
            Expr::Postfix(of, steps) if let Some((Step::Index(index), steps)) = steps.split_last() => {
                let of = self.postfix(of, steps).boxed_local().await?;
                let index = self.eval(index).await?;
                match &of {
                    Value::Dict(pairs) => self.heap.put(pairs, index, value)?,
                    Value::List(items) => match place(&index, items.len()).filter(|at| *at < items.len()) {
                        Some(at) => items.set(at, value)?,
                        None => return error("IndexError", "list assignment index out of range"),
                    },
                    _ => {
                        let what = of.type_name();
                        return error("TypeError", format!("'{what}' object does not support item assignment"));
                    }
                }
            }
            _ => return error("SyntaxError", "cannot assign to expression"),
        }
        Ok(())
    }

    /// What is gone through one by one.
    pub(super) fn each(&self, value: &Value) -> Done<Each> {
        match value {
            Value::Range(range) => Ok(Each::Range(range.clone())),
            other => Ok(Each::Items(self.items(other)?)),
        }
    }

    /// What is gone through at once: a list itself, of others a list that is made.
    pub(super) fn items(&self, value: &Value) -> Done<Rc<Items>> {
        match value {
            Value::List(items) | Value::Tuple(items) => Ok(items.clone()),
            Value::Dict(pairs) => self.heap.items(pairs.all().into_iter().step_by(2).collect()),
            Value::Range(range) => self.heap.items((0..=LENGTH_MAX).map_while(|at| range.get(at)).collect()),
            Value::Text(value) => {
                let mut letter = [0; 4];
                let letters: Done<Vec<Value>> =
                    value.chars().map(|c| self.heap.text(&*c.encode_utf8(&mut letter))).collect();
                self.heap.items(letters?)
            }
            _ => error("TypeError", format!("'{}' object is not iterable", value.type_name())),
        }
    }

    fn name(&self, name: &str) -> Done<Value> {
        let known = self.locals.last().and_then(|locals| locals.get(name)).or_else(|| self.globals.get(name));
        if let Some(value) = known {
            return Ok(value.clone());
        }
        if BUILTINS.contains(&name)
            || name.ends_with("Error")
            || matches!(name, "Exception" | "KeyboardInterrupt" | "SystemExit")
        {
            return Ok(Value::Known(name.into()));
        }
        error("NameError", format!("name '{name}' is not defined"))
    }

    fn eval<'b>(&'b mut self, expr: &'b Expr) -> LocalBoxFuture<'b, Done<Value>> {
        async move {
            let _deeper = self.heap.deeper()?;
            self.tick().await?;
            Ok(match expr {
                Expr::None => Value::None,
                Expr::Bool(value) => Value::Bool(*value),
                Expr::Int(value) => Value::Int(*value),
                Expr::Float(value) => Value::Float(*value),
                Expr::Text(value) => self.heap.text(value.as_str())?,
                Expr::Name(name) => self.name(name)?,
                Expr::Format(parts) => {
                    let mut out = String::new();
                    for (plain, value) in parts {
                        self.heap.grow(&mut out, plain)?;
                        if let Some((value, spec)) = value {
                            let value = self.eval(value).await?;
                            let value = self.formatted(&value, spec)?;
                            self.heap.grow(&mut out, &value)?;
                        }
                    }
                    self.heap.text(out)?
                }
                Expr::List(items) => {
                    let items = self.all(items).await?;
                    self.heap.list(items)?
                }
                Expr::Tuple(items) => {
                    let items = self.all(items).await?;
                    self.heap.tuple(items)?
                }
                Expr::Dict(pairs) => {
                    let out = self.heap.items(Vec::new())?;
                    for (key, value) in pairs {
                        let (key, value) = (self.eval(key).await?, self.eval(value).await?);
                        match self.heap.find(&out, &key)? {
                            Some(at) => out.set(at, value)?,
                            None => out.extend(&[key, value])?,
                        }
                    }
                    Value::Dict(out)
                }
                Expr::Each(each) => {
                    let (element, target, from, condition) = &**each;
                    let from = self.eval(from).await?;
                    let out = self.heap.items(Vec::new())?;
                    let from = self.each(&from)?;
                    let mut at = 0;
                    while let Some(item) = from.get(at) {
                        at += 1;
                        self.tick().await?;
                        self.bind(target, item).await?;
                        let wanted = match condition {
                            Some(condition) => self.eval(condition).await?.truth(),
                            None => true,
                        };
                        if wanted {
                            out.extend(&[self.eval(element).await?])?;
                        }
                    }
                    Value::List(out)
                }
                Expr::Postfix(base, steps) => self.postfix(base, steps).boxed_local().await?,
                Expr::Not(value) => Value::Bool(!self.eval(value).await?.truth()),
                Expr::Negative(value) => match self.eval(value).await? {
                    Value::Int(value) => Value::Int(value.saturating_neg()),
                    Value::Float(value) => Value::Float(-value),
                    other => {
                        return error("TypeError", format!("bad operand type for unary -: '{}'", other.type_name()));
                    }
                },
                Expr::Binary(left, chain) => {
                    let mut left = self.eval(left).await?;
                    for (op, right) in chain {
                        left = match *op {
                            "and" if !left.truth() => left,
                            "or" if left.truth() => left,
                            "and" | "or" => self.eval(right).await?,
                            op => {
                                let right = self.eval(right).await?;
                                self.binary(op, &left, &right)?
                            }
                        };
                    }
                    left
                }
                Expr::Compare(left, chain) => {
                    let mut left = self.eval(left).await?;
                    for (op, right) in chain {
                        let right = self.eval(right).await?;
                        if !self.compare(op, &left, &right)? {
                            return Ok(Value::Bool(false));
                        }
                        left = right;
                    }
                    Value::Bool(true)
                }
                Expr::Choice(choice) => {
                    let (condition, then, other) = &**choice;
                    let chosen = if self.eval(condition).await?.truth() { then } else { other };
                    self.eval(chosen).await?
                }
            })
        }
        .boxed_local()
    }

    /// A value, and what follows it.
    async fn postfix(&mut self, base: &Expr, steps: &[Step]) -> Done<Value> {
        let mut value = self.eval(base).await?;
        // A method is called where it is named.
        let mut method: Option<&str> = None;
        for step in steps {
            value = match (step, method.take()) {
                (Step::Call(arguments, _), Some(name)) => {
                    let arguments = self.all(arguments).await?;
                    self.method(&value, name, &arguments)?
                }
                (_, Some(name)) => return no_attribute(&value, name),
                (Step::Attribute(name), None) => match &value {
                    Value::Known(module) => self.member(&format!("{module}.{name}"))?,
                    _ => {
                        method = Some(name);
                        continue;
                    }
                },
                (Step::Index(index), None) => {
                    let index = self.eval(index).await?;
                    self.index(&value, &index)?
                }
                (Step::Slice(start, end), None) => {
                    let (mut from, mut to) = (Value::Int(0), Value::None);
                    if let Some(start) = start {
                        from = self.eval(start).await?;
                    }
                    if let Some(end) = end {
                        to = self.eval(end).await?;
                    }
                    self.slice(&value, &from, &to)?
                }
                (Step::Call(arguments, named), None) => {
                    let arguments = self.all(arguments).await?;
                    let mut by_name = Vec::new();
                    for (name, value) in named {
                        by_name.push((name.clone(), self.eval(value).await?));
                    }
                    self.call(value, arguments, by_name).await?
                }
            };
        }
        match method {
            Some(name) => no_attribute(&value, name),
            None => Ok(value),
        }
    }

    async fn all(&mut self, exprs: &[Expr]) -> Done<Vec<Value>> {
        let mut out = Vec::new();
        for expr in exprs {
            out.push(self.eval(expr).await?);
        }
        Ok(out)
    }

    async fn call(&mut self, function: Value, arguments: Vec<Value>, named: Vec<(String, Value)>) -> Done<Value> {
        match function {
            Value::Function(function) => {
                let mut locals = BTreeMap::new();
                for (index, (name, default)) in function.parameters.iter().enumerate() {
                    let by_name = named.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
                    let value = match (arguments.get(index).cloned().or(by_name), default) {
                        (Some(value), _) => value,
                        (None, Some(default)) => self.eval(default).await?,
                        (None, None) => return error("TypeError", format!("missing required argument: '{name}'")),
                    };
                    locals.insert(name.clone(), value);
                }
                self.locals.push(locals);
                self.shared.push(Vec::new());
                let result = self.block(function.body.clone()).await;
                self.locals.pop();
                self.shared.pop();
                match result {
                    Ok(()) => Ok(Value::None),
                    Err(Stop::Return(value)) => Ok(value),
                    Err(stop) => Err(stop),
                }
            }
            Value::Known(name) => self.known(&name, &arguments, &named).boxed_local().await,
            other => error("TypeError", format!("'{}' object is not callable", other.type_name())),
        }
    }
}
