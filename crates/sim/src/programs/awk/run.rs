//! Running a program.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use machinery::random::Rng;
use machinery::sort::Order;
use regex_lite::Regex;

use super::ast::{Expr, Function, Name, Pattern, Program, Redirect, Statement};
use super::input::{Separator, Source};
use super::value::Value;
use crate::fs::Mode;
use crate::io::Fd;
use crate::process::{Child, Process};
use crate::programs::{self, escape, grep};

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

    // Input.

    fn separator(&mut self) -> Done<Separator> {
        let text = self.variable_text("RS");
        Ok(match text.as_bytes() {
            [] => Separator::Paragraph,
            [byte] => Separator::Char(*byte),
            _ => Separator::Regex((*self.regex(&text)?).clone()),
        })
    }

    /// Reads the next record of the main input, into a variable if one is given. False at the end.
    async fn next_record(&mut self, into: Option<&Expr>) -> Done<bool> {
        self.flush_slowly().await;
        loop {
            if self.main_input.is_none() && !self.next_file().await? {
                return Ok(false);
            }
            let separator = self.separator()?;
            let Some(source) = &mut self.main_input else { return Ok(false) };
            match source.record(&separator).await {
                Ok(Some(record)) => {
                    for name in ["NR", "FNR"] {
                        let number = self.variable(name).number() + 1.0;
                        self.globals.insert(name.to_owned(), Cell::Value(Value::Number(number)));
                    }
                    match into {
                        Some(target) => self.store(target, Value::Input(record)).await?,
                        None => self.set_record(record),
                    }
                    return Ok(true);
                }
                Ok(None) => self.main_input = None,
                Err(error) => return Err(Flow::Fatal(format!("read error: {error}"))),
            }
        }
    }

    /// Opens the next operand that is a file, assigning variables on the way.
    async fn next_file(&mut self) -> Done<bool> {
        while !self.operands.is_empty() {
            let word = self.operands.remove(0);
            let assignment = word
                .split_once('=')
                .filter(|(name, _)| !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()));
            if let Some((name, value)) = assignment {
                let value = escape::unescape(value).0;
                self.assign(name, &value);
                continue;
            }
            self.read_any = true;
            match self.process.open(&word) {
                Ok(fd) => {
                    self.globals.insert("FILENAME".into(), Cell::Value(Value::Input(word)));
                    self.globals.insert("FNR".into(), Cell::Value(Value::Number(0.0)));
                    self.main_input = Some(Source::new(fd, None));
                    return Ok(true);
                }
                Err(error) => {
                    self.flush().await;
                    self.exit_code = self.process.fail(2, format_args!("cannot open {word} ({error})")).await;
                }
            }
        }
        if std::mem::replace(&mut self.read_any, true) {
            return Ok(false);
        }
        self.main_input = Some(Source::new(self.process.stdin(), None));
        Ok(true)
    }

    async fn getline(&mut self, into: Option<&Expr>, source: Option<&(char, Box<Expr>)>) -> Done<Value> {
        let Some((kind, name)) = source else {
            return Ok(Value::Number(f64::from(u8::from(self.next_record(into).await?))));
        };
        let name = self.text(name).await?;
        self.flush().await;
        if !self.sources.contains_key(&name) {
            let opened = if *kind == '<' {
                self.process.open(&name).ok().map(|fd| Source::new(fd, None))
            } else {
                let (reader, writer) = crate::io::pipe(self.process.machine.executor());
                let child = self.shell(&name, &[(1, writer)]).await;
                Some(Source::new(reader, child))
            };
            let Some(opened) = opened else { return Ok(Value::Number(-1.0)) };
            self.sources.insert(name.clone(), opened);
        }
        let separator = self.separator()?;
        let Some(source) = self.sources.get_mut(&name) else { return Ok(Value::Number(-1.0)) };
        match source.record(&separator).await {
            Ok(Some(record)) => {
                if *kind == '|' {
                    let number = self.variable("NR").number() + 1.0;
                    self.globals.insert("NR".into(), Cell::Value(Value::Number(number)));
                }
                match into {
                    Some(target) => self.store(target, Value::Input(record)).await?,
                    None => self.set_record(record),
                }
                Ok(Value::Number(1.0))
            }
            Ok(None) => Ok(Value::Number(0.0)),
            Err(_) => Ok(Value::Number(-1.0)),
        }
    }

    /// Starts a command with some descriptors of its own.
    async fn shell(&self, command: &str, fds: &[(u32, Fd)]) -> Option<Child> {
        let mut all = self.process.fds.clone();
        all.extend(fds.iter().cloned());
        programs::spawn_with(&self.process, ["sh", "-c", command].map(str::to_owned).to_vec(), all).await
    }

    // Fields.

    fn set_record(&mut self, record: String) {
        self.record = record;
        self.split = false;
        self.joined = true;
    }

    fn split_record(&mut self) {
        if self.split {
            return;
        }
        self.split = true;
        let separator = self.variable_text("FS");
        let record = self.record.clone();
        self.fields = self.split_text(&record, &separator);
    }

    fn split_text(&mut self, text: &str, separator: &str) -> Vec<String> {
        let owned = |parts: Vec<&str>| parts.into_iter().map(str::to_owned).collect();
        if text.is_empty() {
            return Vec::new();
        }
        match separator {
            " " => owned(text.split_whitespace().collect()),
            "" => text.chars().map(String::from).collect(),
            "\\" | "|" => owned(text.split(separator).collect()),
            one if one.chars().count() == 1 => owned(text.split(one).collect()),
            pattern => match self.regex(pattern) {
                Ok(regex) => owned(regex.split(text).collect()),
                Err(_) => vec![text.to_owned()],
            },
        }
    }

    /// The whole record.
    fn whole(&mut self) -> String {
        if !self.joined {
            self.joined = true;
            let between = self.variable_text("OFS");
            self.record = self.fields.join(&between);
        }
        self.record.clone()
    }

    fn field(&mut self, index: usize) -> Value {
        if index == 0 {
            return Value::Input(self.whole());
        }
        self.split_record();
        self.fields.get(index - 1).map_or(Value::Unset, |text| Value::Input(text.clone()))
    }

    fn set_field(&mut self, index: usize, text: String) -> Done<()> {
        if index == 0 {
            self.set_record(text);
            return Ok(());
        }
        if index > FIELDS_MAX {
            return Err(Flow::Fatal(format!("trying to access out of range field {index}")));
        }
        self.split_record();
        if self.fields.len() < index {
            self.fields.resize(index, String::new());
        }
        if let Some(field) = self.fields.get_mut(index - 1) {
            *field = text;
        }
        self.joined = false;
        Ok(())
    }

    fn index_of(number: f64) -> Done<usize> {
        if number < 0.0 {
            return Err(Flow::Fatal(format!("trying to access out of range field {number:.0}")));
        }
        Ok(number as usize)
    }

    // Variables.

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

    // Expressions.

    async fn text(&mut self, expr: &Expr) -> Done<String> {
        let format = self.variable_text("CONVFMT");
        Ok(self.eval(expr).await?.text(&format))
    }

    async fn number(&mut self, expr: &Expr) -> Done<f64> {
        Ok(self.eval(expr).await?.number())
    }

    fn regex(&mut self, pattern: &str) -> Done<Rc<Regex>> {
        if let Some(known) = self.regexes.get(pattern) {
            return Ok(known.clone());
        }
        let regex = Rc::new(grep::regex(pattern, true, false).map_err(Flow::Fatal)?);
        self.regexes.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    }

    /// The regular expression that an operand of `~` or an argument is.
    async fn pattern(&mut self, expr: &Expr) -> Done<Rc<Regex>> {
        match expr {
            Expr::Regex(regex) => Ok(regex.clone()),
            other => {
                let text = self.text(other).await?;
                self.regex(&text)
            }
        }
    }

    fn eval<'a>(&'a mut self, expr: &'a Expr) -> LocalBoxFuture<'a, Done<Value>> {
        let truth = |holds: bool| Value::Number(f64::from(u8::from(holds)));
        async move {
            Ok(match expr {
                Expr::Number(number) => Value::Number(*number),
                Expr::Text(text) => Value::Text(text.clone()),
                Expr::Regex(regex) => truth(regex.is_match(&self.whole())),
                Expr::Variable(name) => self.value_of(name)?,
                Expr::Field(index) => {
                    let index = Self::index_of(self.number(index).await?)?;
                    self.field(index)
                }
                Expr::Element(name, index) => {
                    let key = self.key(index).await?;
                    self.array(name)?.borrow_mut().entry(key).or_default().clone()
                }
                Expr::Assign(target, operator, value) => {
                    let value = match operator {
                        None => self.eval(value).await?,
                        Some(operator) => {
                            let right = self.number(value).await?;
                            let left = self.number(target).await?;
                            Value::Number(calculate(*operator, left, right)?)
                        }
                    };
                    self.store(target, value.clone()).await?;
                    value
                }
                Expr::Step(by, before, target) => {
                    let old = self.number(target).await?;
                    self.store(target, Value::Number(old + by)).await?;
                    Value::Number(if *before { old + by } else { old })
                }
                Expr::Not(inner) => truth(!self.eval(inner).await?.holds()),
                Expr::Sign(sign, inner) => Value::Number(sign * self.number(inner).await?),
                Expr::Arithmetic(operator, left, right) => {
                    let left = self.number(left).await?;
                    Value::Number(calculate(*operator, left, self.number(right).await?)?)
                }
                Expr::Concat(left, right) => {
                    let left = self.text(left).await?;
                    Value::Text(left + &self.text(right).await?)
                }
                Expr::Compare(operator, left, right) => {
                    let left = self.eval(left).await?;
                    let right = self.eval(right).await?;
                    let order = left.compare(&right, &self.variable_text("CONVFMT"));
                    truth(match *operator {
                        "<" => order == Ordering::Less,
                        "<=" => order != Ordering::Greater,
                        "==" => order == Ordering::Equal,
                        "!=" => order != Ordering::Equal,
                        ">" => order == Ordering::Greater,
                        _ => order != Ordering::Less,
                    })
                }
                Expr::Match(wanted, left, right) => {
                    let text = self.text(left).await?;
                    truth(self.pattern(right).await?.is_match(&text) == *wanted)
                }
                Expr::And(left, right) => truth(self.eval(left).await?.holds() && self.eval(right).await?.holds()),
                Expr::Or(left, right) => truth(self.eval(left).await?.holds() || self.eval(right).await?.holds()),
                Expr::Ternary(condition, then, otherwise) => {
                    let holds = self.eval(condition).await?.holds();
                    self.eval(if holds { then } else { otherwise }).await?
                }
                Expr::In(index, array) => {
                    let key = self.key(index).await?;
                    truth(self.array(array)?.borrow().contains_key(&key))
                }
                Expr::Group(list) => match list.as_slice() {
                    [only] => self.eval(only).await?,
                    list => Value::Text(self.key(list).await?),
                },
                Expr::Getline(into, source) => self.getline(into.as_deref(), source.as_ref()).await?,
                Expr::Builtin(name, arguments) => self.builtin(name, arguments).await?,
                Expr::Call(name, arguments) => self.call(name, arguments).await?,
            })
        }
        .boxed_local()
    }

    async fn call(&mut self, name: &str, arguments: &[Expr]) -> Done<Value> {
        let Some(function) = self.functions.get(name).cloned() else {
            return Err(Flow::Fatal(format!("calling undefined function {name}")));
        };
        if arguments.len() > function.params.len() {
            return Err(Flow::Fatal(format!(
                "function {name} called with {} args, accepts only {}",
                arguments.len(),
                function.params.len()
            )));
        }
        if self.frames.len() >= CALLS_MAX {
            return Err(Flow::Fatal("function calls nested too deeply".into()));
        }
        self.process.sleep(TURN_TIME).await;
        let mut frame = Vec::new();
        for argument in arguments {
            frame.push(match argument {
                Expr::Variable(name) => match self.cell(name) {
                    Some(Cell::Array(array)) => Cell::Array(array.clone()),
                    _ => Cell::Value(self.value_of(name)?),
                },
                other => Cell::Value(self.eval(other).await?),
            });
        }
        frame.resize_with(function.params.len(), || Cell::Value(Value::Unset));
        self.frames.push(frame);
        let done = self.statement(&function.body).await;
        let frame = self.frames.pop().unwrap_or_default();
        // A variable without a value that the function used as an array is one from now on.
        for (argument, cell) in arguments.iter().zip(frame) {
            if let (Expr::Variable(name), Cell::Array(_)) = (argument, &cell)
                && let Some(outer @ Cell::Value(Value::Unset)) = self.cell(name)
            {
                *outer = cell;
            }
        }
        match done {
            Err(Flow::Return(value)) => Ok(value),
            done => done.map(|()| Value::Unset),
        }
    }

    async fn builtin(&mut self, name: &str, arguments: &[Expr]) -> Done<Value> {
        let wrong = || Flow::Fatal(format!("{name}: wrong number of arguments"));
        let at = |index: usize| arguments.get(index);
        Ok(match name {
            "length" => match at(0) {
                None => Value::Number(self.whole().chars().count() as f64),
                Some(Expr::Variable(name)) if matches!(self.cell(name), Some(Cell::Array(_))) => {
                    Value::Number(self.array(name)?.borrow().len() as f64)
                }
                Some(inner) => Value::Number(self.text(inner).await?.chars().count() as f64),
            },
            "substr" => {
                let text: Vec<char> = self.text(at(0).ok_or_else(wrong)?).await?.chars().collect();
                let start = self.number(at(1).ok_or_else(wrong)?).await?.round();
                let end = match at(2) {
                    Some(length) => start + self.number(length).await?.round(),
                    None => f64::INFINITY,
                };
                let from = (start.max(1.0) - 1.0) as usize;
                let to = ((end - 1.0).max(0.0) as usize).min(text.len());
                Value::Text(text.get(from..to.max(from)).unwrap_or_default().iter().collect())
            }
            "index" => {
                let text = self.text(at(0).ok_or_else(wrong)?).await?;
                let wanted = self.text(at(1).ok_or_else(wrong)?).await?;
                let place = text.find(&wanted).map(|at| text.get(..at).unwrap_or_default().chars().count() + 1);
                Value::Number(place.unwrap_or(0) as f64)
            }
            "split" => {
                let text = self.text(at(0).ok_or_else(wrong)?).await?;
                let Some(Expr::Variable(array)) = at(1) else { return Err(wrong()) };
                let parts = match at(2) {
                    Some(Expr::Regex(regex)) if !text.is_empty() => regex.split(&text).map(str::to_owned).collect(),
                    separator => {
                        let separator = match separator {
                            Some(separator) => self.text(separator).await?,
                            None => self.variable_text("FS"),
                        };
                        self.split_text(&text, &separator)
                    }
                };
                let count = parts.len();
                let values = parts.into_iter().enumerate();
                *self.array(array)?.borrow_mut() =
                    values.map(|(index, part)| ((index + 1).to_string(), Value::Input(part))).collect();
                Value::Number(count as f64)
            }
            "sub" | "gsub" => {
                let regex = self.pattern(at(0).ok_or_else(wrong)?).await?;
                let with = self.text(at(1).ok_or_else(wrong)?).await?;
                let record = Expr::Field(Box::new(Expr::Number(0.0)));
                let target = at(2).unwrap_or(&record);
                let text = self.text(target).await?;
                let (text, count) = substitute(&regex, &text, &with, name == "gsub");
                if count > 0 {
                    self.store(target, Value::Text(text)).await?;
                }
                Value::Number(count as f64)
            }
            "match" => {
                let text = self.text(at(0).ok_or_else(wrong)?).await?;
                let regex = self.pattern(at(1).ok_or_else(wrong)?).await?;
                let found = regex.find(&text);
                let start = found.map(|found| text.get(..found.start()).unwrap_or_default().chars().count() + 1);
                let length = found.map_or(-1.0, |found| found.as_str().chars().count() as f64);
                let start = start.unwrap_or(0) as f64;
                self.globals.insert("RSTART".into(), Cell::Value(Value::Number(start)));
                self.globals.insert("RLENGTH".into(), Cell::Value(Value::Number(length)));
                Value::Number(start)
            }
            "sprintf" => Value::Text(self.format(arguments).await?),
            "tolower" => Value::Text(self.text(at(0).ok_or_else(wrong)?).await?.to_lowercase()),
            "toupper" => Value::Text(self.text(at(0).ok_or_else(wrong)?).await?.to_uppercase()),
            "system" => {
                let command = self.text(at(0).ok_or_else(wrong)?).await?;
                self.flush().await;
                match self.shell(&command, &[]).await {
                    Some(child) => Value::Number(f64::from(child.wait().await)),
                    None => Value::Number(127.0),
                }
            }
            "close" => {
                let name = self.text(at(0).ok_or_else(wrong)?).await?;
                Value::Number(f64::from(self.close(&name).await))
            }
            "fflush" => {
                self.flush().await;
                Value::Number(0.0)
            }
            "rand" => Value::Number((self.rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64),
            "srand" => {
                let now = self.process.machine.now().as_second() as f64;
                let seed = match at(0) {
                    Some(seed) => self.number(seed).await?,
                    None => now,
                };
                self.rng = Rng::new(seed.to_bits());
                Value::Number(std::mem::replace(&mut self.seed, seed))
            }
            "atan2" => {
                let y = self.number(at(0).ok_or_else(wrong)?).await?;
                Value::Number(y.atan2(self.number(at(1).ok_or_else(wrong)?).await?))
            }
            name => {
                let number = self.number(at(0).ok_or_else(wrong)?).await?;
                Value::Number(match name {
                    "sin" => number.sin(),
                    "cos" => number.cos(),
                    "exp" => number.exp(),
                    "log" => number.ln(),
                    "sqrt" => number.sqrt(),
                    _ => number.trunc(),
                })
            }
        })
    }

    /// `printf`'s text: a format and its arguments.
    async fn format(&mut self, list: &[Expr]) -> Done<String> {
        let Some((format, arguments)) = list.split_first() else {
            return Err(Flow::Fatal("printf: no format".into()));
        };
        let format = self.text(format).await?;
        let conversion_format = self.variable_text("CONVFMT");
        let mut values = Vec::new();
        for argument in arguments {
            values.push(self.eval(argument).await?);
        }
        let mut values = values.into_iter();
        let mut out = String::new();
        let mut chars = format.chars().peekable();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut spec = String::new();
            while let Some(c) = chars.peek().copied().filter(|c| "-+ #0123456789.*".contains(*c)) {
                chars.next();
                match c {
                    '*' => spec.push_str(&format!("{}", values.next().unwrap_or_default().number())),
                    c => spec.push(c),
                }
            }
            let Some(conversion) = chars.next() else {
                out.push('%');
                break;
            };
            if conversion == '%' {
                out.push('%');
                continue;
            }
            let value = values.next().unwrap_or_default();
            let argument = match (conversion, &value) {
                ('c', Value::Number(code)) => char::from_u32(*code as u32).map(String::from).unwrap_or_default(),
                ('s' | 'c', value) => value.text(&conversion_format),
                ('d' | 'i' | 'u' | 'x' | 'X' | 'o', value) => format!("{:.0}", value.number().trunc()),
                (_, value) => value.number().to_string(),
            };
            out.push_str(&escape::convert(conversion, &spec, &argument).map_err(Flow::Fatal)?);
        }
        Ok(out)
    }
}

fn calculate(operator: char, left: f64, right: f64) -> Done<f64> {
    Ok(match operator {
        '+' => left + right,
        '-' => left - right,
        '*' => left * right,
        '/' | '%' if right == 0.0 => return Err(Flow::Fatal("division by zero".into())),
        '/' => left / right,
        '%' => left % right,
        _ => left.powf(right),
    })
}

/// Replaces matches; `&` in the replacement is what matched.
fn substitute(regex: &Regex, text: &str, with: &str, all: bool) -> (String, usize) {
    let mut out = String::new();
    let (mut last, mut count) = (0, 0);
    for found in regex.find_iter(text).take(if all { usize::MAX } else { 1 }) {
        out.push_str(text.get(last..found.start()).unwrap_or_default());
        let mut chars = with.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if chars.peek() == Some(&'&') => out.extend(chars.next()),
                '&' => out.push_str(found.as_str()),
                c => out.push(c),
            }
        }
        last = found.end();
        count += 1;
    }
    out.push_str(text.get(last..).unwrap_or_default());
    (out, count)
}
