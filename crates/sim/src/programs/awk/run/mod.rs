//! Running a program: its variables, statements and output.

mod eval;
mod functions;
mod records;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use machinery::random::Rng;
use machinery::sort::Order;
use regex_lite::Regex;

use crate::fs::Mode;
use crate::io::Fd;
use crate::process::{Child, Process};
use crate::programs::awk::ast::{Expr, Function, Name, Pattern, Program, Redirect, Statement};
use crate::programs::awk::input::Source;
use crate::programs::awk::value::Value;

/// What a turn of a loop costs: keeps an endless one from holding virtual time still.
const TURN_TIME: Duration = Duration::from_micros(1);
/// How deeply functions may call one another.
const CALLS_MAX: usize = 100;
/// Output is held until there is so much of it, or input is waited for.
const OUTPUT_BYTES: usize = 8192;
const FIELDS_MAX: usize = 100_000;

/// A variable: a value, or an array by its name or shared with a function.
#[derive(Clone)]
enum Cell {
    Value(Value),
    Array(Rc<RefCell<BTreeMap<String, Value>>>),
}

/// Why statements are not run to their end.
enum Flow {
    Next,
    Break,
    Continue,
    Exit,
    Return(Value),
    /// An error, told to standard error.
    Fatal(String),
}

/// Where output goes.
struct Sink {
    fd: Fd,
    child: Option<Child>,
}

pub(super) struct Awk {
    process: Process,
    functions: BTreeMap<String, Rc<Function>>,
    globals: BTreeMap<String, Cell>,
    /// The parameters of the functions that run, innermost last.
    frames: Vec<Vec<Cell>>,
    record: String,
    fields: Vec<String>,
    /// Whether the fields are those of the record, and the other way round.
    split: bool,
    joined: bool,
    operands: Vec<String>,
    main_input: Option<Source>,
    read_any: bool,
    sources: BTreeMap<String, Source>,
    sinks: BTreeMap<String, Sink>,
    output: Vec<u8>,
    regexes: BTreeMap<String, Rc<Regex>>,
    rng: Rng,
    seed: f64,
    exit_code: i32,
}

type Done<T> = Result<T, Flow>;

impl Awk {
    pub(super) fn new(process: Process, functions: &[Rc<Function>], operands: Vec<String>) -> Self {
        let text = |text: &str| Cell::Value(Value::Text(text.to_owned()));
        let mut globals: BTreeMap<String, Cell> = [
            ("FS", " "),
            ("OFS", " "),
            ("RS", "\n"),
            ("ORS", "\n"),
            ("SUBSEP", "\x1c"),
            ("CONVFMT", "%.6g"),
            ("OFMT", "%.6g"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), text(value)))
        .collect();
        for name in ["NR", "FNR", "NF"] {
            globals.insert(name.to_owned(), Cell::Value(Value::Number(0.0)));
        }
        let array = |values: BTreeMap<String, Value>| Cell::Array(Rc::new(RefCell::new(values)));
        let environment = process.env.iter().map(|(name, value)| (name.clone(), Value::Input(value.clone())));
        globals.insert("ENVIRON".into(), array(environment.collect()));
        let arguments: Vec<String> = std::iter::once("awk".to_owned()).chain(operands.clone()).collect();
        globals.insert("ARGC".into(), Cell::Value(Value::Number(arguments.len() as f64)));
        let numbered = arguments.into_iter().enumerate().map(|(index, word)| (index.to_string(), Value::Input(word)));
        globals.insert("ARGV".into(), array(numbered.collect()));
        Self {
            process,
            functions: functions.iter().map(|function| (function.name.clone(), function.clone())).collect(),
            globals,
            frames: Vec::new(),
            record: String::new(),
            fields: Vec::new(),
            split: true,
            joined: true,
            operands,
            main_input: None,
            read_any: false,
            sources: BTreeMap::new(),
            sinks: BTreeMap::new(),
            output: Vec::new(),
            regexes: BTreeMap::new(),
            rng: Rng::new(0),
            seed: 0.0,
            exit_code: 0,
        }
    }

    /// Assigns a global variable from a command line.
    pub(super) fn assign(&mut self, name: &str, value: &str) {
        self.globals.insert(name.to_owned(), Cell::Value(Value::Input(value.to_owned())));
    }

    pub(super) async fn main(&mut self, program: &Program) -> i32 {
        let mut result = self.run_main(program).await;
        if let Err(Flow::Exit) | Ok(()) = result {
            for block in &program.end {
                result = self.statement(block).await;
                if result.is_err() {
                    break;
                }
            }
        }
        self.flush().await;
        let names: Vec<String> = self.sinks.keys().chain(self.sources.keys()).cloned().collect();
        for name in names {
            self.close(&name).await;
        }
        match result {
            Err(Flow::Fatal(message)) => self.process.fail(2, message).await,
            _ => self.exit_code,
        }
    }

    async fn run_main(&mut self, program: &Program) -> Done<()> {
        for block in &program.begin {
            self.statement(block).await?;
        }
        if program.rules.is_empty() && program.end.is_empty() {
            return Ok(());
        }
        let mut inside = vec![false; program.rules.len()];
        while self.next_record(None).await? {
            for (rule, inside) in program.rules.iter().zip(&mut inside) {
                let fits = match &rule.pattern {
                    Pattern::Always => true,
                    Pattern::If(condition) => self.eval(condition).await?.holds(),
                    Pattern::Range(first, last) => {
                        let begins = *inside || self.eval(first).await?.holds();
                        *inside = begins && !self.eval(last).await?.holds();
                        begins
                    }
                };
                if !fits {
                    continue;
                }
                let done = match &rule.action {
                    Some(action) => self.statement(action).await,
                    None => {
                        let text = self.whole() + &self.variable_text("ORS");
                        self.print(&text, None).await
                    }
                };
                match done {
                    Err(Flow::Next) => break,
                    done => done?,
                }
            }
        }
        Ok(())
    }

    fn variable(&mut self, name: &str) -> Value {
        if name == "NF" {
            self.split_record();
            return Value::Number(self.fields.len() as f64);
        }
        match self.globals.get(name) {
            Some(Cell::Value(value)) => value.clone(),
            _ => Value::Unset,
        }
    }

    fn variable_text(&mut self, name: &str) -> String {
        self.variable(name).text("%.6g")
    }

    fn cell(&mut self, name: &Name) -> Option<&mut Cell> {
        match name {
            Name::Global(name) => Some(self.globals.entry(name.clone()).or_insert_with(|| Cell::Value(Value::Unset))),
            Name::Local(index) => self.frames.last_mut()?.get_mut(*index),
        }
    }

    fn value_of(&mut self, name: &Name) -> Done<Value> {
        if let Name::Global(name) = name
            && name == "NF"
        {
            return Ok(self.variable(name));
        }
        match self.cell(name) {
            Some(Cell::Value(value)) => Ok(value.clone()),
            Some(Cell::Array(_)) => Err(Flow::Fatal("attempt to use array in a scalar context".into())),
            None => Ok(Value::Unset),
        }
    }

    fn array(&mut self, name: &Name) -> Done<Rc<RefCell<BTreeMap<String, Value>>>> {
        match self.cell(name) {
            Some(Cell::Array(array)) => Ok(array.clone()),
            Some(cell @ Cell::Value(Value::Unset)) => {
                let array = Rc::new(RefCell::new(BTreeMap::new()));
                *cell = Cell::Array(array.clone());
                Ok(array)
            }
            _ => Err(Flow::Fatal("attempt to use scalar as array".into())),
        }
    }

    async fn key(&mut self, index: &[Expr]) -> Done<String> {
        let mut key = String::new();
        for (place, part) in index.iter().enumerate() {
            if place > 0 {
                key.push_str(&self.variable_text("SUBSEP"));
            }
            key.push_str(&self.text(part).await?);
        }
        Ok(key)
    }

    /// Assigns to a variable, a field or an element.
    async fn store(&mut self, target: &Expr, value: Value) -> Done<()> {
        match target {
            Expr::Variable(name) => {
                if *name == Name::Global("NF".into()) {
                    self.split_record();
                    self.fields.resize(Self::index_of(value.number())?.min(FIELDS_MAX), String::new());
                    self.joined = false;
                    return Ok(());
                }
                match self.cell(name) {
                    Some(Cell::Array(_)) => Err(Flow::Fatal("attempt to use array in a scalar context".into())),
                    Some(cell) => {
                        *cell = Cell::Value(value);
                        Ok(())
                    }
                    None => Ok(()),
                }
            }
            Expr::Field(index) => {
                let index = Self::index_of(self.eval(index).await?.number())?;
                let format = self.variable_text("CONVFMT");
                self.set_field(index, value.text(&format))
            }
            Expr::Element(name, index) => {
                let key = self.key(index).await?;
                self.array(name)?.borrow_mut().insert(key, value);
                Ok(())
            }
            _ => Err(Flow::Fatal("assignment to what is no variable".into())),
        }
    }

    // Output.

    async fn flush(&mut self) {
        let output = std::mem::take(&mut self.output);
        if !output.is_empty() {
            self.process.print(output).await;
        }
    }

    /// Writes what is held when input may have to be waited for.
    async fn flush_slowly(&mut self) {
        self.process.sleep(Duration::from_nanos(100)).await;
        if self.output.len() > OUTPUT_BYTES || self.main_input.is_some() {
            self.flush().await;
        }
    }

    async fn print(&mut self, text: &str, redirect: Option<&Redirect>) -> Done<()> {
        let Some(redirect) = redirect else {
            self.output.extend_from_slice(text.as_bytes());
            if self.output.len() > OUTPUT_BYTES {
                self.flush().await;
            }
            return Ok(());
        };
        let name = self.text(&redirect.target).await?;
        match name.as_str() {
            "/dev/stderr" => {
                self.process.eprint(text).await;
                return Ok(());
            }
            "/dev/stdout" | "-" => {
                self.output.extend_from_slice(text.as_bytes());
                return Ok(());
            }
            _ => {}
        }
        if !self.sinks.contains_key(&name) {
            self.flush().await;
            let sink = if redirect.kind == '|' {
                let (reader, writer) = crate::io::pipe(self.process.machine.executor());
                Sink { child: self.shell(&name, &[(0, reader)]).await, fd: writer }
            } else {
                let mode = if redirect.kind == 'a' { Mode::Append } else { Mode::Truncate };
                match self.process.machine.open(&self.process.fs, &self.process.path(&name), mode) {
                    Ok(fd) => Sink { fd, child: None },
                    Err(error) => return Err(Flow::Fatal(format!("can't redirect to {name} ({error})"))),
                }
            };
            self.sinks.insert(name.clone(), sink);
        }
        if let Some(sink) = self.sinks.get(&name) {
            // A reader that has gone does not end the program.
            let _ = sink.fd.clone().write_all(text.as_bytes()).await;
        }
        Ok(())
    }

    /// Closes a file or command; its exit code.
    async fn close(&mut self, name: &str) -> i32 {
        let mut code = -1;
        if let Some(Sink { fd, child }) = self.sinks.remove(name) {
            drop(fd);
            code = 0;
            if let Some(child) = child {
                code = child.wait().await;
            }
        }
        if let Some(source) = self.sources.remove(name) {
            code = source.child.as_ref().and_then(Child::exit_code).unwrap_or(0);
        }
        code
    }

    // Statements.

    fn statement<'a>(&'a mut self, statement: &'a Statement) -> LocalBoxFuture<'a, Done<()>> {
        async move {
            match statement {
                Statement::Block(statements) => {
                    for statement in statements {
                        self.statement(statement).await?;
                    }
                }
                Statement::Expr(expr) => {
                    self.eval(expr).await?;
                }
                Statement::Print(list, redirect) => {
                    let mut text = String::new();
                    let (between, format) = (self.variable_text("OFS"), self.variable_text("OFMT"));
                    for (place, expr) in list.iter().enumerate() {
                        if place > 0 {
                            text.push_str(&between);
                        }
                        text.push_str(&self.eval(expr).await?.text(&format));
                    }
                    if list.is_empty() {
                        text = self.whole();
                    }
                    text.push_str(&self.variable_text("ORS"));
                    self.print(&text, redirect.as_ref()).await?;
                }
                Statement::Printf(list, redirect) => {
                    let text = self.format(list).await?;
                    self.print(&text, redirect.as_ref()).await?;
                }
                Statement::If(condition, then, otherwise) => {
                    if self.eval(condition).await?.holds() {
                        self.statement(then).await?;
                    } else if let Some(otherwise) = otherwise {
                        self.statement(otherwise).await?;
                    }
                }
                Statement::Loop { condition, body, step, body_first } => {
                    let mut first = *body_first;
                    loop {
                        self.process.sleep(TURN_TIME).await;
                        if !std::mem::take(&mut first)
                            && let Some(condition) = condition
                            && !self.eval(condition).await?.holds()
                        {
                            break;
                        }
                        match self.statement(body).await {
                            Err(Flow::Break) => break,
                            Err(Flow::Continue) => {}
                            done => done?,
                        }
                        if let Some(step) = step {
                            self.statement(step).await?;
                        }
                    }
                }
                Statement::ForIn(variable, array, body) => {
                    let mut keys: Vec<String> = self.array(array)?.borrow().keys().cloned().collect();
                    keys.order_by_key(|key| key.parse::<u64>().unwrap_or(u64::MAX));
                    let target = Expr::Variable(variable.clone());
                    for key in keys {
                        self.store(&target, Value::Input(key)).await?;
                        match self.statement(body).await {
                            Err(Flow::Break) => break,
                            Err(Flow::Continue) => {}
                            done => done?,
                        }
                    }
                }
                Statement::Delete(name, None) => self.array(name)?.borrow_mut().clear(),
                Statement::Delete(name, Some(index)) => {
                    let key = self.key(index).await?;
                    self.array(name)?.borrow_mut().remove(&key);
                }
                Statement::Next => return Err(Flow::Next),
                Statement::Break => return Err(Flow::Break),
                Statement::Continue => return Err(Flow::Continue),
                Statement::Exit(code) => {
                    if let Some(code) = code {
                        self.exit_code = self.eval(code).await?.number() as i32;
                    }
                    return Err(Flow::Exit);
                }
                Statement::Return(value) => {
                    let value = match value {
                        Some(value) => self.eval(value).await?,
                        None => Value::Unset,
                    };
                    return Err(Flow::Return(value));
                }
            }
            Ok(())
        }
        .boxed_local()
    }
}
