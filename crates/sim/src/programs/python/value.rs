//! A program's values: bounded in size, and in what is done with them at once.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::ops::Deref;
use std::rc::Rc;

use super::eval::{Done, Function, error, unknown};

/// How deeply expressions, blocks, calls and looks into values may be nested in all. One level of them takes up to
/// some KB of the stack, of which a browser's Worker has 1 MB.
const DEPTH_MAX: u32 = 100;
/// How long texts (in bytes) and lists may get.
pub(super) const LENGTH_MAX: usize = 1 << 20;
/// What all values of a program may take, about.
const BYTES_MAX: usize = 64 << 20;
/// What a value takes besides its text or its items.
const VALUE_BYTES: usize = 64;
/// What an item of a list takes.
const ITEM_BYTES: usize = 32;
/// Most steps between two turns of the world.
const STEPS_MAX: usize = 4 << 20;

/// What a program's values take, how deep it is, and what it has done since the world's last turn.
#[derive(Default)]
pub(super) struct Heap {
    bytes: Cell<usize>,
    depth: Cell<u32>,
    pub(super) steps: Cell<usize>,
}

/// A level of depth, until it is dropped.
pub(super) struct Deeper(Rc<Heap>);

impl Drop for Deeper {
    fn drop(&mut self) {
        self.0.depth.set(self.0.depth.get().saturating_sub(1));
    }
}

/// Part of a heap, until it is dropped.
struct Held {
    heap: Rc<Heap>,
    bytes: Cell<usize>,
}

impl Held {
    fn change(&self, bytes: usize) -> Done<()> {
        let all = self.heap.bytes.get().saturating_sub(self.bytes.get()).saturating_add(bytes);
        if all > BYTES_MAX {
            return error("MemoryError", "");
        }
        self.heap.bytes.set(all);
        self.bytes.set(bytes);
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.heap.bytes.set(self.heap.bytes.get().saturating_sub(self.bytes.get()));
    }
}

pub(super) struct Text {
    text: Box<str>,
    _held: Held,
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

/// What is in a list or a tuple; in a dict keys and values by turns.
pub(super) struct Items {
    values: RefCell<Vec<Value>>,
    held: Held,
}

impl Items {
    pub(super) fn len(&self) -> usize {
        self.values.borrow().len()
    }

    pub(super) fn get(&self, at: usize) -> Option<Value> {
        self.values.borrow().get(at).cloned()
    }

    pub(super) fn all(&self) -> Vec<Value> {
        self.values.borrow().clone()
    }

    pub(super) fn set(&self, at: usize, value: Value) -> Done<()> {
        self.refuse_itself(&value)?;
        let before = self.values.borrow_mut().get_mut(at).map(|item| std::mem::replace(item, value));
        drop(before);
        Ok(())
    }

    pub(super) fn push(&self, values: &[Value]) -> Done<()> {
        for value in values {
            self.refuse_itself(value)?;
        }
        self.extend(values)
    }

    /// As `push`, where nothing can hold this yet.
    pub(super) fn extend(&self, values: &[Value]) -> Done<()> {
        let length = self.len() + values.len();
        if length > LENGTH_MAX {
            return error("MemoryError", "");
        }
        self.held.change(VALUE_BYTES + length * ITEM_BYTES)?;
        self.values.borrow_mut().extend_from_slice(values);
        Ok(())
    }

    pub(super) fn remove(&self, at: usize) -> Done<Value> {
        self.held.heap.step(self.len() / 64)?;
        let removed = self.values.borrow_mut().remove(at);
        self.held.change(VALUE_BYTES + self.len() * ITEM_BYTES)?;
        Ok(removed)
    }

    /// So that no value holds itself, and all are given back.
    fn refuse_itself(&self, value: &Value) -> Done<()> {
        let mut waiting: Vec<Rc<Items>> = value.inner().cloned().into_iter().collect();
        while let Some(items) = waiting.pop() {
            if std::ptr::eq(&*items, self) {
                return unknown("values that hold themselves");
            }
            self.held.heap.step(1 + items.len())?;
            waiting.extend(items.values.borrow().iter().filter_map(Value::inner).cloned());
        }
        Ok(())
    }
}

/// A loop, where each value would drop those inside it.
impl Drop for Items {
    fn drop(&mut self) {
        let mut waiting = self.values.take();
        while let Some(value) = waiting.pop() {
            if let Value::List(items) | Value::Tuple(items) | Value::Dict(items) = value
                && let Some(items) = Rc::into_inner(items)
            {
                waiting.append(&mut items.values.borrow_mut());
            }
        }
    }
}

/// Numbers that are made when they are asked for.
#[derive(PartialEq)]
pub(super) struct Range {
    pub(super) from: i64,
    pub(super) to: i64,
    /// Never 0.
    pub(super) step: i64,
}

impl Range {
    pub(super) fn len(&self) -> usize {
        let (way, step) = (i128::from(self.to) - i128::from(self.from), i128::from(self.step));
        let count = if step > 0 { (way + step - 1) / step } else { (way + step + 1) / step };
        usize::try_from(count.max(0)).unwrap_or(usize::MAX)
    }

    pub(super) fn get(&self, at: usize) -> Option<Value> {
        let number = i64::try_from(at).ok()?.checked_mul(self.step)?.checked_add(self.from)?;
        (at < self.len()).then_some(Value::Int(number))
    }

    pub(super) fn has(&self, number: i64) -> bool {
        let inside = if self.step > 0 {
            (self.from..self.to).contains(&number)
        } else {
            number <= self.from && number > self.to
        };
        inside && (i128::from(number) - i128::from(self.from)) % i128::from(self.step) == 0
    }
}

#[derive(Clone)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<Text>),
    List(Rc<Items>),
    Tuple(Rc<Items>),
    Dict(Rc<Items>),
    /// What `range()` gives.
    Range(Rc<Range>),
    Function(Rc<Function>),
    /// What a module has, by its whole name: `os.environ`.
    Known(Rc<str>),
    /// An error that was raised: its kind and its message, a text.
    Error(Rc<(String, Value)>),
}

impl Heap {
    /// Another level, as long as the result lives.
    pub(super) fn deeper(self: &Rc<Self>) -> Done<Deeper> {
        self.step(1)?;
        if self.depth.get() >= DEPTH_MAX {
            return error("RecursionError", "maximum recursion depth exceeded");
        }
        self.depth.set(self.depth.get() + 1);
        Ok(Deeper(self.clone()))
    }

    /// Counts what is done.
    pub(super) fn step(&self, steps: usize) -> Done<()> {
        self.steps.set(self.steps.get().saturating_add(steps));
        if self.steps.get() > STEPS_MAX { unknown("how to do so much at once") } else { Ok(()) }
    }

    fn hold(self: &Rc<Self>, bytes: usize) -> Done<Held> {
        let held = Held { heap: self.clone(), bytes: Cell::new(0) };
        held.change(VALUE_BYTES + bytes)?;
        Ok(held)
    }

    /// Each text that a program has is made here.
    pub(super) fn text(self: &Rc<Self>, text: impl Into<Box<str>>) -> Done<Value> {
        let text = text.into();
        self.step(text.len() / 64)?;
        if text.len() > LENGTH_MAX {
            return error("MemoryError", "");
        }
        Ok(Value::Text(Rc::new(Text { _held: self.hold(text.len())?, text })))
    }

    /// A part more of a text that becomes a value or is printed.
    pub(super) fn grow(&self, text: &mut String, part: &str) -> Done<()> {
        self.step(1 + part.len() / 64)?;
        if text.len() + part.len() > 2 * LENGTH_MAX {
            return error("MemoryError", "");
        }
        text.push_str(part);
        Ok(())
    }

    /// What each list, tuple and dict is made of.
    pub(super) fn items(self: &Rc<Self>, values: Vec<Value>) -> Done<Rc<Items>> {
        self.step(values.len())?;
        if values.len() > LENGTH_MAX {
            return error("MemoryError", "");
        }
        let held = self.hold(values.len() * ITEM_BYTES)?;
        Ok(Rc::new(Items { values: RefCell::new(values), held }))
    }

    pub(super) fn list(self: &Rc<Self>, values: Vec<Value>) -> Done<Value> {
        Ok(Value::List(self.items(values)?))
    }

    pub(super) fn tuple(self: &Rc<Self>, values: Vec<Value>) -> Done<Value> {
        Ok(Value::Tuple(self.items(values)?))
    }

    pub(super) fn texts<'a>(self: &Rc<Self>, texts: impl Iterator<Item = &'a str>) -> Done<Value> {
        let texts: Done<Vec<Value>> = texts.map(|part| self.text(part)).collect();
        self.list(texts?)
    }

    /// Where a dict has a key's value.
    pub(super) fn find(self: &Rc<Self>, pairs: &Items, key: &Value) -> Done<Option<usize>> {
        self.hashable(key)?;
        for (index, pair) in pairs.values.borrow().chunks(2).enumerate() {
            if let Some(known) = pair.first()
                && self.equals(known, key)?
            {
                return Ok(Some(2 * index + 1));
            }
        }
        Ok(None)
    }

    /// Puts a value into a dict.
    pub(super) fn put(self: &Rc<Self>, pairs: &Items, key: Value, value: Value) -> Done<()> {
        match self.find(pairs, &key)? {
            Some(at) => pairs.set(at, value),
            None => pairs.push(&[key, value]),
        }
    }

    fn hashable(self: &Rc<Self>, key: &Value) -> Done<()> {
        match key {
            Value::List(_) | Value::Dict(_) => error("TypeError", format!("unhashable type: '{}'", key.type_name())),
            Value::Tuple(items) => {
                let _deeper = self.deeper()?;
                items.values.borrow().iter().try_for_each(|item| self.hashable(item))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn equals(self: &Rc<Self>, a: &Value, b: &Value) -> Done<bool> {
        self.step(1)?;
        Ok(match (a, b) {
            (Value::Text(a), Value::Text(b)) => {
                self.step(a.len().min(b.len()) / 64)?;
                ***a == ***b
            }
            (Value::None, Value::None) => true,
            (Value::Known(a), Value::Known(b)) => a == b,
            (Value::Range(a), Value::Range(b)) => a == b,
            (Value::Tuple(a), Value::Tuple(b)) | (Value::List(a), Value::List(b)) => {
                a.len() == b.len() && self.differ(a, b)?.is_none()
            }
            (Value::Dict(a), Value::Dict(b)) => {
                let _deeper = self.deeper()?;
                if a.len() != b.len() {
                    return Ok(false);
                }
                for pair in a.values.borrow().chunks(2) {
                    let [key, value] = pair else { continue };
                    let other = self.find(b, key)?.and_then(|at| b.get(at));
                    let Some(other) = other else { return Ok(false) };
                    if !self.equals(value, &other)? {
                        return Ok(false);
                    }
                }
                true
            }
            (a, b) => match (a.integer(), b.integer()) {
                (Some(a), Some(b)) => a == b,
                _ => a.number().is_some_and(|a| b.number() == Some(a)),
            },
        })
    }

    /// The first place at which two lists differ.
    fn differ(self: &Rc<Self>, a: &Items, b: &Items) -> Done<Option<usize>> {
        let _deeper = self.deeper()?;
        for (at, (a, b)) in a.values.borrow().iter().zip(b.values.borrow().iter()).enumerate() {
            if !self.equals(a, b)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// How `op` finds two values; none is for NaN.
    pub(super) fn order(self: &Rc<Self>, op: &str, a: &Value, b: &Value) -> Done<Option<Ordering>> {
        self.step(1)?;
        Ok(match (a, b) {
            (Value::Text(a), Value::Text(b)) => {
                self.step(a.len().min(b.len()) / 64)?;
                Some((***a).cmp(&***b))
            }
            (Value::Tuple(a), Value::Tuple(b)) | (Value::List(a), Value::List(b)) => match self.differ(a, b)? {
                Some(at) => {
                    let _deeper = self.deeper()?;
                    self.order(op, &a.get(at).unwrap_or(Value::None), &b.get(at).unwrap_or(Value::None))?
                }
                None => Some(a.len().cmp(&b.len())),
            },
            (a, b) => match (a.integer(), b.integer(), a.number(), b.number()) {
                (Some(a), Some(b), ..) => Some(a.cmp(&b)),
                (_, _, Some(a), Some(b)) => a.partial_cmp(&b),
                _ => {
                    let (a, b) = (a.type_name(), b.type_name());
                    return error("TypeError", format!("'{op}' not supported between instances of '{a}' and '{b}'"));
                }
            },
        })
    }

    /// Sorts by `<` alone, which for NaN is no order that the standard library's sort would take.
    pub(super) fn sort(self: &Rc<Self>, mut values: Vec<Value>) -> Done<Vec<Value>> {
        let mut width = 1;
        while width < values.len() {
            let mut merged = Vec::with_capacity(values.len());
            for run in values.chunks(2 * width) {
                let (left, right) = run.split_at(width.min(run.len()));
                let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
                loop {
                    let takes_right = match (left.peek(), right.peek()) {
                        (Some(a), Some(b)) => self.order("<", b, a)? == Some(Ordering::Less),
                        (None, Some(_)) => true,
                        (Some(_), None) => false,
                        (None, None) => break,
                    };
                    merged.extend(if takes_right { right.next() } else { left.next() }.cloned());
                }
            }
            values = merged;
            width *= 2;
        }
        Ok(values)
    }

    /// As `str()` has it.
    pub(super) fn shown(self: &Rc<Self>, value: &Value) -> Done<String> {
        match value {
            Value::Text(value) => Ok(value.to_string()),
            Value::Error(error) => self.shown_text(&error.1),
            other => self.repr(other),
        }
    }

    fn shown_text(self: &Rc<Self>, value: &Value) -> Done<String> {
        if let Value::Text(value) = value { Ok(value.to_string()) } else { self.repr(value) }
    }

    /// As `repr()` has it.
    pub(super) fn repr(self: &Rc<Self>, value: &Value) -> Done<String> {
        let mut out = String::new();
        self.write(&mut out, value, false)?;
        Ok(out)
    }

    /// As `json.dumps()` has it.
    pub(super) fn json(self: &Rc<Self>, value: &Value) -> Done<String> {
        let mut out = String::new();
        self.write(&mut out, value, true)?;
        Ok(out)
    }

    fn write(self: &Rc<Self>, out: &mut String, value: &Value, json: bool) -> Done<()> {
        let (items, open, close) = match value {
            Value::List(items) => (items, "[", "]"),
            Value::Tuple(items) if json => (items, "[", "]"),
            Value::Tuple(items) => (items, "(", if items.len() == 1 { ",)" } else { ")" }),
            Value::Dict(items) => (items, "{", "}"),
            scalar => return self.grow(out, &scalar.written(json)),
        };
        let is_dict = matches!(value, Value::Dict(_));
        let _deeper = self.deeper()?;
        self.grow(out, open)?;
        for (index, item) in items.values.borrow().iter().enumerate() {
            let is_key = is_dict && index % 2 == 0;
            match index {
                0 => {}
                _ if is_dict && !is_key => self.grow(out, ": ")?,
                _ => self.grow(out, ", ")?,
            }
            if json && is_key && !matches!(item, Value::Text(_)) {
                let key = self.repr(item)?;
                self.grow(out, &format!("{key:?}"))?;
            } else {
                self.write(out, item, json)?;
            }
        }
        self.grow(out, close)
    }
}

impl Value {
    fn inner(&self) -> Option<&Rc<Items>> {
        match self {
            Self::List(items) | Self::Tuple(items) | Self::Dict(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn truth(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(value) => !value.is_empty(),
            Self::List(items) | Self::Tuple(items) | Self::Dict(items) => items.len() > 0,
            Self::Range(range) => range.len() > 0,
            _ => true,
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::Range(_) => "range",
            Self::Error(_) => "Exception",
            Self::Function(_) | Self::Known(_) => "function",
        }
    }

    /// What holds no others, as `repr()` or `json.dumps()` has it.
    fn written(&self, json: bool) -> String {
        match self {
            Self::None if json => "null".into(),
            Self::Bool(value) if json => value.to_string(),
            Self::Text(value) if json => format!("{:?}", &***value),
            Self::None => "None".into(),
            Self::Bool(true) => "True".into(),
            Self::Bool(false) => "False".into(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) if value.fract() == 0.0 && value.abs() < 1e16 => format!("{value:.1}"),
            Self::Float(value) => value.to_string(),
            Self::Text(value) if value.contains('\'') && !value.contains('"') => format!("\"{}\"", &***value),
            Self::Text(value) => {
                format!(
                    "'{}'",
                    value.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n").replace('\t', "\\t")
                )
            }
            Self::Error(error) => format!("{}({})", error.0, error.1.written(false)),
            Self::Range(range) if range.step == 1 => format!("range({}, {})", range.from, range.to),
            Self::Range(range) => format!("range({}, {}, {})", range.from, range.to, range.step),
            Self::Function(_) => "<function>".into(),
            Self::Known(name) => format!("<{name}>"),
            Self::List(_) | Self::Tuple(_) | Self::Dict(_) => "...".into(),
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Self::Bool(value) => Some(i64::from(*value)),
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }
}
